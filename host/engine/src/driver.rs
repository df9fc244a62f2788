//! The one place where the machine's actions are performed.

mod connector;
mod handlers;

pub use connector::{Connector, Lane, RESYNC_YIELDS_MAX_MS};
pub use handlers::HandlerPort;

use crate::codes;
use crate::handlers::{HandlerCounts, Input as HandlerInput};
use crate::machine::{Action, ConnectorDown, Input, Machine, Progress};
use crate::plan::{Entry, RunSpec};
use crate::ports::{
    Clock, DestinationPort, Ledger, PortError, PortFuture, RunStart, SourcePort, StepCounts, TransformerPort,
};
use crossdock_model::{Counts, ErrorClass, Failure, RouteName, RunId, RunStatus, StepName, Timestamp};
use std::sync::Arc;
use tokio::sync::{mpsc, watch};
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
    /// What is shared with other runs of each step's connector; steps beyond the end of the list share nothing.
    pub connectors: Vec<Option<Arc<Connector>>>,
    /// The handlers of the route, in any order.
    pub handlers: Vec<HandlerPort>,
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
    /// Records that are still rolling back; the next run goes on with them.
    pub rolling_back: u64,
    /// What the handlers did, those of the run included.
    pub handlers: HandlerCounts,
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
/// Handlers are called beside the run and after its end; this returns when they are done too. What a cancelled run
/// leaves of them is done with the next one.
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
    let lane = if matches!(spec.entry, Entry::Resync(_) | Entry::Probe(_)) { Lane::Resync } else { Lane::Live };
    let (to_handlers, line) = mpsc::unbounded_channel();
    let (say_idle, mut idle) = mpsc::unbounded_channel();
    let calling = handlers::run(
        route.clone(),
        ports.handlers.clone(),
        Arc::clone(&ports.ledger),
        Arc::clone(&ports.clock),
        spec.seed,
        line,
        say_idle,
    );
    let mut calling = AbortOnDrop(tokio::spawn(calling));
    let (tell, mut told) = mpsc::unbounded_channel();
    let _listeners = listen(&ports.connectors, &tell);
    let mut machine = Machine::new(spec, opening, ports.clock.now());
    let mut doing = Doing {
        ports,
        run: run.clone(),
        route,
        lane,
        tasks: JoinSet::new(),
        wake: None,
        end: None,
        to_handlers: to_handlers.clone(),
    };
    let mut cancel_open = true;
    let mut handlers_ended = false;
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
            handled = &mut calling.0, if !handlers_ended => {
                // They end by themselves only if the ledger cannot do its work.
                handled.map_err(|error| lost_task(&error))??;
                handlers_ended = true;
                continue;
            }
            Some(notices) = idle.recv() => Input::HandlersIdle(notices),
            Some((step, down)) = told.recv() => Input::Heard(step, down),
            Some(done) = doing.tasks.join_next() => done.map_err(|error| lost_task(&error))??,
            () = wait(&mut doing.wake) => { doing.wake = None; Input::Woke }
            else => return Err(stuck()),
        };
        let actions = machine.on(doing.ports.clock.now(), input);
        doing.perform(actions);
        progress.send_replace(machine.progress());
    }
    let Some(end) = doing.end.take() else { return Err(stuck()) };
    let cancelled = end.status == RunStatus::Cancelled;
    let mut report = RunReport {
        run,
        status: end.status,
        reason: end.reason.clone(),
        class: machine.class(),
        read: end.read,
        resumed: end.resumed,
        counts: end.counts,
        steps: machine.progress().steps,
        waiting: machine.progress().waiting,
        rolling_back: machine.progress().rolling_back,
        handlers: HandlerCounts::default(),
        began,
        ended: end.at,
    };
    doing.ports.ledger.end_run(*end).await?;
    // The handlers of the run itself are in the ledger now.
    let _ = to_handlers.send(HandlerInput::Poke);
    let _ = to_handlers.send(if cancelled { HandlerInput::Cancel } else { HandlerInput::Finish });
    while !handlers_ended {
        tokio::select! {
            biased;
            done = &mut calling.0 => {
                report.handlers = done.map_err(|error| lost_task(&error))??;
                handlers_ended = true;
            }
            changed = cancel.changed(), if cancel_open => match changed {
                Ok(()) if *cancel.borrow_and_update() => drop(to_handlers.send(HandlerInput::Cancel)),
                Ok(()) => {}
                Err(_) => cancel_open = false,
            },
        }
    }
    Ok(report)
}

struct AbortOnDrop<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Passes on what other runs find out about the connectors.
fn listen(
    connectors: &[Option<Arc<Connector>>],
    tell: &mpsc::UnboundedSender<(usize, Option<ConnectorDown>)>,
) -> JoinSet<()> {
    let mut listeners = JoinSet::new();
    for (step, connector) in connectors.iter().enumerate() {
        let Some(connector) = connector else { continue };
        let (mut down, tell) = (connector.listen(), tell.clone());
        if let Some(known) = down.borrow_and_update().clone() {
            let _ = tell.send((step, Some(known)));
        }
        listeners.spawn(async move {
            while down.changed().await.is_ok() {
                let known = down.borrow_and_update().clone();
                if tell.send((step, known)).is_err() {
                    return;
                }
            }
        });
    }
    listeners
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
    lane: Lane,
    tasks: JoinSet<Result<Input, PortError>>,
    wake: Option<PortFuture<'static, ()>>,
    end: Option<Box<crate::ports::RunEnd>>,
    to_handlers: mpsc::UnboundedSender<HandlerInput>,
}

impl Doing {
    fn perform(&mut self, actions: Vec<Action>) {
        for action in actions {
            self.perform_one(action);
        }
    }

    /// What is shared of a step's connector, and the clock by which it is waited for.
    fn connector(&self, step: usize) -> (Option<Arc<Connector>>, Arc<dyn Clock>) {
        (self.ports.connectors.get(step).cloned().flatten(), Arc::clone(&self.ports.clock))
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
                let (connector, clock) = self.connector(step);
                let lane = self.lane;
                self.tasks.spawn(async move {
                    let Some(StepPort::Destination(port)) = port else { return Err(stuck()) };
                    let _turn = match &connector {
                        Some(connector) => Some(connector.turn(lane, batch.len(), &*clock).await),
                        None => None,
                    };
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
            Action::Announce(step, down) => {
                if let Some(Some(connector)) = self.ports.connectors.get(step) {
                    connector.announce(down);
                }
            }
            Action::Compensate(number, step, batch) => {
                let port = self.ports.steps.get(step).cloned();
                let (connector, clock) = self.connector(step);
                self.tasks.spawn(async move {
                    let Some(StepPort::Destination(port)) = port else { return Err(stuck()) };
                    let _turn = match &connector {
                        Some(connector) => Some(connector.turn(Lane::Live, batch.ids.len(), &*clock).await),
                        None => None,
                    };
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
                let poke = (!commit.tasks.is_empty()).then(|| self.to_handlers.clone());
                let durable = ledger.commit(*commit);
                self.tasks.spawn(async move {
                    durable.await?;
                    if let Some(to_handlers) = poke {
                        let _ = to_handlers.send(HandlerInput::Poke);
                    }
                    Ok(Input::Committed)
                });
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
