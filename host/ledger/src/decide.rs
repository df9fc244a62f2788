//! What operators decide about records.

use crate::apply::Done;
use crate::error::LedgerError;
use crate::inflight;
use crate::record::{self, Place, StoredRecord};
use crate::run;
use crate::work::Work;
use crossdock_engine::ports::Applied;
use crossdock_model::{Event, EventKind, Failure, RecordId, RouteName, Status, Timestamp};

/// What an operator decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What the record is from now on:
    /// `Ok` (was indeterminate at the last step: it was applied), `Failed` (was indeterminate: it was not applied),
    /// `Skipped` (was failed, rejected, pending or indeterminate: to be left out).
    pub status: Status,
    /// Why, in the operator's words.
    pub reason: String,
    /// With `Ok`: the id that the other system gave the record, if it is known.
    pub target_id: Option<String>,
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

fn refused(id: &RecordId, why: String) -> LedgerError {
    LedgerError::DecisionRefused { id: id.0.clone(), why }
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
    let busy = inflight::all(work.conn)?;
    let mut records: Vec<StoredRecord> = Vec::with_capacity(ids.len());
    for id in ids {
        let Some(found) = record::find(work.conn, key, &id.0)? else {
            return Ok(Err(refused(id, format!("route {route} has no such record that could be decided about"))));
        };
        let in_flight = |one: &inflight::Inflight| one.route == key && one.ids.iter().any(|i| i == id.0.as_bytes());
        if busy.iter().any(in_flight) {
            return Ok(Err(refused(id, "a run is working on it".to_owned())));
        }
        if let Some(why) = forbids(work, &found, decision)? {
            return Ok(Err(refused(id, why)));
        }
        if !records.iter().any(|record| record.key == found.key) {
            records.push(found);
        }
    }
    let written = work.next_commit();
    let mut decided = Vec::with_capacity(records.len());
    for before in records {
        decided.push(write(work, key, before, decision, written)?);
    }
    Ok(Ok(decided))
}

fn forbids(work: &Work<'_>, found: &StoredRecord, decision: &Decision) -> Result<Option<String>, LedgerError> {
    use Status::{Failed, Indeterminate, Ok as Fine, Pending, Rejected, Skipped};
    let allowed = matches!(
        (found.status, decision.status),
        (Indeterminate, Fine | Failed) | (Indeterminate | Failed | Rejected | Pending, Skipped)
    );
    if !allowed {
        return Ok(Some(format!("it is {}, which cannot become {} by decision", found.status, decision.status)));
    }
    if decision.status == Fine {
        let run = run::by_key(work.conn, found.run)?;
        if let Some(last) = run.last_step().filter(|&last| *last != found.step) {
            return Ok(Some(format!(
                "it stands at step {} and the steps up to {last} are not done; decide that it failed and resync it",
                found.step
            )));
        }
    }
    Ok(None)
}

fn write(
    work: &mut Work<'_>,
    route: i64,
    before: StoredRecord,
    decision: &Decision,
    written: i64,
) -> Result<Decided, LedgerError> {
    let mut after = StoredRecord { status: decision.status, due: None, at: decision.at.0, written, ..before.clone() };
    match decision.status {
        Status::Ok => {
            after.failure = None;
            after.place = Place::Gone;
            if let Some(target_id) = &decision.target_id {
                let step = after.step.clone();
                after.applied.retain(|applied| applied.step != step);
                after.applied.push(Applied { step, target_id: target_id.clone(), receipt: Vec::new() });
            }
        }
        Status::Failed => {
            after.failure = Some(Failure {
                message: format!("decided by an operator: {}", decision.reason),
                ..before.failure.clone().unwrap_or_else(|| Failure::new(crate::recovery::IN_DOUBT, ""))
            });
        }
        _ => {}
    }
    let id = RecordId(before.id.clone());
    let decided = Decided { id: id.clone(), from: before.status, to: decision.status };
    let run = work.run_id(before.run)?;
    let event = Event {
        at: decision.at,
        kind: EventKind::RecordDecided,
        run: Some(run),
        step: Some(before.step.clone()),
        record: Some(id),
        message: format!("{} → {}: {}", decided.from, decided.to, decision.reason),
        data: serde_json::json!({
            "from": decided.from, "to": decided.to, "reason": decision.reason, "target_id": decision.target_id,
        }),
    };
    work.put(Some(before), after, None)?;
    work.event(route, &event)?;
    Ok(decided)
}
