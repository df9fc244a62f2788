//! When a record is tried again.

use crate::plan::Retry;
use crossdock_model::{Failure, Timestamp};

/// Spreads retries, so that records which failed together do not come back together. SplitMix64 (Steele,
/// Lea, Flood 2014): small, seedable, and good enough for spreading.
#[derive(Debug)]
pub(crate) struct Jitter(u64);

impl Jitter {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 0 to `most`, both included.
    fn up_to(&mut self, most: u64) -> u64 {
        if most == u64::MAX { self.next() } else { self.next() % (most + 1) }
    }
}

/// When to try again after `spent` attempts, the first of which began at `since`; `None` to give up.
///
/// Exponential with full jitter: the wait is anything from 0 to `first * 2^(spent - 1)`, at most `max`. A
/// `Retry-After` is a lower bound, itself at most `max`.
pub(crate) fn next_attempt(
    retry: &Retry,
    jitter: &mut Jitter,
    spent: u32,
    since: Timestamp,
    now: Timestamp,
    failure: &Failure,
) -> Option<Timestamp> {
    if spent >= retry.attempts {
        return None;
    }
    let doubled = retry.first_ms.saturating_mul(1_u64.checked_shl(spent.saturating_sub(1)).unwrap_or(u64::MAX));
    let wait = jitter.up_to(doubled.min(retry.max_ms));
    let asked = failure.retry_after_ms.unwrap_or(0).min(retry.max_ms);
    let due = now.plus_ms(wait.max(asked));
    (due.ms_since(since) <= retry.total_ms).then_some(due)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn check(spent: u32, since: i64, retry_after_ms: Option<u64>, expected: Option<std::ops::RangeInclusive<i64>>) {
        let retry = Retry { attempts: 4, first_ms: 100, max_ms: 300, total_ms: 10_000 };
        for seed in 0..200 {
            let failure = Failure { retry_after_ms, ..Failure::new("x", "y") };
            let due =
                next_attempt(&retry, &mut Jitter::new(seed), spent, Timestamp(since), Timestamp(1_000_000), &failure);
            match (&expected, due) {
                (Some(range), Some(due)) => assert!(range.contains(&due.0), "{due:?}"),
                (None, None) => {}
                other => assert!(matches!(other, (None, None)), "{other:?}"),
            }
        }
    }

    #[test]
    fn waits() {
        check(1, 1_000_000, None, Some(1_000_000..=1_000_100));
        check(2, 1_000_000, None, Some(1_000_000..=1_000_200));
        check(3, 1_000_000, None, Some(1_000_000..=1_000_300));
        check(4, 1_000_000, None, None);
        check(1, 1_000_000, Some(250), Some(1_000_250..=1_000_250));
        check(1, 1_000_000, Some(3_600_000), Some(1_000_300..=1_000_300));
        check(1, 980_000, None, None);
    }
}
