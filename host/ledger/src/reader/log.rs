//! The event log.

use super::PAGE_MAX;
use super::summary::{Names, route_key};
use super::types::{Cursor, EventFilter, EventOrder, LoggedEvent, Page, Place, other_list};
use crate::error::LedgerError;
use crate::trace;
use rusqlite::types::Value;
use rusqlite::{Connection, Row, params_from_iter};

/// One page of events.
pub(super) fn list(
    conn: &Connection,
    filter: &EventFilter,
    order: EventOrder,
    limit: u32,
    after: Option<&Cursor>,
) -> Result<Page<LoggedEvent>, LedgerError> {
    let limit = limit.clamp(1, PAGE_MAX) as usize;
    let from = match after.map(|cursor| cursor.0) {
        Some(Place::Event(key)) => key,
        Some(other) => return Err(other_list(&Cursor(other))),
        None => match order {
            EventOrder::NewestFirst => i64::MAX,
            EventOrder::OldestFirst => 0,
        },
    };
    let route = match &filter.route {
        None => None,
        Some(name) => match route_key(conn, name)? {
            None => return Ok(Page { items: Vec::new(), next: None }),
            found => found,
        },
    };
    let (sql, mut values) = sql(filter, route, order);
    values.extend([from.into(), Value::from(i64::try_from(limit + 1).unwrap_or(i64::MAX))]);
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let (mut names, mut found) = (Names::default(), Vec::new());
    while let Some(row) = rows.next()? {
        found.push((Place::Event(row.get(0)?), read_logged(conn, &mut names, row)?));
    }
    Ok(Page::of(found, limit))
}

fn sql(filter: &EventFilter, route: Option<i64>, order: EventOrder) -> (String, Vec<Value>) {
    let mut conditions = Vec::new();
    let mut values: Vec<Value> = Vec::new();
    let (mut index, mut narrowest) = ("", 0);
    let given = [
        (1, "event_by_route", "e.route = ?", route.map(Value::from)),
        (2, "event_by_run", "e.run = ?", filter.run.as_ref().map(|run| run.0.clone().into())),
        (3, "event_by_record", "e.record = ?", filter.record.as_ref().map(|record| record.0.clone().into())),
    ];
    for (rank, name, condition, value) in given {
        if let Some(value) = value {
            conditions.push(condition);
            values.push(value);
            if rank > narrowest {
                (index, narrowest) = (name, rank);
            }
        }
    }
    let index = if index.is_empty() { String::new() } else { format!("INDEXED BY {index}") };
    let (bound, direction) = match order {
        EventOrder::NewestFirst => ("e.key < ?", "DESC"),
        EventOrder::OldestFirst => ("e.key > ?", "ASC"),
    };
    conditions.push(bound);
    let sql = format!(
        "SELECT {} FROM event e {index} WHERE {} ORDER BY e.key {direction} LIMIT ?",
        trace::EVENT_COLUMNS,
        conditions.join(" AND ")
    );
    (sql, values)
}

/// An event as selected by [`trace::EVENT_COLUMNS`], with its number and route.
pub(super) fn read_logged(conn: &Connection, names: &mut Names, row: &Row<'_>) -> Result<LoggedEvent, LedgerError> {
    let event = trace::read_event(row)?;
    let route: Option<i64> = row.get(2)?;
    Ok(LoggedEvent {
        number: u64::try_from(row.get::<_, i64>(0)?).unwrap_or(0),
        route: route.map(|key| names.route(conn, key)).transpose()?,
        event,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::reader::records::tests::{check_plan, empty_ledger};
    use crossdock_model::{RecordId, RunId};

    #[test]
    fn every_question_about_events_uses_an_index() {
        let (_dir, conn) = empty_ledger();
        for bits in 0..8u8 {
            for order in [EventOrder::NewestFirst, EventOrder::OldestFirst] {
                let filter = EventFilter {
                    route: None,
                    run: (bits & 1 != 0).then(|| RunId("r".into())),
                    record: (bits & 2 != 0).then(|| RecordId("i".into())),
                };
                let (sql, mut values) = sql(&filter, (bits & 4 != 0).then_some(1), order);
                values.extend([1.into(), Value::from(1)]);
                check_plan(&conn, &sql, values);
            }
        }
    }
}
