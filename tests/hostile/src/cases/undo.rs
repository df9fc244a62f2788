//! Destinations that lie about what they applied, and do not undo it.

use crate::case::{Case, LIMITS};
use crossdock::Status;

fn destination(name: &'static str, what: &'static str, control: &'static str, misbehave: &str) -> Case {
    Case::new(name, what, control).step(&format!(
        "plugin = \"guest-destination\"\nsettings = {{ misbehave = \"{misbehave}\" }}\n{LIMITS}\
                        retry = {{ attempts = 1 }}"
    ))
}

/// What a destination applied must be undone, because a later step fails for one record.
fn undoing(name: &'static str, what: &'static str, control: &'static str, misbehave: &str, code: &'static str) -> Case {
    destination(name, what, control, misbehave)
        .transformer("poison-panic")
        .head("rollback = \"record\"")
        .one(Status::RollbackFailed, code)
}

pub(super) fn cases() -> Vec<Case> {
    let never = "a rollback that cannot finish is never reported as done";
    vec![
        undoing("undo-panic", "panics when it is to undo", never, "undo-panic", "fault-trap"),
        undoing("undo-loop", "computes without end when it is to undo", never, "undo-loop", "fault-out-of-time"),
        undoing(
            "undo-lies",
            "answers with a code that undoing does not have",
            never,
            "undo-lies",
            "fault-broken-contract",
        ),
        undoing(
            "undo-too-few",
            "answers for too few of those it is to undo",
            never,
            "undo-too-few",
            "fault-broken-contract",
        ),
        destination(
            "write-panic",
            "panics after it may have sent something",
            "in doubt until a person or a probe says",
            "poison-panic",
        )
        .records(4, vec![(4, Status::Indeterminate, "fault-trap")]),
        destination(
            "write-too-few",
            "answers for too few records",
            "in doubt until a person or a probe says",
            "poison-too-few",
        )
        .records(4, vec![(4, Status::Indeterminate, "fault-broken-contract")]),
    ]
}
