//! Each crate says which room it is, and Clippy holds it to that.

use toml::{Table, Value};

use crate::source::Source;
use crate::{Finding, Tree};

/// The three lines with which a crate opens, in this order.
const OPENING: [&str; 3] = ["**Does**", "**May touch**", "**Never**"];

/// Where crates must open with them: rooms of many crates end in `/`.
const MUST_OPEN: &[&str] =
    &["host/", "sdk/rust", "plugins/", "tests/devkit", "tests/fuzz", "tests/guard", "tests/hostile", "tests/tidy"];

/// Where crates must have their own `clippy.toml`.
const MUST_HOLD: &[&str] = &["host/"];

/// Crates whose `clippy.toml` must refuse these by name, because the compiler cannot.
const MUST_REFUSE: &[(&str, &[&str])] = &[
    ("host/model", &["std::time::SystemTime::now", "std::fs", "std::net"]),
    ("host/route", &["std::time::SystemTime::now", "std::fs", "std::net"]),
    ("host/engine", &["std::time::SystemTime::now", "std::fs", "std::net"]),
];

const LISTS: [&str; 3] = ["disallowed-methods", "disallowed-types", "disallowed-macros"];

/// Refuses a crate that does not open with Does / May touch / Never, or does not have them held by Clippy.
#[must_use]
pub fn openings(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.files().filter(|(path, _)| path.ends_with("/Cargo.toml")) {
        let folder = path.trim_end_matches("/Cargo.toml");
        if text.parse::<Table>().is_ok_and(|manifest| !manifest.contains_key("package")) {
            continue;
        }
        if is_in(MUST_OPEN, folder) {
            findings.extend(opens(tree, folder));
        }
        if is_in(MUST_HOLD, folder) {
            findings.extend(holds(tree, folder));
        }
    }
    findings
}

fn opens(tree: &Tree, folder: &str) -> Option<Finding> {
    let roots = ["lib.rs", "main.rs"].map(|name| format!("{folder}/src/{name}"));
    let Some(root) = roots.iter().find(|root| tree.holds(root)) else {
        return Some(Finding::new(folder, 0, "has neither src/lib.rs nor src/main.rs"));
    };
    let source = Source::parse(tree.text(root).unwrap_or_default()).ok()?;
    let mut rest = source.opening.as_str();
    for line in OPENING {
        let Some((_, after)) = rest.split_once(&format!("\n{line}")) else {
            let what = format!("the crate's `//!` docs have no line `{line}: …` in its place; open with {OPENING:?}");
            return Some(Finding::new(root, 1, what));
        };
        rest = after;
    }
    None
}

fn holds(tree: &Tree, folder: &str) -> Vec<Finding> {
    let path = format!("{folder}/clippy.toml");
    let Some(text) = tree.text(&path) else {
        return vec![Finding::new(&path, 0, "is missing: write there what this crate never names, each with a reason")];
    };
    let settings = match text.parse::<Table>() {
        Ok(settings) => settings,
        Err(error) => return vec![Finding::new(&path, 0, format!("is not TOML: {}", error.message()))],
    };
    let entries: Vec<&Value> =
        LISTS.iter().filter_map(|list| settings.get(*list)).filter_map(Value::as_array).flatten().collect();
    let mut findings = Vec::new();
    if entries.is_empty() {
        findings.push(Finding::new(&path, 0, format!("refuses nothing: fill one of {LISTS:?}")));
    }
    let of = |entry: &Value, key: &str| entry.get(key).and_then(Value::as_str).map(str::to_owned);
    let refused: Vec<String> =
        entries.iter().filter_map(|entry| of(entry, "path").or_else(|| entry.as_str().map(str::to_owned))).collect();
    for entry in entries.iter().filter(|entry| of(entry, "reason").is_none_or(|reason| reason.is_empty())) {
        findings.push(Finding::new(&path, 0, format!("{entry} has no reason; add `reason = \"…\"`")));
    }
    for must in MUST_REFUSE.iter().filter(|(crates, _)| *crates == folder).flat_map(|(_, musts)| *musts) {
        if !refused.iter().any(|path| path == must || path.starts_with(&format!("{must}::"))) {
            findings.push(Finding::new(&path, 0, format!("does not refuse {must}, which this room never names")));
        }
    }
    findings
}

fn is_in(rooms: &[&str], folder: &str) -> bool {
    rooms.iter().any(|room| folder == *room || (room.ends_with('/') && folder.starts_with(room)))
}
