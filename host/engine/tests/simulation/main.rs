//! A seeded simulation of the engine: the machine runs against a world and a ledger in memory, in virtual time, with
//! crashes, cancels and misbehaviour at any moment, and after every step the invariants are checked.
//!
//! A seed gives the same life of a route every time. `CROSSDOCK_SIMULATION_SEEDS=200000` lives that many lives
//! instead of a thousand, and `CROSSDOCK_SIMULATION_FROM=1000000` begins with that seed.
//! `CROSSDOCK_SIMULATION_SEED=4711` lives one and prints all that happened in it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::sync::Mutex;

mod cases;
mod ledger;
mod operators;
mod player;
mod rng;
mod rules;
mod scenario;
mod world;

/// How many lives are lived by default.
const SEEDS: u64 = 1_000;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} must be a number")))
}

/// Lives one life; on a violation lives it again with a trace, and prints that.
fn check(seed: u64) {
    let first = scenario::live(seed, &mut None);
    let Err(violation) = first else { return };
    let mut trace = Some(Vec::new());
    let again = scenario::live(seed, &mut trace);
    assert_eq!(again, Err(violation.clone()), "seed {seed} is not the same twice");
    let trace = trace.unwrap_or_default().join("\n");
    panic!("{trace}\n\nseed {seed}: {violation}\nsee it alone with CROSSDOCK_SIMULATION_SEED={seed}");
}

#[test]
fn lives_of_routes() {
    if let Some(seed) = number("CROSSDOCK_SIMULATION_SEED") {
        let mut trace = Some(Vec::new());
        let lived = scenario::live(seed, &mut trace);
        eprintln!("{}\n\nseed {seed}: {lived:?}", trace.unwrap_or_default().join("\n"));
        return lived.unwrap();
    }
    let seeds = number("CROSSDOCK_SIMULATION_SEEDS").unwrap_or(SEEDS);
    let from = number("CROSSDOCK_SIMULATION_FROM").unwrap_or(0);
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as u64;
    let violations = Mutex::new(BTreeMap::<String, Vec<u64>>::new());
    std::thread::scope(|scope| {
        for first in 0..threads {
            let violations = &violations;
            scope.spawn(move || {
                for seed in (from + first..from + seeds).step_by(threads as usize) {
                    if let Err(violation) = scenario::live(seed, &mut None) {
                        let kind = violation.chars().filter(|c| !c.is_ascii_digit()).take(70).collect();
                        violations.lock().unwrap().entry(kind).or_default().push(seed);
                    }
                }
            });
        }
    });
    let violations = violations.into_inner().unwrap();
    let Some(first) = violations.values().flatten().copied().min() else { return };
    for (kind, seeds) in &violations {
        eprintln!("{} seeds: {kind} (first {:?})", seeds.len(), &seeds[..seeds.len().min(5)]);
    }
    check(first);
}
