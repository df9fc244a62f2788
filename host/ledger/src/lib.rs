//! The durable table of records and the event log, in SQLite.
//!
//! **Does**: fills the engine's `Ledger` port: one writer thread, one transaction for all who wait, read-only
//! questions for reports beside it, recovery, and `verify`.
//! **May touch**: in its data folder the files `ledger.*` and the folders `restore.*` and `replaced-N`; folders that
//! backups are made in or read from; SQLite; one thread that writes, and one for each backup or pruning that reads.
//! **Never**: the clock, the network, plugins, the engine's decisions. What time it is comes in from outside.

mod apply;
mod ask;
mod backup;
mod chunk;
mod codec;
pub mod codes;
mod decide;
mod edit;
mod error;
mod files;
#[doc(hidden)]
pub mod fuzzing;
mod inflight;
mod lock;
mod opening;
mod packed;
mod plan;
mod prune;
mod pruned;
mod quarantine;
mod reader;
mod record;
mod recovery;
mod restore;
mod retention;
mod room;
mod run;
mod schema;
mod seal;
mod state;
mod store;
mod task;
mod trace;
mod verify;
mod work;
mod writer;

pub use backup::{Backup, backup, verify_backup};
pub use codes::CODES;
pub use decide::{Decided, Decision};
pub use edit::{Edit, Edited};
pub use error::{LedgerError, QUERY_TIME_MAX_MS};
pub use plan::{PLAN_PART_RECORDS_MAX, Plan, PlanChange, PlanEntry, PlanSummary};
pub use prune::PruneReport;
pub use pruned::Pruned;
pub use quarantine::Quarantined;
pub use reader::{
    AttemptDetail, ChunkEntry, Cursor, EventFilter, EventOrder, FAILURE_GROUPS_MAX, FailureGroup, FailureGroups,
    HandlerNumbers, InFlight, LedgerReader, LoggedEvent, Page, RecordDetail, RecordFilter, RecordFound, RecordSummary,
    Records, Redact, RollbackNumbers, RouteStanding, RunDetail, RunSummary, TaskDetail, redact_json,
};
pub use restore::{RestoreOptions, RestoreReport, restore};
pub use retention::Retention;
pub use room::BALLAST_BYTES;
pub use schema::START_CHECK_MAX_BYTES;
pub use store::{LedgerStore, OpenOptions, WriterStats};
pub use task::TaskStanding;
pub use verify::{VerifyReport, Violation, verify};
pub use writer::FULL_WAIT_MAX_MS;
