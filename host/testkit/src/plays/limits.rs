//! Plays about limits: the largest batch, time, memory, room for state.

use super::trial::{Played, Sample, Stop, Trial, not_tried, of_error, texts};
use crate::diff::shown;
use crate::finding::{Finding, MEMORY_GROWS, OUT_OF_TIME};
use crate::live::{Given, Heard, Live};
use crate::request::Reply;
use crate::run::page_limits;
use crate::world::{Failing, World};
use crossdock_engine::ports::CallError;
use crossdock_model::FaultKind;
use crossdock_sandbox::{Limits, Role};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// The most bytes of payloads in the largest batch.
const BATCH_MAX_BYTES: usize = 4 << 20;
/// The time of a call in which the other system says nothing.
const SILENT_CALL_MS: u64 = 1_000;
/// How many batches the memory is measured over, and how many must do with little more.
const WARM_BATCHES: usize = 20;
const MANY_BATCHES: usize = 300;
/// How long that may take.
const MANY_MAX: Duration = Duration::from_secs(5);
/// How many records these batches have.
const MEMORY_RECORDS: usize = 200;
/// The smallest memory that is tried.
const MEMORY_LEAST_BYTES: u64 = 1 << 20;

/// So many records made of those of a case, with ids of their own.
fn multiplied(records: &[Given], number: usize) -> Vec<Given> {
    let mut many = Vec::with_capacity(number);
    let mut bytes = 0;
    for (at, record) in records.iter().cycle().take(number).enumerate() {
        bytes += record.payload.len();
        if bytes > BATCH_MAX_BYTES {
            break;
        }
        let id =
            if at < records.len() { record.id.clone() } else { format!("{}~{}", record.id, at / records.len() + 1) };
        many.push(Given { id, ..record.clone() });
    }
    many
}

/// As many records as it takes.
pub(super) async fn largest(trial: &Trial<'_>, sample: &Sample<'_>) -> Played {
    let most = trial.plugin.description().max_batch as usize;
    let records = multiplied(&sample.records, most);
    trial.world(sample, Failing::Never);
    let done = format!("gave it {} records at once", records.len());
    match trial.pass_alone(sample, &records).await?.answers {
        Ok(_) | Err(CallError::Refused { .. } | CallError::Host(_)) => Ok(Vec::new()),
        Err(error) => {
            // As few as still show it.
            let mut fewest = records.clone();
            while fewest.len() > 1 {
                let half = &fewest[..fewest.len() / 2];
                match trial.pass_alone(sample, half).await?.answers {
                    Err(CallError::Fault(_)) => fewest = half.to_vec(),
                    _ => break,
                }
            }
            Ok(of_error(&sample.only(&fewest), &done, &error).into_iter().collect())
        }
    }
}

/// The run was asked to stop before the call.
pub(super) async fn cancelled(trial: &Trial<'_>, sample: &Sample<'_>) -> Played {
    let ground = trial.ground(sample.case)?;
    ground.cancelled.store(true, Ordering::Relaxed);
    trial.world(sample, Failing::Never);
    let heard = pass(trial, &ground, &sample.records).await;
    answered(sample, &sample.records, heard, "asked the run to stop, and gave it the batch")
}

/// All the room for durable pairs is taken.
pub(super) async fn quota(trial: &Trial<'_>, sample: &Sample<'_>) -> Played {
    if !trial.plugin.imports().contains(&"state") {
        return not_tried("it does not use `state`");
    }
    let mut ground = trial.ground(sample.case)?;
    for number in 0..16 {
        ground.state.insert(format!("kit-fills-{number}"), vec![b'x'; 64 << 10]);
    }
    trial.world(sample, Failing::Never);
    let heard = pass(trial, &ground, &sample.records).await;
    answered(sample, &sample.records, heard, "left no room for `state`, and gave it the batch")
}

async fn pass(trial: &Trial<'_>, ground: &crate::live::Ground, records: &[Given]) -> Heard {
    match trial.fresh(ground).await {
        Ok(live) => live.pass(records, ground.stop_at_first_failure).await,
        Err(error) => Heard { answers: Err(error), trace: crossdock_engine::ports::CallTrace::default() },
    }
}

fn answered(sample: &Sample<'_>, records: &[Given], heard: Heard, done: &str) -> Played {
    Ok(match heard.answers {
        Ok(answers) => texts(sample, records, &answers, done),
        Err(error) => of_error(&sample.only(records), done, &error).into_iter().collect(),
    })
}

/// The other system says nothing until the time of the call is nearly over.
pub(super) async fn silent(trial: &Trial<'_>, sample: &Sample<'_>) -> Played {
    let records: Vec<_> = sample.good().into_iter().take(3).collect();
    let world = trial.world(sample, Failing::Never);
    trial.pass_alone(sample, &records).await?;
    if world.log().is_empty() {
        return not_tried("no case gives records that lead to requests");
    }
    // A machine with much else to do may be late once.
    for last in [false, false, true] {
        let mut ground = trial.ground(sample.case)?;
        ground.limits.call_time_max_ms = SILENT_CALL_MS;
        trial.world(sample, Failing::Always(Reply::Silence));
        let heard = pass(trial, &ground, &records).await;
        let done = "let the other system say nothing until the call's time was nearly over";
        match heard.answers {
            Err(CallError::Fault(fault)) if fault.kind == FaultKind::OutOfTime && last => {
                let expected = "an answer: `unknown` for what was sent, `untouched` for what was not begun";
                let seen = shown(&fault.message);
                return Ok(vec![Finding::new(OUT_OF_TIME, &sample.only(&records), done, expected, seen)]);
            }
            Err(CallError::Fault(fault)) if fault.kind == FaultKind::OutOfTime => {}
            answers => return answered(sample, &records, Heard { answers, trace: heard.trace }, done),
        }
    }
    Ok(Vec::new())
}

/// What one batch is: of records, or a page read again.
async fn work(live: &Live, trial: &Trial<'_>, sample: &Sample<'_>, records: &[Given]) -> Result<(), CallError> {
    match live {
        Live::Source(_) => live.read(None, page_limits(sample.case, trial.plugin)).await.answer.map(|_| ()),
        _ => live.pass(records, false).await.answers.map(|_| ()),
    }
}

/// How many batches an instance takes with so much memory, up to a number.
async fn takes(
    trial: &Trial<'_>,
    sample: &Sample<'_>,
    records: &[Given],
    bytes: u64,
    number: usize,
) -> Result<usize, Stop> {
    let mut ground = trial.ground(sample.case)?;
    ground.limits.memory_max_bytes = bytes;
    trial.bench.answered_by(Arc::new(World::new(sample.case, sample.keys(), Failing::Never).without_log()));
    let Ok(live) = trial.fresh(&ground).await else { return Ok(0) };
    let begun = Instant::now();
    for batch in 0..number {
        match work(&live, trial, sample, records).await {
            Err(CallError::Fault(fault)) if fault.kind == FaultKind::OutOfMemory => return Ok(batch),
            // A fault of another kind begins a fresh instance, which measures nothing.
            Err(CallError::Fault(fault)) => return not_tried(format!("it ends in {}", shown(&fault.message))),
            _ => {}
        }
        if begun.elapsed() > MANY_MAX {
            break;
        }
    }
    Ok(number)
}

/// The memory that some batches take is enough, with little more, for very many.
pub(super) async fn memory(trial: &Trial<'_>, sample: &Sample<'_>) -> Played {
    let most = trial.plugin.description().max_batch as usize;
    let number = match trial.plugin.description().role {
        Role::Destination => most.min(MEMORY_RECORDS / 10),
        _ => most.min(MEMORY_RECORDS),
    };
    let good = sample.good();
    let records = multiplied(if good.is_empty() { &sample.records } else { &good }, number);
    let mut enough = MEMORY_LEAST_BYTES;
    while takes(trial, sample, &records, enough, WARM_BATCHES).await? < WARM_BATCHES {
        enough *= 2;
        if enough > Limits::default().memory_max_bytes {
            return not_tried("a few batches take all the memory that there is");
        }
    }
    let mut step = enough / 4;
    while step >= enough / 16 {
        if takes(trial, sample, &records, enough - step, WARM_BATCHES).await? == WARM_BATCHES {
            enough -= step;
        }
        step /= 2;
    }
    let allowed = enough + enough / 8 + MEMORY_LEAST_BYTES;
    let taken = takes(trial, sample, &records, allowed, MANY_BATCHES).await?;
    if taken == MANY_BATCHES {
        return Ok(Vec::new());
    }
    let done = format!("gave one instance batches of {} records, one after the other", records.len().max(1));
    let kib = |bytes: u64| bytes >> 10;
    let expected = format!("{MANY_BATCHES} batches within {} KiB: {WARM_BATCHES} need {}", kib(allowed), kib(enough));
    let seen = format!("no memory left at batch {}", taken + 1);
    let first: Vec<_> = sample.records.iter().take(1).cloned().collect();
    Ok(vec![Finding::new(MEMORY_GROWS, &sample.only(&first), done, expected, seen)])
}
