//! A batch on its way through the steps.

use super::BatchNumber;
use crate::codes;
use crate::plan::Retry;
use crate::ports::{AttemptRow, Exchange, HandlerTask, RecordRow, StateWrite, StepCounts};
use crossdock_model::{Attribute, Batch, Checkpoint, Column, Failure, RecordId, Status, StepName, Timestamp};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

/// Where the records of a flight come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    /// A page of the source, with the position after it.
    Page(Checkpoint),
    /// Rows of the ledger.
    Ledger,
}

/// What a flight is waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// To enter its step.
    Ready,
    /// For the answer of a transformer.
    Transforming,
    /// For the answer to a probe.
    Probing,
    /// For its intent to be durable.
    Intending,
    /// For the intent to give it to a transformer to be durable, because it may kill the process.
    IntendingTransform,
    /// For the answer of a destination.
    Writing,
    /// For the answer to a check.
    Checking,
    /// For a retry time, with its records kept in order.
    Held(Timestamp),
    /// For the connector of its step to be usable, between two calls.
    Waiting,
    /// To be committed.
    Done,
}

/// One record of a flight; small, because there is one for every record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) status: Status,
    /// The step where it ended, as far as it has ended.
    pub(super) step: u16,
}

/// What is not the same for all records: only for those that are not simply on their way.
#[derive(Debug, Clone, Default)]
pub(super) struct Note {
    /// The row that the ledger had when the flight began, or was given while it was held.
    pub(super) row: Option<RecordRow>,
    /// The step at which the ledger's row has the record with its content, if there is a row.
    pub(super) at: Option<StepName>,
    /// The row stays as it is: the record came further before than it did this time.
    pub(super) keeps_row: bool,
    /// As what it was counted in this run before.
    pub(super) counted: Option<Status>,
    /// An attempt at the current step may have been applied, and nothing since has settled that.
    pub(super) in_doubt: bool,
    /// Settled before; only its open row is to be closed.
    pub(super) passed: bool,
    /// What it had applied is to be undone.
    pub(super) rolls_back: bool,
    pub(super) parent: Option<RecordId>,
    pub(super) generation: u32,
    /// Attempts at the current step, and how many of them count against the limit since when.
    pub(super) attempts: u32,
    pub(super) spent: u32,
    pub(super) since: Option<Timestamp>,
    pub(super) failure: Option<Failure>,
    /// What calls sent for it that ended in a fault, and after which it is given again in a smaller batch.
    pub(super) sent: Vec<Exchange>,
    pub(super) due: Option<Timestamp>,
    /// The payload and attributes as the step where it ended was given them.
    pub(super) payload: Option<Vec<u8>>,
    pub(super) attributes: Vec<(String, Vec<u8>)>,
}

impl Note {
    /// It says nothing but how the current attempt fared.
    pub(super) fn is_of_this_attempt(&self) -> bool {
        self.row.is_none() && self.at.is_none() && self.parent.is_none() && self.generation == 0
    }

    /// Attempts are counted a step.
    pub(super) fn begin_anew(&mut self) {
        (self.attempts, self.spent, self.since, self.in_doubt) = (0, 0, None, false);
        self.sent.clear();
    }
}

/// What a destination step gave back.
#[derive(Debug, Clone)]
pub(super) struct Given {
    pub(super) step: usize,
    /// The ledger's rows say so already.
    pub(super) in_rows: bool,
    /// The members it was applied for.
    pub(super) members: Vec<u32>,
    pub(super) target_ids: Option<Column>,
    pub(super) receipts: Option<Column>,
}

impl Given {
    /// Where each member of the flight stands in the columns, if it does.
    pub(super) fn places(&self, members: usize) -> Vec<Option<usize>> {
        let mut places = vec![None; members];
        for (place, &member) in self.members.iter().enumerate() {
            if let Some(entry) = places.get_mut(member as usize) {
                *entry = Some(place);
            }
        }
        places
    }
}

/// A batch on its way through the steps.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) number: BatchNumber,
    pub(super) origin: Origin,
    /// The ids of all members: those that came, then children of splits.
    pub(super) ids: Column,
    pub(super) members: Vec<Member>,
    /// How many members came; the rest are children.
    pub(super) came: usize,
    pub(super) notes: HashMap<u32, Note>,
    /// The order keys of members, if the source declares any; in the order of the members, which is that in which they
    /// hold each other up.
    pub(super) order_keys: BTreeMap<u32, Vec<u8>>,
    /// Its record is alone: if the process dies of it, that is known.
    pub(super) careful: bool,
    /// The payloads as they came, if the log level wants them.
    pub(super) originals: Option<Column>,
    /// Members that were split: what is left of them are their parts.
    pub(super) split: Vec<u32>,
    /// How many members and how many split ones there were when the current transformer was entered.
    pub(super) entered_with: (usize, usize),
    /// The members that are under way, in the order of the source; parallel to `batch`.
    pub(super) live: Vec<u32>,
    /// The records under way as the next step will be given them.
    pub(super) batch: Arc<Batch>,
    pub(super) step: usize,
    pub(super) phase: Phase,
    /// Positions in `live` that are still to be handed to the current step, in portions.
    pub(super) portions: VecDeque<Vec<usize>>,
    /// Positions that are to be written once what is in doubt was asked about.
    pub(super) to_write: Vec<usize>,
    /// It waits before a probe, not before a write.
    pub(super) asks: bool,
    /// The portion that the step has now.
    pub(super) current: Vec<usize>,
    /// When the call under way began.
    pub(super) began: Timestamp,
    /// What the transformer has made so far: the members and their records.
    pub(super) made: Vec<(Vec<u32>, Batch)>,
    /// What the destination has answered so far, one entry a portion.
    pub(super) given_now: Vec<Given>,
    /// Positions that credentials were refused for, until a check has said what that means.
    pub(super) unauthorized: Vec<(usize, Failure)>,
    pub(super) given: Vec<Given>,
    pub(super) steps: Vec<StepCounts>,
    pub(super) attempts: Vec<AttemptRow>,
    pub(super) tasks: Vec<HandlerTask>,
    pub(super) state: Vec<(StepName, StateWrite)>,
    /// Its records lie after the route's checkpoint: the source will give them again.
    pub(super) open: bool,
    /// An intent was asked for: something may have been done outside.
    pub(super) touched: bool,
    /// It was given up before all its records had come to an end.
    pub(super) unfinished: bool,
    /// It ends without a trace: nothing was done for its records.
    pub(super) abandoned: bool,
}

impl Flight {
    pub(super) fn new(number: BatchNumber, origin: Origin, batch: Batch, steps: usize, now: Timestamp) -> Self {
        let count = batch.len();
        Self {
            number,
            open: matches!(origin, Origin::Page(_)),
            origin,
            ids: batch.ids.clone(),
            members: vec![Member { status: Status::New, step: 0 }; count],
            came: count,
            notes: HashMap::new(),
            order_keys: BTreeMap::new(),
            careful: false,
            originals: None,
            split: Vec::new(),
            entered_with: (count, 0),
            live: (0..u32::try_from(count).unwrap_or(u32::MAX)).collect(),
            batch: Arc::new(batch),
            step: 0,
            phase: Phase::Ready,
            portions: VecDeque::new(),
            to_write: Vec::new(),
            asks: false,
            current: Vec::new(),
            began: now,
            made: Vec::new(),
            given_now: Vec::new(),
            unauthorized: Vec::new(),
            given: Vec::new(),
            steps: vec![StepCounts::default(); steps],
            attempts: Vec::new(),
            tasks: Vec::new(),
            state: Vec::new(),
            touched: false,
            unfinished: false,
            abandoned: false,
        }
    }

    /// Whether a later flight may enter this step.
    pub(super) fn has_passed(&self, step: usize) -> bool {
        self.step > step || self.phase == Phase::Done
    }

    pub(super) fn is_page(&self) -> bool {
        matches!(self.origin, Origin::Page(_))
    }

    /// Whether it would call its step if the connector could be used.
    pub(super) fn waits_for_connector(&self) -> bool {
        matches!(self.phase, Phase::Ready | Phase::Waiting | Phase::Held(_))
    }

    pub(super) fn is_held(&self) -> bool {
        matches!(self.phase, Phase::Held(_))
    }

    pub(super) fn id(&self, member: u32) -> RecordId {
        RecordId(self.ids.text(member as usize).into_owned())
    }

    pub(super) fn note(&mut self, member: u32) -> &mut Note {
        self.notes.entry(member).or_default()
    }

    pub(super) fn generation(&self, member: u32) -> u32 {
        self.notes.get(&member).map_or(0, |note| note.generation)
    }

    /// How many attempts were made for this member at the current step.
    pub(super) fn attempts(&self, member: u32) -> u32 {
        self.notes.get(&member).map_or(0, |note| note.attempts)
    }

    /// A member whose row stands at this step goes on counting its attempts there.
    pub(super) fn arrive(&mut self, member: u32, step: &StepName, retry: &Retry) {
        let Some(note) = self.notes.get_mut(&member) else { return };
        let Some(row) = note.row.as_ref().filter(|row| row.step == *step) else { return };
        note.in_doubt |= row.status == Status::Indeterminate;
        if note.attempts == 0 {
            note.attempts = row.attempts;
            // What waits goes on with its retries; what was given up begins anew, also if its first attempt was
            // interrupted.
            let in_turn = row.failure.as_ref().is_some_and(|failure| failure.code == codes::WAITS_FOR_ORDER.name);
            let waits = (row.due.is_some() || in_turn) && row.spent < retry.attempts;
            note.spent = if waits { row.spent } else { 0 };
            note.since = if waits { row.since } else { None };
        }
    }

    /// The member ends here for now: with its payload as the current step was given it.
    pub(super) fn end_member(&mut self, position: usize, status: Status, failure: Option<Failure>) {
        let Some(&member) = self.live.get(position) else { return };
        let payload = self.batch.payloads.get(position).unwrap_or_default().to_vec();
        let attributes = self.batch.attributes_of(position);
        let step = self.step;
        let note = self.note(member);
        note.payload = Some(payload);
        note.attributes = attributes;
        note.failure = failure;
        self.set(member, status, step);
    }

    pub(super) fn set(&mut self, member: u32, status: Status, step: usize) {
        if let Some(entry) = self.members.get_mut(member as usize) {
            *entry = Member { status, step: u16::try_from(step).unwrap_or(u16::MAX) };
        }
    }

    /// Whether the member stands before this step with what the ledger does not have: it was changed on the way,
    /// or is a part of a split.
    pub(super) fn is_news(&self, member: u32, step: &StepName) -> bool {
        self.notes.get(&member).and_then(|note| note.at.as_ref()) != Some(step)
    }

    /// Takes back the splits of the transformer that is being left before it is done.
    pub(super) fn take_back_splits(&mut self) {
        let (members, split) = self.entered_with;
        if self.members.len() == members {
            return;
        }
        for parent in self.split.split_off(split) {
            self.set(parent, Status::Processing, self.step);
        }
        if let Some(counts) = self.steps.get_mut(self.step) {
            counts.children = counts.children.saturating_sub((self.members.len() - members) as u64);
        }
        self.members.truncate(members);
        self.ids = self.ids.select(&(0..members).collect::<Vec<_>>());
        self.notes.retain(|&member, _| (member as usize) < members);
        self.order_keys.retain(|&member, _| (member as usize) < members);
    }

    /// For each member, whether one of these was given for it.
    pub(super) fn given_for(&self, given: &[Given]) -> Vec<bool> {
        let mut applied = vec![false; self.members.len()];
        for &member in given.iter().flat_map(|given| &given.members) {
            if let Some(entry) = applied.get_mut(member as usize) {
                *entry = true;
            }
        }
        applied
    }

    pub(super) fn status(&self, member: u32) -> Status {
        self.members.get(member as usize).map_or(Status::New, |entry| entry.status)
    }

    /// The records at these positions; all of them without copying.
    pub(super) fn pick(&self, positions: &[usize]) -> Arc<Batch> {
        if positions.len() == self.batch.len() {
            Arc::clone(&self.batch)
        } else {
            Arc::new(self.batch.select(positions))
        }
    }

    /// Keeps only those under way whose status says so, and moves to the next step.
    pub(super) fn keep_live_and_move_on(&mut self, steps: usize) {
        let keep: Vec<usize> =
            (0..self.live.len()).filter(|&position| self.status(self.live[position]) == Status::Processing).collect();
        if keep.len() != self.live.len() {
            self.batch = Arc::new(self.batch.select(&keep));
            self.live = keep.iter().map(|&position| self.live[position]).collect();
        }
        self.move_on(steps);
    }

    pub(super) fn move_on(&mut self, steps: usize) {
        self.step += 1;
        self.phase = Phase::Ready;
        if self.step >= steps {
            return;
        }
        for note in self.notes.values_mut().filter(|note| note.failure.is_none()) {
            note.begin_anew();
        }
    }

    /// Gives later steps what earlier ones returned: `steps.NAME.target_id`. Plugins cannot forge these:
    /// names that begin with `steps.` are the host's.
    pub(super) fn attach_given(&mut self, names: &[StepName]) {
        if self.given.is_empty() {
            return;
        }
        let mut attributes: Vec<Attribute> = Vec::new();
        for given in &self.given {
            let (Some(target_ids), Some(name)) = (&given.target_ids, names.get(given.step)) else { continue };
            let mut values = Column::with_capacity(self.live.len(), target_ids.data().len());
            let places = given.places(self.members.len());
            for &member in &self.live {
                let value = places[member as usize].and_then(|place| target_ids.get(place)).unwrap_or_default();
                if values.try_push(value).is_err() {
                    return;
                }
            }
            let name = format!("steps.{name}.target_id");
            match attributes.iter_mut().find(|attribute| attribute.name == name) {
                Some(attribute) => attribute.values = merge(&attribute.values, &values),
                None => attributes.push(Attribute { name, values }),
            }
        }
        let mut batch = (*self.batch).clone();
        batch.attributes.retain(|attribute| !attribute.name.starts_with("steps."));
        batch.attributes.extend(attributes);
        self.batch = Arc::new(batch);
    }
}

/// The values of the second column where it has any, else of the first.
fn merge(first: &Column, second: &Column) -> Column {
    first.iter().zip(second.iter()).map(|(a, b)| if b.is_empty() { a } else { b }).collect()
}

/// Portions of at most `most` positions.
pub(super) fn portions(positions: &[usize], most: u32) -> VecDeque<Vec<usize>> {
    positions.chunks(usize::try_from(most.max(1)).unwrap_or(1)).map(<[usize]>::to_vec).collect()
}

/// The two halves of a portion.
pub(super) fn halves(portion: &[usize]) -> (Vec<usize>, Vec<usize>) {
    let (first, second) = portion.split_at(portion.len() / 2);
    (first.to_vec(), second.to_vec())
}
