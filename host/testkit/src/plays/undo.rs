//! Plays about undoing and asking: later, elsewhere, twice.

use super::trial::{Played, Sample, Stop, Trial, about, not_tried, of_error, texts};
use crate::compare::{self, Call};
use crate::diff::shown;
use crate::finding::{PROBE_CHANGES, UNDO_NEEDS_INSTANCE, UNDO_TWICE};
use crate::live::{Answer, Given, Ground, Live, time_of};
use crate::request::{Reply, Seen};
use crate::run::is_good;
use crate::world::{Failing, World};
use std::sync::Arc;

/// How much later a rollback comes.
const HOURS_MS: u64 = 30 * 3_600_000;
/// How many records of a case are tried.
const RECORDS_MAX: usize = 3;

/// One applied record, and the instance that applied it.
struct Applied {
    live: Live,
    ground: Ground,
    world: Arc<World>,
    pair: (Given, Answer),
}

/// Writes one record. Nothing if it does not go through.
async fn applied(trial: &Trial<'_>, sample: &Sample<'_>, given: &Given) -> Result<Option<Applied>, Stop> {
    let mut ground = trial.ground(sample.case)?;
    let world = trial.world(sample, Failing::Never);
    let live = match trial.fresh(&ground).await {
        Ok(live) if live.abilities().compensates => live,
        Ok(_) => return not_tried("it says that it does not compensate"),
        Err(error) => return not_tried(compare::error(&error)),
    };
    let heard = live.pass(std::slice::from_ref(given), false).await;
    ground.keep(&heard.trace);
    let answer = heard.answers.ok().and_then(|answers| answers.into_iter().next()).filter(is_good);
    Ok(answer.map(|answer| Applied { live, ground, world, pair: (given.clone(), answer) }))
}

/// Whether it was undone, or why not; `None` if the case does not know a request.
async fn undo(
    live: &Live,
    world: &World,
    pair: &(Given, Answer),
) -> Option<Result<Answer, crossdock_engine::ports::CallError>> {
    let heard = live.undo(std::slice::from_ref(pair)).await;
    if world.unknown().is_some() {
        return None;
    }
    Some(heard.answers.map(|mut answers| answers.swap_remove(0)))
}

fn unknown(world: &World) -> String {
    let request = world.unknown().unwrap_or_default();
    format!("no exchange of the case is like {}: give the record `undo`", shown(&request))
}

/// Undone by the instance that wrote it, and, another time, by a fresh one a day later.
pub(super) async fn hours_later(trial: &Trial<'_>, sample: &Sample<'_>) -> Played {
    let mut tried = false;
    for given in sample.good().iter().take(RECORDS_MAX) {
        let Some(warm) = applied(trial, sample, given).await? else { continue };
        let by_itself = match undo(&warm.live, &warm.world, &warm.pair).await {
            Some(Ok(answer)) => answer,
            Some(Err(error)) => {
                let case = sample.only(std::slice::from_ref(given));
                return Ok(of_error(&case, "undid the record", &error).into_iter().collect());
            }
            None => return not_tried(unknown(&warm.world)),
        };
        let files_then = warm.ground.files().ok().map(|files| files.into_iter().map(|(_, f)| f).collect::<Vec<_>>());
        if !is_good(&by_itself) {
            continue;
        }
        tried = true;
        let Some(Applied { live, ground, world, pair }) = applied(trial, sample, given).await? else { continue };
        drop(live);
        trial.bench.clock.set(time_of(sample.case).plus_ms(HOURS_MS));
        let done = "wrote the record, and undid it 30 hours later in a fresh instance";
        let expected = "undone, as by the instance that wrote it";
        let fresh = match trial.fresh(&ground).await {
            Ok(fresh) => fresh,
            Err(error) => return Ok(of_error(sample.case, done, &error).into_iter().collect()),
        };
        let seen = match undo(&fresh, &world, &pair).await {
            None => {
                format!("it sent {}, which the instance that wrote it does not", world.unknown().unwrap_or_default())
            }
            Some(Err(error)) => compare::error(&error),
            Some(Ok(answer)) if !is_good(&answer) || answer.outcome != by_itself.outcome => {
                format!("record {}: {}", given.id, compare::told(Call::Undo, &answer))
            }
            Some(Ok(_)) => {
                let (there, here) = (undoing(&warm.world), undoing(&world));
                let files = ground.files().ok().map(|files| files.into_iter().map(|(_, f)| f).collect::<Vec<_>>());
                if there.len() > here.len() {
                    format!(
                        "it sent {} requests that change something, the instance that wrote it {}",
                        here.len(),
                        there.len()
                    )
                } else if files != files_then {
                    "the files are not as the instance that wrote it leaves them".to_owned()
                } else {
                    continue;
                }
            }
        };
        return Ok(vec![about(UNDO_NEEDS_INSTANCE, sample, given, done, expected, seen)]);
    }
    if tried { Ok(Vec::new()) } else { not_tried("no record could be undone: give one `undo`, with its exchange") }
}

fn undoing(world: &World) -> Vec<Seen> {
    world.changes()
}

/// Undone twice: as if nobody knew of the first time, and with the other system saying that it is gone.
pub(super) async fn twice(trial: &Trial<'_>, sample: &Sample<'_>) -> Played {
    let mut tried = false;
    for given in sample.good().iter().take(RECORDS_MAX) {
        let Some(Applied { live, ground, world, pair }) = applied(trial, sample, given).await? else { continue };
        drop(live);
        let before = world.log().len();
        let Ok(fresh) = trial.fresh(&ground).await else { continue };
        match undo(&fresh, &world, &pair).await {
            Some(Ok(answer)) if is_good(&answer) => {}
            None => return not_tried(unknown(&world)),
            _ => continue,
        }
        tried = true;
        let requests = world.log();
        let deletes = requests.iter().skip(before).any(|seen| seen.method == "DELETE");
        let gone = deletes.then(|| Failing::Always(Reply::status(404)));
        for (failing, what) in [(Some(Failing::Never), ""), (gone, ", with 404 as the answer")] {
            let Some(failing) = failing else { continue };
            trial.world(sample, failing);
            let done = format!("undid the record a second time in a fresh instance{what}");
            let heard = match trial.fresh(&ground).await {
                Ok(fresh) => fresh.undo(std::slice::from_ref(&pair)).await.answers,
                Err(error) => Err(error),
            };
            let seen = match heard {
                Ok(answers) if answers.iter().all(is_good) => continue,
                Ok(answers) => {
                    let told: Vec<_> = answers.iter().map(|answer| compare::told(Call::Undo, answer)).collect();
                    format!("record {}: {}", given.id, told.join(", "))
                }
                Err(error) => compare::error(&error),
            };
            return Ok(vec![about(UNDO_TWICE, sample, given, done, "undone or unchanged", seen)]);
        }
    }
    if tried { Ok(Vec::new()) } else { not_tried("no record could be undone: give one `undo`, with its exchange") }
}

/// Asked twice about the same records, in fresh instances.
pub(super) async fn asked_twice(trial: &Trial<'_>, sample: &Sample<'_>) -> Played {
    let ground = trial.ground(sample.case)?;
    match trial.fresh(&ground).await {
        Ok(live) if live.abilities().probes => {}
        Ok(_) => return not_tried("it says that it cannot be asked"),
        Err(error) => return not_tried(compare::error(&error)),
    }
    let records = sample.good();
    let mut told = Vec::new();
    for _ in 0..2 {
        let world = trial.world(sample, Failing::Never);
        let heard = match trial.fresh(&ground).await {
            Ok(live) => live.probe(&records).await,
            Err(error) => return not_tried(compare::error(&error)),
        };
        if let Some(unknown) = world.unknown() {
            let unknown = shown(&unknown);
            return not_tried(format!("no exchange of the case is like {unknown}: give the record `probe`"));
        }
        let changing = world.log().into_iter().find(|seen| matches!(seen.method.as_str(), "PUT" | "PATCH" | "DELETE"));
        let done = "asked about the record";
        if let (Some(seen), Some(first)) = (changing, records.first()) {
            return Ok(vec![about(PROBE_CHANGES, sample, first, done, "requests that only read", seen.shown())]);
        }
        match heard.answers {
            Ok(answers) => {
                let findings = texts(sample, &records, &answers, done);
                if !findings.is_empty() {
                    return Ok(findings);
                }
                told.push(answers.iter().map(|answer| compare::told(Call::Probe, answer)).collect::<Vec<_>>());
            }
            Err(error) => return Ok(of_error(&sample.only(&records), done, &error).into_iter().collect()),
        }
    }
    if let [first, second] = &told[..]
        && let Some(at) = first.iter().zip(second).position(|(a, b)| a != b)
        && let Some(given) = records.get(at)
    {
        let seen = format!("record {}: {} at first, {} then", given.id, first[at], second[at]);
        let done = "asked about the record twice, each time in a fresh instance";
        return Ok(vec![about(PROBE_CHANGES, sample, given, done, "the same both times", seen)]);
    }
    Ok(Vec::new())
}
