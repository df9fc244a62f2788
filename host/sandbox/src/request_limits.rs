//! How many requests a connector may send: shared by all instances that talk to the same system.

use crate::pace::Pace;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};

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
    turns: Option<Mutex<Pace>>,
}

impl RequestLimits {
    /// Limits; `None` is no limit. Rates are brought between one request in 1,000 seconds and 1,000,000 a second,
    /// requests in flight between 1 and 10,000.
    #[must_use]
    pub fn new(requests_per_second: Option<f64>, in_flight: Option<u32>) -> Self {
        let places = in_flight.map(|most| Arc::new(Semaphore::new(most.clamp(1, IN_FLIGHT_MAX) as usize)));
        Self { places, turns: requests_per_second.map(|rate| Mutex::new(Pace::new(rate, BURST))) }
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
            while let Err(at) = turns.take(1, Instant::now()) {
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
