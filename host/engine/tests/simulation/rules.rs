//! What must hold of the ledger and the world, whatever happened. Numbers are those of the invariants.

use crate::ledger::{MemLedger, Stored, waits_for_order};
use crate::world::{Lie, Say, World};
use crossdock_engine::plan::{Entry, LogLevel, Role, Rollback, RunSpec};
use crossdock_engine::ports::{Payload, RecordRow, RunEnd};
use crossdock_model::{RunStatus, Status, StepName};
use std::collections::{BTreeMap, BTreeSet};

type Checked = Result<(), String>;

/// The place of a record in the order of the source; parts of a split follow each other.
pub(crate) fn order_of(id: &str) -> Vec<u64> {
    id.trim_start_matches('r').split('/').map(|part| part.parse().unwrap_or(u64::MAX)).collect()
}

pub(crate) fn index_of(spec: &RunSpec, step: &StepName) -> usize {
    spec.step_index(step).unwrap_or(usize::MAX)
}

/// The record and those it was split from.
fn chain(id: &str) -> Vec<String> {
    let ends = id.match_indices('/').map(|(at, _)| at).chain([id.len()]);
    ends.map(|end| id[..end].to_owned()).collect()
}

/// What the ledger says is so in the world, at every moment.
pub(crate) fn truth(ledger: &MemLedger, world: &World, spec: &RunSpec) -> Checked {
    let place = World::place(ledger.checkpoint.as_ref());
    let busy: BTreeSet<&String> = ledger.inflight.iter().flat_map(|inflight| &inflight.ids).collect();
    for index in 0..place {
        let id = World::record_id(index);
        let known = ledger.rows.contains_key(&id) || ledger.chunk.contains_key(&id);
        if !known && spec.policy.log != LogLevel::Summary {
            return Err(format!("invariant 1: {id} lies before the checkpoint and nothing is known of it"));
        }
    }
    for (id, status) in &ledger.chunk {
        if order_of(id)[0] as usize >= place {
            return Err(format!("{id} is settled in a chunk and lies behind the checkpoint"));
        }
        if *status == Status::Ok {
            applied_everywhere(world, spec, id)?;
        }
    }
    for stored in ledger.rows.values() {
        row_is_true(&stored.row, world, spec, place, &busy)?;
        if !busy.contains(&stored.row.id.0) {
            nothing_is_half_done(stored, world, spec)?;
        }
    }
    Ok(())
}

/// Invariant 6: what is called undone is undone; with scope record nothing is left half done.
fn nothing_is_half_done(stored: &Stored, world: &World, spec: &RunSpec) -> Checked {
    let (row, id) = (&stored.row, &stored.row.id.0);
    let Some(step) = (0..spec.steps.len()).find(|step| world.effects(*step, id) > 0) else { return Ok(()) };
    // What a probe or the end of a process has found out is left to a person.
    let found_out = ["probe-not-applied", "record-quarantined"];
    let by_probe = row.failure.as_ref().is_some_and(|failure| found_out.contains(&&*failure.code));
    let over = match row.status {
        Status::RolledBack | Status::Cancelled => true,
        Status::Failed | Status::Rejected => spec.policy.rollback == Rollback::Record && !stored.decided && !by_probe,
        _ => false,
    };
    if over { Err(format!("invariant 6: {id} is {} and what step {step} did is there", row.status)) } else { Ok(()) }
}

fn row_is_true(row: &RecordRow, world: &World, spec: &RunSpec, place: usize, busy: &BTreeSet<&String>) -> Checked {
    let id = &row.id.0;
    let index = order_of(id)[0] as usize;
    // A source that says that it has no more, and does not give again what it gave, is believed.
    let believed = world.lie == Some(Lie::End) && !row.open;
    if row.open != (index >= place) && !believed {
        return Err(format!("{id} is {} open and the checkpoint is {place}", if row.open { "" } else { "not" }));
    }
    if row.payload == Payload::Unchanged {
        return Err(format!("{id} has no payload of its own"));
    }
    let needed = !row.status.is_settled() || matches!(row.status, Status::Failed | Status::Rejected);
    let kept = matches!(row.payload, Payload::Kept(_));
    if needed && !kept && !row.open {
        return Err(format!("invariant 9: {id} is {} and its payload is {:?}", row.status, row.payload));
    }
    let step = index_of(spec, &row.step);
    if let Payload::Kept(bytes) = &row.payload
        && row.step != StepName::source()
        && world.content(id, step).as_bytes() != bytes
    {
        return Err(format!("{id} is kept for step {step} with content {:?}", String::from_utf8_lossy(bytes)));
    }
    for applied in &row.applied {
        let at = index_of(spec, &applied.step);
        let undoing = matches!(row.status, Status::RollingBack | Status::RollbackFailed);
        if world.effects(at, id) == 0 && !undoing {
            return Err(format!("{id} is said to be applied at step {at} and is not"));
        }
    }
    let undoing = matches!(row.status, Status::RollingBack | Status::RollbackFailed);
    let counted = row.applied.last().filter(|_| undoing).map_or(step, |applied| index_of(spec, &applied.step));
    if let Some(spec) = spec.steps.get(counted) {
        let recovered = row.status == Status::Processing
            || row.failure.as_ref().is_some_and(|f| ["in-doubt", "record-quarantined"].contains(&&*f.code));
        let by_a_person = row.status.is_settled() && row.status != Status::Failed;
        if !recovered && !by_a_person && row.spent > spec.retry.attempts {
            return Err(format!("invariant 8: {id} has spent {} attempts", row.spent));
        }
        if let (Some(due), Some(since), Status::Pending) = (row.due, row.since, row.status)
            && row.failure.is_some()
            && !waits_for_order(row)
            && due.ms_since(since) > spec.retry.total_ms
        {
            return Err(format!("invariant 8: {id} is due {due:?}, its first attempt began {since:?}"));
        }
    }
    if busy.contains(id) {
        return Ok(());
    }
    let is_destination = matches!(world.steps.get(step), Some(Role::Destination { .. }));
    // A record may stand at a step that is known to have applied it: it goes on from there.
    let known = row.applied.iter().any(|applied| applied.step == row.step);
    let effects = if is_destination && !known { world.effects(step, id) } else { 0 };
    match row.status {
        Status::Ok => applied_everywhere(world, spec, id),
        Status::Failed | Status::Rejected | Status::New | Status::Pending if effects > 0 => {
            Err(format!("{id} is {} at step {step} and took effect there", row.status))
        }
        Status::Indeterminate if !world.doubted.contains(&(step, id.clone())) => {
            Err(format!("{id} is indeterminate at step {step} and nobody doubted it"))
        }
        Status::Pending if row.due.is_none() && !row.open && !waits_for_order(row) => {
            Err(format!("{id} is pending and waits for nothing"))
        }
        Status::Processing if !row.open && row.due.is_none() => Err(format!("{id} is processing and nobody does it")),
        Status::New if !row.open => Err(format!("{id} is new and will never be read")),
        _ => Ok(()),
    }
}

/// A record that is ok took effect once at every destination; one that was split did before it was.
fn applied_everywhere(world: &World, spec: &RunSpec, id: &str) -> Checked {
    let mut end = spec.steps.len();
    for step in 0..spec.steps.len() {
        let is_transformer = matches!(world.steps[step], Role::Transformer { .. });
        if is_transformer && matches!(world.fate(id, step).then, Say::Split(_)) && goes_by(world, id, step) {
            end = step;
            break;
        }
    }
    for step in (0..end).filter(|step| matches!(world.steps[*step], Role::Destination { .. })) {
        let effects: u32 = chain(id).iter().map(|id| world.effects(step, id)).sum();
        if effects != 1 {
            return Err(format!("{id} is ok and took effect {effects} times at step {step}"));
        }
    }
    Ok(())
}

/// Whether the record has this id when it comes to a step.
fn goes_by(world: &World, id: &str, step: usize) -> bool {
    let mut depth = 0;
    for before in 0..step {
        let so_far = &chain(id)[depth.min(chain(id).len() - 1)];
        let splits = matches!(world.steps[before], Role::Transformer { .. })
            && matches!(world.fate(so_far, before).then, Say::Split(_));
        depth += usize::from(splits);
    }
    depth + 1 == chain(id).len()
}

/// What must hold when a run has ended.
pub(crate) fn end(ledger: &MemLedger, world: &World, spec: &RunSpec, end: &RunEnd) -> Checked {
    let fine = [Status::Ok, Status::Dropped, Status::Skipped];
    if (end.reason.is_some()) != matches!(end.status, RunStatus::Failed | RunStatus::Cancelled) {
        return Err(format!("the run is {} with reason {:?}", end.status, end.reason));
    }
    let whole = spec.policy.rollback == Rollback::Run && matches!(spec.entry, Entry::Source { .. });
    if matches!(end.status, RunStatus::Failed | RunStatus::Cancelled) {
        return if whole { nothing_is_applied(ledger, world, spec) } else { Ok(()) };
    }
    if whole
        && let Some((status, _)) = end.counts.iter().find(|(status, _)| !(fine.contains(status) || is_undo(*status)))
    {
        return Err(format!("all or nothing, and the run is {} with {status} records", end.status));
    }
    if matches!(spec.entry, Entry::Source { .. }) {
        let told_so = world.lie != Some(Lie::End) || world.healed;
        if World::place(ledger.checkpoint.as_ref()) != world.records && told_so {
            return Err(format!("the run is {} and has not read everything", end.status));
        }
        let waits = |row: &RecordRow| row.due.is_some() || (row.open && (told_so || !row.status.is_settled()));
        if let Some(stored) = ledger.rows.values().find(|stored| waits(&stored.row)) {
            return Err(format!("the run is {} and {} still waits", end.status, stored.row.id));
        }
    }
    if end.status == RunStatus::Ok {
        let bad = end.counts.iter().find(|(status, _)| !fine.contains(status));
        let row = ledger.rows.values().map(|stored| &stored.row);
        let row = row.filter(|row| row.run == end.run).find(|row| !fine.contains(&row.status));
        if bad.is_some() || row.is_some() {
            return Err(format!("the run is called ok with {bad:?} and {row:?}"));
        }
    }
    Ok(())
}

fn is_undo(status: Status) -> bool {
    matches!(status, Status::RollingBack | Status::RolledBack | Status::RollbackFailed)
}

/// All or nothing: after a run that did not go well nothing is left of what lies after the checkpoint, except where
/// the ledger says that it is still to be undone.
fn nothing_is_applied(ledger: &MemLedger, world: &World, spec: &RunSpec) -> Checked {
    for stored in ledger.rows.values().filter(|stored| stored.row.open) {
        let (id, status) = (&stored.row.id.0, stored.row.status);
        let left = (0..spec.steps.len()).find(|step| world.effects(*step, id) > 0);
        let decided = status == Status::Skipped && stored.decided;
        if let Some(step) = left.filter(|_| !is_undo(status) && !decided) {
            return Err(format!("invariant 6: the run was undone, {id} is {status} and step {step} still has it"));
        }
    }
    Ok(())
}

/// Where every record must stand once everything outside is well again, and everybody has done their work.
pub(crate) fn expected(world: &World) -> BTreeMap<String, Status> {
    let mut standing = BTreeMap::new();
    for index in 0..world.records {
        let id = World::record_id(index);
        if world.is_unreadable(index) {
            standing.insert(id, Status::Rejected);
        } else {
            follow(world, id, 0, &mut standing);
        }
    }
    standing
}

fn follow(world: &World, id: String, from: usize, standing: &mut BTreeMap<String, Status>) {
    for step in from..world.steps.len() {
        if matches!(world.steps[step], Role::Destination { .. }) {
            continue;
        }
        let status = match world.fate(&id, step).then {
            Say::Drop => Status::Dropped,
            Say::Reject => Status::Rejected,
            Say::Fault(_) => Status::Failed,
            Say::Split(parts) => {
                for part in 1..=parts {
                    follow(world, format!("{id}/{part}"), step + 1, standing);
                }
                Status::Ok
            }
            _ => continue,
        };
        standing.insert(id, status);
        return;
    }
    standing.insert(id, Status::Ok);
}

/// The last word, after a last clean run: every record stands where it must, and nothing else is there.
pub(crate) fn last_word(ledger: &MemLedger, world: &World, spec: &RunSpec) -> Checked {
    truth(ledger, world, spec)?;
    let mut expected = expected(world);
    let rows = ledger.rows.iter().map(|(id, stored)| (id, stored.row.status, stored.decided));
    let chunk = ledger.chunk.iter().map(|(id, status)| (id, *status, false));
    let record_scope = spec.policy.rollback == Rollback::Record;
    for (id, status, decided) in rows.chain(chunk) {
        let by_a_person = matches!(status, Status::Skipped | Status::Cancelled);
        let undone = status == Status::RolledBack && (record_scope || decided);
        let ends_here = by_a_person || undone;
        let Some(wanted) = expected.remove(id) else { return Err(format!("{id} is {status} and does not exist")) };
        let half_done = matches!(wanted, Status::Failed | Status::Rejected) && record_scope && goes_half_way(world, id);
        if !ends_here && (status != wanted || half_done) {
            return Err(format!("in the end {id} is {status}, expected {wanted}"));
        }
        if ends_here {
            expected.retain(|other, _| !other.starts_with(&format!("{id}/")));
        }
    }
    if spec.policy.log == LogLevel::Summary {
        for (id, status) in &expected {
            match status {
                Status::Ok => applied_everywhere(world, spec, id)?,
                Status::Dropped => {}
                other => return Err(format!("in the end {id} is nowhere, expected {other}")),
            }
        }
        return Ok(());
    }
    match expected.into_iter().next() {
        Some((id, status)) => Err(format!("in the end nothing is known of {id}, expected {status}")),
        None => Ok(()),
    }
}

/// Whether a record that is refused for good by a transformer was applied by a destination before.
fn goes_half_way(world: &World, id: &str) -> bool {
    if world.is_unreadable(order_of(id)[0] as usize) {
        return false;
    }
    let refused = |step: &usize| {
        let for_good = matches!(world.fate(id, *step).then, Say::Reject | Say::Fault(_));
        for_good && matches!(world.steps[*step], Role::Transformer { .. }) && goes_by(world, id, *step)
    };
    let Some(end) = (0..world.steps.len()).find(refused) else { return false };
    (0..end).any(|step| matches!(world.steps[step], Role::Destination { .. }) && goes_by(world, id, step))
}
