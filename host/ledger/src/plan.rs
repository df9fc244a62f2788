//! Frozen plans of a resync: in short, and their records in parts of a bounded size.

use crate::codec::{Reader, Writer, from_json, to_json};
use crate::error::LedgerError;
use crate::record::unpack;
use crate::seal::{check, check_later, sealed, sealed_later};
use crate::work::{Done, Work};
use crossdock_model::{Column, RecordId, RouteName, StepName, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, params_from_iter};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// How many records a part of a plan has at most.
pub const PLAN_PART_RECORDS_MAX: usize = 10_000;

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
    /// The hash of the route's definition that the records are to be put through; empty in plans of format 1.
    pub route_hash: String,
    /// That definition is the one with which the records were recorded, whatever the route's file says by now.
    pub recorded: bool,
    /// When it was made.
    pub at: Timestamp,
    /// The records.
    pub entries: Vec<PlanEntry>,
    /// The question that chose the records, in words.
    pub filter: String,
    /// The new content of one record, which it is given when the plan is applied.
    pub edit: Option<(RecordId, Vec<u8>)>,
}

/// A plan without its records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanSummary {
    /// As [`Plan::hash`].
    pub hash: String,
    /// As [`Plan::route`].
    pub route: RouteName,
    /// As [`Plan::route_hash`].
    pub route_hash: String,
    /// As [`Plan::recorded`].
    pub recorded: bool,
    /// As [`Plan::at`].
    pub at: Timestamp,
    /// As [`Plan::filter`].
    pub filter: String,
    /// As [`Plan::edit`].
    pub edit: Option<(RecordId, Vec<u8>)>,
    /// How many records have which verdict, in the order in which the verdicts come first.
    pub totals: Vec<(String, u64)>,
    /// In how many parts its records are kept.
    pub parts: u32,
}

impl PlanSummary {
    /// How many records it has.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.totals.iter().map(|(_, count)| count).sum()
    }
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
pub(crate) const COLUMNS: &str = "p.hash, p.route, p.at, p.filter, p.size, p.body, p.route_hash, p.recorded, \
     p.edit_id, p.edit, p.totals, p.parts, p.crc";
const COLUMN_COUNT: usize = 12;
/// The last of them came with format 2. In format 1 the records were one block of JSON, in `body`.
const LATER: usize = 6;

fn damaged() -> LedgerError {
    LedgerError::Damaged { what: "a plan is not in the form it was written in".to_owned() }
}

/// A plan as it is stored.
#[derive(Debug)]
pub(crate) struct Packed {
    summary: PlanSummary,
    /// Size before compression, and the compressed bytes.
    parts: Vec<(i64, Vec<u8>)>,
}

/// How many records have which verdict.
fn totals(entries: &[PlanEntry]) -> Vec<(String, u64)> {
    let mut totals: Vec<(String, u64)> = Vec::new();
    for entry in entries {
        match totals.iter_mut().find(|(verdict, _)| *verdict == entry.verdict) {
            Some((_, count)) => *count += 1,
            None => totals.push((entry.verdict.clone(), 1)),
        }
    }
    totals
}

/// Brings a plan into its stored form.
pub(crate) fn pack(plan: Plan) -> Result<Packed, LedgerError> {
    let totals = totals(&plan.entries);
    let mut parts = Vec::with_capacity(plan.entries.len().div_ceil(PLAN_PART_RECORDS_MAX));
    for entries in plan.entries.chunks(PLAN_PART_RECORDS_MAX) {
        let plain = encode(entries)?;
        parts.push((i64::try_from(plain.len()).unwrap_or(i64::MAX), zstd::bulk::compress(&plain, LEVEL)?));
    }
    let count = u32::try_from(parts.len()).map_err(|_| LedgerError::BadCommit { why: "a plan is too long".into() })?;
    let summary = PlanSummary {
        hash: plan.hash,
        route: plan.route,
        route_hash: plan.route_hash,
        recorded: plan.recorded,
        at: plan.at,
        filter: plan.filter,
        edit: plan.edit,
        totals,
        parts: count,
    };
    Ok(Packed { summary, parts })
}

pub(crate) fn encode(entries: &[PlanEntry]) -> Result<Vec<u8>, LedgerError> {
    let mut ids = Column::new();
    let mut words: Vec<(&StepName, &str)> = Vec::new();
    let mut known: HashMap<(&StepName, &str), u64> = HashMap::new();
    let (mut which, mut numbers) = (Writer::default(), Writer::default());
    for entry in entries {
        ids.try_push(entry.id.0.as_bytes())
            .map_err(|error| LedgerError::BadCommit { why: format!("a plan cannot be stored: {error}") })?;
        let pair = (&entry.step, entry.verdict.as_str());
        let next = words.len() as u64;
        let index = *known.entry(pair).or_insert(next);
        if index == next {
            words.push(pair);
        }
        which.number(index);
        numbers.number(u64::from(entry.generation));
        numbers.number(u64::from(entry.attempts));
        numbers.number(entry.version);
    }
    let mut part = Writer::default();
    part.column(&ids);
    part.number(words.len() as u64);
    for (step, verdict) in words {
        part.bytes(step.as_str().as_bytes());
        part.bytes(verdict.as_bytes());
    }
    part.bytes(&which.0);
    part.bytes(&numbers.0);
    Ok(part.0)
}

pub(crate) fn decode(bytes: &[u8]) -> Result<Vec<PlanEntry>, LedgerError> {
    let mut part = Reader::new(bytes);
    let ids = part.column()?;
    let mut words = Vec::new();
    for _ in 0..part.length()? {
        words.push((part.step()?, part.text()?));
    }
    let (mut which, mut numbers) = (Reader::new(part.bytes()?), Reader::new(part.bytes()?));
    part.end()?;
    let mut entries = Vec::with_capacity(ids.len());
    for index in 0..ids.len() {
        let (step, verdict) = words.get(which.length()?).ok_or_else(damaged)?;
        part.grow(step.as_str().len() + verdict.len())?;
        let (step, verdict) = (step.clone(), verdict.clone());
        entries.push(PlanEntry {
            id: RecordId(ids.text(index).into_owned()),
            step,
            generation: numbers.small()?,
            attempts: numbers.small()?,
            version: numbers.number()?,
            verdict,
        });
    }
    which.end()?;
    numbers.end()?;
    Ok(entries)
}

/// Keeps a plan.
pub(crate) fn save(work: &mut Work<'_>, packed: &Packed) -> Done<()> {
    let Packed { summary, parts } = packed;
    let (edit_id, edit) = summary.edit.clone().map_or((None, None), |(id, content)| (Some(id.0), Some(content)));
    let values = vec![
        summary.hash.clone().into(),
        summary.route.as_str().to_owned().into(),
        summary.at.0.into(),
        summary.filter.clone().into(),
        0.into(),
        Vec::new().into(),
        summary.route_hash.clone().into(),
        i64::from(summary.recorded).into(),
        edit_id.into(),
        edit.into(),
        to_json(&summary.totals)?.into(),
        i64::from(summary.parts).into(),
    ];
    let marks = vec!["?"; COLUMN_COUNT + 1].join(", ");
    let sql = format!("INSERT OR IGNORE INTO plan ({}) VALUES ({marks})", COLUMNS.replace("p.", ""));
    let new = work.conn.prepare_cached(&sql)?.execute(params_from_iter(sealed_later("plan", values, LATER)))? > 0;
    if !new {
        return Ok(Ok(()));
    }
    for (part, (size, body)) in (0_i64..).zip(parts) {
        let values = vec![summary.hash.clone().into(), part.into(), (*size).into(), body.clone().into()];
        work.conn
            .prepare_cached("INSERT OR REPLACE INTO plan_part VALUES (?, ?, ?, ?, ?)")?
            .execute(params_from_iter(sealed("plan_part", values)))?;
    }
    Ok(Ok(()))
}

/// The plan with this hash, or the only one whose hash begins with it, without its records.
pub(crate) fn summary(conn: &Connection, hash: &str) -> Result<Option<PlanSummary>, LedgerError> {
    let sql = format!("SELECT {COLUMNS} FROM plan p WHERE p.hash >= ?1 ORDER BY p.hash LIMIT 2");
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query([hash])?;
    let mut found: Option<PlanSummary> = None;
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
        found = Some(read(row)?.0);
    }
    Ok(found)
}

/// The same with its records.
pub(crate) fn find(conn: &Connection, hash: &str) -> Result<Option<Plan>, LedgerError> {
    let Some(summary) = summary(conn, hash)? else { return Ok(None) };
    let mut entries = Vec::new();
    for number in 0..summary.parts {
        entries.extend(part(conn, &summary.hash, number)?.ok_or_else(damaged)?);
    }
    Ok(Some(Plan {
        hash: summary.hash,
        route: summary.route,
        route_hash: summary.route_hash,
        recorded: summary.recorded,
        at: summary.at,
        entries,
        filter: summary.filter,
        edit: summary.edit,
    }))
}

/// A row as selected by [`COLUMNS`]; with the records, if it is one of format 1.
pub(crate) fn read(row: &Row<'_>) -> Result<(PlanSummary, Option<Vec<PlanEntry>>), LedgerError> {
    check_later("plan", row, COLUMN_COUNT, LATER)?;
    let route =
        RouteName::new(row.get::<_, String>(1)?).map_err(|error| LedgerError::Damaged { what: error.to_string() })?;
    let edit_id: Option<String> = row.get(8)?;
    let parts: Option<u32> = row.get(11)?;
    let entries: Option<Vec<PlanEntry>> = match parts {
        Some(_) => None,
        None => {
            let plain = unpack(&row.get::<_, Vec<u8>>(5)?, row.get(4)?)?;
            Some(from_json(&String::from_utf8_lossy(&plain))?)
        }
    };
    let totals = match &entries {
        Some(entries) => totals(entries),
        None => from_json(&row.get::<_, String>(10)?)?,
    };
    let summary = PlanSummary {
        hash: row.get(0)?,
        route,
        route_hash: row.get::<_, Option<String>>(6)?.unwrap_or_default(),
        recorded: row.get::<_, Option<bool>>(7)?.unwrap_or(false),
        at: Timestamp(row.get(2)?),
        filter: row.get(3)?,
        edit: edit_id.map(|id| Ok::<_, LedgerError>((RecordId(id), row.get(9)?))).transpose()?,
        totals,
        parts: parts.unwrap_or(1),
    };
    Ok((summary, entries))
}

/// The records in one part of a plan; `None` behind the last.
pub(crate) fn part(conn: &Connection, hash: &str, number: u32) -> Result<Option<Vec<PlanEntry>>, LedgerError> {
    let sql = "SELECT plan, part, size, body, crc FROM plan_part WHERE plan = ?1 AND part = ?2";
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query((hash, number))?;
    if let Some(row) = rows.next()? {
        return Ok(Some(read_part(row)?));
    }
    if number > 0 {
        return Ok(None);
    }
    let sql = format!("SELECT {COLUMNS} FROM plan p WHERE p.hash = ?1");
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query([hash])?;
    Ok(rows.next()?.map(read).transpose()?.and_then(|(_, entries)| entries))
}

/// A row selected by `plan, part, size, body, crc`.
pub(crate) fn read_part(row: &Row<'_>) -> Result<Vec<PlanEntry>, LedgerError> {
    check("plan_part", row, 4)?;
    decode(&unpack(&row.get::<_, Vec<u8>>(3)?, row.get(2)?)?)
}

/// Those of some records of a plan that have changed since it was made.
pub(crate) fn changes(
    conn: &Connection,
    route: &RouteName,
    entries: &[PlanEntry],
) -> Result<Vec<PlanChange>, LedgerError> {
    let route: Option<i64> = conn
        .prepare_cached("SELECT key FROM route WHERE name = ?1")?
        .query_row([route.as_str()], |row| row.get(0))
        .optional()?;
    let mut statement = conn.prepare_cached("SELECT version FROM record WHERE id = ?1 AND route = ?2")?;
    let mut changes = Vec::new();
    for entry in entries {
        let found: Option<i64> = statement.query_row((&entry.id.0, route), |row| row.get(0)).optional()?;
        let found = found.map(|version| u64::try_from(version).unwrap_or(0));
        // What has no row of its own, because it stands in a chunk, was planned with version 0.
        if found.unwrap_or(0) != entry.version {
            changes.push(PlanChange { id: entry.id.clone(), planned: entry.version, found });
        }
    }
    Ok(changes)
}
