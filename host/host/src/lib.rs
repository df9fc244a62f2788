//! Crossdock as a library: moves records from a source through sandboxed plugins to destinations, and knows for
//! every record what became of it.
//!
//! **Does**: puts route, sandbox, engine and ledger together behind one face.
//! **May touch**: the project's files, the data folder, the clock, the environment for secrets, Docker's credentials.
//! **Never**: shows wasmtime or the database, or decides what becomes of a record: that is the engine's.
//!
//! ```no_run
//! # async fn example() -> Result<(), crossdock::Error> {
//! use crossdock::{Host, HostOptions};
//! let host = Host::open(HostOptions { project: Some("examples/cdnow".into()), ..HostOptions::default() })?;
//! let running = host.run("examples/cdnow/routes/cdnow.toml".as_ref()).await?;
//! let mut events = running.events()?;
//! while let Some(logged) = events.next().await? {
//!     println!("{}", logged.event.message);
//! }
//! let report = running.finish().await?;
//! println!("{}: {} read, {} ok", report.status, report.read, report.count(crossdock::Status::Ok));
//! # Ok(())
//! # }
//! ```
//!
//! `examples/embed` is a whole program: a run that is watched, its report, and a record that is put through again.
//!
//! # What your program provides
//!
//! - It calls [`compile_if_asked`] first thing in `main`: plugins are compiled in a process of their own, which is your
//!   program, started again. Or it names another one as [`HostOptions::compiler`].
//! - It awaits within a runtime of tokio. A run has threads of its own: it goes on between two awaits, and ends, as if the
//!   process had died, when its [`Running`] is dropped.
//! - One process at a time has the ledger of a data folder for writing. Reports can be read beside it.
//!
//! # What is promised
//!
//! Versions follow [Semantic Versioning](https://semver.org/); below 1.0 the second number is the one that breaks. What
//! holds from one version to the next that goes together with it:
//!
//! - Items, their fields and their meaning stay. Types that are only given out are `#[non_exhaustive]` and may get more
//!   fields; so may [`HostOptions`], [`Choice`], [`RecordFilter`], [`EventFilter`] and [`Resync`], which are made with
//!   `..Default::default()`.
//! - Enumerations marked `#[non_exhaustive]` may get more variants, others do not. [`Status`] is one of those others: where a
//!   record can stand is the contract with everybody who counts.
//! - Codes of errors and failures keep their names and their meaning ([`codes`]). Messages and fixes are for people, and
//!   change.
//! - What serializes with serde keeps its names in JSON, and may get more.
//! - A ledger that a later version wrote is refused, and not touched.
//! - Plugins of an earlier version of the contract that goes together with this one load.
//! - No public item names a type of wasmtime, of the database, of tokio, or of anybody else but serde and `serde_json::Value`,
//!   so that their versions are not yours. A test holds that. The version of Rust that is needed can rise with any
//!   version.

mod approval;
mod choice;
mod codes;
mod decisions;
mod error;
mod export;
mod files;
mod host;
mod inspect;
mod load;
mod pins;
mod plan;
mod project;
mod publish;
mod reach;
mod remote;
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
    FailureGroups, HandlerNumbers, InFlight, LedgerError, LedgerReader, LoggedEvent, Page, PruneReport, Quarantined,
    RecordDetail, RecordFilter, RecordFound, RecordSummary, Records, RestoreReport, RollbackNumbers, RouteStanding,
    RunDetail, RunSummary, TaskDetail, TaskStanding, VerifyReport, Violation,
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
pub use publish::{Pulled, PulledPlugin, PushReport, SignReport, generate_key};
pub use resync::{Definition, Resync};
pub use run::{Canceller, HandlerReport, RunReport, Running, StepReport};
pub use schema::SettingReport;
pub use secrets::{redact, redact_bytes, redact_json};
pub use upkeep::{PruneClass, PrunePlan};
pub use watch::{Events, Watch};
