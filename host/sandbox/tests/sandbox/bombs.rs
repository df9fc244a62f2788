//! Guests that do not come back, or take what they can, at every place at which they are entered; and what the host
//! makes of it.

use crate::common::{Still, batch, column, config, wait};
use crate::core_guest::{Put, guest, with_component, with_module};
use crossdock_engine::ports::{CallError, TransformerPort};
use crossdock_model::{Batch, Explained as _, FaultKind, Outcome, RouteName, StepName};
use crossdock_sandbox::{Instance, Limits, Plugin, Sandbox, SandboxConfig, SandboxError};
use std::sync::{Arc, LazyLock};

pub(crate) const LOOP: &str = "(loop $again (br $again))";

pub(crate) const LIMITS: fn() -> Limits =
    || Limits { cpu_time_max_ms: 100, call_time_max_ms: 20_000, memory_max_bytes: 64 << 20, ..Limits::default() };

fn sandbox() -> Sandbox {
    static SANDBOX: LazyLock<Sandbox> =
        LazyLock::new(|| Sandbox::new(SandboxConfig { limits: LIMITS(), ..config(Still) }).unwrap());
    SANDBOX.clone()
}

pub(crate) fn load(component: &[u8]) -> Result<Plugin, SandboxError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bomb.wasm");
    std::fs::write(&path, component).unwrap();
    wait(sandbox().load(path))
}

pub(crate) fn start(plugin: &Plugin) -> Arc<dyn TransformerPort> {
    let instance = Instance::new(RouteName::new("tests").unwrap(), StepName::new("here").unwrap(), "{}");
    wait(plugin.transformer(Instance { limits: LIMITS(), ..instance })).unwrap()
}

/// One record of so many bytes.
pub(crate) fn record(bytes: usize) -> Arc<Batch> {
    Arc::new(Batch { ids: column(&["r"]), payloads: column(&["x".repeat(bytes).as_str()]), attributes: vec![] })
}

/// What becomes of a batch whose payload has more than 1,000 bytes. Small ones pass before and after, through the same
/// port.
#[track_caller]
pub(crate) fn check(put: Put<'_>, kind: FaultKind, words: &[&str]) {
    // What is put into `transform` or behind it happens for large records only.
    let large = |text: &str| match text {
        "" => String::new(),
        text => format!("(if (i32.gt_u (i32.load (i32.const 548)) (i32.const 1000)) (then {text}))"),
    };
    let (transform, post) = (large(put.transform), large(put.post));
    let plugin = load(&guest(Put { transform: &transform, post: &post, ..put })).unwrap();
    let port = start(&plugin);
    for _ in 0..2 {
        let (answer, _) = wait(port.transform(batch(&["one", "two"]))).unwrap();
        assert_eq!(answer.outcomes, [Outcome::Ok, Outcome::Ok]);
        let Err(CallError::Fault(fault)) = wait(port.transform(record(2_000))) else { panic!("no fault") };
        assert_eq!(fault.kind, kind, "{fault:?}");
        assert!(words.iter().all(|word| fault.message.contains(word)), "{:?} does not say {words:?}", fault.message);
    }
    assert!(wait(port.transform(batch(&["one"]))).is_ok());
}

#[test]
fn honest_guests_of_this_kind_pass() {
    let plugin = load(&guest(Put::default())).unwrap();
    // The largest batch that a route may ask for.
    let limits = Limits { memory_max_bytes: LIMITS().memory_max_bytes, ..Limits::default() };
    let instance = Instance::new(RouteName::new("tests").unwrap(), StepName::new("here").unwrap(), "{}");
    let port = wait(plugin.transformer(Instance { limits, ..instance })).unwrap();
    let (answer, _) = wait(port.transform(record(4 << 20))).unwrap();
    assert_eq!((answer.outcomes.as_slice(), answer.payloads.data().len()), (&[Outcome::Ok][..], 4 << 20));
}

/// What a guest is refused with that goes wrong before it has said what it is.
#[track_caller]
pub(crate) fn refused(component: &[u8], code: &str, words: &[&str]) {
    let Err(error) = load(component) else { panic!("was let in, expected {code}") };
    assert_eq!(error.code(), code, "{error}");
    let said = error.to_string();
    assert!(words.iter().all(|word| said.contains(word)), "{said:?} does not say {words:?}");
}

#[test]
fn guests_that_do_not_even_start() {
    refused(&guest(Put { start: LOOP, ..Put::default() }), "plugin-describe", &["100 ms (cpu_time_max_ms)"]);
    refused(&guest(Put { start: "(unreachable)", ..Put::default() }), "plugin-describe", &["trapped"]);
    let honest = || guest(Put::default());
    let memory = "(module (memory 320))";
    // 20 MiB each, and the guest's own 12.5.
    assert!(load(&with_module(honest(), memory, 2)).is_ok());
    refused(&with_module(honest(), memory, 3), "plugin-describe", &["memory_max_bytes"]);
    let table = "(module (table 1000000 funcref))";
    assert!(load(&with_module(honest(), table, 3)).is_ok());
    refused(&with_module(honest(), table, 4), "plugin-describe", &["memory_max_bytes"]);
    assert!(load(&with_module(honest(), "(module)", 50)).is_ok());
    refused(&with_module(honest(), "(module)", 70), "plugin-describe", &["instance"]);
    refused(&with_module(honest(), "(module)", 1_001), "plugin-too-complex", &["INSTANCES_MAX"]);
    // The same within a component of its own, and within one more.
    let nested = |module: &str, times: usize| {
        let parts = format!("(core module $m {module}) {}", "(core instance (instantiate $m))".repeat(times));
        with_component(honest(), &format!("(component (component $c {parts}) (instance (instantiate $c)))"), &[])
    };
    assert!(load(&nested("(memory 320)", 2)).is_ok());
    refused(&nested("(memory 320)", 3), "plugin-describe", &["memory_max_bytes"]);
    refused(&nested("(table 1000000 funcref)", 4), "plugin-describe", &["memory_max_bytes"]);
    refused(&nested("(func)", 70), "plugin-describe", &["instance"]);
    refused(&nested("(func)", 1_000), "plugin-too-complex", &["INSTANCES_MAX"]);
}

#[test]
fn a_guest_that_does_not_close_holds_nobody_up() {
    let plugin = load(&guest(Put { close: LOOP, ..Put::default() })).unwrap();
    for _ in 0..8 {
        drop(start(&plugin));
    }
    let port = start(&load(&guest(Put::default())).unwrap());
    assert!(wait(port.transform(batch(&["one"]))).is_ok());
}

#[test]
fn guests_that_take_what_they_can() {
    use FaultKind::{BrokenContract, OutOfMemory, Trap};
    let grow = "(if (i32.eq (memory.grow (i32.const 2000)) (i32.const -1)) (then (unreachable)))";
    check(Put { transform: grow, ..Put::default() }, OutOfMemory, &["memory_max_bytes"]);
    let table = Put {
        beside: "(table $t 1 funcref)",
        transform: "(if (i32.eq (table.grow $t (ref.null func) (i32.const 5000000)) (i32.const -1)) (then (unreachable)))",
        ..Put::default()
    };
    check(table, OutOfMemory, &["memory_max_bytes"]);
    let pollables = "(loop $again (drop (call $pollable (i64.const 1))) (br $again))";
    check(Put { transform: pollables, ..Put::default() }, BrokenContract, &["resource"]);
    let things = "(loop $again (drop (call $thing (i32.const 1))) (br $again))";
    check(Put { transform: things, ..Put::default() }, BrokenContract, &["handle"]);
    let recursion = Put { beside: "(func $deep (call $deep))", transform: "(call $deep)", ..Put::default() };
    check(recursion, Trap, &["stack"]);
    // Twelve megabytes of codes that are there, more than there is memory, and as many failures as there is room for.
    let list = |at: u32, length: u32| {
        format!(
            "(i32.store (i32.const {at}) (i32.const 65536)) (i32.store (i32.const {}) (i32.const {length}))",
            at + 4
        )
    };
    let at_once = ["more than 8388608 bytes at once"];
    check(Put { transform: &list(528, 12_000_000), ..Put::default() }, BrokenContract, &at_once);
    check(Put { transform: &list(528, u32::MAX), ..Put::default() }, BrokenContract, &["transform"]);
    check(Put { transform: &list(568, 150_000), ..Put::default() }, BrokenContract, &at_once);
}

#[test]
fn all_instances_together_have_a_limit() {
    let config = SandboxConfig { memory_total_max_bytes: 45 << 20, limits: LIMITS(), ..config(Still) };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bomb.wasm");
    let grow = "(if (i32.gt_u (i32.load (i32.const 548)) (i32.const 1000)) (then
        (if (i32.eq (memory.grow (i32.const 100)) (i32.const -1)) (then (unreachable)))))";
    std::fs::write(&path, guest(Put { transform: grow, ..Put::default() })).unwrap();
    let plugin = wait(Sandbox::new(config).unwrap().load(path)).unwrap();
    // Three times 12.5 MiB.
    let ports: Vec<_> = (0..3).map(|_| start(&plugin)).collect();
    assert!(wait(ports[0].transform(record(2_000))).is_ok());
    let refused = wait(ports[1].transform(record(2_000)));
    let Err(CallError::Host(error)) = refused else { panic!("{refused:?}") };
    assert_eq!(error.code, "sandbox-memory-total");
    for word in ["45 MiB", "memory_total_max_bytes", "bomb at step here of route tests 18 MiB", "12 MiB"] {
        assert!(error.message.contains(word), "{:?} does not say {word:?}", error.message);
    }
    // That call's instance is gone, and its memory with it.
    assert!(wait(ports[1].transform(record(10))).is_ok());
    assert!(wait(ports[2].transform(record(10))).is_ok());
}

#[test]
fn proposals_that_no_plugin_needs_are_refused_by_name() {
    let compiled = |module: &str| load(&with_module(guest(Put::default()), module, 0));
    let check = |module: &str, word: &str| {
        let Err(error) = compiled(module) else { panic!("{module} was let in") };
        assert_eq!(error.code(), "plugin-invalid", "{error}");
        assert!(error.to_string().contains(word), "{module}: {error} does not say {word:?}");
    };
    check("(module (memory 1 1 shared))", "threads");
    check("(module (memory i64 1))", "memory64");
    let Err(error) = compiled("(module (memory 1) (memory 1))") else { panic!("two memories were let in") };
    assert_eq!(error.code(), "plugin-too-complex", "{error}");
    assert!(error.to_string().contains("multi-memory"), "{error}");
    check("(module (memory 1 (pagesize 1)))", "custom");
    check("(module (tag) (func (throw 0)))", "exceptions");
    check("(module (type (struct)))", "gc");
    check("(module (func (param externref)))", "gc");
    check("(module (type $f (func)) (func (param (ref $f))))", "function references");
    check("(module (func $f (return_call $f)))", "tail calls");
    check(
        "(module (func (param v128 v128) (result v128) (i8x16.relaxed_swizzle (local.get 0) (local.get 1))))",
        "relaxed SIMD",
    );
    check(
        "(module (func (param i64 i64 i64 i64) (result i64 i64)
            (i64.add128 (local.get 0) (local.get 1) (local.get 2) (local.get 3))))",
        "wide arithmetic",
    );
    // What they do need.
    let simd = "(module (memory 1) (func (param v128 v128) (result v128) (i8x16.add (local.get 0) (local.get 1)))
        (func (memory.fill (i32.const 0) (i32.const 0) (i32.const 9)) (drop (i32.extend8_s (i32.const 1))))
        (func (result i32 i32) (i32.const 1) (i32.trunc_sat_f32_s (f32.const 1))))";
    compiled(simd).unwrap();
}

#[test]
fn components_that_call_each_other_within_a_plugin_pass() {
    // As tools for JavaScript put plugins together: what stands between the two has the memories of both.
    let composed = r#"(component
        (component $a
            (core module $m (memory (export "memory") 1) (func (export "f") (param i32 i32))
                (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 0)))
            (core instance $i (instantiate $m))
            (func (export "f") (param "s" string)
                (canon lift (core func $i "f") (memory $i "memory") (realloc (func $i "realloc")))))
        (component $b
            (import "f" (func $f (param "s" string)))
            (core module $libc (memory (export "memory") 1))
            (core instance $libc (instantiate $libc))
            (core func $g (canon lower (func $f) (memory $libc "memory")))
            (core module $m (import "" "f" (func $f (param i32 i32)))
                (func $start (call $f (i32.const 0) (i32.const 9))) (start $start))
            (core instance (instantiate $m (with "" (instance (export "f" (func $g)))))))
        (instance $a (instantiate $a))
        (instance $b (instantiate $b (with "f" (func $a "f")))))"#;
    let plugin = load(&with_component(guest(Put::default()), composed, &[])).unwrap();
    assert!(wait(start(&plugin).transform(record(10))).is_ok());
}
