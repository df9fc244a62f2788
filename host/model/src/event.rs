//! What the event log holds.

use crate::{RecordId, RunId, StepName, Timestamp};
use serde::{Deserialize, Serialize};

/// One entry of the append-only event log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When it happened, on the host's clock.
    pub at: Timestamp,
    /// What happened.
    pub kind: EventKind,
    /// The run it belongs to, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// The step it belongs to, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepName>,
    /// The record it belongs to, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<RecordId>,
    /// One line for people.
    pub message: String,
    /// More, by kind.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub data: serde_json::Value,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $word:literal;)*) => {
        /// What happened.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[non_exhaustive]
        pub enum EventKind { $($(#[$doc])* #[serde(rename = $word)] $variant),* }

        impl EventKind {
            /// The word for it.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }

            /// The kind with this word.
            #[must_use]
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

kinds! {
    /// A run began.
    RunStarted = "run-started";
    /// A run ended; data holds its counts.
    RunEnded = "run-ended";
    /// A batch was settled or parked, durably; data holds its counts and its checkpoint.
    BatchCommitted = "batch-committed";
    /// A record is not ok: rejected, failed, indeterminate.
    RecordFailed = "record-failed";
    /// A record waits for another attempt.
    RecordPending = "record-pending";
    /// A record that was not ok has become ok.
    RecordRecovered = "record-recovered";
    /// An operator decided about a record.
    RecordDecided = "record-decided";
    /// The process ended between intent and outcome; found when the ledger was opened.
    RecordInDoubt = "record-in-doubt";
    /// A plugin committed a fault.
    PluginFault = "plugin-fault";
    /// A plugin could not answer a call.
    CallFailed = "call-failed";
    /// A resync was planned.
    ResyncPlanned = "resync-planned";
    /// A planned resync was applied.
    ResyncApplied = "resync-applied";
}
