//! An obvious ledger in memory: what the port's documentation says, without any cleverness, and loud about every
//! call that it was not promised.

use crossdock_engine::ports::{
    Applied, BatchCommit, DueRows, Intent, Payload, Progress, RecordRow, RunEnd, RunOpening, StepCounts,
};
use crossdock_model::{Checkpoint, Counts, Failure, RecordId, RunId, RunStatus, Status, StepName, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// What reaches the ledger in a line.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    Intend(u64, Intent),
    Commit(Box<BatchCommit>),
}

#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) row: RecordRow,
    written: u64,
}

#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Intent(Vec<u32>, Vec<u32>),
    Progress(Progress),
}

#[derive(Debug, Clone)]
pub(crate) struct Inflight {
    pub(crate) batch: u64,
    pub(crate) step: StepName,
    pub(crate) ids: Vec<String>,
    pub(crate) kind: Kind,
    open: bool,
    written: u64,
}

#[derive(Debug, Default, Clone)]
struct Totals {
    read: u64,
    resumed: u64,
    counts: Counts,
    steps: BTreeMap<StepName, StepCounts>,
}

#[derive(Debug, Default)]
pub(crate) struct MemLedger {
    pub(crate) rows: BTreeMap<String, Stored>,
    pub(crate) chunk: BTreeMap<String, Status>,
    pub(crate) checkpoint: Option<Checkpoint>,
    pub(crate) inflight: Vec<Inflight>,
    pub(crate) running: Option<RunId>,
    attempts: BTreeSet<(String, StepName, u32, u32, RunId)>,
    totals: Totals,
    written: u64,
}

type Checked = Result<(), String>;

impl MemLedger {
    pub(crate) fn begin_run(&mut self, run: &RunId) -> RunOpening {
        self.running = Some(run.clone());
        self.totals = Totals::default();
        let due: Vec<_> = self.waiting(None).map(|row| row.due).collect();
        RunOpening {
            checkpoint: self.checkpoint.clone(),
            open: self.rows.values().filter(|stored| stored.row.open).map(|stored| stored.row.clone()).collect(),
            pending: due.len() as u64,
            next_due: due.into_iter().flatten().min(),
        }
    }

    fn waiting(&self, of_run: Option<&RunId>) -> impl Iterator<Item = &RecordRow> {
        let of_run = of_run.cloned();
        self.rows
            .values()
            .map(|stored| &stored.row)
            .filter(move |row| row.due.is_some() && !row.open && of_run.as_ref().is_none_or(|run| row.run == *run))
    }

    pub(crate) fn due(&self, of_run: Option<&RunId>, now: Timestamp, limit: u32) -> DueRows {
        let mut rows: Vec<RecordRow> = self.waiting(of_run).cloned().collect();
        rows.sort_by(|a, b| (a.due, &a.id).cmp(&(b.due, &b.id)));
        let ready = rows.iter().take(limit as usize).filter(|row| row.due.is_some_and(|due| due <= now)).count();
        let later = rows.split_off(ready);
        DueRows { rows, pending: later.len() as u64, next_due: later.first().and_then(|row| row.due) }
    }

    pub(crate) fn apply(&mut self, op: Op) -> Checked {
        self.written += 1;
        match op {
            Op::Intend(_, intent) => self.intend(intent),
            Op::Commit(commit) => self.commit(*commit),
        }
    }

    fn intend(&mut self, intent: Intent) -> Checked {
        if Some(&intent.run) != self.running.as_ref() {
            return Err("an intent of a run that does not run".into());
        }
        let ids: Vec<String> = (0..intent.ids.len()).map(|at| intent.ids.text(at).into_owned()).collect();
        if ids.len() != intent.attempts.len() || ids.len() != intent.generations.len() || ids.is_empty() {
            return Err("an intent with columns of different length, or empty".into());
        }
        for (at, id) in ids.iter().enumerate() {
            let same = self.rows.get(id).is_none_or(|stored| stored.row.generation == intent.generations[at]);
            if !same {
                return Err(format!("the intent for {id} has another generation than its row"));
            }
        }
        self.inflight.push(Inflight {
            batch: intent.batch,
            step: intent.step,
            ids,
            kind: Kind::Intent(intent.attempts, intent.generations),
            open: intent.open,
            written: self.written,
        });
        Ok(())
    }

    fn commit(&mut self, commit: BatchCommit) -> Checked {
        if Some(&commit.run) != self.running.as_ref() {
            return Err("a commit of a run that does not run".into());
        }
        let moves = commit.checkpoint.is_some();
        let mut seen = BTreeSet::new();
        for row in commit.rows {
            if !seen.insert(row.id.clone()) {
                return Err(format!("two rows for {} in one commit", row.id));
            }
            self.put(row, moves, &commit.run)?;
        }
        if let Some(chunk) = commit.chunk {
            let same = chunk.ids.len() == chunk.statuses.len() && chunk.ids.len() == chunk.steps.len();
            let columns = chunk.columns.iter().flat_map(|column| [&column.target_ids, &column.receipts]);
            if !same || columns.flatten().any(|column| column.len() != chunk.ids.len()) {
                return Err("a chunk with columns of different length".into());
            }
            for (at, status) in chunk.statuses.iter().enumerate() {
                let id = chunk.ids.text(at).into_owned();
                if !matches!(status, Status::Ok | Status::Dropped) {
                    return Err(format!("{id} is {status} in a chunk"));
                }
                if self.rows.contains_key(&id) || self.chunk.insert(id.clone(), *status).is_some() {
                    return Err(format!("{id} gets a second standing in a chunk"));
                }
            }
        }
        if let Some(checkpoint) = commit.checkpoint {
            for id in &commit.passed {
                if let Some(stored) = self.rows.get_mut(&id.0) {
                    stored.row.open = false;
                }
            }
            self.checkpoint = Some(checkpoint);
        }
        for attempt in commit.attempts {
            let key = (attempt.id.0, attempt.step, attempt.generation, attempt.attempt, commit.run.clone());
            if key.3 == 0 || !self.attempts.insert(key.clone()) {
                return Err(format!("attempt {key:?} is there twice"));
            }
        }
        if let Some(progress) = commit.progress {
            let ids = (0..progress.ids.len()).map(|at| progress.ids.text(at).into_owned()).collect();
            self.inflight.push(Inflight {
                batch: commit.batch,
                step: progress.step.clone(),
                ids,
                open: progress.open,
                kind: Kind::Progress(progress),
                written: self.written,
            });
        }
        if commit.closes {
            self.inflight.retain(|inflight| inflight.batch != commit.batch);
        }
        self.totals.read += commit.read;
        self.totals.resumed += commit.resumed;
        self.totals.counts.merge(&commit.counts);
        for (step, counts) in commit.steps {
            self.totals.steps.entry(step).or_default().merge(&counts);
        }
        Ok(())
    }

    fn put(&mut self, mut row: RecordRow, moves: bool, run: &RunId) -> Checked {
        let id = row.id.0.clone();
        let before = self.rows.get(&id);
        if self.chunk.contains_key(&id) {
            return Err(format!("{id} has a row and stands in a chunk"));
        }
        if row.open && before.is_some_and(|before| !before.row.open) {
            return Err(format!("the row of {id} is open again"));
        }
        row.open &= !moves;
        row.run = run.clone();
        row.parent = row.parent.or_else(|| before.and_then(|before| before.row.parent.clone()));
        if row.payload == Payload::Unchanged {
            row.payload = before.map_or(Payload::Gone, |before| before.row.payload.clone());
        }
        self.rows.insert(id, Stored { row, written: self.written });
        Ok(())
    }

    pub(crate) fn end_run(&mut self, end: &RunEnd, steps: &[(StepName, StepCounts)]) -> Checked {
        if self.running.take().as_ref() != Some(&end.run) || end.status == RunStatus::Running {
            return Err("the end of a run that does not run".into());
        }
        if !self.inflight.is_empty() {
            return Err(format!("the run ended with {:?} in flight", self.inflight));
        }
        let sum = &self.totals;
        let children: u64 = sum.steps.values().map(|counts| counts.children).sum();
        if let Some((step, counts)) = sum.steps.iter().find(|(_, counts)| !counts.balances()) {
            return Err(format!("invariant 3: step {step} does not balance: {counts:?}"));
        }
        if i64::try_from(sum.read + sum.resumed + children).ok() != Some(sum.counts.total()) {
            return Err(format!("invariant 3: {sum:?} does not add up"));
        }
        if sum.counts.iter().any(|(_, count)| count < 0) {
            return Err(format!("invariant 3: negative numbers in {sum:?}"));
        }
        let nothing = StepCounts::default();
        let same_steps = steps.iter().all(|(step, counts)| sum.steps.get(step).unwrap_or(&nothing) == counts);
        if (sum.read, sum.resumed, sum.counts) != (end.read, end.resumed, end.counts) || !same_steps {
            return Err(format!("invariant 3: the run says {end:?}, the commits {sum:?}"));
        }
        Ok(())
    }

    /// The process died: what nobody answers for any more is in doubt.
    pub(crate) fn recover(&mut self, now: Timestamp) {
        let Some(run) = self.running.take() else { return };
        let leftovers = std::mem::take(&mut self.inflight);
        let mut last: BTreeMap<String, usize> = BTreeMap::new();
        for (at, leftover) in leftovers.iter().enumerate() {
            last.extend(leftover.ids.iter().map(|id| (id.clone(), at)));
        }
        for (at, leftover) in leftovers.iter().enumerate() {
            for (index, id) in leftover.ids.iter().enumerate() {
                if matches!(leftover.kind, Kind::Progress(_)) || last.get(id) == Some(&at) {
                    self.recover_one(&run, leftover, index, id, now);
                }
            }
        }
    }

    fn recover_one(&mut self, run: &RunId, leftover: &Inflight, index: usize, id: &str, now: Timestamp) {
        if self.rows.get(id).is_some_and(|before| before.written > leftover.written) {
            return;
        }
        let mut row = self.rows.get(id).map_or_else(|| new_row(leftover, id, run), |before| before.row.clone());
        if leftover.open && row.step != leftover.step {
            row.payload = Payload::AtSource;
        }
        row.step = leftover.step.clone();
        row.open = leftover.open;
        row.run = run.clone();
        row.due = (!leftover.open).then_some(now);
        match &leftover.kind {
            Kind::Intent(attempts, generations) => {
                row.status = Status::Indeterminate;
                row.attempts = attempts[index];
                row.generation = generations[index];
                row.failure = Some(Failure::new("in-doubt", "the process ended"));
            }
            Kind::Progress(progress) => {
                row.status = Status::Processing;
                row.failure = None;
                row.applied.retain(|applied| applied.step != leftover.step);
                let bytes = |column: &Option<crossdock_model::Column>| {
                    column.as_ref().and_then(|column| column.get(index)).unwrap_or_default().to_vec()
                };
                row.applied.push(Applied {
                    step: leftover.step.clone(),
                    target_id: String::from_utf8_lossy(&bytes(&progress.target_ids)).into_owned(),
                    receipt: bytes(&progress.receipts),
                });
            }
        }
        self.rows.insert(id.to_owned(), Stored { row, written: leftover.written });
    }

    /// What an operator decided about a record.
    pub(crate) fn decide(&mut self, id: &str, status: Status) {
        self.written += 1;
        if let Some(stored) = self.rows.get_mut(id) {
            stored.row.status = status;
            stored.row.due = None;
            stored.written = self.written;
        }
    }

    /// A person changed the content of a record.
    pub(crate) fn change_content(&mut self, id: &str) {
        self.written += 1;
        if let Some(stored) = self.rows.get_mut(id) {
            stored.row.generation += 1;
            stored.row.attempts = 0;
            stored.written = self.written;
        }
    }
}

fn new_row(leftover: &Inflight, id: &str, run: &RunId) -> RecordRow {
    RecordRow {
        id: RecordId(id.to_owned()),
        parent: None,
        status: Status::Processing,
        step: leftover.step.clone(),
        generation: 0,
        attempts: 0,
        spent: 0,
        since: None,
        payload: if leftover.open { Payload::AtSource } else { Payload::Gone },
        attributes: Vec::new(),
        failure: None,
        due: None,
        applied: Vec::new(),
        open: leftover.open,
        run: run.clone(),
    }
}
