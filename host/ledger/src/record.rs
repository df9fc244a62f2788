//! Records that have a row of their own: as stored, and as the engine knows them.

use crate::codec::{Reader, Writer, from_json, to_json};
use crate::error::LedgerError;
use crate::seal::{check, check_later, sealed, sealed_later};
use crossdock_engine::ports::{Applied, Payload, RecordRow};
use crossdock_model::{Failure, RecordId, RunId, Status, StepName, Timestamp};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params_from_iter};
use std::cell::RefCell;
use std::sync::LazyLock;
use zstd::bulk::Decompressor;

/// The columns of table `record`, in the order in which their checksum is made.
pub(crate) const COLUMNS: &str = "r.key, r.route, r.id, r.parent, r.status, r.step, r.generation, r.attempts, r.spent, \
     r.since, r.payload, r.attributes, r.code, r.failure, r.due, r.applied, r.open, r.run, r.batch, r.at, r.version, \
     r.written, r.order_key, r.fingerprint, r.crc";
const COLUMN_COUNT: usize = 24;
/// The last of them came with format 2.
const LATER: usize = 2;

/// Payloads over this size are compressed.
pub(crate) const PLAIN_MAX_BYTES: usize = 512;
const LEVEL: i32 = 1;

/// Where the payload is, as a number in table `record`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Gone = 0,
    AtSource = 1,
    Kept = 2,
}

/// A row of table `record`.
#[derive(Debug, Clone)]
pub(crate) struct StoredRecord {
    pub(crate) key: i64,
    pub(crate) route: i64,
    pub(crate) id: String,
    pub(crate) parent: Option<String>,
    pub(crate) status: Status,
    pub(crate) step: StepName,
    pub(crate) generation: u32,
    pub(crate) attempts: u32,
    pub(crate) spent: u32,
    pub(crate) since: Option<i64>,
    pub(crate) place: Place,
    pub(crate) attributes: Vec<(String, Vec<u8>)>,
    pub(crate) failure: Option<Failure>,
    pub(crate) due: Option<i64>,
    pub(crate) applied: Vec<Applied>,
    pub(crate) open: bool,
    pub(crate) run: i64,
    pub(crate) batch: i64,
    pub(crate) at: i64,
    /// Rises with every write; a plan notes it to see whether the record has changed since.
    pub(crate) version: i64,
    /// The number of the commit that wrote it, in the order of all commits.
    pub(crate) written: i64,
    pub(crate) order_key: Option<Vec<u8>>,
}

// Not `INSERT OR REPLACE`: that has SQLite remember where the statement began, for which the full-text index must write
// out what it holds back, and it makes all index entries anew.
static INSERT: LazyLock<String> = LazyLock::new(|| {
    let marks = vec!["?"; COLUMN_COUNT + 1].join(", ");
    format!("INSERT INTO record ({}) VALUES ({marks})", COLUMNS.replace("r.", ""))
});

static UPDATE: LazyLock<String> = LazyLock::new(|| {
    let columns = COLUMNS.replace("r.", "");
    let numbered = columns.split(',').map(str::trim).zip(1..);
    let changes = numbered.filter(|(column, _)| !matches!(*column, "key" | "route" | "id"));
    let changes: Vec<String> = changes.map(|(column, number)| format!("{column} = ?{number}")).collect();
    format!("UPDATE record SET {} WHERE key = ?1", changes.join(", "))
});

fn damaged(what: &str) -> LedgerError {
    LedgerError::Damaged { what: format!("a record's {what} is not in the form it was written in") }
}

fn small(row: &Row<'_>, index: usize) -> Result<u32, LedgerError> {
    u32::try_from(row.get::<_, i64>(index)?).map_err(|_| damaged("number"))
}

impl StoredRecord {
    /// A row as selected by [`COLUMNS`].
    pub(crate) fn read(row: &Row<'_>) -> Result<Self, LedgerError> {
        check_later("record", row, COLUMN_COUNT, LATER)?;
        let status: String = row.get(4)?;
        let failure: Option<String> = row.get(13)?;
        let attributes: Vec<u8> = row.get(11)?;
        let applied: Vec<u8> = row.get(15)?;
        Ok(Self {
            key: row.get(0)?,
            route: row.get(1)?,
            id: row.get(2)?,
            parent: row.get(3)?,
            status: Status::from_word(&status).ok_or_else(|| damaged("status"))?,
            step: StepName::new(row.get::<_, String>(5)?).map_err(|_| damaged("step"))?,
            generation: small(row, 6)?,
            attempts: small(row, 7)?,
            spent: small(row, 8)?,
            since: row.get(9)?,
            place: match row.get::<_, i64>(10)? {
                0 => Place::Gone,
                1 => Place::AtSource,
                2 => Place::Kept,
                _ => return Err(damaged("payload")),
            },
            attributes: read_attributes(&attributes)?,
            failure: failure.as_deref().map(from_json).transpose()?,
            due: row.get(14)?,
            applied: read_applied(&applied)?,
            open: row.get(16)?,
            run: row.get(17)?,
            batch: row.get(18)?,
            at: row.get(19)?,
            version: row.get(20)?,
            written: row.get(21)?,
            order_key: row.get(22)?,
        })
    }

    /// What failures of one cause have in common, see [`Failure::fingerprint`].
    pub(crate) fn fingerprint(&self) -> Option<String> {
        self.failure.as_ref().map(|failure| failure.fingerprint(&self.step))
    }

    fn values(&self) -> Result<Vec<Value>, LedgerError> {
        let failure = self.failure.as_ref().map(to_json).transpose()?;
        Ok(sealed_later(
            "record",
            vec![
                self.key.into(),
                self.route.into(),
                self.id.clone().into(),
                self.parent.clone().into(),
                self.status.as_str().to_owned().into(),
                self.step.as_str().to_owned().into(),
                i64::from(self.generation).into(),
                i64::from(self.attempts).into(),
                i64::from(self.spent).into(),
                self.since.into(),
                (self.place as i64).into(),
                write_attributes(&self.attributes).into(),
                self.failure.as_ref().map(|failure| failure.code.clone()).into(),
                failure.into(),
                self.due.into(),
                write_applied(&self.applied).into(),
                i64::from(self.open).into(),
                self.run.into(),
                self.batch.into(),
                self.at.into(),
                self.version.into(),
                self.written.into(),
                self.order_key.clone().into(),
                self.fingerprint().into(),
            ],
            LATER,
        ))
    }

    /// Makes the row.
    pub(crate) fn insert(&self, conn: &Connection) -> Result<(), LedgerError> {
        conn.prepare_cached(&INSERT)?.execute(params_from_iter(self.values()?))?;
        Ok(())
    }

    /// Changes the row with this key, which is of the same record.
    pub(crate) fn update(&self, conn: &Connection) -> Result<(), LedgerError> {
        conn.prepare_cached(&UPDATE)?.execute(params_from_iter(self.values()?))?;
        Ok(())
    }

    /// The record as the engine knows it, with its payload.
    pub(crate) fn into_row(self, conn: &Connection, run: RunId) -> Result<RecordRow, LedgerError> {
        let payload = match self.place {
            Place::Gone => Payload::Gone,
            Place::AtSource => Payload::AtSource,
            Place::Kept => Payload::Kept(read_payload(conn, self.key)?),
        };
        Ok(self.with_payload(payload, run))
    }

    /// The record as the engine knows it, whatever its payload is.
    pub(crate) fn with_payload(self, payload: Payload, run: RunId) -> RecordRow {
        RecordRow {
            id: RecordId(self.id),
            parent: self.parent.map(RecordId),
            status: self.status,
            step: self.step,
            generation: self.generation,
            attempts: self.attempts,
            spent: self.spent,
            since: self.since.map(Timestamp),
            payload,
            attributes: self.attributes,
            failure: self.failure,
            due: self.due.map(Timestamp),
            applied: self.applied,
            order_key: self.order_key,
            open: self.open,
            run,
        }
    }
}

/// Format 2: gives the rows of format 1 what failures of one cause have in common. A row that is damaged stays as it
/// is, for who reads it to find.
pub(crate) fn add_fingerprints(conn: &Connection) -> Result<(), LedgerError> {
    const TOGETHER: i64 = 1000;
    let mut after = 0;
    loop {
        let sql = format!("SELECT {COLUMNS} FROM record r WHERE r.key > ?1 ORDER BY r.key LIMIT {TOGETHER}");
        let mut statement = conn.prepare_cached(&sql)?;
        let mut rows = statement.query([after])?;
        let mut found = Vec::new();
        let mut any = false;
        while let Some(row) = rows.next()? {
            any = true;
            after = row.get(0)?;
            found.extend(StoredRecord::read(row).ok().filter(|stored| stored.failure.is_some()));
        }
        if !any {
            return Ok(());
        }
        for stored in found {
            stored.update(conn)?;
        }
    }
}

/// The row of a record, if it has one.
pub(crate) fn find(conn: &Connection, route: i64, id: &str) -> Result<Option<StoredRecord>, LedgerError> {
    let sql = format!("SELECT {COLUMNS} FROM record r WHERE r.id = ?1 AND r.route = ?2");
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query((id, route))?;
    rows.next()?.map(StoredRecord::read).transpose()
}

/// The record with this key.
pub(crate) fn by_key(conn: &Connection, key: i64) -> Result<StoredRecord, LedgerError> {
    let mut statement = conn.prepare_cached(&format!("SELECT {COLUMNS} FROM record r WHERE r.key = ?1"))?;
    let mut rows = statement.query([key])?;
    let missing = || LedgerError::Damaged { what: format!("the record with key {key} is missing") };
    rows.next()?.map(StoredRecord::read).transpose()?.ok_or_else(missing)
}

pub(crate) fn write_attributes(attributes: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut writer = Writer::default();
    for (name, value) in attributes {
        writer.bytes(name.as_bytes());
        writer.bytes(value);
    }
    writer.0
}

pub(crate) fn read_attributes(bytes: &[u8]) -> Result<Vec<(String, Vec<u8>)>, LedgerError> {
    let mut reader = Reader::new(bytes);
    let mut attributes = Vec::new();
    while reader.end().is_err() {
        attributes.push((reader.text()?, reader.bytes()?.to_vec()));
    }
    Ok(attributes)
}

pub(crate) fn write_applied(applied: &[Applied]) -> Vec<u8> {
    let mut writer = Writer::default();
    for one in applied {
        if one.in_doubt {
            // No step has an empty name: a length of 0 says this of what follows.
            writer.number(0);
        }
        writer.bytes(one.step.as_str().as_bytes());
        writer.bytes(one.target_id.as_bytes());
        writer.bytes(&one.receipt);
    }
    writer.0
}

pub(crate) fn read_applied(bytes: &[u8]) -> Result<Vec<Applied>, LedgerError> {
    let mut reader = Reader::new(bytes);
    let mut applied = Vec::new();
    while reader.end().is_err() {
        let in_doubt = reader.rest.first() == Some(&0);
        if in_doubt {
            reader.number()?;
        }
        applied.push(Applied {
            step: reader.step()?,
            target_id: reader.text()?,
            receipt: reader.bytes()?.to_vec(),
            in_doubt,
        });
    }
    Ok(applied)
}

/// Keeps a payload for the record with this key; says whether there was none before.
pub(crate) fn write_payload(conn: &Connection, key: i64, payload: &[u8]) -> Result<bool, LedgerError> {
    let packed = if payload.len() > PLAIN_MAX_BYTES { pack(payload)? } else { None };
    let values = vec![
        key.into(),
        i64::from(packed.is_some()).into(),
        i64::try_from(payload.len()).unwrap_or(i64::MAX).into(),
        packed.unwrap_or_else(|| payload.to_vec()).into(),
    ];
    let new = !conn.prepare_cached("SELECT 1 FROM payload WHERE key = ?1")?.exists([key])?;
    conn.prepare_cached("INSERT OR REPLACE INTO payload VALUES (?, ?, ?, ?, ?)")?
        .execute(params_from_iter(sealed("payload", values)))?;
    Ok(new)
}

pub(crate) fn pack(payload: &[u8]) -> Result<Option<Vec<u8>>, LedgerError> {
    let packed = zstd::bulk::compress(payload, LEVEL)?;
    Ok((packed.len() < payload.len()).then_some(packed))
}

/// The payload that is kept for the record with this key.
pub(crate) fn read_payload(conn: &Connection, key: i64) -> Result<Vec<u8>, LedgerError> {
    let mut statement = conn.prepare_cached("SELECT key, packed, size, body, crc FROM payload WHERE key = ?1")?;
    let mut rows = statement.query([key])?;
    let Some(row) = rows.next()? else {
        return Err(LedgerError::Damaged { what: format!("the payload of the record with key {key} is missing") });
    };
    unpack_payload(row)
}

/// The payload in a row of table `payload`.
pub(crate) fn unpack_payload(row: &Row<'_>) -> Result<Vec<u8>, LedgerError> {
    check("payload", row, 4)?;
    let body: Vec<u8> = row.get(3)?;
    if row.get::<_, bool>(1)? { unpack(&body, row.get(2)?) } else { Ok(body) }
}

thread_local! {
    /// Used again: its tables cost more to make than a chunk to decompress.
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// The largest value that was compressed, as it was before: room is made for as much as a row says. Batches and plans
/// stay far below.
const UNPACKED_MAX_BYTES: usize = 1 << 30;

/// What was compressed to `body` and had `size` bytes before.
pub(crate) fn unpack(body: &[u8], size: i64) -> Result<Vec<u8>, LedgerError> {
    let size = usize::try_from(size).ok().filter(|size| *size <= UNPACKED_MAX_BYTES).ok_or_else(|| damaged("size"))?;
    let plain = DECOMPRESSOR.with_borrow_mut(|kept| {
        let decompressor = match kept {
            Some(decompressor) => decompressor,
            None => kept.insert(Decompressor::new()?),
        };
        decompressor.decompress(body, size).map_err(|_| damaged("compressed block"))
    })?;
    if plain.len() == size { Ok(plain) } else { Err(damaged("compressed block")) }
}

/// Removes the payload of the record with this key; says whether there was one.
pub(crate) fn drop_payload(conn: &Connection, key: i64) -> Result<bool, LedgerError> {
    Ok(conn.prepare_cached("DELETE FROM payload WHERE key = ?1")?.execute([key])? > 0)
}

/// What the full-text index is to say of a record.
#[derive(Debug)]
pub(crate) struct Text {
    /// It says something now.
    pub(crate) known: bool,
    /// The record's id and failure; `None`: nothing.
    pub(crate) now: Option<(String, Failure)>,
}

impl Text {
    /// Brings the full-text index up to date.
    pub(crate) fn write(&self, conn: &Connection, key: i64) -> Result<(), LedgerError> {
        if self.known {
            conn.prepare_cached("DELETE FROM failure_text WHERE rowid = ?1")?.execute([key])?;
        }
        if let Some((id, failure)) = &self.now {
            conn.prepare_cached(
                "INSERT INTO failure_text (rowid, id, code, message, detail) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute((key, id, &failure.code, &failure.message, &failure.detail))?;
        }
        Ok(())
    }
}

/// The next free key of table `record`.
pub(crate) fn next_key(conn: &Connection) -> Result<i64, LedgerError> {
    let last: Option<i64> =
        conn.prepare_cached("SELECT max(key) FROM record")?.query_row([], |row| row.get(0)).optional()?.flatten();
    Ok(last.unwrap_or(0) + 1)
}
