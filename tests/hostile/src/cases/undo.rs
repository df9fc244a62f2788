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
        destination("write-dropped", "says that it dropped a record", "codes of the role only", "poison-dropped")
            .records(4, vec![(4, Status::Indeterminate, "fault-broken-contract")]),
        destination(
            "target-id-control",
            "gives target ids that clear the screen",
            "form of target ids",
            "poison-bad-target-id",
        )
        .records(4, vec![(4, Status::Indeterminate, "fault-broken-contract")]),
        destination("receipt-long", "gives receipts of 16 KiB and a byte", "16 KiB a receipt", "poison-long-receipt")
            .records(4, vec![(4, Status::Indeterminate, "fault-broken-contract")]),
        destination(
            "loop-in-write",
            "computes without end while it writes",
            "computing time of a call",
            "loop-in-write",
        )
        .records(0, vec![(8, Status::Indeterminate, "fault-out-of-time")])
        .mended("misbehave = \"loop-in-write\"", "misbehave = \"polite\"", 4),
        Case::new("lies-of-probe", "says that it can be asked, and cannot", "abilities against exports")
            .transformer("lies-of-probe")
            .refused("fault-broken-contract")
            .mended("misbehave = \"lies-of-probe\"", "misbehave = \"polite\"", 8),
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
