//! How records come in: as pages of the source, or as rows of the ledger.

use super::flight::{Flight, Given, Note, Origin, Phase};
use super::order::waits_for_order;
use super::undo::attributes_of;
use super::{Action, Machine};
use crate::codes;
use crate::plan::{Entry, LogLevel};
use crate::ports::{CallError, CallResult, DueRows, More, Page, Payload, RecordRow};
use crossdock_model::{Batch, Column, ErrorClass, Failure, Outcome, RecordId, Status, StepName};
use std::sync::Arc;

/// Stands for the source where a step's position is wanted.
pub(super) const SOURCE: usize = u16::MAX as usize;

impl Machine {
    pub(super) fn on_page(&mut self, result: CallResult<Page>) {
        self.reading.ends(self.now);
        let CallResult { answer, trace } = result;
        let page = match answer {
            Ok(page) => page,
            Err(error) => return self.stop_for_source(error, &trace.exchanges),
        };
        if self.is_stopping() {
            return;
        }
        if let Some(fault) = self.reading.broken(&self.position, &page) {
            return self.stop_for_source(CallError::Fault(fault), &trace.exchanges);
        }
        self.reading.count(&page, &self.spec.policy.source);
        self.source_done = page.more != More::More || self.has_enough();
        if page.batch.is_empty() && self.position.as_ref() == Some(&page.checkpoint) {
            return;
        }
        self.position = Some(page.checkpoint.clone());
        self.moved = true;
        let number = self.next_number();
        let mut flight =
            Flight::new(number, Origin::Page(page.checkpoint), page.batch, self.spec.steps.len(), self.now);
        if self.spec.policy.log == LogLevel::Full {
            flight.originals = Some(flight.batch.payloads.clone());
        }
        flight.state.extend(trace.state.into_iter().map(|write| (StepName::source(), write)));
        flight.careful = self.careful > 0;
        if let Some(keys) = &page.order_keys {
            let keys = (0_u32..).zip(keys.iter()).filter(|(_, key)| !key.is_empty());
            flight.order_keys = keys.map(|(member, key)| (member, key.to_vec())).collect();
        }
        if !(self.open.is_empty() && self.settled.is_empty() && self.unsettled.is_empty()) {
            for member in flight.live.clone() {
                self.meet_known(&mut flight, member);
            }
        }
        self.set_unreadable_aside(&mut flight, page.unreadable);
        self.flights.push_back(flight);
    }

    /// If something is known of this record from an earlier run, it is taken into account.
    pub(super) fn meet_known(&mut self, flight: &mut Flight, member: u32) {
        let Some(id) = flight.ids.get(member as usize) else { return };
        if self.unsettled.contains(id) {
            // It is being dealt with: from the ledger, not from here.
            flight.note(member).passed = true;
            return;
        }
        let Some(row) = self.open.remove(id).or_else(|| self.settled.remove(id)) else { return };
        let all_or_nothing = self.does_all_or_nothing();
        let note = flight.note(member);
        if row.status == Status::RolledBack {
            // It was undone: it begins anew, under other keys.
            note.generation = row.generation + 1;
            note.at = Some(row.step);
            note.parent = note.parent.take().or(row.parent);
            return;
        }
        if matches!(row.status, Status::RollingBack | Status::RollbackFailed) {
            let message = format!("record {} could not be undone, and the route does not go past it", row.id);
            let failure = row.failure.clone().unwrap_or_default();
            // Its row stays as it is, and the page it came with stays open.
            note.passed = true;
            note.row = Some(row);
            flight.unfinished = true;
            return self.stop_for(
                ErrorClass::NeedsOperator,
                Failure { code: codes::STOPPED_AT_ROLLBACK.name.into(), message, ..failure },
            );
        }
        let note = flight.note(member);
        note.generation = row.generation;
        // All or nothing: what was rejected keeps the others back until a person leaves it out.
        // And what its source gives once more, with the checkpoint behind it, is meant to be tried again.
        let again = row.status == Status::Failed || (row.status == Status::Rejected && (all_or_nothing || !row.open));
        note.passed = row.status.is_settled() && !again;
        note.at = Some(row.step.clone());
        note.parent = note.parent.take().or_else(|| row.parent.clone());
        let status = row.status;
        note.row = Some(row);
        flight.set(member, status, 0);
    }

    fn set_unreadable_aside(&mut self, flight: &mut Flight, unreadable: Vec<(u32, Failure)>) {
        let mut aside: Vec<usize> = Vec::new();
        for (position, failure) in unreadable {
            let at = position as usize;
            aside.push(at);
            if flight.notes.get(&position).is_some_and(|note| note.passed) {
                continue;
            }
            flight.end_member(at, Status::Rejected, Some(failure.clone()));
            flight.set(position, Status::Rejected, SOURCE);
            self.note_attempt_at(flight, at, StepName::source(), Outcome::Rejected, &failure, Vec::new());
        }
        let passed = |member: &u32| flight.notes.get(member).is_some_and(|note| note.passed);
        let keep: Vec<usize> = (0..flight.live.len())
            .filter(|at| aside.binary_search(at).is_err() && !passed(&flight.live[*at]))
            .collect();
        if keep.len() != flight.live.len() {
            flight.batch = Arc::new(flight.batch.select(&keep));
            flight.live = keep.iter().map(|&at| flight.live[at]).collect();
        }
    }

    pub(super) fn next_number(&mut self) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        number
    }

    pub(super) fn on_due(&mut self, due: DueRows) {
        self.taking = false;
        let (more, earliest) = std::mem::take(&mut self.waiting_since);
        // Some may be counted twice; then the ledger is asked once more than needed.
        self.waiting = due.pending + more;
        self.next_due = due.next_due.into_iter().chain(earliest).min();
        if self.is_stopping() {
            return;
        }
        for row in due.rows {
            // Whose turn has come may have been taken up since the ledger was asked; its row is due as long as it is on
            // its way, so that a crash does not lose it.
            if self.flights_from_ledger() > 0 && self.is_under_way(&row.id) {
                self.waiting += 1;
                self.next_due = self.next_due.into_iter().chain(row.due).min();
            } else {
                self.queue.push_back(row);
            }
        }
    }

    /// Loads the next of the records that were chosen, a batch at a time.
    pub(super) fn load_more(&mut self) {
        if self.is_stopping() || self.loading || !self.queue.is_empty() {
            return;
        }
        let most = self.spec.policy.batch_records.max(1) as usize;
        // What waits for its turn may just be on its way into the ledger.
        let turns = if self.commits_under_way == 0 { self.take_turns(most) } else { Vec::new() };
        self.loading_freed = !turns.is_empty();
        let ids = if self.loading_freed { turns } else { self.take_chosen(most) };
        if ids.is_empty() {
            return;
        }
        self.loading = true;
        self.actions.push(Action::Load(ids));
    }

    /// Records whose turn has come, except those that are under way in another way.
    fn take_turns(&mut self, most: usize) -> Vec<RecordId> {
        let freed = std::mem::take(&mut self.freed);
        let mut turns = Vec::new();
        for id in freed {
            if turns.len() < most && !self.is_under_way(&id) {
                self.had_turn.insert(id.clone());
                turns.push(id);
            } else {
                self.freed.push_back(id);
            }
        }
        turns
    }

    /// The next of the records that were chosen, except those that had their turn already.
    fn take_chosen(&mut self, most: usize) -> Vec<RecordId> {
        let mut ids = Vec::new();
        while ids.len() < most {
            let Some(id) = self.chosen.pop_front() else { break };
            if !self.had_turn.contains(&id) {
                ids.push(id);
            }
        }
        ids
    }

    pub(super) fn on_loaded(&mut self, rows: Vec<RecordRow>) {
        self.loading = false;
        if self.is_stopping() {
            return;
        }
        for row in rows {
            // Whose turn has come may have been dealt with in another way before.
            if !self.loading_freed || (waits_for_order(&row) && !self.is_under_way(&row.id)) {
                self.queue.push_back(row);
            }
        }
    }

    fn is_under_way(&self, id: &RecordId) -> bool {
        let id = id.0.as_bytes();
        self.queue.iter().any(|row| row.id.0.as_bytes() == id)
            || self.flights.iter().any(|flight| flight.ids.iter().any(|other| other == id))
    }

    /// Starts flights from the rows in the queue, as far as there is room: neighbours that stand at the same step
    /// go together. Says whether it did.
    pub(super) fn start_from_queue(&mut self) -> bool {
        let mut started = false;
        let mut room = usize::try_from(self.window()).unwrap_or(1).saturating_sub(self.flights_from_ledger());
        while room > 0 && !self.is_stopping() {
            let Some(first) = self.queue.pop_front() else { break };
            let (step, open) = (first.step.clone(), first.open);
            let mut rows = vec![first];
            let limit = if self.careful > 0 { 1 } else { self.spec.policy.batch_records.max(1) as usize };
            while rows.len() < limit && self.queue.front().is_some_and(|row| row.step == step && row.open == open) {
                rows.extend(self.queue.pop_front());
            }
            let flight = self.flight_from_rows(rows);
            self.flights.push_back(flight);
            started = true;
            room -= 1;
        }
        started
    }

    fn flights_from_ledger(&self) -> usize {
        self.flights.iter().filter(|flight| !flight.is_page()).count()
    }

    fn flight_from_rows(&mut self, rows: Vec<RecordRow>) -> Flight {
        let index = rows.first().and_then(|row| self.spec.step_index(&row.step));
        let mut batch = Batch { ids: rows.iter().map(|row| &row.id.0).collect(), ..Batch::default() };
        for row in &rows {
            let payload: &[u8] = if let Payload::Kept(bytes) = &row.payload { bytes } else { &[] };
            let _ = batch.payloads.try_push(payload);
        }
        batch.attributes = attributes_of(rows.iter().map(|row| &row.attributes[..]));
        let number = self.next_number();
        let mut flight = Flight::new(number, Origin::Ledger, batch, self.spec.steps.len(), self.now);
        flight.step = index.unwrap_or(0);
        flight.open = rows.iter().any(|row| row.open);
        flight.careful = self.careful > 0;
        let keys = (0_u32..).zip(&rows).filter_map(|(member, row)| Some((member, row.order_key.clone()?)));
        flight.order_keys = keys.collect();
        flight.given = self.given_before(&rows, flight.step);
        for (member, row) in (0_u32..).zip(rows) {
            let missing = if index.is_none() {
                Some(Failure::new(codes::STEP_GONE.name, format!("the route has no step {} any more", row.step)))
            } else if matches!(row.payload, Payload::Kept(_)) {
                None
            } else {
                Some(Failure::new(codes::PAYLOAD_GONE.name, "the content of the record is not in the ledger"))
            };
            // What may have been applied is not called failed because it cannot be looked at any more.
            let doubt = row.status == Status::Indeterminate;
            *flight.note(member) = Note {
                at: Some(row.step.clone()),
                counted: (row.run == self.spec.run).then_some(row.status),
                parent: row.parent.clone(),
                generation: row.generation,
                attempts: if missing.is_some() { row.attempts } else { 0 },
                row: Some(row),
                ..Note::default()
            };
            if let Some(failure) = missing {
                let status = if doubt { Status::Indeterminate } else { Status::Failed };
                flight.end_member(member as usize, status, Some(failure));
            }
        }
        let keep: Vec<usize> =
            (0..flight.live.len()).filter(|&at| flight.status(flight.live[at]) == Status::New).collect();
        if keep.len() != flight.live.len() {
            flight.batch = Arc::new(flight.batch.select(&keep));
            flight.live = keep.iter().map(|&at| flight.live[at]).collect();
        }
        flight
    }

    /// What earlier steps did for these rows, so that later ones are told.
    fn given_before(&self, rows: &[RecordRow], step: usize) -> Vec<Given> {
        let mut given = Vec::new();
        for (index, spec) in self.spec.steps.iter().enumerate().take(step) {
            let (mut members, mut target_ids, mut receipts) = (Vec::new(), Column::new(), Column::new());
            for (member, row) in (0_u32..).zip(rows) {
                if let Some(applied) = row.applied.iter().find(|applied| applied.step == spec.name) {
                    members.push(member);
                    let _ = target_ids.try_push(applied.target_id.as_bytes());
                    let _ = receipts.try_push(&applied.receipt);
                }
            }
            if !members.is_empty() {
                given.push(Given {
                    step: index,
                    in_rows: true,
                    members,
                    target_ids: Some(target_ids),
                    receipts: Some(receipts),
                });
            }
        }
        given
    }

    /// Takes up what waits in the ledger, and asks to be woken for what waits for its time.
    pub(super) fn take_more(&mut self) {
        let due = self.next_due.filter(|_| self.waiting > 0 && !self.is_stopping());
        let can_take = !self.is_stopping()
            && self.flights_from_ledger() == 0
            && self.queue.is_empty()
            && self.commits_under_way == 0
            && !self.taking;
        if can_take && due.is_some_and(|due| due <= self.now) {
            self.taking = true;
            self.waiting_since = (0, None);
            let own = !matches!(self.spec.entry, Entry::Source { .. });
            self.actions.push(Action::TakeDue(self.spec.policy.batch_records.max(1), own));
            return;
        }
        let held = self.flights.iter().filter_map(|flight| match flight.phase {
            Phase::Held(until) => Some(until),
            _ => None,
        });
        let undo = self.undoing.next_due.filter(|_| self.undoing.waiting > 0 && !self.gave_up);
        let others = held.chain(due).chain(undo).chain(self.next_check());
        let earliest = others.filter(|at| *at > self.now).min();
        if let Some(at) = earliest.filter(|at| self.woken_at != Some(*at)) {
            self.woken_at = Some(at);
            self.actions.push(Action::WakeAt(at));
        }
    }
}
