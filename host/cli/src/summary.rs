//! How a run ended, for a person: what became of the records, and where to look next.

use crate::fail::Fail;
use crate::out::Out;
use crate::report;
use crate::text::{Mood, Paint, clean, clean_lines, count, indent, mood, number, quote, span};
use crossdock::{Failure, HandlerReport, Host, RecordFilter, RecordSummary, RunReport, RunStatus, Status};
use std::fmt::Write as _;
use std::path::Path;

/// The most failures that are shown with a summary.
const FAILURES_SHOWN: usize = 3;
/// The most lines of a failure's detail that are shown with a summary.
const DETAIL_LINES: usize = 8;
/// Of which statuses failures are shown, the worst first.
const NOT_WELL: [Status; 5] =
    [Status::RollbackFailed, Status::Indeterminate, Status::Failed, Status::Rejected, Status::RolledBack];

/// Writes how a run ended. `route` is its file, if it is known.
///
/// # Errors
/// When the output cannot be written.
pub(crate) fn show(out: &Out, host: &Host, report: &RunReport, route: Option<&Path>) -> Result<(), Fail> {
    if out.json {
        return out.document(report);
    }
    let failures = if NOT_WELL.iter().any(|&status| report.count(status) > 0) {
        // The summary is worth more than the examples: without them it says where to find them.
        first_failures(host, report).unwrap_or_default()
    } else {
        Vec::new()
    };
    let mut text = render(report, &failures, &next(out, report, route), out.paint);
    let calls = report::calls(out, host, Some(&report.route));
    if !calls.is_empty() {
        let _ = writeln!(text, "\n{}", out.paint.error(&format!("Route {} needs a person:", report.route)));
        calls.iter().for_each(|line| {
            let _ = writeln!(text, "  {line}");
        });
    }
    out.text(&text)
}

fn first_failures(host: &Host, report: &RunReport) -> Result<Vec<RecordSummary>, Fail> {
    let reader = host.reports()?;
    let mut found = Vec::new();
    for status in NOT_WELL {
        let left = FAILURES_SHOWN - found.len();
        if left > 0 && report.count(status) > 0 {
            let filter =
                RecordFilter { run: Some(report.run.clone()), status: Some(status), ..RecordFilter::default() };
            let limit = u32::try_from(left).unwrap_or(1);
            let page = reader.records(&filter, limit, None).map_err(crossdock::Error::from)?;
            found.extend(page.items);
        }
    }
    Ok(found)
}

/// A command, and what it is good for.
type Next = (String, String);

fn render(report: &RunReport, failures: &[RecordSummary], next: &[Next], paint: Paint) -> String {
    let mut out = String::new();
    let mood = match report.status {
        RunStatus::Ok => Mood::Good,
        RunStatus::Failed => Mood::Bad,
        _ => Mood::Between,
    };
    let status = paint.mood(mood, report.status.as_str());
    let rate = (report.read + report.resumed).saturating_mul(1_000).checked_div(report.took_ms.max(1)).unwrap_or(0);
    let _ = write!(out, "Run {}: {status}, {}", report.run, span(report.took_ms));
    if report.read + report.resumed > 0 {
        let _ = write!(out, ", {} records/s", number(rate));
    }
    out.push_str("\n\n");
    numbers(&mut out, report, paint);
    if let Some(reason) = &report.reason {
        let _ = writeln!(out, "\n{}", paint.bold("Why it ended:"));
        why(&mut out, reason);
    }
    if !failures.is_empty() {
        let all: u64 = NOT_WELL.iter().map(|&status| report.count(status)).sum();
        let title = match all - failures.len() as u64 {
            0 => "Not ok:".to_owned(),
            more => format!("Not ok, the last of them ({} more):", number(more)),
        };
        let _ = writeln!(out, "\n{}", paint.bold(&title));
        for record in failures {
            one(&mut out, record, paint);
        }
    }
    if !next.is_empty() {
        let _ = writeln!(out, "\n{}", paint.bold("Next:"));
        for (command, what) in next {
            let _ = writeln!(out, "  {command}\n      {}", paint.dim(what));
        }
    }
    out
}

fn numbers(out: &mut String, report: &RunReport, paint: Paint) {
    let mut lines = vec![("read".to_owned(), number(report.read), Mood::Plain)];
    if report.resumed > 0 {
        lines.push(("taken up".to_owned(), number(report.resumed), Mood::Plain));
    }
    for &status in Status::ALL {
        let n = report.counts.get(&status).copied().unwrap_or(0);
        if n != 0 || status == Status::Ok {
            lines.push((status.to_string(), number(n), if n == 0 { Mood::Plain } else { mood(status) }));
        }
    }
    if report.rolling_back > 0 {
        lines.push(("to be undone".to_owned(), number(report.rolling_back), Mood::Between));
    }
    let width = lines.iter().map(|(_, n, _)| n.len()).max().unwrap_or(0);
    for (what, n, mood) in lines {
        let _ = writeln!(out, "  {} {n:>width$}", paint.mood(mood, &format!("{what:<15}")));
    }
    handlers(out, report, paint);
    let steps: Vec<_> =
        report.steps.iter().filter(|step| step.counts.records_in > 0 || step.counts.undone > 0).collect();
    if steps.len() > 1 || steps.iter().any(|step| step.counts.undone > 0) {
        out.push('\n');
        let width = steps.iter().map(|step| step.step.as_str().len()).max().unwrap_or(0);
        for step in steps {
            let numbers = [
                (step.counts.ok, "ok"),
                (step.counts.dropped, "dropped"),
                (step.counts.rejected, "rejected"),
                (step.counts.failed, "failed"),
                (step.counts.retry, "to be tried again"),
                (step.counts.unknown, "unknown"),
                (step.counts.untouched, "untouched"),
                (step.counts.undone, "undone"),
            ];
            let became: Vec<String> =
                numbers.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{} {word}", number(*n))).collect();
            let arrow = if became.is_empty() { "" } else { " → " };
            let _ = writeln!(
                out,
                "  step {:<width$}  {} in{arrow}{}",
                step.step.as_str(),
                number(step.counts.records_in),
                became.join(", ")
            );
        }
    }
}

/// What the handlers did, if the route has any.
fn handlers(out: &mut String, report: &RunReport, paint: Paint) {
    let HandlerReport { done, given_up, waiting, .. } = report.handlers;
    let numbers = [
        (done, "called", Mood::Plain),
        (given_up, "given up", Mood::Bad),
        (waiting, "wait for the next run", Mood::Between),
    ];
    let said: Vec<String> = numbers
        .into_iter()
        .filter(|(n, ..)| *n > 0)
        .map(|(n, what, mood)| paint.mood(mood, &format!("{} {what}", number(n))))
        .collect();
    if !said.is_empty() {
        let _ = writeln!(out, "\n  handlers  {}", said.join(", "));
    }
}

fn why(out: &mut String, failure: &Failure) {
    let _ = writeln!(out, "  {}: {}", clean(&failure.code), clean(&failure.message));
    if let Some(detail) = &failure.detail {
        let mut lines = detail.lines();
        let shown: Vec<&str> = lines.by_ref().take(DETAIL_LINES).collect();
        out.push_str(&indent(&clean_lines(&shown.join("\n")), 4));
        if lines.next().is_some() {
            out.push_str("    …\n");
        }
    }
}

fn one(out: &mut String, record: &RecordSummary, paint: Paint) {
    let step = record.step.as_ref().map(|step| format!(" at {step}")).unwrap_or_default();
    let status = paint.mood(mood(record.status), record.status.as_str());
    let code = record.code.as_deref().map(clean).unwrap_or_default();
    let message = record.message.as_deref().map(clean).unwrap_or_default();
    let _ = writeln!(out, "  {}  {status}{step}  {code}\n      {message}", clean(&record.id.0));
}

/// Where to look next, with the exact commands.
fn next(out: &Out, report: &RunReport, route: Option<&Path>) -> Vec<Next> {
    let mut next = Vec::new();
    let run = &report.run;
    let has = |status| report.count(status) > 0;
    for status in NOT_WELL.into_iter().filter(|&status| has(status)) {
        let what = format!("which are {status}, and why");
        next.push((out.command(&format!("records --run {run} --status {status}")), what));
    }
    if has(Status::Failed) || has(Status::Indeterminate) || has(Status::Rejected) {
        let what = "what putting them through again would do; changes nothing".to_owned();
        next.push((out.command(&format!("resync --run {run} --plan")), what));
    }
    if has(Status::Indeterminate) {
        let what = "after looking into the other system: --applied or --not-applied".to_owned();
        next.push((out.command("resolve --record ID --applied --reason TEXT"), what));
    }
    if has(Status::RollbackFailed) {
        let what = "tries again to undo them, when what kept it from being undone is mended".to_owned();
        next.push((out.command(&format!("rollback resume --run {run}")), what));
        let what = "when you undid it by hand".to_owned();
        next.push((out.command("rollback mark-done --record ID --reason TEXT"), what));
    }
    if has(Status::RolledBack) {
        let what = "begins anew, with new content".to_owned();
        next.push((out.command("resync --record ID --edit FILE"), what));
    }
    if report.rolling_back > 0 {
        let what = format!("goes on undoing the {} left", count(report.rolling_back, "record"));
        next.push((out.command(&format!("rollback resume --route {}", report.route)), what));
    }
    if report.handlers.given_up > 0 {
        let what = "which handlers were given up, and why".to_owned();
        next.push((out.command(&format!("events --run {run}")), what));
    }
    let waiting = report.waiting.max(report.count(Status::Pending));
    if let Some(route) = route {
        let again = out.command(&format!("run {}", quote(&route.display().to_string())));
        match (report.status, waiting) {
            (RunStatus::Failed | RunStatus::Cancelled, _) => {
                let what = if has(Status::New) {
                    format!(
                        "goes on where this run stopped, with the {} it did not begin",
                        count(report.count(Status::New), "record")
                    )
                } else {
                    "goes on where this run stopped".to_owned()
                };
                next.push((again, what));
            }
            (_, 1..) => {
                let wait = if waiting == 1 { "waits" } else { "wait" };
                next.push((
                    again,
                    format!("takes up the {} that {wait} for another attempt", count(waiting, "record")),
                ));
            }
            (_, 0) if has(Status::New) => next.push((again, "goes on with the new records".to_owned())),
            _ => {}
        }
    }
    next
}
