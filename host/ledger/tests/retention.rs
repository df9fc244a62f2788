//! Pruning: what is old and not needed goes, what is not settled stays, and every sum holds after every step.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods, clippy::print_stdout)]

mod suite;

use crossdock_engine::ports::*;
use crossdock_ledger::*;
use crossdock_model::*;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use suite::handlers::{handler, result};
use suite::{block, commit, end, fine, intent, route, row, start, step, with_row};

const OLD: i64 = 10_000;
const YOUNG: i64 = 900_000;
const NOW: i64 = 1_000_000;
/// With it, what changed at `OLD` is old enough and what changed at `YOUNG` is not.
const AGE_MS: Option<u64> = Some(500_000);
const NEVER: Retention = Retention {
    chunks_ms: None,
    settled_ms: None,
    failed_ms: None,
    rejected_ms: None,
    events_ms: None,
    runs_ms: None,
    plans_ms: None,
};
const ALL: Retention = Retention {
    chunks_ms: AGE_MS,
    settled_ms: AGE_MS,
    failed_ms: AGE_MS,
    rejected_ms: AGE_MS,
    events_ms: AGE_MS,
    runs_ms: AGE_MS,
    plans_ms: AGE_MS,
};

fn open(dir: &Path) -> LedgerStore {
    LedgerStore::open(dir, OpenOptions::new(Timestamp(NOW))).unwrap()
}

fn prune(store: &LedgerStore, retention: Retention) -> PruneReport {
    let report = block(store.prune(retention, Timestamp(NOW))).unwrap();
    whole(store.dir());
    report
}

fn whole(dir: &Path) {
    let report = verify(dir).unwrap();
    assert!(report.is_whole(), "{report:?}");
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

fn plan(hash: &str, at: i64) -> Plan {
    let entry = PlanEntry {
        id: RecordId("bad-1".into()),
        step: step("erp"),
        generation: 0,
        attempts: 1,
        version: 1,
        verdict: "will be sent".into(),
    };
    Plan {
        hash: hash.into(),
        route: route(),
        route_hash: "h1".into(),
        recorded: false,
        at: Timestamp(at),
        entries: vec![entry],
        filter: String::new(),
        edit: None,
    }
}

/// All statuses with a row, old and young, each with an attempt and an event; chunks, old and young.
fn filled(dir: &Path) -> LedgerStore {
    let store = open(dir);
    let mut counts = BTreeMap::new();
    block(store.begin_run(start("r1"))).unwrap();
    for (batch, &status) in (1_u64..).zip(Status::ALL) {
        for at in [OLD, YOUNG] {
            let id = format!("{status}-{at}");
            let kept = !matches!(status, Status::Ok | Status::Dropped);
            let row = RecordRow {
                payload: if kept { Payload::Kept(id.clone().into_bytes()) } else { Payload::Gone },
                failure: kept.then(|| Failure::new("http-422", format!("{id} refused"))),
                due: (status == Status::Pending).then_some(Timestamp(at)),
                ..row(&id, status)
            };
            let event = Event {
                at: Timestamp(at),
                kind: EventKind::RecordFailed,
                run: Some(RunId("r1".into())),
                step: None,
                record: Some(RecordId(id.clone())),
                message: id.clone(),
                data: serde_json::Value::Null,
            };
            block(store.commit(BatchCommit {
                at: Timestamp(at),
                attempts: vec![attempt(&id)],
                events: vec![event],
                ..with_row("r1", batch * 10 + u64::from(at == OLD), row)
            }))
            .unwrap();
            *counts.entry(status).or_insert(0) += 1;
        }
    }
    for (batch, at) in [(1_000, OLD), (1_001, YOUNG)] {
        let ids: Vec<String> = (0..30).map(|n| format!("chunk-{at}-{n}")).collect();
        let fine = fine("r1", batch, &ids.iter().map(String::as_str).collect::<Vec<_>>());
        block(store.commit(BatchCommit { at: Timestamp(at), ..fine })).unwrap();
        *counts.entry(Status::Ok).or_insert(0) += 30;
    }
    for (hash, at) in [("abc", OLD), ("def", YOUNG)] {
        block(store.save_plan(plan(hash, at))).unwrap();
    }
    let counts: Vec<(Status, i64)> = counts.into_iter().collect();
    let read = counts.iter().map(|(_, count)| count.cast_unsigned()).sum();
    let end = RunEnd { at: Timestamp(OLD), ..end("r1", RunStatus::CompletedWithFailures, read, &counts) };
    block(store.end_run(end)).unwrap();
    whole(dir);
    store
}

fn left(store: &LedgerStore) -> Vec<String> {
    let records = store.reader().unwrap().records(&RecordFilter::default(), 10_000, None).unwrap().items;
    let mut ids: Vec<String> = records.into_iter().map(|record| record.id.0).collect();
    ids.sort();
    ids
}

#[test]
fn each_class_takes_what_is_its_own() {
    let check = |retention: Retention, gone: &[&str], expected: PruneReport| {
        let dir = tempfile::tempdir().unwrap();
        let store = filled(dir.path());
        let before = left(&store);
        let report = prune(&store, retention);
        let after = left(&store);
        let missing: Vec<&String> = before.iter().filter(|id| !after.contains(id)).collect();
        let mut wanted: Vec<String> = gone.iter().map(|status| format!("{status}-{OLD}")).collect();
        if retention.chunks_ms.is_some() {
            wanted.extend((0..30).map(|n| format!("chunk-{OLD}-{n}")));
        }
        wanted.sort();
        assert_eq!(missing, wanted.iter().collect::<Vec<_>>(), "{retention:?}");
        assert_eq!(PruneReport { bytes_freed: 0, ..report }, expected, "{retention:?}");
        // What is left can be read to the end, and nothing is left to prune.
        let reader = store.reader().unwrap();
        for id in &after {
            assert_ne!(reader.record(Some(&route()), &RecordId(id.clone())).unwrap(), RecordFound::None);
        }
        let pruned = reader.pruned().unwrap();
        assert_eq!(pruned.iter().map(|pruned| pruned.records).sum::<u64>(), expected.records + expected.chunk_records);
        assert!(pruned.iter().all(|pruned| pruned.route == route() && pruned.until == Timestamp(OLD)));
        let again = prune(&store, retention);
        assert_eq!(again, PruneReport { runs_kept: expected.runs_kept, ..PruneReport::default() });
    };
    let nothing = PruneReport::default();
    let settled = ["ok", "dropped", "skipped", "cancelled", "rolled-back"];
    check(NEVER, &[], nothing);
    check(Retention { chunks_ms: AGE_MS, ..NEVER }, &[], PruneReport { chunk_records: 30, ..nothing });
    check(Retention { settled_ms: AGE_MS, ..NEVER }, &settled, PruneReport { records: 5, attempts: 5, ..nothing });
    check(Retention { failed_ms: AGE_MS, ..NEVER }, &["failed"], PruneReport { records: 1, attempts: 1, ..nothing });
    check(
        Retention { rejected_ms: AGE_MS, ..NEVER },
        &["rejected"],
        PruneReport { records: 1, attempts: 1, ..nothing },
    );
    check(Retention { plans_ms: AGE_MS, ..NEVER }, &[], PruneReport { plans: 1, ..nothing });
    // Up to the first event that is young.
    check(Retention { events_ms: AGE_MS, ..NEVER }, &[], PruneReport { events: 2, ..nothing });
    // The last run of a route stays.
    check(Retention { runs_ms: AGE_MS, ..NEVER }, &[], nothing);
    let usual = Retention { failed_ms: None, rejected_ms: None, ..ALL };
    let expected = PruneReport { chunk_records: 30, records: 5, attempts: 5, events: 2, plans: 1, ..nothing };
    check(usual, &settled, expected);
    let every = ["ok", "dropped", "skipped", "cancelled", "rolled-back", "failed", "rejected"];
    check(ALL, &every, PruneReport { records: 7, attempts: 7, ..expected });
}

#[test]
fn usual_retention_never_takes_what_a_person_may_need() {
    let usual = Retention::default();
    assert_eq!((usual.failed_ms, usual.rejected_ms), (None, None));
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path());
    block(store.prune(usual, Timestamp(i64::MAX / 2))).unwrap();
    whole(dir.path());
    let stay =
        ["new", "processing", "pending", "failed", "rejected", "indeterminate", "rolling-back", "rollback-failed"];
    let mut stay: Vec<String> = stay.iter().flat_map(|s| [format!("{s}-{OLD}"), format!("{s}-{YOUNG}")]).collect();
    stay.sort();
    assert_eq!(left(&store), stay);
    let reader = store.reader().unwrap();
    for id in stay {
        let RecordFound::One(found) = reader.record(None, &RecordId(id.clone())).unwrap() else { panic!("{id}") };
        assert_eq!(found.row.unwrap().payload, Payload::Kept(id.into_bytes()));
        assert_eq!(found.attempts.len(), 1);
    }
    assert_eq!(reader.events(&EventFilter::default(), EventOrder::NewestFirst, 10, None).unwrap().items.len(), 2);
}

#[test]
fn what_is_open_under_way_or_wanted_stays() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    block(store.begin_run(start("r1"))).unwrap();
    let done = |id: &str| RecordRow { payload: Payload::Gone, failure: None, ..row(id, Status::Ok) };
    for (batch, row) in [(1, RecordRow { open: true, ..done("open") }), (2, done("busy")), (3, done("idle"))] {
        block(store.commit(BatchCommit { at: Timestamp(OLD), ..with_row("r1", batch, row) })).unwrap();
    }
    block(store.intend(intent("r1", 4, &["busy"], false))).unwrap();
    assert_eq!(prune(&store, ALL).records, 1);
    assert_eq!(left(&store), ["busy", "open"]);
}

#[test]
fn records_with_row_and_chunk_are_counted_once_whichever_goes_first() {
    let check = |first: Retention, then: Retention| {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        block(store.begin_run(start("r1"))).unwrap();
        let new = RecordRow { open: true, payload: Payload::AtSource, failure: None, ..row("a", Status::New) };
        block(store.commit(BatchCommit { at: Timestamp(OLD), ..with_row("r1", 1, new) })).unwrap();
        let mut next = BatchCommit { at: Timestamp(OLD), ..fine("r1", 2, &["a", "b"]) };
        (next.read, next.resumed) = (1, 0);
        next.counts.add(Status::New, -1);
        block(store.commit(next)).unwrap();
        whole(dir.path());
        assert_eq!(prune(&store, first), prune_report(&first));
        assert_eq!(left(&store).iter().filter(|id| *id == "a").count(), 1);
        prune(&store, then);
        assert_eq!(left(&store), Vec::<String>::new());
        let standing = &store.reader().unwrap().routes().unwrap()[0];
        assert_eq!(standing.counts, Counts::default());
    };
    fn prune_report(retention: &Retention) -> PruneReport {
        match retention.chunks_ms {
            Some(_) => PruneReport { chunk_records: 2, ..PruneReport::default() },
            None => PruneReport { records: 1, ..PruneReport::default() },
        }
    }
    let (chunks, rows) = (Retention { chunks_ms: AGE_MS, ..NEVER }, Retention { settled_ms: AGE_MS, ..NEVER });
    check(chunks, rows);
    check(rows, chunks);
}

#[test]
fn runs_go_with_their_commits_when_nothing_came_from_them() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    // Many commits of one run: more than one transaction removes.
    for (run, commits) in [("long", 1_203_u64), ("failed", 1), ("newest", 1)] {
        block(store.begin_run(RunStart { route_hash: run.into(), ..start(run) })).unwrap();
        for batch in 1..=commits {
            let id = format!("{run}-{batch}");
            let commit =
                if run == "failed" { with_row(run, batch, row(&id, Status::Failed)) } else { fine(run, batch, &[&id]) };
            drop(store.commit(BatchCommit { at: Timestamp(OLD), ..commit }));
        }
        let status = if run == "failed" { Status::Failed } else { Status::Ok };
        let ended = if run == "failed" { RunStatus::CompletedWithFailures } else { RunStatus::Ok };
        let counts = [(status, i64::try_from(commits).unwrap())];
        block(store.end_run(RunEnd { at: Timestamp(OLD), ..end(run, ended, commits, &counts) })).unwrap();
    }
    let report = prune(&store, Retention { failed_ms: None, ..ALL });
    assert_eq!((report.runs, report.runs_kept, report.chunk_records), (1, 1, 1_204));
    let runs = store.reader().unwrap().runs(None, 10, None).unwrap().items;
    assert_eq!(runs.iter().map(|run| run.run.0.as_str()).collect::<Vec<_>>(), ["newest", "failed"]);
    let definition = |run: &str| store.reader().unwrap().run(&RunId(run.into())).unwrap().unwrap().definition;
    assert!(!definition("failed").is_empty() && !definition("newest").is_empty());
    // The next run and its commits go on as if nothing had been removed.
    block(store.begin_run(start("after"))).unwrap();
    block(store.commit(fine("after", 1, &["x"]))).unwrap();
    block(store.end_run(end("after", RunStatus::Ok, 1, &[(Status::Ok, 1)]))).unwrap();
    whole(dir.path());
}

#[test]
fn finished_handler_tasks_go_when_their_record_has_no_row() {
    let check = |retention: Retention, expected: u64, left: &[TaskStanding]| {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        block(store.begin_run(start("r1"))).unwrap();
        // Without a row: one that waits, one that went well, one that was given up, a young one. With a row: one.
        block(store.commit(BatchCommit { at: Timestamp(OLD), ..with_row("r1", 1, row("row", Status::Failed)) }))
            .unwrap();
        let tasks = ["waits", "done", "given-up", "young", "row"];
        let tasks = tasks.map(|id| handler(id, "erp", HandlerKind::OnFailure, 1)).to_vec();
        block(store.commit(BatchCommit { at: Timestamp(OLD), tasks, ..commit("r1", 2) })).unwrap();
        for (key, status, at) in [
            (2, TaskStatus::Done, OLD),
            (3, TaskStatus::GivenUp, OLD),
            (4, TaskStatus::Done, YOUNG),
            (5, TaskStatus::Done, OLD),
        ] {
            block(store.commit_tasks(TaskCommit { at: Timestamp(at), ..result(key, status) })).unwrap();
        }
        assert_eq!(prune(&store, retention).tasks, expected);
        let numbers = &store.reader().unwrap().run(&RunId("r1".into())).unwrap().unwrap().handlers[0];
        let count = |standing: TaskStanding| left.iter().filter(|&&one| one == standing).count() as u64;
        assert_eq!(
            (numbers.waiting, numbers.done, numbers.given_up),
            (count(TaskStanding::Waiting), count(TaskStanding::Done), count(TaskStanding::GivenUp))
        );
    };
    use TaskStanding::{Done, GivenUp, Waiting};
    check(NEVER, 0, &[Waiting, Done, GivenUp, Done, Done]);
    check(Retention { settled_ms: AGE_MS, ..NEVER }, 1, &[Waiting, GivenUp, Done, Done]);
    // The record goes as well, and then its handler task, which went well, is of the other class.
    check(Retention { failed_ms: AGE_MS, ..NEVER }, 1, &[Waiting, Done, Done, Done]);
    check(ALL, 3, &[Waiting, Done]);
}

#[test]
fn pruning_goes_on_beside_a_run_and_every_sum_holds_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    block(store.begin_run(start("r1"))).unwrap();
    let mut read = 0;
    let mut write = |at: i64| {
        read += 20;
        let ids: Vec<String> = (0..20).map(|n| format!("id-{read}-{n}")).collect();
        let commit = fine("r1", read, &ids.iter().map(String::as_str).collect::<Vec<_>>());
        block(store.commit(BatchCommit { at: Timestamp(at), ..commit })).unwrap();
        let failed = row(&format!("bad-{read}"), Status::Skipped);
        block(store.commit(BatchCommit { at: Timestamp(at), ..with_row("r1", read + 1, failed) })).unwrap();
        read
    };
    for _ in 0..400 {
        write(OLD);
    }
    let done = AtomicBool::new(false);
    let (report, looks, written) = std::thread::scope(|scope| {
        let pruning = scope.spawn(|| {
            let report = block(store.prune(ALL, Timestamp(NOW))).unwrap();
            done.store(true, Ordering::Release);
            report
        });
        let looking = scope.spawn(|| {
            let mut looks = 0;
            while !done.load(Ordering::Acquire) {
                whole(dir.path());
                looks += 1;
            }
            looks
        });
        let mut written = 0;
        while !done.load(Ordering::Acquire) {
            write(YOUNG);
            written += 1;
        }
        (pruning.join().unwrap(), looking.join().unwrap(), written)
    });
    assert_eq!((report.chunk_records, report.records), (8_000, 400));
    let read = write(YOUNG);
    let (ok, skipped) = (i64::try_from(read).unwrap(), i64::try_from(read / 20).unwrap());
    let counts = [(Status::Ok, ok), (Status::Skipped, skipped)];
    block(store.end_run(end("r1", RunStatus::Ok, read + read / 20, &counts))).unwrap();
    whole(dir.path());
    println!("{written} commits and {looks} looks beside the pruning");
    assert!(written > 0 && looks > 0);
}

#[test]
fn the_file_becomes_smaller() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    block(store.begin_run(start("r1"))).unwrap();
    for n in 0..400_u64 {
        let mut noise = vec![0u8; 16_000];
        let mut last = 0x2545_f491_4f6c_dd1d ^ n;
        for byte in &mut noise {
            last ^= last << 13;
            last ^= last >> 7;
            last ^= last << 17;
            *byte = last.to_le_bytes()[5];
        }
        let row = RecordRow { payload: Payload::Kept(noise), ..row(&format!("id-{n}"), Status::Failed) };
        block(store.commit(BatchCommit { at: Timestamp(OLD), ..with_row("r1", n, row) })).unwrap();
    }
    let report = prune(&store, ALL);
    assert_eq!(report.records, 400);
    assert!(report.bytes_freed > 6_000_000, "{report:?}");
    drop(store);
    assert!(std::fs::metadata(dir.path().join("ledger.db")).unwrap().len() < 1_000_000);
    whole(dir.path());
}

#[test]
fn what_vanishes_otherwise_is_still_missed() {
    for (sql, kind) in [
        ("DELETE FROM record WHERE id LIKE 'failed-%'", "standing"),
        ("DELETE FROM chunk WHERE at = 900000", "chunk"),
        ("DELETE FROM event WHERE key = (SELECT min(key) FROM event)", "missing"),
        ("DELETE FROM attempt WHERE key = (SELECT max(key) FROM attempt)", "missing"),
        ("DELETE FROM batch WHERE key = (SELECT max(key) FROM batch)", "accounting"),
        ("UPDATE pruned SET records = 0", "checksum"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let store = filled(dir.path());
        prune(&store, Retention { failed_ms: None, ..ALL });
        drop(store);
        let conn = rusqlite::Connection::open(dir.path().join("ledger.db")).unwrap();
        assert!(conn.execute(sql, []).unwrap() > 0, "{sql} changed nothing");
        drop(conn);
        let report = verify(dir.path()).unwrap();
        assert!(report.violations.iter().any(|violation| violation.kind == kind), "{sql}: {report:?}");
    }
}

#[test]
fn room_that_pruning_makes_lets_work_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let limited = OpenOptions { max_bytes: Some(600 * 1024), full_wait_max_ms: 20, ..OpenOptions::new(Timestamp(NOW)) };
    let store = LedgerStore::open(dir.path(), limited).unwrap();
    block(store.begin_run(start("r1"))).unwrap();
    let mut last = 0;
    while block(store.intend(intent("r1", last + 1, &["x"], true))).is_ok() {
        last += 1;
        let noise = (0..8_000u64).map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40).to_le_bytes()[0]);
        let row = RecordRow { payload: Payload::Kept(noise.collect()), ..row(&format!("id-{last}"), Status::Failed) };
        block(store.commit(BatchCommit { at: Timestamp(OLD), ..with_row("r1", last, row) })).unwrap();
        assert!(last < 10_000, "the limit is not kept");
    }
    assert_eq!(prune(&store, ALL).records, last);
    let begun = (0..1_000).any(|_| block(store.intend(intent("r1", last + 1, &["y"], true))).is_ok());
    assert!(begun, "there is room and nothing new is begun");
    block(store.commit(BatchCommit { at: Timestamp(YOUNG), ..commit("r1", last + 1) })).unwrap();
}
