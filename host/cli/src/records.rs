//! Lists: records, runs, events.

use crate::args::{EventsArgs, Part, RecordsArgs, RunsArgs};
use crate::fail::Fail;
use crate::failures;
use crate::json;
use crate::out::Out;
use crate::text::{Cell, Mood, clean, count, mood, number, time, time_s};
use crossdock::{
    Cause, Cursor, Error, EventFilter, EventOrder, Host, LoggedEvent, Page, RecordSummary, RunStatus, RunSummary,
    Status,
};

/// Lists records.
///
/// # Errors
/// When there is no ledger or it cannot be read.
pub(crate) fn records(out: &Out, host: &Host, args: &RecordsArgs) -> Result<(), Fail> {
    if args.groups {
        return failures::groups(out, host, &args.filter);
    }
    let filter = args.filter.filter();
    if let Some(path) = &args.csv {
        return failures::export(out, path, |to| Ok(host.export_records(&filter, to)?), "record");
    }
    let after = cursor(&args.part)?;
    let page = host.reports()?.records(&filter, args.part.limit, after.as_ref()).map_err(Error::from)?;
    if out.json {
        return out.document(&json::page("records", &page, json::record));
    }
    let several = page.items.iter().any(|record| page.items.first().is_some_and(|first| first.route != record.route));
    list(out, &page, "record", &record_table(out, &page.items, several))
}

fn record_table(out: &Out, records: &[RecordSummary], with_route: bool) -> String {
    let mut headings = vec!["id", "status", "step", "attempts", "changed", "code", "message"];
    if with_route {
        headings.insert(0, "route");
    }
    let mut table = out.table(&headings).right(headings.len() - 4);
    for record in records {
        let mut cells = vec![
            Cell::new(&record.id.0),
            Cell::with(mood(record.status), record.status.as_str()),
            Cell::new(record.step.as_ref().map(|step| step.as_str()).unwrap_or_default()),
            Cell::new(if record.attempts == 0 { String::new() } else { record.attempts.to_string() }),
            Cell::new(time_s(record.at)),
            Cell::new(record.code.as_deref().unwrap_or_default()),
            Cell::new(record.message.as_deref().unwrap_or_default()),
        ];
        if with_route {
            cells.insert(0, Cell::new(record.route.as_str()));
        }
        table.add(cells);
    }
    table.render(0)
}

/// Lists runs.
///
/// # Errors
/// When there is no ledger or it cannot be read.
pub(crate) fn runs(out: &Out, host: &Host, args: &RunsArgs) -> Result<(), Fail> {
    let after = cursor(&args.part)?;
    let page = host.reports()?.runs(args.route.as_ref(), args.part.limit, after.as_ref()).map_err(Error::from)?;
    if out.json {
        return out.document(&json::page("runs", &page, json::run));
    }
    list(out, &page, "run", &run_table(out, &page.items))
}

fn run_table(out: &Out, runs: &[RunSummary]) -> String {
    let headings = ["run", "route", "why", "status", "began", "read", "records"];
    let mut table = out.table(&headings).right(5);
    for run in runs {
        let mood = match run.status {
            RunStatus::Ok => Mood::Good,
            RunStatus::Failed => Mood::Bad,
            _ => Mood::Between,
        };
        let why = match &run.cause {
            Cause::Manual => "manual".to_owned(),
            Cause::Resync { plan } => format!("resync {plan}"),
            Cause::Probe => "probe".to_owned(),
            Cause::Rollback => "rollback".to_owned(),
        };
        let counts: Vec<String> = run.counts.iter().map(|(status, n)| format!("{} {status}", number(n))).collect();
        let calls = [Status::RollbackFailed, Status::Indeterminate].iter().any(|&status| run.counts.get(status) > 0);
        table.add(vec![
            Cell::new(&run.run.0),
            Cell::new(run.route.as_str()),
            Cell::new(why),
            Cell::with(mood, run.status.as_str()),
            Cell::new(time_s(run.began)),
            Cell::new(number(run.read)),
            Cell::with(if calls { Mood::Bad } else { Mood::Plain }, counts.join(", ")),
        ]);
    }
    table.render(0)
}

/// Lists the event log.
///
/// # Errors
/// When there is no ledger or it cannot be read.
pub(crate) fn events(out: &Out, host: &Host, args: &EventsArgs) -> Result<(), Fail> {
    let after = cursor(&args.part)?;
    let filter = EventFilter { route: args.route.clone(), run: args.run.clone(), record: args.record.clone() };
    let order = if args.oldest_first { EventOrder::OldestFirst } else { EventOrder::NewestFirst };
    let page = host.reports()?.events(&filter, order, args.part.limit, after.as_ref()).map_err(Error::from)?;
    if out.json {
        return out.document(&json::page("events", &page, json::event));
    }
    list(out, &page, "event", &event_table(out, &page.items, args.record.is_none()))
}

/// A table of events, with the record of each if they are not all about one.
pub(crate) fn event_table(out: &Out, events: &[LoggedEvent], with_record: bool) -> String {
    let headings: &[&str] =
        if with_record { &["at", "kind", "step", "record", "message"] } else { &["at", "kind", "step", "message"] };
    let mut table = out.table(headings);
    for logged in events {
        let event = &logged.event;
        let mut cells = vec![
            Cell::new(time(event.at)),
            Cell::new(event.kind.as_str()),
            Cell::new(event.step.as_ref().map(|step| step.as_str()).unwrap_or_default()),
            Cell::new(&event.message),
        ];
        if with_record {
            cells.insert(3, Cell::new(event.record.as_ref().map(|id| id.0.as_str()).unwrap_or_default()));
        }
        table.add(cells);
    }
    table.render(0)
}

/// Where a list goes on.
///
/// # Errors
/// When it is not a place in a list.
pub(crate) fn cursor(part: &Part) -> Result<Option<Cursor>, Fail> {
    let parse = |text: &str| text.parse::<Cursor>().map_err(|error| Fail::from(Error::from(error)));
    part.after.as_deref().map(parse).transpose()
}

fn list<T>(out: &Out, page: &Page<T>, thing: &str, table: &str) -> Result<(), Fail> {
    if page.items.is_empty() {
        out.note(&format!("No {thing} fits."));
        return Ok(());
    }
    out.text(table)?;
    if let Some(next) = &page.next {
        let shown = count(page.items.len() as u64, thing);
        out.note(&format!(
            "\n{shown} shown; there are more: the same command with --after {}",
            clean(&next.to_string())
        ));
    }
    Ok(())
}

/// The statuses from which a resync can put a record through again.
pub(crate) fn can_resync(status: Status) -> bool {
    matches!(status, Status::Failed | Status::Rejected | Status::Indeterminate | Status::Pending)
}
