//! Frozen plans of a resync.

use crate::apply::Done;
use crate::codec::{from_json, to_json};
use crate::error::LedgerError;
use crate::record::{self, unpack};
use crate::seal::{check, sealed};
use crate::work::Work;
use crossdock_model::{RecordId, RouteName, StepName, Timestamp};
use rusqlite::{Connection, OptionalExtension, params_from_iter};
use serde::{Deserialize, Serialize};

/// One record of a plan, as it stood when the plan was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanEntry {
    /// The record.
    pub id: RecordId,
    /// The step from which it is put through again.
    pub step: StepName,
    /// How often its content was changed by a person.
    pub generation: u32,
    /// How many attempts were made at the step.
    pub attempts: u32,
    /// [`crate::RecordSummary::version`] at that time. Another one now: the record has changed since.
    pub version: u64,
    /// What the plan says of it, for example that it will be sent or why not.
    pub verdict: String,
}

/// A frozen plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Names the plan; made from everything else by who makes the plan.
    pub hash: String,
    /// The route.
    pub route: RouteName,
    /// When it was made.
    pub at: Timestamp,
    /// The records.
    pub entries: Vec<PlanEntry>,
    /// The question that chose the records, in words.
    pub filter: String,
}

/// A record that is not as the plan has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanChange {
    /// The record.
    pub id: RecordId,
    /// The version that the plan noted.
    pub planned: u64,
    /// The version now; `None`: it has no row any more.
    pub found: Option<u64>,
}

const LEVEL: i32 = 1;

/// Keeps a plan.
pub(crate) fn save(work: &mut Work<'_>, plan: &Plan) -> Done<()> {
    let plain = to_json(&plan.entries)?;
    let values = vec![
        plan.hash.clone().into(),
        plan.route.as_str().to_owned().into(),
        plan.at.0.into(),
        plan.filter.clone().into(),
        i64::try_from(plain.len()).unwrap_or(i64::MAX).into(),
        zstd::bulk::compress(plain.as_bytes(), LEVEL)?.into(),
    ];
    work.conn
        .prepare_cached("INSERT OR IGNORE INTO plan VALUES (?, ?, ?, ?, ?, ?, ?)")?
        .execute(params_from_iter(sealed("plan", values)))?;
    Ok(Ok(()))
}

/// The plan with this hash, or the only one whose hash begins with it.
pub(crate) fn find(conn: &Connection, hash: &str) -> Result<Option<Plan>, LedgerError> {
    let sql = "SELECT hash, route, at, filter, size, body, crc FROM plan WHERE hash >= ?1 ORDER BY hash LIMIT 2";
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query([hash])?;
    let mut found: Option<Plan> = None;
    while let Some(row) = rows.next()? {
        if hash.is_empty() || !row.get::<_, String>(0)?.starts_with(hash) {
            break;
        }
        if found.as_ref().is_some_and(|found| found.hash == hash) {
            break;
        }
        if found.is_some() {
            return Err(LedgerError::BadQuery {
                why: format!("more than one plan has a hash that begins with {hash}"),
            });
        }
        found = Some(read(row)?);
    }
    Ok(found)
}

/// A row selected by `hash, route, at, filter, size, body, crc`.
pub(crate) fn read(row: &rusqlite::Row<'_>) -> Result<Plan, LedgerError> {
    check("plan", row, 6)?;
    let plain = unpack(&row.get::<_, Vec<u8>>(5)?, row.get(4)?)?;
    let route =
        RouteName::new(row.get::<_, String>(1)?).map_err(|error| LedgerError::Damaged { what: error.to_string() })?;
    Ok(Plan {
        hash: row.get(0)?,
        route,
        at: Timestamp(row.get(2)?),
        entries: from_json(&String::from_utf8_lossy(&plain))?,
        filter: row.get(3)?,
    })
}

/// Records of a plan that have changed since it was made.
pub(crate) fn changes(conn: &Connection, plan: &Plan) -> Result<Vec<PlanChange>, LedgerError> {
    let route: Option<i64> = conn
        .prepare_cached("SELECT key FROM route WHERE name = ?1")?
        .query_row([plan.route.as_str()], |row| row.get(0))
        .optional()?;
    let mut changes = Vec::new();
    for entry in &plan.entries {
        let row = route.map_or(Ok(None), |route| record::find(conn, route, &entry.id.0))?;
        let found = row.map(|row| u64::try_from(row.version).unwrap_or(0));
        if found != Some(entry.version) {
            changes.push(PlanChange { id: entry.id.clone(), planned: entry.version, found });
        }
    }
    Ok(changes)
}
