//! What other systems do when they are asked to undo, and what handlers do.

use super::{Fate, Manners, Say, World, answer, fault, receipt, refused};
use crate::rng::{Rng, mix};
use crossdock_engine::ports::{CallResult, RefusalKind, UndoBatch, Undone, Written};
use crossdock_model::{Batch, Failure, Outcome};

/// What a step may say when it is asked to undo.
fn undo_trouble(rng: &mut Rng) -> Say {
    match rng.below(8) {
        0..=2 => Say::Retry(None),
        3 => Say::Retry(Some(rng.between(1, 400))),
        4 => Say::Unauthorized,
        5 => Say::Unknown(rng.one_in(2)),
        6 => Say::Fault(rng.one_in(2)),
        _ => Say::Reject,
    }
}

impl World {
    fn undo_fate(&self, id: &str, step: usize) -> Fate {
        let fine = Fate { first: vec![], then: Say::Ok };
        let (seed, trouble_in) = match &self.manners {
            Manners::Scripted { undos, .. } => return undos.get(&(id.to_owned(), step)).cloned().unwrap_or(fine),
            Manners::Random { seed, trouble_in, .. } => (*seed, *trouble_in),
        };
        let mut rng = Rng::new(mix(seed, id, 500 + step as u64));
        if !rng.one_in(trouble_in / 2) {
            return fine;
        }
        let first = (0..rng.between(1, 3)).map(|_| undo_trouble(&mut rng)).collect();
        Fate { first, then: if rng.one_in(4) { undo_trouble(&mut rng) } else { Say::Ok } }
    }

    fn say_undo(&mut self, id: &str, step: usize) -> Say {
        let fate = self.undo_fate(id, step);
        let tries = self.undo_tries.entry((id.to_owned(), step)).or_default();
        *tries += 1;
        if self.healed { Say::Ok } else { fate.first.get(*tries - 1).copied().unwrap_or(fate.then) }
    }

    fn undo(&mut self, step: usize, id: &str, key: &[u8]) {
        if self.effects.get_mut(&(step, id.to_owned())).is_some_and(|effects| effects.remove(key).is_some()) {
            self.undone.push((step, id.to_owned()));
        }
    }

    /// A person undoes everything that a record did, at all steps.
    pub(crate) fn undo_by_hand(&mut self, id: &str) {
        self.effects.retain(|(_, other), _| other != id);
    }

    /// # Errors
    /// When it is asked to undo what it was never asked to do, or with a receipt of something else.
    pub(crate) fn compensate(&mut self, step: usize, batch: &UndoBatch) -> Result<CallResult<Undone>, String> {
        if self.is_down(step) || self.goes_wrong() {
            let kinds = [RefusalKind::Unavailable, RefusalKind::Internal, RefusalKind::Unauthorized];
            return Ok(refused(kinds[self.rng.below(6).saturating_sub(3)]));
        }
        let short = self.goes_wrong().then(|| self.rng.below(batch.ids.len()));
        let mut undone = Undone { outcomes: vec![], failures: vec![] };
        for at in 0..batch.ids.len() {
            let (id, key) = (batch.ids.text(at).into_owned(), batch.keys.get(at).unwrap_or_default());
            let receipt = receipt(&id, key);
            // Without a receipt where a person said that the step had applied it.
            if batch.receipts.get(at).is_some_and(|found| !found.is_empty() && found != receipt.as_bytes()) {
                return Err(format!("{id} is to be undone at step {step} with a key and a receipt that do not fit"));
            }
            if !self.has_ever_applied(step, &id, key) {
                return Err(format!("{id} is to be undone at step {step}, which never applied it"));
            }
            if short.is_some_and(|short| at >= short) {
                undone.outcomes.push(Outcome::Untouched);
                continue;
            }
            let there = self.is_applied(step, &id, key);
            let said = self.say_undo(&id, step);
            let outcome = match said {
                Say::Fault(done) => {
                    if done {
                        self.undo(step, &id, key);
                    }
                    return Ok(fault());
                }
                Say::Unknown(done) => {
                    if done {
                        self.undo(step, &id, key);
                    }
                    Outcome::Unknown
                }
                Say::Reject if there => Outcome::Rejected,
                Say::Retry(_) => Outcome::Retryable,
                Say::Unauthorized => Outcome::Unauthorized,
                _ => {
                    self.undo(step, &id, key);
                    if there { Outcome::Ok } else { Outcome::Unchanged }
                }
            };
            if outcome.needs_failure() {
                let retry_after_ms = if let Say::Retry(ms) = said { ms } else { None };
                let failure =
                    Failure { retry_after_ms, ..Failure::new("keeps-it", "the destination does not undo it") };
                undone.failures.push((at as u32, failure));
            }
            undone.outcomes.push(outcome);
        }
        Ok(answer(undone))
    }

    /// Records of a compensation whose answer nobody will read: some were undone, in order.
    pub(crate) fn compensate_unheard(&mut self, step: usize, batch: &UndoBatch) {
        for at in 0..self.rng.below(batch.ids.len() + 1) {
            let id = batch.ids.text(at).into_owned();
            if !matches!(self.undo_fate(&id, step).then, Say::Reject) {
                self.undo(step, &id, batch.keys.get(at).unwrap_or_default());
            }
        }
    }

    /// A handler is called. Whatever it does is nobody's business here but its own.
    pub(crate) fn handle(&mut self, handler: usize, batch: &Batch) -> CallResult<Written> {
        if self.goes_wrong() {
            let kinds = [RefusalKind::Unavailable, RefusalKind::Unauthorized, RefusalKind::NotGranted];
            return refused(*self.rng.pick(&kinds));
        }
        let mut written = Written { outcomes: vec![], failures: vec![], target_ids: None, receipts: None };
        for at in 0..batch.len() {
            let id = batch.ids.text(at).into_owned();
            let seed = if let Manners::Random { seed, .. } = &self.manners { *seed } else { 0 };
            let mut rng = Rng::new(mix(seed, &id, 900 + handler as u64));
            let tries = self.undo_tries.entry((id, 1_000 + handler)).or_default();
            *tries += 1;
            let fine = self.healed || !rng.one_in(4) || *tries > rng.between(1, 3) as usize;
            let outcome = match rng.below(6) {
                _ if fine => Outcome::Ok,
                0 | 1 => Outcome::Retryable,
                2 => Outcome::Unknown,
                3 => Outcome::Rejected,
                4 => Outcome::Untouched,
                _ => return fault(),
            };
            if outcome.needs_failure() {
                written.failures.push((at as u32, Failure::new("said-no", "the handler said no")));
            }
            written.outcomes.push(outcome);
        }
        answer(written)
    }
}
