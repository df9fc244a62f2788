//! What a source gives in one run: within its budget, and never going back.
//!
//! Sources are not believed. One that moves its checkpoint for ever ends by its budget; one that goes back to where it
//! was in this run breaks the contract, and nothing of that page is used.

use super::{Action, Machine, Stop, host_failure};
use crate::codes;
use crate::plan::{Position, SourceBudget};
use crate::ports::{CallError, Exchange, More, Page, PageLimits};
use crossdock_model::{Batch, Checkpoint, ErrorClass, Failure, Fault, FaultKind, StepName, Timestamp};
use std::collections::{HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

/// So many of the last checkpoints of a run are remembered, as hashes; longer ways round end by the budget.
const CHECKPOINTS_REMEMBERED_MAX: usize = 1 << 16;
/// So many of the last pages are, to be recognised when they come again.
const PAGES_REMEMBERED_MAX: usize = 1 << 12;

/// The last values of a long row of them, as hashes.
#[derive(Debug, Default)]
struct Last {
    order: VecDeque<u64>,
    known: HashSet<u64>,
}

impl Last {
    /// Whether it was there already; if not, it is now.
    fn has_or_takes(&mut self, value: &impl Hash, most: usize) -> bool {
        let mut hasher = DefaultHasher::new();
        value.hash(&mut hasher);
        let hash = hasher.finish();
        if !self.known.insert(hash) {
            return true;
        }
        self.order.push_back(hash);
        if self.order.len() > most
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        false
    }
}

/// What was read in this run, and whether that is enough.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// A page was asked for at this time.
    since: Option<Timestamp>,
    pages: u64,
    records: u64,
    bytes: u64,
    time_ms: u64,
    /// Pages without records, one after the other up to now.
    empty_pages: u64,
    /// Pages that held the same records as an earlier one.
    repeated_pages: u64,
    checkpoints: Last,
    ids: Last,
    /// Nothing more is read because of this; what was read is finished before the run ends with it.
    enough: Option<Failure>,
}

impl Reading {
    /// A run that goes on from here.
    pub(super) fn from(position: Option<&Checkpoint>) -> Self {
        let mut reading = Self::default();
        if let Some(checkpoint) = position {
            reading.checkpoints.has_or_takes(&checkpoint.0, CHECKPOINTS_REMEMBERED_MAX);
        }
        reading
    }

    /// A page is being read.
    pub(super) fn is_on(&self) -> bool {
        self.since.is_some()
    }

    /// The answer has come.
    pub(super) fn ends(&mut self, now: Timestamp) {
        if let Some(since) = self.since.take() {
            self.time_ms = self.time_ms.saturating_add(now.ms_since(since));
        }
    }

    /// The rule of the contract that this page breaks, with what came before it.
    pub(super) fn broken(&mut self, before: &Position, page: &Page) -> Option<Fault> {
        let rule = if before.as_ref() == Some(&page.checkpoint) {
            if !page.batch.is_empty() {
                "a page with records that does not move the checkpoint"
            } else if page.more == More::More {
                "it says that there is more, but gives neither records nor an end"
            } else {
                return None;
            }
        } else if self.checkpoints.has_or_takes(&page.checkpoint.0, CHECKPOINTS_REMEMBERED_MAX)
            && page.more == More::More
        {
            "it goes back to a checkpoint that it gave before in this run"
        } else {
            return None;
        };
        Some(Fault::new(FaultKind::BrokenContract, format!("the source broke the contract in read: {rule}")))
    }

    /// Counts a page. If the source has more than it may give in one run, nothing more is read.
    pub(super) fn count(&mut self, page: &Page, budget: &SourceBudget) {
        self.pages += 1;
        self.records += page.batch.len() as u64;
        self.bytes = self.bytes.saturating_add(bytes(&page.batch));
        if page.batch.is_empty() {
            self.empty_pages += 1;
        } else {
            self.empty_pages = 0;
            let ids = (page.batch.ids.data(), page.batch.ids.offsets());
            self.repeated_pages += u64::from(self.ids.has_or_takes(&ids, PAGES_REMEMBERED_MAX));
        }
        if page.more == More::More {
            self.enough = self.over(budget);
        }
    }

    fn over(&self, budget: &SourceBudget) -> Option<Failure> {
        let limits = [
            ("pages", self.pages, budget.pages_max),
            ("records", self.records, budget.records_max),
            ("bytes", self.bytes, budget.bytes_max),
            ("time", self.time_ms, budget.time_max_ms),
            ("empty_pages", self.empty_pages, budget.empty_pages_max),
            ("repeated_pages", self.repeated_pages, budget.repeated_pages_max),
        ];
        let (name, _, most) = limits.into_iter().find(|(_, used, most)| used >= most)?;
        let unit = if name == "time" { " ms" } else { "" };
        let message = format!(
            "the source says that there is more, and has given all that its budget allows in one run: {name} = \
             {most}{unit}; this run has read {} records in {} pages, {} bytes in {} ms; all of them have come to \
             something, and the next run goes on behind them",
            self.records, self.pages, self.bytes, self.time_ms
        );
        Some(Failure::new(codes::SOURCE_OVER_BUDGET.name, message))
    }
}

/// What a page takes: ids, payloads and attributes.
fn bytes(batch: &Batch) -> u64 {
    let attributes = batch.attributes.iter().map(|attribute| &attribute.values);
    [&batch.ids, &batch.payloads].into_iter().chain(attributes).map(|column| column.data().len() as u64).sum()
}

impl Machine {
    pub(super) fn read_page(&mut self, max_batch: u32) {
        let most = self.spec.steps.iter().map(|step| step.max_batch).chain([max_batch, self.spec.policy.batch_records]);
        let most = if self.careful > 0 { 1 } else { most.min().unwrap_or(1).max(1) };
        let left = self.spec.policy.source.records_max.saturating_sub(self.reading.records).max(1);
        let limits = PageLimits {
            max_records: most.min(u32::try_from(left).unwrap_or(u32::MAX)),
            max_bytes: self.spec.policy.batch_bytes.max(1),
        };
        self.reading.since = Some(self.now);
        self.actions.push(Action::Read(self.position.clone(), limits));
    }

    /// Nothing more is read although there is more.
    pub(super) fn has_enough(&self) -> bool {
        self.reading.enough.is_some()
    }

    /// All that was read has come to something: if there was more than the source may give in one run, the run has
    /// failed. One that was stopped before has another reason.
    pub(super) fn stop_if_over_budget(&mut self) {
        if let Some(reason) = self.reading.enough.take().filter(|_| !self.is_stopping()) {
            self.stop_for(ErrorClass::NeedsOperator, reason);
        }
    }

    /// What a call that gave no answer means for a source.
    pub(super) fn stop_for_source(&mut self, error: CallError, sent: &[Exchange]) {
        let source = StepName::source();
        let (class, reason) = match error {
            CallError::Refused { kind, failure } => (Some(kind.class()), failure),
            CallError::Fault(fault) => {
                self.note_fault(&source, &fault, sent);
                (None, fault.failure())
            }
            CallError::Host(error) => (Some(error.class), host_failure(&error)),
        };
        self.note_refused(&source, format!("reading failed: {}", reason.message), sent);
        self.stop.get_or_insert(Stop { reason, class });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUDGET: SourceBudget = SourceBudget {
        pages_max: 100,
        records_max: 100,
        bytes_max: 100,
        time_max_ms: 30,
        empty_pages_max: 100,
        repeated_pages_max: 100,
    };

    fn page(checkpoint: &str) -> Page {
        let checkpoint = Checkpoint(checkpoint.as_bytes().to_vec());
        Page { batch: Batch::default(), order_keys: None, unreadable: vec![], checkpoint, more: More::More }
    }

    #[test]
    fn only_reading_takes_time() {
        let mut reading = Reading::from(None);
        let mut read = |from, until| {
            reading.since = Some(Timestamp(from));
            reading.ends(Timestamp(until));
            reading.count(&page("a"), &BUDGET);
            reading.enough.clone().map(|reason| reason.message)
        };
        assert_eq!(read(0, 10), None);
        assert_eq!(read(1_000, 1_019), None);
        assert!(read(2_000, 2_001).is_some_and(|message| message.contains("time = 30 ms;")));
    }

    #[test]
    fn what_is_remembered_has_a_limit() {
        let mut last = Last::default();
        assert!((0..10).all(|n| !last.has_or_takes(&n, 3)));
        assert_eq!((last.order.len(), last.known.len()), (3, 3));
        assert!(last.has_or_takes(&9, 3) && !last.has_or_takes(&1, 3));
    }
}
