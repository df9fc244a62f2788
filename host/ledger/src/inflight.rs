//! Intents and progress: what is under way while a batch is not closed. Rows of one table, gone when it is.

use crate::codec::{Reader, Writer};
use crate::error::LedgerError;
use crate::seal::{check, sealed};
use crossdock_engine::ports::{Intent, Progress};
use crossdock_model::{Column, StepName};
use rusqlite::{Connection, Row, params_from_iter};

pub(crate) const COLUMNS: &str =
    "i.key, i.kind, i.route, i.run, i.batch, i.step, i.at, i.open, i.written, i.body, i.crc";

/// What a row is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Invariant 5: these may be applied soon, or are by now.
    Intent {
        attempts: Vec<u32>,
        generations: Vec<u32>,
        /// See [`Intent::careful`].
        careful: bool,
        /// See [`Intent::effect`].
        effect: bool,
    },
    /// These were applied.
    Progress { target_ids: Option<Column>, receipts: Option<Column> },
}

/// A row of table `inflight`.
#[derive(Debug, Clone)]
pub(crate) struct Inflight {
    pub(crate) key: i64,
    pub(crate) route: i64,
    pub(crate) run: i64,
    pub(crate) batch: i64,
    pub(crate) step: StepName,
    pub(crate) at: i64,
    pub(crate) open: bool,
    /// The number of the commit that wrote it, in the order of all commits.
    pub(crate) written: i64,
    pub(crate) ids: Column,
    pub(crate) kind: Kind,
}

fn damaged() -> LedgerError {
    LedgerError::Damaged { what: "an intent is not in the form it was written in".to_owned() }
}

/// In the stored form of an intent; one of format 1 has no flags and was made for a destination.
const CAREFUL: u64 = 1;
const EFFECT: u64 = 2;

/// Refuses an intent whose columns differ in length, or that is careful of several records, or of no use.
pub(crate) fn validate_intent(intent: &Intent) -> Result<(), LedgerError> {
    let count = intent.ids.len();
    if intent.careful && count != 1 {
        let why = format!("an intent is for {count} records and calls itself careful");
        return Err(LedgerError::BadCommit { why });
    }
    if !intent.careful && !intent.effect {
        let why = "an intent is neither for a destination nor careful".to_owned();
        return Err(LedgerError::BadCommit { why });
    }
    if intent.attempts.len() == count && intent.generations.len() == count {
        return utf8(&intent.ids);
    }
    Err(LedgerError::BadCommit { why: "an intent does not have one attempt and one generation a record".to_owned() })
}

/// Refuses progress whose columns differ in length.
pub(crate) fn validate_progress(progress: &Progress) -> Result<(), LedgerError> {
    let count = progress.ids.len();
    if [&progress.target_ids, &progress.receipts].into_iter().flatten().all(|column| column.len() == count) {
        return utf8(&progress.ids);
    }
    Err(LedgerError::BadCommit { why: "progress does not have one target id and one receipt a record".to_owned() })
}

fn utf8(ids: &Column) -> Result<(), LedgerError> {
    if ids.iter().all(|id| std::str::from_utf8(id).is_ok()) {
        return Ok(());
    }
    Err(LedgerError::BadCommit { why: "an id is not UTF-8".to_owned() })
}

/// The table's rows so far give the next key.
pub(crate) fn next_key(conn: &Connection) -> Result<i64, LedgerError> {
    Ok(conn.prepare_cached("SELECT coalesce(max(key), 0) + 1 FROM inflight")?.query_row([], |row| row.get(0))?)
}

impl Inflight {
    /// Appends the row.
    pub(crate) fn write(&self, conn: &Connection) -> Result<(), LedgerError> {
        let mut body = Writer::default();
        body.column(&self.ids);
        let kind = match &self.kind {
            Kind::Intent { attempts, generations, careful, effect } => {
                attempts.iter().chain(generations).for_each(|&number| body.number(u64::from(number)));
                body.number(u64::from(*careful) * CAREFUL + u64::from(*effect) * EFFECT);
                "intent"
            }
            Kind::Progress { target_ids, receipts } => {
                body.maybe_column(target_ids.as_ref());
                body.maybe_column(receipts.as_ref());
                "progress"
            }
        };
        let values = vec![
            self.key.into(),
            kind.to_owned().into(),
            self.route.into(),
            self.run.into(),
            self.batch.into(),
            self.step.as_str().to_owned().into(),
            self.at.into(),
            i64::from(self.open).into(),
            self.written.into(),
            body.0.into(),
        ];
        conn.prepare_cached("INSERT INTO inflight VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")?
            .execute(params_from_iter(sealed("inflight", values)))?;
        Ok(())
    }

    /// A row as selected by [`COLUMNS`].
    pub(crate) fn read(row: &Row<'_>) -> Result<Self, LedgerError> {
        check("inflight", row, 10)?;
        let body: Vec<u8> = row.get(9)?;
        let mut body = Reader::new(&body);
        let ids = body.column()?;
        let kind = match row.get::<_, String>(1)?.as_str() {
            "intent" => {
                let attempts = numbers(&mut body, ids.len())?;
                let generations = numbers(&mut body, ids.len())?;
                let flags = if body.end().is_ok() { EFFECT } else { body.number()? };
                Kind::Intent { attempts, generations, careful: flags & CAREFUL != 0, effect: flags & EFFECT != 0 }
            }
            "progress" => Kind::Progress { target_ids: body.maybe_column()?, receipts: body.maybe_column()? },
            _ => return Err(damaged()),
        };
        body.end()?;
        Ok(Self {
            key: row.get(0)?,
            route: row.get(2)?,
            run: row.get(3)?,
            batch: row.get(4)?,
            step: StepName::new(row.get::<_, String>(5)?).map_err(|_| damaged())?,
            at: row.get(6)?,
            open: row.get(7)?,
            written: row.get(8)?,
            ids,
            kind,
        })
    }
}

fn numbers(body: &mut Reader<'_>, count: usize) -> Result<Vec<u32>, LedgerError> {
    (0..count).map(|_| body.small()).collect()
}

/// All rows of a run, oldest first.
pub(crate) fn of_run(conn: &Connection, run: i64) -> Result<Vec<Inflight>, LedgerError> {
    let sql = format!("SELECT {COLUMNS} FROM inflight i WHERE i.run = ?1 ORDER BY i.key");
    conn.prepare_cached(&sql)?.query_and_then([run], Inflight::read)?.collect()
}

/// All rows, oldest first. There are never more than batches under way.
pub(crate) fn all(conn: &Connection) -> Result<Vec<Inflight>, LedgerError> {
    let sql = format!("SELECT {COLUMNS} FROM inflight i ORDER BY i.key");
    conn.prepare_cached(&sql)?.query_and_then([], Inflight::read)?.collect()
}
