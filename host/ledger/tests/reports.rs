//! What reports are made of: failures by cause, handlers and rollbacks of a run, plans of any length, definitions.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod suite;

use crossdock_engine::ports::*;
use crossdock_ledger::*;
use crossdock_model::*;
use std::path::Path;
use suite::handlers::{handler, result};
use suite::{applied, block, commit, end, route, row, start, step, with_row};

fn open(dir: &Path) -> LedgerStore {
    LedgerStore::open(dir, OpenOptions::new(Timestamp(500))).unwrap()
}

/// Three causes over two routes, one of them settled by now.
fn failures(dir: &Path) -> LedgerStore {
    let store = open(dir);
    block(store.begin_run(start("r1"))).unwrap();
    let mut batch = 0;
    let mut fail = |id: String, at: i64, code: &str, message: String, status: Status| {
        batch += 1;
        let row = RecordRow { failure: Some(Failure::new(code, message)), ..row(&id, status) };
        block(store.commit(BatchCommit { at: Timestamp(at), ..with_row("r1", batch, row) })).unwrap();
    };
    for n in 0..7 {
        let message = format!("order A-{n} has no stock");
        fail(format!("stock-{n}"), 3_000 + n, "http-422", message, Status::Failed);
    }
    for n in 0..4 {
        let message = format!("order A-{n} is not paid");
        fail(format!("paid-{n}"), 4_000 + n, "http-422", message, Status::Rejected);
    }
    for n in 0..5 {
        fail(format!("slow-{n}"), 2_000 + n, "timeout", format!("no answer within {n} ms"), Status::Pending);
    }
    fail("skipped".into(), 5_000, "http-422", "order A-9 has no stock".into(), Status::Skipped);
    let other = RouteName::new("returns").unwrap();
    block(store.begin_run(RunStart { run: RunId("s1".into()), route: other.clone(), ..start("s1") })).unwrap();
    let same =
        RecordRow { failure: Some(Failure::new("http-422", "order A-1 has no stock")), ..row("x", Status::Failed) };
    block(store.commit(BatchCommit { route: other, ..with_row("s1", 1, same) })).unwrap();
    store
}

#[test]
fn failures_by_cause() {
    let dir = tempfile::tempdir().unwrap();
    let store = failures(dir.path());
    let reader = store.reader().unwrap();
    let check = |filter: RecordFilter, expected: &[(&str, u64, &str)]| {
        let found = reader.failure_groups(&filter).unwrap();
        let told: Vec<_> =
            found.groups.iter().map(|group| (group.route.as_str(), group.count, group.sample.0.as_str())).collect();
        assert_eq!((told.as_slice(), found.others), (expected, 0), "{filter:?}");
        for group in found.groups {
            let members =
                RecordFilter { fingerprint: Some(group.fingerprint), route: Some(group.route), ..filter.clone() };
            let members: Vec<_> = reader.all_records(members).map(Result::unwrap).collect();
            assert_eq!(members.len() as u64, group.count);
            let times = || members.iter().map(|record| record.at);
            assert_eq!((times().min(), times().max()), (Some(group.first_at), Some(group.last_at)));
            assert!(members.iter().all(|record| record.code.as_deref() == Some(group.code.as_str())));
            assert!(members.iter().any(|record| record.id == group.sample));
        }
    };
    let any = RecordFilter::default;
    let orders = || Some(route());
    check(any(), &[("orders", 8, "skipped"), ("orders", 5, "slow-4"), ("orders", 4, "paid-3"), ("returns", 1, "x")]);
    let open = vec![Status::Failed, Status::Rejected];
    check(
        RecordFilter { statuses: open.clone(), ..any() },
        &[("orders", 7, "stock-6"), ("orders", 4, "paid-3"), ("returns", 1, "x")],
    );
    check(
        RecordFilter { statuses: open, route: orders(), since: Some(Timestamp(3_005)), ..any() },
        &[("orders", 4, "paid-3"), ("orders", 2, "stock-6")],
    );
    check(
        RecordFilter { until: Some(Timestamp(2_003)), code: Some("timeout".into()), ..any() },
        &[("orders", 3, "slow-2")],
    );
    check(RecordFilter { run: Some(RunId("s1".into())), ..any() }, &[("returns", 1, "x")]);
    check(RecordFilter { text: Some("paid".into()), ..any() }, &[("orders", 4, "paid-3")]);
    check(
        RecordFilter { text: Some("order".into()), route: orders(), status: Some(Status::Failed), ..any() },
        &[("orders", 7, "stock-6")],
    );
    check(RecordFilter { step: Some(step("map")), ..any() }, &[]);
    check(RecordFilter { route: Some(RouteName::new("nowhere").unwrap()), ..any() }, &[]);
}

#[test]
fn the_list_of_causes_is_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    block(store.begin_run(start("r1"))).unwrap();
    let word = |n: usize| -> String { n.to_string().bytes().map(|b| char::from(b'a' + b - b'0')).collect() };
    let rows: Vec<RecordRow> = (0..FAILURE_GROUPS_MAX + 30)
        .map(|n| RecordRow { failure: Some(Failure::new("x", word(n))), ..row(&format!("id-{n}"), Status::Failed) })
        .collect();
    block(store.commit(BatchCommit { rows, ..commit("r1", 1) })).unwrap();
    let found = store.reader().unwrap().failure_groups(&RecordFilter::default()).unwrap();
    assert_eq!((found.groups.len(), found.others), (FAILURE_GROUPS_MAX, 30));
}

#[test]
fn handlers_and_rollback_of_a_run() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    block(store.begin_run(start("r1"))).unwrap();
    let mut counts = Counts::default();
    let statuses = [Status::RolledBack, Status::RolledBack, Status::RollingBack, Status::RollbackFailed];
    statuses.into_iter().for_each(|status| counts.add(status, 1));
    let rows = statuses.into_iter().enumerate().map(|(n, status)| {
        let given = if status == Status::RolledBack {
            vec![]
        } else {
            vec![applied("map", "M", b"r"), applied("erp", "E", b"s")]
        };
        RecordRow { applied: given, ..row(&format!("id-{n}"), status) }
    });
    let done = StepCounts { records_in: 4, failed: 4, undone: 5, ..StepCounts::default() };
    let mut all = BatchCommit { rows: rows.collect(), counts, read: 4, ..commit("r1", 1) };
    all.steps = vec![(step("erp"), done)];
    all.tasks = (0..4).map(|n| handler(&format!("id-{n}"), "erp", HandlerKind::OnFailure, n)).collect();
    all.tasks.push(handler("id-0", "erp", HandlerKind::OnRollback, 1));
    block(store.commit(all)).unwrap();
    let due = block(store.tasks(route(), Timestamp(9), 10)).unwrap();
    let key = |id: &str, kind: HandlerKind| {
        due.tasks.iter().find(|due| due.task.record.0 == id && due.task.place.kind == kind).unwrap().key
    };
    block(store.commit_tasks(result(key("id-0", HandlerKind::OnFailure), TaskStatus::Done))).unwrap();
    block(store.commit_tasks(result(key("id-1", HandlerKind::OnFailure), TaskStatus::GivenUp))).unwrap();
    block(store.commit_tasks(result(key("id-2", HandlerKind::OnFailure), TaskStatus::Retry(Timestamp(77))))).unwrap();

    let reader = store.reader().unwrap();
    let run = reader.run(&RunId("r1".into())).unwrap().unwrap();
    assert_eq!(run.rollback, RollbackNumbers { undone: 5, rolled_back: 2, rolling_back: 1, failed: 1 });
    let told: Vec<_> =
        run.handlers.iter().map(|one| (one.place.to_string(), one.done, one.waiting, one.given_up)).collect();
    assert_eq!(told, [("erp.on_failure".to_owned(), 1, 2, 1), ("erp.on_rollback".to_owned(), 0, 1, 0)]);

    let detail = |id: &str| match reader.record(None, &RecordId(id.into())).unwrap() {
        RecordFound::One(detail) => *detail,
        other => panic!("{other:?}"),
    };
    let first = detail("id-0");
    let told: Vec<_> = first.tasks.iter().map(|task| (task.place.to_string(), task.standing, task.due)).collect();
    assert_eq!(
        told,
        [
            ("erp.on_failure".to_owned(), TaskStanding::Done, None),
            ("erp.on_rollback".to_owned(), TaskStanding::Waiting, Some(Timestamp(1))),
        ]
    );
    assert_eq!((first.to_undo, first.summary.status), (vec![], Status::RolledBack));
    let third = detail("id-2");
    let task = &third.tasks[0];
    assert_eq!((task.attempts, task.due, task.at), (1, Some(Timestamp(77)), Timestamp(2_500)));
    assert_eq!(task.failure.as_ref().unwrap().code, "http-503");
    assert_eq!(third.to_undo, vec![applied("erp", "E", b"s"), applied("map", "M", b"r")]);
    assert_eq!(detail("id-3").to_undo.len(), 2);
    assert_eq!(reader.definition("h1").unwrap().as_deref(), Some("name = \"orders\""));
    assert_eq!(reader.definition("h2").unwrap(), None);
    let counts = [(Status::RolledBack, 2), (Status::RollingBack, 1), (Status::RollbackFailed, 1)];
    block(store.end_run(end("r1", RunStatus::Failed, 4, &counts))).unwrap();
    let report = verify(dir.path()).unwrap();
    assert!(report.is_whole(), "{report:?}");
}

fn long_plan(hash: &str, records: u32) -> Plan {
    let verdicts = ["will run", "is ok already", "nobody knows whether it was applied"];
    let entries = (0..records).map(|n| PlanEntry {
        id: RecordId(format!("2026-11-{:02}/{:08}", n % 30, n.wrapping_mul(7919))),
        step: step(if n % 3 == 0 { "map" } else { "erp" }),
        generation: u32::from(n % 1000 == 0),
        attempts: n % 6,
        version: u64::from(n % 9) + 1,
        verdict: verdicts[n as usize % 97 % 3].into(),
    });
    Plan {
        hash: hash.into(),
        route: route(),
        route_hash: "h7".into(),
        recorded: true,
        at: Timestamp(5),
        entries: entries.collect(),
        filter: "status failed".into(),
        edit: Some((RecordId("x".into()), vec![0, 255, 7])),
    }
}

#[test]
fn plans_of_any_length() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let part = u32::try_from(PLAN_PART_RECORDS_MAX).unwrap();
    let reader = store.reader().unwrap();
    for (hash, records) in [("none", 0), ("one", 1), ("exact", part), ("more", 2 * part + 1)] {
        let plan = long_plan(hash, records);
        block(store.save_plan(plan.clone())).unwrap();
        assert!(reader.plan(hash).unwrap() == Some(plan.clone()), "{hash}");
        let summary = reader.plan_summary(hash).unwrap().unwrap();
        assert_eq!((summary.records(), summary.parts), (u64::from(records), records.div_ceil(part)));
        assert_eq!((summary.route_hash.as_str(), summary.recorded, &summary.edit), ("h7", true, &plan.edit));
        for (verdict, count) in &summary.totals {
            assert_eq!(plan.entries.iter().filter(|entry| entry.verdict == *verdict).count() as u64, *count);
        }
        let parts: Vec<PlanEntry> = (0..).map_while(|part| reader.plan_part(hash, part).unwrap()).flatten().collect();
        assert!(parts == plan.entries, "{hash}");
        let changes = reader.plan_changes(&route(), &plan.entries).unwrap();
        assert_eq!(changes.len(), records as usize, "there are no such records");
    }
    let report = verify(dir.path()).unwrap();
    assert!(report.is_whole(), "{report:?}");
    // A plan that is removed takes its parts with it.
    let conn = rusqlite::Connection::open(dir.path().join("ledger.db")).unwrap();
    conn.execute("DELETE FROM plan WHERE hash = 'more'", []).unwrap();
    let left: i64 = conn.query_row("SELECT count(*) FROM plan_part WHERE plan = 'more'", [], |row| row.get(0)).unwrap();
    assert_eq!(left, 0);
}
