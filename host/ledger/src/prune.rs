//! Removes what is old enough, one class after the other, at most so much in one transaction. All sums that `verify`
//! makes hold after every step.

use crate::chunk;
use crate::error::LedgerError;
use crate::inflight;
use crate::pruned;
use crate::reader::{CHUNK_COLUMNS, ChunkMeta, read_chunk, read_chunk_with};
use crate::record::{self, StoredRecord};
use crate::run::{self, StoredBatch, Totals};
use crate::task::TaskStanding;
use crate::work::{Done, Work};
use crossdock_engine::ports::Cause;
use crossdock_model::{RunStatus, Status};
use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};

/// The most rows that one transaction removes.
const ROWS_A_STEP_MAX: u32 = 500;
/// One transaction removes no further chunk when it has removed as many records in chunks.
const CHUNK_RECORDS_A_STEP: usize = 5_000;
/// The most pages that one transaction gives back.
const PAGES_A_STEP_MAX: i64 = 256;

/// What [`crate::LedgerStore::prune`] removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PruneReport {
    /// Records that were ok or dropped at the first attempt.
    pub chunk_records: u64,
    /// Other records.
    pub records: u64,
    /// Attempts of these.
    pub attempts: u64,
    /// Finished handler tasks.
    pub tasks: u64,
    /// Events.
    pub events: u64,
    /// Runs.
    pub runs: u64,
    /// Plans.
    pub plans: u64,
    /// Runs that are old enough and were kept, because something that is kept came from them.
    pub runs_kept: u64,
    /// By how much the database became smaller. The file does when its write-ahead log is next worked into it.
    pub bytes_freed: u64,
}

impl PruneReport {
    pub(crate) fn is_nothing(&self) -> bool {
        Self { runs_kept: 0, bytes_freed: 0, ..*self } == Self::default()
    }
}

/// Where a class goes on after a step; `None`: it is done.
pub(crate) type Next = Option<(i64, i64)>;

fn unsigned(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Chunks, the oldest first.
pub(crate) fn chunks(work: &mut Work<'_>, before: i64, report: &mut PruneReport) -> Done<Next> {
    let found = match chunks_before(work.conn, before) {
        Ok(found) => found,
        Err(error) => return Ok(Err(error)),
    };
    let Some((last, ..)) = found.last() else { return Ok(Ok(None)) };
    let next = (last.at, last.key);
    for (meta, batch, gone) in found {
        work.conn.prepare_cached("DELETE FROM chunk WHERE key = ?1")?.execute([meta.key])?;
        work.conn.prepare_cached("DELETE FROM chunk_data WHERE key = ?1")?.execute([meta.key])?;
        work.count("chunk", -1);
        work.count("chunk_data", -1);
        // The commit says how many of its records are kept: none any more.
        work.conn.prepare_cached("DELETE FROM batch WHERE key = ?1")?.execute([meta.key])?;
        StoredBatch { chunk_ok: 0, chunk_dropped: 0, ..batch }.write(work.conn)?;
        let records = meta.ok + meta.dropped;
        for (status, count) in gone {
            work.stand(meta.route, status, -count);
        }
        pruned::note(work.conn, meta.route, records, meta.at)?;
        report.chunk_records += u64::try_from(records).unwrap_or(0);
    }
    Ok(Ok(Some(next)))
}

type OldChunk = (ChunkMeta, StoredBatch, BTreeMap<Status, i64>);

/// Some chunks of before a time, with their commits and how many records of which status are counted by them.
fn chunks_before(conn: &Connection, before: i64) -> Result<Vec<OldChunk>, LedgerError> {
    let sql = format!("SELECT {CHUNK_COLUMNS} FROM chunk c WHERE c.at < ?1 ORDER BY c.at, c.key");
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query([before])?;
    let (mut found, mut records) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let meta = ChunkMeta::read(row)?;
        let chunk = read_chunk(conn, meta.key)?;
        // A record that had an open row when its chunk was written is counted by that row.
        let mut has_row =
            conn.prepare_cached("SELECT 1 FROM record WHERE id = ?1 AND route = ?2 AND batch = ?3 AND run = ?4")?;
        let mut gone = BTreeMap::new();
        for (index, &status) in chunk.statuses.iter().enumerate() {
            if !has_row.exists((&chunk.ids.text(index), meta.route, meta.batch, meta.run))? {
                *gone.entry(status).or_insert(0) += 1;
            }
        }
        records += chunk.statuses.len();
        found.push((run::batch_by_key(conn, meta.key)?, meta, gone));
        if records >= CHUNK_RECORDS_A_STEP {
            break;
        }
    }
    Ok(found.into_iter().map(|(batch, meta, gone)| (meta, batch, gone)).collect())
}

/// Records of one status with a row of their own, the oldest first.
pub(crate) fn rows(
    work: &mut Work<'_>,
    status: Status,
    before: i64,
    from: (i64, i64),
    report: &mut PruneReport,
) -> Done<Next> {
    let found = match rows_before(work.conn, status, before, from) {
        Ok(found) => found,
        Err(error) => return Ok(Err(error)),
    };
    let Some((last, _)) = found.last() else { return Ok(Ok(None)) };
    let next = (last.at, last.key);
    for (stored, verdict) in found {
        let counted = match verdict {
            Verdict::UnderWay => continue,
            Verdict::Counted => true,
            Verdict::InChunk => false,
        };
        let gone = record::drop_payload(work.conn, stored.key)?;
        work.count("payload", -i64::from(gone));
        work.drop_text(stored.key);
        let attempts = work
            .conn
            .prepare_cached("DELETE FROM attempt WHERE id = ?1 AND route = ?2")?
            .execute((&stored.id, stored.route))?;
        work.count("attempt", -signed(attempts));
        work.conn.prepare_cached("DELETE FROM record WHERE key = ?1")?.execute([stored.key])?;
        work.count("record", -1);
        if counted {
            work.stand(stored.route, stored.status, -1);
        }
        pruned::note(work.conn, stored.route, 1, stored.at)?;
        report.records += 1;
        report.attempts += unsigned(attempts);
    }
    Ok(Ok(Some(next)))
}

/// What is to be done with a row that is old enough.
enum Verdict {
    /// It is under way and stays.
    UnderWay,
    /// It goes, and counts as one record.
    Counted,
    /// It goes, and a chunk that stays for now has the record as well, which counts it from now on.
    InChunk,
}

fn rows_before(
    conn: &Connection,
    status: Status,
    before: i64,
    from: (i64, i64),
) -> Result<Vec<(StoredRecord, Verdict)>, LedgerError> {
    let sql = format!(
        "SELECT {} FROM record r INDEXED BY record_by_status WHERE r.status = ?1 AND r.at < ?2 AND r.at >= ?3
         AND (r.at > ?3 OR r.key > ?4) AND r.open = 0 AND r.due IS NULL ORDER BY r.at, r.key LIMIT ?5",
        record::COLUMNS
    );
    let stored = conn
        .prepare_cached(&sql)?
        .query_and_then((status.as_str(), before, from.0, from.1, ROWS_A_STEP_MAX), StoredRecord::read)?
        .collect::<Result<Vec<_>, _>>()?;
    let under_way = inflight::all(conn)?;
    let busy: HashSet<(i64, &[u8])> =
        under_way.iter().flat_map(|row| row.ids.iter().map(|id| (row.route, id))).collect();
    let mut found = Vec::with_capacity(stored.len());
    for record in stored {
        let verdict = if busy.contains(&(record.route, record.id.as_bytes())) {
            Verdict::UnderWay
        } else if matches!(status, Status::Ok | Status::Dropped) && in_chunk(conn, &record)? {
            Verdict::InChunk
        } else {
            Verdict::Counted
        };
        found.push((record, verdict));
    }
    Ok(found)
}

/// Whether the chunk of the commit that wrote a row has its record as well: then the row was open at that time.
fn in_chunk(conn: &Connection, stored: &StoredRecord) -> Result<bool, LedgerError> {
    let sql = format!(
        "SELECT {CHUNK_COLUMNS} FROM chunk c INDEXED BY chunk_by_run
         WHERE c.run = ?1 AND c.at = ?2 AND c.batch = ?3 AND c.route = ?4"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query((stored.run, stored.at, stored.batch, stored.route))?;
    while let Some(row) = rows.next()? {
        let meta = ChunkMeta::read(row)?;
        let id = stored.id.as_bytes();
        if chunk::may_hold(&meta.filter, id) && read_chunk_with(conn, meta.key, id)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Finished handler tasks of records that have no row any more: as long as there is one, a task makes sure that its
/// handler is not called again.
pub(crate) fn tasks(
    work: &mut Work<'_>,
    standing: TaskStanding,
    before: i64,
    from: (i64, i64),
    report: &mut PruneReport,
) -> Done<Next> {
    let sql = "SELECT t.key, t.status = ?2 AND t.due IS NULL AND t.at < ?3
                   AND NOT EXISTS (SELECT 1 FROM record r WHERE r.id = t.record AND r.route = t.route)
               FROM task t WHERE t.key > ?1 ORDER BY t.key LIMIT ?4";
    let found: Vec<(i64, bool)> = work
        .conn
        .prepare_cached(sql)?
        .query_map((from.0, standing.as_str(), before, ROWS_A_STEP_MAX), |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let Some(&(last, _)) = found.last() else { return Ok(Ok(None)) };
    let mut statement = work.conn.prepare_cached("DELETE FROM task WHERE key = ?1")?;
    let mut gone = 0;
    for (key, _) in found.into_iter().filter(|&(_, old)| old) {
        gone += statement.execute([key])?;
    }
    work.count("task", -signed(gone));
    report.tasks += unsigned(gone);
    Ok(Ok(Some((last, 0))))
}

/// Plans, except those that a run is carrying out.
pub(crate) fn plans(work: &mut Work<'_>, before: i64, report: &mut PruneReport) -> Done<Next> {
    let in_use: HashSet<String> = work
        .memory
        .runs
        .values()
        .filter_map(|running| match &running.run.cause {
            Cause::Resync { plan } => Some(plan.clone()),
            _ => None,
        })
        .collect();
    let old: Vec<String> = work
        .conn
        .prepare_cached("SELECT hash FROM plan WHERE at < ?1 ORDER BY at")?
        .query_map([before], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let mut statement = work.conn.prepare_cached("DELETE FROM plan WHERE hash = ?1")?;
    let mut gone = 0;
    for hash in old.into_iter().filter(|hash| !in_use.contains(hash)).take(10) {
        gone += statement.execute([hash])?;
    }
    report.plans += unsigned(gone);
    Ok(Ok((gone > 0).then_some((before, 0))))
}

/// The runs that attempts were made by. Runs that have ended make no more, so this does not change for them.
pub(crate) fn runs_of_attempts(conn: &Connection) -> Result<HashSet<i64>, LedgerError> {
    let mut statement = conn.prepare("SELECT DISTINCT run FROM attempt")?;
    let found = statement.query_map([], |row| row.get(0))?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// Runs that have ended, and then definitions of routes that no run and no plan names any more.
pub(crate) fn runs(
    work: &mut Work<'_>,
    before: i64,
    from: (i64, i64),
    attempted: &HashSet<i64>,
    report: &mut PruneReport,
) -> Done<Next> {
    let sql = "SELECT u.key FROM run u WHERE u.key > ?1 AND u.status <> ?3 AND u.ended < ?2
               AND u.key < (SELECT max(newer.key) FROM run newer WHERE newer.route = u.route) ORDER BY u.key LIMIT 1";
    let found: Option<i64> = work
        .conn
        .prepare_cached(sql)?
        .query_row((from.0, before, RunStatus::Running.as_str()), |row| row.get(0))
        .optional()?;
    let Some(key) = found else {
        work.conn.execute(UNUSED_DEFINITIONS, [])?;
        return Ok(Ok(None));
    };
    let needed = "SELECT EXISTS (SELECT 1 FROM record WHERE run = ?1) OR EXISTS (SELECT 1 FROM chunk WHERE run = ?1)
                  OR EXISTS (SELECT 1 FROM inflight WHERE run = ?1) OR EXISTS (SELECT 1 FROM task WHERE run = ?1)";
    if attempted.contains(&key) || work.conn.prepare_cached(needed)?.query_row([key], |row| row.get(0))? {
        report.runs_kept += 1;
        return Ok(Ok(Some((key, 0))));
    }
    let batches = match some_batches(work.conn, key) {
        Ok(batches) => batches,
        Err(error) => return Ok(Err(error)),
    };
    for batch in &batches {
        work.conn.prepare_cached("DELETE FROM batch WHERE key = ?1")?.execute([batch.key])?;
    }
    work.count("batch", -signed(batches.len()));
    if unsigned(batches.len()) == u64::from(ROWS_A_STEP_MAX) {
        // There may be more: one commit stands for all of these until they are gone as well, so that sums hold.
        let mut totals = Totals::default();
        batches.iter().for_each(|batch| totals.merge(&batch.totals));
        if let Some(last) = batches.into_iter().next_back() {
            StoredBatch { totals, ..last }.write(work.conn)?;
            work.count("batch", 1);
        }
        return Ok(Ok(Some((key - 1, 0))));
    }
    work.conn.prepare_cached("DELETE FROM run WHERE key = ?1")?.execute([key])?;
    work.count("run", -1);
    report.runs += 1;
    Ok(Ok(Some((key, 0))))
}

const UNUSED_DEFINITIONS: &str = "DELETE FROM definition WHERE hash NOT IN (SELECT hash FROM run)
    AND hash NOT IN (SELECT route_hash FROM plan WHERE route_hash IS NOT NULL)";

/// The first commits of a run, as many as one transaction removes.
fn some_batches(conn: &Connection, run: i64) -> Result<Vec<StoredBatch>, LedgerError> {
    let sql = format!("SELECT {} FROM batch b WHERE b.run = ?1 ORDER BY b.key LIMIT ?2", run::BATCH_COLUMNS);
    conn.prepare_cached(&sql)?.query_and_then((run, ROWS_A_STEP_MAX), StoredBatch::read)?.collect()
}

/// The beginning of the log, never its last entry: numbers go on from it.
pub(crate) fn events(work: &mut Work<'_>, before: i64, report: &mut PruneReport) -> Done<Next> {
    let sql = "SELECT key, at FROM event WHERE key < (SELECT max(key) FROM event) ORDER BY key LIMIT ?1";
    let oldest: Vec<(i64, i64)> = work
        .conn
        .prepare_cached(sql)?
        .query_map([ROWS_A_STEP_MAX], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let Some(&(last, _)) = oldest.iter().take_while(|&&(_, at)| at < before).last() else { return Ok(Ok(None)) };
    let gone = work.conn.prepare_cached("DELETE FROM event WHERE key <= ?1")?.execute([last])?;
    work.count("event", -signed(gone));
    report.events += unsigned(gone);
    Ok(Ok(Some((last, 0))))
}

/// Gives free pages back, some at a time.
pub(crate) fn vacuum(work: &mut Work<'_>, report: &mut PruneReport) -> Done<Next> {
    let pragma = |name: &str| work.conn.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let (free, before, page) = (pragma("freelist_count")?, pragma("page_count")?, pragma("page_size")?);
    if free == 0 {
        return Ok(Ok(None));
    }
    work.conn.execute_batch(&format!("PRAGMA incremental_vacuum({PAGES_A_STEP_MAX})"))?;
    let gone = before - pragma("page_count")?;
    report.bytes_freed += u64::try_from(gone * page).unwrap_or(0);
    Ok(Ok((gone > 0).then_some((gone, 0))))
}
