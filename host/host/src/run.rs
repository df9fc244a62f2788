//! Runs: a loaded route, put to work.

use crate::error::Error;
use crate::load::Loaded;
use crate::world::{SystemClock, new_run_id, new_seed};
use crossdock_engine::driver::{self, Ports, RunReport as EngineReport};
use crossdock_engine::machine::Progress;
use crossdock_engine::plan::{Breaker, Entry, LogLevel, OnError, Policy, Retry, Role, RunSpec, StepSpec};
use crossdock_engine::ports::{Cause, Clock, Ledger, RunStart};
use crossdock_model::{ErrorClass, RunId, RunStatus, Status};
use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How many batches may be under way at once: one is read while one is transformed and one is written.
const WINDOW: u32 = 4;

/// A run under way. Dropping it stops the run as a crash would; use [`Running::cancel`] to stop it in good order.
#[derive(Debug)]
pub struct Running {
    run: RunId,
    progress: watch::Receiver<Progress>,
    cancel: Canceller,
    task: AbortOnDrop<Result<EngineReport, Error>>,
}

#[derive(Debug)]
struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Running {
    /// Its id.
    #[must_use]
    pub fn run(&self) -> &RunId {
        &self.run
    }

    /// How it is getting on; the receiver sees a new value after every change.
    #[must_use]
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// Asks it to stop: what is under way is finished and written down, nothing more is begun.
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
        match (&mut self.task.0).await {
            Ok(report) => Ok(RunReport::from(report?)),
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
pub struct RunReport {
    /// The run.
    pub run: RunId,
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
    /// From its beginning to its durable end, in milliseconds.
    pub took_ms: u64,
    #[serde(skip)]
    class: Option<ErrorClass>,
}

/// How a step fared in a run.
#[derive(Debug, Clone, Serialize)]
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

    /// The exit code for it: 0 ok; 4 some records are not ok; 5 a person has to decide about some; 2 or 3 if
    /// the route or its surroundings kept the run from going on.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        let undecided = self.count(Status::Indeterminate) > 0 || self.count(Status::RollbackFailed) > 0;
        match (self.status, self.class) {
            (RunStatus::Ok, _) => 0,
            (RunStatus::Failed, Some(class)) => class.exit_code(),
            _ if undecided => ErrorClass::NeedsOperator.exit_code(),
            _ => 4,
        }
    }
}

impl From<EngineReport> for RunReport {
    fn from(report: EngineReport) -> Self {
        Self {
            run: report.run,
            status: report.status,
            reason: report.reason,
            read: report.read,
            resumed: report.resumed,
            counts: report.counts.iter().collect(),
            steps: report.steps.into_iter().map(|(step, counts)| StepReport { step, counts }).collect(),
            waiting: report.waiting,
            took_ms: report.ended.ms_since(report.began),
            class: report.class,
        }
    }
}

/// What the route asks for, in the engine's words.
fn spec(loaded: &Loaded, run: RunId, entry: Entry) -> RunSpec {
    let route = &loaded.route;
    let steps = loaded.steps.iter().zip(route.steps()).map(|(step, written)| {
        let retry = written.retry.policy(&step.checked);
        StepSpec {
            name: step.name.clone(),
            role: match step.destination() {
                None => Role::Transformer { pure: step.abilities.pure },
                Some(_) => Role::Destination {
                    idempotency: step.abilities.idempotency,
                    probes: step.abilities.probes,
                    compensates: step.abilities.compensates,
                },
            },
            max_batch: step.abilities.max_batch,
            retry: Retry {
                attempts: retry.attempts_max,
                first_ms: retry.first_ms,
                max_ms: retry.max_ms,
                total_ms: retry.total_ms,
            },
            breaker: Breaker { failures: 5, open_ms: 10_000, max_ms: 300_000, total_ms: 3_600_000 },
            handlers: Vec::new(),
        }
    });
    let batch = route.batch();
    RunSpec {
        run,
        route: route.name().clone(),
        policy: Policy {
            on_error: match route.on_error() {
                crossdock_route::OnError::Stop => OnError::Stop,
                crossdock_route::OnError::Continue => OnError::Continue,
            },
            max_failed: route.max_failed(),
            max_failed_ratio: route.max_failed_ratio(),
            max_failed_window: 1_000,
            max_faults: route.max_faults(),
            rollback: crossdock_engine::plan::Rollback::None,
            rollback_records_max: 100_000,
            log: match route.log() {
                crossdock_route::LogLevel::Summary => LogLevel::Summary,
                crossdock_route::LogLevel::Ids => LogLevel::Ids,
                crossdock_route::LogLevel::Full => LogLevel::Full,
            },
            batch_records: batch.records_max,
            batch_bytes: u32::try_from(batch.bytes_max).unwrap_or(u32::MAX),
            window: WINDOW,
        },
        steps: steps.collect(),
        entry,
        run_handlers: Vec::new(),
        seed: new_seed(),
    }
}

/// Puts a loaded route to work.
pub(crate) fn start(loaded: Loaded, entry: Entry, cause: Cause, ledger: Arc<dyn Ledger>) -> Running {
    let run = new_run_id();
    let from_source = matches!(entry, Entry::Source { .. });
    let spec = spec(&loaded, run.clone(), entry);
    let start = RunStart {
        run: run.clone(),
        route: loaded.route.name().clone(),
        route_hash: loaded.route.hash().to_owned(),
        definition: loaded.route.text().to_owned(),
        plugins: loaded.plugins,
        cause,
        at: SystemClock.now(),
    };
    let ports = Ports {
        source: from_source.then_some(loaded.source),
        steps: loaded.steps.into_iter().map(|step| step.port).collect(),
        connectors: Vec::new(),
        handlers: Vec::new(),
        ledger,
        clock: Arc::new(SystemClock),
    };
    let (engine, cancelled) = watch::channel(false);
    let cancel = Canceller { engine, plugins: loaded.cancelled.clone() };
    let (report_progress, progress) = watch::channel(Progress::default());
    let task = tokio::spawn(async move { Ok(driver::run(spec, start, ports, cancelled, report_progress).await?) });
    Running { run, progress, cancel, task: AbortOnDrop(task) }
}
