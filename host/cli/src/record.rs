//! Everything known of one record, as a page that can be read.

use crate::args::RecordArgs;
use crate::chain::chain;
use crate::fail::Fail;
use crate::json;
use crate::out::Out;
use crate::records::{can_resync, event_table};
use crate::text::{Mood, Paint, bytes, clean, clean_lines, count, indent, mood, quote, span, time};
use crossdock::{
    Applied, AttemptDetail, AttemptKind, Error, Failure, Host, Outcome, Payload, RecordDetail, RecordFound, RecordId,
    RouteName, Status, StepName, TaskDetail, TaskStanding,
};
use std::fmt::Write as _;

/// The most characters of a payload or of a detail that are shown.
const SHOWN_MAX: usize = 4_000;

/// Shows a record.
///
/// # Errors
/// When there is none with this id, when there are several, or the ledger cannot be read.
pub(crate) fn show(out: &Out, host: &Host, args: &RecordArgs) -> Result<(), Fail> {
    let reader = host.reports()?;
    let found = reader.record(args.route.as_ref(), &args.id).map_err(Error::from)?;
    match found {
        RecordFound::One(detail) if out.json => out.document(&json::detail(&detail)),
        RecordFound::One(detail) => {
            let steps = host.steps_of(&detail.summary.run)?;
            out.text(&page(out, &detail, &steps))
        }
        RecordFound::None => Err(none(&args.id, args.route.as_ref())),
        RecordFound::Several(routes) => Err(several(out, &args.id, &routes)),
    }
}

fn none(id: &RecordId, route: Option<&RouteName>) -> Fail {
    let place = route.map_or("in any route".to_owned(), |route| format!("in route {route}"));
    let fix = "Look for it with `crossdock records --text`. Records of runs at the log level `summary` that are ok are not \
               kept one by one.";
    Fail::coded("records-none", format!("looking for record {}: there is none {place}", clean(&id.0)), fix)
}

fn several(out: &Out, id: &RecordId, routes: &[RouteName]) -> Fail {
    let names: Vec<&str> = routes.iter().map(RouteName::as_str).collect();
    let first = names.first().copied().unwrap_or_default();
    Fail::coded(
        "records-several-routes",
        format!(
            "looking for record {}: {} have one: {}",
            clean(&id.0),
            count(routes.len() as u64, "route"),
            names.join(", ")
        ),
        format!("Name the route: {}", out.command(&format!("record {} --route {first}", quote(&id.0)))),
    )
}

fn page(out: &Out, detail: &RecordDetail, steps: &[StepName]) -> String {
    let paint = out.paint;
    let mut text = format!("{} {}\n\n", paint.bold("Record"), paint.bold(&clean(&detail.summary.id.0)));
    standing(&mut text, detail, paint);
    if let Some(failure) = detail.row.as_ref().and_then(|row| row.failure.as_ref()) {
        title(&mut text, "Failure", paint);
        show_failure(&mut text, failure, 2);
    }
    let chain = chain(out, detail, steps);
    if !chain.is_empty() {
        title(&mut text, "Steps", paint);
        text.push_str(&chain);
    }
    content(&mut text, detail, paint);
    if let Some(row) = detail.row.as_ref().filter(|row| !row.attributes.is_empty()) {
        title(&mut text, "Attributes", paint);
        for (name, value) in &row.attributes {
            let _ = writeln!(text, "  {} = {}", clean(name), clean(&String::from_utf8_lossy(value)));
        }
    }
    if let Some(row) = detail.row.as_ref().filter(|row| !row.applied.is_empty()) {
        title(&mut text, "Applied", paint);
        row.applied.iter().for_each(|applied| show_applied(&mut text, applied));
    }
    if !detail.attempts.is_empty() {
        title(&mut text, "Attempts, oldest first", paint);
        detail.attempts.iter().for_each(|attempt| show_attempt(&mut text, attempt, paint));
    }
    if !detail.tasks.is_empty() {
        title(&mut text, "Handlers, oldest first", paint);
        detail.tasks.iter().for_each(|task| show_task(&mut text, task, paint));
    }
    if !detail.chunks.is_empty() {
        title(&mut text, "Went through at the first attempt", paint);
        for chunk in &detail.chunks {
            let step = chunk.step.as_ref().map(|step| format!(" at {step}")).unwrap_or_default();
            let status = paint.mood(mood(chunk.status), chunk.status.as_str());
            let _ = writeln!(text, "  {}  {status}{step}, run {}, batch {}", time(chunk.at), chunk.run, chunk.batch);
            chunk.applied.iter().for_each(|applied| show_applied(&mut text, applied));
        }
    }
    if !detail.events.is_empty() {
        title(&mut text, "Events, oldest first", paint);
        text.push_str(&indent(&event_table(out, &detail.events, false), 2));
    }
    let next = next(out, detail);
    if !next.is_empty() {
        title(&mut text, "What to do", paint);
        next.iter().for_each(|line| {
            let _ = writeln!(text, "  {line}");
        });
    }
    text
}

fn title(text: &mut String, title: &str, paint: Paint) {
    let _ = writeln!(text, "\n{}", paint.bold(title));
}

fn standing(text: &mut String, detail: &RecordDetail, paint: Paint) {
    let record = &detail.summary;
    let mut lines = vec![
        ("route", record.route.to_string()),
        ("status", format!("{} since {}", paint.mood(mood(record.status), record.status.as_str()), time(record.at))),
    ];
    match record.status {
        Status::RollbackFailed => lines.push(("", paint.error("could not be undone: a person has to see to it"))),
        Status::Indeterminate => lines.push(("", paint.error("may have been applied, and nobody knows"))),
        _ => {}
    }
    if let Some(step) = &record.step {
        lines.push(("step", step.to_string()));
    }
    match detail.to_undo.first() {
        _ if record.attempts == 0 => {}
        Some(undoing) => lines.push(("attempts", format!("{} to undo step {}", record.attempts, undoing.step))),
        None => lines.push(("attempts", format!("{} at this step", record.attempts))),
    }
    if let Some(due) = record.due {
        lines.push(("due", format!("looked at again at {}, when the route runs", time(due))));
    }
    lines.push(("run", format!("{}, batch {}", record.run, record.batch)));
    if let Some(parent) = &record.parent {
        lines.push(("split from", clean(&parent.0).into_owned()));
    }
    if record.generation > 0 {
        lines.push((
            "generation",
            format!("{}: it was begun anew so often, with new content or after it was undone", record.generation),
        ));
    }
    for (step, id) in &record.target_ids {
        lines.push(("target id", format!("{} ({step})", clean(id))));
    }
    if let Some(flight) = &detail.in_flight {
        let doing = if flight.alive { "is being written" } else { "was being written when the process ended" };
        lines.push(("under way", format!("{doing} at {} since {}", flight.step, time(flight.at))));
    }
    for (name, value) in lines {
        let _ = writeln!(text, "  {} {value}", paint.dim(&format!("{name:<11}")));
    }
}

fn show_failure(text: &mut String, failure: &Failure, by: usize) {
    let _ = writeln!(text, "{:by$}{}: {}", "", clean(&failure.code), clean(&failure.message));
    if let Some(pointer) = failure.pointer.as_deref() {
        let pointer = if pointer.is_empty() { "the whole content".into() } else { clean(pointer) };
        let _ = writeln!(text, "{:by$}to blame: {pointer}", "");
    }
    if let Some(detail) = &failure.detail {
        text.push_str(&indent(&readable(detail.as_bytes()), by + 2));
    }
}

fn content(text: &mut String, detail: &RecordDetail, paint: Paint) {
    let kept = detail.chunks.iter().find_map(|chunk| chunk.payload.as_deref());
    let of_row = detail.row.as_ref().map(|row| (&row.payload, &row.step));
    let (heading, content) = match (of_row, kept) {
        (Some((Payload::Kept(content), step)), _) => (format!("as step {step} is given it"), content.as_slice()),
        (Some((Payload::AtSource, _)), _) => {
            title(text, "Content", paint);
            text.push_str("  still with the source; the next run reads it again\n");
            return;
        }
        (_, Some(content)) => ("as it was read".to_owned(), content),
        _ => return,
    };
    title(text, &format!("Content {heading}, {}", bytes(content.len() as u64)), paint);
    text.push_str(&indent(&readable(content), 2));
}

/// JSON in several lines; other text as it is; neither with control characters, nor longer than can be read.
fn readable(content: &[u8]) -> String {
    let Ok(text) = std::str::from_utf8(content) else {
        return format!("{} that are not text; --json has all of it in base64", bytes(content.len() as u64));
    };
    let pretty = serde_json::from_str::<serde_json::Value>(text)
        .ok()
        .filter(|value| value.is_object() || value.is_array())
        .and_then(|value| serde_json::to_string_pretty(&value).ok());
    let whole = pretty.as_deref().unwrap_or(text);
    let end = whole.char_indices().nth(SHOWN_MAX).map_or(whole.len(), |(at, _)| at);
    let mut shown = clean_lines(&whole[..end]).into_owned();
    if end < whole.len() {
        shown.push_str("\n… cut here; --json has all of it");
    }
    shown
}

fn show_applied(text: &mut String, applied: &Applied) {
    let id = if applied.target_id.is_empty() { "no target id".into() } else { clean(&applied.target_id) };
    let receipt = match applied.receipt.len() as u64 {
        0 => String::new(),
        n => format!(", receipt of {}", bytes(n)),
    };
    let _ = writeln!(text, "  at {}: {id}{receipt}", applied.step);
}

fn show_attempt(text: &mut String, detail: &AttemptDetail, paint: Paint) {
    let attempt = &detail.attempt;
    let mood = match attempt.outcome {
        Outcome::Ok | Outcome::Unchanged => Mood::Good,
        Outcome::Dropped | Outcome::Untouched => Mood::Plain,
        Outcome::Retryable | Outcome::Unknown => Mood::Between,
        Outcome::Rejected | Outcome::Unauthorized => Mood::Bad,
    };
    let changed = if attempt.generation > 0 { format!(", generation {}", attempt.generation) } else { String::new() };
    let _ = writeln!(
        text,
        "  {}{} at {}{changed}  {}  {}  {}",
        if attempt.kind == AttemptKind::Compensate { "undoing " } else { "" },
        attempt.attempt,
        attempt.step,
        time(attempt.began),
        span(attempt.ended.ms_since(attempt.began)),
        paint.mood(mood, attempt.outcome.as_str()),
    );
    let _ = writeln!(text, "      {}", paint.dim(&format!("run {}", detail.run)));
    if let Some(failure) = &attempt.failure {
        show_failure(text, failure, 6);
    }
    for exchange in &attempt.exchanges {
        let answer = match (exchange.status, &exchange.error) {
            (Some(status), None) => format!("{status}, {}", bytes(exchange.bytes)),
            (Some(status), Some(error)) => format!("{status}, then {}", clean(error)),
            (None, error) => format!("no answer: {}", clean(error.as_deref().unwrap_or("unknown"))),
        };
        let (method, url) = (clean(&exchange.method), clean(&exchange.url));
        let _ = writeln!(text, "      {method} {url} → {answer}, {}", span(exchange.took_ms));
    }
    if let Some(id) = &attempt.target_id {
        let _ = writeln!(text, "      target id {}", clean(id));
    }
    if let Some(receipt) = &attempt.receipt {
        let _ = writeln!(text, "      receipt of {}", bytes(receipt.len() as u64));
    }
}

fn show_task(text: &mut String, task: &TaskDetail, paint: Paint) {
    let mood = match task.standing {
        TaskStanding::Done => Mood::Good,
        TaskStanding::Waiting | TaskStanding::Held => Mood::Between,
        TaskStanding::GivenUp => Mood::Bad,
    };
    let standing = paint.mood(mood, task.standing.as_str());
    let due = task.due.map(|due| format!(", due {}", time(due))).unwrap_or_default();
    let calls = count(task.attempts, "call");
    let _ = writeln!(text, "  {}  {standing}  {}  {calls}{due}", task.place, time(task.at));
    if let Some(failure) = task.failure.as_ref().filter(|_| task.standing != TaskStanding::Done) {
        show_failure(text, failure, 6);
    }
}

fn next(out: &Out, detail: &RecordDetail) -> Vec<String> {
    let record = &detail.summary;
    let which = format!("--record {} --route {}", quote(&record.id.0), record.route);
    if detail.in_flight.as_ref().is_some_and(|flight| flight.alive) {
        return Vec::new();
    }
    let mut lines = Vec::new();
    if record.open || record.status == Status::New {
        lines.push("Run its route: the next run takes it up.".to_owned());
    } else if can_resync(record.status) {
        lines.push(out.command(&format!("resync {which} --plan")));
    }
    if record.status == Status::Indeterminate {
        lines.push(out.command(&format!("probe {which}")));
        lines.push(out.command(&format!("resolve {which} --applied --reason TEXT      (or --not-applied)")));
    }
    match record.status {
        Status::RollbackFailed => {
            lines.push(out.command(&format!("rollback resume {which}      (when what failed is mended)")));
            lines.push(out.command(&format!("rollback mark-done {which} --reason TEXT      (when undone by hand)")));
        }
        Status::RollingBack => lines.push(out.command(&format!("rollback resume {which}"))),
        Status::RolledBack => {
            lines.push(out.command(&format!("resync {which} --edit FILE      (begins anew with new content)")));
        }
        _ => {}
    }
    if can_resync(record.status) || record.status == Status::RolledBack && record.open {
        lines.push(out.command(&format!("skip {which} --reason TEXT")));
    }
    if can_resync(record.status) {
        lines.push(out.command(&format!("cancel {which} --reason TEXT      (undoes what earlier steps applied)")));
    }
    if let Some(code) = record.code.as_deref().filter(|code| crossdock::explain(code).is_some()) {
        lines.push(out.command(&format!("explain {code}")));
    }
    lines
}
