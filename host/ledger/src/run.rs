//! Runs with their running totals, and what each commit added to them.

use crate::codec::{from_json, to_json};
use crate::error::LedgerError;
use crate::seal::{check, check_later, sealed, sealed_later};
use crossdock_engine::ports::{Cause, StepCounts};
use crossdock_model::{Counts, Failure, PluginName, RunId, RunStatus, StepName};
use rusqlite::types::Value;
use rusqlite::{Connection, Row, params_from_iter};
use std::sync::LazyLock;

pub(crate) const COLUMNS: &str = "u.key, u.id, u.route, u.hash, u.plugins, u.cause, u.began, u.ended, u.status, \
     u.reason, u.read, u.resumed, u.counts, u.steps, u.moved, u.crc";
const COLUMN_COUNT: usize = 15;
/// The last of them came with format 2.
const LATER: usize = 1;

static INSERT: LazyLock<String> = LazyLock::new(|| {
    let marks = vec!["?"; COLUMN_COUNT + 1].join(", ");
    format!("INSERT OR REPLACE INTO run ({}) VALUES ({marks})", COLUMNS.replace("u.", ""))
});

/// Numbers of a run, or what one commit adds to them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Totals {
    pub(crate) read: u64,
    pub(crate) resumed: u64,
    pub(crate) counts: Counts,
    pub(crate) steps: Vec<(StepName, StepCounts)>,
}

impl Totals {
    pub(crate) fn merge(&mut self, other: &Self) {
        self.read += other.read;
        self.resumed += other.resumed;
        self.counts.merge(&other.counts);
        for (step, counts) in &other.steps {
            match self.steps.iter_mut().find(|(name, _)| name == step) {
                Some((_, mine)) => mine.merge(counts),
                None => self.steps.push((step.clone(), *counts)),
            }
        }
    }

    /// Invariant 3: what is wrong with the numbers, in words.
    pub(crate) fn imbalance(&self) -> Option<String> {
        if let Some((step, counts)) = self.steps.iter().find(|(_, counts)| !counts.balances()) {
            return Some(format!("step {step} was given {} records, its outcomes are {counts:?}", counts.records_in));
        }
        let children: u64 = self.steps.iter().map(|(_, counts)| counts.children).sum();
        let expected = self.read + self.resumed + children;
        if i64::try_from(expected).ok() != Some(self.counts.total()) {
            return Some(format!(
                "{} read, {} taken up and {children} from splits make {expected}, the statuses make {}",
                self.read,
                self.resumed,
                self.counts.total()
            ));
        }
        if let Some((status, count)) = self.counts.iter().find(|&(_, count)| count < 0) {
            return Some(format!("the number of records that are {status} is {count}"));
        }
        None
    }
}

/// A row of table `run`.
#[derive(Debug, Clone)]
pub(crate) struct StoredRun {
    pub(crate) key: i64,
    pub(crate) id: RunId,
    pub(crate) route: i64,
    pub(crate) hash: String,
    pub(crate) plugins: Vec<(StepName, PluginName, String)>,
    pub(crate) cause: Cause,
    pub(crate) began: i64,
    pub(crate) ended: Option<i64>,
    pub(crate) status: RunStatus,
    pub(crate) reason: Option<Failure>,
    pub(crate) totals: Totals,
    /// Whether it moved its route's checkpoint; `None` for runs of format 1.
    pub(crate) moved: Option<bool>,
}

fn damaged() -> LedgerError {
    LedgerError::Damaged { what: "a run is not in the form it was written in".to_owned() }
}

fn count(row: &Row<'_>, index: usize) -> Result<u64, LedgerError> {
    u64::try_from(row.get::<_, i64>(index)?).map_err(|_| damaged())
}

fn stored(count: u64) -> Value {
    Value::Integer(i64::try_from(count).unwrap_or(i64::MAX))
}

impl StoredRun {
    /// A row as selected by [`COLUMNS`].
    pub(crate) fn read(row: &Row<'_>) -> Result<Self, LedgerError> {
        check_later("run", row, COLUMN_COUNT, LATER)?;
        let text = |index: usize| row.get::<_, String>(index);
        let reason: Option<String> = row.get(9)?;
        Ok(Self {
            key: row.get(0)?,
            id: RunId(text(1)?),
            route: row.get(2)?,
            hash: text(3)?,
            plugins: from_json(&text(4)?)?,
            cause: from_json(&text(5)?)?,
            began: row.get(6)?,
            ended: row.get(7)?,
            status: RunStatus::from_word(&text(8)?).ok_or_else(damaged)?,
            reason: reason.as_deref().map(from_json).transpose()?,
            totals: Totals {
                read: count(row, 10)?,
                resumed: count(row, 11)?,
                counts: from_json(&text(12)?)?,
                steps: from_json(&text(13)?)?,
            },
            moved: row.get(14)?,
        })
    }

    fn values(&self) -> Result<Vec<Value>, LedgerError> {
        let values = vec![
            self.key.into(),
            self.id.0.clone().into(),
            self.route.into(),
            self.hash.clone().into(),
            to_json(&self.plugins)?.into(),
            to_json(&self.cause)?.into(),
            self.began.into(),
            self.ended.into(),
            self.status.as_str().to_owned().into(),
            self.reason.as_ref().map(to_json).transpose()?.into(),
            stored(self.totals.read),
            stored(self.totals.resumed),
            to_json(&self.totals.counts)?.into(),
            to_json(&self.totals.steps)?.into(),
            self.moved.map(i64::from).into(),
        ];
        Ok(sealed_later("run", values, LATER))
    }

    /// Writes the row, in place of the one with its key if there is one.
    pub(crate) fn write(&self, conn: &Connection) -> Result<(), LedgerError> {
        conn.prepare_cached(&INSERT)?.execute(params_from_iter(self.values()?))?;
        Ok(())
    }

    /// Changes the numbers in the row with this key, of which everything else is as it was: no index is touched.
    pub(crate) fn write_totals(&self, conn: &Connection) -> Result<(), LedgerError> {
        let [key, .., read, resumed, counts, steps, moved, crc] = &self.values()?[..] else { return Err(damaged()) };
        conn.prepare_cached(
            "UPDATE run SET read = ?2, resumed = ?3, counts = ?4, steps = ?5, moved = ?6, crc = ?7 WHERE key = ?1",
        )?
        .execute([key, read, resumed, counts, steps, moved, crc])?;
        Ok(())
    }

    /// The name of a step by its position in the route, as chunks give it.
    pub(crate) fn step(&self, index: u16) -> Option<&StepName> {
        self.steps().nth(usize::from(index))
    }

    /// The step after this one, if there is one.
    pub(crate) fn step_after(&self, step: &StepName) -> Option<&StepName> {
        self.steps().skip_while(|other| *other != step).nth(1)
    }

    fn steps(&self) -> impl Iterator<Item = &StepName> {
        // A step can have several plugins: itself and its handlers.
        let mut seen = Vec::new();
        self.plugins.iter().map(|(step, ..)| step).filter(move |step| {
            let new = step.as_str() != "source" && !step.as_str().contains('.') && !seen.contains(step);
            if new {
                seen.push(*step);
            }
            new
        })
    }
}

/// The run with this condition, if there is one.
pub(crate) fn find(conn: &Connection, id: &str) -> Result<Option<StoredRun>, LedgerError> {
    let mut statement = conn.prepare_cached(&format!("SELECT {COLUMNS} FROM run u WHERE u.id = ?1"))?;
    let mut rows = statement.query([id])?;
    rows.next()?.map(StoredRun::read).transpose()
}

/// The run with this key.
pub(crate) fn by_key(conn: &Connection, key: i64) -> Result<StoredRun, LedgerError> {
    let mut statement = conn.prepare_cached(&format!("SELECT {COLUMNS} FROM run u WHERE u.key = ?1"))?;
    let mut rows = statement.query([key])?;
    rows.next()?
        .map(StoredRun::read)
        .transpose()?
        .ok_or_else(|| LedgerError::Damaged { what: format!("the run with key {key} is missing") })
}

/// All runs with this status.
pub(crate) fn by_status(conn: &Connection, status: RunStatus) -> Result<Vec<StoredRun>, LedgerError> {
    let mut statement = conn.prepare_cached(&format!("SELECT {COLUMNS} FROM run u WHERE u.status = ?1"))?;
    statement.query_and_then([status.as_str()], StoredRun::read)?.collect()
}

/// A row of table `batch`: what one commit added.
#[derive(Debug, Clone)]
pub(crate) struct StoredBatch {
    pub(crate) key: i64,
    pub(crate) run: i64,
    pub(crate) batch: u64,
    pub(crate) at: i64,
    pub(crate) totals: Totals,
    pub(crate) chunk_ok: u64,
    pub(crate) chunk_dropped: u64,
    pub(crate) rows_written: u64,
    pub(crate) closes: bool,
}

pub(crate) const BATCH_COLUMNS: &str = "b.key, b.run, b.batch, b.at, b.read, b.resumed, b.counts, b.steps, \
     b.chunk_ok, b.chunk_dropped, b.rows_written, b.closes, b.crc";

impl StoredBatch {
    /// A row as selected by [`BATCH_COLUMNS`].
    pub(crate) fn read(row: &Row<'_>) -> Result<Self, LedgerError> {
        check("batch", row, 12)?;
        Ok(Self {
            key: row.get(0)?,
            run: row.get(1)?,
            batch: count(row, 2)?,
            at: row.get(3)?,
            totals: Totals {
                read: count(row, 4)?,
                resumed: count(row, 5)?,
                counts: from_json(&row.get::<_, String>(6)?)?,
                steps: from_json(&row.get::<_, String>(7)?)?,
            },
            chunk_ok: count(row, 8)?,
            chunk_dropped: count(row, 9)?,
            rows_written: count(row, 10)?,
            closes: row.get(11)?,
        })
    }

    /// Appends the row.
    pub(crate) fn write(&self, conn: &Connection) -> Result<(), LedgerError> {
        let values = vec![
            self.key.into(),
            self.run.into(),
            stored(self.batch),
            self.at.into(),
            stored(self.totals.read),
            stored(self.totals.resumed),
            to_json(&self.totals.counts)?.into(),
            to_json(&self.totals.steps)?.into(),
            stored(self.chunk_ok),
            stored(self.chunk_dropped),
            stored(self.rows_written),
            i64::from(self.closes).into(),
        ];
        conn.prepare_cached("INSERT INTO batch VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")?
            .execute(params_from_iter(sealed("batch", values)))?;
        Ok(())
    }
}

/// The commit with this key.
pub(crate) fn batch_by_key(conn: &Connection, key: i64) -> Result<StoredBatch, LedgerError> {
    let mut statement = conn.prepare_cached(&format!("SELECT {BATCH_COLUMNS} FROM batch b WHERE b.key = ?1"))?;
    let mut rows = statement.query([key])?;
    rows.next()?
        .map(StoredBatch::read)
        .transpose()?
        .ok_or_else(|| LedgerError::Damaged { what: format!("the commit with key {key} is missing") })
}

/// The sum of what all commits of a run added.
pub(crate) fn sum_of_batches(conn: &Connection, run: i64) -> Result<Totals, LedgerError> {
    let mut statement = conn.prepare_cached(&format!("SELECT {BATCH_COLUMNS} FROM batch b WHERE b.run = ?1"))?;
    let mut rows = statement.query([run])?;
    let mut sum = Totals::default();
    while let Some(row) = rows.next()? {
        sum.merge(&StoredBatch::read(row)?.totals);
    }
    Ok(sum)
}
