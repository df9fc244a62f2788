//! The tables, and how a connection to them is opened.
//!
//! Every table but `meta`, `standing`, `tally` and the full-text index has the checksum of its row in the column `crc`
//! (see `seal`). `key` columns are SQLite's row ids: they rise with time and are never seen outside.
//!
//! A new ledger is made as one of format 1 and brought up to date like yesterday's: there is one account of each table.

use crate::error::{LedgerError, QUERY_TIME_MAX_MS};
use crate::files;
use crate::lock::WriterLock;
use crate::record;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use std::path::Path;
use std::time::{Duration, Instant};

/// The format that this program writes. Older ones are brought up to it, newer ones are refused.
pub(crate) const FORMAT: u32 = 2;
/// Up to this size the whole file is checked for damage whenever the ledger is opened for writing; beyond it, only
/// the small tables that decide how to go on. `verify` always checks everything.
pub const START_CHECK_MAX_BYTES: u64 = 32 * 1024 * 1024;
/// How long a reader waits for a lock within the database.
const BUSY_WAIT_MAX_MS: u64 = 5_000;
/// After a checkpoint into the main file, the write-ahead log is cut to this size.
const WAL_KEEP_MAX_BYTES: i64 = 64 * 1024 * 1024;
/// 3.51.3: earlier versions can lose committed data when the write-ahead log starts anew.
const SQLITE_VERSION_MIN: i32 = 3_051_003;
const APPLICATION_ID: i64 = 0x4372_446b;

/// The file in a data folder that holds the ledger.
pub(crate) const FILE: &str = "ledger.db";

const TABLES: &str = "
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE route (key INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, checkpoint BLOB, checkpoint_at INTEGER,
    crc INTEGER NOT NULL);
CREATE TABLE definition (hash TEXT PRIMARY KEY, body TEXT NOT NULL, crc INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE run (key INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, route INTEGER NOT NULL, hash TEXT NOT NULL,
    plugins TEXT NOT NULL, cause TEXT NOT NULL, began INTEGER NOT NULL, ended INTEGER, status TEXT NOT NULL,
    reason TEXT, read INTEGER NOT NULL, resumed INTEGER NOT NULL, counts TEXT NOT NULL, steps TEXT NOT NULL,
    crc INTEGER NOT NULL);
CREATE INDEX run_by_route ON run (route);
CREATE INDEX run_by_status ON run (status);
CREATE TABLE batch (key INTEGER PRIMARY KEY, run INTEGER NOT NULL, batch INTEGER NOT NULL, at INTEGER NOT NULL,
    read INTEGER NOT NULL, resumed INTEGER NOT NULL, counts TEXT NOT NULL, steps TEXT NOT NULL,
    chunk_ok INTEGER NOT NULL, chunk_dropped INTEGER NOT NULL, rows_written INTEGER NOT NULL, closes INTEGER NOT NULL,
    crc INTEGER NOT NULL);
CREATE INDEX batch_by_run ON batch (run);
CREATE TABLE chunk (key INTEGER PRIMARY KEY, run INTEGER NOT NULL, route INTEGER NOT NULL, batch INTEGER NOT NULL,
    at INTEGER NOT NULL, ok INTEGER NOT NULL, dropped INTEGER NOT NULL, filter BLOB NOT NULL, crc INTEGER NOT NULL);
CREATE INDEX chunk_by_at ON chunk (at);
CREATE INDEX chunk_by_route ON chunk (route, at);
CREATE INDEX chunk_by_run ON chunk (run, at);
CREATE TABLE chunk_data (key INTEGER PRIMARY KEY, size INTEGER NOT NULL, body BLOB NOT NULL, crc INTEGER NOT NULL);
CREATE TABLE record (key INTEGER PRIMARY KEY, route INTEGER NOT NULL, id TEXT NOT NULL, parent TEXT,
    status TEXT NOT NULL, step TEXT NOT NULL, generation INTEGER NOT NULL, attempts INTEGER NOT NULL,
    spent INTEGER NOT NULL, since INTEGER, payload INTEGER NOT NULL, attributes BLOB NOT NULL, code TEXT, failure TEXT,
    due INTEGER, applied BLOB NOT NULL, open INTEGER NOT NULL, run INTEGER NOT NULL, batch INTEGER NOT NULL,
    at INTEGER NOT NULL, version INTEGER NOT NULL, written INTEGER NOT NULL, crc INTEGER NOT NULL);
CREATE UNIQUE INDEX record_by_id ON record (id, route);
CREATE INDEX record_by_at ON record (at);
CREATE INDEX record_by_route ON record (route, at);
CREATE INDEX record_by_route_status ON record (route, status, at);
CREATE INDEX record_by_status ON record (status, at);
CREATE INDEX record_by_run ON record (run, at);
CREATE INDEX record_by_code ON record (code, at) WHERE code IS NOT NULL;
CREATE INDEX record_by_step ON record (step, at);
CREATE INDEX record_open ON record (route) WHERE open = 1;
CREATE INDEX record_due ON record (route, due) WHERE due IS NOT NULL AND open = 0;
CREATE INDEX record_due_of_run ON record (run, due) WHERE due IS NOT NULL AND open = 0;
CREATE VIRTUAL TABLE failure_text USING fts5 (id, code, message, detail, content = '', contentless_delete = 1);
CREATE TABLE payload (key INTEGER PRIMARY KEY, packed INTEGER NOT NULL, size INTEGER NOT NULL, body BLOB NOT NULL,
    crc INTEGER NOT NULL);
CREATE TABLE attempt (key INTEGER PRIMARY KEY, route INTEGER NOT NULL, id TEXT NOT NULL, step TEXT NOT NULL,
    generation INTEGER NOT NULL, attempt INTEGER NOT NULL, run INTEGER NOT NULL, began INTEGER NOT NULL,
    ended INTEGER NOT NULL, outcome TEXT NOT NULL, failure TEXT, target_id TEXT, receipt BLOB, exchanges TEXT NOT NULL,
    crc INTEGER NOT NULL);
CREATE INDEX attempt_by_id ON attempt (id, route);
CREATE TABLE event (key INTEGER PRIMARY KEY, at INTEGER NOT NULL, route INTEGER, run TEXT, record TEXT,
    body TEXT NOT NULL, crc INTEGER NOT NULL);
CREATE INDEX event_by_route ON event (route);
CREATE INDEX event_by_run ON event (run);
CREATE INDEX event_by_record ON event (record) WHERE record IS NOT NULL;
CREATE TABLE inflight (key INTEGER PRIMARY KEY, kind TEXT NOT NULL, route INTEGER NOT NULL, run INTEGER NOT NULL,
    batch INTEGER NOT NULL, step TEXT NOT NULL, at INTEGER NOT NULL, open INTEGER NOT NULL, written INTEGER NOT NULL,
    body BLOB NOT NULL, crc INTEGER NOT NULL);
CREATE INDEX inflight_by_run ON inflight (run, batch);
CREATE TABLE plugin_state (key INTEGER PRIMARY KEY, route INTEGER NOT NULL, step TEXT NOT NULL, name TEXT NOT NULL,
    value BLOB NOT NULL, crc INTEGER NOT NULL);
CREATE UNIQUE INDEX plugin_state_by_name ON plugin_state (route, step, name);
CREATE TABLE plan (hash TEXT PRIMARY KEY, route TEXT NOT NULL, at INTEGER NOT NULL, filter TEXT NOT NULL,
    size INTEGER NOT NULL, body BLOB NOT NULL, crc INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE standing (route INTEGER NOT NULL, status TEXT NOT NULL, n INTEGER NOT NULL, PRIMARY KEY (route, status))
    WITHOUT ROWID;
CREATE TABLE tally (name TEXT PRIMARY KEY, n INTEGER NOT NULL) WITHOUT ROWID;
";

/// What format 2 has beside format 1. Columns come after `crc`; while they are NULL, they do not count in it.
const FORMAT_2: &str = "
ALTER TABLE record ADD COLUMN order_key BLOB;
ALTER TABLE record ADD COLUMN fingerprint TEXT;
CREATE INDEX record_by_fingerprint ON record (fingerprint, at) WHERE fingerprint IS NOT NULL;
DROP INDEX record_due;
CREATE INDEX record_due ON record (route, due) WHERE due IS NOT NULL AND open = 0 AND status <> 'rolling-back';
DROP INDEX record_due_of_run;
CREATE INDEX record_due_of_run ON record (run, due) WHERE due IS NOT NULL AND open = 0 AND status <> 'rolling-back';
CREATE INDEX record_rolling ON record (route, key, due) WHERE status = 'rolling-back';
CREATE INDEX record_ordered ON record (route, order_key) WHERE order_key IS NOT NULL AND open = 0
    AND status IN ('new', 'processing', 'pending', 'indeterminate', 'rolling-back', 'rollback-failed');
ALTER TABLE attempt ADD COLUMN kind TEXT;
ALTER TABLE run ADD COLUMN moved INTEGER;
ALTER TABLE plan ADD COLUMN route_hash TEXT;
ALTER TABLE plan ADD COLUMN recorded INTEGER;
ALTER TABLE plan ADD COLUMN edit_id TEXT;
ALTER TABLE plan ADD COLUMN edit BLOB;
ALTER TABLE plan ADD COLUMN totals TEXT;
ALTER TABLE plan ADD COLUMN parts INTEGER;
CREATE TABLE plan_part (plan TEXT NOT NULL, part INTEGER NOT NULL, size INTEGER NOT NULL, body BLOB NOT NULL,
    crc INTEGER NOT NULL, PRIMARY KEY (plan, part));
CREATE TRIGGER plan_gone AFTER DELETE ON plan BEGIN DELETE FROM plan_part WHERE plan = old.hash; END;
CREATE TABLE task (key INTEGER PRIMARY KEY, route INTEGER NOT NULL, record TEXT NOT NULL, place TEXT NOT NULL,
    generation INTEGER NOT NULL, run INTEGER NOT NULL, status TEXT NOT NULL, due INTEGER, attempts INTEGER NOT NULL,
    since INTEGER, failure TEXT, at INTEGER NOT NULL, packed INTEGER, size INTEGER, body BLOB, crc INTEGER NOT NULL);
CREATE UNIQUE INDEX task_by_record ON task (record, route, place, generation);
CREATE INDEX task_due ON task (route, due) WHERE due IS NOT NULL;
CREATE INDEX task_held ON task (route, key) WHERE status = 'held';
CREATE INDEX task_by_run ON task (run, place, status);
CREATE TABLE quarantine (key INTEGER PRIMARY KEY, route INTEGER NOT NULL, step TEXT NOT NULL, digest TEXT NOT NULL,
    reason TEXT NOT NULL, at INTEGER NOT NULL, crc INTEGER NOT NULL);
CREATE UNIQUE INDEX quarantine_by_step ON quarantine (route, step);
CREATE TABLE pruned (route INTEGER PRIMARY KEY, records INTEGER NOT NULL, until INTEGER NOT NULL, crc INTEGER NOT NULL);
";

/// Tables whose number of rows is noted in `tally`, so that a row that is taken away is missed.
pub(crate) const TALLIED: &[&str] = &[
    "route",
    "run",
    "batch",
    "chunk",
    "chunk_data",
    "record",
    "payload",
    "attempt",
    "event",
    "inflight",
    "task",
    "quarantine",
];

/// Refuses a SQLite library with a known bug.
pub(crate) fn refuse_old_sqlite() -> Result<(), LedgerError> {
    if rusqlite::version_number() < SQLITE_VERSION_MIN {
        return Err(LedgerError::SqliteTooOld { found: rusqlite::version().to_owned() });
    }
    Ok(())
}

/// Opens the ledger in a folder for writing and makes its tables if there are none.
pub(crate) fn open_to_write(dir: &Path) -> Result<Connection, LedgerError> {
    refuse_old_sqlite()?;
    let mut conn = Connection::open_with_flags(
        dir.join(FILE),
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    conn.busy_timeout(Duration::from_millis(BUSY_WAIT_MAX_MS))?;
    let empty = is_empty(&conn, dir)?;
    let format = if empty {
        conn.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
        0
    } else {
        format(&conn, dir)?
    };
    conn.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0))?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.pragma_update(None, "secure_delete", false)?;
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    conn.pragma_update(None, "cache_size", -16_384)?;
    conn.pragma_update_and_check(None, "journal_size_limit", WAL_KEEP_MAX_BYTES, |row| row.get::<_, i64>(0))?;
    bring_up_to_date(&mut conn, format)?;
    conn.set_prepared_statement_cache_capacity(64);
    Ok(conn)
}

/// Does what the formats after `found` bring, all of it or nothing; 0 stands for a ledger without tables.
fn bring_up_to_date(conn: &mut Connection, found: u32) -> Result<(), LedgerError> {
    if found == FORMAT {
        return Ok(());
    }
    let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if found == 0 {
        transaction.execute_batch(TABLES)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    }
    transaction.execute_batch(FORMAT_2)?;
    record::add_fingerprints(&transaction)?;
    transaction.execute("INSERT OR REPLACE INTO meta VALUES ('format', ?1)", [FORMAT.to_string()])?;
    transaction.commit()?;
    Ok(())
}

/// Opens the ledger in a folder for reading. One of an earlier format is brought up to date first, if nobody has it
/// open for writing.
pub(crate) fn open_to_read(dir: &Path) -> Result<Connection, LedgerError> {
    refuse_old_sqlite()?;
    if files::is_ready(dir) {
        // A restore was broken off at its last step, or is at it: then its process holds the lock.
        let lock = WriterLock::take(dir, None)?;
        files::put_in_place(dir)?;
        drop(lock);
    }
    let file = dir.join(FILE);
    if !file.is_file() {
        return Err(LedgerError::Missing { dir: dir.to_owned() });
    }
    let open = || -> Result<Connection, LedgerError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags(&file, flags)?;
        conn.busy_timeout(Duration::from_millis(BUSY_WAIT_MAX_MS))?;
        Ok(conn)
    };
    let mut conn = open()?;
    if is_empty(&conn, dir)? {
        return Err(LedgerError::Missing { dir: dir.to_owned() });
    }
    if format(&conn, dir)? < FORMAT {
        drop(conn);
        let lock = WriterLock::take(dir, None)?;
        drop(open_to_write(dir)?);
        drop(lock);
        conn = open()?;
    }
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    conn.set_prepared_statement_cache_capacity(64);
    Ok(conn)
}

/// Has the questions put to a connection from now on end after [`QUERY_TIME_MAX_MS`].
pub(crate) fn limit_time(conn: &mut Connection) -> Result<(), LedgerError> {
    let deadline = Instant::now() + Duration::from_millis(QUERY_TIME_MAX_MS);
    conn.progress_handler(10_000, Some(move || Instant::now() > deadline))?;
    Ok(())
}

fn is_empty(conn: &Connection, dir: &Path) -> Result<bool, LedgerError> {
    match conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0)) {
        Ok(count) => Ok(count == 0),
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::NotADatabase) => {
            Err(LedgerError::NotALedger { dir: dir.to_owned(), why: "it is not a SQLite database".to_owned() })
        }
        Err(error) => Err(error.into()),
    }
}

/// The format that a ledger has: one that this program can bring up to date, or its own.
fn format(conn: &Connection, dir: &Path) -> Result<u32, LedgerError> {
    let application: i64 = conn.pragma_query_value(None, "application_id", |row| row.get(0))?;
    if application != APPLICATION_ID {
        let why = "it is a SQLite database of another program".to_owned();
        return Err(LedgerError::NotALedger { dir: dir.to_owned(), why });
    }
    let format: String = conn.query_row("SELECT value FROM meta WHERE name = 'format'", [], |row| row.get(0))?;
    match format.parse::<u32>() {
        Ok(found) if found > FORMAT => Err(LedgerError::NewerVersion { dir: dir.to_owned(), found, supported: FORMAT }),
        Ok(found @ 1..=FORMAT) => Ok(found),
        _ => Err(LedgerError::Damaged { what: format!("its format is {format:?}, which never existed") }),
    }
}

/// Looks for damage before anything is written.
pub(crate) fn check_at_start(conn: &Connection, dir: &Path) -> Result<(), LedgerError> {
    let bytes = std::fs::metadata(dir.join(FILE))?.len();
    if bytes <= START_CHECK_MAX_BYTES {
        return quick_check(conn, "PRAGMA quick_check(1)");
    }
    for table in ["meta", "route", "inflight", "plugin_state", "standing", "tally"] {
        quick_check(conn, &format!("PRAGMA quick_check({table})"))?;
    }
    Ok(())
}

fn quick_check(conn: &Connection, pragma: &str) -> Result<(), LedgerError> {
    let said: String = conn.query_row(pragma, [], |row| row.get(0))?;
    if said == "ok" { Ok(()) } else { Err(LedgerError::Damaged { what: format!("the database is damaged: {said}") }) }
}
