//! Plugins that misbehave: the fault says which and how, its own records bear it, and the host goes on.

use anyhow::{Context, Result};
use crossdock_acceptance::{Lines, Purchase, Shop};
use serde_json::json;

/// One purchase poisons a transformer between the two ordinary steps; all others must be booked. The route stands
/// for all steps but the guest's.
fn poisoned(misbehave: &str) -> Result<(Shop, Purchase)> {
    let mut shop = Shop::open(Lines::First(40))?;
    shop.add_guest("guest-transformer")?;
    let step = format!(
        "[[step]]\nname = \"odd\"\nplugin = \"guest-transformer\"\nsettings = {{ misbehave = \"{misbehave}\" }}\n\
         limits = {{ cpu_time = \"300ms\", memory = \"16MiB\" }}\n\n"
    );
    shop.edit_route("[[step]]\nname = \"book\"", &format!("{step}[[step]]\nname = \"book\""))?;
    let poison = shop.rename_customer(16, "poison")?;
    Ok((shop, poison))
}

/// `code` and `parts`: what is said of the one record that is failed.
#[track_caller]
fn check(misbehave: &str, code: &str, parts: &[&str]) {
    let all = || -> Result<()> {
        let (shop, poison) = poisoned(misbehave)?;
        let run = shop.run_json()?.exits(4).json()?;
        assert_eq!((&run["status"], &run["counts"]["failed"]), (&json!("completed-with-failures"), &json!(1)), "{run}");
        shop.books()?.hold(shop.worthwhile().filter(|purchase| purchase.id != poison.id));
        let failed = shop.records(&["--status", "failed"])?;
        assert_eq!(failed.len(), 1, "{failed:?}");
        assert_eq!(
            (&failed[0]["id"], &failed[0]["step"], &failed[0]["code"]),
            (&json!(poison.id), &json!("odd"), &json!(code)),
            "{failed:?}"
        );
        let _ = shop.crossdock(&["record", &poison.id])?.exits(0).says(parts);
        let _ = shop.crossdock(&["explain", code])?.exits(0);
        shop.verify()?;
        // With a plugin that behaves, it is put through from there.
        shop.edit_route(&format!("\"{misbehave}\""), "\"\"")?;
        let _ = shop.crossdock(&["resync", "--record", &poison.id, "--yes"])?.exits(0);
        shop.books()?.hold(shop.worthwhile());
        Ok(())
    };
    if let Err(error) = all() {
        panic!("{misbehave}: {error:?}");
    }
}

#[test]
fn a_transformer_that_panics() {
    check("poison-panic", "fault-trap", &["guest-transformer", "transform", "on purpose"]);
}

#[test]
fn a_transformer_that_loops() {
    check("poison-loop", "fault-out-of-time", &["guest-transformer", "300", "cpu_time"]);
}

#[test]
fn a_transformer_that_takes_all_memory() {
    check("poison-memory", "fault-out-of-memory", &["guest-transformer", "memory"]);
}

#[test]
fn a_transformer_that_answers_for_too_few() {
    check("poison-too-few", "fault-broken-contract", &["guest-transformer", "0 outcomes for 1 record"]);
}

#[test]
fn a_plugin_that_always_faults_is_quarantined_and_ends_the_run() -> Result<()> {
    let (shop, _) = poisoned("panic")?;
    shop.replace_line("on_error = ", "on_error = \"continue\"\nmax_faults = 5")?;
    let run = shop.run_json()?.exits(4).json()?;
    assert_eq!((&run["status"], &run["reason"]["code"]), (&json!("failed"), &json!("plugin-quarantined")), "{run}");
    assert!(shop.books()?.posts(None).is_empty());
    // It is not used any more, and another run says so before it begins.
    let _ = shop.run()?.exits(5).says(&["plugin-quarantined", "odd", "crossdock plugin release"]);
    let _ = shop.crossdock(&["report"])?.exits(5).says(&["quarantined", "odd"]);
    assert!(shop.books()?.posts(None).is_empty());
    // Another route of the same ledger goes on, though it uses the same plugin.
    let other = shop.text("routes/cdnow.toml")?.replace("name = \"cdnow\"", "name = \"other\"");
    shop.write("routes/other.toml", other.replace("misbehave = \"panic\"", "misbehave = \"\""))?;
    let _ = shop.crossdock(&["run", "routes/other.toml"])?.exits(0);
    shop.books()?.hold(shop.worthwhile());
    shop.is_whole()?;
    // Released, and given settings with which it behaves, it goes on.
    shop.edit_route("\"panic\"", "\"\"")?;
    let _ = shop.crossdock(&["plugin", "release", "cdnow", "odd", "--reason", "other settings"])?.exits(0);
    let _ = shop.run()?.exits(0);
    assert_eq!(shop.books()?.posts(None).len(), 2 * shop.worthwhile().count(), "each route books each purchase");
    shop.verify()
}

/// After an effect nobody may guess: what it was asked to write is in doubt, all of it.
#[track_caller]
fn check_destination(misbehave: &str, code: &str) {
    let all = || -> Result<()> {
        let shop = Shop::open(Lines::First(12))?;
        shop.add_guest("guest-destination")?;
        let route = std::fs::read_to_string(shop.path("routes/cdnow.toml"))?;
        let (before, _) = route.split_once("[[step]]\nname = \"book\"").context("the route has no step book")?;
        let step = format!(
            "[[step]]\nname = \"book\"\nplugin = \"guest-destination\"\nsettings = {{ misbehave = \"{misbehave}\" }}\n\
             retry = {{ attempts = 1 }}\n"
        );
        shop.write("routes/cdnow.toml", format!("{before}{step}"))?;
        let run = shop.run_json()?.exits(5).json()?;
        let count = shop.worthwhile().count();
        assert_eq!(run["counts"], json!({ "dropped": shop.dropped(), "indeterminate": count }), "{run}");
        let in_doubt = shop.records(&["--status", "indeterminate"])?;
        assert!(in_doubt.iter().all(|record| record["code"] == code), "{in_doubt:?}");
        shop.verify()
    };
    if let Err(error) = all() {
        panic!("{misbehave}: {error:?}");
    }
}

#[test]
fn a_destination_that_panics_or_answers_for_too_few() {
    check_destination("panic", "fault-trap");
    check_destination("too-few", "fault-broken-contract");
}

#[test]
fn a_source_that_panics() -> Result<()> {
    let shop = Shop::open(Lines::First(5))?;
    shop.add_guest("guest-source")?;
    let route = std::fs::read_to_string(shop.path("routes/cdnow.toml"))?;
    let (_, steps) = route.split_once("[[step]]").context("the route has no step")?;
    let source = "name = \"cdnow\"\n\n[source]\nplugin = \"guest-source\"\nsettings = { misbehave = \"panic\" }\n";
    shop.write("routes/cdnow.toml", format!("{source}\n[[step]]{steps}"))?;
    let run = shop.run_json()?.exits(4).json()?;
    assert_eq!((&run["status"], &run["reason"]["code"]), (&json!("failed"), &json!("fault-trap")), "{run}");
    let _ = shop.run()?.exits(4).says(&["guest-source", "on purpose"]);
    assert!(shop.books()?.posts(None).is_empty());
    shop.verify()
}

#[test]
fn a_source_that_is_not_operational_begins_no_run() -> Result<()> {
    let shop = Shop::open(Lines::First(5))?;
    shop.add_guest("guest-source")?;
    let route = std::fs::read_to_string(shop.path("routes/cdnow.toml"))?;
    let (_, steps) = route.split_once("[[step]]").context("the route has no step")?;
    shop.write(
        "routes/cdnow.toml",
        format!("name = \"cdnow\"\n\n[source]\nplugin = \"guest-source\"\n\n[[step]]{steps}"),
    )?;
    let _ = shop.run()?.exits(3).says(&["host-source-not-operational", "cdnow", "gone fishing"]);
    assert!(!shop.has_ledger());
    Ok(())
}
