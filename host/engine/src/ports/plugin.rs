//! The plugin ports: the three roles as the engine sees them.
//!
//! Whoever fills these ports has already checked the contract: answers have one outcome a record, in
//! the order of the batch that was handed over, and every column has the right length. What does not
//! keep to the contract arrives here as a [`Fault`].

use super::{PortError, PortFuture};
use crossdock_model::{Attribute, Batch, Checkpoint, Column, ErrorClass, Failure, Fault, Outcome, Timestamp};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use thiserror::Error;

/// What helps a destination to take effect once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Idempotency {
    /// The other system recognises the idempotency key.
    NativeKey,
    /// Writing the same record again changes nothing.
    Upsert,
    /// It can be asked afterwards.
    Probe,
    /// Nothing.
    None,
}

/// What happens when a write stops in the middle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Atomicity {
    /// All records of a batch take effect, or none.
    Atomic,
    /// Each record takes effect whole, or not at all.
    PerRecord,
    /// A record may have taken effect in part.
    BestEffort,
}

/// What a configured plugin can do. Known before a run begins, and constant during it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Abilities {
    /// Sources: reading again from an older checkpoint gives the same records.
    pub re_reads: bool,
    /// Transformers: a batch may be given again, also in smaller pieces.
    pub pure: bool,
    /// Destinations: what helps to take effect once.
    pub idempotency: Idempotency,
    /// Destinations: what happens when a write stops in the middle.
    pub atomicity: Atomicity,
    /// Destinations: applied records can be undone.
    pub compensates: bool,
    /// Destinations: `probe` can be called.
    pub probes: bool,
    /// The most records in one batch.
    pub max_batch: u32,
}

/// What kind of "no" a plugin gave to a whole call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefusalKind {
    /// The settings do not make sense.
    InvalidSettings,
    /// Credentials were refused.
    Unauthorized,
    /// The other system cannot be used now.
    Unavailable,
    /// The checkpoint does not fit what the source finds.
    CheckpointRefused,
    /// A grant is missing.
    NotGranted,
    /// Anything else.
    Internal,
}

impl RefusalKind {
    /// Who can do something about it.
    #[must_use]
    pub fn class(self) -> ErrorClass {
        match self {
            Self::InvalidSettings | Self::NotGranted => ErrorClass::InvalidInput,
            Self::Unauthorized | Self::Unavailable | Self::Internal => ErrorClass::Environment,
            Self::CheckpointRefused => ErrorClass::NeedsOperator,
        }
    }
}

/// Why a call into a plugin gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CallError {
    /// The plugin said no to the whole call. From a write it promises that nothing took effect.
    #[error("{}", failure.message)]
    Refused {
        /// What kind of no.
        kind: RefusalKind,
        /// Why.
        failure: Failure,
    },
    /// The plugin committed a fault; its instance is gone and the next call gets a fresh one.
    #[error("{}", .0.message)]
    Fault(Fault),
    /// The host could not do its own work.
    #[error(transparent)]
    Host(#[from] PortError),
}

/// What a call came to, and what it did beside: which requests went out is of most interest where there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallResult<T> {
    /// The answer, or why there is none.
    pub answer: Result<T, CallError>,
    /// What the call did. Without an answer it has no state writes: they are forgotten with the call.
    pub trace: CallTrace,
}

impl<T> CallResult<T> {
    /// An answer of a call that did nothing else.
    #[must_use]
    pub fn plain(answer: T) -> Self {
        Self { answer: Ok(answer), trace: CallTrace::default() }
    }

    /// The answer with its trace; of a call without one only why.
    ///
    /// # Errors
    /// Why there is no answer.
    pub fn answered(self) -> Result<(T, CallTrace), CallError> {
        let Self { answer, trace } = self;
        answer.map(|answer| (answer, trace))
    }
}

impl<T> From<CallError> for CallResult<T> {
    /// A call that came to nothing before it did anything.
    fn from(error: CallError) -> Self {
        Self { answer: Err(error), trace: CallTrace::default() }
    }
}

/// One HTTP request made for a plugin and what came of it. Holds no secrets and no bodies. One that was still on its way
/// when its call ended has neither a status nor a length, and says so as its error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchange {
    /// When it was sent.
    pub at: Timestamp,
    /// The record it was made for: its position in the batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<u32>,
    /// The HTTP method.
    pub method: String,
    /// Scheme, host, port and path; no query.
    pub url: String,
    /// The status of the answer, if one came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Why no answer came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// From sending to the last byte.
    pub took_ms: u64,
    /// Bytes of the answer's body.
    pub bytes: u64,
}

/// A change of a plugin's durable key-value pairs, made durable with the batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateWrite {
    /// The key.
    pub key: String,
    /// The new value; `None` removes the key.
    pub value: Option<Vec<u8>>,
}

/// What a call did beside answering.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CallTrace {
    /// HTTP requests in the order they were begun, those included whose answer never came.
    pub exchanges: Vec<Exchange>,
    /// State writes in order.
    pub state: Vec<StateWrite>,
    /// Counters: name and sum.
    pub counted: Vec<(String, u64)>,
    /// Gauges: name and last value, as the bits of an `f64`.
    pub gauged: Vec<(String, u64)>,
}

/// How much one page may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageLimits {
    /// At least 1.
    pub max_records: u32,
    /// Of ids and payloads together.
    pub max_bytes: u32,
}

/// What comes after a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum More {
    /// Ask again at once.
    More,
    /// Nothing more at the moment.
    Idle,
    /// Nothing more, ever.
    End,
}

/// Records read together. Ids are unique within the page, and it moves the checkpoint if it has
/// records; both were checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The records.
    pub batch: Batch,
    /// One a record, if the source declares order.
    pub order_keys: Option<Column>,
    /// Records that cannot be read, ascending by position.
    pub unreadable: Vec<(u32, Failure)>,
    /// The position after this page.
    pub checkpoint: Checkpoint,
    /// What comes next.
    pub more: More,
}

/// A source in use.
pub trait SourcePort: Send + Sync {
    /// What it can do.
    fn abilities(&self) -> Abilities;
    /// Reads the page after a checkpoint; `None` is the beginning.
    fn read(&self, checkpoint: Option<Checkpoint>, limits: PageLimits) -> PortFuture<'_, CallResult<Page>>;
    /// Tells it that everything up to this checkpoint is settled or kept, on disk.
    fn ack(&self, checkpoint: Checkpoint) -> PortFuture<'_, CallResult<()>>;
    /// Whether the other system can be used now.
    fn check(&self) -> PortFuture<'_, CallResult<()>>;
}

/// What a transformer made of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transformed {
    /// One a record, in the order of the batch: `Ok`, `Dropped`, `Rejected` or `Retryable`.
    pub outcomes: Vec<Outcome>,
    /// One for each outcome that needs it, ascending by position.
    pub failures: Vec<(u32, Failure)>,
    /// How many outputs each record has; `None` means one for each that is ok.
    pub outputs: Option<Vec<u32>>,
    /// The output payloads, in the order of the records they come from.
    pub payloads: Column,
    /// New attributes, one value an output; `None` keeps those that the records came with.
    pub attributes: Option<Vec<Attribute>>,
}

/// A transformer in use.
pub trait TransformerPort: Send + Sync {
    /// What it can do.
    fn abilities(&self) -> Abilities;
    /// Transforms one batch of at most `max_batch` records.
    fn transform(&self, batch: Arc<Batch>) -> PortFuture<'_, CallResult<Transformed>>;
}

/// How to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriteOptions {
    /// Write in order and touch nothing after the first record that is not applied.
    pub stop_at_first_failure: bool,
}

/// What became of the records of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// One a record, in the order of the batch: any but `Dropped`.
    pub outcomes: Vec<Outcome>,
    /// One for each outcome that needs it, ascending by position.
    pub failures: Vec<(u32, Failure)>,
    /// One a record, if the destination gives any; empty where there is none.
    pub target_ids: Option<Column>,
    /// One a record, if the destination gives any; empty where there is none.
    pub receipts: Option<Column>,
}

/// Applied records to undo, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UndoBatch {
    /// Their ids.
    pub ids: Column,
    /// The keys under which they were written.
    pub keys: Column,
    /// What the other system called them.
    pub target_ids: Column,
    /// What is needed to undo them.
    pub receipts: Column,
}

/// What became of the records of a compensation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undone {
    /// One a record: any but `Dropped`.
    pub outcomes: Vec<Outcome>,
    /// One for each outcome that needs it, ascending by position.
    pub failures: Vec<(u32, Failure)>,
}

/// What a probe found: `Ok` it was applied, `Dropped` it was not, `Retryable` cannot be said now,
/// `Unauthorized`, `Unknown` cannot be said at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probed {
    /// One a record, in the order of the batch.
    pub outcomes: Vec<Outcome>,
    /// One for each outcome that needs it, ascending by position.
    pub failures: Vec<(u32, Failure)>,
    /// For those that were applied.
    pub target_ids: Option<Column>,
    /// For those that were applied.
    pub receipts: Option<Column>,
}

/// A destination in use.
pub trait DestinationPort: Send + Sync {
    /// What it can do.
    fn abilities(&self) -> Abilities;
    /// Writes one batch of at most `max_batch` records; `keys` has one idempotency key a record.
    fn write(&self, batch: Arc<Batch>, keys: Column, options: WriteOptions) -> PortFuture<'_, CallResult<Written>>;
    /// Undoes applied records. Only called if it compensates.
    fn compensate(&self, batch: UndoBatch) -> PortFuture<'_, CallResult<Undone>>;
    /// Asks whether records were applied. Only called if it probes.
    fn probe(&self, batch: Arc<Batch>, keys: Column) -> PortFuture<'_, CallResult<Probed>>;
    /// Whether the other system can be used now.
    fn check(&self) -> PortFuture<'_, CallResult<()>>;
}
