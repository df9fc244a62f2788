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
const COMMITS_UNDER_WAY_MAX: usize = 4;
/// Records a batch: the default of a route.
const BATCH_RECORDS: usize = 500;

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
struct Batch {
    number: u64,
    read: u64,
    /// All records, in order: id, status, the step that settled it.
    ids: Column,
    statuses: Vec<Status>,
    steps: Vec<u16>,
    /// Those that are to be written.
    to_write: Column,
    /// One key a record, empty for those that are dropped.
    keys: Column,
    lines: Vec<u8>,
    /// Where the input stands behind it.
    position: u64,
}

/// Moves the orders of a file into another; `data` is where the ledger is kept, `None` keeps none.
pub(crate) async fn run(input: &Path, output: &Path, data: Option<&Path>) -> Result<Tally> {
    let ledger = data.map(|data| LedgerStore::open(data, OpenOptions::new(now()))).transpose()?;
    let job = Job::new(ledger)?;
    let mut reader = BufReader::with_capacity(1 << 18, File::open(input).context("opening the orders")?);
    let mut file = FileOptions::new().create_new(true).append(true).open(output).context("making the output")?;
    if let Some(folder) = output.parent() {
        File::open(folder)?.sync_all()?;
    }
    job.begin().await?;
    let mut commits: VecDeque<PortFuture<'static, Result<(), PortError>>> = VecDeque::new();
    let mut totals = Counts::default();
    let mut position = 0;
    for number in 1.. {
        let Some(batch) = job.next_batch(&mut reader, number, position)? else { break };
        position = batch.position;
        job.intend(&batch).await?;
        file.write_all(&batch.lines)?;
        file.sync_data()?;
        let commit = job.commit(batch, &mut totals)?;
        if let Some(ledger) = &job.ledger {
            commits.push_back(ledger.commit(commit));
        }
        if commits.len() >= COMMITS_UNDER_WAY_MAX
            && let Some(oldest) = commits.pop_front()
        {
            oldest.await?;
        }
    }
    for commit in commits {
        commit.await?;
    }
    job.end(totals).await?;
    let count = |status| u64::try_from(totals.get(status)).unwrap_or(0);
    Ok(Tally { ok: count(Status::Ok), dropped: count(Status::Dropped) })
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

struct Job {
    ledger: Option<LedgerStore>,
    route: RouteName,
    run: RunId,
    shape: StepName,
    keep: StepName,
}

impl Job {
    fn new(ledger: Option<LedgerStore>) -> Result<Self> {
        Ok(Self {
            ledger,
            route: RouteName::new(ROUTE)?,
            run: RunId("native".to_owned()),
            shape: StepName::new(SHAPE)?,
            keep: StepName::new(KEEP)?,
        })
    }

    async fn begin(&self) -> Result<()> {
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

    /// Reads a batch and makes of it what is to be written.
    fn next_batch(&self, reader: &mut BufReader<File>, number: u64, position: u64) -> Result<Option<Batch>> {
        let mut batch = Batch {
            number,
            read: 0,
            ids: Column::with_capacity(BATCH_RECORDS, BATCH_RECORDS * 16),
            statuses: Vec::with_capacity(BATCH_RECORDS),
            steps: Vec::with_capacity(BATCH_RECORDS),
            to_write: Column::with_capacity(BATCH_RECORDS, BATCH_RECORDS * 16),
            keys: Column::with_capacity(BATCH_RECORDS, BATCH_RECORDS * 32),
            lines: Vec::with_capacity(BATCH_RECORDS * 512),
            position,
        };
        let mut line = Vec::with_capacity(1 << 10);
        for _ in 0..BATCH_RECORDS {
            line.clear();
            let bytes = reader.read_until(b'\n', &mut line)?;
            if bytes == 0 {
                break;
            }
            batch.position += bytes as u64;
            self.add(&mut batch, &line)?;
        }
        Ok((batch.read > 0).then_some(batch))
    }

    fn add(&self, batch: &mut Batch, line: &[u8]) -> Result<()> {
        let order: Order<'_> = serde_json::from_slice(line).context("reading an order")?;
        let id = order.order.as_ref();
        batch.read += 1;
        batch.ids.try_push(id.as_bytes())?;
        if order.status == "cancelled" {
            batch.statuses.push(Status::Dropped);
            batch.steps.push(0);
            batch.keys.try_push(b"")?;
            return Ok(());
        }
        let mut amount = Decimal::from_str_exact(order.total.get()).context("reading a total")?;
        amount.rescale(2);
        let key = idempotency_key(&self.route, &self.keep, 0, id.as_bytes());
        let record = Document {
            reference: id,
            customer: order.customer.id,
            name: order.customer.name,
            currency: order.currency,
            amount,
            items: order.lines,
        };
        serde_json::to_writer(&mut batch.lines, &Envelope { key: std::str::from_utf8(&key)?, id, record })?;
        batch.lines.push(b'\n');
        batch.to_write.try_push(id.as_bytes())?;
        batch.keys.try_push(&key)?;
        batch.statuses.push(Status::Ok);
        batch.steps.push(1);
        Ok(())
    }

    async fn intend(&self, batch: &Batch) -> Result<()> {
        let Some(ledger) = &self.ledger else { return Ok(()) };
        let records = batch.to_write.len();
        let intent = Intent {
            route: self.route.clone(),
            run: self.run.clone(),
            batch: batch.number,
            step: self.keep.clone(),
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

    fn commit(&self, batch: Batch, totals: &mut Counts) -> Result<BatchCommit> {
        let ok = batch.to_write.len() as u64;
        let dropped = batch.read - ok;
        let mut counts = Counts::default();
        counts.add(Status::Ok, i64::try_from(ok)?);
        counts.add(Status::Dropped, i64::try_from(dropped)?);
        totals.merge(&counts);
        let shaped = StepCounts { records_in: batch.read, ok, dropped, ..StepCounts::default() };
        let kept = StepCounts { records_in: ok, ok, ..StepCounts::default() };
        let message = format!("batch {}: {} read; {ok} ok, {dropped} dropped", batch.number, batch.read);
        let mut event = self.event(EventKind::BatchCommitted, message);
        event.data = serde_json::json!({
            "batch": batch.number, "read": batch.read, "resumed": 0,
            "counts": { "ok": ok, "dropped": dropped }, "checkpoint": true,
        });
        let receipts = Some(batch.keys.clone());
        let given = ChunkColumn { step: self.keep.clone(), target_ids: Some(batch.keys), receipts };
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
            steps: vec![(self.shape.clone(), shaped), (self.keep.clone(), kept)],
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

    async fn end(&self, counts: Counts) -> Result<()> {
        let Some(ledger) = &self.ledger else { return Ok(()) };
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
        Ok(ledger.end_run(end).await?)
    }

    fn event(&self, kind: EventKind, message: String) -> Event {
        let run = Some(self.run.clone());
        Event { at: now(), kind, run, step: None, record: None, message, data: serde_json::Value::Null }
    }
}
