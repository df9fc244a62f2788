//! The state machine that calls handlers: `on(now, input) -> Vec<Action>`, beside the one of the run.
//!
//! It takes the tasks that outcomes left in the ledger, calls their handlers in batches, and notes what became of each.
//! Whatever goes wrong here is an event of its own: no record's standing and no run's end depend on it. A task that a
//! run cannot finish stays in the ledger for the next one.

use crate::codes;
use crate::machine::{attributes_of, of_record};
use crate::plan::Retry;
use crate::ports::{
    CallError, CallResult, DueTask, DueTasks, Exchange, RefusalKind, StateWrite, TaskCommit, TaskResult, TaskStatus,
    Written,
};
use crate::retry::{self, Jitter};
use crossdock_model::{
    Batch, Column, Event, EventKind, Failure, HandlerKind, HandlerPlace, Outcome, RouteName, Timestamp, idempotency_key,
};
use std::collections::VecDeque;
use std::sync::Arc;

/// The most tasks taken from the ledger at once.
const TASKS_TAKEN_MAX: u32 = 500;

/// A handler of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandlerSpec {
    /// Where it stands.
    pub place: HandlerPlace,
    /// The most records it takes at once, at least 1.
    pub max_batch: u32,
    /// When it is called again.
    pub retry: Retry,
    /// It recognises a record that it was given before, so it may be called again after a lost answer.
    pub recognises: bool,
}

/// What handlers did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HandlerCounts {
    /// Tasks that went well.
    pub done: u64,
    /// Tasks that were given up.
    pub given_up: u64,
    /// Tasks of the route that wait for another call.
    pub waiting: u64,
}

/// Something that happened outside.
#[derive(Debug)]
pub enum Input {
    /// There may be new tasks in the ledger. First, once, and after every commit that holds some.
    Poke,
    /// The answer to [`Action::Take`].
    Tasks(DueTasks),
    /// The answer to [`Action::Call`].
    Called(CallResult<Written>),
    /// The answer to [`Action::Commit`].
    Committed,
    /// The time of the last [`Action::WakeAt`] has come.
    Woke,
    /// The run has ended: what is there is finished, then this ends too.
    Finish,
    /// Nothing more is begun.
    Cancel,
}

/// Something to be done outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Ask the ledger for at most so many tasks that are due.
    Take(u32),
    /// Call the handler with this place in the list, with these idempotency keys.
    Call(usize, Arc<Batch>, Column),
    /// Make durable what became of tasks.
    Commit(TaskCommit),
    /// Say that nothing is left to be done, as of so many [`Input::Poke`]s.
    Idle(u64),
    /// Wake the machine at this time; replaces what was wanted before.
    WakeAt(Timestamp),
    /// Nothing comes after it.
    End,
}

/// The state machine of the handlers of one run.
#[derive(Debug)]
pub struct Handlers {
    route: RouteName,
    specs: Vec<HandlerSpec>,
    jitter: Jitter,
    now: Timestamp,
    actions: Vec<Action>,
    queue: VecDeque<DueTask>,
    /// The handler that is being called, its tasks, and since when.
    calling: Option<(usize, Vec<DueTask>, Timestamp)>,
    taking: bool,
    committing: bool,
    /// The ledger may have tasks that were not asked for.
    poked: bool,
    pokes: u64,
    /// It was said that nothing is left, as of so many pokes.
    told_idle: u64,
    waiting: u64,
    next_due: Option<Timestamp>,
    woken_at: Option<Timestamp>,
    finishing: bool,
    cancelled: bool,
    ended: bool,
    counts: HandlerCounts,
}

impl Handlers {
    /// A machine for the handlers of a route. `seed` spreads retries.
    #[must_use]
    pub fn new(route: RouteName, specs: Vec<HandlerSpec>, seed: u64, now: Timestamp) -> Self {
        Self {
            route,
            specs,
            jitter: Jitter::new(seed),
            now,
            actions: Vec::new(),
            queue: VecDeque::new(),
            calling: None,
            taking: false,
            committing: false,
            poked: false,
            pokes: 0,
            told_idle: 0,
            waiting: 0,
            next_due: None,
            woken_at: None,
            finishing: false,
            cancelled: false,
            ended: false,
            counts: HandlerCounts::default(),
        }
    }

    /// What handlers did so far.
    #[must_use]
    pub fn counts(&self) -> HandlerCounts {
        let under_way = self.queue.len() + self.calling.as_ref().map_or(0, |(_, tasks, _)| tasks.len());
        HandlerCounts { waiting: self.waiting + under_way as u64, ..self.counts }
    }

    /// Takes note of what happened and says what is to be done.
    pub fn on(&mut self, now: Timestamp, input: Input) -> Vec<Action> {
        self.now = self.now.max(now);
        match input {
            Input::Poke => {
                self.poked = true;
                self.pokes += 1;
            }
            Input::Tasks(due) => {
                self.taking = false;
                (self.waiting, self.next_due) = (due.pending, due.next_due);
                self.queue.extend(due.tasks);
            }
            Input::Called(result) => self.on_called(result),
            Input::Committed => self.committing = false,
            Input::Woke => self.woken_at = None,
            Input::Finish => self.finishing = true,
            Input::Cancel => self.cancelled = true,
        }
        self.drive();
        std::mem::take(&mut self.actions)
    }

    fn drive(&mut self) {
        if self.ended || self.taking || self.committing || self.calling.is_some() {
            return;
        }
        if self.cancelled {
            // What was taken up and not begun is in the ledger as it was.
            self.waiting += self.queue.len() as u64;
            self.queue.clear();
            self.ended = true;
            return self.actions.push(Action::End);
        }
        while !self.queue.is_empty() && !self.committing && self.calling.is_none() {
            self.next_call();
        }
        if self.calling.is_some() || self.committing {
            return;
        }
        let due = self.next_due.filter(|_| self.waiting > 0);
        if self.poked || due.is_some_and(|due| due <= self.now) {
            self.poked = false;
            self.taking = true;
            self.actions.push(Action::Take(TASKS_TAKEN_MAX));
            return;
        }
        if self.waiting == 0 && self.told_idle < self.pokes {
            self.told_idle = self.pokes;
            self.actions.push(Action::Idle(self.pokes));
        }
        if self.finishing && self.waiting == 0 {
            self.ended = true;
            self.actions.push(Action::End);
        } else if let Some(at) = due.filter(|at| self.woken_at != Some(*at)) {
            self.woken_at = Some(at);
            self.actions.push(Action::WakeAt(at));
        }
    }

    /// Calls the handler of the first task, together with those behind it that have the same one.
    fn next_call(&mut self) {
        let Some(first) = self.queue.pop_front() else { return };
        let index = self.specs.iter().position(|spec| spec.place == first.task.place);
        let most = index.map_or(usize::MAX, |index| self.specs[index].max_batch.max(1) as usize);
        let mut tasks = vec![first];
        while tasks.len() < most && self.queue.front().is_some_and(|next| next.task.place == tasks[0].task.place) {
            let next = self.queue.pop_front();
            // Ids are unique within a batch.
            if next.as_ref().is_some_and(|next| tasks.iter().any(|task| task.task.record == next.task.record)) {
                self.queue.extend(next);
                break;
            }
            tasks.extend(next);
        }
        let Some(index) = index else {
            let message = format!("the route has no handler {} any more", tasks[0].task.place);
            let failure = Failure::new(codes::HANDLER_GONE.name, message);
            let told = tasks.iter().map(|_| (Outcome::Rejected, Some(failure.clone()))).collect();
            return self.note(None, tasks, told, Vec::new(), &[], self.now);
        };
        let mut batch = Batch::default();
        let mut keys = Column::new();
        let name = self.specs[index].place.name();
        for task in &tasks {
            let _ = batch.ids.try_push(task.task.record.0.as_bytes());
            let _ = batch.payloads.try_push(&task.task.payload);
            let id = task.task.record.0.as_bytes();
            let _ = keys.try_push(&idempotency_key(&self.route, &name, task.task.generation, id));
        }
        batch.attributes = attributes_of(tasks.iter().map(|task| &task.task.attributes[..]));
        self.actions.push(Action::Call(index, Arc::new(batch), keys));
        self.calling = Some((index, tasks, self.now));
    }

    fn on_called(&mut self, result: CallResult<Written>) {
        let Some((index, tasks, began)) = self.calling.take() else { return };
        let all = |outcome, failure: Failure| tasks.iter().map(|_| (outcome, Some(failure.clone()))).collect();
        let CallResult { answer, trace } = result;
        let sent = &trace.exchanges[..];
        let (told, state) = match answer {
            Ok(answer) => {
                let mut failures = answer.failures.into_iter().peekable();
                let told = answer.outcomes.iter().enumerate().map(|(at, outcome)| {
                    (*outcome, failures.next_if(|(index, _)| *index as usize == at).map(|(_, failure)| failure))
                });
                (told.collect(), trace.state)
            }
            Err(CallError::Fault(fault)) if tasks.len() > 1 => {
                // One of them may be the reason: they are given again one by one.
                let failure = fault.failure();
                let (first, rest) = tasks.split_at(1);
                for task in rest.iter().rev() {
                    self.queue.push_front(task.clone());
                }
                self.specs[index].max_batch = 1;
                let told = vec![(Outcome::Unknown, Some(failure))];
                return self.note(Some(index), first.to_vec(), told, Vec::new(), sent, began);
            }
            Err(CallError::Fault(fault)) => (all(Outcome::Unknown, fault.failure()), Vec::new()),
            Err(CallError::Refused { kind, failure }) => {
                let passes =
                    matches!(kind, RefusalKind::Unavailable | RefusalKind::Internal | RefusalKind::Unauthorized);
                (all(if passes { Outcome::Retryable } else { Outcome::Rejected }, failure), Vec::new())
            }
            Err(CallError::Host(error)) => {
                let failure = Failure::new(error.code, error.message);
                (all(Outcome::Unknown, failure), Vec::new())
            }
        };
        self.note(Some(index), tasks, told, state, sent, began);
    }

    /// Writes down what became of tasks.
    fn note(
        &mut self,
        handler: Option<usize>,
        tasks: Vec<DueTask>,
        told: Vec<(Outcome, Option<Failure>)>,
        state: Vec<StateWrite>,
        sent: &[Exchange],
        began: Timestamp,
    ) {
        let mut commit = TaskCommit {
            route: self.route.clone(),
            at: self.now,
            results: Vec::with_capacity(tasks.len()),
            state: Vec::new(),
            events: Vec::new(),
        };
        if let Some(index) = handler {
            let name = self.specs[index].place.name();
            commit.state = state.into_iter().map(|write| (name.clone(), write)).collect();
        }
        for (at, (task, (outcome, failure))) in tasks.into_iter().zip(told).enumerate() {
            let since = task.since.unwrap_or(began);
            let attempts = task.attempts + u32::from(handler.is_some());
            let status = self.becomes(handler, outcome, attempts, since, failure.as_ref());
            match status {
                TaskStatus::Done => self.counts.done += 1,
                TaskStatus::GivenUp => self.counts.given_up += 1,
                TaskStatus::Retry(due) => {
                    self.waiting += 1;
                    self.next_due = Some(self.next_due.map_or(due, |earlier| earlier.min(due)));
                }
            }
            let sent = of_record(sent, at);
            commit.events.extend(event(&task, status, failure.as_ref(), attempts, &sent, self.now));
            commit.results.push(TaskResult { key: task.key, status, attempts, since: Some(since), failure });
        }
        self.committing = true;
        self.actions.push(Action::Commit(commit));
    }

    fn becomes(
        &mut self,
        handler: Option<usize>,
        outcome: Outcome,
        attempts: u32,
        since: Timestamp,
        failure: Option<&Failure>,
    ) -> TaskStatus {
        let Some(index) = handler else { return TaskStatus::GivenUp };
        let (limits, recognises) = (self.specs[index].retry, self.specs[index].recognises);
        let nothing = Failure::default();
        match outcome {
            outcome if outcome.is_success() => TaskStatus::Done,
            Outcome::Retryable | Outcome::Unauthorized | Outcome::Untouched | Outcome::Unknown
                if outcome != Outcome::Unknown || recognises =>
            {
                let failure = failure.unwrap_or(&nothing);
                retry::next_attempt(&limits, &mut self.jitter, attempts, since, self.now, failure)
                    .map_or(TaskStatus::GivenUp, TaskStatus::Retry)
            }
            _ => TaskStatus::GivenUp,
        }
    }
}

/// What is to be seen of a task that has come to its end.
fn event(
    task: &DueTask,
    status: TaskStatus,
    failure: Option<&Failure>,
    attempts: u32,
    sent: &[Exchange],
    now: Timestamp,
) -> Option<Event> {
    let place = &task.task.place;
    let (kind, message) = match status {
        TaskStatus::Done => (EventKind::HandlerDone, format!("handler {place} was called")),
        TaskStatus::GivenUp => {
            let why = failure.map(|failure| format!("{}: {}", failure.code, failure.message)).unwrap_or_default();
            (EventKind::HandlerFailed, format!("handler {place} failed: {why}"))
        }
        TaskStatus::Retry(_) => return None,
    };
    let of_run = matches!(place.kind, HandlerKind::OnRunOk | HandlerKind::OnRunFailed);
    Some(Event {
        at: now,
        kind,
        run: Some(task.task.run.clone()),
        step: place.step.clone(),
        record: (!of_run).then(|| task.task.record.clone()),
        message,
        data: serde_json::json!({
            "handler": place.name(), "attempts": attempts, "failure": failure, "exchanges": sent,
        }),
    })
}
