//! What is pinned of the project's plugins, and letting other files in.

use crate::args::ApproveArgs;
use crate::fail::Fail;
use crate::out::Out;
use crate::text::{Cell, Mood, bytes, clean, quote};
use crossdock::{Approval, Approve, Difference, ErrorClass, Host, LOCK_FILE, LockedPlugin, ProjectPlugin, Standing};
use serde_json::json;
use std::fmt::Write as _;

/// The digits of a digest that are shown where a table has no room for all.
const DIGEST_SHOWN: usize = 12;

/// Shows the plugins of the project, and how they stand to the lock. Gives the exit code.
///
/// # Errors
/// When there is no project, or its lock is damaged.
pub(crate) async fn list(out: &Out, host: &Host) -> Result<u8, Fail> {
    let plugins = host.plugins().await?;
    if out.json {
        out.document(&json!({ "plugins": plugins }))?;
    } else {
        out.text(&listed(out, &plugins))?;
    }
    let fine = plugins
        .iter()
        .all(|plugin| matches!(plugin.standing, Standing::Locked | Standing::NotLocked | Standing::NotFetched));
    Ok(if fine { 0 } else { ErrorClass::NeedsOperator.exit_code() })
}

fn listed(out: &Out, plugins: &[ProjectPlugin]) -> String {
    let mut table = out.table(&["name", "standing", "plugin", "role", "sha-256", "approved", "from"]);
    for plugin in plugins {
        let known = plugin.locked.as_ref().or(plugin.found.as_ref());
        let text = |of: fn(&LockedPlugin) -> &str| known.map_or("", of);
        let named = known.map(|known| format!("{} {}", known.plugin, known.version));
        let digest: String = text(|known| &known.sha256).chars().take(DIGEST_SHOWN).collect();
        let approved = match (&plugin.locked, text(|known| known.approved_at.as_deref().unwrap_or(""))) {
            (Some(_), "") => "by the first run",
            (_, at) => at,
        };
        table.add(vec![
            Cell::new(plugin.name.as_str()),
            Cell::with(mood(plugin.standing), plugin.standing.as_str()),
            Cell::new(named.unwrap_or_default()),
            Cell::new(text(|known| &known.role)),
            Cell::new(digest),
            Cell::new(approved),
            Cell::new(match (&plugin.origin, &plugin.path) {
                (Some(origin), _) => clean(origin).into_owned(),
                (None, path) => path.as_ref().map_or(String::new(), |path| path.display().to_string()),
            }),
        ]);
    }
    let mut text = table.render(0);
    for plugin in plugins {
        let name = &plugin.name;
        let _ = match plugin.standing {
            Standing::Differs => writeln!(
                text,
                "\n{name}: its file is not the one that was let in, and is refused. What is different:\n  {}",
                out.command(&format!("plugin approve {name}"))
            ),
            Standing::NotInProject => writeln!(
                text,
                "\n{name}: the project does not have it any more. To take it out of {LOCK_FILE}:\n  {}",
                out.command(&format!("plugin approve {name}"))
            ),
            Standing::NotFetched => writeln!(
                text,
                "\n{name}: it is not on this machine yet. Whatever needs it fetches it; all at once:\n  {}",
                out.command("plugin pull")
            ),
            Standing::Unusable => {
                let why = plugin.error.as_ref().map(ToString::to_string).unwrap_or_default();
                writeln!(text, "\n{name}: {}", clean(&why))
            }
            _ => Ok(()),
        };
    }
    text
}

fn mood(standing: Standing) -> Mood {
    match standing {
        Standing::Locked => Mood::Good,
        Standing::NotLocked | Standing::NotFetched => Mood::Between,
        _ => Mood::Bad,
    }
}

/// Shows what approving plugins would let in, or does it. Gives the exit code.
///
/// # Errors
/// When the host refuses, or what was agreed to is not what is there.
pub(crate) async fn approve(out: &Out, host: &Host, args: &ApproveArgs) -> Result<u8, Fail> {
    let which = if args.all { Approve::All } else { Approve::Named(&args.names) };
    let Some(approval) = host.plan_approval(which).await? else {
        if let Some(hash) = &args.confirm {
            return Err(stale(hash, "there is nothing to approve by now"));
        }
        if out.json {
            out.document(&json!({ "approval": null, "approved": false }))?;
        } else {
            out.text(&format!("Nothing to do: {LOCK_FILE} has these plugins as they are.\n"))?;
        }
        return Ok(0);
    };
    if let Some(hash) = args.confirm.as_ref().filter(|hash| **hash != approval.hash) {
        return Err(stale(hash, &format!("what would be approved is {} by now", approval.hash)));
    }
    let agreed = args.yes || args.confirm.is_some();
    if agreed {
        host.approve(&approval).await?;
    }
    if out.json {
        out.document(&json!({ "approval": approval, "approved": agreed }))?;
    } else {
        out.text(&shown(out, &approval, agreed))?;
    }
    Ok(if agreed { 0 } else { ErrorClass::NeedsOperator.exit_code() })
}

fn stale(hash: &str, why: &str) -> Fail {
    Fail::coded(
        "plugin-approval-stale",
        format!("confirming {}: {why}", clean(hash)),
        "Look at what is different without --confirm, and confirm the new hash.",
    )
}

fn shown(out: &Out, approval: &Approval, agreed: bool) -> String {
    let mut text = String::new();
    for plugin in &approval.plugins {
        text.push_str(&one(out, plugin));
        text.push('\n');
    }
    if agreed {
        let _ = writeln!(text, "Approved. {LOCK_FILE} is written: commit it with the project.");
    } else {
        let _ = writeln!(text, "{}", out.paint.bold("Nothing was changed. To let in exactly this:"));
        let _ = writeln!(text, "  {}", Out::again(&["--confirm", &approval.hash]));
    }
    text
}

fn one(out: &Out, plugin: &ProjectPlugin) -> String {
    let title = out.paint.bold(plugin.name.as_str());
    let mut text = match (&plugin.locked, &plugin.found) {
        (None, Some(_)) => format!("{title} is not in {LOCK_FILE} yet\n"),
        (Some(_), Some(_)) => format!("{title} is not the one that was let in\n"),
        (_, None) => format!("{title} is not in the project any more; its entry in {LOCK_FILE} is taken out\n"),
    };
    let mut line = |what: &str, how: String| {
        let _ = writeln!(text, "  {} {how}", out.paint.dim(&format!("{what:<12}")));
    };
    if let Some(origin) = &plugin.origin {
        line("from", clean(origin).into_owned());
    }
    if let Some(publisher) = &plugin.publisher {
        line("signed by", publisher.clone());
    }
    if let Some(path) = &plugin.path {
        line("file", quote(&path.display().to_string()));
    }
    if let (None, Some(found)) = (&plugin.locked, &plugin.found) {
        line("plugin", clean(&format!("{} {}", found.plugin, found.version)).into_owned());
        line("sha256", found.sha256.clone());
        line("size", bytes(found.size_bytes));
        line("contract", clean(&found.contract).into_owned());
        line("role", found.role.clone());
        for (what, list) in [("exports", &found.exports), ("wants", &found.wants), ("may ask for", &found.imports)] {
            list.iter().for_each(|entry| line(what, clean(entry).into_owned()));
        }
    }
    for difference in &plugin.differences {
        line(heading(difference.what), changed(out, difference));
    }
    for warning in warnings(plugin) {
        let _ = writeln!(text, "  {} {warning}", out.paint.error("!"));
    }
    text
}

fn heading(what: &'static str) -> &'static str {
    match what {
        "export" => "exports",
        "want" => "wants",
        "import" => "may ask for",
        "origin" => "from",
        other => other,
    }
}

fn changed(out: &Out, difference: &Difference) -> String {
    let value = |text: &str| match (difference.what, text.parse::<u64>()) {
        ("size", Ok(size)) => bytes(size),
        _ => clean(text).into_owned(),
    };
    match (&difference.from, &difference.to) {
        (Some(from), Some(to)) if difference.what == "sha256" => format!("{from}\n{:15}→ {to}", ""),
        (Some(from), Some(to)) => format!("{} → {}", value(from), value(to)),
        (None, Some(to)) => out.paint.mood(Mood::Between, &format!("+ {}", value(to))),
        (Some(from), None) => format!("− {}", value(from)),
        (None, None) => String::new(),
    }
}

/// What a person should think of before agreeing.
fn warnings(plugin: &ProjectPlugin) -> Vec<&'static str> {
    let (Some(locked), Some(found)) = (&plugin.locked, &plugin.found) else { return Vec::new() };
    let loses = |export: &str| locked.exports.iter().any(|e| e == export) && !found.exports.iter().any(|e| e == export);
    let cases = [
        (locked.plugin != found.plugin, "it is another plugin: it gives itself another name"),
        (locked.role != found.role, "it has another role: routes that use it in the old one are refused"),
        (loses("compensate"), "it cannot undo any more what the file before it has applied"),
        (loses("probe"), "it cannot be asked any more about records in doubt"),
        (
            // One that only comes from elsewhere now is the same, and should be.
            locked.sha256 == found.sha256 && locked.from == found.from,
            "the file is the same: either the lock was edited, or the plugin does not always say the same of itself",
        ),
    ];
    cases.into_iter().filter(|(is, _)| *is).map(|(_, warning)| warning).collect()
}

/// One line on what a run added to the lock.
pub(crate) fn added(plugins: &[LockedPlugin]) -> Option<String> {
    let named = plugins.iter().map(|plugin| {
        let digest: String = plugin.sha256.chars().take(DIGEST_SHOWN).collect();
        format!("{} {} (sha256:{digest}…)", clean(&plugin.plugin), clean(&plugin.version))
    });
    let named: Vec<String> = named.collect();
    (!named.is_empty()).then(|| format!("Added to {LOCK_FILE}, to be committed: {}", named.join(", ")))
}
