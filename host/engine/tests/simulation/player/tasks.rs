//! The tasks for handlers: one for each outcome that happened, durable together with it, and none for any other.

use super::{Checked, Player, Status};
use crate::ledger::{Kind, TaskId, next_generation, stands_as_before};
use crossdock_engine::plan::{Role, Rollback};
use crossdock_engine::ports::{Applied, AttemptKind, BatchCommit, HandlerTask, RecordRow, RunEnd};
use crossdock_model::{HandlerKind, HandlerPlace, RunStatus, StepName, idempotency_key};
use std::collections::BTreeSet;

fn attribute<'t>(task: &'t HandlerTask, name: &str) -> &'t [u8] {
    task.attributes.iter().find(|(key, _)| key == name).map_or(&[], |(_, value)| value)
}

/// Steps always give receipts here, people never.
fn by_a_person(applied: &Applied) -> bool {
    applied.receipt.is_empty()
}

impl Player<'_> {
    fn handled(&self, step: &StepName, kind: HandlerKind) -> Option<HandlerPlace> {
        let spec = &self.spec.steps[self.spec.step_index(step)?];
        spec.handlers.contains(&kind).then(|| HandlerPlace { step: Some(step.clone()), kind })
    }

    /// Just before a commit becomes durable.
    pub(super) fn check_tasks(&self, commit: &BatchCommit) -> Checked {
        for task in &commit.tasks {
            self.has_happened(task, commit)?;
        }
        let mut there: BTreeSet<TaskId> =
            commit.tasks.iter().map(|task| (task.record.0.clone(), task.place.clone(), task.generation)).collect();
        there.extend(self.ledger.tasks.keys().cloned());
        let needed = |step: &StepName, kind, id: &str, generation| match self.handled(step, kind) {
            Some(place) if !there.contains(&(id.to_owned(), place.clone(), generation)) => {
                Err(format!("{place} is never called for {id} in generation {generation}"))
            }
            _ => Ok(()),
        };
        for attempt in commit.attempts.iter().filter(|attempt| attempt.kind == AttemptKind::Compensate) {
            if attempt.outcome.is_success() {
                needed(&attempt.step, HandlerKind::OnRollback, &attempt.id.0, attempt.generation)?;
            }
        }
        for row in &commit.rows {
            if self.gave_up(row) {
                needed(&row.step, HandlerKind::OnFailure, &row.id.0, row.generation)?;
            }
            // What a rollback finds out was applied is no success.
            let undoing = matches!(row.status, Status::RollingBack | Status::RollbackFailed);
            for applied in row.applied.iter().filter(|one| !undoing && row.status != Status::Ok && !by_a_person(one)) {
                self.success_told(&applied.step, &row.id.0, row.generation, &needed)?;
            }
            // What a person said is told to nobody.
            if row.status == Status::Ok && !row.applied.iter().any(by_a_person) {
                self.successes_told(&row.id.0, row.generation, &needed)?;
            }
        }
        if let Some(progress) = &commit.progress {
            for at in 0..progress.ids.len() {
                let id = progress.ids.text(at).into_owned();
                let generation = self.generation_under_way(commit.batch, &id);
                needed(&progress.step, HandlerKind::OnSuccess, &id, generation)?;
            }
        }
        if let Some(chunk) = &commit.chunk {
            for at in (0..chunk.ids.len()).filter(|at| chunk.statuses[*at] == Status::Ok) {
                self.successes_told(&chunk.ids.text(at), 0, &needed)?;
            }
        }
        Ok(())
    }

    /// A step has given the record up in this commit or before.
    fn gave_up(&self, row: &RecordRow) -> bool {
        let by_failure = row.status == Status::RollingBack
            && self.spec.policy.rollback == Rollback::Record
            && !self.cancelled
            && row.failure.is_some()
            && self.ledger.rows.get(&row.id.0).is_none_or(|before| before.row.status != Status::RollingBack);
        // The ledger has found out itself that the process died of it.
        let by_death = row.failure.as_ref().is_some_and(|failure| failure.code == "record-quarantined");
        let before = self.ledger.rows.get(&row.id.0);
        let again = before.is_some_and(|before| before.row.status == row.status);
        // What a person decided is told to nobody.
        let by_decision = before.is_some_and(|before| before.decided && stands_as_before(&before.row, row));
        let given_up = matches!(row.status, Status::Failed | Status::Rejected);
        (given_up && !(by_death && again) && !by_decision) || by_failure
    }

    fn generation_under_way(&self, batch: u64, id: &str) -> u32 {
        let of_intent = self.ledger.inflight.iter().rev().filter(|inflight| inflight.batch == batch).find_map(|one| {
            let Kind::Intent { generations, .. } = &one.kind else { return None };
            one.ids.iter().position(|other| other == id).map(|at| generations[at])
        });
        of_intent.unwrap_or_else(|| self.ledger.rows.get(id).map_or(0, |stored| next_generation(&stored.row)))
    }

    /// For what is there at a step, in whatever generation it was done.
    fn success_told(
        &self,
        step: &StepName,
        id: &str,
        last: u32,
        needed: &impl Fn(&StepName, HandlerKind, &str, u32) -> Checked,
    ) -> Checked {
        let Some(index) = self.spec.step_index(step) else { return Ok(()) };
        for generation in 0..=last {
            let key = idempotency_key(&self.spec.route, step, generation, id.as_bytes());
            if self.world.is_applied(index, id, &key) {
                needed(step, HandlerKind::OnSuccess, id, generation)?;
            }
        }
        Ok(())
    }

    /// A transformer has let it pass, in one generation or another.
    fn pass_told(
        &self,
        step: &StepName,
        id: &str,
        last: u32,
        needed: &impl Fn(&StepName, HandlerKind, &str, u32) -> Checked,
    ) -> Checked {
        let here = self.spec.step_index(step).is_some_and(|index| self.world.has_passed(index, id));
        let told = |generation| needed(step, HandlerKind::OnSuccess, id, generation);
        if here && (0..=last).all(|generation| told(generation).is_err()) { told(last) } else { Ok(()) }
    }

    fn successes_told(
        &self,
        id: &str,
        last: u32,
        needed: &impl Fn(&StepName, HandlerKind, &str, u32) -> Checked,
    ) -> Checked {
        self.spec.steps.iter().try_for_each(|step| match step.role {
            Role::Destination { .. } => self.success_told(&step.name, id, last, needed),
            Role::Transformer { .. } => self.pass_told(&step.name, id, last, needed),
        })
    }

    fn has_happened(&self, task: &HandlerTask, commit: &BatchCommit) -> Checked {
        let (id, generation) = (&task.record.0, task.generation);
        let wrong = |what: &str| Err(format!("{} for {id}: {what}", task.place));
        let Some(step) = &task.place.step else { return wrong("a run's handler with a batch") };
        let Some(index) = self.spec.step_index(step) else { return wrong("no such step") };
        if self.handled(step, task.place.kind).is_none() {
            return wrong("the step has no such handler");
        }
        let key = idempotency_key(&self.spec.route, step, generation, id.as_bytes());
        let row = commit.rows.iter().find(|row| row.id == task.record);
        let mut target_id = Vec::new();
        let happened = match task.place.kind {
            HandlerKind::OnSuccess if matches!(self.world.steps[index], Role::Transformer { .. }) => {
                self.world.has_passed(index, id)
            }
            HandlerKind::OnSuccess => {
                target_id = format!("{id}@{index}").into_bytes();
                self.world.has_ever_applied(index, id, &key)
            }
            HandlerKind::OnFailure => row.is_some_and(|row| {
                let code = row.failure.as_ref().map_or("", |failure| &failure.code);
                let given_up = matches!(row.status, Status::Failed | Status::Rejected | Status::RollingBack);
                let same = row.step == *step && row.generation == generation;
                given_up && same && attribute(task, "event.code") == code.as_bytes()
            }),
            HandlerKind::OnRollback => {
                let by_a_person = attribute(task, "event.target_id").is_empty();
                target_id = if by_a_person { String::new() } else { format!("{id}@{index}") }.into_bytes();
                commit.attempts.iter().any(|attempt| {
                    let done = attempt.kind == AttemptKind::Compensate && attempt.outcome.is_success();
                    done && attempt.id == task.record && attempt.step == *step && attempt.generation == generation
                })
            }
            HandlerKind::OnRunOk | HandlerKind::OnRunFailed => false,
        };
        if !happened {
            return wrong("it did not happen");
        }
        let said = [
            ("event.kind", task.place.kind.as_str().as_bytes()),
            ("event.run", self.spec.run.0.as_bytes()),
            ("event.record", id.as_bytes()),
            ("event.step", step.as_str().as_bytes()),
            ("event.target_id", &target_id),
        ];
        let status = attribute(task, "event.status");
        if task.place.kind == HandlerKind::OnSuccess && status != b"ok" && status != b"dropped" {
            return wrong("it is told another status");
        }
        if let Some((name, _)) = said.iter().find(|(name, value)| attribute(task, name) != *value) {
            return wrong(&format!("it is told {name} = {:?}", String::from_utf8_lossy(attribute(task, name))));
        }
        let content = String::from_utf8_lossy(&task.payload).into_owned();
        let as_seen = content == self.world.content(id, index) || task.place.kind == HandlerKind::OnRollback;
        if as_seen { Ok(()) } else { wrong(&format!("it is given {content:?}")) }
    }

    pub(super) fn check_end_tasks(&self, end: &RunEnd) -> Checked {
        let kind = if end.status == RunStatus::Ok { HandlerKind::OnRunOk } else { HandlerKind::OnRunFailed };
        let wanted = usize::from(self.spec.run_handlers.contains(&kind));
        let place = HandlerPlace { step: None, kind };
        let right = end.tasks.iter().filter(|task| task.place == place && task.record.0 == end.run.0).count();
        if right == wanted && end.tasks.len() == wanted {
            Ok(())
        } else {
            Err(format!("the run is {} and calls {:?}", end.status, end.tasks))
        }
    }
}
