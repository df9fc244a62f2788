//! Handlers to be called: made here with the outcome they belong to, called elsewhere.

use super::Machine;
use super::flight::{Flight, Given};
use crate::ports::{Applied, HandlerTask, Payload, RecordRow};
use crossdock_model::{Failure, HandlerKind, HandlerPlace, RecordId, Status, StepName};

/// What a handler is told of an event, beside the record.
struct Told<'t> {
    step: Option<&'t StepName>,
    target_id: &'t str,
    attempt: u32,
    status: &'t str,
    failure: Option<&'t Failure>,
}

impl Machine {
    fn handles(&self, step: usize, kind: HandlerKind) -> bool {
        self.spec.steps.get(step).is_some_and(|spec| spec.handlers.contains(&kind))
    }

    fn task(
        &self,
        place: HandlerPlace,
        record: RecordId,
        generation: u32,
        payload: Vec<u8>,
        mut attributes: Vec<(String, Vec<u8>)>,
        told: &Told<'_>,
    ) -> HandlerTask {
        attributes.retain(|(name, _)| !name.starts_with("event."));
        let attempt = told.attempt.to_string();
        let said = [
            ("event.kind", place.kind.as_str()),
            ("event.run", self.spec.run.0.as_str()),
            ("event.record", record.0.as_str()),
            ("event.step", told.step.map_or("", StepName::as_str)),
            ("event.target_id", told.target_id),
            ("event.attempt", &attempt),
            ("event.status", told.status),
            ("event.code", told.failure.map_or("", |failure| &failure.code)),
            ("event.message", told.failure.map_or("", |failure| &failure.message)),
        ];
        attributes.extend(said.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec())));
        let run = self.spec.run.clone();
        // With all or nothing, nothing is a success before everything is.
        let held = place.kind == HandlerKind::OnSuccess && self.does_all_or_nothing();
        HandlerTask { place, record, run, generation, payload, attributes, due: self.now, held }
    }

    /// The step has applied these. What stands in rows already was told when it was written there.
    pub(super) fn tasks_on_success(&self, flight: &mut Flight, given: &[Given]) {
        if !self.handles(flight.step, HandlerKind::OnSuccess) || given.is_empty() {
            return;
        }
        let step = &self.spec.steps[flight.step].name;
        let mut position_of = vec![None; flight.members.len()];
        for (position, &member) in flight.live.iter().enumerate() {
            position_of[member as usize] = Some(position);
        }
        let mut tasks = Vec::new();
        for part in given.iter().filter(|part| !part.in_rows) {
            for (place, &member) in part.members.iter().enumerate() {
                let Some(position) = position_of[member as usize] else { continue };
                let target_id = part.target_ids.as_ref().map(|ids| ids.text(place).into_owned()).unwrap_or_default();
                let told = Told {
                    step: Some(step),
                    target_id: &target_id,
                    attempt: flight.attempts(member).max(1),
                    status: Status::Ok.as_str(),
                    failure: None,
                };
                tasks.push(self.task(
                    HandlerPlace { step: Some(step.clone()), kind: HandlerKind::OnSuccess },
                    flight.id(member),
                    flight.generation(member),
                    flight.batch.payloads.get(position).unwrap_or_default().to_vec(),
                    flight.batch.attributes_of(position),
                    &told,
                ));
            }
        }
        flight.tasks.extend(tasks);
    }

    /// The transformer that is being left has let these pass: dropped ones too, which is what it is there for.
    pub(super) fn tasks_on_pass(&self, flight: &mut Flight) {
        if !self.handles(flight.step, HandlerKind::OnSuccess) {
            return;
        }
        let step = &self.spec.steps[flight.step].name;
        let mut tasks = Vec::new();
        for (position, &member) in flight.live.iter().enumerate() {
            let status = flight.status(member);
            if !matches!(status, Status::Processing | Status::Ok | Status::Dropped) {
                continue;
            }
            let attempt = flight.attempts(member).max(1);
            // What goes on is ok at this step.
            let status = if status == Status::Processing { Status::Ok } else { status };
            let told = Told { step: Some(step), target_id: "", attempt, status: status.as_str(), failure: None };
            tasks.push(self.task(
                HandlerPlace { step: Some(step.clone()), kind: HandlerKind::OnSuccess },
                flight.id(member),
                flight.generation(member),
                flight.batch.payloads.get(position).unwrap_or_default().to_vec(),
                flight.batch.attributes_of(position),
                &told,
            ));
        }
        flight.tasks.extend(tasks);
    }

    /// The record was given up at the step where it stands.
    pub(super) fn task_on_failure(&self, flight: &Flight, member: u32) -> Option<HandlerTask> {
        let entry = flight.members.get(member as usize)?;
        let note = flight.notes.get(&member)?;
        let step = usize::from(entry.step);
        if !matches!(entry.status, Status::Failed | Status::Rejected) {
            return None;
        }
        if !self.handles(step, HandlerKind::OnFailure) || note.passed || note.keeps_row {
            return None;
        }
        let step = &self.spec.steps[step].name;
        let told = Told {
            step: Some(step),
            target_id: "",
            attempt: note.attempts,
            status: entry.status.as_str(),
            failure: note.failure.as_ref(),
        };
        let place = HandlerPlace { step: Some(step.clone()), kind: HandlerKind::OnFailure };
        let payload = note.payload.clone().unwrap_or_default();
        Some(self.task(place, flight.id(member), note.generation, payload, note.attributes.clone(), &told))
    }

    /// What a step had applied for the record was undone.
    pub(super) fn task_on_rollback(&self, row: &RecordRow, applied: &Applied) -> HandlerTask {
        let told = Told {
            step: Some(&applied.step),
            target_id: &applied.target_id,
            attempt: row.attempts + 1,
            status: Status::RollingBack.as_str(),
            failure: row.failure.as_ref(),
        };
        let place = HandlerPlace { step: Some(applied.step.clone()), kind: HandlerKind::OnRollback };
        let payload = if let Payload::Kept(bytes) = &row.payload { bytes.clone() } else { Vec::new() };
        self.task(place, row.id.clone(), row.generation, payload, row.attributes.clone(), &told)
    }

    /// The run has ended so.
    pub(super) fn tasks_of_run(
        &self,
        fine: bool,
        report: &serde_json::Value,
        failure: Option<&Failure>,
    ) -> Vec<HandlerTask> {
        let kind = if fine { HandlerKind::OnRunOk } else { HandlerKind::OnRunFailed };
        if !self.spec.run_handlers.contains(&kind) {
            return Vec::new();
        }
        let status = report.get("status").and_then(|status| status.as_str()).unwrap_or_default();
        let told = Told { step: None, target_id: "", attempt: 1, status, failure };
        let record = RecordId(self.spec.run.0.clone());
        let payload = serde_json::to_vec(report).unwrap_or_default();
        vec![self.task(HandlerPlace { step: None, kind }, record, 0, payload, Vec::new(), &told)]
    }
}
