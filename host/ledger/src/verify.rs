//! Looks whether a ledger is whole: every checksum, every account, every payload that is still needed.

use crate::error::LedgerError;
use crate::inflight::{self, Inflight};
use crate::plan;
use crate::quarantine;
use crate::reader::{CHUNK_COLUMNS, ChunkMeta, read_chunk};
use crate::record::{self, Place, StoredRecord, unpack_payload};
use crate::run::{self, StoredBatch, StoredRun, Totals};
use crate::schema;
use crate::seal::check;
use crate::task::{self, StoredTask, TaskStanding};
use crate::trace;
use crate::work::StoredRoute;
use crossdock_model::{Explained, RunId, RunStatus, Status};
use rusqlite::{Connection, Row};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

/// The most violations that are listed; beyond it they are only counted.
const LISTED_MAX: usize = 1000;

/// Something that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// What kind: `structure`, `checksum`, `missing`, `accounting`, `payload`, `chunk`, `attempt`, `task`
    /// or `standing`; of a backup also `backup`.
    pub kind: &'static str,
    /// What and where, in words.
    pub message: String,
}

/// What [`verify`] found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VerifyReport {
    /// Rows of all tables whose checksum was made again.
    pub rows: u64,
    /// Runs whose account was made again.
    pub runs: u64,
    /// Commits that these accounts were made from.
    pub batches: u64,
    /// Records with a row of their own.
    pub records: u64,
    /// Records in chunks.
    pub chunk_records: u64,
    /// Events.
    pub events: u64,
    /// What is wrong, at most 1000.
    pub violations: Vec<Violation>,
    /// Violations beyond these.
    pub unlisted: u64,
}

impl VerifyReport {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.violations.is_empty()
    }

    fn add(&mut self, kind: &'static str, message: String) {
        if self.violations.len() < LISTED_MAX {
            self.violations.push(Violation { kind, message });
        } else {
            self.unlisted += 1;
        }
    }
}

/// Reads the whole ledger in a folder and reports everything that is not as it must be. A process may be writing
/// meanwhile; the ledger is looked at as it is at one moment. Takes as long as reading all of the file.
///
/// # Errors
/// Only if it cannot be opened at all; damage is reported.
pub fn verify(dir: impl AsRef<Path>) -> Result<VerifyReport, LedgerError> {
    let mut conn = schema::open_to_read(dir.as_ref())?;
    let moment = conn.transaction()?;
    let mut report = VerifyReport::default();
    // A table that cannot be read at all is a finding, not the end.
    type Look = fn(&Connection, &mut VerifyReport) -> Result<(), LedgerError>;
    let looks: [(&str, Look); 9] = [
        ("structure", structure),
        ("small tables", small_tables),
        ("runs", accounts),
        ("records", records),
        ("chunks", chunks),
        ("attempts", attempts),
        ("events", events),
        ("handler tasks", tasks),
        ("numbers of rows", tallies),
    ];
    for (what, look) in looks {
        if let Err(error) = look(&moment, &mut report) {
            report.add("structure", format!("the {what} cannot be read to their end: {error}"));
        }
    }
    Ok(report)
}

fn structure(conn: &Connection, report: &mut VerifyReport) -> Result<(), LedgerError> {
    let mut statement = conn.prepare("PRAGMA integrity_check(100)")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let said: String = row.get(0)?;
        if said != "ok" {
            report.add("structure", format!("the database says: {said}"));
        }
    }
    Ok(())
}

/// Reads all rows of a table. Those that cannot be read are violations and left out.
fn read_all<T>(
    conn: &Connection,
    report: &mut VerifyReport,
    sql: &str,
    read: impl Fn(&Row<'_>) -> Result<T, LedgerError>,
    mut each: impl FnMut(&mut VerifyReport, T) -> Result<(), LedgerError>,
) -> Result<(), LedgerError> {
    let mut statement = conn.prepare(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        report.rows += 1;
        match read(row) {
            Ok(value) => each(report, value)?,
            Err(error) if error.code() == "ledger-damaged" => report.add("checksum", error.to_string()),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn small_tables(conn: &Connection, report: &mut VerifyReport) -> Result<(), LedgerError> {
    let nothing = |_: &mut VerifyReport, ()| Ok(());
    let routes = "SELECT key, name, checkpoint, checkpoint_at, crc FROM route";
    read_all(conn, report, routes, |row| StoredRoute::read(row).map(drop), nothing)?;
    let definitions = "SELECT hash, body, crc FROM definition";
    read_all(conn, report, definitions, |row| check("definition", row, 2), nothing)?;
    let pruned = "SELECT route, records, until, crc FROM pruned";
    read_all(conn, report, pruned, |row| check("pruned", row, 3), nothing)?;
    let state = "SELECT key, route, step, name, value, crc FROM plugin_state";
    read_all(conn, report, state, |row| check("plugin_state", row, 5), nothing)?;
    let quarantined = format!("SELECT {} FROM quarantine q", quarantine::COLUMNS);
    read_all(conn, report, &quarantined, |row| quarantine::read(row).map(drop), nothing)?;
    plans(conn, report)?;
    let ended: HashSet<i64> = conn
        .prepare("SELECT key FROM run WHERE status <> 'running'")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let under_way = format!("SELECT {} FROM inflight i", inflight::COLUMNS);
    read_all(conn, report, &under_way, Inflight::read, |report, row| {
        if ended.contains(&row.run) {
            let message =
                format!("step {} is still asked for {} records by a run that has ended", row.step, row.ids.len());
            report.add("accounting", message);
        }
        Ok(())
    })
}

fn plans(conn: &Connection, report: &mut VerifyReport) -> Result<(), LedgerError> {
    let mut found: HashMap<String, u64> = HashMap::new();
    let parts = "SELECT plan, part, size, body, crc FROM plan_part";
    let with_plan = |row: &Row<'_>| Ok((row.get::<_, String>(0)?, plan::read_part(row)?));
    read_all(conn, report, parts, with_plan, |_, (plan, entries)| {
        *found.entry(plan).or_default() += entries.len() as u64;
        Ok(())
    })?;
    let plans = format!("SELECT {} FROM plan p", plan::COLUMNS);
    read_all(conn, report, &plans, plan::read, |report, (summary, entries)| {
        let there = found.remove(&summary.hash).unwrap_or(0) + entries.map_or(0, |entries| entries.len() as u64);
        if there != summary.records() {
            let message = format!("plan {} has {there} records, it was made with {}", summary.hash, summary.records());
            report.add("missing", message);
        }
        Ok(())
    })?;
    for plan in found.keys() {
        report.add("missing", format!("records are kept for the plan {plan}, which is not there"));
    }
    Ok(())
}

/// Invariant 3, for every run and step, from the commits up.
fn accounts(conn: &Connection, report: &mut VerifyReport) -> Result<(), LedgerError> {
    #[derive(Default)]
    struct Sum {
        totals: Totals,
        chunk_ok: u64,
        chunk_dropped: u64,
    }
    let mut sums: HashMap<i64, Sum> = HashMap::new();
    let mut kept: BTreeMap<i64, (u64, u64)> = BTreeMap::new();
    let sql = format!("SELECT {} FROM batch b", run::BATCH_COLUMNS);
    read_all(conn, report, &sql, StoredBatch::read, |report, batch| {
        report.batches += 1;
        let sum = sums.entry(batch.run).or_default();
        sum.totals.merge(&batch.totals);
        sum.chunk_ok += batch.chunk_ok;
        sum.chunk_dropped += batch.chunk_dropped;
        if batch.chunk_ok + batch.chunk_dropped > 0 {
            kept.insert(batch.key, (batch.chunk_ok, batch.chunk_dropped));
        }
        Ok(())
    })?;
    let sql = format!("SELECT {} FROM run u", run::COLUMNS);
    read_all(conn, report, &sql, StoredRun::read, |report, run| {
        report.runs += 1;
        let sum = sums.remove(&run.key).unwrap_or_default();
        let told = run.reason.as_ref().is_some_and(|reason| reason.code == "ledger-accounting");
        if let Some(why) = sum.totals.imbalance() {
            report.add("accounting", format!("run {}: {why}", run.id));
        } else if told {
            report.add("accounting", format!("run {} ended with numbers that do not add up", run.id));
        }
        let (mut of_run, mut of_batches) = (run.totals.clone(), sum.totals.clone());
        of_run.steps.sort_by(|a, b| a.0.cmp(&b.0));
        of_batches.steps.sort_by(|a, b| a.0.cmp(&b.0));
        if of_run != of_batches {
            let message = format!("run {}: its totals are not the sum of its commits; one may be missing", run.id);
            report.add("accounting", message);
        }
        for (status, in_chunks) in [(Status::Ok, sum.chunk_ok), (Status::Dropped, sum.chunk_dropped)] {
            if i64::try_from(in_chunks).unwrap_or(i64::MAX) > sum.totals.counts.get(status) {
                let counted = sum.totals.counts.get(status);
                let message =
                    format!("run {}: {in_chunks} records are kept as {status}, {counted} were counted", run.id);
                report.add("accounting", message);
            }
        }
        if (run.status == RunStatus::Running) != run.ended.is_none() {
            report.add("accounting", format!("run {} is {} and its end does not fit that", run.id, run.status));
        }
        Ok(())
    })?;
    for _ in sums {
        report.add("missing", "commits belong to a run that is not there".to_owned());
    }
    let mut statement = conn.prepare("SELECT 1 FROM chunk WHERE key = ?1 AND ok = ?2 AND dropped = ?3")?;
    for (key, (ok, dropped)) in kept {
        let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        if !statement.exists((key, signed(ok), signed(dropped)))? {
            let message =
                format!("commit {key} says that {ok} ok and {dropped} dropped records are kept; they are not");
            report.add("chunk", message);
        }
    }
    Ok(())
}

/// Invariants 2 and 9: what is not settled can go on.
fn records(conn: &Connection, report: &mut VerifyReport) -> Result<(), LedgerError> {
    let mut kept: HashSet<i64> = HashSet::new();
    let payloads = "SELECT key, packed, size, body, crc FROM payload";
    let with_key = |row: &Row<'_>| unpack_payload(row).and_then(|_| Ok(row.get::<_, i64>(0)?));
    let all: HashSet<i64> =
        conn.prepare("SELECT key FROM payload")?.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    read_all(conn, report, payloads, with_key, |_, key| {
        kept.insert(key);
        Ok(())
    })?;
    let mut wanted: HashSet<i64> = HashSet::new();
    let sql = format!("SELECT {} FROM record r", record::COLUMNS);
    read_all(conn, report, &sql, StoredRecord::read, |report, stored| {
        report.records += 1;
        if stored.place == Place::Kept {
            wanted.insert(stored.key);
            if !all.contains(&stored.key) {
                report.add("payload", format!("record {}: its payload is missing", stored.id));
            } else if !kept.contains(&stored.key) {
                report.add("payload", format!("record {}: its payload is damaged", stored.id));
            }
        }
        // What is undone needs its receipt only, unless it has to be asked about first.
        let undone = matches!(stored.status, Status::RollingBack | Status::RollbackFailed)
            && !stored.applied.iter().any(|applied| applied.in_doubt);
        let needed = !undone && (!stored.status.is_settled() || stored.status == Status::Failed);
        let reachable = match stored.place {
            Place::Kept => true,
            Place::AtSource => stored.open,
            Place::Gone => false,
        };
        if needed && !reachable {
            let message =
                format!("record {} is {} and its payload is neither kept nor at its source", stored.id, stored.status);
            report.add("payload", message);
        }
        Ok(())
    })?;
    for key in all.difference(&wanted) {
        report
            .add("payload", format!("a payload is kept for a record (key {key}) that does not need it or is missing"));
    }
    Ok(())
}

fn chunks(conn: &Connection, report: &mut VerifyReport) -> Result<(), LedgerError> {
    let sql = format!("SELECT {CHUNK_COLUMNS} FROM chunk c");
    let with_records = |row: &Row<'_>| {
        let meta = ChunkMeta::read(row)?;
        let chunk = read_chunk(conn, meta.key)?;
        Ok((meta, chunk))
    };
    let mut standing = BTreeMap::new();
    let mut has_row =
        conn.prepare("SELECT open FROM record WHERE id = ?1 AND route = ?2 AND batch = ?3 AND run = ?4")?;
    read_all(conn, report, &sql, with_records, |report, (meta, chunk)| {
        report.chunk_records += chunk.ids.len() as u64;
        let count = |status: Status| {
            i64::try_from(chunk.statuses.iter().filter(|&&one| one == status).count()).unwrap_or(i64::MAX)
        };
        if (count(Status::Ok), count(Status::Dropped)) != (meta.ok, meta.dropped) {
            let message = format!("the chunk of commit {} does not hold the records it was made with", meta.key);
            report.add("chunk", message);
        }
        for (id, &status) in chunk.ids.iter().zip(&chunk.statuses) {
            if !crate::chunk::may_hold(&meta.filter, id) {
                let id = String::from_utf8_lossy(id);
                report
                    .add("chunk", format!("record {id} cannot be found by its id in the chunk of commit {}", meta.key));
            }
            // A record that had an open row when its chunk was written is counted by that row.
            let id = String::from_utf8_lossy(id);
            if !has_row.exists((&id, meta.route, meta.batch, meta.run))? {
                *standing.entry((meta.route, status.as_str().to_owned())).or_insert(0) += 1;
            }
        }
        Ok(())
    })?;
    let mut statement = conn.prepare("SELECT route, status, count(*) FROM record GROUP BY route, status")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        *standing.entry((row.get(0)?, row.get(1)?)).or_insert(0) += row.get::<_, i64>(2)?;
    }
    let mut statement = conn.prepare("SELECT route, status, n FROM standing WHERE n <> 0")?;
    let mut rows = statement.query([])?;
    let mut noted = BTreeMap::new();
    while let Some(row) = rows.next()? {
        noted.insert((row.get(0)?, row.get(1)?), row.get::<_, i64>(2)?);
    }
    for place in standing.keys().chain(noted.keys().filter(|key| !standing.contains_key(key))) {
        let (found, noted) = (standing.get(place).copied().unwrap_or(0), noted.get(place).copied().unwrap_or(0));
        if found != noted {
            let (route, status): &(i64, String) = place;
            let name = StoredRoute::by_key(conn, *route).map_or_else(|_| format!("with key {route}"), |r| r.name);
            report.add("standing", format!("route {name}: {noted} records are noted as {status}, {found} were found"));
        }
    }
    Ok(())
}

fn attempts(conn: &Connection, report: &mut VerifyReport) -> Result<(), LedgerError> {
    let sql = format!("SELECT {} FROM attempt a", trace::ATTEMPT_COLUMNS);
    read_all(conn, report, &sql, |row| trace::read_attempt(row).map(drop), |_, ()| Ok(()))?;
    let twice = "SELECT id, step, attempt, count(*) FROM attempt
                 GROUP BY route, id, step, kind, generation, attempt, run HAVING count(*) > 1";
    let mut statement = conn.prepare(twice)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (id, step, attempt, times): (String, String, i64, i64) = row.try_into()?;
        report.add("attempt", format!("record {id}: attempt {attempt} at step {step} is there {times} times"));
    }
    Ok(())
}

fn events(conn: &Connection, report: &mut VerifyReport) -> Result<(), LedgerError> {
    let sql = format!("SELECT {} FROM event e", trace::EVENT_COLUMNS);
    read_all(
        conn,
        report,
        &sql,
        |row| trace::read_event(row).map(drop),
        |report, ()| {
            report.events += 1;
            Ok(())
        },
    )
}

fn tasks(conn: &Connection, report: &mut VerifyReport) -> Result<(), LedgerError> {
    let sql = format!("SELECT {} FROM task t", task::COLUMNS);
    read_all(conn, report, &sql, StoredTask::read, |report, stored| {
        let wrong = stored.contradiction().map(str::to_owned);
        // Only a task that is still to be done has content to be read.
        let unreadable = || match stored.standing {
            TaskStanding::Waiting | TaskStanding::Held => {
                let run = RunId(String::new());
                let mut stored = stored.clone();
                stored.due = stored.due.or(Some(0));
                stored.into_due(run).err().map(|error| error.to_string())
            }
            TaskStanding::Done | TaskStanding::GivenUp => None,
        };
        if let Some(why) = wrong.or_else(unreadable) {
            report.add("task", format!("handler {} of {}: {why}", stored.place, stored.record));
        }
        Ok(())
    })
}

/// What was taken away leaves fewer rows than were noted.
fn tallies(conn: &Connection, report: &mut VerifyReport) -> Result<(), LedgerError> {
    for table in schema::TALLIED {
        let found: i64 = conn.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))?;
        let sql = "SELECT coalesce(sum(n), 0) FROM tally WHERE name = ?1";
        let noted: i64 = conn.query_row(sql, [table], |row| row.get(0))?;
        if found != noted {
            report.add("missing", format!("table {table} has {found} rows, {noted} are noted"));
        }
    }
    Ok(())
}
