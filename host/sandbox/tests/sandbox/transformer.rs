//! Transformers that misbehave.

use crate::common::{NOW, all_of, batch, column, guest, instance, sandbox, values, wait};
use crossdock_engine::ports::{CallError, CallTrace, RefusalKind, StateWrite, Transformed, TransformerPort};
use crossdock_model::{FaultKind, Outcome};
use crossdock_sandbox::{Instance, Limits, SecretGrant};
use std::sync::Arc;
use std::time::{Duration, Instant};

fn start(instance: Instance) -> Arc<dyn TransformerPort> {
    wait(guest("guest-transformer").transformer(instance)).unwrap()
}

fn small(misbehave: &str) -> Instance {
    let limits = Limits {
        memory_max_bytes: 48 << 20,
        boundary_max_bytes: 1 << 20,
        call_time_max_ms: 20_000,
        cpu_time_max_ms: 200,
        ..Limits::default()
    };
    Instance { limits, ..instance(misbehave) }
}

/// What a fault is called, and what its message says. Afterwards the same port works again, and so do others.
fn check_fault(misbehave: &str, kind: FaultKind, message: &[&str]) {
    let port = start(small(misbehave));
    for attempt in 0..2 {
        let answer = wait(port.transform(batch(&["one", "two", "three"])));
        let Err(CallError::Fault(fault)) = answer else { panic!("{misbehave}: {answer:?}") };
        assert_eq!(fault.kind, kind, "{misbehave}, attempt {attempt}: {fault:?}");
        for word in message.iter().chain(&["guest-transformer", "transform"]) {
            assert!(fault.message.contains(word), "{misbehave}: {:?} does not say {word:?}", fault.message);
        }
    }
    let (answer, _) = wait(port.transform(batch(&["rest"]))).unwrap();
    assert_eq!(answer.outcomes, [Outcome::Ok], "{misbehave}: the port does not come back");
}

#[test]
fn guests_that_do_not_come_back() {
    use FaultKind::{OutOfMemory, OutOfTime, Trap};
    check_fault("panic", Trap, &["panicked", "on purpose"]);
    check_fault("exit", Trap, &["exit code 1"]);
    check_fault("recursion", Trap, &["stack"]);
    check_fault("loop", OutOfTime, &["200 ms", "cpu_time_max_ms"]);
    check_fault("memory", OutOfMemory, &["memory_max_bytes"]);
    check_fault("stderr", Trap, &["panicked", "after much noise"]);
}

#[test]
fn answers_that_break_the_contract() {
    let check = |misbehave: &str, message: &str| check_fault(misbehave, FaultKind::BrokenContract, &[message]);
    check("too-few", "answered 2 outcomes for 3 records");
    check("too-many", "answered 4 outcomes for 3 records");
    check("codes-missing", "answered 2 codes for 3 records");
    check("twice", "answered twice for handle");
    check("forged", "which is not one of this batch");
    check("yesterday", "which is not one of this batch");
    check("unknown-code", "code 99");
    check("destination-code", "code 6");
    check("failure-missing", "0 failures for 3 records that need one");
    check("failure-extra", "1 failures for 0 records that need one");
    check("offsets-descend", "first offset");
    check("offsets-missing", "first offset");
    check("offsets-far", "last offset");
    check("payloads-missing", "0 payloads for 3 output records");
    check("outputs-zero", "0 outputs for a record that is ok");
    check("attribute-short", "0 values for 3 records");
    check("large", "more than 1048576 bytes at once");
}

#[test]
fn time_by_the_wall_ends_a_guest_that_waits() {
    let limits = Limits { call_time_max_ms: 100, ..Limits::default() };
    let port = start(Instance { limits, ..instance("sleep") });
    let Err(CallError::Fault(fault)) = wait(port.transform(batch(&["one"]))) else { panic!("slept through") };
    assert_eq!(fault.kind, FaultKind::OutOfTime);
    assert!(fault.message.contains("100 ms (call_time_max_ms)"), "{}", fault.message);
}

#[test]
fn what_was_written_to_stderr_is_the_detail_and_bounded() {
    let port = start(small("stderr"));
    let Err(CallError::Fault(fault)) = wait(port.transform(batch(&["one"]))) else { panic!("did not panic") };
    let detail = fault.detail.unwrap();
    assert!(detail.starts_with("noise \\u{1b}[31m noise"), "{detail}");
    assert!(detail.len() <= 8 << 10, "{} bytes", detail.len());
    assert!(detail.contains("after much noise"), "{detail}");
}

#[test]
fn a_poison_record_stands_alone() {
    let port = start(instance("poison"));
    let poisoned = wait(port.transform(batch(&["a", "poison", "b"])));
    assert!(matches!(poisoned, Err(CallError::Fault(_))), "{poisoned:?}");
    let (answer, _) = wait(port.transform(batch(&["a", "b"]))).unwrap();
    assert_eq!(answer.outcomes, [Outcome::Ok, Outcome::Ok]);
}

/// What legal answers become: outcomes, number of outputs and payloads in the order of the batch.
fn check(misbehave: &str, outcomes: &[Outcome], outputs: Option<&[u32]>, payloads: &[&str]) -> Transformed {
    let port = start(instance(misbehave));
    let (answer, trace) = wait(port.transform(batch(&["one", "two", "three"]))).unwrap();
    assert_eq!(answer.outcomes, outcomes, "{misbehave}");
    assert_eq!(answer.outputs.as_deref(), outputs, "{misbehave}");
    assert_eq!(values(&answer.payloads), payloads, "{misbehave}");
    assert_eq!(trace, CallTrace::default(), "{misbehave}");
    answer
}

#[test]
fn legal_answers_come_in_the_order_of_the_batch() {
    use Outcome::{Dropped, Ok, Rejected};
    check("", &[Ok; 3], None, &["one", "two", "three"]);
    check("reversed", &[Ok; 3], None, &["one!", "two!", "three!"]);
    let parts = ["part 0", "part 1", "part 2", "part 3", "part 4", "part 5"];
    check("split", &[Ok; 3], Some(&[2, 2, 2]), &parts);
    check("split-reversed", &[Ok; 3], Some(&[3, 2, 1]), &["2.0", "2.1", "2.2", "1.0", "1.1", "0.0"]);
    check("drop-all", &[Dropped; 3], None, &[]);
    let answer = check("reject-all", &[Rejected; 3], None, &[]);
    assert_eq!(answer.failures.iter().map(|(position, _)| *position).collect::<Vec<_>>(), [0, 1, 2]);
    let failure = &answer.failures[0].1;
    assert_eq!(failure.message, "an \\u{1b}[31mANSI\\u{1b}[0m\\nmessage");
    assert_eq!(failure.detail.as_ref().unwrap().len(), 8 << 10);
}

#[test]
fn refusals_are_no_faults() {
    let port = start(instance("refuse"));
    let Err(CallError::Refused { kind, failure }) = wait(port.transform(batch(&["one"]))) else { panic!("no refusal") };
    assert_eq!((kind, failure.message.as_str()), (RefusalKind::Internal, "not today"));
}

/// What is said instead of a port when an instance cannot be configured.
fn check_configure(misbehave: &str, expected: &str) {
    let Err(error) = wait(guest("guest-transformer").transformer(instance(misbehave))) else { panic!("{misbehave}") };
    assert!(format!("{error:?}").contains(expected), "{misbehave}: {error:?}");
}

#[test]
fn instances_that_cannot_be_configured() {
    check_configure("configure-panic", "panicked in configure: no settings please me");
    check_configure("configure-refuse", "not these settings");
    check_configure("lies-of-probe", "does not export `probe`");
    check_configure("lies-of-compensate", "does not export `compensate`");
}

/// What a guest that uses the host says of it.
fn check_host(instance: Instance, expected: &str) -> CallTrace {
    let port = start(instance);
    let (answer, trace) = wait(port.transform(batch(&["one"]))).unwrap();
    assert_eq!(values(&answer.payloads), [expected]);
    trace
}

#[test]
fn state_is_kept_only_by_calls_that_succeed() {
    let write = |value: u8| [StateWrite { key: "count".into(), value: Some(vec![value]) }];
    let state = vec![("count".to_owned(), vec![4])];
    let port = start(Instance { state: state.clone(), ..instance("state-count") });
    for value in [5, 6] {
        let (answer, trace) = wait(port.transform(batch(&["one"]))).unwrap();
        assert_eq!(values(&answer.payloads), [value.to_string()]);
        assert_eq!(trace.state, write(value));
    }
    let port = start(Instance { state, ..instance("state-panic") });
    for _ in 0..2 {
        let Err(CallError::Fault(fault)) = wait(port.transform(batch(&["one"]))) else { panic!("no fault") };
        // Otherwise the assertion within the guest would say something else.
        assert!(fault.message.contains("after writing state"), "{}", fault.message);
    }
    let too = "Err(StateError { code: 0, name: \"too-large\"";
    let quota = "Err(StateError { code: 1, name: \"quota-reached\"";
    let port = start(instance("state-limits"));
    let (answer, _) = wait(port.transform(batch(&["one"]))).unwrap();
    let said = &values(&answer.payloads)[0];
    assert_eq!(said.matches(too).count(), 2, "{said}");
    assert_eq!(said.matches(quota).count(), 0, "{said}");
    assert!(said.contains(" 16 Ok(())"), "{said}");
}

#[test]
fn secrets_are_handles_unless_revealed() {
    let secret =
        |reveal| SecretGrant { name: "TOKEN".into(), value: Some(b"canary-77".to_vec()).into(), reveal, to: vec![] };
    let with = |secrets: Vec<SecretGrant>| {
        let mut instance = instance("secret");
        instance.grants.secrets = secrets;
        let port = start(instance);
        let (answer, _) = wait(port.transform(batch(&["one"]))).unwrap();
        values(&answer.payloads).remove(0)
    };
    let said = with(vec![]);
    assert!(said.starts_with("Err(SecretError { code: 0, name: \"not-granted\""), "{said}");
    let said = with(vec![secret(false)]);
    assert!(said.starts_with("Ok(0) Ok(Err(SecretError { code: 2, name: \"not-revealed\""), "{said}");
    let said = with(vec![secret(true)]);
    assert!(said.starts_with("Ok(0) Ok(Ok([99, 97, 110"), "{said}");
    let said = with(vec![SecretGrant { name: "TOKEN".into(), value: None.into(), reveal: true, to: vec![] }]);
    assert!(said.starts_with("Err(SecretError { code: 1, name: \"not-available\""), "{said}");
}

#[test]
fn the_rest_of_the_host() {
    let stopped = instance("control");
    stopped.cancelled.store(true, std::sync::atomic::Ordering::Relaxed);
    check_host(instance("control"), &format!("{0} {0} true false", NOW.0));
    check_host(stopped, &format!("{0} {0} true true", NOW.0));
    check_host(instance("environment"), "0 0 true");
    check_host(instance("log"), "logged");
    let trace = check_host(instance("metrics"), "counted");
    assert_eq!(trace.counted.len(), 64);
    assert!(trace.counted.iter().all(|(_, sum)| *sum == 5));
    assert_eq!(trace.gauged, [("c0".to_owned(), 1.5_f64.to_bits())]);
}

#[test]
fn a_call_that_is_given_up_leaves_a_port_that_works() {
    let port = start(Instance { limits: Limits { cpu_time_max_ms: 60_000, ..Limits::default() }, ..instance("loop") });
    all_of(async {
        let looping = port.transform(batch(&["one"]));
        assert!(tokio::time::timeout(Duration::from_millis(50), looping).await.is_err());
        // The loop would go on for a minute; it ends within ticks, and the next call gets a fresh instance.
        let next = port.transform(batch(&["rest"]));
        assert!(tokio::time::timeout(Duration::from_secs(20), next).await.unwrap().answer.is_ok());
    });
}

#[test]
fn guests_that_compute_leave_time_for_others() {
    let busy = start(Instance { limits: Limits { cpu_time_max_ms: 1_000, ..Limits::default() }, ..instance("loop") });
    let other = start(instance(""));
    let done = all_of(async {
        let looping: Vec<_> = (0..4)
            .map(|_| {
                let busy = busy.clone();
                tokio::spawn(async move { busy.transform(batch(&["one"])).await })
            })
            .collect();
        let begun = Instant::now();
        let mut calls = 0;
        while begun.elapsed() < Duration::from_millis(500) {
            other.transform(batch(&["one"])).await.answer.unwrap();
            calls += 1;
        }
        looping.iter().for_each(tokio::task::JoinHandle::abort);
        calls
    });
    assert!(done >= 5, "only {done} calls in half a second");
}

#[test]
fn attributes_are_handed_over() {
    let port = start(instance(""));
    let mut with = (*batch(&["one", "two"])).clone();
    with.attributes.push(crossdock_model::Attribute { name: "a".into(), values: column(&["x", ""]) });
    let (answer, _) = wait(port.transform(Arc::new(with))).unwrap();
    assert_eq!(answer.attributes, None);
}

#[test]
fn a_sandbox_may_be_dropped_anywhere() {
    let other = crossdock_sandbox::Sandbox::new(crossdock_sandbox::SandboxConfig {
        threads: Some(1),
        ..crate::common::config(crate::common::Still)
    })
    .unwrap();
    all_of(async move {
        let plugin = other.load(crate::common::file("guest-transformer")).await.unwrap();
        let port = plugin.transformer(instance("")).await.unwrap();
        drop((plugin, other));
        assert!(port.transform(batch(&["one"])).await.answer.is_ok());
        drop(port);
    });
    drop(sandbox());
}
