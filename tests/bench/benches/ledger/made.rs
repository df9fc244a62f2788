//! What is written: the runs, intents and commits of a route that writes orders, without the route.

use anyhow::Result;
use crossdock_engine::ports::{
    AttemptKind, AttemptRow, BatchCommit, Cause, Chunk, ChunkColumn, Ledger as _, Payload, RecordRow, RunEnd, RunStart,
    StepCounts,
};
use crossdock_ledger::LedgerStore;
use crossdock_model::{
    Checkpoint, Column, Counts, Event, EventKind, Failure, Outcome, PluginName, RecordId, RouteName, RunId, RunStatus,
    Status, StepName, Timestamp, idempotency_key,
};

/// Records a commit: the default of a route.
pub(crate) const RECORDS: u64 = 1_000;
/// When the first commit was made; each later one is a millisecond younger.
const BEGAN_MS: i64 = 1_700_000_000_000;
/// A record every so many is dropped.
const ONE_DROPPED_IN: u64 = 10;

/// A route with one run, and the commits that it makes.
#[derive(Clone)]
pub(crate) struct Maker {
    pub(crate) route: RouteName,
    pub(crate) run: RunId,
    step: StepName,
    /// Records a commit.
    records: u64,
    /// One record in so many fails; 0: none.
    one_fails_in: u64,
}

/// What one commit is about to say.
struct Sorted {
    ids: Column,
    statuses: Vec<Status>,
    keys: Column,
    failed: Vec<u64>,
}

impl Maker {
    pub(crate) fn new(run: &str, records: u64, one_fails_in: u64) -> Result<Self> {
        let (route, step) = (RouteName::new("orders")?, StepName::new("keep")?);
        Ok(Self { route, run: RunId(run.to_owned()), step, records, one_fails_in })
    }

    /// The id of a record by its number.
    pub(crate) fn id(number: u64) -> String {
        format!("SO-{number:09}")
    }

    pub(crate) async fn begin(&self, ledger: &LedgerStore) -> Result<()> {
        let start = RunStart {
            run: self.run.clone(),
            route: self.route.clone(),
            route_hash: "bench".to_owned(),
            definition: String::new(),
            plugins: vec![(self.step.clone(), PluginName::new("file-destination")?, String::new())],
            cause: Cause::Manual,
            at: Timestamp(BEGAN_MS),
        };
        ledger.begin_run(start).await?;
        Ok(())
    }

    /// Ends the run that made these commits.
    pub(crate) async fn end(&self, ledger: &LedgerStore, counts: Counts, at: Timestamp) -> Result<()> {
        let status = if counts.get(Status::Failed) > 0 { RunStatus::CompletedWithFailures } else { RunStatus::Ok };
        let end = RunEnd {
            route: self.route.clone(),
            run: self.run.clone(),
            status,
            at,
            reason: None,
            read: u64::try_from(counts.total())?,
            resumed: 0,
            counts,
            events: vec![self.event(EventKind::RunEnded, at, format!("the run ended: {status}"))],
            tasks: Vec::new(),
            quarantine: None,
        };
        Ok(ledger.end_run(end).await?)
    }

    /// The commit with this number, which has the records from `number * records` on.
    pub(crate) fn commit(&self, number: u64) -> Result<BatchCommit> {
        let at = Timestamp(BEGAN_MS + i64::try_from(number)?);
        let Sorted { ids, statuses, keys, failed } = self.sort(number)?;
        let (bad, all) = (failed.len() as u64, self.records);
        let dropped = statuses.iter().filter(|&&status| status == Status::Dropped).count() as u64;
        let ok = all - dropped - bad;
        let mut counts = Counts::default();
        for (status, count) in [(Status::Ok, ok), (Status::Dropped, dropped), (Status::Failed, bad)] {
            counts.add(status, i64::try_from(count)?);
        }
        let numbers = StepCounts { records_in: all, ok, dropped, rejected: bad, ..StepCounts::default() };
        let message = format!("batch {number}: {all} read; {ok} ok, {dropped} dropped, {bad} failed");
        let mut events = vec![self.event(EventKind::BatchCommitted, at, message)];
        events[0].data = serde_json::json!({
            "batch": number, "read": all, "resumed": 0, "checkpoint": true,
            "counts": { "ok": ok, "dropped": dropped, "failed": bad },
        });
        events.extend(failed.iter().map(|&record| self.failure_event(record, at)));
        let chunk = (!ids.is_empty()).then(|| Chunk {
            steps: vec![0; ids.len()],
            ids,
            statuses,
            columns: vec![ChunkColumn {
                step: self.step.clone(),
                target_ids: Some(keys.clone()),
                receipts: Some(keys),
            }],
            payloads: None,
        });
        Ok(BatchCommit {
            route: self.route.clone(),
            run: self.run.clone(),
            batch: number + 1,
            at,
            checkpoint: Some(Checkpoint(number.to_le_bytes().to_vec())),
            passed: Vec::new(),
            read: all,
            resumed: 0,
            counts,
            steps: vec![(self.step.clone(), numbers)],
            chunk,
            rows: failed.iter().map(|&record| self.failed_row(record)).collect(),
            attempts: failed.iter().map(|&record| self.attempt(record, at)).collect(),
            events,
            state: Vec::new(),
            progress: None,
            closes: true,
            tasks: Vec::new(),
            settles_open: false,
        })
    }

    fn sort(&self, number: u64) -> Result<Sorted> {
        let records = usize::try_from(self.records)?;
        let mut sorted = Sorted {
            ids: Column::with_capacity(records, records * 12),
            statuses: Vec::with_capacity(records),
            keys: Column::with_capacity(records, records * 32),
            failed: Vec::new(),
        };
        for record in number * self.records..(number + 1) * self.records {
            if self.one_fails_in > 0 && record % self.one_fails_in == self.one_fails_in - 1 {
                sorted.failed.push(record);
                continue;
            }
            let id = Self::id(record);
            sorted.ids.try_push(id.as_bytes())?;
            if record % ONE_DROPPED_IN == ONE_DROPPED_IN - 2 {
                sorted.statuses.push(Status::Dropped);
                sorted.keys.try_push(b"")?;
            } else {
                sorted.statuses.push(Status::Ok);
                sorted.keys.try_push(&idempotency_key(&self.route, &self.step, 0, id.as_bytes()))?;
            }
        }
        Ok(sorted)
    }

    fn event(&self, kind: EventKind, at: Timestamp, message: String) -> Event {
        let run = Some(self.run.clone());
        Event { at, kind, run, step: None, record: None, message, data: serde_json::Value::Null }
    }

    fn failure_event(&self, record: u64, at: Timestamp) -> Event {
        let failure = failure(record);
        let mut event = self.event(EventKind::RecordFailed, at, format!("rejected at step keep: {}", failure.message));
        event.step = Some(self.step.clone());
        event.record = Some(RecordId(Self::id(record)));
        event.data = serde_json::json!({ "attempts": 1, "failure": failure, "due": null });
        event
    }

    fn attempt(&self, record: u64, at: Timestamp) -> AttemptRow {
        AttemptRow {
            id: RecordId(Self::id(record)),
            step: self.step.clone(),
            kind: AttemptKind::Pass,
            attempt: 1,
            generation: 0,
            began: at,
            ended: at,
            outcome: Outcome::Rejected,
            failure: Some(failure(record)),
            target_id: None,
            receipt: None,
            exchanges: Vec::new(),
        }
    }

    fn failed_row(&self, record: u64) -> RecordRow {
        let payload =
            format!(r#"{{"order":{record},"customer":"C-{}","lines":[{}1]}}"#, record % 977, "1,".repeat(150));
        RecordRow {
            id: RecordId(Self::id(record)),
            parent: None,
            status: Status::Failed,
            step: self.step.clone(),
            generation: 0,
            attempts: 1,
            spent: 1,
            since: None,
            payload: Payload::Kept(payload.into_bytes()),
            attributes: Vec::new(),
            failure: Some(failure(record)),
            due: None,
            applied: Vec::new(),
            order_key: None,
            open: false,
            run: self.run.clone(),
        }
    }
}

fn failure(record: u64) -> Failure {
    let message = format!("order {record} refused: customer C-{} is not known", record % 977);
    Failure::new("http-422", message).with_detail(r#"{"error":"unknown customer","hint":"create it first"}"#)
}
