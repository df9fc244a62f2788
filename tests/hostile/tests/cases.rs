//! All cases of the suite, but for the pace of the second route, which needs a machine that does nothing else.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use crossdock_hostile::{Plan, Verdict, run, table};
use std::time::Duration;

/// Runs all cases in one host, and again in another one those that are left if it does not live.
#[test]
fn everything_hostile_is_stopped() {
    let program = env!("CARGO_BIN_EXE_crossdock-hostile").into();
    let summary = run(&Plan { program, names: Vec::new(), window: Duration::ZERO, tell: |_| {} }).unwrap();
    println!("{}", table(&summary));
    assert!(summary.cases.len() >= 40, "there are {} cases", summary.cases.len());
    assert_eq!(summary.count(Verdict::Failed), 0, "see the table above");
}
