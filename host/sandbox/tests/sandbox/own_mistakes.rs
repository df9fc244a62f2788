//! Mistakes of the host itself, made by a clock that panics when it is asked: within an import, on the guest's thread,
//! and on the way to another system.

use crate::bombs::{LIMITS, record};
use crate::common::{NOW, batch, column, config, file, instance, wait};
use crate::core_guest::{Put, guest};
use crossdock_engine::ports::{CallError, Clock, PortFuture, WriteOptions};
use crossdock_model::{ErrorClass, RouteName, StepName, Timestamp};
use crossdock_sandbox::{Grants, Instance, Sandbox, SandboxConfig};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Says what time it is as long as it is whole.
#[derive(Default, Clone)]
struct Fragile(Arc<AtomicBool>);

impl Clock for Fragile {
    fn now(&self) -> Timestamp {
        assert!(!self.0.load(Ordering::SeqCst), "the clock is broken");
        NOW
    }

    fn sleep_until(&self, _: Timestamp) -> PortFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// Our mistake, with its code, the place and what it says of itself.
#[track_caller]
fn ours<T>(answer: Result<T, CallError>, call: &str) {
    let Err(CallError::Host(error)) = answer else { panic!("no mistake of ours in {call}") };
    assert_eq!((error.code, error.class), ("sandbox-internal", ErrorClass::Internal), "{}", error.message);
    for word in [call, "at step here of route tests", "the clock is broken"] {
        assert!(error.message.contains(word), "{:?} does not say {word:?}", error.message);
    }
}

#[test]
fn a_panic_within_an_import_is_ours() {
    let clock = Fragile::default();
    let sandbox = Sandbox::new(SandboxConfig { limits: LIMITS(), ..config(clock.clone()) }).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("asks.wasm");
    let asks = "(if (i32.gt_u (i32.load (i32.const 548)) (i32.const 1000)) (then
        (call $set (i32.const 200) (i32.const 4) (i32.const 200) (i32.const 4) (i32.const 1024)) (drop (call $now))))";
    std::fs::write(&path, guest(Put { transform: asks, ..Put::default() })).unwrap();
    let plugin = wait(sandbox.load(path)).unwrap();
    let start = || {
        let instance = Instance::new(RouteName::new("tests").unwrap(), StepName::new("here").unwrap(), "{}");
        wait(plugin.transformer(Instance { limits: LIMITS(), ..instance })).unwrap()
    };
    let (port, other) = (start(), start());
    assert!(wait(port.transform(record(2_000))).is_ok());
    for _ in 0..3 {
        clock.0.store(true, Ordering::SeqCst);
        ours(wait(port.transform(record(2_000))), "transform");
        // Nobody else notices: not another instance of the plugin, not the next call of the same one, in a fresh
        // instance.
        assert!(wait(other.transform(record(10))).is_ok());
        assert!(wait(port.transform(record(10))).is_ok());
        clock.0.store(false, Ordering::SeqCst);
        let (_, trace) = wait(port.transform(record(2_000))).unwrap();
        assert_eq!(trace.state.len(), 1);
    }
}

#[test]
fn a_panic_on_the_way_to_another_system_is_ours() {
    let clock = Fragile::default();
    let sandbox = Sandbox::new(config(clock.clone())).unwrap();
    let plugin = wait(sandbox.load(file("guest-destination"))).unwrap();
    // Nobody listens there: what matters happens before.
    let grants = Grants { http: vec!["http://127.0.0.1:9".into()], ..Grants::default() };
    let port = wait(plugin.destination(Instance { grants, ..instance("http") })).unwrap();
    let write = || {
        let options = WriteOptions { stop_at_first_failure: false };
        wait(port.write(batch(&["GET http://127.0.0.1:9/"]), column(&["key"]), options))
    };
    assert!(write().is_ok());
    clock.0.store(true, Ordering::SeqCst);
    ours(write(), "write");
    clock.0.store(false, Ordering::SeqCst);
    assert!(write().is_ok());
}
