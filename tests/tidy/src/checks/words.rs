//! One word for one thing, everywhere.

use super::{SPELLS_WHAT_IT_REFUSES, each_source};
use crate::source::Kind;
use crate::{Finding, Tree};

/// Words that mean one of our things in other products and nothing else here: refused wherever they stand.
const NOWHERE: &[(&str, &str)] = &[
    ("pipeline", "route"),
    ("workflow", "route"),
    ("dataflow", "route"),
    ("integration", "route"),
    ("processor", "transformer"),
    ("sink", "destination"),
    ("addon", "plugin"),
    ("bookmark", "checkpoint"),
    ("journal", "event log"),
    ("replay", "resync"),
    ("redo", "resync"),
    ("revert", "compensate, or rollback of a chain"),
    ("hook", "handler"),
    ("callback", "handler"),
];

/// Ordinary words that must not name a type, module, field or variant of ours.
const NOT_AS_A_NAME: &[(&str, &str)] = &[
    ("flow", "route"),
    ("stage", "step"),
    ("extension", "plugin"),
    ("execution", "run"),
    ("crash", "fault"),
    ("token", "receipt"),
    ("scope", "grant"),
    ("capability", "grant"),
    ("capabilities", "grants"),
];

/// What may use a refused word: where (the beginning of a path, the empty one for all), the text
/// that must stand in the line, and the reason.
const ALLOWED: &[(&str, &str, &str)] = &[
    ("", "journal_mode", "SQLite's own name of a setting"),
    ("", "journal_size_limit", "SQLite's own name of a setting"),
    ("", "-journal", "SQLite's own file beside a database"),
    ("host/ledger/tests/", "SQLITE_OPEN_", "SQLite's own names of the kinds of its files"),
    ("", "set_hook", "the standard library's name"),
    ("", "take_hook", "the standard library's name"),
    ("", "io::sink", "the standard library's name"),
    ("", "integration test", "what Cargo calls the tests in tests/"),
    ("Cargo.toml", "rusqlite = ", "names of its features"),
    ("host/ledger/", "_hook", "SQLite's own names of what tells about a write or a commit"),
    ("host/sandbox/", "call_hook", "wasmtime's own name"),
    ("host/sandbox/", "epoch_deadline_callback", "wasmtime's own name"),
    ("host/sandbox/", "the processor can do", "of the machine, for which code is made"),
    ("tests/bench/", "processors", "of the machine, which spend time"),
    ("examples/erp/", "-Replayed", "the ERP is another system; payment services name this answer header so"),
    ("examples/erp/", "replayed", "the ERP is another system; payment services name this answer header so"),
    ("tests/bench/peers/orders_bytewax.py", "", "bytewax's own names"),
    ("", "Jitterbit", "the map for people who come from other products"),
    ("", "Alumio", "the map for people who come from other products"),
    ("", "Patchworks", "the map for people who come from other products"),
];

/// Names of ours that keep an ordinary word, with the reason.
const ALLOWED_NAMES: &[(&str, &str)] = &[
    ("ControlFlow", "the standard library's name"),
    ("file_extension", "of a file's name, not a plugin"),
    ("TOKEN", "a credential that a caller shows"),
    ("PAYMENT_TOKEN", "a credential that a caller shows"),
    ("crash_in", "a process that dies in the simulation, not a plugin's fault"),
    ("crash_at", "a process that dies in the simulation, not a plugin's fault"),
    ("Crashed", "a process that dies in the simulation, not a plugin's fault"),
    ("token", "a field or variable of a credential that a caller shows; a type says whose it is"),
    ("ApiToken", "a credential that a caller shows"),
    ("api_token", "a credential that a caller shows"),
    ("BearerToken", "a credential that a caller shows"),
    ("bearer_token", "a credential that a caller shows"),
];

/// What people read or write: code with its comments and strings, documents, settings, scripts, the contract.
const READ_BY_PEOPLE: &[&str] = &["rs", "md", "toml", "wit", "sh", "json", "py", "js", "ts", "html", "yml", "run"];

/// Refuses the synonyms of our words.
///
/// A Markdown table with a column headed `not` may list them: that is where they are taught.
#[must_use]
pub fn banned_synonyms(tree: &Tree) -> Vec<Finding> {
    let mut findings = each_source(tree, "", |path, source, findings| {
        for defined in source.defined.iter().filter(|defined| defined.kind != Kind::Function) {
            if ALLOWED_NAMES.iter().any(|(name, _)| *name == defined.name) || is_exempt(path) {
                continue;
            }
            let found = words_of(&defined.name).find_map(|word| refusal(NOT_AS_A_NAME, &word));
            if let Some((word, ours)) = found {
                let what = format!("the name `{}` says {word}; our word is {ours}", defined.name);
                findings.push(Finding::new(path, defined.line, what));
            }
        }
    });
    for (path, text) in tree.files().filter(|(path, _)| is_read_by_people(path) && !is_exempt(path)) {
        let mut teaches = false;
        for (at, line) in text.lines().enumerate() {
            teaches = line.starts_with('|') && (teaches || is_header_with_not(line));
            if teaches || ALLOWED.iter().any(|(place, part, _)| path.starts_with(place) && line.contains(part)) {
                continue;
            }
            for (word, ours) in words_of(line).filter_map(|word| refusal(NOWHERE, &word)) {
                findings.push(Finding::new(path, at + 1, format!("says {word}; our word is {ours}")));
            }
        }
    }
    findings
}

fn is_read_by_people(path: &str) -> bool {
    let data = path.contains("/data/");
    !data && path.rsplit(['.', '/']).next().is_some_and(|ending| READ_BY_PEOPLE.contains(&ending))
}

fn is_exempt(path: &str) -> bool {
    path.starts_with(SPELLS_WHAT_IT_REFUSES)
}

fn is_header_with_not(line: &str) -> bool {
    line.split('|').any(|cell| cell.trim().eq_ignore_ascii_case("not"))
}

fn refusal(list: &[(&'static str, &'static str)], word: &str) -> Option<(&'static str, &'static str)> {
    list.iter().find(|(base, _)| is_form_of(base, word)).copied()
}

fn is_form_of(base: &str, word: &str) -> bool {
    word.strip_prefix(base).is_some_and(|rest| matches!(rest, "" | "s" | "d" | "ed" | "ing" | "er" | "ers"))
}

/// The words of a text in lower case; `camelCase` and `snake_case` names fall apart into theirs.
fn words_of(text: &str) -> impl Iterator<Item = String> {
    let mut words: Vec<String> = Vec::new();
    let mut before = ' ';
    for c in text.chars() {
        let begins = !before.is_alphanumeric() || (c.is_uppercase() && before.is_lowercase());
        if c.is_alphanumeric() {
            if begins {
                words.push(String::new());
            }
            if let Some(word) = words.last_mut() {
                word.extend(c.to_lowercase());
            }
        }
        before = c;
    }
    words.into_iter()
}
