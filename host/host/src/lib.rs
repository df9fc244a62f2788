//! Crossdock as a library: moves records from a source through sandboxed plugins to destinations, and knows for
//! every record what became of it.
//!
//! **Does**: puts route, sandbox, engine and ledger together behind one face.
//! **May touch**: the project's files, the data folder, the clock, the environment for secrets.
//! **Never**: shows wasmtime or the database, or decides what becomes of a record: that is the engine's.
//!
//! ```no_run
//! # async fn example() -> Result<(), crossdock::Error> {
//! use crossdock::{Host, HostOptions};
//! let host = Host::open(HostOptions { project: Some("examples/cdnow".into()), ..HostOptions::default() })?;
//! let report = host.run("examples/cdnow/routes/cdnow.toml".as_ref()).await?.finish().await?;
//! println!("{}: {} read, {} ok", report.status, report.read, report.count(crossdock::Status::Ok));
//! # Ok(())
//! # }
//! ```

mod codes;
mod error;
mod host;
mod load;
mod project;
mod resync;
mod run;
mod settings;
mod world;

pub use codes::{CODES, codes, explain};
pub use crossdock_engine::machine::Progress;
pub use crossdock_engine::ports::{Applied, AttemptRow, Cause, Exchange, Payload, RecordRow, StepCounts};
pub use crossdock_ledger::{
    AttemptDetail, ChunkEntry, Cursor, Decided, EventFilter, EventOrder, InFlight, LedgerReader, LoggedEvent, Page,
    RecordDetail, RecordFilter, RecordFound, RecordSummary, RouteStanding, RunDetail, RunSummary, VerifyReport,
    Violation,
};
pub use crossdock_model::{
    Code, Counts, ErrorClass, Event, EventKind, Failure, Outcome, RecordId, RouteName, RunId, RunStatus, Status,
    StepName, Timestamp,
};
pub use error::Error;
pub use host::{CheckReport, ConnectorReport, Host, HostOptions, PlaceReport, PluginReport};
pub use project::{PROJECT_FILE, find_project};
pub use resync::{Choice, PLAN_RECORDS_MAX, PlannedRecord, Resolution, ResyncPlan, Verdict};
pub use run::{Canceller, RunReport, Running, StepReport};
