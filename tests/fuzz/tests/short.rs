//! The short run: each target gets its seeds, and a fixed number of mutations of them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crossdock_fuzz::{Mutator, Target, all, seeds};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What mutations begin with. Another one finds other things: `CROSSDOCK_FUZZ_SEED`.
fn seed() -> u64 {
    std::env::var("CROSSDOCK_FUZZ_SEED")
        .map_or(20_261_122, |seed| seed.parse().expect("CROSSDOCK_FUZZ_SEED is a number"))
}

fn check(target: &Target) {
    let found = seeds(target);
    let known: Vec<Vec<u8>> = found.iter().map(|(_, bytes)| bytes.clone()).collect();
    for (path, bytes) in &found {
        run(target, bytes, &path.display().to_string());
    }
    let seed = seed();
    let mut mutator = Mutator::new(seed, &known, target.words);
    for round in 0..target.short_run {
        run(target, &mutator.next_input(), &format!("round {round} of seed {seed}"));
    }
}

fn run(target: &Target, bytes: &[u8], which: &str) {
    let ran = catch_unwind(AssertUnwindSafe(|| (target.run)(bytes)));
    assert!(ran.is_ok(), "{} does not hold for {which}: {:?}", target.name, String::from_utf8_lossy(bytes));
}

#[test]
fn whatever_comes_in_is_answered() {
    let wanted = std::env::var("CROSSDOCK_FUZZ_TARGET").ok();
    let targets: Vec<Target> =
        all().into_iter().filter(|target| wanted.as_deref().is_none_or(|name| name == target.name)).collect();
    assert!(!targets.is_empty(), "there is no target {wanted:?}");
    // Two at a time: some compute, others wait for a guest.
    let queue = std::sync::Mutex::new(targets.into_iter());
    std::thread::scope(|scope| {
        let work = || {
            loop {
                let next = queue.lock().unwrap().next();
                let Some(target) = next else { return };
                check(&target);
            }
        };
        let threads = [scope.spawn(work), scope.spawn(work)];
        for thread in threads {
            thread.join().expect("what does not hold stands above");
        }
    });
}
