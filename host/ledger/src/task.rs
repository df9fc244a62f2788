//! Handler tasks: which handler is to be called for which record or run, and what became of it. One that is finished
//! stays as a small row without its payload: it is what makes sure that a handler is called once.

use crate::codec::{Reader, Writer, from_json, to_json};
use crate::error::LedgerError;
use crate::record::{PLAIN_MAX_BYTES, pack, read_attributes, unpack, write_attributes};
use crate::run;
use crate::seal::{check, sealed};
use crate::work::{Done, Work};
use crossdock_engine::ports::{DueTask, DueTasks, HandlerTask, TaskCommit, TaskResult, TaskStatus};
use crossdock_model::{Failure, HandlerKind, HandlerPlace, RecordId, RouteName, RunId, StepName, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, params_from_iter};
use std::collections::HashSet;

pub(crate) const COLUMNS: &str = "t.key, t.route, t.record, t.place, t.generation, t.run, t.status, t.due, \
     t.attempts, t.since, t.failure, t.at, t.packed, t.size, t.body, t.crc";
const COLUMN_COUNT: usize = 15;

/// Where a handler task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TaskStanding {
    /// It is to be called when its time has come.
    Waiting,
    /// It is to be called once nothing of its run can be undone any more.
    Held,
    /// It was called and went well.
    Done,
    /// No more calls are made.
    GivenUp,
}

impl TaskStanding {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Held => "held",
            Self::Done => "done",
            Self::GivenUp => "given-up",
        }
    }

    pub(crate) fn from_word(word: &str) -> Option<Self> {
        [Self::Waiting, Self::Held, Self::Done, Self::GivenUp].into_iter().find(|standing| standing.as_str() == word)
    }
}

/// A row of table `task`.
#[derive(Debug, Clone)]
pub(crate) struct StoredTask {
    pub(crate) key: i64,
    pub(crate) route: i64,
    pub(crate) record: String,
    pub(crate) place: HandlerPlace,
    pub(crate) generation: u32,
    pub(crate) run: i64,
    pub(crate) standing: TaskStanding,
    pub(crate) due: Option<i64>,
    pub(crate) attempts: u32,
    pub(crate) since: Option<i64>,
    pub(crate) failure: Option<Failure>,
    pub(crate) at: i64,
    content: Option<Packed>,
}

/// Attributes and payload as stored.
#[derive(Debug, Clone)]
struct Packed {
    packed: bool,
    size: i64,
    body: Vec<u8>,
}

fn damaged() -> LedgerError {
    LedgerError::Damaged { what: "a handler task is not in the form it was written in".to_owned() }
}

/// The place with this [name](HandlerPlace::name).
pub(crate) fn place(name: &str) -> Option<HandlerPlace> {
    let (step, kind) = name.split_once('.')?;
    let kind = HandlerKind::from_word(kind)?;
    let of_run = matches!(kind, HandlerKind::OnRunOk | HandlerKind::OnRunFailed);
    Some(HandlerPlace { step: if of_run { None } else { Some(StepName::new(step).ok()?) }, kind })
}

impl Packed {
    fn new(task: &HandlerTask) -> Result<Self, LedgerError> {
        let mut plain = Writer::default();
        plain.bytes(&write_attributes(&task.attributes));
        plain.bytes(&task.payload);
        let smaller = if plain.0.len() > PLAIN_MAX_BYTES { pack(&plain.0)? } else { None };
        let size = i64::try_from(plain.0.len()).unwrap_or(i64::MAX);
        Ok(Self { packed: smaller.is_some(), size, body: smaller.unwrap_or(plain.0) })
    }
}

impl StoredTask {
    /// A row as selected by [`COLUMNS`].
    pub(crate) fn read(row: &Row<'_>) -> Result<Self, LedgerError> {
        check("task", row, COLUMN_COUNT)?;
        let small = |index: usize| -> Result<u32, LedgerError> {
            u32::try_from(row.get::<_, i64>(index)?).map_err(|_| damaged())
        };
        let failure: Option<String> = row.get(10)?;
        let body: Option<Vec<u8>> = row.get(14)?;
        let content = match body {
            None => None,
            Some(body) => Some(Packed { packed: row.get(12)?, size: row.get(13)?, body }),
        };
        Ok(Self {
            key: row.get(0)?,
            route: row.get(1)?,
            record: row.get(2)?,
            place: place(&row.get::<_, String>(3)?).ok_or_else(damaged)?,
            generation: small(4)?,
            run: row.get(5)?,
            standing: TaskStanding::from_word(&row.get::<_, String>(6)?).ok_or_else(damaged)?,
            due: row.get(7)?,
            attempts: small(8)?,
            since: row.get(9)?,
            failure: failure.as_deref().map(from_json).transpose()?,
            at: row.get(11)?,
            content,
        })
    }

    /// Writes the row; an existing one stays if it is for the same handler of the same record, and is replaced if it
    /// has this key and `replace` is given. Says whether it was written.
    fn write(self, conn: &Connection, replace: bool) -> Result<bool, LedgerError> {
        let (packed, size, body) = match self.content {
            None => (None, None, None),
            Some(content) => (Some(i64::from(content.packed)), Some(content.size), Some(content.body)),
        };
        let values = vec![
            self.key.into(),
            self.route.into(),
            self.record.into(),
            self.place.name().as_str().to_owned().into(),
            i64::from(self.generation).into(),
            self.run.into(),
            self.standing.as_str().to_owned().into(),
            self.due.into(),
            i64::from(self.attempts).into(),
            self.since.into(),
            self.failure.as_ref().map(to_json).transpose()?.into(),
            self.at.into(),
            packed.into(),
            size.into(),
            body.into(),
        ];
        let verb = if replace { "INSERT OR REPLACE" } else { "INSERT OR IGNORE" };
        let sql = format!("{verb} INTO task VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
        Ok(conn.prepare_cached(&sql)?.execute(params_from_iter(sealed("task", values)))? > 0)
    }

    /// Whether the row is of one piece: one that waits has its content and its time, one that is held its content, another
    /// neither.
    pub(crate) fn contradiction(&self) -> Option<&'static str> {
        let waits = self.standing == TaskStanding::Waiting;
        if waits != self.due.is_some() {
            return Some("its time does not fit where it stands");
        }
        if (waits || self.standing == TaskStanding::Held) != self.content.is_some() {
            return Some("its content does not fit where it stands");
        }
        None
    }

    /// The task as the engine knows it.
    pub(crate) fn into_due(self, run: RunId) -> Result<DueTask, LedgerError> {
        let content = self.content.ok_or_else(damaged)?;
        let plain = if content.packed { unpack(&content.body, content.size)? } else { content.body };
        let mut reader = Reader::new(&plain);
        let attributes = read_attributes(reader.bytes()?)?;
        let payload = reader.bytes()?.to_vec();
        reader.end()?;
        let task = HandlerTask {
            place: self.place,
            record: RecordId(self.record),
            run,
            generation: self.generation,
            payload,
            attributes,
            due: Timestamp(self.due.ok_or_else(damaged)?),
            held: false,
        };
        Ok(DueTask { key: self.key, task, attempts: self.attempts, since: self.since.map(Timestamp) })
    }
}

/// Refuses tasks of runs that are not known.
pub(crate) fn refuse_unknown_runs(conn: &Connection, tasks: &[HandlerTask], run: &RunId) -> Result<(), LedgerError> {
    for task in tasks.iter().filter(|task| task.run != *run) {
        if run::find(conn, &task.run.0)?.is_none() {
            return Err(LedgerError::BadCommit { why: format!("a handler task is of the unknown run {}", task.run) });
        }
    }
    Ok(())
}

/// Keeps tasks; those that are there already are left as they are.
pub(crate) fn add(work: &mut Work<'_>, route: i64, tasks: Vec<HandlerTask>, at: i64) -> Result<(), LedgerError> {
    for task in tasks {
        let held = task.held;
        let key =
            work.conn.prepare_cached("SELECT coalesce(max(key), 0) + 1 FROM task")?.query_row([], |row| row.get(0))?;
        let content = Some(Packed::new(&task)?);
        let stored = StoredTask {
            key,
            route,
            run: work.run_key(&task.run)?,
            record: task.record.0,
            place: task.place,
            generation: task.generation,
            standing: if held { TaskStanding::Held } else { TaskStanding::Waiting },
            due: (!held).then_some(task.due.0),
            attempts: 0,
            since: None,
            failure: None,
            at,
            content,
        };
        if stored.write(work.conn, false)? {
            work.count("task", 1);
            work.count_tasks(route, i64::from(!held));
        }
    }
    Ok(())
}

const HELD_SQL: &str = "SELECT t.key FROM task t WHERE t.route = ?1 AND t.status = 'held' ORDER BY t.key";

/// Nothing of their run can be undone any more: those that were held are to be called.
pub(crate) fn release_held(work: &mut Work<'_>, route: i64, at: i64) -> Result<(), LedgerError> {
    let keys: Vec<i64> =
        work.conn.prepare_cached(HELD_SQL)?.query_map([route], |row| row.get(0))?.collect::<Result<_, _>>()?;
    for key in keys {
        let mut task = by_key(work.conn, key)?.ok_or_else(damaged)?;
        (task.standing, task.due, task.at) = (TaskStanding::Waiting, Some(at), at);
        task.write(work.conn, true)?;
        work.count_tasks(route, 1);
    }
    Ok(())
}

/// What happened to a record is undone: handlers that were held for it are not called.
pub(crate) fn drop_held(work: &mut Work<'_>, route: i64, record: &str, generation: u32) -> Result<(), LedgerError> {
    let sql = "DELETE FROM task WHERE record = ?1 AND route = ?2 AND generation = ?3 AND status = 'held'";
    let gone = work.conn.prepare_cached(sql)?.execute((record, route, generation))?;
    work.count("task", -i64::try_from(gone).unwrap_or(0));
    Ok(())
}

pub(crate) const DUE_SQL: &str =
    "WHERE t.route = ?1 AND t.due IS NOT NULL AND t.due <= ?2 ORDER BY t.due, t.key LIMIT ?3";
const NEXT_SQL: &str =
    "SELECT t.due FROM task t WHERE t.route = ?1 AND t.due IS NOT NULL ORDER BY t.due, t.key LIMIT 1 OFFSET ?2";

/// Tasks whose time has come, and how many wait beside them.
pub(crate) fn due(work: &Work<'_>, name: &RouteName, now: Timestamp, limit: u32) -> Done<DueTasks> {
    let Some(route) = work.known_route(name) else { return Ok(Ok(DueTasks::default())) };
    let sql = format!("SELECT {COLUMNS} FROM task t {DUE_SQL}");
    let stored = work
        .conn
        .prepare_cached(&sql)?
        .query_and_then((route, now.0, limit), StoredTask::read)?
        .collect::<Result<Vec<_>, _>>()?;
    let given = stored.len() as u64;
    let next_due: Option<i64> = work
        .conn
        .prepare_cached(NEXT_SQL)?
        .query_row((route, i64::try_from(given).unwrap_or(i64::MAX)), |row| row.get(0))
        .optional()?;
    let tasks = stored
        .into_iter()
        .map(|task| {
            let run = work.run_id(task.run)?;
            task.into_due(run)
        })
        .collect::<Result<Vec<_>, _>>()?;
    let pending = work.waiting_tasks(name).saturating_sub(given);
    Ok(Ok(DueTasks { tasks, pending, next_due: next_due.map(Timestamp) }))
}

fn by_key(conn: &Connection, key: i64) -> Result<Option<StoredTask>, LedgerError> {
    let mut statement = conn.prepare_cached(&format!("SELECT {COLUMNS} FROM task t WHERE t.key = ?1"))?;
    let mut rows = statement.query([key])?;
    rows.next()?.map(StoredTask::read).transpose()
}

/// Makes durable what handlers did.
pub(crate) fn commit(work: &mut Work<'_>, commit: TaskCommit) -> Done<()> {
    let refused = |why: String| Ok(Err(LedgerError::BadCommit { why }));
    let Some(route) = work.known_route(&commit.route) else {
        return refused(format!("handlers of route {}, which never ran", commit.route));
    };
    let mut seen = HashSet::new();
    let mut tasks = Vec::with_capacity(commit.results.len());
    for result in commit.results {
        let found = by_key(work.conn, result.key)?.filter(|task| task.route == route);
        match found {
            Some(task) if task.standing == TaskStanding::Waiting && seen.insert(result.key) => {
                tasks.push((task, result));
            }
            Some(_) => return refused(format!("the handler task {} is finished already", result.key)),
            None => return refused(format!("route {} has no handler task {}", commit.route, result.key)),
        }
    }
    for (task, result) in tasks {
        settle(work, task, result, commit.at.0)?;
    }
    for (step, write) in commit.state {
        crate::state::write(work, route, &step, write)?;
    }
    for event in &commit.events {
        work.event(route, event)?;
    }
    Ok(Ok(()))
}

fn settle(work: &mut Work<'_>, mut task: StoredTask, result: TaskResult, at: i64) -> Result<(), LedgerError> {
    task.attempts = result.attempts;
    task.since = result.since.map(|since| since.0);
    task.failure = result.failure;
    task.at = at;
    match result.status {
        TaskStatus::Retry(due) => task.due = Some(due.0),
        TaskStatus::Done | TaskStatus::GivenUp => {
            let done = result.status == TaskStatus::Done;
            task.standing = if done { TaskStanding::Done } else { TaskStanding::GivenUp };
            task.due = None;
            task.content = None;
            work.count_tasks(task.route, -1);
        }
    }
    task.write(work.conn, true)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::reader::records::tests::{check_plan, empty_ledger};

    #[test]
    fn what_is_due_uses_an_index() {
        let (_dir, conn) = empty_ledger();
        check_plan(&conn, &format!("SELECT {COLUMNS} FROM task t {DUE_SQL}"), vec![1.into(), 1.into(), 1.into()]);
        check_plan(&conn, NEXT_SQL, vec![1.into(), 1.into()]);
        check_plan(&conn, HELD_SQL, vec![1.into()]);
    }

    #[test]
    fn places_come_back_from_their_names() {
        for &kind in HandlerKind::ALL {
            let of_run = matches!(kind, HandlerKind::OnRunOk | HandlerKind::OnRunFailed);
            let here = HandlerPlace { step: (!of_run).then(|| StepName::new("run").unwrap()), kind };
            assert_eq!(place(here.name().as_str()), Some(here));
        }
        assert_eq!(["", "ship", "ship.on_monday", "Ship.on_failure"].map(place), [None, None, None, None]);
    }
}
