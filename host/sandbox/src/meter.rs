//! How long a call has computed: what is held against a plugin when many compute at the same time.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// A turn that took less is held against the call as it is: asking the system for the thread's own time costs
/// microseconds.
const ASK_FROM: Duration = Duration::from_millis(2);

thread_local! {
    /// How long this thread had computed when it was asked last.
    static ASKED: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// Adds up what the turns of a call have computed.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    computed: Duration,
}

impl Meter {
    /// One turn of the call, on this thread.
    pub(crate) fn turn<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let done = work();
        self.add(begun.elapsed(), || {
            let now = computed_by_thread()?;
            Some(now.saturating_sub(ASKED.replace(now)))
        });
        done
    }

    /// How long the call has computed.
    pub(crate) fn computed(&self) -> Duration {
        self.computed
    }

    /// A turn took so long by the wall. `since_asked` is what the thread has computed since it was asked last: in this
    /// turn, and in short ones before it. On a machine with more to do than it has cores a turn stands still most of
    /// the time, and that is not held against the call.
    fn add(&mut self, wall: Duration, since_asked: impl FnOnce() -> Option<Duration>) {
        let computed = if wall < ASK_FROM { wall } else { since_asked().map_or(wall, |since| wall.min(since)) };
        self.computed = self.computed.saturating_add(computed);
    }
}

/// How long the current thread has computed since it was started, where the system says so.
#[cfg(any(target_os = "linux", target_os = "macos"))]
fn computed_by_thread() -> Option<Duration> {
    use rustix::time::{ClockId, clock_gettime};
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Some(Duration::new(u64::try_from(now.tv_sec).ok()?, u32::try_from(now.tv_nsec).ok()?))
}

/// Elsewhere a turn is charged by the wall.
#[cfg(not(any(target_os = "linux", target_os = "macos")))]
fn computed_by_thread() -> Option<Duration> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_is_not_charged_for_the_time_it_stood_still() {
        let ms = Duration::from_millis;
        let check = |wall: u64, since_asked: Option<u64>, expected: u64| {
            let mut meter = Meter::default();
            meter.add(ms(wall), || since_asked.map(ms));
            assert_eq!(meter.computed(), ms(expected), "{wall} ms, {since_asked:?} of them computed");
        };
        check(10, Some(10), 10);
        check(400, Some(10), 10);
        // What others computed before on the same thread is not held against it beyond its own time.
        check(10, Some(25), 10);
        check(10, None, 10);
        // Too short to ask.
        check(1, Some(0), 1);
        let mut meter = Meter::default();
        for _ in 0..3 {
            meter.add(ms(400), || Some(ms(10)));
        }
        assert_eq!(meter.computed(), ms(30));
    }

    #[cfg(any(target_os = "linux", target_os = "macos"))]
    #[test]
    fn a_thread_that_waits_does_not_compute() {
        // On a thread of its own: nothing else computes there.
        let waited = std::thread::spawn(|| {
            let (sender, receiver) = std::sync::mpsc::channel::<()>();
            let mut meter = Meter::default();
            meter.turn(|| {
                // Nobody sends: this stands still until the time is over.
                let _ = receiver.recv_timeout(Duration::from_millis(200));
                drop(sender);
            });
            meter.computed()
        });
        assert!(waited.join().is_ok_and(|computed| computed < Duration::from_millis(150)));
    }
}
