//! No room: new work waits, outcomes of work under way are still written, nothing acknowledged is lost, and all goes
//! on by itself when there is room.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods, clippy::print_stdout)]

mod suite;

use crossdock_engine::ports::*;
use crossdock_ledger::*;
use crossdock_model::*;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use suite::{block, end, fine, intent, route, row, start, with_row};

const SMALL_BYTES: u64 = 600 * 1024;

fn open(dir: &Path, max_bytes: u64, full_wait_max_ms: u64) -> LedgerStore {
    let options = OpenOptions { max_bytes: Some(max_bytes), full_wait_max_ms, ..OpenOptions::new(Timestamp(9_000)) };
    LedgerStore::open(dir, options).unwrap()
}

/// A failed record with 8,000 bytes that do not compress.
fn big(id: &str) -> RecordRow {
    let noise = (0..8_000u64).map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40).to_le_bytes()[0]);
    RecordRow { payload: Payload::Kept(noise.collect()), ..row(id, Status::Failed) }
}

fn id(batch: u64) -> String {
    format!("id-{batch}")
}

/// Everything up to and with `last` is there.
fn all_there(store: &LedgerStore, last: u64) {
    let ids = (1..=last).map(|batch| RecordId(id(batch))).collect();
    let found = block(store.load(route(), ids)).unwrap();
    assert_eq!(found.len(), usize::try_from(last).unwrap());
    assert!(found.iter().all(|row| matches!(&row.payload, Payload::Kept(bytes) if bytes.len() == 8_000)));
    let report = verify(store.dir()).unwrap();
    assert!(report.is_whole(), "{report:?}");
}

fn kinds(store: &LedgerStore) -> Vec<EventKind> {
    let reader = store.reader().unwrap();
    let events = reader.events(&EventFilter::default(), EventOrder::OldestFirst, 10_000, None).unwrap().items;
    let intake = [EventKind::IntakeStopped, EventKind::IntakeResumed];
    events.into_iter().map(|logged| logged.event.kind).filter(|kind| intake.contains(kind)).collect()
}

fn until(what: &str, mut happened: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !happened() {
        assert!(begun.elapsed() < Duration::from_secs(50), "{what} did not happen");
        std::thread::yield_now();
    }
}

/// Writes records one by one, each with its intent, until told to stop; counts those that were acknowledged.
fn work(store: &LedgerStore, done: &AtomicU64, stop: &AtomicBool) -> u64 {
    block(store.begin_run(start("r1"))).unwrap();
    let mut batch = 0;
    while !stop.load(Ordering::Acquire) {
        batch += 1;
        block(store.intend(intent("r1", batch, &[&id(batch)], true))).unwrap();
        block(store.commit(with_row("r1", batch, big(&id(batch))))).unwrap();
        done.store(batch, Ordering::Release);
    }
    let counts = [(Status::Failed, i64::try_from(batch).unwrap())];
    block(store.end_run(end("r1", RunStatus::CompletedWithFailures, batch, &counts))).unwrap();
    batch
}

/// Has `work` run into the end of the room, makes room, and sees it go on.
fn stops_and_goes_on(store: &LedgerStore, make_room: impl FnOnce()) {
    let (done, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let worker = std::thread::spawn({
        let (store, done, stop) = (store.clone(), Arc::clone(&done), Arc::clone(&stop));
        move || work(&store, &done, &stop)
    });
    until("the stop", || kinds(store) == [EventKind::IntakeStopped]);
    // The outcome under way is written in the room that was kept free; the next intent waits.
    until("the last outcome", || {
        let before = done.load(Ordering::Acquire);
        let reader = store.reader().unwrap();
        before > 0 && reader.record(None, &RecordId(id(before + 1))).unwrap() == RecordFound::None
    });
    let stopped = done.load(Ordering::Acquire);
    assert_eq!(kinds(store), [EventKind::IntakeStopped]);
    // What only reads is answered.
    assert_eq!(block(store.load(route(), vec![RecordId(id(1))])).unwrap().len(), 1);
    assert_eq!(done.load(Ordering::Acquire), stopped, "nothing new was begun");
    make_room();
    until("the resumption", || done.load(Ordering::Acquire) > stopped + 3);
    stop.store(true, Ordering::Release);
    let last = worker.join().unwrap();
    assert_eq!(kinds(store), [EventKind::IntakeStopped, EventKind::IntakeResumed]);
    all_there(store, last);
    let run = store.reader().unwrap().run(&RunId("r1".into())).unwrap().unwrap().summary;
    assert_eq!(run.status, RunStatus::CompletedWithFailures);
    println!("stopped after {stopped} records, went on to {last}");
}

/// Writes a file until nothing more fits on its disk; says how long it is.
fn fill(file: &Path) -> u64 {
    let mut file = File::create(file).unwrap();
    while file.write_all(&[7u8; 512]).is_ok() {}
    file.metadata().unwrap().len()
}

#[test]
fn work_goes_on_by_itself_when_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), SMALL_BYTES, 50_000);
    stops_and_goes_on(&store, || block(store.set_max_bytes(Some(SMALL_BYTES * 4))).unwrap());
    assert!(dir.path().join("ledger.ballast").exists(), "room is kept free again");
    // The same on a disk that is really full, if there is a small one to fill: with 16 to 64 MiB and nothing on it.
    if let Ok(disk) = std::env::var("CROSSDOCK_SMALL_DISK") {
        let filler = Path::new(&disk).join("filler");
        let store = LedgerStore::open(Path::new(&disk).join("data"), OpenOptions::new(Timestamp(9_000))).unwrap();
        let free = fill(&filler);
        File::options().write(true).open(&filler).unwrap().set_len(free - 2 * 1024 * 1024).unwrap();
        stops_and_goes_on(&store, || std::fs::remove_file(&filler).unwrap());
        block(store.begin_run(start("r2"))).unwrap();
        block(store.intend(intent("r2", 1, &["left"], true))).unwrap();
        // As after the death of the process: nothing is worked into the file, and not a byte is free.
        let kept = std::fs::read(store.dir().join("ledger.db-wal")).unwrap();
        let (dir, database) = (store.dir().to_owned(), std::fs::read(store.dir().join("ledger.db")).unwrap());
        drop(store);
        std::fs::write(dir.join("ledger.db"), database).unwrap();
        std::fs::write(dir.join("ledger.db-wal"), kept).unwrap();
        fill(&filler);
        let store = LedgerStore::open(&dir, OpenOptions::new(Timestamp(9_000))).unwrap();
        std::fs::remove_file(&filler).unwrap();
        let left = block(store.load(route(), vec![RecordId("left".into())])).unwrap();
        assert_eq!(left.iter().map(|row| row.status).collect::<Vec<_>>(), [Status::Indeterminate]);
    }
}

#[test]
fn what_cannot_wait_longer_is_refused_and_nothing_is_spoiled() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), SMALL_BYTES, 20);
    block(store.begin_run(start("r1"))).unwrap();
    let mut last = 0;
    let refused = loop {
        if let Err(error) = block(store.intend(intent("r1", last + 1, &[&id(last + 1)], true))) {
            break error;
        }
        last += 1;
        block(store.commit(with_row("r1", last, big(&id(last))))).unwrap();
        assert!(last < 10_000, "the limit is not kept");
    };
    assert_eq!((refused.code, refused.class), ("ledger-disk-full", ErrorClass::Environment));
    assert_eq!(block(store.begin_run(start("r2"))).unwrap_err().code, "ledger-disk-full");
    // The end of what was begun is an outcome, for which there is room.
    let counts = [(Status::Failed, i64::try_from(last).unwrap())];
    block(store.end_run(end("r1", RunStatus::Failed, last, &counts))).unwrap();
    all_there(&store, last);
    let unknown = RecordId(id(last + 1));
    assert_eq!(store.reader().unwrap().record(None, &unknown).unwrap(), RecordFound::None, "it was not begun");
    block(store.set_max_bytes(None)).unwrap();
    block(store.begin_run(start("r2"))).unwrap();
    block(store.commit(fine("r2", 1, &["x"]))).unwrap();
    assert_eq!(kinds(&store), [EventKind::IntakeStopped, EventKind::IntakeResumed]);
}

#[test]
fn outcomes_that_fit_nowhere_end_the_writer_and_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), SMALL_BYTES, 20);
    block(store.begin_run(start("r1"))).unwrap();
    let mut last = 0;
    let error = loop {
        match block(store.commit(with_row("r1", last + 1, big(&id(last + 1))))) {
            Ok(()) => last += 1,
            Err(error) => break error,
        }
        assert!(last < 10_000, "the limit is not kept");
    };
    assert_eq!((error.code, error.class), ("ledger-disk-full", ErrorClass::Environment));
    let later = block(store.commit(fine("r1", 99_999, &["x"]))).unwrap_err();
    assert_eq!(later.code, "ledger-must-reopen");
    assert_eq!(block(store.set_max_bytes(None)).unwrap_err().code(), "ledger-must-reopen");
    drop(store);
    let again = open(dir.path(), SMALL_BYTES * 2, 20);
    all_there(&again, last);
    block(again.begin_run(start("r2"))).unwrap();
    block(again.commit(fine("r2", 1, &["x"]))).unwrap();
    let died = again.reader().unwrap().run(&RunId("r1".into())).unwrap().unwrap().summary;
    assert_eq!((died.status, died.reason.unwrap().code), (RunStatus::Failed, "process-ended".to_owned()));
}

#[test]
fn a_ledger_that_is_opened_without_room_waits_for_it() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path(), SMALL_BYTES, 20));
    let store = open(dir.path(), 8 * 4096, 50_000);
    until("the stop", || kinds(&store) == [EventKind::IntakeStopped] || dir.path().join("ledger.ballast").exists());
    let waiting = store.begin_run(start("r1"));
    block(store.set_max_bytes(Some(SMALL_BYTES))).unwrap();
    block(waiting).unwrap();
    block(store.commit(fine("r1", 1, &["x"]))).unwrap();
    assert!(verify(dir.path()).unwrap().is_whole());
}
