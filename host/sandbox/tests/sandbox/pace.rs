//! How long others wait while plugins compute all the time: printed, not judged, because machines differ. What is
//! judged is what must hold on any: every call of an honest guest is answered, and those that do not come back are
//! stopped by name. See the figures with `cargo test -p crossdock-sandbox --test sandbox pace -- --nocapture`.

use crate::bombs::{LIMITS, LOOP, load, record};
use crate::common::{all_of, batch};
use crate::core_guest::{Put, guest};
use crossdock_engine::ports::{CallError, TransformerPort};
use crossdock_model::{FaultKind, RouteName, StepName};
use crossdock_sandbox::{Instance, Limits};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const SPINNING: usize = 8;
const ALONE: usize = 200;

/// The middle, the 99th of a hundred, and the longest.
fn spread(mut waits: Vec<Duration>) -> String {
    waits.sort();
    let at = |part: usize| waits[(waits.len() - 1) * part / 100].as_secs_f64() * 1_000.0;
    format!("{:8.2} ms, 99 of 100 within {:8.2} ms, longest {:8.2} ms", at(50), at(99), at(100))
}

/// One honest call after the other, as long as there is something to be seen.
async fn calls(port: Arc<dyn TransformerPort>, goes_on: impl Fn(usize) -> bool) -> Vec<Duration> {
    let mut waits = Vec::new();
    while goes_on(waits.len()) {
        let begun = Instant::now();
        assert!(port.transform(batch(&["one", "two"])).await.answer.is_ok());
        waits.push(begun.elapsed());
    }
    waits
}

/// How late a timer of the host is.
async fn timers(goes_on: impl Fn(usize) -> bool) -> Vec<Duration> {
    let (mut waits, wanted) = (Vec::new(), Duration::from_millis(5));
    while goes_on(waits.len()) {
        let begun = Instant::now();
        tokio::time::sleep(wanted).await;
        waits.push(begun.elapsed().saturating_sub(wanted));
    }
    waits
}

#[test]
fn others_go_on_while_eight_plugins_compute_all_the_time() {
    let large = format!("(if (i32.gt_u (i32.load (i32.const 548)) (i32.const 1000)) (then {LOOP}))");
    let plugin = load(&guest(Put { transform: &large, ..Put::default() })).unwrap();
    let start = || {
        let instance = Instance::new(RouteName::new("tests").unwrap(), StepName::new("here").unwrap(), "{}");
        let limits = Limits { cpu_time_max_ms: 500, call_time_max_ms: 600_000, ..LIMITS() };
        all_of(plugin.transformer(Instance { limits, ..instance })).unwrap()
    };
    let honest = start();
    println!("calls, alone:       {}", spread(all_of(calls(honest.clone(), |count| count < ALONE))));
    println!("timers, alone:      {}", spread(all_of(timers(|count| count < ALONE))));
    let ports: Vec<_> = (0..SPINNING).map(|_| start()).collect();
    let left = Arc::new(AtomicUsize::new(SPINNING));
    let some_spin = |_| left.load(Ordering::SeqCst) > 0;
    let (faults, waits, late) = all_of(async {
        let spinning: Vec<_> = ports
            .into_iter()
            .map(|port| (port, left.clone()))
            .map(|(port, left)| {
                tokio::spawn(async move {
                    let answer = port.transform(record(2_000)).await.answer;
                    left.fetch_sub(1, Ordering::SeqCst);
                    answer
                })
            })
            .collect();
        let (waits, late) = tokio::join!(calls(honest.clone(), some_spin), timers(some_spin));
        let mut faults = Vec::new();
        for one in spinning {
            faults.push(one.await.unwrap());
        }
        (faults, waits, late)
    });
    println!("calls, with eight:  {} ({} calls)", spread(waits.clone()), waits.len());
    println!("timers, with eight: {}", spread(late));
    for fault in faults {
        let Err(CallError::Fault(fault)) = fault else { panic!("no fault") };
        assert_eq!(fault.kind, FaultKind::OutOfTime);
        // Not by the wall, however long it took: that would be held against a guest that only had to wait.
        assert!(fault.message.contains("500 ms (cpu_time_max_ms)"), "{}", fault.message);
    }
    assert!(all_of(honest.transform(batch(&["one"]))).answer.is_ok());
}

#[test]
fn the_longest_that_cannot_be_interrupted() {
    // All the memory that a plugin may have by default, at once: WebAssembly looks at the time before, not within.
    let whole = "(drop (memory.grow (i32.const 3800)))
        (memory.fill (i32.const 1048576) (i32.const 1) (i32.const 260000000))";
    let once = format!("(if (i32.gt_u (i32.load (i32.const 548)) (i32.const 1000)) (then {whole}))");
    let plugin = load(&guest(Put { transform: &once, ..Put::default() })).unwrap();
    let instance = Instance::new(RouteName::new("tests").unwrap(), StepName::new("here").unwrap(), "{}");
    let limits = Limits { cpu_time_max_ms: 10, call_time_max_ms: 600_000, ..Limits::default() };
    let port = all_of(plugin.transformer(Instance { limits, ..instance })).unwrap();
    for name in ["248 MiB filled, new:  ", "248 MiB filled, again:"] {
        let begun = Instant::now();
        // It gives way when it is done: then it is stopped, or it has its answer already.
        let answer = all_of(port.transform(record(2_000))).answer;
        println!("{name} {:8.2} ms", begun.elapsed().as_secs_f64() * 1_000.0);
        if let Err(error) = answer {
            let CallError::Fault(fault) = error else { panic!("{error:?}") };
            assert_eq!(fault.kind, FaultKind::OutOfTime);
        }
    }
    assert!(all_of(port.transform(batch(&["one"]))).answer.is_ok());
}
