//! The writer's hands: one open transaction, what the writer knows by heart, and the writes that must go together.

use crate::error::LedgerError;
use crate::packed::PackedChunk;
use crate::record::{self, Place, StoredRecord, Text};
use crate::run::{self, StoredRun};
use crate::seal::sealed;
use crossdock_engine::ports::{Chunk, Payload, RecordRow};
use crossdock_model::{Event, Failure, RouteName, RunId, RunStatus, Status, StepName};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params_from_iter};
use std::collections::{BTreeMap, HashMap};

/// An answer that is given once the transaction is on disk, whether it is yes or no.
pub(crate) type Answer<T> = Result<T, LedgerError>;

/// How a write ended: with an answer to give once it is on disk, or in a way that spoils the transaction.
pub(crate) type Done<T> = Result<Answer<T>, LedgerError>;

/// What the writer knows by heart. Wrong after a transaction that failed: then it is loaded again, or that one was the
/// last.
pub(crate) struct Memory {
    pub(crate) runs: HashMap<RunId, RunInMemory>,
    routes: HashMap<RouteName, RouteInMemory>,
    /// The number of the last commit.
    written: i64,
    /// Records that got a status, less those that lost it, by route, since the last transaction.
    standing: BTreeMap<(i64, &'static str), i64>,
    /// Rows made, less rows removed, by table, since the last transaction.
    tally: BTreeMap<&'static str, i64>,
    /// What the full-text index is to say, by the records' keys, since the last transaction.
    texts: BTreeMap<i64, Text>,
}

/// A run that is running.
pub(crate) struct RunInMemory {
    pub(crate) run: StoredRun,
    /// Its totals are newer than its row.
    pub(crate) changed: bool,
}

#[derive(Clone, Copy)]
struct RouteInMemory {
    key: i64,
    /// How many open rows it has.
    open: i64,
    /// How many handler tasks wait.
    tasks: i64,
}

impl Memory {
    /// What there is to know of a ledger.
    pub(crate) fn load(conn: &Connection) -> Result<Self, LedgerError> {
        let mut routes = HashMap::new();
        let mut statement = conn.prepare("SELECT key, name FROM route")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let key: i64 = row.get(0)?;
            let name = RouteName::new(row.get::<_, String>(1)?)
                .map_err(|error| LedgerError::Damaged { what: error.to_string() })?;
            let open =
                conn.query_row("SELECT count(*) FROM record WHERE route = ?1 AND open = 1", [key], |row| row.get(0))?;
            let sql = "SELECT count(*) FROM task WHERE route = ?1 AND due IS NOT NULL";
            let tasks = conn.query_row(sql, [key], |row| row.get(0))?;
            routes.insert(name, RouteInMemory { key, open, tasks });
        }
        let written: Option<i64> =
            conn.query_row("SELECT n FROM tally WHERE name = 'commits'", [], |row| row.get(0)).optional()?;
        let runs = run::by_status(conn, RunStatus::Running)?
            .into_iter()
            .map(|run| (run.id.clone(), RunInMemory { run, changed: false }))
            .collect();
        Ok(Self {
            runs,
            routes,
            written: written.unwrap_or(0),
            standing: BTreeMap::new(),
            tally: BTreeMap::new(),
            texts: BTreeMap::new(),
        })
    }
}

/// Who and what a write belongs to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin {
    pub(crate) route: i64,
    pub(crate) run: i64,
    pub(crate) batch: i64,
    pub(crate) at: i64,
    /// The number of this commit.
    pub(crate) written: i64,
}

/// One open transaction.
pub(crate) struct Work<'a> {
    pub(crate) conn: &'a Connection,
    pub(crate) memory: &'a mut Memory,
}

impl Work<'_> {
    /// The number of a commit that begins.
    pub(crate) fn next_commit(&mut self) -> i64 {
        self.memory.written += 1;
        self.count("commits", 1);
        self.memory.written
    }

    /// Notes that rows of a table were made or removed.
    pub(crate) fn count(&mut self, table: &'static str, delta: i64) {
        *self.memory.tally.entry(table).or_default() += delta;
    }

    /// Notes that records of a route stand there, or no more.
    pub(crate) fn stand(&mut self, route: i64, status: Status, delta: i64) {
        *self.memory.standing.entry((route, status.as_str())).or_default() += delta;
    }

    /// The key of a route, which is made if it is new.
    pub(crate) fn route(&mut self, name: &RouteName) -> Result<i64, LedgerError> {
        if let Some(known) = self.memory.routes.get(name) {
            return Ok(known.key);
        }
        let key = self.conn.query_row("SELECT coalesce(max(key), 0) + 1 FROM route", [], |row| row.get(0))?;
        let route = StoredRoute { key, name: name.as_str().to_owned(), checkpoint: None, checkpoint_at: None };
        route.insert(self.conn)?;
        self.count("route", 1);
        self.memory.routes.insert(name.clone(), RouteInMemory { key, open: 0, tasks: 0 });
        Ok(key)
    }

    /// The key of a route, if it is known.
    pub(crate) fn known_route(&self, name: &RouteName) -> Option<i64> {
        self.memory.routes.get(name).map(|known| known.key)
    }

    /// Whether any record of the route is open.
    pub(crate) fn has_open(&self, name: &RouteName) -> bool {
        self.memory.routes.get(name).is_some_and(|known| known.open > 0)
    }

    fn count_open(&mut self, route: i64, delta: i64) {
        if let Some(known) = self.memory.routes.values_mut().find(|known| known.key == route) {
            known.open += delta;
        }
    }

    /// Notes that handler tasks of a route wait, or wait no longer.
    pub(crate) fn count_tasks(&mut self, route: i64, delta: i64) {
        if let Some(known) = self.memory.routes.values_mut().find(|known| known.key == route) {
            known.tasks += delta;
        }
    }

    /// How many handler tasks of a route wait.
    pub(crate) fn waiting_tasks(&self, name: &RouteName) -> u64 {
        self.memory.routes.get(name).map_or(0, |known| u64::try_from(known.tasks).unwrap_or(0))
    }

    /// The key of a run, running or not.
    pub(crate) fn run_key(&self, id: &RunId) -> Result<i64, LedgerError> {
        if let Some(known) = self.memory.runs.get(id) {
            return Ok(known.run.key);
        }
        let found = run::find(self.conn, &id.0)?;
        Ok(found.ok_or_else(|| LedgerError::Damaged { what: format!("run {id} is missing") })?.key)
    }

    /// The keys of a running run and its route.
    pub(crate) fn running(&self, route: &RouteName, run: &RunId) -> Result<(i64, i64), LedgerError> {
        let unknown = || LedgerError::UnknownRun { run: run.0.clone() };
        let known = self.memory.runs.get(run).ok_or_else(unknown)?;
        match self.known_route(route) {
            Some(key) if key == known.run.route => Ok((key, known.run.key)),
            _ => Err(unknown()),
        }
    }

    /// Appends an event.
    pub(crate) fn event(&mut self, route: i64, event: &Event) -> Result<(), LedgerError> {
        crate::trace::append_event(self.conn, Some(route), event)?;
        self.count("event", 1);
        Ok(())
    }

    /// Writes a record's row; what it says of its payload is done.
    pub(crate) fn put_row(&mut self, origin: Origin, row: RecordRow, open: bool) -> Result<(), LedgerError> {
        let before = record::find(self.conn, origin.route, &row.id.0)?;
        let place = match (&row.payload, &before) {
            (Payload::Kept(_), _) => Place::Kept,
            (Payload::AtSource, _) => Place::AtSource,
            (Payload::Unchanged, Some(before)) => before.place,
            (Payload::Gone, _) | (Payload::Unchanged, None) => Place::Gone,
        };
        let payload = if let Payload::Kept(payload) = row.payload { Some(payload) } else { None };
        let after = StoredRecord {
            key: 0,
            route: origin.route,
            id: row.id.0,
            parent: row.parent.map(|parent| parent.0).or_else(|| before.as_ref().and_then(|b| b.parent.clone())),
            status: row.status,
            step: row.step,
            generation: row.generation,
            attempts: row.attempts,
            spent: row.spent,
            since: row.since.map(|since| since.0),
            place,
            attributes: row.attributes,
            failure: row.failure,
            due: row.due.map(|due| due.0),
            applied: row.applied,
            open,
            run: origin.run,
            batch: origin.batch,
            at: origin.at,
            version: 0,
            written: origin.written,
            order_key: row.order_key.or_else(|| before.as_ref().and_then(|b| b.order_key.clone())),
        };
        self.put(before, after, payload.as_deref())
    }

    /// Replaces a record's row, or makes it. Key and version are given here. A payload that is not `Kept` any more
    /// is removed; `payload` replaces the one that is.
    pub(crate) fn put(
        &mut self,
        before: Option<StoredRecord>,
        mut after: StoredRecord,
        payload: Option<&[u8]>,
    ) -> Result<(), LedgerError> {
        after.key = before.as_ref().map_or_else(|| record::next_key(self.conn), |before| Ok(before.key))?;
        after.version = before.as_ref().map_or(1, |before| before.version + 1);
        match &before {
            Some(before) => {
                after.update(self.conn)?;
                self.stand(before.route, before.status, -1);
            }
            None => {
                after.insert(self.conn)?;
                self.count("record", 1);
            }
        }
        self.stand(after.route, after.status, 1);
        let was_open = before.as_ref().is_some_and(|before| before.open);
        self.count_open(after.route, i64::from(after.open) - i64::from(was_open));
        let old_failure = before.as_ref().and_then(|before| before.failure.as_ref());
        self.note_text(after.key, &after.id, old_failure, after.failure.as_ref());
        if let Some(payload) = payload {
            let new = record::write_payload(self.conn, after.key, payload)?;
            self.count("payload", i64::from(new));
        } else if after.place != Place::Kept && before.is_some_and(|before| before.place == Place::Kept) {
            let gone = record::drop_payload(self.conn, after.key)?;
            self.count("payload", -i64::from(gone));
        }
        Ok(())
    }

    /// Notes what the full-text index is to say of a record. It is written at the end of the transaction, all at once.
    fn note_text(&mut self, key: i64, id: &str, before: Option<&Failure>, after: Option<&Failure>) {
        if before != after {
            let text = self.memory.texts.entry(key).or_insert(Text { known: before.is_some(), now: None });
            text.now = after.map(|failure| (id.to_owned(), failure.clone()));
        }
    }

    /// Notes that the full-text index is to say nothing of a record any more.
    pub(crate) fn drop_text(&mut self, key: i64) {
        self.memory.texts.entry(key).or_insert(Text { known: true, now: None }).now = None;
    }

    /// Stores the records of a chunk. Those that have an open row keep it, with the status that the chunk gives;
    /// `look_for_rows` says whether any may have one.
    pub(crate) fn put_chunk(
        &mut self,
        origin: Origin,
        key: i64,
        (chunk, packed): (&Chunk, &PackedChunk),
        look_for_rows: bool,
        open: bool,
    ) -> Result<(), LedgerError> {
        self.stand(origin.route, Status::Ok, packed.ok);
        self.stand(origin.route, Status::Dropped, packed.dropped);
        if look_for_rows {
            self.put_rows_of(origin, chunk, open)?;
        }
        let meta = vec![
            key.into(),
            origin.run.into(),
            origin.route.into(),
            origin.batch.into(),
            origin.at.into(),
            packed.ok.into(),
            packed.dropped.into(),
            packed.filter.clone().into(),
        ];
        self.conn
            .prepare_cached("INSERT INTO chunk VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)")?
            .execute(params_from_iter(sealed("chunk", meta)))?;
        let data = vec![key.into(), packed.size.into(), packed.body.clone().into()];
        self.conn
            .prepare_cached("INSERT INTO chunk_data VALUES (?, ?, ?, ?)")?
            .execute(params_from_iter(sealed("chunk_data", data)))?;
        self.count("chunk", 1);
        self.count("chunk_data", 1);
        Ok(())
    }

    /// Those records of a chunk that have an open row stand where it says, and not in the chunk as well.
    fn put_rows_of(&mut self, origin: Origin, chunk: &Chunk, open: bool) -> Result<(), LedgerError> {
        for (index, &status) in chunk.statuses.iter().enumerate() {
            let found = record::find(self.conn, origin.route, &chunk.ids.text(index))?;
            let Some(before) = found.filter(|before| before.open) else { continue };
            let mut after =
                StoredRecord { status, place: Place::Gone, failure: None, due: None, open, ..before.clone() };
            if let Some(step) = self.step_of(origin.run, chunk.steps.get(index).copied()) {
                after.step = step;
            }
            (after.run, after.batch, after.at, after.written) = (origin.run, origin.batch, origin.at, origin.written);
            self.put(Some(before), after, None)?;
            self.stand(origin.route, status, -1);
        }
        Ok(())
    }

    fn step_of(&self, run: i64, index: Option<u16>) -> Option<StepName> {
        let known = self.memory.runs.values().find(|known| known.run.key == run)?;
        known.run.step(index?).cloned()
    }

    /// Writes what was only noted in memory: totals of runs, records by status, rows by table, and what the full-text
    /// index says. That last, because it would write out what it holds back before many other statements.
    pub(crate) fn flush(&mut self) -> Result<(), LedgerError> {
        for running in self.memory.runs.values_mut().filter(|running| running.changed) {
            if running.run.status == RunStatus::Running {
                running.run.write_totals(self.conn)?;
            } else {
                running.run.write(self.conn)?;
            }
            running.changed = false;
        }
        self.memory.runs.retain(|_, running| running.run.status == RunStatus::Running);
        let mut statement = self.conn.prepare_cached(
            "INSERT INTO standing VALUES (?1, ?2, ?3) ON CONFLICT (route, status) DO UPDATE SET n = n + excluded.n",
        )?;
        for ((route, status), delta) in std::mem::take(&mut self.memory.standing) {
            if delta != 0 {
                statement.execute((route, status, delta))?;
            }
        }
        let mut statement = self
            .conn
            .prepare_cached("INSERT INTO tally VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET n = n + excluded.n")?;
        for (table, delta) in std::mem::take(&mut self.memory.tally) {
            if delta != 0 {
                statement.execute((table, delta))?;
            }
        }
        for (key, text) in std::mem::take(&mut self.memory.texts) {
            text.write(self.conn, key)?;
        }
        Ok(())
    }

    /// The id of the run with this key.
    pub(crate) fn run_id(&self, key: i64) -> Result<RunId, LedgerError> {
        if let Some(known) = self.memory.runs.values().find(|known| known.run.key == key) {
            return Ok(known.run.id.clone());
        }
        Ok(run::by_key(self.conn, key)?.id)
    }
}

/// A row of table `route`.
pub(crate) struct StoredRoute {
    pub(crate) key: i64,
    pub(crate) name: String,
    pub(crate) checkpoint: Option<Vec<u8>>,
    pub(crate) checkpoint_at: Option<i64>,
}

impl StoredRoute {
    fn values(&self) -> Vec<Value> {
        let (name, checkpoint) = (self.name.clone(), self.checkpoint.clone());
        sealed("route", vec![self.key.into(), name.into(), checkpoint.into(), self.checkpoint_at.into()])
    }

    /// Makes the row.
    fn insert(&self, conn: &Connection) -> Result<(), LedgerError> {
        conn.prepare_cached("INSERT INTO route VALUES (?, ?, ?, ?, ?)")?.execute(params_from_iter(self.values()))?;
        Ok(())
    }

    /// Changes the checkpoint in the row with this key and name.
    pub(crate) fn write_checkpoint(&self, conn: &Connection) -> Result<(), LedgerError> {
        // The name is checked and not set: the index over it stays as it is.
        conn.prepare_cached(
            "UPDATE route SET checkpoint = ?3, checkpoint_at = ?4, crc = ?5 WHERE key = ?1 AND name = ?2",
        )?
        .execute(params_from_iter(self.values()))?;
        Ok(())
    }

    /// A row as selected by `key, name, checkpoint, checkpoint_at, crc`.
    pub(crate) fn read(row: &rusqlite::Row<'_>) -> Result<Self, LedgerError> {
        crate::seal::check("route", row, 4)?;
        Ok(Self { key: row.get(0)?, name: row.get(1)?, checkpoint: row.get(2)?, checkpoint_at: row.get(3)? })
    }

    /// The row with this key.
    pub(crate) fn by_key(conn: &Connection, key: i64) -> Result<Self, LedgerError> {
        let mut statement =
            conn.prepare_cached("SELECT key, name, checkpoint, checkpoint_at, crc FROM route WHERE key = ?1")?;
        let mut rows = statement.query([key])?;
        rows.next()?
            .map(Self::read)
            .transpose()?
            .ok_or_else(|| LedgerError::Damaged { what: format!("the route with key {key} is missing") })
    }
}
