//! Every error code is produced by a test: what nobody has ever seen, nobody can rely on.

use std::collections::{BTreeMap, BTreeSet};

use super::{SPELLS_WHAT_IT_REFUSES, each_source};
use crate::source::Source;
use crate::{Finding, Tree};

/// A code that no test can produce, with the reason.
pub type Exception<'a> = (&'a str, &'a str);

/// The codes that no test can produce from outside.
pub const EXCEPTIONS: &[Exception<'static>] = &[
    ("batch-too-large", "more than 4 GiB would have to be made of one batch, in memory"),
    ("host-internal", "a part of the host would have to end without an answer"),
    ("ledger-sqlite-too-old", "the library is part of the program; another one takes another build"),
    ("resync-no-definition", "the ledger keeps the run of every record that it has, and the definition of every run"),
];

/// What says a code without having got it from the product: plugins and tools that tests use, and the unit tests of the
/// façade and the command line, which make up errors to see how they are passed on and shown.
const NO_TESTS: &[&str] = &["tests/guests/", "tests/devkit/", "tests/bench/", "host/host/src/", "host/cli/src/"];

/// Refuses codes that no test names, and exceptions that are codes no more or that a test names after all.
///
/// A test names a code in a string literal of Rust, under `tests/` or in a test module, or in a case file under
/// `tests/` or `cases/`. Comments do not count. That the product gave it, and not the test, is for the reader to see.
#[must_use]
pub fn produced_codes(tree: &Tree, exceptions: &[Exception<'_>]) -> Vec<Finding> {
    let pages: BTreeMap<&str, &str> = tree.files().filter_map(|(path, _)| Some((code_of(path)?, path))).collect();
    let (named, mut findings) = named_in_tests(tree);
    for (code, page) in &pages {
        let excepted = exceptions.iter().any(|(exception, _)| exception == code);
        if !excepted && !named.contains(*code) {
            let folder = page.split_once("/codes/").map_or("", |(folder, _)| folder);
            let what = format!(
                "no test produces {code}; add one in {folder}/tests, or in tests/acceptance if it takes a plugin, \
                 that names the code and looks at the message and the fix"
            );
            findings.push(Finding::new(page, 0, what));
        }
    }
    for (exception, reason) in exceptions {
        let place = pages.get(exception).copied().unwrap_or("tests/tidy/src/checks/produced.rs");
        let what = match pages.contains_key(exception) {
            false => format!("the exception {exception} ({reason}) is no code; remove it"),
            true if named.contains(*exception) => {
                format!("a test produces {exception}; remove the exception ({reason})")
            }
            true => continue,
        };
        findings.push(Finding::new(place, 0, what));
    }
    findings
}

/// The code of a page `host/*/codes/CODE.md`.
fn code_of(path: &str) -> Option<&str> {
    let (folder, page) = path.strip_prefix("host/")?.split_once("/codes/")?;
    page.strip_suffix(".md").filter(|code| !folder.contains('/') && !code.contains('/'))
}

/// All that tests name and that could be a code.
fn named_in_tests(tree: &Tree) -> (BTreeSet<String>, Vec<Finding>) {
    let mut named = BTreeSet::new();
    let mut sources: Vec<(String, Source)> = Vec::new();
    let findings = each_source(tree, "", |path, source, _| sources.push((path.to_owned(), source)));
    let test_files: BTreeSet<String> = sources.iter().flat_map(|(path, source)| test_files(path, source)).collect();
    for (path, source) in sources.iter().filter(|(path, _)| may_hold_tests(path)) {
        let all = is_in(path, "tests") || test_files.contains(path);
        for text in source.texts.iter().filter(|text| all || text.in_tests) {
            named.extend(codes_in(&text.text));
        }
    }
    let case_files = tree.files().filter(|(path, _)| {
        may_hold_tests(path) && !path.ends_with(".rs") && (is_in(path, "tests") || is_in(path, "cases"))
    });
    for (path, text) in case_files.filter(|(path, _)| !path.ends_with(".md")) {
        let comment = if path.ends_with(".toml") { "#" } else { "//" };
        named.extend(text.lines().filter(|line| !line.trim_start().starts_with(comment)).flat_map(codes_in));
    }
    (named, findings)
}

fn may_hold_tests(path: &str) -> bool {
    !path.starts_with(SPELLS_WHAT_IT_REFUSES) && !NO_TESTS.iter().any(|folder| path.starts_with(folder))
}

fn is_in(path: &str, folder: &str) -> bool {
    path.split('/').rev().skip(1).any(|name| name == folder)
}

/// The files of the modules that this one declares with `#[cfg(test)]`.
fn test_files(path: &str, source: &Source) -> Vec<String> {
    let stem = path.trim_end_matches(".rs");
    let folder = match stem.rsplit_once('/') {
        Some((folder, "lib" | "main" | "mod")) => folder,
        _ => stem,
    };
    let modules = source.test_modules.iter();
    modules.flat_map(|module| [format!("{folder}/{module}.rs"), format!("{folder}/{module}/mod.rs")]).collect()
}

/// The words of a text that are written like a code: `a-z 0-9` joined by hyphens.
fn codes_in(text: &str) -> impl Iterator<Item = String> + '_ {
    let words = text.split(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'));
    words.filter(|word| word.contains('-')).map(str::to_owned)
}
