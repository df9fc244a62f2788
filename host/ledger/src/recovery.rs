//! What is made of intents and progress that nobody answers for any more, because the process or the run ended.
//!
//! An intent that nothing later is known about leaves its records `indeterminate`; records that a step in the
//! middle of a route is known to have applied become `processing`. Those that are not open are due at once: the
//! engine then probes, writes again with the same key, or leaves them to a person. Runs that were running when their process ended have failed with the code `process-ended`.

use crate::error::LedgerError;
use crate::inflight::{self, Inflight, Kind};
use crate::record::{self, Place, StoredRecord};
use crate::run;
use crate::work::{Origin, RunInMemory, Work};
use crossdock_engine::codes;
use crossdock_engine::ports::Applied;
use crossdock_model::{Event, EventKind, Failure, RecordId, RunId, RunStatus, Status, StepName, Timestamp};
use std::collections::HashMap;

/// The code of a run whose process ended before it did.
pub(crate) const PROCESS_ENDED: &str = "process-ended";
/// The code of a record of which it is unknown whether it was applied.
pub(crate) const IN_DOUBT: &str = "in-doubt";

/// Why nobody answers any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The process died; perhaps because of what it was doing.
    Process,
    /// The run ended, and its process goes on; or its ledger was restored from a backup. Neither is the record's fault.
    Run,
}

/// Ends all runs that are still called running. Called when the ledger is opened or was restored, before anything else.
pub(crate) fn settle_all(work: &mut Work<'_>, now: Timestamp, ended: Ended) -> Result<(), LedgerError> {
    for mut run in run::by_status(work.conn, RunStatus::Running)? {
        let (id, key, route) = (run.id.clone(), run.key, run.route);
        settle_run(work, &id, key, now, ended)?;
        let message = "the process that ran it ended before the run did";
        work.event(
            route,
            &Event {
                at: now,
                kind: EventKind::RunEnded,
                run: Some(id.clone()),
                step: None,
                record: None,
                message: format!("run failed: {message}"),
                data: serde_json::json!({ "status": RunStatus::Failed, "code": PROCESS_ENDED }),
            },
        )?;
        run.ended = Some(now.0);
        run.status = RunStatus::Failed;
        run.reason = Some(Failure::new(PROCESS_ENDED, message));
        work.memory.runs.insert(id, RunInMemory { run, changed: true });
    }
    Ok(())
}

/// Makes rows of what a run left under way.
pub(crate) fn settle_run(
    work: &mut Work<'_>,
    id: &RunId,
    run: i64,
    now: Timestamp,
    ended: Ended,
) -> Result<(), LedgerError> {
    let leftovers = inflight::of_run(work.conn, run)?;
    if leftovers.is_empty() {
        return Ok(());
    }
    // What was asked before something later is known of the same record is not in doubt.
    let mut last: HashMap<&[u8], usize> = HashMap::new();
    for (position, leftover) in leftovers.iter().enumerate() {
        last.extend(leftover.ids.iter().map(|id| (id, position)));
    }
    // What was applied was applied in the generation in which it was meant to be.
    let mut meant: HashMap<&[u8], u32> = HashMap::new();
    for leftover in &leftovers {
        if let Kind::Intent { generations, .. } = &leftover.kind {
            meant.extend(leftover.ids.iter().zip(generations.iter().copied()));
        }
    }
    for (position, leftover) in leftovers.iter().enumerate() {
        let applied = matches!(leftover.kind, Kind::Progress { .. });
        for (index, record) in leftover.ids.iter().enumerate() {
            // Nothing can have been applied by a transformer, and its record is not to blame for the end of a run.
            let harmless = ended == Ended::Run && matches!(leftover.kind, Kind::Intent { effect: false, .. });
            if applied || (last.get(record) == Some(&position) && !harmless) {
                settle_record(work, id, leftover, index, meant.get(record).copied(), now, ended)?;
            }
        }
    }
    let gone = work.conn.prepare_cached("DELETE FROM inflight WHERE run = ?1")?.execute([run])?;
    work.count("inflight", -i64::try_from(gone).unwrap_or(0));
    Ok(())
}

fn settle_record(
    work: &mut Work<'_>,
    run: &RunId,
    leftover: &Inflight,
    index: usize,
    generation: Option<u32>,
    now: Timestamp,
    ended: Ended,
) -> Result<(), LedgerError> {
    let id = leftover.ids.text(index).into_owned();
    let before = record::find(work.conn, leftover.route, &id)?;
    // A row, or progress that has become one, says more than what was written before it.
    if before.as_ref().is_some_and(|before| before.written > leftover.written) {
        return Ok(());
    }
    let origin = Origin {
        route: leftover.route,
        run: leftover.run,
        batch: leftover.batch,
        at: now.0,
        written: leftover.written,
    };
    let mut after = before.clone().unwrap_or_else(|| new_row(origin, &id, &leftover.step, leftover.open));
    let doubt = after.status == Status::Indeterminate && after.step != leftover.step;
    if doubt && matches!(leftover.kind, Kind::Intent { effect: false, .. }) {
        // What may have been applied further on is not forgotten because of what happens on the way there.
        after.failure = Some(quarantined(leftover));
        (after.due, after.written) = (None, leftover.written);
        return work.put(before, after, None);
    }
    if leftover.open && after.step != leftover.step {
        // What was kept is the content at another step; the one at this step comes from the source again.
        after.place = Place::AtSource;
    }
    if after.step != leftover.step {
        (after.spent, after.since) = (0, None);
    }
    after.step = leftover.step.clone();
    after.open = leftover.open;
    (after.run, after.batch, after.at, after.written) = (origin.run, origin.batch, origin.at, origin.written);
    // Open records come again from the source; the others are to be looked at by the next run, which knows whether
    // the destination can be asked or given them again.
    after.due = (!leftover.open).then_some(now.0);
    after.generation = generation.unwrap_or(after.generation);
    say_what_is_known(&mut after, leftover, index, ended);
    let failed = after.failure.clone();
    let kind = if after.status == Status::Failed { EventKind::RecordFailed } else { EventKind::RecordInDoubt };
    work.put(before, after, None)?;
    if let Some(Failure { code, message, .. }) = failed {
        let event = Event {
            at: now,
            kind,
            run: Some(run.clone()),
            step: Some(leftover.step.clone()),
            record: Some(RecordId(id)),
            message,
            data: serde_json::json!({ "code": code }),
        };
        work.event(leftover.route, &event)?;
    }
    Ok(())
}

/// What the last thing that is known of a record says of it.
fn say_what_is_known(after: &mut StoredRecord, leftover: &Inflight, index: usize, ended: Ended) {
    match &leftover.kind {
        Kind::Intent { attempts, generations, careful, effect } => {
            after.status = if *effect { Status::Indeterminate } else { Status::Failed };
            after.attempts = attempts.get(index).copied().unwrap_or(after.attempts);
            after.generation = generations.get(index).copied().unwrap_or(after.generation);
            after.spent = after.spent.saturating_add(1);
            after.since = after.since.or(Some(leftover.at));
            after.failure = Some(if *careful && ended == Ended::Process {
                after.due = None;
                quarantined(leftover)
            } else {
                let what = if ended == Ended::Process { "process" } else { "run" };
                let message = format!(
                    "the {what} ended after step {} was asked and before its answer was on disk",
                    leftover.step
                );
                Failure::new(IN_DOUBT, message)
            });
        }
        Kind::Progress { target_ids, receipts } => {
            after.status = Status::Processing;
            after.failure = None;
            after.applied.retain(|applied| applied.step != leftover.step);
            after.applied.push(Applied {
                step: leftover.step.clone(),
                target_id: target_ids.as_ref().map(|column| column.text(index).into_owned()).unwrap_or_default(),
                receipt: receipts.as_ref().and_then(|column| column.get(index)).unwrap_or_default().to_vec(),
                in_doubt: false,
            });
        }
    }
}

/// Why a record is not tried again by itself: it is likely what the process ended of.
fn quarantined(leftover: &Inflight) -> Failure {
    let message = format!("the process ended while step {} had this record alone, and had ended before", leftover.step);
    Failure::new(codes::RECORD_QUARANTINED.name, message)
}

fn new_row(origin: Origin, id: &str, step: &StepName, open: bool) -> StoredRecord {
    StoredRecord {
        key: 0,
        route: origin.route,
        id: id.to_owned(),
        parent: None,
        status: Status::Processing,
        step: step.clone(),
        generation: 0,
        attempts: 0,
        spent: 0,
        since: None,
        place: if open { Place::AtSource } else { Place::Gone },
        attributes: Vec::new(),
        failure: None,
        due: None,
        applied: Vec::new(),
        open,
        run: origin.run,
        batch: origin.batch,
        at: origin.at,
        version: 0,
        written: origin.written,
        order_key: None,
    }
}
