//! Putting records through again: a plan first, then the plan by its hash.

use crate::args::ResyncArgs;
use crate::fail::Fail;
use crate::follow::watch;
use crate::out::Out;
use crate::text::{Cell, Mood, count, mood, number};
use crossdock::{ConnectorReport, Definition, ErrorClass, Host, Resync, ResyncPlan, Verdict};
use serde_json::json;
use std::fmt::Write as _;

/// The most records of a plan that are shown without `--all`.
const RECORDS_SHOWN: usize = 20;

/// Plans a resync, applies a plan, or both. Gives the exit code.
///
/// # Errors
/// When the host refuses, or nothing is chosen that could be applied at once.
pub(crate) async fn resync(out: &Out, host: &Host, args: &ResyncArgs) -> Result<u8, Fail> {
    if let Some(hash) = &args.apply {
        return watch(out, host, host.apply_resync(hash).await?).await;
    }
    if args.yes && args.which.is_empty() {
        return Err(Fail::given(
            "resync --yes: no records are chosen",
            "Say which with --record, --run, --status or another filter; or look at all of them with --plan.",
        ));
    }
    if args.edit.is_some() && args.which.record.len() != 1 {
        return Err(Fail::given(
            "resync --edit: new content is for one record, and it has to be named",
            "Name it with one --record.",
        ));
    }
    let resync = Resync {
        choice: args.which.choice(),
        definition: if args.recorded { Definition::Recorded } else { Definition::Current },
        edit: args.edit.as_deref().map(|path| host.read_content(path)).transpose()?,
    };
    let Some(plan) = host.plan_resync(&resync).await? else {
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
        out.text(&render(out, &plan, if args.all { usize::MAX } else { RECORDS_SHOWN }))?;
    }
    Ok(if plan.operational() { 0 } else { ErrorClass::Environment.exit_code() })
}

fn render(out: &Out, plan: &ResyncPlan, shown: usize) -> String {
    let paint = out.paint;
    let version: String = plan.route_hash.chars().take(12).collect();
    let which = if plan.recorded { "as it was recorded" } else { "as it is now" };
    let mut text = format!(
        "{}: {} of route {}, {which}, version {version}\n\n",
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
    for record in plan.records.iter().take(shown) {
        table.add(vec![
            Cell::new(&record.id.0),
            Cell::with(mood(record.status), record.status.as_str()),
            Cell::new(record.step.as_str()),
            Cell::with(verdict_mood(record.verdict), record.verdict.words()),
        ]);
    }
    text.push_str(&table.render(2));
    if let Some(more @ 1..) = plan.records.len().checked_sub(shown) {
        let _ = writeln!(text, "  … and {} more; --all lists them, --json has all", number(more as u64));
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
        Verdict::WillRun | Verdict::WillSettle | Verdict::Edited => Mood::Good,
        Verdict::RollbackFailed => Mood::Bad,
        Verdict::AlreadyOk | Verdict::Skipped | Verdict::Cancelled | Verdict::NextRun => Mood::Plain,
        _ => Mood::Between,
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
