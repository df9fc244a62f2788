//! `crossdock wit check OLD NEW`, as somebody who looks after the contract runs it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use anyhow::{Context, Result};
use crossdock_acceptance::{Command, Outcome};
use crossdock_devkit::{binary, workspace_root};
use serde_json::Value;
use std::fs;
use std::path::Path;

fn wit_check(old: &Path, new: &Path, more: &[&str]) -> Result<Outcome> {
    let mut command = std::process::Command::new(binary("crossdock-cli", "crossdock")?);
    command.args(["wit", "check"]).args([old, new]).args(more);
    Command::start(&mut command)?.finish()
}

#[test]
fn people_and_programs_are_told_what_goes_on() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let released = workspace_root().join("wit/released/0.1.0");
    let changed = |from: &str, to: &str| -> Result<()> {
        for file in fs::read_dir(&released)? {
            let file = file?;
            let text = fs::read_to_string(file.path())?.replace(from, to).replace("@0.1.0;", "@0.1.1;");
            fs::write(dir.path().join(file.file_name()), text)?;
        }
        Ok(())
    };
    let check = |exit: i32, parts: &[&str]| -> Result<Value> {
        let _ =
            wit_check(&released, dir.path(), &[])?.exits(exit).says(&["crossdock:plugin 0.1.0 → 0.1.1: "]).says(parts);
        let json = wit_check(&released, dir.path(), &["--json"])?.exits(exit);
        serde_json::from_str(&json.stdout).with_context(|| json.all())
    };
    changed("    cancelled: func() -> bool;", "    cancelled: func() -> bool;\n    zone: func() -> string;")?;
    let found = check(0, &["go on with a host that speaks 0.1.1", "interface control, zone: it is new"])?;
    assert_eq!(found["goes_on"], true, "{found}");

    changed("        max-batch: u32,", "        max-batch: u32,\n        icon: option<string>,")?;
    let parts = ["1 difference breaks some", "record description: the field `icon` is new", "because", "instead"];
    let found = check(5, &parts)?;
    assert_eq!(found["goes_on"], false, "{found}");
    assert_eq!(found["differences"][0]["verdict"], "refused", "{found}");
    assert_eq!(found["differences"][0]["item"], "record description", "{found}");
    Ok(())
}

#[test]
fn a_contract_that_cannot_be_read() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let bad = dir.path().join("bad.wit");
    fs::write(&bad, "package a:b@0.1.0;\ninterface i {\n    f: func(x: nothing);\n}\n")?;
    let outcome = wit_check(&bad, &bad, &[])?.exits(2);
    let _ =
        outcome.says(&["error[wit-unreadable]: reading the contract", "`nothing`", "bad.wit:3", "fix: name a folder"]);
    let json = wit_check(&bad, &bad, &["--json"])?.exits(2);
    let error: Value = serde_json::from_str(&json.stderr).with_context(|| json.all())?;
    assert_eq!(error["error"]["code"], "wit-unreadable", "{error}");
    Ok(())
}
