//! What a run is to do: the checked route, as far as the engine needs it.

use crate::ports::Idempotency;
use crossdock_model::{Checkpoint, HandlerKind, RecordId, RouteName, RunId, StepName};

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

/// What is undone when a record fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Rollback {
    /// Nothing.
    #[default]
    None,
    /// What earlier steps did for that record.
    Record,
    /// What was done for any record since the route's checkpoint; the checkpoint moves at the end of the run only.
    Run,
}

/// When a connector is left alone for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Breaker {
    /// After so many records in a row that it did not take (retryable or unknown), at least 1.
    pub failures: u32,
    /// How long until its own check is asked, in milliseconds; doubles with each check that fails.
    pub open_ms: u64,
    /// The longest such wait, in milliseconds.
    pub max_ms: u64,
    /// After so long without a good answer the run gives up, in milliseconds.
    pub total_ms: u64,
}

/// After how many runs that died one after the other records are taken one by one, so that the one that kills the
/// process is found.
pub const DEATHS_BEFORE_CARE: u32 = 3;

/// How many records of a run must have been counted before their share that failed says anything.
pub const RATIO_RECORDS_MIN: u64 = 100;

/// The most that a source may give in one run. Whoever has more is asked again in the next run; whoever never comes to
/// an end, comes to this one. Looked at after each page behind which there is more; each at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceBudget {
    /// Pages.
    pub pages_max: u64,
    /// Records.
    pub records_max: u64,
    /// Bytes of ids, payloads and attributes together.
    pub bytes_max: u64,
    /// Milliseconds spent in reading, by the wall.
    pub time_max_ms: u64,
    /// Pages without records, one after the other.
    pub empty_pages_max: u64,
    /// Pages with the same ids in the same order as an earlier one of the run.
    pub repeated_pages_max: u64,
}

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
    /// The share is that of the last so many records, at least [`RATIO_RECORDS_MIN`].
    pub max_failed_window: u64,
    /// More faults of one plugin than this end the run, and the plugin is not used any more in this route.
    pub max_faults: u32,
    /// What is undone when a record fails.
    pub rollback: Rollback,
    /// With `Rollback::Run`: more records than this in one run end it.
    pub rollback_records_max: u64,
    /// How much is kept of what went well.
    pub log: LogLevel,
    /// Records a page, at least 1.
    pub batch_records: u32,
    /// Bytes a page.
    pub batch_bytes: u32,
    /// How many batches may be under way at once, at least 1.
    pub window: u32,
    /// How much the source may give in one run.
    pub source: SourceBudget,
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
        /// What it applied can be undone.
        compensates: bool,
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
    /// When its connector is left alone.
    pub breaker: Breaker,
    /// Which handlers it has, in order of their kinds.
    pub handlers: Vec<HandlerKind>,
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
    Resync(Vec<RecordId>),
    /// From the ledger: these indeterminate records, to find out about them. What was applied goes
    /// on, what was not is failed.
    Probe(Vec<RecordId>),
    /// Nothing new: only what is rolling back is undone further.
    Rollback,
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
    /// The handlers of the run.
    pub run_handlers: Vec<HandlerKind>,
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
