//! A steady pace: a token bucket, kept as the time at which it is full again.

use std::time::Duration;
use tokio::time::Instant;

/// The slowest pace that can be asked for: one turn in about a quarter of an hour.
const PER_SECOND_MIN: f64 = 0.001;
/// The fastest pace that makes a difference.
const PER_SECOND_MAX: f64 = 1_000_000.0;

/// So many turns a second, on the host's monotonic clock.
#[derive(Debug)]
pub(crate) struct Pace {
    interval: Duration,
    /// How far ahead of the pace a turn may be.
    ahead: Duration,
    full_at: Option<Instant>,
}

impl Pace {
    /// A pace; after a pause what is due in the time `burst` may go at once, and at least one turn.
    pub(crate) fn new(per_second: f64, burst: Duration) -> Self {
        // What is no number is taken for the slowest rate: better too slow than too fast.
        let per_second = if per_second.is_nan() { PER_SECOND_MIN } else { per_second };
        let per_second = per_second.clamp(PER_SECOND_MIN, PER_SECOND_MAX);
        let interval = Duration::from_secs_f64(1.0 / per_second);
        Self { interval, ahead: burst.saturating_sub(interval), full_at: None }
    }

    /// Takes so many turns, at least one, or says when they can be had.
    pub(crate) fn take(&mut self, turns: u32, now: Instant) -> Result<(), Instant> {
        let full_at = self.full_at.map_or(now, |full_at| full_at.max(now));
        let last = full_at + self.interval * turns.saturating_sub(1);
        if last > now + self.ahead {
            return Err(last - self.ahead);
        }
        self.full_at = Some(last + self.interval);
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const BURST: Duration = Duration::from_millis(100);

    /// When each of so many requests goes that all want to go at once, in milliseconds.
    fn times(turns: &mut Pace, begin: Instant, wanted_at_ms: u64, requests: usize) -> Vec<u64> {
        let mut now = begin + Duration::from_millis(wanted_at_ms);
        let mut times = Vec::new();
        for _ in 0..requests {
            while let Err(at) = turns.take(1, now) {
                assert!(at > now, "a wait that ends before it begins");
                now = at;
            }
            times.push(u64::try_from((now - begin).as_millis()).unwrap());
        }
        times
    }

    #[test]
    fn the_pace_is_kept_after_any_pause() {
        let begin = Instant::now();
        let mut turns = Pace::new(20.0, BURST);
        // A tenth of a second's worth is two at once, then one each 50 ms.
        assert_eq!(times(&mut turns, begin, 0, 5), [0, 0, 50, 100, 150]);
        assert_eq!(times(&mut turns, begin, 150, 2), [200, 250]);
        // A long pause earns no more than a short one.
        assert_eq!(times(&mut turns, begin, 60_000, 4), [60_000, 60_000, 60_050, 60_100]);
    }

    #[test]
    fn no_second_has_much_more_than_its_rate() {
        let begin = Instant::now();
        for rate in [0.5, 1.0, 3.0, 20.0, 200.0, 5_000.0] {
            let mut turns = Pace::new(rate, BURST);
            let times = times(&mut turns, begin, 0, 300);
            let most = (rate * 1.1 + 1.0).floor() as usize;
            for (position, first) in times.iter().enumerate() {
                let within = times[position..].iter().take_while(|time| **time < first + 1_000).count();
                assert!(within <= most, "{rate} a second: {within} within a second from {first} ms");
            }
            let last = *times.last().unwrap() as f64;
            assert!(last <= 299.0 * 1_000.0 / rate + 1.0, "{rate} a second: slower than it may be: {last} ms");
        }
    }

    #[test]
    fn odd_rates_are_brought_into_range() {
        for (rate, interval_ms) in [(0.0, 1_000_000), (-3.0, 1_000_000), (f64::NAN, 1_000_000), (f64::INFINITY, 0)] {
            assert_eq!(Pace::new(rate, BURST).interval.as_millis(), interval_ms, "{rate}");
        }
    }

    #[test]
    fn several_turns_are_taken_at_once_or_not_at_all() {
        let begin = Instant::now();
        let mut bytes = Pace::new(1_000.0, Duration::from_secs(2));
        assert_eq!(bytes.take(1_500, begin), Ok(()));
        assert!(bytes.take(600, begin).is_err());
        assert_eq!(bytes.take(500, begin), Ok(()));
        assert_eq!(bytes.take(1, begin), Err(begin + Duration::from_millis(1)));
        assert_eq!(bytes.take(1_000, begin + Duration::from_secs(1)), Ok(()));
    }
}
