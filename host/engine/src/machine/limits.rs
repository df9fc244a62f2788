//! How many records may fail before a run ends.

use super::Machine;
use crate::codes;
use crate::plan::RATIO_RECORDS_MIN;
use crossdock_model::{Counts, Failure, Status};

impl Machine {
    /// Takes note of how many of a batch failed, for the share among the last ones.
    pub(super) fn note_failed(&mut self, counts: &Counts) {
        let failed = bad(counts);
        let of = u64::try_from(counts.total()).unwrap_or(0);
        self.failed += failed;
        if self.spec.policy.max_failed_ratio.is_none() {
            return;
        }
        self.recent.push_back((failed, of));
        let window = self.spec.policy.max_failed_window.max(RATIO_RECORDS_MIN);
        let mut sum: u64 = self.recent.iter().map(|(_, of)| of).sum();
        while let Some(&(_, oldest)) = self.recent.front().filter(|(_, oldest)| sum - oldest >= window) {
            sum -= oldest;
            self.recent.pop_front();
        }
    }

    /// All or nothing: one record that is not well, and nothing more is done.
    pub(super) fn stop_if_not_all(&mut self, counts: &Counts) {
        if !self.does_all_or_nothing() || self.is_stopping() {
            return;
        }
        // What waits for another attempt would not be there when the checkpoint moves.
        if bad(counts) > 0 || counts.get(Status::Pending) > 0 {
            let message = "a record is not ok, and the route does all of a run or nothing".to_owned();
            self.stop_because(Failure::new(codes::STOPPED_AT_RECORD.name, message));
        }
        let (held, most) = (self.totals.read, self.spec.policy.rollback_records_max);
        if held > most {
            let message =
                format!("the run has {held} records, more than rollback_records_max = {most} can be undone together");
            self.stop_because(Failure::new(codes::ROLLBACK_TOO_LARGE.name, message));
        }
    }

    pub(super) fn stop_if_too_many_failed(&mut self) {
        let failed = self.failed;
        let policy = &self.spec.policy;
        let too_many = if let Some(most) = policy.max_failed.filter(|&most| failed > most) {
            format!("{failed} records failed, more than max_failed = {most}")
        } else if let Some(ratio) = policy.max_failed_ratio {
            let (failed, of) = self.recent.iter().fold((0, 0), |(a, b), (failed, of)| (a + failed, b + of));
            if of < RATIO_RECORDS_MIN || failed as f64 <= ratio * of as f64 {
                return;
            }
            format!("{failed} of the last {of} records failed, a larger share than max_failed_ratio = {ratio}")
        } else {
            return;
        };
        self.stop_because(Failure::new(codes::TOO_MANY_FAILED.name, too_many));
    }
}

/// How many of these failed.
fn bad(counts: &Counts) -> u64 {
    let bad = [Status::Failed, Status::Rejected, Status::Indeterminate, Status::RollingBack];
    bad.iter().map(|&status| u64::try_from(counts.get(status)).unwrap_or(0)).sum()
}
