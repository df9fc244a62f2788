//! A record's way through the steps of its route, as a table: what each step did for it and what became of that.

use crate::decide::one_to_undo;
use crate::out::Out;
use crate::text::{Cell, Mood, count, mood};
use crossdock::{AttemptDetail, AttemptKind, RecordDetail, Status, StepName, TaskDetail, TaskStanding};

/// What one step did for a record.
#[derive(Debug, PartialEq, Eq)]
struct Link {
    status: &'static str,
    mood: Mood,
    target_id: String,
    attempts: u64,
    undoing: u64,
    handlers: String,
}

/// The chain as a table; empty if the steps of the route are not known. `steps` are in the order of the route.
pub(crate) fn chain(out: &Out, detail: &RecordDetail, steps: &[StepName]) -> String {
    if steps.is_empty() {
        return String::new();
    }
    let mut table = out.table(&["step", "status", "target id", "attempts", "undoing", "handlers"]);
    for (position, step) in steps.iter().enumerate() {
        let link = link(detail, steps, position);
        let tries = |n: u64| if n == 0 { String::new() } else { count(n, "attempt") };
        table.add(vec![
            Cell::new(step.as_str()),
            Cell::with(link.mood, link.status),
            Cell::new(link.target_id),
            Cell::new(tries(link.attempts)),
            Cell::new(tries(link.undoing)),
            Cell::new(link.handlers),
        ]);
    }
    let mut text = table.render(2);
    if !detail.to_undo.is_empty() {
        let order: Vec<String> = detail.to_undo.iter().map(one_to_undo).collect();
        text.push_str(&format!("  still to be undone, in this order: {}\n", order.join(", then ")));
    }
    text
}

fn link(detail: &RecordDetail, steps: &[StepName], position: usize) -> Link {
    let step = &steps[position];
    let of = |kind| detail.attempts.iter().filter(move |one| one.attempt.step == *step && one.attempt.kind == kind);
    let applied = detail.row.iter().flat_map(|row| &row.applied).chain(detail.chunks.iter().flat_map(|c| &c.applied));
    let passed = |one: &&AttemptDetail| one.attempt.outcome.is_success();
    let written = of(AttemptKind::Pass).rfind(passed);
    let id = applied.clone().find(|one| one.step == *step).map(|one| one.target_id.clone());
    let (status, mood) = standing(detail, steps, position);
    Link {
        status,
        mood,
        target_id: id.or_else(|| written.and_then(|one| one.attempt.target_id.clone())).unwrap_or_default(),
        attempts: of(AttemptKind::Pass).count() as u64,
        undoing: of(AttemptKind::Compensate).count() as u64,
        handlers: handlers(detail, step),
    }
}

/// Where a record stands with one step.
fn standing(detail: &RecordDetail, steps: &[StepName], position: usize) -> (&'static str, Mood) {
    let (step, record) = (&steps[position], &detail.summary);
    let last = |kind| {
        let done = detail.attempts.iter().filter(move |one| {
            one.attempt.step == *step && one.attempt.kind == kind && one.attempt.outcome.is_success()
        });
        done.map(|one| one.attempt.ended).max()
    };
    let (passed, undone) = (last(AttemptKind::Pass), last(AttemptKind::Compensate));
    let applied = detail.row.as_ref().is_some_and(|row| row.applied.iter().any(|one| one.step == *step));
    let to_undo = detail.to_undo.iter().find(|one| one.step == *step);
    let at = record.step.as_ref().and_then(|step| steps.iter().position(|known| known == step));
    match to_undo {
        Some(one) if one.in_doubt => return ("in doubt, to be undone", Mood::Between),
        Some(_) => return ("applied, to be undone", Mood::Between),
        None => {}
    }
    if undone.is_some() && undone >= passed {
        return ("undone", Mood::Plain);
    }
    match at {
        _ if applied => ("applied", Mood::Good),
        _ if record.status == Status::Ok => ("ok", Mood::Good),
        Some(at) if position == at && is_of_step(record.status) => (record.status.as_str(), mood(record.status)),
        // What was undone as a whole stands at the step that failed.
        Some(at) if position == at => ("failed", Mood::Bad),
        Some(at) if position < at => ("ok", Mood::Good),
        _ => ("not begun", Mood::Plain),
    }
}

/// Whether a status says how the record fared at the step where it stands.
fn is_of_step(status: Status) -> bool {
    !matches!(status, Status::RollingBack | Status::RolledBack | Status::RollbackFailed)
}

fn handlers(detail: &RecordDetail, step: &StepName) -> String {
    let of_step = detail.tasks.iter().filter(|task| task.place.step.as_ref() == Some(step));
    let said = of_step.map(|task: &TaskDetail| {
        let why = task.failure.as_ref().filter(|_| task.standing != TaskStanding::Done);
        let why = why.map(|failure| format!(" ({})", failure.code)).unwrap_or_default();
        format!("{} {}, {}{why}", task.place.kind, task.standing.as_str(), count(task.attempts, "call"))
    });
    said.collect::<Vec<_>>().join("; ")
}
