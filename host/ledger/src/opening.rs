//! What is known of a route when a run of it begins.

use crate::error::LedgerError;
use crate::record::{self, StoredRecord};
use crate::recovery::PROCESS_ENDED;
use crate::run::{self, StoredRun};
use crate::work::Work;
use crossdock_engine::codes;
use crossdock_model::{RecordId, RunStatus, Status};
use rusqlite::Connection;

/// Deaths are not counted beyond this number.
const DEATHS_COUNTED_MAX: u32 = 100;

/// Records that wait for their time, as the index of these rows has it.
pub(crate) const WAITING: &str = "due IS NOT NULL AND open = 0 AND status <> 'rolling-back'";
/// Records that others with their order key wait behind, as the index of these rows has it.
pub(crate) const ORDERED: &str = "r.order_key IS NOT NULL AND r.open = 0 \
     AND r.status IN ('new', 'processing', 'pending', 'indeterminate', 'rolling-back', 'rollback-failed')";

fn waiting_sql() -> String {
    format!("SELECT count(*), min(due) FROM record WHERE route = ?1 AND {WAITING}")
}

/// How many records wait for their time, and the earliest.
pub(crate) fn waiting(conn: &Connection, route: i64) -> Result<(u64, Option<i64>), LedgerError> {
    let (pending, next) = conn
        .prepare_cached(&waiting_sql())?
        .query_row([route], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Option<i64>>(1)?)))?;
    Ok((u64::try_from(pending).unwrap_or(0), next))
}

const UNSETTLED_SQL: &str = "SELECT id FROM record WHERE route = ?1 AND status = ?2 AND open = 0";

/// The records that are not settled and not open.
pub(crate) fn unsettled(conn: &Connection, route: i64) -> Result<Vec<RecordId>, LedgerError> {
    let mut found = Vec::new();
    let mut statement = conn.prepare_cached(UNSETTLED_SQL)?;
    for status in Status::ALL.iter().filter(|status| !status.is_settled()) {
        let ids = statement.query_map((route, status.as_str()), |row| Ok(RecordId(row.get(0)?)))?;
        for id in ids {
            found.push(id?);
        }
    }
    Ok(found)
}

const ROLLING_SQL: &str = "SELECT count(*) FROM record WHERE route = ?1 AND status = 'rolling-back'";

/// How many records are being undone.
pub(crate) fn rolling_back(conn: &Connection, route: i64) -> Result<u64, LedgerError> {
    let found: i64 = conn.prepare_cached(ROLLING_SQL)?.query_row([route], |row| row.get(0))?;
    Ok(u64::try_from(found).unwrap_or(0))
}

fn blocking_sql() -> String {
    format!(
        "SELECT r.order_key, r.id, r.key, r.status, r.due, r.code FROM record r INDEXED BY record_ordered
         WHERE r.route = ?1 AND {ORDERED} ORDER BY r.order_key, r.key"
    )
}

/// The order keys of records that are not settled and not open, those that came first before the others.
pub(crate) fn blocking(conn: &Connection, route: i64) -> Result<Vec<(Vec<u8>, RecordId)>, LedgerError> {
    let mut statement = conn.prepare_cached(&blocking_sql())?;
    let found = statement.query_map([route], |row| Ok((row.get(0)?, RecordId(row.get(1)?))))?;
    Ok(found.collect::<Result<_, _>>()?)
}

fn deaths_sql() -> String {
    format!(
        "SELECT {} FROM run u WHERE u.route = ?1 AND u.key < ?2 ORDER BY u.key DESC LIMIT {DEATHS_COUNTED_MAX}",
        run::COLUMNS
    )
}

/// How many runs of a route, one after the other up to the one with this key, ended with their process and without
/// having moved the checkpoint. Those that are running do not count.
pub(crate) fn deaths(
    conn: &Connection,
    route: i64,
    before: i64,
    checkpoint_at: Option<i64>,
) -> Result<u32, LedgerError> {
    let mut statement = conn.prepare_cached(&deaths_sql())?;
    let mut rows = statement.query([route, before])?;
    let mut deaths = 0;
    while let Some(row) = rows.next()? {
        let run = StoredRun::read(row)?;
        if run.status == RunStatus::Running {
            continue;
        }
        let moved = run.moved.unwrap_or_else(|| checkpoint_at.is_some_and(|at| at >= run.began));
        if moved || run.reason.is_none_or(|reason| reason.code != PROCESS_ENDED) {
            break;
        }
        deaths += 1;
    }
    Ok(deaths)
}

/// Gives records that wait for their order key, and before which no other record with it is left that does anything
/// but wait, `now` as their time. They come in order: by time, then by when their row was made.
pub(crate) fn release_waiting(work: &mut Work<'_>, route: i64, now: i64) -> Result<(), LedgerError> {
    let free = {
        let mut statement = work.conn.prepare_cached(&blocking_sql())?;
        let mut rows = statement.query([route])?;
        let (mut free, mut key, mut blocked) = (Vec::new(), None, false);
        while let Some(row) = rows.next()? {
            let this: Vec<u8> = row.get(0)?;
            if key.as_ref() != Some(&this) {
                (key, blocked) = (Some(this), false);
            }
            let due: Option<i64> = row.get(4)?;
            let status = row.get_ref(3)?.as_str().ok();
            // One that waits for its turn may be in doubt from before.
            let waits = (status == Some(Status::Pending.as_str()) || status == Some(Status::Indeterminate.as_str()))
                && row.get_ref(5)?.as_str_or_null().ok().flatten() == Some(codes::WAITS_FOR_ORDER.name);
            if waits && due.is_none() && !blocked {
                free.push(row.get::<_, i64>(2)?);
            }
            blocked = blocked || !waits;
        }
        free
    };
    if free.is_empty() {
        return Ok(());
    }
    let written = work.next_commit();
    for key in free {
        let before = record::by_key(work.conn, key)?;
        let after = StoredRecord { due: Some(now), written, ..before.clone() };
        work.put(Some(before), after, None)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reader::records::tests::{check_plan, empty_ledger};

    #[test]
    fn what_a_run_begins_with_uses_an_index() {
        let (_dir, conn) = empty_ledger();
        check_plan(&conn, &waiting_sql(), vec![1.into()]);
        check_plan(&conn, ROLLING_SQL, vec![1.into()]);
        check_plan(&conn, &blocking_sql(), vec![1.into()]);
        check_plan(&conn, &deaths_sql(), vec![1.into(), 1.into()]);
    }
}
