//! How long the next request may take, and whether there is still time for it.

use crossdock_sdk::control;

/// The shortest time that settings may give a request.
pub(crate) const TIMEOUT_MIN_MS: u64 = 100;

/// Kept back of a call's time to answer it: an interrupted write would leave all of its records indeterminate.
const RESERVE_MS: u64 = 500;

/// What is left must be this often the slowest request so far, or another one is not begun.
const SLOWEST_TIMES: u64 = 4;

/// No request is thought to be faster than this.
const SLOWEST_MIN_MS: u64 = 250;

/// The pace of one call.
#[derive(Debug)]
pub(crate) struct Pace {
    timeout_ms: u64,
    slowest_ms: Option<u64>,
}

impl Pace {
    pub(crate) fn new(timeout_ms: u64) -> Self {
        Self { timeout_ms, slowest_ms: None }
    }

    /// How long requests that begin now may take; `None` if nothing more should begin, because the run was asked to
    /// stop or the time is too short to wait for an answer.
    pub(crate) fn next(&self) -> Option<u64> {
        let left_ms = control::remaining_ms().saturating_sub(RESERVE_MS);
        let wanted_ms = match self.slowest_ms {
            None => TIMEOUT_MIN_MS,
            Some(slowest_ms) => (slowest_ms.max(SLOWEST_MIN_MS) * SLOWEST_TIMES).min(self.timeout_ms),
        };
        (left_ms >= wanted_ms && !control::cancelled()).then(|| left_ms.min(self.timeout_ms))
    }

    /// Runs requests and remembers how long they took.
    pub(crate) fn time<T>(&mut self, requests: impl FnOnce() -> T) -> T {
        let timer = Timer::start();
        let answers = requests();
        self.took(timer);
        answers
    }

    /// Remembers how long a request took.
    pub(crate) fn took(&mut self, timer: Timer) {
        let took_ms = timer.left_ms.saturating_sub(control::remaining_ms());
        self.slowest_ms = self.slowest_ms.max(Some(took_ms));
    }
}

/// How much of the call's time something takes: when the host lets requests wait for their turn, that is not part of it.
#[derive(Debug)]
pub(crate) struct Timer {
    left_ms: u64,
}

impl Timer {
    pub(crate) fn start() -> Self {
        Self { left_ms: control::remaining_ms() }
    }
}
