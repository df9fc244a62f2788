//! Starts the host in a process of its own, and sees whether it lives.

use crate::cases::cases;
use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

/// The first argument of the process in which the host is.
pub const HOST: &str = "--host";
/// How long nothing may be heard of the host. Building the plugins for the first time takes longest.
const SILENCE_MAX: Duration = Duration::from_secs(600);
/// How much of its pace the second route must keep.
const PACE_MIN: f64 = 0.95;

/// What is to be run.
#[derive(Debug)]
pub struct Plan {
    /// This program, whose `main` calls [`serve`](crate::serve) after [`HOST`].
    pub program: PathBuf,
    /// Which cases; all, if there are none.
    pub names: Vec<String>,
    /// For how long each goes on, so that the pace of the second route is seen; zero for once.
    pub window: Duration,
    /// Is told of each case as soon as it is through.
    pub tell: fn(&Report),
}

/// What the host says, a line each.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Line {
    /// A case begins.
    Begins(String),
    /// What came of it.
    Came(Box<Report>),
    /// All cases are through, the second route ended in good order, and the ledger is whole.
    Ended,
}

/// How a case ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Everything was as it must be.
    Held,
    /// Something was not.
    Failed,
    /// Something was not, and that is known.
    Open,
}

/// What came of a case.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// Its name.
    pub name: String,
    /// What was done.
    pub what: String,
    /// What is to stop it.
    pub control: String,
    /// How it ended.
    pub verdict: Verdict,
    /// Why it did not hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// How the fault or failure was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub named: Option<String>,
    /// By how much the memory of the host rose at most, in MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_memory_mib: Option<f64>,
    /// How much that may be.
    pub memory_max_mib: u64,
    /// The pace of the second route, as a share of its pace in the quiet before and after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pace: Option<f64>,
    /// How long it took, all its rounds together.
    pub took_ms: u64,
}

/// What came of all.
#[derive(Debug, Serialize)]
pub struct Summary {
    /// One a case, in their order.
    pub cases: Vec<Report>,
}

impl Summary {
    /// How many ended so.
    #[must_use]
    pub fn count(&self, verdict: Verdict) -> usize {
        self.cases.iter().filter(|report| report.verdict == verdict).count()
    }
}

/// Runs the cases. A host that does not live costs the case that was under way; the rest goes on in another one.
///
/// # Errors
/// There is no case of a name, or the host cannot be started.
pub fn run(plan: &Plan) -> Result<Summary> {
    let known: Vec<String> = cases().iter().map(|case| case.name.to_owned()).collect();
    for name in &plan.names {
        ensure!(known.contains(name), "there is no case {name}; there are {}", known.join(", "));
    }
    let mut left: Vec<String> =
        known.into_iter().filter(|name| plan.names.is_empty() || plan.names.contains(name)).collect();
    let mut summary = Summary { cases: Vec::new() };
    while !left.is_empty() {
        let before = left.len();
        let mut process = Process::start(plan, &left)?;
        let died = process.follow(&mut left, &mut summary.cases, plan.tell);
        if let Some(died) = died {
            // A host that dies before it begins, or after all, is no case's doing.
            ensure!(left.len() < before, "{died}");
            let none_left = left.is_empty();
            if let Some(last) = summary.cases.last_mut() {
                last.verdict = Verdict::Failed;
                last.why.get_or_insert_with(|| {
                    if none_left { format!("after all cases, or in this one: {died}") } else { died }
                });
            }
        }
    }
    if !plan.window.is_zero() {
        summary.cases.iter_mut().for_each(judge_pace);
    }
    Ok(summary)
}

fn judge_pace(report: &mut Report) {
    if report.verdict != Verdict::Held || report.pace.is_some_and(|pace| pace >= PACE_MIN) {
        return;
    }
    report.verdict = Verdict::Failed;
    report.why = Some(match report.pace {
        Some(pace) => format!("the second route kept {pace:.2} of its pace, less than {PACE_MIN}"),
        None => "the pace of the second route was not seen".to_owned(),
    });
}

/// The process in which the host is; killed when this is dropped.
struct Process {
    child: Child,
    lines: Receiver<String>,
}

impl Process {
    fn start(plan: &Plan, names: &[String]) -> Result<Self> {
        let mut command = Command::new(&plan.program);
        command.arg(HOST).arg(plan.window.as_millis().to_string()).args(names);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn().with_context(|| format!("starting {}", plan.program.display()))?;
        let stdout = child.stdout.take().context("no stdout")?;
        let (send, lines) = mpsc::channel();
        std::thread::spawn(move || {
            let lines = BufReader::new(stdout).lines().map_while(Result::ok);
            // Nobody listens any more once it was given up.
            for line in lines {
                if send.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self { child, lines })
    }

    /// Takes what it says until it ends. Answers with what is the matter, if it does not end in good order; `left` are
    /// the cases that were not begun.
    fn follow(&mut self, left: &mut Vec<String>, came: &mut Vec<Report>, tell: fn(&Report)) -> Option<String> {
        let mut under_way: Option<Report> = None;
        let mut ended = false;
        let silent = loop {
            match self.lines.recv_timeout(SILENCE_MAX).map(|line| serde_json::from_str::<Line>(&line)) {
                Ok(Ok(Line::Begins(name))) => {
                    left.retain(|other| *other != name);
                    under_way = Some(Report::lost(name));
                }
                Ok(Ok(Line::Came(report))) => {
                    under_way = None;
                    tell(&report);
                    came.push(*report);
                }
                Ok(Ok(Line::Ended)) => ended = true,
                // Whatever else a guest or a library writes there is not for us.
                Ok(Err(_)) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => break false,
                Err(mpsc::RecvTimeoutError::Timeout) => break true,
            }
        };
        if silent {
            let _ = self.child.kill();
        }
        let status = self.child.wait();
        came.extend(under_way);
        if silent {
            return Some(format!("nothing was heard of the host for {} s", SILENCE_MAX.as_secs()));
        }
        match status {
            Ok(status) if status.success() && ended => None,
            Ok(status) => Some(format!("the host did not live: {status}")),
            Err(error) => Some(format!("the host was lost: {error}")),
        }
    }
}

impl Report {
    /// A case of which the end was not seen.
    fn lost(name: String) -> Self {
        let known = cases().into_iter().find(|case| case.name == name);
        let (what, control) = known.map_or(("", ""), |case| (case.what, case.control));
        Self {
            name,
            what: what.to_owned(),
            control: control.to_owned(),
            verdict: Verdict::Failed,
            why: None,
            named: None,
            host_memory_mib: None,
            memory_max_mib: 0,
            pace: None,
            took_ms: 0,
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
