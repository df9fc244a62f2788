//! Plays one run: performs the machine's actions in any order that is allowed, in virtual time, and may let the
//! process die between any two of them.

mod breakers;
mod handlers;
mod tasks;
mod watch;

use crate::ledger::{MemLedger, Op};
use crate::rng::Rng;
use crate::rules::{self, order_of};
use crate::world::World;
use crossdock_engine::machine::{Action, ConnectorDown, Input, Machine};
use crossdock_engine::plan::RunSpec;
use crossdock_engine::ports::{Payload, RunEnd};
use crossdock_model::{Failure, Outcome, RunStatus, Status, Timestamp};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// More than this many inputs in one run are a run that does not come to its end.
const INPUTS_MAX: usize = 50_000;

/// What may happen to a run from outside.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Accidents {
    /// The process dies once in so many inputs; 0 is never.
    pub(crate) crash_in: u64,
    /// Somebody cancels once in so many inputs; 0 is never.
    pub(crate) cancel_in: u64,
    /// Another run says something of a connector once in so many inputs; 0 is never.
    pub(crate) hear_in: u64,
    /// The process dies just before this input.
    pub(crate) crash_at: Option<usize>,
    /// Somebody cancels just before this input.
    pub(crate) cancel_at: Option<usize>,
}

/// How a run went.
#[derive(Debug)]
pub(crate) enum Played {
    Ended(Box<RunEnd>),
    Crashed,
}

/// A call or an answer under way.
#[derive(Debug)]
enum Doing {
    Act(Action),
    Answer(Input),
}

impl Doing {
    fn compensates(&self, id: &str) -> bool {
        let Self::Act(Action::Compensate(_, _, batch)) = self else { return false };
        batch.ids.iter().any(|other| other == id.as_bytes())
    }
}

pub(crate) struct Player<'a> {
    pub(crate) spec: RunSpec,
    pub(crate) world: &'a mut World,
    pub(crate) ledger: &'a mut MemLedger,
    pub(crate) rng: &'a mut Rng,
    pub(crate) now: &'a mut i64,
    pub(crate) trace: &'a mut Option<Vec<String>>,
    doing: Vec<Doing>,
    line: VecDeque<Op>,
    wake: Option<Timestamp>,
    end: Option<Box<RunEnd>>,
    cancelled: bool,
    /// Told in this run that these were applied.
    told_ok: BTreeSet<(usize, String)>,
    /// With `on_error = "stop"`: records that a destination did not apply, in the order of the source.
    trouble: BTreeMap<(Vec<u64>, usize), String>,
    page_batches: BTreeSet<u64>,
    /// Calls a record at a step in this run that ended without a fault and touched it.
    tries: BTreeMap<(usize, String), u32>,
    /// The same for undoing, by key.
    undo_tries: BTreeMap<(usize, String), u32>,
    breakers: Vec<breakers::Breaker>,
    handling: handlers::Handling,
    /// Records of which a step has said something that is not in the ledger yet.
    heard: BTreeSet<String>,
    /// The process dies of what it is about to do.
    dying: bool,
    accidents: Accidents,
    /// How many records each page of this run had.
    read: Vec<u64>,
}

type Checked<T = ()> = Result<T, String>;

impl<'a> Player<'a> {
    pub(crate) fn new(
        spec: RunSpec,
        world: &'a mut World,
        ledger: &'a mut MemLedger,
        rng: &'a mut Rng,
        now: &'a mut i64,
        trace: &'a mut Option<Vec<String>>,
    ) -> Self {
        let handling = handlers::Handling::new(&spec, Timestamp(*now));
        let breakers = vec![breakers::Breaker::default(); spec.steps.len()];
        Self {
            spec,
            world,
            ledger,
            rng,
            now,
            trace,
            doing: Vec::new(),
            line: VecDeque::new(),
            wake: None,
            end: None,
            cancelled: false,
            told_ok: BTreeSet::new(),
            trouble: BTreeMap::new(),
            page_batches: BTreeSet::new(),
            tries: BTreeMap::new(),
            undo_tries: BTreeMap::new(),
            breakers,
            handling,
            heard: BTreeSet::new(),
            dying: false,
            accidents: Accidents::default(),
            read: Vec::new(),
        }
    }

    fn note(&mut self, what: impl FnOnce() -> String) {
        let now = *self.now;
        if let Some(trace) = self.trace {
            trace.push(format!("{now:>8} {}", what()));
        }
    }

    pub(crate) fn play(mut self, accidents: Accidents) -> Checked<Played> {
        self.accidents = accidents;
        let opening = self.ledger.begin_run(&self.spec.run, Timestamp(*self.now));
        self.note(|| format!("begin {:?} with {opening:?}", self_name(&opening)));
        self.world.given = opening.checkpoint.iter().cloned().collect();
        self.world.sent.clear();
        for row in opening.open.iter().filter(|row| row.open) {
            let at_destination = self.destination(&row.step).map(|(step, _)| step);
            let bad = matches!(row.status, Status::Failed | Status::Pending | Status::Indeterminate);
            if let (Some(step), true) = (at_destination, bad && row.failure.is_some()) {
                self.trouble.insert((order_of(&row.id.0), step), row.id.0.clone());
            }
        }
        let mut machine = Machine::new(self.spec.clone(), opening, Timestamp(*self.now));
        self.feed(&mut machine, Input::Begin)?;
        self.feed(&mut machine, Input::HandlersIdle(u64::MAX))?;
        for inputs in 0..INPUTS_MAX {
            if let Some(end) = self.end.take() {
                return self.finish(&machine, end);
            }
            let chance = |rng: &mut Rng, in_: u64| in_ > 0 && rng.one_in(in_);
            if accidents.crash_at == Some(inputs) || chance(self.rng, accidents.crash_in) {
                return self.crash();
            }
            if !self.cancelled && (accidents.cancel_at == Some(inputs) || chance(self.rng, accidents.cancel_in)) {
                self.cancelled = true;
                self.feed(&mut machine, Input::Cancel)?;
                continue;
            }
            if chance(self.rng, accidents.hear_in) {
                let input = self.hearsay();
                self.feed(&mut machine, input)?;
                continue;
            }
            self.step(&mut machine)?;
            if self.dying {
                return self.crash();
            }
        }
        Err("the run does not come to its end".into())
    }

    fn finish(mut self, machine: &Machine, end: Box<RunEnd>) -> Checked<Played> {
        self.doing.retain(|doing| !matches!(doing, Doing::Answer(Input::HandlersIdle(_))));
        if !self.doing.is_empty() || !self.line.is_empty() || !machine.has_ended() {
            return Err(format!("the run ended with {:?} and {:?} under way", self.doing, self.line));
        }
        self.note(|| format!("end {end:?}"));
        self.check_end_tasks(&end)?;
        self.ledger.end_run(&end, &machine.progress().steps)?;
        let quarantined = end.reason.as_ref().is_some_and(|reason| reason.code == "plugin-quarantined");
        if quarantined && end.quarantine.is_none() {
            return Err("a plugin committed too many faults and is not set aside".into());
        }
        if end.reason.as_ref().is_some_and(|reason| reason.code == "source-over-budget") {
            self.all_read_is_settled()?;
        }
        rules::truth(self.ledger, self.world, &self.spec)?;
        rules::end(self.ledger, self.world, &self.spec, &end)?;
        if end.status != RunStatus::Failed && machine.class().is_some() {
            return Err(format!("the run is {} and has a class", end.status));
        }
        if self.finish_handlers(end.status, self.accidents)? {
            return Ok(Played::Crashed);
        }
        Ok(Played::Ended(end))
    }

    fn crash(mut self) -> Checked<Played> {
        self.note(|| "crash".into());
        for doing in std::mem::take(&mut self.doing) {
            match doing {
                Doing::Act(Action::Write(_, step, batch, keys, _)) if self.rng.one_in(2) => {
                    self.world.write_unheard(step, &batch, &keys)?;
                }
                Doing::Act(Action::Compensate(_, step, batch)) if self.rng.one_in(2) => {
                    self.world.compensate_unheard(step, &batch);
                }
                _ => {}
            }
        }
        for _ in 0..self.rng.below(self.line.len() + 1) {
            self.durable_one(false)?;
        }
        if self.rng.one_in(2) {
            self.handlers_unheard()?;
        }
        for inflight in &self.ledger.inflight {
            let step = rules::index_of(&self.spec, &inflight.step);
            self.world.doubted.extend(inflight.ids.iter().map(|id| (step, id.clone())));
        }
        self.ledger.recover(Timestamp(*self.now));
        rules::truth(self.ledger, self.world, &self.spec)?;
        Ok(Played::Crashed)
    }

    fn feed(&mut self, machine: &mut Machine, input: Input) -> Checked {
        self.note(|| format!("  <- {input:?}"));
        let cancelled = self.cancelled;
        self.before_input(&input);
        let actions = machine.on(Timestamp(*self.now), input);
        for action in actions {
            self.note(|| format!("  -> {action:?}"));
            let begins = match &action {
                Action::Read(..) | Action::Write(..) | Action::Transform(..) | Action::TakeDue(..) => true,
                Action::Probe(_, _, batch, _) => !self.is_for_rollback(batch),
                _ => false,
            };
            if begins && cancelled {
                return Err(format!("after a cancel: {action:?}"));
            }
            self.take(action)?;
        }
        self.breakers_are_open_in_time()?;
        let handling = self.handling.choices(i64::MAX) > 0;
        if self.doing.is_empty() && self.line.is_empty() && self.wake.is_none() && self.end.is_none() && !handling {
            return Err(format!("the machine is stuck: {:?}", machine.progress()));
        }
        Ok(())
    }

    fn take(&mut self, action: Action) -> Checked {
        self.check_breaker(&action)?;
        match action {
            Action::Announce(..) => {}
            Action::Intend(number, intent) => {
                if intent.open {
                    self.page_batches.insert(number);
                }
                self.line.push_back(Op::Intend(number, intent));
            }
            Action::Commit(commit) => {
                self.check_evidence(&commit)?;
                self.line.push_back(Op::Commit(commit));
            }
            Action::WakeAt(at) => self.wake = Some(at),
            Action::End(end) => self.end = Some(end),
            action => {
                if let Action::Write(number, step, batch, keys, options) = &action {
                    self.before_write(*number, *step, batch, keys, options.stop_at_first_failure)?;
                }
                if let Action::Compensate(_, step, batch) = &action {
                    self.before_compensate(*step, batch)?;
                }
                let calls = self.doing.iter().filter(|doing| matches!(doing, Doing::Act(_))).count();
                if calls > 2 * self.spec.policy.window as usize + 5 + self.spec.steps.len() {
                    return Err("more is under way than the window allows".into());
                }
                self.doing.push(Doing::Act(action));
            }
        }
        Ok(())
    }

    /// One thing happens: something becomes durable, a call is answered, or time passes.
    fn step(&mut self, machine: &mut Machine) -> Checked {
        *self.now += self.rng.between(0, 20) as i64;
        let due = self.wake.is_some_and(|at| at.0 <= *self.now);
        let of_run = self.doing.len() + usize::from(!self.line.is_empty()) + usize::from(due);
        let choices = of_run + self.handling.choices(*self.now);
        if choices == 0 {
            let next = [self.wake, self.handling.wakes_at()].into_iter().flatten().min();
            let Some(at) = next else { return Err("nothing is under way".into()) };
            *self.now = at.0;
            return self.step(machine);
        }
        let choice = self.rng.below(choices);
        if choice >= of_run {
            self.step_of_handlers(choice - of_run)
        } else if choice < self.doing.len() {
            let doing = self.doing.swap_remove(choice);
            if let Doing::Act(Action::Write(_, step, batch, ..) | Action::Transform(_, step, batch)) = &doing
                && self.world.is_deadly(*step, batch)
            {
                self.note(|| format!("  dies of {doing:?}"));
                self.dying = true;
                self.doing.push(doing);
                return Ok(());
            }
            if let Doing::Act(Action::Write(_, _, batch, ..) | Action::Transform(_, _, batch)) = &doing {
                self.heard.extend((0..batch.len()).map(|at| batch.ids.text(at).into_owned()));
            }
            let input = self.perform(doing)?;
            self.feed(machine, input)
        } else if choice == self.doing.len() && !self.line.is_empty() {
            for _ in 0..=self.rng.below(self.line.len()) {
                self.durable_one(true)?;
            }
            Ok(())
        } else {
            self.wake = None;
            self.feed(machine, Input::Woke)
        }
    }

    fn durable_one(&mut self, answer: bool) -> Checked {
        let Some(op) = self.line.pop_front() else { return Ok(()) };
        let input = match &op {
            Op::Intend(number, _) => Input::Intended(*number),
            Op::Commit(_) => Input::Committed,
        };
        self.note(|| {
            format!("  durable: {}", if let Op::Intend(n, _) = &op { format!("intent {n}") } else { "commit".into() })
        });
        let mut pokes = false;
        if let Op::Commit(commit) = &op {
            self.check_tasks(commit)?;
            pokes = !commit.tasks.is_empty() || commit.settles_open;
            for row in &commit.rows {
                self.heard.remove(&row.id.0);
            }
        }
        self.ledger.apply(op)?;
        if answer {
            self.doing.push(Doing::Answer(input));
            if pokes {
                self.handling.poke();
            }
        }
        rules::truth(self.ledger, self.world, &self.spec)
    }

    fn perform(&mut self, doing: Doing) -> Checked<Input> {
        let action = match doing {
            Doing::Answer(input) => return Ok(input),
            Doing::Act(action) => action,
        };
        self.world.now = *self.now;
        Ok(match action {
            Action::Read(from, limits) => {
                if World::place(from.as_ref()) < World::place(self.ledger.checkpoint.as_ref()) {
                    return Err("reading from before the checkpoint".into());
                }
                self.within_budget(limits)?;
                let page = self.world.read(from.as_ref(), limits);
                self.read.extend(page.answer.iter().map(|page| page.batch.len() as u64));
                Input::Page(page)
            }
            Action::Transform(number, step, batch) => {
                self.check_batch(step, &batch)?;
                let answer = self.world.transform(step, &batch);
                // What a transformer holds back does not hold up others.
                let passes = |at| answer.answer.as_ref().is_ok_and(|answer| answer.outcomes[at] == Outcome::Ok);
                for at in (0..batch.len()).filter(|at| !passes(*at)) {
                    let id = batch.ids.text(at);
                    self.trouble.retain(|_, troubled| *troubled != id);
                }
                if let Ok(answer) = &answer.answer {
                    for at in 0..batch.len() {
                        self.tried(step, &batch.ids.text(at), answer.outcomes[at])?;
                    }
                }
                Input::Transformed(number, answer)
            }
            Action::Write(number, step, batch, keys, options) => {
                let answer = self.world.write(step, &batch, &keys, options)?;
                self.note_answer(number, step, &batch, &answer)?;
                Input::Written(number, answer)
            }
            Action::Probe(number, step, batch, keys) => {
                self.check_batch(step, &batch)?;
                self.check_keys(step, &batch, &keys)?;
                let answer = self.world.probe(step, &batch, &keys);
                if let Ok(probed) = &answer.answer {
                    for at in (0..batch.len()).filter(|&at| probed.outcomes[at] == Outcome::Ok) {
                        let id = batch.ids.text(at).into_owned();
                        self.trouble.remove(&(order_of(&id), step));
                        self.told_ok.insert((step, id));
                    }
                }
                Input::Probed(number, answer)
            }
            Action::Compensate(number, step, batch) => {
                let answer = self.world.compensate(step, &batch)?;
                self.connector_answered(step, batch.ids.len(), &answer, |undone| &undone.outcomes);
                if let Ok(undone) = &answer.answer {
                    for at in 0..batch.ids.len() {
                        let (id, key) = (batch.ids.text(at), batch.keys.text(at));
                        if undone.outcomes[at].is_success() {
                            self.heard.insert(id.clone().into_owned());
                            self.told_ok.remove(&(step, id.clone().into_owned()));
                        }
                        self.tried_to_undo(step, &id, &key, undone.outcomes[at])?;
                    }
                }
                Input::Compensated(number, answer)
            }
            Action::Check(number, step) => Input::Checked(number, self.world.check(step)),
            Action::CheckConnector(step) => Input::ConnectorChecked(step, self.world.check(step)),
            Action::TakeRollingBack(limit) => Input::RollingBack(self.ledger.rolling_back(Timestamp(*self.now), limit)),
            Action::TakeOpen => Input::OpenApplied(self.ledger.open_applied()),
            Action::Load(ids) => Input::Loaded(self.ledger.load(&ids)),
            Action::TakeDue(limit, own) => {
                let of_run = own.then_some(&self.spec.run);
                Input::Due(self.ledger.due(of_run, Timestamp(*self.now), limit))
            }
            Action::Ack(checkpoint) => {
                if self.ledger.checkpoint.as_ref() != Some(&checkpoint) {
                    return Err("invariant 1: acknowledged what is not durable".into());
                }
                Input::Acked(self.world.ack())
            }
            other => return Err(format!("cannot perform {other:?}")),
        })
    }
}

/// What a run that begins is told, short.
fn self_name(opening: &crossdock_engine::ports::RunOpening) -> Vec<String> {
    let row = |row: &crossdock_engine::ports::RecordRow| {
        let payload = if let Payload::Kept(bytes) = &row.payload { bytes.len() } else { 0 };
        format!("{} {} at {} ({payload} bytes)", row.id, row.status, row.step)
    };
    opening.open.iter().map(row).collect()
}
