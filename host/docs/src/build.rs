//! Building the book with mdBook.

use crate::links;
use anyhow::{Context as _, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the pages are written for; its preprocessors changed with 0.5.
const MDBOOK: &str = "0.5.4";

/// Sets the book anew in `target/book` and checks its links. Answers with how many there are. mdBook starts
/// `ourselves`, with the argument `preprocess`, for the pages that are not written by hand.
///
/// # Errors
/// When mdBook cannot be had or does not like the book, or links lead nowhere: those are all named.
pub fn build(ourselves: &Path) -> Result<usize> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = docs.join("../../target");
    let book = target.join("book");
    if book.exists() {
        std::fs::remove_dir_all(&book).with_context(|| format!("removing {}", book.display()))?;
    }
    let status = Command::new(mdbook(&target)?)
        .arg("build")
        .arg(docs)
        .env("MDBOOK_PREPROCESSOR__CROSSDOCK__COMMAND", format!("{} preprocess", ourselves.display()))
        .status()
        .context("starting mdBook")?;
    ensure!(status.success(), "mdBook ended with {status}");
    let (broken, links) = links::broken(&book)?;
    ensure!(broken.is_empty(), "{} links lead nowhere:\n{}", broken.len(), broken.join("\n"));
    Ok(links)
}

/// The tool that sets books: the one on the search path if it is of this version, or one that Cargo builds.
fn mdbook(target: &Path) -> Result<PathBuf> {
    let tools = target.join("tools");
    let built = tools.join("bin/mdbook");
    for candidate in [PathBuf::from("mdbook"), built.clone()] {
        let version = Command::new(&candidate).arg("--version").output();
        if version.is_ok_and(|found| String::from_utf8_lossy(&found.stdout).trim().ends_with(MDBOOK)) {
            return Ok(candidate);
        }
    }
    let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["install", "--quiet", "--locked", "--version", MDBOOK, "--no-default-features", "--features", "search"])
        .arg("--root")
        .arg(&tools)
        .arg("mdbook")
        .env("CARGO_TARGET_DIR", &tools)
        .status()
        .context("starting cargo to build mdBook")?;
    ensure!(status.success(), "mdBook could not be built: cargo ended with {status}");
    Ok(built)
}
