//! What the ledger keeps of a record of a flight.

use super::Machine;
use super::flight::{Flight, Given, Note};
use super::ledger_entry::SOURCE;
use crate::ports::{Applied, Payload, RecordRow};
use crossdock_model::{Column, Status, StepName};

impl Machine {
    pub(super) fn step_name(&self, step: usize) -> StepName {
        if step == SOURCE {
            return StepName::source();
        }
        let last = self.spec.steps.len().saturating_sub(1);
        self.spec.steps.get(step.min(last)).map_or_else(StepName::source, |spec| spec.name.clone())
    }

    pub(super) fn row_for(
        &self,
        flight: &Flight,
        member: u32,
        open: bool,
        given: &[Given],
        places: &[Vec<Option<usize>>],
    ) -> RecordRow {
        let entry = flight.members[member as usize];
        let nothing = Note::default();
        let note = flight.notes.get(&member).unwrap_or(&nothing);
        let kept = note.row.as_ref().filter(|_| note.keeps_row);
        if let Some(row) = kept.or_else(|| self.further_on(flight, member)) {
            return RecordRow { payload: Payload::Unchanged, open, run: self.spec.run.clone(), ..row.clone() };
        }
        let step = self.step_name(usize::from(entry.step));
        let status = if open && flight.split.contains(&member) { Status::Processing } else { entry.status };
        let at_rest = matches!(status, Status::Failed | Status::Rejected | Status::Indeterminate | Status::RollingBack);
        let payload = match (status, &note.payload) {
            (Status::Ok | Status::Dropped | Status::Skipped, _) => Payload::Gone,
            (_, _) if flight.is_page() && open && !at_rest => Payload::AtSource,
            (_, _) if !flight.is_page() && note.at.as_ref() == Some(&step) => Payload::Unchanged,
            (_, Some(bytes)) => Payload::Kept(bytes.clone()),
            (_, None) if open => Payload::AtSource,
            (_, None) => Payload::Gone,
        };
        let mut applied: Vec<Applied> = note.row.as_ref().map_or_else(Vec::new, |row| row.applied.clone());
        for (part, places) in given.iter().zip(places) {
            let Some(place) = places[member as usize] else { continue };
            let name = self.step_name(part.step);
            if applied.iter().any(|earlier| earlier.step == name) {
                continue;
            }
            let bytes = |column: &Option<Column>| {
                column.as_ref().and_then(|column| column.get(place)).unwrap_or_default().to_vec()
            };
            let target_id = String::from_utf8_lossy(&bytes(&part.target_ids)).into_owned();
            applied.push(Applied { step: name, target_id, receipt: bytes(&part.receipts), in_doubt: false });
        }
        RecordRow {
            id: flight.id(member),
            parent: note.parent.clone(),
            status,
            step,
            generation: note.generation,
            attempts: if note.rolls_back { 0 } else { note.attempts },
            spent: if note.rolls_back { 0 } else { note.spent },
            since: note.since.filter(|_| !note.rolls_back),
            payload,
            attributes: note.attributes.clone(),
            failure: note.failure.clone(),
            due: note.due,
            applied,
            order_key: flight.order_keys.get(&member).cloned(),
            open,
            run: self.spec.run.clone(),
        }
    }
}
