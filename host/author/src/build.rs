//! Building a plugin with its language's own tools.
//!
//! What is the same for all languages stands here: the folder's manifest says which language it is, the language's module
//! makes a component, and that is written to `dist/NAME.wasm`.

mod contract;
mod error;
mod js;
mod manifest;
mod python;
mod rust;
mod tools;

pub use error::BuildError;

use crate::language::Language;
use manifest::Manifest;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use tools::Tools;

/// The folder within a plugin's that holds what was built.
const DIST: &str = "dist";

/// The file beside the plugin that tells editors of route files what its settings may say.
const SCHEMA: &str = "settings.schema.json";

/// A plugin that was built.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Built {
    /// The language it is written in.
    pub language: Language,
    /// Its name, as its manifest has it.
    pub name: String,
    /// Its version, as its manifest has it.
    pub version: String,
    /// One line on what it is for, as its manifest has it; may be empty.
    pub description: String,
    /// The component: `dist/NAME.wasm` in the plugin's folder.
    pub path: PathBuf,
}

/// Builds the plugin in a folder, and writes it to `dist/NAME.wasm` there.
///
/// The manifest says the language: `Cargo.toml`, `package.json` or `pyproject.toml`. The language's own tool is run in the
/// folder and says on stderr what it has to say, after a line on what is being done; if `quiet`, nothing is written to
/// stderr, and what a tool that failed said stands in the error. The same folder gives the same bytes, wherever it
/// stands. That the component is a plugin for a host is not known before a host has loaded it.
///
/// # Errors
/// The folder is no plugin's, a tool is missing or too old, the tool failed, or the file cannot be written.
pub fn build(dir: &Path, quiet: bool) -> Result<Built, BuildError> {
    let dir = std::path::absolute(dir).map_err(BuildError::file("looking at", dir))?;
    let mut manifest = manifest::read(&dir)?;
    let tools = Tools { dir: &dir, quiet };
    let component = match manifest.language {
        Language::Rust => rust::build(&mut manifest, &tools)?,
        Language::JavaScript => js::build(&mut manifest, &tools)?,
        Language::Python => python::build(&mut manifest, &tools)?,
    };
    let Manifest { language, name, version, description, .. } = manifest;
    let component = contract::with_contract(component).map_err(|problem| BuildError::NoComponent {
        name: name.clone(),
        problem: problem.to_owned(),
        fix: "Export the plugin with the SDK's macro for its role.".to_owned(),
    })?;
    let path = dir.join(DIST).join(format!("{name}.wasm"));
    write(&path, &component)?;
    Ok(Built { language, name, version, description, path })
}

/// Writes the JSON Schema of a plugin's settings beside it, where editors of route files find it:
/// `dist/settings.schema.json`. The schema is what the plugin says when a host asks it.
///
/// # Errors
/// The file cannot be written.
pub fn keep_schema(built: &Built, schema: &serde_json::Value) -> Result<PathBuf, BuildError> {
    let path = built.path.with_file_name(SCHEMA);
    write(&path, format!("{schema:#}\n").as_bytes())?;
    Ok(path)
}

/// Writes a file whole or not at all: a route that runs may read the one before meanwhile.
fn write(path: &Path, bytes: &[u8]) -> Result<(), BuildError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let whole = || -> io::Result<()> {
        fs::create_dir_all(folder)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        io::Write::write_all(&mut file, bytes)?;
        readable(file.path())?;
        file.persist(path).map(drop).map_err(|error| error.error)
    };
    whole().map_err(BuildError::file("writing", path))
}

/// A temporary file is its owner's alone; what was built is not.
#[cfg(unix)]
fn readable(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn readable(_: &Path) -> io::Result<()> {
    Ok(())
}
