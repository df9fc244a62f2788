//! Pages of reports over a large ledger, which is made through the way that every record takes.

use crate::made::{Maker, RECORDS};
use crate::table::{Row, Samples, Took};
use anyhow::{Context as _, Result, ensure};
use crossdock_bench::Usage;
use crossdock_engine::ports::Ledger as _;
use crossdock_ledger::{
    Cursor, EventFilter, EventOrder, LedgerReader, LedgerStore, OpenOptions, RecordFilter, RecordFound,
};
use crossdock_model::{Counts, RecordId, RunId, Status, Timestamp};
use std::collections::VecDeque;
use std::path::Path;

/// One record in so many fails.
const ONE_FAILS_IN: u64 = 500;
const RUNS: u64 = 100;
/// Entries a page.
const PAGE: u32 = 100;
/// Commits that wait for the disk at the same time.
const TOGETHER: usize = 64;
const TARGET: &str = "≤ 20 ms";

pub(crate) struct Sizes {
    pub(crate) records: u64,
    pub(crate) rounds: usize,
}

/// Fills the ledger in a folder.
fn fill(folder: &Path, records: u64) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let store = LedgerStore::open(folder, OpenOptions::new(Timestamp(0)))?;
    let commits = records / RECORDS;
    let each = commits / RUNS;
    runtime.block_on(async {
        for run in 0..RUNS {
            let maker = Maker::new(&run_id(run), RECORDS, ONE_FAILS_IN)?;
            maker.begin(&store).await?;
            let (mut waiting, mut counts, mut at) = (VecDeque::new(), Counts::default(), Timestamp(0));
            for number in run * each..(run + 1) * each {
                let commit = maker.commit(number)?;
                counts.merge(&commit.counts);
                at = commit.at;
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
            maker.end(&store, counts, at).await?;
        }
        Ok(())
    })
}

fn run_id(run: u64) -> String {
    format!("run-{run:03}")
}

/// Asks one question as often as wanted, each time from a ledger that was opened anew, and checks the answer.
fn ask<T>(
    folder: &Path,
    rounds: usize,
    question: impl Fn(&LedgerReader) -> Result<T>,
    holds: impl Fn(&T) -> bool,
) -> Result<Samples> {
    let mut samples = Samples::default();
    for _ in 0..rounds {
        let reader = LedgerReader::open(folder)?;
        let begun = Usage::begin();
        let answer = question(&reader)?;
        samples.push(Took::since(begun));
        ensure!(holds(&answer), "the answer is not the one that was put in");
    }
    Ok(samples)
}

/// Where a list goes on behind so many entries.
fn behind(reader: &LedgerReader, filter: &RecordFilter, entries: u64) -> Result<Cursor> {
    let (mut passed, mut after) = (0, None);
    while passed < entries {
        let page = reader.records(filter, 10_000, after.as_ref())?;
        passed += page.items.len() as u64;
        after = Some(page.next.context("a list is shorter than it was made")?);
    }
    after.context("no page was read")
}

/// The pages, each with what it took.
pub(crate) fn reports(folder: &Path, sizes: &Sizes) -> Result<Vec<Row>> {
    let dir = tempfile::tempdir_in(folder)?;
    let begun = Usage::begin();
    fill(dir.path(), sizes.records)?;
    let filled = Took::since(begun);
    let bytes = std::fs::metadata(dir.path().join("ledger.db"))?.len();
    let mut rows = vec![
        Row::each("making that ledger, a record", &vec![filled], sizes.records as f64),
        Row::note("its size, a record", &format!("{:.1} bytes", bytes as f64 / sizes.records as f64)),
    ];
    let mut asked = Asked { folder: dir.path(), rounds: sizes.rounds, rows: &mut rows };
    asked.lists(sizes.records)?;
    asked.records(sizes.records)?;
    asked.runs(sizes.records)?;
    Ok(rows)
}

struct Asked<'a> {
    folder: &'a Path,
    rounds: usize,
    rows: &'a mut Vec<Row>,
}

impl Asked<'_> {
    fn ask<T>(
        &mut self,
        what: &str,
        question: impl Fn(&LedgerReader) -> Result<T>,
        holds: impl Fn(&T) -> bool,
    ) -> Result<()> {
        let samples = ask(self.folder, self.rounds, question, holds)?;
        self.rows.push(Row::answer(what, TARGET, &samples));
        Ok(())
    }

    /// The first page of a list and one far behind it.
    fn list(&mut self, what: &str, filter: &RecordFilter, entries: u64) -> Result<()> {
        let reader = LedgerReader::open(self.folder)?;
        let deep = behind(&reader, filter, entries)?;
        drop(reader);
        for (depth, after) in [("first page".to_owned(), None), (format!("behind {entries}"), Some(&deep))] {
            self.ask(
                &format!("{what}, {depth}"),
                |reader| Ok(reader.records(filter, PAGE, after)?),
                |page| page.items.len() == PAGE as usize,
            )?;
        }
        Ok(())
    }

    fn lists(&mut self, records: u64) -> Result<()> {
        let failures = records / ONE_FAILS_IN;
        let failed = RecordFilter { status: Some(Status::Failed), ..RecordFilter::default() };
        self.list("failed records", &failed, failures / 2)?;
        let text = RecordFilter { text: Some("C-97".to_owned()), ..RecordFilter::default() };
        self.ask("failures by a word", |reader| Ok(reader.records(&text, 10, None)?), |page| page.items.len() == 10)?;
        self.ask(
            "failures by cause",
            |reader| Ok(reader.failure_groups(&failed)?),
            |groups| !groups.groups.is_empty(),
        )?;
        self.ask("how many failed", |reader| Ok(reader.count(&failed)?), |&count| count == failures)?;
        self.list("all records", &RecordFilter::default(), records / 10)?;
        let of_run = RecordFilter { run: Some(RunId(run_id(RUNS / 2))), ..RecordFilter::default() };
        self.list("records of one run", &of_run, records / RUNS / 2)
    }

    fn records(&mut self, records: u64) -> Result<()> {
        let found = |found: &RecordFound| matches!(found, RecordFound::One(_));
        let id = |number: u64| RecordId(Maker::id(number));
        for (what, id, is_there) in [
            ("a record that is ok, by id: the newest", id(records - 2), true),
            ("the oldest", id(0), true),
            ("one that failed", id(ONE_FAILS_IN * (records / ONE_FAILS_IN / 2) - 1), true),
            ("one that was never there", RecordId("never".to_owned()), false),
        ] {
            self.ask(what, |reader| Ok(reader.record(None, &id)?), |answer| found(answer) == is_there)?;
        }
        Ok(())
    }

    fn runs(&mut self, records: u64) -> Result<()> {
        let run = RunId(run_id(RUNS / 3));
        let full = |count: usize| count == PAGE as usize;
        self.ask("runs, first page", |reader| Ok(reader.runs(None, PAGE, None)?), |page| full(page.items.len()))?;
        self.ask("one run", |reader| Ok(reader.run(&run)?), Option::is_some)?;
        let of_run = EventFilter { run: Some(run.clone()), ..EventFilter::default() };
        for order in [EventOrder::OldestFirst, EventOrder::NewestFirst] {
            self.ask(
                &format!("events of one run, {order:?}"),
                |reader| Ok(reader.events(&of_run, order, PAGE, None)?),
                |page| !page.items.is_empty(),
            )?;
        }
        self.ask(
            "routes",
            |reader| Ok(reader.routes()?),
            |routes| {
                let standing = |status| routes.iter().map(|route| route.counts.get(status)).sum::<i64>();
                i64::try_from(records / ONE_FAILS_IN).is_ok_and(|failed| failed == standing(Status::Failed))
            },
        )
    }
}
