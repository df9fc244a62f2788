//! A flight at a transformer.

use super::evidence::of_record;
use super::flight::{Flight, Phase, halves, portions};
use super::{Action, Machine, host_failure};
use crate::codes;
use crate::plan::{Entry, Role};
use crate::ports::{CallError, CallResult, Exchange, Intent, RefusalKind, Transformed};
use crate::retry;
use crossdock_model::{Batch, Column, Failure, Fault, Outcome, RecordId, Status};

impl Machine {
    pub(super) fn enter_transformer(&mut self, flight: &mut Flight) {
        self.attach_given(flight);
        let (name, retry) = (self.spec.steps[flight.step].name.clone(), self.spec.steps[flight.step].retry);
        let mut to_give = Vec::with_capacity(flight.live.len());
        for position in 0..flight.live.len() {
            let member = flight.live[position];
            flight.set(member, Status::Processing, flight.step);
            flight.arrive(member, &name, &retry);
            if !self.is_quarantined(flight, position) {
                to_give.push(position);
            }
        }
        flight.portions = portions(&to_give, self.spec.steps[flight.step].max_batch);
        flight.made.clear();
        flight.entered_with = (flight.members.len(), flight.split.len());
        if flight.careful && to_give.len() == 1 {
            return self.intend_transform(flight);
        }
        self.next_transform(flight);
    }

    /// A process died while it worked on this record alone, at this step: it is not tried again by itself.
    fn is_quarantined(&self, flight: &mut Flight, position: usize) -> bool {
        let member = flight.live[position];
        let row = flight.notes.get(&member).and_then(|note| note.row.as_ref());
        let failure = row
            .filter(|row| row.step == self.spec.steps[flight.step].name || row.status == Status::Indeterminate)
            .and_then(|row| row.failure.clone());
        let Some(failure) = failure.filter(|failure| failure.code == codes::RECORD_QUARANTINED.name) else {
            return false;
        };
        if !matches!(self.spec.entry, Entry::Source { .. }) {
            return false;
        }
        flight.steps[flight.step].records_in += 1;
        flight.steps[flight.step].failed += 1;
        flight.end_member(position, Status::Failed, Some(failure));
        true
    }

    /// Runs before this one died: what is about to be done is durable, so that the record is known if this one does.
    fn intend_transform(&mut self, flight: &mut Flight) {
        self.write_down_arrivals(flight);
        flight.phase = Phase::IntendingTransform;
        flight.touched = true;
        let members = || flight.live.iter().copied();
        let intent = Intent {
            route: self.spec.route.clone(),
            run: self.spec.run.clone(),
            batch: flight.number,
            step: self.spec.steps[flight.step].name.clone(),
            at: self.now,
            attempts: members().map(|member| flight.attempts(member) + 1).collect(),
            generations: members().map(|member| flight.generation(member)).collect(),
            ids: flight.batch.ids.clone(),
            open: flight.open,
            careful: true,
            effect: false,
        };
        self.actions.push(Action::Intend(flight.number, intent));
    }

    pub(super) fn attach_given(&self, flight: &mut Flight) {
        if !flight.given.is_empty() {
            let names: Vec<_> = self.spec.steps.iter().map(|step| step.name.clone()).collect();
            flight.attach_given(&names);
        }
    }

    pub(super) fn next_transform(&mut self, flight: &mut Flight) {
        let Some(portion) = flight.portions.pop_front() else {
            return self.leave_transformer(flight);
        };
        flight.phase = Phase::Transforming;
        flight.began = self.now;
        self.actions.push(Action::Transform(flight.number, flight.step, flight.pick(&portion)));
        flight.current = portion;
    }

    pub(super) fn on_transformed(&mut self, flight: &mut Flight, result: CallResult<Transformed>) {
        let portion = std::mem::take(&mut flight.current);
        let name = self.spec.steps[flight.step].name.clone();
        let CallResult { answer, trace } = result;
        let sent = &trace.exchanges;
        match answer {
            Ok(answer) => {
                flight.state.extend(trace.state.into_iter().map(|write| (name.clone(), write)));
                self.take_transformed(flight, &portion, answer, sent);
            }
            Err(CallError::Fault(fault)) => self.on_transform_fault(flight, portion, &fault, sent),
            Err(CallError::Refused { kind, failure }) => {
                self.on_transform_refused(flight, &portion, kind, failure, sent);
            }
            Err(CallError::Host(error)) => {
                self.stop_for(error.class, host_failure(&error));
            }
        }
        if self.is_stopping() {
            self.give_up(flight);
        } else {
            self.next_transform(flight);
        }
    }

    /// Invariant 7: the batch is halved until the poison record stands alone. It is failed, the others pass.
    fn on_transform_fault(&mut self, flight: &mut Flight, portion: Vec<usize>, fault: &Fault, sent: &[Exchange]) {
        let step = &self.spec.steps[flight.step];
        let (name, pure) = (step.name.clone(), matches!(step.role, Role::Transformer { pure: true }));
        self.note_fault(&name, fault, sent);
        if self.is_stopping() {
            return;
        }
        if pure && portion.len() > 1 {
            let (first, second) = halves(&portion);
            flight.portions.push_front(second);
            flight.portions.push_front(first);
            return;
        }
        flight.steps[flight.step].records_in += portion.len() as u64;
        for (index, position) in portion.into_iter().enumerate() {
            let said = (Status::Failed, Outcome::Unknown);
            self.fail_at_transformer(flight, position, said, fault.failure(), of_record(sent, index));
        }
    }

    fn on_transform_refused(
        &mut self,
        flight: &mut Flight,
        portion: &[usize],
        kind: RefusalKind,
        failure: Failure,
        sent: &[Exchange],
    ) {
        let name = self.spec.steps[flight.step].name.clone();
        self.note_refused(&name, failure.message.clone(), sent);
        match kind {
            RefusalKind::Unavailable => {
                flight.steps[flight.step].records_in += portion.len() as u64;
                for (index, &position) in portion.iter().enumerate() {
                    self.retry_at_transformer(flight, position, failure.clone(), of_record(sent, index));
                }
            }
            _ => self.stop_for(kind.class(), failure),
        }
    }

    fn take_transformed(&mut self, flight: &mut Flight, portion: &[usize], answer: Transformed, sent: &[Exchange]) {
        flight.steps[flight.step].records_in += portion.len() as u64;
        let all_ok = answer.outputs.is_none() && answer.outcomes.iter().all(|outcome| *outcome == Outcome::Ok);
        let records = flight.pick(portion);
        if all_ok {
            flight.steps[flight.step].ok += portion.len() as u64;
            let batch = Batch {
                ids: records.ids.clone(),
                payloads: answer.payloads,
                attributes: answer.attributes.unwrap_or_else(|| records.attributes.clone()),
            };
            let members = portion.iter().map(|&position| flight.live[position]).collect();
            flight.made.push((members, batch));
            return;
        }
        let mut failures = answer.failures.into_iter().peekable();
        let mut members = Vec::with_capacity(answer.payloads.len());
        let mut ids = Column::with_capacity(answer.payloads.len(), records.ids.data().len());
        let mut kept = Vec::new();
        for (index, &outcome) in answer.outcomes.iter().enumerate() {
            let position = portion[index];
            let member = flight.live[position];
            let outputs = answer.outputs.as_ref().map_or(1, |outputs| outputs.get(index).copied().unwrap_or(0));
            let failure = failures.next_if(|(at, _)| *at as usize == index).map_or_else(
                || Failure::new(codes::UNEXPLAINED.name, "the plugin gave no reason"),
                |(_, failure)| failure,
            );
            match outcome {
                Outcome::Dropped => {
                    flight.set(member, Status::Dropped, flight.step);
                    flight.steps[flight.step].dropped += 1;
                }
                Outcome::Rejected => {
                    let said = (Status::Rejected, Outcome::Rejected);
                    self.fail_at_transformer(flight, position, said, failure, of_record(sent, index));
                }
                Outcome::Retryable => self.retry_at_transformer(flight, position, failure, of_record(sent, index)),
                _ if outputs == 1 => {
                    flight.steps[flight.step].ok += 1;
                    kept.push(index);
                    members.push(member);
                    let _ = ids.try_push(records.ids.get(index).unwrap_or_default());
                }
                _ => {
                    flight.steps[flight.step].ok += 1;
                    for child in split(flight, member, outputs) {
                        kept.push(index);
                        let _ = ids.try_push(child.1.0.as_bytes());
                        members.push(child.0);
                    }
                }
            }
        }
        let attributes = answer.attributes.unwrap_or_else(|| records.select(&kept).attributes);
        flight.made.push((members, Batch { ids, payloads: answer.payloads, attributes }));
    }

    fn fail_at_transformer(
        &mut self,
        flight: &mut Flight,
        position: usize,
        (status, outcome): (Status, Outcome),
        failure: Failure,
        sent: Vec<Exchange>,
    ) {
        let counts = &mut flight.steps[flight.step];
        match status {
            Status::Rejected => counts.rejected += 1,
            _ => counts.failed += 1,
        }
        self.note_transform_attempt(flight, position, outcome, &failure, sent);
        flight.end_member(position, status, Some(failure));
    }

    fn retry_at_transformer(&mut self, flight: &mut Flight, position: usize, failure: Failure, sent: Vec<Exchange>) {
        self.note_transform_attempt(flight, position, Outcome::Retryable, &failure, sent);
        let member = flight.live[position];
        let began = flight.began;
        let note = flight.note(member);
        let (spent, since) = (note.spent, note.since.unwrap_or(began));
        let policy = self.spec.steps[flight.step].retry;
        let due = retry::next_attempt(&policy, &mut self.jitter, spent, since, self.now, &failure);
        let status = if due.is_some() { Status::Pending } else { Status::Failed };
        let counts = &mut flight.steps[flight.step];
        if due.is_some() {
            counts.retry += 1
        } else {
            counts.failed += 1
        }
        flight.end_member(position, status, Some(failure));
        flight.note(member).due = due;
    }

    fn note_transform_attempt(
        &self,
        flight: &mut Flight,
        position: usize,
        outcome: Outcome,
        failure: &Failure,
        sent: Vec<Exchange>,
    ) {
        let step = self.spec.steps[flight.step].name.clone();
        self.note_attempt_at(flight, position, step, outcome, failure, sent);
    }

    fn leave_transformer(&mut self, flight: &mut Flight) {
        let mut made = std::mem::take(&mut flight.made).into_iter();
        let (mut live, mut batch) = made.next().unwrap_or_default();
        for (more, records) in made {
            if batch.try_extend(&records).is_err() {
                self.stop_because(Failure::new(
                    codes::BATCH_TOO_LARGE.name,
                    format!("step {} made more than 4 GiB of a batch", self.spec.steps[flight.step].name),
                ));
                return self.give_up(flight);
            }
            live.extend(more);
        }
        self.note_blockers(flight);
        self.tasks_on_pass(flight);
        flight.live = live;
        flight.batch = std::sync::Arc::new(batch);
        self.meet_known_children(flight);
        flight.move_on(self.spec.steps.len());
    }

    /// Children of a split may be known from an earlier run, as records of a page may be.
    fn meet_known_children(&mut self, flight: &mut Flight) {
        let (before, _) = flight.entered_with;
        let nothing_known = self.open.is_empty() && self.settled.is_empty();
        if nothing_known || flight.members.len() == before || !flight.open {
            return;
        }
        let children: Vec<u32> = flight.live.iter().copied().filter(|&m| m as usize >= before).collect();
        for member in children {
            self.meet_known(flight, member);
        }
        let passed = |member: &u32| flight.notes.get(member).is_some_and(|note| note.passed);
        let keep: Vec<usize> = (0..flight.live.len()).filter(|&at| !passed(&flight.live[at])).collect();
        let gone = flight.live.len() - keep.len();
        if gone > 0 {
            // They were counted when they were made first.
            flight.steps[flight.step].children -= gone as u64;
            flight.batch = std::sync::Arc::new(flight.batch.select(&keep));
            flight.live = keep.iter().map(|&position| flight.live[position]).collect();
        }
    }
}

/// The parent is settled, its parts go on: `id/1`, `id/2` and so on.
fn split(flight: &mut Flight, parent: u32, outputs: u32) -> Vec<(u32, RecordId)> {
    let parent_id = flight.id(parent);
    flight.set(parent, Status::Ok, flight.step);
    flight.split.push(parent);
    let mut children = Vec::with_capacity(outputs as usize);
    for part in 1..=outputs {
        let id = RecordId(format!("{parent_id}/{part}"));
        let Ok(member) = u32::try_from(flight.members.len()) else { break };
        if flight.ids.try_push(id.0.as_bytes()).is_err() {
            break;
        }
        flight.members.push(super::flight::Member { status: Status::Processing, step: 0 });
        flight.note(member).parent = Some(parent_id.clone());
        if let Some(key) = flight.order_keys.get(&parent).cloned() {
            flight.order_keys.insert(member, key);
        }
        children.push((member, id));
    }
    flight.steps[flight.step].children += u64::from(outputs);
    children
}
