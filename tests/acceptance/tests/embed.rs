//! The example for those who embed the library: it is short, and does what it says.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use anyhow::{Context, Result};
use crossdock_acceptance::Command;
use crossdock_devkit::{binary, workspace_root};

/// The most lines, without blanks, for a whole run.
const LINES_MAX: usize = 40;

#[test]
fn a_whole_run_from_a_program_of_ones_own() -> Result<()> {
    let source = std::fs::read_to_string(workspace_root().join("examples/embed/src/main.rs"))?;
    let lines = source.lines().filter(|line| !line.trim().is_empty()).count();
    assert!(lines <= LINES_MAX, "{lines} lines, more than {LINES_MAX}: too many for a first look");

    let mut command = std::process::Command::new(binary("embed", "embed")?);
    let outcome = Command::start(&mut command)?.finish()?.exits(0);
    let said: Vec<&str> = outcome.stdout.lines().collect();
    let (events, last) = said.split_last_chunk::<2>().with_context(|| outcome.all())?;
    assert_eq!(last, &["completed-with-failures: 4 read, 3 ok", "again: ok, 1 ok"], "{}", outcome.all());
    // As they were written, each once, from the first to the last of the run.
    let numbers: Vec<u64> = events
        .iter()
        .map(|line| line.trim_start().split(' ').next().unwrap_or_default().parse().expect("a number"))
        .collect();
    assert!(numbers.len() > 2 && numbers.windows(2).all(|pair| pair[0] < pair[1]), "{}", outcome.all());
    assert!(events.first().is_some_and(|line| line.contains("began") || line.contains("started")), "{}", outcome.all());
    assert!(events.last().is_some_and(|line| line.contains("completed-with-failures")), "{}", outcome.all());
    Ok(())
}
