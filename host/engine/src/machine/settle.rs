//! How a flight ends: what of it is written into the ledger.

use super::flight::{Flight, Given, Note, Origin, Phase};
use super::ledger_entry::SOURCE;
use super::{Action, Machine, counts_as_json};
use crate::codes;
use crate::plan::{LogLevel, OnError, RATIO_RECORDS_MIN};
use crate::ports::{
    Applied, AttemptRow, BatchCommit, Chunk, ChunkColumn, Payload, Progress as StepProgress, RecordRow, StepCounts,
};
use crossdock_model::{Column, Counts, ErrorClass, Event, EventKind, Failure, Outcome, RecordId, Status, StepName};
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

    /// Commits the oldest flight if it is done. Says whether it did.
    pub(super) fn commit_front(&mut self) -> bool {
        if self.flights.front().is_none_or(|flight| flight.phase != Phase::Done) {
            return false;
        }
        let Some(mut flight) = self.flights.pop_front() else { return false };
        if flight.abandoned {
            self.checkpoint_held = true;
            return true;
        }
        for &member in &flight.live.clone() {
            if flight.status(member) == Status::Processing {
                let last = self.spec.steps.len().saturating_sub(1);
                flight.set(member, Status::Ok, last);
            }
        }
        let commit = self.settle(flight);
        self.push_commit(commit);
        self.stop_if_too_many_failed();
        true
    }

    fn push_commit(&mut self, commit: BatchCommit) {
        self.commits_under_way += 1;
        self.actions.push(Action::Commit(Box::new(commit)));
    }

    fn stop_if_too_many_failed(&mut self) {
        let counts = &self.totals.counts;
        let bad = [Status::Failed, Status::Rejected, Status::Indeterminate];
        let failed = u64::try_from(bad.iter().map(|&status| counts.get(status)).sum::<i64>()).unwrap_or(0);
        let of = u64::try_from(counts.total()).unwrap_or(0);
        let policy = &self.spec.policy;
        let too_many = if let Some(most) = policy.max_failed.filter(|&most| failed > most) {
            format!("{failed} records failed, more than max_failed = {most}")
        } else if let Some(ratio) = policy.max_failed_ratio
            && of >= RATIO_RECORDS_MIN
            && failed as f64 > ratio * of as f64
        {
            format!("{failed} of {of} records failed, a larger share than max_failed_ratio = {ratio}")
        } else {
            return;
        };
        self.stop_because(Failure::new(codes::TOO_MANY_FAILED.name, too_many));
    }

    fn empty_commit(&self, flight: &Flight) -> BatchCommit {
        BatchCommit {
            route: self.spec.route.clone(),
            run: self.spec.run.clone(),
            batch: flight.number,
            at: self.now,
            checkpoint: None,
            passed: Vec::new(),
            read: 0,
            resumed: 0,
            counts: Counts::default(),
            steps: Vec::new(),
            chunk: None,
            rows: Vec::new(),
            attempts: Vec::new(),
            events: Vec::new(),
            state: Vec::new(),
            progress: None,
            closes: false,
        }
    }

    /// A destination in the middle of the route has applied records: durable before the next step begins.
    pub(super) fn write_down_progress(&mut self, flight: &mut Flight, given: &[Given]) {
        let mut progress = StepProgress {
            step: self.spec.steps[flight.step].name.clone(),
            ids: Column::new(),
            target_ids: None,
            receipts: None,
            open: flight.open,
        };
        let (mut target_ids, mut receipts) = (Column::new(), Column::new());
        for part in given.iter().filter(|part| !part.in_rows) {
            for (place, &member) in part.members.iter().enumerate() {
                let value = |column: &Option<Column>| {
                    column.as_ref().and_then(|column| column.get(place)).unwrap_or_default().to_vec()
                };
                let _ = progress.ids.try_push(flight.ids.get(member as usize).unwrap_or_default());
                let _ = target_ids.try_push(&value(&part.target_ids));
                let _ = receipts.try_push(&value(&part.receipts));
            }
        }
        if progress.ids.is_empty() {
            return;
        }
        progress.target_ids = Some(target_ids);
        progress.receipts = Some(receipts);
        let mut commit = self.empty_commit(flight);
        commit.progress = Some(progress);
        // What the step's plugin keeps belongs to this outcome; what is known of single records is written down when
        // they have rows.
        let step = self.step_name(flight.step);
        (commit.state, flight.state) =
            std::mem::take(&mut flight.state).into_iter().partition(|(name, _)| *name == step);
        flight.touched = true;
        self.push_commit(commit);
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
            commit.rows.push(row);
        }
        self.push_commit(commit);
    }

    /// A batch waits with its records in order: every one of them gets an open row, so that the wait survives
    /// a restart and no attempt is forgotten.
    pub(super) fn write_down_held(&mut self, flight: &mut Flight) {
        let mut commit = self.empty_commit(flight);
        commit.closes = true;
        commit.attempts = std::mem::take(&mut flight.attempts);
        commit.state = std::mem::take(&mut flight.state);
        let mut given = flight.given.clone();
        given.append(&mut flight.given_now.clone());
        let places: Vec<_> = given.iter().map(|part| part.places(flight.members.len())).collect();
        let all = u32::try_from(flight.members.len()).unwrap_or(u32::MAX);
        for member in 0..all {
            if flight.notes.get(&member).is_some_and(|note| note.passed) {
                continue;
            }
            let row = self.row_for(flight, member, true, &given, &places);
            commit.rows.push(row.clone());
            let note = flight.note(member);
            note.at = Some(row.step.clone());
            note.row = Some(row);
        }
        commit.events = self.record_events(flight, true);
        self.push_commit(commit);
    }

    /// Everything that the flight produced, as one transaction.
    fn settle(&mut self, mut flight: Flight) -> BatchCommit {
        let all = u32::try_from(flight.members.len()).unwrap_or(u32::MAX);
        self.stop_if_something_is_missing(&mut flight);
        let stays_open = flight.is_page()
            && (self.checkpoint_held || flight.unfinished || (self.stop.is_some() && self.has_unsettled(&flight)));
        if stays_open {
            self.checkpoint_held = true;
        }
        let open = if flight.is_page() { stays_open } else { flight.open };
        if open {
            // Their parts come only if they are split again.
            for parent in flight.split.clone() {
                flight.set(parent, Status::Processing, flight.members[parent as usize].step.into());
            }
        }
        let mut commit = self.empty_commit(&flight);
        commit.closes = true;
        commit.attempts = std::mem::take(&mut flight.attempts);
        commit.state = std::mem::take(&mut flight.state);
        if let (Origin::Page(checkpoint), false) = (&flight.origin, stays_open) {
            commit.checkpoint = Some(checkpoint.clone());
            self.committed = Some(checkpoint.clone());
        }
        let places: Vec<_> = flight.given.iter().map(|part| part.places(flight.members.len())).collect();
        let mut in_chunk = Vec::new();
        for member in 0..all {
            if let Some(row) = self.further_on(&flight, member) {
                let (status, step) = (row.status, self.spec.step_index(&row.step).unwrap_or(0));
                flight.set(member, status, step);
                flight.note(member).keeps_row = true;
            }
            let status = flight.status(member);
            let note = flight.notes.get(&member);
            if note.is_some_and(|note| note.passed) {
                if !stays_open {
                    commit.passed.push(flight.id(member));
                }
                continue;
            }
            if status == Status::New && !flight.is_page() {
                // Taken up from the ledger and not begun: it stays as it was.
                continue;
            }
            self.count(&flight, member, &mut commit);
            let plain = note.is_none_or(|note| note.at.is_none());
            if plain && !open && matches!(status, Status::Ok | Status::Dropped) {
                in_chunk.push(member);
            } else {
                commit.rows.push(self.row_for(&flight, member, open, &flight.given, &places));
            }
        }
        commit.chunk = self.chunk(&flight, &in_chunk, &places);
        commit.steps = self.step_counts(&flight);
        commit.events = std::mem::take(&mut self.events);
        commit.events.extend(self.record_events(&flight, false));
        commit.events.push(self.batch_event(&flight, &commit));
        self.totals.read += commit.read;
        self.totals.resumed += commit.resumed;
        self.totals.counts.merge(&commit.counts);
        for (mine, theirs) in self.totals.steps.iter_mut().zip(&flight.steps) {
            mine.merge(theirs);
        }
        for row in commit.rows.iter().filter(|row| !row.open) {
            if let Some(due) = row.due {
                self.waiting += 1;
                self.next_due = Some(self.next_due.map_or(due, |earlier| earlier.min(due)));
                let (more, earliest) = &mut self.waiting_since;
                *more += 1;
                *earliest = Some(earliest.map_or(due, |earlier| earlier.min(due)));
            }
        }
        commit
    }

    /// A record that is in doubt further on, or has unsettled parts, and did not get that far this time: the doubt or
    /// the parts would be lost if the checkpoint passed it.
    fn stop_if_something_is_missing(&mut self, flight: &mut Flight) {
        if !flight.is_page() || flight.unfinished || (self.open.is_empty() && flight.notes.is_empty()) {
            return;
        }
        let ids: HashSet<&[u8]> = flight.ids.iter().collect();
        let belongs = |id: &str| id.match_indices('/').any(|(at, _)| ids.contains(id[..at].as_bytes()));
        let parts = self.open.values().map(|row| &row.id).filter(|id| belongs(&id.0));
        let in_doubt = flight.notes.keys().filter_map(|&member| self.further_on(flight, member)).map(|row| &row.id);
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

    /// With `on_error = "stop"`: whether the record that stopped the run is in this flight.
    fn has_unsettled(&self, flight: &Flight) -> bool {
        let stops = [Status::Failed, Status::Pending, Status::Indeterminate];
        self.spec.policy.on_error == OnError::Stop && flight.members.iter().any(|member| stops.contains(&member.status))
    }

    /// Invariant 3: every record is counted once, where it stands.
    fn count(&self, flight: &Flight, member: u32, commit: &mut BatchCommit) {
        let status = flight.status(member);
        commit.counts.add(status, 1);
        if member as usize >= flight.came {
            return;
        }
        match &flight.origin {
            Origin::Page(_) => commit.read += 1,
            Origin::Ledger => match flight.notes.get(&member).and_then(|note| note.counted) {
                Some(before) => commit.counts.add(before, -1),
                None => commit.resumed += 1,
            },
        }
    }

    fn step_name(&self, step: usize) -> StepName {
        if step == SOURCE {
            return StepName::source();
        }
        let last = self.spec.steps.len().saturating_sub(1);
        self.spec.steps.get(step.min(last)).map_or_else(StepName::source, |spec| spec.name.clone())
    }

    /// The row of a record that came further in an earlier run than it does in this one.
    fn further_on<'a>(&self, flight: &'a Flight, member: u32) -> Option<&'a RecordRow> {
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

    fn row_for(
        &self,
        flight: &Flight,
        member: u32,
        open: bool,
        given: &[Given],
        places: &[Vec<Option<usize>>],
    ) -> RecordRow {
        let entry = flight.members[member as usize];
        let nothing = Note::default();
        let note = flight.notes.get(&member).unwrap_or(&nothing);
        let kept = note.row.as_ref().filter(|_| note.keeps_row);
        if let Some(row) = kept.or_else(|| self.further_on(flight, member)) {
            return RecordRow { payload: Payload::Unchanged, open, run: self.spec.run.clone(), ..row.clone() };
        }
        let step = self.step_name(usize::from(entry.step));
        let status = if open && flight.split.contains(&member) { Status::Processing } else { entry.status };
        let at_rest = matches!(status, Status::Failed | Status::Rejected | Status::Indeterminate);
        let payload = match (status, &note.payload) {
            (Status::Ok | Status::Dropped | Status::Skipped, _) => Payload::Gone,
            (_, _) if flight.is_page() && open && !at_rest => Payload::AtSource,
            (_, _) if !flight.is_page() && note.at.as_ref() == Some(&step) => Payload::Unchanged,
            (_, Some(bytes)) => Payload::Kept(bytes.clone()),
            (_, None) if open => Payload::AtSource,
            (_, None) => Payload::Gone,
        };
        let mut applied: Vec<Applied> = note.row.as_ref().map_or_else(Vec::new, |row| row.applied.clone());
        for (part, places) in given.iter().zip(places) {
            let Some(place) = places[member as usize] else { continue };
            let name = self.step_name(part.step);
            if applied.iter().any(|earlier| earlier.step == name) {
                continue;
            }
            let bytes = |column: &Option<Column>| {
                column.as_ref().and_then(|column| column.get(place)).unwrap_or_default().to_vec()
            };
            let target_id = String::from_utf8_lossy(&bytes(&part.target_ids)).into_owned();
            applied.push(Applied { step: name, target_id, receipt: bytes(&part.receipts) });
        }
        RecordRow {
            id: flight.id(member),
            parent: note.parent.clone(),
            status,
            step,
            generation: note.generation,
            attempts: note.attempts,
            spent: note.spent,
            since: note.since,
            payload,
            attributes: note.attributes.clone(),
            failure: note.failure.clone(),
            due: note.due,
            applied,
            open,
            run: self.spec.run.clone(),
        }
    }

    fn chunk(&self, flight: &Flight, members: &[u32], places: &[Vec<Option<usize>>]) -> Option<Chunk> {
        if members.is_empty() || self.spec.policy.log == LogLevel::Summary {
            return None;
        }
        let indices: Vec<usize> = members.iter().map(|&member| member as usize).collect();
        let whole = indices.len() == flight.members.len();
        let pick = |column: &Column| if whole { column.clone() } else { column.select(&indices) };
        let mut columns: Vec<ChunkColumn> = Vec::new();
        for (part, places) in flight.given.iter().zip(places) {
            let gather = |column: &Column| -> Column {
                indices.iter().map(|&at| places[at].and_then(|place| column.get(place)).unwrap_or_default()).collect()
            };
            let step = self.step_name(part.step);
            let exact = part.members == *members;
            let take = |column: &Option<Column>| {
                column.as_ref().map(|column| if exact { column.clone() } else { gather(column) })
            };
            let (target_ids, receipts) = (take(&part.target_ids), take(&part.receipts));
            match columns.iter_mut().find(|column| column.step == step) {
                Some(column) => {
                    column.target_ids = overlay(column.target_ids.take(), target_ids);
                    column.receipts = overlay(column.receipts.take(), receipts);
                }
                None => columns.push(ChunkColumn { step, target_ids, receipts }),
            }
        }
        let payloads = flight.originals.as_ref().map(|originals| {
            // Children of a split have no payload of their own at the source.
            indices.iter().map(|&at| originals.get(at).unwrap_or_default()).collect()
        });
        Some(Chunk {
            ids: pick(&flight.ids),
            statuses: indices.iter().map(|&at| flight.members[at].status).collect(),
            steps: indices.iter().map(|&at| flight.members[at].step).collect(),
            columns,
            payloads,
        })
    }

    fn step_counts(&self, flight: &Flight) -> Vec<(StepName, StepCounts)> {
        let nothing = StepCounts::default();
        self.spec
            .steps
            .iter()
            .zip(&flight.steps)
            .filter(|(_, counts)| **counts != nothing)
            .map(|(spec, counts)| (spec.name.clone(), *counts))
            .collect()
    }

    /// Events for the records that are not simply ok.
    fn record_events(&self, flight: &Flight, held: bool) -> Vec<Event> {
        let mut members: Vec<u32> = flight.notes.keys().copied().collect();
        members.sort_unstable();
        let mut events = Vec::new();
        for member in members {
            let Some(note) = flight.notes.get(&member).filter(|note| !note.passed) else { continue };
            let entry = flight.members[member as usize];
            let step = self.step_name(usize::from(entry.step));
            let earlier = note.row.as_ref().map(|row| row.status);
            let words = note.failure.as_ref().map(|f| format!("{}: {}", f.code, f.message)).unwrap_or_default();
            let (kind, message) = match entry.status {
                Status::Failed | Status::Rejected | Status::Indeterminate if !(held && note.due.is_none()) => {
                    (EventKind::RecordFailed, format!("{} at step {step}: {words}", entry.status))
                }
                Status::Pending if note.due.is_some() => {
                    (EventKind::RecordPending, format!("waits for another attempt at step {step}: {words}"))
                }
                Status::Ok if earlier.is_some_and(was_not_well) && !held => {
                    (EventKind::RecordRecovered, format!("ok after {} attempt(s) at step {step}", note.attempts))
                }
                _ => continue,
            };
            let mut event = self.event(kind, Some(step), message);
            event.record = Some(flight.id(member));
            event.data = serde_json::json!({ "attempts": note.attempts, "failure": note.failure, "due": note.due });
            events.push(event);
        }
        events
    }

    fn batch_event(&self, flight: &Flight, commit: &BatchCommit) -> Event {
        let parts: Vec<String> = commit.counts.iter().map(|(status, n)| format!("{n} {status}")).collect();
        let came = if flight.is_page() { format!("{} read", commit.read) } else { "from the ledger".to_owned() };
        let message = format!("batch {}: {came}; {}", flight.number, parts.join(", "));
        let mut event = self.event(EventKind::BatchCommitted, None, message);
        event.data = serde_json::json!({
            "batch": flight.number, "read": commit.read, "resumed": commit.resumed,
            "counts": counts_as_json(&commit.counts), "checkpoint": commit.checkpoint.is_some(),
        });
        event
    }

    /// Notes an attempt that ended without success outside a transformer or destination call.
    pub(super) fn note_attempt_at(
        &self,
        flight: &mut Flight,
        position: usize,
        step: StepName,
        outcome: Outcome,
        failure: &Failure,
    ) {
        let Some(&member) = flight.live.get(position) else { return };
        let id: RecordId = flight.id(member);
        let began = flight.began;
        let note = flight.note(member);
        note.attempts += 1;
        note.spent += 1;
        note.since.get_or_insert(began);
        let (attempt, generation) = (note.attempts, note.generation);
        flight.attempts.push(AttemptRow {
            id,
            step,
            attempt,
            generation,
            began,
            ended: self.now,
            outcome,
            failure: Some(failure.clone()),
            target_id: None,
            receipt: None,
            exchanges: Vec::new(),
        });
    }
}

fn was_not_well(status: Status) -> bool {
    matches!(
        status,
        Status::Failed | Status::Rejected | Status::Indeterminate | Status::Pending | Status::RollbackFailed
    )
}

/// The second column's values where it has any, else the first's.
fn overlay(first: Option<Column>, second: Option<Column>) -> Option<Column> {
    match (first, second) {
        (Some(first), Some(second)) => {
            Some(first.iter().zip(second.iter()).map(|(a, b)| if b.is_empty() { a } else { b }).collect())
        }
        (first, second) => first.or(second),
    }
}
