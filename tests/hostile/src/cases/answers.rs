//! Outcomes that are forged, missing, double, or contradict each other.

use crate::case::Case;
use crossdock::Status;

const ONCE: &str = "each handle of the host answered once";

fn lie(name: &'static str, what: &'static str, control: &'static str, misbehave: &str) -> Case {
    Case::new(name, what, control)
        .transformer(&format!("poison-{misbehave}"))
        .one(Status::Failed, "fault-broken-contract")
}

pub(super) fn cases() -> Vec<Case> {
    vec![
        lie("outcome-missing", "answers for too few records", ONCE, "too-few").says(&["0 outcomes for 1 record"]),
        lie("outcome-forged", "answers for a record that it was not given", ONCE, "forged"),
        lie("outcome-extra", "answers for one record more than there were", ONCE, "too-many"),
        lie("outcome-of-yesterday", "answers with handles it guessed", ONCE, "yesterday"),
        lie(
            "outcome-contradicts",
            "gives a failure for a record that it calls ok",
            "failures match codes",
            "failure-extra",
        ),
        lie("outcome-unexplained", "rejects without saying why", "failures match codes", "failure-missing"),
        lie("outcome-unknown", "answers with a code that does not exist", "codes of the role only", "unknown-code"),
        lie(
            "outcome-of-another-role",
            "a transformer answers like a destination",
            "codes of the role only",
            "destination-code",
        ),
        lie("offsets-far", "gives offsets far beyond its data", "columns are checked before use", "offsets-far"),
        lie("offsets-descend", "gives offsets that go back", "columns are checked before use", "offsets-descend"),
        Case::new("panic", "panics for one record", "halving; a store that trapped is dropped")
            .transformer("poison-panic")
            .one(Status::Failed, "fault-trap")
            .says(&["on purpose"]),
        Case::new("exit", "ends its own process with success", "an exit is a trap")
            .transformer("poison-exit0")
            .one(Status::Failed, "fault-trap")
            .says(&["exit code 0"]),
    ]
}
