//! Everything about one record.

use super::log::read_logged;
use super::summary::{
    CHUNK_COLUMNS, ChunkMeta, Names, UnderWay, chunk_applied, chunk_summary, flight_summary, read_chunk_with,
    route_key, row_summary,
};
use super::types::{
    AttemptDetail, ChunkEntry, InFlight, LoggedEvent, RecordDetail, RecordFound, RecordSummary, TaskDetail,
};
use crate::error::LedgerError;
use crate::inflight::{Inflight, Kind};
use crate::record;
use crate::task::{self, StoredTask};
use crate::trace;
use crossdock_engine::ports::RecordRow;
use crossdock_model::{RecordId, RouteName, Status, Timestamp};
use rusqlite::Connection;
use std::collections::BTreeSet;

/// The most attempts, and the most events, that are shown of one record.
const HISTORY_MAX: u32 = 1000;

/// One record, by its id and perhaps its route.
pub(super) fn find(
    conn: &Connection,
    route: Option<&RouteName>,
    id: &RecordId,
    alive: bool,
) -> Result<RecordFound, LedgerError> {
    let asked = match route {
        None => None,
        Some(name) => match route_key(conn, name)? {
            None => return Ok(RecordFound::None),
            found => found,
        },
    };
    let mut names = Names::default();
    let chunks = chunks_with(conn, &mut names, asked, id)?;
    let under_way = UnderWay::load(conn)?;
    let mut routes: BTreeSet<i64> = chunks.iter().map(|(meta, ..)| meta.route).collect();
    let mut statement = conn.prepare_cached("SELECT route FROM record WHERE id = ?1")?;
    for found in statement.query_map([&id.0], |row| row.get::<_, i64>(0))? {
        routes.insert(found?);
    }
    let busy = under_way.rows.iter().filter(|row| row.ids.iter().any(|one| one == id.0.as_bytes()));
    routes.extend(busy.map(|row| row.route));
    let routes: Vec<i64> = routes.into_iter().filter(|&found| asked.is_none_or(|asked| asked == found)).collect();
    match routes.as_slice() {
        [] => Ok(RecordFound::None),
        &[route] => {
            let flight = under_way.step_of(route, &id.0);
            Ok(RecordFound::One(Box::new(detail(conn, &mut names, route, id, chunks, flight, alive)?)))
        }
        several => {
            let mut found = several.iter().map(|&key| names.route(conn, key)).collect::<Result<Vec<_>, _>>()?;
            found.sort();
            Ok(RecordFound::Several(found))
        }
    }
}

type InChunk = (ChunkMeta, RecordSummary, ChunkEntry);

/// The chunks that hold the record, newest first. The filters are small and read one after the other; only chunks
/// that may hold the id are unpacked.
fn chunks_with(
    conn: &Connection,
    names: &mut Names,
    route: Option<i64>,
    id: &RecordId,
) -> Result<Vec<InChunk>, LedgerError> {
    let mut statement = conn.prepare_cached(&format!("SELECT {CHUNK_COLUMNS} FROM chunk c ORDER BY c.key DESC"))?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let of_route = |route| row.get::<_, i64>(2).is_ok_and(|found| found == route);
        if !ChunkMeta::may_hold(row, id.0.as_bytes())? || !route.is_none_or(of_route) {
            continue;
        }
        let meta = ChunkMeta::read(row)?;
        if let Some((chunk, index)) = read_chunk_with(conn, meta.key, id.0.as_bytes())? {
            let summary = chunk_summary(conn, names, &meta, &chunk, index)?;
            let entry = ChunkEntry {
                run: summary.run.clone(),
                batch: summary.batch,
                at: summary.at,
                status: summary.status,
                step: summary.step.clone(),
                applied: chunk_applied(&chunk, index),
                payload: chunk.payloads.as_ref().and_then(|column| column.get(index)).map(<[u8]>::to_vec),
            };
            found.push((meta, summary, entry));
        }
    }
    Ok(found)
}

fn detail(
    conn: &Connection,
    names: &mut Names,
    route: i64,
    id: &RecordId,
    chunks: Vec<InChunk>,
    flight: Option<&Inflight>,
    alive: bool,
) -> Result<RecordDetail, LedgerError> {
    let status = if alive { Status::Processing } else { Status::Indeterminate };
    let stored = record::find(conn, route, &id.0)?;
    let mut chunks: Vec<InChunk> = chunks.into_iter().filter(|(meta, ..)| meta.route == route).collect();
    let position = |row: &Inflight| row.ids.iter().position(|one| one == id.0.as_bytes()).unwrap_or(0);
    let mut summary = match (&stored, chunks.first_mut(), flight) {
        (Some(stored), ..) => row_summary(conn, names, stored)?,
        (None, Some((_, summary, _)), _) => summary.clone(),
        (None, None, Some(row)) => flight_summary(conn, names, row, position(row), status)?,
        (None, None, None) => {
            return Err(LedgerError::Damaged { what: format!("record {id} was found and is gone") });
        }
    };
    if flight.is_some() && alive {
        summary.status = Status::Processing;
    }
    let in_flight = flight.map(|row| in_flight(conn, names, row, position(row), alive)).transpose()?;
    let row = match stored {
        None => None,
        Some(stored) => {
            let run = names.run(conn, stored.run)?.id.clone();
            Some(stored.into_row(conn, run)?)
        }
    };
    let undone = |row: &&RecordRow| matches!(row.status, Status::RollingBack | Status::RollbackFailed);
    Ok(RecordDetail {
        to_undo: row.as_ref().filter(undone).map(|row| row.applied.iter().rev().cloned().collect()).unwrap_or_default(),
        tasks: tasks(conn, names, route, id)?,
        summary,
        row,
        attempts: attempts(conn, names, route, id)?,
        chunks: chunks.into_iter().map(|(.., entry)| entry).collect(),
        events: events(conn, names, route, id)?,
        in_flight,
    })
}

fn in_flight(
    conn: &Connection,
    names: &mut Names,
    row: &Inflight,
    position: usize,
    alive: bool,
) -> Result<InFlight, LedgerError> {
    Ok(InFlight {
        run: names.run(conn, row.run)?.id.clone(),
        batch: u64::try_from(row.batch).unwrap_or(0),
        step: row.step.clone(),
        at: Timestamp(row.at),
        attempt: match &row.kind {
            Kind::Intent { attempts, .. } => attempts.get(position).copied().unwrap_or(0),
            Kind::Progress { .. } => 0,
        },
        alive,
    })
}

fn attempts(
    conn: &Connection,
    names: &mut Names,
    route: i64,
    id: &RecordId,
) -> Result<Vec<AttemptDetail>, LedgerError> {
    let sql = format!(
        "SELECT {} FROM attempt a WHERE a.id = ?1 AND a.route = ?2 ORDER BY a.key LIMIT {HISTORY_MAX}",
        trace::ATTEMPT_COLUMNS
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query((&id.0, route))?;
    let mut attempts = Vec::new();
    while let Some(row) = rows.next()? {
        let (run, attempt) = trace::read_attempt(row)?;
        attempts.push(AttemptDetail { run: names.run(conn, run)?.id.clone(), attempt });
    }
    Ok(attempts)
}

fn tasks(conn: &Connection, names: &mut Names, route: i64, id: &RecordId) -> Result<Vec<TaskDetail>, LedgerError> {
    let sql = format!(
        "SELECT {} FROM task t INDEXED BY task_by_record WHERE t.record = ?1 AND t.route = ?2 LIMIT {HISTORY_MAX}",
        task::COLUMNS
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let mut found =
        statement.query_and_then((&id.0, route), StoredTask::read)?.collect::<Result<Vec<_>, LedgerError>>()?;
    found.sort_by_key(|task| task.key);
    let detail = |task: StoredTask| {
        Ok(TaskDetail {
            run: names.run(conn, task.run)?.id.clone(),
            place: task.place,
            generation: task.generation,
            standing: task.standing,
            attempts: task.attempts,
            failure: task.failure,
            due: task.due.map(Timestamp),
            at: Timestamp(task.at),
        })
    };
    found.into_iter().map(detail).collect()
}

fn events(conn: &Connection, names: &mut Names, route: i64, id: &RecordId) -> Result<Vec<LoggedEvent>, LedgerError> {
    let sql = format!(
        "SELECT {} FROM event e WHERE e.record = ?1 AND e.route = ?2 ORDER BY e.key LIMIT {HISTORY_MAX}",
        trace::EVENT_COLUMNS
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query((&id.0, route))?;
    let mut events = Vec::new();
    while let Some(row) = rows.next()? {
        events.push(read_logged(conn, names, row)?);
    }
    Ok(events)
}
