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
    /// A record's chain is to be undone; data names the steps, newest first.
    RollbackPlanned = "rollback-planned";
    /// What a step had applied for a record was undone.
    RecordCompensated = "record-compensated";
    /// A record's chain was undone.
    RecordRolledBack = "record-rolled-back";
    /// A record's chain could not be undone; a person has to.
    RollbackFailed = "rollback-failed";
    /// A handler was called for a record or a run and went well.
    HandlerDone = "handler-done";
    /// A handler gave up; what became of the record is not changed by it.
    HandlerFailed = "handler-failed";
    /// A connector does not take records: its breaker opened.
    ConnectorDown = "connector-down";
    /// A connector can be used again.
    ConnectorUp = "connector-up";
    /// A plugin committed too many faults and is not used any more in this route.
    PluginQuarantined = "plugin-quarantined";
    /// An operator lets a quarantined plugin be used again.
    PluginReleased = "plugin-released";
    /// A person changed the content of a record.
    RecordEdited = "record-edited";
    /// The disk is full: nothing more is taken in until there is room.
    IntakeStopped = "intake-stopped";
    /// There is room again.
    IntakeResumed = "intake-resumed";
    /// What was old enough was removed from the ledger; data holds how much.
    LedgerPruned = "ledger-pruned";
    /// A backup of the ledger was made.
    LedgerBackedUp = "ledger-backed-up";
    /// The ledger was restored from a backup.
    LedgerRestored = "ledger-restored";
    /// A resync was planned.
    ResyncPlanned = "resync-planned";
    /// A planned resync was applied.
    ResyncApplied = "resync-applied";
}
