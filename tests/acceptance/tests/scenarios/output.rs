//! What people read, and what programs read.

use anyhow::{Context, Result};
use crossdock_acceptance::{Lines, Shop};
use serde_json::json;

#[test]
fn the_summary_says_what_became_of_the_records_and_where_to_look() -> Result<()> {
    let shop = Shop::open(Lines::First(60))?;
    let refused: Vec<String> = shop.worthwhile().take(5).map(|purchase| purchase.id.clone()).collect();
    shop.faults(&json!([{ "references": refused, "answer": 422, "message": "Credit limit exceeded" }]))?;
    let run = shop.run()?.exits(4);
    let json = shop.json(&["runs"])?;
    let id = json["runs"][0]["run"].as_str().context("no run")?;
    let run = run.says(&[
        "completed-with-failures",
        "2 more",
        "Credit limit exceeded",
        &format!("crossdock records --run {id} --status failed"),
        &format!("crossdock resync --run {id} --plan"),
    ]);
    assert_eq!(refused.iter().filter(|id| run.stdout.contains(*id)).count(), 3, "{}", run.all());
    // Each number stands in a line with its word.
    for (word, number) in [("read", 63), ("ok", 57), ("dropped", shop.dropped()), ("failed", 5)] {
        let number = number.to_string();
        let words = |line: &str| line.split(|c: char| !c.is_alphanumeric()).map(str::to_owned).collect::<Vec<_>>();
        let found = run.stdout.lines().map(words).any(|line| line.contains(&word.to_owned()) && line.contains(&number));
        assert!(found, "no line says {number} {word}\n{}", run.all());
    }
    assert!(!run.all().contains('\x1b'), "colours go to terminals only\n{}", run.all());
    // What it advises to type works.
    let _ = shop.crossdock(&["records", "--status", "failed", "--run", id])?.exits(0).says(&[&refused[4]]);
    let _ = shop.crossdock(&["resync", "--run", id, "--plan"])?.exits(0).says(&["crossdock resync --apply"]);
    Ok(())
}

#[test]
fn every_verb_speaks_json() -> Result<()> {
    let shop = Shop::open(Lines::First(20))?;
    let mut ids = shop.worthwhile().map(|purchase| purchase.id.clone());
    let (refused, skipped, fine) = (ids.next().context("few")?, ids.next().context("few")?, ids.next().context("few")?);
    shop.faults(&json!([{ "references": [refused, skipped], "answer": 422 }]))?;
    let run = shop.run_json()?.exits(4).json()?;
    let run = run["run"].as_str().context("no run")?;
    shop.lift_faults()?;
    let route = "routes/cdnow.toml";
    for arguments in [
        vec!["check", route],
        vec!["connectors", "check", route],
        vec!["records"],
        vec!["records", "--run", run, "--status", "failed", "--code", "http-422", "--since", "1h", "--limit", "1"],
        vec!["record", &fine],
        vec!["record", &refused],
        vec!["events", "--run", run],
        vec!["events", "--record", &refused],
        vec!["runs"],
        vec!["plugin", "inspect", "plugins/map.wasm"],
        vec!["explain", "ledger-in-use"],
        vec!["explain"],
        vec!["verify"],
        vec!["skip", "--record", &skipped, "--reason", "a test"],
        vec!["resync", "--status", "failed"],
        vec!["resync", "--status", "failed", "--yes"],
        vec!["resync", "--status", "failed"],
        vec!["run", route],
    ] {
        let answer = shop.json(&arguments)?;
        assert!(answer.is_object() || answer.is_array(), "{arguments:?}: {answer}");
    }
    // A mistake is JSON as well, on stderr; stdout stays empty.
    for arguments in [vec!["run", "none.toml"], vec!["record", "none"], vec!["resync", "--apply", "0000"]] {
        let arguments: Vec<&str> = arguments.into_iter().chain(["--json"]).collect();
        let outcome = shop.crossdock(&arguments)?.exits(2);
        let error: serde_json::Value = serde_json::from_str(&outcome.stderr).with_context(|| outcome.all())?;
        assert!(error["error"]["code"].is_string() && error["error"]["message"].is_string(), "{}", outcome.all());
        assert!(outcome.stdout.is_empty(), "{}", outcome.all());
    }
    Ok(())
}

#[test]
fn each_code_that_is_shown_has_a_page() -> Result<()> {
    let shop = Shop::open(Lines::First(10))?;
    for code in ["ledger-in-use", "route-unsafe-retry", "plugin-core-module", "stopped-at-record", "fault-trap"] {
        let _ = shop.crossdock(&["explain", code])?.exits(0).says(&["Cause", "What to check", "What to do"]);
    }
    Ok(())
}

#[test]
fn appended_lines_are_read_and_changed_ones_refused() -> Result<()> {
    let shop = Shop::open(Lines::First(20))?;
    let _ = shop.run()?.exits(0);
    let file = "data/CDNOW_sample.txt";
    let text = std::fs::read_to_string(shop.path(file))?;
    shop.write(file, format!("{text} 99999 9999 19980701  1   10.00\r\n"))?;
    let run = shop.run_json()?.exits(0).json()?;
    assert_eq!(run["read"], 1);
    assert_eq!(shop.books()?.documents("99999/19980701"), 1);
    // What was read already may not change behind our back.
    shop.write(
        file,
        text.replacen("29.33", "29.34", 1) + " 99999 9999 19980701  1   10.00\r\n 99999 9999 19980702  1   10.00\r\n",
    )?;
    let requests = shop.books()?.posts(None).len();
    let _ = shop.run()?.exits(5).says(&["checkpoint-refused", "CDNOW_sample.txt"]);
    assert_eq!(shop.books()?.posts(None).len(), requests);
    shop.verify()
}
