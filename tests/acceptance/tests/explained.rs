//! What the command says when it cannot do what it was asked: the code, what was being done, what went wrong where, and
//! what to do. Here are those that no scenario comes across.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use anyhow::{Context, Result, ensure};
use crossdock_acceptance::{Command, Lines, Outcome, Shop};
use crossdock_devkit::binary;
use serde_json::{Value, json};

const ROUTE: &str = "routes/cdnow.toml";

/// The command ends with this exit code and the error `code`, says all of the parts, one of them what to do, and
/// `explain` has a page for it. Nothing is sent.
#[track_caller]
fn check(shop: &Shop, command: &[&str], exit: i32, code: &str, parts: &[&str]) -> Result<()> {
    let requests = shop.books()?.posts(None).len();
    let outcome = shop.crossdock(command)?.exits(exit).says(&[&format!("error[{code}]: "), "fix: "]).says(parts);
    ensure!(outcome.stdout.is_empty(), "something was shown as if it were the answer\n{}", outcome.all());
    let json: Vec<&str> = command.iter().copied().chain(["--json"]).collect();
    let outcome = shop.crossdock(&json)?.exits(exit);
    let error: Value = serde_json::from_str(&outcome.stderr).with_context(|| outcome.all())?;
    assert_eq!(error["error"]["code"], code, "{error}");
    let _ = shop.crossdock(&["explain", code])?.exits(0).says(&["Cause", "What to check", "What to do"]);
    assert_eq!(shop.books()?.posts(None).len(), requests, "something was sent");
    Ok(())
}

/// A project in which the ERP has refused the first two purchases.
fn with_two_failed() -> Result<(Shop, [String; 2])> {
    let shop = Shop::open(Lines::First(12))?;
    let ids: Vec<String> = shop.worthwhile().take(2).map(|purchase| purchase.id.clone()).collect();
    let two = <[String; 2]>::try_from(ids).ok().context("too few purchases")?;
    shop.faults(&json!([{ "references": two, "answer": 422 }]))?;
    let _ = shop.run()?.exits(4);
    Ok((shop, two))
}

#[test]
fn records_that_are_not_there_or_several() -> Result<()> {
    let (shop, [id, _]) = with_two_failed()?;
    let none = ["looking for record 00000/x: there is none", "crossdock records"];
    check(&shop, &["record", "00000/x"], 2, "records-none", &none)?;
    let none = ["choosing records: record 00000/x is not there", "crossdock records"];
    check(&shop, &["skip", "--record", "00000/x", "--reason", "gone"], 2, "records-none", &none)?;
    check(&shop, &["resync", "--record", "00000/x", "--plan"], 2, "records-none", &none)?;

    let other = shop.text(ROUTE)?.replace("name = \"cdnow\"", "name = \"again\"");
    shop.write("routes/again.toml", other)?;
    let _ = shop.crossdock(&["run", "routes/again.toml"])?.exits(4);
    let several = [&format!("looking for record {id}: 2 routes have one: again, cdnow"), "--route again"];
    check(&shop, &["record", &id], 2, "records-several-routes", &several)?;
    let several = ["choosing records: they belong to several routes", "Name one with --route"];
    check(&shop, &["resync", "--status", "failed", "--plan"], 2, "records-several-routes", &several)?;
    check(&shop, &["skip", "--record", &id, "--reason", "gone"], 2, "records-several-routes", &several)?;
    shop.verify()
}

#[test]
fn what_was_agreed_to_is_not_what_is_there() -> Result<()> {
    let (shop, [id, _]) = with_two_failed()?;
    let skip = ["skip", "--status", "failed", "--reason", "gone"];
    let shown = shop.json(&[&skip[..], &["--plan"]].concat())?;
    let hash = shown["selection"]["hash"].as_str().with_context(|| shown.to_string())?.to_owned();
    let _ = shop.crossdock(&["skip", "--record", &id, "--reason", "gone"])?.exits(0);
    let changed = [&format!("confirming {hash}: the choice is of 1 record by now"), "--plan"];
    check(&shop, &[&skip[..], &["--confirm", &hash]].concat(), 2, "records-changed", &changed)?;
    assert_eq!(shop.ids("failed")?.len(), 1);
    shop.verify()
}

#[test]
fn resyncs_that_cannot_be_planned() -> Result<()> {
    let (shop, [id, _]) = with_two_failed()?;
    let recorded = ["resync", "--status", "failed", "--recorded", "--plan"];
    let plan = shop.json(&recorded)?;
    assert_eq!(plan["plan"]["recorded"], true, "{plan}");

    // A section that nobody reads makes it another file.
    let plugin = std::fs::read(shop.path("plugins/map.wasm"))?;
    shop.write("plugins/map.wasm", [&plugin[..], b"\0\x02\x01x"].concat())?;
    let _ = shop.crossdock(&["plugin", "approve", "map", "--yes"])?.exits(0);
    let changed = ["planning a resync with the recorded definition", "plugin map at shape is another file", "sha256:"];
    check(&shop, &recorded, 2, "resync-plugin-changed", &changed)?;
    shop.write("plugins/map.wasm", plugin)?;
    let _ = shop.crossdock(&["plugin", "approve", "map", "--yes"])?.exits(0);

    // One of the two was put through again since, with another definition.
    shop.write(ROUTE, format!("# A comment is a change.\n{}", shop.text(ROUTE)?))?;
    let _ = shop.crossdock(&["resync", "--record", &id, "--yes"])?.exits(4);
    let several = ["the records of route cdnow were run with different definitions", "those of one run with --run"];
    check(&shop, &recorded, 2, "resync-several-definitions", &several)?;

    // Its file has another name in it by now.
    shop.edit_route("name = \"cdnow\"", "name = \"other\"")?;
    let gone = ["looking for route cdnow: no valid route file", "has this name", "crossdock check FILE"];
    check(&shop, &["resync", "--status", "failed", "--plan"], 2, "host-route-not-found", &gone)?;
    shop.verify()
}

#[test]
fn a_plugin_that_is_not_quarantined() -> Result<()> {
    let (shop, _) = with_two_failed()?;
    let release = ["plugin", "release", "cdnow", "book", "--reason", "looked into it"];
    let none = ["releasing the plugin at step book of route cdnow: it is not quarantined", "nothing to do"];
    check(&shop, &release, 2, "plugin-not-quarantined", &none)?;
    shop.verify()
}

#[test]
fn files_that_cannot_be_written_or_read() -> Result<()> {
    let (shop, _) = with_two_failed()?;
    let csv = ["records", "--csv", "nowhere/records.csv"];
    let outcome = shop.crossdock(&csv)?.exits(3);
    let _ = outcome.says(&["error[host-file-unwritable]: writing CSV to nowhere/records.csv", "fix: Name a file"]);
    let _ = shop.crossdock(&["explain", "host-file-unwritable"])?.exits(0).says(&["What to do"]);

    // Even who may read everything cannot read a folder as a file.
    std::fs::create_dir(shop.path("token"))?;
    shop.replace("crossdock.toml", "[plugins]\n", "[secrets]\nERP_TOKEN = { file = \"token\" }\n\n[plugins]\n")?;
    shop.edit_route("in_flight = 4", "in_flight = 4\nauth = { bearer = \"ERP_TOKEN\" }")?;
    let grants = format!("grants = {{ http = [\"{}\"], secrets = [\"ERP_TOKEN\"] }}", shop.erp_url());
    shop.replace_line("grants = { http", &grants)?;
    let secret = ["reading secret ERP_TOKEN from token", "Make the file readable"];
    check(&shop, &["run", ROUTE], 3, "host-secret-unreadable", &secret)?;
    std::fs::remove_dir(shop.path("token"))?;
    shop.write("token", "abc\n")?;
    let secret = ["reading secret ERP_TOKEN: it has 3 bytes", "give it a longer value in the other system"];
    check(&shop, &["run", ROUTE], 2, "host-secret-too-short", &secret)?;
    shop.verify()
}

/// The process dies while requests are on their way: what is in doubt then has its content with the source still.
#[test]
fn a_probe_of_what_is_still_with_the_source() -> Result<()> {
    let shop = Shop::open(Lines::First(12))?;
    // Without a key the ERP can only be asked afterwards.
    shop.replace_line("idempotency_header", "")?;
    shop.edit_route("/documents?key={{ key }}", "/documents?reference={{ id }}")?;
    shop.faults(&json!([{ "delay_ms": 100_000 }]))?;
    let mut run = shop.start(&["run", ROUTE])?;
    ensure!(shop.until_met(&mut run, 4)?, "the run ended");
    ensure!(run.kill()?, "the run had ended");
    shop.lift_faults()?;
    let in_doubt = ["probing record ", "its content is still with the source", "Run the route"];
    // The ledger is put in order by the first command that writes to it.
    check(&shop, &["probe", "--status", "indeterminate", "--yes"], 2, "probe-at-source", &in_doubt)?;
    let _ = shop.run()?.exits(0);
    shop.books()?.hold(shop.worthwhile());
    shop.verify()
}

/// With so many files open at most, counted with those that every process has.
fn with_open_files(shop: &Shop, most: u32) -> Result<Outcome> {
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "ulimit -n \"$0\" && exec \"$@\"", &most.to_string()]);
    command.arg(binary("crossdock-cli", "crossdock")?).args(["check", ROUTE]).current_dir(shop.path("."));
    Command::start(&mut command)?.finish()
}

/// With ever more files that it may have open, the command says what it lacks, and never falls over; in the end it has
/// enough. Below the first number not even the command's own threads can be started.
#[test]
fn too_few_open_files() -> Result<()> {
    let shop = Shop::open(Lines::First(2))?;
    let mut said = std::collections::BTreeSet::new();
    for most in 9..100 {
        let outcome = with_open_files(&shop, most)?;
        ensure!(!outcome.stderr.contains("panicked"), "with {most} open files\n{}", outcome.all());
        if outcome.code == 0 {
            ensure!(said.contains("sandbox-setup"), "enough from the beginning, or never in the sandbox: {said:?}");
            let _ = shop.crossdock(&["explain", "sandbox-setup"])?.exits(0).says(&["What to do"]);
            return Ok(());
        }
        let code = outcome.stderr.split_once("error[").and_then(|(_, rest)| rest.split_once(']'));
        let code = code.map_or(String::new(), |(code, _)| code.to_owned());
        let fix = if code == "sandbox-setup" { "fix: check the limits of the process" } else { "" };
        let _ = outcome.says(&["Too many open files", fix]);
        said.insert(code);
    }
    panic!("a hundred open files are too few: {said:?}")
}
