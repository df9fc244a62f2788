//! The ledger, given what a run writes down of batches in which every record goes well: an intent and a commit each.
//! The files are real, and what the system does with them is not counted.

use super::machine::{self, Line, NOW, Write};
use anyhow::Result;
use crossdock_engine::ports::{Cause, Ledger as _, RunStart};
use crossdock_ledger::{LedgerStore, OpenOptions};
use std::collections::VecDeque;
use std::path::Path;
use tokio::runtime::Runtime;

/// A ledger in which a run has begun, and what that run is going to write.
pub(crate) struct Book {
    ledger: LedgerStore,
    writes: VecDeque<Write>,
    runtime: Runtime,
}

impl Book {
    pub(crate) fn new(folder: &Path, batches: usize) -> Result<Self> {
        let mut writes = VecDeque::new();
        Line::new(batches)?.pass(batches, |write| writes.push_back(write))?;
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        let ledger = LedgerStore::open(folder, OpenOptions::new(NOW))?;
        let start = RunStart {
            run: machine::run(),
            route: machine::route()?,
            route_hash: "guard".to_owned(),
            definition: String::new(),
            plugins: Vec::new(),
            cause: Cause::Manual,
            at: NOW,
        };
        runtime.block_on(ledger.begin_run(start))?;
        Ok(Self { ledger, writes, runtime })
    }

    /// Makes as many batches durable, one after the other.
    pub(crate) fn keep(&mut self, batches: usize) -> Result<()> {
        let mut kept = 0;
        while kept < batches
            && let Some(write) = self.writes.pop_front()
        {
            match write {
                Write::Intent(intent) => self.runtime.block_on(self.ledger.intend(intent))?,
                Write::Commit(commit) => {
                    self.runtime.block_on(self.ledger.commit(*commit))?;
                    kept += 1;
                }
            }
        }
        Ok(())
    }
}
