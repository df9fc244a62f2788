//! Where a record stands, and where a run ended.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! statuses {
    ($($(#[$doc:meta])* $variant:ident = $word:literal, settled: $settled:literal;)*) => {
        /// Where a record stands.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        #[repr(u8)]
        pub enum Status { $($(#[$doc])* $variant),* }

        impl Status {
            /// All statuses, in the order of a record's life.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The word for it, the same in files, messages and on the command line.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }

            /// The status with this word.
            #[must_use]
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)* _ => None }
            }

            /// Invariant 2: whether nothing more will happen to the record by itself.
            /// A failed record is settled only while its payload is kept.
            #[must_use]
            pub fn is_settled(self) -> bool {
                match self { $(Self::$variant => $settled),* }
            }
        }
    };
}

statuses! {
    /// Known, nothing done yet.
    New = "new", settled: false;
    /// On its way.
    Processing = "processing", settled: false;
    /// Waiting: for a retry time, a breaker, a window, a quota.
    Pending = "pending", settled: false;
    /// Through all steps.
    Ok = "ok", settled: true;
    /// Filtered out by a step.
    Dropped = "dropped", settled: true;
    /// Did not pass validation.
    Rejected = "rejected", settled: true;
    /// A step gave it up.
    Failed = "failed", settled: true;
    /// Sent, answer unknown.
    Indeterminate = "indeterminate", settled: false;
    /// Left out by an operator, with a reason.
    Skipped = "skipped", settled: true;
    /// Being undone.
    RollingBack = "rolling-back", settled: false;
    /// Undone.
    RolledBack = "rolled-back", settled: true;
    /// Could not be undone; needs a person.
    RollbackFailed = "rollback-failed", settled: false;
    /// Stopped by an operator.
    Cancelled = "cancelled", settled: true;
}

impl Status {
    /// How many statuses there are.
    pub const COUNT: usize = Self::ALL.len();
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A number a status. In a batch's summary the numbers are changes and may be negative: a record
/// that was pending and is now ok counts -1 and +1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Counts([i64; Status::COUNT]);

impl Counts {
    /// The number of one status.
    #[must_use]
    pub fn get(&self, status: Status) -> i64 {
        self.0[status as usize]
    }

    /// Adds to the number of one status.
    pub fn add(&mut self, status: Status, delta: i64) {
        self.0[status as usize] += delta;
    }

    /// Adds another set of numbers to this one.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine += theirs;
        }
    }

    /// The sum over all statuses.
    #[must_use]
    pub fn total(&self) -> i64 {
        self.0.iter().sum()
    }

    /// The statuses whose number is not 0.
    pub fn iter(&self) -> impl Iterator<Item = (Status, i64)> + '_ {
        Status::ALL.iter().map(|&s| (s, self.get(s))).filter(|&(_, n)| n != 0)
    }
}

/// Where a run stands or ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunStatus {
    /// It has not ended; if no process runs it, that process died.
    Running,
    /// Every record in it is ok or dropped (or was skipped by an operator).
    Ok,
    /// It read everything; some records are neither ok nor dropped.
    CompletedWithFailures,
    /// It stopped before its end.
    Failed,
    /// An operator stopped it.
    Cancelled,
}

impl RunStatus {
    /// All of them.
    pub const ALL: &'static [Self] =
        &[Self::Running, Self::Ok, Self::CompletedWithFailures, Self::Failed, Self::Cancelled];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Ok => "ok",
            Self::CompletedWithFailures => "completed-with-failures",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The run status with this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|s| s.as_str() == word)
    }
}

impl fmt::Display for RunStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn words_are_what_serde_writes() {
        for &status in Status::ALL {
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
            assert_eq!(Status::from_word(status.as_str()), Some(status));
        }
        for &status in RunStatus::ALL {
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
        }
    }
}
