//! The codes of reasons and failures that the engine itself gives, each with its page.

use crossdock_model::Code;

macro_rules! codes {
    ($($(#[$doc:meta])* $constant:ident = $name:literal;)*) => {
        $($(#[$doc])* pub const $constant: Code =
            Code { name: $name, page: include_str!(concat!("../codes/", $name, ".md")) };)*

        /// All codes of this crate.
        pub const CODES: &[Code] = &[$($constant),*];
    };
}

codes! {
    /// The machine has nothing under way and has not ended.
    STUCK = "engine-stuck";
    /// A task of the driver ended without an answer.
    PORT_PANICKED = "engine-port-panicked";
    /// A run's reason: `on_error = "stop"` and a record that is not ok.
    STOPPED_AT_RECORD = "stopped-at-record";
    /// A run's reason: `max_failed` or `max_failed_ratio`.
    TOO_MANY_FAILED = "too-many-failed";
    /// A run's reason: `max_faults`.
    PLUGIN_QUARANTINED = "plugin-quarantined";
    /// A run's reason: the source has more than it may give in one run.
    SOURCE_OVER_BUDGET = "source-over-budget";
    /// A run's reason: open records that did not come again.
    SOURCE_DID_NOT_RE_READ = "source-did-not-re-read";
    /// A run's reason: credentials are refused as a whole.
    CONNECTOR_UNAUTHORIZED = "connector-unauthorized";
    /// A run's reason: a connector could not be used for too long.
    CONNECTOR_DOWN = "connector-down";
    /// A run's reason: more records than can be undone together.
    ROLLBACK_TOO_LARGE = "rollback-too-large";
    /// A record's failure: the route has no step any more that can undo what was applied.
    CANNOT_COMPENSATE = "cannot-compensate";
    /// A record's failure: whether there is anything to undo cannot be found out.
    ROLLBACK_IN_DOUBT = "rollback-in-doubt";
    /// A record's failure: processes died while they worked on it alone.
    RECORD_QUARANTINED = "record-quarantined";
    /// A record's failure: an earlier one with the same order key is not settled.
    WAITS_FOR_ORDER = "waits-for-order";
    /// A run's reason: a record's rollback failed, and the route does not go past it.
    STOPPED_AT_ROLLBACK = "stopped-at-rollback";
    /// A handler task's failure: the route has no such handler any more.
    HANDLER_GONE = "handler-gone";
    /// A record's failure: there is nothing to put through again.
    PAYLOAD_GONE = "payload-gone";
    /// A record's failure: its step is not in the route.
    STEP_GONE = "step-gone";
    /// A record's failure: the probe found nothing.
    PROBE_NOT_APPLIED = "probe-not-applied";
    /// A record's failure: a write that began nothing.
    NOTHING_WRITTEN = "nothing-written";
    /// A record's failure: the plugin gave none.
    UNEXPLAINED = "outcome-unexplained";
    /// A run's reason: more than columns can hold.
    BATCH_TOO_LARGE = "batch-too-large";
    /// A run's reason: an operator stopped it.
    CANCELLED = "run-cancelled";
    /// A fault of a plugin; see `FaultKind::code`.
    FAULT_TRAP = "fault-trap";
    /// A fault of a plugin; see `FaultKind::code`.
    FAULT_OUT_OF_TIME = "fault-out-of-time";
    /// A fault of a plugin; see `FaultKind::code`.
    FAULT_OUT_OF_MEMORY = "fault-out-of-memory";
    /// A fault of a plugin; see `FaultKind::code`.
    FAULT_BROKEN_CONTRACT = "fault-broken-contract";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossdock_model::FaultKind;

    #[test]
    fn pages_have_their_sections() {
        for code in CODES {
            assert!(code.page.starts_with("# "), "{}", code.name);
            for section in ["\n## Cause\n", "\n## What to check\n", "\n## What to do\n"] {
                assert!(code.page.contains(section), "{} has no {section:?}", code.name);
            }
        }
    }

    #[test]
    fn every_fault_has_its_page() {
        let kinds = [FaultKind::Trap, FaultKind::OutOfTime, FaultKind::OutOfMemory, FaultKind::BrokenContract];
        for kind in kinds {
            assert!(CODES.iter().any(|code| code.name == kind.code()), "{}", kind.code());
        }
    }
}
