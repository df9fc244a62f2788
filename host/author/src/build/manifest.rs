//! Which language a folder's plugin is written in, and what it is called.

use super::error::BuildError;
use crate::language::Language;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// A plugin's folder, as its manifest tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Manifest {
    /// The language.
    pub(crate) language: Language,
    /// The manifest itself.
    pub(crate) path: PathBuf,
    /// The plugin's name: 1 to 64 of `a-z 0-9 -`.
    pub(crate) name: String,
    /// Its version, as the manifest has it.
    pub(crate) version: String,
    /// One line on what it is for; may be empty.
    pub(crate) description: String,
    /// The file or module that the plugin begins in; empty where the language's own tool knows.
    pub(crate) entry: String,
}

/// Reads the manifest of a folder: the one whose language says that there is a plugin here.
pub(crate) fn read(dir: &Path) -> Result<Manifest, BuildError> {
    let mut found = Vec::new();
    for language in Language::ALL {
        let path = dir.join(language.manifest());
        if path.is_file() {
            let table = parse(language, &path)?;
            found.push((language, path, table));
        }
    }
    // A package.json may be there for other tools, for example to format documents: then it has no `crossdock`.
    let own = |(language, _, table): &(Language, PathBuf, Value)| match language {
        Language::Rust => table.get("package").is_some(),
        Language::JavaScript => table.get("crossdock").is_some(),
        Language::Python => table.pointer("/tool/crossdock").is_some(),
    };
    let several = found.len() > 1;
    if several && found.iter().any(own) {
        found.retain(own);
    }
    match <[_; 1]>::try_from(found) {
        Ok([(language, path, table)]) => said(language, path, &table),
        Err(none) if none.is_empty() => Err(BuildError::NoManifest { dir: dir.to_path_buf() }),
        Err(several) => Err(BuildError::SeveralManifests {
            dir: dir.to_path_buf(),
            manifests: several.into_iter().map(|(language, ..)| language.manifest()).collect(),
        }),
    }
}

fn parse(language: Language, path: &Path) -> Result<Value, BuildError> {
    let text = fs::read_to_string(path).map_err(BuildError::file("reading", path))?;
    let table = match language {
        Language::JavaScript => serde_json::from_str(&text).map_err(|error| error.to_string()),
        Language::Rust | Language::Python => toml::from_str(&text).map_err(|error| error.to_string()),
    };
    table.map_err(|error| BuildError::Manifest {
        path: path.to_path_buf(),
        problem: error.trim_end().to_owned(),
        fix: "Mend the file; the place stands in the message.".to_owned(),
    })
}

fn said(language: Language, path: PathBuf, table: &Value) -> Result<Manifest, BuildError> {
    let place = match language {
        Language::Rust => "/package",
        Language::JavaScript => "",
        Language::Python => "/project",
    };
    let text = |key: &str| table.pointer(&format!("{place}/{key}")).and_then(Value::as_str);
    let wrong = |problem: String, fix: String| BuildError::Manifest { path: path.clone(), problem, fix };
    let missing = |key: &str, example: &str| {
        let at = place.trim_start_matches('/');
        let section = if at.is_empty() { String::new() } else { format!(" in [{at}]") };
        wrong(format!("there is no `{key}`{section}"), format!("Write one, for example {example}."))
    };
    let name = text("name").ok_or_else(|| missing("name", "\"big-orders\""))?;
    // The scope of a package of npm says whose it is, not what it is called.
    let name = name.rsplit('/').next().unwrap_or(name);
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !(1..=64).contains(&name.len()) || !name.chars().all(fits) {
        let problem = format!("`{name}` cannot be the name of a plugin");
        return Err(wrong(problem, "Choose 1 to 64 of `a-z`, `0-9` and `-`.".to_owned()));
    }
    let entry = match language {
        Language::Rust => "",
        Language::JavaScript => table.pointer("/crossdock/entry").and_then(Value::as_str).ok_or_else(|| {
            let fix = "Write where the plugin begins: \"crossdock\": { \"entry\": \"src/plugin.js\" }.";
            wrong("it does not say that this is a plugin".to_owned(), fix.to_owned())
        })?,
        Language::Python => table.pointer("/tool/crossdock/entry").and_then(Value::as_str).ok_or_else(|| {
            let fix = "Write in which module the plugin begins: [tool.crossdock] with entry = \"plugin\".";
            wrong("it does not say that this is a plugin".to_owned(), fix.to_owned())
        })?,
    };
    // Cargo knows more than the file says by itself: a version may be the workspace's.
    let version = match (language, text("version")) {
        (_, Some(version)) => version.to_owned(),
        (Language::Rust, None) => String::new(),
        (_, None) => return Err(missing("version", "\"0.1.0\"")),
    };
    Ok(Manifest {
        language,
        name: name.to_owned(),
        version,
        description: text("description").unwrap_or_default().to_owned(),
        entry: entry.to_owned(),
        path,
    })
}
