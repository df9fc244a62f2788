//! What operators decide: where records stand, what their content is, which plugins are used again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod suite;

use crossdock_engine::codes;
use crossdock_engine::ports::*;
use crossdock_ledger::*;
use crossdock_model::*;
use suite::{applied, block, commit, end, intent, route, row, start, step, with_row};

struct Desk {
    dir: tempfile::TempDir,
    store: LedgerStore,
}

impl Desk {
    /// A ledger with these rows.
    fn with(rows: Vec<RecordRow>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = LedgerStore::open(dir.path(), OpenOptions::new(Timestamp(500))).unwrap();
        block(store.begin_run(start("r1"))).unwrap();
        for (n, row) in rows.into_iter().enumerate() {
            block(store.commit(with_row("r1", n as u64 + 1, row))).unwrap();
        }
        Self { dir, store }
    }

    fn decide(&self, ids: &[&str], status: Status) -> Result<Vec<(Status, Status)>, LedgerError> {
        let decision = Decision {
            status,
            reason: "looked it up".into(),
            target_id: Some("T-9".into()),
            destinations: vec![step("erp"), step("map")],
            at: Timestamp(6_000),
        };
        let ids = ids.iter().map(|&id| RecordId(id.into())).collect();
        let decided = block(self.store.decide(route(), ids, decision))?;
        Ok(decided.into_iter().map(|one| (one.from, one.to)).collect())
    }

    fn edit(&self, id: &str, content: &str) -> Result<Edited, LedgerError> {
        block(self.store.edit(
            route(),
            Edit {
                id: RecordId(id.into()),
                content: content.as_bytes().to_vec(),
                first: step("map"),
                reason: "typing error".into(),
                at: Timestamp(6_000),
            },
        ))
    }

    fn row(&self, id: &str) -> RecordRow {
        block(self.store.load(route(), vec![RecordId(id.into())])).unwrap().pop().unwrap()
    }

    fn events(&self, id: &str) -> Vec<Event> {
        let filter = EventFilter { record: Some(RecordId(id.into())), ..EventFilter::default() };
        let page = self.store.reader().unwrap().events(&filter, EventOrder::OldestFirst, 100, None).unwrap();
        page.items.into_iter().map(|logged| logged.event).collect()
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let report = verify(self.dir.path()).unwrap();
            assert!(report.is_whole(), "{report:?}");
        }
    }
}

/// One decision about a record that stands somewhere, and what becomes of it.
#[track_caller]
fn check(from: Status, open: bool, given: &[Applied], decision: Status, to: Status) -> Desk {
    let desk = Desk::with(vec![RecordRow { open, applied: given.to_vec(), ..row("a", from) }]);
    assert_eq!(desk.decide(&["a"], decision).unwrap(), [(from, to)]);
    assert_eq!((desk.row("a").status, desk.events("a")[0].kind), (to, EventKind::RecordDecided));
    desk
}

#[test]
fn every_decision_from_everywhere() {
    use Status::*;
    let allowed: &[(Status, &[Status])] = &[
        (Ok, &[Indeterminate]),
        (Failed, &[Indeterminate]),
        (Skipped, &[Indeterminate, Failed, Rejected, Pending, New]),
        (Cancelled, &[Indeterminate, Failed, Rejected, Pending]),
        (RolledBack, &[RollingBack, RollbackFailed]),
        (RollingBack, &[RollbackFailed]),
    ];
    let rows = || {
        Status::ALL
            .iter()
            .map(|&from| RecordRow { applied: vec![applied("map", "M", b"r")], ..row(from.as_str(), from) })
    };
    for &decision in Status::ALL {
        let desk = Desk::with(rows().collect());
        let from_here = allowed.iter().find(|(to, _)| *to == decision).map_or(&[][..], |(_, from)| *from);
        for &from in Status::ALL {
            let to = if decision == Cancelled { RollingBack } else { decision };
            let decided = desk.decide(&[from.as_str()], decision);
            match from_here.contains(&from) {
                true => assert_eq!(decided.unwrap(), [(from, to)]),
                false => assert_eq!(decided.unwrap_err().code(), "ledger-decision-refused", "{from} to {decision}"),
            }
            assert_eq!(desk.row(from.as_str()).status, if from_here.contains(&from) { to } else { from });
        }
    }
    // Rolled back and open: the route has stopped at it, and is to go past it.
    check(RolledBack, true, &[], Skipped, Skipped);
}

#[test]
fn cancelling_undoes_what_was_applied() {
    use Status::*;
    for from in [Pending, Failed, Rejected] {
        check(from, false, &[], Cancelled, Cancelled);
        let desk = check(from, true, &[applied("map", "M", b"r")], Cancelled, RollingBack);
        let row = desk.row("a");
        assert_eq!((row.due, row.spent, row.since, row.attempts), (Some(Timestamp(6_000)), 0, None, 0));
        assert_eq!((row.applied, row.open), (vec![applied("map", "M", b"r")], true));
        let planned = desk.events("a").pop().unwrap();
        assert_eq!((planned.kind, planned.data["steps"][0].as_str()), (EventKind::RollbackPlanned, Some("map")));
    }
    // In doubt: it is asked about first, and undone first.
    let desk = check(Indeterminate, false, &[applied("map", "M", b"r")], Cancelled, RollingBack);
    let doubt = Applied { in_doubt: true, ..applied("erp", "", b"") };
    assert_eq!(desk.row("a").applied, vec![applied("map", "M", b"r"), doubt.clone()]);
    assert_eq!(desk.events("a")[1].data["steps"], serde_json::json!(["erp", "map"]));
    let RecordFound::One(detail) = desk.store.reader().unwrap().record(None, &RecordId("a".into())).unwrap() else {
        panic!()
    };
    assert_eq!(detail.to_undo, vec![doubt, applied("map", "M", b"r")]);
    check(Indeterminate, false, &[], Cancelled, RollingBack);
    // Not in doubt at a destination.
    let desk = Desk::with(vec![RecordRow { step: step("other"), ..row("a", Indeterminate) }]);
    assert_eq!(desk.decide(&["a"], Cancelled).unwrap(), [(Indeterminate, Cancelled)]);
}

#[test]
fn a_rollback_that_failed_is_resumed_or_done_by_hand() {
    use Status::*;
    let given = [applied("map", "M", b"r")];
    let desk = check(RollbackFailed, false, &given, RollingBack, RollingBack);
    let row = desk.row("a");
    assert_eq!((row.due, row.spent, row.attempts), (Some(Timestamp(6_000)), 0, 1), "attempts go on");
    assert_eq!((row.since, row.applied), (None, given.to_vec()));
    let found = block(desk.store.rolling_back(route(), Timestamp(6_000), 9)).unwrap();
    assert_eq!(found.rows.len(), 1);
    let desk = check(RollbackFailed, true, &given, RolledBack, RolledBack);
    let row = desk.row("a");
    assert_eq!((row.due, row.applied, row.open), (None, vec![], true));
    assert_eq!(desk.events("a")[0].data["undone_by_hand"], serde_json::json!(["map"]));
}

#[test]
fn many_at_once() {
    const MANY: usize = 10_001;
    let dir = tempfile::tempdir().unwrap();
    let store = LedgerStore::open(dir.path(), OpenOptions::new(Timestamp(500))).unwrap();
    block(store.begin_run(start("r1"))).unwrap();
    let id = |n: usize| format!("id-{n:05}");
    let rows: Vec<RecordRow> = (0..MANY).map(|n| row(&id(n), Status::Failed)).collect();
    let mut counts = Counts::default();
    counts.add(Status::Failed, i64::try_from(MANY).unwrap());
    block(store.commit(BatchCommit { rows, counts, read: MANY as u64, ..commit("r1", 1) })).unwrap();
    let skip = |at: i64| Decision {
        status: Status::Skipped,
        reason: "season is over".into(),
        target_id: None,
        destinations: vec![],
        at: Timestamp(at),
    };
    // The last one is refused, and is in the second portion.
    let mut ids: Vec<RecordId> = (0..MANY).map(|n| RecordId(id(n))).collect();
    ids.push(RecordId("nobody".into()));
    assert!(block(store.decide(route(), ids.clone(), skip(1))).is_err());
    let reader = store.reader().unwrap();
    let count = |status: Status| {
        let filter = RecordFilter { status: Some(status), ..RecordFilter::default() };
        reader.count(&filter).unwrap()
    };
    assert_eq!((count(Status::Skipped), count(Status::Failed)), (10_000, 1));
    let rest = block(store.decide(route(), vec![RecordId(id(MANY - 1))], skip(2))).unwrap();
    assert_eq!((rest.len(), count(Status::Failed)), (1, 0));
}

#[test]
fn a_decision_lets_others_with_the_same_key_go() {
    let ordered = |id: &str, status: Status, code: &str| RecordRow {
        order_key: Some(b"k".to_vec()),
        failure: Some(Failure::new(code, "x")),
        ..row(id, status)
    };
    let waits = |id: &str| ordered(id, Status::Pending, codes::WAITS_FOR_ORDER.name);
    let blocked = || vec![ordered("a", Status::Indeterminate, "in-doubt"), waits("b"), waits("c")];
    let due = |desk: &Desk| (desk.row("b").due, desk.row("c").due);
    let desk = Desk::with(blocked());
    assert_eq!(due(&desk), (None, None));
    desk.decide(&["a"], Status::Skipped).unwrap();
    assert_eq!(due(&desk), (Some(Timestamp(6_000)), Some(Timestamp(6_000))));
    // Not while it is being undone.
    let desk = Desk::with(blocked());
    desk.decide(&["a"], Status::Cancelled).unwrap();
    assert_eq!(due(&desk), (None, None));
    desk.decide(&["a"], Status::RolledBack).unwrap();
    assert_eq!(due(&desk), (Some(Timestamp(6_000)), Some(Timestamp(6_000))));
    let desk = Desk::with(vec![ordered("a", Status::Pending, "http-503"), waits("b"), waits("c")]);
    desk.edit("a", "new").unwrap();
    assert_eq!(due(&desk), (Some(Timestamp(6_000)), Some(Timestamp(6_000))));
}

#[test]
fn content_is_changed_by_a_person() {
    let given = vec![applied("map", "M", b"r")];
    let at = |name: &str, status: Status| RecordRow {
        step: step(name),
        generation: 2,
        attempts: 5,
        spent: 3,
        due: Some(Timestamp(9)),
        applied: given.clone(),
        ..row("a", status)
    };
    let check = |before: RecordRow, stands_at: &str, keeps: bool| {
        let desk = Desk::with(vec![before.clone()]);
        let edited = desk.edit("a", "the new secret content").unwrap();
        assert_eq!((edited.from, edited.step, edited.generation), (before.status, step(stands_at), 3));
        let row = desk.row("a");
        let content = Payload::Kept(b"the new secret content".to_vec());
        assert_eq!((row.status, row.generation, row.payload), (Status::Failed, 3, content));
        assert_eq!((row.attempts, row.spent, row.since, row.due), (0, 0, None, None));
        assert_eq!((row.step, row.open), (step(stands_at), before.open));
        assert_eq!(row.applied, if keeps { given.clone() } else { vec![] });
        assert_eq!(row.failure.unwrap().code, before.failure.map_or("record-edited".to_owned(), |f| f.code));
        let event = desk.events("a").pop().unwrap();
        assert_eq!(event.kind, EventKind::RecordEdited);
        assert!(!serde_json::to_string(&event).unwrap().contains("secret"));
        assert_eq!(event.data["new"]["bytes"], 22);
        let hash = blake3::hash(b"the new secret content").to_hex().to_string();
        assert_eq!(event.data["new"]["blake3"], hash);
        let RecordFound::One(found) = desk.store.reader().unwrap().record(None, &RecordId("a".into())).unwrap() else {
            panic!()
        };
        assert_eq!(found.summary.version, edited.version);
    };
    check(at("erp", Status::Failed), "erp", true);
    check(at("erp", Status::Rejected), "erp", true);
    check(RecordRow { open: true, ..at("erp", Status::Pending) }, "erp", true);
    check(RecordRow { failure: None, ..at("erp", Status::Pending) }, "erp", true);
    check(at("source", Status::Rejected), "map", false);
    check(at("erp", Status::RolledBack), "map", false);
    let gone = Desk::with(vec![RecordRow { payload: Payload::Gone, ..at("erp", Status::Rejected) }]);
    gone.edit("a", "x").unwrap();
    assert_eq!(gone.events("a").pop().unwrap().data["old"], serde_json::Value::Null);
    for &status in Status::ALL {
        if !matches!(status, Status::Failed | Status::Rejected | Status::Pending | Status::RolledBack) {
            let desk = Desk::with(vec![at("erp", status)]);
            assert_eq!(desk.edit("a", "x").unwrap_err().code(), "ledger-decision-refused", "{status}");
        }
    }
    let busy = Desk::with(vec![at("erp", Status::Failed)]);
    block(busy.store.intend(intent("r1", 9, &["a"], false))).unwrap();
    assert!(busy.edit("a", "x").unwrap_err().to_string().contains("working on it"));
    assert!(busy.edit("nobody", "x").unwrap_err().to_string().contains("no such record"));
}

#[test]
fn a_plugin_in_quarantine_is_let_go() {
    let desk = Desk::with(vec![]);
    let reason = Some(Failure::new("plugin-quarantined", "6 faults of plugin map"));
    let bad = RunEnd { quarantine: Some(step("map")), reason, ..end("r1", RunStatus::Failed, 0, &[]) };
    block(desk.store.end_run(bad.clone())).unwrap();
    let quarantined = || desk.store.reader().unwrap().quarantined(&route()).unwrap();
    let expected = Quarantined {
        step: step("map"),
        digest: "00".into(),
        reason: "6 faults of plugin map".into(),
        at: Timestamp(3_000),
    };
    assert_eq!(quarantined(), vec![expected.clone()]);
    // Another plugin at the same step that is no better takes its place.
    let mut other = start("r2");
    other.plugins[1].2 = "11".into();
    block(desk.store.begin_run(other)).unwrap();
    block(desk.store.end_run(RunEnd { run: RunId("r2".into()), ..bad })).unwrap();
    assert_eq!(quarantined(), vec![Quarantined { digest: "11".into(), ..expected }]);
    let release = |route: &RouteName, name: &str| {
        block(desk.store.release(route.clone(), step(name), "version 2".into(), Timestamp(7))).unwrap()
    };
    assert!(!release(&route(), "erp"));
    assert!(!release(&RouteName::new("elsewhere").unwrap(), "map"));
    assert!(release(&route(), "map"));
    assert!(!release(&route(), "map"));
    assert_eq!(quarantined(), vec![]);
    let events = desk.store.reader().unwrap();
    let events = events.events(&EventFilter::default(), EventOrder::NewestFirst, 9, None).unwrap().items;
    let released: Vec<_> = events.iter().filter(|e| e.event.kind == EventKind::PluginReleased).collect();
    assert_eq!(released.len(), 1);
    assert!(released[0].event.message.contains("version 2"));
}
