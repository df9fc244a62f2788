//! `crossdock plugin inspect`, as somebody looks at a plugin whom they do not know.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use anyhow::{Context, Result};
use crossdock_acceptance::{Command, Outcome};
use crossdock_devkit::{binary, plugins};
use serde_json::{Value, json};
use std::fs;
use tempfile::TempDir;

/// A project with one plugin, `shape`, and files that are none.
fn project() -> Result<TempDir> {
    let dir = tempfile::tempdir()?;
    fs::copy(plugins()?.path("map")?, dir.path().join("map.wasm"))?;
    fs::write(dir.path().join("crossdock.toml"), "[plugins]\nshape = { path = \"map.wasm\" }\n")?;
    Ok(dir)
}

fn inspect(dir: &TempDir, arguments: &[&str]) -> Result<Outcome> {
    let mut command = std::process::Command::new(binary("crossdock-cli", "crossdock")?);
    command.args(["plugin", "inspect"]).args(arguments).current_dir(dir.path());
    Command::start(&mut command)?.finish()
}

fn report(dir: &TempDir, which: &str) -> Result<Value> {
    let outcome = inspect(dir, &[which, "--json"])?.exits(0);
    serde_json::from_str(&outcome.stdout).with_context(|| outcome.all())
}

#[test]
fn a_plugin_by_its_file_and_by_its_name_in_the_project() -> Result<()> {
    let dir = project()?;
    let compiled = inspect(&dir, &["map.wasm"])?.exits(0);
    let parts = ["map 0.1.0", "transformer", "at most 10,000 records", "0.1.0", "compiled, and kept in the cache"];
    let _ = compiled.says(&parts).says(&["of memory", "of machine code", "drop_when[].all", "like drop_when[]"]);
    let named = inspect(&dir, &["shape"])?.exits(0);
    let _ = named.says(&["map 0.1.0", "map.wasm", "read from the cache"]);

    let (by_file, by_name) = (report(&dir, "map.wasm")?, report(&dir, "shape")?);
    for report in [&by_file, &by_name] {
        let cost = &report["cost"];
        assert_eq!(cost["from_cache"], true, "{cost}");
        for figure in ["prepared_us", "start_us", "code_bytes", "memory_bytes", "table_bytes", "structures_max_bytes"] {
            assert!(cost[figure].as_u64().is_some_and(|n| n > 0), "{figure}: {cost}");
        }
        let settings = report["settings"].as_array().context("settings")?;
        let fields = json!({ "path": "fields", "kind": "object of string or object", "required": true,
            "meaning": "The fields of the output, in this order." });
        assert_eq!(settings[0], fields);
        assert_eq!(report["settings_schema"]["type"], "object", "{report}");
    }
    assert_eq!(by_file["digest"], by_name["digest"]);
    Ok(())
}

#[test]
fn what_is_no_plugin_is_refused_before_it_is_compiled() -> Result<()> {
    let dir = project()?;
    let check = |which: &str, code: &str, parts: &[&str]| -> Result<()> {
        let _ = inspect(&dir, &[which])?.exits(2).says(&[&format!("error[{code}]: "), "fix: "]).says(parts);
        let outcome = inspect(&dir, &[which, "--json"])?.exits(2);
        let error: Value = serde_json::from_str(&outcome.stderr).with_context(|| outcome.all())?;
        assert_eq!(error["error"]["code"], code, "{error}");
        Ok(())
    };
    let plugin = fs::read(dir.path().join("map.wasm"))?;
    let write = |name: &str, bytes: &[u8]| fs::write(dir.path().join(name), bytes).unwrap();
    // The same with another text of the same length in it.
    let changed = |from: &str, to: &str| {
        let mut bytes = plugin.clone();
        let found: Vec<usize> =
            (0..bytes.len() - from.len()).filter(|at| bytes[*at..].starts_with(from.as_bytes())).collect();
        assert!(!found.is_empty(), "{from} is not in the plugin");
        found.into_iter().for_each(|at| bytes[at..at + to.len()].copy_from_slice(to.as_bytes()));
        bytes
    };
    write("text.wasm", b"not a plugin");
    write("module.wasm", b"\0asm\x01\0\0\0");
    write("newer.wasm", &changed("crossdock:contract0.1.0", "crossdock:contract0.2.0"));
    write("older.wasm", &changed("crossdock:contract0.1.0", "crossdock:contract0.0.9"));
    write("import.wasm", &changed("wasi:cli/environment@0.2", "wasi:cli/environmint@0.2"));
    check("text.wasm", "plugin-not-wasm", &["not a plugin", "name the `.wasm` file"])?;
    check("module.wasm", "plugin-core-module", &["a plugin is a component", "wasm32-wasip2"])?;
    check(
        "newer.wasm",
        "plugin-contract-version",
        &["0.2.0", "newer than this host", "use a newer version of Crossdock"],
    )?;
    check(
        "older.wasm",
        "plugin-contract-version",
        &["0.0.9", "too old for this host", "with an SDK of version 0.1.0"],
    )?;
    check("import.wasm", "plugin-import-unknown", &["wasi:cli/environmint@0.2", "build the plugin without it"])?;
    check("none.wasm", "plugin-not-found", &["none.wasm", "there is no such file"])?;
    check("shap", "plugin-not-in-project", &["looking at plugin `shap`", "shape"])?;
    let cache = dir.path().join(".crossdock/cache");
    let compiled: Vec<_> = fs::read_dir(cache)?.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(compiled, ["key"], "something was compiled");
    Ok(())
}
