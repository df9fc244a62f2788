//! The breakers, kept beside the machine: when a connector must be left alone, and that it is.

use super::{Action, Checked, ConnectorDown, Doing, Failure, Input, Outcome, Player, Timestamp};
use crossdock_engine::ports::{CallError, CallResult, RefusalKind};

/// What is known of the connector of a step.
#[derive(Debug, Clone, Default)]
pub(super) struct Breaker {
    /// Open until at least then.
    until: Option<Timestamp>,
    /// Records in a row that were not taken.
    in_a_row: u32,
}

impl Player<'_> {
    /// Another run has found out something about a connector.
    pub(super) fn hearsay(&mut self) -> Input {
        let step = self.rng.below(self.spec.steps.len());
        let (since, until) = (Timestamp(*self.now), Timestamp(*self.now).plus_ms(self.rng.between(0, 300)));
        let failure = Failure::new("elsewhere", "another run could not use it");
        let down = ConnectorDown { until, since, unauthorized: self.rng.one_in(2), failure };
        Input::Heard(step, (!self.rng.one_in(3)).then_some(down))
    }

    pub(super) fn before_input(&mut self, input: &Input) {
        let Input::Heard(step, down) = input else { return };
        let asking =
            self.doing.iter().any(|doing| matches!(doing, Doing::Act(Action::CheckConnector(at)) if at == step));
        match down {
            None if !asking => self.closes(*step),
            Some(down) => self.breakers[*step].until = self.breakers[*step].until.or(Some(down.until)),
            None => {}
        }
    }

    fn closes(&mut self, step: usize) {
        let failures = self.spec.steps[step].breaker.failures;
        let breaker = &mut self.breakers[step];
        if breaker.until.take().is_some() {
            breaker.in_a_row = failures - 1;
        }
    }

    /// While a breaker is open nothing is sent, and the connector is asked only when its time has come.
    pub(super) fn check_breaker(&mut self, action: &Action) -> Checked {
        let now = Timestamp(*self.now);
        match action {
            Action::Announce(step, Some(down)) => self.breakers[*step].until = Some(down.until),
            Action::Announce(step, None) => self.closes(*step),
            Action::Write(_, step, ..) | Action::Probe(_, step, ..) | Action::Compensate(_, step, _)
                if self.breakers[*step].until.is_some() =>
            {
                return Err(format!("the breaker of step {step} is open: {action:?}"));
            }
            Action::CheckConnector(step) if self.breakers[*step].until.is_none_or(|until| until > now) => {
                return Err(format!("the connector of step {step} is asked before its time"));
            }
            _ => {}
        }
        Ok(())
    }

    /// What a step answered to a write or a compensation of so many records.
    pub(super) fn connector_answered<T>(
        &mut self,
        step: usize,
        records: usize,
        answer: &CallResult<T>,
        outcomes: impl Fn(&T) -> &[Outcome],
    ) {
        let all = vec![Outcome::Retryable; records];
        let outcomes = match &answer.answer {
            Ok(answer) => outcomes(answer),
            Err(CallError::Refused { kind: RefusalKind::Unavailable | RefusalKind::Internal, .. }) => &all,
            Err(_) => return,
        };
        for outcome in outcomes.iter().filter(|outcome| **outcome != Outcome::Untouched) {
            let taken = !matches!(outcome, Outcome::Retryable | Outcome::Unknown);
            let breaker = &mut self.breakers[step];
            breaker.in_a_row = if taken { 0 } else { breaker.in_a_row + 1 };
        }
    }

    pub(super) fn breakers_are_open_in_time(&self) -> Checked {
        let late = self
            .spec
            .steps
            .iter()
            .zip(&self.breakers)
            .find(|(step, breaker)| breaker.until.is_none() && breaker.in_a_row >= step.breaker.failures);
        match late {
            Some((step, breaker)) => {
                Err(format!("step {} did not take {} records in a row", step.name, breaker.in_a_row))
            }
            None => Ok(()),
        }
    }
}
