//! What an operator decides about records. What a filter chose is shown first, and done when it is agreed to.

use crate::args::{Consent, DecideArgs, ProbeArgs, ResolveArgs, ResumeArgs, RollbackListArgs, Which};
use crate::fail::Fail;
use crate::follow::{follow, watch};
use crate::json;
use crate::out::Out;
use crate::records::cursor;
use crate::summary;
use crate::text::{Cell, clean, count, mood, number, time_s};
use crossdock::{Applied, Decided, Host, Purpose, Resolution, RollbackStanding, Selection, Status, Undoing};
use serde_json::json;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The most decisions that are shown one by one.
const DECIDED_SHOWN: usize = 20;

/// Asks the destination about records in doubt. Gives the exit code.
///
/// # Errors
/// When the host refuses.
pub(crate) async fn probe(out: &Out, host: &Host, args: &ProbeArgs) -> Result<u8, Fail> {
    if let Some(status) = args.which.filter.status.iter().find(|&&status| status != Status::Indeterminate) {
        return Err(Fail::given(
            format!("probe --status {status}: only indeterminate records can be probed"),
            "Leave --status out.",
        ));
    }
    let Some(selection) = agreed(out, host, &args.which, &args.consent, Purpose::Probe)? else { return Ok(0) };
    watch(out, host, host.probe(&selection).await?).await
}

/// Says what an operator found out.
///
/// # Errors
/// When the host refuses; several records cannot have one target id.
pub(crate) async fn resolve(out: &Out, host: &Host, args: &ResolveArgs) -> Result<u8, Fail> {
    must_choose("resolve", &args.which)?;
    let Some(selection) = agreed(out, host, &args.which, &args.consent, Purpose::Resolve)? else { return Ok(0) };
    if args.target_id.is_some() && selection.count() > 1 {
        return Err(Fail::given(
            "resolve --target-id: several records are chosen, and an id belongs to one of them",
            "Resolve them one after the other.",
        ));
    }
    let resolution =
        if args.applied { Resolution::Applied { target_id: args.target_id.clone() } } else { Resolution::NotApplied };
    tell(out, &host.resolve(&selection, resolution, &args.reason).await?).map(|()| 0)
}

/// Leaves records out for good.
///
/// # Errors
/// When the host refuses.
pub(crate) async fn skip(out: &Out, host: &Host, args: &DecideArgs) -> Result<u8, Fail> {
    must_choose("skip", &args.which)?;
    let Some(selection) = agreed(out, host, &args.which, &args.consent, Purpose::Skip)? else { return Ok(0) };
    tell(out, &host.skip(&selection, &args.reason).await?).map(|()| 0)
}

/// Stops records for good, and undoes what was done for them. Gives the exit code.
///
/// # Errors
/// When the host refuses.
pub(crate) async fn cancel(out: &Out, host: &Host, args: &DecideArgs) -> Result<u8, Fail> {
    must_choose("cancel", &args.which)?;
    let Some(selection) = agreed(out, host, &args.which, &args.consent, Purpose::Cancel)? else { return Ok(0) };
    undo(out, host, host.cancel(&selection, &args.reason).await?).await
}

/// Lists what is being undone, or could not be.
///
/// # Errors
/// When there is no ledger or it cannot be read.
pub(crate) fn rollbacks(out: &Out, host: &Host, args: &RollbackListArgs) -> Result<u8, Fail> {
    let after = cursor(&args.part)?;
    let (found, next) = host.rollbacks(&args.filter.filter(), args.part.limit, after.as_ref())?;
    let next = next.map(|next| next.to_string());
    let failed = found.iter().any(|one| one.record.status == Status::RollbackFailed);
    let code = if failed { crossdock::ErrorClass::NeedsOperator.exit_code() } else { 0 };
    if out.json {
        let all = found.iter().map(|one| {
            let mut record = json::record(&one.record);
            record["to_undo"] = one.to_undo.iter().map(json::applied).collect();
            record
        });
        out.document(&json!({ "rollbacks": all.collect::<Vec<_>>(), "next": next }))?;
        return Ok(code);
    }
    if found.is_empty() {
        out.note("No record fits: nothing is being undone, and nothing failed to be.");
        return Ok(code);
    }
    out.text(&rollback_table(out, &found, failed))?;
    if let Some(next) = next {
        out.note(&format!("\nThere are more: the same command with --after {}", clean(&next)));
    }
    Ok(code)
}

fn rollback_table(out: &Out, found: &[RollbackStanding], failed: bool) -> String {
    let mut table = out.table(&["route", "id", "status", "still to be undone", "since", "code", "message"]);
    for RollbackStanding { record, to_undo, .. } in found {
        let chain: Vec<String> = to_undo.iter().map(one_to_undo).collect();
        table.add(vec![
            Cell::new(record.route.as_str()),
            Cell::new(&record.id.0),
            Cell::with(mood(record.status), record.status.as_str()),
            Cell::new(chain.join(", then ")),
            Cell::new(time_s(record.at)),
            Cell::new(record.code.as_deref().unwrap_or_default()),
            Cell::new(record.message.as_deref().unwrap_or_default()),
        ]);
    }
    let mut text = table.render(0);
    if failed {
        let _ = writeln!(text, "\n{}", out.paint.bold("What to do about those that failed:"));
        let _ = writeln!(
            text,
            "  {}",
            out.command("rollback resume --record ID       tries again, when what failed is mended")
        );
        let _ = writeln!(
            text,
            "  {}",
            out.command("rollback mark-done --record ID --reason TEXT       when you undid it by hand")
        );
    }
    text
}

/// What is to be undone at a step, in a few words.
pub(crate) fn one_to_undo(applied: &Applied) -> String {
    let id = if applied.target_id.is_empty() { String::new() } else { format!(" ({})", clean(&applied.target_id)) };
    let doubt = if applied.in_doubt { ", if it was applied" } else { "" };
    format!("{}{id}{doubt}", applied.step)
}

/// Tries again to undo what could not be. Gives the exit code.
///
/// # Errors
/// When the host refuses.
pub(crate) async fn resume(out: &Out, host: &Host, args: &ResumeArgs) -> Result<u8, Fail> {
    let purpose = Purpose::ResumeRollback;
    let Some(selection) = agreed(out, host, &args.which, &args.consent, purpose)? else { return Ok(0) };
    undo(out, host, host.resume_rollback(&selection, &args.reason).await?).await
}

/// Notes that a person undid it by hand.
///
/// # Errors
/// When the host refuses.
pub(crate) async fn mark_done(out: &Out, host: &Host, args: &DecideArgs) -> Result<u8, Fail> {
    must_choose("rollback mark-done", &args.which)?;
    let Some(selection) = agreed(out, host, &args.which, &args.consent, Purpose::MarkDone)? else { return Ok(0) };
    tell(out, &host.mark_rolled_back(&selection, &args.reason).await?).map(|()| 0)
}

fn must_choose(verb: &str, which: &Which) -> Result<(), Fail> {
    if !which.is_empty() {
        return Ok(());
    }
    Err(Fail::given(
        format!("{verb}: no records are chosen"),
        "Say which with --record, --run, --status or another filter.",
    ))
}

/// The records that are to be decided about now. `None`: none fits, or they were shown and are to be agreed to.
fn agreed(
    out: &Out,
    host: &Host,
    which: &Which,
    consent: &Consent,
    purpose: Purpose,
) -> Result<Option<Selection>, Fail> {
    let Some(selection) = host.select(&which.choice(), purpose)? else {
        if out.json {
            out.document(&json!({ "selection": null }))?;
        } else {
            out.text("Nothing to do: no record fits.\n")?;
        }
        return Ok(None);
    };
    if let Some(hash) = &consent.confirm {
        if *hash == selection.hash {
            return Ok(Some(selection));
        }
        return Err(Fail::coded(
            "records-changed",
            format!(
                "confirming {}: the choice is of {} by now, {}",
                clean(hash),
                count(selection.count(), "record"),
                selection.hash
            ),
            "Look at the records with --plan, and confirm the new hash.",
        ));
    }
    let named = !which.record.is_empty() || selection.count() == 1;
    if consent.yes || named && !consent.plan {
        return Ok(Some(selection));
    }
    if out.json {
        out.document(&json!({ "selection": selection }))?;
    } else {
        out.text(&shown(out, &selection))?;
    }
    Ok(None)
}

fn shown(out: &Out, selection: &Selection) -> String {
    let paint = out.paint;
    let title = format!("{} of route {}", count(selection.count(), "record"), selection.route);
    let mut text = format!("{}; nothing was changed\n\n", paint.bold(&title));
    for (status, n) in &selection.statuses {
        let _ = writeln!(text, "  {:>9}  {}", number(*n), paint.mood(mood(*status), status.as_str()));
    }
    text.push('\n');
    let mut table = out.table(&["id", "status", "code"]);
    for record in &selection.examples {
        table.add(vec![
            Cell::new(&record.id.0),
            Cell::with(mood(record.status), record.status.as_str()),
            Cell::new(record.code.as_deref().unwrap_or_default()),
        ]);
    }
    text.push_str(&table.render(2));
    if let Some(more @ 1..) = selection.count().checked_sub(selection.examples.len() as u64) {
        let _ = writeln!(text, "  … and {} more", number(more));
    }
    let _ = writeln!(
        text,
        "\n{}\n  {}",
        paint.bold("To do it to exactly these:"),
        Out::again(&["--confirm", &selection.hash])
    );
    text
}

/// Shows what was decided, and the run that undoes what is to be undone. Gives the exit code.
async fn undo(out: &Out, host: &Host, undoing: Undoing) -> Result<u8, Fail> {
    let Undoing { decided, running, .. } = undoing;
    let Some(running) = running else { return tell(out, &decided).map(|()| 0) };
    if !out.json && !decided.is_empty() {
        out.text(&decided_text(out, &decided))?;
        out.text("\n")?;
    }
    let report = follow(running, out).await?;
    if out.json {
        out.document(&json!({ "decided": decided_json(&decided), "run": report }))?;
    } else {
        summary::show(out, host, &report, None)?;
    }
    Ok(report.undo_exit_code())
}

fn tell(out: &Out, decided: &[Decided]) -> Result<(), Fail> {
    if out.json {
        return out.document(&json!({ "decided": decided_json(decided) }));
    }
    out.text(&decided_text(out, decided))
}

fn decided_json(decided: &[Decided]) -> serde_json::Value {
    decided.iter().map(|one| json!({ "id": one.id, "from": one.from, "to": one.to })).collect()
}

fn decided_text(out: &Out, decided: &[Decided]) -> String {
    let mut text = String::new();
    let arrow = |from: Status, to: Status| format!("{from} → {}", out.paint.mood(mood(to), to.as_str()));
    for one in decided.iter().take(DECIDED_SHOWN) {
        let _ = writeln!(text, "{}: {}", clean(&one.id.0), arrow(one.from, one.to));
    }
    if decided.len() > DECIDED_SHOWN {
        let mut all: BTreeMap<(Status, Status), u64> = BTreeMap::new();
        for one in decided {
            *all.entry((one.from, one.to)).or_default() += 1;
        }
        let _ = writeln!(text, "… {} in all:", count(decided.len() as u64, "record"));
        for ((from, to), n) in all {
            let _ = writeln!(text, "  {:>9}  {}", number(n), arrow(from, to));
        }
    }
    text
}
