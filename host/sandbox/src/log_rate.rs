//! How much an instance may say in the log over time, and what it said too much.

use crate::limits::Limits;
use crate::pace::Pace;
use std::time::Duration;
use tokio::time::Instant;

/// What may come at once after a pause: so much time's worth.
const BURST: Duration = Duration::from_secs(10);
/// A byte's share of a second is no whole number of nanoseconds: what that comes to over so many of them.
const ROUNDING: Duration = Duration::from_millis(1);
/// Between two notes of what was left out.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// Counts what one instance says, and those that take its place.
#[derive(Debug)]
pub(crate) struct LogRate {
    messages: Pace,
    bytes: Pace,
    left_out: LeftOut,
    told_at: Option<Instant>,
}

/// What limits kept out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct LeftOut {
    pub(crate) messages: u64,
    pub(crate) metrics: u64,
}

impl Default for LogRate {
    fn default() -> Self {
        Self {
            messages: Pace::new(Limits::LOG_PER_SECOND, BURST),
            bytes: Pace::new(Limits::LOG_BYTES_PER_SECOND, BURST + ROUNDING),
            left_out: LeftOut::default(),
            told_at: None,
        }
    }
}

impl LogRate {
    /// Whether a message of so many bytes may go now.
    pub(crate) fn takes(&mut self, bytes: usize, now: Instant) -> bool {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).max(1);
        // The bytes first: a message that does not go for its length does not count as one that went.
        self.bytes.take(bytes, now).is_ok() && self.messages.take(1, now).is_ok()
    }

    /// Notes what was left out. Answers with all that was since it was told last, at most once a second; with `all`
    /// whenever there is any.
    pub(crate) fn leave_out(&mut self, more: LeftOut, all: bool, now: Instant) -> Option<LeftOut> {
        self.left_out.messages = self.left_out.messages.saturating_add(more.messages);
        self.left_out.metrics = self.left_out.metrics.saturating_add(more.metrics);
        let is_time = all || self.told_at.is_none_or(|told| now.duration_since(told) >= TELL_EVERY);
        if self.left_out == LeftOut::default() || !is_time {
            return None;
        }
        self.told_at = Some(now);
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of so many messages go that are said at once after a pause.
    fn check(rate: &mut LogRate, bytes: usize, said: usize, now: Instant, expected: usize) {
        assert_eq!((0..said).filter(|_| rate.takes(bytes, now)).count(), expected);
    }

    #[test]
    fn a_flood_is_cut_to_its_rate() {
        let begin = Instant::now();
        let mut rate = LogRate::default();
        check(&mut rate, 10, 100_000, begin, 1_000);
        check(&mut rate, 10, 100_000, begin + Duration::from_secs(1), 100);
        check(&mut rate, 10, 100_000, begin + Duration::from_secs(3), 200);
        check(&mut rate, 10, 100_000, begin + Duration::from_secs(3_600), 1_000);
    }

    #[test]
    fn long_messages_count_by_their_bytes() {
        let begin = Instant::now();
        let mut rate = LogRate::default();
        check(&mut rate, 4 << 10, 1_000, begin, 64);
        check(&mut rate, 4 << 10, 1_000, begin + Duration::from_secs(1), 6);
        check(&mut rate, 0, 10_000, begin + Duration::from_secs(60), 1_000);
    }

    #[test]
    fn what_is_left_out_is_told_once_a_second_and_at_the_end() {
        let begin = Instant::now();
        let mut rate = LogRate::default();
        let one = LeftOut { messages: 1, metrics: 2 };
        assert_eq!(rate.leave_out(LeftOut::default(), true, begin), None);
        assert_eq!(rate.leave_out(one, false, begin), Some(one));
        assert_eq!(rate.leave_out(one, false, begin + TELL_EVERY / 2), None);
        let both = LeftOut { messages: 2, metrics: 4 };
        assert_eq!(rate.leave_out(one, false, begin + TELL_EVERY), Some(both));
        assert_eq!(rate.leave_out(one, false, begin + TELL_EVERY), None);
        assert_eq!(rate.leave_out(LeftOut::default(), true, begin + TELL_EVERY), Some(one));
    }
}
