//! Appending through the ledger, beside a bare rusqlite loop that is given the rows ready-made; and many producers that
//! each wait for their record to be on disk, beside a loop that commits each by itself.

use crate::made::{Maker, RECORDS};
use crate::table::{Row, Samples, Took};
use anyhow::{Context as _, Result, bail, ensure};
use crossdock_bench::Usage;
use crossdock_engine::ports::{BatchCommit, Ledger as _};
use crossdock_ledger::{LedgerStore, OpenOptions};
use crossdock_model::Timestamp;
use rusqlite::Connection;
use rusqlite::types::Value;
use std::collections::VecDeque;
use std::path::Path;

/// Commits that wait for the disk at the same time.
const TOGETHER: usize = 50;
const PRODUCERS: u64 = 64;
/// What a commit of ok records leaves behind, table by table.
const TABLES: [&str; 4] = ["batch", "chunk", "chunk_data", "event"];

pub(crate) struct Sizes {
    pub(crate) rounds: usize,
    pub(crate) commits: u64,
    pub(crate) acknowledgements: u64,
}

/// How a commit moves the checkpoint.
const MOVE_CHECKPOINT: &str = "UPDATE route SET checkpoint = ?2, checkpoint_at = ?3, crc = ?4 WHERE key = ?1";

/// The rows that a ledger holds, in the order in which they were written: statement and values.
struct Rows {
    schema: Vec<String>,
    route: Vec<Value>,
    statements: Vec<String>,
    /// By table, then by row.
    values: Vec<Vec<Vec<Value>>>,
}

fn ledger(folder: &Path) -> Result<LedgerStore> {
    Ok(LedgerStore::open(folder, OpenOptions::new(Timestamp(0)))?)
}

/// The rows that the ledger made of these commits.
fn rows_of(folder: &Path) -> Result<Rows> {
    let conn = Connection::open(folder.join("ledger.db"))?;
    let sql = "SELECT sql FROM sqlite_schema WHERE tbl_name IN ('batch', 'chunk', 'chunk_data', 'event', 'route') \
        AND sql IS NOT NULL ORDER BY type DESC";
    let schema = conn.prepare(sql)?.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    let (mut statements, mut values) = (Vec::new(), Vec::new());
    for table in TABLES {
        let mut statement = conn.prepare(&format!("SELECT * FROM {table} ORDER BY key"))?;
        let columns = statement.column_count();
        statements.push(format!("INSERT INTO {table} VALUES ({})", vec!["?"; columns].join(", ")));
        let rows = statement.query_map([], |row| (0..columns).map(|column| row.get(column)).collect())?;
        values.push(rows.collect::<rusqlite::Result<_>>()?);
    }
    let route = conn.query_row("SELECT * FROM route", [], |row| (0..5).map(|column| row.get(column)).collect())?;
    Ok(Rows { schema, route, statements, values })
}

/// Writes the rows of so many commits, in so many transactions.
fn bare_loop(folder: &Path, rows: &Rows, commits: u64, transactions: u64) -> Result<Took> {
    let mut conn = Connection::open(folder.join("bare.db"))?;
    conn.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    conn.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0))?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.set_prepared_statement_cache_capacity(64);
    for sql in &rows.schema {
        conn.execute_batch(sql)?;
    }
    conn.execute("INSERT INTO route VALUES (?, ?, ?, ?, ?)", rusqlite::params_from_iter(&rows.route))?;
    let [key, _, checkpoint, at, crc] = &rows.route[..] else { bail!("a route has other columns") };
    let commits = usize::try_from(commits)?;
    let each = commits.div_ceil(usize::try_from(transactions.max(1))?);
    let begun = Usage::begin();
    for from in (0..commits).step_by(each) {
        let transaction = conn.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        for number in from..(from + each).min(commits) {
            for (sql, values) in rows.statements.iter().zip(&rows.values) {
                if let Some(row) = values.get(number) {
                    transaction.prepare_cached(sql)?.execute(rusqlite::params_from_iter(row))?;
                }
            }
            transaction.prepare_cached(MOVE_CHECKPOINT)?.execute([key, checkpoint, at, crc])?;
        }
        transaction.commit()?;
    }
    Ok(Took::since(begun))
}

/// Gives the ledger all commits, so many of them at a time; says what that took and how many transactions it made.
fn through_the_ledger(folder: &Path, maker: &Maker, commits: Vec<BatchCommit>) -> Result<(Took, u64)> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let store = ledger(folder)?;
    runtime.block_on(maker.begin(&store))?;
    let before = store.stats().transactions;
    let begun = Usage::begin();
    runtime.block_on(async {
        let mut waiting = VecDeque::new();
        for commit in commits {
            waiting.push_back(store.commit(commit));
            if waiting.len() >= TOGETHER
                && let Some(first) = waiting.pop_front()
            {
                first.await?;
            }
        }
        for answer in waiting {
            answer.await?;
        }
        anyhow::Ok(())
    })?;
    Ok((Took::since(begun), store.stats().transactions - before))
}

/// The ledger beside the bare loop.
pub(crate) fn append(folder: &Path, sizes: &Sizes) -> Result<Vec<Row>> {
    let maker = Maker::new("append", RECORDS, 0)?;
    let made = (0..sizes.commits).map(|number| maker.commit(number)).collect::<Result<Vec<_>>>()?;
    let (mut ours, mut bare) = (Samples::default(), Samples::default());
    for _ in 0..sizes.rounds {
        let (dir, other) = (tempfile::tempdir_in(folder)?, tempfile::tempdir_in(folder)?);
        let (took, transactions) = through_the_ledger(dir.path(), &maker, made.clone())?;
        ours.push(took);
        let rows = rows_of(dir.path())?;
        ensure!(rows.values.first().map(Vec::len) == Some(made.len()), "a commit left no row");
        bare.push(bare_loop(other.path(), &rows, sizes.commits, transactions)?);
    }
    let records = (sizes.commits * RECORDS) as f64;
    let what = format!("append of {} commits with {RECORDS} records", sizes.commits);
    Ok(vec![
        Row::rate(&format!("{what}, wall: ledger ÷ bare rusqlite loop"), "≥ 0.85", &ours, &bare, |took| took.wall_s),
        Row::rate(&format!("{what}, CPU: ledger ÷ bare rusqlite loop"), "", &ours, &bare, |took| took.cpu_s),
        Row::each("ledger append, a record", &ours, records),
        Row::each("bare loop, a record", &bare, records),
    ])
}

/// Producers that wait for each record, and how often a second one of them goes on.
fn producers(folder: &Path, maker: &Maker, acknowledgements: u64) -> Result<Took> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let store = ledger(folder)?;
    runtime.block_on(maker.begin(&store))?;
    let each = acknowledgements / PRODUCERS;
    let mut commits = (0..each * PRODUCERS).map(|number| maker.commit(number)).collect::<Result<VecDeque<_>>>()?;
    let begun = Usage::begin();
    runtime.block_on(async {
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..PRODUCERS {
            let mine: Vec<BatchCommit> = commits.drain(..usize::try_from(each)?).collect();
            let store = store.clone();
            tasks.spawn(async move {
                for commit in mine {
                    store.commit(commit).await?;
                }
                anyhow::Ok(())
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.context("a producer")??;
        }
        anyhow::Ok(())
    })?;
    Ok(Took::since(begun))
}

/// Many who wait for one record each, beside a loop that commits one after the other.
pub(crate) fn acknowledgements(folder: &Path, sizes: &Sizes) -> Result<Vec<Row>> {
    let maker = Maker::new("producers", 1, 0)?;
    let alone = (sizes.acknowledgements / PRODUCERS).max(32);
    let (mut many, mut single) = (Samples::default(), Samples::default());
    for _ in 0..sizes.rounds {
        let (dir, other) = (tempfile::tempdir_in(folder)?, tempfile::tempdir_in(folder)?);
        many.push(producers(dir.path(), &maker, sizes.acknowledgements)?.each(sizes.acknowledgements as f64));
        let rows = rows_of(dir.path())?;
        single.push(bare_loop(other.path(), &rows, alone, alone)?.each(alone as f64));
    }
    let what = format!("{PRODUCERS} producers' durable acknowledgements a second ÷ one commit each");
    Ok(vec![
        Row::rate(&what, "≥ 20", &many, &single, |took| took.wall_s),
        Row::each("one of 64 producers' acknowledgements", &many, 1.0),
        Row::each("one commit each", &single, 1.0),
    ])
}
