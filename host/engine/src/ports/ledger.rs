//! The ledger port: what must be durable, in batches, without a database in sight.
//!
//! Everything that one batch produces goes into one [`BatchCommit`], which takes effect as a whole or
//! not at all. A call has returned `Ok` only when it is on disk. After an `Err` from `intend`, `commit`
//! or `end_run` it is unknown whether it took effect: the run ends, and the truth is what the ledger
//! says when it is opened again.

use super::{DueTasks, Exchange, HandlerTask, PortError, PortFuture, StateWrite, TaskCommit};
use crossdock_model::{
    Checkpoint, Column, Counts, Event, Failure, Outcome, PluginName, RecordId, RouteName, RunId, RunStatus, Status,
    StepName, Timestamp,
};
use serde::{Deserialize, Serialize};

/// Why a run was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Cause {
    /// By hand.
    Manual,
    /// To put records through again.
    Resync {
        /// The hash of the plan.
        plan: String,
    },
    /// To find out about indeterminate records.
    Probe,
    /// To undo what records had applied.
    Rollback,
}

/// A run that begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunStart {
    /// Its id.
    pub run: RunId,
    /// Its route.
    pub route: RouteName,
    /// The hash of the route's definition.
    pub route_hash: String,
    /// The definition itself, kept once a hash.
    pub definition: String,
    /// The plugins as they are loaded: step, name, SHA-256 in hexadecimal.
    pub plugins: Vec<(StepName, PluginName, String)>,
    /// Why it was started.
    pub cause: Cause,
    /// When.
    pub at: Timestamp,
}

/// What the ledger knows of a route when a run begins.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RunOpening {
    /// The last checkpoint; `None` is the beginning.
    pub checkpoint: Option<Checkpoint>,
    /// Records after that checkpoint of which something is known already, because an earlier run
    /// stopped or died between them and the next checkpoint. Their payloads may be with the source. And, open or not,
    /// those that are failed, rejected, skipped, cancelled or rolled back, without their payloads: a source may give
    /// one of them again. What failed then goes on where it failed, what was undone begins anew, the others are passed
    /// over.
    pub open: Vec<RecordRow>,
    /// How many records of the route have a [`RecordRow::due`] and are not open.
    pub pending: u64,
    /// The earliest time at which one of them is due.
    pub next_due: Option<Timestamp>,
    /// How many records of the route are rolling back.
    pub rolling_back: u64,
    /// The records of the route that are not settled and not open: a source that gives one of them again gives what is
    /// being dealt with already.
    pub unsettled: Vec<RecordId>,
    /// How many handler tasks of the route have not come to an end.
    pub tasks: u64,
    /// The order keys of records that are not settled and not open, with the record: others with the same key wait
    /// behind it.
    pub blocking: Vec<(Vec<u8>, RecordId)>,
    /// How many runs of the route, one after the other up to now, ended with their process: something in what they
    /// were given may kill the process. A ledger may leave out those that moved the checkpoint: what kills is then found
    /// once the source gives nothing new.
    pub deaths: u32,
}

/// Records whose time has come.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DueRows {
    /// Those that are due, with their payloads, earliest first.
    pub rows: Vec<RecordRow>,
    /// As [`RunOpening::pending`], without `rows`.
    pub pending: u64,
    /// As [`RunOpening::next_due`], without `rows`.
    pub next_due: Option<Timestamp>,
}

/// Where the payload of a record is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// Not needed any more, or never kept.
    Gone,
    /// Still with the source: the record lies after the checkpoint and will be read again.
    AtSource,
    /// Here: the payload as the step where the record stands was (or is to be) given it.
    Kept(Vec<u8>),
    /// When writing: leave what the ledger has. Never read.
    Unchanged,
}

/// What a destination step did for a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// The step.
    pub step: StepName,
    /// The id that the other system gave the record; empty if none.
    pub target_id: String,
    /// What is needed to undo it; empty if none.
    pub receipt: Vec<u8>,
    /// It is not known whether it was applied. Only in the rows of records that are rolling back: it is asked about
    /// before it is undone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_doubt: bool,
}

/// What is known of one record, for those that have a row of their own: all that are or were anything
/// but ok or dropped, and those that are open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordRow {
    /// Its identity within the route.
    pub id: RecordId,
    /// The record it was split from.
    pub parent: Option<RecordId>,
    /// Where it stands.
    pub status: Status,
    /// The step at which it stands: the one that failed, or that is to be tried next. The source
    /// for a record that could not be read.
    pub step: StepName,
    /// How often it was begun anew: its content was changed by a person, or it was put through again after it was
    /// rolled back. Part of the idempotency key.
    pub generation: u32,
    /// How many attempts were made at this step, by whatever cause.
    pub attempts: u32,
    /// How many of them count against the step's retry limit: a resync or a new run starts again at 0.
    pub spent: u32,
    /// When the first of those that count began; limits the total time of retries.
    pub since: Option<Timestamp>,
    /// Its content at that step.
    pub payload: Payload,
    /// Its attributes at that step.
    pub attributes: Vec<(String, Vec<u8>)>,
    /// Why it is not ok.
    pub failure: Option<Failure>,
    /// When a pending record is to be tried again, an indeterminate one is to be written again with the
    /// same key or probed, or a rolling back one is to be undone further. `None`: nothing happens by itself.
    pub due: Option<Timestamp>,
    /// What earlier destination steps did for it, oldest first. Of a record that is rolling back: what is still to be
    /// undone, the last one first.
    pub applied: Vec<Applied>,
    /// What its source orders it by; records with the same key are kept in order.
    pub order_key: Option<Vec<u8>>,
    /// It lies after the route's checkpoint.
    pub open: bool,
    /// The run that wrote the row last. When writing, the commit's run counts and this is not looked at.
    pub run: RunId,
}

/// What an attempt was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AttemptKind {
    /// To pass the record through the step.
    Pass,
    /// To undo what the step had applied.
    Compensate,
}

impl AttemptKind {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Compensate => "compensate",
        }
    }

    /// The kind with this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Pass, Self::Compensate].into_iter().find(|kind| kind.as_str() == word)
    }
}

/// One attempt that is kept as a row: every attempt of a record that has a row of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptRow {
    /// The record.
    pub id: RecordId,
    /// The step.
    pub step: StepName,
    /// What it was for.
    pub kind: AttemptKind,
    /// The first attempt at a step is 1. Together with id, step, kind, generation and the commit's run it is unique:
    /// numbers go on from run to run, unless an earlier step had to be done again in between.
    pub attempt: u32,
    /// How often the content had been changed.
    pub generation: u32,
    /// When the call began.
    pub began: Timestamp,
    /// When its answer was there.
    pub ended: Timestamp,
    /// What the step said.
    pub outcome: Outcome,
    /// Why it was not a success.
    pub failure: Option<Failure>,
    /// The id that the other system gave the record.
    pub target_id: Option<String>,
    /// What is needed to undo it.
    pub receipt: Option<Vec<u8>>,
    /// HTTP requests made for this record in this attempt.
    pub exchanges: Vec<Exchange>,
}

/// Invariant 5: what a destination is about to be asked to do. Durable before it is asked.
///
/// If the process dies before the commit that `closes` the batch, the ledger turns these records into
/// rows when it is opened again: status indeterminate, this step, `attempts` as given here, open if
/// `open`. Rows that exist keep what was applied before, and their payload if they stand at this step; else
/// it is the payload of another step, and the one that is wanted is at the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// The route.
    pub route: RouteName,
    /// The run.
    pub run: RunId,
    /// The batch within the run.
    pub batch: u64,
    /// The destination step.
    pub step: StepName,
    /// When.
    pub at: Timestamp,
    /// The records.
    pub ids: Column,
    /// The number of the attempt that is about to be made, one a record.
    pub attempts: Vec<u32>,
    /// How often the content of each was changed, one a record.
    pub generations: Vec<u32>,
    /// The records were read after the route's checkpoint; a row that must be made has its
    /// payload at the source.
    pub open: bool,
    /// The record is alone, because runs before this one died: if this one dies too, it is the record's fault, and
    /// its row says so with the code `record-quarantined` and no due time. At a transformer it is then `failed`,
    /// because nothing can have been applied.
    pub careful: bool,
    /// The step is a destination.
    pub effect: bool,
}

/// How a step fared with the records of a batch: `records_in` is the sum of the other numbers except
/// `children` and `undone`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StepCounts {
    /// Records handed to the step.
    pub records_in: u64,
    /// Ok, applied or unchanged.
    pub ok: u64,
    /// Filtered out.
    pub dropped: u64,
    /// Will never be accepted as they are.
    pub rejected: u64,
    /// Given up: no attempts left, credentials refused, or a fault.
    pub failed: u64,
    /// To be tried again.
    pub retry: u64,
    /// Sent, answer unknown.
    pub unknown: u64,
    /// Not begun.
    pub untouched: u64,
    /// Further records that came of splitting.
    pub children: u64,
    /// Records for which what the step had applied was undone; beside the other numbers.
    #[serde(default)]
    pub undone: u64,
}

impl StepCounts {
    /// Invariant 3 for one step.
    #[must_use]
    pub fn balances(&self) -> bool {
        self.records_in
            == self.ok + self.dropped + self.rejected + self.failed + self.retry + self.unknown + self.untouched
    }

    /// Adds other counts to these.
    pub fn merge(&mut self, other: &Self) {
        self.records_in += other.records_in;
        self.ok += other.ok;
        self.dropped += other.dropped;
        self.rejected += other.rejected;
        self.failed += other.failed;
        self.retry += other.retry;
        self.unknown += other.unknown;
        self.untouched += other.untouched;
        self.children += other.children;
        self.undone += other.undone;
    }
}

/// A named column of a chunk: target ids or receipts of one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkColumn {
    /// The destination step.
    pub step: StepName,
    /// One value a record of the chunk; empty where there is none.
    pub target_ids: Option<Column>,
    /// One value a record of the chunk; empty where there is none.
    pub receipts: Option<Column>,
}

/// Records of a batch that need no row: first attempt, ok or dropped. Stored compressed as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Chunk {
    /// Their ids.
    pub ids: Column,
    /// `Ok` or `Dropped`, one a record.
    pub statuses: Vec<Status>,
    /// The step that dropped a record, or the last step, as an index into the route's steps; one a record.
    pub steps: Vec<u16>,
    /// What destinations gave back.
    pub columns: Vec<ChunkColumn>,
    /// The content as it was read; only at the log level `full`.
    pub payloads: Option<Column>,
}

/// What a destination step in the middle of a route has applied while its batch goes on. If the
/// process dies before the batch is closed, the ledger makes open rows of it: status processing,
/// this step, `applied` with these values, the generation of the last [`Intent`] for the record. Of the payload of rows
/// that exist, the same is true as for an [`Intent`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The step.
    pub step: StepName,
    /// The records that it applied.
    pub ids: Column,
    /// One a record, if any.
    pub target_ids: Option<Column>,
    /// One a record, if any.
    pub receipts: Option<Column>,
    /// As in [`Intent::open`].
    pub open: bool,
}

/// Everything that one batch produced: one durable transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchCommit {
    /// The route.
    pub route: RouteName,
    /// The run.
    pub run: RunId,
    /// The batch within the run, counted from 1. A batch may commit several times; numbers add up.
    pub batch: u64,
    /// When.
    pub at: Timestamp,
    /// Moves the route's checkpoint to here. With it, open rows of records that are in `rows` or `chunk`
    /// or in `passed` are open no longer.
    pub checkpoint: Option<Checkpoint>,
    /// Ids of records in this page that had an open row which needs no change but is open no longer.
    pub passed: Vec<RecordId>,
    /// Records that were read from the source and counted for the first time in this run.
    pub read: u64,
    /// Records that were taken up from the ledger and counted for the first time in this run.
    pub resumed: u64,
    /// Changes of the run's numbers. Invariant 3: their sum is `read + resumed` plus children of splits.
    pub counts: Counts,
    /// How each step fared.
    pub steps: Vec<(StepName, StepCounts)>,
    /// Records without a row.
    pub chunk: Option<Chunk>,
    /// Rows to write or to replace.
    pub rows: Vec<RecordRow>,
    /// Attempts to keep.
    pub attempts: Vec<AttemptRow>,
    /// Events to append, in order.
    pub events: Vec<Event>,
    /// State of plugins to change.
    pub state: Vec<(StepName, StateWrite)>,
    /// What a destination in the middle of the route applied.
    pub progress: Option<Progress>,
    /// The batch is finished: its intents and its progress are of no more use.
    pub closes: bool,
    /// Handlers to be called.
    pub tasks: Vec<HandlerTask>,
    /// With `checkpoint`: no row of the route is open any more, and no handler task held. For a run that moves the
    /// checkpoint at its end only.
    pub settles_open: bool,
}

/// A run that ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunEnd {
    /// The route.
    pub route: RouteName,
    /// The run.
    pub run: RunId,
    /// How it ended; never [`RunStatus::Running`].
    pub status: RunStatus,
    /// When.
    pub at: Timestamp,
    /// Why, if it is neither ok nor completed.
    pub reason: Option<Failure>,
    /// Records read, all batches together, for the ledger to compare with its own sum.
    pub read: u64,
    /// Records taken up from the ledger.
    pub resumed: u64,
    /// The numbers of the run, for the ledger to compare with its own sum.
    pub counts: Counts,
    /// Events to append.
    pub events: Vec<Event>,
    /// Handlers to be called.
    pub tasks: Vec<HandlerTask>,
    /// The plugin at this step committed too many faults: it is not used any more in this route, as long as its
    /// digest is that of [`RunStart::plugins`] and no operator lets it.
    pub quarantine: Option<StepName>,
}

/// The durable key-value pairs of a plugin at a step of a route.
pub type PluginState = Vec<(String, Vec<u8>)>;

/// The durable table of records, and the event log.
pub trait Ledger: Send + Sync {
    /// Notes that a run begins and tells what is known of its route. Once a run, first.
    fn begin_run(&self, start: RunStart) -> PortFuture<'_, Result<RunOpening, PortError>>;
    /// Makes an intent durable. Before every write.
    fn intend(&self, intent: Intent) -> PortFuture<'static, Result<(), PortError>>;
    /// Makes what a batch produced durable. Calls of `intend` and `commit` made one after the other take effect
    /// in that order even if the futures are first polled in another: the call itself puts it in line.
    fn commit(&self, commit: BatchCommit) -> PortFuture<'static, Result<(), PortError>>;
    /// At most `limit` records of the route whose [`RecordRow::due`] has come (pending or indeterminate) and
    /// that are not open; those that are rolling back are left out; with `of_run` only those whose row was last written by that run, in the rows as well as
    /// in the numbers.
    fn due(
        &self,
        route: RouteName,
        of_run: Option<RunId>,
        now: Timestamp,
        limit: u32,
    ) -> PortFuture<'_, Result<DueRows, PortError>>;
    /// At most `limit` records of the route that are rolling back and due, open or not, the newest first (the one whose
    /// row was made last).
    fn rolling_back(&self, route: RouteName, now: Timestamp, limit: u32) -> PortFuture<'_, Result<DueRows, PortError>>;
    /// All open records of the route for which something was or may have been applied, without their payloads
    /// (`Unchanged` stands for it), oldest first.
    fn open_applied(&self, route: RouteName) -> PortFuture<'_, Result<Vec<RecordRow>, PortError>>;
    /// At most `limit` handler tasks of the route that are due.
    fn tasks(&self, route: RouteName, now: Timestamp, limit: u32) -> PortFuture<'_, Result<DueTasks, PortError>>;
    /// Makes durable what handlers did.
    fn commit_tasks(&self, commit: TaskCommit) -> PortFuture<'static, Result<(), PortError>>;
    /// These records with their payloads, in this order; those that have no row are left out.
    fn load(&self, route: RouteName, ids: Vec<RecordId>) -> PortFuture<'_, Result<Vec<RecordRow>, PortError>>;
    /// The durable state of the plugin at a step.
    fn state(&self, route: RouteName, step: StepName) -> PortFuture<'_, Result<PluginState, PortError>>;
    /// Notes that a run has ended. Once a run, last. An error with the code `ledger-accounting` means
    /// that the numbers do not add up.
    fn end_run(&self, end: RunEnd) -> PortFuture<'_, Result<(), PortError>>;
}
