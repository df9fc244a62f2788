//! Order by key: records that share a key reach a destination one after the other, and none goes past an earlier one
//! that is not settled. Other keys are not held up.

use super::flight::Flight;
use super::{BatchNumber, Machine};
use crate::codes;
use crate::ports::RecordRow;
use crossdock_model::{Failure, RecordId, Status};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Where a record stands in the order of the source, as far as that is known: the batch it came with, and its place in
/// it. What an earlier run left comes before.
type Place = (BatchNumber, u32);

/// Who is not settled, by key, in the order of the source.
#[derive(Debug, Default)]
pub(super) struct Order(HashMap<Vec<u8>, Vec<(Place, RecordId)>>);

impl Order {
    pub(super) fn new(blocking: Vec<(Vec<u8>, RecordId)>) -> Self {
        let mut order = Self::default();
        for (place, (key, id)) in (0_u32..).zip(blocking) {
            order.block(&key, &id, None, (0, place));
        }
        order
    }

    /// A part comes where the record came that it is from.
    fn block(&mut self, key: &[u8], id: &RecordId, parent: Option<&RecordId>, place: Place) {
        let waiting = self.0.entry(key.to_vec()).or_default();
        if waiting.iter().any(|(_, other)| other == id) {
            return;
        }
        let of_parent = waiting.iter().find(|(_, other)| Some(other) == parent).map(|(place, _)| *place);
        let place = of_parent.unwrap_or(place);
        let at = waiting.partition_point(|(other, _)| *other <= place);
        waiting.insert(at, (place, id.clone()));
    }

    /// The record is settled: those that may wait for it.
    fn settle(&mut self, key: &[u8], id: &RecordId) -> Vec<RecordId> {
        let Some(waiting) = self.0.get_mut(key) else { return Vec::new() };
        let Some(at) = waiting.iter().position(|(_, other)| other == id) else { return Vec::new() };
        waiting.remove(at);
        let next = if at == 0 { waiting.iter().map(|(_, other)| other.clone()).collect() } else { Vec::new() };
        if waiting.is_empty() {
            self.0.remove(key);
        }
        next
    }
}

/// The place of the record that a member of a flight came as, or is a part of.
fn place_of(flight: &Flight, member: u32) -> Place {
    let mut came = member;
    while let Some(parent) = flight.notes.get(&came).and_then(|note| note.parent.as_ref()) {
        let found = (0..came).find(|&other| flight.ids.get(other as usize) == Some(parent.0.as_bytes()));
        let Some(found) = found else { break };
        came = found;
    }
    (flight.number, came)
}

/// Whether nothing happens to a record before its turn has come.
pub(super) fn waits_for_order(row: &RecordRow) -> bool {
    let code = row.failure.as_ref().map(|failure| failure.code.as_str());
    let stands = matches!(row.status, Status::Pending | Status::Indeterminate);
    stands && row.due.is_none() && code == Some(codes::WAITS_FOR_ORDER.name)
}

impl Machine {
    /// Takes what may not be written yet out of the positions: an earlier record with the same key is not settled.
    pub(super) fn hold_back(&mut self, flight: &mut Flight, positions: Vec<usize>) -> Vec<usize> {
        if flight.order_keys.is_empty() || self.is_strict(flight) {
            return positions;
        }
        let mut go = Vec::with_capacity(positions.len());
        for position in positions {
            match self.earlier(flight, position) {
                None => go.push(position),
                Some(earlier) => {
                    let message =
                        format!("waits for record {earlier}, which has the same order key and is not settled");
                    let failure = Failure::new(codes::WAITS_FOR_ORDER.name, message);
                    flight.steps[flight.step].records_in += 1;
                    flight.steps[flight.step].untouched += 1;
                    let in_doubt = flight.notes.get(&flight.live[position]).is_some_and(|note| note.in_doubt);
                    let status = if in_doubt { Status::Indeterminate } else { Status::Pending };
                    flight.end_member(position, status, Some(failure));
                }
            }
        }
        go
    }

    /// The record that this one has to wait for.
    fn earlier(&self, flight: &Flight, position: usize) -> Option<RecordId> {
        let member = flight.live[position];
        let key = flight.order_keys.get(&member)?;
        let id = flight.id(member);
        // In the same batch it is waited for by turns, as long as it is on its way.
        let before = flight.live[..position].iter().filter(|other| flight.order_keys.get(other) == Some(key));
        let here: BTreeMap<RecordId, Status> = before.map(|&other| (flight.id(other), flight.status(other))).collect();
        let waiting = self.order.0.get(key).map_or(&[][..], Vec::as_slice);
        // One that does not wait yet comes where it came.
        let place = place_of(flight, flight.live[position]);
        let own = waiting.iter().position(|(_, other)| *other == id);
        let own = own.unwrap_or_else(|| waiting.partition_point(|(other, _)| *other <= place));
        let (ahead, behind) = waiting.split_at(own);
        let stuck = [Status::Pending, Status::Indeterminate];
        // Rows come in the order of their times, which need not be that of the source.
        let holds_up = |(other, status): &(&RecordId, &Status)| {
            stuck.contains(status) && !behind.iter().any(|(_, waits)| waits == *other)
        };
        if let Some((earlier, _)) = here.iter().find(holds_up) {
            return Some(earlier.clone());
        }
        ahead.iter().map(|(_, other)| other).find(|other| !here.contains_key(other)).cloned()
    }

    /// Puts positions in turns: in each, a key appears once.
    pub(super) fn turns(
        &self,
        flight: &Flight,
        positions: &[usize],
        most: u32,
    ) -> std::collections::VecDeque<Vec<usize>> {
        if flight.order_keys.is_empty() || self.is_strict(flight) {
            return super::flight::portions(positions, most);
        }
        let mut turn_of: HashMap<&[u8], usize> = HashMap::new();
        let mut turns: Vec<Vec<usize>> = Vec::new();
        for &position in positions {
            let turn = match flight.order_keys.get(&flight.live[position]) {
                Some(key) => {
                    let next = turn_of.entry(key).or_default();
                    *next += 1;
                    *next - 1
                }
                None => 0,
            };
            if turns.len() <= turn {
                turns.resize_with(turn + 1, Vec::new);
            }
            turns[turn].push(position);
        }
        turns.iter().flat_map(|turn| super::flight::portions(turn, most)).collect()
    }

    /// A step is being left: those that stay behind hold up their keys from now on.
    pub(super) fn note_blockers(&mut self, flight: &Flight) {
        for (&member, key) in &flight.order_keys {
            if matches!(flight.status(member), Status::Pending | Status::Indeterminate) {
                let parent = flight.notes.get(&member).and_then(|note| note.parent.as_ref());
                self.order.block(key, &flight.id(member), parent, place_of(flight, member));
            }
        }
    }

    /// A flight comes to its end: what is settled lets others go.
    pub(super) fn settle_order(&mut self, flight: &Flight) {
        if flight.order_keys.is_empty() {
            return;
        }
        let settled = flight.order_keys.keys().filter(|member| flight.status(**member).is_settled());
        let here: HashSet<RecordId> = settled.map(|&member| flight.id(member)).collect();
        let mut free: Vec<RecordId> = Vec::new();
        for (&member, key) in &flight.order_keys {
            let (id, status) = (flight.id(member), flight.status(member));
            if status.is_settled() {
                free.extend(self.order.settle(key, &id));
            } else if status != Status::New && status != Status::Processing {
                let parent = flight.notes.get(&member).and_then(|note| note.parent.as_ref());
                self.order.block(key, &id, parent, place_of(flight, member));
            }
        }
        self.let_go(free, &here);
    }

    /// A record that was rolling back is settled.
    pub(super) fn settle_order_of(&mut self, key: Option<&[u8]>, id: &RecordId) {
        if let Some(key) = key {
            let free = self.order.settle(key, id);
            self.let_go(free, &HashSet::new());
        }
    }

    /// Rows that have waited for their turn are taken up.
    fn let_go(&mut self, ids: Vec<RecordId>, but: &HashSet<RecordId>) {
        for id in ids {
            if !but.contains(&id) && !self.freed.contains(&id) {
                self.freed.push_back(id);
            }
        }
    }
}
