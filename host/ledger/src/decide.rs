//! What operators decide about records.

use crate::error::LedgerError;
use crate::inflight;
use crate::opening;
use crate::record::{self, Place, StoredRecord};
use crate::recovery::IN_DOUBT;
use crate::run;
use crate::work::{Done, Work};
use crossdock_engine::ports::Applied;
use crossdock_model::{Event, EventKind, Failure, RecordId, RouteName, Status, StepName, Timestamp};
use std::collections::HashSet;

/// The most records that one transaction decides about: the others who write wait for it.
pub(crate) const TOGETHER_MAX: usize = 10_000;

/// What an operator decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What the record is from now on:
    /// - `Ok`: it was indeterminate and was applied. If it stands before the last step, it becomes `Pending` at the next
    ///   one instead, due at once.
    /// - `Failed`: it was indeterminate and was not applied.
    /// - `Skipped`: to be left out. It was failed, rejected, pending, indeterminate or new; or it was rolled back and
    ///   is open, and the route is to go past it.
    /// - `Cancelled`: it was pending, failed, rejected or indeterminate. If anything was or may have been applied, it
    ///   becomes `RollingBack` instead, due at once: what was applied is undone first.
    /// - `RollingBack`: its rollback failed and is to be tried again, with all its attempts.
    /// - `RolledBack`: it is rolling back, or that failed, and a person undid it by hand.
    pub status: Status,
    /// Why, in the operator's words.
    pub reason: String,
    /// With `Ok`: the id that the other system gave the record, if it is known.
    pub target_id: Option<String>,
    /// With `Cancelled`: the route's destinations. An indeterminate record that stands at one of them is asked about,
    /// and undone there if it was applied.
    pub destinations: Vec<StepName>,
    /// When.
    pub at: Timestamp,
}

/// A record that was decided about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// The record.
    pub id: RecordId,
    /// Where it stood.
    pub from: Status,
    /// Where it stands.
    pub to: Status,
}

/// The refusal of a decision about one record.
pub(crate) fn refused(id: &RecordId, why: String) -> LedgerError {
    LedgerError::DecisionRefused { id: id.0.clone(), why }
}

/// The records of a route that a batch under way holds.
pub(crate) fn busy(work: &Work<'_>, route: i64) -> Result<HashSet<Vec<u8>>, LedgerError> {
    let under_way = inflight::all(work.conn)?;
    let of_route = under_way.iter().filter(|one| one.route == route);
    Ok(of_route.flat_map(|one| one.ids.iter().map(<[u8]>::to_vec)).collect())
}

/// Writes a decision about all of the records, or refuses it for all.
pub(crate) fn decide(
    work: &mut Work<'_>,
    route: &RouteName,
    ids: &[RecordId],
    decision: &Decision,
) -> Done<Vec<Decided>> {
    let Some(key) = work.known_route(route) else {
        let id = ids.first().cloned().unwrap_or(RecordId(String::new()));
        return Ok(Err(refused(&id, format!("no route {route} has ever run"))));
    };
    let busy = busy(work, key)?;
    let mut records: Vec<StoredRecord> = Vec::with_capacity(ids.len());
    let mut seen = HashSet::with_capacity(ids.len());
    for id in ids {
        let Some(found) = record::find(work.conn, key, &id.0)? else {
            return Ok(Err(refused(id, format!("route {route} has no such record that could be decided about"))));
        };
        if busy.contains(id.0.as_bytes()) {
            return Ok(Err(refused(id, "a run is working on it".to_owned())));
        }
        if let Some(why) = forbids(&found, decision) {
            return Ok(Err(refused(id, why)));
        }
        if seen.insert(found.key) {
            records.push(found);
        }
    }
    let written = work.next_commit();
    let mut decided = Vec::with_capacity(records.len());
    let mut lets_others_go = false;
    for before in records {
        let ordered = before.order_key.is_some() && !before.open && !before.status.is_settled();
        let one = write(work, key, before, decision, written)?;
        lets_others_go |= ordered && one.to.is_settled();
        decided.push(one);
    }
    if lets_others_go {
        opening::release_waiting(work, key, decision.at.0)?;
    }
    Ok(Ok(decided))
}

fn forbids(found: &StoredRecord, decision: &Decision) -> Option<String> {
    use Status::{
        Cancelled, Failed, Indeterminate, New, Ok as Fine, Pending, Rejected, RollbackFailed, RolledBack, RollingBack,
        Skipped,
    };
    let allowed = match decision.status {
        Fine | Failed => found.status == Indeterminate,
        Skipped => {
            matches!(found.status, Indeterminate | Failed | Rejected | Pending | New)
                || (found.status == RolledBack && found.open)
        }
        Cancelled => matches!(found.status, Indeterminate | Failed | Rejected | Pending),
        RolledBack => matches!(found.status, RollingBack | RollbackFailed),
        RollingBack => found.status == RollbackFailed,
        _ => false,
    };
    if !allowed {
        return Some(format!("it is {}, which cannot become {} by decision", found.status, decision.status));
    }
    None
}

/// The step after the one at which a record stands, as its last run had them.
fn next_step(work: &Work<'_>, found: &StoredRecord) -> Result<Option<StepName>, LedgerError> {
    Ok(run::by_key(work.conn, found.run)?.step_after(&found.step).cloned())
}

/// The record as it is by the decision.
fn decided(before: &StoredRecord, decision: &Decision, next: Option<StepName>) -> StoredRecord {
    let mut after = StoredRecord { status: decision.status, due: None, at: decision.at.0, ..before.clone() };
    match decision.status {
        Status::Ok => {
            after.failure = None;
            let (step, target_id) = (after.step.clone(), decision.target_id.clone().unwrap_or_default());
            after.applied.retain(|applied| applied.step != step);
            after.applied.push(Applied { step, target_id, receipt: Vec::new(), in_doubt: false });
            match next {
                None => after.place = Place::Gone,
                Some(next) => {
                    // A destination changes no content: what this step was given is what the next one is given.
                    (after.status, after.step) = (Status::Pending, next);
                    (after.attempts, after.spent, after.since) = (0, 0, None);
                    after.due = (!after.open).then_some(decision.at.0);
                }
            }
        }
        Status::Failed => {
            after.failure = Some(Failure {
                message: format!("decided by an operator: {}", decision.reason),
                ..before.failure.clone().unwrap_or_else(|| Failure::new(IN_DOUBT, ""))
            });
        }
        Status::Cancelled => {
            let doubt = before.status == Status::Indeterminate && decision.destinations.contains(&before.step);
            if doubt && !before.applied.iter().any(|applied| applied.step == before.step) {
                after.applied.push(Applied {
                    step: before.step.clone(),
                    target_id: String::new(),
                    receipt: Vec::new(),
                    in_doubt: true,
                });
            }
            if !after.applied.is_empty() {
                after.status = Status::RollingBack;
            }
        }
        Status::RolledBack => after.applied.clear(),
        _ => {}
    }
    if after.status == Status::RollingBack {
        after.due = Some(decision.at.0);
        (after.spent, after.since) = (0, None);
        if before.status != Status::RollbackFailed {
            // Attempts to undo are counted anew.
            after.attempts = 0;
        }
    }
    after
}

/// Steps in the order in which they are undone.
fn newest_first(applied: &[Applied]) -> Vec<&StepName> {
    applied.iter().rev().map(|one| &one.step).collect()
}

fn write(
    work: &mut Work<'_>,
    route: i64,
    before: StoredRecord,
    decision: &Decision,
    written: i64,
) -> Result<Decided, LedgerError> {
    let next = if decision.status == Status::Ok { next_step(work, &before)? } else { None };
    let after = StoredRecord { written, ..decided(&before, decision, next) };
    let id = RecordId(before.id.clone());
    let decided = Decided { id: id.clone(), from: before.status, to: after.status };
    let event = |kind, message, data| Event {
        at: decision.at,
        kind,
        run: None,
        step: Some(before.step.clone()),
        record: Some(id.clone()),
        message,
        data,
    };
    let run = work.run_id(before.run)?;
    let by_hand: Vec<_> = if after.status == Status::RolledBack { newest_first(&before.applied) } else { Vec::new() };
    let mut events = vec![event(
        EventKind::RecordDecided,
        format!("{} → {}: {}", decided.from, decided.to, decision.reason),
        serde_json::json!({
            "from": decided.from, "to": decided.to, "reason": decision.reason, "target_id": decision.target_id,
            "undone_by_hand": by_hand,
        }),
    )];
    if after.status == Status::RollingBack {
        let steps = newest_first(&after.applied);
        let names: Vec<&str> = steps.iter().map(|step| step.as_str()).collect();
        let message = format!("to be undone: {}", names.join(", "));
        events.push(event(EventKind::RollbackPlanned, message, serde_json::json!({ "steps": steps })));
    }
    work.put(Some(before.clone()), after, None)?;
    for event in events {
        work.event(route, &Event { run: Some(run.clone()), ..event })?;
    }
    Ok(decided)
}
