//! The durable table of records and the event log, in SQLite.
//!
//! **Does**: fills the engine's `Ledger` port: one writer thread, one transaction for all who wait, read-only
//! questions for reports beside it, recovery, and `verify`.
//! **May touch**: the files `ledger.db*` and `ledger.lock` in its data folder; SQLite; one thread.
//! **Never**: the clock, the network, plugins, the engine's decisions. What time it is comes in from outside.

mod apply;
mod chunk;
mod codec;
pub mod codes;
mod decide;
mod error;
mod inflight;
mod lock;
mod plan;
mod reader;
mod record;
mod recovery;
mod run;
mod schema;
mod seal;
mod store;
mod trace;
mod verify;
mod work;
mod writer;

pub use codes::CODES;
pub use decide::{Decided, Decision};
pub use error::{LedgerError, QUERY_TIME_MAX_MS};
pub use plan::{Plan, PlanChange, PlanEntry};
pub use reader::{
    AttemptDetail, ChunkEntry, Cursor, EventFilter, EventOrder, InFlight, LedgerReader, LoggedEvent, Page,
    RecordDetail, RecordFilter, RecordFound, RecordSummary, RouteStanding, RunDetail, RunSummary,
};
pub use schema::START_CHECK_MAX_BYTES;
pub use store::{LedgerStore, OpenOptions, WriterStats};
pub use verify::{VerifyReport, Violation, verify};
