//! Runs, and where the records of routes stand.

use super::PAGE_MAX;
use super::summary::{Names, route_key};
use super::types::{
    Cursor, HandlerNumbers, Page, Place, RollbackNumbers, RouteStanding, RunDetail, RunSummary, other_list,
};
use crate::error::LedgerError;
use crate::opening;
use crate::run::{self, StoredRun};
use crate::seal::check;
use crate::task::{self, TaskStanding};
use crate::work::StoredRoute;
use crossdock_model::{Counts, RouteName, RunId, Status, Timestamp};
use rusqlite::Connection;

/// One page of runs.
pub(super) fn list(
    conn: &Connection,
    route: Option<&RouteName>,
    limit: u32,
    after: Option<&Cursor>,
) -> Result<Page<RunSummary>, LedgerError> {
    let limit = limit.clamp(1, PAGE_MAX) as usize;
    let from = match after.map(|cursor| cursor.0) {
        None => i64::MAX,
        Some(Place::Run(key)) => key,
        Some(other) => return Err(other_list(&Cursor(other))),
    };
    let route = match route {
        None => None,
        Some(name) => match route_key(conn, name)? {
            None => return Ok(Page { items: Vec::new(), next: None }),
            found => found,
        },
    };
    let whose = if route.is_some() { "INDEXED BY run_by_route WHERE u.route = ?3 AND" } else { "WHERE ?3 IS NULL AND" };
    let sql = format!("SELECT {} FROM run u {whose} u.key < ?1 ORDER BY u.key DESC LIMIT ?2", run::COLUMNS);
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query((from, i64::try_from(limit + 1).unwrap_or(i64::MAX), route))?;
    let (mut names, mut found) = (Names::default(), Vec::new());
    while let Some(row) = rows.next()? {
        let stored = StoredRun::read(row)?;
        found.push((Place::Run(stored.key), summary(conn, &mut names, &stored)?));
    }
    Ok(Page::of(found, limit))
}

fn summary(conn: &Connection, names: &mut Names, stored: &StoredRun) -> Result<RunSummary, LedgerError> {
    Ok(RunSummary {
        run: stored.id.clone(),
        route: names.route(conn, stored.route)?,
        route_hash: stored.hash.clone(),
        cause: stored.cause.clone(),
        status: stored.status,
        reason: stored.reason.clone(),
        began: Timestamp(stored.began),
        ended: stored.ended.map(Timestamp),
        read: stored.totals.read,
        resumed: stored.totals.resumed,
        counts: stored.totals.counts,
    })
}

/// One run.
pub(super) fn find(conn: &Connection, id: &RunId) -> Result<Option<RunDetail>, LedgerError> {
    let Some(stored) = run::find(conn, &id.0)? else { return Ok(None) };
    let Some(definition) = definition(conn, &stored.hash)? else {
        return Err(LedgerError::Damaged { what: format!("the definition with hash {} is missing", stored.hash) });
    };
    let summary = summary(conn, &mut Names::default(), &stored)?;
    let counted = |status: Status| u64::try_from(stored.totals.counts.get(status)).unwrap_or(0);
    let rollback = RollbackNumbers {
        undone: stored.totals.steps.iter().map(|(_, counts)| counts.undone).sum(),
        rolled_back: counted(Status::RolledBack),
        rolling_back: counted(Status::RollingBack),
        failed: counted(Status::RollbackFailed),
    };
    Ok(Some(RunDetail {
        summary,
        handlers: handlers(conn, stored.key)?,
        rollback,
        steps: stored.totals.steps,
        plugins: stored.plugins,
        definition,
    }))
}

const HANDLERS_SQL: &str = "SELECT t.place, t.status, count(*) FROM task t INDEXED BY task_by_run WHERE t.run = ?1
     GROUP BY t.place, t.status";

fn handlers(conn: &Connection, run: i64) -> Result<Vec<HandlerNumbers>, LedgerError> {
    let mut statement = conn.prepare_cached(HANDLERS_SQL)?;
    let mut rows = statement.query([run])?;
    let mut numbers: Vec<HandlerNumbers> = Vec::new();
    while let Some(row) = rows.next()? {
        let (name, standing, count): (String, String, i64) = row.try_into()?;
        let (place, standing) = task::place(&name).zip(TaskStanding::from_word(&standing)).ok_or_else(|| {
            LedgerError::Damaged { what: format!("a handler task of {name} is not in the form it was written in") }
        })?;
        let at = numbers.iter().position(|known| known.place == place).unwrap_or_else(|| {
            numbers.push(HandlerNumbers { place, done: 0, waiting: 0, given_up: 0 });
            numbers.len() - 1
        });
        let number = match standing {
            TaskStanding::Done => &mut numbers[at].done,
            TaskStanding::Waiting | TaskStanding::Held => &mut numbers[at].waiting,
            TaskStanding::GivenUp => &mut numbers[at].given_up,
        };
        *number = u64::try_from(count).unwrap_or(0);
    }
    Ok(numbers)
}

/// A route's definition by its hash.
pub(super) fn definition(conn: &Connection, hash: &str) -> Result<Option<String>, LedgerError> {
    let mut statement = conn.prepare_cached("SELECT hash, body, crc FROM definition WHERE hash = ?1")?;
    let mut rows = statement.query([hash])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    check("definition", row, 2)?;
    Ok(Some(row.get(1)?))
}

/// All routes by name.
pub(super) fn routes(conn: &Connection) -> Result<Vec<RouteStanding>, LedgerError> {
    let mut statement =
        conn.prepare_cached("SELECT key, name, checkpoint, checkpoint_at, crc FROM route ORDER BY name")?;
    let mut rows = statement.query([])?;
    let mut routes = Vec::new();
    while let Some(row) = rows.next()? {
        let stored = StoredRoute::read(row)?;
        let (pending, next_due) = opening::waiting(conn, stored.key)?;
        routes.push(RouteStanding {
            counts: standing(conn, stored.key)?,
            route: RouteName::new(stored.name).map_err(|error| LedgerError::Damaged { what: error.to_string() })?,
            checkpoint_at: stored.checkpoint_at.map(Timestamp),
            pending,
            next_due: next_due.map(Timestamp),
        });
    }
    Ok(routes)
}

fn standing(conn: &Connection, route: i64) -> Result<Counts, LedgerError> {
    let mut statement = conn.prepare_cached("SELECT status, n FROM standing WHERE route = ?1")?;
    let mut rows = statement.query([route])?;
    let mut counts = Counts::default();
    while let Some(row) = rows.next()? {
        if let Some(status) = Status::from_word(&row.get::<_, String>(0)?) {
            counts.add(status, row.get(1)?);
        }
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reader::records::tests::{check_plan, empty_ledger};

    #[test]
    fn handlers_of_a_run_are_counted_by_an_index() {
        let (_dir, conn) = empty_ledger();
        check_plan(&conn, HANDLERS_SQL, vec![1.into()]);
    }
}
