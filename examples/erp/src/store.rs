//! Documents and requests in one SQLite file.
//!
//! A request and what it did stand in the same transaction, so the ledger of requests and the documents cannot
//! disagree, whenever the process is killed.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use serde_json::{Value, json};

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS documents (
        number    INTEGER PRIMARY KEY AUTOINCREMENT,
        reference TEXT NOT NULL,
        key       TEXT,
        body      TEXT NOT NULL,
        created   TEXT NOT NULL,
        cancelled TEXT
    ) STRICT;
    CREATE INDEX IF NOT EXISTS documents_by_reference ON documents (reference);
    CREATE UNIQUE INDEX IF NOT EXISTS documents_by_key ON documents (key)
        WHERE key IS NOT NULL AND cancelled IS NULL;
    CREATE TABLE IF NOT EXISTS requests (
        number    INTEGER PRIMARY KEY AUTOINCREMENT,
        time      TEXT NOT NULL,
        method    TEXT NOT NULL,
        path      TEXT NOT NULL,
        key       TEXT,
        reference TEXT,
        status    INTEGER NOT NULL,
        answered  INTEGER NOT NULL,
        applied   TEXT,
        items     TEXT
    ) STRICT;
    CREATE INDEX IF NOT EXISTS requests_by_reference ON requests (reference);
    CREATE TABLE IF NOT EXISTS orders (
        number    INTEGER PRIMARY KEY AUTOINCREMENT,
        id        TEXT NOT NULL UNIQUE,
        status    TEXT NOT NULL,
        reason    TEXT,
        body      TEXT NOT NULL
    ) STRICT;
    CREATE INDEX IF NOT EXISTS orders_by_status ON orders (status, number);
    CREATE TABLE IF NOT EXISTS marks (
        number    INTEGER PRIMARY KEY AUTOINCREMENT,
        order_id  TEXT NOT NULL,
        key       TEXT UNIQUE,
        status    TEXT,
        reason    TEXT,
        time      TEXT NOT NULL
    ) STRICT;
    CREATE INDEX IF NOT EXISTS marks_by_order ON marks (order_id);
    CREATE TABLE IF NOT EXISTS notices (
        number    INTEGER PRIMARY KEY AUTOINCREMENT,
        key       TEXT UNIQUE,
        body      TEXT NOT NULL,
        time      TEXT NOT NULL
    ) STRICT;
";

pub(crate) const NOW: &str = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')";

/// The database of the stand-in.
pub struct Store(Connection);

/// A document as it is kept.
pub(crate) struct Kept {
    number: i64,
    pub(crate) reference: String,
    pub(crate) key: Option<String>,
    pub(crate) body: String,
    pub(crate) cancelled: Option<String>,
    created: String,
}

/// One line of the ledger of requests.
#[derive(Default)]
pub(crate) struct Entry {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) key: Option<String>,
    pub(crate) reference: Option<String>,
    pub(crate) status: u16,
    /// False if the connection was cut instead.
    pub(crate) answered: bool,
    /// What the request changed, if anything.
    pub(crate) applied: Option<String>,
    /// For a batch: what became of each item.
    pub(crate) items: Option<Value>,
}

/// The store within one transaction.
pub(crate) struct Change<'a>(pub(crate) Transaction<'a>);

impl Store {
    /// Opens a database file, and makes it if it is not there.
    ///
    /// # Errors
    /// If the file cannot be opened, or is not a database of the stand-in.
    pub fn open(path: &Path) -> rusqlite::Result<Self> {
        let connection = Connection::open(path)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        // A killed process loses nothing with NORMAL; only a power cut could take the last moments.
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.execute_batch(SCHEMA)?;
        Ok(Self(connection))
    }

    /// Begins a transaction; what is not committed did not happen.
    pub(crate) fn begin(&mut self) -> rusqlite::Result<Change<'_>> {
        self.0.transaction().map(Change)
    }

    /// Requests after a number, and documents; of one reference only if it is given.
    pub(crate) fn ledger(&self, reference: Option<&str>, after: i64) -> rusqlite::Result<Value> {
        let mut requests = self.0.prepare_cached(
            "SELECT number, time, method, path, key, reference, status, answered, applied, items FROM requests
             WHERE number > ?2 AND (?1 IS NULL OR reference = ?1
                   OR EXISTS (SELECT 1 FROM json_each(items) WHERE value ->> 'reference' = ?1))
             ORDER BY number",
        )?;
        let requests: Vec<Value> =
            requests.query_map(params![reference, after], request_json)?.collect::<Result<_, _>>()?;
        let mut documents = self.0.prepare_cached(
            "SELECT number, reference, key, body, cancelled, created FROM documents
             WHERE ?1 IS NULL OR reference = ?1 ORDER BY number",
        )?;
        let documents: Vec<Value> = documents
            .query_map(params![reference], kept)?
            .map(|kept| kept.map(|kept| kept.as_json()))
            .collect::<Result<_, _>>()?;
        Ok(json!({ "requests": requests, "documents": documents }))
    }

    /// Counts, and the references that stand on more than one document.
    pub(crate) fn summary(&self) -> rusqlite::Result<Value> {
        let count = |sql: &str| self.0.query_row(sql, [], |row| row.get::<_, i64>(0));
        let mut statuses = self.0.prepare_cached(
            "SELECT method, status, answered, count(*) FROM requests GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
        )?;
        let statuses: Vec<Value> = statuses
            .query_map([], |row| {
                let (method, status): (String, i64) = (row.get(0)?, row.get(1)?);
                let (answered, count): (bool, i64) = (row.get(2)?, row.get(3)?);
                Ok(json!({ "method": method, "status": status, "answered": answered, "count": count }))
            })?
            .collect::<Result<_, _>>()?;
        let mut duplicates = self.0.prepare_cached(
            "SELECT reference, count(*) FROM documents WHERE cancelled IS NULL
             GROUP BY reference HAVING count(*) > 1 ORDER BY reference",
        )?;
        let duplicates: Vec<Value> = duplicates
            .query_map([], |row| {
                Ok(json!({ "reference": row.get::<_, String>(0)?, "documents": row.get::<_, i64>(1)? }))
            })?
            .collect::<Result<_, _>>()?;
        Ok(json!({
            "requests": count("SELECT count(*) FROM requests")?,
            "not_answered": count("SELECT count(*) FROM requests WHERE NOT answered")?,
            "by_status": statuses,
            "documents": count("SELECT count(*) FROM documents WHERE cancelled IS NULL")?,
            "cancelled": count("SELECT count(*) FROM documents WHERE cancelled IS NOT NULL")?,
            "references": count("SELECT count(DISTINCT reference) FROM documents WHERE cancelled IS NULL")?,
            "duplicates": duplicates,
        }))
    }
}

impl Change<'_> {
    /// Books a document and gives it back with its number.
    pub(crate) fn create(&self, reference: &str, key: Option<&str>, body: &str) -> rusqlite::Result<Kept> {
        self.0
            .prepare_cached(&format!(
                "INSERT INTO documents (reference, key, body, created) VALUES (?1, ?2, ?3, {NOW})
                 RETURNING number, reference, key, body, cancelled, created"
            ))?
            .query_row(params![reference, key, body], kept)
    }

    /// The document that was booked under a key and is not cancelled.
    pub(crate) fn by_key(&self, key: &str) -> rusqlite::Result<Option<Kept>> {
        self.0
            .prepare_cached(
                "SELECT number, reference, key, body, cancelled, created FROM documents
                 WHERE key = ?1 AND cancelled IS NULL",
            )?
            .query_row([key], kept)
            .optional()
    }

    /// All documents of a reference that are not cancelled.
    pub(crate) fn by_reference(&self, reference: &str) -> rusqlite::Result<Vec<Kept>> {
        self.0
            .prepare_cached(
                "SELECT number, reference, key, body, cancelled, created FROM documents
                 WHERE reference = ?1 AND cancelled IS NULL ORDER BY number",
            )?
            .query_map([reference], kept)?
            .collect()
    }

    /// A document by its id, cancelled or not.
    pub(crate) fn by_id(&self, id: &str) -> rusqlite::Result<Option<Kept>> {
        let Some(number) = id.strip_prefix("DOC-").and_then(|number| number.parse::<i64>().ok()) else {
            return Ok(None);
        };
        self.0
            .prepare_cached("SELECT number, reference, key, body, cancelled, created FROM documents WHERE number = ?1")?
            .query_row([number], kept)
            .optional()
    }

    /// Cancels a document. Its key may be used again afterwards.
    pub(crate) fn cancel(&self, document: &Kept) -> rusqlite::Result<()> {
        self.0
            .prepare_cached(&format!("UPDATE documents SET cancelled = {NOW} WHERE number = ?1"))?
            .execute([document.number])
            .map(drop)
    }

    /// Writes the request down and makes it and all that it did durable.
    pub(crate) fn commit(self, entry: &Entry) -> rusqlite::Result<()> {
        self.0
            .prepare_cached(&format!(
                "INSERT INTO requests (time, method, path, key, reference, status, answered, applied, items)
                 VALUES ({NOW}, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"
            ))?
            .execute(params![
                entry.method,
                entry.path,
                entry.key,
                entry.reference,
                entry.status,
                entry.answered,
                entry.applied,
                entry.items.as_ref().map(Value::to_string),
            ])?;
        self.0.commit()
    }
}

impl Kept {
    pub(crate) fn id(&self) -> String {
        format!("DOC-{:06}", self.number)
    }

    pub(crate) fn as_json(&self) -> Value {
        json!({
            "id": self.id(),
            "reference": self.reference,
            "key": self.key,
            "created": self.created,
            "cancelled": self.cancelled,
            "document": serde_json::from_str::<Value>(&self.body).unwrap_or_default(),
        })
    }
}

fn kept(row: &Row<'_>) -> rusqlite::Result<Kept> {
    Ok(Kept {
        number: row.get("number")?,
        reference: row.get("reference")?,
        key: row.get("key")?,
        body: row.get("body")?,
        cancelled: row.get("cancelled")?,
        created: row.get("created")?,
    })
}

fn request_json(row: &Row<'_>) -> rusqlite::Result<Value> {
    let items: Option<String> = row.get("items")?;
    let mut request = json!({
        "number": row.get::<_, i64>("number")?,
        "time": row.get::<_, String>("time")?,
        "method": row.get::<_, String>("method")?,
        "path": row.get::<_, String>("path")?,
        "key": row.get::<_, Option<String>>("key")?,
        "reference": row.get::<_, Option<String>>("reference")?,
        "status": row.get::<_, i64>("status")?,
        "answered": row.get::<_, bool>("answered")?,
        "applied": row.get::<_, Option<String>>("applied")?,
    });
    if let Some(items) = items {
        request["items"] = serde_json::from_str(&items).unwrap_or_default();
    }
    Ok(request)
}
