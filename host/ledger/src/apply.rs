//! What each call of the ledger port does within a transaction. Refusals come before the first write.

use crate::error::LedgerError;
use crate::inflight::{self, Inflight, Kind};
use crate::packed::Packed;
use crate::quarantine::{self, Quarantined};
use crate::record::{self, StoredRecord};
use crate::recovery::Ended;
use crate::run::{self, StoredBatch, StoredRun, Totals};
use crate::seal::sealed;
use crate::work::{Done, Origin, RunInMemory, StoredRoute, Work};
use crate::{ask, opening, recovery, state, task};
use crossdock_engine::ports::{BatchCommit, Intent, Payload, Progress, RunEnd, RunOpening, RunStart};
use crossdock_model::{
    Checkpoint, Event, EventKind, Failure, RecordId, RouteName, RunStatus, Status, StepName, Timestamp,
};
use rusqlite::params_from_iter;

/// Notes that a run begins.
pub(crate) fn begin_run(work: &mut Work<'_>, start: RunStart) -> Done<RunOpening> {
    if run::find(work.conn, &start.run.0)?.is_some() {
        return Ok(Err(LedgerError::BadCommit { why: format!("run {} was begun before", start.run) }));
    }
    let route = work.route(&start.route)?;
    let definition = sealed("definition", vec![start.route_hash.clone().into(), start.definition.into()]);
    work.conn
        .prepare_cached("INSERT OR IGNORE INTO definition VALUES (?, ?, ?)")?
        .execute(params_from_iter(definition))?;
    let key = work.conn.query_row("SELECT coalesce(max(key), 0) + 1 FROM run", [], |row| row.get(0))?;
    let run = StoredRun {
        key,
        id: start.run.clone(),
        route,
        hash: start.route_hash,
        plugins: start.plugins,
        cause: start.cause,
        began: start.at.0,
        ended: None,
        status: RunStatus::Running,
        reason: None,
        totals: Totals::default(),
        moved: Some(false),
    };
    run.write(work.conn)?;
    work.count("run", 1);
    let started = Event {
        at: start.at,
        kind: EventKind::RunStarted,
        run: Some(start.run.clone()),
        step: None,
        record: None,
        message: "the run began".to_owned(),
        data: serde_json::json!({ "cause": run.cause, "route_hash": run.hash }),
    };
    work.event(route, &started)?;
    work.memory.runs.insert(start.run, RunInMemory { run, changed: false });
    opening::release_waiting(work, route, start.at.0)?;
    let (pending, next_due) = opening::waiting(work.conn, route)?;
    let open = ask::open(work, route)?;
    let stored = StoredRoute::by_key(work.conn, route)?;
    let mut open = ask::rows(work, open)?;
    for stored in ask::given_again(work, route)? {
        let run = work.run_id(stored.run)?;
        open.push(stored.with_payload(Payload::Unchanged, run));
    }
    Ok(Ok(RunOpening {
        open,
        pending,
        next_due: next_due.map(Timestamp),
        rolling_back: opening::rolling_back(work.conn, route)?,
        unsettled: opening::unsettled(work.conn, route)?,
        tasks: work.waiting_tasks(&start.route),
        blocking: opening::blocking(work.conn, route)?,
        deaths: opening::deaths(work.conn, route, key, stored.checkpoint_at)?,
        checkpoint: stored.checkpoint.map(Checkpoint),
    }))
}

/// Notes what a destination is about to be asked to do.
pub(crate) fn intend(work: &mut Work<'_>, intent: &Intent) -> Done<()> {
    let (route, run) = match work.running(&intent.route, &intent.run) {
        Ok(keys) => keys,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if let Err(refusal) = inflight::validate_intent(intent) {
        return Ok(Err(refusal));
    }
    let kind = Kind::Intent {
        attempts: intent.attempts.clone(),
        generations: intent.generations.clone(),
        careful: intent.careful,
        effect: intent.effect,
    };
    let written = work.next_commit();
    let origin = Origin { route, run, batch: batch_number(intent.batch), at: intent.at.0, written };
    append_inflight(work, origin, intent.step.clone(), intent.open, intent.ids.clone(), kind)?;
    Ok(Ok(()))
}

fn batch_number(batch: u64) -> i64 {
    i64::try_from(batch).unwrap_or(i64::MAX)
}

fn append_inflight(
    work: &mut Work<'_>,
    origin: Origin,
    step: StepName,
    open: bool,
    ids: crossdock_model::Column,
    kind: Kind,
) -> Result<(), LedgerError> {
    let key = inflight::next_key(work.conn)?;
    let Origin { route, run, batch, at, written } = origin;
    Inflight { key, route, run, batch, step, at, open, written, ids, kind }.write(work.conn)?;
    work.count("inflight", 1);
    Ok(())
}

fn refuse(work: &Work<'_>, commit: &BatchCommit) -> Result<(i64, i64), LedgerError> {
    let keys = work.running(&commit.route, &commit.run)?;
    if let Some(progress) = &commit.progress {
        inflight::validate_progress(progress)?;
    }
    if commit.settles_open && commit.checkpoint.is_none() {
        let why = "a commit settles what is open and moves no checkpoint".to_owned();
        return Err(LedgerError::BadCommit { why });
    }
    task::refuse_unknown_runs(work.conn, &commit.tasks, &commit.run)?;
    Ok(keys)
}

/// Makes what a batch produced durable.
pub(crate) fn commit(work: &mut Work<'_>, Packed { commit, chunk }: &Packed) -> Done<()> {
    let (route, run) = match refuse(work, commit) {
        Ok(keys) => keys,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let written = work.next_commit();
    let origin = Origin { route, run, batch: batch_number(commit.batch), at: commit.at.0, written };
    let moves = commit.checkpoint.is_some();
    let rows_written = commit.rows.len() as u64;
    for row in &commit.rows {
        let open = row.open && !moves;
        if row.status == Status::RollingBack {
            task::drop_held(work, route, &row.id.0, row.generation)?;
        }
        work.put_row(origin, row.clone(), open)?;
    }
    let key =
        work.conn.prepare_cached("SELECT coalesce(max(key), 0) + 1 FROM batch")?.query_row([], |row| row.get(0))?;
    if let (Some(records), Some(packed)) = (&commit.chunk, chunk) {
        let look_for_rows = work.has_open(&commit.route);
        work.put_chunk(origin, key, (records, packed), look_for_rows, !moves)?;
    }
    if let Some(checkpoint) = &commit.checkpoint {
        pass(work, route, &commit.passed)?;
        move_checkpoint(work, origin, &commit.route, checkpoint, commit.settles_open)?;
        if commit.settles_open {
            task::release_held(work, route, origin.at)?;
        }
    }
    for attempt in &commit.attempts {
        crate::trace::append_attempt(work.conn, route, run, attempt)?;
        work.count("attempt", 1);
    }
    for event in &commit.events {
        work.event(route, event)?;
    }
    for (step, write) in commit.state.iter().cloned() {
        state::write(work, route, &step, write)?;
    }
    task::add(work, route, commit.tasks.clone(), commit.at.0)?;
    if let Some(Progress { step, ids, target_ids, receipts, open }) = commit.progress.clone() {
        append_inflight(work, origin, step, open, ids, Kind::Progress { target_ids, receipts })?;
    }
    if commit.closes {
        let gone = work
            .conn
            .prepare_cached("DELETE FROM inflight WHERE run = ?1 AND batch = ?2")?
            .execute((run, origin.batch))?;
        work.count("inflight", -i64::try_from(gone).unwrap_or(0));
    }
    let totals =
        Totals { read: commit.read, resumed: commit.resumed, counts: commit.counts, steps: commit.steps.clone() };
    if let Some(running) = work.memory.runs.get_mut(&commit.run) {
        running.run.totals.merge(&totals);
        running.run.moved = Some(moves || running.run.moved == Some(true));
        running.changed = true;
    }
    let unsigned = |count: i64| u64::try_from(count).unwrap_or(0);
    StoredBatch {
        key,
        run,
        batch: commit.batch,
        at: commit.at.0,
        totals,
        chunk_ok: unsigned(chunk.as_ref().map_or(0, |chunk| chunk.ok)),
        chunk_dropped: unsigned(chunk.as_ref().map_or(0, |chunk| chunk.dropped)),
        rows_written,
        closes: commit.closes,
    }
    .write(work.conn)?;
    work.count("batch", 1);
    Ok(Ok(()))
}

fn move_checkpoint(
    work: &mut Work<'_>,
    origin: Origin,
    name: &RouteName,
    Checkpoint(checkpoint): &Checkpoint,
    settles_open: bool,
) -> Result<(), LedgerError> {
    if settles_open {
        for before in ask::open(work, origin.route)? {
            close(work, before)?;
        }
    }
    let name = name.as_str().to_owned();
    StoredRoute { key: origin.route, name, checkpoint: Some(checkpoint.clone()), checkpoint_at: Some(origin.at) }
        .write_checkpoint(work.conn)
}

/// Records that are open no longer and otherwise as they were.
fn pass(work: &mut Work<'_>, route: i64, passed: &[RecordId]) -> Result<(), LedgerError> {
    for id in passed {
        if let Some(before) = record::find(work.conn, route, &id.0)?.filter(|before| before.open) {
            close(work, before)?;
        }
    }
    Ok(())
}

fn close(work: &mut Work<'_>, before: StoredRecord) -> Result<(), LedgerError> {
    let after = StoredRecord { open: false, ..before.clone() };
    work.put(Some(before), after, None)
}

/// Notes that a run has ended, and whether its numbers add up.
pub(crate) fn end_run(work: &mut Work<'_>, end: RunEnd) -> Done<()> {
    let (route, key) = match work.running(&end.route, &end.run) {
        Ok(keys) => keys,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if end.status == RunStatus::Running {
        return Ok(Err(LedgerError::BadCommit { why: "a run cannot end as running".to_owned() }));
    }
    if let Err(refusal) = task::refuse_unknown_runs(work.conn, &end.tasks, &end.run) {
        return Ok(Err(refusal));
    }
    let quarantine = match quarantined(work, &end) {
        Ok(found) => found,
        Err(refusal) => return Ok(Err(refusal)),
    };
    // Nothing answers any more for what is still under way.
    recovery::settle_run(work, &end.run, key, end.at, Ended::Run)?;
    let sum = run::sum_of_batches(work.conn, key)?;
    let wrong = sum.imbalance().or_else(|| differs(&sum, &end));
    let accounting = wrong.map(|why| LedgerError::Accounting { run: end.run.0.clone(), why });
    let reason = match &accounting {
        Some(error) => Some(Failure::new("ledger-accounting", error.to_string())),
        None => end.reason,
    };
    for event in end.events.iter().filter(|event| accounting.is_none() || event.kind != EventKind::RunEnded) {
        work.event(route, event)?;
    }
    if let Some(error) = &accounting {
        let event = Event {
            at: end.at,
            kind: EventKind::RunEnded,
            run: Some(end.run.clone()),
            step: None,
            record: None,
            message: error.to_string(),
            data: serde_json::json!({ "status": RunStatus::Failed, "code": "ledger-accounting" }),
        };
        work.event(route, &event)?;
    }
    task::add(work, route, end.tasks, end.at.0)?;
    if let Some(found) = quarantine {
        quarantine::set(work, route, found)?;
    }
    if let Some(running) = work.memory.runs.get_mut(&end.run) {
        running.run.ended = Some(end.at.0);
        running.run.status = if accounting.is_some() { RunStatus::Failed } else { end.status };
        running.run.reason = reason;
        running.changed = true;
    }
    Ok(accounting.map_or(Ok(()), Err))
}

/// What is not to be used any more, with the digest that the run began with.
fn quarantined(work: &Work<'_>, end: &RunEnd) -> Result<Option<Quarantined>, LedgerError> {
    let Some(step) = &end.quarantine else { return Ok(None) };
    let plugins = work.memory.runs.get(&end.run).map(|running| running.run.plugins.as_slice()).unwrap_or_default();
    let Some((.., digest)) = plugins.iter().find(|(name, ..)| name == step) else {
        return Err(LedgerError::BadCommit { why: format!("run {} has no plugin at step {step}", end.run) });
    };
    let reason = end.reason.as_ref().map_or_else(|| "too many faults".to_owned(), |reason| reason.message.clone());
    Ok(Some(Quarantined { step: step.clone(), digest: digest.clone(), reason, at: end.at }))
}

fn differs(sum: &Totals, end: &RunEnd) -> Option<String> {
    if (sum.read, sum.resumed) != (end.read, end.resumed) {
        return Some(format!(
            "the engine read {} and took up {}, its commits say {} and {}",
            end.read, end.resumed, sum.read, sum.resumed
        ));
    }
    let mut statuses = crossdock_model::Status::ALL.iter();
    let status = statuses.find(|&&status| sum.counts.get(status) != end.counts.get(status))?;
    Some(format!(
        "the engine has {} records that are {status}, its commits say {}",
        end.counts.get(*status),
        sum.counts.get(*status)
    ))
}
