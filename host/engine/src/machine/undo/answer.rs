//! What the answers of a compensation make of rows.

use super::Undo;
use crate::machine::Machine;
use crate::machine::evidence::of_record;
use crate::ports::{
    Applied, AttemptKind, AttemptRow, BatchCommit, CallTrace, Exchange, Payload, RecordRow, StepCounts,
};
use crate::retry;
use crossdock_model::{Event, EventKind, Failure, HandlerKind, Outcome, Status, StepName, Timestamp};

/// What became of one record at the step.
pub(super) enum Answered {
    /// It is undone, or there was nothing to undo.
    Undone(Outcome),
    /// It was applied after all: it can be undone now.
    Applied { target_id: String, receipt: Vec<u8> },
    /// Another call may help.
    Again(Outcome, Failure),
    /// It cannot be undone.
    Failed(Failure),
}

/// A call for one record.
struct Call {
    step: Option<usize>,
    began: Timestamp,
    asks: bool,
    exchanges: Vec<Exchange>,
}

impl Machine {
    /// Writes down what became of a portion, and goes on. `of` is given positions in the portion, in order.
    pub(super) fn answered(
        &mut self,
        mut undo: Undo,
        portion: &[usize],
        trace: CallTrace,
        mut of: impl FnMut(usize) -> Answered,
    ) {
        let mut commit = self.commit_of(undo.number);
        commit.closes = true;
        let name = self.spec.steps[undo.step].name.clone();
        commit.state = trace.state.into_iter().map(|write| (name.clone(), write)).collect();
        for (index, &at) in portion.iter().enumerate() {
            let call = Call {
                step: Some(undo.step),
                began: undo.began,
                asks: undo.asks,
                exchanges: of_record(&trace.exchanges, index),
            };
            let after = self.take_answer(undo.rows[at].clone(), call, of(index), &mut commit);
            if after.status == Status::RollingBack {
                match after.due {
                    Some(due) if due > self.now => self.undoing.wait(due),
                    _ => undo.further.push(after),
                }
            }
        }
        if !portion.is_empty() {
            self.push_undone(commit);
        }
        self.undoing.now = Some(undo);
        self.go_on_undoing();
    }

    /// Writes down what became of rows without a call.
    pub(super) fn write_undone(&mut self, rows: Vec<RecordRow>, of: impl Fn(&RecordRow) -> Answered) {
        let number = self.next_number();
        let mut commit = self.commit_of(number);
        commit.closes = true;
        for row in rows {
            let answered = of(&row);
            let call = Call { step: None, began: self.now, asks: true, exchanges: Vec::new() };
            self.take_answer(row, call, answered, &mut commit);
        }
        self.push_undone(commit);
    }

    pub(super) fn push_undone(&mut self, commit: BatchCommit) {
        self.totals.resumed += commit.resumed;
        self.totals.counts.merge(&commit.counts);
        for (name, counts) in &commit.steps {
            if let Some(index) = self.spec.step_index(name) {
                self.totals.steps[index].merge(counts);
            }
        }
        self.push_commit(commit);
    }

    /// What an answer makes of a row; adds it to the commit.
    fn take_answer(
        &mut self,
        before: RecordRow,
        call: Call,
        answered: Answered,
        commit: &mut BatchCommit,
    ) -> RecordRow {
        let mut row = RecordRow { run: self.spec.run.clone(), payload: Payload::Unchanged, ..before.clone() };
        let undone = row.applied.last().cloned();
        if let (Some(applied), false) = (&undone, call.asks) {
            row.attempts += 1;
            commit.attempts.push(self.attempt_to_undo(&row, &applied.step, &call, &answered));
        }
        match answered {
            Answered::Undone(_) => {
                row.applied.pop();
                (row.attempts, row.spent, row.since) = (0, 0, None);
                if let (Some(applied), Some(step)) = (undone, call.step) {
                    self.note_undone(&before, &applied, step, call.asks, commit);
                }
                if row.applied.is_empty() {
                    row.status = Status::RolledBack;
                    row.due = None;
                    commit.events.push(self.event_of(&row, EventKind::RecordRolledBack, "its chain is undone".into()));
                } else {
                    row.due = Some(self.now);
                }
            }
            Answered::Applied { target_id, receipt } => {
                if let Some(applied) = row.applied.last_mut() {
                    *applied = Applied { target_id, receipt, in_doubt: false, ..applied.clone() };
                }
                row.due = Some(self.now);
            }
            Answered::Again(_, failure) => {
                row.spent += 1;
                let since = *row.since.get_or_insert(call.began);
                let limits = call.step.map(|step| self.spec.steps[step].retry);
                row.due = limits.and_then(|limits| {
                    retry::next_attempt(&limits, &mut self.jitter, row.spent, since, self.now, &failure)
                });
                if row.due.is_none() {
                    self.give_up_undoing(&mut row, failure, commit);
                }
            }
            Answered::Failed(failure) => self.give_up_undoing(&mut row, failure, commit),
        }
        match before.run == self.spec.run {
            true => commit.counts.add(before.status, -1),
            false => commit.resumed += 1,
        }
        commit.counts.add(row.status, 1);
        if row.status.is_settled() {
            self.settle_order_of(row.order_key.as_deref(), &row.id);
        }
        let after = RecordRow { payload: before.payload, ..row.clone() };
        commit.rows.push(row);
        if let Some(known) = self.open.get_mut(after.id.0.as_bytes()) {
            known.clone_from(&after);
        }
        after
    }

    fn attempt_to_undo(&self, row: &RecordRow, step: &StepName, call: &Call, answered: &Answered) -> AttemptRow {
        let (outcome, failure) = match answered {
            Answered::Undone(outcome) => (*outcome, None),
            Answered::Applied { .. } => (Outcome::Ok, None),
            Answered::Again(outcome, failure) => (*outcome, Some(failure.clone())),
            Answered::Failed(failure) => (Outcome::Rejected, Some(failure.clone())),
        };
        AttemptRow {
            id: row.id.clone(),
            step: step.clone(),
            kind: AttemptKind::Compensate,
            attempt: row.attempts,
            generation: row.generation,
            began: call.began,
            ended: self.now,
            outcome,
            failure,
            target_id: None,
            receipt: None,
            exchanges: call.exchanges.clone(),
        }
    }

    fn note_undone(&mut self, row: &RecordRow, applied: &Applied, step: usize, asks: bool, commit: &mut BatchCommit) {
        let message = match asks {
            true => format!("step {} had not applied it", applied.step),
            false => format!("what step {} had applied was undone", applied.step),
        };
        let mut event = self.event_of(row, EventKind::RecordCompensated, message);
        event.step = Some(applied.step.clone());
        event.data = serde_json::json!({ "target_id": applied.target_id });
        commit.events.push(event);
        if asks {
            return;
        }
        let one = StepCounts { undone: 1, ..StepCounts::default() };
        match commit.steps.iter_mut().find(|(name, _)| *name == applied.step) {
            Some((_, counts)) => counts.merge(&one),
            None => commit.steps.push((applied.step.clone(), one)),
        }
        if self.spec.steps[step].handlers.contains(&HandlerKind::OnRollback) {
            commit.tasks.push(self.task_on_rollback(row, applied));
        }
    }

    /// Invariant 6: loud, resumable, and never reported as done.
    fn give_up_undoing(&mut self, row: &mut RecordRow, failure: Failure, commit: &mut BatchCommit) {
        let step = row.applied.last().map_or_else(|| row.step.clone(), |applied| applied.step.clone());
        row.status = Status::RollbackFailed;
        row.due = None;
        let first = row.failure.take().unwrap_or_default();
        let message = format!("undoing step {step} failed: {}", failure.message);
        let mut event = self.event_of(row, EventKind::RollbackFailed, message.clone());
        event.step = Some(step);
        event.data = serde_json::json!({ "failure": failure, "first": first });
        commit.events.push(event);
        let before = if first.code.is_empty() { None } else { Some(format!("{}: {}", first.code, first.message)) };
        let detail =
            failure.detail.into_iter().chain(before.map(|before| format!("it was undone because of {before}")));
        row.failure = Some(Failure {
            code: failure.code,
            message,
            detail: detail.reduce(|all, more| format!("{all}\n{more}")),
            pointer: None,
            retry_after_ms: None,
        });
    }

    fn event_of(&self, row: &RecordRow, kind: EventKind, message: String) -> Event {
        let mut event = self.event(kind, Some(row.step.clone()), message);
        event.record = Some(row.id.clone());
        event
    }
}
