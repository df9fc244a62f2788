//! What the person at the terminal asked for.

use anyhow::{Context as _, Result, bail, ensure};
use std::path::PathBuf;

pub(crate) const USAGE: &str = "cargo bench -p crossdock-bench --bench route [-- OPTIONS]

Moves orders from one file into another by the route, by native programs, by a bare wasmtime, and by what people would
use instead as far as it is installed; a process each, in turns. Prints a table of what a record took.

  --orders N      orders to move; default 100,000
  --rounds N      how often each comes to its turn; default 7
  --quick         10,000 orders in 3 rounds
  --only A,B      these only, beside native: bare, summary, ids, full, floor, extism, python, node, jq, bytewax,
                  duckdb, node-red; extism-100 and floor-stoppable are single ones
  --install       fetches and builds what others need, into the target folder: Extism from crates.io, bytewax and
                  DuckDB from PyPI, Node-RED from npm
  --cdnow         instead: the purchases of examples/cdnow into the ERP stand-in
  --growth        instead: the route at more and larger records, more steps and more routes
  --json FILE     also writes what every round took";

/// Which work is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// Orders from file to file.
    Orders,
    /// Purchases into an ERP.
    Purchases,
    /// The route by how much it is given.
    Growth,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) work: Work,
    pub(crate) orders: u64,
    pub(crate) rounds: usize,
    /// Empty: all.
    pub(crate) only: Vec<String>,
    pub(crate) install: bool,
    pub(crate) json: Option<PathBuf>,
}

impl Asked {
    /// `None` if it was for help.
    pub(crate) fn read(mut arguments: impl Iterator<Item = String>) -> Result<Option<Self>> {
        let mut asked =
            Self { work: Work::Orders, orders: 100_000, rounds: 7, only: Vec::new(), install: false, json: None };
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().with_context(|| format!("{argument} of what?\n\n{USAGE}"));
            match argument.as_str() {
                "--orders" => asked.orders = number(&value()?)?,
                "--rounds" => asked.rounds = usize::try_from(number(&value()?)?)?,
                "--quick" => (asked.orders, asked.rounds) = (10_000, 3),
                "--only" => asked.only = value()?.split(',').map(|word| word.trim().to_owned()).collect(),
                "--install" => asked.install = true,
                "--cdnow" => asked.work = Work::Purchases,
                "--growth" => asked.work = Work::Growth,
                "--json" => asked.json = Some(PathBuf::from(value()?)),
                "--help" | "-h" => return Ok(None),
                // Given by Cargo.
                "--bench" => {}
                other => bail!("unknown argument {other}\n\n{USAGE}"),
            }
        }
        ensure!(asked.orders >= 1_000 && asked.rounds > 0, "at least 1,000 orders and one round");
        Ok(Some(asked))
    }

    /// Whether one with this key is wanted: `extism` wants `extism-1` and all other such.
    pub(crate) fn wants(&self, key: &str) -> bool {
        let covers = |word: &String| {
            key.strip_prefix(word.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        };
        self.only.is_empty() || self.only.iter().any(covers)
    }
}

/// A number as people write it: `1,000,000` or `1_000_000` too.
fn number(text: &str) -> Result<u64> {
    let digits: String = text.chars().filter(|c| !matches!(c, ',' | '_')).collect();
    digits.parse().with_context(|| format!("{text} is no number"))
}
