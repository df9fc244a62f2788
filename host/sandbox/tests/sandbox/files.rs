//! Guests that try to leave the directories they were granted, to fill the disk, to have the host wait for ever, or
//! to use up its open files.

use crate::common::{guest, instance, wait};
use crossdock_engine::ports::{CallError, PageLimits, SourcePort};
use crossdock_sandbox::{DirGrant, Instance, WriteBudget};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tempfile::TempDir;

/// The folder `dir` within it is granted; `secret.txt` lies beside it.
fn folders() -> TempDir {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("dir")).unwrap();
    fs::write(root.path().join("dir/a.txt"), "inside").unwrap();
    fs::write(root.path().join("secret.txt"), "outside").unwrap();
    root
}

fn source(root: &Path, write: Option<WriteBudget>, tries: &str) -> Arc<dyn SourcePort> {
    let granted = DirGrant { host: root.join("dir"), guest: "/d".into(), write };
    let mut instance: Instance = instance(&format!("try {tries}"));
    instance.grants.dirs = vec![granted];
    wait(guest("guest-source").source(instance)).unwrap()
}

fn told(port: &Arc<dyn SourcePort>) -> Result<String, CallError> {
    let (page, _) = wait(port.read(None, PageLimits { max_records: 1, max_bytes: 4_000 }))?;
    Ok(page.batch.payloads.text(0).into_owned())
}

/// What a guest is told, try by try, by an instance of its own; `no` stands for any error, `no: …` for one that says
/// this.
fn check(root: &TempDir, write: Option<WriteBudget>, tries: &[(&str, &str)]) {
    let script: Vec<&str> = tries.iter().map(|(attempt, _)| *attempt).collect();
    let said = told(&source(root.path(), write, &script.join("; "))).unwrap();
    let said: Vec<&str> = said.split("; ").collect();
    assert_eq!(said.len(), tries.len(), "{said:?}");
    for ((attempt, expected), said) in tries.iter().zip(said) {
        let fits = if expected.starts_with("no") { said.starts_with(expected) } else { said == *expected };
        assert!(fits, "{attempt}: {said:?}, expected {expected:?}");
    }
}

const QUOTA: &str = "no: Quota exceeded";
/// What the C library of guests makes of any error of a stream.
const NOT_WRITTEN: &str = "no: I/O error";
const ANY: Option<WriteBudget> = Some(WriteBudget { max_bytes: 1 << 30, max_files: 1_000 });

fn up_to(max_bytes: u64, max_files: u64) -> Option<WriteBudget> {
    Some(WriteBudget { max_bytes, max_files })
}

#[test]
fn paths_that_lead_out_of_a_directory() {
    let root = folders();
    let dir = root.path().join("dir");
    let link = |to: &str, at: &str| symlink(to, dir.join(at)).unwrap();
    fs::create_dir(dir.join("sub")).unwrap();
    link("../secret.txt", "up");
    link(root.path().join("secret.txt").to_str().unwrap(), "absolute");
    link("/proc/self/environ", "process");
    link("/proc/self/root/etc/passwd", "root");
    link("/proc/self/cwd", "here");
    link("up", "first");
    link("first", "second");
    link("..", "parent");
    link("sub/../../secret.txt", "through");
    link("round", "round");
    link("a.txt", "within");
    link("../a.txt", "sub/within");
    for write in [None, ANY] {
        check(
            &root,
            write,
            &[
                ("read /d/a.txt", "inside"),
                ("read /d/within", "inside"),
                ("read /d/sub/within", "inside"),
                ("read /d/sub/../a.txt", "inside"),
                ("read /d/../secret.txt", "no"),
                ("read /d/sub/../../secret.txt", "no"),
                ("read /etc/passwd", "no"),
                ("read /d//etc/passwd", "no"),
                ("read /d/up", "no"),
                ("read /d/absolute", "no"),
                ("read /d/process", "no"),
                ("read /d/root", "no"),
                ("list /d/here", "no"),
                ("read /d/second", "no"),
                ("read /d/parent/secret.txt", "no"),
                ("list /d/parent", "no"),
                ("read /d/through", "no"),
                ("size /d/up", "no"),
                ("read /d/round", "no"),
                ("append /d/up 1", "no"),
                ("write /d/absolute 1", "no"),
                ("make-folder /d/parent/new", "no"),
                ("move /d/a.txt /d/parent/moved", "no"),
                ("remove /d/parent/secret.txt", "no"),
                ("touch /d/up", "no"),
            ],
        );
    }
    assert_eq!(fs::read_to_string(root.path().join("secret.txt")).unwrap(), "outside");
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 2);
}

#[test]
fn a_link_that_is_swapped_in_between() {
    let root = folders();
    let (ended, swaps) = (AtomicBool::new(false), std::sync::atomic::AtomicU32::new(0));
    let dir = root.path().join("dir");
    fs::write(dir.join("x"), "inside").unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                symlink("../secret.txt", dir.join("new")).unwrap();
                fs::rename(dir.join("new"), dir.join("x")).unwrap();
                fs::write(dir.join("new"), "inside").unwrap();
                fs::rename(dir.join("new"), dir.join("x")).unwrap();
                swaps.fetch_add(1, Ordering::Relaxed);
            }
        });
        let said = told(&source(root.path(), ANY, "read-again /d/x 5000"));
        ended.store(true, Ordering::Relaxed);
        let said = said.unwrap();
        assert!(said.starts_with("inside true"), "{said}");
    });
    assert!(swaps.load(Ordering::Relaxed) > 10, "it was swapped only {swaps:?} times");
}

#[test]
fn a_directory_granted_for_reading_is_not_changed() {
    let root = folders();
    let tries = [
        "write /d/a.txt 1",
        "write /d/b.txt 1",
        "append /d/a.txt 1",
        "grow /d/a.txt 100",
        "open-to-write /d/a.txt",
        "make-folder /d/new",
        "remove /d/a.txt",
        "move /d/a.txt /d/b.txt",
        "touch /d/a.txt",
    ];
    let tries: Vec<_> = tries.iter().map(|attempt| (*attempt, "no")).chain([("list /d", "a.txt")]).collect();
    check(&root, None, &tries);
    assert_eq!(fs::read_to_string(root.path().join("dir/a.txt")).unwrap(), "inside");
}

#[test]
fn no_links_are_made_or_moved() {
    let root = folders();
    symlink("a.txt", root.path().join("dir/old")).unwrap();
    check(
        &root,
        ANY,
        &[
            ("symlink a.txt /d/new", "no"),
            ("symlink /etc/passwd /d/new", "no"),
            ("symlink ../secret.txt /d/new", "no"),
            ("hard-link /d/a.txt /d/new", "no"),
            ("move /d/old /d/new", "no"),
            ("move /d/a.txt /d/b.txt", "moved"),
            ("remove /d/old", "removed"),
            ("list /d", "b.txt"),
        ],
    );
}

#[test]
fn what_is_no_file_is_not_waited_for() {
    let root = folders();
    let dir = root.path().join("dir");
    mknodat(CWD, dir.join("pipe"), FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    symlink("pipe", dir.join("to-pipe")).unwrap();
    let _socket = UnixListener::bind(dir.join("socket")).unwrap();
    for write in [None, ANY] {
        check(
            &root,
            write,
            &[
                ("open /d/pipe", "no"),
                ("open /d/to-pipe", "no"),
                ("open-to-write /d/pipe", "no"),
                ("write /d/pipe 1", "no"),
                ("append /d/pipe 1", "no"),
                ("list /d/pipe", "no"),
                ("touch /d/pipe", "no"),
                ("open /d/socket", "no"),
                ("what /d/pipe", "something else"),
                ("list /d", "a.txt pipe socket to-pipe"),
                ("read /d/a.txt", "inside"),
            ],
        );
    }
}

#[test]
fn bytes_are_counted_as_often_as_they_are_written() {
    check(
        &folders(),
        up_to(10_000, 10),
        &[
            ("write /d/b 6000", "6000 written"),
            ("write /d/b 3000", "3000 written"),
            ("append /d/b 900", "900 written"),
            ("append /d/c 101", NOT_WRITTEN),
            ("append /d/c 100", "100 written"),
            ("write /d/b 1", NOT_WRITTEN),
            ("append /d/b 1", NOT_WRITTEN),
            ("size /d/b", "0"),
            ("remove /d/c", "removed"),
            ("append /d/c 1", NOT_WRITTEN),
            ("read /d/a.txt", "inside"),
        ],
    );
}

#[test]
fn files_that_grow_without_being_written_are_counted() {
    check(
        &folders(),
        up_to(10_000, 10),
        &[
            ("grow /d/b 1000000000000", QUOTA),
            ("write-far /d/b 1000000000000 1", NOT_WRITTEN),
            ("size /d/b", "0"),
            ("grow /d/b 4000", "4000 long"),
            ("grow /d/b 1000", "1000 long"),
            ("grow /d/b 4000", "4000 long"),
            ("write-far /d/b 5000 10", "10 written"),
            ("size /d/b", "5010"),
            // 4,000 + 3,000 + 1,010 are used up.
            ("write-far /d/c 1990 1", NOT_WRITTEN),
            ("write-far /d/c 1989 1", "1 written"),
            ("append /d/c 1", NOT_WRITTEN),
        ],
    );
}

#[test]
fn files_and_folders_that_are_made_are_counted() {
    check(
        &folders(),
        up_to(1_000_000, 3),
        &[
            ("make /d/one", "made"),
            ("make /d/one", "no"),
            ("make-folder /d/two", "made"),
            ("make-folder /d/two", "no"),
            ("remove /d/one", "removed"),
            ("write /d/a.txt 10", "10 written"),
            ("write /d/two/three 10", "10 written"),
            ("append /d/two/three 10", "10 written"),
            ("make /d/four", QUOTA),
            ("make-folder /d/four", QUOTA),
            ("append /d/four 1", QUOTA),
            ("list /d", "a.txt two"),
        ],
    );
    check(
        &folders(),
        up_to(100, 0),
        &[("write /d/a.txt 10", "10 written"), ("write /d/b.txt 1", QUOTA), ("move /d/a.txt /d/b.txt", "moved")],
    );
}

#[test]
fn instances_of_one_port_share_what_they_may_write() {
    let root = folders();
    // The last try is none, which ends the instance.
    let port = source(root.path(), up_to(10_000, 10), "append /d/b 6000; give-up");
    for (number, size) in [(1, 6_000), (2, 6_000), (3, 6_000)] {
        let Err(CallError::Fault(fault)) = told(&port) else { panic!("it did not give up") };
        let detail = fault.detail.unwrap_or_default();
        assert_eq!(detail.contains("has used up what it may write into the directory /d"), number > 1, "{detail}");
        for part in ["guest-source at step here of route tests", "10000 bytes (`bytes` of the grant)"] {
            assert_eq!(detail.contains(part), number > 1, "{detail}");
        }
        assert_eq!(fs::metadata(root.path().join("dir/b")).unwrap().len(), size);
    }
    // Another port counts by itself.
    let other = source(root.path(), up_to(10_000, 10), "append /d/b 6000");
    assert_eq!(told(&other).unwrap(), "6000 written");
}

#[test]
fn open_files_are_limited_and_come_back() {
    let root = folders();
    let port = source(root.path(), None, "hoard-files /d/a.txt 1000; hoard-lists /d 1000; read /d/a.txt; list /d");
    for _ in 0..3 {
        let said = told(&port).unwrap();
        let held: Vec<usize> =
            said.split("; ").filter_map(|told| told.split_once(" held, then")?.0.parse().ok()).collect();
        assert!((64..128).contains(&held[0]) && (20..64).contains(&held[1]), "{said}");
        assert!(!said.contains("enough") && said.ends_with("; inside; a.txt"), "{said}");
    }
}

#[test]
fn a_large_directory_is_listed_in_pieces() {
    let root = folders();
    let many = root.path().join("dir/many");
    fs::create_dir(&many).unwrap();
    (0..3_000).for_each(|n| fs::write(many.join(format!("{n}")), "").unwrap());
    check(&root, None, &[("count /d/many", "3000"), ("count /d", "2"), ("what /d/many", "directory")]);
}
