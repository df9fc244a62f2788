//! How many requests a connector may send: shared by all instances that talk to the same system.

use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};

/// The slowest rate that can be asked for: one request in about a quarter of an hour.
const PER_SECOND_MIN: f64 = 0.001;
/// The fastest rate that makes a difference.
const PER_SECOND_MAX: f64 = 1_000_000.0;
/// The most requests that can be in flight at once, far more than one call may have.
const IN_FLIGHT_MAX: u32 = 10_000;
/// How much of the rate may go out at once after a pause.
const BURST: Duration = Duration::from_millis(100);

/// How many requests go to one system: at most so many a second, and so many at once.
///
/// Give the same `Arc` to every [`Instance`](crate::Instance) that talks to the same system, whatever its route: they
/// share it, first come, first served. After a pause a tenth of a second's worth of requests may go at once, and at
/// least one. A request that has to wait for its turn does so before it is sent: that time is neither part of the
/// exchange nor, up to [`Limits::http_wait_max_ms`](crate::Limits::http_wait_max_ms), of the call.
#[derive(Debug)]
pub struct RequestLimits {
    places: Option<Arc<Semaphore>>,
    turns: Option<Mutex<Turns>>,
}

impl RequestLimits {
    /// Limits; `None` is no limit. Rates are brought between one request in 1,000 seconds and 1,000,000 a second,
    /// requests in flight between 1 and 10,000.
    #[must_use]
    pub fn new(requests_per_second: Option<f64>, in_flight: Option<u32>) -> Self {
        let places = in_flight.map(|most| Arc::new(Semaphore::new(most.clamp(1, IN_FLIGHT_MAX) as usize)));
        Self { places, turns: requests_per_second.map(|rate| Mutex::new(Turns::new(rate))) }
    }

    /// Waits until one more request may go. The turn is taken when this answers, and not before: dropping the
    /// future costs the others nothing.
    pub(crate) async fn turn(self: Arc<Self>) -> Turn {
        let place = match &self.places {
            // It is never closed, so there is always a place in the end.
            Some(places) => places.clone().acquire_owned().await.ok(),
            None => None,
        };
        if let Some(turns) = &self.turns {
            // The lock is fair, and held while waiting: those who come later wait behind it.
            let mut turns = turns.lock().await;
            while let Err(at) = turns.take(Instant::now()) {
                sleep_until(at).await;
            }
        }
        Turn { _place: place }
    }
}

/// Leave to send one request; its place is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    _place: Option<OwnedSemaphorePermit>,
}

/// Turns at a steady pace: a token bucket, kept as the time at which it is full again.
#[derive(Debug)]
struct Turns {
    interval: Duration,
    /// How far ahead of the pace a turn may be.
    ahead: Duration,
    full_at: Option<Instant>,
}

impl Turns {
    fn new(per_second: f64) -> Self {
        // What is no number is taken for the slowest rate: better too slow than too fast.
        let per_second = if per_second.is_nan() { PER_SECOND_MIN } else { per_second };
        let per_second = per_second.clamp(PER_SECOND_MIN, PER_SECOND_MAX);
        let interval = Duration::from_secs_f64(1.0 / per_second);
        Self { interval, ahead: BURST.saturating_sub(interval), full_at: None }
    }

    /// Takes a turn, or says when there is one.
    fn take(&mut self, now: Instant) -> Result<(), Instant> {
        let full_at = self.full_at.map_or(now, |full_at| full_at.max(now));
        if full_at > now + self.ahead {
            return Err(full_at - self.ahead);
        }
        self.full_at = Some(full_at + self.interval);
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// When each of so many requests goes that all want to go at once, in milliseconds.
    fn times(turns: &mut Turns, begin: Instant, wanted_at_ms: u64, requests: usize) -> Vec<u64> {
        let mut now = begin + Duration::from_millis(wanted_at_ms);
        let mut times = Vec::new();
        for _ in 0..requests {
            while let Err(at) = turns.take(now) {
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
        let mut turns = Turns::new(20.0);
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
            let mut turns = Turns::new(rate);
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
            assert_eq!(Turns::new(rate).interval.as_millis(), interval_ms, "{rate}");
        }
    }
}
