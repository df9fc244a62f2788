//! What happened: attempts and events. Both are only ever appended to.

use crate::codec::{from_json, to_json};
use crate::error::LedgerError;
use crate::seal::{check, check_later, sealed, sealed_later};
use crossdock_engine::ports::{AttemptKind, AttemptRow};
use crossdock_model::{Event, Outcome, RecordId, StepName, Timestamp};
use rusqlite::types::Value;
use rusqlite::{Connection, Row, params_from_iter};
use std::sync::LazyLock;

pub(crate) const ATTEMPT_COLUMNS: &str = "a.key, a.route, a.id, a.step, a.generation, a.attempt, a.run, a.began, \
     a.ended, a.outcome, a.failure, a.target_id, a.receipt, a.exchanges, a.kind, a.crc";
const ATTEMPT_COUNT: usize = 15;
/// The last of them came with format 2.
const ATTEMPT_LATER: usize = 1;

static INSERT_ATTEMPT: LazyLock<String> = LazyLock::new(|| {
    let marks = vec!["?"; ATTEMPT_COUNT + 1].join(", ");
    format!("INSERT INTO attempt ({}) VALUES ({marks})", ATTEMPT_COLUMNS.replace("a.", ""))
});

fn damaged() -> LedgerError {
    LedgerError::Damaged { what: "an attempt is not in the form it was written in".to_owned() }
}

/// Appends an attempt of a record.
pub(crate) fn append_attempt(conn: &Connection, route: i64, run: i64, attempt: &AttemptRow) -> Result<(), LedgerError> {
    let key: i64 =
        conn.prepare_cached("SELECT coalesce(max(key), 0) + 1 FROM attempt")?.query_row([], |row| row.get(0))?;
    let values = vec![
        key.into(),
        route.into(),
        attempt.id.0.clone().into(),
        attempt.step.as_str().to_owned().into(),
        i64::from(attempt.generation).into(),
        i64::from(attempt.attempt).into(),
        run.into(),
        attempt.began.0.into(),
        attempt.ended.0.into(),
        attempt.outcome.as_str().to_owned().into(),
        attempt.failure.as_ref().map(to_json).transpose()?.into(),
        attempt.target_id.clone().into(),
        attempt.receipt.clone().into(),
        to_json(&attempt.exchanges)?.into(),
        // What nearly all attempts are for takes no room.
        (attempt.kind != AttemptKind::Pass).then(|| attempt.kind.as_str().to_owned()).into(),
    ];
    conn.prepare_cached(&INSERT_ATTEMPT)?.execute(params_from_iter(sealed_later("attempt", values, ATTEMPT_LATER)))?;
    Ok(())
}

/// An attempt as selected by [`ATTEMPT_COLUMNS`], with the key of its run.
pub(crate) fn read_attempt(row: &Row<'_>) -> Result<(i64, AttemptRow), LedgerError> {
    check_later("attempt", row, ATTEMPT_COUNT, ATTEMPT_LATER)?;
    let kind: Option<String> = row.get(14)?;
    let outcome: String = row.get(9)?;
    let failure: Option<String> = row.get(10)?;
    let small =
        |index: usize| -> Result<u32, LedgerError> { u32::try_from(row.get::<_, i64>(index)?).map_err(|_| damaged()) };
    let attempt = AttemptRow {
        id: RecordId(row.get(2)?),
        step: StepName::try_from(row.get::<_, String>(3)?).map_err(|_| damaged())?,
        kind: match kind {
            None => AttemptKind::Pass,
            Some(word) => AttemptKind::from_word(&word).ok_or_else(damaged)?,
        },
        generation: small(4)?,
        attempt: small(5)?,
        began: Timestamp(row.get(7)?),
        ended: Timestamp(row.get(8)?),
        outcome: (0..=u8::MAX)
            .map_while(Outcome::from_code)
            .find(|known| known.as_str() == outcome)
            .ok_or_else(damaged)?,
        failure: failure.as_deref().map(from_json).transpose()?,
        target_id: row.get(11)?,
        receipt: row.get(12)?,
        exchanges: from_json(&row.get::<_, String>(13)?)?,
    };
    Ok((row.get(6)?, attempt))
}

pub(crate) const EVENT_COLUMNS: &str = "e.key, e.at, e.route, e.run, e.record, e.body, e.crc";

/// Appends an event to the log.
pub(crate) fn append_event(conn: &Connection, route: Option<i64>, event: &Event) -> Result<(), LedgerError> {
    let key: i64 =
        conn.prepare_cached("SELECT coalesce(max(key), 0) + 1 FROM event")?.query_row([], |row| row.get(0))?;
    let values: Vec<Value> = vec![
        key.into(),
        event.at.0.into(),
        route.into(),
        event.run.as_ref().map(|run| run.0.clone()).into(),
        event.record.as_ref().map(|record| record.0.clone()).into(),
        to_json(event)?.into(),
    ];
    conn.prepare_cached("INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?)")?
        .execute(params_from_iter(sealed("event", values)))?;
    Ok(())
}

/// An event as selected by [`EVENT_COLUMNS`].
pub(crate) fn read_event(row: &Row<'_>) -> Result<Event, LedgerError> {
    check("event", row, 6)?;
    from_json(&row.get::<_, String>(5)?)
}
