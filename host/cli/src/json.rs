//! What the ledger knows, as JSON. Times are RFC 3339 in UTC; bytes are a string if they are UTF-8, and
//! `{ "base64": … }` if not.

use crate::text::time;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crossdock::{
    Applied, AttemptDetail, ChunkEntry, Exchange, FailureGroup, InFlight, LoggedEvent, Page, Payload, Quarantined,
    RecordDetail, RecordRow, RecordSummary, RunSummary, Status, TaskDetail, Timestamp, VerifyReport,
};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// One page of a list.
pub(crate) fn page<T>(name: &str, page: &Page<T>, one: impl Fn(&T) -> Value) -> Value {
    let next = page.next.as_ref().map(ToString::to_string);
    json!({ name: page.items.iter().map(one).collect::<Vec<_>>(), "next": next })
}

/// A record in short.
pub(crate) fn record(record: &RecordSummary) -> Value {
    let target_ids: Map<String, Value> =
        record.target_ids.iter().map(|(step, id)| (step.to_string(), id.as_str().into())).collect();
    json!({
        "route": record.route, "id": record.id, "parent": record.parent, "status": record.status,
        "step": record.step, "code": record.code, "message": record.message, "fingerprint": record.fingerprint, "attempts": record.attempts,
        "generation": record.generation, "due": maybe(record.due), "run": record.run, "batch": record.batch,
        "at": time(record.at), "target_ids": target_ids, "next_run_takes_it_up": record.open, "content_kept": record.kept,
    })
}

/// Everything about a record.
pub(crate) fn detail(detail: &RecordDetail) -> Value {
    let mut all = record(&detail.summary);
    let chunk_payload = detail.chunks.iter().find_map(|chunk| chunk.payload.as_deref());
    let parts = json!({
        "payload": payload(detail.row.as_ref(), chunk_payload),
        "attributes": detail.row.as_ref().map(attributes),
        "failure": detail.row.as_ref().and_then(|row| row.failure.as_ref()),
        "applied": detail.row.as_ref().map(|row| row.applied.iter().map(applied).collect::<Vec<_>>()),
        "attempts_made": detail.attempts.iter().map(attempt).collect::<Vec<_>>(),
        "went_through": detail.chunks.iter().map(chunk).collect::<Vec<_>>(),
        "to_undo": detail.to_undo.iter().map(applied).collect::<Vec<_>>(),
        "handlers": detail.tasks.iter().map(task).collect::<Vec<_>>(),
        "in_flight": detail.in_flight.as_ref().map(in_flight),
        "events": detail.events.iter().map(event).collect::<Vec<_>>(),
    });
    if let (Value::Object(all), Value::Object(parts)) = (&mut all, parts) {
        all.extend(parts);
    }
    all
}

fn payload(row: Option<&RecordRow>, of_chunk: Option<&[u8]>) -> Value {
    match (row.map(|row| &row.payload), of_chunk) {
        (Some(Payload::Kept(content)), _) => json!({ "is": "kept", "content": bytes(content) }),
        (Some(Payload::AtSource), _) => json!({ "is": "at-source" }),
        (_, Some(content)) => json!({ "is": "kept", "content": bytes(content) }),
        _ => json!({ "is": "gone" }),
    }
}

fn attributes(row: &RecordRow) -> Value {
    row.attributes.iter().map(|(name, value)| (name.clone(), bytes(value))).collect::<Map<_, _>>().into()
}

/// What a destination did for a record.
pub(crate) fn applied(applied: &Applied) -> Value {
    json!({
        "step": applied.step, "target_id": applied.target_id, "receipt": bytes(&applied.receipt),
        "in_doubt": applied.in_doubt,
    })
}

fn attempt(detail: &AttemptDetail) -> Value {
    let attempt = &detail.attempt;
    json!({
        "run": detail.run, "step": attempt.step, "kind": attempt.kind, "attempt": attempt.attempt, "generation": attempt.generation,
        "began": time(attempt.began), "ended": time(attempt.ended), "outcome": attempt.outcome.as_str(),
        "failure": attempt.failure, "target_id": attempt.target_id,
        "receipt": attempt.receipt.as_deref().map(bytes),
        "exchanges": attempt.exchanges.iter().map(exchange).collect::<Vec<_>>(),
    })
}

fn task(task: &TaskDetail) -> Value {
    json!({
        "handler": task.place.name(), "run": task.run, "generation": task.generation,
        "standing": task.standing.as_str(), "attempts": task.attempts, "failure": task.failure, "due": maybe(task.due),
        "at": time(task.at),
    })
}

/// Failures of one cause.
pub(crate) fn group(group: &FailureGroup) -> Value {
    json!({
        "route": group.route, "step": group.step, "code": group.code, "fingerprint": group.fingerprint,
        "count": group.count, "first": time(group.first_at), "last": time(group.last_at), "sample": group.sample,
        "message": group.message,
    })
}

/// A plugin that is not used any more in a route.
pub(crate) fn quarantined(found: &Quarantined) -> Value {
    json!({ "step": found.step, "digest": found.digest, "reason": found.reason, "since": time(found.at) })
}

fn exchange(exchange: &Exchange) -> Value {
    json!({
        "at": time(exchange.at), "method": exchange.method, "url": exchange.url, "status": exchange.status,
        "error": exchange.error, "took_ms": exchange.took_ms, "bytes": exchange.bytes,
    })
}

fn chunk(chunk: &ChunkEntry) -> Value {
    json!({
        "run": chunk.run, "batch": chunk.batch, "at": time(chunk.at), "status": chunk.status, "step": chunk.step,
        "applied": chunk.applied.iter().map(applied).collect::<Vec<_>>(),
    })
}

fn in_flight(flight: &InFlight) -> Value {
    json!({
        "run": flight.run, "batch": flight.batch, "step": flight.step, "since": time(flight.at),
        "attempt": flight.attempt, "alive": flight.alive,
    })
}

/// An entry of the event log.
pub(crate) fn event(logged: &LoggedEvent) -> Value {
    let event = &logged.event;
    json!({
        "number": logged.number, "at": time(event.at), "kind": event.kind, "route": logged.route,
        "run": event.run, "step": event.step, "record": event.record, "message": event.message, "data": event.data,
    })
}

/// A run in short.
pub(crate) fn run(run: &RunSummary) -> Value {
    let counts: BTreeMap<Status, i64> = run.counts.iter().collect();
    json!({
        "run": run.run, "route": run.route, "route_hash": run.route_hash, "cause": run.cause, "status": run.status,
        "reason": run.reason, "began": time(run.began), "ended": maybe(run.ended), "read": run.read,
        "resumed": run.resumed, "counts": counts,
    })
}

/// What was found in a ledger, or in a backup of one.
pub(crate) fn verified(report: &VerifyReport) -> Value {
    let violations = report.violations.iter().map(|found| json!({ "kind": found.kind, "message": found.message }));
    json!({
        "whole": report.is_whole(), "rows": report.rows, "runs": report.runs, "batches": report.batches,
        "records": report.records, "chunk_records": report.chunk_records, "events": report.events,
        "violations": violations.collect::<Vec<_>>(), "unlisted": report.unlisted,
    })
}

/// A time, if there is one.
pub(crate) fn maybe(at: Option<Timestamp>) -> Option<String> {
    at.map(time)
}

fn bytes(content: &[u8]) -> Value {
    match std::str::from_utf8(content) {
        Ok(text) => text.into(),
        Err(_) => json!({ "base64": STANDARD.encode(content) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_not_lost() {
        assert_eq!(bytes(b"{\"a\":1}"), json!("{\"a\":1}"));
        assert_eq!(bytes(&[0xff, 0]), json!({ "base64": "/wA=" }));
    }
}
