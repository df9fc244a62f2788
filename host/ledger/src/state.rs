//! The durable key-value pairs of plugins, by route and step.

use crate::error::LedgerError;
use crate::seal::{check, sealed};
use crate::work::{Done, Work};
use crossdock_engine::ports::StateWrite;
use crossdock_model::{RouteName, StepName};
use rusqlite::{OptionalExtension, params_from_iter};

/// Changes one pair.
pub(crate) fn write(work: &mut Work<'_>, route: i64, step: &StepName, write: StateWrite) -> Result<(), LedgerError> {
    let key: Option<i64> = work
        .conn
        .prepare_cached("SELECT key FROM plugin_state WHERE route = ?1 AND step = ?2 AND name = ?3")?
        .query_row((route, step.as_str(), &write.key), |row| row.get(0))
        .optional()?;
    let Some(value) = write.value else {
        work.conn.prepare_cached("DELETE FROM plugin_state WHERE key = ?1")?.execute([key])?;
        return Ok(());
    };
    let key = match key {
        Some(key) => key,
        None => work
            .conn
            .prepare_cached("SELECT coalesce(max(key), 0) + 1 FROM plugin_state")?
            .query_row([], |row| row.get(0))?,
    };
    let values = vec![key.into(), route.into(), step.as_str().to_owned().into(), write.key.into(), value.into()];
    work.conn
        .prepare_cached("INSERT OR REPLACE INTO plugin_state VALUES (?, ?, ?, ?, ?, ?)")?
        .execute(params_from_iter(sealed("plugin_state", values)))?;
    Ok(())
}

/// The durable state of the plugin at a step.
pub(crate) fn read(work: &Work<'_>, route: &RouteName, step: &StepName) -> Done<Vec<(String, Vec<u8>)>> {
    let Some(route) = work.known_route(route) else { return Ok(Ok(Vec::new())) };
    let mut statement = work.conn.prepare_cached(
        "SELECT key, route, step, name, value, crc FROM plugin_state WHERE route = ?1 AND step = ?2 ORDER BY name",
    )?;
    let mut rows = statement.query((route, step.as_str()))?;
    let mut state = Vec::new();
    while let Some(row) = rows.next()? {
        check("plugin_state", row, 5)?;
        state.push((row.get(3)?, row.get(4)?));
    }
    Ok(Ok(state))
}
