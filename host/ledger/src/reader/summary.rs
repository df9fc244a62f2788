//! What the lists and the account of one record both show: names, records under way, records in short.

use super::types::RecordSummary;
use crate::chunk;
use crate::error::LedgerError;
use crate::inflight::{self, Inflight, Kind};
use crate::record::{Place, StoredRecord, unpack};
use crate::run::{self, StoredRun};
use crate::seal::check;
use crate::work::StoredRoute;
use crossdock_engine::ports::{Applied, Chunk};
use crossdock_model::{RecordId, RouteName, Status, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row};
use std::collections::HashMap;

/// Names by key, read once a question.
#[derive(Default)]
pub(super) struct Names {
    routes: HashMap<i64, RouteName>,
    runs: HashMap<i64, StoredRun>,
}

impl Names {
    pub(super) fn route(&mut self, conn: &Connection, key: i64) -> Result<RouteName, LedgerError> {
        if let Some(name) = self.routes.get(&key) {
            return Ok(name.clone());
        }
        let name = RouteName::new(StoredRoute::by_key(conn, key)?.name)
            .map_err(|error| LedgerError::Damaged { what: error.to_string() })?;
        self.routes.insert(key, name.clone());
        Ok(name)
    }

    pub(super) fn run(&mut self, conn: &Connection, key: i64) -> Result<&StoredRun, LedgerError> {
        use std::collections::hash_map::Entry;
        match self.runs.entry(key) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(place) => Ok(place.insert(run::by_key(conn, key)?)),
        }
    }
}

/// The key of a route by its name.
pub(super) fn route_key(conn: &Connection, name: &RouteName) -> Result<Option<i64>, LedgerError> {
    Ok(conn
        .prepare_cached("SELECT key FROM route WHERE name = ?1")?
        .query_row([name.as_str()], |row| row.get(0))
        .optional()?)
}

/// What is under way, and where each record was last asked for.
#[derive(Default)]
pub(super) struct UnderWay {
    pub(super) rows: Vec<Inflight>,
    pub(super) last: HashMap<(i64, String), usize>,
}

impl UnderWay {
    pub(super) fn load(conn: &Connection) -> Result<Self, LedgerError> {
        let rows = inflight::all(conn)?;
        let mut last = HashMap::new();
        for (position, row) in rows.iter().enumerate() {
            last.extend((0..row.ids.len()).map(|i| ((row.route, row.ids.text(i).into_owned()), position)));
        }
        Ok(Self { rows, last })
    }

    pub(super) fn len(&self) -> usize {
        self.last.len()
    }

    pub(super) fn step_of(&self, route: i64, id: &str) -> Option<&Inflight> {
        self.last.get(&(route, id.to_owned())).and_then(|&position| self.rows.get(position))
    }
}

/// A row of table `chunk`.
pub(crate) struct ChunkMeta {
    pub(crate) key: i64,
    pub(crate) run: i64,
    pub(crate) route: i64,
    pub(crate) batch: i64,
    pub(crate) at: i64,
    pub(crate) ok: i64,
    pub(crate) dropped: i64,
    pub(crate) filter: Vec<u8>,
}

pub(crate) const CHUNK_COLUMNS: &str = "c.key, c.run, c.route, c.batch, c.at, c.ok, c.dropped, c.filter, c.crc";

impl ChunkMeta {
    /// Whether the chunk of a row as selected by [`CHUNK_COLUMNS`] may hold this id. The checksum is looked at first: a
    /// bit that flips in the filter must not hide a record.
    pub(super) fn may_hold(row: &Row<'_>, id: &[u8]) -> Result<bool, LedgerError> {
        check("chunk", row, 8)?;
        Ok(chunk::may_hold(row.get_ref(7)?.as_blob().map_err(rusqlite::Error::from)?, id))
    }

    /// A row as selected by [`CHUNK_COLUMNS`].
    pub(crate) fn read(row: &Row<'_>) -> Result<Self, LedgerError> {
        check("chunk", row, 8)?;
        Ok(Self {
            key: row.get(0)?,
            run: row.get(1)?,
            route: row.get(2)?,
            batch: row.get(3)?,
            at: row.get(4)?,
            ok: row.get(5)?,
            dropped: row.get(6)?,
            filter: row.get(7)?,
        })
    }
}

/// The records of a chunk.
pub(crate) fn read_chunk(conn: &Connection, key: i64) -> Result<Chunk, LedgerError> {
    chunk::decode(&read_plain(conn, key)?)
}

/// The records of a chunk, if this one is among them, and where. Its filter lets through one id in a hundred that is
/// not: most of the chunks that are looked into are left again after their ids.
pub(crate) fn read_chunk_with(conn: &Connection, key: i64, id: &[u8]) -> Result<Option<(Chunk, usize)>, LedgerError> {
    let plain = read_plain(conn, key)?;
    let position = chunk::position(&plain, id)?;
    position.map(|position| Ok((chunk::decode(&plain)?, position))).transpose()
}

/// A chunk as it was before it was compressed.
fn read_plain(conn: &Connection, key: i64) -> Result<Vec<u8>, LedgerError> {
    let mut statement = conn.prepare_cached("SELECT key, size, body, crc FROM chunk_data WHERE key = ?1")?;
    let mut rows = statement.query([key])?;
    let Some(row) = rows.next()? else {
        return Err(LedgerError::Damaged { what: format!("the records of the chunk with key {key} are missing") });
    };
    check("chunk_data", row, 3)?;
    unpack(row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?, row.get(1)?)
}

/// What destinations gave back for one record of a chunk.
pub(super) fn chunk_applied(chunk: &Chunk, index: usize) -> Vec<Applied> {
    let value = |column: &Option<crossdock_model::Column>| {
        column.as_ref().and_then(|column| column.get(index)).unwrap_or_default().to_vec()
    };
    chunk
        .columns
        .iter()
        .map(|column| Applied {
            step: column.step.clone(),
            target_id: String::from_utf8_lossy(&value(&column.target_ids)).into_owned(),
            receipt: value(&column.receipts),
            in_doubt: false,
        })
        .filter(|applied| !applied.target_id.is_empty() || !applied.receipt.is_empty())
        .collect()
}

fn target_ids(applied: &[Applied]) -> Vec<(crossdock_model::StepName, String)> {
    applied
        .iter()
        .filter(|one| !one.target_id.is_empty())
        .map(|one| (one.step.clone(), one.target_id.clone()))
        .collect()
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// A record with a row, in short.
pub(super) fn row_summary(
    conn: &Connection,
    names: &mut Names,
    stored: &StoredRecord,
) -> Result<RecordSummary, LedgerError> {
    Ok(RecordSummary {
        route: names.route(conn, stored.route)?,
        id: RecordId(stored.id.clone()),
        parent: stored.parent.clone().map(RecordId),
        status: stored.status,
        step: Some(stored.step.clone()),
        code: stored.failure.as_ref().map(|failure| failure.code.clone()),
        message: stored.failure.as_ref().map(|failure| failure.message.clone()),
        fingerprint: stored.fingerprint(),
        attempts: stored.attempts,
        generation: stored.generation,
        due: stored.due.map(Timestamp),
        run: names.run(conn, stored.run)?.id.clone(),
        batch: unsigned(stored.batch),
        at: Timestamp(stored.at),
        version: unsigned(stored.version),
        target_ids: target_ids(&stored.applied),
        open: stored.open,
        kept: stored.place == Place::Kept,
    })
}

/// A record of a chunk, in short.
pub(super) fn chunk_summary(
    conn: &Connection,
    names: &mut Names,
    meta: &ChunkMeta,
    chunk: &Chunk,
    index: usize,
) -> Result<RecordSummary, LedgerError> {
    let route = names.route(conn, meta.route)?;
    let run = names.run(conn, meta.run)?;
    Ok(RecordSummary {
        route,
        id: RecordId(chunk.ids.text(index).into_owned()),
        parent: None,
        status: chunk.statuses[index],
        step: chunk.steps.get(index).and_then(|&step| run.step(step)).cloned(),
        code: None,
        message: None,
        fingerprint: None,
        attempts: 1,
        generation: 0,
        due: None,
        run: run.id.clone(),
        batch: unsigned(meta.batch),
        at: Timestamp(meta.at),
        version: 0,
        target_ids: target_ids(&chunk_applied(chunk, index)),
        open: false,
        kept: false,
    })
}

/// A record that is under way, in short.
pub(super) fn flight_summary(
    conn: &Connection,
    names: &mut Names,
    row: &Inflight,
    index: usize,
    status: Status,
) -> Result<RecordSummary, LedgerError> {
    let number = |numbers: &[u32]| numbers.get(index).copied().unwrap_or(0);
    let (attempts, generation) = match &row.kind {
        Kind::Intent { attempts, generations, .. } => (number(attempts), number(generations)),
        Kind::Progress { .. } => (0, 0),
    };
    Ok(RecordSummary {
        route: names.route(conn, row.route)?,
        id: RecordId(row.ids.text(index).into_owned()),
        parent: None,
        status,
        step: Some(row.step.clone()),
        code: None,
        message: None,
        fingerprint: None,
        attempts,
        generation,
        due: None,
        run: names.run(conn, row.run)?.id.clone(),
        batch: unsigned(row.batch),
        at: Timestamp(row.at),
        version: 0,
        target_ids: Vec::new(),
        open: row.open,
        kept: false,
    })
}
