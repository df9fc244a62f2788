//! Prints the table of the hostile suite: `cargo run -p crossdock-hostile [-- [--json] [--once] NAME…]`. With `--once`
//! each case is run once, and the pace of the second route is not measured.
//!
//! Ends with 1 if a case failed that is not known to, with 2 if the suite itself could not do its work.

use anyhow::{Context as _, Result};
use crossdock_hostile::{HOST, Plan, Report, Verdict, json, run, serve, table};
use std::process::ExitCode;
use std::time::Duration;

/// For how long each case goes on, so that the pace of the second route is seen.
const WINDOW: Duration = Duration::from_millis(3_000);

fn main() -> ExitCode {
    if let Some(code) = crossdock::compile_if_asked() {
        return code;
    }
    match command() {
        Ok(code) => code,
        Err(error) => {
            say_aside(&format!("{error:#}"));
            ExitCode::from(2)
        }
    }
}

fn command() -> Result<ExitCode> {
    let mut names: Vec<String> = std::env::args().skip(1).collect();
    if names.first().is_some_and(|first| first == HOST) {
        let window: u64 = names.get(1).and_then(|window| window.parse().ok()).context("for how long?")?;
        serve(&names[2..], Duration::from_millis(window))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut option = |option: &str| {
        let before = names.len();
        names.retain(|name| name != option);
        names.len() < before
    };
    let as_json = option("--json");
    let window = if option("--once") { Duration::ZERO } else { WINDOW };
    let plan = Plan { program: std::env::current_exe().context("finding this program")?, names, window, tell };
    let summary = run(&plan)?;
    say(&if as_json { json(&summary)? } else { table(&summary) });
    Ok(if summary.count(Verdict::Failed) == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Shows that it goes on: all of it takes minutes.
fn tell(report: &Report) {
    say_aside(&format!(
        "{} {:?}{}",
        report.name,
        report.verdict,
        report.why.as_ref().map_or(String::new(), |why| format!(": {why}"))
    ));
}

#[allow(clippy::print_stdout)]
fn say(text: &str) {
    println!("{text}");
}

#[allow(clippy::print_stderr)]
fn say_aside(text: &str) {
    eprintln!("{text}");
}
