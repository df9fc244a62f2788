//! The state machine of one run: `on(now, input) -> Vec<Action>`.
//!
//! It knows no clock, does no I/O and never fails: what goes wrong outside comes in as an input. A run is a
//! short queue of flights, each a batch on its way through the steps. Flights pass every step in order,
//! and only one is in a step at a time, so records keep the order of their source; several are under way at
//! once, so a transformer works on one batch while a destination writes the one before it.
//!
//! With `on_error = "stop"` a batch enters a destination only when it is the oldest one, so that nothing is
//! written behind a record that fails.

mod end;
mod enter;
mod evidence;
mod flight;
mod gate;
mod ledger_entry;
mod limits;
mod order;
mod park;
mod progress;
mod reading;
mod row;

mod settle;
mod tasks;
mod transform;
mod undo;
mod write;

pub(crate) use evidence::of_record;
pub use gate::ConnectorDown;
pub use progress::Progress;
pub(crate) use undo::attributes_of;

use crate::codes;
use crate::plan::{DEATHS_BEFORE_CARE, Entry, OnError, Position, Role, Rollback, RunSpec};
use crate::ports::{
    BatchCommit, CallResult, DueRows, Exchange, Intent, Page, PageLimits, PortError, Probed, RecordRow, RunEnd,
    RunOpening, StepCounts, Transformed, UndoBatch, Undone, WriteOptions, Written,
};
use crate::retry::Jitter;
use crossdock_model::{
    Batch, Checkpoint, Column, Counts, ErrorClass, Event, EventKind, Failure, Fault, RecordId, StepName, Timestamp,
};
use flight::{Flight, Phase};
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

/// The number of a batch within its run.
pub type BatchNumber = u64;

/// Something that happened outside.
#[derive(Debug)]
pub enum Input {
    /// The run begins. First, once.
    Begin,
    /// The answer to [`Action::Read`].
    Page(CallResult<Page>),
    /// The answer to [`Action::Transform`].
    Transformed(BatchNumber, CallResult<Transformed>),
    /// The intent of a batch is durable.
    Intended(BatchNumber),
    /// The answer to [`Action::Write`].
    Written(BatchNumber, CallResult<Written>),
    /// The answer to [`Action::Probe`].
    Probed(BatchNumber, CallResult<Probed>),
    /// The answer to [`Action::Check`].
    Checked(BatchNumber, CallResult<()>),
    /// The answer to [`Action::CheckConnector`].
    ConnectorChecked(usize, CallResult<()>),
    /// Another run has found out that the connector of this step cannot be used, or can be again.
    Heard(usize, Option<ConnectorDown>),
    /// The answer to [`Action::Compensate`].
    Compensated(BatchNumber, CallResult<Undone>),
    /// The answer to [`Action::TakeRollingBack`].
    RollingBack(DueRows),
    /// The answer to [`Action::TakeOpen`].
    OpenApplied(Vec<RecordRow>),
    /// A commit is durable.
    Committed,
    /// The answer to [`Action::TakeDue`].
    Due(DueRows),
    /// The answer to [`Action::Load`].
    Loaded(Vec<RecordRow>),
    /// No handler task is left to be done, as of so many notices that there may be some: one at the beginning, one
    /// after each commit that holds tasks.
    HandlersIdle(u64),
    /// The time of the last [`Action::WakeAt`] has come.
    Woke,
    /// The answer to [`Action::Ack`].
    Acked(CallResult<()>),
    /// Somebody wants the run to stop: nothing more is begun.
    Cancel,
}

/// Something to be done outside. Each is answered by one input, except `WakeAt` (replaced by the next one),
/// `Announce` and `End`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Read a page.
    Read(Position, PageLimits),
    /// Have a step transform a batch.
    Transform(BatchNumber, usize, Arc<Batch>),
    /// Make an intent durable.
    Intend(BatchNumber, Intent),
    /// Have a step write a batch, with these idempotency keys.
    Write(BatchNumber, usize, Arc<Batch>, Column, WriteOptions),
    /// Ask a step about a batch.
    Probe(BatchNumber, usize, Arc<Batch>, Column),
    /// Ask a step whether its system can be used.
    Check(BatchNumber, usize),
    /// The same, because its breaker is open.
    CheckConnector(usize),
    /// Tell other runs that use the connector of this step that it cannot be used, or can be again. Not answered.
    Announce(usize, Option<ConnectorDown>),
    /// Have a step undo what it applied.
    Compensate(BatchNumber, usize, UndoBatch),
    /// Ask the ledger for at most so many records that are rolling back and due.
    TakeRollingBack(u32),
    /// Ask the ledger for the open records for which something was applied.
    TakeOpen,
    /// Make a batch durable. In the order in which they are given.
    Commit(Box<BatchCommit>),
    /// Ask the ledger for at most so many records that are due; if `true` only those of this run.
    TakeDue(u32, bool),
    /// Load these records from the ledger.
    Load(Vec<RecordId>),
    /// Wake the machine at this time; replaces what was wanted before.
    WakeAt(Timestamp),
    /// Tell the source that everything up to here is durable.
    Ack(Checkpoint),
    /// Note the end of the run. Nothing comes after it.
    End(Box<RunEnd>),
}

/// Why a run stops before its end.
#[derive(Debug, Clone)]
struct Stop {
    reason: Failure,
    /// Who can do something about it; `None` where the records tell.
    class: Option<ErrorClass>,
}

/// The state machine of one run.
#[derive(Debug)]
pub struct Machine {
    spec: RunSpec,
    now: Timestamp,
    jitter: Jitter,
    actions: Vec<Action>,
    flights: VecDeque<Flight>,
    next_number: BatchNumber,
    /// Records after the checkpoint of which something is known.
    open: HashMap<Vec<u8>, RecordRow>,
    /// Records before the checkpoint that are settled otherwise than ok; the source may give them again.
    settled: HashMap<Vec<u8>, RecordRow>,
    /// Records that are in the ledger and not settled, or were when this run began: the source may give them again.
    unsettled: HashSet<Vec<u8>>,
    reading: reading::Reading,
    source_done: bool,
    position: Position,
    /// The source has given a page.
    moved: bool,
    /// The last checkpoint handed to the ledger in this run.
    committed: Position,
    acked: bool,
    acking: bool,
    /// No later page may move the checkpoint: one before it could not be settled.
    checkpoint_held: bool,
    commits_under_way: u32,
    /// All or nothing: records that were split are ok once the whole run is.
    split_for_now: Vec<RecordRow>,
    /// Records to be put through: of a resync or a probe.
    chosen: VecDeque<RecordId>,
    /// Records in the ledger whose turn has come.
    freed: VecDeque<RecordId>,
    /// Those that were taken up in this run because their turn had come.
    had_turn: HashSet<RecordId>,
    /// Nothing is read before handlers have done what an earlier run left to them: they may tell the source what it
    /// need not give again.
    handlers_first: bool,
    /// As [`Input::HandlersIdle`] said last.
    handlers_idle: u64,
    /// Notices given: one at the beginning, one a commit with tasks.
    notices: u64,
    /// They are being loaded.
    loading: bool,
    /// Those whose turn has come are.
    loading_freed: bool,
    /// Rows to be put through.
    queue: VecDeque<RecordRow>,
    /// Rows in the ledger that wait for their time.
    waiting: u64,
    next_due: Option<Timestamp>,
    taking: bool,
    /// Rows that have begun to wait since the ledger was asked: its answer may or may not know of them.
    waiting_since: (u64, Option<Timestamp>),
    woken_at: Option<Timestamp>,
    order: order::Order,
    /// So many records are still taken one by one, because runs before this one died.
    careful: u64,
    undoing: undo::Undoing,
    /// One a step.
    gates: Vec<gate::Gate>,
    stop: Option<Stop>,
    cancelled: bool,
    /// Nothing more is done outside, not even undone: it stays in the ledger for the next run.
    gave_up: bool,
    quarantine: Option<StepName>,
    faults: HashMap<StepName, u32>,
    /// How many records failed, and of how many, batch by batch as far as the share of the last ones is of interest.
    failed: u64,
    recent: VecDeque<(u64, u64)>,
    totals: Totals,
    events: Vec<Event>,
    ended: bool,
}

/// The numbers of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Totals {
    read: u64,
    resumed: u64,
    counts: Counts,
    steps: Vec<StepCounts>,
}

impl Machine {
    /// A machine for a run that is about to begin.
    #[must_use]
    pub fn new(spec: RunSpec, opening: RunOpening, now: Timestamp) -> Self {
        let from_source = matches!(spec.entry, Entry::Source { .. });
        let chosen = match &spec.entry {
            Entry::Source { .. } | Entry::Rollback => VecDeque::new(),
            Entry::Resync(ids) | Entry::Probe(ids) => ids.iter().cloned().collect(),
        };
        let known = opening.open.into_iter().map(|row| (row.id.0.clone().into_bytes(), row));
        let (open, settled) = known.partition(|(_, row)| row.open);
        let totals = Totals { steps: vec![StepCounts::default(); spec.steps.len()], ..Totals::default() };
        Self {
            now,
            jitter: Jitter::new(spec.seed),
            actions: Vec::new(),
            flights: VecDeque::new(),
            next_number: 1,
            open,
            settled,
            unsettled: opening.unsettled.into_iter().map(|id| id.0.into_bytes()).collect(),
            reading: reading::Reading::from(opening.checkpoint.as_ref()),
            source_done: !from_source,
            position: opening.checkpoint,
            moved: false,
            committed: None,
            acked: false,
            acking: false,
            // All or nothing: the checkpoint moves at the end.
            checkpoint_held: from_source && spec.policy.rollback == Rollback::Run,
            commits_under_way: 0,
            split_for_now: Vec::new(),
            chosen,
            freed: VecDeque::new(),
            had_turn: HashSet::new(),
            handlers_first: from_source && (opening.tasks > 0 || opening.rolling_back > 0),
            handlers_idle: 0,
            notices: 1,
            loading: false,
            loading_freed: false,
            queue: VecDeque::new(),
            waiting: if from_source { opening.pending } else { 0 },
            next_due: if from_source { opening.next_due } else { None },
            taking: false,
            waiting_since: (0, None),
            woken_at: None,
            order: order::Order::new(opening.blocking),
            careful: match opening.deaths >= DEATHS_BEFORE_CARE {
                true => u64::from(spec.policy.batch_records.max(1)) * u64::from(spec.policy.window.max(1)),
                false => 0,
            },
            undoing: undo::Undoing::new(opening.rolling_back, now),
            gates: vec![gate::Gate::default(); spec.steps.len()],
            stop: None,
            cancelled: false,
            gave_up: false,
            quarantine: None,
            faults: HashMap::new(),
            failed: 0,
            recent: VecDeque::new(),
            totals,
            events: Vec::new(),
            ended: false,
            spec,
        }
    }

    /// Takes note of what happened and says what is to be done.
    pub fn on(&mut self, now: Timestamp, input: Input) -> Vec<Action> {
        self.now = self.now.max(now);
        match input {
            Input::Begin => {}
            Input::Page(result) => self.on_page(result),
            Input::Transformed(number, result) => self.with_flight(number, |m, f| m.on_transformed(f, result)),
            Input::Intended(number) => self.with_flight(number, |m, f| m.on_intended(f)),
            Input::Written(number, result) => self.with_flight(number, |m, f| m.on_written(f, result)),
            Input::Probed(number, result) if self.is_undoing(number) => self.on_undo_probed(result),
            Input::Probed(number, result) => self.with_flight(number, |m, f| m.on_probed(f, result)),
            Input::Checked(number, result) => self.with_flight(number, |m, f| m.on_checked(f, result)),
            Input::ConnectorChecked(step, result) => self.on_connector_checked(step, result),
            Input::Heard(step, down) => self.on_heard(step, down),
            Input::Compensated(number, result) if self.is_undoing(number) => self.on_compensated(result),
            Input::Compensated(..) => {}
            Input::RollingBack(due) => self.on_rolling_back(due),
            Input::OpenApplied(rows) => self.on_open_applied(rows),
            Input::Committed => self.commits_under_way = self.commits_under_way.saturating_sub(1),
            Input::Due(due) => self.on_due(due),
            Input::Loaded(rows) => self.on_loaded(rows),
            Input::HandlersIdle(notices) => self.handlers_idle = self.handlers_idle.max(notices),
            Input::Woke => self.woken_at = None,
            Input::Acked(result) => self.on_acked(result),
            Input::Cancel => self.cancelled = true,
        }
        self.drive();
        std::mem::take(&mut self.actions)
    }

    /// Whether the run has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Whether nothing goes on before handlers have done what an earlier run left to them.
    #[must_use]
    pub fn waits_for_handlers(&self) -> bool {
        self.handlers_first && !self.is_stopping()
    }

    /// Who can do something about why the run failed. `None` if it did not fail, and if the records tell: a
    /// record that stopped it, too many that failed, a plugin that committed faults.
    #[must_use]
    pub fn class(&self) -> Option<ErrorClass> {
        self.stop.as_ref().and_then(|stop| stop.class)
    }

    /// Takes a flight out of the queue, lets it be worked on, and puts it back where it was.
    fn with_flight(&mut self, number: BatchNumber, work: impl FnOnce(&mut Self, &mut Flight)) {
        let Some(at) = self.flights.iter().position(|flight| flight.number == number) else { return };
        let Some(mut flight) = self.flights.remove(at) else { return };
        work(self, &mut flight);
        self.flights.insert(at, flight);
    }

    fn drive(&mut self) {
        if self.ended {
            return;
        }
        loop {
            let mut moved = self.start_from_queue();
            for at in 0..self.flights.len() {
                moved |= self.advance(at);
            }
            moved |= self.commit_front();
            if !moved {
                break;
            }
        }
        self.take_rollbacks();
        self.ask_connectors();
        self.read_more();
        self.load_more();
        self.take_more();
        self.end_if_done();
    }

    /// Lets the flight at this place of the queue enter its next step, if it may. Says whether it did.
    fn advance(&mut self, at: usize) -> bool {
        let Some(flight) = self.flights.get(at) else { return false };
        match flight.phase {
            Phase::Ready | Phase::Waiting => {}
            Phase::Held(until) if until <= self.now && !self.is_stopping() => {}
            Phase::Held(_) if self.is_stopping() => {
                let Some(mut flight) = self.flights.remove(at) else { return false };
                self.give_up(&mut flight);
                self.flights.insert(at, flight);
                return true;
            }
            _ => return false,
        }
        let step = flight.step;
        let held = matches!(flight.phase, Phase::Held(_));
        let waiting = flight.phase == Phase::Waiting;
        if flight.live.is_empty() || step >= self.spec.steps.len() {
            if let Some(flight) = self.flights.get_mut(at) {
                flight.phase = Phase::Done;
            }
            return true;
        }
        if self.is_stopping() {
            let Some(mut flight) = self.flights.remove(at) else { return false };
            self.give_up(&mut flight);
            self.flights.insert(at, flight);
            return true;
        }
        let in_order = self.flights.iter().take(at).all(|earlier| earlier.has_passed(step));
        let is_destination = matches!(self.spec.steps[step].role, Role::Destination { .. });
        if !in_order || (is_destination && self.spec.policy.on_error == OnError::Stop && at > 0) {
            return false;
        }
        if is_destination && !self.may_call(step) {
            return false;
        }
        let Some(mut flight) = self.flights.remove(at) else { return false };
        if waiting {
            self.go_on_at_destination(&mut flight);
        } else if held {
            self.write_again(&mut flight);
        } else if is_destination {
            self.enter_destination(&mut flight);
        } else {
            self.enter_transformer(&mut flight);
        }
        self.flights.insert(at, flight);
        true
    }

    fn is_stopping(&self) -> bool {
        self.stop.is_some() || self.cancelled
    }

    /// Stops for a reason that lies in the records or the plugins. The first reason counts.
    fn stop_because(&mut self, reason: Failure) {
        self.stop.get_or_insert(Stop { reason, class: None });
    }

    /// Stops for a reason that somebody of this class can do something about. The first reason counts.
    fn stop_for(&mut self, class: ErrorClass, reason: Failure) {
        self.stop.get_or_insert(Stop { reason, class: Some(class) });
    }

    /// How many batches may be under way at once.
    fn window(&self) -> u64 {
        if self.careful > 0 { 1 } else { u64::from(self.spec.policy.window) }
    }

    fn read_more(&mut self) {
        if self.handlers_first {
            if self.undoing.first || self.commits_under_way > 0 || self.handlers_idle < self.notices {
                return;
            }
            self.handlers_first = false;
        }
        let under_way = self.flights.len() as u64 + u64::from(self.commits_under_way);
        if self.source_done
            || self.reading.is_on()
            || self.is_stopping()
            || self.undoing.first
            || under_way >= self.window()
        {
            return;
        }
        if let Entry::Source { max_batch } = self.spec.entry {
            self.read_page(max_batch);
        }
    }

    fn event(&self, kind: EventKind, step: Option<StepName>, message: String) -> Event {
        Event {
            at: self.now,
            kind,
            run: Some(self.spec.run.clone()),
            step,
            record: None,
            message,
            data: serde_json::Value::Null,
        }
    }

    /// A plugin committed a fault; too many end the run.
    fn note_fault(&mut self, step: &StepName, fault: &Fault, sent: &[Exchange]) {
        let mut event = self.event(EventKind::PluginFault, Some(step.clone()), fault.message.clone());
        event.data = evidence::told(sent);
        self.events.push(event);
        let count = self.faults.entry(step.clone()).or_default();
        *count += 1;
        let (count, most) = (*count, self.spec.policy.max_faults);
        if count > most {
            self.quarantine.get_or_insert_with(|| step.clone());
            self.stop_because(Failure::new(
                codes::PLUGIN_QUARANTINED.name,
                format!("the plugin at step {step} committed {count} faults, more than max_faults = {most}"),
            ));
        }
    }

    /// A plugin said no to a whole call.
    fn note_refused(&mut self, step: &StepName, message: String, sent: &[Exchange]) {
        let mut event = self.event(EventKind::CallFailed, Some(step.clone()), message);
        event.data = evidence::told(sent);
        self.events.push(event);
    }
}

/// The failure that stands for an error of the host's own.
fn host_failure(error: &PortError) -> Failure {
    Failure { code: error.code.to_owned(), message: error.message.clone(), ..Failure::default() }
}

fn counts_as_json(counts: &Counts) -> serde_json::Value {
    counts.iter().map(|(status, n)| (status.as_str().to_owned(), serde_json::Value::from(n))).collect()
}
