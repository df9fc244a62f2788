//! What an append costs: batches of ok records through the ledger, against a bare loop that writes the same bytes
//! of one row a batch with rusqlite, one commit for as many batches, in the same run. Then the same when every record
//! fails, and a plan of 100,000 records.
//!
//! `cargo bench -p crossdock-ledger` prints these and their ratios; nothing is asserted, machines differ.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods)]

use crossdock_engine::ports::{
    AttemptKind, AttemptRow, BatchCommit, Cause, Chunk, ChunkColumn, Exchange, Ledger, Payload, RecordRow, RunStart,
    StepCounts,
};
use crossdock_ledger::{LedgerStore, OpenOptions, Plan, PlanEntry};
use crossdock_model::{
    Checkpoint, Counts, Event, EventKind, Failure, Outcome, PluginName, RecordId, RouteName, RunId, Status, StepName,
    Timestamp,
};
use std::time::{Duration, Instant};

const BATCHES: u64 = 2_000;
const RECORDS: u64 = 100;
const TOGETHER: u64 = 50;

fn batch(n: u64) -> BatchCommit {
    let ids: Vec<String> = (0..RECORDS).map(|i| format!("order-{:08}", n * RECORDS + i)).collect();
    let mut counts = Counts::default();
    counts.add(Status::Ok, i64::try_from(RECORDS).unwrap());
    let erp = StepName::new("erp").unwrap();
    BatchCommit {
        route: RouteName::new("orders").unwrap(),
        run: RunId("r1".into()),
        batch: n,
        at: Timestamp(1_700_000_000_000),
        checkpoint: Some(Checkpoint(n.to_le_bytes().to_vec())),
        passed: vec![],
        read: RECORDS,
        resumed: 0,
        counts,
        steps: vec![(erp.clone(), StepCounts { records_in: RECORDS, ok: RECORDS, ..StepCounts::default() })],
        chunk: Some(Chunk {
            ids: ids.iter().collect(),
            statuses: vec![Status::Ok; ids.len()],
            steps: vec![0; ids.len()],
            columns: vec![ChunkColumn {
                step: erp,
                target_ids: Some(ids.iter().map(|id| format!("DOC-{id}")).collect()),
                receipts: None,
            }],
            payloads: None,
        }),
        rows: vec![],
        attempts: vec![],
        events: vec![],
        state: vec![],
        progress: None,
        closes: true,
        tasks: vec![],
        settles_open: false,
    }
}

/// The same records, each refused by the destination: its row with its content, its attempt with its request, its event.
fn failing(n: u64) -> BatchCommit {
    let ok = batch(n);
    let erp = StepName::new("erp").unwrap();
    let failure = |i: u64| {
        let message = format!("order {i} refused: customer C-{} is not known", i % 977);
        Failure::new("http-422", message).with_detail(r#"{"error":"unknown customer","hint":"create it first"}"#)
    };
    let mut counts = Counts::default();
    counts.add(Status::Failed, i64::try_from(RECORDS).unwrap());
    let mut commit = BatchCommit { chunk: None, counts, ..ok };
    commit.steps = vec![(erp.clone(), StepCounts { records_in: RECORDS, rejected: RECORDS, ..StepCounts::default() })];
    for i in n * RECORDS..(n + 1) * RECORDS {
        let id = RecordId(format!("order-{i:08}"));
        commit.attempts.push(AttemptRow {
            id: id.clone(),
            step: erp.clone(),
            kind: AttemptKind::Pass,
            attempt: 1,
            generation: 0,
            began: commit.at,
            ended: commit.at,
            outcome: Outcome::Rejected,
            failure: Some(failure(i)),
            target_id: None,
            receipt: None,
            exchanges: vec![Exchange {
                at: commit.at,
                record: Some(0),
                method: "POST".into(),
                url: "http://127.0.0.1:8080/documents".into(),
                status: Some(422),
                error: None,
                took_ms: 3,
                bytes: 53,
            }],
        });
        commit.events.push(Event {
            at: commit.at,
            kind: EventKind::RecordFailed,
            run: Some(commit.run.clone()),
            step: Some(erp.clone()),
            record: Some(id.clone()),
            message: failure(i).message,
            data: serde_json::json!({ "code": "http-422", "status": Status::Failed }),
        });
        commit.rows.push(RecordRow {
            id,
            parent: None,
            status: Status::Failed,
            step: erp.clone(),
            generation: 0,
            attempts: 1,
            spent: 1,
            since: None,
            payload: Payload::Kept(
                format!(r#"{{"order":{i},"customer":"C-{}","lines":[{}]}}"#, i % 977, "1,".repeat(150)).into_bytes(),
            ),
            attributes: vec![],
            failure: Some(failure(i)),
            due: None,
            applied: vec![],
            order_key: None,
            open: false,
            run: commit.run.clone(),
        });
    }
    commit
}

/// Seconds of CPU time that this process has used.
fn cpu() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let ticks: f64 = text.split_whitespace().skip(13).take(2).filter_map(|n| n.parse::<f64>().ok()).sum();
    ticks / 100.0
}

struct Cost {
    took: Duration,
    transactions: u64,
    cpu_ns: f64,
    bytes: f64,
}

fn through_the_ledger(batch: fn(u64) -> BatchCommit, batches: u64) -> Cost {
    let dir = tempfile::tempdir().unwrap();
    let store = LedgerStore::open(dir.path(), OpenOptions::new(Timestamp(0))).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let begin = store.begin_run(RunStart {
        run: RunId("r1".into()),
        route: RouteName::new("orders").unwrap(),
        route_hash: "h".into(),
        definition: String::new(),
        plugins: vec![(StepName::new("erp").unwrap(), PluginName::new("erp").unwrap(), String::new())],
        cause: Cause::Manual,
        at: Timestamp(0),
    });
    runtime.block_on(begin).unwrap();
    let records = (batches * RECORDS) as f64;
    let batches: Vec<BatchCommit> = (0..batches).map(batch).collect();
    let (began, used) = (Instant::now(), cpu());
    runtime.block_on(async {
        let mut waiting = std::collections::VecDeque::new();
        for batch in batches {
            waiting.push_back(store.commit(batch));
            if waiting.len() as u64 >= TOGETHER {
                waiting.pop_front().unwrap().await.unwrap();
            }
        }
        for answer in waiting {
            answer.await.unwrap();
        }
    });
    let (took, transactions) = (began.elapsed(), store.stats().transactions);
    let cpu_ns = (cpu() - used) * 1e9 / records;
    drop(store);
    let bytes = std::fs::metadata(dir.path().join("ledger.db")).unwrap().len() as f64 / records;
    Cost { took, transactions, cpu_ns, bytes }
}

/// Keeping a plan of 100,000 records, and reading it again.
fn plan() {
    const ENTRIES: u32 = 100_000;
    let dir = tempfile::tempdir().unwrap();
    let store = LedgerStore::open(dir.path(), OpenOptions::new(Timestamp(0))).unwrap();
    let size = || std::fs::metadata(dir.path().join("ledger.db-wal")).unwrap().len();
    let entries = (0..ENTRIES).map(|n| PlanEntry {
        id: RecordId(format!("order-{:08}", n * 7)),
        step: StepName::new("erp").unwrap(),
        generation: 0,
        attempts: n % 6,
        version: u64::from(n % 3) + 1,
        verdict: if n % 40 == 0 { "is ok already".into() } else { "will run".into() },
    });
    let plan = Plan {
        hash: "h".into(),
        route: RouteName::new("orders").unwrap(),
        route_hash: "r".into(),
        recorded: false,
        at: Timestamp(0),
        entries: entries.collect(),
        filter: String::new(),
        edit: None,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (before, began) = (size(), Instant::now());
    runtime.block_on(store.save_plan(plan)).unwrap();
    let (kept, bytes) = (began.elapsed(), size() - before);
    let began = Instant::now();
    let plan = store.reader().unwrap().plan("h").unwrap().unwrap();
    let (read, began) = (began.elapsed(), Instant::now());
    let changed = store.reader().unwrap().plan_changes(&plan.route, &plan.entries).unwrap().len();
    println!(
        "a plan of {ENTRIES} records: kept in {kept:?} with {bytes} bytes of log, read in {read:?}, compared in {:?} ({changed} changed)",
        began.elapsed()
    );
}

fn bare_rusqlite(transactions: u64) -> Duration {
    let dir = tempfile::tempdir().unwrap();
    let conn = rusqlite::Connection::open(dir.path().join("bare.db")).unwrap();
    conn.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE batch (key INTEGER PRIMARY KEY, body BLOB)",
    )
    .unwrap();
    // The same number of bytes a batch as its chunk, filter and account have together.
    let body = vec![7u8; 900];
    let began = Instant::now();
    let each = BATCHES.div_ceil(transactions.max(1));
    for n in 0..BATCHES {
        if n % each == 0 {
            conn.execute_batch("BEGIN IMMEDIATE").unwrap();
        }
        conn.prepare_cached("INSERT INTO batch (body) VALUES (?1)").unwrap().execute([&body]).unwrap();
        if n % each == each - 1 || n == BATCHES - 1 {
            conn.execute_batch("COMMIT").unwrap();
        }
    }
    began.elapsed()
}

fn main() {
    for round in 1..=3 {
        let ok = through_the_ledger(batch, BATCHES);
        let bare = bare_rusqlite(ok.transactions);
        let records = u32::try_from(BATCHES * RECORDS).unwrap();
        println!(
            "round {round}: {:.0} ns a record through the ledger ({} transactions), {:.0} ns bare; ratio {:.2}",
            ok.took.as_nanos() as f64 / f64::from(records),
            ok.transactions,
            bare.as_nanos() as f64 / f64::from(records),
            bare.as_secs_f64() / ok.took.as_secs_f64(),
        );
        let bad = through_the_ledger(failing, BATCHES / 10);
        println!(
            "round {round}: ok {:.0} ns of CPU and {:.0} bytes a record; failing {:.0} ns and {:.0} bytes; {:.1} and {:.1} times",
            ok.cpu_ns,
            ok.bytes,
            bad.cpu_ns,
            bad.bytes,
            bad.cpu_ns / ok.cpu_ns,
            bad.bytes / ok.bytes,
        );
    }
    plan();
}
