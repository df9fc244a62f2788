//! Where the records of every route stand, failures by cause, and what needs a person.

use crate::args::{FailuresArgs, Filter, ReportArgs};
use crate::fail::Fail;
use crate::json;
use crate::out::Out;
use crate::text::{Cell, Mood, clean, count, mood, number, time_s};
use crossdock::{
    Csv, Error, ErrorClass, FailureGroup, FailureGroups, Host, Quarantined, RecordFilter, RouteName, RouteStanding,
    Status,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

/// The statuses in which only a person can help.
const NEEDS_PERSON: [Status; 2] = [Status::RollbackFailed, Status::Indeterminate];
/// The statuses whose records have a failure that somebody may want to do something about.
const FAILED: [Status; 5] =
    [Status::Failed, Status::Rejected, Status::Indeterminate, Status::RollbackFailed, Status::Pending];
/// The most causes that are shown of a route.
const CAUSES_SHOWN: usize = 5;

/// One route, as the report has it.
struct Standing {
    route: RouteStanding,
    quarantined: Vec<Quarantined>,
    causes: FailureGroups,
}

impl Standing {
    fn needs_person(&self) -> u64 {
        NEEDS_PERSON.iter().map(|&status| of(&self.route, status)).sum()
    }
}

fn of(route: &RouteStanding, status: Status) -> u64 {
    u64::try_from(route.counts.get(status)).unwrap_or(0)
}

/// Shows where the records of every route stand. Gives the exit code.
///
/// # Errors
/// When there is no ledger or it cannot be read.
pub(crate) fn report(out: &Out, host: &Host, args: &ReportArgs) -> Result<u8, Fail> {
    let reader = host.reports()?;
    let routes = reader.routes().map_err(Error::from)?;
    let wanted = routes.into_iter().filter(|one| args.route.as_ref().is_none_or(|route| *route == one.route));
    let mut standings = Vec::new();
    for route in wanted {
        let filter =
            RecordFilter { route: Some(route.route.clone()), statuses: FAILED.to_vec(), ..RecordFilter::default() };
        let quarantined = reader.quarantined(&route.route).map_err(Error::from)?;
        let causes = reader.failure_groups(&filter).map_err(Error::from)?;
        standings.push(Standing { route, quarantined, causes });
    }
    if out.json {
        let all: Vec<Value> = standings.iter().map(to_json).collect();
        let needs: u64 = standings.iter().map(Standing::needs_person).sum();
        out.document(&json!({ "routes": all, "needs_operator": needs }))?;
    } else if standings.is_empty() {
        out.note("No route has run yet.");
    } else {
        out.text(&standings.iter().map(|one| page(out, one)).collect::<Vec<_>>().join("\n"))?;
    }
    let calls = standings.iter().any(|one| one.needs_person() > 0 || !one.quarantined.is_empty());
    Ok(if calls { ErrorClass::NeedsOperator.exit_code() } else { 0 })
}

fn to_json(standing: &Standing) -> Value {
    let route = &standing.route;
    let counts: BTreeMap<Status, i64> = route.counts.iter().collect();
    let quarantined = standing.quarantined.iter().map(json::quarantined);
    json!({
        "route": route.route, "counts": counts, "checkpoint_at": json::maybe(route.checkpoint_at),
        "pending": route.pending, "next_due": json::maybe(route.next_due), "needs_operator": standing.needs_person(),
        "quarantined": quarantined.collect::<Vec<_>>(),
        "failures": standing.causes.groups.iter().map(json::group).collect::<Vec<_>>(),
    })
}

fn page(out: &Out, standing: &Standing) -> String {
    let (paint, route) = (out.paint, &standing.route);
    let mut text = format!("{}\n", paint.bold(&format!("Route {}", route.route)));
    for (status, n) in route.counts.iter() {
        let _ = writeln!(text, "  {:>11}  {}", number(n), paint.mood(mood(status), status.as_str()));
    }
    if let Some(at) = route.checkpoint_at {
        let _ = writeln!(text, "  checkpoint moved last at {}", time_s(at));
    }
    if let Some(due) = route.next_due.filter(|_| route.pending > 0) {
        let what = count(route.pending, "record");
        let _ = writeln!(text, "  {what} to be looked at again by the next run, first due {}", time_s(due));
    }
    let calls = needs_person(out, route, &standing.quarantined);
    if !calls.is_empty() {
        let _ = writeln!(text, "\n  {}", paint.error("Needs a person"));
        calls.iter().for_each(|line| {
            let _ = writeln!(text, "    {line}");
        });
    }
    let causes = &standing.causes.groups;
    if !causes.is_empty() {
        let _ = writeln!(text, "\n  {}", paint.bold("Failures by cause"));
        let mut table = out.table(&["records", "step", "code", "cause", "for example"]).right(0);
        for group in causes.iter().take(CAUSES_SHOWN) {
            table.add(vec![
                Cell::new(number(group.count)),
                Cell::new(group.step.as_str()),
                Cell::new(&group.code),
                Cell::new(&group.fingerprint),
                Cell::new(&group.message),
            ]);
        }
        text.push_str(&table.render(4));
        let _ = writeln!(text, "    {}", out.command(&format!("failures --route {}", route.route)));
    }
    text
}

/// What only a person can do about a route, with the commands for it.
pub(crate) fn needs_person(out: &Out, route: &RouteStanding, quarantined: &[Quarantined]) -> Vec<String> {
    let mut lines = Vec::new();
    let name = &route.route;
    let mut call = |n: u64, what: &str, command: String| {
        if n > 0 {
            lines.push(format!("{} {what}:", out.paint.error(&count(n, "record"))));
            lines.push(format!("  {}", out.command(&command)));
        }
    };
    let failed = of(route, Status::RollbackFailed);
    call(failed, "could not be undone", format!("rollback list --route {name}"));
    let doubt = of(route, Status::Indeterminate);
    call(doubt, "may have been applied, and nobody knows", format!("records --route {name} --status indeterminate"));
    for found in quarantined {
        let reason = clean(&found.reason);
        lines.push(format!("the plugin at step {} is quarantined since {}: {reason}", found.step, time_s(found.at)));
        lines.push(format!("  {}", out.command(&format!("plugin release {name} {} --reason TEXT", found.step))));
    }
    lines
}

/// What only a person can do about the routes, or about one of them. Nothing if the ledger does not say.
pub(crate) fn calls(out: &Out, host: &Host, only: Option<&RouteName>) -> Vec<String> {
    let Ok(reader) = host.reports() else { return Vec::new() };
    let routes = reader.routes().unwrap_or_default();
    let wanted = routes.iter().filter(|one| only.is_none_or(|route| *route == one.route));
    wanted.flat_map(|route| needs_person(out, route, &reader.quarantined(&route.route).unwrap_or_default())).collect()
}

/// Shows failures by cause, or writes them as CSV.
///
/// # Errors
/// When there is no ledger or it cannot be read.
pub(crate) fn failures(out: &Out, host: &Host, args: &FailuresArgs) -> Result<(), Fail> {
    let filter = of_failures(&args.filter);
    if let Some(path) = &args.csv {
        return export(out, path, |to| Ok(host.export_failures(&filter, to)?), "cause");
    }
    groups(out, host, &args.filter)
}

/// Shows failures by cause.
///
/// # Errors
/// As [`failures`].
pub(crate) fn groups(out: &Out, host: &Host, filter: &Filter) -> Result<(), Fail> {
    let found = host.reports()?.failure_groups(&of_failures(filter)).map_err(Error::from)?;
    if out.json {
        let all: Vec<Value> = found.groups.iter().map(json::group).collect();
        return out.document(&json!({ "failures": all, "others": found.others }));
    }
    if found.groups.is_empty() {
        out.note("No failure fits.");
        return Ok(());
    }
    out.text(&group_pages(out, &found))
}

fn of_failures(filter: &Filter) -> RecordFilter {
    let mut filter = filter.filter();
    if filter.statuses.is_empty() {
        filter.statuses = FAILED.to_vec();
    }
    filter
}

fn group_pages(out: &Out, found: &FailureGroups) -> String {
    let paint = out.paint;
    let mut text = String::new();
    for group in &found.groups {
        let FailureGroup { route, step, code, fingerprint, .. } = group;
        let title = format!("{} of route {route} at {step}", count(group.count, "record"));
        let _ = writeln!(text, "{}  {}", paint.bold(&title), paint.mood(Mood::Bad, &clean(code)));
        let _ = writeln!(text, "  {}", clean(&group.message));
        let times = format!("first {}, last {}", time_s(group.first_at), time_s(group.last_at));
        let _ = writeln!(text, "  {}", paint.dim(&format!("{times}, for example {}", clean(&group.sample.0))));
        let command = out.command(&format!("resync --route {route} --fingerprint {fingerprint} --plan"));
        let _ = writeln!(text, "  {command}\n");
    }
    if found.others > 0 {
        let _ = writeln!(text, "… and {} in smaller groups", count(found.others, "record"));
    }
    text
}

/// Writes CSV into a file or to stdout.
///
/// # Errors
/// When the ledger cannot be read or the file not be written.
pub(crate) fn export(
    out: &Out,
    path: &Path,
    write: impl FnOnce(Csv<'_>) -> Result<u64, Fail>,
    thing: &str,
) -> Result<(), Fail> {
    if path.as_os_str() == "-" {
        return out.stream(|stdout| write(Csv::Writer(stdout)).map(|_| ()));
    }
    let lines = write(Csv::File(path))?;
    out.note(&format!("{} written to {}", count(lines, thing), clean(&path.display().to_string())));
    Ok(())
}
