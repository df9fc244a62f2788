//! How a run is getting on, for people who watch.

use super::Machine;
use super::flight::Phase;
use super::gate::ConnectorDown;
use crate::ports::StepCounts;
use crossdock_model::{Counts, StepName, Timestamp};

/// How a run is getting on. Numbers are of what is settled, not of what is under way.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Progress {
    /// Records read from the source.
    pub read: u64,
    /// Records taken up from the ledger.
    pub resumed: u64,
    /// Where they stand.
    pub counts: Counts,
    /// How each step fared so far.
    pub steps: Vec<(StepName, StepCounts)>,
    /// Records under way.
    pub under_way: u64,
    /// Records that wait for another attempt.
    pub waiting: u64,
    /// When the next of them is due.
    pub next_due: Option<Timestamp>,
    /// Records that are rolling back.
    pub rolling_back: u64,
    /// Connectors that cannot be used at the moment, with the steps that wait for them.
    pub down: Vec<(StepName, ConnectorDown)>,
}

impl Machine {
    /// How the run is getting on.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let held = self.flights.iter().filter_map(|flight| match flight.phase {
            Phase::Held(until) => Some(until),
            _ => None,
        });
        Progress {
            read: self.totals.read,
            resumed: self.totals.resumed,
            counts: self.totals.counts,
            steps: self
                .spec
                .steps
                .iter()
                .zip(&self.totals.steps)
                .map(|(spec, counts)| (spec.name.clone(), *counts))
                .collect(),
            rolling_back: self.undoing.count(),
            down: self
                .spec
                .steps
                .iter()
                .zip(&self.gates)
                .filter_map(|(spec, gate)| Some((spec.name.clone(), gate.down()?.clone())))
                .collect(),
            under_way: self.flights.iter().map(|flight| flight.live.len() as u64).sum(),
            waiting: self.waiting,
            next_due: self.next_due.filter(|_| self.waiting > 0).into_iter().chain(held).min(),
        }
    }
}
