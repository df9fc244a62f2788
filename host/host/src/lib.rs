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

mod approval;
mod choice;
mod codes;
mod decisions;
mod error;
mod export;
mod host;
mod inspect;
mod load;
mod pins;
mod plan;
mod project;
mod reach;
mod resync;
mod run;
mod schema;
mod secrets;
mod settings;
mod sharing;
mod spec;
mod upkeep;
mod watch;
mod world;

pub use approval::{Approval, Approve, ProjectPlugin, Standing};
pub use choice::{Choice, Chosen, PLAN_RECORDS_MAX, Purpose, Selection};
pub use codes::{CODES, codes, explain};
pub use crossdock_engine::machine::{ConnectorDown, Progress};
pub use crossdock_engine::ports::{Applied, AttemptKind, AttemptRow, Cause, Exchange, Payload, RecordRow, StepCounts};
pub use crossdock_ledger::{
    AttemptDetail, Backup, ChunkEntry, Cursor, Decided, EventFilter, EventOrder, FAILURE_GROUPS_MAX, FailureGroup,
    FailureGroups, HandlerNumbers, InFlight, LedgerReader, LoggedEvent, Page, PruneReport, Quarantined, RecordDetail,
    RecordFilter, RecordFound, RecordSummary, Records, RestoreReport, RollbackNumbers, RouteStanding, RunDetail,
    RunSummary, TaskDetail, TaskStanding, VerifyReport, Violation,
};
pub use crossdock_model::{
    Code, Counts, ErrorClass, Event, EventKind, Failure, HandlerKind, HandlerPlace, Outcome, PluginName, RecordId,
    RouteName, RunId, RunStatus, Status, StepName, Timestamp,
};
pub use crossdock_route::LockedPlugin;
pub use crossdock_sandbox::{Compiler, SECRET_MIN_BYTES, compile_if_asked, is_unfit};
pub use decisions::{Resolution, RollbackStanding, Undoing};
pub use error::Error;
pub use export::Csv;
pub use host::{CheckReport, ConnectorReport, Host, HostOptions, PlaceReport};
pub use inspect::{PluginCost, PluginReport};
pub use pins::Difference;
pub use plan::{PlannedRecord, ResyncPlan, Verdict};
pub use project::{LOCK_FILE, PROJECT_FILE, find_project};
pub use resync::{Definition, Resync};
pub use run::{Canceller, HandlerReport, RunReport, Running, StepReport};
pub use schema::SettingReport;
pub use secrets::{redact, redact_bytes, redact_json};
pub use upkeep::{PruneClass, PrunePlan};
pub use watch::{Events, Watch};
