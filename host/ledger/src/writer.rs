//! The one thread that writes. It takes what waits in line, does it in one transaction, and answers everybody once
//! that is on disk: the time that one commit takes is the time in which the next ones gather.
//!
//! When there is no room, what was begun is undone by SQLite for certain, so nothing is spoiled: new work waits, the
//! outcomes of work under way go into the room that was kept free, and everything goes on by itself when there is
//! room again.

use crate::error::LedgerError;
use crate::lock::WriterLock;
use crate::room::Room;
use crate::work::{Memory, Work};
use crossdock_model::{Event, EventKind, RunId, Timestamp};
use rusqlite::{Connection, TransactionBehavior};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// The most calls that wait in line; whoever comes then waits for a place.
const LINE_MAX: usize = 4096;
/// The most calls in one transaction, so that the first of them does not wait for too many others.
const CALLS_A_TRANSACTION_MAX: usize = 256;
/// While there is no room, it is looked for after this time, then after twice as long, and so on.
const FULL_LOOK_FIRST_MS: u64 = 20;
/// The longest time between two looks.
const FULL_LOOK_LAST_MS: u64 = 1_000;
/// How long a call waits for room, if nothing else is said.
pub const FULL_WAIT_MAX_MS: u64 = 60_000;

/// What a call is to the rest when there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// It only reads.
    Nothing,
    /// Something new, which waits until there is room; after the longest wait it is refused and nothing has happened.
    Intake,
    /// It makes room, or can be asked for again: tried in the room that was kept free, else refused.
    Relief,
    /// The outcome of something that may have taken effect: tried in the room that was kept free. If it cannot be
    /// written at all, the ledger must be opened again, which puts what was under way in doubt.
    Outcome,
}

/// What a call belongs to: a batch of a run, or all of it.
pub(crate) type Part = (RunId, Option<u64>);

/// One call in line.
pub(crate) trait Call: Send {
    /// What it is when there is no room.
    fn need(&self) -> Need;
    /// What it belongs to, if it must not come before another call that does.
    fn part(&self) -> Option<&Part>;
    /// Does it, within a transaction. Done anew when the transaction was undone for want of room.
    fn act(&mut self, work: &mut Work<'_>) -> Result<(), LedgerError>;
    /// Gives the answer to whoever waits for it. Called when the transaction is on disk.
    fn deliver(self: Box<Self>);
    /// Says that it was not done.
    fn refuse(self: Box<Self>, error: LedgerError);
}

/// What the writer and those who call it both see.
#[derive(Debug)]
pub(crate) struct Shared {
    /// Why the writer has stopped. What it last tried to write may be on disk or not.
    pub(crate) spoiled: OnceLock<LedgerError>,
    pub(crate) transactions: AtomicU64,
    pub(crate) calls: AtomicU64,
    /// The most bytes that the database may have; `u64::MAX` for no limit.
    pub(crate) max_bytes: AtomicU64,
}

impl Shared {
    /// With a limit, and nothing written.
    pub(crate) fn new(max_bytes: Option<u64>) -> Self {
        Self {
            spoiled: OnceLock::new(),
            transactions: AtomicU64::new(0),
            calls: AtomicU64::new(0),
            max_bytes: AtomicU64::new(max_bytes.unwrap_or(u64::MAX)),
        }
    }

    fn limit(&self) -> Option<u64> {
        Some(self.max_bytes.load(Ordering::Acquire)).filter(|&bytes| bytes != u64::MAX)
    }
}

/// What the writer needs beside its line.
pub(crate) struct Setup {
    pub(crate) conn: Connection,
    pub(crate) memory: Memory,
    pub(crate) lock: WriterLock,
    pub(crate) room: Room,
    /// How long a call waits for room.
    pub(crate) full_wait_max: Duration,
    /// What time it is.
    pub(crate) now: Timestamp,
    pub(crate) shared: Arc<Shared>,
}

type Line = SyncSender<Box<dyn Call>>;

/// Starts the thread. It ends when all senders are gone or a write fails; the lock ends with it.
pub(crate) fn start(setup: Setup) -> Result<(Line, std::thread::JoinHandle<()>), LedgerError> {
    let (sender, line) = sync_channel(LINE_MAX);
    let Setup { conn, memory, lock, room, full_wait_max, now, shared } = setup;
    let limit = shared.limit();
    let mut writer = Writer {
        conn,
        memory,
        line,
        shared,
        room,
        limit,
        full_wait_max,
        opened: (now, Instant::now()),
        full: None,
        news: Vec::new(),
    };
    let thread = std::thread::Builder::new().name("ledger-writer".to_owned()).spawn(move || {
        let ended = writer.begin().and_then(|()| writer.run());
        if let Err(error) = ended {
            tracing::error!(%error, "the ledger's writer stops");
            let _ = writer.shared.spoiled.set(error);
        }
        drop(writer);
        drop(lock);
    })?;
    Ok((sender, thread))
}

/// A call that waits for room.
struct Held {
    since: Instant,
    call: Box<dyn Call>,
}

/// What there is while there is no room.
struct Full {
    /// Outcomes and relief that do not fit even in the room that was kept free.
    stuck: VecDeque<Held>,
    /// Intake.
    held: VecDeque<Held>,
    /// When room is next looked for.
    look_at: Instant,
    /// How long after that, if there is none.
    look_again_ms: u64,
}

impl Full {
    /// Has a call wait. Those of the same part that were made before an outcome come before it: who made both did not
    /// wait for them.
    fn hold(&mut self, held: Held) {
        match held.call.need() {
            Need::Intake => self.held.push_back(held),
            Need::Outcome => {
                self.call_up(held.call.part());
                self.stuck.push_back(held);
            }
            Need::Relief | Need::Nothing => self.stuck.push_back(held),
        }
    }

    fn call_up(&mut self, part: Option<&Part>) {
        let Some((run, batch)) = part else { return };
        let of_part = |held: &Held| {
            held.call.part().is_some_and(|(of, number)| of == run && (batch.is_none() || batch == number))
        };
        let (called, others): (VecDeque<Held>, VecDeque<Held>) = self.held.drain(..).partition(of_part);
        self.stuck.extend(called);
        self.held = others;
    }
}

struct Writer {
    conn: Connection,
    memory: Memory,
    line: Receiver<Box<dyn Call>>,
    shared: Arc<Shared>,
    room: Room,
    /// The limit that `room` knows.
    limit: Option<u64>,
    full_wait_max: Duration,
    /// What time it was when the ledger was opened, and on which clock that passes.
    opened: (Timestamp, Instant),
    full: Option<Full>,
    /// Events of the writer itself that are not on disk yet.
    news: Vec<Event>,
}

impl Writer {
    fn begin(&mut self) -> Result<(), LedgerError> {
        if !self.room.keep(&self.conn, self.limit)? {
            self.stop_intake(Vec::new())?;
        }
        Ok(())
    }

    /// Goes on until all senders are gone or a write fails.
    fn run(&mut self) -> Result<(), LedgerError> {
        loop {
            if self.full.is_some() {
                if !self.turn_without_room()? {
                    return Ok(());
                }
                continue;
            }
            let Ok(first) = self.line.recv() else { return Ok(()) };
            let mut calls = vec![first];
            while calls.len() < CALLS_A_TRANSACTION_MAX
                && let Ok(next) = self.line.try_recv()
            {
                calls.push(next);
            }
            if self.limit != self.shared.limit() {
                self.limit = self.shared.limit();
                if !self.room.keep(&self.conn, self.limit)? {
                    self.stop_intake(calls)?;
                    continue;
                }
            }
            match self.transaction(calls) {
                Ok(()) => {}
                Err((LedgerError::DiskFull, calls)) => self.stop_intake(calls)?,
                Err((error, calls)) => return self.spoil(error, calls),
            }
        }
    }

    /// Does calls in one transaction and answers them. When it fails, they are given back undone, unless it is unknown
    /// what is on disk.
    fn transaction(&mut self, mut calls: Vec<Box<dyn Call>>) -> Result<(), (LedgerError, Vec<Box<dyn Call>>)> {
        match self.write(&mut calls) {
            Ok(()) => {
                self.shared.transactions.fetch_add(1, Ordering::Relaxed);
                self.shared.calls.fetch_add(calls.len() as u64, Ordering::Relaxed);
                calls.into_iter().for_each(|call| call.deliver());
                Ok(())
            }
            Err(LedgerError::DiskFull) => match Memory::load(&self.conn) {
                Ok(memory) => {
                    self.memory = memory;
                    Err((LedgerError::DiskFull, calls))
                }
                Err(error) => Err((error, calls)),
            },
            Err(error) => Err((error, calls)),
        }
    }

    /// `SQLITE_FULL` says for certain that nothing was committed: a commit of which a part is missing is none.
    fn write(&mut self, calls: &mut [Box<dyn Call>]) -> Result<(), LedgerError> {
        let transaction = self.conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut work = Work { conn: &transaction, memory: &mut self.memory };
        for event in &self.news {
            crate::trace::append_event(&transaction, None, event)?;
            work.count("event", 1);
        }
        for call in calls {
            call.act(&mut work)?;
        }
        work.flush()?;
        transaction.commit()?;
        self.news.clear();
        Ok(())
    }

    /// Before the calls are dropped: whoever waits for them finds the reason.
    fn spoil(&self, error: LedgerError, calls: Vec<Box<dyn Call>>) -> Result<(), LedgerError> {
        let _ = self.shared.spoiled.set(error.clone());
        calls.into_iter().for_each(|call| call.refuse(error.clone()));
        Err(error)
    }

    fn now(&self) -> Timestamp {
        let passed = i64::try_from(self.opened.1.elapsed().as_millis()).unwrap_or(i64::MAX);
        Timestamp(self.opened.0.0.saturating_add(passed))
    }

    fn tell(&mut self, kind: EventKind, message: &str) {
        let (at, message) = (self.now(), message.to_owned());
        self.news.push(Event { at, kind, run: None, step: None, record: None, message, data: serde_json::Value::Null });
    }

    /// There is no room for these calls: gives up what was kept free.
    fn stop_intake(&mut self, calls: Vec<Box<dyn Call>>) -> Result<(), LedgerError> {
        tracing::warn!("no space left for the ledger; nothing new is begun until there is");
        self.room.release(&self.conn)?;
        if self.news.last().is_some_and(|last| last.kind == EventKind::IntakeResumed) {
            // It was not on disk yet and is not true any more.
            self.news.pop();
        } else {
            self.tell(EventKind::IntakeStopped, "no space left; nothing new is begun until there is");
        }
        self.full = Some(Full {
            stuck: VecDeque::new(),
            held: VecDeque::new(),
            look_at: Instant::now() + Duration::from_millis(FULL_LOOK_FIRST_MS),
            look_again_ms: FULL_LOOK_FIRST_MS * 2,
        });
        self.take(calls)
    }

    /// One turn while there is no room; `false` when all senders are gone.
    fn turn_without_room(&mut self) -> Result<bool, LedgerError> {
        let wait = self.full.as_ref().map(|full| full.look_at.saturating_duration_since(Instant::now()));
        let mut calls = Vec::new();
        match self.line.recv_timeout(wait.unwrap_or_default()) {
            Ok(first) => {
                calls.push(first);
                calls.extend(self.line.try_iter().take(CALLS_A_TRANSACTION_MAX - 1));
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                self.look_for_room()?;
                self.refuse_late(Duration::ZERO)?;
                return Ok(self.full.is_none());
            }
        }
        let due = self.full.as_ref().is_none_or(|full| full.look_at <= Instant::now());
        if (due || self.limit != self.shared.limit()) && self.look_for_room()? {
            if let Err((error, calls)) = self.transaction(calls) {
                if error != LedgerError::DiskFull {
                    return self.spoil(error, calls).map(|()| false);
                }
                self.stop_intake(calls)?;
            }
            return Ok(true);
        }
        self.take(calls)?;
        self.refuse_late(self.full_wait_max)?;
        Ok(true)
    }

    /// Calls that come while there is no room: answers those that only read, tries those that end something, and has
    /// the others wait.
    fn take(&mut self, calls: Vec<Box<dyn Call>>) -> Result<(), LedgerError> {
        let since = Instant::now();
        let Some(mut full) = self.full.take() else { return Ok(()) };
        let mut reading = Vec::new();
        for call in calls {
            match call.need() {
                Need::Nothing => reading.push(call),
                Need::Intake if full.held.len() >= LINE_MAX => call.refuse(LedgerError::DiskFull),
                Need::Intake | Need::Relief | Need::Outcome => full.hold(Held { since, call }),
            }
        }
        if !reading.is_empty() {
            let news = std::mem::take(&mut self.news);
            let read = self.transaction(reading);
            self.news = news;
            if let Err((error, calls)) = read {
                return self.spoil(error, calls);
            }
        }
        let tried = self.try_stuck(&mut full);
        self.full = Some(full);
        tried
    }

    /// Tries to write what is stuck, with the writer's own events.
    fn try_stuck(&mut self, full: &mut Full) -> Result<(), LedgerError> {
        if full.stuck.is_empty() && self.news.is_empty() {
            return Ok(());
        }
        let (since, calls): (Vec<Instant>, Vec<_>) = full.stuck.drain(..).map(|held| (held.since, held.call)).unzip();
        match self.transaction(calls) {
            Ok(()) => Ok(()),
            Err((LedgerError::DiskFull, calls)) => {
                full.stuck = since.into_iter().zip(calls).map(|(since, call)| Held { since, call }).collect();
                Ok(())
            }
            Err((error, calls)) => self.spoil(error, calls),
        }
    }

    /// Takes the room back that is kept free, if there is as much, and does what has waited.
    fn look_for_room(&mut self) -> Result<bool, LedgerError> {
        self.limit = self.shared.limit();
        let Some(mut full) = self.full.take() else { return Ok(true) };
        // Trouble with the ballast other than room is no reason to stop: there is none yet, that is all.
        if !self.room.keep(&self.conn, self.limit).unwrap_or(false) {
            self.room.release(&self.conn)?;
            full.look_at = Instant::now() + Duration::from_millis(full.look_again_ms);
            full.look_again_ms = (full.look_again_ms * 2).min(FULL_LOOK_LAST_MS);
            let tried = self.try_stuck(&mut full);
            self.full = Some(full);
            return tried.map(|()| false);
        }
        tracing::info!("there is room for the ledger again");
        self.tell(EventKind::IntakeResumed, "there is room again");
        let mut waiting: VecDeque<Held> = full.stuck.into_iter().chain(full.held).collect();
        loop {
            let some: Vec<Held> = waiting.drain(..waiting.len().min(CALLS_A_TRANSACTION_MAX)).collect();
            let (since, calls): (Vec<Instant>, Vec<_>) = some.into_iter().map(|held| (held.since, held.call)).unzip();
            match self.transaction(calls) {
                Ok(()) if waiting.is_empty() => return Ok(true),
                Ok(()) => {}
                Err((LedgerError::DiskFull, calls)) => {
                    self.stop_intake(Vec::new())?;
                    let again = since.into_iter().zip(calls).map(|(since, call)| Held { since, call }).chain(waiting);
                    self.wait_again(again.collect())?;
                    return Ok(false);
                }
                Err((error, calls)) => {
                    return self
                        .spoil(error, calls.into_iter().chain(waiting.into_iter().map(|h| h.call)).collect())
                        .map(|()| false);
                }
            }
        }
    }

    /// Calls that had been about to be done when the room was gone again; they have waited since before.
    fn wait_again(&mut self, calls: Vec<Held>) -> Result<(), LedgerError> {
        let Some(mut full) = self.full.take() else { return Ok(()) };
        calls.into_iter().for_each(|held| full.hold(held));
        let tried = self.try_stuck(&mut full);
        self.full = Some(full);
        tried
    }

    /// Refuses calls that have waited for longer than this. An outcome among them ends the writer.
    fn refuse_late(&mut self, longest: Duration) -> Result<(), LedgerError> {
        let Some(full) = &mut self.full else { return Ok(()) };
        let late = |held: &Held| held.since.elapsed() >= longest;
        while let Some(held) = full.held.pop_front_if(|held| late(held)) {
            held.call.refuse(LedgerError::DiskFull);
        }
        let lost = full.stuck.iter().any(|held| held.call.need() == Need::Outcome && late(held));
        if lost {
            let calls = full.stuck.drain(..).chain(full.held.drain(..)).map(|held| held.call).collect();
            return self.spoil(LedgerError::DiskFull, calls);
        }
        while let Some(held) = full.stuck.pop_front_if(|held| late(held)) {
            held.call.refuse(LedgerError::DiskFull);
        }
        Ok(())
    }
}
