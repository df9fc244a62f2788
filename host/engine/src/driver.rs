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
    Clock, DestinationPort, Ledger, PortError, PortFuture, RunEnd, RunStart, SourcePort, StepCounts, TransformerPort,
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
    let opening = ports.ledger.begin_run(start).await?;
    let mut calling = Calling::begin(&spec, &ports);
    let mut doing = Doing::new(&spec, ports, calling.line.clone());
    let mut machine = Machine::new(spec, opening, doing.ports.clock.now());
    let (tell, mut told) = mpsc::unbounded_channel();
    let _listeners = listen(&doing.ports.connectors, &tell);
    let mut cancel_open = true;
    if *cancel.borrow_and_update() {
        doing.perform(machine.on(doing.ports.clock.now(), Input::Cancel));
    }
    doing.perform(machine.on(doing.ports.clock.now(), Input::Begin));
    while doing.end.is_none() {
        if doing.has_nothing() && !machine.waits_for_handlers() {
            return Err(stuck());
        }
        let input = tokio::select! {
            biased;
            changed = cancel.changed(), if cancel_open => match changed {
                Ok(()) if *cancel.borrow_and_update() => Input::Cancel,
                Ok(()) => continue,
                Err(_) => { cancel_open = false; continue }
            },
            said = calling.hear() => Input::HandlersIdle(said?),
            Some((step, down)) = told.recv() => Input::Heard(step, down),
            Some(done) = doing.tasks.join_next() => done.map_err(|error| lost_task(&error))??,
            () = wait(&mut doing.wake) => { doing.wake = None; Input::Woke }
        };
        let actions = machine.on(doing.ports.clock.now(), input);
        doing.perform(actions);
        progress.send_replace(machine.progress());
    }
    let Some(end) = doing.end.take() else { return Err(stuck()) };
    let report = report(&machine, &end, began);
    let cancelled = end.status == RunStatus::Cancelled;
    doing.ports.ledger.end_run(*end).await?;
    let handlers = calling.finish(cancelled, cancel, cancel_open).await?;
    Ok(RunReport { handlers, ..report })
}

fn report(machine: &Machine, end: &RunEnd, began: Timestamp) -> RunReport {
    let progress = machine.progress();
    RunReport {
        run: end.run.clone(),
        status: end.status,
        reason: end.reason.clone(),
        class: machine.class(),
        read: end.read,
        resumed: end.resumed,
        counts: end.counts,
        steps: progress.steps,
        waiting: progress.waiting,
        rolling_back: progress.rolling_back,
        handlers: HandlerCounts::default(),
        began,
        ended: end.at,
    }
}

/// The handlers, called beside the run.
struct Calling {
    line: mpsc::UnboundedSender<HandlerInput>,
    idle: mpsc::UnboundedReceiver<u64>,
    task: AbortOnDrop<Result<HandlerCounts, PortError>>,
}

impl Calling {
    fn begin(spec: &RunSpec, ports: &Ports) -> Self {
        let (line, told) = mpsc::unbounded_channel();
        let (say_idle, idle) = mpsc::unbounded_channel();
        let (ledger, clock) = (Arc::clone(&ports.ledger), Arc::clone(&ports.clock));
        let calls = handlers::run(spec.route.clone(), ports.handlers.clone(), ledger, clock, spec.seed, told, say_idle);
        Self { line, idle, task: AbortOnDrop(tokio::spawn(calls)) }
    }

    /// That nothing is left to be done, as [`Input::HandlersIdle`] has it.
    async fn hear(&mut self) -> Result<u64, PortError> {
        tokio::select! {
            biased;
            Some(notices) = self.idle.recv() => Ok(notices),
            // They end by themselves only if the ledger cannot do its work.
            ended = &mut self.task.0 => {
                ended.map_err(|error| lost_task(&error))??;
                Err(stuck())
            }
        }
    }

    /// The run has ended, durably: its own handlers are in the ledger now.
    async fn finish(
        mut self,
        cancelled: bool,
        mut cancel: watch::Receiver<bool>,
        mut cancel_open: bool,
    ) -> Result<HandlerCounts, PortError> {
        let _ = self.line.send(HandlerInput::Poke);
        let _ = self.line.send(if cancelled { HandlerInput::Cancel } else { HandlerInput::Finish });
        loop {
            tokio::select! {
                biased;
                done = &mut self.task.0 => return done.map_err(|error| lost_task(&error))?,
                changed = cancel.changed(), if cancel_open => match changed {
                    Ok(()) if *cancel.borrow_and_update() => drop(self.line.send(HandlerInput::Cancel)),
                    Ok(()) => {}
                    Err(_) => cancel_open = false,
                },
            }
        }
    }
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
    end: Option<Box<RunEnd>>,
    to_handlers: mpsc::UnboundedSender<HandlerInput>,
}

impl Doing {
    fn new(spec: &RunSpec, ports: Ports, to_handlers: mpsc::UnboundedSender<HandlerInput>) -> Self {
        Self {
            ports,
            run: spec.run.clone(),
            route: spec.route.clone(),
            lane: if matches!(spec.entry, Entry::Resync(_) | Entry::Probe(_)) { Lane::Resync } else { Lane::Live },
            tasks: JoinSet::new(),
            wake: None,
            end: None,
            to_handlers,
        }
    }

    fn has_nothing(&self) -> bool {
        self.tasks.is_empty() && self.wake.is_none()
    }

    fn perform(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Read(..)
                | Action::Ack(_)
                | Action::Transform(..)
                | Action::Write(..)
                | Action::Probe(..)
                | Action::Check(..)
                | Action::CheckConnector(_)
                | Action::Compensate(..) => self.call_plugin(action),
                other => self.ask_ledger(other),
            }
        }
    }

    fn call_plugin(&mut self, action: Action) {
        match action {
            Action::Read(position, limits) => {
                self.of_source(async move |source| Input::Page(source.read(position, limits).await));
            }
            Action::Ack(checkpoint) => self.of_source(async move |source| Input::Acked(source.ack(checkpoint).await)),
            Action::Transform(number, step, batch) => {
                let port = self.ports.steps.get(step).cloned();
                self.tasks.spawn(async move {
                    let Some(StepPort::Transformer(port)) = port else { return Err(stuck()) };
                    Ok(Input::Transformed(number, port.transform(batch).await))
                });
            }
            Action::Write(number, step, batch, keys, options) => {
                self.at_its_turn(step, self.lane, batch.len(), async move |port| {
                    Input::Written(number, port.write(batch, keys, options).await)
                });
            }
            Action::Compensate(number, step, batch) => {
                self.at_its_turn(step, Lane::Live, batch.ids.len(), async move |port| {
                    Input::Compensated(number, port.compensate(batch).await)
                });
            }
            Action::Probe(number, step, batch, keys) => {
                self.of_step(step, async move |port| Input::Probed(number, port.probe(batch, keys).await));
            }
            Action::Check(number, step) => {
                self.of_step(step, async move |port| Input::Checked(number, port.check().await));
            }
            Action::CheckConnector(step) => {
                self.of_step(step, async move |port| Input::ConnectorChecked(step, port.check().await));
            }
            _ => {}
        }
    }

    fn of_source<F: Future<Output = Input> + Send>(
        &mut self,
        ask: impl FnOnce(Arc<dyn SourcePort>) -> F + Send + 'static,
    ) {
        let source = self.ports.source.clone();
        self.tasks.spawn(async move {
            let Some(source) = source else { return Err(stuck()) };
            Ok(ask(source).await)
        });
    }

    fn of_step<F: Future<Output = Input> + Send>(
        &mut self,
        step: usize,
        ask: impl FnOnce(Arc<dyn DestinationPort>) -> F + Send + 'static,
    ) {
        let port = self.ports.steps.get(step).cloned();
        self.tasks.spawn(async move {
            let Some(StepPort::Destination(port)) = port else { return Err(stuck()) };
            Ok(ask(port).await)
        });
    }

    /// As `of_step`, once the connector lets so many records through.
    fn at_its_turn<F: Future<Output = Input> + Send>(
        &mut self,
        step: usize,
        lane: Lane,
        records: usize,
        ask: impl FnOnce(Arc<dyn DestinationPort>) -> F + Send + 'static,
    ) {
        let connector = self.ports.connectors.get(step).cloned().flatten();
        let clock = Arc::clone(&self.ports.clock);
        self.of_step(step, async move |port| {
            let _turn = match &connector {
                Some(connector) => Some(connector.turn(lane, records, &*clock).await),
                None => None,
            };
            ask(port).await
        });
    }

    fn ask_ledger(&mut self, action: Action) {
        let ledger = Arc::clone(&self.ports.ledger);
        let (route, now) = (self.route.clone(), self.ports.clock.now());
        match action {
            Action::Intend(number, intent) => {
                // Gets in line here and now: the order of actions is the order in the ledger.
                let durable = ledger.intend(intent);
                self.tasks.spawn(async move { durable.await.map(|()| Input::Intended(number)) });
            }
            Action::Commit(commit) => {
                let poke = (!commit.tasks.is_empty() || commit.settles_open).then(|| self.to_handlers.clone());
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
                self.tasks.spawn(async move { Ok(Input::Due(ledger.due(route, of_run, now, limit).await?)) });
            }
            Action::TakeRollingBack(limit) => {
                self.tasks.spawn(async move { Ok(Input::RollingBack(ledger.rolling_back(route, now, limit).await?)) });
            }
            Action::TakeOpen => {
                self.tasks.spawn(async move { Ok(Input::OpenApplied(ledger.open_applied(route).await?)) });
            }
            Action::Load(ids) => {
                self.tasks.spawn(async move { Ok(Input::Loaded(ledger.load(route, ids).await?)) });
            }
            Action::WakeAt(at) => {
                let clock = Arc::clone(&self.ports.clock);
                self.wake = Some(Box::pin(async move { clock.sleep_until(at).await }));
            }
            Action::Announce(step, down) => {
                if let Some(Some(connector)) = self.ports.connectors.get(step) {
                    connector.announce(down);
                }
            }
            Action::End(end) => self.end = Some(end),
            _ => {}
        }
    }
}
