//! Order by key, processes that die again and again, and the record that is found to be alone each time.

use super::*;
use crossdock_engine::codes;

pub(super) fn cases<S: Subject>() -> Vec<(&'static str, Case<S>)> {
    vec![
        ("order keys", order_keys),
        ("records that wait for their order key", waiting_for_order),
        ("deaths", deaths),
        ("a careful intent without an outcome", careful),
        ("attempts are counted before the call", spent),
        ("a quarantined plugin", quarantined),
    ]
}

fn ordered(id: &str, key: &str, status: Status) -> RecordRow {
    RecordRow { order_key: Some(key.as_bytes().to_vec()), ..row(id, status) }
}

fn waits(id: &str, key: &str) -> RecordRow {
    let failure = Failure::new(codes::WAITS_FOR_ORDER.name, "waits");
    RecordRow { failure: Some(failure), due: None, ..ordered(id, key, Status::Pending) }
}

fn write(ledger: &Opened, run: &str, rows: Vec<RecordRow>) {
    for (n, row) in rows.into_iter().enumerate() {
        block(ledger.commit(with_row(run, n as u64 + 1, row))).unwrap();
    }
}

fn order_keys<S: Subject>(subject: &S) {
    let ledger = subject.open();
    block(ledger.begin_run(start("r1"))).unwrap();
    let due = |row: RecordRow| RecordRow { due: Some(Timestamp(100)), ..row };
    let rows = vec![
        due(ordered("p2", "k2", Status::Pending)),
        due(ordered("p1", "k1", Status::Pending)),
        ordered("failed", "k1", Status::Failed),
        ordered("doubt", "k1", Status::Indeterminate),
        due(ordered("undoing", "k2", Status::RollingBack)),
        RecordRow { open: true, ..ordered("open", "k1", Status::Pending) },
        due(row("free", Status::Pending)),
    ];
    write(&ledger, "r1", rows.clone());
    let opening = block(ledger.begin_run(start("r2"))).unwrap();
    let found: Vec<String> =
        opening.blocking.iter().map(|(key, id)| format!("{}:{id}", String::from_utf8_lossy(key))).collect();
    assert_eq!(found, ["k1:p1", "k1:doubt", "k2:p2", "k2:undoing"]);
    assert_eq!(load_one(&ledger, "p1"), Some(rows[1].clone()));
    // A row that is written again without its key keeps it.
    block(ledger.commit(BatchCommit { rows: vec![row("p1", Status::Ok)], ..commit("r2", 1) })).unwrap();
    assert_eq!(load_one(&ledger, "p1").unwrap().order_key, Some(b"k1".to_vec()));
    let opening = block(ledger.begin_run(start("r3"))).unwrap();
    assert_eq!(opening.blocking.len(), 3);
}

fn waiting_for_order<S: Subject>(subject: &S) {
    let ledger = subject.open();
    block(ledger.begin_run(start("r1"))).unwrap();
    let due = |row: RecordRow| RecordRow { due: Some(Timestamp(100)), ..row };
    write(
        &ledger,
        "r1",
        vec![
            ordered("a", "k1", Status::Failed),
            waits("b", "k1"),
            waits("c", "k1"),
            due(ordered("d", "k2", Status::Pending)),
            waits("e", "k2"),
            // Not one that waits for its order: it is a person's turn.
            RecordRow { due: None, ..ordered("f", "k3", Status::Indeterminate) },
            waits("g", "k3"),
        ],
    );
    let due_ids = |ledger: &Opened| -> String {
        let rows = block(ledger.due(route(), None, Timestamp(9_999), 10)).unwrap().rows;
        rows.iter().map(|row| row.id.0.as_str()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(due_ids(&ledger), "d");
    drop(ledger);
    let ledger = subject.open();
    let opening = block(ledger.begin_run(start("r2"))).unwrap();
    assert_eq!((opening.pending, opening.next_due), (3, Some(Timestamp(100))));
    assert_eq!(due_ids(&ledger), "d b c", "in their order, and not what still has somebody before it");
    assert_eq!(load_one(&ledger, "b").unwrap().due, Some(Timestamp(1_000)));
    let settled = RecordRow { payload: Payload::Gone, failure: None, ..ordered("d", "k2", Status::Ok) };
    block(ledger.commit(BatchCommit { rows: vec![settled], ..commit("r2", 1) })).unwrap();
    assert_eq!(due_ids(&ledger), "b c");
    block(ledger.begin_run(start("r3"))).unwrap();
    assert_eq!(due_ids(&ledger), "b c e");
}

fn deaths<S: Subject>(subject: &S) {
    let count = |run: &str, act: &dyn Fn(&Opened)| {
        let ledger = subject.open();
        let deaths = block(ledger.begin_run(start(run))).unwrap().deaths;
        act(&ledger);
        deaths
    };
    let dies = |_: &Opened| {};
    let moves = |run: &'static str| move |ledger: &Opened| block(ledger.commit(fine(run, 1, &["x"]))).unwrap();
    let writes = |run: &'static str| {
        move |ledger: &Opened| {
            block(ledger.commit(BatchCommit { checkpoint: None, ..fine(run, 1, &["y"]) })).unwrap();
        }
    };
    let ends =
        |run: &'static str| move |ledger: &Opened| block(ledger.end_run(end(run, RunStatus::Failed, 0, &[]))).unwrap();
    assert_eq!(count("r1", &dies), 0);
    assert_eq!(count("r2", &writes("r2")), 1);
    assert_eq!(count("r3", &dies), 2);
    assert_eq!(count("r4", &moves("r4")), 3);
    assert_eq!(count("r5", &dies), 0, "the one before it got on");
    assert_eq!(count("r6", &ends("r6")), 1);
    assert_eq!(count("r7", &dies), 0, "the one before it ended by itself");
    assert_eq!(count("r8", &dies), 1);
    // Another route is not to blame.
    let ledger = subject.open();
    let other = RunStart { run: RunId("s1".into()), route: RouteName::new("returns").unwrap(), ..start("s1") };
    assert_eq!(block(ledger.begin_run(other)).unwrap().deaths, 0);
}

fn careful<S: Subject>(subject: &S) {
    let ledger = subject.open();
    block(ledger.begin_run(start("r1"))).unwrap();
    let alone = |batch: u64, id: &str, effect: bool, open: bool| {
        let at = if effect { "erp" } else { "map" };
        Intent { careful: true, effect, step: step(at), ..intent("r1", batch, &[id], open) }
    };
    let resumed = RecordRow { due: Some(Timestamp(5)), step: step("map"), ..row("resumed", Status::Pending) };
    block(ledger.commit(with_row("r1", 1, resumed.clone()))).unwrap();
    block(ledger.intend(alone(2, "written", true, true))).unwrap();
    block(ledger.intend(alone(3, "mapped", false, true))).unwrap();
    block(ledger.intend(alone(4, "resumed", false, false))).unwrap();
    assert!(block(ledger.intend(Intent { careful: true, ..intent("r1", 5, &["x", "y"], true) })).is_err());
    assert!(block(ledger.intend(Intent { effect: false, ..intent("r1", 5, &["x"], true) })).is_err());
    drop(ledger);
    let ledger = subject.open();
    let check = |id: &str, status: Status, at: &str, payload: Payload, open: bool| {
        let found = load_one(&ledger, id).unwrap();
        assert_eq!(found.failure.unwrap().code, codes::RECORD_QUARANTINED.name, "{id}");
        assert_eq!((found.status, found.step, found.due), (status, step(at), None), "{id}");
        assert_eq!((found.payload, found.open), (payload, open), "{id}");
    };
    check("written", Status::Indeterminate, "erp", Payload::AtSource, true);
    check("mapped", Status::Failed, "map", Payload::AtSource, true);
    check("resumed", Status::Failed, "map", resumed.payload, false);

    // A run that ends is no death: nothing is held against the record.
    block(ledger.begin_run(start("r2"))).unwrap();
    let of_r2 = |intent: Intent| Intent { run: RunId("r2".into()), ..intent };
    block(ledger.intend(of_r2(alone(1, "later", true, true)))).unwrap();
    block(ledger.intend(of_r2(alone(2, "never", false, true)))).unwrap();
    block(ledger.end_run(end("r2", RunStatus::Failed, 0, &[]))).unwrap();
    let later = load_one(&ledger, "later").unwrap();
    assert_eq!((later.status, later.failure.unwrap().code.as_str()), (Status::Indeterminate, "in-doubt"));
    assert_eq!(load_one(&ledger, "never"), None);
}

fn spent<S: Subject>(subject: &S) {
    let ledger = subject.open();
    block(ledger.begin_run(start("r1"))).unwrap();
    let resumed = RecordRow { spent: 2, attempts: 4, due: Some(Timestamp(5)), ..row("resumed", Status::Pending) };
    let moved_on = RecordRow { step: step("map"), spent: 7, ..row("moved-on", Status::Pending) };
    block(ledger.commit(with_row("r1", 1, resumed))).unwrap();
    block(ledger.commit(with_row("r1", 2, moved_on))).unwrap();
    for (batch, id, attempts) in [(3, "resumed", 5), (4, "moved-on", 1), (5, "fresh", 1)] {
        let asked = Intent { attempts: vec![attempts], ..intent("r1", batch, &[id], id == "fresh") };
        block(ledger.intend(asked)).unwrap();
    }
    drop(ledger);
    let ledger = subject.open();
    let counted = |id: &str| {
        let row = load_one(&ledger, id).unwrap();
        (row.attempts, row.spent, row.since.map(|since| since.0))
    };
    assert_eq!(counted("resumed"), (5, 3, Some(1_500)));
    assert_eq!(counted("moved-on"), (1, 1, Some(1_900)), "another step begins anew");
    assert_eq!(counted("fresh"), (1, 1, Some(1_900)));
}

fn quarantined<S: Subject>(subject: &S) {
    let ledger = subject.open();
    block(ledger.begin_run(start("r1"))).unwrap();
    let wrong = RunEnd { quarantine: Some(step("nowhere")), ..end("r1", RunStatus::Failed, 0, &[]) };
    assert!(block(ledger.end_run(wrong)).is_err(), "a step that has no plugin");
    let right = RunEnd { quarantine: Some(step("map")), ..end("r1", RunStatus::Failed, 0, &[]) };
    block(ledger.end_run(right)).unwrap();
}
