//! Errors and failures that no other test meets, each with what it says: what was being done, what went wrong where,
//! and what to do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod suite;

use crossdock_engine::ports::{Ledger, PortError};
use crossdock_ledger::{Edit, LedgerReader, LedgerStore, OpenOptions, RecordFound};
use crossdock_model::{ErrorClass, Explained, RecordId, RouteName, RunId, RunStatus, Status, Timestamp};
use std::path::Path;
use suite::{block, column, end, fine, intent, route, row, start, step, with_row};

/// What a person is told: code, class, what went wrong, what to do.
#[derive(Debug)]
struct Told {
    code: String,
    class: ErrorClass,
    message: String,
    fix: Option<String>,
}

impl<E: Explained> From<E> for Told {
    fn from(error: E) -> Self {
        let (code, class, fix) = (error.code().to_owned(), error.class(), error.fix());
        Self { code, class, message: error.to_string(), fix }
    }
}

/// A ledger with the run `r1`, and what it answers to something that cannot go well; the words stand in the message,
/// or in the fix.
#[track_caller]
fn check<E: Explained>(
    what: impl FnOnce(&Path, &LedgerStore) -> Result<(), E>,
    code: &str,
    class: ErrorClass,
    message: &[&str],
    fix: &str,
) {
    let dir = tempfile::tempdir().unwrap();
    let store = LedgerStore::open(dir.path(), OpenOptions::new(Timestamp(9_000))).unwrap();
    block(store.begin_run(start("r1"))).unwrap();
    let told = Told::from(what(dir.path(), &store).expect_err(code));
    assert_eq!((told.code.as_str(), told.class), (code, class), "{told:?}");
    assert!(message.iter().all(|words| told.message.contains(words)), "{told:?} does not say {message:?}");
    assert!(told.fix.as_ref().is_some_and(|text| text.contains(fix)), "{told:?} does not say what to do: {fix:?}");
}

#[test]
fn writing_for_a_run_that_is_not_running() {
    let check = |what: fn(&LedgerStore) -> Result<(), PortError>, run: &str| {
        let (message, fix) = (["writing the ledger", &format!("run {run} is not running")], "crossdock verify");
        check(|_, store| what(store), "ledger-unknown-run", ErrorClass::Internal, &message, fix);
    };
    check(|store| block(store.commit(fine("r9", 1, &["a"]))), "r9");
    check(|store| block(store.intend(intent("r9", 1, &["a"], true))), "r9");
    check(|store| block(store.end_run(end("r9", RunStatus::Ok, 0, &[]))), "r9");
    let after_its_end = |store: &LedgerStore| {
        block(store.end_run(end("r1", RunStatus::Ok, 0, &[]))).unwrap();
        block(store.commit(fine("r1", 1, &["a"])))
    };
    check(after_its_end, "r1");
    let of_another_route = |store: &LedgerStore| {
        let mut commit = fine("r1", 1, &["a"]);
        commit.route = RouteName::new("invoices").unwrap();
        block(store.commit(commit))
    };
    check(of_another_route, "r1");
}

#[test]
fn writing_what_contradicts_itself() {
    let check = |what: fn(&LedgerStore) -> Result<(), PortError>, words: &str| {
        let message = ["writing the ledger", words];
        let nothing_is_written = |dir: &Path, store: &LedgerStore| {
            let answer = what(store);
            let reader = LedgerReader::open(dir).unwrap();
            assert!(matches!(reader.record(None, &RecordId("a".into())), Ok(RecordFound::None)));
            answer
        };
        check(nothing_is_written, "ledger-bad-commit", ErrorClass::Internal, &message, "report what it says");
    };
    check(|store| block(store.begin_run(start("r1"))).map(drop), "run r1 was begun before");
    check(|store| block(store.end_run(end("r1", RunStatus::Running, 0, &[]))), "a run cannot end as running");
    let chunk = |store: &LedgerStore| {
        let mut commit = fine("r1", 1, &["a"]);
        commit.chunk.as_mut().unwrap().statuses.clear();
        block(store.commit(commit))
    };
    check(chunk, "the chunk of a batch contradicts itself");
    let attempts = |store: &LedgerStore| {
        let mut intent = intent("r1", 1, &["a"], true);
        intent.attempts.clear();
        block(store.intend(intent))
    };
    check(attempts, "one attempt and one generation a record");
    let id = |store: &LedgerStore| {
        let mut intent = intent("r1", 1, &["a"], true);
        intent.ids = [b"\xff"].iter().collect();
        block(store.intend(intent))
    };
    check(id, "an id is not UTF-8");
    let several = |store: &LedgerStore| {
        let mut intent = intent("r1", 1, &["a", "b"], true);
        intent.careful = true;
        assert_eq!(intent.ids, column(&["a", "b"]));
        block(store.intend(intent))
    };
    check(several, "for 2 records and calls itself careful");
}

#[test]
fn a_folder_that_cannot_be_made() {
    let below_a_file = |dir: &Path, _: &LedgerStore| {
        let file = dir.join("file");
        std::fs::write(&file, "").unwrap();
        LedgerStore::open(file.join("data"), OpenOptions::new(Timestamp(9_000))).map(drop)
    };
    let message = ["using the ledger", "the folder", "file/data cannot be made"];
    let fix = "the data folder can be written to";
    check(below_a_file, "ledger-storage", ErrorClass::Environment, &message, fix);
}

/// A table is put in place of another that never comes to an end, which no index can help.
#[test]
fn a_question_that_takes_too_long() {
    let endless = |dir: &Path, _: &LedgerStore| {
        let sql = "DROP TABLE definition;
            CREATE VIEW definition AS WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n)
            SELECT 'h' || n AS hash, '' AS body, 0 AS crc FROM n;";
        rusqlite::Connection::open(dir.join("ledger.db")).unwrap().execute_batch(sql).unwrap();
        LedgerReader::open(dir).unwrap().definition("none").map(drop)
    };
    let message = ["reading the ledger", "no answer within 10000 ms", "query_time_max_ms"];
    check(endless, "ledger-query-too-long", ErrorClass::Environment, &message, "Narrow the question down");
}

/// A record that never failed gets a failure that says why it waits now; one that did keeps its own.
#[test]
fn a_record_whose_content_a_person_changed() {
    let dir = tempfile::tempdir().unwrap();
    let store = LedgerStore::open(dir.path(), OpenOptions::new(Timestamp(9_000))).unwrap();
    block(store.begin_run(start("r1"))).unwrap();
    let check = |batch: u64, status: Status, failed: bool, code: &str, message: &str| {
        let mut row = row(&format!("id-{batch}"), status);
        row.failure = row.failure.filter(|_| failed);
        let id = row.id.clone();
        block(store.commit(with_row("r1", batch, row))).unwrap();
        let (content, reason) = (b"{}".to_vec(), "a typing error".to_owned());
        let edit = Edit { id: id.clone(), content, first: step("map"), reason, at: Timestamp(9_500) };
        block(store.edit(route(), edit)).unwrap();
        let loaded = block(store.load(route(), vec![id])).unwrap().remove(0);
        let failure = loaded.failure.unwrap();
        assert_eq!((loaded.status, loaded.generation, failure.code.as_str()), (Status::Failed, 1, code));
        assert_eq!(failure.message, message);
        assert_eq!(loaded.run, RunId("r1".into()));
    };
    check(1, Status::Pending, false, "record-edited", "a person changed its content: a typing error");
    check(2, Status::RolledBack, false, "record-edited", "a person changed its content: a typing error");
    check(3, Status::Failed, true, "http-422", "id-3 refused");
}
