//! How long a call may still take.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How often a deadline that stands still is looked at again.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// When a call's time by the wall is over. It moves while the call waits for its turn to send a request, because the
/// plugin cannot do anything about that; up to a limit, so that no call takes forever.
#[derive(Debug, Clone)]
pub(crate) struct Deadline(Arc<Mutex<Times>>);

#[derive(Debug)]
struct Times {
    at: Instant,
    /// How far it may still move.
    may_move: Duration,
    waiting_since: Option<Instant>,
}

impl Times {
    fn at(&self, now: Instant) -> Instant {
        let waited = self.waiting_since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        self.at + waited.min(self.may_move)
    }
}

impl Deadline {
    /// A deadline that may move by so much altogether.
    pub(crate) fn new(at: Instant, may_move: Duration) -> Self {
        Self(Arc::new(Mutex::new(Times { at, may_move, waiting_since: None })))
    }

    /// What is left.
    pub(crate) fn left(&self) -> Duration {
        let now = Instant::now();
        self.times().at(now).saturating_duration_since(now)
    }

    /// When to look again: the deadline itself, unless it is on the move.
    pub(crate) fn look_at(&self) -> Instant {
        let (now, times) = (Instant::now(), self.times());
        match times.waiting_since {
            Some(_) => times.at(now).max(now + LOOK_EVERY),
            None => times.at,
        }
    }

    /// Moves with the time until what this answers with is dropped.
    pub(crate) fn wait(&self) -> Waiting {
        self.times().waiting_since = Some(Instant::now());
        Waiting(self.clone())
    }

    fn times(&self) -> MutexGuard<'_, Times> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A wait that is not held against the call.
pub(crate) struct Waiting(Deadline);

impl Drop for Waiting {
    fn drop(&mut self) {
        let (now, mut times) = (Instant::now(), self.0.times());
        let at = times.at(now);
        times.may_move = times.may_move.saturating_sub(at - times.at);
        times.at = at;
        times.waiting_since = None;
    }
}
