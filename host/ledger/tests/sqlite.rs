//! What is particular to the ledger in SQLite: opening, many callers at once, reports, decisions, plans.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod suite;

use crossdock_engine::ports::*;
use crossdock_ledger::*;
use crossdock_model::*;
use std::collections::BTreeMap;
use std::path::Path;
use suite::{block, commit, end, fine, intent, route, row, start, step, with_row};

fn open(dir: &Path) -> Result<LedgerStore, LedgerError> {
    LedgerStore::open(dir, OpenOptions { process: Some(std::process::id()), ..OpenOptions::new(Timestamp(9_000)) })
}

fn edit(dir: &Path, sql: &str) {
    rusqlite::Connection::open(dir.join("ledger.db")).unwrap().execute_batch(sql).unwrap();
}

#[test]
fn what_cannot_be_opened_says_why() {
    let check = |prepare: &dyn Fn(&Path), code: &str, words: &[&str]| {
        let dir = tempfile::tempdir().unwrap();
        prepare(dir.path());
        for error in [open(dir.path()).err(), LedgerReader::open(dir.path()).err()] {
            let error = error.unwrap_or_else(|| panic!("{code}"));
            assert_eq!(error.code(), code, "{error}");
            assert!(words.iter().all(|word| error.to_string().contains(word)), "{error}");
        }
    };
    check(
        &|dir| {
            drop(open(dir).unwrap());
            edit(dir, "UPDATE meta SET value = '7' WHERE name = 'format'");
        },
        "ledger-newer-version",
        &["format 7", "up to 2"],
    );
    let garbage = |dir: &Path| std::fs::write(dir.join("ledger.db"), vec![b'x'; 8192]).unwrap();
    check(&garbage, "ledger-not-a-ledger", &["not a SQLite database"]);
    check(&|dir| edit(dir, "CREATE TABLE t (a)"), "ledger-not-a-ledger", &["another program"]);
    let nonsense = |dir: &Path| {
        drop(open(dir).unwrap());
        edit(dir, "UPDATE meta SET value = 'zero' WHERE name = 'format'");
    };
    check(&nonsense, "ledger-damaged", &["zero"]);

    let dir = tempfile::tempdir().unwrap();
    let missing = LedgerReader::open(dir.path()).unwrap_err();
    assert_eq!((missing.code(), missing.class().exit_code()), ("ledger-missing", 2));
    assert_eq!(verify(dir.path()).unwrap_err().code(), "ledger-missing");
}

#[test]
fn one_writer_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    let refused = open(dir.path()).unwrap_err();
    assert_eq!(refused, LedgerError::InUse { dir: dir.path().to_owned(), pid: Some(std::process::id()) });
    assert_eq!(refused.class(), ErrorClass::Environment);
    let reader = store.reader().unwrap();
    assert!(reader.writer_alive());
    let clone = store.clone();
    drop(store);
    assert!(open(dir.path()).is_err(), "a clone still has it");
    drop(clone);
    assert!(!reader.writer_alive());
    open(dir.path()).unwrap();
}

#[test]
fn many_callers_share_a_transaction() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    block(store.begin_run(start("r1"))).unwrap();
    let before = store.stats();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).build().unwrap();
    const CALLERS: u64 = 64;
    const COMMITS: u64 = 20;
    runtime.block_on(async {
        let callers = (0..CALLERS).map(|caller| {
            let store = store.clone();
            tokio::spawn(async move {
                for n in 0..COMMITS {
                    let batch = caller * COMMITS + n;
                    store.commit(fine("r1", batch, &[&format!("id-{batch}")])).await.unwrap();
                }
            })
        });
        for caller in callers.collect::<Vec<_>>() {
            caller.await.unwrap();
        }
    });
    let (calls, transactions) = (store.stats().calls - before.calls, store.stats().transactions - before.transactions);
    assert_eq!(calls, CALLERS * COMMITS);
    assert!(transactions * 4 < calls, "{transactions} transactions for {calls} commits");
    block(store.end_run(end("r1", RunStatus::Ok, calls, &[(Status::Ok, i64::try_from(calls).unwrap())]))).unwrap();
}

/// Two routes, rows and chunks and something under way.
fn filled(dir: &Path) -> LedgerStore {
    let store = open(dir).unwrap();
    block(store.begin_run(start("r1"))).unwrap();
    let other = RouteName::new("returns").unwrap();
    block(store.begin_run(RunStart { run: RunId("s1".into()), route: other.clone(), ..start("s1") })).unwrap();
    for batch in 0..10u64 {
        let ids: Vec<String> = (0..7).map(|n| format!("ok-{batch}-{n}")).collect();
        let mut fine = fine("r1", batch, &ids.iter().map(String::as_str).collect::<Vec<_>>());
        fine.at = Timestamp(2_000 + i64::try_from(batch).unwrap() / 3);
        fine.chunk.as_mut().unwrap().statuses[2] = Status::Dropped;
        fine.chunk.as_mut().unwrap().steps[2] = 0;
        fine.counts.add(Status::Ok, -1);
        fine.counts.add(Status::Dropped, 1);
        block(store.commit(fine)).unwrap();
    }
    for n in 0..20u64 {
        let status = [Status::Failed, Status::Rejected, Status::Pending][usize::try_from(n % 3).unwrap()];
        let mut row = row(&format!("bad-{n}"), status);
        row.failure = Some(Failure::new(if n % 2 == 0 { "http-422" } else { "timeout" }, format!("no customer {n}")));
        row.due = (status == Status::Pending).then_some(Timestamp(8_000));
        let mut commit = with_row("r1", 20 + n, row);
        commit.at = Timestamp(2_002 + i64::try_from(n).unwrap() / 4);
        block(store.commit(commit)).unwrap();
    }
    let mut same_id = with_row("s1", 1, row("bad-1", Status::Failed));
    same_id.route = other;
    block(store.commit(same_id)).unwrap();
    block(store.intend(intent("r1", 50, &["busy-1", "busy-2", "bad-2"], true))).unwrap();
    store
}

fn pages(reader: &LedgerReader, filter: &RecordFilter, limit: u32) -> Vec<RecordSummary> {
    let (mut all, mut after): (Vec<RecordSummary>, Option<Cursor>) = (Vec::new(), None);
    loop {
        let page = reader.records(filter, limit, after.as_ref()).unwrap();
        assert!(page.items.len() <= limit as usize);
        assert!(page.next.is_none() || page.items.len() == limit as usize);
        all.extend(page.items);
        // As text and back: that is how it comes from outside.
        let Some(next) = page.next else { return all };
        after = Some(next.to_string().parse().unwrap());
    }
}

#[test]
fn pages_are_complete_and_never_double() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path());
    let reader = store.reader().unwrap();
    let all = pages(&reader, &RecordFilter::default(), 10_000);
    let key = |record: &RecordSummary| (record.route.clone(), record.id.clone());
    let by_key: BTreeMap<_, _> = all.iter().map(|record| (key(record), record.clone())).collect();
    assert_eq!(by_key.len(), all.len());
    assert_eq!(all.len(), 70 + 20 + 1 + 2);
    assert_eq!(by_key.values().filter(|record| record.status == Status::Processing).count(), 3);
    let dropped = by_key.values().find(|record| record.status == Status::Dropped).unwrap();
    assert_eq!(dropped.step, Some(step("map")));
    let steps = |record: &RecordSummary| record.step.clone();
    let fingerprint = by_key.values().find_map(|record| record.fingerprint.clone()).unwrap();
    assert!(reader.all_records(RecordFilter::default()).map(Result::unwrap).eq(all.iter().cloned()));
    for bits in 0..1024u32 {
        let on = |bit: u32| bits & (1 << bit) != 0;
        let filter = RecordFilter {
            route: on(0).then(route),
            run: on(1).then(|| RunId("r1".into())),
            status: on(2).then_some([Status::Failed, Status::Ok, Status::Processing][bits as usize % 3]),
            code: on(3).then(|| "http-422".into()),
            since: on(4).then_some(Timestamp(2_003)),
            text: on(5).then(|| "timeo".into()),
            step: on(6).then(|| step("erp")),
            until: on(7).then_some(Timestamp(2_006)),
            statuses: if on(8) { vec![Status::Rejected, Status::Failed, Status::Ok] } else { vec![] },
            fingerprint: on(9).then(|| fingerprint.clone()),
            id: None,
        };
        let fits = |record: &&RecordSummary| {
            filter.route.as_ref().is_none_or(|route| record.route == *route)
                && filter.run.as_ref().is_none_or(|run| record.run == *run)
                && filter.status.is_none_or(|status| record.status == status)
                && filter.code.is_none_or_eq(&record.code)
                && filter.since.is_none_or(|since| record.at >= since)
                && filter.until.is_none_or(|until| record.at < until)
                && (filter.statuses.is_empty() || filter.statuses.contains(&record.status))
                && filter.fingerprint.is_none_or_eq(&record.fingerprint)
                && (filter.text.is_none() || record.code.as_deref() == Some("timeout"))
                && filter.step.as_ref().is_none_or(|step| steps(record).as_ref() == Some(step))
        };
        let expected: Vec<_> = by_key.values().filter(fits).map(key).collect();
        let narrowed = filter.code.is_some()
            || filter.text.is_some()
            || filter.since.is_some()
            || filter.until.is_some()
            || filter.fingerprint.is_some();
        if filter.status != Some(Status::Processing) || !narrowed {
            assert_eq!(reader.count(&filter).unwrap(), expected.len() as u64, "{filter:?}");
        }
        for limit in if bits % 7 == 0 { [1, 3, 1000] } else { [5, 50, 1000] } {
            let mut found: Vec<_> = pages(&reader, &filter, limit).iter().map(key).collect();
            found.sort();
            // A row that is under way and asked for as processing is found by its intent: without its code, and
            // with the time of the intent.
            if filter.status != Some(Status::Processing) || !narrowed {
                assert_eq!(found, expected, "{filter:?} by {limit}");
            }
        }
    }
    let id = |id: &str| {
        let filter = RecordFilter { id: Some(RecordId(id.into())), ..RecordFilter::default() };
        reader.records(&filter, 10, None).unwrap().items.len()
    };
    assert_eq!([id("ok-3-1"), id("bad-1"), id("busy-1"), id("bad-2"), id("nobody")], [1, 2, 1, 1, 0]);
}

trait NoneOrEq {
    fn is_none_or_eq(&self, other: &Option<String>) -> bool;
}

impl NoneOrEq for Option<String> {
    fn is_none_or_eq(&self, other: &Option<String>) -> bool {
        self.is_none() || self == other
    }
}

#[test]
fn a_cursor_of_another_list_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path());
    let reader = store.reader().unwrap();
    let bad = |cursor: &str| cursor.parse::<Cursor>().unwrap_err().code();
    assert_eq!([bad(""), bad("r.1"), bad("x.1.2"), bad("r.1.b")], ["ledger-bad-query"; 4]);
    let event: Cursor = "e.5".parse().unwrap();
    let error = reader.records(&RecordFilter::default(), 1, Some(&event)).unwrap_err();
    assert_eq!(error.code(), "ledger-bad-query");
    let row: Cursor = "r.5.5".parse().unwrap();
    assert!(reader.events(&EventFilter::default(), EventOrder::default(), 1, Some(&row)).is_err());
    assert!(reader.runs(None, 1, Some(&row)).is_err());
    let text = RecordFilter { text: Some("x".into()), ..RecordFilter::default() };
    assert!(reader.records(&text, 1, Some(&row)).is_err());
}

#[test]
fn everything_about_a_record() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path());
    let reader = store.reader().unwrap();
    let find = |route: Option<&RouteName>, id: &str| reader.record(route, &RecordId(id.into())).unwrap();
    let one = |found: RecordFound| match found {
        RecordFound::One(detail) => *detail,
        other => panic!("{other:?}"),
    };
    assert_eq!(find(None, "nobody"), RecordFound::None);
    assert_eq!(find(None, "bad-1"), RecordFound::Several(vec![route(), RouteName::new("returns").unwrap()]));
    let ok = one(find(None, "ok-4-6"));
    assert_eq!((ok.summary.status, ok.row, ok.chunks.len()), (Status::Ok, None, 1));
    assert_eq!(ok.summary.target_ids, vec![(step("erp"), "T-ok-4-6".to_owned())]);
    let bad = one(find(Some(&route()), "bad-1"));
    assert_eq!(bad.row.unwrap().payload, Payload::Kept(b"{\"id\":\"bad-1\"}".to_vec()));
    let busy = one(find(None, "busy-2"));
    assert_eq!((busy.summary.status, busy.in_flight.as_ref().unwrap().alive), (Status::Processing, true));
}

#[test]
fn the_history_of_a_record_and_its_run() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path());
    let reader = store.reader().unwrap();
    // An attempt with its exchange, an event, a recovery.
    let attempt = AttemptRow {
        id: RecordId("bad-1".into()),
        step: step("erp"),
        kind: AttemptKind::Pass,
        attempt: 2,
        generation: 0,
        began: Timestamp(1),
        ended: Timestamp(2),
        outcome: Outcome::Unchanged,
        failure: Some(Failure::new("http-422", "no")),
        target_id: Some("T".into()),
        receipt: Some(vec![1, 2]),
        exchanges: vec![Exchange {
            at: Timestamp(1),
            record: Some(0),
            method: "POST".into(),
            url: "http://erp/documents".into(),
            status: Some(200),
            error: None,
            took_ms: 3,
            bytes: 4,
        }],
    };
    let event = Event {
        at: Timestamp(3),
        kind: EventKind::RecordRecovered,
        run: Some(RunId("r1".into())),
        step: None,
        record: Some(RecordId("bad-1".into())),
        message: "ok after 2 attempts".into(),
        data: serde_json::json!({ "n": 1 }),
    };
    let mut commit = commit("r1", 60);
    commit.rows = vec![RecordRow { payload: Payload::Gone, failure: None, ..row("bad-1", Status::Ok) }];
    (commit.attempts, commit.events) = (vec![attempt.clone()], vec![event.clone()]);
    block(store.commit(commit)).unwrap();
    let RecordFound::One(bad) = reader.record(Some(&route()), &RecordId("bad-1".into())).unwrap() else { panic!() };
    assert_eq!((bad.summary.status, bad.summary.version), (Status::Ok, 2));
    assert_eq!(bad.attempts, vec![AttemptDetail { run: RunId("r1".into()), attempt }]);
    assert_eq!(bad.events.into_iter().map(|logged| logged.event).collect::<Vec<_>>(), vec![event.clone()]);

    let of_record = EventFilter { record: Some(RecordId("bad-1".into())), ..EventFilter::default() };
    assert_eq!(reader.events(&of_record, EventOrder::NewestFirst, 5, None).unwrap().items[0].event, event);
    let oldest = reader.events(&EventFilter::default(), EventOrder::OldestFirst, 1, None).unwrap();
    assert_eq!(oldest.items[0].event.kind, EventKind::RunStarted);
    let rest = reader.events(&EventFilter::default(), EventOrder::OldestFirst, 100, oldest.next.as_ref()).unwrap();
    assert_eq!((rest.items.len(), rest.next), (2, None));

    let runs = reader.runs(None, 1, None).unwrap();
    assert_eq!(runs.items[0].run, RunId("s1".into()));
    assert_eq!(reader.runs(None, 1, runs.next.as_ref()).unwrap().items[0].run, RunId("r1".into()));
    let run = reader.run(&RunId("r1".into())).unwrap().unwrap();
    assert_eq!((run.summary.read, run.definition.as_str()), (90, "name = \"orders\""));
    assert_eq!(run.steps[0].1.ok, 70);
    let standing = reader.routes().unwrap();
    assert_eq!(standing[0].counts.get(Status::Ok), 61);
    assert_eq!(standing[0].counts.get(Status::Pending), 6);
    assert_eq!((standing[0].pending, standing[0].next_due), (6, Some(Timestamp(8_000))));
}

#[test]
fn what_a_dead_process_left_shows_as_in_doubt() {
    let dir = tempfile::tempdir().unwrap();
    drop(filled(dir.path()));
    let reader = LedgerReader::open(dir.path()).unwrap();
    let filter = RecordFilter { status: Some(Status::Indeterminate), ..RecordFilter::default() };
    assert_eq!(reader.records(&filter, 10, None).unwrap().items.len(), 2);
    drop(open(dir.path()).unwrap());
    let mut found = reader.records(&filter, 10, None).unwrap().items;
    found.sort_by(|a, b| a.id.cmp(&b.id));
    let ids: Vec<_> = found.iter().map(|record| record.id.0.as_str()).collect();
    assert_eq!(ids, ["bad-2", "busy-1", "busy-2"]);
    assert!(found.iter().all(|record| record.code.as_deref() == Some("in-doubt")));
    let events = reader.events(&EventFilter::default(), EventOrder::NewestFirst, 100, None).unwrap().items;
    let doubts = events.iter().filter(|logged| logged.event.kind == EventKind::RecordInDoubt).count();
    assert_eq!(doubts, 3);
}

#[test]
fn decisions() {
    let dir = tempfile::tempdir().unwrap();
    drop(filled(dir.path()));
    let store = open(dir.path()).unwrap();
    let decide = |id: &str, status: Status| {
        let decision = Decision {
            status,
            reason: "looked it up".into(),
            target_id: Some("T-9".into()),
            destinations: vec![step("erp")],
            at: Timestamp(10),
        };
        block(store.decide(route(), vec![RecordId(id.into())], decision)).map(|decided| decided[0].from)
    };
    let refused = |id: &str, status: Status, word: &str| {
        let error = decide(id, status).unwrap_err();
        assert_eq!(error.code(), "ledger-decision-refused");
        assert!(error.to_string().contains(word), "{error}");
    };
    assert_eq!(decide("busy-1", Status::Ok).unwrap(), Status::Indeterminate);
    assert_eq!(decide("busy-2", Status::Failed).unwrap(), Status::Indeterminate);
    assert_eq!(decide("bad-0", Status::Skipped).unwrap(), Status::Failed);
    assert_eq!(decide("bad-1", Status::Skipped).unwrap(), Status::Rejected);
    assert_eq!(decide("bad-5", Status::Skipped).unwrap(), Status::Pending);
    refused("busy-1", Status::Skipped, "it is ok");
    refused("bad-3", Status::Ok, "it is failed");
    refused("bad-4", Status::Pending, "cannot become pending");
    refused("ok-1-1", Status::Skipped, "no such record");
    let both = vec![RecordId("bad-3".into()), RecordId("busy-1".into())];
    let skip = Decision {
        status: Status::Skipped,
        reason: String::new(),
        target_id: None,
        destinations: vec![],
        at: Timestamp(11),
    };
    assert!(block(store.decide(route(), both, skip)).is_err());
    let rows = block(store.load(route(), ["busy-1", "bad-3"].map(|id| RecordId(id.into())).to_vec())).unwrap();
    assert_eq!((rows[0].status, rows[0].applied[0].target_id.as_str()), (Status::Ok, "T-9"));
    assert_eq!(rows[1].status, Status::Failed, "none of two if one is refused");
    let reader = store.reader().unwrap();
    let events = reader.events(&EventFilter::default(), EventOrder::NewestFirst, 100, None).unwrap().items;
    assert_eq!(events.iter().filter(|logged| logged.event.kind == EventKind::RecordDecided).count(), 5);

    // In the middle of a route, and while a run works on it.
    block(store.begin_run(start("r2"))).unwrap();
    let middle = RecordRow { step: step("map"), ..row("middle", Status::Indeterminate) };
    block(store.commit(with_row("r2", 1, middle))).unwrap();
    assert_eq!(decide("middle", Status::Ok).unwrap(), Status::Indeterminate);
    let rows = block(store.load(route(), vec![RecordId("middle".into())])).unwrap();
    assert_eq!((rows[0].status, rows[0].step.as_str(), rows[0].due), (Status::Pending, "erp", Some(Timestamp(10))));
    assert_eq!(rows[0].applied[0].step.as_str(), "map", "it goes on at the next step");
    block(store.intend(intent("r2", 2, &["bad-6"], false))).unwrap();
    refused("bad-6", Status::Skipped, "working on it");
    let report = verify(dir.path()).unwrap();
    assert!(report.is_whole(), "{report:?}");
}

#[test]
fn plans_are_frozen_and_notice_changes() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path());
    let reader = store.reader().unwrap();
    let failed = RecordFilter { status: Some(Status::Failed), route: Some(route()), ..RecordFilter::default() };
    let entries: Vec<PlanEntry> = reader
        .records(&failed, 100, None)
        .unwrap()
        .items
        .into_iter()
        .map(|record| PlanEntry {
            id: record.id,
            step: record.step.unwrap(),
            generation: record.generation,
            attempts: record.attempts,
            version: record.version,
            verdict: "will be sent".into(),
        })
        .collect();
    let plan = |hash: &str| Plan {
        hash: hash.into(),
        route: route(),
        route_hash: "h1".into(),
        recorded: false,
        edit: None,
        at: Timestamp(5),
        entries: entries.clone(),
        filter: "status failed".into(),
    };
    block(store.save_plan(plan("abc1"))).unwrap();
    block(store.save_plan(plan("abd2"))).unwrap();
    block(store.save_plan(Plan { filter: "another".into(), ..plan("abc1") })).unwrap();
    assert_eq!(reader.plan("abc1").unwrap(), Some(plan("abc1")));
    assert_eq!(reader.plan("abd").unwrap(), Some(plan("abd2")));
    assert_eq!(reader.plan("x").unwrap(), None);
    assert_eq!(reader.plan("").unwrap(), None);
    assert_eq!(reader.plan("ab").unwrap_err().code(), "ledger-bad-query");
    assert_eq!(reader.plan_changes(&route(), &entries).unwrap(), vec![]);
    block(store.commit(BatchCommit { rows: vec![row("bad-3", Status::Failed)], ..commit("r1", 70) })).unwrap();
    let changes = reader.plan_changes(&route(), &entries).unwrap();
    assert_eq!(changes, vec![PlanChange { id: RecordId("bad-3".into()), planned: 1, found: Some(2) }]);
}
