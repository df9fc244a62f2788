//! The tables, and how a connection to them is opened.
//!
//! Every table but `meta`, `standing`, `tally` and the full-text index has the checksum of its row as the last
//! column (see `seal`). `key` columns are SQLite's row ids: they rise with time and are never seen outside.

use crate::error::{LedgerError, QUERY_TIME_MAX_MS};
use rusqlite::{Connection, OpenFlags};
use std::path::Path;
use std::time::{Duration, Instant};

/// The format that this program writes. Older ones are brought up to it, newer ones are refused.
pub(crate) const FORMAT: u32 = 1;
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

/// Tables whose number of rows is noted in `tally`, so that a row that is taken away is missed.
pub(crate) const TALLIED: &[&str] =
    &["route", "run", "batch", "chunk", "chunk_data", "record", "payload", "attempt", "event", "inflight"];

/// Refuses a SQLite library with a known bug.
pub(crate) fn refuse_old_sqlite() -> Result<(), LedgerError> {
    if rusqlite::version_number() < SQLITE_VERSION_MIN {
        return Err(LedgerError::SqliteTooOld { found: rusqlite::version().to_owned() });
    }
    Ok(())
}

/// Opens the ledger in a folder for writing and makes its tables if there are none.
pub(crate) fn open_to_write(dir: &Path, max_bytes: Option<u64>) -> Result<Connection, LedgerError> {
    refuse_old_sqlite()?;
    let conn = Connection::open_with_flags(
        dir.join(FILE),
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    conn.busy_timeout(Duration::from_millis(BUSY_WAIT_MAX_MS))?;
    let empty = is_empty(&conn, dir)?;
    if empty {
        conn.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    } else {
        check_format(&conn, dir)?;
    }
    conn.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0))?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.pragma_update(None, "secure_delete", false)?;
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    conn.pragma_update(None, "cache_size", -16_384)?;
    conn.pragma_update_and_check(None, "journal_size_limit", WAL_KEEP_MAX_BYTES, |row| row.get::<_, i64>(0))?;
    if empty {
        conn.execute_batch(&format!(
            "BEGIN IMMEDIATE; {TABLES} INSERT INTO meta VALUES ('format', '{FORMAT}');
             PRAGMA application_id = {APPLICATION_ID}; COMMIT;"
        ))?;
    }
    if let Some(max_bytes) = max_bytes {
        let page: i64 = conn.pragma_query_value(None, "page_size", |row| row.get(0))?;
        let pages = i64::try_from(max_bytes).unwrap_or(i64::MAX) / page.max(1);
        conn.pragma_update_and_check(None, "max_page_count", pages.max(1), |row| row.get::<_, i64>(0))?;
    }
    conn.set_prepared_statement_cache_capacity(64);
    Ok(conn)
}

/// Opens the ledger in a folder for reading.
pub(crate) fn open_to_read(dir: &Path) -> Result<Connection, LedgerError> {
    refuse_old_sqlite()?;
    let file = dir.join(FILE);
    if !file.is_file() {
        return Err(LedgerError::Missing { dir: dir.to_owned() });
    }
    let conn = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    conn.busy_timeout(Duration::from_millis(BUSY_WAIT_MAX_MS))?;
    if is_empty(&conn, dir)? {
        return Err(LedgerError::Missing { dir: dir.to_owned() });
    }
    check_format(&conn, dir)?;
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

fn check_format(conn: &Connection, dir: &Path) -> Result<(), LedgerError> {
    let application: i64 = conn.pragma_query_value(None, "application_id", |row| row.get(0))?;
    if application != APPLICATION_ID {
        let why = "it is a SQLite database of another program".to_owned();
        return Err(LedgerError::NotALedger { dir: dir.to_owned(), why });
    }
    let format: String = conn.query_row("SELECT value FROM meta WHERE name = 'format'", [], |row| row.get(0))?;
    match format.parse::<u32>() {
        Ok(found) if found > FORMAT => Err(LedgerError::NewerVersion { dir: dir.to_owned(), found, supported: FORMAT }),
        Ok(FORMAT) => Ok(()),
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
