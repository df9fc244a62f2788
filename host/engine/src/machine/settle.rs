//! How a flight ends: what of it is written into the ledger.

use super::flight::{Flight, Given, Note, Origin, Phase};
use super::ledger_entry::SOURCE;
use super::{Action, BatchNumber, Machine, counts_as_json};
use crate::codes;
use crate::plan::{LogLevel, OnError, Rollback};
use crate::ports::{
    AttemptKind, AttemptRow, BatchCommit, Chunk, ChunkColumn, Exchange, Progress as StepProgress, RecordRow, StepCounts,
};
use crossdock_model::{Column, Counts, Event, EventKind, Failure, Outcome, RecordId, Status, StepName};

impl Machine {
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
        let counts = commit.counts;
        self.push_commit(commit);
        self.note_failed(&counts);
        self.stop_if_too_many_failed();
        self.stop_if_not_all(&counts);
        true
    }

    pub(super) fn push_commit(&mut self, commit: BatchCommit) {
        self.commits_under_way += 1;
        self.notices += u64::from(!commit.tasks.is_empty() || commit.settles_open);
        self.actions.push(Action::Commit(Box::new(commit)));
    }

    pub(super) fn empty_commit(&self, flight: &Flight) -> BatchCommit {
        self.commit_of(flight.number)
    }

    pub(super) fn commit_of(&self, batch: BatchNumber) -> BatchCommit {
        BatchCommit {
            route: self.spec.route.clone(),
            run: self.spec.run.clone(),
            batch,
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
            tasks: Vec::new(),
            settles_open: false,
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
        // What is known to be applied and what is to be called for it become durable together.
        commit.tasks = std::mem::take(&mut flight.tasks);
        flight.touched = true;
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
        commit.tasks = std::mem::take(&mut flight.tasks);
        if open && self.spec.policy.rollback == Rollback::Run {
            leave_parts_under_way(&mut flight, &places);
        }
        let in_chunk = self.sort_members(&mut flight, open, &places, &mut commit);
        self.settle_order(&flight);
        // Those that were known to be done nobody has taken up.
        let passed = flight.notes.values().filter(|note| note.passed).count() as u64;
        self.careful = self.careful.saturating_sub(u64::from(all).saturating_sub(passed));
        commit.chunk = self.chunk(&flight, &in_chunk, &places);
        commit.steps = self.step_counts(&flight);
        commit.events = std::mem::take(&mut self.events);
        commit.events.extend(self.record_events(&flight, false));
        commit.events.push(self.batch_event(&flight, &commit));
        for (mine, theirs) in self.totals.steps.iter_mut().zip(&flight.steps) {
            mine.merge(theirs);
        }
        if stays_open && self.does_all_or_nothing() {
            let split = |row: &&RecordRow| row.status == Status::Processing;
            self.split_for_now.extend(commit.rows.iter().filter(split).cloned());
        }
        self.note_commit(&commit);
        commit
    }

    /// Each member becomes a row, or one of those that need none: these are given back.
    fn sort_members(
        &mut self,
        flight: &mut Flight,
        open: bool,
        places: &[Vec<Option<usize>>],
        commit: &mut BatchCommit,
    ) -> Vec<u32> {
        let mut in_chunk = Vec::new();
        for member in 0..u32::try_from(flight.members.len()).unwrap_or(u32::MAX) {
            if let Some(row) = self.further_on(flight, member) {
                let (status, step) = (row.status, self.spec.step_index(&row.step).unwrap_or(0));
                flight.set(member, status, step);
                flight.note(member).keeps_row = true;
            }
            commit.tasks.extend(self.task_on_failure(flight, member));
            self.roll_back_if_wanted(flight, member, places);
            let status = flight.status(member);
            let note = flight.notes.get(&member);
            if note.is_some_and(|note| note.passed) {
                if !(open && flight.is_page()) {
                    commit.passed.push(flight.id(member));
                }
                continue;
            }
            if status == Status::New && !flight.is_page() {
                // Taken up from the ledger and not begun: it stays as it was.
                continue;
            }
            self.count(flight, member, commit);
            let plain = note.is_none_or(|note| note.at.is_none());
            if plain && !open && matches!(status, Status::Ok | Status::Dropped) {
                in_chunk.push(member);
            } else {
                let row = self.row_for(flight, member, open, &flight.given, places);
                if row.status == Status::RollingBack && note.is_some_and(|note| note.rolls_back) {
                    self.events.push(self.planned(&row));
                }
                commit.rows.push(row);
            }
        }
        in_chunk
    }

    /// What the run has to know of a batch that is being written down: its numbers, and what waits.
    fn note_commit(&mut self, commit: &BatchCommit) {
        self.totals.read += commit.read;
        self.totals.resumed += commit.resumed;
        self.totals.counts.merge(&commit.counts);
        for row in &commit.rows {
            // Also when it is settled later in this run: the source may give it from a list that it made before.
            if !row.open && !row.status.is_settled() {
                self.unsettled.insert(row.id.0.clone().into_bytes());
            }
            let Some(due) = row.due else { continue };
            if row.status == Status::RollingBack {
                self.will_undo(due);
            } else if !row.open {
                self.waiting += 1;
                self.next_due = Some(self.next_due.map_or(due, |earlier| earlier.min(due)));
                let (more, earliest) = &mut self.waiting_since;
                *more += 1;
                *earliest = Some(earliest.map_or(due, |earlier| earlier.min(due)));
            }
        }
    }

    /// With `rollback = "record"`: what earlier steps applied for a record that failed is to be undone; so is the half
    /// of a chain that a cancelled run leaves.
    fn roll_back_if_wanted(&self, flight: &mut Flight, member: u32, places: &[Vec<Option<usize>>]) {
        if self.spec.policy.rollback != Rollback::Record {
            return;
        }
        let entry = flight.members[member as usize];
        let status = entry.status;
        let failed = matches!(status, Status::Failed | Status::Rejected) && usize::from(entry.step) != SOURCE;
        // What waits in the ledger goes on waiting there: nobody would give it again.
        let half_done = self.cancelled && status == Status::Pending && flight.unfinished && flight.is_page();
        let note = flight.notes.get(&member);
        // Who asks what became of a record decides then what is to be done.
        let by_probe = |note: &Note| note.failure.as_ref().is_some_and(|f| f.code == codes::PROBE_NOT_APPLIED.name);
        if !(failed || half_done) || note.is_some_and(|note| note.passed || note.keeps_row || by_probe(note)) {
            return;
        }
        let before = note.and_then(|note| note.row.as_ref()).is_some_and(|row| !row.applied.is_empty());
        if !before && !places.iter().any(|places| places[member as usize].is_some()) {
            return;
        }
        let now = self.now;
        flight.set(member, Status::RollingBack, usize::from(entry.step));
        let note = flight.note(member);
        note.rolls_back = true;
        note.due = Some(now);
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
    pub(super) fn record_events(&self, flight: &Flight, held: bool) -> Vec<Event> {
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
                Status::Failed | Status::Rejected | Status::Indeterminate | Status::RollingBack
                    if !(held && note.due.is_none()) =>
                {
                    let what = if entry.status == Status::RollingBack { Status::Failed } else { entry.status };
                    (EventKind::RecordFailed, format!("{what} at step {step}: {words}"))
                }
                Status::Pending if note.due.is_some() => {
                    (EventKind::RecordPending, format!("waits for another attempt at step {step}: {words}"))
                }
                Status::Pending if note.failure.as_ref().is_some_and(|f| f.code == codes::WAITS_FOR_ORDER.name) => {
                    (EventKind::RecordPending, format!("waits before step {step}: {words}"))
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
        // What left a status shows in where it went; all numbers are in the data.
        let arrived = commit.counts.iter().filter(|(_, n)| *n > 0);
        let parts: Vec<String> = arrived.map(|(status, n)| format!("{n} {status}")).collect();
        let came = if flight.is_page() { format!("{} read", commit.read) } else { "taken up again".to_owned() };
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
        exchanges: Vec<Exchange>,
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
            kind: AttemptKind::Pass,
            attempt,
            generation,
            began,
            ended: self.now,
            outcome,
            failure: Some(failure.clone()),
            target_id: None,
            receipt: None,
            exchanges,
        });
    }
}

/// Parts for which no step did anything are ok only together with the record they come from, once that stays as it is.
fn leave_parts_under_way(flight: &mut Flight, places: &[Vec<Option<usize>>]) {
    for member in flight.came..flight.members.len() {
        let Ok(part) = u32::try_from(member) else { break };
        let known =
            flight.notes.get(&part).and_then(|note| note.row.as_ref()).is_some_and(|row| !row.applied.is_empty());
        let applied = known || places.iter().any(|places| places[member].is_some());
        let entry = flight.members[member];
        if entry.status == Status::Ok && !applied {
            flight.set(part, Status::Processing, entry.step.into());
        }
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
