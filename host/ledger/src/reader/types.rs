//! What is asked, and what is answered.

use crate::error::LedgerError;
use crate::task::TaskStanding;
use crossdock_engine::ports::{Applied, AttemptRow, Cause, RecordRow, StepCounts};
use crossdock_model::{
    Counts, Event, Failure, HandlerPlace, PluginName, RecordId, RouteName, RunId, RunStatus, Status, StepName,
    Timestamp,
};
use std::fmt;
use std::str::FromStr;

/// Where the next page begins. Text without meaning outside the ledger; good for the same list with the same filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor(pub(crate) Place);

/// The last entry that a page gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// A record with a row: time of change, key.
    Row(i64, i64),
    /// A record found by text: key.
    Text(i64),
    /// A record of a chunk: time and key of the chunk, position in it.
    Chunk(i64, i64, i64),
    /// A record that is under way: key of the intent, position in it.
    InFlight(i64, i64),
    /// An event: key.
    Event(i64),
    /// A run: key.
    Run(i64),
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Place::Row(at, key) => write!(f, "r.{at}.{key}"),
            Place::Text(key) => write!(f, "t.{key}"),
            Place::Chunk(at, key, index) => write!(f, "c.{at}.{key}.{index}"),
            Place::InFlight(key, index) => write!(f, "f.{key}.{index}"),
            Place::Event(key) => write!(f, "e.{key}"),
            Place::Run(key) => write!(f, "u.{key}"),
        }
    }
}

impl FromStr for Cursor {
    type Err = LedgerError;

    fn from_str(text: &str) -> Result<Self, LedgerError> {
        let bad = || LedgerError::BadQuery { why: format!("{text:?} is no place at which a list can go on") };
        let mut parts = text.split('.');
        let kind = parts.next().ok_or_else(bad)?;
        let numbers = parts.map(str::parse::<i64>).collect::<Result<Vec<_>, _>>().map_err(|_| bad())?;
        Ok(Self(match (kind, numbers.as_slice()) {
            ("r", &[at, key]) => Place::Row(at, key),
            ("t", &[key]) => Place::Text(key),
            ("c", &[at, key, index]) => Place::Chunk(at, key, index),
            ("f", &[key, index]) => Place::InFlight(key, index),
            ("e", &[key]) => Place::Event(key),
            ("u", &[key]) => Place::Run(key),
            _ => return Err(bad()),
        }))
    }
}

/// The refusal of a cursor that belongs to another list.
pub(crate) fn other_list(cursor: &Cursor) -> LedgerError {
    LedgerError::BadQuery { why: format!("\"{cursor}\" is a place in another list or filter than this one") }
}

/// Part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The entries.
    pub items: Vec<T>,
    /// Where the next page begins; `None` if this is the last.
    pub next: Option<Cursor>,
}

impl<T> Page<T> {
    /// A page of at most `limit` entries, of which one more was looked for to see whether there are any.
    pub(crate) fn of(mut found: Vec<(Place, T)>, limit: usize) -> Self {
        let more = found.len() > limit;
        found.truncate(limit);
        let next = if more { found.last().map(|(place, _)| Cursor(*place)) } else { None };
        Self { items: found.into_iter().map(|(_, item)| item).collect(), next }
    }
}

/// Which records are meant: those for which everything that is given holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RecordFilter {
    /// Of this route.
    pub route: Option<RouteName>,
    /// Last changed by this run.
    pub run: Option<RunId>,
    /// Standing there.
    pub status: Option<Status>,
    /// Standing in one of these; empty: in any.
    pub statuses: Vec<Status>,
    /// With a failure of this code.
    pub code: Option<String>,
    /// With a failure that has this [fingerprint](Failure::fingerprint).
    pub fingerprint: Option<String>,
    /// Last changed at this time or later.
    pub since: Option<Timestamp>,
    /// Last changed before this time.
    pub until: Option<Timestamp>,
    /// With a failure in whose code, message or detail, or with an id in which, words begin like each of these.
    pub text: Option<String>,
    /// With this id.
    pub id: Option<RecordId>,
    /// Standing at this step.
    pub step: Option<StepName>,
}

impl RecordFilter {
    /// Whether a record that stands there is meant, as far as that goes.
    pub(super) fn wants(&self, status: Status) -> bool {
        self.status.is_none_or(|wanted| wanted == status)
            && (self.statuses.is_empty() || self.statuses.contains(&status))
    }

    /// The statuses that are asked for; `None`: all.
    pub(super) fn wanted(&self) -> Option<Vec<Status>> {
        if self.status.is_none() && self.statuses.is_empty() {
            return None;
        }
        Some(Status::ALL.iter().copied().filter(|&status| self.wants(status)).collect())
    }

    /// Whether records without a failure are not meant.
    pub(super) fn of_failures(&self) -> bool {
        self.code.is_some() || self.fingerprint.is_some() || self.text.is_some()
    }
}

/// Where a record stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordSummary {
    /// Its route.
    pub route: RouteName,
    /// Its identity within the route.
    pub id: RecordId,
    /// The record it was split from.
    pub parent: Option<RecordId>,
    /// Where it stands.
    pub status: Status,
    /// The step at which it stands; for ok records the last one, if it is known.
    pub step: Option<StepName>,
    /// The code of its failure.
    pub code: Option<String>,
    /// The message of its failure.
    pub message: Option<String>,
    /// What failures of one cause have in common, see [`Failure::fingerprint`].
    pub fingerprint: Option<String>,
    /// Attempts at that step.
    pub attempts: u32,
    /// How often its content was changed by a person.
    pub generation: u32,
    /// When it is to be looked at again.
    pub due: Option<Timestamp>,
    /// The run that changed it last.
    pub run: RunId,
    /// The batch of that run.
    pub batch: u64,
    /// When it changed last.
    pub at: Timestamp,
    /// Rises whenever its row is written; 0 for records without a row.
    pub version: u64,
    /// What other systems call it, by step.
    pub target_ids: Vec<(StepName, String)>,
    /// It lies after the route's checkpoint: the next run begins with it.
    pub open: bool,
    /// Its content is in the ledger as the step at which it stands is given it.
    pub kept: bool,
}

/// An attempt with the run that made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptDetail {
    /// The run.
    pub run: RunId,
    /// The attempt.
    pub attempt: AttemptRow,
}

/// A record that went through at the first attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkEntry {
    /// The run.
    pub run: RunId,
    /// The batch within the run.
    pub batch: u64,
    /// When the batch was committed.
    pub at: Timestamp,
    /// `Ok` or `Dropped`.
    pub status: Status,
    /// The step that dropped it, or the last one.
    pub step: Option<StepName>,
    /// What destinations gave back for it.
    pub applied: Vec<Applied>,
    /// Its content as it was read; only at the log level `full`.
    pub payload: Option<Vec<u8>>,
}

/// A record that a destination was asked to apply and has not answered for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InFlight {
    /// The run.
    pub run: RunId,
    /// The batch within the run.
    pub batch: u64,
    /// The step.
    pub step: StepName,
    /// Since when.
    pub at: Timestamp,
    /// The number of the attempt, if it has not ended: 0 says that the step is done and the batch goes on.
    pub attempt: u32,
    /// Whether a process is still at work. If not, the next one to open the ledger makes the record `indeterminate`.
    pub alive: bool,
}

/// A handler that is or was to be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskDetail {
    /// Which handler.
    pub place: HandlerPlace,
    /// The run to whose outcome it belongs.
    pub run: RunId,
    /// The record's generation at that time.
    pub generation: u32,
    /// Where the task stands.
    pub standing: TaskStanding,
    /// How many calls were made.
    pub attempts: u32,
    /// Why the last of them did not go well.
    pub failure: Option<Failure>,
    /// When it is to be called; `None` once it is finished.
    pub due: Option<Timestamp>,
    /// When something last became of it.
    pub at: Timestamp,
}

/// How the tasks of one handler stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandlerNumbers {
    /// Which handler.
    pub place: HandlerPlace,
    /// Called, and it went well.
    pub done: u64,
    /// Still to be called.
    pub waiting: u64,
    /// No more calls are made.
    pub given_up: u64,
}

/// What a run undid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RollbackNumbers {
    /// Times that what a step had applied for a record was undone.
    pub undone: u64,
    /// Records of the run that were undone as a whole.
    pub rolled_back: u64,
    /// Records of the run that are still being undone.
    pub rolling_back: u64,
    /// Records of the run that could not be undone.
    pub failed: u64,
}

/// Failures of one cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailureGroup {
    /// The route.
    pub route: RouteName,
    /// The step at which the records stand.
    pub step: StepName,
    /// Their code.
    pub code: String,
    /// What they have in common, see [`Failure::fingerprint`].
    pub fingerprint: String,
    /// How many records.
    pub count: u64,
    /// When the first of them changed last.
    pub first_at: Timestamp,
    /// When the last of them did.
    pub last_at: Timestamp,
    /// One of the last.
    pub sample: RecordId,
    /// Its message.
    pub message: String,
}

/// Failures by cause.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FailureGroups {
    /// The largest groups, the largest first.
    pub groups: Vec<FailureGroup>,
    /// How many records are in groups that are not listed.
    pub others: u64,
}

/// Everything that is known of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordDetail {
    /// In short.
    pub summary: RecordSummary,
    /// Its row with its payload, failure and what was applied, if it has one.
    pub row: Option<RecordRow>,
    /// Its attempts, oldest first: all of them, if it has a row; at most 1000.
    pub attempts: Vec<AttemptDetail>,
    /// When it went through at the first attempt, newest first.
    pub chunks: Vec<ChunkEntry>,
    /// What was logged about it, oldest first, at most 1000.
    pub events: Vec<LoggedEvent>,
    /// If it is under way.
    pub in_flight: Option<InFlight>,
    /// If it is rolling back, or that failed: what is still to be undone, in the order in which it is.
    pub to_undo: Vec<Applied>,
    /// Handlers that are or were to be called for it, oldest first, at most 1000.
    pub tasks: Vec<TaskDetail>,
}

/// The answer to which record has an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordFound {
    /// None that is known.
    None,
    /// This one.
    One(Box<RecordDetail>),
    /// Records of these routes; the question must name one.
    Several(Vec<RouteName>),
}

/// Which events are meant: those for which everything that is given holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventFilter {
    /// Of this route.
    pub route: Option<RouteName>,
    /// Of this run.
    pub run: Option<RunId>,
    /// About this record.
    pub record: Option<RecordId>,
}

/// In which order events are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EventOrder {
    /// The last one first.
    #[default]
    NewestFirst,
    /// As they happened.
    OldestFirst,
}

/// An entry of the event log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedEvent {
    /// Its number in the log: 1, 2, 3 and so on.
    pub number: u64,
    /// The route.
    pub route: Option<RouteName>,
    /// The event.
    pub event: Event,
}

impl LoggedEvent {
    /// Where the events behind this one begin, oldest first: also those that are not written yet.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        Cursor(Place::Event(i64::try_from(self.number).unwrap_or(i64::MAX)))
    }
}

/// A run in short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunSummary {
    /// Its id.
    pub run: RunId,
    /// Its route.
    pub route: RouteName,
    /// The hash of the route's definition.
    pub route_hash: String,
    /// Why it was started.
    pub cause: Cause,
    /// How it ended, or that it is running.
    pub status: RunStatus,
    /// Why, if it is neither ok nor completed.
    pub reason: Option<Failure>,
    /// When it began.
    pub began: Timestamp,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// Records read.
    pub read: u64,
    /// Records taken up from the ledger.
    pub resumed: u64,
    /// Where its records stood when it ended, or stand by now.
    pub counts: Counts,
}

/// A run with what its steps did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunDetail {
    /// In short.
    pub summary: RunSummary,
    /// How each step fared.
    pub steps: Vec<(StepName, StepCounts)>,
    /// The plugins: step, name, SHA-256 in hexadecimal.
    pub plugins: Vec<(StepName, PluginName, String)>,
    /// The route's definition at that time.
    pub definition: String,
    /// How the handlers of the run and of its records stand, by place.
    pub handlers: Vec<HandlerNumbers>,
    /// What it undid.
    pub rollback: RollbackNumbers,
}

/// Where the records of a route stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteStanding {
    /// The route.
    pub route: RouteName,
    /// How many of the records that the ledger knows one by one stand where: all but those of runs at the log
    /// level `summary` that are ok or dropped.
    pub counts: Counts,
    /// When the checkpoint moved last.
    pub checkpoint_at: Option<Timestamp>,
    /// How many records are to be looked at again by themselves; those that are rolling back do not count.
    pub pending: u64,
    /// The earliest time of these.
    pub next_due: Option<Timestamp>,
}
