//! Outcomes that are forged, missing, double, or contradict each other.

use crate::case::{Case, LIMITS};
use anyhow::ensure;
use crossdock::Status;

const ONCE: &str = "each handle of the host answered once";

fn lie(name: &'static str, what: &'static str, control: &'static str, misbehave: &str) -> Case {
    Case::new(name, what, control)
        .transformer(&format!("poison-{misbehave}"))
        .one(Status::Failed, "fault-broken-contract")
}

pub(super) fn cases() -> Vec<Case> {
    vec![
        lie(
            "split-bomb",
            "makes 1.5 million records of one",
            "what one call may hand over, and what a batch holds",
            "split-bomb",
        ),
        lie(
            "outputs-overflow",
            "says that it made 4 billion records of each",
            "counted before anything is made",
            "outputs-overflow",
        ),
        Case::new("attribute-of-the-host", "forges what earlier steps returned", "names of the host's attributes")
            .transformer("forge-host")
            .transformer("attributes")
            .also(|site| {
                ensure!(site.keeps("own=forged")?, "its own attribute is gone: {:?}", site.kept()?.first());
                let forged = site.keeps("steps.")? || site.keeps("event.")?;
                ensure!(!forged, "a later step believes it: {:?}", site.kept()?.first());
                Ok(())
            }),
        Case::new("retry-for-ever", "wants to be asked again at the end of time", "the route's own bounds of retries")
            .step(&format!(
                "plugin = \"guest-transformer\"\nsettings = {{ misbehave = \"poison-retry-for-ever\" }}\n{LIMITS}\
                 retry = {{ attempts = 2, first = \"10ms\", max = \"50ms\" }}"
            ))
            .records(4, vec![(4, Status::Failed, "on-purpose")]),
        Case::new("inflate", "makes 7 MB of a batch of 2 KB", "what one call may hand over")
            .transformer("poison-inflate")
            .memory(64),
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
