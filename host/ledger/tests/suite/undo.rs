//! Rollback: what is to be undone, in which order, and what is left of it after a death.

use super::*;

pub(super) fn cases<S: Subject>() -> Vec<(&'static str, Case<S>)> {
    vec![
        ("rows that are rolling back", rolling_back),
        ("a death between the plan of a rollback and its end", dies_while_undoing),
        ("open rows for which something was applied", open_applied),
        ("a checkpoint that settles everything open", settles_open),
        ("attempts to undo", attempts_to_undo),
    ]
}

fn being_undone(id: &str, due: i64) -> RecordRow {
    RecordRow {
        due: Some(Timestamp(due)),
        applied: vec![applied("reserve", "R", b"r"), Applied { in_doubt: true, ..applied("charge", "", b"") }],
        ..row(id, Status::RollingBack)
    }
}

fn told(found: DueRows) -> (String, u64, Option<i64>) {
    let ids: Vec<String> = found.rows.into_iter().map(|row| row.id.0).collect();
    (ids.join(" "), found.pending, found.next_due.map(|at| at.0))
}

fn rolling_back<S: Subject>(subject: &S) {
    let ledger = subject.open();
    block(ledger.begin_run(start("r1"))).unwrap();
    for (n, (id, due)) in [("a", 100), ("b", 300), ("c", 200), ("d", 100)].into_iter().enumerate() {
        let row = RecordRow { open: id == "c", ..being_undone(id, due) };
        block(ledger.commit(with_row("r1", n as u64 + 1, row))).unwrap();
    }
    let waits = RecordRow { due: Some(Timestamp(150)), ..row("p", Status::Pending) };
    block(ledger.commit(with_row("r1", 5, waits))).unwrap();
    let gave_up = RecordRow { due: None, ..being_undone("f", 0) };
    block(ledger.commit(with_row("r1", 6, RecordRow { status: Status::RollbackFailed, ..gave_up }))).unwrap();
    let ask = |now: i64, limit: u32| told(block(ledger.rolling_back(route(), Timestamp(now), limit)).unwrap());
    let is = |ids: &str, pending: u64, next: Option<i64>| (ids.to_owned(), pending, next);
    assert_eq!(ask(1, 10), is("", 4, Some(100)));
    assert_eq!(ask(250, 10), is("d c a", 1, Some(300)));
    assert_eq!(ask(250, 1), is("d", 3, Some(100)));
    assert_eq!(ask(250, 2), is("d c", 2, Some(100)));
    assert_eq!(ask(999, 10), is("d c b a", 0, None));
    let elsewhere = RouteName::new("elsewhere").unwrap();
    assert_eq!(block(ledger.rolling_back(elsewhere, Timestamp(999), 9)).unwrap(), DueRows::default());
    // They are in nobody's way who asks what is due.
    let due = block(ledger.due(route(), None, Timestamp(999), 10)).unwrap();
    assert_eq!(told(due), is("p", 0, None));
    let opening = block(ledger.begin_run(start("r2"))).unwrap();
    assert_eq!((opening.rolling_back, opening.pending, opening.next_due), (4, 1, Some(Timestamp(150))));
    assert_eq!(load_one(&ledger, "a").unwrap(), being_undone("a", 100));
}

fn dies_while_undoing<S: Subject>(subject: &S) {
    let ledger = subject.open();
    block(ledger.begin_run(start("r1"))).unwrap();
    // Asked, then failed and planned in one commit: what was asked before says nothing any more.
    block(ledger.intend(intent("r1", 1, &["a"], true))).unwrap();
    let mut planned = with_row("r1", 1, RecordRow { open: true, ..being_undone("a", 100) });
    planned.closes = false;
    block(ledger.commit(planned)).unwrap();
    // The newest step is undone, the one before is not.
    let half = RecordRow {
        open: true,
        applied: vec![applied("reserve", "R", b"r")],
        payload: Payload::Unchanged,
        ..being_undone("a", 150)
    };
    let mut undone = commit("r1", 2);
    undone.rows = vec![half.clone()];
    block(ledger.commit(undone)).unwrap();
    drop(ledger);
    let ledger = subject.open();
    let opening = block(ledger.begin_run(start("r2"))).unwrap();
    assert_eq!((opening.rolling_back, opening.pending, opening.deaths), (1, 0, 1));
    assert_eq!(opening.open.len(), 1);
    let found = block(ledger.rolling_back(route(), Timestamp(9_000), 10)).unwrap().rows;
    let payload = Payload::Kept(b"{\"id\":\"a\"}".to_vec());
    assert_eq!(found, vec![RecordRow { payload: payload.clone(), ..half.clone() }]);
    // At its end it is rolled back, and open until the checkpoint passes it.
    let ended = RecordRow { status: Status::RolledBack, due: None, applied: vec![], run: RunId("r2".into()), ..half };
    let mut end = commit("r2", 1);
    end.rows = vec![ended.clone()];
    block(ledger.commit(end)).unwrap();
    drop(ledger);
    let ledger = subject.open();
    let opening = block(ledger.begin_run(start("r3"))).unwrap();
    assert_eq!((opening.rolling_back, opening.open), (0, vec![RecordRow { payload, ..ended }]));
    assert_eq!(block(ledger.rolling_back(route(), Timestamp(9_000), 10)).unwrap(), DueRows::default());
}

fn open_applied<S: Subject>(subject: &S) {
    let ledger = subject.open();
    block(ledger.begin_run(start("r1"))).unwrap();
    let with = |id: &str, status: Status, given: Vec<Applied>, open: bool| RecordRow {
        applied: given,
        open,
        ..row(id, status)
    };
    let some = || vec![applied("reserve", "R", b"r")];
    let rows = vec![
        with("a", Status::Ok, some(), true),
        with("b", Status::Failed, vec![], true),
        with("c", Status::Indeterminate, vec![], true),
        with("d", Status::Failed, some(), false),
        with("e", Status::Processing, some(), true),
    ];
    for (n, row) in rows.into_iter().enumerate() {
        block(ledger.commit(with_row("r1", n as u64 + 1, row))).unwrap();
    }
    let found = block(ledger.open_applied(route())).unwrap();
    assert_eq!(found.iter().map(|row| row.id.0.as_str()).collect::<Vec<_>>(), ["a", "c", "e"]);
    assert!(found.iter().all(|row| row.payload == Payload::Unchanged));
    assert_eq!(found[0], RecordRow { payload: Payload::Unchanged, ..with("a", Status::Ok, some(), true) });
    assert_eq!(block(ledger.open_applied(RouteName::new("elsewhere").unwrap())).unwrap(), vec![]);
}

fn settles_open<S: Subject>(subject: &S) {
    let ledger = subject.open();
    block(ledger.begin_run(start("r1"))).unwrap();
    for (n, id) in ["a", "b"].into_iter().enumerate() {
        let row = RecordRow { open: true, failure: None, ..row(id, Status::Ok) };
        block(ledger.commit(with_row("r1", n as u64 + 1, row))).unwrap();
    }
    let mut last = commit("r1", 3);
    last.settles_open = true;
    assert!(block(ledger.commit(last.clone())).is_err(), "without a checkpoint");
    last.checkpoint = Some(Checkpoint(b"end".to_vec()));
    block(ledger.commit(last)).unwrap();
    drop(ledger);
    let ledger = subject.open();
    let opening = block(ledger.begin_run(start("r2"))).unwrap();
    assert_eq!((opening.open, opening.checkpoint), (vec![], Some(Checkpoint(b"end".to_vec()))));
    assert_eq!(load_one(&ledger, "b").unwrap().status, Status::Ok);
}

fn attempts_to_undo<S: Subject>(subject: &S) {
    let ledger = subject.open();
    block(ledger.begin_run(start("r1"))).unwrap();
    let attempt = |kind: AttemptKind, attempt: u32| AttemptRow {
        id: RecordId("a".into()),
        step: step("erp"),
        kind,
        attempt,
        generation: 0,
        began: Timestamp(1),
        ended: Timestamp(2),
        outcome: Outcome::Ok,
        failure: None,
        target_id: None,
        receipt: None,
        exchanges: vec![],
    };
    // The same number twice: once to pass it, once to undo it.
    let mut both = with_row("r1", 1, being_undone("a", 1));
    both.attempts = vec![attempt(AttemptKind::Pass, 1), attempt(AttemptKind::Compensate, 1)];
    block(ledger.commit(both)).unwrap();
}
