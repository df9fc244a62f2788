//! Questions for reports, asked on a read-only connection while another process may be writing.
//!
//! Every list is read in pages by key, every question uses an index, and each sees the ledger as it was at one
//! moment. Calls block; from asynchronous code, make them on a thread for blocking work.

mod detail;
mod groups;
mod log;
pub(crate) mod records;
mod runs;
mod shown;
mod summary;
mod types;

pub use groups::FAILURE_GROUPS_MAX;
pub use shown::{Redact, redact_json};
pub(crate) use summary::{CHUNK_COLUMNS, ChunkMeta, read_chunk, read_chunk_with};
pub use types::{
    AttemptDetail, ChunkEntry, Cursor, EventFilter, EventOrder, FailureGroup, FailureGroups, HandlerNumbers, InFlight,
    LoggedEvent, Page, RecordDetail, RecordFilter, RecordFound, RecordSummary, RollbackNumbers, RouteStanding,
    RunDetail, RunSummary, TaskDetail,
};

use crate::error::LedgerError;
use crate::lock::WriterLock;
use crate::plan::{self, Plan, PlanChange, PlanEntry, PlanSummary};
use crate::pruned::{self, Pruned};
use crate::quarantine::{self, Quarantined};
use crate::schema;
use crossdock_model::{RecordId, RouteName, RunId};
use rusqlite::Connection;
use shown::Shown;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The most entries that one page can have; a greater limit is taken as this one.
pub(crate) const PAGE_MAX: u32 = 10_000;

/// How many records [`Records`] reads at a time.
const RECORDS_A_PAGE: u32 = 1_000;

/// Records that are read page by page. Ends after the first error.
#[derive(Debug)]
pub struct Records<'a> {
    reader: &'a LedgerReader,
    filter: RecordFilter,
    page: std::vec::IntoIter<RecordSummary>,
    next: Next,
}

#[derive(Debug)]
enum Next {
    First,
    After(Cursor),
    Nothing,
}

impl Iterator for Records<'_> {
    type Item = Result<RecordSummary, LedgerError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(record) = self.page.next() {
                return Some(Ok(record));
            }
            let after = match std::mem::replace(&mut self.next, Next::Nothing) {
                Next::Nothing => return None,
                Next::First => None,
                Next::After(cursor) => Some(cursor),
            };
            match self.reader.records(&self.filter, RECORDS_A_PAGE, after.as_ref()) {
                Ok(page) => {
                    self.page = page.items.into_iter();
                    self.next = page.next.map_or(Next::Nothing, Next::After);
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// A ledger in a folder, open for reading.
#[derive(Debug)]
pub struct LedgerReader {
    dir: PathBuf,
    conn: Mutex<Connection>,
    redact: Option<Arc<dyn Redact>>,
}

impl LedgerReader {
    /// Opens the ledger in a folder. Needs no lock; a process may be writing.
    ///
    /// # Errors
    /// `ledger-missing` if nothing was ever run there; when it is of a newer version, or not a ledger.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, LedgerError> {
        let dir = dir.as_ref().to_owned();
        let conn = Mutex::new(schema::open_to_read(&dir)?);
        Ok(Self { dir, conn, redact: None })
    }

    /// The same reader, with all its answers fit to be shown: every text and all content in them goes through
    /// `redact`, but for ids, which are asked for again.
    #[must_use]
    pub fn showing(self, redact: Arc<dyn Redact>) -> Self {
        Self { redact: Some(redact), ..self }
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

    /// All records that a filter lets through, in the order of [`records`](Self::records), read page by page.
    #[must_use]
    pub fn all_records(&self, filter: RecordFilter) -> Records<'_> {
        Records { reader: self, filter, page: Vec::new().into_iter(), next: Next::First }
    }

    /// How many records a filter lets through. Records that went through at the first attempt are counted a batch at
    /// a time: one that also has a row, because it came again later, is counted for both.
    ///
    /// # Errors
    /// `ledger-bad-query` for a text without letters and digits; `ledger-query-too-long`; damage that was met.
    pub fn count(&self, filter: &RecordFilter) -> Result<u64, LedgerError> {
        let alive = self.writer_alive();
        self.ask(|conn| groups::count(conn, filter, alive))
    }

    /// Failures of the records that a filter lets through, by cause: at most [`FAILURE_GROUPS_MAX`] groups, the
    /// largest first. Records that were skipped keep their failure; leave them out by their status.
    ///
    /// # Errors
    /// `ledger-bad-query` for a text without letters and digits; `ledger-query-too-long`; damage that was met.
    pub fn failure_groups(&self, filter: &RecordFilter) -> Result<FailureGroups, LedgerError> {
        self.ask(|conn| groups::failures(conn, filter))
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

    /// The plan with this hash, or the only one whose hash begins like this, without its records.
    ///
    /// # Errors
    /// `ledger-bad-query` if there are several; damage that was met.
    pub fn plan_summary(&self, hash: &str) -> Result<Option<PlanSummary>, LedgerError> {
        self.ask(|conn| plan::summary(conn, hash))
    }

    /// The records in one part of a plan, counted from 0, in the plan's order; `None` behind the last. A part has at
    /// most [`PLAN_PART_RECORDS_MAX`](crate::PLAN_PART_RECORDS_MAX). The hash must be whole.
    ///
    /// # Errors
    /// Damage that was met.
    pub fn plan_part(&self, hash: &str, part: u32) -> Result<Option<Vec<PlanEntry>>, LedgerError> {
        self.ask(|conn| plan::part(conn, hash, part))
    }

    /// The plan with this hash, or the only one whose hash begins like this, with all its records: some 200 bytes of
    /// memory each.
    ///
    /// # Errors
    /// `ledger-bad-query` if there are several; damage that was met.
    pub fn plan(&self, hash: &str) -> Result<Option<Plan>, LedgerError> {
        self.ask(|conn| plan::find(conn, hash))
    }

    /// Those of some records of a plan for this route that have changed since it was made; none: the plan still
    /// holds for them. Many are asked for in portions, each as it is at one moment.
    ///
    /// # Errors
    /// `ledger-query-too-long`; damage that was met.
    pub fn plan_changes(&self, route: &RouteName, entries: &[PlanEntry]) -> Result<Vec<PlanChange>, LedgerError> {
        let mut changes = Vec::new();
        for entries in entries.chunks(plan::PLAN_PART_RECORDS_MAX) {
            changes.extend(self.ask(|conn| plan::changes(conn, route, entries))?);
        }
        Ok(changes)
    }

    /// A route's definition with this hash, as a run with it recorded it.
    ///
    /// # Errors
    /// Damage that was met.
    pub fn definition(&self, hash: &str) -> Result<Option<String>, LedgerError> {
        self.ask(|conn| runs::definition(conn, hash))
    }

    /// Plugins that are not used any more in a route because they committed too many faults, by step.
    ///
    /// # Errors
    /// Damage that was met.
    pub fn quarantined(&self, route: &RouteName) -> Result<Vec<Quarantined>, LedgerError> {
        self.ask(|conn| match summary::route_key(conn, route)? {
            Some(key) => quarantine::list(conn, key),
            None => Ok(Vec::new()),
        })
    }

    /// What was removed because it was old enough, by route. A record that is not found in one of these routes may have
    /// been there.
    ///
    /// # Errors
    /// `ledger-query-too-long`; damage that was met.
    pub fn pruned(&self) -> Result<Vec<Pruned>, LedgerError> {
        self.ask(pruned::list)
    }

    /// Whether a process has the ledger open for writing.
    #[must_use]
    pub fn writer_alive(&self) -> bool {
        WriterLock::is_held(&self.dir)
    }

    fn ask<T: Shown>(&self, question: impl FnOnce(&Connection) -> Result<T, LedgerError>) -> Result<T, LedgerError> {
        let mut conn = self.conn.lock().unwrap_or_else(PoisonError::into_inner);
        schema::limit_time(&mut conn)?;
        let moment = conn.transaction()?;
        let answer = question(&moment);
        moment.finish()?;
        drop(conn);
        let mut answer = answer?;
        if let Some(redact) = &self.redact {
            answer.show(&**redact);
        }
        Ok(answer)
    }
}
