//! Destinations that misbehave.

use crate::common::{batch, column, guest, instance, values, wait};
use crossdock_engine::ports::{CallError, DestinationPort, Idempotency, UndoBatch, WriteOptions, Written};
use crossdock_model::{Column, FaultKind, Outcome};
use std::sync::Arc;

fn start(misbehave: &str) -> Arc<dyn DestinationPort> {
    wait(guest("guest-destination").destination(instance(misbehave))).unwrap()
}

fn keys(records: usize) -> Column {
    (0..records).map(|n| format!("{n:032}")).collect()
}

fn write(misbehave: &str, stop_at_first_failure: bool) -> Result<Written, CallError> {
    let options = WriteOptions { stop_at_first_failure };
    wait(start(misbehave).write(batch(&["a", "b", "c"]), keys(3), options)).map(|(written, _)| written)
}

fn check_broken(misbehave: &str, stop_at_first_failure: bool, message: &str) {
    let answer = write(misbehave, stop_at_first_failure);
    let Err(CallError::Fault(fault)) = &answer else { panic!("{misbehave}: {answer:?}") };
    assert_eq!(fault.kind, FaultKind::BrokenContract, "{misbehave}");
    assert!(fault.message.contains(message), "{misbehave}: {:?} does not say {message:?}", fault.message);
}

#[test]
fn answers_that_break_the_contract() {
    check_broken("too-few", false, "answered 2 outcomes for 3 records");
    check_broken("dropped", false, "code 2");
    check_broken("goes-on", true, "went on after the first failure");
    check_broken("long-target-id", false, "513 bytes; 512 are allowed");
    check_broken("bad-target-id", false, "target id is not UTF-8");
    check_broken("long-receipt", false, "16385 bytes; 16384 are allowed");
    check_broken("receipts-short", false, "1 values for 3 records");
}

#[test]
fn legal_answers() {
    let all_keys = values(&keys(3));
    let written = write("", false).unwrap();
    assert_eq!(written.outcomes, [Outcome::Ok; 3]);
    assert_eq!(values(&written.target_ids.unwrap()), all_keys);
    assert_eq!(values(&written.receipts.unwrap()), ["r0", "r1", "r2"]);
    let written = write("reversed", false).unwrap();
    assert_eq!(values(&written.target_ids.unwrap()), all_keys);
    assert_eq!(written.receipts, None);
    let written = write("no-columns", false).unwrap();
    assert_eq!((written.target_ids, written.receipts), (None, None));
    assert_eq!(write("stops", true).unwrap().outcomes, [Outcome::Ok, Outcome::Rejected, Outcome::Untouched]);
    assert_eq!(write("goes-on", false).unwrap().outcomes, [Outcome::Ok, Outcome::Rejected, Outcome::Ok]);
}

#[test]
fn undoing_and_probing() {
    let port = start("");
    let abilities = port.abilities();
    assert_eq!(abilities.idempotency, Idempotency::Probe);
    assert!(abilities.compensates && abilities.probes);
    let undo = || UndoBatch {
        ids: column(&["r1", "r0"]),
        keys: keys(2),
        target_ids: column(&["t", ""]),
        receipts: column(&["x", ""]),
    };
    let (undone, _) = wait(port.compensate(undo())).unwrap();
    assert_eq!(undone.outcomes, [Outcome::Ok; 2]);
    let lies = wait(start("undo-lies").compensate(undo()));
    assert!(matches!(&lies, Err(CallError::Fault(fault)) if fault.message.contains("code 2")), "{lies:?}");
    let (probed, _) = wait(port.probe(batch(&["a", "b"]), keys(2))).unwrap();
    assert_eq!(probed.outcomes, [Outcome::Ok, Outcome::Dropped]);
    assert_eq!(values(&probed.target_ids.unwrap())[1], "");
}
