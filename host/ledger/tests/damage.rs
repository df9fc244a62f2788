//! Damage and death: flipped bits, rows that were taken away, and processes killed in the middle.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods, clippy::print_stdout)]

mod suite;

use crossdock_engine::ports::*;
use crossdock_ledger::*;
use crossdock_model::*;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use suite::handlers::handler;
use suite::{block, commit, end, fine, intent, route, row, start, step, with_row};

fn open(dir: &Path) -> LedgerStore {
    LedgerStore::open(dir, OpenOptions::new(Timestamp(9_000))).unwrap()
}

/// A ledger with something in every table, closed in good order.
fn make(dir: &Path) {
    let store = open(dir);
    block(store.begin_run(start("r1"))).unwrap();
    for batch in 1..=5 {
        let ids: Vec<String> = (0..20).map(|n| format!("order-{batch}-{n}")).collect();
        block(store.commit(fine("r1", batch, &ids.iter().map(String::as_str).collect::<Vec<_>>()))).unwrap();
    }
    for n in 0..10 {
        let mut commit = with_row("r1", 10 + n, row(&format!("bad-{n}"), Status::Failed));
        commit.attempts = vec![AttemptRow {
            id: RecordId(format!("bad-{n}")),
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
        }];
        commit.state = vec![(step("erp"), StateWrite { key: format!("k{n}"), value: Some(b"v".to_vec()) })];
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
        entries: vec![entry],
        filter: String::new(),
        edit: Some((RecordId("bad-1".into()), b"{}".to_vec())),
    }))
    .unwrap();
    let tasks = (1..=3).map(|n| handler(&format!("bad-{n}"), "erp", HandlerKind::OnFailure, n)).collect();
    block(store.commit(BatchCommit { tasks, ..commit("r1", 30) })).unwrap();
    block(store.commit_tasks(suite::handlers::result(2, TaskStatus::Done))).unwrap();
    let counts = [(Status::Ok, 100), (Status::Failed, 10)];
    let mut ended = end("r1", RunStatus::CompletedWithFailures, 110, &counts);
    ended.quarantine = Some(step("map"));
    block(store.end_run(ended)).unwrap();
    block(store.begin_run(start("r2"))).unwrap();
    block(store.intent_left_behind());
    drop(store);
}

trait LeftBehind {
    fn intent_left_behind(&self) -> PortFuture<'static, ()>;
}

impl LeftBehind for LedgerStore {
    fn intent_left_behind(&self) -> PortFuture<'static, ()> {
        let written = self.intend(intent("r2", 1, &["late-1"], true));
        Box::pin(async move { written.await.unwrap() })
    }
}

/// Everything that readers say, as text; errors in the place of what could not be read.
fn told(dir: &Path) -> Result<Vec<String>, LedgerError> {
    let reader = LedgerReader::open(dir)?;
    let mut told = Vec::new();
    for record in reader.records(&RecordFilter::default(), 10_000, None)?.items {
        if record.version > 0
            && let RecordFound::One(detail) = reader.record(Some(&record.route), &record.id)?
        {
            told.push(format!("One({:?} {:?})", detail.summary, detail.row));
            told.extend(detail.attempts.iter().map(|attempt| format!("One({attempt:?})")));
            told.extend(detail.events.iter().map(|event| format!("One({event:?})")));
            told.extend(detail.tasks.iter().map(|task| format!("One({task:?})")));
        }
        told.push(format!("{record:?}"));
    }
    for status in [Status::Failed, Status::Ok] {
        let filter = RecordFilter { route: Some(route()), status: Some(status), ..RecordFilter::default() };
        told.push(format!("{:?}", reader.records(&filter, 10_000, None)?));
    }
    told.push(format!("{:?}", reader.events(&EventFilter::default(), EventOrder::OldestFirst, 10_000, None)?));
    told.push(format!("{:?} {:?}", reader.run(&RunId("r1".into()))?, reader.run(&RunId("r2".into()))?));
    told.push(format!("{:?} {:?}", reader.plan("abc")?, reader.routes()?));
    told.push(format!("{:?}", reader.quarantined(&route())?));
    Ok(told)
}

#[test]
fn a_flipped_bit_is_never_taken_for_truth() {
    let good = tempfile::tempdir().unwrap();
    make(good.path());
    let report = verify(good.path()).unwrap();
    assert!(report.is_whole(), "{report:?}");
    assert_eq!((report.runs, report.records, report.chunk_records), (2, 10, 100));
    let truth = told(good.path()).unwrap();
    let bytes = std::fs::read(good.path().join("ledger.db")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (mut refused, mut found, mut harmless) = (0, 0, 0);
    // Fixed pseudo-random places over all that is not zero: the rest is mostly pages that hold nothing.
    let filled: Vec<usize> = (0..bytes.len()).filter(|&at| bytes[at] != 0).collect();
    let mut place = 0x2545_f491_4f6c_dd1du64;
    for _ in 0..300 {
        place ^= place << 13;
        place ^= place >> 7;
        place ^= place << 17;
        let at = filled[usize::try_from(place % filled.len() as u64).unwrap()];
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (place >> 61);
        std::fs::write(dir.path().join("ledger.db"), &flipped).unwrap();
        let _ = std::fs::remove_file(dir.path().join("ledger.db-wal"));
        let _ = std::fs::remove_file(dir.path().join("ledger.db-shm"));
        let whole = verify(dir.path()).is_ok_and(|report| report.is_whole());
        match told(dir.path()) {
            Err(_) => {
                refused += 1;
                assert!(!whole, "byte {at}: reading fails and verify finds nothing");
            }
            Ok(now) if whole => {
                assert_eq!(now, truth, "byte {at}: verify calls it whole");
                harmless += 1;
            }
            Ok(now) => {
                found += 1;
                // What is read row by row is right or refused; what is missing from an index is found by verify.
                let wrong = now.iter().filter(|line| line.starts_with("One(") && !truth.contains(line));
                assert_eq!(wrong.collect::<Vec<_>>(), Vec::<&String>::new(), "byte {at}");
            }
        }
    }
    println!("{refused} refused on reading, {found} found by verify only, {harmless} harmless");
    assert!(refused > 30 && found > 5);
}

fn edit(dir: &Path, sql: &str) {
    let conn = rusqlite::Connection::open(dir.join("ledger.db")).unwrap();
    assert!(conn.execute(sql, []).unwrap() > 0, "{sql} changed nothing");
}

#[test]
fn a_filter_that_hides_a_record_is_not_believed() {
    let dir = tempfile::tempdir().unwrap();
    make(dir.path());
    let id = RecordId("order-3-7".into());
    let ask = || {
        let reader = LedgerReader::open(dir.path()).unwrap();
        let by_id = RecordFilter { id: Some(id.clone()), ..RecordFilter::default() };
        let listed = reader.records(&by_id, 10, None).map(|page| page.items.len());
        (reader.record(None, &id).map(|found| matches!(found, RecordFound::One(_))), listed)
    };
    assert_eq!(ask(), (Ok(true), Ok(1)));
    edit(dir.path(), "UPDATE chunk SET filter = zeroblob(length(filter))");
    let (found, listed) = ask();
    for answer in [found.map(usize::from), listed] {
        assert!(matches!(answer, Err(LedgerError::Damaged { .. })), "{answer:?}");
    }
}

#[test]
fn verify_names_what_is_wrong() {
    let check = |sql: &str, kinds: &[&str], words: &[&str]| {
        let dir = tempfile::tempdir().unwrap();
        make(dir.path());
        edit(dir.path(), sql);
        let report = verify(dir.path()).unwrap();
        let all: String = report.violations.iter().map(|v| format!("{}: {}\n", v.kind, v.message)).collect();
        let found: BTreeSet<&str> = report.violations.iter().map(|violation| violation.kind).collect();
        assert!(kinds.iter().all(|kind| found.contains(kind)), "{sql}\n{all}");
        assert!(words.iter().all(|word| all.contains(word)), "{sql}\n{all}");
    };
    check("UPDATE record SET status = 'ok' WHERE id = 'bad-3'", &["checksum"], &["table record"]);
    check("UPDATE payload SET body = x'00' WHERE key = 2", &["checksum", "payload"], &["bad-1", "damaged"]);
    check("DELETE FROM payload WHERE key = 2", &["payload", "missing"], &["bad-1: its payload is missing"]);
    check("DELETE FROM record WHERE id = 'bad-3'", &["missing", "standing", "payload"], &["10 are noted", "failed"]);
    check("DELETE FROM batch WHERE key = 2", &["accounting", "missing"], &["r1", "sum of its commits"]);
    check("DELETE FROM run WHERE id = 'r1'", &["missing"], &["a run that is not there"]);
    check("UPDATE run SET read = 109 WHERE id = 'r1'", &["checksum"], &["table run"]);
    check("DELETE FROM chunk WHERE key = 3", &["chunk", "missing", "standing"], &["20 ok"]);
    check("DELETE FROM chunk_data WHERE key = 3", &["checksum", "missing"], &["key 3 are missing"]);
    check("UPDATE chunk_data SET body = zeroblob(9) WHERE key = 3", &["checksum"], &["chunk_data"]);
    check("UPDATE chunk SET filter = zeroblob(25) WHERE key = 3", &["checksum"], &["table chunk"]);
    check("DELETE FROM event WHERE key = 1", &["missing"], &["table event"]);
    check("UPDATE event SET body = '{}' WHERE key = 1", &["checksum"], &["table event"]);
    check("DELETE FROM attempt WHERE id = 'bad-4'", &["missing"], &["table attempt"]);
    check(
        "INSERT INTO attempt SELECT 99, route, id, step, generation, attempt, run, began, ended, outcome, failure,
         target_id, receipt, exchanges, crc, kind FROM attempt WHERE id = 'bad-4'",
        &["attempt", "checksum"],
        &["bad-4", "2 times"],
    );
    check("DELETE FROM inflight", &["missing"], &["table inflight"]);
    check("UPDATE plugin_state SET value = x'01' WHERE key = 1", &["checksum"], &["plugin_state"]);
    check("UPDATE plan SET filter = 'other'", &["checksum"], &["table plan"]);
    check("UPDATE plan SET recorded = NULL", &["checksum"], &["table plan"]);
    check("DELETE FROM plan_part", &["missing"], &["plan abc has 0 records, it was made with 1"]);
    check("UPDATE plan_part SET body = x'00'", &["checksum", "missing"], &["table plan_part"]);
    check("UPDATE plan SET hash = 'other'", &["checksum", "missing"], &["plan abc, which is not there"]);
    check("DELETE FROM task WHERE key = 2", &["missing"], &["table task"]);
    check("UPDATE task SET due = NULL WHERE key = 1", &["checksum"], &["table task"]);
    check("UPDATE task SET body = x'00' WHERE key = 3", &["checksum"], &["table task"]);
    check("DELETE FROM quarantine", &["missing"], &["table quarantine"]);
    check("UPDATE quarantine SET digest = '11'", &["checksum"], &["table quarantine"]);
    check("UPDATE record SET order_key = x'01' WHERE id = 'bad-3'", &["checksum"], &["table record"]);
    check("UPDATE record SET fingerprint = NULL WHERE id = 'bad-3'", &["checksum"], &["table record"]);
    check("UPDATE attempt SET kind = 'compensate' WHERE id = 'bad-3'", &["checksum"], &["table attempt"]);
    check("UPDATE run SET moved = 0 WHERE id = 'r1'", &["checksum"], &["table run"]);
    check("UPDATE definition SET body = 'other'", &["checksum"], &["definition"]);
    check("UPDATE route SET checkpoint = x'09'", &["checksum"], &["table route"]);
    check("UPDATE standing SET n = n + 1 WHERE status = 'ok'", &["standing"], &["101 records are noted as ok"]);
}

#[test]
fn verify_sees_what_was_written_wrong() {
    let check = |write: &dyn Fn(&LedgerStore), kind: &str, words: &str| {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        block(store.begin_run(start("r1"))).unwrap();
        write(&store);
        let report = verify(dir.path()).unwrap();
        let named = |violation: &Violation| violation.kind == kind && violation.message.contains(words);
        assert!(report.violations.iter().any(named), "{words}: {report:?}");
    };
    let gone = |status: Status| RecordRow { payload: Payload::Gone, ..row("a", status) };
    check(&|store| block(store.commit(with_row("r1", 1, gone(Status::Failed)))).unwrap(), "payload", "a is failed");
    check(&|store| block(store.commit(with_row("r1", 1, gone(Status::Pending)))).unwrap(), "payload", "a is pending");
    let passed = RecordRow { payload: Payload::AtSource, ..row("a", Status::New) };
    check(&|store| block(store.commit(with_row("r1", 1, passed.clone()))).unwrap(), "payload", "a is new");
    let unread = |store: &LedgerStore| {
        block(store.commit(BatchCommit { read: 3, ..fine("r1", 1, &["a"]) })).unwrap();
    };
    check(&unread, "accounting", "3 read");
    let uncounted = |store: &LedgerStore| {
        block(store.commit(BatchCommit { counts: Counts::default(), read: 0, ..fine("r1", 1, &["a"]) })).unwrap();
    };
    check(&uncounted, "accounting", "1 records are kept as ok, 0 were counted");
    let step_lost = |store: &LedgerStore| {
        let mut commit = fine("r1", 1, &["a"]);
        commit.steps[0].1.records_in = 2;
        block(store.commit(commit)).unwrap();
    };
    check(&step_lost, "accounting", "step erp");
    let told = |store: &LedgerStore| {
        assert!(block(store.end_run(end("r1", RunStatus::Ok, 5, &[(Status::Ok, 5)]))).is_err());
    };
    check(&told, "accounting", "r1 ended with numbers that do not add up");
}

/// Not a test of its own: the process that is killed. It writes and says what was acknowledged.
#[test]
fn child_that_is_killed() {
    let Ok(dir) = std::env::var("CROSSDOCK_TEST_LEDGER") else { return };
    let store = open(Path::new(&dir));
    let run = format!("run-{}", std::process::id());
    block(store.begin_run(start(&run))).unwrap();
    let say = |line: String| {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{line}").unwrap();
        out.flush().unwrap();
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let callers = (0..4u64).map(|caller| {
            let (store, run) = (store.clone(), run.clone());
            tokio::spawn(async move {
                for n in 0.. {
                    let batch = caller * 1_000_000 + n;
                    let id = format!("{run}-{batch}");
                    store.intend(intent(&run, batch, &[&id], true)).await.unwrap();
                    say(format!("intent {id}"));
                    let mut commit = if n % 3 == 0 {
                        with_row(&run, batch, row(&id, Status::Failed))
                    } else {
                        BatchCommit { checkpoint: None, ..fine(&run, batch, &[&id]) }
                    };
                    commit.closes = true;
                    store.commit(commit).await.unwrap();
                    say(format!("commit {id}"));
                }
            })
        });
        for caller in callers.collect::<Vec<_>>() {
            caller.await.unwrap();
        }
    });
}

#[test]
fn nothing_acknowledged_is_lost_when_the_process_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let (mut intents, mut commits) = (BTreeSet::new(), BTreeSet::new());
    for round in 0..12u32 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_that_is_killed", "--nocapture", "--test-threads=1"])
            .env("CROSSDOCK_TEST_LEDGER", dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut seen = 0;
        // Killed after a number of lines that differs every round; whatever comes out until it is dead counts.
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            let Some((kind, id)) = line.split_once(' ') else { continue };
            match kind {
                "intent" => drop(intents.insert(id.to_owned())),
                "commit" => drop(commits.insert(id.to_owned())),
                _ => continue,
            }
            seen += 1;
            if seen == 3 + round * 17 {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        let store = open(dir.path());
        let reader = store.reader().unwrap();
        let report = verify(dir.path()).unwrap();
        assert!(report.is_whole(), "{report:?}");
        let records = reader.records(&RecordFilter::default(), 10_000, None).unwrap();
        assert_eq!(records.next, None);
        let known = |status: &[Status]| -> BTreeSet<String> {
            let items = records.items.iter();
            items.filter(|record| status.contains(&record.status)).map(|record| record.id.0.clone()).collect()
        };
        let done = known(&[Status::Ok, Status::Failed]);
        let doubt = known(&[Status::Indeterminate]);
        assert_eq!(commits.difference(&done).collect::<Vec<_>>(), Vec::<&String>::new(), "acknowledged and lost");
        let lost = intents.iter().filter(|id| !done.contains(*id) && !doubt.contains(*id));
        assert_eq!(lost.collect::<Vec<_>>(), Vec::<&String>::new(), "asked and forgotten");
        assert!(doubt.is_disjoint(&done));
    }
    assert!(commits.len() > 300, "{}", commits.len());
    let store = open(dir.path());
    let runs = store.reader().unwrap().runs(None, 100, None).unwrap().items;
    assert_eq!(runs.len(), 12);
    assert!(runs.iter().all(|run| run.status == RunStatus::Failed));
    block(store.begin_run(start("last"))).unwrap();
    block(store.commit(commit("last", 1))).unwrap();
}
