//! Numbers over records: how many a filter lets through, and failures by cause.

use super::PAGE_MAX;
use super::records::{self, Selection};
use super::summary::Names;
use super::types::{FailureGroup, FailureGroups, RecordFilter};
use crate::error::LedgerError;
use crate::record;
use crossdock_model::{RecordId, Status, Timestamp};
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};
use std::collections::HashMap;

/// The most groups of failures that are listed.
pub const FAILURE_GROUPS_MAX: usize = 100;
/// The most groups that are told apart while they are counted; records of further ones are only counted.
const GROUPS_SEEN_MAX: usize = 100_000;

/// How many records a filter lets through.
pub(super) fn count(conn: &Connection, filter: &RecordFilter, alive: bool) -> Result<u64, LedgerError> {
    let Some(selection) = Selection::of(conn, filter)? else { return Ok(0) };
    let chunks = !filter.of_failures() && (filter.wants(Status::Ok) || filter.wants(Status::Dropped));
    if filter.text.is_some() || (chunks && (filter.id.is_some() || filter.step.is_some())) {
        return count_by_list(conn, filter, alive);
    }
    let mut sum: i64 = 0;
    for (sql, values) in count_rows_sql(filter, &selection) {
        sum += conn.prepare_cached(&sql)?.query_row(params_from_iter(values), |row| row.get::<_, i64>(0))?;
    }
    if chunks {
        let (sql, values) = count_chunks_sql(filter, &selection);
        let (ok, dropped): (i64, i64) =
            conn.prepare_cached(&sql)?.query_row(params_from_iter(values), |row| Ok((row.get(0)?, row.get(1)?)))?;
        sum += if filter.wants(Status::Ok) { ok } else { 0 };
        sum += if filter.wants(Status::Dropped) { dropped } else { 0 };
    }
    let (shown, hidden) = records::under_way(conn, filter, alive)?;
    Ok((u64::try_from(sum).unwrap_or(0) + shown).saturating_sub(hidden))
}

fn count_by_list(conn: &Connection, filter: &RecordFilter, alive: bool) -> Result<u64, LedgerError> {
    let (mut sum, mut after) = (0, None);
    loop {
        let page = records::list(conn, filter, PAGE_MAX, after.as_ref(), alive)?;
        sum += page.items.len() as u64;
        let Some(next) = page.next else { return Ok(sum) };
        after = Some(next);
    }
}

/// One statement for each status that is asked for.
fn count_rows_sql(filter: &RecordFilter, selection: &Selection) -> Vec<(String, Vec<Value>)> {
    let one = |status: Option<Status>| {
        let (conditions, values) = records::conditions(filter, status, selection);
        let index = records::index(filter, status);
        (format!("SELECT count(*) FROM record r INDEXED BY {index} WHERE {conditions}"), values)
    };
    match filter.wanted() {
        None => vec![one(None)],
        Some(statuses) => statuses.into_iter().map(|status| one(Some(status))).collect(),
    }
}

fn count_chunks_sql(filter: &RecordFilter, selection: &Selection) -> (String, Vec<Value>) {
    let (conditions, values, index) = records::chunk_conditions(filter, selection);
    let sql = format!(
        "SELECT coalesce(sum(c.ok), 0), coalesce(sum(c.dropped), 0) FROM chunk c INDEXED BY {index} WHERE {conditions}"
    );
    (sql, values)
}

/// What is known of a group while its records are counted.
struct Sum {
    count: u64,
    first_at: i64,
    /// Time and key of the last record.
    last: (i64, i64),
}

/// Failures by cause, the largest groups first.
pub(super) fn failures(conn: &Connection, filter: &RecordFilter) -> Result<FailureGroups, LedgerError> {
    let Some(selection) = Selection::of(conn, filter)? else { return Ok(FailureGroups::default()) };
    let mut sums: HashMap<(i64, String), Sum> = HashMap::new();
    let mut others = 0;
    for (sql, values) in groups_sql(filter, &selection)? {
        let mut statement = conn.prepare_cached(&sql)?;
        let mut rows = statement.query(params_from_iter(values))?;
        while let Some(row) = rows.next()? {
            let (group, at, key): (_, i64, i64) = ((row.get(0)?, row.get(1)?), row.get(2)?, row.get(3)?);
            if sums.len() >= GROUPS_SEEN_MAX && !sums.contains_key(&group) {
                others += 1;
                continue;
            }
            let sum = sums.entry(group).or_insert(Sum { count: 0, first_at: at, last: (at, key) });
            sum.count += 1;
            sum.first_at = sum.first_at.min(at);
            sum.last = sum.last.max((at, key));
        }
    }
    let mut sums: Vec<_> = sums.into_iter().collect();
    sums.sort_by(|(a_group, a), (b_group, b)| (b.count, b.last, a_group).cmp(&(a.count, a.last, b_group)));
    others += sums.iter().skip(FAILURE_GROUPS_MAX).map(|(_, sum)| sum.count).sum::<u64>();
    sums.truncate(FAILURE_GROUPS_MAX);
    let mut names = Names::default();
    let mut groups = Vec::with_capacity(sums.len());
    for ((route, fingerprint), sum) in sums {
        let sample = record::by_key(conn, sum.last.1)?;
        let failure = sample.failure.unwrap_or_default();
        groups.push(FailureGroup {
            route: names.route(conn, route)?,
            step: sample.step,
            code: failure.code,
            fingerprint,
            count: sum.count,
            first_at: Timestamp(sum.first_at),
            last_at: Timestamp(sum.last.0),
            sample: RecordId(sample.id),
            message: failure.message,
        });
    }
    Ok(FailureGroups { groups, others })
}

fn groups_sql(filter: &RecordFilter, selection: &Selection) -> Result<Vec<(String, Vec<Value>)>, LedgerError> {
    let columns = "r.route, r.fingerprint, r.at, r.key";
    if let Some(text) = &filter.text {
        let statuses = filter.wanted().map_or(vec![None], |all| all.into_iter().map(Some).collect());
        let words = records::match_words(text)?;
        let one = |status| {
            let (conditions, mut values) = records::conditions(filter, status, selection);
            let sql = format!(
                "SELECT {columns} FROM failure_text t CROSS JOIN record r ON r.key = t.rowid
                 WHERE {conditions} AND r.fingerprint IS NOT NULL AND t.failure_text MATCH ?"
            );
            values.push(words.clone().into());
            (sql, values)
        };
        return Ok(statuses.into_iter().map(one).collect());
    }
    let one = |status: Option<Status>| {
        let (conditions, values) = records::conditions(filter, status, selection);
        // Of all records, only those with a failure are walked through.
        let index = match records::index(filter, status) {
            "record_by_at" => "record_by_fingerprint",
            other => other,
        };
        let sql =
            format!("SELECT {columns} FROM record r INDEXED BY {index} WHERE {conditions} AND r.fingerprint > ''");
        (sql, values)
    };
    Ok(match filter.wanted() {
        None => vec![one(None)],
        Some(statuses) => statuses.into_iter().map(|status| one(Some(status))).collect(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::reader::records::tests::{check_plan, empty_ledger, some_filter};

    #[test]
    fn every_number_uses_an_index() {
        let (_dir, conn) = empty_ledger();
        for bits in 0..512u16 {
            let (filter, selection) = some_filter(bits);
            let mut all = count_rows_sql(&filter, &selection);
            all.push(count_chunks_sql(&filter, &selection));
            all.extend(groups_sql(&filter, &selection).unwrap());
            let by_text = RecordFilter { text: Some("x".into()), ..filter };
            all.extend(groups_sql(&by_text, &selection).unwrap());
            for (sql, values) in all {
                check_plan(&conn, &sql, values);
            }
        }
    }
}
