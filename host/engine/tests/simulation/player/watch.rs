//! What must hold of every call into a step, before it is made and after it was answered.

use super::{Checked, Player};
use crate::ledger::{Kind, next_generation};
use crate::rules::{self, order_of};
use crossdock_engine::plan::{Entry, OnError, Role, Rollback};
use crossdock_engine::ports::{
    AttemptKind, AttemptRow, BatchCommit, CallResult, Idempotency, PageLimits, UndoBatch, Written,
};
use crossdock_model::{Batch, Column, Outcome, Status, idempotency_key};
use std::sync::Arc;

impl Player<'_> {
    pub(super) fn destination(&self, step: &crossdock_model::StepName) -> Option<(usize, Idempotency)> {
        let index = self.spec.step_index(step)?;
        match self.spec.steps[index].role {
            Role::Destination { idempotency, .. } => Some((index, idempotency)),
            Role::Transformer { .. } => None,
        }
    }

    pub(super) fn check_batch(&self, step: usize, batch: &Batch) -> Checked {
        let most = self.spec.steps[step].max_batch as usize;
        if batch.is_empty() || batch.len() > most || batch.payloads.len() != batch.len() {
            return Err(format!("step {step} is given {} records, at most {most} are allowed", batch.len()));
        }
        for at in 0..batch.len() {
            let id = batch.ids.text(at);
            let (found, expected) = (batch.payloads.text(at), self.world.content(&id, step));
            if found != expected {
                return Err(format!("step {step} is given {id} with content {found:?}, expected {expected:?}"));
            }
            for before in (0..step).filter(|before| matches!(self.world.steps[*before], Role::Destination { .. })) {
                let name = format!("steps.{}.target_id", self.spec.steps[before].name);
                let attributes = batch.attributes_of(at);
                let value = attributes.iter().find(|(key, _)| *key == name).map(|(_, value)| value.clone());
                let expected = format!("{id}@{before}").into_bytes();
                let by_this_name = self.world.effects(before, &id) > 0;
                if by_this_name && value.as_ref() != Some(&expected) {
                    return Err(format!("step {step} is given {id} with {name} = {value:?}"));
                }
            }
        }
        Ok(())
    }

    pub(super) fn check_keys(&self, step: usize, batch: &Batch, keys: &Column) -> Checked {
        for at in 0..batch.len() {
            let id = batch.ids.text(at).into_owned();
            let generation = self.ledger.rows.get(&id).map_or(0, |stored| next_generation(&stored.row));
            let key = idempotency_key(&self.spec.route, &self.spec.steps[step].name, generation, id.as_bytes());
            if keys.get(at) != Some(&key[..]) || keys.len() != batch.len() {
                return Err(format!("{id} has a wrong key at step {step}"));
            }
        }
        Ok(())
    }

    /// What must hold whenever something is about to be written.
    pub(super) fn before_write(
        &mut self,
        number: u64,
        step: usize,
        batch: &Arc<Batch>,
        keys: &Column,
        strict: bool,
    ) -> Checked {
        self.check_batch(step, batch)?;
        self.check_keys(step, batch, keys)?;
        let page = self.page_batches.contains(&number) && matches!(self.spec.entry, Entry::Source { .. });
        if strict != (page && self.spec.policy.on_error == OnError::Stop) {
            return Err(format!("batch {number} is written with stop_at_first_failure = {strict}"));
        }
        let name = &self.spec.steps[step].name;
        for at in 0..batch.len() {
            let id = batch.ids.text(at).into_owned();
            let intended = self.ledger.inflight.iter().any(|inflight| {
                let intent = matches!(inflight.kind, Kind::Intent { .. });
                intent && inflight.batch == number && inflight.step == *name && inflight.ids.contains(&id)
            });
            if !intended {
                return Err(format!("invariant 5: {id} is written at step {step} without a durable intent"));
            }
            let row = self.ledger.rows.get(&id).map(|stored| &stored.row);
            let known = row.is_some_and(|row| {
                let settled = matches!(row.status, Status::Ok | Status::Skipped | Status::Dropped);
                settled || row.applied.iter().any(|applied| applied.step == *name)
            });
            if known || self.ledger.chunk.contains_key(&id) || self.told_ok.contains(&(step, id.clone())) {
                return Err(format!("{id} is written again at step {step} although it is known to be applied"));
            }
            // What a person puts through again goes in the order of the person.
            if !strict && matches!(self.spec.entry, Entry::Source { .. }) {
                self.is_in_turn(step, &id)?;
            }
            let order = order_of(&id);
            if strict && let Some(earlier) = self.trouble_before(&order, step) {
                let together = (0..at).any(|at| batch.ids.text(at) == *earlier);
                if !together {
                    return Err(format!("{id} is written at step {step} behind {earlier}, which is not ok"));
                }
            }
        }
        Ok(())
    }

    /// No earlier record with the same order key waits for anything.
    fn is_in_turn(&self, step: usize, id: &str) -> Checked {
        let Some(key) = self.world.order_key(id) else { return Ok(()) };
        let in_order = self.ledger.rows.values().filter(|stored| !stored.left_order);
        let earlier = in_order.map(|stored| &stored.row).find(|row| {
            let before = order_of(&row.id.0) < order_of(id) && row.order_key.as_ref() == Some(&key);
            // What a step has just said need not be in the ledger.
            let known = !self.heard.contains(&row.id.0);
            // Parts of a split may be overtaken: nobody knows their place among others.
            let has_place = !row.id.0.contains('/');
            before && has_place && !row.status.is_settled() && known && self.world.effects(step, &row.id.0) == 0
        });
        match earlier {
            Some(row) => Err(format!("{id} is written at step {step} before {}, which is {}", row.id, row.status)),
            None => Ok(()),
        }
    }

    /// A record before this one that this step or an earlier one did not apply.
    pub(super) fn trouble_before(&self, order: &Vec<u64>, step: usize) -> Option<&String> {
        let mut before = self.trouble.iter().filter(|((place, at), _)| place < order && *at <= step);
        before.next().map(|(_, id)| id)
    }

    /// Refused credentials are not held against a record.
    pub(super) fn tried(&mut self, step: usize, id: &str, outcome: Outcome) -> Checked {
        if matches!(outcome, Outcome::Untouched | Outcome::Unauthorized) {
            return Ok(());
        }
        let tries = self.tries.entry((step, id.to_owned())).or_default();
        *tries += 1;
        let most = self.spec.steps[step].retry.attempts;
        if *tries > most { Err(format!("invariant 8: {id} is tried {tries} times at step {step}")) } else { Ok(()) }
    }

    /// What the ledger says of these records is that they are rolling back.
    pub(super) fn is_for_rollback(&self, batch: &Batch) -> bool {
        (0..batch.len()).all(|at| {
            let row = self.ledger.rows.get(&*batch.ids.text(at)).map(|stored| &stored.row);
            row.is_some_and(|row| row.status == Status::RollingBack)
        })
    }

    /// Invariant 6: what must hold whenever something is about to be undone.
    pub(super) fn before_compensate(&self, step: usize, batch: &UndoBatch) -> Checked {
        let spec = &self.spec.steps[step];
        let count = batch.ids.len();
        if !matches!(spec.role, Role::Destination { compensates: true, .. }) {
            return Err(format!("step {step} cannot undo anything and is asked to"));
        }
        let columns = [&batch.keys, &batch.target_ids, &batch.receipts];
        if count == 0 || count > spec.max_batch as usize || columns.iter().any(|column| column.len() != count) {
            return Err(format!("step {step} is to undo {count} records with {batch:?}"));
        }
        let mut newest = u64::MAX;
        for at in 0..count {
            let id = batch.ids.text(at).into_owned();
            let Some(stored) = self.ledger.rows.get(&id).filter(|one| one.row.status == Status::RollingBack) else {
                return Err(format!("invariant 6: {id} is undone at step {step} without a durable plan"));
            };
            let known = |in_doubt: bool| !in_doubt || self.told_ok.contains(&(step, id.clone()));
            let planned = stored.row.applied.iter().any(|one| one.step == spec.name && known(one.in_doubt));
            if !planned {
                return Err(format!("invariant 6: {id} is undone at step {step}, which did not apply it"));
            }
            if let Some(later) = (step + 1..self.spec.steps.len()).find(|later| self.world.effects(*later, &id) > 0) {
                return Err(format!("invariant 6: {id} is undone at step {step} before step {later}"));
            }
            if stored.made > newest {
                return Err(format!("invariant 6: {id} is undone at step {step} behind an older record"));
            }
            newest = stored.made;
            if self.doing.iter().any(|doing| doing.compensates(&id)) {
                return Err(format!("{id} is undone twice at once"));
            }
        }
        Ok(())
    }

    pub(super) fn tried_to_undo(&mut self, step: usize, id: &str, key: &str, outcome: Outcome) -> Checked {
        if outcome == Outcome::Untouched {
            return Ok(());
        }
        let tries = self.undo_tries.entry((step, key.to_owned())).or_default();
        *tries += 1;
        let most = self.spec.steps[step].retry.attempts;
        if *tries > most {
            Err(format!("invariant 8: undoing {id} at step {step} is tried {tries} times"))
        } else {
            Ok(())
        }
    }

    pub(super) fn note_answer(
        &mut self,
        number: u64,
        step: usize,
        batch: &Batch,
        answer: &CallResult<Written>,
    ) -> Checked {
        self.connector_answered(step, batch.len(), answer, |written| &written.outcomes);
        let Ok(written) = &answer.answer else { return Ok(()) };
        for (at, &outcome) in written.outcomes.iter().enumerate() {
            let id = batch.ids.text(at).into_owned();
            self.tried(step, &id, outcome)?;
            let place = (order_of(&id), step);
            if outcome.is_success() {
                self.trouble.remove(&place);
                self.told_ok.insert((step, id));
            } else if outcome != Outcome::Untouched && self.page_batches.contains(&number) {
                self.trouble.insert(place, id);
            }
        }
        Ok(())
    }

    /// What was sent for a record in a call that ended in a fault stands with its attempt.
    pub(super) fn check_evidence(&mut self, commit: &BatchCommit) -> Checked {
        let faults = commit.attempts.iter().filter(|attempt| attempt.kind == AttemptKind::Pass);
        for attempt in faults.filter(|attempt| attempt.failure.as_ref().is_some_and(|f| f.code == "fault-trap")) {
            let place = (rules::index_of(&self.spec, &attempt.step), attempt.id.0.clone());
            let same = |other: &&AttemptRow| other.id == attempt.id && other.step == attempt.step;
            let known = commit.attempts.iter().filter(same).any(|other| !other.exchanges.is_empty());
            if self.world.sent.remove(&place) && !known {
                return Err(format!("{} was sent to step {} before a fault, and no attempt says so", place.1, place.0));
            }
        }
        Ok(())
    }

    /// Invariant 8: a source that goes on for ever comes to an end all the same.
    pub(super) fn within_budget(&self, limits: PageLimits) -> Checked {
        let budget = &self.spec.policy.source;
        let empty = self.read.iter().rev().take_while(|records| **records == 0).count() as u64;
        let records = self.read.iter().sum::<u64>() + u64::from(limits.max_records);
        let pages = self.read.len() as u64;
        if pages >= budget.pages_max || records > budget.records_max || empty >= budget.empty_pages_max {
            return Err(format!("invariant 8: {:?} were read, and more is asked for", self.read));
        }
        Ok(())
    }

    /// What was read before there was enough of it has come to something.
    pub(super) fn all_read_is_settled(&self) -> Checked {
        let last = self.world.given.last();
        if self.spec.policy.rollback != Rollback::Run && self.ledger.checkpoint.as_ref() != last {
            return Err(format!("the source was over its budget at {last:?}; {:?} is durable", self.ledger.checkpoint));
        }
        Ok(())
    }
}
