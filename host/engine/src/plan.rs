//! What a run is to do: the checked route, as far as the engine needs it.

use crate::ports::{Idempotency, RecordRow};
use crossdock_model::{Checkpoint, RouteName, RunId, StepName};

/// What to do when a record fails at a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnError {
    /// Later records stay `new`; the run ends there.
    Stop,
    /// The run goes on with the other records.
    Continue,
}

/// How much of the records that went well is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// Numbers a batch.
    Summary,
    /// Ids, statuses and target ids.
    Ids,
    /// The same and the content as it was read.
    Full,
}

/// When and how often a step is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// Attempts in all, the first included; at least 1.
    pub attempts: u32,
    /// The longest wait before the second attempt, in milliseconds; doubles with each further one.
    pub first_ms: u64,
    /// The longest wait before any attempt, in milliseconds; also limits what a `Retry-After` may ask for.
    pub max_ms: u64,
    /// No attempt begins later than this after the first one, in milliseconds.
    pub total_ms: u64,
}

/// How many records of a run must have been counted before their share that failed says anything.
pub const RATIO_RECORDS_MIN: u64 = 100;

/// The limits and choices of a route.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// What to do when a record fails.
    pub on_error: OnError,
    /// With `Continue`: more failed, rejected and indeterminate records than this end the run.
    pub max_failed: Option<u64>,
    /// With `Continue`: a larger share of them among the records of the run so far ends it, once at least
    /// [`RATIO_RECORDS_MIN`] have been counted. Greater than 0, at most 1.
    pub max_failed_ratio: Option<f64>,
    /// More faults of one plugin than this end the run.
    pub max_faults: u32,
    /// How much is kept of what went well.
    pub log: LogLevel,
    /// Records a page, at least 1.
    pub batch_records: u32,
    /// Bytes a page.
    pub batch_bytes: u32,
    /// How many batches may be under way at once, at least 1.
    pub window: u32,
}

/// What a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It changes, drops or splits records.
    Transformer {
        /// A batch may be given again, in smaller pieces.
        pure: bool,
    },
    /// It writes records to another system.
    Destination {
        /// What helps it to take effect once.
        idempotency: Idempotency,
        /// It can be asked whether a record was applied.
        probes: bool,
    },
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepSpec {
    /// Its name.
    pub name: StepName,
    /// What it is.
    pub role: Role,
    /// The most records it takes at once, at least 1.
    pub max_batch: u32,
    /// When it is tried again.
    pub retry: Retry,
}

/// Where the records of a run come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// From the source, and from the ledger those that wait for another attempt.
    Source {
        /// The most records the source gives at once.
        max_batch: u32,
    },
    /// From the ledger: these records, each from the step where it stands.
    Resync(Vec<RecordRow>),
    /// From the ledger: these indeterminate records, to find out about them. What was applied goes
    /// on, what was not is failed.
    Probe(Vec<RecordRow>),
}

/// What a run is to do.
#[derive(Debug, Clone, PartialEq)]
pub struct RunSpec {
    /// The run.
    pub run: RunId,
    /// The route.
    pub route: RouteName,
    /// Its limits and choices.
    pub policy: Policy,
    /// Its steps in order; at most 1,000.
    pub steps: Vec<StepSpec>,
    /// Where the records come from.
    pub entry: Entry,
    /// Seeds the jitter of retries.
    pub seed: u64,
}

impl RunSpec {
    /// The position of a step.
    #[must_use]
    pub fn step_index(&self, name: &StepName) -> Option<usize> {
        self.steps.iter().position(|step| step.name == *name)
    }
}

/// Where a source stands.
pub(crate) type Position = Option<Checkpoint>;
