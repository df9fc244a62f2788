//! What the engine asks of records while a run is under way.

use crate::error::LedgerError;
use crate::record::{self, StoredRecord};
use crate::run;
use crate::work::{Done, Work};
use crossdock_engine::ports::{DueRows, Payload, RecordRow};
use crossdock_model::{RecordId, RouteName, RunId, Status, Timestamp};
use rusqlite::OptionalExtension;

/// How many records of each status that a source may give again a run is told of; it keeps them in memory.
const GIVEN_AGAIN_MAX: u32 = 100_000;
/// Statuses of settled records of which a run has to know if their source gives them again.
const GIVEN_AGAIN: [Status; 5] =
    [Status::Failed, Status::Rejected, Status::Skipped, Status::Cancelled, Status::RolledBack];

/// The open records of a route, oldest first.
pub(crate) fn open(work: &Work<'_>, route: i64) -> Result<Vec<StoredRecord>, LedgerError> {
    let sql = format!("SELECT {} FROM record r WHERE r.route = ?1 AND r.open = 1 ORDER BY r.key", record::COLUMNS);
    work.conn.prepare_cached(&sql)?.query_and_then([route], StoredRecord::read)?.collect()
}

/// Records that are settled in another way than ok and not open, the latest ones of each status.
pub(crate) fn given_again(work: &Work<'_>, route: i64) -> Result<Vec<StoredRecord>, LedgerError> {
    let sql = format!(
        "SELECT {} FROM record r WHERE r.route = ?1 AND r.status = ?2 AND r.open = 0
         ORDER BY r.at DESC LIMIT {GIVEN_AGAIN_MAX}",
        record::COLUMNS
    );
    let mut statement = work.conn.prepare_cached(&sql)?;
    let mut found = Vec::new();
    for status in GIVEN_AGAIN {
        for stored in statement.query_and_then((route, status.as_str()), StoredRecord::read)? {
            found.push(stored?);
        }
    }
    Ok(found)
}

/// Open records for which something was or may have been applied, without their payloads.
pub(crate) fn open_applied(work: &Work<'_>, route: &RouteName) -> Done<Vec<RecordRow>> {
    let Some(route) = work.known_route(route) else { return Ok(Ok(Vec::new())) };
    let wanted = |stored: &StoredRecord| !stored.applied.is_empty() || stored.status == Status::Indeterminate;
    let rows = open(work, route)?.into_iter().filter(wanted).map(|stored| {
        let run = work.run_id(stored.run)?;
        Ok(stored.with_payload(Payload::Unchanged, run))
    });
    Ok(Ok(rows.collect::<Result<_, LedgerError>>()?))
}

/// Records as the engine knows them.
pub(crate) fn rows(work: &Work<'_>, stored: Vec<StoredRecord>) -> Result<Vec<RecordRow>, LedgerError> {
    stored
        .into_iter()
        .map(|record| {
            let run = work.run_id(record.run)?;
            record.into_row(work.conn, run)
        })
        .collect()
}

/// Those that are due, how many wait, and the time of the earliest behind those that are given.
fn due_sql(of_run: bool) -> [String; 3] {
    let whose = if of_run { "r.run = ?1" } else { "r.route = ?1" };
    let waiting = format!("{whose} AND r.due IS NOT NULL AND r.open = 0 AND r.status <> 'rolling-back'");
    [
        format!(
            "SELECT {} FROM record r WHERE {waiting} AND r.due <= ?2 ORDER BY r.due, r.key LIMIT ?3",
            record::COLUMNS
        ),
        format!("SELECT count(*) FROM record r WHERE {waiting}"),
        format!("SELECT r.due FROM record r WHERE {waiting} ORDER BY r.due, r.key LIMIT 1 OFFSET ?2"),
    ]
}

/// Records whose time has come, and how many wait beside them.
pub(crate) fn due(
    work: &Work<'_>,
    route: &RouteName,
    of_run: Option<&RunId>,
    now: Timestamp,
    limit: u32,
) -> Done<DueRows> {
    let Some(route) = work.known_route(route) else { return Ok(Ok(DueRows::default())) };
    let run = match of_run {
        None => None,
        Some(run) => match run::find(work.conn, &run.0)? {
            Some(run) if run.route == route => Some(run.key),
            _ => return Ok(Ok(DueRows::default())),
        },
    };
    let (of_run, key) = run.map_or((false, route), |run| (true, run));
    let [given, all, next] = due_sql(of_run);
    let stored = work
        .conn
        .prepare_cached(&given)?
        .query_and_then((key, now.0, limit), StoredRecord::read)?
        .collect::<Result<Vec<_>, _>>()?;
    let all: i64 = work.conn.prepare_cached(&all)?.query_row([key], |row| row.get(0))?;
    // The earliest of the others comes right after those that are given.
    let next_due: Option<i64> = work
        .conn
        .prepare_cached(&next)?
        .query_row((key, i64::try_from(stored.len()).unwrap_or(i64::MAX)), |row| row.get(0))
        .optional()?;
    let pending = u64::try_from(all).unwrap_or(0).saturating_sub(stored.len() as u64);
    Ok(Ok(DueRows { rows: rows(work, stored)?, pending, next_due: next_due.map(Timestamp) }))
}

/// Those that are due, and the number and the earliest time of the others.
fn rolling_back_sql() -> [String; 2] {
    let all = "FROM record r WHERE r.route = ?1 AND r.status = 'rolling-back'";
    [
        format!("SELECT {} {all} AND r.due <= ?2 ORDER BY r.key DESC LIMIT ?3", record::COLUMNS),
        format!("SELECT count(r.due), min(r.due) {all} AND (r.key < ?2 OR r.due > ?3)"),
    ]
}

/// Records that are being undone, those whose row was made last first, and how many wait beside them.
pub(crate) fn rolling_back(work: &Work<'_>, route: &RouteName, now: Timestamp, limit: u32) -> Done<DueRows> {
    let Some(route) = work.known_route(route) else { return Ok(Ok(DueRows::default())) };
    let [given, others] = rolling_back_sql();
    let stored = work
        .conn
        .prepare_cached(&given)?
        .query_and_then((route, now.0, limit), StoredRecord::read)?
        .collect::<Result<Vec<_>, _>>()?;
    // Those that are given are the newest of those that are due: the others are older, or their time has not come.
    let last = stored.last().map_or(i64::MAX, |record| record.key);
    let (others, next_due): (i64, Option<i64>) =
        work.conn.prepare_cached(&others)?.query_row((route, last, now.0), |row| Ok((row.get(0)?, row.get(1)?)))?;
    let pending = u64::try_from(others).unwrap_or(0);
    Ok(Ok(DueRows { rows: rows(work, stored)?, pending, next_due: next_due.map(Timestamp) }))
}

/// These records, as far as they have a row.
pub(crate) fn load(work: &Work<'_>, route: &RouteName, ids: &[RecordId]) -> Done<Vec<RecordRow>> {
    let Some(route) = work.known_route(route) else { return Ok(Ok(Vec::new())) };
    let mut stored = Vec::new();
    for id in ids {
        stored.extend(record::find(work.conn, route, &id.0)?);
    }
    Ok(Ok(rows(work, stored)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reader::records::tests::{check_plan, empty_ledger};

    #[test]
    fn what_the_engine_asks_uses_an_index() {
        let (_dir, conn) = empty_ledger();
        let three = || vec![1.into(), 1.into(), 1.into()];
        for of_run in [false, true] {
            for (values, sql) in [3, 1, 2].into_iter().zip(due_sql(of_run)) {
                check_plan(&conn, &sql, three().split_off(3 - values));
            }
        }
        for sql in rolling_back_sql() {
            check_plan(&conn, &sql, three());
        }
    }
}
