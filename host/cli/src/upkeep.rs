//! Looking after the ledger: pruning, backups, restoring one.

use crate::args::{Ledger, PruneArgs};
use crate::fail::Fail;
use crate::json;
use crate::look::verified;
use crate::out::Out;
use crate::text::{Cell, bytes, clean, count, number, time, time_s};
use crossdock::{Backup, ErrorClass, Host, PrunePlan, PruneReport, RestoreReport};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::Path;

/// Does what is asked of the ledger. Gives the exit code.
///
/// # Errors
/// When the host refuses.
pub(crate) async fn ledger(out: &Out, host: &Host, verb: &Ledger) -> Result<u8, Fail> {
    match verb {
        Ledger::Prune(args) => prune(out, host, args).await?,
        Ledger::Backup(args) => backup(out, host, &args.to).await?,
        Ledger::VerifyBackup(args) => return verify(out, host, &args.backup),
        Ledger::Restore(args) => restore(out, host, &args.backup, args.replace).await?,
    }
    Ok(0)
}

async fn prune(out: &Out, host: &Host, args: &PruneArgs) -> Result<(), Fail> {
    if args.dry_run {
        let plan = host.plan_prune()?;
        return if out.json { out.document(&plan_json(&plan)) } else { out.text(&plan_page(out, &plan)) };
    }
    let report = host.prune().await?;
    if out.json {
        return out.document(&json!({
            "records": report.records, "chunk_records": report.chunk_records, "attempts": report.attempts,
            "handler_tasks": report.tasks, "events": report.events, "runs": report.runs, "plans": report.plans,
            "runs_kept": report.runs_kept, "bytes_freed": report.bytes_freed,
        }));
    }
    out.text(&pruned(&report))
}

fn plan_json(plan: &PrunePlan) -> Value {
    let classes = plan.classes.iter().map(|class| {
        json!({
            "class": class.class, "what": class.what, "before": json::maybe(class.before),
            "records_at_most": class.records_at_most,
        })
    });
    json!({ "classes": classes.collect::<Vec<_>>() })
}

fn plan_page(out: &Out, plan: &PrunePlan) -> String {
    let mut table = out.table(&["class", "removed if it changed last before", "records", "what"]);
    for class in &plan.classes {
        table.add(vec![
            Cell::new(class.class),
            Cell::new(class.before.map_or_else(|| "never".to_owned(), time_s)),
            Cell::new(class.records_at_most.map(|n| format!("at most {}", number(n))).unwrap_or_default()),
            Cell::new(class.what),
        ]);
    }
    let mut text = String::from("Nothing was removed. What would be:\n\n");
    text.push_str(&table.render(2));
    let _ = writeln!(text, "\n{}\n  {}", out.paint.bold("To do it:"), out.command("ledger prune"));
    text
}

fn pruned(report: &PruneReport) -> String {
    let lines = [
        (report.chunk_records, "records that were ok or dropped at the first attempt"),
        (report.records, "other records"),
        (report.attempts, "attempts"),
        (report.tasks, "handler calls that are finished"),
        (report.events, "events"),
        (report.runs, "runs"),
        (report.plans, "plans"),
    ];
    let mut text = String::from("Removed from the ledger:\n\n");
    for (n, what) in lines {
        let _ = writeln!(text, "  {:>11}  {what}", number(n));
    }
    let _ = writeln!(text, "\n  {} freed", bytes(report.bytes_freed));
    if report.runs_kept > 0 {
        let _ =
            writeln!(text, "  {} old enough and kept: records of it are still there", count(report.runs_kept, "run"));
    }
    text
}

async fn backup(out: &Out, host: &Host, to: &Path) -> Result<(), Fail> {
    let made = host.backup(to).await?;
    if out.json {
        return out.document(&json!({ "backup": backup_json(&made), "to": to }));
    }
    let place = clean(&to.display().to_string()).into_owned();
    let mut text = format!("Backup of {} in {place}, as of {}\n", bytes(made.bytes), time(made.at));
    let again = format!("ledger verify-backup {}", crate::text::quote(&to.display().to_string()));
    let _ = writeln!(text, "\n{}\n  {}", out.paint.bold("To see that it is whole:"), out.command(&again));
    out.text(&text)
}

fn backup_json(backup: &Backup) -> Value {
    json!({
        "at": time(backup.at), "format": backup.format, "bytes": backup.bytes, "blake3": backup.blake3,
        "rows": backup.rows,
    })
}

fn verify(out: &Out, host: &Host, backup: &Path) -> Result<u8, Fail> {
    let report = host.verify_backup(backup)?;
    if out.json {
        out.document(&json::verified(&report))?;
    } else {
        out.text(&verified(out, &report, "backup"))?;
    }
    Ok(if report.is_whole() { 0 } else { ErrorClass::NeedsOperator.exit_code() })
}

async fn restore(out: &Out, host: &Host, from: &Path, replace: bool) -> Result<(), Fail> {
    let report = host.restore(from, replace).await?;
    if out.json {
        return out.document(&json!({
            "backup": backup_json(&report.backup), "in_doubt": report.in_doubt, "runs_failed": report.runs_failed,
            "replaced": report.replaced,
        }));
    }
    out.text(&restored(out, &report))
}

fn restored(out: &Out, report: &RestoreReport) -> String {
    let mut text = format!("The ledger is that of {}.\n\n", time(report.backup.at));
    if let Some(replaced) = &report.replaced {
        let _ = writeln!(text, "  the one that was there is kept in {}", clean(&replaced.display().to_string()));
    }
    let _ = writeln!(text, "  {} under way then and in doubt now", count(report.in_doubt, "record"));
    let _ = writeln!(text, "  {} under way then and failed now", count(report.runs_failed, "run"));
    text.push_str(
        "\nWhat was done since is not known any more. The next run of each route reads again from the restored \
         checkpoint\nand sends those records again, with the same idempotency keys.\n",
    );
    let _ = writeln!(text, "\n{}\n  {}", out.paint.bold("Next:"), out.command("report"));
    text
}
