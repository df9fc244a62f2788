//! Rollback: what records had applied is undone, newest first. Invariant 6.
//!
//! The plan is in the ledger: rows that are rolling back, with what is still to be undone. They are taken from there,
//! undone step by step and written back after every call, so a crash resumes where it was; undoing twice is harmless
//! by contract.

mod answer;

use super::flight::{halves, portions};
use super::{Action, BatchNumber, Machine, host_failure};
use crate::codes;
use crate::plan::{Entry, Role, Rollback};
use crate::ports::{
    Applied, CallError, CallResult, CallTrace, DueRows, Payload, Probed, RecordRow, RefusalKind, UndoBatch, Undone,
};
use answer::Answered;
use crossdock_model::{
    Attribute, Batch, Column, Event, EventKind, Failure, Outcome, Status, StepName, Timestamp, idempotency_key,
};
use std::collections::{HashMap, VecDeque};

/// What is being undone, and what waits for it.
#[derive(Debug, Default)]
pub(super) struct Undoing {
    /// Rows in the ledger that are rolling back and not taken up.
    pub(super) waiting: u64,
    pub(super) next_due: Option<Timestamp>,
    pub(super) taking: bool,
    /// Rows that have begun to wait since the ledger was asked.
    since: (u64, Option<Timestamp>),
    /// Taken up, newest first.
    queue: VecDeque<RecordRow>,
    now: Option<Undo>,
    /// Nothing is read before what an earlier run left rolling back is undone.
    pub(super) first: bool,
    /// With `Rollback::Run`: the rows are asked for, or planned.
    pub(super) plan: Plan,
}

/// Where the rollback of a whole run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Plan {
    #[default]
    None,
    Asked,
    Made,
}

/// Records for which one step is asked about or undone.
#[derive(Debug)]
struct Undo {
    number: BatchNumber,
    step: usize,
    /// They are in doubt: the step is asked whether it applied them.
    asks: bool,
    rows: Vec<RecordRow>,
    /// Positions in `rows` that are still to be handed to the step, in portions.
    portions: VecDeque<Vec<usize>>,
    current: Vec<usize>,
    began: Timestamp,
    /// A call is under way; else the connector cannot be used.
    calling: bool,
    /// Rows that have more to undo, at once.
    further: Vec<RecordRow>,
}

impl Undoing {
    pub(super) fn new(waiting: u64, now: Timestamp) -> Self {
        Self { waiting, next_due: (waiting > 0).then_some(now), first: waiting > 0, ..Self::default() }
    }

    /// Nothing is under way and nothing waits.
    pub(super) fn is_done(&self) -> bool {
        self.is_idle() && self.waiting == 0
    }

    pub(super) fn is_idle(&self) -> bool {
        !self.taking && self.queue.is_empty() && self.now.is_none() && self.plan != Plan::Asked
    }

    /// How many records are rolling back, as far as is known.
    pub(super) fn count(&self) -> u64 {
        self.waiting + self.queue.len() as u64 + self.now.as_ref().map_or(0, |undo| undo.rows.len() as u64)
    }

    /// Whether something to be undone waits for the connector of this step.
    pub(super) fn waits_for(&self, step: usize) -> bool {
        self.now.as_ref().is_some_and(|undo| undo.step == step && !undo.calling)
    }

    fn wait(&mut self, due: Timestamp) {
        self.waiting += 1;
        self.next_due = Some(self.next_due.map_or(due, |earlier| earlier.min(due)));
        self.since.0 += 1;
        self.since.1 = Some(self.since.1.map_or(due, |earlier| earlier.min(due)));
    }
}

impl Machine {
    /// A row that is about to be written as rolling back: it will be taken up once it is due.
    pub(super) fn will_undo(&mut self, due: Timestamp) {
        self.undoing.wait(due);
    }

    /// Whether this run is one of `Rollback::Run` that reads from the source.
    pub(super) fn does_all_or_nothing(&self) -> bool {
        self.spec.policy.rollback == Rollback::Run && matches!(self.spec.entry, Entry::Source { .. })
    }

    /// With `Rollback::Run`: everything that the run did is to be undone. The rows are asked for. Says whether they
    /// still are.
    pub(super) fn plan_rollback_of_run(&mut self) -> bool {
        if self.does_all_or_nothing() && self.is_stopping() && self.undoing.plan == Plan::None {
            self.undoing.plan = Plan::Asked;
            self.actions.push(Action::TakeOpen);
        }
        self.undoing.plan == Plan::Asked
    }

    /// The plan: one commit, durable before its first step.
    pub(super) fn on_open_applied(&mut self, rows: Vec<RecordRow>) {
        self.undoing.plan = Plan::Made;
        // What a person has decided stays as it is.
        let over =
            [Status::RolledBack, Status::RollingBack, Status::RollbackFailed, Status::Skipped, Status::Cancelled];
        let number = self.next_number();
        let mut commit = self.commit_of(number);
        commit.closes = true;
        for mut row in rows.into_iter().filter(|row| !over.contains(&row.status)) {
            let before = row.status;
            if before == Status::Indeterminate && self.is_destination(&row.step) {
                let step = row.step.clone();
                row.applied.retain(|applied| applied.step != step);
                row.applied.push(Applied { step, target_id: String::new(), receipt: Vec::new(), in_doubt: true });
            }
            if row.applied.is_empty() {
                continue;
            }
            match row.run == self.spec.run {
                true => commit.counts.add(before, -1),
                false => commit.resumed += 1,
            }
            commit.counts.add(Status::RollingBack, 1);
            commit.events.push(self.planned(&row));
            self.undoing.wait(self.now);
            row.status = Status::RollingBack;
            row.due = Some(self.now);
            (row.attempts, row.spent, row.since) = (0, 0, None);
            row.payload = Payload::Unchanged;
            commit.rows.push(row);
        }
        if !commit.rows.is_empty() {
            self.push_undone(commit);
        }
    }

    fn is_destination(&self, step: &StepName) -> bool {
        let index = self.spec.step_index(step);
        index.is_some_and(|index| matches!(self.spec.steps[index].role, Role::Destination { .. }))
    }

    /// The event that says what is going to be undone.
    pub(super) fn planned(&self, row: &RecordRow) -> Event {
        let steps: Vec<&str> = row.applied.iter().rev().map(|applied| applied.step.as_str()).collect();
        let message = format!("is to be undone at {}", steps.join(", then at "));
        let mut event = self.event(EventKind::RollbackPlanned, Some(row.step.clone()), message);
        event.record = Some(row.id.clone());
        event.data = serde_json::json!({ "steps": steps, "generation": row.generation, "failure": row.failure });
        event
    }

    /// Takes up what is to be undone; asks to be woken for what waits for its time.
    pub(super) fn take_rollbacks(&mut self) {
        if self.undoing.now.is_some() {
            self.go_on_undoing();
        }
        while self.undoing.now.is_none() && !self.undoing.queue.is_empty() && !self.gave_up {
            self.next_undo();
        }
        let due = self.undoing.next_due.is_some_and(|due| due <= self.now);
        if self.undoing.is_idle() && self.undoing.waiting > 0 && due && self.commits_under_way == 0 && !self.gave_up {
            self.undoing.taking = true;
            self.undoing.since = (0, None);
            self.actions.push(Action::TakeRollingBack(self.spec.policy.batch_records.max(1)));
        }
        if self.undoing.first && self.undoing.is_done() {
            self.undoing.first = false;
        }
    }

    pub(super) fn on_rolling_back(&mut self, due: DueRows) {
        self.undoing.taking = false;
        let (more, earliest) = std::mem::take(&mut self.undoing.since);
        self.undoing.waiting = due.pending + more;
        self.undoing.next_due = due.next_due.into_iter().chain(earliest).min();
        if self.gave_up {
            // Given up meanwhile: they are in the ledger as they were.
            for due in due.rows.iter().filter_map(|row| row.due) {
                self.undoing.wait(due);
            }
        } else {
            self.undoing.queue.extend(due.rows);
        }
    }

    /// Begins with the rows at the front of the queue that are to be asked about or undone at the same step.
    fn next_undo(&mut self) {
        let Some(first) = self.undoing.queue.pop_front() else { return };
        let place = |row: &RecordRow| row.applied.last().map(|applied| (applied.step.clone(), applied.in_doubt));
        let at = place(&first);
        let mut rows = vec![first];
        while self.undoing.queue.front().is_some_and(|row| place(row) == at) {
            rows.extend(self.undoing.queue.pop_front());
        }
        let Some((step, asks)) = at else {
            return self.write_undone(rows, |_| Answered::Undone(Outcome::Unchanged));
        };
        let can = |role: &Role| matches!(role, Role::Destination { compensates: true, .. });
        let Some(index) = self.spec.step_index(&step).filter(|&index| can(&self.spec.steps[index].role)) else {
            let message = format!("the route has no step {step} that can undo what it applied");
            let failure = Failure::new(codes::CANNOT_COMPENSATE.name, message);
            return self.write_undone(rows, |_| Answered::Failed(failure.clone()));
        };
        let all: Vec<usize> = (0..rows.len()).collect();
        let portions = portions(&all, self.spec.steps[index].max_batch);
        let (number, began) = (self.next_number(), self.now);
        self.undoing.now = Some(Undo {
            number,
            step: index,
            asks,
            rows,
            portions,
            current: Vec::new(),
            began,
            calling: false,
            further: Vec::new(),
        });
        self.go_on_undoing();
    }

    /// The next call for what is being undone, if the connector can be used.
    pub(super) fn go_on_undoing(&mut self) {
        let Some(mut undo) = self.undoing.now.take() else { return };
        if undo.calling {
            self.undoing.now = Some(undo);
            return;
        }
        if self.gave_up {
            return self.leave_undo(undo);
        }
        if !self.may_call(undo.step) {
            self.undoing.now = Some(undo);
            return;
        }
        let Some(portion) = undo.portions.pop_front() else { return self.leave_undo(undo) };
        undo.began = self.now;
        let action = if undo.asks { self.ask_about(&undo, &portion) } else { Some(self.compensate(&undo, &portion)) };
        let Some(action) = action else {
            let failure = Failure::new(
                codes::ROLLBACK_IN_DOUBT.name,
                "it is not known whether the step applied the record, and the destination cannot be asked",
            );
            return self.answered(undo, &portion, CallTrace::default(), |_| Answered::Failed(failure.clone()));
        };
        undo.current = portion;
        undo.calling = true;
        self.actions.push(action);
        self.undoing.now = Some(undo);
    }

    /// What has more to undo is next; what was not begun stays in the ledger as it is.
    fn leave_undo(&mut self, undo: Undo) {
        for position in undo.portions.into_iter().flatten() {
            if let Some(due) = undo.rows[position].due {
                self.undoing.wait(due);
            }
        }
        for row in undo.further.into_iter().rev() {
            self.undoing.queue.push_front(row);
        }
        if self.gave_up {
            for row in std::mem::take(&mut self.undoing.queue) {
                if let Some(due) = row.due {
                    self.undoing.wait(due);
                }
            }
        }
    }

    fn keys_of(&self, undo: &Undo, portion: &[usize]) -> Column {
        let step = &self.spec.steps[undo.step].name;
        let rows = portion.iter().map(|&at| &undo.rows[at]);
        rows.map(|row| idempotency_key(&self.spec.route, step, row.generation, row.id.0.as_bytes())).collect()
    }

    fn compensate(&self, undo: &Undo, portion: &[usize]) -> Action {
        let applied = |at: usize| undo.rows[at].applied.last();
        let batch = UndoBatch {
            ids: portion.iter().map(|&at| &undo.rows[at].id.0).collect(),
            keys: self.keys_of(undo, portion),
            target_ids: portion.iter().map(|&at| applied(at).map_or("", |applied| &applied.target_id)).collect(),
            receipts: portion.iter().map(|&at| applied(at).map_or(&[][..], |applied| &applied.receipt)).collect(),
        };
        Action::Compensate(undo.number, undo.step, batch)
    }

    /// `None` if the destination cannot be asked about one of them.
    fn ask_about(&self, undo: &Undo, portion: &[usize]) -> Option<Action> {
        let Role::Destination { probes: true, .. } = self.spec.steps[undo.step].role else { return None };
        let mut batch = Batch::default();
        for &at in portion {
            let Payload::Kept(payload) = &undo.rows[at].payload else { return None };
            batch.ids.try_push(undo.rows[at].id.0.as_bytes()).ok()?;
            batch.payloads.try_push(payload).ok()?;
        }
        let attributes: Vec<_> = portion.iter().map(|&at| as_written(&undo.rows[at])).collect();
        batch.attributes = attributes_of(attributes.iter().map(Vec::as_slice));
        Some(Action::Probe(undo.number, undo.step, batch.into(), self.keys_of(undo, portion)))
    }

    /// Whether the answer to a probe with this number is for what is being undone.
    pub(super) fn is_undoing(&self, number: BatchNumber) -> bool {
        self.undoing.now.as_ref().is_some_and(|undo| undo.number == number)
    }

    pub(super) fn on_undo_probed(&mut self, result: CallResult<Probed>) {
        let Some((undo, portion)) = self.answer_to_undo() else { return };
        let CallResult { answer, trace } = result;
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => return self.on_undo_error(undo, portion, error, trace),
        };
        let mut failures: HashMap<u32, Failure> = answer.failures.into_iter().collect();
        let value = |column: &Option<Column>, index: usize| {
            column.as_ref().and_then(|column| column.get(index)).unwrap_or_default().to_vec()
        };
        self.answered(undo, &portion, trace, |index| match answer.outcomes.get(index) {
            Some(Outcome::Ok) => Answered::Applied {
                target_id: String::from_utf8_lossy(&value(&answer.target_ids, index)).into_owned(),
                receipt: value(&answer.receipts, index),
            },
            Some(Outcome::Dropped) => Answered::Undone(Outcome::Unchanged),
            Some(Outcome::Retryable | Outcome::Unauthorized) => {
                Answered::Again(Outcome::Retryable, taken(&mut failures, index))
            }
            _ => Answered::Failed(taken(&mut failures, index)),
        });
    }

    pub(super) fn on_compensated(&mut self, result: CallResult<Undone>) {
        let Some((mut undo, mut portion)) = self.answer_to_undo() else { return };
        let CallResult { answer, trace } = result;
        let mut answer = match answer {
            Ok(answer) => answer,
            Err(error) => return self.on_undo_error(undo, portion, error, trace),
        };
        self.heard_from(undo.step, &answer.outcomes, answer.failures.first().map(|(_, failure)| failure));
        // Untouched ones are given again, unless that is all of them.
        let told = answer.outcomes.iter().take_while(|outcome| **outcome != Outcome::Untouched).count();
        if told > 0 && told < portion.len() && answer.outcomes[told..].iter().all(|o| *o == Outcome::Untouched) {
            undo.portions.push_front(portion.split_off(told));
            answer.outcomes.truncate(told);
        }
        let mut failures: HashMap<u32, Failure> = answer.failures.into_iter().collect();
        self.answered(undo, &portion, trace, |index| match answer.outcomes.get(index) {
            Some(outcome) if outcome.is_success() => Answered::Undone(*outcome),
            Some(Outcome::Rejected) | None => Answered::Failed(taken(&mut failures, index)),
            Some(Outcome::Untouched) => {
                let message = "the destination left records of the batch untouched";
                Answered::Again(Outcome::Retryable, Failure::new(codes::NOTHING_WRITTEN.name, message))
            }
            Some(outcome) => Answered::Again(*outcome, taken(&mut failures, index)),
        });
    }

    fn answer_to_undo(&mut self) -> Option<(Undo, Vec<usize>)> {
        let mut undo = self.undoing.now.take()?;
        undo.calling = false;
        let portion = std::mem::take(&mut undo.current);
        Some((undo, portion))
    }

    /// A call gave no answer: undoing twice is harmless, so it is tried again.
    fn on_undo_error(&mut self, mut undo: Undo, portion: Vec<usize>, error: CallError, trace: CallTrace) {
        let name = self.spec.steps[undo.step].name.clone();
        match error {
            CallError::Host(error) => {
                self.stop_for(error.class, host_failure(&error));
                self.gave_up = true;
                undo.portions.push_front(portion);
                self.leave_undo(undo);
            }
            CallError::Fault(fault) if portion.len() > 1 => {
                self.note_fault(&name, &fault, &trace.exchanges);
                let (first, second) = halves(&portion);
                undo.portions.push_front(second);
                undo.portions.push_front(first);
                self.undoing.now = Some(undo);
                self.go_on_undoing();
            }
            CallError::Fault(fault) => {
                self.note_fault(&name, &fault, &trace.exchanges);
                let failure = fault.failure();
                self.answered(undo, &portion, trace, |_| Answered::Again(Outcome::Unknown, failure.clone()));
            }
            CallError::Refused { kind, failure } => {
                let message = format!("undoing failed: {}", failure.message);
                self.note_refused(&name, message, &trace.exchanges);
                match kind {
                    RefusalKind::Unauthorized => {
                        self.open_gate(undo.step, &failure, true);
                        undo.portions.push_front(portion);
                        self.undoing.now = Some(undo);
                    }
                    RefusalKind::Unavailable | RefusalKind::Internal => {
                        self.heard_from(undo.step, &vec![Outcome::Retryable; portion.len()], Some(&failure));
                        self.answered(undo, &portion, trace, |_| Answered::Again(Outcome::Retryable, failure.clone()));
                    }
                    _ => {
                        self.answered(undo, &portion, trace, |_| Answered::Failed(failure.clone()));
                    }
                }
            }
        }
    }
}

fn taken(failures: &mut HashMap<u32, Failure>, index: usize) -> Failure {
    let failure = u32::try_from(index).ok().and_then(|index| failures.remove(&index));
    failure.unwrap_or_else(|| Failure::new(codes::UNEXPLAINED.name, "the plugin gave no reason"))
}

/// A record's attributes as the step that is asked about was given them: with what the steps before it had returned.
fn as_written(row: &RecordRow) -> Vec<(String, Vec<u8>)> {
    let own = row.attributes.iter().filter(|(name, _)| !name.starts_with("steps.")).cloned();
    let given = row.applied.iter().filter(|applied| !applied.in_doubt);
    let given =
        given.map(|applied| (format!("steps.{}.target_id", applied.step), applied.target_id.clone().into_bytes()));
    own.chain(given).collect()
}

/// Attributes of single records as columns.
pub(crate) fn attributes_of<'a>(records: impl ExactSizeIterator<Item = &'a [(String, Vec<u8>)]>) -> Vec<Attribute> {
    let count = records.len();
    let mut columns: std::collections::BTreeMap<&str, Vec<&[u8]>> = std::collections::BTreeMap::new();
    for (at, attributes) in records.enumerate() {
        for (name, value) in attributes {
            columns.entry(name).or_insert_with(|| vec![&[]; count])[at] = value;
        }
    }
    let column =
        |(name, values): (&str, Vec<&[u8]>)| Attribute { name: name.to_owned(), values: values.into_iter().collect() };
    columns.into_iter().map(column).collect()
}
