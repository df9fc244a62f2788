//! Plays one run: performs the machine's actions in any order that is allowed, in virtual time, and may let the
//! process die between any two of them.

use crate::ledger::{Kind, MemLedger, Op};
use crate::rng::Rng;
use crate::rules::{self, order_of};
use crate::world::World;
use crossdock_engine::machine::{Action, Input, Machine};
use crossdock_engine::plan::{Entry, OnError, Role, RunSpec};
use crossdock_engine::ports::{CallResult, Idempotency, Payload, RunEnd, Written};
use crossdock_model::{Batch, Column, Outcome, RunStatus, Status, Timestamp, idempotency_key};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// More than this many inputs in one run are a run that does not come to its end.
const INPUTS_MAX: usize = 50_000;

/// What may happen to a run from outside.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Accidents {
    /// The process dies once in so many inputs; 0 is never.
    pub(crate) crash_in: u64,
    /// Somebody cancels once in so many inputs; 0 is never.
    pub(crate) cancel_in: u64,
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
        }
    }

    fn note(&mut self, what: impl FnOnce() -> String) {
        let now = *self.now;
        if let Some(trace) = self.trace {
            trace.push(format!("{now:>8} {}", what()));
        }
    }

    pub(crate) fn play(mut self, accidents: Accidents) -> Checked<Played> {
        let opening = self.ledger.begin_run(&self.spec.run);
        self.note(|| format!("begin {:?} with {opening:?}", self_name(&opening)));
        for row in &opening.open {
            let at_destination = self.destination(&row.step).map(|(step, _)| step);
            let bad = matches!(row.status, Status::Failed | Status::Pending | Status::Indeterminate);
            if let (Some(step), true) = (at_destination, bad && row.failure.is_some()) {
                self.trouble.insert((order_of(&row.id.0), step), row.id.0.clone());
            }
        }
        let mut machine = Machine::new(self.spec.clone(), opening, Timestamp(*self.now));
        self.feed(&mut machine, Input::Begin)?;
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
            self.step(&mut machine)?;
        }
        Err("the run does not come to its end".into())
    }

    fn finish(mut self, machine: &Machine, end: Box<RunEnd>) -> Checked<Played> {
        if !self.doing.is_empty() || !self.line.is_empty() || !machine.has_ended() {
            return Err(format!("the run ended with {:?} and {:?} under way", self.doing, self.line));
        }
        self.note(|| format!("end {end:?}"));
        self.ledger.end_run(&end, &machine.progress().steps)?;
        rules::truth(self.ledger, self.world, &self.spec)?;
        rules::end(self.ledger, self.world, &self.spec, &end)?;
        if end.status != RunStatus::Failed && machine.class().is_some() {
            return Err(format!("the run is {} and has a class", end.status));
        }
        Ok(Played::Ended(end))
    }

    fn crash(mut self) -> Checked<Played> {
        self.note(|| "crash".into());
        for doing in std::mem::take(&mut self.doing) {
            if let Doing::Act(Action::Write(_, step, batch, keys, _)) = doing
                && self.rng.one_in(2)
            {
                self.world.write_unheard(step, &batch, &keys)?;
            }
        }
        for _ in 0..self.rng.below(self.line.len() + 1) {
            self.durable_one(false)?;
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
        let actions = machine.on(Timestamp(*self.now), input);
        for action in actions {
            self.note(|| format!("  -> {action:?}"));
            let begins = matches!(
                action,
                Action::Read(..) | Action::Write(..) | Action::Transform(..) | Action::Probe(..) | Action::TakeDue(..)
            );
            if begins && cancelled {
                return Err(format!("after a cancel: {action:?}"));
            }
            self.take(action)?;
        }
        if self.doing.is_empty() && self.line.is_empty() && self.wake.is_none() && self.end.is_none() {
            return Err(format!("the machine is stuck: {:?}", machine.progress()));
        }
        Ok(())
    }

    fn take(&mut self, action: Action) -> Checked {
        match action {
            Action::Intend(number, intent) => {
                if intent.open {
                    self.page_batches.insert(number);
                }
                self.line.push_back(Op::Intend(number, intent));
            }
            Action::Commit(commit) => self.line.push_back(Op::Commit(commit)),
            Action::WakeAt(at) => self.wake = Some(at),
            Action::End(end) => self.end = Some(end),
            action => {
                if let Action::Write(number, step, batch, keys, options) = &action {
                    self.before_write(*number, *step, batch, keys, options.stop_at_first_failure)?;
                }
                let calls = self.doing.iter().filter(|doing| matches!(doing, Doing::Act(_))).count();
                if calls > 2 * self.spec.policy.window as usize + 3 {
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
        let choices = self.doing.len() + usize::from(!self.line.is_empty()) + usize::from(due);
        if choices == 0 {
            let Some(at) = self.wake else { return Err("nothing is under way".into()) };
            *self.now = at.0;
            return self.step(machine);
        }
        let choice = self.rng.below(choices);
        if choice < self.doing.len() {
            let doing = self.doing.swap_remove(choice);
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
        self.ledger.apply(op)?;
        if answer {
            self.doing.push(Doing::Answer(input));
        }
        rules::truth(self.ledger, self.world, &self.spec)
    }

    fn perform(&mut self, doing: Doing) -> Checked<Input> {
        let action = match doing {
            Doing::Answer(input) => return Ok(input),
            Doing::Act(action) => action,
        };
        Ok(match action {
            Action::Read(from, limits) => {
                if World::place(from.as_ref()) < World::place(self.ledger.checkpoint.as_ref()) {
                    return Err("reading from before the checkpoint".into());
                }
                Input::Page(self.world.read(from.as_ref(), limits))
            }
            Action::Transform(number, step, batch) => {
                self.check_batch(step, &batch)?;
                let answer = self.world.transform(step, &batch);
                // What a transformer holds back does not hold up others.
                let passes = |at| answer.as_ref().is_ok_and(|(answer, _)| answer.outcomes[at] == Outcome::Ok);
                for at in (0..batch.len()).filter(|at| !passes(*at)) {
                    let id = batch.ids.text(at);
                    self.trouble.retain(|_, troubled| *troubled != id);
                }
                if let Ok((answer, _)) = &answer {
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
                let answer = self.world.probe(step, &batch);
                if let Ok((probed, _)) = &answer {
                    for at in (0..batch.len()).filter(|&at| probed.outcomes[at] == Outcome::Ok) {
                        let id = batch.ids.text(at).into_owned();
                        self.trouble.remove(&(order_of(&id), step));
                        self.told_ok.insert((step, id));
                    }
                }
                Input::Probed(number, answer)
            }
            Action::Check(number, _) => Input::Checked(number, self.world.check()),
            Action::TakeDue(limit, own) => {
                let of_run = own.then_some(&self.spec.run);
                Input::Due(self.ledger.due(of_run, Timestamp(*self.now), limit))
            }
            Action::Ack(checkpoint) => {
                if self.ledger.checkpoint.as_ref() != Some(&checkpoint) {
                    return Err("invariant 1: acknowledged what is not durable".into());
                }
                Input::Acked(Ok(((), Default::default())))
            }
            other => return Err(format!("cannot perform {other:?}")),
        })
    }

    fn destination(&self, step: &crossdock_model::StepName) -> Option<(usize, Idempotency)> {
        let index = self.spec.step_index(step)?;
        match self.spec.steps[index].role {
            Role::Destination { idempotency, .. } => Some((index, idempotency)),
            Role::Transformer { .. } => None,
        }
    }

    fn check_batch(&self, step: usize, batch: &Batch) -> Checked {
        let most = self.spec.steps[step].max_batch as usize;
        if batch.is_empty() || batch.len() > most || batch.payloads.len() != batch.len() {
            return Err(format!("step {step} is given {} records, at most {most} are allowed", batch.len()));
        }
        for at in 0..batch.len() {
            let id = batch.ids.text(at);
            let (found, expected) = (batch.payloads.text(at), self.world.content(&id, step));
            if found != expected {
                return Err(format!("step {step} is given {id} with content {found:?}, expected {expected:?}"));
            }
            for before in (0..step).filter(|before| matches!(self.world.steps[*before], Role::Destination { .. })) {
                let name = format!("steps.{}.target_id", self.spec.steps[before].name);
                let attributes = batch.attributes_of(at);
                let value = attributes.iter().find(|(key, _)| *key == name).map(|(_, value)| value.clone());
                let expected = format!("{id}@{before}").into_bytes();
                let by_this_name = self.world.effects(before, &id) > 0;
                if by_this_name && value.as_ref() != Some(&expected) {
                    return Err(format!("step {step} is given {id} with {name} = {value:?}"));
                }
            }
        }
        Ok(())
    }

    fn check_keys(&self, step: usize, batch: &Batch, keys: &Column) -> Checked {
        for at in 0..batch.len() {
            let id = batch.ids.text(at).into_owned();
            let generation = self.ledger.rows.get(&id).map_or(0, |stored| stored.row.generation);
            let key = idempotency_key(&self.spec.route, &self.spec.steps[step].name, generation, id.as_bytes());
            if keys.get(at) != Some(&key[..]) || keys.len() != batch.len() {
                return Err(format!("{id} has a wrong key at step {step}"));
            }
        }
        Ok(())
    }

    /// What must hold whenever something is about to be written.
    fn before_write(&mut self, number: u64, step: usize, batch: &Arc<Batch>, keys: &Column, strict: bool) -> Checked {
        self.check_batch(step, batch)?;
        self.check_keys(step, batch, keys)?;
        let page = self.page_batches.contains(&number) && matches!(self.spec.entry, Entry::Source { .. });
        if strict != (page && self.spec.policy.on_error == OnError::Stop) {
            return Err(format!("batch {number} is written with stop_at_first_failure = {strict}"));
        }
        let name = &self.spec.steps[step].name;
        for at in 0..batch.len() {
            let id = batch.ids.text(at).into_owned();
            let intended = self.ledger.inflight.iter().any(|inflight| {
                let intent = matches!(inflight.kind, Kind::Intent(..));
                intent && inflight.batch == number && inflight.step == *name && inflight.ids.contains(&id)
            });
            if !intended {
                return Err(format!("invariant 5: {id} is written at step {step} without a durable intent"));
            }
            let row = self.ledger.rows.get(&id).map(|stored| &stored.row);
            let known = row.is_some_and(|row| {
                let settled = matches!(row.status, Status::Ok | Status::Skipped | Status::Dropped);
                settled || row.applied.iter().any(|applied| applied.step == *name)
            });
            if known || self.ledger.chunk.contains_key(&id) || self.told_ok.contains(&(step, id.clone())) {
                return Err(format!("{id} is written again at step {step} although it is known to be applied"));
            }
            let order = order_of(&id);
            if strict && let Some(earlier) = self.trouble_before(&order, step) {
                let together = (0..at).any(|at| batch.ids.text(at) == *earlier);
                if !together {
                    return Err(format!("{id} is written at step {step} behind {earlier}, which is not ok"));
                }
            }
        }
        Ok(())
    }

    /// A record before this one that this step or an earlier one did not apply.
    fn trouble_before(&self, order: &Vec<u64>, step: usize) -> Option<&String> {
        let mut before = self.trouble.iter().filter(|((place, at), _)| place < order && *at <= step);
        before.next().map(|(_, id)| id)
    }

    fn tried(&mut self, step: usize, id: &str, outcome: Outcome) -> Checked {
        if outcome == Outcome::Untouched {
            return Ok(());
        }
        let tries = self.tries.entry((step, id.to_owned())).or_default();
        *tries += 1;
        let most = self.spec.steps[step].retry.attempts;
        if *tries > most { Err(format!("invariant 8: {id} is tried {tries} times at step {step}")) } else { Ok(()) }
    }

    fn note_answer(&mut self, number: u64, step: usize, batch: &Batch, answer: &CallResult<Written>) -> Checked {
        let Ok((written, _)) = answer else { return Ok(()) };
        for (at, &outcome) in written.outcomes.iter().enumerate() {
            let id = batch.ids.text(at).into_owned();
            self.tried(step, &id, outcome)?;
            let place = (order_of(&id), step);
            if outcome.is_success() {
                self.trouble.remove(&place);
                self.told_ok.insert((step, id));
            } else if outcome != Outcome::Untouched && self.page_batches.contains(&number) {
                self.trouble.insert(place, id);
            }
        }
        Ok(())
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
