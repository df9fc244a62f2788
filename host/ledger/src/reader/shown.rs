//! What is taken out of answers before anybody is shown them.

use super::types::{
    AttemptDetail, ChunkEntry, FailureGroup, FailureGroups, LoggedEvent, Page, RecordDetail, RecordFound,
    RecordSummary, RouteStanding, RunDetail, RunSummary, TaskDetail,
};
use crate::plan::{Plan, PlanChange, PlanEntry, PlanSummary};
use crate::pruned::Pruned;
use crate::quarantine::Quarantined;
use crossdock_engine::ports::{Applied, AttemptRow, Exchange, Payload, RecordRow};
use crossdock_model::{Event, Failure};
use serde_json::Value;
use std::borrow::Cow;
use std::fmt;

/// Takes out of texts what must not be shown. Filled by whoever knows the secrets.
pub trait Redact: Send + Sync + fmt::Debug {
    /// The bytes without it; the same bytes if there is nothing to take out.
    fn redact<'b>(&self, bytes: &'b [u8]) -> Cow<'b, [u8]>;
}

/// An answer of the reader. Ids of records, runs, plans and cursors stay as they are: they are asked for again. So do
/// numbers, times and the words that the host itself made.
pub(super) trait Shown {
    /// Takes out of it what must not be shown.
    fn show(&mut self, with: &dyn Redact);
}

fn bytes(bytes: &mut Vec<u8>, with: &dyn Redact) {
    if let Cow::Owned(clean) = with.redact(bytes) {
        *bytes = clean;
    }
}

fn text(text: &mut String, with: &dyn Redact) {
    if let Cow::Owned(clean) = with.redact(text.as_bytes()) {
        *text = String::from_utf8_lossy(&clean).into_owned();
    }
}

/// Takes out of every text in a JSON value, and of every name in it, what must not be shown. Numbers stay.
pub fn redact_json(value: &mut Value, with: &dyn Redact) {
    match value {
        Value::String(inner) => text(inner, with),
        Value::Array(values) => values.iter_mut().for_each(|value| redact_json(value, with)),
        Value::Object(values) => {
            let taken = std::mem::take(values).into_iter().map(|(mut key, mut value)| {
                text(&mut key, with);
                redact_json(&mut value, with);
                (key, value)
            });
            *values = taken.collect();
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

impl<T: Shown> Shown for Option<T> {
    fn show(&mut self, with: &dyn Redact) {
        self.iter_mut().for_each(|one| one.show(with));
    }
}

impl<T: Shown> Shown for Vec<T> {
    fn show(&mut self, with: &dyn Redact) {
        self.iter_mut().for_each(|one| one.show(with));
    }
}

impl<T: Shown> Shown for Page<T> {
    fn show(&mut self, with: &dyn Redact) {
        self.items.show(with);
    }
}

impl Shown for String {
    fn show(&mut self, with: &dyn Redact) {
        text(self, with);
    }
}

/// Answers that hold nothing but what stays as it is.
macro_rules! nothing_in {
    ($($kind:ty),*) => { $(impl Shown for $kind { fn show(&mut self, _: &dyn Redact) {} })* };
}

nothing_in!(u64, RouteStanding, PlanEntry, PlanChange, Pruned);

impl Shown for Failure {
    fn show(&mut self, with: &dyn Redact) {
        let Self { code, message, detail, pointer, retry_after_ms: _ } = self;
        text(code, with);
        text(message, with);
        detail.show(with);
        pointer.show(with);
    }
}

impl Shown for Applied {
    fn show(&mut self, with: &dyn Redact) {
        text(&mut self.target_id, with);
        bytes(&mut self.receipt, with);
    }
}

impl Shown for RecordSummary {
    fn show(&mut self, with: &dyn Redact) {
        self.code.show(with);
        self.message.show(with);
        self.target_ids.iter_mut().for_each(|(_, id)| text(id, with));
    }
}

impl Shown for RecordRow {
    fn show(&mut self, with: &dyn Redact) {
        if let Payload::Kept(content) = &mut self.payload {
            bytes(content, with);
        }
        for (name, value) in &mut self.attributes {
            text(name, with);
            bytes(value, with);
        }
        self.failure.show(with);
        self.applied.show(with);
        if let Some(key) = &mut self.order_key {
            bytes(key, with);
        }
    }
}

impl Shown for Exchange {
    fn show(&mut self, with: &dyn Redact) {
        text(&mut self.method, with);
        text(&mut self.url, with);
        self.error.show(with);
    }
}

impl Shown for AttemptRow {
    fn show(&mut self, with: &dyn Redact) {
        self.failure.show(with);
        self.target_id.show(with);
        if let Some(receipt) = &mut self.receipt {
            bytes(receipt, with);
        }
        self.exchanges.show(with);
    }
}

impl Shown for AttemptDetail {
    fn show(&mut self, with: &dyn Redact) {
        self.attempt.show(with);
    }
}

impl Shown for ChunkEntry {
    fn show(&mut self, with: &dyn Redact) {
        self.applied.show(with);
        if let Some(content) = &mut self.payload {
            bytes(content, with);
        }
    }
}

impl Shown for Event {
    fn show(&mut self, with: &dyn Redact) {
        text(&mut self.message, with);
        redact_json(&mut self.data, with);
    }
}

impl Shown for LoggedEvent {
    fn show(&mut self, with: &dyn Redact) {
        self.event.show(with);
    }
}

impl Shown for TaskDetail {
    fn show(&mut self, with: &dyn Redact) {
        self.failure.show(with);
    }
}

impl Shown for RecordDetail {
    fn show(&mut self, with: &dyn Redact) {
        self.summary.show(with);
        self.row.show(with);
        self.attempts.show(with);
        self.chunks.show(with);
        self.events.show(with);
        self.to_undo.show(with);
        self.tasks.show(with);
    }
}

impl Shown for RecordFound {
    fn show(&mut self, with: &dyn Redact) {
        if let Self::One(detail) = self {
            detail.show(with);
        }
    }
}

impl Shown for FailureGroup {
    fn show(&mut self, with: &dyn Redact) {
        text(&mut self.code, with);
        text(&mut self.message, with);
    }
}

impl Shown for FailureGroups {
    fn show(&mut self, with: &dyn Redact) {
        self.groups.show(with);
    }
}

impl Shown for RunSummary {
    fn show(&mut self, with: &dyn Redact) {
        self.reason.show(with);
    }
}

impl Shown for RunDetail {
    fn show(&mut self, with: &dyn Redact) {
        self.summary.show(with);
        text(&mut self.definition, with);
    }
}

impl Shown for Quarantined {
    fn show(&mut self, with: &dyn Redact) {
        text(&mut self.reason, with);
    }
}

impl Shown for PlanSummary {
    fn show(&mut self, with: &dyn Redact) {
        text(&mut self.filter, with);
        if let Some((_, content)) = &mut self.edit {
            bytes(content, with);
        }
    }
}

impl Shown for Plan {
    fn show(&mut self, with: &dyn Redact) {
        text(&mut self.filter, with);
        if let Some((_, content)) = &mut self.edit {
            bytes(content, with);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crossdock_engine::ports::AttemptKind;
    use crossdock_model::{
        EventKind, HandlerKind, HandlerPlace, Outcome, RecordId, RouteName, RunId, Status, StepName, Timestamp,
    };

    #[derive(Debug)]
    struct Canary;

    impl Redact for Canary {
        fn redact<'b>(&self, bytes: &'b [u8]) -> Cow<'b, [u8]> {
            match std::str::from_utf8(bytes) {
                Ok(text) if text.contains("canary") => Cow::Owned(text.replace("canary", "[taken out]").into_bytes()),
                _ => Cow::Borrowed(bytes),
            }
        }
    }

    fn said() -> String {
        "the canary said".to_owned()
    }

    fn detail() -> RecordDetail {
        let (step, at, run) = (StepName::new("book").unwrap(), Timestamp(1), RunId("run".into()));
        let failure = Failure { pointer: Some(said()), ..Failure::new(said(), said()).with_detail(said()) };
        let applied = Applied { step: step.clone(), target_id: said(), receipt: said().into_bytes(), in_doubt: false };
        let exchange = Exchange {
            at,
            record: None,
            method: said(),
            url: said(),
            status: None,
            error: Some(said()),
            took_ms: 1,
            bytes: 1,
        };
        let attempt = AttemptRow {
            id: RecordId("r1".into()),
            step: step.clone(),
            kind: AttemptKind::Pass,
            attempt: 1,
            generation: 0,
            began: at,
            ended: at,
            outcome: Outcome::Rejected,
            failure: Some(failure.clone()),
            target_id: Some(said()),
            receipt: Some(said().into_bytes()),
            exchanges: vec![exchange],
        };
        let event = Event {
            at,
            kind: EventKind::RecordFailed,
            run: None,
            step: None,
            record: None,
            message: said(),
            data: serde_json::json!({ "canary": [said(), { "deep": said() }, 7, null] }),
        };
        let row = RecordRow {
            id: RecordId("r1".into()),
            parent: None,
            status: Status::Failed,
            step: step.clone(),
            generation: 0,
            attempts: 1,
            spent: 1,
            since: None,
            payload: Payload::Kept(said().into_bytes()),
            attributes: vec![(said(), said().into_bytes())],
            failure: Some(failure.clone()),
            due: None,
            applied: vec![applied.clone()],
            order_key: Some(said().into_bytes()),
            open: false,
            run: run.clone(),
        };
        let route = RouteName::new("r").unwrap();
        let summary = RecordSummary {
            route: route.clone(),
            id: RecordId("r1".into()),
            parent: None,
            status: Status::Failed,
            step: Some(step.clone()),
            code: Some(said()),
            message: Some(said()),
            fingerprint: None,
            attempts: 1,
            generation: 0,
            due: None,
            run: run.clone(),
            batch: 1,
            at,
            version: 1,
            target_ids: vec![(step.clone(), said())],
            open: false,
            kept: true,
        };
        let chunk = ChunkEntry {
            run: run.clone(),
            batch: 1,
            at,
            status: Status::Ok,
            step: None,
            applied: vec![applied.clone()],
            payload: Some(said().into_bytes()),
        };
        let task = TaskDetail {
            place: HandlerPlace { step: Some(step.clone()), kind: HandlerKind::OnFailure },
            run: run.clone(),
            generation: 0,
            standing: crate::TaskStanding::GivenUp,
            attempts: 1,
            failure: Some(failure),
            due: None,
            at,
        };
        RecordDetail {
            summary,
            row: Some(row),
            attempts: vec![AttemptDetail { run, attempt }],
            chunks: vec![chunk],
            events: vec![LoggedEvent { number: 1, route: Some(route), event }],
            in_flight: None,
            to_undo: vec![applied],
            tasks: vec![task],
        }
    }

    #[test]
    fn everything_that_is_known_of_a_record_is_fit_to_be_shown() {
        let mut found = RecordFound::One(Box::new(detail()));
        let bytes = |found: &RecordFound| {
            // Bytes are numbers when a value is shown for programmers.
            format!("{found:?}").replace(&format!("{:?}", said().as_bytes()), "canary").matches("canary").count()
        };
        assert!(bytes(&found) > 30, "{found:?}");
        found.show(&Canary);
        assert_eq!(bytes(&found), 0, "{found:?}");
        assert!(format!("{found:?}").contains("the [taken out] said"));
    }
}
