//! Backups while work goes on, whether they are whole, and what is made of them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods, clippy::print_stdout)]

mod suite;

use crossdock_engine::ports::*;
use crossdock_ledger::*;
use crossdock_model::*;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use suite::{block, end, fine, intent, row, start, with_row};

const NOW: Timestamp = Timestamp(9_000);

fn open(dir: &Path) -> LedgerStore {
    LedgerStore::open(dir, OpenOptions::new(NOW)).unwrap()
}

fn options(replace: bool) -> RestoreOptions {
    RestoreOptions { now: NOW, replace, process: None }
}

fn whole(dir: &Path) {
    let report = verify(dir).unwrap();
    assert!(report.is_whole(), "{report:?}");
}

fn ids(dir: &Path) -> BTreeSet<String> {
    let reader = LedgerReader::open(dir).unwrap();
    let page = reader.records(&RecordFilter::default(), 10_000, None).unwrap();
    assert_eq!(page.next, None);
    page.items.into_iter().map(|record| record.id.0).collect()
}

/// A ledger with `records` records that are ok and as many that failed, and one under way.
fn filled(dir: &Path, records: u64) -> LedgerStore {
    let store = open(dir);
    block(store.begin_run(start("r1"))).unwrap();
    for n in 1..=records {
        drop(store.commit(fine("r1", n, &[&format!("ok-{n}")])));
        drop(store.commit(with_row("r1", records + n, row(&format!("bad-{n}"), Status::Failed))));
    }
    block(store.intend(intent("r1", 3 * records, &["late"], true))).unwrap();
    store
}

#[test]
fn a_backup_is_one_moment_of_a_ledger_in_use() {
    let (home, stop, done) = (tempfile::tempdir().unwrap(), AtomicBool::new(false), AtomicU64::new(0));
    let dir = home.path().join("data");
    let store = filled(&dir, 300);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 1_000.. {
                if stop.load(Ordering::Acquire) {
                    break;
                }
                block(store.commit(fine("r1", n, &[&format!("during-{n}")]))).unwrap();
                done.store(n, Ordering::Release);
            }
        });
        for round in 0..5 {
            let to = home.path().join(format!("made/backup-{round}"));
            let before = done.load(Ordering::Acquire);
            let made = if round % 2 == 0 {
                block(store.backup(&to, NOW)).unwrap()
            } else {
                // As another process does that only reads.
                backup(&dir, &to, NOW).unwrap()
            };
            assert_eq!(made.at, NOW);
            assert_eq!(made.bytes, std::fs::metadata(to.join("ledger.db")).unwrap().len());
            let report = verify_backup(&to).unwrap();
            assert!(report.is_whole(), "{report:?}");
            assert_eq!(made.rows["record"], 300);
            // Everything acknowledged before is in it, and of what came later a first part.
            let found = ids(&to);
            let during = found.iter().filter_map(|id| id.strip_prefix("during-")).map(|n| n.parse::<u64>().unwrap());
            let during: BTreeSet<u64> = during.collect();
            let last = during.last().copied().unwrap_or(999);
            assert!(last >= before, "{last} {before}");
            assert_eq!(during.len() as u64, last - 999);
            let left: BTreeSet<_> = std::fs::read_dir(&to).unwrap().map(|e| e.unwrap().file_name()).collect();
            assert_eq!(left, BTreeSet::from(["ledger.db".into(), "manifest.json".into()]));
        }
        stop.store(true, Ordering::Release);
    });
    let events = store.reader().unwrap().events(&EventFilter::default(), EventOrder::NewestFirst, 100, None).unwrap();
    let noted = events.items.iter().filter(|logged| logged.event.kind == EventKind::LedgerBackedUp);
    assert_eq!(noted.count(), 3);
    whole(&dir);
}

#[test]
fn what_cannot_be_backed_up_or_restored_says_why() {
    let home = tempfile::tempdir().unwrap();
    let (dir, to, other) = (home.path().join("data"), home.path().join("backup"), home.path().join("other"));
    let check = |error: LedgerError, code: &str, class: ErrorClass, words: &str| {
        assert_eq!((error.code(), error.class()), (code, class));
        assert!(error.to_string().contains(words), "{error}");
        assert!(error.fix().is_some_and(|fix| !fix.is_empty()));
    };
    let input = ErrorClass::InvalidInput;
    check(backup(&dir, &to, NOW).unwrap_err(), "ledger-missing", input, "data");
    let store = filled(&dir, 3);
    backup(&dir, &to, NOW).unwrap();
    check(backup(&dir, &to, NOW).unwrap_err(), "ledger-backup-exists", input, "backup");
    check(block(store.backup(&to, NOW)).unwrap_err(), "ledger-backup-exists", input, "backup");
    check(verify_backup(&dir).unwrap_err(), "ledger-not-a-backup", input, "manifest.json");
    check(restore(&dir, &other, options(false)).unwrap_err(), "ledger-not-a-backup", input, "manifest.json");
    check(restore(&to, &dir, options(true)).unwrap_err(), "ledger-in-use", ErrorClass::Environment, "data");
    drop(store);
    check(restore(&to, &dir, options(false)).unwrap_err(), "ledger-not-empty", input, "data");
    let manifest = std::fs::read_to_string(to.join("manifest.json")).unwrap();
    std::fs::write(to.join("manifest.json"), manifest.replace("\"at\":9000", "\"at\":9001")).unwrap();
    check(verify_backup(&to).unwrap_err(), "ledger-not-a-backup", input, "changed");
    std::fs::write(to.join("manifest.json"), "{}").unwrap();
    check(verify_backup(&to).unwrap_err(), "ledger-not-a-backup", input, "manifest.json");
    std::fs::write(to.join("manifest.json"), &manifest).unwrap();
    let mut bytes = std::fs::read(to.join("ledger.db")).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 16;
    std::fs::write(to.join("ledger.db"), &bytes).unwrap();
    let report = verify_backup(&to).unwrap();
    assert_eq!(report.violations[0].kind, "backup");
    let before = ids(&dir);
    let operator = ErrorClass::NeedsOperator;
    check(restore(&to, &dir, options(true)).unwrap_err(), "ledger-backup-damaged", operator, "hash");
    bytes.truncate(middle);
    std::fs::write(to.join("ledger.db"), &bytes).unwrap();
    assert_eq!(verify_backup(&to).unwrap().violations[0].kind, "backup");
    check(restore(&to, &dir, options(true)).unwrap_err(), "ledger-backup-damaged", operator, "bytes");
    assert_eq!(ids(&dir), before, "the ledger is as before");
    assert!(!dir.join("restore.partial").exists());
}

#[test]
fn a_restored_ledger_takes_nothing_for_done_that_was_under_way() {
    let home = tempfile::tempdir().unwrap();
    let (dir, to, other) = (home.path().join("data"), home.path().join("backup"), home.path().join("other"));
    let store = filled(&dir, 20);
    let made = block(store.backup(&to, NOW)).unwrap();
    // After the backup the batch is closed and others follow.
    block(store.commit(fine("r1", 60, &["late"]))).unwrap();
    block(store.commit(fine("r1", 61, &["later"]))).unwrap();
    let counts = [(Status::Ok, 22), (Status::Failed, 20)];
    block(store.end_run(end("r1", RunStatus::CompletedWithFailures, 42, &counts))).unwrap();
    drop(store);
    let report = restore(&to, &other, options(false)).unwrap();
    assert_eq!(report, RestoreReport { backup: made, in_doubt: 1, runs_failed: 1, replaced: None });
    whole(&other);
    let restored = open(&other);
    let opening = block(restored.begin_run(start("r2"))).unwrap();
    // The checkpoint is that of the last commit that is there: nothing before it is missing.
    assert_eq!(opening.checkpoint, Some(Checkpoint(20_u64.to_le_bytes().to_vec())));
    assert_eq!(ids(&other).len(), 41);
    assert_eq!(opening.open.iter().filter(|row| row.open).map(|row| row.id.0.as_str()).collect::<Vec<_>>(), ["late"]);
    assert_eq!(opening.open[0].status, Status::Indeterminate);
    let reader = restored.reader().unwrap();
    let run = reader.run(&RunId("r1".into())).unwrap().unwrap().summary;
    assert_eq!(run.status, RunStatus::Failed);
    let events = reader.events(&EventFilter::default(), EventOrder::OldestFirst, 1_000, None).unwrap().items;
    let mark = events.iter().find(|logged| logged.event.kind == EventKind::LedgerRestored).unwrap();
    assert!(mark.event.message.contains("sent again with the same keys"));
    assert_eq!(mark.event.data["backup_at"], 9_000);
    drop(restored);
    // In the place of the other one, which is kept.
    let report = restore(&to, &dir, options(true)).unwrap();
    let replaced = report.replaced.unwrap();
    assert_eq!(replaced, dir.join("replaced-1"));
    assert!(!ids(&dir).contains("later") && ids(&replaced).contains("later"));
    whole(&dir);
    whole(&replaced);
    assert_eq!(restore(&to, &dir, options(true)).unwrap().replaced, Some(dir.join("replaced-2")));
    // The backup is as it was.
    assert!(verify_backup(&to).unwrap().is_whole());
}

#[test]
fn a_damaged_ledger_can_be_replaced() {
    let home = tempfile::tempdir().unwrap();
    let (dir, to) = (home.path().join("data"), home.path().join("backup"));
    drop(filled(&dir, 20));
    backup(&dir, &to, NOW).unwrap();
    std::fs::write(dir.join("ledger.db"), b"no ledger any more").unwrap();
    std::fs::write(dir.join("ledger.db-wal"), b"nor this").unwrap();
    assert_eq!(restore(&to, &dir, options(false)).unwrap_err().code(), "ledger-not-empty");
    let replaced = restore(&to, &dir, options(true)).unwrap().replaced.unwrap();
    assert_eq!(std::fs::read(replaced.join("ledger.db")).unwrap(), b"no ledger any more");
    assert_eq!(std::fs::read(replaced.join("ledger.db-wal")).unwrap(), b"nor this");
    assert_eq!(ids(&dir).len(), 41);
    whole(&dir);
}

/// Not a test of its own: the process that is killed while it backs up or restores. It counts aloud meanwhile.
#[test]
fn child_that_is_killed() {
    let Ok(job) = std::env::var("CROSSDOCK_TEST_BACKUP") else { return };
    let [what, from, to] = job.split('|').collect::<Vec<_>>().try_into().unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut out = std::io::stdout();
            while !done.load(Ordering::Acquire) && writeln!(out, "tick").and_then(|()| out.flush()).is_ok() {
                std::hint::spin_loop();
            }
        });
        match what {
            "backup" => drop(backup(from, to, NOW).unwrap()),
            _ => drop(restore(from, to, options(true)).unwrap()),
        }
        done.store(true, Ordering::Release);
    });
    println!("finished");
}

/// Starts that process and kills it after so many ticks; answers how many there were, and whether it finished.
fn killed(what: &str, from: &Path, to: &Path, after: usize) -> (usize, bool) {
    let mut child: Child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_that_is_killed", "--nocapture", "--test-threads=1"])
        .env("CROSSDOCK_TEST_BACKUP", format!("{what}|{}|{}", from.display(), to.display()))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (mut ticks, mut finished) = (0, false);
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        finished |= line == "finished";
        ticks += usize::from(line == "tick");
        if ticks == after {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    (ticks, finished)
}

/// Kills at places spread over as many ticks as the whole thing takes; answers at how many of them it had not finished.
fn kill_everywhere(what: &str, from: &Path, to: impl Fn(usize) -> PathBuf, mut look: impl FnMut(&Path, bool)) -> usize {
    const KILLS: usize = 16;
    let (all, finished) = killed(what, from, &to(0), usize::MAX);
    assert!(finished);
    look(&to(0), true);
    let mut broken_off = 0;
    for kill in 1..=KILLS {
        let (_, finished) = killed(what, from, &to(kill), (all * kill / KILLS).max(1));
        broken_off += usize::from(!finished);
        look(&to(kill), finished);
    }
    println!("{what}: broken off in {broken_off} of {KILLS} kills, over {all} ticks");
    broken_off
}

#[test]
fn a_killed_backup_leaves_nothing_or_a_whole_one() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("data");
    let _store = filled(&dir, 500);
    let to = |kill: usize| home.path().join(format!("backup-{kill}"));
    let broken_off = kill_everywhere("backup", &dir, to, |to, finished| {
        assert!(to.exists() || !finished);
        if to.exists() {
            let report = verify_backup(to).unwrap();
            assert!(report.is_whole(), "{report:?}");
        } else {
            // What the other one left behind is not in the way.
            backup(&dir, to, NOW).unwrap();
        }
        assert_eq!(ids(to).len(), 1_001);
    });
    assert!(broken_off > 3, "{broken_off}");
}

#[test]
fn a_killed_restore_leaves_the_ledger_as_before_or_restored() {
    let home = tempfile::tempdir().unwrap();
    let (dir, to) = (home.path().join("data"), home.path().join("backup"));
    drop(filled(&dir, 500));
    backup(&dir, &to, NOW).unwrap();
    let target = |kill: usize| home.path().join(format!("target-{kill}"));
    for kill in 0..=16 {
        // Left by a process that died: with a write-ahead log that belongs to it.
        let store = filled(&home.path().join("source"), 5);
        std::fs::create_dir(target(kill)).unwrap();
        for name in ["ledger.db", "ledger.db-wal"] {
            std::fs::copy(home.path().join("source").join(name), target(kill).join(name)).unwrap();
        }
        drop(store);
        std::fs::remove_dir_all(home.path().join("source")).unwrap();
    }
    let (mut before, mut restored) = (0, 0);
    let broken_off = kill_everywhere("restore", &to, target, |dir, finished| {
        drop(open(dir));
        whole(dir);
        match ids(dir).len() {
            11 if !finished => before += 1,
            1_001 => {
                restored += 1;
                assert_eq!(ids(&dir.join("replaced-1")).len(), 11);
            }
            other => panic!("{other} records"),
        }
        assert!(!dir.join("restore.ready").exists());
        // It can be done again whatever happened.
        restore(&to, dir, options(true)).unwrap();
        assert_eq!(ids(dir).len(), 1_001);
    });
    println!("{before} as before, {restored} restored");
    assert!(broken_off > 3 && before > 0 && restored > 0, "{broken_off} {before} {restored}");
}

/// Every state that a restore can be broken off in at its last step is finished by whoever opens the ledger next.
#[test]
fn a_restore_that_was_broken_off_at_its_last_step_is_finished() {
    let home = tempfile::tempdir().unwrap();
    let (dir, to) = (home.path().join("data"), home.path().join("backup"));
    drop(filled(&dir, 20));
    backup(&dir, &to, NOW).unwrap();
    let made = home.path().join("made");
    restore(&to, &made, options(false)).unwrap();
    // Which of old log, old ledger and new ledger have been moved, and whether the old ones stand aside.
    for moved in 0..=4 {
        let target = home.path().join(format!("target-{moved}"));
        let store = filled(&home.path().join(format!("source-{moved}")), 5);
        let (ready, aside) = (target.join("restore.ready"), target.join("restore.ready/replaced"));
        std::fs::create_dir_all(if moved == 0 { &ready } else { &aside }).unwrap();
        let old = |name: &str, to: &Path| assert!(std::fs::copy(store.dir().join(name), to.join(name)).unwrap() > 0);
        old("ledger.db-wal", if moved >= 1 { &aside } else { &target });
        old("ledger.db", if moved >= 2 { &aside } else { &target });
        std::fs::copy(made.join("ledger.db"), if moved >= 3 { &target } else { &ready }.join("ledger.db")).unwrap();
        if moved == 4 {
            std::fs::rename(&aside, target.join("replaced-1")).unwrap();
        }
        // A reader finishes it as well as a writer.
        if moved % 2 == 0 {
            drop(open(&target));
        }
        assert_eq!(ids(&target).len(), 41, "{moved}");
        assert_eq!(ids(&target.join("replaced-1")).len(), 11, "{moved}");
        assert!(!ready.exists());
        whole(&target);
    }
}
