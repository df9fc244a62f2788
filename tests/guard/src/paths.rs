//! The hot paths, each as something to be walked so many times.

mod ledger;
mod machine;
mod sandbox;

use anyhow::{Context as _, Result};
use crossdock_bench::Orders;
use crossdock_model::Batch;
use std::path::{Path, PathBuf};

/// Records a batch in the machine and the ledger.
const RECORDS: usize = 1_000;
/// Records a batch in the sandbox.
const BATCH: usize = 100;

/// A way that every record of a route takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum HotPath {
    /// The state machine, with a batch of 1,000 records from the source through a transformer to a destination.
    Machine,
    /// The ledger: the intent and the commit of such a batch.
    Ledger,
    /// A warm transformer that does nothing, called with a batch of 100.
    Boundary,
    /// The plugin `map`, called with a batch of 100 orders.
    Map,
}

impl HotPath {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Machine, Self::Ledger, Self::Boundary, Self::Map];

    /// What it is called in `counts.toml`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Machine => "machine",
            Self::Ledger => "ledger",
            Self::Boundary => "boundary",
            Self::Map => "map",
        }
    }

    /// The path with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|path| path.name() == name)
    }

    /// Where to look when it grew.
    #[must_use]
    pub fn of(self) -> &'static str {
        match self {
            Self::Machine => "host/engine: the state machine, a batch of 1,000 that goes well",
            Self::Ledger => "host/ledger: intent and commit of a batch of 1,000 that went well",
            Self::Boundary => "host/sandbox: a call of a warm transformer that does nothing, with a batch of 100",
            Self::Map => "plugins/map and sdk/rust: 100 orders, called as in a route",
        }
    }

    /// How many batches are walked, few and many. The more, the less does what happens beside weigh: threads that wake,
    /// a tick that comes during a call.
    #[must_use]
    pub fn walks(self) -> (usize, usize) {
        match self {
            Self::Machine | Self::Ledger => (2, 12),
            Self::Boundary => (10, 210),
            Self::Map => (5, 45),
        }
    }

    /// Records of one batch.
    #[must_use]
    pub fn records(self) -> usize {
        match self {
            Self::Machine | Self::Ledger => RECORDS,
            Self::Boundary | Self::Map => BATCH,
        }
    }

    /// The plugin that it needs: built once, by whoever counts, and not by each program that is counted.
    ///
    /// # Errors
    /// When it does not build.
    pub fn plugin(self) -> Result<Option<PathBuf>> {
        match self {
            Self::Machine | Self::Ledger => Ok(None),
            Self::Boundary => sandbox::identity().map(Some),
            Self::Map => sandbox::map().map(Some),
        }
    }

    /// Prepares the path as for its longest walk, then takes so many batches along it. `folder` is its own; what a
    /// sandbox compiled is found there by the next one.
    ///
    /// # Errors
    /// When a record does not come through as it should: then the count would mean nothing.
    pub fn walk(self, batches: usize, folder: &Path, plugin: Option<&Path>) -> Result<()> {
        let (_, most) = self.walks();
        let plugin = || plugin.context("it needs a plugin");
        // What is left over is not thrown away piece by piece: that would count for less the further it was walked.
        match self {
            Self::Machine => {
                let mut line = machine::Line::new(most)?;
                line.pass(batches, |_| ())?;
                std::mem::forget(line);
            }
            Self::Ledger => {
                let ledger = tempfile::tempdir_in(folder)?;
                let mut book = ledger::Book::new(ledger.path(), most)?;
                book.keep(batches)?;
                std::mem::forget(book);
            }
            Self::Boundary => sandbox::Warm::new(plugin()?, "{}", folder)?.transform(batches)?,
            Self::Map => sandbox::Warm::new(plugin()?, sandbox::SHAPE, folder)?.transform(batches)?,
        }
        Ok(())
    }
}

/// The same orders each time.
fn orders() -> Orders {
    Orders::new(1)
}

/// The next so many of them. Their ids are unique among all that come of the same row.
fn batch(orders: &mut Orders, first: usize, records: usize) -> Batch {
    Batch {
        ids: (first..first + records).map(|number| format!("SO-{number:08}")).collect(),
        payloads: (0..records).map(|_| orders.next_order().0).collect(),
        attributes: Vec::new(),
    }
}
