//! The breaker of each connector: while it is open, records wait and spend no attempts; before it closes the
//! connector's own check is asked, not a customer's record.

use super::{Action, Machine};
use crate::codes;
use crate::ports::{CallError, CallResult};
use crossdock_model::{ErrorClass, EventKind, Failure, Outcome, Timestamp};

/// Why a connector cannot be used, as the runs that share it tell each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectorDown {
    /// Nothing is asked before this time.
    pub until: Timestamp,
    /// Since when.
    pub since: Timestamp,
    /// Credentials were refused.
    pub unauthorized: bool,
    /// What it said.
    pub failure: Failure,
}

/// The breaker of one step.
#[derive(Debug, Clone, Default)]
pub(super) struct Gate {
    /// Records in a row that were not taken.
    in_a_row: u32,
    down: Option<ConnectorDown>,
    /// Since when no record was taken although it was open now and then, and when it was closed last.
    bad_since: Option<Timestamp>,
    closed: Option<Timestamp>,
    /// How often the check failed since it opened.
    checks: u32,
    asking: bool,
}

impl Gate {
    pub(super) fn down(&self) -> Option<&ConnectorDown> {
        self.down.as_ref()
    }
}

impl Machine {
    /// Whether the connector of a step may be called now.
    pub(super) fn may_call(&self, step: usize) -> bool {
        self.gates.get(step).is_none_or(|gate| gate.down.is_none())
    }

    /// What a destination said of records tells whether it can be used.
    pub(super) fn heard_from(&mut self, step: usize, outcomes: &[Outcome], failure: Option<&Failure>) {
        let limits = self.spec.steps[step].breaker;
        let Some(gate) = self.gates.get_mut(step) else { return };
        for outcome in outcomes {
            match outcome {
                Outcome::Untouched => {}
                Outcome::Retryable | Outcome::Unknown => gate.in_a_row = gate.in_a_row.saturating_add(1),
                Outcome::Unauthorized => gate.in_a_row = 0,
                _ => (gate.in_a_row, gate.bad_since) = (0, None),
            }
        }
        if gate.in_a_row >= limits.failures.max(1) && gate.down.is_none() {
            self.open_gate(step, failure.unwrap_or(&Failure::default()), false);
        }
    }

    /// The connector is left alone.
    pub(super) fn open_gate(&mut self, step: usize, failure: &Failure, unauthorized: bool) {
        let limits = self.spec.steps[step].breaker;
        let wait = limits.open_ms.max(failure.retry_after_ms.unwrap_or(0).min(limits.max_ms));
        let (now, until) = (self.now, self.now.plus_ms(wait));
        let Some(gate) = self.gates.get_mut(step) else { return };
        if gate.down.is_some() {
            return;
        }
        // A check that is better than the calls does not begin the time anew.
        let goes_on = gate.closed.is_some_and(|closed| now.ms_since(closed) <= limits.max_ms);
        let since = gate.bad_since.filter(|_| goes_on).unwrap_or(now);
        let down = ConnectorDown { until, since, unauthorized, failure: failure.clone() };
        (gate.down, gate.checks, gate.bad_since) = (Some(down.clone()), 0, Some(since));
        let name = self.spec.steps[step].name.clone();
        let what = if unauthorized { "refuses the credentials" } else { "does not take records" };
        let message = format!("the connector of step {name} {what}: {}: {}", failure.code, failure.message);
        let mut event = self.event(EventKind::ConnectorDown, Some(name), message);
        event.data = serde_json::json!({ "until": until, "unauthorized": unauthorized, "failure": failure });
        self.events.push(event);
        self.write_down_events();
        self.actions.push(Action::Announce(step, Some(down)));
        if now.ms_since(since) >= limits.total_ms {
            self.give_up_on(step, failure.clone(), unauthorized);
        }
    }

    /// Another run that uses the same connector has found out something about it.
    pub(super) fn on_heard(&mut self, step: usize, down: Option<ConnectorDown>) {
        let Some(gate) = self.gates.get_mut(step) else { return };
        match down {
            None if !gate.asking => self.close_gate(step),
            Some(down) if gate.down.is_none() => {
                gate.checks = 0;
                gate.down = Some(down);
            }
            _ => {}
        }
    }

    fn close_gate(&mut self, step: usize) {
        let limits = self.spec.steps[step].breaker;
        let now = self.now;
        let Some(gate) = self.gates.get_mut(step) else { return };
        if gate.down.take().is_none() {
            return;
        }
        gate.closed = Some(now);
        // A connector whose check is better than its writes is left alone again after one more.
        gate.in_a_row = limits.failures.saturating_sub(1);
        let name = self.spec.steps[step].name.clone();
        let event = self.event(EventKind::ConnectorUp, Some(name.clone()), format!("step {name} can be used again"));
        self.events.push(event);
        self.write_down_events();
    }

    /// That a connector cannot be used is to be seen while it lasts, not only with the next batch.
    fn write_down_events(&mut self) {
        let number = self.next_number();
        let mut commit = self.commit_of(number);
        commit.closes = true;
        commit.events = std::mem::take(&mut self.events);
        self.push_commit(commit);
    }

    /// Asks connectors whose time has come, if anything waits for them.
    pub(super) fn ask_connectors(&mut self) {
        for step in 0..self.gates.len() {
            let gate = &self.gates[step];
            let due = gate.down.as_ref().is_some_and(|down| down.until <= self.now);
            if due && !gate.asking && self.waits_for(step) {
                self.gates[step].asking = true;
                self.actions.push(Action::CheckConnector(step));
            }
        }
    }

    pub(super) fn on_connector_checked(&mut self, step: usize, result: CallResult<()>) {
        let limits = self.spec.steps[step].breaker;
        let now = self.now;
        let Some(gate) = self.gates.get_mut(step) else { return };
        gate.asking = false;
        let failure = match result.answer {
            Ok(()) => {
                self.actions.push(Action::Announce(step, None));
                return self.close_gate(step);
            }
            Err(CallError::Refused { failure, .. }) => failure,
            Err(CallError::Fault(fault)) => fault.failure(),
            Err(CallError::Host(error)) => super::host_failure(&error),
        };
        let Some(down) = &mut gate.down else { return };
        gate.checks = gate.checks.saturating_add(1);
        let doubled = limits.open_ms.saturating_mul(1_u64.checked_shl(gate.checks).unwrap_or(u64::MAX));
        let asked = failure.retry_after_ms.unwrap_or(0);
        down.until = now.plus_ms(doubled.max(asked).min(limits.max_ms).max(1));
        down.failure = failure.clone();
        let (given_up, unauthorized) = (now.ms_since(down.since) >= limits.total_ms, down.unauthorized);
        if given_up {
            self.give_up_on(step, failure, unauthorized);
        }
    }

    /// It could not be used for too long: the run ends, and what is left stays in the ledger.
    fn give_up_on(&mut self, step: usize, failure: Failure, unauthorized: bool) {
        let (name, total_ms) = (&self.spec.steps[step].name, self.spec.steps[step].breaker.total_ms);
        let (code, what) = match unauthorized {
            true => (codes::CONNECTOR_UNAUTHORIZED, "still refuses the credentials"),
            false => (codes::CONNECTOR_DOWN, "still cannot be used"),
        };
        let message = format!("the connector of step {name} {what} after {} s: {}", total_ms / 1_000, failure.message);
        self.gave_up = true;
        self.stop_for(ErrorClass::Environment, Failure { code: code.name.into(), message, ..failure });
    }

    pub(super) fn is_asking_connectors(&self) -> bool {
        self.gates.iter().any(|gate| gate.asking)
    }

    /// When the next connector that something waits for is to be asked.
    pub(super) fn next_check(&self) -> Option<Timestamp> {
        let waited_for = self.gates.iter().enumerate().filter(|(step, gate)| !gate.asking && self.waits_for(*step));
        waited_for.filter_map(|(_, gate)| gate.down.as_ref().map(|down| down.until)).min()
    }

    fn waits_for(&self, step: usize) -> bool {
        self.undoing.waits_for(step)
            || !self.is_stopping()
                && self.flights.iter().any(|flight| flight.step == step && flight.waits_for_connector())
    }
}
