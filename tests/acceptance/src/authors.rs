//! What tests of the tools of plugin authors share.

use anyhow::{Result, ensure};
use std::fs;
use std::path::Path;

/// Says that tests must not go without the tools that authors of plugins use.
const REQUIRED: &str = "CROSSDOCK_AUTHOR_TOOLS";

/// What is not copied: what tools make.
const MADE_BY_TOOLS: &[&str] = &["node_modules", "dist", "target", "__pycache__", ".mypy_cache"];

/// Whether a language's tools are here, as they were looked for. Where they are not, nothing is tried, which is said on
/// stderr.
///
/// # Errors
/// They are not here, and `CROSSDOCK_AUTHOR_TOOLS=required` says that they must be.
#[allow(clippy::print_stderr)]
pub fn are_here(tools: Result<()>, language: &str) -> Result<bool> {
    let Err(error) = tools else { return Ok(true) };
    ensure!(std::env::var_os(REQUIRED).is_none_or(|value| value != "required"), "{REQUIRED}: {error}");
    eprintln!("{error}: nothing is tried in {language}");
    Ok(false)
}

/// A copy of a folder without what tools made in it. A link counts as what it leads to.
///
/// # Errors
/// A file cannot be read or written.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        match path.is_dir() {
            true if MADE_BY_TOOLS.iter().any(|made| name == *made) => {}
            true => copy(&path, &to.join(name))?,
            false => drop(fs::copy(&path, to.join(name))?),
        }
    }
    Ok(())
}

/// Whether the bytes hold a path of this machine.
#[must_use]
pub fn holds(bytes: &[u8], path: &Path) -> bool {
    let path = path.to_string_lossy().into_owned().into_bytes();
    bytes.windows(path.len()).any(|window| window == path)
}
