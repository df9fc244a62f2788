//! The one thread that writes. It takes what waits in line, does it in one transaction, and answers everybody once
//! that is on disk: the time that one commit takes is the time in which the next ones gather.

use crate::error::LedgerError;
use crate::lock::WriterLock;
use crate::work::{Memory, Work};
use rusqlite::{Connection, TransactionBehavior};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};

/// The most calls that wait in line; whoever comes then waits for a place.
const LINE_MAX: usize = 4096;
/// The most calls in one transaction, so that the first of them does not wait for too many others.
const CALLS_A_TRANSACTION_MAX: usize = 256;

/// Gives an answer to whoever waits for it.
pub(crate) type Deliver = Box<dyn FnOnce() + Send>;
/// Does one call; its answer is given when the transaction is on disk.
pub(crate) type Job = Box<dyn FnOnce(&mut Work<'_>) -> Result<Deliver, LedgerError> + Send>;

/// What the writer and those who call it both see.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// Why the writer has stopped. What it last tried to write may be on disk or not.
    pub(crate) spoiled: OnceLock<LedgerError>,
    pub(crate) transactions: AtomicU64,
    pub(crate) calls: AtomicU64,
}

/// Starts the thread. It ends when all senders are gone or a write fails; the lock ends with it.
pub(crate) fn start(
    conn: Connection,
    memory: Memory,
    lock: WriterLock,
    shared: Arc<Shared>,
) -> Result<(SyncSender<Job>, std::thread::JoinHandle<()>), LedgerError> {
    let (sender, receiver) = sync_channel(LINE_MAX);
    let thread = std::thread::Builder::new().name("ledger-writer".to_owned()).spawn(move || {
        run(conn, memory, &receiver, &shared);
        drop(receiver);
        drop(lock);
    })?;
    Ok((sender, thread))
}

fn run(mut conn: Connection, mut memory: Memory, line: &Receiver<Job>, shared: &Shared) {
    while let Ok(first) = line.recv() {
        match transaction(&mut conn, &mut memory, first, line, shared) {
            Ok(answers) => answers.into_iter().for_each(|deliver| deliver()),
            Err(error) => {
                tracing::error!(%error, "the ledger's writer stops");
                // Before the answers' senders are dropped: whoever waits for them finds the reason.
                let _ = shared.spoiled.set(error);
                return;
            }
        }
    }
}

fn transaction(
    conn: &mut Connection,
    memory: &mut Memory,
    first: Job,
    line: &Receiver<Job>,
    shared: &Shared,
) -> Result<Vec<Deliver>, LedgerError> {
    let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut answers = Vec::new();
    let mut work = Work { conn: &transaction, memory };
    let mut next = Some(first);
    while let Some(job) = next {
        answers.push(spoiling(shared, job(&mut work))?);
        next = if answers.len() < CALLS_A_TRANSACTION_MAX { line.try_recv().ok() } else { None };
    }
    spoiling(shared, work.flush())?;
    spoiling(shared, transaction.commit().map_err(LedgerError::from))?;
    shared.transactions.fetch_add(1, Ordering::Relaxed);
    shared.calls.fetch_add(answers.len() as u64, Ordering::Relaxed);
    Ok(answers)
}

/// Notes an error where those who wait look for it before their answers' senders are dropped on the way out.
fn spoiling<T>(shared: &Shared, done: Result<T, LedgerError>) -> Result<T, LedgerError> {
    if let Err(error) = &done {
        let _ = shared.spoiled.set(error.clone());
    }
    done
}
