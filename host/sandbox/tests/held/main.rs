//! How much of the host's own memory a call may come to hold: what the guest hands over, and what the host makes of it.
//! Guests' memories are not in it; they have limits of their own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::large_futures, clippy::print_stdout)]

#[allow(dead_code)]
#[path = "../sandbox/common.rs"]
mod common;

use common::{Still, batch, config, wait};
use crossdock_devkit::raw::{Put, guest};
use crossdock_engine::ports::{CallError, CallTrace, Transformed};
use crossdock_model::{RouteName, StepName};
use crossdock_sandbox::{Instance, Limits, Sandbox};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// Counts what the host has allocated.
struct Counting;

/// What is counted is counted for the whole process.
static ALONE: Mutex<()> = Mutex::new(());
static NOW: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

fn more(bytes: usize) {
    let now = NOW.fetch_add(bytes, Ordering::Relaxed) + bytes;
    MOST.fetch_max(now, Ordering::Relaxed);
}

/// What an allocation costs: the system's allocator has at least 32 bytes for each.
fn cost(layout: Layout) -> usize {
    (layout.size() + 8).next_multiple_of(16).max(32)
}

// SAFETY: everything is done by the system's allocator, with the same arguments; counting allocates nothing.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        more(cost(layout));
        // SAFETY: the caller's promises are those that are wanted here.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        NOW.fetch_sub(cost(layout), Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// The most that one call may make the host hold, as a multiple of `boundary_max_bytes`; stated there.
const TIMES_MAX: usize = 3;
/// What a call costs in any case.
const BASE_BYTES: usize = 1 << 20;

const LIMITS: fn() -> Limits = Limits::default;

/// Has the list at this place consist of so many elements that all look like the one given, from 1 MiB on.
fn list(at: u32, element: &[u32], count: u32) -> String {
    let bytes = element.len() * 4;
    let stores: String = element
        .iter()
        .enumerate()
        .map(|(n, word)| format!("(i32.store (i32.const {}) (i32.const {word}))", 2048 + 4 * n))
        .collect();
    format!(
        "{stores} (local.set $count (i32.const 0))
        (loop $again
            (memory.copy (i32.add (i32.const 1048576) (i32.mul (local.get $count) (i32.const {bytes})))
                (i32.const 2048) (i32.const {bytes}))
            (br_if $again (i32.lt_u (local.tee $count (i32.add (local.get $count) (i32.const 1))) (i32.const {count}))))
        (i32.store (i32.const {at}) (i32.const 1048576)) (i32.store (i32.const {}) (i32.const {count}))",
        at + 4
    )
}

fn run(sandbox: &Sandbox, put: Put<'_>) -> (usize, Result<(Transformed, CallTrace), CallError>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("holds.wasm");
    std::fs::write(&path, guest(put)).unwrap();
    let plugin = wait(sandbox.load(path)).unwrap();
    let instance = Instance::new(RouteName::new("tests").unwrap(), StepName::new("here").unwrap(), "{}");
    let port = wait(plugin.transformer(Instance { limits: LIMITS(), ..instance })).unwrap();
    let before = NOW.load(Ordering::SeqCst);
    MOST.store(before, Ordering::SeqCst);
    let answer = wait(port.transform(batch(&["one"])));
    (MOST.load(Ordering::SeqCst).saturating_sub(before), answer)
}

/// The bytes of one letter, which many texts and lists may share.
const LETTER: [u32; 2] = [200, 1];

#[test]
fn what_a_call_makes_the_host_hold_is_bounded() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let sandbox = Sandbox::new(config(Still)).unwrap();
    let boundary = LIMITS().boundary_max_bytes;
    let [at, length] = LETTER;
    // As many of each as there is room for on the host's side.
    let failure = [0, 0, at, length, at, length, 1, at, length, 1, at, length, 0, 0, 0, 0];
    let attribute = [at, length, at, length, 2048, 1];
    let request = [at, length, at, length, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let header = [at, length, 1, at, length, 0, at, length];
    let send = |requests: &str| {
        format!(
            "{requests} (call $send (i32.load (i32.const 4000)) (i32.load (i32.const 4004)) (i32.const 1) (i32.const 1024))"
        )
    };
    let one = "(i32.store (i32.const 4000) (i32.const 3000)) (i32.store (i32.const 4004) (i32.const 1))";
    let refused = "(memory.fill (i32.const 520) (i32.const 0) (i32.const 64)) (i32.store8 (i32.const 512) (i32.const 1)) (i32.store (i32.const 536) (i32.const 2000000))
        (i32.store (i32.const 540) (i32.const 8000000))";
    let cases = [
        ("nothing", String::new()),
        ("answer: handles", list(520, &[7], 2_000_000)),
        ("answer: codes", list(528, &[7], 2_000_000) + "(i32.store (i32.const 532) (i32.const 8000000))"),
        ("answer: failures", list(568, &failure, 67_000)),
        ("answer: failures of nothing", list(568, &[0; 16], 69_000)),
        ("answer: attributes", list(560, &attribute, 105_000)),
        ("answer: refusal", refused.to_owned()),
        ("log: message", "(call $log (i32.const 4) (i32.const 2000000) (i32.const 8000000))".to_owned()),
        ("metrics: name", "(call $count (i32.const 2000000) (i32.const 8000000) (i64.const 1))".to_owned()),
        (
            "state: value",
            "(call $set (i32.const 200) (i32.const 4) (i32.const 2000000) (i32.const 8000000) (i32.const 1024))"
                .to_owned(),
        ),
        ("secrets: name", "(call $open (i32.const 2000000) (i32.const 8000000) (i32.const 1024))".to_owned()),
        ("http: requests", send(&list(4000, &request, 60_000))),
        ("http: headers", send(&(list(3024, &header, 90_000) + one))),
        ("http: query", send(&(list(3016, &header, 90_000) + one))),
        ("stdout", "(call $print (call $stdout) (i32.const 2000000) (i32.const 4096) (i32.const 1024))".to_owned()),
        ("random", "(call $random (i64.const 1048576) (i32.const 1024))".to_owned()),
    ];
    for (name, transform) in &cases {
        let (most, answer) = run(&sandbox, Put { transform, ..Put::default() });
        let said = answer.map_or_else(|error| format!("{error:?}"), |_| "ok".to_owned());
        println!(
            "{name:30} {:6.2} MiB, {:.2} times: {:.120}",
            most as f64 / f64::from(1 << 20),
            most as f64 / boundary as f64,
            said
        );
        assert!(most <= TIMES_MAX * boundary + BASE_BYTES, "{name}: {most} bytes");
        assert!(!said.contains("at once"), "{name} is more than may be handed over: {said}");
    }
}

#[test]
fn many_calls_of_imports_hold_no_more_than_one() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let sandbox = Sandbox::new(config(Still)).unwrap();
    // A hundred thousand keys come and go; as many texts are written, opened, counted.
    let each = [
        "(call $set (i32.const 3000) (i32.const 200) (i32.const 200) (i32.const 4) (i32.const 1024))
         (call $delete (i32.const 3000) (i32.const 200))",
        "(call $log (i32.const 4) (i32.const 3000) (i32.const 200))",
        "(call $count (i32.const 3000) (i32.const 60) (i64.const 1))",
        "(call $open (i32.const 3000) (i32.const 200) (i32.const 1024))",
        "(call $print (global.get $stdout) (i32.const 3000) (i32.const 200) (i32.const 1024))",
    ];
    for call in each {
        let transform = format!(
            "(global.set $stdout (call $stdout))
            (memory.fill (i32.const 3000) (i32.const 97) (i32.const 200)) (local.set $count (i32.const 0))
            (loop $again
                (i32.store (i32.const 3000) (i32.or (i32.const 0x40404040)
                    (i32.and (local.get $count) (i32.const 0x0f0f0f0f))))
                (i32.store (i32.const 3010) (i32.or (i32.const 0x40404040)
                    (i32.and (i32.shr_u (local.get $count) (i32.const 4)) (i32.const 0x0f0f0f0f))))
                {call}
                (br_if $again (i32.lt_u (local.tee $count (i32.add (local.get $count) (i32.const 1))) (i32.const 100000))))"
        );
        let put = Put { beside: "(global $stdout (mut i32) (i32.const 0))", transform: &transform, ..Put::default() };
        let (most, answer) = run(&sandbox, put);
        println!("{:6.2} MiB: {:.60}", most as f64 / f64::from(1 << 20), call);
        assert!(answer.is_ok(), "{answer:?}");
        assert!(most <= 2 << 20, "{call}: {most} bytes");
    }
}
