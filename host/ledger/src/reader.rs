//! Questions for reports, asked on a read-only connection while another process may be writing.
//!
//! Every list is read in pages by key, every question uses an index, and each sees the ledger as it was at one
//! moment. Calls block; from asynchronous code, make them on a thread for blocking work.

mod detail;
mod log;
mod records;
mod runs;
mod summary;
mod types;

pub(crate) use summary::{CHUNK_COLUMNS, ChunkMeta, read_chunk};
pub use types::{
    AttemptDetail, ChunkEntry, Cursor, EventFilter, EventOrder, InFlight, LoggedEvent, Page, RecordDetail,
    RecordFilter, RecordFound, RecordSummary, RouteStanding, RunDetail, RunSummary,
};

use crate::error::LedgerError;
use crate::lock::WriterLock;
use crate::plan::{self, Plan, PlanChange};
use crate::schema;
use crossdock_model::{RecordId, RouteName, RunId};
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The most entries that one page can have; a greater limit is taken as this one.
pub(crate) const PAGE_MAX: u32 = 10_000;

/// A ledger in a folder, open for reading.
#[derive(Debug)]
pub struct LedgerReader {
    dir: PathBuf,
    conn: Mutex<Connection>,
}

impl LedgerReader {
    /// Opens the ledger in a folder. Needs no lock; a process may be writing.
    ///
    /// # Errors
    /// `ledger-missing` if nothing was ever run there; when it is of a newer version, or not a ledger.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, LedgerError> {
        let dir = dir.as_ref().to_owned();
        let conn = Mutex::new(schema::open_to_read(&dir)?);
        Ok(Self { dir, conn })
    }

    /// Records that a filter lets through: first those with a row of their own, the newest change first; then those
    /// that went through at the first attempt, the newest batch first; then those that are just being worked on.
    /// With [`RecordFilter::text`] only records with a failure, those that failed last first.
    ///
    /// Every record is in exactly one page, as long as it does not change between the pages.
    ///
    /// # Errors
    /// `ledger-bad-query` for a cursor of another list or a text without letters and digits; `ledger-query-too-long`;
    /// damage that was met.
    pub fn records(
        &self,
        filter: &RecordFilter,
        limit: u32,
        after: Option<&Cursor>,
    ) -> Result<Page<RecordSummary>, LedgerError> {
        let alive = self.writer_alive();
        self.ask(|conn| records::list(conn, filter, limit, after, alive))
    }

    /// Everything that is known of one record. Without a route, the only one that has such a record.
    ///
    /// # Errors
    /// `ledger-query-too-long`; damage that was met.
    pub fn record(&self, route: Option<&RouteName>, id: &RecordId) -> Result<RecordFound, LedgerError> {
        let alive = self.writer_alive();
        self.ask(|conn| detail::find(conn, route, id, alive))
    }

    /// Entries of the event log.
    ///
    /// # Errors
    /// `ledger-bad-query` for a cursor of another list; `ledger-query-too-long`; damage that was met.
    pub fn events(
        &self,
        filter: &EventFilter,
        order: EventOrder,
        limit: u32,
        after: Option<&Cursor>,
    ) -> Result<Page<LoggedEvent>, LedgerError> {
        self.ask(|conn| log::list(conn, filter, order, limit, after))
    }

    /// Runs, of one route or of all, the newest first.
    ///
    /// # Errors
    /// `ledger-bad-query` for a cursor of another list; `ledger-query-too-long`; damage that was met.
    pub fn runs(
        &self,
        route: Option<&RouteName>,
        limit: u32,
        after: Option<&Cursor>,
    ) -> Result<Page<RunSummary>, LedgerError> {
        self.ask(|conn| runs::list(conn, route, limit, after))
    }

    /// One run, with what its steps did.
    ///
    /// # Errors
    /// `ledger-query-too-long`; damage that was met.
    pub fn run(&self, id: &RunId) -> Result<Option<RunDetail>, LedgerError> {
        self.ask(|conn| runs::find(conn, id))
    }

    /// All routes that ever ran, by name, with how many of their records stand where.
    ///
    /// # Errors
    /// `ledger-query-too-long`; damage that was met.
    pub fn routes(&self) -> Result<Vec<RouteStanding>, LedgerError> {
        self.ask(runs::routes)
    }

    /// The plan with this hash, or the only one whose hash begins like this.
    ///
    /// # Errors
    /// `ledger-bad-query` if there are several; damage that was met.
    pub fn plan(&self, hash: &str) -> Result<Option<Plan>, LedgerError> {
        self.ask(|conn| plan::find(conn, hash))
    }

    /// Records of a plan that have changed since it was made; none: the plan still holds.
    ///
    /// # Errors
    /// `ledger-query-too-long`; damage that was met.
    pub fn plan_changes(&self, plan: &Plan) -> Result<Vec<PlanChange>, LedgerError> {
        self.ask(|conn| plan::changes(conn, plan))
    }

    /// Whether a process has the ledger open for writing.
    #[must_use]
    pub fn writer_alive(&self) -> bool {
        WriterLock::is_held(&self.dir)
    }

    fn ask<T>(&self, question: impl FnOnce(&Connection) -> Result<T, LedgerError>) -> Result<T, LedgerError> {
        let mut conn = self.conn.lock().unwrap_or_else(PoisonError::into_inner);
        schema::limit_time(&mut conn)?;
        let moment = conn.transaction()?;
        let answer = question(&moment);
        moment.finish()?;
        answer
    }
}
