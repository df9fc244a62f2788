//! Yesterday's files: a ledger that format 1 left behind, with a process that died, opens and goes on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod suite;

use crossdock_engine::ports::*;
use crossdock_ledger::*;
use crossdock_model::*;
use std::path::Path;
use suite::{applied, block, commit, end, fine, route, start, step};

/// As the last version with format 1 wrote it: 20 ok records, five with rows, a plan, a plugin's state; then a run
/// that died with a record known, one asked for, two applied by the first step and one of them asked for by the next.
const FORMAT_1: &[u8] = include_bytes!("data/format-1.db.zst");

fn yesterday() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let file = zstd::bulk::decompress(FORMAT_1, 1 << 20).unwrap();
    std::fs::write(dir.path().join("ledger.db"), file).unwrap();
    dir
}

fn ask(dir: &Path, sql: &str) -> String {
    let conn = rusqlite::Connection::open(dir.join("ledger.db")).unwrap();
    conn.query_row(sql, [], |row| row.get(0)).unwrap()
}

fn whole(dir: &Path) {
    let report = verify(dir).unwrap();
    assert!(report.is_whole(), "{report:?}");
}

#[test]
fn a_ledger_of_format_1_goes_on() {
    let dir = yesterday();
    assert_eq!(ask(dir.path(), "SELECT value FROM meta WHERE name = 'format'"), "1");
    let store = LedgerStore::open(dir.path(), OpenOptions::new(Timestamp(9_000))).unwrap();
    assert_eq!(ask(dir.path(), "SELECT value FROM meta WHERE name = 'format'"), "2");
    whole(dir.path());
    let opening = block(store.begin_run(start("new-1"))).unwrap();
    let open: Vec<_> = opening.open.iter().map(|row| (row.id.0.as_str(), row.status, row.spent)).collect();
    assert_eq!(
        open,
        [
            ("new-1", Status::New, 0),
            ("asked-1", Status::Indeterminate, 1),
            ("half-1", Status::Processing, 0),
            ("half-2", Status::Indeterminate, 1),
            // Not open, but their source may give them again.
            ("bad-1", Status::Failed, 1),
            ("bad-0", Status::Failed, 1),
            ("bad-2", Status::Rejected, 1),
            ("bad-4", Status::Skipped, 1),
        ]
    );
    assert_eq!(opening.open[3].applied, vec![applied("map", "M-b", b"R-b")]);
    // Format 1 did not note which run moved the checkpoint: by the clock it may have been the one that died.
    assert_eq!((opening.pending, opening.rolling_back, opening.deaths), (1, 0, 0));
    assert_eq!(opening.checkpoint, Some(Checkpoint(1u64.to_le_bytes().to_vec())));
    assert_eq!(block(store.state(route(), step("erp"))).unwrap(), vec![("k".to_owned(), b"v".to_vec())]);

    let reader = store.reader().unwrap();
    let groups = reader.failure_groups(&RecordFilter { statuses: vec![Status::Failed], ..RecordFilter::default() });
    let groups = groups.unwrap().groups;
    assert_eq!(groups.iter().map(|group| (group.code.as_str(), group.count)).collect::<Vec<_>>(), [("http-422", 2)]);
    let RecordFound::One(bad) = reader.record(None, &RecordId("bad-1".into())).unwrap() else { panic!() };
    assert_eq!((bad.attempts[0].attempt.kind, bad.events.len()), (AttemptKind::Pass, 1));
    assert_eq!(bad.row.unwrap().applied, vec![applied("map", "M-1", b"R-1")]);
    let plan = reader.plan("0ldp1an").unwrap().unwrap();
    assert_eq!((plan.entries.len(), plan.route_hash.as_str(), plan.edit), (2, "", None));
    assert_eq!(reader.plan_summary("0ld").unwrap().unwrap().totals, vec![("will be sent".to_owned(), 2)]);
    assert_eq!(reader.plan_part("0ldp1an", 1).unwrap(), None);
    assert_eq!(reader.plan_changes(&route(), &plan.entries).unwrap(), vec![]);

    block(store.commit(fine("new-1", 1, &["ok-20"]))).unwrap();
    let row = RecordRow { order_key: Some(b"k".to_vec()), ..suite::row("bad-0", Status::Ok) };
    block(store.commit(BatchCommit { rows: vec![row], ..commit("new-1", 2) })).unwrap();
    block(store.end_run(end("new-1", RunStatus::Ok, 1, &[(Status::Ok, 1)]))).unwrap();
    drop(store);
    whole(dir.path());
}

#[test]
fn who_only_reads_brings_it_up_to_date_too() {
    let dir = yesterday();
    let reader = LedgerReader::open(dir.path()).unwrap();
    let failed = RecordFilter { status: Some(Status::Failed), ..RecordFilter::default() };
    assert_eq!(reader.count(&failed).unwrap(), 2);
    assert!(!reader.writer_alive());
    // What the dead process left is settled by who writes next.
    assert_eq!(reader.run(&RunId("old-2".into())).unwrap().unwrap().summary.status, RunStatus::Running);
    let dir = yesterday();
    whole(dir.path());
}

#[test]
fn a_damaged_row_stays_damaged() {
    let dir = yesterday();
    let conn = rusqlite::Connection::open(dir.path().join("ledger.db")).unwrap();
    conn.execute("UPDATE record SET failure = '{\"code\":\"x\",\"message\":\"\"}' WHERE id = 'bad-1'", []).unwrap();
    drop(conn);
    let store = LedgerStore::open(dir.path(), OpenOptions::new(Timestamp(9_000))).unwrap();
    let error = block(store.load(route(), vec![RecordId("bad-1".into())])).unwrap_err();
    assert_eq!(error.code, "ledger-damaged");
    drop(store);
    let report = verify(dir.path()).unwrap();
    let kinds: Vec<_> = report.violations.iter().map(|violation| violation.kind).collect();
    assert_eq!(kinds, ["checksum", "payload"], "{report:?}");
}

#[test]
fn new_and_old_ledgers_have_the_same_tables() {
    let (old, new) = (yesterday(), tempfile::tempdir().unwrap());
    drop(LedgerStore::open(old.path(), OpenOptions::new(Timestamp(9_000))).unwrap());
    drop(LedgerStore::open(new.path(), OpenOptions::new(Timestamp(9_000))).unwrap());
    let tables = "SELECT group_concat(sql, char(10)) FROM (SELECT sql FROM sqlite_schema ORDER BY type, name)";
    assert_eq!(ask(old.path(), tables), ask(new.path(), tables));
}
