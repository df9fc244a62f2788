//! What the ledger makes of a dead process, and the tasks of handlers.

use super::{Checked, Inflight, Kind, MemLedger, Stored, Task};
use crossdock_engine::ports::{Applied, DueTask, DueTasks, Payload, RecordRow, TaskCommit, TaskStatus};
use crossdock_model::{Failure, RecordId, RunId, Status, Timestamp};
use std::collections::BTreeMap;

impl MemLedger {
    /// Tasks whose time has come, earliest first.
    pub(crate) fn tasks_due(&self, now: Timestamp, limit: u32) -> DueTasks {
        let mut waiting: Vec<&Task> = self.tasks.values().filter(|task| task.waits()).collect();
        waiting.sort_by_key(|task| (task.task.due, task.key));
        let ready = waiting.iter().take(limit as usize).filter(|task| task.task.due <= now).count();
        let later = waiting.split_off(ready);
        let tasks = waiting.into_iter().map(|task| DueTask {
            key: task.key,
            task: task.task.clone(),
            attempts: task.attempts,
            since: task.since,
        });
        DueTasks {
            tasks: tasks.collect(),
            pending: later.len() as u64,
            next_due: later.first().map(|task| task.task.due),
        }
    }

    pub(crate) fn commit_tasks(&mut self, commit: &TaskCommit) -> Checked {
        for result in &commit.results {
            let Some(task) = self.tasks.values_mut().find(|task| task.key == result.key && task.waits()) else {
                return Err(format!("{result:?} is for no task that waits"));
            };
            (task.attempts, task.since) = (result.attempts, result.since);
            match result.status {
                TaskStatus::Retry(due) => task.task.due = due,
                ended => task.ended = Some(ended),
            }
        }
        Ok(())
    }

    /// The process died: what nobody answers for any more is in doubt.
    pub(crate) fn recover(&mut self, now: Timestamp) {
        let Some(run) = self.running.take() else { return };
        self.deaths += 1;
        let leftovers = std::mem::take(&mut self.inflight);
        let mut last: BTreeMap<String, usize> = BTreeMap::new();
        let mut generations_of: BTreeMap<String, u32> = BTreeMap::new();
        for (at, leftover) in leftovers.iter().enumerate() {
            last.extend(leftover.ids.iter().map(|id| (id.clone(), at)));
            if let Kind::Intent { generations, .. } = &leftover.kind {
                generations_of.extend(leftover.ids.iter().cloned().zip(generations.iter().copied()));
            }
        }
        for (at, leftover) in leftovers.iter().enumerate() {
            for (index, id) in leftover.ids.iter().enumerate() {
                if matches!(leftover.kind, Kind::Progress(_)) || last.get(id) == Some(&at) {
                    self.recover_one(&run, leftover, index, id, now);
                    if let (Some(stored), Some(generation)) = (self.rows.get_mut(id), generations_of.get(id)) {
                        stored.row.generation = stored.row.generation.max(*generation);
                    }
                }
            }
        }
    }

    fn recover_one(&mut self, run: &RunId, leftover: &Inflight, index: usize, id: &str, now: Timestamp) {
        let before = self.rows.get(id);
        if before.is_some_and(|before| before.written > leftover.written) {
            return;
        }
        self.made += 1;
        let made = before.map_or(self.made, |before| before.made);
        let mut row = before.map_or_else(|| new_row(leftover, id, run), |before| before.row.clone());
        let harmless = matches!(leftover.kind, Kind::Intent { effect: false, .. });
        if harmless && row.status == Status::Indeterminate && row.step != leftover.step {
            // What may have been applied further on is not forgotten.
            row.failure = Some(Failure::new("record-quarantined", "the process ended"));
            row.due = None;
            if let Some(stored) = self.rows.get_mut(id) {
                (stored.row, stored.written) = (row, leftover.written);
            }
            return;
        }
        if leftover.open && row.step != leftover.step {
            row.payload = Payload::AtSource;
        }
        if row.step != leftover.step {
            (row.spent, row.since) = (0, None);
        }
        row.step = leftover.step.clone();
        row.open = leftover.open;
        row.run = run.clone();
        row.due = (!leftover.open).then_some(now);
        match &leftover.kind {
            Kind::Intent { attempts, generations, careful, effect } => {
                row.status = if *effect { Status::Indeterminate } else { Status::Failed };
                row.attempts = attempts[index];
                row.generation = generations[index];
                row.spent += 1;
                row.since = row.since.or(Some(leftover.at));
                row.due = row.due.filter(|_| !careful);
                let code = if *careful { "record-quarantined" } else { "in-doubt" };
                row.failure = Some(Failure::new(code, "the process ended"));
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
                    in_doubt: false,
                });
            }
        }
        let left_order = self.rows.get(id).is_some_and(|before| before.left_order);
        self.rows.insert(id.to_owned(), Stored { row, made, written: leftover.written, left_order, decided: false });
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
        order_key: None,
        open: leftover.open,
        run: run.clone(),
    }
}
