//! Every error code has a page that helps.

use std::collections::BTreeMap;

use super::each_source;
use crate::{Finding, Tree};

/// What a page says, in this order.
const SECTIONS: [&str; 3] = ["## Cause", "## What to check", "## What to do"];

/// "Run the route again.": what has fewer words says nothing to the person who looks it up.
const SENTENCE_WORDS_MIN: usize = 4;

/// Refuses codes without a page, pages without a code or a section, codes that two crates share, and
/// errors whose code no crate lists.
#[must_use]
pub fn error_codes(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut listed: BTreeMap<String, String> = BTreeMap::new();
    for (path, text) in tree.files().filter(|(path, _)| path.starts_with("host/") && path.ends_with("/src/codes.rs")) {
        let folder = path.trim_end_matches("/src/codes.rs");
        for (code, line) in codes_in(text) {
            let page = format!("{folder}/codes/{code}.md");
            if !tree.holds(&page) {
                findings.push(Finding::new(path, line, format!("the code {code} has no page; write {page}")));
            }
            match listed.get(&code) {
                Some(other) if other != path => {
                    let what = format!("the code {code} is also listed in {other}; a code means one thing");
                    findings.push(Finding::new(path, line, what));
                }
                _ => {
                    listed.insert(code, path.to_owned());
                }
            }
        }
    }
    for (path, text) in tree.with_extension(&["md"]) {
        let Some((folder, name)) = path.rsplit_once("/codes/").filter(|_| path.starts_with("host/")) else { continue };
        let list = format!("{folder}/src/codes.rs");
        if listed.get(name.trim_end_matches(".md")) != Some(&list) {
            findings.push(Finding::new(
                path,
                0,
                format!("no code of {list} has this page; list it or remove the page"),
            ));
        }
        findings.extend(page(path, text));
    }
    findings.extend(each_source(tree, "host/", |path, source, findings| {
        for (code, line) in source.codes_used.iter().filter(|(code, _)| is_code(code) && !listed.contains_key(code)) {
            findings.push(Finding::new(path, *line, format!("the code {code} is listed in no host/*/src/codes.rs")));
        }
    }));
    findings
}

/// The string literals of `codes.rs` that are written like a code, with their lines.
fn codes_in(text: &str) -> Vec<(String, usize)> {
    let mut codes: Vec<(String, usize)> = Vec::new();
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//")) {
        for literal in line.split('"').skip(1).step_by(2).filter(|literal| is_code(literal)) {
            if !codes.iter().any(|(code, _)| code == literal) {
                codes.push((literal.to_owned(), at + 1));
            }
        }
    }
    codes
}

/// Words of `a-z 0-9` joined by hyphens, at least two of them.
fn is_code(text: &str) -> bool {
    let is_word = |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    text.contains('-') && text.split('-').all(is_word)
}

fn page(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let is_heading = |line: &str| line.strip_prefix("# ").is_some_and(|sentence| !sentence.trim().is_empty());
    if !text.lines().next().is_some_and(is_heading) {
        findings.push(Finding::new(path, 1, "does not begin with `# ` and one sentence"));
    }
    let mut rest = text;
    for section in SECTIONS {
        let Some((_, after)) = rest.split_once(&format!("\n{section}\n")) else {
            findings.push(Finding::new(path, 0, format!("has no section `{section}` in its place")));
            continue;
        };
        let body = if after.starts_with("## ") { "" } else { after.split("\n## ").next().unwrap_or_default() };
        if !holds_a_sentence(body) {
            findings.push(Finding::new(path, 0, format!("the section `{section}` is shorter than a sentence")));
        }
        rest = after;
    }
    findings
}

/// Whether a text has enough words to say something, and an end of a sentence.
fn holds_a_sentence(text: &str) -> bool {
    text.split_whitespace().count() >= SENTENCE_WORDS_MIN
        && text.split_whitespace().any(|word| word.trim_end_matches(['`', ')', '"']).ends_with(['.', '!', '?']))
}
