//! The same work as the route, written by hand as one native program: one parse a record, one thread, no boundary.
//! It keeps the same ledger with the same commits, and writes the same file byte for byte.

use anyhow::{Context as _, Result};
use crossdock_engine::ports::{
    BatchCommit, Cause, Chunk, ChunkColumn, Intent, Ledger, PortError, PortFuture, RunEnd, RunStart, StepCounts,
};
use crossdock_ledger::{LedgerStore, OpenOptions};
use crossdock_model::{
    Checkpoint, Column, Counts, Event, EventKind, RouteName, RunId, RunStatus, Status, StepName, Timestamp,
    idempotency_key,
};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::VecDeque;
use std::fs::{File, OpenOptions as FileOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::shop::{KEEP, ROUTE, SHAPE, Tally};

/// Commits that may be on their way to the disk while the next batch is worked on: as many as the engine lets.
pub(crate) const COMMITS_UNDER_WAY_MAX: usize = 4;
/// Records a batch: the default of a route.
pub(crate) const BATCH_RECORDS: usize = 1_000;

#[derive(Deserialize)]
struct Order<'a> {
    #[serde(borrow)]
    order: Cow<'a, str>,
    #[serde(borrow)]
    customer: Customer<'a>,
    #[serde(borrow)]
    currency: &'a RawValue,
    #[serde(borrow)]
    status: Cow<'a, str>,
    #[serde(borrow)]
    lines: &'a RawValue,
    #[serde(borrow)]
    total: &'a RawValue,
}

#[derive(Deserialize)]
struct Customer<'a> {
    #[serde(borrow)]
    id: &'a RawValue,
    #[serde(borrow)]
    name: &'a RawValue,
}

/// A line of the file, as file-destination writes it.
#[derive(Serialize)]
struct Envelope<'a> {
    key: &'a str,
    id: &'a str,
    record: Document<'a>,
}

#[derive(Serialize)]
struct Document<'a> {
    reference: &'a str,
    customer: &'a RawValue,
    name: &'a RawValue,
    currency: &'a RawValue,
    #[serde(serialize_with = "as_text")]
    amount: Decimal,
    items: &'a RawValue,
}

fn as_text<S: serde::Serializer>(amount: &Decimal, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(amount)
}

/// What is made of one batch before anything is written.
pub(crate) struct Batch {
    pub(crate) number: u64,
    pub(crate) read: u64,
    /// All records, in order: id, status, the step that settled it.
    pub(crate) ids: Column,
    pub(crate) statuses: Vec<Status>,
    pub(crate) steps: Vec<u16>,
    /// Those that are to be written.
    pub(crate) to_write: Column,
    /// What was given back for each record: its id there and what is needed to undo it; empty for those that are
    /// dropped.
    pub(crate) target_ids: Column,
    pub(crate) receipts: Column,
    /// Where the input stands behind it.
    pub(crate) position: u64,
}

impl Batch {
    pub(crate) fn new(number: u64, position: u64) -> Self {
        Self {
            number,
            read: 0,
            ids: Column::with_capacity(BATCH_RECORDS, BATCH_RECORDS * 16),
            statuses: Vec::with_capacity(BATCH_RECORDS),
            steps: Vec::with_capacity(BATCH_RECORDS),
            to_write: Column::with_capacity(BATCH_RECORDS, BATCH_RECORDS * 16),
            target_ids: Column::with_capacity(BATCH_RECORDS, BATCH_RECORDS * 32),
            receipts: Column::with_capacity(BATCH_RECORDS, BATCH_RECORDS * 32),
            position,
        }
    }

    /// One more record, dropped by the first step.
    pub(crate) fn dropped(&mut self, id: &str) -> Result<()> {
        self.read += 1;
        self.ids.try_push(id.as_bytes())?;
        self.statuses.push(Status::Dropped);
        self.steps.push(0);
        self.target_ids.try_push(b"")?;
        Ok(self.receipts.try_push(b"")?)
    }

    /// One more record, to be written by the second step. What is given back for it comes later.
    pub(crate) fn taken(&mut self, id: &str) -> Result<()> {
        self.read += 1;
        self.ids.try_push(id.as_bytes())?;
        self.to_write.try_push(id.as_bytes())?;
        self.statuses.push(Status::Ok);
        self.steps.push(1);
        Ok(())
    }
}

/// Moves the orders of a file into another; `data` is where the ledger is kept, `None` keeps none.
pub(crate) async fn run(input: &Path, output: &Path, data: Option<&Path>) -> Result<Tally> {
    let mut job = Job::new(data, ROUTE, [SHAPE, KEEP])?;
    let mut reader = BufReader::with_capacity(1 << 18, File::open(input).context("opening the orders")?);
    let mut file = FileOptions::new().create_new(true).append(true).open(output).context("making the output")?;
    if let Some(folder) = output.parent() {
        File::open(folder)?.sync_all()?;
    }
    job.begin().await?;
    let mut lines = Vec::with_capacity(BATCH_RECORDS * 512);
    let mut position = 0;
    for number in 1.. {
        let mut batch = Batch::new(number, position);
        next_batch(&job, &mut reader, &mut batch, &mut lines)?;
        if batch.read == 0 {
            break;
        }
        position = batch.position;
        job.intend(&batch).await?;
        file.write_all(&lines)?;
        file.sync_data()?;
        job.commit(batch).await?;
    }
    job.end().await
}

/// Reads a batch and makes of it lines that are to be written.
fn next_batch(job: &Job, reader: &mut BufReader<File>, batch: &mut Batch, lines: &mut Vec<u8>) -> Result<()> {
    lines.clear();
    let mut line = Vec::with_capacity(1 << 10);
    for _ in 0..BATCH_RECORDS {
        line.clear();
        let bytes = reader.read_until(b'\n', &mut line)?;
        if bytes == 0 {
            break;
        }
        batch.position += bytes as u64;
        add(job, batch, &line, lines)?;
    }
    Ok(())
}

fn add(job: &Job, batch: &mut Batch, line: &[u8], lines: &mut Vec<u8>) -> Result<()> {
    let order: Order<'_> = serde_json::from_slice(line).context("reading an order")?;
    let id = order.order.as_ref();
    if order.status == "cancelled" {
        return batch.dropped(id);
    }
    let mut amount = Decimal::from_str_exact(order.total.get()).context("reading a total")?;
    amount.rescale(2);
    let key = job.key(id);
    let record = Document {
        reference: id,
        customer: order.customer.id,
        name: order.customer.name,
        currency: order.currency,
        amount,
        items: order.lines,
    };
    serde_json::to_writer(&mut *lines, &Envelope { key: std::str::from_utf8(&key)?, id, record })?;
    lines.push(b'\n');
    batch.target_ids.try_push(&key)?;
    batch.receipts.try_push(&key)?;
    batch.taken(id)
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// What is told to the ledger, if there is one.
pub(crate) struct Job {
    ledger: Option<LedgerStore>,
    route: RouteName,
    run: RunId,
    /// The step that transforms and the step that writes.
    steps: [StepName; 2],
    totals: Counts,
    under_way: VecDeque<PortFuture<'static, Result<(), PortError>>>,
}

impl Job {
    /// `data` is where the ledger is kept; `None` keeps none.
    pub(crate) fn new(data: Option<&Path>, route: &str, steps: [&str; 2]) -> Result<Self> {
        Ok(Self {
            ledger: data.map(|data| LedgerStore::open(data, OpenOptions::new(now()))).transpose()?,
            route: RouteName::new(route)?,
            run: RunId("native".to_owned()),
            steps: [StepName::new(steps[0])?, StepName::new(steps[1])?],
            totals: Counts::default(),
            under_way: VecDeque::new(),
        })
    }

    /// The idempotency key of a record at the step that writes.
    pub(crate) fn key(&self, id: &str) -> [u8; 32] {
        idempotency_key(&self.route, &self.steps[1], 0, id.as_bytes())
    }

    pub(crate) async fn begin(&self) -> Result<()> {
        let Some(ledger) = &self.ledger else { return Ok(()) };
        let start = RunStart {
            run: self.run.clone(),
            route: self.route.clone(),
            route_hash: "native".to_owned(),
            definition: String::new(),
            plugins: Vec::new(),
            cause: Cause::Manual,
            at: now(),
        };
        ledger.begin_run(start).await?;
        Ok(())
    }

    /// Writes down what is about to be written.
    pub(crate) async fn intend(&self, batch: &Batch) -> Result<()> {
        let Some(ledger) = &self.ledger else { return Ok(()) };
        let records = batch.to_write.len();
        let intent = Intent {
            route: self.route.clone(),
            run: self.run.clone(),
            batch: batch.number,
            step: self.steps[1].clone(),
            at: now(),
            ids: batch.to_write.clone(),
            attempts: vec![1; records],
            generations: vec![0; records],
            open: true,
            careful: false,
            effect: true,
        };
        Ok(ledger.intend(intent).await?)
    }

    /// Writes down what became of a batch. It may still be on its way to the disk when this is over.
    pub(crate) async fn commit(&mut self, batch: Batch) -> Result<()> {
        let commit = self.made_of(batch)?;
        if let Some(ledger) = &self.ledger {
            self.under_way.push_back(ledger.commit(commit));
        }
        if self.under_way.len() >= COMMITS_UNDER_WAY_MAX
            && let Some(oldest) = self.under_way.pop_front()
        {
            oldest.await?;
        }
        Ok(())
    }

    fn made_of(&mut self, batch: Batch) -> Result<BatchCommit> {
        let ok = batch.to_write.len() as u64;
        let dropped = batch.read - ok;
        let mut counts = Counts::default();
        counts.add(Status::Ok, i64::try_from(ok)?);
        counts.add(Status::Dropped, i64::try_from(dropped)?);
        self.totals.merge(&counts);
        let shaped = StepCounts { records_in: batch.read, ok, dropped, ..StepCounts::default() };
        let kept = StepCounts { records_in: ok, ok, ..StepCounts::default() };
        let message = format!("batch {}: {} read; {ok} ok, {dropped} dropped", batch.number, batch.read);
        let mut event = self.event(EventKind::BatchCommitted, message);
        event.data = serde_json::json!({
            "batch": batch.number, "read": batch.read, "resumed": 0,
            "counts": { "ok": ok, "dropped": dropped }, "checkpoint": true,
        });
        let [shape, keep] = self.steps.clone();
        let given =
            ChunkColumn { step: keep.clone(), target_ids: Some(batch.target_ids), receipts: Some(batch.receipts) };
        Ok(BatchCommit {
            route: self.route.clone(),
            run: self.run.clone(),
            batch: batch.number,
            at: now(),
            checkpoint: Some(Checkpoint(batch.position.to_le_bytes().to_vec())),
            passed: Vec::new(),
            read: batch.read,
            resumed: 0,
            counts,
            steps: vec![(shape, shaped), (keep, kept)],
            chunk: Some(Chunk {
                ids: batch.ids,
                statuses: batch.statuses,
                steps: batch.steps,
                columns: vec![given],
                payloads: None,
            }),
            rows: Vec::new(),
            attempts: Vec::new(),
            events: vec![event],
            state: Vec::new(),
            progress: None,
            closes: true,
            tasks: Vec::new(),
            settles_open: false,
        })
    }

    /// Waits until everything is on disk, and ends the run.
    pub(crate) async fn end(mut self) -> Result<Tally> {
        for commit in std::mem::take(&mut self.under_way) {
            commit.await?;
        }
        let counts = self.totals;
        let count = |status| u64::try_from(counts.get(status)).unwrap_or(0);
        let tally = Tally { ok: count(Status::Ok), dropped: count(Status::Dropped) };
        let Some(ledger) = &self.ledger else { return Ok(tally) };
        let end = RunEnd {
            route: self.route.clone(),
            run: self.run.clone(),
            status: RunStatus::Ok,
            at: now(),
            reason: None,
            read: u64::try_from(counts.total())?,
            resumed: 0,
            counts,
            events: vec![self.event(EventKind::RunEnded, "the run ended: ok".to_owned())],
            tasks: Vec::new(),
            quarantine: None,
        };
        ledger.end_run(end).await?;
        Ok(tally)
    }

    fn event(&self, kind: EventKind, message: String) -> Event {
        let run = Some(self.run.clone());
        Event { at: now(), kind, run, step: None, record: None, message, data: serde_json::Value::Null }
    }
}
