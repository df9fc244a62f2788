//! Those who do the same work, in turns, a process each.

use crate::asked::Asked;
use crate::say;
use crate::shop::Tally;
use anyhow::{Context as _, Result, ensure};
use crossdock_bench::{Measured, Spent, order, run_measured};
use serde::{Deserialize, Serialize};
use std::process::Command;

/// One who does the work.
pub(crate) struct Contender {
    /// The word for it on the command line.
    pub(crate) key: String,
    /// As people read it.
    pub(crate) name: String,
    /// Records that are to be moved.
    pub(crate) records: u64,
    /// Before each turn: takes away what the one before has left.
    pub(crate) clear: Box<dyn Fn() -> Result<()>>,
    /// What is started.
    pub(crate) command: Box<dyn Fn() -> Result<Command>>,
    /// What it must say it has done, if it is one of ours; other programs say nothing.
    pub(crate) says: Option<Tally>,
}

/// What one of our own processes says at its end.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Said {
    pub(crate) tally: Tally,
    /// As the process itself knows it: nothing from before it was loaded is in it.
    pub(crate) peak_kib: Option<u64>,
}

impl Contender {
    /// Does the work once.
    pub(crate) fn once(&self) -> Result<Spent> {
        (self.clear)()?;
        let mut command = (self.command)()?;
        let ended = run_measured(&mut command).with_context(|| format!("running {}", self.name))?;
        ensure!(ended.status.success(), "{} ended with {}", self.name, ended.status);
        let Some(expected) = self.says else { return Ok(ended.spent) };
        let said: Said =
            serde_json::from_slice(&ended.stdout).with_context(|| format!("reading what {} says", self.name))?;
        ensure!(said.tally == expected, "{}: {:?}, and there should be {expected:?}", self.name, said.tally);
        Ok(Spent { peak_kib: said.peak_kib.unwrap_or(ended.spent.peak_kib), ..ended.spent })
    }
}

/// Lets all do the work, in turns.
pub(crate) fn in_turns(contenders: &[Contender], asked: &Asked) -> Result<Vec<Measured>> {
    let mut all: Vec<Measured> = contenders
        .iter()
        .map(|who| Measured { name: who.name.clone(), records: who.records, rounds: Vec::with_capacity(asked.rounds) })
        .collect();
    for round in 0..asked.rounds {
        for at in order(contenders.len(), round) {
            all[at].rounds.push(contenders[at].once()?);
        }
        note(&format!("round {} of {}", round + 1, asked.rounds));
    }
    if let Some(path) = &asked.json {
        std::fs::write(path, serde_json::to_vec_pretty(&all)?)
            .with_context(|| format!("writing {}", path.display()))?;
        say(&format!("What every round took is in {}.", path.display()));
    }
    Ok(all)
}

/// How far it is, for a person who waits; not part of the answer.
#[allow(clippy::print_stderr)]
pub(crate) fn note(text: &str) {
    eprintln!("{text}");
}
