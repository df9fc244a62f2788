//! Whether every link within the book that was set leads somewhere.

use anyhow::{Context as _, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

/// What mdBook puts around every page, which no author wrote.
const NOT_OURS: &[&str] = &["print.html", "toc.html", "404.html"];

/// Checks all pages below a folder. Answers with a line for each link that leads nowhere, and with how many
/// links there are. Links to other places are not followed.
///
/// # Errors
/// When a page cannot be read.
pub(crate) fn broken(book: &Path) -> Result<(Vec<String>, usize)> {
    let mut pages = BTreeMap::new();
    read(book, book, &mut pages)?;
    let anchors: BTreeMap<&PathBuf, BTreeSet<&str>> =
        pages.iter().map(|(path, text)| (path, attributes(text, " id=\"").collect())).collect();
    let (mut broken, mut links) = (Vec::new(), 0);
    for (path, text) in &pages {
        for link in attributes(text, " href=\"").chain(attributes(text, " src=\"")) {
            if link.contains("://") || link.starts_with("mailto:") || link.starts_with("data:") {
                continue;
            }
            links += 1;
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { path.clone() } else { joined(path, file) };
            let fault = match anchors.get(&target) {
                Some(known) if anchor.is_empty() || known.contains(anchor) => continue,
                Some(_) => "the page has no such place",
                None if book.join(&target).is_file() => continue,
                None => "there is no such page",
            };
            broken.push(format!("{}: {link}: {fault}", path.display()));
        }
    }
    Ok((broken, links))
}

fn read(book: &Path, folder: &Path, pages: &mut BTreeMap<PathBuf, String>) -> Result<()> {
    for entry in std::fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry.with_context(|| format!("reading {}", folder.display()))?.path();
        if path.is_dir() {
            read(book, &path, pages)?;
        } else if path.extension().is_some_and(|kind| kind == "html") {
            let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
            let within = path.strip_prefix(book)?.to_path_buf();
            if !NOT_OURS.iter().any(|name| within == Path::new(name)) {
                pages.insert(within, text);
            }
        }
    }
    Ok(())
}

/// The values of an attribute in a page.
fn attributes<'a>(text: &'a str, opening: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(opening).skip(1).filter_map(|rest| rest.split('"').next())
}

/// A link from a page, as a path below the book's folder.
fn joined(page: &Path, link: &str) -> PathBuf {
    let mut path = page.parent().map(Path::to_path_buf).unwrap_or_default();
    for part in Path::new(link).components() {
        match part {
            Component::ParentDir => {
                path.pop();
            }
            Component::Normal(name) => path.push(name),
            _ => {}
        }
    }
    path
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn check(pages: &[(&str, &str)], expected: &[&str]) {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in pages {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        assert_eq!(broken(folder.path()).unwrap().0, expected);
    }

    #[test]
    fn links_that_lead_nowhere_are_told() {
        check(&[("a.html", r#"<a href="b/c.html#x">"#), ("b/c.html", r#"<h2 id="x"><a href="../a.html">"#)], &[]);
        check(&[("a.html", r#"<a href="b.html">"#)], &["a.html: b.html: there is no such page"]);
        check(&[("a.html", r##"<a href="#y"><p id="x">"##)], &["a.html: #y: the page has no such place"]);
        check(
            &[("a.html", r#"<img src="x.png"><a href="https://example.com/">"#)],
            &["a.html: x.png: there is no such page"],
        );
    }
}
