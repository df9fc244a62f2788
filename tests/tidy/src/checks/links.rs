//! Links between our documents lead somewhere.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Finding, Tree};

/// Refuses links in Markdown that lead to no file or heading of this repository. Other sites are not asked.
#[must_use]
pub fn markdown_links(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.with_extension(&["md"]) {
        for (line, link) in links(text) {
            if is_elsewhere(&link) {
                continue;
            }
            let (file, heading) = link.split_once('#').map_or((link.as_str(), None), |(file, rest)| (file, Some(rest)));
            let target = resolve(path, file);
            if target.as_ref().is_some_and(|target| is_made(tree, target)) {
                continue;
            }
            let Some(target) = target.filter(|target| tree.holds(target)) else {
                findings.push(Finding::new(path, line, format!("the link {link} leads to nothing; mend or remove it")));
                continue;
            };
            let Some(heading) = heading.filter(|_| target.ends_with(".md")) else { continue };
            if !anchors(tree.text(&target).unwrap_or_default()).contains(heading) {
                findings.push(Finding::new(path, line, format!("{target} has no heading for #{heading}")));
            }
        }
    }
    findings
}

/// Whether the book makes this page by itself: of an error code, or of an interface of the contract.
fn is_made(tree: &Tree, target: &str) -> bool {
    let Some((kind, name)) = target.strip_prefix("host/docs/book/").and_then(|page| page.split_once('/')) else {
        return false;
    };
    let Some(name) = name.strip_suffix(".md") else { return false };
    match kind {
        "codes" => name == "index" || tree.with_extension(&["md"]).any(|(path, _)| is_code(path, name)),
        "contract" => {
            let interface = format!("interface {name} {{");
            name == "index" || tree.with_extension(&["wit"]).any(|(_, text)| text.contains(&interface))
        }
        _ => false,
    }
}

fn is_code(path: &str, name: &str) -> bool {
    path.strip_suffix(".md").is_some_and(|path| path.ends_with(&format!("/codes/{name}")))
}

fn is_elsewhere(link: &str) -> bool {
    link.contains("://") || link.starts_with("mailto:")
}

/// The path that a link means, from the root; `None` if it leads out of the repository.
fn resolve(from: &str, link: &str) -> Option<String> {
    if link.is_empty() {
        return Some(from.to_owned());
    }
    let mut parts: Vec<&str> = match link.strip_prefix('/') {
        Some(_) => Vec::new(),
        None => from.split('/').collect(),
    };
    if !link.starts_with('/') {
        parts.pop();
    }
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

/// The lines of a document that are not code, with their numbers.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fence: Option<&str> = None;
    text.lines().enumerate().filter_map(move |(at, line)| {
        let start = line.trim_start();
        let mark = ["```", "~~~"].into_iter().find(|mark| start.starts_with(mark));
        match (fence, mark) {
            (None, Some(mark)) => fence = Some(mark),
            (Some(open), Some(mark)) if open == mark => fence = None,
            (None, None) => return Some((at + 1, line)),
            _ => {}
        }
        None
    })
}

/// The targets of `[text](target)` and `[name]: target`.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut links = Vec::new();
    for (number, line) in prose(text) {
        let line = without_code(line);
        if let Some((_, target)) = line.trim_start().strip_prefix('[').and_then(|rest| rest.split_once("]:")) {
            links.extend(target.split_whitespace().next().map(|target| (number, target.to_owned())));
            continue;
        }
        for (at, _) in line.match_indices("](") {
            let rest = &line[at + 2..];
            let target = rest.split([')', ' ']).next().unwrap_or_default();
            links.push((number, target.trim_matches(['<', '>']).to_owned()));
        }
    }
    links
}

/// The line without what stands between backticks.
fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join("`")
}

/// The anchors of a document's headings, as code hosts make them.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut anchors = BTreeSet::new();
    for (_, line) in prose(text) {
        let Some(heading) = line.strip_prefix('#').map(|rest| rest.trim_start_matches('#')) else { continue };
        let Some(heading) = heading.strip_prefix(' ') else { continue };
        let kept = heading.trim().to_lowercase();
        let kept = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        let anchor: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
        let times = seen.entry(anchor.clone()).or_default();
        anchors.insert(if *times == 0 { anchor } else { format!("{anchor}-{times}") });
        *times += 1;
    }
    anchors
}
