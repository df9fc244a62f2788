//! Sources that lie about where they are, and never come to an end.

use crate::case::{Case, LIMITS};

fn page(name: &'static str, what: &'static str, control: &'static str, misbehave: &str) -> Case {
    Case::new(name, what, control).guest_source(misbehave).run("fault-broken-contract")
}

pub(super) fn cases() -> Vec<Case> {
    let pages = "pages are checked before anything of them is taken";
    let budget = "a run's budgets of pages";
    let mut back = page("checkpoint-back", "goes back to its beginning, again and again", budget, "back");
    // Those of the page before may be settled by then.
    back.next.ok = 6;
    vec![
        page("checkpoint-still", "gives records and does not move its checkpoint", pages, "unmoved")
            .says(&["checkpoint"]),
        page("checkpoint-large", "gives a checkpoint of 64 KiB and a byte", pages, "large-checkpoint")
            .says(&["checkpoint"]),
        back,
        page("pages-empty", "gives empty pages for ever, without moving", budget, "endless"),
        page(
            "pages-empty-moving",
            "gives empty pages for ever, always with another checkpoint",
            budget,
            "empty-forever",
        )
        .run("source-over-budget")
        .says(&["empty_pages"]),
        Case::new("pages-for-ever", "gives one more record for ever", budget)
            .source(&format!(
                "plugin = \"guest-source\"\nsettings = {{ misbehave = \"never-ends\" }}\nbudget = {{ records = 200 }}\n\
                 {LIMITS}"
            ))
            .run("source-over-budget")
            .says(&["records = 200"]),
        page("ids-twice", "gives all records of a page the same id", pages, "same-ids"),
        page("ids-control", "gives ids with line ends in them", pages, "control-id"),
        page("page-too-many", "gives more records than it was asked for", pages, "too-many"),
        page("page-too-large", "gives more bytes than it was asked for", pages, "large"),
        Case::new("source-loop", "computes without end while it is read", "computing time of a call")
            .guest_source("loop")
            .run("fault-out-of-time")
            .says(&["cpu_time_max_ms"]),
        Case::new("source-sleep", "sleeps for an hour while it is read", "time of a call by the wall")
            .guest_source("sleep")
            .run("fault-out-of-time")
            .says(&["call_time_max_ms"]),
        Case::new(
            "source-check-loop",
            "computes without end when it is asked whether it can be used",
            "computing time of a call",
        )
        .guest_source("loop-in-check")
        .refused("host-source-not-operational")
        .says(&["cpu_time_max_ms", "fault-out-of-time"]),
    ]
}
