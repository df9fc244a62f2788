//! Putting records through again, finding out about those in doubt, and an operator's decisions.

use crate::args::{Filter, ProbeArgs, ResolveArgs, ResyncArgs, SkipArgs};
use crate::fail::Fail;
use crate::follow::follow;
use crate::out::Out;
use crate::summary;
use crate::text::{Cell, Mood, clean, count, mood, number};
use crossdock::{
    Choice, ConnectorReport, ErrorClass, Host, RecordFilter, RecordId, Resolution, ResyncPlan, RouteName, Running,
    Status, Verdict,
};
use serde_json::json;
use std::fmt::Write as _;

/// The most records of a plan that are shown.
const RECORDS_SHOWN: usize = 20;

/// Plans a resync, applies a plan, or both. Gives the exit code.
///
/// # Errors
/// When the host refuses, or nothing is chosen that could be applied at once.
pub(crate) async fn resync(out: &Out, host: &Host, args: &ResyncArgs) -> Result<u8, Fail> {
    if let Some(hash) = &args.apply {
        return watch(out, host, host.apply_resync(hash).await?).await;
    }
    if args.yes && args.record.is_empty() && args.filter.is_empty() {
        return Err(Fail::given(
            "resync --yes: no records are chosen",
            "Say which with --record, --run, --status or another filter; or look at all of them with --plan.",
        ));
    }
    let choice = choice(&args.record, &args.filter);
    let Some(plan) = host.plan_resync(&choice).await? else {
        if out.json {
            out.document(&json!({ "plan": null }))?;
        } else {
            out.text("Nothing to do: no record fits.\n")?;
        }
        return Ok(0);
    };
    if args.yes && plan.will_run() > 0 {
        out.note(&format!("Plan {}: {} will be put through again.", plan.hash, count(plan.will_run(), "record")));
        return watch(out, host, host.apply_resync(&plan.hash).await?).await;
    }
    if out.json {
        out.document(&json!({ "plan": plan }))?;
    } else {
        out.text(&render(out, &plan))?;
    }
    Ok(if plan.operational() { 0 } else { ErrorClass::Environment.exit_code() })
}

fn choice(ids: &[RecordId], filter: &Filter) -> Choice {
    Choice { ids: ids.to_vec(), filter: filter.filter() }
}

/// A run to its end, with its summary. Gives the exit code.
async fn watch(out: &Out, host: &Host, running: Running) -> Result<u8, Fail> {
    let report = follow(running, out).await?;
    summary::show(out, host, &report, None)?;
    Ok(report.exit_code())
}

fn render(out: &Out, plan: &ResyncPlan) -> String {
    let paint = out.paint;
    let mut text = format!(
        "{}: {} of route {}\n\n",
        paint.bold(&format!("Plan {}", plan.hash)),
        count(plan.records.len() as u64, "record"),
        plan.route
    );
    for (verdict, n) in &plan.verdicts {
        let words = paint.mood(verdict_mood(*verdict), verdict.words());
        let _ = writeln!(text, "  {:>9}  {words}", number(*n));
    }
    text.push('\n');
    let mut table = out.table(&["id", "status", "step", "what would happen"]);
    for record in plan.records.iter().take(RECORDS_SHOWN) {
        table.add(vec![
            Cell::new(&record.id.0),
            Cell::with(mood(record.status), record.status.as_str()),
            Cell::new(record.step.as_str()),
            Cell::with(verdict_mood(record.verdict), record.verdict.words()),
        ]);
    }
    text.push_str(&table.render(2));
    if let Some(more @ 1..) = plan.records.len().checked_sub(RECORDS_SHOWN) {
        let _ = writeln!(text, "  … and {} more; --json has all", number(more as u64));
    }
    let _ = writeln!(text, "\n{}", paint.bold("Connectors"));
    text.push_str(&connectors(out, &plan.connectors));
    let _ = writeln!(text);
    if plan.will_run() == 0 {
        text.push_str("Nothing to do: none of them would be put through again.\n");
    } else {
        let _ =
            writeln!(text, "{}\n  {}", paint.bold("To do it:"), out.command(&format!("resync --apply {}", plan.hash)));
        if !plan.operational() {
            text.push_str("  once its connectors can be used; until then it is refused\n");
        }
    }
    text
}

fn verdict_mood(verdict: Verdict) -> Mood {
    match verdict {
        Verdict::WillRun | Verdict::WillSettle => Mood::Good,
        Verdict::Indeterminate | Verdict::StepGone | Verdict::PayloadGone | Verdict::AtOrigin => Mood::Between,
        _ => Mood::Plain,
    }
}

/// Whether connectors can be used, as a table.
pub(crate) fn connectors(out: &Out, connectors: &[ConnectorReport]) -> String {
    let mut table = out.table(&["step", "plugin", "operational", "why not"]);
    for connector in connectors {
        let (mood, word) = if connector.operational { (Mood::Good, "yes") } else { (Mood::Bad, "no") };
        let why = connector.failure.as_ref().map(|failure| format!("{}: {}", failure.code, failure.message));
        table.add(vec![
            Cell::new(connector.step.as_str()),
            Cell::new(&connector.plugin),
            Cell::with(mood, word),
            Cell::new(why.unwrap_or_default()),
        ]);
    }
    table.render(2)
}

/// Asks the destination about records in doubt. Gives the exit code.
///
/// # Errors
/// When the host refuses.
pub(crate) async fn probe(out: &Out, host: &Host, args: &ProbeArgs) -> Result<u8, Fail> {
    if let Some(status) = args.filter.status.filter(|&status| status != Status::Indeterminate) {
        return Err(Fail::given(
            format!("probe --status {status}: only indeterminate records can be probed"),
            "Leave --status out.",
        ));
    }
    let running = host.probe(&choice(&args.record, &args.filter)).await?;
    watch(out, host, running).await
}

/// Says what an operator found out.
///
/// # Errors
/// When the host refuses; several records cannot have one target id.
pub(crate) async fn resolve(out: &Out, host: &Host, args: &ResolveArgs) -> Result<(), Fail> {
    if args.target_id.is_some() && args.record.len() > 1 {
        return Err(Fail::given(
            "resolve --target-id: several records are named, and an id belongs to one of them",
            "Resolve them one after the other.",
        ));
    }
    let resolution =
        if args.applied { Resolution::Applied { target_id: args.target_id.clone() } } else { Resolution::NotApplied };
    let decided = host.resolve(&these(&args.record, args.route.as_ref()), resolution, &args.reason).await?;
    tell(out, &decided.into_iter().map(|one| (one.id, one.from, one.to)).collect::<Vec<_>>())
}

/// Leaves records out for good.
///
/// # Errors
/// When the host refuses.
pub(crate) async fn skip(out: &Out, host: &Host, args: &SkipArgs) -> Result<(), Fail> {
    let decided = host.skip(&these(&args.record, args.route.as_ref()), &args.reason).await?;
    tell(out, &decided.into_iter().map(|one| (one.id, one.from, one.to)).collect::<Vec<_>>())
}

fn these(ids: &[RecordId], route: Option<&RouteName>) -> Choice {
    Choice { ids: ids.to_vec(), filter: RecordFilter { route: route.cloned(), ..RecordFilter::default() } }
}

fn tell(out: &Out, decided: &[(RecordId, Status, Status)]) -> Result<(), Fail> {
    if out.json {
        let all = decided.iter().map(|(id, from, to)| json!({ "id": id, "from": from, "to": to }));
        return out.document(&json!({ "decided": all.collect::<Vec<_>>() }));
    }
    let mut text = String::new();
    for (id, from, to) in decided {
        let _ = writeln!(text, "{}: {from} → {}", clean(&id.0), out.paint.mood(mood(*to), to.as_str()));
    }
    out.text(&text)
}
