//! `crossdock plugin test`, as it is typed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn crossdock(arguments: &[&str]) -> Output {
    let command = crossdock_devkit::binary("crossdock-cli", "crossdock").unwrap();
    let folder = tempfile::tempdir().unwrap();
    Command::new(command).args(arguments).current_dir(folder.path()).output().unwrap()
}

/// A folder with the planted transformer's case, naming this bug, and the plugin's file.
fn planted(bug: &str) -> (tempfile::TempDir, PathBuf, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let case = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/planted/transformer.toml");
    let text = std::fs::read_to_string(case).unwrap().replace("\"none\"", &format!("\"{bug}\""));
    for name in ["cases", "dist"] {
        std::fs::create_dir(folder.path().join(name)).unwrap();
    }
    std::fs::write(folder.path().join("cases/orders.toml"), text).unwrap();
    let plugin = folder.path().join("dist/planted.wasm");
    std::fs::copy(crossdock_devkit::guests().unwrap().path("planted-transformer").unwrap(), &plugin).unwrap();
    let saved = folder.path().join("found");
    (folder, plugin, saved)
}

#[track_caller]
fn check(bug: &str, further: &[&str], code: i32, parts: &[&str]) -> Output {
    let (folder, _, saved) = planted(bug);
    let folder = folder.path().display().to_string();
    let saved = saved.display().to_string();
    let further: Vec<&str> = further.iter().map(|word| if *word == "FOUND" { saved.as_str() } else { word }).collect();
    let output = crossdock(&[&["plugin", "test", folder.as_str()], &further[..]].concat());
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{said}");
    for part in parts {
        assert!(said.contains(part), "{part} is missing in\n{said}");
    }
    output
}

#[test]
fn a_plugin_is_tested_by_its_folder() {
    check(
        "none",
        &[],
        0,
        &["planted-transformer 0.1.0, transformer", "ok      orders", "held       the batch turned round"],
    );
    let found = [
        "FAILED  orders",
        "kit-lost-record",
        "every record of a batch is answered",
        "crossdock explain kit-lost-record",
    ];
    check("lost-record", &[], 4, &found);
    check("order-matters", &["--save", "FOUND"], 4, &["BROKE", "kit-order-matters", "kit-order-matters.toml", "tried"]);
}

#[test]
fn the_report_is_one_document_with_json() {
    let output = check("state-in-globals", &["--json"], 4, &[]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["ok"], false);
    assert_eq!(report["findings"][0]["code"], "kit-state-in-globals");
    assert!(report["findings"][0]["input"].as_str().unwrap().contains("[[record]]"));
}

#[test]
fn what_cannot_be_used_is_told() {
    check("none", &["--cases", "nowhere"], 2, &["cases-unreadable", "nowhere", "fix:"]);
    let output = crossdock(&["plugin", "test", "nowhere.wasm", "--cases", env!("CARGO_MANIFEST_DIR")]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}
