//! Which crate may see which, in `Cargo.toml` and in the code.

use std::collections::BTreeMap;

use toml::{Table, Value};

use super::each_source;
use crate::{Finding, Tree};

/// Our crates by folder, and which of ours each may depend on (dev-dependencies apart): model ← route,
/// engine ← ledger, sandbox ← host ← server ← cli. A folder that ends in `/` stands for all below it.
const MAY_SEE: &[(&str, &[&str])] = &[
    ("host/model", &[]),
    ("host/route", &["crossdock-model"]),
    ("host/engine", &["crossdock-model"]),
    ("host/ledger", &["crossdock-model", "crossdock-route", "crossdock-engine"]),
    ("host/sandbox", &["crossdock-model", "crossdock-route", "crossdock-engine"]),
    ("host/registry", &["crossdock-model"]),
    ("host/host", HOST),
    ("host/testkit", &["crossdock-model", "crossdock-engine", "crossdock-sandbox"]),
    ("host/author", &["crossdock-model"]),
    ("host/server", &["crossdock"]),
    ("host/cli", &["crossdock", "crossdock-server", "crossdock-testkit", "crossdock-author"]),
    ("host/docs", &["crossdock", "crossdock-testkit", "crossdock-author"]),
    ("sdk/", &["crossdock-sdk"]),
    ("plugins/", &["crossdock-sdk"]),
    ("examples/erp", &[]),
    ("examples/", &["crossdock", "crossdock-testkit", "crossdock-devkit"]),
    ("tests/guests/", &["crossdock-sdk"]),
    ("tests/tidy", &[]),
    ("tests/devkit", &["crossdock"]),
    ("tests/fuzz", FUZZED),
    ("tests/guard", COUNTED),
    ("tests/", &["crossdock", "crossdock-testkit", "crossdock-author", "crossdock-devkit", "crossdock-sdk"]),
];

/// What the facade puts together.
const HOST: &[&str] = &[
    "crossdock-model",
    "crossdock-route",
    "crossdock-engine",
    "crossdock-ledger",
    "crossdock-sandbox",
    "crossdock-registry",
];

/// What is given any bytes: whatever reads something from outside.
const FUZZED: &[&str] = &[
    "crossdock-model",
    "crossdock-route",
    "crossdock-engine",
    "crossdock-ledger",
    "crossdock-sandbox",
    "crossdock-registry",
    "crossdock-devkit",
    "crossdock-sdk",
    "http-destination",
    "http-source",
    "map",
    "text-source",
];

/// The rooms through which every record goes, each walked alone, and the records for it.
const COUNTED: &[&str] = &[
    "crossdock-model",
    "crossdock-engine",
    "crossdock-ledger",
    "crossdock-sandbox",
    "crossdock-bench",
    "crossdock-devkit",
];

/// Crates of others that only some of our folders may name, in any kind of dependency. A name that ends
/// in `*` stands for all that begin so.
const ONLY_IN: &[(&str, &[&str], &str)] = &[
    (
        "wasmtime*",
        &["host/sandbox", "tests/bench"],
        "the sandbox is the only room that names wasmtime; a benchmark measures beside it",
    ),
    (
        "reqwest",
        &["host/registry"],
        "plugins reach servers through the sandbox; only plugins themselves are fetched so",
    ),
    (
        "wit-bindgen",
        &["sdk/rust", "tests/guests/", "tests/frozen/"],
        "plugins are written with the SDK; those that are frozen name nothing that goes on",
    ),
    (
        "rusqlite",
        &["host/ledger", "examples/erp", "tests/bench"],
        "the ledger is the only room that names its database",
    ),
];

/// Paths that a room never names outside its tests: the clock, files, the network, processes.
const NEVER_NAMES: &[(&str, &[&str])] = &[
    ("host/model/", &["std::fs", "std::net", "std::process", "std::time::SystemTime", "std::time::Instant", "tokio"]),
    ("host/route/", &["std::fs", "std::net", "std::process", "std::time::SystemTime", "std::time::Instant", "tokio"]),
    ("host/engine/", &["std::fs", "std::net", "std::process", "std::time::SystemTime", "std::time::Instant"]),
    ("host/engine/", &["tokio::fs", "tokio::net", "tokio::process"]),
    ("host/ledger/", &["std::net", "std::process", "tokio::net", "tokio::process"]),
];

const KINDS: [&str; 3] = ["dependencies", "build-dependencies", "dev-dependencies"];

/// Refuses dependencies that point upwards or into another's room, and paths that a room never names.
///
/// Cargo itself refuses a circle between crates; it does not refuse the façade in a plugin.
#[must_use]
pub fn upward_edges(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let root = table(tree, "Cargo.toml", &mut findings).unwrap_or_default();
    let shared = root.get("workspace").and_then(|workspace| workspace.get("dependencies")).and_then(Value::as_table);
    let mut manifests = Vec::new();
    let mut ours = BTreeMap::new();
    for (path, _) in tree.files().filter(|(path, _)| path.ends_with("/Cargo.toml")) {
        let Some(manifest) = table(tree, path, &mut findings) else { continue };
        let name = manifest.get("package").and_then(|package| package.get("name")).and_then(Value::as_str);
        if let Some(name) = name {
            ours.insert(name.to_owned(), path.to_owned());
            manifests.push((path, manifest));
        }
    }
    for (path, manifest) in &manifests {
        let folder = path.trim_end_matches("/Cargo.toml");
        let Some((_, may_see)) = MAY_SEE.iter().find(|(room, _)| covers(room, folder)) else {
            let what = "this crate stands in no room; give it a line in MAY_SEE of tests/tidy/src/checks/edges.rs";
            findings.push(Finding::new(path, 0, what));
            continue;
        };
        for (kind, key, package) in dependencies(manifest, shared) {
            let line = line_of(tree, path, &key);
            if kind != "dev-dependencies" && ours.contains_key(&package) && !may_see.contains(&package.as_str()) {
                let may = if may_see.is_empty() { "none of ours".to_owned() } else { may_see.join(", ") };
                let what =
                    format!("{folder} must not see {package}: it may see {may}; move the code or turn the arrow");
                findings.push(Finding::new(path, line, what));
            }
            for (_, rooms, reason) in ONLY_IN.iter().filter(|(only, _, _)| is_named(only, &package)) {
                if !rooms.iter().any(|room| covers(room, folder)) {
                    let what = format!("{package} belongs to {} only: {reason}", rooms.join(" and "));
                    findings.push(Finding::new(path, line, what));
                }
            }
        }
    }
    findings.extend(never_names(tree));
    findings
}

fn never_names(tree: &Tree) -> Vec<Finding> {
    let test_modules = test_modules(tree);
    each_source(tree, "host/", |path, source, findings| {
        let of_test_module =
            |module: &String| path.strip_prefix(module).is_some_and(|rest| rest.starts_with(['.', '/']));
        if path.contains("/tests/") || path.contains("/benches/") || test_modules.iter().any(of_test_module) {
            return;
        }
        for named in &source.named {
            let full = named.segments.join("::");
            let refused = NEVER_NAMES.iter().filter(|(room, _)| path.starts_with(room)).flat_map(|(_, never)| *never);
            if let Some(never) = refused.into_iter().find(|never| is_within(never, &full)) {
                let what = format!("this room never names {never}; take it through a port, or do it in a crate above");
                findings.push(Finding::new(path, named.line, what));
            }
        }
    })
}

/// The files and folders, without `.rs`, of modules that are declared with `#[cfg(test)]`.
fn test_modules(tree: &Tree) -> Vec<String> {
    let mut modules = Vec::new();
    each_source(tree, "host/", |path, source, _| {
        let parent = ["lib.rs", "main.rs", "mod.rs"].iter().find_map(|root| path.strip_suffix(root));
        let parent = parent.map_or_else(|| format!("{}/", path.trim_end_matches(".rs")), str::to_owned);
        modules.extend(source.test_modules.iter().map(|name| format!("{parent}{name}")));
    });
    modules
}

/// All dependencies as (kind, key as written, name of the package).
fn dependencies(manifest: &Table, shared: Option<&Table>) -> Vec<(&'static str, String, String)> {
    let mut tables: Vec<&Table> = vec![manifest];
    if let Some(targets) = manifest.get("target").and_then(Value::as_table) {
        tables.extend(targets.values().filter_map(Value::as_table));
    }
    let mut found = Vec::new();
    for kind in KINDS {
        for dependencies in tables.iter().filter_map(|table| table.get(kind)).filter_map(Value::as_table) {
            for (key, value) in dependencies {
                let renamed = |value: &Value| value.get("package").and_then(Value::as_str).map(str::to_owned);
                let package = renamed(value).or_else(|| shared.and_then(|shared| shared.get(key)).and_then(renamed));
                found.push((kind, key.clone(), package.unwrap_or_else(|| key.clone())));
            }
        }
    }
    found
}

fn table(tree: &Tree, path: &str, findings: &mut Vec<Finding>) -> Option<Table> {
    match tree.text(path).unwrap_or_default().parse::<Table>() {
        Ok(table) => Some(table),
        Err(error) => {
            findings.push(Finding::new(path, 0, format!("is not TOML: {}", error.message())));
            None
        }
    }
}

fn line_of(tree: &Tree, path: &str, key: &str) -> usize {
    let text = tree.text(path).unwrap_or_default();
    let begins = |line: &str| {
        let rest = line.trim_start().strip_prefix(key);
        rest.is_some_and(|rest| rest.starts_with(['.', ' ', '=']))
    };
    text.lines().position(begins).map_or(0, |at| at + 1)
}

fn covers(room: &str, folder: &str) -> bool {
    room == folder || (room.ends_with('/') && folder.starts_with(room))
}

fn is_named(only: &str, package: &str) -> bool {
    only.strip_suffix('*').map_or(only == package, |start| package.starts_with(start))
}

fn is_within(never: &str, full: &str) -> bool {
    full.strip_prefix(never).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}
