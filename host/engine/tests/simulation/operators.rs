//! What operators do between runs: choose what is put through again, decide, mend.

use crate::scenario::Life;
use crossdock_engine::plan::{Role, Rollback};
use crossdock_engine::ports::{Applied, Idempotency, Payload, RecordRow};
use crossdock_model::{RecordId, Status, StepName, Timestamp};

/// What a person says of a step: nobody has a receipt.
fn by_a_person(step: &StepName, in_doubt: bool) -> Applied {
    Applied { step: step.clone(), target_id: String::new(), receipt: Vec::new(), in_doubt }
}

impl Life {
    fn rows(&self) -> Vec<RecordRow> {
        self.ledger.rows.values().map(|stored| stored.row.clone()).collect()
    }

    /// Rows that an operator may put through again.
    pub(crate) fn chosen(&mut self, which: impl Fn(&RecordRow) -> bool) -> Option<Vec<RecordId>> {
        let bad = [Status::Failed, Status::Rejected, Status::Pending, Status::Indeterminate];
        let rows = self
            .rows()
            .into_iter()
            .filter(|row| bad.contains(&row.status) && row.step != StepName::source())
            .filter(|row| matches!(row.payload, Payload::Kept(_)) && which(row))
            .filter(|row| row.status != Status::Indeterminate || self.can_settle(row));
        let ids: Vec<RecordId> = rows.map(|row| row.id).collect();
        (!ids.is_empty()).then_some(ids)
    }

    fn role_at(&self, step: &StepName) -> Option<Role> {
        self.steps.iter().find(|spec| spec.name == *step).map(|spec| spec.role)
    }

    fn can_settle(&self, row: &RecordRow) -> bool {
        let Some(Role::Destination { idempotency, probes, .. }) = self.role_at(&row.step) else { return false };
        probes || idempotency != Idempotency::None
    }

    /// Now and then a person changes the content of a record, gives one up, or sees to a rollback.
    pub(crate) fn operate(&mut self) {
        for row in self.rows() {
            let source = row.step == StepName::source();
            if self.has_parts(&row.id) && row.status != Status::RollbackFailed {
                continue;
            }
            match row.status {
                // What is applied does not say in which generation, so it could not be undone under its key after that.
                Status::Failed | Status::Rejected
                    if row.applied.is_empty() && !row.open && !source && self.rng.one_in(8) =>
                {
                    self.edit(&row);
                }
                Status::RolledBack if !row.open && !row.id.0.contains('/') && self.rng.one_in(8) => self.edit(&row),
                Status::RolledBack if row.open && self.rng.one_in(12) => self.leave_out(&row),
                Status::Pending | Status::Failed | Status::Indeterminate if !source && self.rng.one_in(15) => {
                    self.cancel(&row);
                }
                Status::RollbackFailed if self.rng.one_in(2) => self.resume_rollback(&row),
                Status::RollbackFailed | Status::RollingBack if self.rng.one_in(4) => self.undo_by_hand(&row),
                _ => {}
            }
        }
        if self.rng.one_in(4) {
            self.settle_doubts();
        }
    }

    /// A record whose parts are known is not decided about without them.
    fn has_parts(&self, id: &RecordId) -> bool {
        let parts = format!("{id}/");
        self.ledger.rows.keys().any(|other| other.starts_with(&parts))
    }

    /// The content is what it was: what counts here is that it might be another.
    fn edit(&mut self, row: &RecordRow) {
        let first = self.steps[0].name.clone();
        let content = self.world.content(&row.id.0, 0).into_bytes();
        self.ledger.decide(&row.id.0, |row| {
            if row.status == Status::RolledBack {
                row.step = first;
                row.payload = Payload::Kept(content);
                row.attributes.clear();
                row.applied.clear();
            }
            row.status = Status::Failed;
            row.generation += 1;
            (row.attempts, row.spent, row.since, row.due) = (0, 0, None, None);
        });
    }

    fn leave_out(&mut self, row: &RecordRow) {
        self.ledger.decide(&row.id.0, |row| (row.status, row.due) = (Status::Skipped, None));
    }

    /// What was or may have been applied is undone first.
    fn cancel(&mut self, row: &RecordRow) {
        let at_destination = matches!(self.role_at(&row.step), Some(Role::Destination { .. }));
        let now = Timestamp(self.now);
        self.ledger.decide(&row.id.0, |row| {
            let known = row.applied.iter().any(|applied| applied.step == row.step);
            if row.status == Status::Indeterminate && at_destination && !known {
                row.applied.push(by_a_person(&row.step, true));
            }
            (row.status, row.due) = (Status::Cancelled, None);
            if !row.applied.is_empty() {
                (row.status, row.due) = (Status::RollingBack, Some(now));
                (row.attempts, row.spent, row.since) = (0, 0, None);
            }
        });
    }

    /// `rollback resume`.
    fn resume_rollback(&mut self, row: &RecordRow) {
        let now = Timestamp(self.now);
        self.ledger.decide(&row.id.0, |row| {
            (row.status, row.due) = (Status::RollingBack, Some(now));
            (row.spent, row.since) = (0, None);
        });
    }

    /// `rollback mark-done`, after it was done.
    fn undo_by_hand(&mut self, row: &RecordRow) {
        self.world.undo_by_hand(&row.id.0);
        self.ledger.decide(&row.id.0, |row| {
            (row.status, row.due) = (Status::RolledBack, None);
            row.applied.clear();
        });
    }

    /// Rollbacks that failed are taken up again where that can help, and else done by hand.
    pub(crate) fn end_rollbacks(&mut self) {
        for row in self.rows().into_iter().filter(|row| row.status == Status::RollbackFailed) {
            let hopeless = row
                .failure
                .as_ref()
                .is_some_and(|failure| matches!(failure.code.as_str(), "cannot-compensate" | "rollback-in-doubt"));
            if hopeless { self.undo_by_hand(&row) } else { self.resume_rollback(&row) }
        }
    }

    /// All or nothing: a record that will never pass keeps all others back until somebody leaves it out.
    pub(crate) fn leave_out_what_never_passes(&mut self) {
        if self.policy.rollback != Rollback::Run {
            return;
        }
        let expected = crate::rules::expected(&self.world);
        for row in self.rows() {
            let never = matches!(expected.get(&row.id.0), Some(Status::Failed | Status::Rejected));
            let allowed = matches!(row.status, Status::Failed | Status::Rejected | Status::RolledBack);
            if never && allowed && row.open {
                self.leave_out(&row);
            }
        }
    }

    /// A person looks at the other systems and says what became of records in doubt.
    pub(crate) fn settle_doubts(&mut self) {
        for row in self.rows() {
            // What the process died of nobody tries again.
            let by_death = row.failure.as_ref().is_some_and(|failure| failure.code == "record-quarantined");
            if row.status != Status::Indeterminate || (self.can_settle(&row) && !by_death) {
                continue;
            }
            let Some(step) = self.steps.iter().position(|step| step.name == row.step) else { continue };
            let applied = self.world.effects(step, &row.id.0) > 0;
            let next = self.steps.get(step + 1).map(|next| next.name.clone());
            let now = Timestamp(self.now);
            self.ledger.decide(&row.id.0, |row| {
                row.due = None;
                if !applied {
                    row.status = Status::Failed;
                    return;
                }
                let target_id = format!("{}@{step}", row.id);
                row.applied.push(Applied { target_id, ..by_a_person(&row.step, false) });
                row.failure = None;
                match next {
                    None => row.status = Status::Ok,
                    Some(next) => {
                        // What this step was given is what the next one is given.
                        (row.status, row.step) = (Status::Pending, next);
                        (row.attempts, row.spent, row.since) = (0, 0, None);
                        row.due = (!row.open).then_some(now);
                    }
                }
            });
        }
    }
}
