//! An obvious ledger in memory: what the port's documentation says, without any cleverness, and loud about every
//! call that it was not promised.

mod recovery;

use crossdock_engine::ports::{
    AttemptKind, BatchCommit, DueRows, HandlerTask, Intent, Payload, Progress, RecordRow, RunEnd, RunOpening,
    StepCounts, TaskStatus,
};
use crossdock_model::{Checkpoint, Counts, HandlerPlace, RecordId, RunId, RunStatus, Status, StepName, Timestamp};
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
    /// Which row was made first.
    pub(crate) made: u64,
    written: u64,
    /// It was settled before: whoever waited for it has gone past it.
    pub(crate) left_order: bool,
    /// An operator had the last word about it, not the engine.
    pub(crate) decided: bool,
}

#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Intent { attempts: Vec<u32>, generations: Vec<u32>, careful: bool, effect: bool },
    Progress(Progress),
}

#[derive(Debug, Clone)]
pub(crate) struct Inflight {
    pub(crate) batch: u64,
    pub(crate) step: StepName,
    pub(crate) ids: Vec<String>,
    pub(crate) kind: Kind,
    at: Timestamp,
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
    pub(crate) tasks: BTreeMap<TaskId, Task>,
    /// Where the plugin is that committed too many faults.
    pub(crate) quarantine: Option<StepName>,
    /// Runs in a row that died.
    deaths: u32,
    attempts: BTreeSet<(String, StepName, AttemptKind, u32, u32, RunId)>,
    totals: Totals,
    made: u64,
    written: u64,
}

/// There is one task for each of these: record (or run), place, generation.
pub(crate) type TaskId = (String, HandlerPlace, u32);

/// A handler that is to be called, or was.
#[derive(Debug, Clone)]
pub(crate) struct Task {
    key: i64,
    pub(crate) task: HandlerTask,
    pub(crate) attempts: u32,
    since: Option<Timestamp>,
    /// `None` while it waits.
    ended: Option<TaskStatus>,
}

impl Task {
    pub(crate) fn waits(&self) -> bool {
        self.ended.is_none() && !self.task.held
    }
}

/// Settled, and of interest if the source gives it again.
fn may_come_again(status: Status) -> bool {
    matches!(status, Status::Failed | Status::Rejected | Status::Skipped | Status::Cancelled | Status::RolledBack)
}

type Checked = Result<(), String>;

impl MemLedger {
    pub(crate) fn begin_run(&mut self, run: &RunId, now: Timestamp) -> RunOpening {
        self.running = Some(run.clone());
        self.totals = Totals::default();
        self.release_waiting(now);
        let due: Vec<_> = self.waiting(None).map(|row| row.due).collect();
        RunOpening {
            unsettled: self
                .rows
                .values()
                .filter(|stored| !stored.row.open && !stored.row.status.is_settled())
                .map(|stored| stored.row.id.clone())
                .collect(),
            tasks: self.tasks.values().filter(|task| task.waits()).count() as u64,
            checkpoint: self.checkpoint.clone(),
            open: self.by_age().filter(|row| row.open || may_come_again(row.status)).cloned().collect(),
            pending: due.len() as u64,
            next_due: due.into_iter().flatten().min(),
            rolling_back: self.by_age().filter(|row| row.status == Status::RollingBack).count() as u64,
            blocking: self.by_key().map(|row| (row.order_key.clone().unwrap_or_default(), row.id.clone())).collect(),
            deaths: self.deaths,
        }
    }

    /// Records that are not settled and not open and have an order key, oldest first within a key.
    fn by_key(&self) -> impl Iterator<Item = &RecordRow> {
        let unsettled = |row: &&RecordRow| row.order_key.is_some() && !row.open && !row.status.is_settled();
        let mut rows: Vec<&RecordRow> = self.by_age().filter(unsettled).collect();
        rows.sort_by(|a, b| a.order_key.cmp(&b.order_key));
        rows.into_iter()
    }

    /// Records that wait for their order key and before which nobody is left who does anything but wait.
    fn release_waiting(&mut self, now: Timestamp) {
        let mut held: BTreeSet<Vec<u8>> = BTreeSet::new();
        let mut free = Vec::new();
        for row in self.by_key() {
            let key = row.order_key.clone().unwrap_or_default();
            let waits = waits_for_order(row);
            if waits && row.due.is_none() && !held.contains(&key) {
                free.push(row.id.0.clone());
            } else if !waits {
                held.insert(key);
            }
        }
        for id in free {
            if let Some(stored) = self.rows.get_mut(&id) {
                stored.row.due = Some(now);
            }
        }
    }

    /// All rows, oldest first.
    fn by_age(&self) -> impl DoubleEndedIterator<Item = &RecordRow> {
        let mut rows: Vec<&Stored> = self.rows.values().collect();
        rows.sort_by_key(|stored| stored.made);
        rows.into_iter().map(|stored| &stored.row)
    }

    /// What is to be undone, newest first.
    pub(crate) fn rolling_back(&self, now: Timestamp, limit: u32) -> DueRows {
        let all: Vec<&RecordRow> = self.by_age().rev().filter(|row| row.status == Status::RollingBack).collect();
        let ready = |row: &&RecordRow| row.due.is_some_and(|due| due <= now);
        let rows: Vec<RecordRow> = all.iter().copied().filter(ready).take(limit as usize).cloned().collect();
        let rest: Vec<_> = all.into_iter().filter(|row| rows.iter().all(|taken| taken.id != row.id)).collect();
        DueRows { rows, pending: rest.len() as u64, next_due: rest.iter().filter_map(|row| row.due).min() }
    }

    /// Open records for which something was or may have been applied, oldest first.
    pub(crate) fn open_applied(&self) -> Vec<RecordRow> {
        let wanted = |row: &&RecordRow| row.open && (!row.applied.is_empty() || row.status == Status::Indeterminate);
        let rows = self.by_age().filter(wanted);
        rows.map(|row| RecordRow { payload: Payload::Unchanged, ..row.clone() }).collect()
    }

    /// These records, in this order.
    pub(crate) fn load(&self, ids: &[RecordId]) -> Vec<RecordRow> {
        ids.iter().filter_map(|id| self.rows.get(&id.0)).map(|stored| stored.row.clone()).collect()
    }

    fn waiting(&self, of_run: Option<&RunId>) -> impl Iterator<Item = &RecordRow> {
        let of_run = of_run.cloned();
        self.by_age()
            .filter(|row| row.due.is_some() && !row.open && row.status != Status::RollingBack)
            .filter(move |row| of_run.as_ref().is_none_or(|run| row.run == *run))
    }

    pub(crate) fn due(&self, of_run: Option<&RunId>, now: Timestamp, limit: u32) -> DueRows {
        let mut rows: Vec<RecordRow> = self.waiting(of_run).cloned().collect();
        rows.sort_by_key(|row| row.due);
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
            let generation = self.rows.get(id).map_or(0, |stored| next_generation(&stored.row));
            if generation != intent.generations[at] {
                return Err(format!("the intent for {id} has another generation than its row"));
            }
        }
        self.inflight.push(Inflight {
            batch: intent.batch,
            step: intent.step,
            ids,
            kind: Kind::Intent {
                attempts: intent.attempts,
                generations: intent.generations,
                careful: intent.careful,
                effect: intent.effect,
            },
            at: intent.at,
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
            for stored in self.rows.values_mut().filter(|_| commit.settles_open) {
                stored.row.open = false;
            }
            for task in self.tasks.values_mut().filter(|_| commit.settles_open) {
                task.task.held = false;
            }
            self.checkpoint = Some(checkpoint);
        } else if commit.settles_open {
            return Err("a commit settles what is open and moves no checkpoint".into());
        }
        self.add_tasks(commit.tasks, &commit.run)?;
        for attempt in commit.attempts {
            let key =
                (attempt.id.0, attempt.step, attempt.kind, attempt.generation, attempt.attempt, commit.run.clone());
            if key.4 == 0 || !self.attempts.insert(key.clone()) {
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
                at: commit.at,
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
        let came_again = before.is_some_and(|before| may_come_again(before.row.status));
        if row.open && !came_again && before.is_some_and(|before| !before.row.open) {
            return Err(format!("the row of {id} is open again"));
        }
        standing_is_possible(before.map(|before| &before.row), &row)?;
        row.open &= !moves;
        row.run = run.clone();
        row.parent = row.parent.or_else(|| before.and_then(|before| before.row.parent.clone()));
        if row.payload == Payload::Unchanged {
            row.payload = before.map_or(Payload::Gone, |before| before.row.payload.clone());
        }
        if row.status == Status::RollingBack {
            self.tasks
                .retain(|(of, _, generation), task| !(task.task.held && *of == id && *generation == row.generation));
        }
        self.made += 1;
        let made = before.map_or(self.made, |before| before.made);
        let left_order = row.status.is_settled() || before.is_some_and(|before| before.left_order);
        // What a person decided stands until something else has become of the record.
        let decided = before.is_some_and(|before| before.decided && stands_as_before(&before.row, &row));
        self.rows.insert(id, Stored { row, made, written: self.written, left_order, decided });
        Ok(())
    }

    /// Those that are there already stay as they are.
    fn add_tasks(&mut self, tasks: Vec<HandlerTask>, run: &RunId) -> Checked {
        let mut seen = BTreeSet::new();
        for task in tasks {
            let id: TaskId = (task.record.0.clone(), task.place.clone(), task.generation);
            if !seen.insert(id.clone()) || task.run != *run {
                return Err(format!("task {id:?} of {} is there twice in one commit of {run}", task.run));
            }
            let key = self.tasks.values().map(|task| task.key + 1).max().unwrap_or(0);
            self.tasks.entry(id).or_insert(Task { key, task, attempts: 0, since: None, ended: None });
        }
        Ok(())
    }

    pub(crate) fn end_run(&mut self, end: &RunEnd, steps: &[(StepName, StepCounts)]) -> Checked {
        if self.running.take().as_ref() != Some(&end.run) || end.status == RunStatus::Running {
            return Err("the end of a run that does not run".into());
        }
        self.deaths = 0;
        self.quarantine = self.quarantine.take().or_else(|| end.quarantine.clone());
        self.add_tasks(end.tasks.clone(), &end.run)?;
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

    /// An operator's word about a record, as the ledger's decisions allow it.
    pub(crate) fn decide(&mut self, id: &str, change: impl FnOnce(&mut RecordRow)) {
        self.written += 1;
        if let Some(stored) = self.rows.get_mut(id) {
            change(&mut stored.row);
            (stored.written, stored.decided) = (self.written, true);
            stored.left_order |= stored.row.status.is_settled();
        }
    }
}

/// Whether nothing was tried between these two states of a row.
pub(crate) fn stands_as_before(before: &RecordRow, after: &RecordRow) -> bool {
    let standing = |row: &RecordRow| (row.status, row.step.clone(), row.attempts, row.generation);
    standing(before) == standing(after)
}

/// Whether a record waits for an earlier one with its order key.
pub(crate) fn waits_for_order(row: &RecordRow) -> bool {
    let stands = matches!(row.status, Status::Pending | Status::Indeterminate);
    stands && row.failure.as_ref().is_some_and(|failure| failure.code == "waits-for-order")
}

/// The generation in which a record goes on: what was undone begins anew.
pub(crate) fn next_generation(row: &RecordRow) -> u32 {
    row.generation + u32::from(row.status == Status::RolledBack)
}

fn standing_is_possible(before: Option<&RecordRow>, row: &RecordRow) -> Checked {
    let was = before.map(|before| before.status);
    let from_rollback = was == Some(Status::RollingBack);
    let fine = match row.status {
        Status::RollingBack => row.due.is_some() && !row.applied.is_empty(),
        Status::RolledBack => from_rollback && row.due.is_none() && row.applied.is_empty(),
        Status::RollbackFailed => {
            from_rollback && row.due.is_none() && !row.applied.is_empty() && row.failure.is_some()
        }
        _ => !from_rollback && was != Some(Status::RollbackFailed) && row.applied.iter().all(|one| !one.in_doubt),
    };
    if fine { Ok(()) } else { Err(format!("{was:?} cannot become {row:?}")) }
}
