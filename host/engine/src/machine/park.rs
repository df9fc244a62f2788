//! How the records of a flight are left that do not come to an end now: held back, interrupted, or short of where
//! they stood before.

use super::Machine;
use super::flight::{Flight, Phase};
use crate::codes;
use crate::plan::Rollback;
use crate::ports::{Payload, RecordRow};
use crossdock_model::{ErrorClass, Failure, Status};
use std::collections::HashSet;

impl Machine {
    /// The run is stopping: nothing more is begun for this flight. What was not touched at all leaves no trace
    /// and will be read again; of the rest it is written down how far it came.
    pub(super) fn give_up(&mut self, flight: &mut Flight) {
        let in_transformer = flight.phase == Phase::Transforming;
        flight.phase = Phase::Done;
        flight.portions.clear();
        flight.current.clear();
        if flight.is_page() && !flight.touched {
            flight.abandoned = true;
            return;
        }
        if in_transformer {
            flight.take_back_splits();
        }
        let applied_here = flight.given_for(&flight.given_now);
        let given_now = std::mem::take(&mut flight.given_now);
        self.tasks_on_success(flight, &given_now);
        flight.given.extend(given_now);
        let applied_ever = flight.given_for(&flight.given);
        for position in 0..flight.live.len() {
            let at = flight.live[position] as usize;
            let under_way = matches!(flight.status(flight.live[position]), Status::Processing | Status::New);
            if !under_way {
                continue;
            }
            if applied_here[at] && flight.step + 1 == self.spec.steps.len() {
                flight.set(flight.live[position], Status::Ok, flight.step);
                continue;
            }
            flight.unfinished = true;
            if flight.is_page() {
                self.park_for_source(flight, position, applied_here[at], applied_ever[at]);
            } else {
                self.park_in_ledger(flight, position, applied_here[at]);
            }
        }
        flight.live.clear();
    }

    /// The record will be read again; how far it came is kept in an open row.
    fn park_for_source(&self, flight: &mut Flight, position: usize, applied_here: bool, applied_ever: bool) {
        let (member, step) = (flight.live[position], flight.step);
        if let Some(note) = flight.notes.get_mut(&member) {
            // What an earlier step was given is not what this one would be.
            (note.payload, note.attributes) = (None, Vec::new());
        }
        let doubt = flight.notes.get(&member).filter(|note| note.in_doubt);
        if applied_here {
            flight.set(member, Status::Pending, step + 1);
            flight.note(member).begin_anew();
        } else if let Some(note) = doubt {
            let before = note.row.as_ref().and_then(|row| row.failure.clone());
            let failure = note.failure.clone().or(before);
            flight.end_member(position, Status::Indeterminate, failure);
        } else {
            flight.set(member, if applied_ever { Status::Pending } else { Status::New }, step);
        }
    }

    /// Nobody will give the record again: it waits in the ledger, as it was or as far as it came.
    fn park_in_ledger(&self, flight: &mut Flight, position: usize, applied_here: bool) {
        let (member, step) = (flight.live[position], flight.step);
        let name = self.step_name(step);
        let row = flight.notes.get(&member).and_then(|note| note.row.clone());
        let Some(row) = row.filter(|row| row.step == name && !applied_here) else {
            flight.end_member(position, Status::Pending, None);
            flight.note(member).due = Some(self.now);
            if applied_here {
                flight.note(member).begin_anew();
                flight.set(member, Status::Pending, step + 1);
            } else if flight.note(member).in_doubt {
                flight.set(member, Status::Indeterminate, step);
            }
            return;
        };
        if flight.note(member).in_doubt && row.status != Status::Indeterminate {
            let failure = flight.note(member).failure.take();
            flight.end_member(position, Status::Indeterminate, failure);
            flight.note(member).due = Some(self.now);
            return;
        }
        if flight.attempts(member) <= row.attempts {
            // Nothing was begun for it: it stays as it is.
            return flight.set(member, Status::New, step);
        }
        flight.end_member(position, row.status, row.failure);
        flight.note(member).due = row.due;
    }

    /// Nobody else has the records of a flight from the ledger: before one of them is written as what it has become
    /// on the way, that is made durable, parts of a split together with the record they come from.
    pub(super) fn write_down_arrivals(&mut self, flight: &mut Flight) {
        let name = self.step_name(flight.step);
        if flight.is_page() || !flight.live.iter().any(|&member| flight.is_news(member, &name)) {
            return;
        }
        let mut commit = self.empty_commit(flight);
        commit.attempts = std::mem::take(&mut flight.attempts);
        commit.state = std::mem::take(&mut flight.state);
        commit.tasks = std::mem::take(&mut flight.tasks);
        let places: Vec<_> = flight.given.iter().map(|part| part.places(flight.members.len())).collect();
        let mut position_of = vec![None; flight.members.len()];
        for (position, &member) in flight.live.iter().enumerate() {
            position_of[member as usize] = Some(position);
        }
        for (member, position) in (0_u32..).zip(position_of) {
            if flight.notes.get(&member).is_some_and(|note| note.passed) {
                continue;
            }
            let mut row = self.row_for(flight, member, flight.open, &flight.given, &places);
            if let Some(position) = position.filter(|_| row.status == Status::Processing) {
                row.status = Status::Pending;
                row.due = Some(self.now);
                row.payload = Payload::Kept(flight.batch.payloads.get(position).unwrap_or_default().to_vec());
                row.attributes = flight.batch.attributes_of(position);
            }
            flight.note(member).at = Some(row.step.clone());
            if self.is_yet_to_be_undone(&row) {
                row.status = Status::Processing;
                row.due = Some(self.now);
            } else {
                commit.tasks.extend(self.task_on_failure(flight, member));
            }
            commit.rows.push(row);
        }
        self.push_commit(commit);
    }

    /// What a record that was given up had applied is undone when its batch is settled; until then it has not come to
    /// its end, and after a crash it is tried again.
    fn is_yet_to_be_undone(&self, row: &RecordRow) -> bool {
        let given_up = matches!(row.status, Status::Failed | Status::Rejected);
        given_up && self.spec.policy.rollback == Rollback::Record && !row.applied.is_empty()
    }

    /// A batch waits with its records in order: every one of them gets an open row, so that the wait survives
    /// a restart and no attempt is forgotten.
    pub(super) fn write_down_held(&mut self, flight: &mut Flight) {
        let mut commit = self.empty_commit(flight);
        commit.closes = true;
        commit.attempts = std::mem::take(&mut flight.attempts);
        commit.state = std::mem::take(&mut flight.state);
        let given_now = std::mem::take(&mut flight.given_now);
        self.tasks_on_success(flight, &given_now);
        flight.given_now = given_now;
        commit.tasks = std::mem::take(&mut flight.tasks);
        let mut given = flight.given.clone();
        given.append(&mut flight.given_now.clone());
        let places: Vec<_> = given.iter().map(|part| part.places(flight.members.len())).collect();
        let all = u32::try_from(flight.members.len()).unwrap_or(u32::MAX);
        for member in 0..all {
            if flight.notes.get(&member).is_some_and(|note| note.passed) {
                continue;
            }
            let mut row = self.row_for(flight, member, true, &given, &places);
            if self.is_yet_to_be_undone(&row) {
                row.status = Status::Processing;
            } else {
                commit.tasks.extend(self.task_on_failure(flight, member));
            }
            commit.rows.push(row.clone());
            let note = flight.note(member);
            note.at = Some(row.step.clone());
            note.row = Some(row);
        }
        commit.events = self.record_events(flight, true);
        // Its rows are of this run: they are counted when it is settled, whether anything is done for them or not.
        flight.touched = true;
        self.push_commit(commit);
    }

    /// A record that is in doubt further on, or has unsettled parts, and did not get that far this time: the doubt or
    /// the parts would be lost if the checkpoint passed it.
    pub(super) fn stop_if_something_is_missing(&mut self, flight: &mut Flight) {
        if !flight.is_page() || flight.unfinished || (self.open.is_empty() && flight.notes.is_empty()) {
            return;
        }
        let in_doubt = flight.notes.keys().filter_map(|&member| self.further_on(flight, member)).map(|row| &row.id);
        let ids: HashSet<&[u8]> = if self.open.is_empty() { HashSet::new() } else { flight.ids.iter().collect() };
        let belongs = |id: &str| id.match_indices('/').any(|(at, _)| ids.contains(&id.as_bytes()[..at]));
        let parts = self.open.values().map(|row| &row.id).filter(|id| belongs(&id.0));
        let Some(first) = parts.chain(in_doubt).min().cloned() else { return };
        flight.unfinished = true;
        self.stop_for(
            ErrorClass::NeedsOperator,
            Failure::new(
                codes::STOPPED_AT_RECORD.name,
                format!("record {first} was at a later step before and could not be brought there again"),
            ),
        );
    }

    /// The row of a record that came further in an earlier run than it does in this one.
    pub(super) fn further_on<'a>(&self, flight: &'a Flight, member: u32) -> Option<&'a RecordRow> {
        let entry = flight.members[member as usize];
        let note = flight.notes.get(&member)?;
        let row = note.row.as_ref()?;
        let on_its_way = matches!(entry.status, Status::New | Status::Processing | Status::Pending);
        let here = if on_its_way && note.failure.is_none() { flight.step } else { usize::from(entry.step) };
        let ahead = flight.is_page() && self.spec.step_index(&row.step)? > here;
        // What may have been applied further on must not be forgotten, whatever became of the record here.
        let keeps = row.status == Status::Indeterminate || (on_its_way && flight.unfinished) || flight.is_held();
        (ahead && keeps).then_some(row)
    }
}
