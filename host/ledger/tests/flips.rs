//! A bit that flips in any page of any table or index: no read gives wrong data without saying so.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods, clippy::print_stdout)]

mod suite;

use crossdock_engine::ports::*;
use crossdock_ledger::*;
use crossdock_model::*;
use std::collections::BTreeMap;
use std::path::Path;
use suite::handlers::{handler, result};
use suite::{block, commit, end, fine, intent, route, row, start, step, with_row};

/// How many bits flip in each table and index.
const FLIPS: usize = 10;

fn open(dir: &Path) -> LedgerStore {
    LedgerStore::open(dir, OpenOptions::new(Timestamp(9_000))).unwrap()
}

fn attempt(id: &str) -> AttemptRow {
    AttemptRow {
        id: RecordId(id.into()),
        step: step("erp"),
        kind: AttemptKind::Pass,
        attempt: 1,
        generation: 0,
        began: Timestamp(1),
        ended: Timestamp(2),
        outcome: Outcome::Rejected,
        failure: Some(Failure::new("http-422", "no such customer")),
        target_id: None,
        receipt: None,
        exchanges: vec![],
    }
}

/// A ledger with something in every table and every index.
fn make(dir: &Path) {
    let store = open(dir);
    block(store.begin_run(start("r1"))).unwrap();
    block(store.commit(fine("r1", 1, &["gone-1", "gone-2"]))).unwrap();
    let retention = Retention { chunks_ms: Some(0), events_ms: None, ..Retention::default() };
    assert_eq!(block(store.prune(retention, Timestamp(3_000))).unwrap().chunk_records, 2);
    let ids: Vec<String> = (0..40).map(|n| format!("order-{n}")).collect();
    block(store.commit(fine("r1", 2, &ids.iter().map(String::as_str).collect::<Vec<_>>()))).unwrap();
    let statuses = [Status::Failed, Status::Pending, Status::RollingBack, Status::Indeterminate];
    for n in 0..20_u64 {
        let id = format!("bad-{n}");
        let status = statuses[usize::try_from(n % 4).unwrap()];
        let row = RecordRow {
            due: matches!(status, Status::Pending | Status::RollingBack).then_some(Timestamp(7_000)),
            order_key: Some(format!("key-{n}").into_bytes()),
            open: n == 19,
            ..row(&id, status)
        };
        let mut commit = with_row("r1", 10 + n, row);
        commit.attempts = vec![attempt(&id)];
        commit.state = vec![(step("erp"), StateWrite { key: format!("k{n}"), value: Some(b"v".to_vec()) })];
        commit.events = vec![Event {
            at: Timestamp(3),
            kind: EventKind::RecordFailed,
            run: Some(RunId("r1".into())),
            step: Some(step("erp")),
            record: Some(RecordId(id)),
            message: "refused".into(),
            data: serde_json::Value::Null,
        }];
        block(store.commit(commit)).unwrap();
    }
    let entry = PlanEntry {
        id: RecordId("bad-1".into()),
        step: step("erp"),
        generation: 0,
        attempts: 1,
        version: 1,
        verdict: "will be sent".into(),
    };
    block(store.save_plan(Plan {
        hash: "abc".into(),
        route: route(),
        route_hash: "h1".into(),
        recorded: true,
        at: Timestamp(5),
        entries: vec![entry; 30],
        filter: String::new(),
        edit: None,
    }))
    .unwrap();
    let tasks = (1..=4).map(|n| handler(&format!("bad-{n}"), "erp", HandlerKind::OnFailure, n)).collect();
    block(store.commit(BatchCommit { tasks, ..commit("r1", 50) })).unwrap();
    block(store.commit_tasks(result(2, TaskStatus::Done))).unwrap();
    let counts = [
        (Status::Ok, 42),
        (Status::Failed, 5),
        (Status::Pending, 5),
        (Status::RollingBack, 5),
        (Status::Indeterminate, 5),
    ];
    let ended = end("r1", RunStatus::CompletedWithFailures, 62, &counts);
    block(store.end_run(RunEnd { quarantine: Some(step("map")), ..ended })).unwrap();
    block(store.begin_run(start("r2"))).unwrap();
    block(store.intend(intent("r2", 1, &["late-1"], true))).unwrap();
}

/// Everything that readers say, one entry a line. Those that begin with `one` were read from rows, which have checksums:
/// they are right or refused, though one may be missing from a list. Those that begin with `all` are numbers that were
/// counted over indexes: only `verify` sees when they are wrong.
fn told(dir: &Path) -> Result<Vec<String>, LedgerError> {
    let reader = LedgerReader::open(dir)?;
    let mut told = Vec::new();
    for n in 0..20 {
        if let RecordFound::One(detail) = reader.record(Some(&route()), &RecordId(format!("bad-{n}")))? {
            told.push(format!("one {:?} {:?}", detail.summary, detail.row));
            told.extend(detail.attempts.iter().map(|attempt| format!("one {attempt:?}")));
            told.extend(detail.events.iter().map(|event| format!("one {event:?}")));
            told.extend(detail.tasks.iter().map(|task| format!("one {task:?}")));
        }
    }
    for status in [None, Some(Status::Failed), Some(Status::Pending), Some(Status::Ok)] {
        let filter = RecordFilter { status, ..RecordFilter::default() };
        told.extend(reader.records(&filter, 10_000, None)?.items.iter().map(|record| format!("one {record:?}")));
    }
    let events = reader.events(&EventFilter::default(), EventOrder::OldestFirst, 10_000, None)?;
    told.extend(events.items.iter().map(|event| format!("one {event:?}")));
    for run in ["r1", "r2"] {
        if let Some(run) = reader.run(&RunId(run.into()))? {
            told.push(format!("one {:?} {:?} {:?} {}", run.summary, run.steps, run.plugins, run.definition));
            told.push(format!("all {:?} {:?}", run.handlers, run.rollback));
        }
    }
    told.extend(reader.plan("abc")?.map(|plan| format!("one {plan:?}")));
    told.extend(reader.definition("h1")?.map(|text| format!("one {text}")));
    told.extend(reader.quarantined(&route())?.iter().map(|found| format!("one {found:?}")));
    told.extend(reader.pruned()?.iter().map(|pruned| format!("one {pruned:?}")));
    told.push(format!("all {:?}", reader.routes()?));
    Ok(told)
}

/// The pages of each table and index.
fn pages(dir: &Path) -> BTreeMap<String, Vec<usize>> {
    let conn = rusqlite::Connection::open(dir.join("ledger.db")).unwrap();
    let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%'";
    let mut statement = conn.prepare(tables).unwrap();
    for table in statement.query_map([], |row| row.get::<_, String>(0)).unwrap() {
        let table = table.unwrap();
        let rows: i64 = conn.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap();
        assert!(rows > 0, "table {table} is empty");
    }
    let mut pages = BTreeMap::<String, Vec<usize>>::new();
    let mut statement = conn.prepare("SELECT name, pageno FROM dbstat WHERE pagetype <> 'overflow'").unwrap();
    for row in statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?))).unwrap() {
        let (name, page) = row.unwrap();
        pages.entry(name).or_default().push(usize::try_from(page).unwrap());
    }
    pages
}

#[test]
fn a_bit_that_flips_in_any_table_is_never_taken_for_truth() {
    let good = tempfile::tempdir().unwrap();
    make(good.path());
    assert!(verify(good.path()).unwrap().is_whole());
    let truth = told(good.path()).unwrap();
    let pages = pages(good.path());
    assert!(pages.len() > 40, "{pages:?}");
    let bytes = std::fs::read(good.path().join("ledger.db")).unwrap();
    let size = usize::from(u16::from_be_bytes([bytes[16], bytes[17]]));
    let dir = tempfile::tempdir().unwrap();
    let mut place = 0x2545_f491_4f6c_dd1d_u64;
    let mut below = |limit: usize| {
        place ^= place << 13;
        place ^= place >> 7;
        place ^= place << 17;
        usize::try_from((place >> 8) % limit as u64).unwrap()
    };
    let (mut refused, mut found, mut harmless) = (0, 0, 0);
    for (name, pages) in &pages {
        let mut noticed = 0;
        for _ in 0..FLIPS {
            let page = (pages[below(pages.len())] - 1) * size;
            let filled: Vec<usize> = (page..page + size).filter(|&at| bytes[at] != 0).collect();
            let (at, bit) = (filled[below(filled.len())], below(8));
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            std::fs::write(dir.path().join("ledger.db"), &flipped).unwrap();
            let _ = std::fs::remove_file(dir.path().join("ledger.db-wal"));
            let _ = std::fs::remove_file(dir.path().join("ledger.db-shm"));
            let whole = verify(dir.path()).is_ok_and(|report| report.is_whole());
            noticed += usize::from(!whole);
            match told(dir.path()) {
                Err(_) => {
                    refused += 1;
                    assert!(!whole, "{name}, byte {at}: reading fails and verify finds nothing");
                }
                Ok(now) if whole => {
                    harmless += 1;
                    assert_eq!(now, truth, "{name}, byte {at}: verify calls it whole");
                }
                Ok(now) => {
                    found += 1;
                    let wrong: Vec<&String> =
                        now.iter().filter(|line| line.starts_with("one") && !truth.contains(line)).collect();
                    assert_eq!(wrong, Vec::<&String>::new(), "{name}, byte {at}");
                }
            }
        }
        assert!(noticed > 0, "nothing that flipped in {name} was noticed");
    }
    println!(
        "{} tables and indexes: {refused} refused on reading, {found} found by verify only, {harmless} harmless",
        pages.len()
    );
}
