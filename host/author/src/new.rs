//! Laying out a new plugin: a folder that builds at once.

mod kit;

use crate::language::Language;
use crossdock_model::{ErrorClass, Explained};
use kit::Files;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Where the copy of the kit lies within a plugin's folder.
const VENDOR: &str = "vendor/crossdock-sdk";

/// What stands for the plugin's name in the files of a template.
const NAME: &str = "{{name}}";

/// A role that a plugin can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Brings records in.
    Source,
    /// Changes, drops or splits records.
    Transformer,
    /// Writes records to another system.
    Destination,
}

impl Role {
    /// All of them, in the order in which a record meets them.
    pub const ALL: [Self; 3] = [Self::Source, Self::Transformer, Self::Destination];

    /// The word for it: `source`, `transformer` or `destination`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Transformer => "transformer",
            Self::Destination => "destination",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = String;

    /// # Errors
    /// It is none of those words; the text names them.
    fn from_str(text: &str) -> Result<Self, String> {
        let known = || Self::ALL.map(Self::as_str).join(", ");
        Self::ALL.into_iter().find(|one| one.as_str() == text).ok_or_else(|| format!("it is one of {}", known()))
    }
}

/// Why no plugin was laid out. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NewError {
    /// The name cannot be a plugin's, or not one in this language.
    #[error("naming the plugin `{name}`: {problem}")]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// There is something of that name already.
    #[error("making the folder {}: it is there already, and nothing is overwritten", dir.display())]
    Exists {
        /// The folder.
        dir: PathBuf,
    },
    /// The operating system refused.
    #[error("writing {}: {error}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What it said.
        error: io::Error,
    },
}

impl Explained for NewError {
    fn code(&self) -> &'static str {
        match self {
            Self::Name { .. } => "new-name",
            Self::Exists { .. } => "new-exists",
            Self::File { .. } => "new-file",
        }
    }

    fn class(&self) -> ErrorClass {
        match self {
            Self::Name { .. } | Self::Exists { .. } => ErrorClass::InvalidInput,
            Self::File { .. } => ErrorClass::Environment,
        }
    }

    fn fix(&self) -> Option<String> {
        Some(match self {
            Self::Name { .. } => {
                "Choose 1 to 64 of `a-z`, `0-9` and `-`, beginning with a letter: `big-orders`.".to_owned()
            }
            Self::Exists { .. } => "Choose another name, or another place with --in.".to_owned(),
            Self::File { .. } => "Name a folder that can be written to with --in.".to_owned(),
        })
    }
}

/// What was laid out.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Created {
    /// The new folder.
    pub dir: PathBuf,
    /// The files that the author works on, by their paths within the folder; the copy of the kit is left out.
    pub files: Vec<PathBuf>,
    /// What to type next within the folder, in order.
    pub next: Vec<String>,
}

/// Lays out a new plugin as the folder `NAME` within `into`, from the template of its role and language, with a copy of the
/// kit of this version. The folder builds at once and stands by itself: nothing in it leads out of it.
///
/// # Errors
/// The name cannot be a plugin's, there is something of that name already, or it cannot be written. Then nothing is left
/// behind.
pub fn create(role: Role, name: &str, language: Language, into: &Path) -> Result<Created, NewError> {
    check_name(name, language)?;
    let dir = into.join(name);
    let mut files = Files::new();
    for (path, bytes) in kit::template(language, role.as_str()) {
        files.insert(place(path), filled(bytes, name));
    }
    let own = files.keys().cloned().collect();
    for (path, bytes) in kit::kit(language) {
        files.insert(Path::new(VENDOR).join(path), bytes);
    }
    let refused = |path: &Path| {
        let path = path.to_path_buf();
        move |error| NewError::File { path, error }
    };
    fs::create_dir_all(into).map_err(refused(into))?;
    // It makes the folder or fails: nobody else's can be there from here on.
    fs::create_dir(&dir).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => NewError::Exists { dir: dir.clone() },
        _ => NewError::File { path: dir.clone(), error },
    })?;
    for (path, bytes) in &files {
        let path = dir.join(path);
        let folder = path.parent().unwrap_or(&dir);
        if let Err(error) = fs::create_dir_all(folder).and_then(|()| fs::write(&path, bytes)) {
            // What is left of half a folder is of no use; that it could not be removed either changes nothing.
            let _ = fs::remove_dir_all(&dir);
            return Err(NewError::File { path, error });
        }
    }
    Ok(Created { dir, files: own, next: next(name, language) })
}

/// What to type next.
fn next(name: &str, language: Language) -> Vec<String> {
    let test = match language {
        Language::Rust => "cargo test",
        Language::JavaScript => "npm install && npm test",
        Language::Python => "python3 -m unittest",
    };
    [test, "crossdock plugin build", &format!("crossdock plugin test dist/{name}.wasm")].map(str::to_owned).to_vec()
}

/// A file that is called `gitignore` in a template would otherwise be in force there.
fn place(path: &str) -> PathBuf {
    match path.strip_suffix("gitignore") {
        Some(folder) if folder.is_empty() || folder.ends_with('/') => PathBuf::from(format!("{folder}.gitignore")),
        _ => PathBuf::from(path),
    }
}

fn filled(bytes: &[u8], name: &str) -> Vec<u8> {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.replace(NAME, name).into_bytes(),
        Err(_) => bytes.to_vec(),
    }
}

/// Words that Cargo takes for no package, because Rust has them already.
const RUSTS_OWN: &[&str] = &[
    "abstract",
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "const",
    "continue",
    "core",
    "crate",
    "do",
    "dyn",
    "else",
    "enum",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "priv",
    "proc-macro",
    "pub",
    "ref",
    "return",
    "self",
    "static",
    "std",
    "struct",
    "super",
    "test",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "unsafe",
    "unsized",
    "use",
    "virtual",
    "where",
    "while",
    "yield",
];

/// What the templates depend on: a plugin of the same name would depend on itself.
const KITS_OWN: &[&str] = &["crossdock", "crossdock-sdk", "schemars", "serde", "serde-json"];

fn check_name(name: &str, language: Language) -> Result<(), NewError> {
    let refuse = |problem: &str| Err(NewError::Name { name: name.to_owned(), problem: problem.to_owned() });
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !(1..=64).contains(&name.len()) || !name.chars().all(fits) {
        return refuse("a plugin's name is 1 to 64 of `a-z`, `0-9` and `-`");
    }
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) || name.ends_with('-') || name.contains("--") {
        return refuse("it begins with a letter, and hyphens stand singly between its words");
    }
    if KITS_OWN.contains(&name) {
        return refuse("a package that the plugin itself needs is called so");
    }
    if language == Language::Rust && RUSTS_OWN.contains(&name) {
        return refuse("Rust has this word already, and Cargo takes no package of that name");
    }
    Ok(())
}
