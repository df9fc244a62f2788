//! The engine's state machine, given batches in which every record goes well. What is outside answers at once, so
//! nothing is counted but the decisions and what is made for the ledger.

use super::{RECORDS, batch, orders};
use anyhow::{Context as _, Result, bail, ensure};
use crossdock_engine::machine::{Action, Input, Machine};
use crossdock_engine::plan::{
    Breaker, Entry, LogLevel, OnError, Policy, Retry, Role, Rollback, RunSpec, SourceBudget, StepSpec,
};
use crossdock_engine::ports::{
    BatchCommit, CallResult, DueRows, Idempotency, Intent, More, Page, RunOpening, Transformed, Written,
};
use crossdock_model::{Checkpoint, Column, Outcome, RouteName, RunId, StepName, Timestamp};
use std::collections::VecDeque;

/// A moment in 2026: nothing here takes time.
pub(crate) const NOW: Timestamp = Timestamp(1_790_000_000_000);

/// What a run asks to be made durable.
pub(crate) enum Write {
    Intent(Intent),
    Commit(Box<BatchCommit>),
}

/// A run that is about to begin, and all that its plugins will answer.
pub(crate) struct Line {
    machine: Machine,
    answers: VecDeque<Answers>,
}

struct Answers {
    page: Page,
    transformed: Transformed,
    written: Written,
}

impl Line {
    pub(crate) fn new(batches: usize) -> Result<Self> {
        let mut orders = orders();
        let answers: Result<VecDeque<Answers>> = (0..batches).map(|n| answers(&mut orders, n, batches)).collect();
        Ok(Self { machine: Machine::new(spec()?, RunOpening::default(), NOW), answers: answers? })
    }

    /// Lets as many batches of the line pass, and hands what is to be made durable to `write`.
    pub(crate) fn pass(&mut self, batches: usize, mut write: impl FnMut(Write)) -> Result<()> {
        let mut written = 0;
        let mut under_way: VecDeque<(Transformed, Written)> = VecDeque::new();
        let mut steps: VecDeque<Written> = VecDeque::new();
        let mut inputs = VecDeque::from([Input::Begin]);
        while written < batches {
            let Some(input) = inputs.pop_front() else {
                bail!("the machine waits for something after {written} batches")
            };
            for action in self.machine.on(NOW, input) {
                let input = match action {
                    Action::Read(..) => {
                        // A page asked for beyond the last one never comes: the run stands there.
                        let Some(Answers { page, transformed, written }) = self.answers.pop_front() else { continue };
                        under_way.push_back((transformed, written));
                        Input::Page(CallResult::plain(page))
                    }
                    Action::Transform(number, ..) => {
                        let (transformed, written) = under_way.pop_front().context("a batch that was never read")?;
                        steps.push_back(written);
                        Input::Transformed(number, CallResult::plain(transformed))
                    }
                    Action::Intend(number, intent) => {
                        write(Write::Intent(intent));
                        Input::Intended(number)
                    }
                    Action::Write(number, ..) => {
                        let written = steps.pop_front().context("a batch that was never transformed")?;
                        Input::Written(number, CallResult::plain(written))
                    }
                    Action::Commit(commit) => {
                        ensure!(
                            commit.chunk.as_ref().is_some_and(|chunk| chunk.ids.len() == RECORDS),
                            "not all are ok"
                        );
                        written += 1;
                        write(Write::Commit(commit));
                        Input::Committed
                    }
                    Action::Ack(_) => Input::Acked(CallResult::plain(())),
                    Action::TakeDue(..) => Input::Due(DueRows::default()),
                    Action::WakeAt(_) => continue,
                    other => bail!("the machine asks for what no batch needs in which all goes well: {other:?}"),
                };
                inputs.push_back(input);
            }
        }
        Ok(())
    }
}

/// What the plugins answer for one batch.
fn answers(orders: &mut crossdock_bench::Orders, number: usize, batches: usize) -> Result<Answers> {
    let batch = batch(orders, number * RECORDS, RECORDS);
    let targets: Column = (0..RECORDS).map(|n| format!("T-{:08}", number * RECORDS + n)).collect();
    let transformed = Transformed {
        outcomes: vec![Outcome::Ok; RECORDS],
        failures: Vec::new(),
        outputs: None,
        payloads: batch.payloads.clone(),
        attributes: None,
    };
    let written = Written {
        outcomes: vec![Outcome::Ok; RECORDS],
        failures: Vec::new(),
        target_ids: Some(targets.clone()),
        receipts: Some(targets),
    };
    let page = Page {
        batch,
        order_keys: None,
        unreadable: Vec::new(),
        checkpoint: Checkpoint(number.to_string().into_bytes()),
        more: if number + 1 == batches { More::End } else { More::More },
    };
    Ok(Answers { page, transformed, written })
}

/// A source, a transformer and a destination, as a route has them that says nothing else.
fn spec() -> Result<RunSpec> {
    let step = |name: &str, role| -> Result<StepSpec> {
        Ok(StepSpec {
            name: StepName::new(name)?,
            role,
            max_batch: u32::try_from(RECORDS)?,
            retry: Retry { attempts: 5, first_ms: 1_000, max_ms: 300_000, total_ms: 3_600_000 },
            breaker: Breaker { failures: 5, open_ms: 30_000, max_ms: 600_000, total_ms: 3_600_000 },
            handlers: Vec::new(),
        })
    };
    let idempotency = Idempotency::NativeKey;
    Ok(RunSpec {
        run: run(),
        route: route()?,
        policy: Policy {
            on_error: OnError::Stop,
            max_failed: None,
            max_failed_ratio: None,
            max_failed_window: 1_000,
            max_faults: 3,
            rollback: Rollback::None,
            rollback_records_max: 100_000,
            log: LogLevel::Ids,
            batch_records: u32::try_from(RECORDS)?,
            batch_bytes: 8 << 20,
            window: 4,
            source: SourceBudget {
                pages_max: u64::MAX,
                records_max: u64::MAX,
                bytes_max: u64::MAX,
                time_max_ms: u64::MAX,
                empty_pages_max: 1_000,
                repeated_pages_max: 1_000,
            },
        },
        steps: vec![
            step("shape", Role::Transformer { pure: true })?,
            step("keep", Role::Destination { idempotency, probes: false, compensates: true })?,
        ],
        entry: Entry::Source { max_batch: u32::try_from(RECORDS)? },
        run_handlers: Vec::new(),
        seed: 1,
    })
}

pub(crate) fn run() -> RunId {
    RunId("run".to_owned())
}

pub(crate) fn route() -> Result<RouteName> {
    Ok(RouteName::new("orders")?)
}
