//! What it costs to start instances of plugins, to keep them, and to lose them; and to start the host.
//!
//! `cargo bench -p crossdock-bench --bench instances` prints one table: what is wanted, and what was measured. Names of
//! parts (`fresh`, `trap`, `host`, `living`, `start`, `idle`) measure these only; `--quick` measures less often, and fewer instances.
//!
//! What is compared is measured in turns, and a ratio is the median of the ratios of a turn. Memory is that of
//! processes of their own. Nothing is taken for granted: answers are looked at, and a part that fails ends the program.

mod bare;
mod calls;
mod idle;
mod living;
mod project;
mod start;

use anyhow::{Context as _, Result, bail};
use std::fmt::Write as _;
use std::process::{Command, ExitCode, Stdio};

/// A line of the table.
struct Line {
    what: String,
    target: String,
    measured: String,
    /// Whether the target is met; `None` if there is none for this line.
    met: Option<bool>,
}

impl Line {
    fn of(what: impl Into<String>, target: impl Into<String>, measured: impl Into<String>, met: Option<bool>) -> Self {
        Self { what: what.into(), target: target.into(), measured: measured.into(), met }
    }

    /// What has no target, and explains what has one.
    fn aside(what: impl Into<String>, measured: impl Into<String>) -> Self {
        Self::of(what, "", measured, None)
    }
}

/// Measures one thing, less often if it is to be quick.
type Measure = fn(bool) -> Result<Vec<Line>>;

/// The parts, by the names that choose them.
const PARTS: [(&str, Measure); 6] = [
    ("fresh", calls::fresh_and_warm),
    ("trap", calls::trapped),
    ("host", calls::host_and_bare),
    ("living", living::measure),
    ("start", start::measure),
    ("idle", idle::measure),
];

fn main() -> Result<ExitCode> {
    if let Some(code) = crossdock::compile_if_asked() {
        return Ok(code);
    }
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [child, rest @ ..] = arguments.as_slice() {
        match child.as_str() {
            living::CHILD => return living::child(rest).map(|()| ExitCode::SUCCESS),
            start::CHILD => return start::child(rest).map(|()| ExitCode::SUCCESS),
            idle::CHILD => return idle::child(rest).map(|()| ExitCode::SUCCESS),
            _ => {}
        }
    }
    // Given by Cargo.
    arguments.retain(|argument| argument != "--bench");
    let quick = arguments.iter().any(|argument| argument == "--quick");
    arguments.retain(|argument| argument != "--quick");
    if let Some(unknown) = arguments.iter().find(|argument| PARTS.iter().all(|(name, _)| name != argument)) {
        bail!("there is no part {unknown}; there are {}, and --quick", PARTS.map(|(name, _)| name).join(", "));
    }
    let wanted = |name: &str| arguments.is_empty() || arguments.iter().any(|argument| argument == name);
    let mut table = "| what | target | measured | |\n|---|---|---|---|".to_owned();
    for (name, measure) in PARTS.into_iter().filter(|(name, _)| wanted(name)) {
        for Line { what, target, measured, met } in measure(quick).with_context(|| format!("measuring {name}"))? {
            let verdict = met.map_or("", |met| if met { "met" } else { "not met" });
            write!(table, "\n| {what} | {target} | {measured} | {verdict} |")?;
        }
    }
    say(&table);
    Ok(ExitCode::SUCCESS)
}

/// Starts this program again for one measurement, and reads what it says.
fn in_a_process<T: serde::de::DeserializeOwned>(arguments: &[&str]) -> Result<T> {
    let mut command = Command::new(std::env::current_exe()?);
    let output = command.args(arguments).stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
    anyhow::ensure!(output.status.success(), "{} ended with {}", arguments.join(" "), output.status);
    serde_json::from_slice(&output.stdout).with_context(|| format!("reading what {} says", arguments.join(" ")))
}

/// The median, and the values at a tenth and at nine tenths.
struct Spread {
    median: f64,
    low: f64,
    high: f64,
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |tenths: usize| {
            let last = values.len().saturating_sub(1);
            values.get(last * tenths / 10).copied().unwrap_or(f64::NAN)
        };
        Self { median: at(5), low: at(1), high: at(9) }
    }

    /// With so many digits behind the point, and the spread.
    fn say(&self, digits: usize, unit: &str) -> String {
        let Self { median, low, high } = self;
        format!("{median:.digits$}{unit} ({low:.digits$} to {high:.digits$})")
    }
}

#[allow(clippy::print_stdout)]
fn say(text: &str) {
    println!("{text}");
}
