//! Calls to a ledger whose every change of files is recorded, and how each of them is looked for afterwards.

use crate::image::Dice;
use crate::open;
use crate::shim::{Op, Recording};
use crate::suite::{block, end, fine, intent, route, row, start, step, with_row};
use crossdock_engine::ports::*;
use crossdock_ledger::*;
use crossdock_model::*;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// One call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Call {
    Begin {
        run: String,
    },
    Intend {
        id: String,
    },
    Fine {
        ids: Vec<String>,
    },
    Row {
        id: String,
        payload: Vec<u8>,
    },
    Skip {
        id: String,
    },
    /// Ok records that are old enough to be pruned.
    Old {
        ids: Vec<String>,
    },
    Prune,
    End {
        run: String,
    },
}

/// A call that was made, and how many changes of files there were when its answer was there.
#[derive(Debug, Clone)]
pub(crate) struct Done {
    pub(crate) number: usize,
    pub(crate) call: Call,
    pub(crate) acknowledged: Option<usize>,
}

/// Content that does not compress, different for every record.
fn noise(dice: &mut Dice) -> Vec<u8> {
    let len = 200 + dice.below(9_000);
    (0..len).map(|_| u8::try_from(dice.below(256)).unwrap()).collect()
}

struct Workload<'a> {
    recording: &'a Recording,
    calls: Vec<Done>,
    dice: Dice,
    batch: u64,
}

/// How the calls are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// As ever.
    Usual,
    /// With `synchronous = NORMAL`.
    Weak,
    /// On a disk that is full again and again for a moment.
    Full,
}

/// Does a few hundred calls to a new ledger in `dir`, with one ordinary end of the process in the middle.
pub(crate) fn record(dir: &Path, seed: u64, kind: Kind) -> (Vec<Op>, Vec<Done>) {
    let recording = Recording::of(dir, kind == Kind::Weak);
    let mut work = Workload { recording: &recording, calls: Vec::new(), dice: Dice::new(seed), batch: 0 };
    for opening in 0..2 {
        let store = open(dir);
        recording.fill_disk(if kind == Kind::Full { 101 } else { 0 });
        for n in 0..2 {
            work.run(&store, &format!("run-{opening}-{n}"));
        }
        let refused = recording.fill_disk(0);
        assert_eq!(refused > 20, kind == Kind::Full, "{refused} writes found the disk full");
    }
    let calls = work.calls;
    (recording.finish(), calls)
}

impl Workload<'_> {
    fn note(&mut self, call: Call) {
        let number = self.calls.len();
        self.calls.push(Done { number, call, acknowledged: None });
    }

    fn acknowledge_all(&mut self) {
        let now = self.recording.len();
        self.calls.iter_mut().filter(|done| done.acknowledged.is_none()).for_each(|done| done.acknowledged = Some(now));
    }

    fn run(&mut self, store: &LedgerStore, run: &str) {
        self.note(Call::Begin { run: run.to_owned() });
        block(store.begin_run(start(run))).unwrap();
        self.acknowledge_all();
        let (mut read, mut counts) = (0, Counts::default());
        for _ in 0..30 {
            // Several calls in line at once, most of them in one transaction.
            let mut waiting: Vec<PortFuture<'static, Result<(), PortError>>> = Vec::new();
            for _ in 0..=self.dice.below(5) {
                self.batch += 1;
                waiting.extend(self.batch(store, run, &mut read, &mut counts));
            }
            for answer in waiting {
                block(answer).unwrap();
            }
            self.acknowledge_all();
            self.decide(store);
        }
        self.prune(store);
        let counts: Vec<(Status, i64)> = counts.iter().collect();
        self.note(Call::End { run: run.to_owned() });
        block(store.end_run(end(run, RunStatus::CompletedWithFailures, read, &counts))).unwrap();
        self.acknowledge_all();
    }

    fn batch(
        &mut self,
        store: &LedgerStore,
        run: &str,
        read: &mut u64,
        counts: &mut Counts,
    ) -> Vec<PortFuture<'static, Result<(), PortError>>> {
        let batch = self.batch;
        let id = format!("id-{batch}");
        let mut waiting = Vec::new();
        if self.dice.one_in(4) {
            let ids: Vec<String> = (0..30).map(|n| format!("old-{batch}-{n}")).collect();
            let mut commit = fine(run, 1_000_000 + batch, &ids.iter().map(String::as_str).collect::<Vec<_>>());
            if let Some(chunk) = &mut commit.chunk {
                chunk.payloads = Some(ids.iter().map(|_| noise(&mut self.dice)[..200].to_vec()).collect());
            }
            (*read, ()) = (*read + ids.len() as u64, counts.add(Status::Ok, i64::try_from(ids.len()).unwrap()));
            self.note(Call::Old { ids });
            waiting.push(store.commit(BatchCommit { at: Timestamp(1), ..commit }));
        }
        self.note(Call::Intend { id: id.clone() });
        waiting.push(store.intend(intent(run, batch, &[&id], true)));
        match self.dice.below(6) {
            // Never answered: in doubt when the run ends.
            0 => {}
            1 | 2 => {
                let payload = noise(&mut self.dice);
                let mut commit = with_row(
                    run,
                    batch,
                    RecordRow { payload: Payload::Kept(payload.clone()), ..row(&id, Status::Failed) },
                );
                commit.state = vec![(step("erp"), StateWrite { key: "last".into(), value: Some(id.clone().into()) })];
                commit.events = vec![Event {
                    at: Timestamp(3),
                    kind: EventKind::RecordFailed,
                    run: Some(RunId(run.into())),
                    step: Some(step("erp")),
                    record: Some(RecordId(id.clone())),
                    message: "refused".into(),
                    data: serde_json::Value::Null,
                }];
                (*read, ()) = (*read + 1, counts.add(Status::Failed, 1));
                self.note(Call::Row { id, payload });
                waiting.push(store.commit(commit));
            }
            _ => {
                let others = self.dice.below(40);
                let ids: Vec<String> =
                    std::iter::once(id).chain((0..others).map(|n| format!("id-{batch}-{n}"))).collect();
                let commit = fine(run, batch, &ids.iter().map(String::as_str).collect::<Vec<_>>());
                (*read, ()) = (*read + ids.len() as u64, counts.add(Status::Ok, i64::try_from(ids.len()).unwrap()));
                self.note(Call::Fine { ids });
                waiting.push(store.commit(commit));
            }
        }
        waiting
    }

    /// Removes what is old, in many transactions, and gives the pages back.
    fn prune(&mut self, store: &LedgerStore) {
        self.note(Call::Prune);
        let old = Retention { chunks_ms: Some(1_000), settled_ms: None, ..Retention::default() };
        let report = block(store.prune(old, Timestamp(1_500))).unwrap();
        assert!(report.chunk_records > 0 && report.bytes_freed > 0, "{report:?}");
        self.acknowledge_all();
    }

    /// Has an operator skip a record that failed.
    fn decide(&mut self, store: &LedgerStore) {
        let skipped: BTreeSet<String> = self
            .calls
            .iter()
            .filter_map(|done| if let Call::Skip { id } = &done.call { Some(id.clone()) } else { None })
            .collect();
        let failed = self.calls.iter().filter_map(|done| match &done.call {
            Call::Row { id, .. } if !skipped.contains(id) => Some(id.clone()),
            _ => None,
        });
        let failed: Vec<String> = failed.collect();
        if failed.is_empty() || !self.dice.one_in(3) {
            return;
        }
        let id = failed[self.dice.below(failed.len())].clone();
        self.note(Call::Skip { id: id.clone() });
        let decision = Decision {
            status: Status::Skipped,
            reason: "not wanted".into(),
            target_id: None,
            destinations: vec![],
            at: Timestamp(4_000),
        };
        block(store.decide(route(), vec![RecordId(id)], decision)).unwrap();
        self.acknowledge_all();
    }
}

/// What a ledger holds.
pub(crate) struct Found {
    pub(crate) records: BTreeMap<String, (Status, Option<Vec<u8>>)>,
    runs: BTreeMap<String, RunSummary>,
    events: BTreeSet<String>,
    last: Option<String>,
    /// How many prunings were told of, and how many records they removed.
    prunings: usize,
    pruned: u64,
}

impl Found {
    pub(crate) fn read(store: &LedgerStore) -> Result<Self, LedgerError> {
        let reader = store.reader()?;
        let mut records = BTreeMap::new();
        let mut with_row = Vec::new();
        for record in reader.records(&RecordFilter::default(), 10_000, None)?.items {
            if record.version > 0 {
                with_row.push(record.id.clone());
            }
            records.insert(record.id.0, (record.status, None));
        }
        for row in block(store.load(route(), with_row)).unwrap() {
            if let Payload::Kept(payload) = row.payload {
                records.insert(row.id.0, (row.status, Some(payload)));
            }
        }
        let runs = reader.runs(None, 100, None)?.items;
        let events = reader.events(&EventFilter::default(), EventOrder::OldestFirst, 10_000, None)?.items;
        let prunings = events.iter().filter(|logged| logged.event.kind == EventKind::LedgerPruned).count();
        let failed = events.into_iter().filter(|logged| logged.event.kind == EventKind::RecordFailed);
        let state = block(store.state(route(), step("erp"))).unwrap();
        Ok(Self {
            records,
            runs: runs.into_iter().map(|run| (run.run.0.clone(), run)).collect(),
            events: failed.filter_map(|logged| logged.event.record).map(|record| record.0).collect(),
            prunings,
            pruned: reader.pruned()?.iter().map(|pruned| pruned.records).sum(),
            last: state.into_iter().next().map(|(_, value)| String::from_utf8(value).unwrap()),
        })
    }

    fn status(&self, id: &str) -> Option<Status> {
        self.records.get(id).map(|(status, _)| *status)
    }

    /// Whether a call has taken effect; `None`: a later one may have covered it.
    pub(crate) fn has(&self, done: &Done, all: &[Done]) -> Option<bool> {
        let (call, earlier, later) = (&done.call, &all[..done.number], &all[done.number + 1..]);
        Some(match call {
            Call::Begin { run } => self.runs.contains_key(run),
            Call::Intend { id } => self.records.contains_key(id),
            Call::Fine { ids } => ids.iter().all(|id| self.status(id) == Some(Status::Ok)),
            Call::Row { id, payload } => {
                let Some((status, kept)) = self.records.get(id) else { return Some(false) };
                let skipped = later.iter().any(|done| done.call == Call::Skip { id: id.clone() });
                match status {
                    Status::Failed => kept.as_ref() == Some(payload),
                    Status::Skipped => skipped,
                    _ => false,
                }
            }
            Call::Skip { id } => self.status(id) == Some(Status::Skipped),
            // What is old goes at any time after pruning has begun: see `old_missing`.
            Call::Old { .. } => return None,
            Call::Prune => {
                let before = earlier.iter().filter(|done| done.call == Call::Prune).count();
                let gone = |done: &Done| match &done.call {
                    Call::Old { ids } => !ids.iter().any(|id| self.records.contains_key(id)),
                    _ => true,
                };
                self.prunings > before && earlier.iter().all(gone)
            }
            Call::End { run } => self.runs.get(run).is_some_and(|run| run.status == RunStatus::CompletedWithFailures),
        })
    }

    /// How many old records were acknowledged before the cut and are neither there nor noted as pruned.
    pub(crate) fn old_missing(&self, calls: &[Done], cut: usize) -> u64 {
        let acknowledged = calls.iter().filter(|done| done.acknowledged.is_some_and(|at| at <= cut));
        let old: u64 =
            acknowledged.map(|done| if let Call::Old { ids } = &done.call { ids.len() as u64 } else { 0 }).sum();
        let there = self.records.keys().filter(|id| id.starts_with("old-")).count() as u64;
        old.saturating_sub(there + self.pruned)
    }

    /// What is there in part: every commit is there with all that belongs to it, or not at all.
    pub(crate) fn half(&self, calls: &[Done]) -> Option<String> {
        let mut last = None;
        for done in calls {
            match &done.call {
                Call::Fine { ids } | Call::Old { ids } => {
                    let there = ids.iter().filter(|id| self.status(id) == Some(Status::Ok)).count();
                    if there != 0 && there != ids.len() {
                        return Some(format!("{there} records of {:?}", done.call));
                    }
                }
                Call::Row { id, .. } => {
                    let there = matches!(self.status(id), Some(Status::Failed | Status::Skipped));
                    if there != self.events.contains(id) {
                        return Some(format!("record {id} or its event is there, not both"));
                    }
                    if there {
                        last = Some(id.clone());
                    }
                }
                _ => {}
            }
        }
        (last != self.last).then(|| format!("the plugin's state says {:?}, the last commit is {last:?}", self.last))
    }
}
