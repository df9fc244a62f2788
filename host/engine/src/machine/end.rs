//! How a run ends.

use super::{Action, Machine, counts_as_json};
use crate::codes;
use crate::plan::Entry;
use crate::ports::{CallResult, Payload, RecordRow, RunEnd};
use crossdock_model::{ErrorClass, EventKind, Failure, RunStatus, Status, StepName};

impl Machine {
    pub(super) fn on_acked(&mut self, result: CallResult<()>) {
        self.acking = false;
        if let Err(error) = result.answer {
            // Reported only: what became of the records is not changed by it.
            self.events.push(self.event(
                EventKind::CallFailed,
                Some(StepName::source()),
                format!("the source could not acknowledge its checkpoint: {error}"),
            ));
        }
    }

    pub(super) fn end_if_done(&mut self) {
        let idle = self.flights.is_empty()
            && !self.reading.is_on()
            && self.commits_under_way == 0
            && !self.taking
            && !self.acking;
        let idle = idle && !self.loading && !self.is_asking_connectors();
        let nothing_left = self.source_done
            && self.queue.is_empty()
            && self.chosen.is_empty()
            && self.freed.is_empty()
            && self.waiting == 0;
        if !idle || !(nothing_left || self.is_stopping()) {
            return;
        }
        self.stop_if_over_budget();
        if self.plan_rollback_of_run() {
            return;
        }
        let undone = self.undoing.is_done() || (self.gave_up && self.undoing.is_idle());
        if !undone || self.commits_under_way > 0 || self.settle_whole_run() {
            return;
        }
        if let (Some(checkpoint), false) = (&self.committed, self.acked) {
            self.acked = true;
            self.acking = true;
            self.actions.push(Action::Ack(checkpoint.clone()));
            return;
        }
        self.note_unread();
        self.ended = true;
        let status = self.final_status();
        let reason = match status {
            RunStatus::Failed => self.stop.as_ref().map(|stop| stop.reason.clone()),
            RunStatus::Cancelled => Some(Failure::new(codes::CANCELLED.name, "the run was stopped by an operator")),
            _ => None,
        };
        let mut event = self.event(EventKind::RunEnded, None, format!("the run ended: {status}"));
        event.data = serde_json::json!({
            "status": status, "read": self.totals.read, "resumed": self.totals.resumed,
            "counts": counts_as_json(&self.totals.counts), "reason": reason,
        });
        self.events.push(event);
        let report = serde_json::json!({
            "run": self.spec.run, "route": self.spec.route, "status": status, "read": self.totals.read,
            "resumed": self.totals.resumed, "counts": counts_as_json(&self.totals.counts), "reason": reason,
        });
        let end = RunEnd {
            route: self.spec.route.clone(),
            run: self.spec.run.clone(),
            status,
            at: self.now,
            reason: reason.clone(),
            read: self.totals.read,
            resumed: self.totals.resumed,
            counts: self.totals.counts,
            events: std::mem::take(&mut self.events),
            tasks: self.tasks_of_run(status == RunStatus::Ok, &report, reason.as_ref()),
            quarantine: self.quarantine.take(),
        };
        self.actions.push(Action::End(Box::new(end)));
    }

    /// With `Rollback::Run`: all is well, so the checkpoint moves. Says whether that is under way.
    fn settle_whole_run(&mut self) -> bool {
        if !self.does_all_or_nothing() || self.is_stopping() || !self.moved || self.committed == self.position {
            return false;
        }
        self.note_unread();
        let Some(checkpoint) = self.position.clone().filter(|_| !self.is_stopping()) else {
            return self.plan_rollback_of_run();
        };
        self.committed = Some(checkpoint.clone());
        let number = self.next_number();
        let mut commit = self.commit_of(number);
        commit.checkpoint = Some(checkpoint);
        commit.settles_open = true;
        commit.closes = true;
        commit.events = std::mem::take(&mut self.events);
        for row in std::mem::take(&mut self.split_for_now) {
            commit.counts.add(row.status, -1);
            commit.counts.add(Status::Ok, 1);
            commit.rows.push(RecordRow { status: Status::Ok, payload: Payload::Gone, ..row });
        }
        self.totals.counts.merge(&commit.counts);
        self.push_commit(commit);
        true
    }

    /// A run is never called ok while a record in it is not.
    fn final_status(&self) -> RunStatus {
        let fine = [Status::Ok, Status::Dropped, Status::Skipped];
        if self.stop.is_some() {
            RunStatus::Failed
        } else if self.cancelled {
            RunStatus::Cancelled
        } else if self.totals.counts.iter().all(|(status, _)| fine.contains(&status)) {
            RunStatus::Ok
        } else {
            RunStatus::CompletedWithFailures
        }
    }

    /// Records of which something was known and which the source did not give again: their fate cannot be
    /// settled by reading on, so the run must not look as if all were well.
    fn note_unread(&mut self) {
        if self.is_stopping() || !matches!(self.spec.entry, Entry::Source { .. }) {
            return;
        }
        let mut missing: Vec<_> = self.open.values().filter(|row| !row.status.is_settled()).collect();
        missing.sort_by(|a, b| a.id.cmp(&b.id));
        let Some(first) = missing.first() else { return };
        let reason = Failure::new(
            codes::SOURCE_DID_NOT_RE_READ.name,
            format!(
                "the source did not give {} record(s) again that an earlier run left unsettled, first {}",
                missing.len(),
                first.id
            ),
        );
        self.stop_for(ErrorClass::NeedsOperator, reason);
    }
}
