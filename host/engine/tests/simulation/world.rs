//! The world outside: a source that can be read again, transformers, and other systems that remember every effect.

mod undo;

use crate::rng::{Rng, mix};
use crossdock_engine::plan::Role;
use crossdock_engine::ports::{
    CallError, CallResult, Exchange, Idempotency, More, Page, PageLimits, Probed, RefusalKind, Transformed,
    WriteOptions, Written,
};
use crossdock_model::{Batch, Checkpoint, Column, Failure, Fault, FaultKind, Outcome, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// What a step does with a record, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Say {
    Ok,
    Unchanged,
    Drop,
    Reject,
    /// With the wait that is asked for, in milliseconds.
    Retry(Option<u64>),
    Unauthorized,
    /// The answer is lost; the effect took place or not.
    Unknown(bool),
    /// The whole call faults; at a destination the record took effect or not.
    Fault(bool),
    /// Into so many parts.
    Split(u32),
}

/// What a step does with a record: these in turn, then the last one again and again.
#[derive(Debug, Clone)]
pub(crate) struct Fate {
    pub(crate) first: Vec<Say>,
    pub(crate) then: Say,
}

/// A connector that cannot be used for a while.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outage {
    pub(crate) step: usize,
    pub(crate) from: i64,
    pub(crate) until: i64,
}

/// How the world misbehaves.
#[derive(Debug, Clone)]
pub(crate) enum Manners {
    /// As these say; everything else is fine.
    Scripted {
        fates: BTreeMap<(String, usize), Fate>,
        /// The same for undoing.
        undos: BTreeMap<(String, usize), Fate>,
    },
    /// By chance, one record in so many.
    Random { seed: u64, trouble_in: u64, splits: bool },
}

/// How a source lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lie {
    /// There is more, always, and never a record.
    Empty,
    /// It goes back to where it was, with records that it gave before.
    Back,
    /// It says that this is all, or that nothing is there at the moment.
    End,
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) manners: Manners,
    pub(crate) steps: Vec<Role>,
    pub(crate) records: usize,
    /// What passes by itself has passed, and destinations accept everything.
    pub(crate) healed: bool,
    /// Once in so many calls a call as a whole goes wrong; 0 is never.
    pub(crate) call_trouble_in: u64,
    /// Whether connectors say that they can be used.
    pub(crate) checks_ok: Option<bool>,
    /// Checks say in turn that they can and cannot be used, beginning with cannot.
    pub(crate) checks_alternate: bool,
    checks: u32,
    /// Virtual time, as the player has it.
    pub(crate) now: i64,
    pub(crate) outages: Vec<Outage>,
    /// The source orders records by so many keys; 0 is not at all.
    pub(crate) order_keys: usize,
    /// A process that gives this record to this step dies.
    pub(crate) kills: Option<(usize, String)>,
    /// Sometimes the source lies like this, until all is healed.
    pub(crate) lie: Option<Lie>,
    /// Checkpoints that the source gave in this run, and the one that it began with.
    pub(crate) given: Vec<Checkpoint>,
    /// Written in a call that ended in a fault, and in no attempt that anybody knows of yet.
    pub(crate) sent: BTreeSet<(usize, String)>,
    tries: BTreeMap<(String, usize), usize>,
    undo_tries: BTreeMap<(String, usize), usize>,
    /// How often each record took effect at each step, by idempotency key.
    effects: BTreeMap<(usize, String), BTreeMap<Vec<u8>, u32>>,
    /// Which records transformers let pass.
    passed: BTreeSet<(usize, String)>,
    /// Everything that ever took effect.
    ever: BTreeSet<(usize, String, Vec<u8>)>,
    /// What was undone, in order.
    pub(crate) undone: Vec<(usize, String)>,
    /// Of these it was, at some time, unknown whether they were applied.
    pub(crate) doubted: BTreeSet<(usize, String)>,
    pub(crate) rng: Rng,
}

fn answer<T>(value: T) -> CallResult<T> {
    CallResult::plain(value)
}

pub(crate) fn fault<T>() -> CallResult<T> {
    CallError::Fault(Fault::new(FaultKind::Trap, "it trapped")).into()
}

fn refused<T>(kind: RefusalKind) -> CallResult<T> {
    CallError::Refused { kind, failure: Failure::new("refused", "not now") }.into()
}

impl World {
    pub(crate) fn new(manners: Manners, steps: Vec<Role>, records: usize, seed: u64) -> Self {
        Self {
            manners,
            steps,
            records,
            healed: false,
            call_trouble_in: 0,
            checks_ok: None,
            checks_alternate: false,
            checks: 0,
            now: 0,
            outages: Vec::new(),
            order_keys: 0,
            kills: None,
            lie: None,
            given: Vec::new(),
            sent: BTreeSet::new(),
            tries: BTreeMap::new(),
            undo_tries: BTreeMap::new(),
            effects: BTreeMap::new(),
            passed: BTreeSet::new(),
            ever: BTreeSet::new(),
            undone: Vec::new(),
            doubted: BTreeSet::new(),
            rng: Rng::new(seed),
        }
    }

    pub(crate) fn fate(&self, id: &str, step: usize) -> Fate {
        let fine = Fate { first: vec![], then: Say::Ok };
        let (seed, trouble_in, splits) = match &self.manners {
            Manners::Scripted { fates, .. } => return fates.get(&(id.to_owned(), step)).cloned().unwrap_or(fine),
            Manners::Random { seed, trouble_in, splits } => (*seed, *trouble_in, *splits),
        };
        let mut rng = Rng::new(mix(seed, id, step as u64));
        if !rng.one_in(trouble_in) {
            return fine;
        }
        let mut fate = fine;
        match self.steps[step] {
            Role::Transformer { pure } => match rng.below(7) {
                0 | 1 => fate.then = Say::Drop,
                2 => fate.then = Say::Reject,
                3 if splits => fate.then = Say::Split(rng.between(2, 3) as u32),
                4 if pure => fate.then = Say::Fault(false),
                5 => fate.first.push(Say::Fault(false)),
                _ => fate.first.extend((0..rng.between(1, 4)).map(|_| Say::Retry(None))),
            },
            Role::Destination { .. } => {
                for _ in 0..rng.between(1, 3) {
                    fate.first.push(match rng.below(9) {
                        0 => Say::Retry(Some(rng.between(1, 400))),
                        1 | 2 => Say::Retry(None),
                        3 => Say::Unauthorized,
                        4 | 5 => Say::Unknown(rng.one_in(2)),
                        6 | 7 => Say::Fault(rng.one_in(2)),
                        _ => Say::Unchanged,
                    });
                }
                fate.then = if rng.one_in(4) { Say::Reject } else { Say::Ok };
            }
        }
        fate
    }

    fn is_down(&self, step: usize) -> bool {
        !self.healed && self.outages.iter().any(|o| o.step == step && (o.from..o.until).contains(&self.now))
    }

    fn say(&self, id: &str, step: usize) -> Say {
        let fate = self.fate(id, step);
        if self.healed {
            return if matches!(self.steps[step], Role::Destination { .. }) { Say::Ok } else { fate.then };
        }
        let tried = self.tries.get(&(id.to_owned(), step)).copied().unwrap_or(0);
        fate.first.get(tried).copied().unwrap_or(fate.then)
    }

    fn tried(&mut self, id: &str, step: usize) {
        *self.tries.entry((id.to_owned(), step)).or_default() += 1;
    }

    /// What the source calls a record, by its place.
    pub(crate) fn record_id(index: usize) -> String {
        format!("r{index}")
    }

    pub(crate) fn is_unreadable(&self, index: usize) -> bool {
        match &self.manners {
            Manners::Scripted { .. } => false,
            Manners::Random { seed, trouble_in, .. } => {
                mix(*seed, &Self::record_id(index), 999).is_multiple_of(trouble_in * 4)
            }
        }
    }

    /// Where in the source a checkpoint is.
    pub(crate) fn place(checkpoint: Option<&Checkpoint>) -> usize {
        let text = checkpoint.map(|checkpoint| String::from_utf8_lossy(&checkpoint.0).into_owned());
        text.and_then(|text| text.split('+').next()?.parse().ok()).unwrap_or(0)
    }

    pub(crate) fn read(&mut self, from: Option<&Checkpoint>, limits: PageLimits) -> CallResult<Page> {
        if self.goes_wrong() {
            return if self.rng.one_in(3) { fault() } else { refused(RefusalKind::Unavailable) };
        }
        let start = Self::place(from);
        let lie = self.lie.filter(|_| !self.healed && self.rng.one_in(2));
        if let Some(page) = lie.and_then(|lie| self.lying_page(lie, start)) {
            return answer(page);
        }
        let left = self.records.saturating_sub(start);
        let again = from.is_some_and(|checkpoint| checkpoint.0.ends_with(b"+"));
        let empty = left == 0 || (!again && self.rng.one_in(12));
        let most = left.min(limits.max_records as usize);
        let count = if empty { 0 } else { 1 + self.rng.below(most) };
        let end = start + count;
        let mut batch = Batch::default();
        let mut unreadable = Vec::new();
        for index in start..end {
            let id = Self::record_id(index);
            let _ = batch.ids.try_push(id.as_bytes());
            let _ = batch.payloads.try_push(id.as_bytes());
            if self.is_unreadable(index) {
                unreadable.push(((index - start) as u32, Failure::new("unreadable", "not a record")));
            }
        }
        let more = match end == self.records {
            false => More::More,
            true if !empty && self.rng.one_in(3) => More::More,
            true => *self.rng.pick(&[More::Idle, More::End]),
        };
        let more = if lie == Some(Lie::End) { *self.rng.pick(&[More::Idle, More::End]) } else { more };
        let checkpoint = match from {
            Some(from) if left == 0 => from.clone(),
            _ if empty => Checkpoint(format!("{end}+").into_bytes()),
            _ => Checkpoint(end.to_string().into_bytes()),
        };
        self.given.push(checkpoint.clone());
        let keys = (start..end).map(|index| self.order_key(&Self::record_id(index)).unwrap_or_default());
        let order_keys = (self.order_keys > 0).then(|| keys.collect());
        answer(Page { batch, order_keys, unreadable, checkpoint, more })
    }

    fn lying_page(&mut self, lie: Lie, start: usize) -> Option<Page> {
        let mut batch = Batch::default();
        let checkpoint = match lie {
            Lie::End => return None,
            Lie::Empty => Checkpoint(format!("{start}+{}", self.given.len()).into_bytes()),
            Lie::Back if self.given.is_empty() => return None,
            Lie::Back => {
                let given = self.given.clone();
                let back = self.rng.pick(&given).clone();
                if self.rng.one_in(2) && start > 0 {
                    let id = Self::record_id(self.rng.below(start));
                    let _ = batch.ids.try_push(id.as_bytes());
                    let _ = batch.payloads.try_push(id.as_bytes());
                }
                back
            }
        };
        self.given.push(checkpoint.clone());
        Some(Page { batch, order_keys: None, unreadable: vec![], checkpoint, more: More::More })
    }

    /// The source is told what is durable. What it makes of that is nobody's business but its own.
    pub(crate) fn ack(&mut self) -> CallResult<()> {
        match self.goes_wrong() {
            true if self.rng.one_in(2) => fault(),
            true => refused(RefusalKind::Internal),
            false => answer(()),
        }
    }

    /// What the source orders a record by; parts of a split are ordered as it is.
    pub(crate) fn order_key(&self, id: &str) -> Option<Vec<u8>> {
        let place = crate::rules::order_of(id)[0] as usize;
        place.checked_rem(self.order_keys).map(|key| format!("k{key}").into_bytes())
    }

    /// Whether a process that gives these records to a step dies of it.
    pub(crate) fn is_deadly(&self, step: usize, batch: &Batch) -> bool {
        let deadly = self.kills.as_ref().filter(|(at, _)| *at == step && !self.healed);
        deadly.is_some_and(|(_, id)| batch.ids.iter().any(|other| other == id.as_bytes()))
    }

    fn goes_wrong(&mut self) -> bool {
        self.call_trouble_in > 0 && self.rng.one_in(self.call_trouble_in)
    }

    pub(crate) fn transform(&mut self, step: usize, batch: &Batch) -> CallResult<Transformed> {
        if self.goes_wrong() {
            return if self.rng.one_in(6) { refused(RefusalKind::Internal) } else { refused(RefusalKind::Unavailable) };
        }
        let ids: Vec<String> = (0..batch.len()).map(|at| batch.ids.text(at).into_owned()).collect();
        if let Some(id) = ids.iter().find(|id| matches!(self.say(id, step), Say::Fault(_))) {
            self.tried(id, step);
            return fault();
        }
        let (mut outcomes, mut failures, mut outputs) = (vec![], vec![], vec![]);
        let mut payloads = Column::new();
        for (at, id) in ids.iter().enumerate() {
            let mut output = 0;
            let outcome = match self.say(id, step) {
                Say::Drop => Outcome::Dropped,
                Say::Reject => Outcome::Rejected,
                Say::Retry(_) => Outcome::Retryable,
                Say::Split(parts) => {
                    output = parts;
                    for part in 1..=parts {
                        let _ = payloads.try_push(format!("{}|{step}#{part}", batch.payloads.text(at)).as_bytes());
                    }
                    Outcome::Ok
                }
                _ => {
                    output = 1;
                    let _ = payloads.try_push(format!("{}|{step}", batch.payloads.text(at)).as_bytes());
                    Outcome::Ok
                }
            };
            self.tried(id, step);
            if matches!(outcome, Outcome::Ok | Outcome::Dropped) {
                self.passed.insert((step, id.clone()));
            }
            if outcome.needs_failure() {
                failures.push((at as u32, Failure::new("said-no", "the transformer said no")));
            }
            outcomes.push(outcome);
            outputs.push(output);
        }
        let plain = outputs.iter().zip(&outcomes).all(|(n, outcome)| *n == u32::from(*outcome == Outcome::Ok));
        answer(Transformed { outcomes, failures, outputs: (!plain).then_some(outputs), payloads, attributes: None })
    }

    /// The content that a record must have when it is given to a step.
    pub(crate) fn content(&self, id: &str, step: usize) -> String {
        let mut parts = id.split('/');
        let mut now = parts.next().unwrap_or_default().to_owned();
        let mut content = now.clone();
        for before in 0..step {
            if !matches!(self.steps[before], Role::Transformer { .. }) {
                continue;
            }
            content.push_str(&format!("|{before}"));
            if matches!(self.fate(&now, before).then, Say::Split(_)) {
                let part = parts.next().unwrap_or("?");
                content.push_str(&format!("#{part}"));
                now = format!("{now}/{part}");
            }
        }
        content
    }

    fn apply(&mut self, step: usize, id: &str, key: &[u8]) -> Result<(), String> {
        let Role::Destination { idempotency, .. } = self.steps[step] else {
            return Err(format!("step {step} is no destination"));
        };
        self.ever.insert((step, id.to_owned(), key.to_vec()));
        let effects = self.effects.entry((step, id.to_owned())).or_default();
        match idempotency {
            Idempotency::NativeKey => {
                effects.insert(key.to_vec(), 1);
            }
            Idempotency::Upsert => {
                effects.clear();
                effects.insert(key.to_vec(), 1);
            }
            _ => *effects.entry(key.to_vec()).or_default() += 1,
        }
        let count: u32 = effects.values().sum();
        if count > 1 { Err(format!("{id} took effect {count} times at step {step}")) } else { Ok(()) }
    }

    /// How often a record took effect at a step.
    pub(crate) fn effects(&self, step: usize, id: &str) -> u32 {
        self.effects.get(&(step, id.to_owned())).map_or(0, |effects| effects.values().sum())
    }

    /// Who took effect at a step, in the order of the source.
    pub(crate) fn applied_at(&self, step: usize) -> Vec<String> {
        let here = self.effects.iter().filter(|((at, _), effects)| *at == step && !effects.is_empty());
        let mut ids: Vec<String> = here.map(|((_, id), _)| id.clone()).collect();
        ids.sort_by_key(|id| crate::rules::order_of(id));
        ids
    }

    pub(crate) fn has_passed(&self, step: usize, id: &str) -> bool {
        self.passed.contains(&(step, id.to_owned()))
    }

    /// Whether a record has ever taken effect at a step under this key.
    pub(crate) fn has_ever_applied(&self, step: usize, id: &str, key: &[u8]) -> bool {
        self.ever.contains(&(step, id.to_owned(), key.to_vec()))
    }

    /// Whether what a record did at a step under this key is there now.
    pub(crate) fn is_applied(&self, step: usize, id: &str, key: &[u8]) -> bool {
        self.effects.get(&(step, id.to_owned())).is_some_and(|effects| effects.contains_key(key))
    }

    fn recognises(&self, step: usize) -> bool {
        let recognising = [Idempotency::NativeKey, Idempotency::Upsert];
        matches!(self.steps[step], Role::Destination { idempotency, .. } if recognising.contains(&idempotency))
    }

    /// Records of a write whose answer nobody will read: some took effect, in order.
    pub(crate) fn write_unheard(&mut self, step: usize, batch: &Batch, keys: &Column) -> Result<(), String> {
        let far = self.rng.below(batch.len() + 1);
        for at in 0..batch.len() {
            let id = batch.ids.text(at).into_owned();
            self.doubted.insert((step, id.clone()));
            if at < far && matches!(self.say(&id, step), Say::Ok | Say::Unknown(true) | Say::Fault(true)) {
                self.apply(step, &id, keys.get(at).unwrap_or_default())?;
            } else if at < far {
                return Ok(());
            }
        }
        Ok(())
    }

    /// # Errors
    /// When something took effect twice.
    pub(crate) fn write(
        &mut self,
        step: usize,
        batch: &Batch,
        keys: &Column,
        options: WriteOptions,
    ) -> Result<CallResult<Written>, String> {
        let down = self.is_down(step);
        if (down && self.rng.one_in(2)) || self.goes_wrong() {
            let kinds = [RefusalKind::Unavailable, RefusalKind::Internal, RefusalKind::Unauthorized];
            return Ok(refused(kinds[self.rng.below(7).saturating_sub(4)]));
        }
        let short = self.goes_wrong().then(|| self.rng.below(batch.len()));
        let mut written = Written { outcomes: vec![], failures: vec![], target_ids: None, receipts: None };
        let (mut target_ids, mut receipts) = (Column::new(), Column::new());
        let mut over = false;
        for at in 0..batch.len() {
            let id = batch.ids.text(at).into_owned();
            let key = keys.get(at).unwrap_or_default();
            over |= short.is_some_and(|short| at >= short);
            let said = if down { Say::Retry(None) } else { self.say(&id, step) };
            let outcome = match said {
                _ if over => Outcome::Untouched,
                Say::Fault(applied) => {
                    self.tried(&id, step);
                    for before in 0..batch.len() {
                        self.doubted.insert((step, batch.ids.text(before).into_owned()));
                    }
                    if applied {
                        self.apply(step, &id, key)?;
                    }
                    return Ok(self.fault_after(step, batch, at));
                }
                Say::Unknown(applied) => {
                    self.doubted.insert((step, id.clone()));
                    if applied {
                        self.apply(step, &id, key)?;
                    }
                    Outcome::Unknown
                }
                Say::Reject if !(self.recognises(step) && self.effects(step, &id) > 0) => Outcome::Rejected,
                Say::Retry(_) => Outcome::Retryable,
                Say::Unauthorized => Outcome::Unauthorized,
                _ => {
                    self.apply(step, &id, key)?;
                    if said == Say::Unchanged { Outcome::Unchanged } else { Outcome::Ok }
                }
            };
            let success = outcome.is_success();
            if success {
                self.sent.remove(&(step, id.clone()));
            }
            let _ = target_ids.try_push(if success { format!("{id}@{step}") } else { String::new() }.as_bytes());
            let _ = receipts.try_push(if success { receipt(&id, key) } else { String::new() }.as_bytes());
            if outcome != Outcome::Untouched && !down {
                self.tried(&id, step);
            }
            if outcome.needs_failure() {
                let retry_after_ms = if let Say::Retry(ms) = said { ms } else { None };
                let failure = Failure { retry_after_ms, ..Failure::new("said-no", "the destination said no") };
                written.failures.push((at as u32, failure));
            }
            over |= options.stop_at_first_failure && !success;
            written.outcomes.push(outcome);
        }
        (written.target_ids, written.receipts) = (Some(target_ids), Some(receipts));
        Ok(answer(written))
    }

    /// A fault in the midst of a write: what was sent up to there is known.
    fn fault_after(&mut self, step: usize, batch: &Batch, last: usize) -> CallResult<Written> {
        let mut result = fault();
        for at in 0..=last {
            self.sent.insert((step, batch.ids.text(at).into_owned()));
            result.trace.exchanges.push(Exchange {
                at: Timestamp(self.now),
                record: Some(at as u32),
                method: "POST".into(),
                url: format!("https://s{step}/"),
                status: (at < last).then_some(200),
                error: None,
                took_ms: 1,
                bytes: 0,
            });
        }
        result
    }

    pub(crate) fn probe(&mut self, step: usize, batch: &Batch, keys: &Column) -> CallResult<Probed> {
        if self.is_down(step) || self.goes_wrong() {
            return if self.rng.one_in(3) { fault() } else { refused(RefusalKind::Unavailable) };
        }
        let mut probed = Probed { outcomes: vec![], failures: vec![], target_ids: None, receipts: None };
        let (mut target_ids, mut receipts) = (Column::new(), Column::new());
        for at in 0..batch.len() {
            let id = batch.ids.text(at).into_owned();
            let key = keys.get(at).unwrap_or_default();
            let found = self.is_applied(step, &id, key);
            let outcome = match found {
                _ if self.goes_wrong() => Outcome::Retryable,
                true => Outcome::Ok,
                false => Outcome::Dropped,
            };
            if outcome == Outcome::Retryable {
                probed.failures.push((at as u32, Failure::new("not-now", "cannot be said")));
            }
            let known = outcome == Outcome::Ok;
            let _ = target_ids.try_push(if known { format!("{id}@{step}") } else { String::new() }.as_bytes());
            let _ = receipts.try_push(if known { receipt(&id, key) } else { String::new() }.as_bytes());
            probed.outcomes.push(outcome);
        }
        (probed.target_ids, probed.receipts) = (Some(target_ids), Some(receipts));
        answer(probed)
    }

    pub(crate) fn check(&mut self, step: usize) -> CallResult<()> {
        if self.is_down(step) {
            return refused(RefusalKind::Unavailable);
        }
        self.checks += 1;
        if self.checks_alternate && !self.healed {
            return if self.checks.is_multiple_of(2) { answer(()) } else { refused(RefusalKind::Unauthorized) };
        }
        let fine = self.checks_ok.unwrap_or_else(|| !self.rng.one_in(2));
        if fine { answer(()) } else { refused(RefusalKind::Unauthorized) }
    }
}

/// What a destination gives back for a record: what is needed to undo it.
fn receipt(id: &str, key: &[u8]) -> String {
    format!("undo {id} {}", String::from_utf8_lossy(key))
}
