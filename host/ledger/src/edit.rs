//! A person changes the content of one record.

use crate::decide::{busy, refused};
use crate::opening;
use crate::record::{self, Place, StoredRecord};
use crate::work::{Done, Work};
use crossdock_model::{Event, EventKind, Failure, RecordId, RouteName, Status, StepName, Timestamp};

/// The code of a record whose content was changed and that had no failure of its own.
pub(crate) const RECORD_EDITED: &str = "record-edited";

/// The new content of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// The record.
    pub id: RecordId,
    /// What it is to be given to its step as.
    pub content: Vec<u8>,
    /// The first step of the route: where a record goes on that could not be read, or was rolled back.
    pub first: StepName,
    /// Why, in the operator's words.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// A record whose content was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edited {
    /// Where it stood.
    pub from: Status,
    /// The step at which it stands.
    pub step: StepName,
    /// Its generation, one higher than before.
    pub generation: u32,
    /// [`crate::RecordSummary::version`] by now.
    pub version: u64,
}

/// Replaces the content of a record.
pub(crate) fn edit(work: &mut Work<'_>, name: &RouteName, edit: Edit) -> Done<Edited> {
    let no = |why: String| Ok(Err(refused(&edit.id, why)));
    let Some(route) = work.known_route(name) else { return no(format!("no route {name} has ever run")) };
    let Some(before) = record::find(work.conn, route, &edit.id.0)? else {
        return no(format!("route {name} has no such record whose content is kept one by one"));
    };
    if busy(work, route)?.contains(edit.id.0.as_bytes()) {
        return no("a run is working on it".to_owned());
    }
    let from = before.status;
    if !matches!(from, Status::Failed | Status::Rejected | Status::RolledBack | Status::Pending) {
        return no(format!("it is {from}, and the content of such a record cannot be changed"));
    }
    let old = if before.place == Place::Kept { Some(record::read_payload(work.conn, before.key)?) } else { None };
    let mut after = StoredRecord {
        status: Status::Failed,
        generation: before.generation.saturating_add(1),
        attempts: 0,
        spent: 0,
        since: None,
        due: None,
        place: Place::Kept,
        at: edit.at.0,
        written: work.next_commit(),
        ..before.clone()
    };
    if from == Status::RolledBack || before.step == StepName::source() {
        after.step = edit.first;
        after.applied.clear();
    }
    after.failure = Some(
        before
            .failure
            .clone()
            .unwrap_or_else(|| Failure::new(RECORD_EDITED, format!("a person changed its content: {}", edit.reason))),
    );
    let edited = Edited {
        from,
        step: after.step.clone(),
        generation: after.generation,
        version: u64::try_from(before.version + 1).unwrap_or(0),
    };
    let lets_others_go = before.order_key.is_some() && !before.open && !from.is_settled();
    let event = Event {
        at: edit.at,
        kind: EventKind::RecordEdited,
        run: Some(work.run_id(before.run)?),
        step: Some(after.step.clone()),
        record: Some(edit.id.clone()),
        message: format!("its content was changed, {from} → failed: {}", edit.reason),
        data: serde_json::json!({
            "from": from, "reason": edit.reason, "generation": after.generation,
            "old": old.as_deref().map(account), "new": account(&edit.content),
        }),
    };
    work.put(Some(before), after, Some(&edit.content))?;
    work.event(route, &event)?;
    if lets_others_go {
        opening::release_waiting(work, route, edit.at.0)?;
    }
    Ok(Ok(edited))
}

/// What an event says of a content: nothing that is in it.
fn account(content: &[u8]) -> serde_json::Value {
    serde_json::json!({ "bytes": content.len(), "blake3": blake3::hash(content).to_hex().as_str() })
}
