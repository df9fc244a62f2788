//! What stands where, and what must not be left lying about.

use std::collections::BTreeSet;

use super::SPELLS_WHAT_IT_REFUSES;
use crate::{Finding, Tree};

/// The folders of the top level, apart from those that begin with a dot.
const ROOMS: &[&str] = &["host", "wit", "plugins", "sdk", "examples", "tests"];

/// Plain files of the top level, apart from those that begin with a dot.
const TOP_FILES: &[&str] = &[
    "Cargo.toml",
    "Cargo.lock",
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "LICENSE",
    "NOTICE",
    "SECURITY.md",
    "rustfmt.toml",
    "clippy.toml",
    "deny.toml",
    "rust-toolchain.toml",
];

/// Refuses folders and files at the top level that have no room there.
#[must_use]
pub fn top_level(tree: &Tree) -> Vec<Finding> {
    let tops: BTreeSet<(&str, bool)> = tree
        .files()
        .map(|(path, _)| path.split_once('/').map_or((path, false), |(folder, _)| (folder, true)))
        .collect();
    let mut findings = Vec::new();
    for (name, is_folder) in tops.into_iter().filter(|(name, _)| !name.starts_with('.')) {
        let known = if is_folder { ROOMS } else { TOP_FILES };
        if !known.contains(&name) {
            let kind = if is_folder { "folder" } else { "file" };
            let what = format!("this {kind} has no place at the top level: move it into one of {}", ROOMS.join(", "));
            findings.push(Finding::new(name, 0, what));
        }
    }
    findings
}

/// What is never left in Rust code, with what to do instead.
const LEFTOVERS: &[(&str, &str)] = &[
    ("todo!", "build it, or leave the place out"),
    ("unimplemented!", "build it, or leave the place out"),
    ("#[ignore", "make the test run, or remove it"),
    ("FIXME", "mend it"),
    ("XXX", "mend it, or say plainly what is meant"),
    ("TODO", "do it, or write an issue"),
];

/// Why a test may be ignored: another one starts it, in a process of its own.
const STARTED_BY_ANOTHER: &str = "#[ignore = \"started by ";

/// Refuses unfinished work in Rust code.
#[must_use]
pub fn leftovers(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.with_extension(&["rs"]).filter(|(path, _)| !path.starts_with(SPELLS_WHAT_IT_REFUSES)) {
        for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.contains(STARTED_BY_ANOTHER)) {
            for (left, instead) in LEFTOVERS.iter().filter(|(left, _)| has_word(line, left)) {
                findings.push(Finding::new(path, at + 1, format!("{left} was left here; {instead}")));
            }
        }
    }
    findings
}

/// Beginnings of paths that exist on one person's machine only.
const ONE_MACHINE: &[&str] = &["/home/", "/root/", "/Users/"];

/// Refuses absolute paths of a machine on which somebody wrote this.
#[must_use]
pub fn machine_paths(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.files().filter(|(path, _)| !path.starts_with(SPELLS_WHAT_IT_REFUSES)) {
        for (at, line) in text.lines().enumerate() {
            if let Some(start) = ONE_MACHINE.iter().find(|start| begins_a_path(line, start)) {
                let what = format!("a path under {start} exists on one machine only; make it relative or a setting");
                findings.push(Finding::new(path, at + 1, what));
            }
        }
    }
    findings
}

/// Whether the text stands there as the beginning of an absolute path, not inside a URL or a relative path.
fn begins_a_path(line: &str, start: &str) -> bool {
    line.match_indices(start).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        before.is_none_or(|c| !(c.is_alphanumeric() || "._-~/}>$*".contains(c)))
    })
}

fn has_word(line: &str, word: &str) -> bool {
    let is_part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    line.match_indices(word)
        .any(|(at, _)| !is_part(line[..at].chars().next_back()) && !is_part(line[at + word.len()..].chars().next()))
}
