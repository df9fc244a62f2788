//! Sources that misbehave, and what they can reach in the file system.

use crate::common::{guest, instance, values, wait};
use crossdock_engine::ports::{CallError, More, Page, PageLimits, RefusalKind, SourcePort};
use crossdock_model::{Checkpoint, FaultKind};
use crossdock_sandbox::{DirGrant, Instance, WriteBudget};
use std::fs;
use std::sync::Arc;

const LIMITS: PageLimits = PageLimits { max_records: 4, max_bytes: 4_000 };

fn start(instance: Instance) -> Arc<dyn SourcePort> {
    wait(guest("guest-source").source(instance)).unwrap()
}

fn read(misbehave: &str, checkpoint: &str) -> Result<Page, CallError> {
    let checkpoint = (!checkpoint.is_empty()).then(|| Checkpoint(checkpoint.into()));
    wait(start(instance(misbehave)).read(checkpoint, LIMITS)).map(|(page, _)| page)
}

fn check_broken(misbehave: &str, checkpoint: &str, message: &str) {
    let answer = read(misbehave, checkpoint);
    let Err(CallError::Fault(fault)) = &answer else { panic!("{misbehave}: {answer:?}") };
    assert_eq!(fault.kind, FaultKind::BrokenContract, "{misbehave}");
    assert!(fault.message.contains(message), "{misbehave}: {:?} does not say {message:?}", fault.message);
}

#[test]
fn pages_that_break_the_contract() {
    check_broken("too-many", "", "a page of 5 records, 4 were asked for");
    check_broken("large", "", "passes the 4000 bytes");
    check_broken("same-ids", "", "the id r stands twice");
    check_broken("empty-id", "", "the id of record 1");
    check_broken("control-id", "", "the id of record 0");
    check_broken("long-id", "", "the id of record 0");
    check_broken("ids-missing", "", "4 values for 0 records");
    check_broken("unmoved", "2", "does not move the checkpoint");
    check_broken("endless", "2", "without moving the checkpoint");
    check_broken("large-checkpoint", "", "65537 bytes");
    check_broken("keys-short", "", "1 values for 4 records");
    check_broken("unreadable-far", "", "not in ascending order within the page");
    check_broken("unreadable-twice", "", "not in ascending order within the page");
}

#[test]
fn pages_follow_one_another() {
    let port = start(instance(""));
    let mut checkpoint = None;
    let mut ids = Vec::new();
    loop {
        let (page, _) = wait(port.read(checkpoint.clone(), LIMITS)).unwrap();
        assert_eq!(page.order_keys, None);
        ids.extend(values(&page.batch.ids));
        checkpoint = Some(page.checkpoint);
        if page.more == More::End {
            break;
        }
    }
    assert_eq!(ids, (0..10).map(|n| format!("r{n}")).collect::<Vec<_>>());
    assert!(wait(port.ack(Checkpoint(b"10".to_vec()))).is_ok());
    let page = read("unreadable", "").unwrap();
    assert_eq!(page.unreadable[0].0, 1);
    assert_eq!(page.unreadable[0].1.message, "line 2 does not parse");
    assert_eq!(values(&read("keys", "").unwrap().order_keys.unwrap()), ["0", "1", "0", "1"]);
    assert_eq!(read("empty", "10").unwrap().more, More::End);
    assert_eq!(read("one-large", "").unwrap().batch.payloads.data().len(), 8_000);
}

#[test]
fn refusals_say_what_kind() {
    let answer = read("refuse", "");
    assert!(matches!(&answer, Err(CallError::Refused { kind: RefusalKind::CheckpointRefused, .. })), "{answer:?}");
    let answer = wait(start(instance("")).check());
    assert!(matches!(&answer, Err(CallError::Refused { kind: RefusalKind::Unavailable, .. })), "{answer:?}");
}

/// What a guest finds on a directory that is granted as `/in`.
fn check_dir(misbehave: &str, write: bool, expected: &str) {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("granted");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("a.txt"), "inside").unwrap();
    fs::write(root.path().join("secret.txt"), "outside").unwrap();
    std::os::unix::fs::symlink("../secret.txt", dir.join("link.txt")).unwrap();
    let mut instance = instance(misbehave);
    instance.grants.dirs =
        vec![DirGrant { host: dir.clone(), guest: "/in".into(), write: write.then(WriteBudget::default) }];
    let (page, _) = wait(start(instance).read(None, LIMITS)).unwrap();
    let said = page.batch.payloads.text(0).into_owned();
    assert!(said.starts_with(expected), "{misbehave}: {said}");
    if !write {
        assert!(dir.join("a.txt").exists() && !dir.join("b.txt").exists(), "{misbehave} changed something");
    }
}

#[test]
fn directories_are_granted_and_closed() {
    check_dir("read-file", false, "Ok(\"inside\")");
    check_dir("write-file", false, "Err");
    check_dir("delete-file", false, "Err");
    check_dir("climb", false, "Err");
    check_dir("absolute", false, "Err");
    check_dir("link", false, "Err");
    check_dir("write-file", true, "Ok(\"written\")");
    check_dir("delete-file", true, "Ok(\"deleted\")");
    check_dir("climb", true, "Err");
    check_dir("link", true, "Err");
}

#[test]
fn a_directory_that_is_not_there_is_named() {
    let mut instance = instance("");
    instance.grants.dirs = vec![DirGrant { host: "/nowhere/at/all".into(), guest: "/in".into(), write: None }];
    let Err(CallError::Host(error)) = wait(guest("guest-source").source(instance)) else { panic!("was granted") };
    assert_eq!(error.code, "grant-directory");
    assert!(error.message.contains("/nowhere/at/all"), "{}", error.message);
}
