//! Guests that do not come back, wherever they are entered and whatever they call meanwhile.

use crate::bombs::{LIMITS, LOOP, check, load, record, refused, start};
use crate::common::{NOW, batch, config, guest as compiled, instance, wait};
use crate::core_guest::{Put, guest, with_component};
use crossdock_engine::ports::{CallError, Clock, PageLimits, PortFuture, UndoBatch, WriteOptions};
use crossdock_model::{Checkpoint, FaultKind, RouteName, StepName, Timestamp};
use crossdock_sandbox::{Instance, Limits, Sandbox, SandboxConfig};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const CPU: &str = "100 ms (cpu_time_max_ms)";

/// A megabyte of zeros stands there in the guest's memory, and eight.
const ZEROS: &str = "(i32.const 2000000) (i32.const 1000000)";
const MANY_ZEROS: &str = "(i32.const 2000000) (i32.const 8000000)";

#[test]
fn wherever_a_guest_is_entered() {
    let check = |put: Put<'_>| check(put, FaultKind::OutOfTime, &[CPU, "transform"]);
    check(Put { transform: LOOP, ..Put::default() });
    check(Put { post: LOOP, ..Put::default() });
    // While its arguments are put into its memory, and an import's answer.
    check(Put { realloc: LOOP, ..Put::default() });
    let answered = "(call $random (i64.const 1002) (i32.const 1024))";
    let only_then = "(if (i32.eq (local.get 3) (i32.const 1002)) (then (loop $again (br $again))))";
    check(Put { transform: answered, realloc: only_then, ..Put::default() });
    check(Put { transform: "(call $drop (call $thing (i32.const 7)))", dtor: LOOP, ..Put::default() });
}

#[test]
fn before_a_guest_has_its_first_batch() {
    refused(&guest(Put { start: LOOP, ..Put::default() }), "plugin-describe", &[CPU, "describe"]);
    refused(&guest(Put { describe: LOOP, ..Put::default() }), "plugin-describe", &[CPU, "describe"]);
    let plugin = load(&guest(Put { configure: LOOP, ..Put::default() })).unwrap();
    let instance = Instance::new(RouteName::new("tests").unwrap(), StepName::new("here").unwrap(), "{}");
    let configured = wait(plugin.transformer(Instance { limits: LIMITS(), ..instance }));
    let Err(CallError::Fault(fault)) = configured.map(|_| ()) else { panic!("no fault") };
    assert_eq!(fault.kind, FaultKind::OutOfTime);
    assert!(fault.message.contains(CPU) && fault.message.contains("configure"), "{fault:?}");
}

/// What a call came to that loops.
#[track_caller]
fn looped<T>(call: &str, answer: Result<T, CallError>) {
    let Err(CallError::Fault(fault)) = answer else { panic!("no fault in {call}") };
    assert_eq!(fault.kind, FaultKind::OutOfTime, "{fault:?}");
    assert!(fault.message.contains(CPU) && fault.message.contains(call), "{fault:?}");
}

#[test]
fn in_the_calls_of_every_role() {
    let limited = |call: &str| Instance { limits: LIMITS(), ..instance(&format!("loop-in-{call}")) };
    let source = |call: &str| wait(compiled("guest-source").source(limited(call))).unwrap();
    looped("check", wait(source("check").check()));
    looped("read", wait(source("read").read(None, PageLimits { max_records: 10, max_bytes: 1 << 20 })));
    looped("ack", wait(source("ack").ack(Checkpoint(b"1".to_vec()))));
    let destination = |call: &str| wait(compiled("guest-destination").destination(limited(call))).unwrap();
    looped("check", wait(destination("check").check()));
    let keys = batch(&["key"]).payloads.clone();
    let options = WriteOptions { stop_at_first_failure: false };
    looped("write", wait(destination("write").write(batch(&["one"]), keys.clone(), options)));
    looped("probe", wait(destination("probe").probe(batch(&["one"]), keys.clone())));
    let (ids, target_ids, receipts) = (keys.clone(), keys.clone(), keys.clone());
    let undo = UndoBatch { ids, keys, target_ids, receipts };
    looped("compensate", wait(destination("compensate").compensate(undo)));
}

#[test]
fn calling_imports_all_the_time() {
    let each = [
        "(drop (call $now))".to_owned(),
        "(drop (call $remaining))".to_owned(),
        "(drop (call $clock))".to_owned(),
        "(call $log (i32.const 1) (i32.const 0) (i32.const 0))".to_owned(),
        format!("(call $log (i32.const 1) {ZEROS})"),
        "(call $get (i32.const 200) (i32.const 4) (i32.const 1024))".to_owned(),
        format!("(call $get {MANY_ZEROS} (i32.const 1024))"),
        "(call $set (i32.const 200) (i32.const 4) (i32.const 200) (i32.const 4) (i32.const 1024))".to_owned(),
        format!("(call $set (i32.const 200) (i32.const 4) {MANY_ZEROS} (i32.const 1024))"),
        format!("(call $count {ZEROS} (i64.const 1))"),
        format!("(call $open {ZEROS} (i32.const 1024))"),
        "(call $environment (i32.const 1024))".to_owned(),
        "(call $random (i64.const 8) (i32.const 1024)) (global.set $free (i32.const 65536))".to_owned(),
        "(call $unpoll (call $pollable (i64.const 0)))".to_owned(),
        // Requests without anything in them, none of which can be sent.
        "(call $send (i32.const 2000000) (i32.const 1000) (i32.const 1) (i32.const 1024))
         (global.set $free (i32.const 65536))"
            .to_owned(),
        "(drop (memory.grow (i32.const 0)))".to_owned(),
        "(memory.fill (i32.const 65536) (i32.const 0) (i32.const 12000000))".to_owned(),
        "(memory.copy (i32.const 65536) (i32.const 65537) (i32.const 12000000))".to_owned(),
    ];
    for call in &each {
        let transform = format!("(loop $again {call} (br $again))");
        check(Put { transform: &transform, ..Put::default() }, FaultKind::OutOfTime, &[CPU, "transform"]);
    }
    let table = "(table $t 1000000 funcref)";
    let fill = "(loop $again (table.fill $t (i32.const 0) (ref.null func) (i32.const 1000000)) (br $again))";
    check(Put { beside: table, transform: fill, ..Put::default() }, FaultKind::OutOfTime, &[CPU]);
}

/// Counts how often it is asked.
#[derive(Default, Clone)]
struct Counting(Arc<AtomicUsize>);

impl Clock for Counting {
    fn now(&self) -> Timestamp {
        self.0.fetch_add(1, Ordering::SeqCst);
        NOW
    }

    fn sleep_until(&self, _: Timestamp) -> PortFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

#[test]
fn calling_imports_without_a_loop() {
    // WebAssembly itself looks at the time in loops and functions only, and the usual tools put functions between a
    // plugin and its imports. This one is put together without: unless imports look at the time themselves, it goes on
    // for seconds before it is stopped.
    const TIMES: usize = 4_000;
    let calls = "(call $delete (i32.const 0) (i32.const 8000000)) (drop (call $now))".repeat(TIMES);
    let inner = format!(
        r#"(component
            (import "state" (instance $state (export "delete" (func (param "key" string)))))
            (import "control" (instance $control (export "now-ms" (func (result u64)))))
            (core module $libc (memory (export "memory") 200))
            (core instance $libc (instantiate $libc))
            (core func $delete (canon lower (func $state "delete") (memory $libc "memory")))
            (core func $now (canon lower (func $control "now-ms")))
            (core module $m
                (import "" "delete" (func $delete (param i32 i32))) (import "" "now" (func $now (result i64)))
                (func $start {calls}) (start $start))
            (core instance (instantiate $m
                (with "" (instance (export "delete" (func $delete)) (export "now" (func $now)))))))"#
    );
    let outer = guest(Put { beside: "(func (call $delete (i32.const 0) (i32.const 0)))", ..Put::default() });
    let given = [("state", "crossdock:plugin/state@0.1.0"), ("control", "crossdock:plugin/control@0.1.0")];
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("long.wasm");
    std::fs::write(&path, with_component(outer, &inner, &given)).unwrap();
    let clock = Counting::default();
    let sandbox = Sandbox::new(SandboxConfig { limits: LIMITS(), ..config(clock.clone()) }).unwrap();
    let Err(error) = wait(sandbox.load(path)) else { panic!("it went on to its end") };
    assert!(error.to_string().contains(CPU), "{error}");
    let done = clock.0.load(Ordering::SeqCst);
    assert!((1..TIMES).contains(&done), "it was called {done} times");
    // More at once than may be printed is not even looked at.
    let print = format!("(call $print (call $stdout) {MANY_ZEROS} (i32.const 1024))");
    check(Put { transform: &print, ..Put::default() }, FaultKind::BrokenContract, &["4096 bytes at once"]);
}

#[test]
fn waiting_for_what_never_comes() {
    let limits = Limits { call_time_max_ms: 300, ..LIMITS() };
    let check = |transform: &str| {
        let plugin = load(&guest(Put { transform, ..Put::default() })).unwrap();
        let instance = Instance::new(RouteName::new("tests").unwrap(), StepName::new("here").unwrap(), "{}");
        let port = wait(plugin.transformer(Instance { limits, ..instance })).unwrap();
        for _ in 0..2 {
            let Err(CallError::Fault(fault)) = wait(port.transform(batch(&["one"]))) else { panic!("{transform}") };
            assert_eq!(fault.kind, FaultKind::OutOfTime, "{fault:?}");
            assert!(fault.message.contains("300 ms (call_time_max_ms)"), "{fault:?}");
        }
    };
    let far = "(call $pollable (i64.const 0x7fffffffffffffff))";
    check(&format!("(call $block {far})"));
    check(&format!("(i32.store (i32.const 1024) {far}) (call $poll (i32.const 1024) (i32.const 1) (i32.const 2048))"));
    // Waits that are short, again and again.
    let short = "(loop $again (local.set $handles (call $pollable (i64.const 1000000)))
        (call $block (local.get $handles)) (call $unpoll (local.get $handles)) (br $again))";
    check(short);
}

#[test]
fn waiting_in_ways_that_are_none() {
    let check =
        |transform: &str, word: &str| check(Put { transform, ..Put::default() }, FaultKind::BrokenContract, &[word]);
    check("(call $poll (i32.const 1024) (i32.const 0) (i32.const 2048))", "empty poll list");
    check("(call $poll (i32.const 1024) (i32.const 1) (i32.const 2048))", "handle");
    // A hundred thousand: no more handles than an instance may have are lent at once.
    let many = "(local.set $handles (call $pollable (i64.const 1))) (local.set $count (i32.const 400000))
        (loop $again (i32.store offset=65532 (local.get $count) (local.get $handles))
            (br_if $again (local.tee $count (i32.sub (local.get $count) (i32.const 4)))))
        (call $poll (i32.const 65536) (i32.const 100000) (i32.const 2048))";
    check(many, "transform");
    check("(call $random (i64.const 1048577) (i32.const 1024))", "1048576");
    check("(call $random (i64.const -1) (i32.const 1024))", "1048576");
}

#[test]
fn what_ends_at_once() {
    // Nothing can be read, and everything may be printed, as much of it as there is.
    let reads = "(call $read (call $stdin) (i64.const -1) (i32.const 1024))";
    let plugin = load(&guest(Put { transform: reads, ..Put::default() })).unwrap();
    assert!(wait(start(&plugin).transform(record(2_000))).is_ok());
    let exit = |status: u32| format!("(call $exit (i32.const {status}))");
    let ended = |code: u32| format!("ended itself with exit code {code} in transform");
    check(Put { transform: &exit(0), ..Put::default() }, FaultKind::Trap, &[&ended(0)]);
    check(Put { transform: &exit(1), ..Put::default() }, FaultKind::Trap, &[&ended(1)]);
    refused(&guest(Put { start: &exit(0), ..Put::default() }), "plugin-describe", &["ended itself with exit code 0"]);
    refused(
        &guest(Put { describe: &exit(0), ..Put::default() }),
        "plugin-describe",
        &["ended itself with exit code 0"],
    );
}
