//! Handlers to be called, as the ledger keeps them.

use super::StateWrite;
use crossdock_model::{Event, Failure, HandlerPlace, RecordId, RouteName, RunId, StepName, Timestamp};

/// A handler to be called for a record or a run. Durable with the outcome it belongs to, so that it is called even
/// if the process dies in between; there is one for each record, place and generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandlerTask {
    /// Which handler.
    pub place: HandlerPlace,
    /// The record; for a handler of the run, the run's id.
    pub record: RecordId,
    /// The run.
    pub run: RunId,
    /// As [`RecordRow::generation`](super::RecordRow::generation).
    pub generation: u32,
    /// The record as the step saw it; for a handler of the run, its report as JSON.
    pub payload: Vec<u8>,
    /// The record's attributes, and what the host says of the event in attributes that begin with `event.`.
    pub attributes: Vec<(String, Vec<u8>)>,
    /// When it is to be called.
    pub due: Timestamp,
    /// It is not called before a commit `settles_open`, because what happened may still be undone: it does not wait,
    /// and is gone once its record's row is written as rolling back in this generation.
    pub held: bool,
}

/// A handler task that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueTask {
    /// The ledger's number for it.
    pub key: i64,
    /// The task.
    pub task: HandlerTask,
    /// How many calls were made.
    pub attempts: u32,
    /// When the first of them began.
    pub since: Option<Timestamp>,
}

/// Handler tasks whose time has come.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DueTasks {
    /// Those that are due, earliest first.
    pub tasks: Vec<DueTask>,
    /// How many others wait.
    pub pending: u64,
    /// The earliest time at which one of the others is due.
    pub next_due: Option<Timestamp>,
}

/// What became of a handler task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskStatus {
    /// The handler was called and went well.
    Done,
    /// It is to be called again at this time.
    Retry(Timestamp),
    /// No more calls are made.
    GivenUp,
}

/// A call of a handler for one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskResult {
    /// The ledger's number for the task.
    pub key: i64,
    /// What became of it.
    pub status: TaskStatus,
    /// How many calls were made.
    pub attempts: u32,
    /// When the first of them began.
    pub since: Option<Timestamp>,
    /// Why it did not go well.
    pub failure: Option<Failure>,
}

/// What handlers did: one durable transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskCommit {
    /// The route.
    pub route: RouteName,
    /// When.
    pub at: Timestamp,
    /// What became of the tasks.
    pub results: Vec<TaskResult>,
    /// State of the handlers' plugins to change, under the handler's [name](HandlerPlace::name).
    pub state: Vec<(StepName, StateWrite)>,
    /// Events to append.
    pub events: Vec<Event>,
}
