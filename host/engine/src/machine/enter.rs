//! A flight comes to a destination: what is known to be applied is left out, what is in doubt is asked about.

use super::flight::{Flight, Given, Phase, portions};
use super::{Action, Machine, host_failure};
use crate::codes;
use crate::plan::{Entry, Role};
use crate::ports::{CallError, CallResult, Exchange, Idempotency, Probed, RefusalKind};
use crate::retry;
use crossdock_model::{Column, Failure, Outcome, Status};
use std::collections::HashMap;

impl Machine {
    pub(super) fn enter_destination(&mut self, flight: &mut Flight) {
        self.attach_given(flight);
        let step = &self.spec.steps[flight.step];
        let Role::Destination { idempotency, probes, .. } = step.role else { return };
        let (name, limits) = (step.name.clone(), step.retry);
        let probing_run = matches!(self.spec.entry, Entry::Probe(_));
        let from_source = matches!(self.spec.entry, Entry::Source { .. });
        let (mut to_write, mut to_probe) = (Vec::with_capacity(flight.live.len()), Vec::new());
        let mut known = Given { step: flight.step, in_rows: true, members: vec![], target_ids: None, receipts: None };
        let (mut target_ids, mut receipts) = (Column::new(), Column::new());
        for position in 0..flight.live.len() {
            let member = flight.live[position];
            flight.set(member, Status::Processing, flight.step);
            flight.arrive(member, &name, &limits);
            let Some(row) = flight.notes.get(&member).and_then(|note| note.row.as_ref()) else {
                to_write.push(position);
                continue;
            };
            if let Some(applied) = row.applied.iter().find(|applied| applied.step == name) {
                // Steps that are ok are never done again.
                known.members.push(member);
                let _ = target_ids.try_push(applied.target_id.as_bytes());
                let _ = receipts.try_push(&applied.receipt);
            } else if row.status == Status::Indeterminate && row.step == name {
                let quarantined = row.failure.as_ref().is_some_and(|f| f.code == codes::RECORD_QUARANTINED.name);
                match idempotency {
                    _ if quarantined && from_source => self.leave_in_doubt(flight, position),
                    Idempotency::NativeKey | Idempotency::Upsert if !probing_run => to_write.push(position),
                    _ if probes => to_probe.push(position),
                    _ => self.leave_in_doubt(flight, position),
                }
            } else {
                to_write.push(position);
            }
        }
        if !known.members.is_empty() {
            known.target_ids = Some(target_ids);
            known.receipts = Some(receipts);
            flight.given_now.push(known);
        }
        flight.to_write = to_write;
        flight.portions = portions(&to_probe, self.spec.steps[flight.step].max_batch);
        self.next_probe(flight);
    }

    /// Asks about the next portion of what is in doubt; then everything else is written.
    pub(super) fn next_probe(&mut self, flight: &mut Flight) {
        if self.is_stopping() {
            return self.give_up(flight);
        }
        if !self.may_call(flight.step) {
            flight.phase = Phase::Waiting;
            flight.asks = true;
            return;
        }
        let Some(portion) = flight.portions.pop_front() else {
            flight.to_write.sort_unstable();
            let to_write = std::mem::take(&mut flight.to_write);
            let to_write = self.hold_back(flight, to_write);
            flight.portions = self.turns(flight, &to_write, self.spec.steps[flight.step].max_batch);
            return self.intend(flight);
        };
        flight.phase = Phase::Probing;
        flight.began = self.now;
        let keys = self.keys(flight, &portion);
        self.actions.push(Action::Probe(flight.number, flight.step, flight.pick(&portion), keys));
        flight.current = portion;
    }

    /// It was indeterminate and nothing here can settle it: a person has to.
    fn leave_in_doubt(&self, flight: &mut Flight, position: usize) {
        let member = flight.live[position];
        let failure = flight.notes.get(&member).and_then(|note| note.row.as_ref()).and_then(|row| row.failure.clone());
        flight.end_member(position, Status::Indeterminate, failure);
    }

    pub(super) fn on_probed(&mut self, flight: &mut Flight, result: CallResult<Probed>) {
        let positions = std::mem::take(&mut flight.current);
        let CallResult { answer, trace } = result;
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                self.on_probe_error(flight, positions, error, &trace.exchanges);
                return self.next_probe(flight);
            }
        };
        let name = self.spec.steps[flight.step].name.clone();
        flight.state.extend(trace.state.into_iter().map(|write| (name.clone(), write)));
        let mut failures: HashMap<u32, Failure> = answer.failures.into_iter().collect();
        let mut known = Given { step: flight.step, in_rows: false, members: vec![], target_ids: None, receipts: None };
        let (mut target_ids, mut receipts) = (Column::new(), Column::new());
        let mut not_applied = Vec::new();
        for (index, &position) in positions.iter().enumerate() {
            match answer.outcomes.get(index) {
                Some(Outcome::Ok) => {
                    known.members.push(flight.live[position]);
                    let value = |column: &Option<Column>| {
                        column.as_ref().and_then(|c| c.get(index)).unwrap_or_default().to_vec()
                    };
                    let _ = target_ids.try_push(&value(&answer.target_ids));
                    let _ = receipts.try_push(&value(&answer.receipts));
                    flight.steps[flight.step].records_in += 1;
                    flight.steps[flight.step].ok += 1;
                }
                Some(Outcome::Dropped) => {
                    flight.note(flight.live[position]).in_doubt = false;
                    not_applied.push(position);
                }
                outcome => {
                    let failure = u32::try_from(index).ok().and_then(|index| failures.remove(&index));
                    let again = outcome == Some(&Outcome::Retryable);
                    self.stays_in_doubt(flight, position, failure, again);
                }
            }
        }
        if !known.members.is_empty() {
            known.target_ids = Some(target_ids);
            known.receipts = Some(receipts);
            flight.given_now.push(known);
        }
        if matches!(self.spec.entry, Entry::Probe(_)) {
            for position in not_applied {
                let failure =
                    Failure::new(codes::PROBE_NOT_APPLIED.name, "the destination says that it was never applied");
                flight.end_member(position, Status::Failed, Some(failure));
            }
        } else {
            flight.to_write.extend(not_applied);
        }
        self.next_probe(flight);
    }

    fn on_probe_error(&mut self, flight: &mut Flight, positions: Vec<usize>, error: CallError, sent: &[Exchange]) {
        let name = self.spec.steps[flight.step].name.clone();
        self.note_refused(&name, format!("probing failed: {error}"), sent);
        let (again, failure) = match error {
            CallError::Refused { kind, failure } => (kind == RefusalKind::Unavailable, failure),
            CallError::Fault(fault) => {
                self.note_fault(&name, &fault, &[]);
                (true, fault.failure())
            }
            CallError::Host(error) => {
                let failure = host_failure(&error);
                self.stop_for(error.class, failure.clone());
                (false, failure)
            }
        };
        for position in positions {
            self.stays_in_doubt(flight, position, Some(failure.clone()), again);
        }
    }

    /// Asking counts like an attempt, so that it too comes to an end.
    fn stays_in_doubt(&mut self, flight: &mut Flight, position: usize, failure: Option<Failure>, again: bool) {
        let (member, began) = (flight.live[position], flight.began);
        let limits = self.spec.steps[flight.step].retry;
        let failure = failure.unwrap_or_else(|| Failure::new(codes::UNEXPLAINED.name, "the plugin gave no reason"));
        let note = flight.note(member);
        let since = *note.since.get_or_insert(began);
        note.spent += u32::from(again);
        note.due = again
            .then(|| retry::next_attempt(&limits, &mut self.jitter, note.spent, since, self.now, &failure))
            .flatten();
        flight.end_member(position, Status::Indeterminate, Some(failure));
    }
}
