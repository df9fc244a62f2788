//! The lock: the first run pins the plugins' files, and nothing else is run under their names until a person agrees.

use anyhow::{Context, Result, ensure};
use crossdock_acceptance::{Lines, Outcome, Shop};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

const ROUTE: &str = "routes/cdnow.toml";
const LOCK: &str = "crossdock.lock";
const MAP: &str = "plugins/map.wasm";

/// A shop of which one record is failed and whose plugins are pinned.
fn pinned() -> Result<(Shop, String)> {
    let shop = Shop::open(Lines::First(10))?;
    let failed = shop.worthwhile().next().context("no purchase")?.id.clone();
    shop.faults(&json!([{ "references": [failed], "answer": 422 }]))?;
    let _ = shop.run()?.exits(4);
    shop.lift_faults()?;
    Ok((shop, failed))
}

/// The file with a section that nobody reads: another file that does the same.
fn swap(shop: &Shop, file: &str) -> Result<()> {
    let bytes = fs::read(shop.path(file))?;
    shop.write(file, [&bytes[..], b"\0\x02\x01x"].concat())
}

fn sha256(shop: &Shop, file: &str) -> Result<String> {
    let inspected = shop.json(&["plugin", "inspect", file])?;
    Ok(inspected["digest"].as_str().context("no digest")?.to_owned())
}

/// Whatever would load a plugin of the route is refused with this code, sends nothing and changes nothing.
#[track_caller]
fn refused(shop: &Shop, failed: &str, code: &str, parts: &[&str]) -> Result<()> {
    let (posts, lock) = (shop.books()?.posts(None).len(), fs::read(shop.path(LOCK)).ok());
    let commands: [&[&str]; 7] = [
        &["run", ROUTE],
        &["check", ROUTE],
        &["connectors", "check", ROUTE],
        &["resync", "--record", failed, "--yes"],
        &["resync", "--record", failed, "--recorded", "--plan"],
        &["cancel", "--record", failed, "--reason", "gone"],
        &["rollback", "resume", "--record", failed],
    ];
    for command in commands {
        let outcome = shop.crossdock(command)?;
        // Without a record that is rolling back there is nothing to resume, which is found out first.
        if command[0] == "rollback" && outcome.stdout.contains("Nothing to do") {
            continue;
        }
        let _ = outcome.exits(2).says(&[code]).says(parts);
    }
    let run: Value = serde_json::from_str(&shop.run_json()?.exits(2).stderr)?;
    ensure!(run["error"]["code"] == code, "{run}");
    let _ = shop.crossdock(&["explain", code])?.exits(0).says(&["Cause", "What to check", "What to do"]);
    ensure!(shop.books()?.posts(None).len() == posts, "something was sent");
    ensure!(fs::read(shop.path(LOCK)).ok() == lock, "the lock was changed");
    ensure!(shop.ids("failed")? == [failed], "something became of the record");
    Ok(())
}

#[test]
fn the_first_run_pins_what_it_uses() -> Result<()> {
    let shop = Shop::open(Lines::First(10))?;
    let _ = shop.crossdock(&["check", ROUTE])?.exits(0);
    let _ = shop.crossdock(&["connectors", "check", ROUTE])?.exits(0);
    let listed = shop.crossdock(&["plugin", "list"])?.exits(0).says(&["not-locked", "map 0.1.0", "text-source"]);
    ensure!(!listed.stdout.contains("by the first run") && !shop.path(LOCK).exists(), "looking at it wrote the lock");
    let first = shop.run()?.exits(0);
    let line = first.stderr.lines().find(|line| line.starts_with("Added to crossdock.lock")).context("told nothing")?;
    for plugin in ["map 0.1.0 (sha256:", "text-source 0.1.0", "http-destination 0.1.0"] {
        ensure!(line.contains(plugin), "{line}");
    }
    let lock = shop.text(LOCK)?;
    for part in ["\nformat = 1\n", "[plugins.map]", &sha256(&shop, MAP)?, "\"http: ", "imports = [", "    \"http\","] {
        ensure!(lock.contains(part), "{part} is not in\n{lock}");
    }
    let again = shop.run()?.exits(0);
    ensure!(!again.stderr.contains(LOCK) && shop.text(LOCK)? == lock, "{}", again.all());
    let _ = shop.crossdock(&["plugin", "list"])?.exits(0).says(&["locked", "by the first run"]);
    let _ = shop.crossdock(&["plugin", "approve", "--all"])?.exits(0).says(&["Nothing to do"]);
    // Another route uses one more: it is added, and the others stay as they were.
    shop.add_guest("guest-transformer")?;
    let step = "[[step]]\nname = \"odd\"\nplugin = \"guest-transformer\"\n\n[[step]]\nname = \"book\"";
    shop.edit_route("[[step]]\nname = \"book\"", step)?;
    let run = shop.run_json()?.exits(0).json()?;
    let added = run["added_to_lock"].as_array().context("nothing was added")?;
    ensure!(added.len() == 1 && added[0]["plugin"] == "guest-transformer", "{run}");
    ensure!(shop.text(LOCK)?.contains("[plugins.guest-transformer]"), "{}", shop.text(LOCK)?);
    shop.verify()
}

#[test]
fn a_file_that_was_exchanged_is_refused_until_it_is_approved() -> Result<()> {
    let (shop, failed) = pinned()?;
    let old = sha256(&shop, MAP)?;
    swap(&shop, MAP)?;
    let new = sha256(&shop, MAP)?;
    ensure!(old != new);
    let parts = [&*old, &new];
    refused(&shop, &failed, "plugin-changed", &parts)?;
    let _ = shop.run()?.exits(2).says(&["crossdock plugin approve map", "routes/cdnow.toml"]);
    let _ = shop.crossdock(&["plugin", "list"])?.exits(5).says(&["differs", "plugin approve map"]);

    // What is the same is not shown again, and showing changes nothing.
    let approve = ["plugin", "approve", "map"];
    let shown = shop.crossdock(&approve)?.exits(5).says(&[&old, &new, "size", "Nothing was changed", "--confirm "]);
    ensure!(!shown.stdout.contains("version") && !shown.stdout.contains("may ask for"), "{}", shown.all());
    let hash = shown.stdout.trim_end().rsplit_once("--confirm ").context("no hash")?.1.to_owned();
    let _ = shop.run()?.exits(2).says(&["plugin-changed"]);

    // The file is exchanged once more after it was shown: that was not agreed to.
    swap(&shop, MAP)?;
    let confirm = ["plugin", "approve", "map", "--confirm", &hash];
    let _ = shop.crossdock(&confirm)?.exits(2).says(&["plugin-approval-stale", &hash]);
    let newest = sha256(&shop, MAP)?;
    let approved = shop.json(&["plugin", "approve", "map", "--yes"])?;
    ensure!(
        approved["approved"] == true && approved["approval"]["plugins"][0]["found"]["sha256"] == newest,
        "{approved}"
    );
    let lock = shop.text(LOCK)?;
    ensure!(lock.contains(&format!("replaces = \"{old}\"")) && lock.contains("approved_at = \"2"), "{lock}");
    let _ = shop.crossdock(&confirm)?.exits(2).says(&["plugin-approval-stale", "nothing to approve"]);

    let _ = shop.crossdock(&["resync", "--record", &failed, "--yes"])?.exits(0);
    shop.books()?.hold(shop.worthwhile());
    shop.verify()
}

#[test]
fn a_file_that_wants_and_reaches_more_is_shown_so() -> Result<()> {
    let (shop, failed) = pinned()?;
    let text_source = fs::read(shop.path("plugins/text-source.wasm"))?;
    fs::copy(shop.path("plugins/http-destination.wasm"), shop.path("plugins/text-source.wasm"))?;
    refused(&shop, &failed, "plugin-changed", &["text-source"])?;
    let shown = shop.crossdock(&["plugin", "approve", "text-source"])?.exits(5);
    let words = [
        "text-source → http-destination",
        "source → destination",
        "+ http: ",
        "+ http\n",
        "another role",
        "− read-dir: ",
    ];
    let shown = shown.says(&words);
    ensure!(shown.stdout.contains("exports      + compensate"), "{}", shown.all());
    // As JSON, each difference by itself.
    let json: Value = shop.crossdock(&["plugin", "approve", "text-source", "--json"])?.exits(5).json()?;
    let differences = json["approval"]["plugins"][0]["differences"].as_array().context("no differences")?;
    let role = json!({ "what": "role", "from": "source", "to": "destination" });
    ensure!(differences.contains(&role) && json["approved"] == false, "{json}");
    // Approved it is let in, and the route says what does not fit.
    let _ = shop.crossdock(&["plugin", "approve", "text-source", "--yes"])?.exits(0).says(&["commit"]);
    let _ = shop.run()?.exits(2).says(&["route-wrong-role"]);
    // The way back is an approval as well.
    shop.write("plugins/text-source.wasm", text_source)?;
    let _ = shop.run()?.exits(2).says(&["plugin-changed"]);
    let _ = shop.crossdock(&["plugin", "approve", "--all", "--yes"])?.exits(0);
    let _ = shop.run()?.exits(0);
    shop.verify()
}

#[test]
fn with_locked_nothing_is_added() -> Result<()> {
    let shop = Shop::open(Lines::First(10))?;
    for command in [&["--locked", "run", ROUTE][..], &["check", ROUTE, "--locked"]] {
        let _ = shop.crossdock(command)?.exits(2).says(&["plugin-not-locked", "plugin = \"map\"", "approve map"]);
    }
    ensure!(!shop.path(LOCK).exists() && !shop.has_ledger() && shop.books()?.posts(None).is_empty());
    let shown = shop.crossdock(&["plugin", "approve", "map", "text-source"])?.exits(5);
    let _ = shown.says(&["map is not in crossdock.lock yet", "may ask for", "read-dir: ", "source"]);
    let _ = shop.crossdock(&["plugin", "approve", "--all", "--yes"])?.exits(0);
    let lock = shop.text(LOCK)?;
    ensure!(!lock.contains("replaces") && lock.matches("approved_at").count() == 3, "{lock}");
    let run = shop.crossdock(&["--locked", "run", ROUTE])?.exits(0);
    ensure!(!run.stderr.contains(LOCK) && shop.text(LOCK)? == lock, "{}", run.all());
    shop.books()?.hold(shop.worthwhile());
    shop.verify()
}

/// Changes the lock of a shop with pinned plugins; everything that loads a plugin is refused then.
#[track_caller]
fn check_damaged(change: impl FnOnce(&Shop) -> Result<()>, code: &str, parts: &[&str]) -> Result<()> {
    let (shop, failed) = pinned()?;
    change(&shop)?;
    refused(&shop, &failed, code, parts)
}

#[test]
fn locks_that_cannot_be_believed() -> Result<()> {
    let edit = |from: &'static str, to: &'static str| {
        move |shop: &Shop| {
            let text = shop.text(LOCK)?;
            ensure!(text.contains(from), "{from:?} is not in\n{text}");
            shop.write(LOCK, text.replacen(from, to, 1))
        }
    };
    let conflict = edit("[plugins.map]", "<<<<<<< HEAD\n[plugins.map]");
    check_damaged(conflict, "lock-damaged", &["crossdock.lock:", "<<<<<<< HEAD"])?;
    check_damaged(edit("format = 1", "format = 2"), "lock-newer-format", &["crossdock.lock:4", "later version"])?;
    check_damaged(
        edit("role = \"destination\"", "role = \"boss\""),
        "lock-damaged",
        &["crossdock.lock:", "role = \"boss\""],
    )?;
    let cut = |shop: &Shop| {
        let text = shop.text(LOCK)?;
        shop.write(LOCK, &text[..text.len() - 40])
    };
    check_damaged(cut, "lock-damaged", &["crossdock.lock:"])?;
    // What a file wants and reaches goes with the file; a lock that says less was not written by us.
    let text = edit("    \"http\",\n", "");
    check_damaged(text, "plugin-lock-differs", &["the same", "new import: http"])
}

#[test]
fn a_lock_that_cannot_be_written() -> Result<()> {
    let (shop, _) = pinned()?;
    shop.add_guest("guest-transformer")?;
    let step = "[[step]]\nname = \"odd\"\nplugin = \"guest-transformer\"\n\n[[step]]\nname = \"book\"";
    shop.edit_route("[[step]]\nname = \"book\"", step)?;
    let (posts, lock) = (shop.books()?.posts(None).len(), shop.text(LOCK)?);
    fs::set_permissions(shop.path(LOCK), fs::Permissions::from_mode(0o444))?;
    let _ = shop.run()?.exits(3).says(&["lock-unwritable", LOCK, "read-only"]);
    let _ = shop.crossdock(&["plugin", "approve", "--all", "--yes"])?.exits(3).says(&["lock-unwritable"]);
    ensure!(shop.books()?.posts(None).len() == posts && shop.text(LOCK)? == lock);
    let left: Vec<_> = fs::read_dir(shop.path("."))?.filter_map(Result::ok).map(|entry| entry.file_name()).collect();
    ensure!(!left.iter().any(|name| name.to_string_lossy().starts_with(".crossdock.lock")), "{left:?}");
    fs::set_permissions(shop.path(LOCK), fs::Permissions::from_mode(0o644))?;
    let _ = shop.run()?.exits(0);
    Ok(())
}

#[test]
fn plugins_that_come_and_go() -> Result<()> {
    let (shop, _) = pinned()?;
    // No route uses it: it is pinned only when a person does it.
    shop.add_guest("guest-source")?;
    let _ = shop.run()?.exits(0);
    ensure!(!shop.text(LOCK)?.contains("guest-source"));
    let _ = shop.crossdock(&["plugin", "approve", "guest-source", "--yes"])?.exits(0);
    ensure!(shop.text(LOCK)?.contains("[plugins.guest-source]"));
    shop.replace("crossdock.toml", "guest-source = { path = \"plugins/guest-source.wasm\" }\n", "")?;
    let _ = shop.crossdock(&["plugin", "list"])?.exits(5).says(&["not-in-project", "take it out"]);
    let _ = shop.crossdock(&["plugin", "approve", "--all"])?.exits(5).says(&["not in the project any more"]);
    let _ = shop.crossdock(&["plugin", "approve", "--all", "--yes"])?.exits(0);
    ensure!(!shop.text(LOCK)?.contains("guest-source"));
    let none = shop.crossdock(&["plugin", "approve", "guest-source"])?.exits(2);
    let _ = none.says(&["plugin-not-in-project", "guest-source", "text-source, map"]);
    // A digest in the project file has to agree: approving alone would not help.
    let digest = format!("plugins/map.wasm\", digest = \"sha256:{}\"", sha256(&shop, MAP)?);
    shop.replace("crossdock.toml", "plugins/map.wasm\"", &digest)?;
    let _ = shop.run()?.exits(0);
    swap(&shop, MAP)?;
    let _ = shop.run()?.exits(2).says(&["plugin-digest"]);
    let _ = shop.crossdock(&["plugin", "approve", "map", "--yes"])?.exits(2).says(&["plugin-digest", "crossdock.toml"]);
    fs::remove_file(shop.path(MAP))?;
    let _ = shop.crossdock(&["plugin", "list"])?.exits(5).says(&["unusable", "no such file"]);
    let _ = shop.crossdock(&["plugin", "approve", "--all"])?.exits(2).says(&["plugin-not-found"]);
    Ok(())
}

/// Two processes with ledgers of their own pin the plugins of one project at the same time.
#[test]
fn two_first_runs_at_once() -> Result<()> {
    let shop = Shop::open(Lines::First(10))?;
    let cache = shop.path(".crossdock/cache");
    let data: Vec<String> = (0..4).map(|n| format!("data-{n}")).collect();
    for folder in &data {
        fs::create_dir_all(shop.path(folder).join("cache"))?;
        for entry in fs::read_dir(&cache)? {
            let entry = entry?;
            fs::copy(entry.path(), shop.path(folder).join("cache").join(entry.file_name()))?;
        }
    }
    let runs: Vec<_> =
        data.iter().map(|folder| shop.start(&["run", ROUTE, "--data", folder])).collect::<Result<_>>()?;
    let ended: Vec<Outcome> = runs.into_iter().map(|run| run.finish()).collect::<Result<_>>()?;
    ended.into_iter().for_each(|outcome| drop(outcome.exits(0)));
    ensure!(shop.text(LOCK)?.matches("[plugins.").count() == 3, "{}", shop.text(LOCK)?);
    let _ = shop.crossdock(&["--locked", "check", ROUTE])?.exits(0);
    Ok(())
}
