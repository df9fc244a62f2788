//! Where the records of every route stand, and what needs a person.

use crate::args::ReportArgs;
use crate::fail::Fail;
use crate::failures::{Cause, causes};
use crate::json;
use crate::out::Out;
use crate::text::{Cell, clean, count, mood, number, time_s};
use crossdock::{Error, ErrorClass, Host, Quarantined, RecordFilter, RouteName, RouteStanding, Status};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The statuses in which only a person can help.
const NEEDS_PERSON: [Status; 2] = [Status::RollbackFailed, Status::Indeterminate];
/// The most causes that are shown of a route.
const CAUSES_SHOWN: usize = 5;

/// One route, as the report has it.
struct Standing {
    route: RouteStanding,
    quarantined: Vec<Quarantined>,
    causes: Vec<Cause>,
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
        let filter = RecordFilter { route: Some(route.route.clone()), ..RecordFilter::default() };
        let quarantined = reader.quarantined(&route.route).map_err(Error::from)?;
        let (causes, _) = causes(&reader, &filter)?;
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
        "failures": standing.causes.iter().map(Cause::to_json).collect::<Vec<_>>(),
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
    let causes = &standing.causes;
    if !causes.is_empty() {
        let _ = writeln!(text, "\n  {}", paint.bold("Failures by cause"));
        let mut table = out.table(&["records", "step", "code", "cause", "for example"]).right(0);
        for Cause { group, .. } in causes.iter().take(CAUSES_SHOWN) {
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
