//! A flight at a destination: probe what is in doubt, make the intent durable, write, take the answers.

use super::flight::{Flight, Given, Phase, halves};
use super::{Action, Machine, evidence, host_failure};
use crate::codes;
use crate::plan::{OnError, Role};
use crate::ports::{
    AttemptKind, AttemptRow, CallError, CallResult, Exchange, Idempotency, Intent, RefusalKind, WriteOptions, Written,
};
use crate::retry;
use crossdock_model::{Column, Failure, Fault, Outcome, Status, idempotency_key};

/// What a destination said of one record.
struct Said {
    outcome: Outcome,
    failure: Option<Failure>,
    target_id: Option<String>,
    receipt: Option<Vec<u8>>,
    exchanges: Vec<Exchange>,
}

impl Said {
    fn plain(outcome: Outcome, failure: Option<Failure>) -> Self {
        Self { outcome, failure, target_id: None, receipt: None, exchanges: Vec::new() }
    }

    /// The same, of the record at this position of a call that sent these.
    fn of(outcome: Outcome, failure: Option<Failure>, sent: &[Exchange], index: usize) -> Self {
        Self { exchanges: evidence::of_record(sent, index), ..Self::plain(outcome, failure) }
    }
}

impl Machine {
    pub(super) fn keys(&self, flight: &Flight, positions: &[usize]) -> Column {
        let step = &self.spec.steps[flight.step].name;
        let mut keys = Column::with_capacity(positions.len(), positions.len() * 32);
        for &position in positions {
            let generation = flight.generation(flight.live[position]);
            let id = flight.batch.ids.get(position).unwrap_or_default();
            let _ = keys.try_push(&idempotency_key(&self.spec.route, step, generation, id));
        }
        keys
    }

    /// Invariant 5: the intent is durable before the effect is attempted.
    pub(super) fn intend(&mut self, flight: &mut Flight) {
        if flight.live.iter().any(|&member| flight.status(member) == Status::Indeterminate) {
            self.hold_if_strict(flight);
            if self.is_stopping() {
                return self.give_up(flight);
            }
            if matches!(flight.phase, Phase::Held(_)) {
                return self.write_down_held(flight);
            }
        }
        let mut positions: Vec<usize> = flight.portions.iter().flatten().copied().collect();
        // Turns mix them; what is said of the records is said in the order of the batch.
        positions.sort_unstable();
        if positions.is_empty() {
            return self.leave_destination(flight);
        }
        if self.is_stopping() {
            return self.give_up(flight);
        }
        let members = || positions.iter().map(|&position| flight.live[position]);
        let intent = Intent {
            route: self.spec.route.clone(),
            run: self.spec.run.clone(),
            batch: flight.number,
            step: self.spec.steps[flight.step].name.clone(),
            at: self.now,
            attempts: members().map(|member| flight.attempts(member) + 1).collect(),
            generations: members().map(|member| flight.generation(member)).collect(),
            ids: if positions.len() == flight.live.len() {
                flight.batch.ids.clone()
            } else {
                flight.batch.ids.select(&positions)
            },
            open: flight.open,
            careful: flight.careful && positions.len() == 1,
            effect: true,
        };
        self.write_down_arrivals(flight);
        flight.phase = Phase::Intending;
        flight.touched = true;
        self.actions.push(Action::Intend(flight.number, intent));
    }

    pub(super) fn on_intended(&mut self, flight: &mut Flight) {
        match flight.phase {
            Phase::IntendingTransform if self.is_stopping() => self.give_up(flight),
            Phase::IntendingTransform => self.next_transform(flight),
            _ => self.next_write(flight),
        }
    }

    fn next_write(&mut self, flight: &mut Flight) {
        if self.is_stopping() {
            return self.give_up(flight);
        }
        if !flight.portions.is_empty() && !self.may_call(flight.step) {
            flight.phase = Phase::Waiting;
            flight.asks = false;
            return;
        }
        let Some(portion) = flight.portions.pop_front() else {
            return self.leave_destination(flight);
        };
        let portion = self.hold_back(flight, portion);
        if portion.is_empty() {
            return self.next_write(flight);
        }
        flight.phase = Phase::Writing;
        flight.began = self.now;
        let options = WriteOptions { stop_at_first_failure: self.is_strict(flight) };
        let keys = self.keys(flight, &portion);
        self.actions.push(Action::Write(flight.number, flight.step, flight.pick(&portion), keys, options));
        flight.current = portion;
    }

    /// The connector can be used again.
    pub(super) fn go_on_at_destination(&mut self, flight: &mut Flight) {
        if flight.asks { self.next_probe(flight) } else { self.next_write(flight) }
    }

    /// Whether nothing may be written behind a record that fails. Records that are put through again were
    /// chosen one by one and do not hold each other up.
    pub(super) fn is_strict(&self, flight: &Flight) -> bool {
        self.spec.policy.on_error == OnError::Stop && flight.is_page()
    }

    pub(super) fn on_written(&mut self, flight: &mut Flight, result: CallResult<Written>) {
        let portion = std::mem::take(&mut flight.current);
        let name = self.spec.steps[flight.step].name.clone();
        let CallResult { answer, trace } = result;
        match answer {
            Ok(answer) => {
                self.heard_from(flight.step, &answer.outcomes, answer.failures.first().map(|(_, failure)| failure));
                flight.state.extend(trace.state.into_iter().map(|write| (name.clone(), write)));
                self.take_written(flight, &portion, answer, &trace.exchanges);
            }
            Err(CallError::Fault(fault)) => self.on_write_fault(flight, portion, &fault, &trace.exchanges),
            Err(CallError::Refused { kind, failure }) => {
                self.on_write_refused(flight, portion, kind, failure, &trace.exchanges);
            }
            Err(CallError::Host(error)) => {
                let failure = host_failure(&error);
                self.all_unknown(flight, &portion, &failure, &trace.exchanges);
                self.stop_for(error.class, failure);
            }
        }
        self.after_write(flight);
    }

    fn after_write(&mut self, flight: &mut Flight) {
        if !flight.unauthorized.is_empty() {
            // Is it the credentials, or only this record? The connector itself is asked.
            flight.phase = Phase::Checking;
            self.actions.push(Action::Check(flight.number, flight.step));
            return;
        }
        self.hold_if_strict(flight);
        if self.is_stopping() {
            self.give_up(flight);
        } else if matches!(flight.phase, Phase::Held(_)) {
            self.write_down_held(flight);
        } else {
            self.next_write(flight);
        }
    }

    /// The same records may only be written again if the destination recognises them.
    fn on_write_fault(&mut self, flight: &mut Flight, portion: Vec<usize>, fault: &Fault, sent: &[Exchange]) {
        let step = &self.spec.steps[flight.step];
        let name = step.name.clone();
        let recognises =
            matches!(step.role, Role::Destination { idempotency: Idempotency::NativeKey | Idempotency::Upsert, .. });
        self.note_fault(&name, fault, sent);
        if recognises && portion.len() > 1 && !self.is_stopping() {
            for (index, &position) in portion.iter().enumerate() {
                let note = flight.note(flight.live[position]);
                note.in_doubt = true;
                note.failure = Some(fault.failure());
                note.sent = evidence::together(std::mem::take(&mut note.sent), evidence::of_record(sent, index));
            }
            let (first, second) = halves(&portion);
            flight.portions.push_front(second);
            flight.portions.push_front(first);
            return;
        }
        self.all_unknown(flight, &portion, &fault.failure(), sent);
    }

    /// A call ended without an answer: which of the records it had come to nobody knows, but what was sent for each.
    fn all_unknown(&mut self, flight: &mut Flight, portion: &[usize], failure: &Failure, sent: &[Exchange]) {
        flight.steps[flight.step].records_in += portion.len() as u64;
        for (index, &position) in portion.iter().enumerate() {
            self.take_outcome(flight, position, Said::of(Outcome::Unknown, Some(failure.clone()), sent, index));
        }
    }

    /// A refused write is a promise that nothing took effect.
    fn on_write_refused(
        &mut self,
        flight: &mut Flight,
        portion: Vec<usize>,
        kind: RefusalKind,
        failure: Failure,
        sent: &[Exchange],
    ) {
        let name = self.spec.steps[flight.step].name.clone();
        self.note_refused(&name, failure.message.clone(), sent);
        match kind {
            RefusalKind::Unavailable | RefusalKind::Internal => {
                self.heard_from(flight.step, &vec![Outcome::Retryable; portion.len()], Some(&failure));
                flight.steps[flight.step].records_in += portion.len() as u64;
                let strict = self.is_strict(flight);
                for (index, &position) in portion.iter().enumerate() {
                    let said = match strict && index > 0 {
                        true => Said::plain(Outcome::Untouched, None),
                        false => Said::of(Outcome::Retryable, Some(failure.clone()), sent, index),
                    };
                    self.take_outcome(flight, position, said);
                }
                self.hold_if_strict(flight);
            }
            _ => {
                flight.portions.push_front(portion);
                self.stop_for(kind.class(), failure);
            }
        }
    }

    fn take_written(&mut self, flight: &mut Flight, portion: &[usize], answer: Written, exchanges: &[Exchange]) {
        flight.steps[flight.step].records_in += portion.len() as u64;
        let all_well = answer.outcomes.iter().all(|outcome| outcome.is_success()) && flight.notes.is_empty();
        if all_well {
            flight.steps[flight.step].ok += portion.len() as u64;
            flight.given_now.push(Given {
                step: flight.step,
                in_rows: false,
                members: portion.iter().map(|&position| flight.live[position]).collect(),
                target_ids: answer.target_ids,
                receipts: answer.receipts,
            });
            return;
        }
        let mut failures = answer.failures.into_iter().peekable();
        let mut applied = Vec::new();
        let mut untouched = Vec::new();
        for (index, &outcome) in answer.outcomes.iter().enumerate() {
            let position = portion[index];
            let failure = failures.next_if(|(at, _)| *at as usize == index).map(|(_, failure)| failure);
            if outcome.is_success() {
                applied.push(index);
            }
            if outcome == Outcome::Untouched {
                untouched.push(position);
            }
            let text = |column: &Option<Column>| column.as_ref().map(|column| column.text(index).into_owned());
            let bytes =
                |column: &Option<Column>| column.as_ref().and_then(|column| column.get(index)).map(<[u8]>::to_vec);
            let said = Said {
                outcome,
                failure,
                target_id: text(&answer.target_ids).filter(|text| !text.is_empty()),
                receipt: bytes(&answer.receipts).filter(|bytes| !bytes.is_empty()),
                exchanges: evidence::of_record(exchanges, index),
            };
            self.take_outcome(flight, position, said);
        }
        if !applied.is_empty() {
            flight.given_now.push(Given {
                step: flight.step,
                in_rows: false,
                members: applied.iter().map(|&index| flight.live[portion[index]]).collect(),
                target_ids: answer.target_ids.map(|column| column.select(&applied)),
                receipts: answer.receipts.map(|column| column.select(&applied)),
            });
        }
        self.hold_if_strict(flight);
        if !untouched.is_empty() && !self.is_stopping() && !matches!(flight.phase, Phase::Held(_)) {
            self.write_untouched_again(flight, untouched, portion.len());
        }
    }

    /// Untouched without a failure before it: the plugin ran short of time. It goes on where it was, unless
    /// it did nothing at all.
    fn write_untouched_again(&mut self, flight: &mut Flight, untouched: Vec<usize>, of: usize) {
        if untouched.len() == of {
            let failure =
                Failure::new(codes::NOTHING_WRITTEN.name, "the destination left every record of the batch untouched");
            let counts = &mut flight.steps[flight.step];
            counts.untouched -= untouched.len() as u64;
            let strict = self.is_strict(flight);
            for (index, position) in untouched.into_iter().enumerate() {
                let first = index == 0 || !strict;
                let (outcome, failure) =
                    if first { (Outcome::Retryable, Some(failure.clone())) } else { (Outcome::Untouched, None) };
                self.take_outcome(flight, position, Said::plain(outcome, failure));
            }
            self.hold_if_strict(flight);
        } else {
            flight.portions.push_front(untouched);
        }
    }

    /// Takes what a destination said of one record.
    fn take_outcome(&mut self, flight: &mut Flight, position: usize, said: Said) {
        let member = flight.live[position];
        let step = self.spec.steps[flight.step].name.clone();
        let Said { outcome, failure, target_id, receipt, exchanges } = said;
        let counts = &mut flight.steps[flight.step];
        match outcome {
            Outcome::Ok | Outcome::Unchanged => counts.ok += 1,
            Outcome::Untouched => counts.untouched += 1,
            _ => {}
        }
        if outcome == Outcome::Untouched {
            flight.set(member, Status::Processing, flight.step);
            return;
        }
        let (id, began) = (flight.id(member), flight.began);
        let note = flight.notes.entry(member).or_default();
        note.attempts += 1;
        note.spent += 1;
        note.since.get_or_insert(began);
        let exchanges = evidence::together(std::mem::take(&mut note.sent), exchanges);
        let row = AttemptRow {
            id,
            step,
            kind: AttemptKind::Pass,
            attempt: note.attempts,
            generation: note.generation,
            began,
            ended: self.now,
            outcome,
            failure: failure.clone(),
            target_id,
            receipt,
            exchanges,
        };
        let in_doubt = note.in_doubt;
        note.in_doubt = outcome == Outcome::Unknown || (in_doubt && outcome != Outcome::Rejected);
        if outcome.is_success() {
            note.failure = None;
            note.due = None;
            note.in_doubt = false;
            if note.row.is_some() || note.attempts > 1 {
                flight.attempts.push(row);
            } else if note.is_of_this_attempt() {
                // An ordinary record of a batch in which others are not: it needs no note after all.
                flight.notes.remove(&member);
            }
            return;
        }
        flight.attempts.push(row);
        let failure = failure.unwrap_or_else(|| Failure::new(codes::UNEXPLAINED.name, "the plugin gave no reason"));
        self.not_applied(flight, position, outcome, failure, in_doubt);
    }

    /// What becomes of a record that an attempt has not brought where it was to go. `in_doubt`: an earlier attempt may
    /// have.
    fn not_applied(
        &mut self,
        flight: &mut Flight,
        position: usize,
        outcome: Outcome,
        failure: Failure,
        in_doubt: bool,
    ) {
        let (member, step) = (flight.live[position], &self.spec.steps[flight.step]);
        let (began, retry) = (flight.began, step.retry);
        let note = flight.note(member);
        let (spent, since) = (note.spent, note.since.unwrap_or(began));
        match outcome {
            Outcome::Retryable => {
                let due = retry::next_attempt(&retry, &mut self.jitter, spent, since, self.now, &failure);
                let counts = &mut flight.steps[flight.step];
                let (count, status) = match due {
                    // That this attempt was not applied says nothing of the earlier one.
                    _ if in_doubt => (&mut counts.unknown, Status::Indeterminate),
                    Some(_) => (&mut counts.retry, Status::Pending),
                    None => (&mut counts.failed, Status::Failed),
                };
                *count += 1;
                flight.end_member(position, status, Some(failure));
                flight.note(member).due = due;
            }
            Outcome::Unknown => {
                let may_ask = matches!(
                    step.role,
                    Role::Destination { idempotency: Idempotency::NativeKey | Idempotency::Upsert, .. }
                        | Role::Destination { probes: true, .. }
                );
                let due = may_ask
                    .then(|| retry::next_attempt(&retry, &mut self.jitter, spent, since, self.now, &failure))
                    .flatten();
                flight.steps[flight.step].unknown += 1;
                flight.end_member(position, Status::Indeterminate, Some(failure));
                flight.note(member).due = due;
            }
            Outcome::Unauthorized => flight.unauthorized.push((position, failure)),
            _ => {
                flight.steps[flight.step].failed += 1;
                flight.end_member(position, Status::Failed, Some(failure));
            }
        }
    }

    /// Credentials were refused for some records: if the connector's own check fails too, it is not the
    /// records' fault and nothing is held against them.
    pub(super) fn on_checked(&mut self, flight: &mut Flight, result: CallResult<()>) {
        let refused = std::mem::take(&mut flight.unauthorized);
        match result.answer {
            Ok(()) => {
                for (position, failure) in refused {
                    let in_doubt = flight.notes.get(&flight.live[position]).is_some_and(|note| note.in_doubt);
                    let counts = &mut flight.steps[flight.step];
                    let (count, status) = if in_doubt {
                        (&mut counts.unknown, Status::Indeterminate)
                    } else {
                        (&mut counts.failed, Status::Failed)
                    };
                    *count += 1;
                    flight.end_member(position, status, Some(failure));
                }
                self.hold_if_strict(flight);
            }
            Err(error) => {
                for (position, _) in &refused {
                    let member = flight.live[*position];
                    let note = flight.note(member);
                    note.spent = note.spent.saturating_sub(1);
                    flight.steps[flight.step].untouched += 1;
                    flight.set(member, Status::Processing, flight.step);
                }
                let again: Vec<usize> = refused.iter().map(|(position, _)| *position).collect();
                let first = refused.into_iter().next().map(|(_, failure)| failure).unwrap_or_default();
                let message = format!("{}; its check says: {error}", first.message);
                self.open_gate(flight.step, &Failure { message, ..first }, true);
                flight.portions.push_front(again);
            }
        }
        self.after_write(flight);
    }

    /// In strict order the first record that is not applied decides: given up, the run stops; to be tried
    /// again, everything behind it waits.
    fn hold_if_strict(&mut self, flight: &mut Flight) {
        if !self.is_strict(flight) || !flight.unauthorized.is_empty() {
            return;
        }
        let name = self.spec.steps[flight.step].name.clone();
        let mut until = None;
        for position in 0..flight.live.len() {
            let member = flight.live[position];
            match flight.status(member) {
                Status::Failed => {
                    let reason = flight.notes.get(&member).and_then(|note| note.failure.clone()).unwrap_or_default();
                    return self.stop_because(Failure {
                        code: codes::STOPPED_AT_RECORD.name.into(),
                        message: format!(
                            "record {} failed at step {name} ({}: {}) and the route stops on errors",
                            flight.id(member),
                            reason.code,
                            reason.message
                        ),
                        ..reason
                    });
                }
                Status::Pending | Status::Indeterminate => {
                    let Some(due) = flight.notes.get(&member).and_then(|note| note.due) else {
                        return self.stop_because(Failure::new(
                            codes::STOPPED_AT_RECORD.name,
                            format!(
                                "it is unknown whether step {name} applied record {}, and the route stops on errors",
                                flight.id(member)
                            ),
                        ));
                    };
                    until = until.max(Some(due));
                }
                _ => {}
            }
        }
        if let Some(until) = until {
            flight.phase = Phase::Held(until);
        }
    }

    /// The waiting is over. What was applied before stands in the rows that were written when it began, so the
    /// step is entered as if the batch had just come.
    pub(super) fn write_again(&mut self, flight: &mut Flight) {
        flight.given_now.clear();
        for member in &flight.live {
            if let Some(note) = flight.notes.get_mut(member).filter(|note| note.due.is_some()) {
                note.due = None;
                note.failure = None;
            }
        }
        self.enter_destination(flight);
    }

    fn leave_destination(&mut self, flight: &mut Flight) {
        let given_now = std::mem::take(&mut flight.given_now);
        let last = flight.step + 1 == self.spec.steps.len();
        self.tasks_on_success(flight, &given_now);
        if !last {
            self.write_down_progress(flight, &given_now);
        }
        flight.given.extend(given_now);
        self.note_blockers(flight);
        flight.keep_live_and_move_on(self.spec.steps.len());
    }
}
