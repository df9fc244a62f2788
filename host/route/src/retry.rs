//! How often, and for how long, a record is tried again.

use crate::abilities::{Idempotency, Role, StepAbilities};
use serde::Serialize;

/// The most attempts that a route may allow a record at one step.
pub(crate) const ATTEMPTS_MAX: u32 = 1_000;
/// The shortest wait before another attempt.
pub(crate) const WAIT_MIN_MS: u64 = 1;
/// The longest time over which a record may be tried.
pub(crate) const TOTAL_MAX_MS: u64 = 30 * 24 * 3_600_000;

/// What a route says about retries; what it does not say depends on what the step can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Retry {
    /// How many attempts a record has, the first included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempts_max: Option<u32>,
    /// The upper bound of the wait after the first attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_ms: Option<u64>,
    /// The upper bound of any wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_ms: Option<u64>,
    /// How long a record is tried, counted from its first attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_ms: Option<u64>,
}

/// How often, and for how long, a record is tried again at one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RetryPolicy {
    /// How many attempts a record has, the first included; at least 1.
    pub attempts_max: u32,
    /// The upper bound of the wait after the first attempt; it doubles with each further one.
    pub first_ms: u64,
    /// The upper bound of any wait.
    pub max_ms: u64,
    /// How long a record is tried, counted from its first attempt.
    pub total_ms: u64,
}

impl RetryPolicy {
    /// For steps where another attempt cannot take effect twice: 4 attempts, waits from 1 s to 1 min,
    /// 15 min in total.
    pub const REPEATABLE: Self = Self { attempts_max: 4, first_ms: 1_000, max_ms: 60_000, total_ms: 900_000 };
    /// For destinations that nothing helps to take effect once: a single attempt.
    pub const ONCE: Self = Self { attempts_max: 1, ..Self::REPEATABLE };

    /// What holds for a step of which the route says nothing.
    #[must_use]
    pub fn default_for(abilities: &StepAbilities) -> Self {
        match (abilities.role, abilities.idempotency) {
            (Role::Destination, Idempotency::None) => Self::ONCE,
            _ => Self::REPEATABLE,
        }
    }
}

impl Retry {
    /// What the route says, completed by what holds for such a step. A bound that is only written on one side
    /// pulls the other along: `first = "2m"` alone makes `max` 2 min as well.
    #[must_use]
    pub fn policy(&self, abilities: &StepAbilities) -> RetryPolicy {
        let default = RetryPolicy::default_for(abilities);
        let written = [self.first_ms, self.max_ms, self.total_ms];
        let [first_ms, max_ms, total_ms] = ascending(written, [default.first_ms, default.max_ms, default.total_ms]);
        RetryPolicy { attempts_max: self.attempts_max.unwrap_or(default.attempts_max), first_ms, max_ms, total_ms }
    }
}

/// A wait, its upper bound and the time in all, completed by defaults. A bound that is written pulls along those
/// that are not, so that they ascend if those that are written do.
pub(crate) fn ascending(written: [Option<u64>; 3], default: [u64; 3]) -> [u64; 3] {
    let [first, max, total] = written;
    let first = first.unwrap_or(default[0].min(max.or(total).unwrap_or(u64::MAX)));
    let max = max.unwrap_or(default[1].max(first).min(total.unwrap_or(u64::MAX)));
    [first, max, total.unwrap_or(default[2].max(max))]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(retry: Retry, idempotency: Idempotency, expected: (u32, u64, u64, u64)) {
        let abilities = StepAbilities { idempotency, ..StepAbilities::of(Role::Destination) };
        let policy = retry.policy(&abilities);
        assert_eq!(
            (policy.attempts_max, policy.first_ms, policy.max_ms, policy.total_ms),
            expected,
            "{retry:?}, {idempotency:?}"
        );
        assert!(policy.first_ms <= policy.max_ms && policy.max_ms <= policy.total_ms, "{policy:?}");
    }

    #[test]
    fn what_is_not_said_is_completed() {
        let nothing = Retry::default();
        check(nothing, Idempotency::NativeKey, (4, 1_000, 60_000, 900_000));
        check(nothing, Idempotency::Upsert, (4, 1_000, 60_000, 900_000));
        check(nothing, Idempotency::Probe, (4, 1_000, 60_000, 900_000));
        check(nothing, Idempotency::None, (1, 1_000, 60_000, 900_000));
        let first = Retry { first_ms: Some(120_000), ..nothing };
        check(first, Idempotency::Upsert, (4, 120_000, 120_000, 900_000));
        let max = Retry { max_ms: Some(10), ..nothing };
        check(max, Idempotency::Upsert, (4, 10, 10, 900_000));
        let long = Retry { max_ms: Some(3_600_000), ..nothing };
        check(long, Idempotency::Upsert, (4, 1_000, 3_600_000, 3_600_000));
        let total = Retry { total_ms: Some(500), attempts_max: Some(9), ..nothing };
        check(total, Idempotency::Upsert, (9, 500, 500, 500));
        let all = Retry { attempts_max: Some(2), first_ms: Some(1), max_ms: Some(2), total_ms: Some(3) };
        check(all, Idempotency::Probe, (2, 1, 2, 3));
    }
}
