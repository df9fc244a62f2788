//! The ledger port, filled with SQLite.

use crate::apply;
use crate::ask;
use crate::decide::{self, Decided, Decision};
use crate::edit::{Edit, Edited};
use crate::error::LedgerError;
use crate::lock::WriterLock;
use crate::packed::{self, Compressors};
use crate::plan::{self, Plan};
use crate::reader::LedgerReader;
use crate::recovery::Ended;
use crate::room::{BALLAST_BYTES, Room};
use crate::work::{Answer, Done, Memory, Work};
use crate::writer::{self, Call, FULL_WAIT_MAX_MS, Need, Part, Setup, Shared};
use crate::{edit, files, quarantine, recovery, schema, state, task};
use crossdock_engine::ports::{
    BatchCommit, DueRows, DueTasks, Intent, Ledger, PortError, PortFuture, RecordRow, RunEnd, RunOpening, RunStart,
    TaskCommit,
};
use crossdock_model::{Event, RecordId, RouteName, RunId, StepName, Timestamp};
use rusqlite::{Connection, TransactionBehavior};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::SyncSender;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::oneshot;

/// How a ledger is opened for writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenOptions {
    /// The time now: what is found out on opening is noted with it.
    pub now: Timestamp,
    /// The most bytes that the database may have (`ledger_max_bytes`); beyond it is as if the disk were full. `None`:
    /// as many as the disk holds. The write-ahead log, mostly below 64 MiB, comes on top.
    pub max_bytes: Option<u64>,
    /// The number of this process: what others are told who find the ledger in use.
    pub process: Option<u32>,
    /// The size of the file `ledger.ballast`, which is given up when the disk is full; at least 64 KiB.
    /// [`BALLAST_BYTES`] if nothing else is said.
    pub ballast_bytes: u64,
    /// How long a call waits for room when there is none. [`FULL_WAIT_MAX_MS`] if nothing else is said.
    pub full_wait_max_ms: u64,
}

impl OpenOptions {
    /// Without a limit and without the number of the process.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self { now, max_bytes: None, process: None, ballast_bytes: BALLAST_BYTES, full_wait_max_ms: FULL_WAIT_MAX_MS }
    }
}

/// How much was written since the ledger was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriterStats {
    /// Transactions made durable.
    pub transactions: u64,
    /// Calls that these held together.
    pub calls: u64,
}

/// A ledger in a folder, open for writing. A clone is another handle to the same one; the last to go closes it.
///
/// A call has answered `Ok` only when what it wrote is on disk. Many callers share one transaction. When a
/// transaction fails, all calls in it answer why, and all later ones that the ledger must be opened again.
///
/// A full disk is no such failure. Nothing new is begun until there is room (event `intake-stopped`): `begin_run`,
/// `intend` and what operators ask for wait, and answer `ledger-disk-full` after
/// [`OpenOptions::full_wait_max_ms`], without having done anything. Outcomes of what is under way go into room that
/// was kept free; if even that is not enough for as long, the ledger must be opened again. When there is room,
/// everything goes on by itself (event `intake-resumed`).
///
/// A call takes its place in line when it is made, not when its future is first polled; one whose future is
/// dropped is done all the same.
#[derive(Clone)]
pub struct LedgerStore {
    inner: Arc<Inner>,
}

struct Inner {
    dir: PathBuf,
    line: Option<SyncSender<Box<dyn Call>>>,
    thread: Option<JoinHandle<()>>,
    shared: Arc<Shared>,
    compressors: Compressors,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.line.take();
        if let Some(thread) = self.thread.take() {
            // It has at most one transaction to finish; a panic in it was told to those who waited.
            let _ = thread.join();
        }
    }
}

impl std::fmt::Debug for LedgerStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LedgerStore").field("dir", &self.inner.dir).finish_non_exhaustive()
    }
}

impl LedgerStore {
    /// Opens the ledger in a folder, which is made if it does not exist. Only one process at a time can.
    ///
    /// What a process that died left under way is settled before this returns: records that may have been applied
    /// become `indeterminate`, with an event `record-in-doubt` each; those that a step in the middle applied become
    /// `processing`; runs that were running have `failed` with the reason `process-ended`.
    ///
    /// # Errors
    /// When another process has it open, when it is of a newer version, not a ledger or damaged, and when the
    /// folder cannot be written to.
    pub fn open(dir: impl AsRef<Path>, options: OpenOptions) -> Result<Self, LedgerError> {
        let dir = dir.as_ref();
        let room = Room::new(dir, options.ballast_bytes);
        let (lock, conn, memory) = match Self::settled(dir, options) {
            // Without room not even the files beside the database can be made, for which SQLite has other words.
            // If that does not help either, the first error is the one to tell.
            Err(LedgerError::DiskFull | LedgerError::Storage { .. }) if room.give_up_ballast().unwrap_or(false) => {
                Self::settled(dir, options)?
            }
            settled => settled?,
        };
        let shared = Arc::new(Shared::new(options.max_bytes));
        let (line, thread) = writer::start(Setup {
            conn,
            memory,
            lock,
            room,
            full_wait_max: Duration::from_millis(options.full_wait_max_ms),
            now: options.now,
            shared: Arc::clone(&shared),
        })?;
        let inner = Inner {
            dir: dir.to_owned(),
            line: Some(line),
            thread: Some(thread),
            shared,
            compressors: Compressors::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Opens the database and settles what a process that died left under way.
    fn settled(dir: &Path, options: OpenOptions) -> Result<(WriterLock, Connection, Memory), LedgerError> {
        files::make_dir(dir)?;
        let lock = WriterLock::take(dir, options.process)?;
        files::put_in_place(dir)?;
        let mut conn = schema::open_to_write(dir)?;
        schema::check_at_start(&conn, dir)?;
        let mut memory = Memory::load(&conn)?;
        let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut work = Work { conn: &transaction, memory: &mut memory };
        recovery::settle_all(&mut work, options.now, Ended::Process)?;
        work.flush()?;
        transaction.commit()?;
        Ok((lock, conn, memory))
    }

    /// The folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.inner.dir
    }

    /// A reader of the same ledger.
    ///
    /// # Errors
    /// As [`LedgerReader::open`].
    pub fn reader(&self) -> Result<LedgerReader, LedgerError> {
        LedgerReader::open(&self.inner.dir)
    }

    /// How much was written since it was opened.
    #[must_use]
    pub fn stats(&self) -> WriterStats {
        WriterStats {
            transactions: self.inner.shared.transactions.load(Ordering::Relaxed),
            calls: self.inner.shared.calls.load(Ordering::Relaxed),
        }
    }

    /// Changes the most bytes that the database may have; see [`OpenOptions::max_bytes`]. What waits for room goes on
    /// if there is some now.
    ///
    /// # Errors
    /// When the ledger must be opened again.
    pub async fn set_max_bytes(&self, max_bytes: Option<u64>) -> Result<(), LedgerError> {
        self.inner.shared.max_bytes.store(max_bytes.unwrap_or(u64::MAX), Ordering::Release);
        // The writer looks at it before the next call.
        self.call(Need::Nothing, |_| Ok(Ok(()))).await
    }

    /// Keeps a plan. One with the same hash is left as it is: its content is the same. The calling thread brings it
    /// into its stored form before the writer is asked.
    ///
    /// # Errors
    /// When it could not be written.
    pub async fn save_plan(&self, plan: Plan) -> Result<(), LedgerError> {
        let packed = plan::pack(plan)?;
        self.call(Need::Intake, move |work| plan::save(work, &packed)).await
    }

    /// Appends events that belong to a route but not to a batch, for example that a resync was planned.
    ///
    /// # Errors
    /// When they could not be written.
    pub async fn append_events(&self, route: RouteName, events: Vec<Event>) -> Result<(), LedgerError> {
        self.call(Need::Intake, move |work| {
            let key = work.route(&route)?;
            for event in &events {
                work.event(key, event)?;
            }
            Ok(Ok(()))
        })
        .await
    }

    /// Writes what an operator decided about records: for all of them, or for none, up to 10,000 of them. More are
    /// decided about in portions of that size, in the order of `ids`: if one of them is refused or cannot be written,
    /// the decision holds for those in the portions before it and for no others, and an event tells of each. See
    /// [`Decision`] for which statuses allow it.
    ///
    /// # Errors
    /// `ledger-decision-refused` for the first record that has no row, stands in a status that does not allow the
    /// decision, or is being worked on.
    pub async fn decide(
        &self,
        route: RouteName,
        ids: Vec<RecordId>,
        decision: Decision,
    ) -> Result<Vec<Decided>, LedgerError> {
        let mut decided = Vec::with_capacity(ids.len());
        for ids in ids.chunks(decide::TOGETHER_MAX) {
            let (route, ids, decision) = (route.clone(), ids.to_vec(), decision.clone());
            decided.extend(self.call(Need::Intake, move |work| decide::decide(work, &route, &ids, &decision)).await?);
        }
        Ok(decided)
    }

    /// Replaces the content of one record that is failed, rejected, rolled back or pending: from now on it is failed,
    /// with a higher generation and no attempts, and waits to be put through again. It stays at its step, with what
    /// was applied before; one that could not be read, or was rolled back, goes to the route's `first` step. The event
    /// `record-edited` has the sizes and BLAKE3 hashes of both contents, never the contents.
    ///
    /// # Errors
    /// `ledger-decision-refused` if it has no row, stands elsewhere, or is being worked on.
    pub async fn edit(&self, route: RouteName, edit: Edit) -> Result<Edited, LedgerError> {
        self.call(Need::Intake, move |work| edit::edit(work, &route, edit.clone())).await
    }

    /// Lets the plugin that was quarantined at a step of a route be used again; answers whether there was one.
    ///
    /// # Errors
    /// When it could not be written.
    pub async fn release(
        &self,
        route: RouteName,
        step: StepName,
        reason: String,
        at: Timestamp,
    ) -> Result<bool, LedgerError> {
        self.call(Need::Intake, move |work| quarantine::release(work, &route, &step, &reason, at)).await
    }

    /// Puts a call in line at once; the future waits for its answer. `act` is called again if it has to be done anew.
    pub(crate) fn call<T: Send + 'static>(
        &self,
        need: Need,
        act: impl FnMut(&mut Work<'_>) -> Done<T> + Send + 'static,
    ) -> impl Future<Output = Result<T, LedgerError>> + Send + 'static {
        self.call_of(None, need, act)
    }

    /// The same for a call that belongs to a batch, or to all of a run, and stays in line with others that do.
    fn call_of<T: Send + 'static>(
        &self,
        part: Option<Part>,
        need: Need,
        act: impl FnMut(&mut Work<'_>) -> Done<T> + Send + 'static,
    ) -> impl Future<Output = Result<T, LedgerError>> + Send + 'static {
        let (sender, answer) = oneshot::channel();
        let call = Box::new(OneCall { need, part, act, answer: None, sender });
        let late = self.inner.shared.spoiled.get().cloned();
        let shared = Arc::clone(&self.inner.shared);
        if let (None, Some(line)) = (&late, &self.inner.line) {
            // Fails if the writer stops at this moment; then the answer does not come either.
            let _ = line.send(call);
        }
        async move {
            if let Some(first) = late {
                return Err(LedgerError::MustReopen { why: first.to_string() });
            }
            match answer.await {
                Ok(answer) => answer,
                Err(_) => Err(shared.spoiled.get().cloned().unwrap_or_else(|| LedgerError::MustReopen {
                    why: "the thread that writes has panicked".to_owned(),
                })),
            }
        }
    }

    /// Does something long that only reads on a thread of its own.
    pub(crate) async fn aside<T: Send + 'static>(
        &self,
        act: impl FnOnce() -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let (sender, answer) = oneshot::channel();
        std::thread::Builder::new().name("ledger-aside".to_owned()).spawn(move || drop(sender.send(act())))?;
        answer
            .await
            .unwrap_or_else(|_| Err(LedgerError::Storage { why: "a thread that reads has panicked".to_owned() }))
    }

    fn port_of<T: Send + 'static>(
        &self,
        part: Part,
        need: Need,
        act: impl FnMut(&mut Work<'_>) -> Done<T> + Send + 'static,
    ) -> PortFuture<'static, Result<T, PortError>> {
        let answer = self.call_of(Some(part), need, act);
        Box::pin(async move { answer.await.map_err(PortError::from) })
    }

    fn port<T: Send + 'static>(
        &self,
        need: Need,
        act: impl FnMut(&mut Work<'_>) -> Done<T> + Send + 'static,
    ) -> PortFuture<'static, Result<T, PortError>> {
        let answer = self.call(need, act);
        Box::pin(async move { answer.await.map_err(PortError::from) })
    }
}

/// A call in line, with what it answered when it was last done and where the answer goes.
struct OneCall<T, F> {
    need: Need,
    part: Option<Part>,
    act: F,
    answer: Option<Answer<T>>,
    sender: oneshot::Sender<Answer<T>>,
}

impl<T: Send, F: FnMut(&mut Work<'_>) -> Done<T> + Send> Call for OneCall<T, F> {
    fn need(&self) -> Need {
        self.need
    }

    fn part(&self) -> Option<&Part> {
        self.part.as_ref()
    }

    fn act(&mut self, work: &mut Work<'_>) -> Result<(), LedgerError> {
        self.answer = Some((self.act)(work)?);
        Ok(())
    }

    fn deliver(self: Box<Self>) {
        let Self { answer, sender, .. } = *self;
        if let Some(answer) = answer {
            // Nobody waits any more if the future was dropped.
            let _ = sender.send(answer);
        }
    }

    fn refuse(self: Box<Self>, error: LedgerError) {
        let _ = self.sender.send(Err(error));
    }
}

impl Ledger for LedgerStore {
    fn begin_run(&self, start: RunStart) -> PortFuture<'_, Result<RunOpening, PortError>> {
        self.port(Need::Intake, move |work| apply::begin_run(work, start.clone()))
    }

    fn intend(&self, intent: Intent) -> PortFuture<'static, Result<(), PortError>> {
        let part = (intent.run.clone(), Some(intent.batch));
        self.port_of(part, Need::Intake, move |work| apply::intend(work, &intent))
    }

    fn commit(&self, commit: BatchCommit) -> PortFuture<'static, Result<(), PortError>> {
        let part = (commit.run.clone(), Some(commit.batch));
        match packed::pack(commit, &self.inner.compressors) {
            Ok(packed) => self.port_of(part, Need::Outcome, move |work| apply::commit(work, &packed)),
            Err(refusal) => Box::pin(std::future::ready(Err(PortError::from(refusal)))),
        }
    }

    fn due(
        &self,
        route: RouteName,
        of_run: Option<RunId>,
        now: Timestamp,
        limit: u32,
    ) -> PortFuture<'_, Result<DueRows, PortError>> {
        self.port(Need::Nothing, move |work| ask::due(work, &route, of_run.as_ref(), now, limit))
    }

    fn rolling_back(&self, route: RouteName, now: Timestamp, limit: u32) -> PortFuture<'_, Result<DueRows, PortError>> {
        self.port(Need::Nothing, move |work| ask::rolling_back(work, &route, now, limit))
    }

    fn open_applied(&self, route: RouteName) -> PortFuture<'_, Result<Vec<RecordRow>, PortError>> {
        self.port(Need::Nothing, move |work| ask::open_applied(work, &route))
    }

    fn tasks(&self, route: RouteName, now: Timestamp, limit: u32) -> PortFuture<'_, Result<DueTasks, PortError>> {
        self.port(Need::Nothing, move |work| task::due(work, &route, now, limit))
    }

    fn commit_tasks(&self, commit: TaskCommit) -> PortFuture<'static, Result<(), PortError>> {
        self.port(Need::Outcome, move |work| task::commit(work, commit.clone()))
    }

    fn load(&self, route: RouteName, ids: Vec<RecordId>) -> PortFuture<'_, Result<Vec<RecordRow>, PortError>> {
        self.port(Need::Nothing, move |work| ask::load(work, &route, &ids))
    }

    fn state(&self, route: RouteName, step: StepName) -> PortFuture<'_, Result<Vec<(String, Vec<u8>)>, PortError>> {
        self.port(Need::Nothing, move |work| state::read(work, &route, &step))
    }

    fn end_run(&self, end: RunEnd) -> PortFuture<'_, Result<(), PortError>> {
        let part = (end.run.clone(), None);
        self.port_of(part, Need::Outcome, move |work| apply::end_run(work, end.clone()))
    }
}
