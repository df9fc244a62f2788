//! What was removed of each route because it was old enough: so that "never heard of it" and "removed" can be told apart.

use crate::error::LedgerError;
use crate::seal::{check, sealed};
use crate::work::StoredRoute;
use crossdock_model::{RouteName, Timestamp};
use rusqlite::{Connection, params_from_iter};

/// What was removed of a route, all in all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pruned {
    /// The route.
    pub route: RouteName,
    /// How many records were removed: `None` is known of them by id.
    pub records: u64,
    /// The last of them had changed then.
    pub until: Timestamp,
}

/// Notes how many records of a route were removed, and when the last of them had changed.
pub(crate) fn note(conn: &Connection, route: i64, records: i64, until: i64) -> Result<(), LedgerError> {
    let before = stored(conn, route)?.unwrap_or((0, i64::MIN));
    let values = vec![route.into(), (before.0 + records).into(), before.1.max(until).into()];
    conn.prepare_cached("INSERT OR REPLACE INTO pruned VALUES (?, ?, ?, ?)")?
        .execute(params_from_iter(sealed("pruned", values)))?;
    Ok(())
}

fn stored(conn: &Connection, route: i64) -> Result<Option<(i64, i64)>, LedgerError> {
    let mut statement = conn.prepare_cached("SELECT route, records, until, crc FROM pruned WHERE route = ?1")?;
    let mut rows = statement.query([route])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    check("pruned", row, 3)?;
    Ok(Some((row.get(1)?, row.get(2)?)))
}

/// What was removed of all routes of which something was.
pub(crate) fn list(conn: &Connection) -> Result<Vec<Pruned>, LedgerError> {
    let routes: Vec<i64> = conn
        .prepare_cached("SELECT route FROM pruned ORDER BY route")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let mut found = Vec::with_capacity(routes.len());
    for key in routes {
        let Some((records, until)) = stored(conn, key)? else { continue };
        let route = RouteName::new(StoredRoute::by_key(conn, key)?.name)
            .map_err(|error| LedgerError::Damaged { what: error.to_string() })?;
        found.push(Pruned { route, records: u64::try_from(records).unwrap_or(0), until: Timestamp(until) });
    }
    Ok(found)
}
