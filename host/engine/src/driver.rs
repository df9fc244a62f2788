//! The one place where the machine's actions are performed.

use crate::codes;
use crate::machine::{Action, Input, Machine, Progress};
use crate::plan::RunSpec;
use crate::ports::{
    Clock, DestinationPort, Ledger, PortError, PortFuture, RunStart, SourcePort, StepCounts, TransformerPort,
};
use crossdock_model::{Counts, ErrorClass, Failure, RouteName, RunId, RunStatus, StepName, Timestamp};
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// A step in use.
#[derive(Clone)]
pub enum StepPort {
    /// A transformer.
    Transformer(Arc<dyn TransformerPort>),
    /// A destination.
    Destination(Arc<dyn DestinationPort>),
}

/// What a run works with.
#[derive(Clone)]
pub struct Ports {
    /// The source; a resync does without.
    pub source: Option<Arc<dyn SourcePort>>,
    /// One a step, in the order of the route.
    pub steps: Vec<StepPort>,
    /// The ledger.
    pub ledger: Arc<dyn Ledger>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunReport {
    /// The run.
    pub run: RunId,
    /// How it ended; never [`RunStatus::Running`].
    pub status: RunStatus,
    /// Why, if it failed or was cancelled.
    pub reason: Option<Failure>,
    /// Who can do something about why it failed. `None` if it did not fail, and if the records tell.
    pub class: Option<ErrorClass>,
    /// Records read from the source.
    pub read: u64,
    /// Records taken up from the ledger.
    pub resumed: u64,
    /// Where they stand.
    pub counts: Counts,
    /// How each step fared.
    pub steps: Vec<(StepName, StepCounts)>,
    /// Records that wait for another attempt.
    pub waiting: u64,
    /// When it began.
    pub began: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
}

/// Runs a route once, from its beginning to its durable end.
///
/// `cancel` stops the run in good order once it holds `true`: what is under way is finished and written down,
/// nothing more is begun. `progress` is given a new value after every change.
///
/// Dropping the future stops the run at once, as a crash would: the ledger shows when it is opened again
/// which records are in doubt.
///
/// # Errors
/// When a port could not do its own work. What became of the records then is what the ledger says when it is
/// opened again.
pub async fn run(
    spec: RunSpec,
    start: RunStart,
    ports: Ports,
    mut cancel: watch::Receiver<bool>,
    progress: watch::Sender<Progress>,
) -> Result<RunReport, PortError> {
    let began = start.at;
    let (run, route) = (spec.run.clone(), spec.route.clone());
    let opening = ports.ledger.begin_run(start).await?;
    let mut machine = Machine::new(spec, opening, ports.clock.now());
    let mut doing = Doing { ports, run: run.clone(), route, tasks: JoinSet::new(), wake: None, end: None };
    let mut cancel_open = true;
    if *cancel.borrow_and_update() {
        doing.perform(machine.on(doing.ports.clock.now(), Input::Cancel));
    }
    doing.perform(machine.on(doing.ports.clock.now(), Input::Begin));
    while doing.end.is_none() {
        let input = tokio::select! {
            biased;
            changed = cancel.changed(), if cancel_open => match changed {
                Ok(()) if *cancel.borrow_and_update() => Input::Cancel,
                Ok(()) => continue,
                Err(_) => { cancel_open = false; continue }
            },
            Some(done) = doing.tasks.join_next() => done.map_err(|error| lost_task(&error))??,
            () = wait(&mut doing.wake) => { doing.wake = None; Input::Woke }
            else => return Err(stuck()),
        };
        let actions = machine.on(doing.ports.clock.now(), input);
        doing.perform(actions);
        progress.send_replace(machine.progress());
    }
    let Some(end) = doing.end.take() else { return Err(stuck()) };
    let report = RunReport {
        run,
        status: end.status,
        reason: end.reason.clone(),
        class: machine.class(),
        read: end.read,
        resumed: end.resumed,
        counts: end.counts,
        steps: machine.progress().steps,
        waiting: machine.progress().waiting,
        began,
        ended: end.at,
    };
    doing.ports.ledger.end_run(*end).await?;
    Ok(report)
}

async fn wait(wake: &mut Option<PortFuture<'static, ()>>) {
    match wake {
        Some(sleep) => sleep.await,
        None => std::future::pending().await,
    }
}

fn lost_task(error: &tokio::task::JoinError) -> PortError {
    PortError {
        code: codes::PORT_PANICKED.name,
        class: ErrorClass::Internal,
        message: format!("a part of the host ended without an answer: {error}"),
        fix: Some("run the route again: it goes on where it stopped; please report this".into()),
    }
}

fn stuck() -> PortError {
    PortError {
        code: codes::STUCK.name,
        class: ErrorClass::Internal,
        message: "the run has nothing under way and has not ended".into(),
        fix: Some("run the route again: it goes on where it stopped; please report this".into()),
    }
}

/// What is being done.
struct Doing {
    ports: Ports,
    run: RunId,
    route: RouteName,
    tasks: JoinSet<Result<Input, PortError>>,
    wake: Option<PortFuture<'static, ()>>,
    end: Option<Box<crate::ports::RunEnd>>,
}

impl Doing {
    fn perform(&mut self, actions: Vec<Action>) {
        for action in actions {
            self.perform_one(action);
        }
    }

    fn perform_one(&mut self, action: Action) {
        let ledger = Arc::clone(&self.ports.ledger);
        match action {
            Action::Read(position, limits) => {
                let source = self.ports.source.clone();
                self.tasks.spawn(async move {
                    let Some(source) = source else { return Err(stuck()) };
                    Ok(Input::Page(source.read(position, limits).await))
                });
            }
            Action::Ack(checkpoint) => {
                let source = self.ports.source.clone();
                self.tasks.spawn(async move {
                    let Some(source) = source else { return Err(stuck()) };
                    Ok(Input::Acked(source.ack(checkpoint).await))
                });
            }
            Action::Transform(number, step, batch) => {
                let port = self.ports.steps.get(step).cloned();
                self.tasks.spawn(async move {
                    let Some(StepPort::Transformer(port)) = port else { return Err(stuck()) };
                    Ok(Input::Transformed(number, port.transform(batch).await))
                });
            }
            Action::Write(number, step, batch, keys, options) => {
                let port = self.ports.steps.get(step).cloned();
                self.tasks.spawn(async move {
                    let Some(StepPort::Destination(port)) = port else { return Err(stuck()) };
                    Ok(Input::Written(number, port.write(batch, keys, options).await))
                });
            }
            Action::Probe(number, step, batch, keys) => {
                let port = self.ports.steps.get(step).cloned();
                self.tasks.spawn(async move {
                    let Some(StepPort::Destination(port)) = port else { return Err(stuck()) };
                    Ok(Input::Probed(number, port.probe(batch, keys).await))
                });
            }
            Action::Check(number, step) => {
                let port = self.ports.steps.get(step).cloned();
                self.tasks.spawn(async move {
                    let Some(StepPort::Destination(port)) = port else { return Err(stuck()) };
                    Ok(Input::Checked(number, port.check().await))
                });
            }
            Action::CheckConnector(step) => {
                let port = self.ports.steps.get(step).cloned();
                self.tasks.spawn(async move {
                    let Some(StepPort::Destination(port)) = port else { return Err(stuck()) };
                    Ok(Input::ConnectorChecked(step, port.check().await))
                });
            }
            Action::Announce(..) => {}
            Action::Compensate(number, step, batch) => {
                let port = self.ports.steps.get(step).cloned();
                self.tasks.spawn(async move {
                    let Some(StepPort::Destination(port)) = port else { return Err(stuck()) };
                    Ok(Input::Compensated(number, port.compensate(batch).await))
                });
            }
            Action::TakeRollingBack(limit) => {
                let (route, now) = (self.route.clone(), self.ports.clock.now());
                self.tasks.spawn(async move { Ok(Input::RollingBack(ledger.rolling_back(route, now, limit).await?)) });
            }
            Action::TakeOpen => {
                let route = self.route.clone();
                self.tasks.spawn(async move { Ok(Input::OpenApplied(ledger.open_applied(route).await?)) });
            }
            Action::Intend(number, intent) => {
                // Gets in line here and now: the order of actions is the order in the ledger.
                let durable = ledger.intend(intent);
                self.tasks.spawn(async move { durable.await.map(|()| Input::Intended(number)) });
            }
            Action::Commit(commit) => {
                let durable = ledger.commit(*commit);
                self.tasks.spawn(async move { durable.await.map(|()| Input::Committed) });
            }
            Action::TakeDue(limit, own) => {
                let of_run = own.then(|| self.run.clone());
                let (route, now) = (self.route.clone(), self.ports.clock.now());
                self.tasks.spawn(async move { Ok(Input::Due(ledger.due(route, of_run, now, limit).await?)) });
            }
            Action::Load(ids) => {
                let route = self.route.clone();
                self.tasks.spawn(async move { Ok(Input::Loaded(ledger.load(route, ids).await?)) });
            }
            Action::WakeAt(at) => {
                let clock = Arc::clone(&self.ports.clock);
                self.wake = Some(Box::pin(async move { clock.sleep_until(at).await }));
            }
            Action::End(end) => self.end = Some(end),
        }
    }
}
