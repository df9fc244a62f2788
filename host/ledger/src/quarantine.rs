//! Plugins that committed too many faults and are not used any more in a route, until an operator lets them.

use crate::error::LedgerError;
use crate::seal::{check, sealed};
use crate::work::{Done, Work};
use crossdock_model::{Event, EventKind, RouteName, StepName, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, params_from_iter};

pub(crate) const COLUMNS: &str = "q.key, q.route, q.step, q.digest, q.reason, q.at, q.crc";

/// A plugin that is not used any more at a step of a route. Another plugin at that step, with another digest, is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    /// The step.
    pub step: StepName,
    /// The plugin's SHA-256 in hexadecimal.
    pub digest: String,
    /// Why, in words.
    pub reason: String,
    /// Since when.
    pub at: Timestamp,
}

/// A row as selected by [`COLUMNS`].
pub(crate) fn read(row: &Row<'_>) -> Result<Quarantined, LedgerError> {
    check("quarantine", row, 6)?;
    let step = StepName::new(row.get::<_, String>(2)?)
        .map_err(|error| LedgerError::Damaged { what: format!("in table quarantine: {error}") })?;
    Ok(Quarantined { step, digest: row.get(3)?, reason: row.get(4)?, at: Timestamp(row.get(5)?) })
}

fn key_of(conn: &Connection, route: i64, step: &StepName) -> Result<Option<i64>, LedgerError> {
    Ok(conn
        .prepare_cached("SELECT key FROM quarantine WHERE route = ?1 AND step = ?2")?
        .query_row((route, step.as_str()), |row| row.get(0))
        .optional()?)
}

/// Notes that a plugin is not to be used any more; what was noted for its step before is replaced.
pub(crate) fn set(work: &mut Work<'_>, route: i64, found: Quarantined) -> Result<(), LedgerError> {
    let known = key_of(work.conn, route, &found.step)?;
    let key: i64 = match known {
        Some(key) => key,
        None => work.conn.query_row("SELECT coalesce(max(key), 0) + 1 FROM quarantine", [], |row| row.get(0))?,
    };
    let values = vec![
        key.into(),
        route.into(),
        found.step.as_str().to_owned().into(),
        found.digest.into(),
        found.reason.into(),
        found.at.0.into(),
    ];
    work.conn
        .prepare_cached("INSERT OR REPLACE INTO quarantine VALUES (?, ?, ?, ?, ?, ?, ?)")?
        .execute(params_from_iter(sealed("quarantine", values)))?;
    work.count("quarantine", i64::from(known.is_none()));
    Ok(())
}

/// Lets the plugin at a step be used again; says whether it was not.
pub(crate) fn release(
    work: &mut Work<'_>,
    name: &RouteName,
    step: &StepName,
    reason: &str,
    at: Timestamp,
) -> Done<bool> {
    let Some(route) = work.known_route(name) else { return Ok(Ok(false)) };
    let Some(key) = key_of(work.conn, route, step)? else { return Ok(Ok(false)) };
    work.conn.prepare_cached("DELETE FROM quarantine WHERE key = ?1")?.execute([key])?;
    work.count("quarantine", -1);
    let event = Event {
        at,
        kind: EventKind::PluginReleased,
        run: None,
        step: Some(step.clone()),
        record: None,
        message: format!("the plugin at step {step} may be used again: {reason}"),
        data: serde_json::json!({ "reason": reason }),
    };
    work.event(route, &event)?;
    Ok(Ok(true))
}

/// What is not used any more in a route, by step.
pub(crate) fn list(conn: &Connection, route: i64) -> Result<Vec<Quarantined>, LedgerError> {
    let sql = format!("SELECT {COLUMNS} FROM quarantine q WHERE q.route = ?1 ORDER BY q.step");
    conn.prepare_cached(&sql)?.query_and_then([route], read)?.collect()
}
