//! What an append costs: batches of ok records through the ledger, against a bare loop that writes the same bytes
//! of one row a batch with rusqlite, one commit for as many batches, in the same run.
//!
//! `cargo bench -p crossdock-ledger` prints both and their ratio; nothing is asserted, machines differ.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods)]

use crossdock_engine::ports::{BatchCommit, Cause, Chunk, ChunkColumn, Ledger, RunStart, StepCounts};
use crossdock_ledger::{LedgerStore, OpenOptions};
use crossdock_model::{Checkpoint, Counts, PluginName, RouteName, RunId, Status, StepName, Timestamp};
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

fn through_the_ledger() -> (Duration, u64) {
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
    let batches: Vec<BatchCommit> = (0..BATCHES).map(batch).collect();
    let began = Instant::now();
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
    (began.elapsed(), store.stats().transactions)
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
        let (ledger, transactions) = through_the_ledger();
        let bare = bare_rusqlite(transactions);
        let records = u32::try_from(BATCHES * RECORDS).unwrap();
        println!(
            "round {round}: {:.0} ns a record through the ledger ({transactions} transactions), {:.0} ns bare; ratio {:.2}",
            ledger.as_nanos() as f64 / f64::from(records),
            bare.as_nanos() as f64 / f64::from(records),
            bare.as_secs_f64() / ledger.as_secs_f64(),
        );
    }
}
