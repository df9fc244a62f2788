//! Runs: a loaded route, put to work.

use crate::error::Error;
use crate::load::{Loaded, LoadedStep};
use crate::secrets::{clean_failure, everything};
use crate::sharing::RouteTurn;
use crate::spec::{handler_ports, run_spec};
use crate::watch::{Events, Watch};
use crate::world::{SystemClock, new_run_id};
use crossdock_engine::driver::{self, Ports, RunReport as EngineReport};
use crossdock_engine::machine::Progress;
use crossdock_engine::plan::Entry;
use crossdock_engine::ports::{Cause, Clock, RunStart};
use crossdock_ledger::LedgerStore;
use crossdock_model::{ErrorClass, RouteName, RunId, RunStatus, Status};
use crossdock_route::LockedPlugin;
use crossdock_sandbox::{Sandbox, SandboxError};
use serde::Serialize;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::watch;

/// A run under way. Dropping it stops the run as a crash would; use [`Running::cancel`] to stop it in good order.
pub struct Running {
    run: RunId,
    expected: Option<u64>,
    locked: Vec<LockedPlugin>,
    progress: watch::Receiver<Progress>,
    ledger: LedgerStore,
    cancel: Canceller,
    task: Task,
}

/// What a run comes to; the outer error: it was lost.
type Ended = Result<Result<RunReport, Error>, SandboxError>;

/// Ends when it is dropped.
struct Task(Pin<Box<dyn Future<Output = Ended> + Send>>);

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("run", &self.run).field("expected", &self.expected).finish_non_exhaustive()
    }
}

impl Running {
    /// Its id.
    #[must_use]
    pub fn run(&self) -> &RunId {
        &self.run
    }

    /// How many records it was given to put through or to ask about; `None` if it takes what it finds.
    #[must_use]
    pub fn expected(&self) -> Option<u64> {
        self.expected
    }

    /// The plugins that it added to the project's lock: nothing was known under their names before.
    #[must_use]
    pub fn added_to_lock(&self) -> &[LockedPlugin] {
        &self.locked
    }

    /// How it is getting on, also beside [`Running::finish`].
    #[must_use]
    pub fn progress(&self) -> Watch {
        Watch::new(self.progress.clone())
    }

    /// What it writes into the event log, from its beginning, also beside [`Running::finish`]. Holds none of the
    /// project's secrets.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn events(&self) -> Result<Events, Error> {
        let reader = self.ledger.reader()?.showing(everything());
        Ok(Events::new(reader, self.run.clone(), self.progress.clone()))
    }

    /// Asks it to stop: what is under way is finished and written down, nothing more is begun, and what the route
    /// undoes when a record fails is undone.
    pub fn cancel(&self) {
        self.cancel.cancel();
    }

    /// Something that can ask it to stop, for example from a signal handler.
    #[must_use]
    pub fn canceller(&self) -> Canceller {
        self.cancel.clone()
    }

    /// Waits for its durable end.
    ///
    /// # Errors
    /// When the host could not do its own work. What became of the records then is what the ledger says.
    pub async fn finish(mut self) -> Result<RunReport, Error> {
        match self.task.0.await {
            Ok(report) => report.map(|report| RunReport { added_to_lock: std::mem::take(&mut self.locked), ..report }),
            Err(error) => Err(Error::new(
                "host-internal",
                ErrorClass::Internal,
                format!("the run ended without an answer: {error}"),
                "Run the route again: it goes on where it stopped. Please report this.",
            )),
        }
    }
}

/// Asks a run to stop.
#[derive(Debug, Clone)]
pub struct Canceller {
    engine: watch::Sender<bool>,
    plugins: Arc<AtomicBool>,
}

impl Canceller {
    /// As [`Running::cancel`].
    pub fn cancel(&self) {
        self.plugins.store(true, Ordering::Relaxed);
        self.engine.send_replace(true);
    }
}

/// How a run ended.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct RunReport {
    /// The run.
    pub run: RunId,
    /// Its route.
    pub route: RouteName,
    /// How it ended.
    pub status: RunStatus,
    /// Why, if it failed or was cancelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<crossdock_model::Failure>,
    /// Records read from the source.
    pub read: u64,
    /// Records taken up from the ledger.
    pub resumed: u64,
    /// Where the records of this run stand.
    pub counts: std::collections::BTreeMap<Status, i64>,
    /// How each step fared.
    pub steps: Vec<StepReport>,
    /// Records of the route that wait for another attempt.
    pub waiting: u64,
    /// Records of the route that are still being undone; the next run goes on with them.
    pub rolling_back: u64,
    /// What its handlers did.
    pub handlers: HandlerReport,
    /// The plugins that it added to the project's lock.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub added_to_lock: Vec<LockedPlugin>,
    /// From its beginning to its durable end, in milliseconds.
    pub took_ms: u64,
    #[serde(skip)]
    class: Option<ErrorClass>,
}

/// What the handlers of a route did beside a run and after it. None of it changes what became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct HandlerReport {
    /// Calls that were to be made and went well.
    pub done: u64,
    /// Calls that were given up, each with an event `handler-failed`.
    pub given_up: u64,
    /// Calls that wait for the next run of the route.
    pub waiting: u64,
}

/// How a step fared in a run.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct StepReport {
    /// The step.
    pub step: crossdock_model::StepName,
    /// Its numbers.
    #[serde(flatten)]
    pub counts: crossdock_engine::ports::StepCounts,
}

impl RunReport {
    /// How many records of the run have this status.
    #[must_use]
    pub fn count(&self, status: Status) -> u64 {
        self.counts.get(&status).and_then(|&n| u64::try_from(n).ok()).unwrap_or(0)
    }

    /// How many of its records need a person: it is not known whether they were applied, or they could not be undone.
    #[must_use]
    pub fn needs_operator(&self) -> u64 {
        self.count(Status::Indeterminate) + self.count(Status::RollbackFailed)
    }

    /// The exit code for it: 0 ok; 5 a person has to decide about some records, however the run ended; 2 or 3 if the
    /// route or its surroundings kept the run from going on; 4 some records are not ok.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match (self.status, self.class) {
            _ if self.needs_operator() > 0 => ErrorClass::NeedsOperator.exit_code(),
            (RunStatus::Ok, _) => 0,
            (RunStatus::Failed, Some(class)) => class.exit_code(),
            _ => 4,
        }
    }

    /// The exit code for it if it was to undo something: 0 everything is undone, whatever became of other records that
    /// it took up; 4 something is still rolling back; else as [`RunReport::exit_code`].
    #[must_use]
    pub fn undo_exit_code(&self) -> u8 {
        match (self.status, self.class) {
            _ if self.needs_operator() > 0 => ErrorClass::NeedsOperator.exit_code(),
            (RunStatus::Failed, Some(class)) => class.exit_code(),
            (RunStatus::Failed, None) => 4,
            _ if self.rolling_back > 0 => 4,
            _ => 0,
        }
    }

    fn of(route: RouteName, report: EngineReport) -> Self {
        let handlers = report.handlers;
        Self {
            run: report.run,
            route,
            status: report.status,
            reason: report.reason.map(clean_failure),
            read: report.read,
            resumed: report.resumed,
            counts: report.counts.iter().collect(),
            steps: report.steps.into_iter().map(|(step, counts)| StepReport { step, counts }).collect(),
            waiting: report.waiting,
            rolling_back: report.rolling_back,
            handlers: HandlerReport { done: handlers.done, given_up: handlers.given_up, waiting: handlers.waiting },
            added_to_lock: Vec::new(),
            took_ms: report.ended.ms_since(report.began),
            class: report.class,
        }
    }
}

/// Puts a loaded route to work, beside its plugins: it calls them all the time. `turn` is held until the run has ended.
pub(crate) fn start(
    sandbox: &Sandbox,
    loaded: Loaded,
    entry: Entry,
    cause: Cause,
    ledger: LedgerStore,
    turn: RouteTurn,
) -> Running {
    let run = new_run_id();
    let route = loaded.route.name().clone();
    let from_source = matches!(entry, Entry::Source { .. });
    let expected = match &entry {
        Entry::Resync(ids) | Entry::Probe(ids) => Some(ids.len() as u64),
        _ => None,
    };
    let spec = run_spec(&loaded, run.clone(), entry);
    let start = RunStart {
        run: run.clone(),
        route: route.clone(),
        route_hash: loaded.route.hash().to_owned(),
        definition: loaded.route.text().to_owned(),
        plugins: loaded.plugins.clone(),
        cause,
        at: SystemClock.now(),
    };
    let shared = |step: &LoadedStep| step.destination().is_some().then(|| Arc::clone(&step.connector.connector));
    let ports = Ports {
        connectors: loaded.steps.iter().map(shared).collect(),
        handlers: handler_ports(&loaded),
        source: from_source.then_some(loaded.source),
        steps: loaded.steps.into_iter().map(|step| step.port).collect(),
        ledger: Arc::new(ledger.clone()),
        clock: Arc::new(SystemClock),
    };
    let (engine, cancelled) = watch::channel(false);
    let locked = loaded.unlocked.plugins.into_values().collect();
    let cancel = Canceller { engine, plugins: loaded.cancelled };
    let (report_progress, progress) = watch::channel(Progress::default());
    let task = sandbox.beside_plugins(async move {
        let _turn = turn;
        Ok(RunReport::of(route, driver::run(spec, start, ports, cancelled, report_progress).await?))
    });
    Running { run, expected, locked, progress, ledger, cancel, task: Task(task) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn check(status: RunStatus, class: Option<ErrorClass>, counts: &[(Status, i64)], expected: u8) {
        let report = RunReport {
            run: RunId("r".into()),
            route: RouteName::new("r").unwrap(),
            status,
            reason: None,
            read: 0,
            resumed: 0,
            counts: counts.iter().copied().collect(),
            steps: Vec::new(),
            waiting: 0,
            rolling_back: 0,
            handlers: HandlerReport::default(),
            added_to_lock: Vec::new(),
            took_ms: 0,
            class,
        };
        assert_eq!(report.exit_code(), expected, "{report:?}");
        let fine = expected == 4 && status != RunStatus::Failed;
        assert_eq!(report.undo_exit_code(), if fine { 0 } else { expected }, "{report:?}");
        let unfinished = RunReport { rolling_back: 1, ..report };
        assert_ne!(unfinished.undo_exit_code(), 0, "{unfinished:?}");
    }

    #[test]
    fn exit_codes() {
        use RunStatus::{Cancelled, CompletedWithFailures, Failed, Ok as Fine};
        check(Fine, None, &[(Status::Ok, 3)], 0);
        check(CompletedWithFailures, None, &[(Status::Failed, 1)], 4);
        check(Cancelled, None, &[], 4);
        check(Failed, Some(ErrorClass::Environment), &[(Status::Failed, 1)], 3);
        check(Failed, Some(ErrorClass::NeedsOperator), &[], 5);
        check(CompletedWithFailures, None, &[(Status::RollbackFailed, 1)], 5);
        check(Failed, Some(ErrorClass::Environment), &[(Status::RollbackFailed, 1)], 5);
        check(Cancelled, None, &[(Status::Indeterminate, 1)], 5);
    }
}
