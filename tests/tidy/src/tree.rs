//! The repository as text in memory.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;

/// Folders that tools make and nobody writes. Matched by name at any depth.
const MADE_BY_TOOLS: &[&str] = &["target", ".git", ".crossdock", "node_modules", "__pycache__"];

/// Where examples put what they make, as `.gitignore` says it.
const MADE_BY_EXAMPLES: &str = "/data/out";

/// All files of a tree by their path from its root, with `/`. A file that is not UTF-8 has the empty text.
#[derive(Debug, Default)]
pub struct Tree {
    files: BTreeMap<String, String>,
}

impl Tree {
    /// Reads a folder, without what tools make.
    ///
    /// # Errors
    /// When a folder or file cannot be read; the message names it.
    pub fn load(root: &Path) -> anyhow::Result<Self> {
        let mut tree = Self::default();
        tree.load_folder(root, "")?;
        Ok(tree)
    }

    /// A tree from paths and texts.
    #[must_use]
    pub fn of(files: &[(&str, &str)]) -> Self {
        Self { files: files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect() }
    }

    fn load_folder(&mut self, folder: &Path, prefix: &str) -> anyhow::Result<()> {
        let entries = match std::fs::read_dir(folder) {
            Err(error) if !prefix.is_empty() && is_gone(&error) => return Ok(()),
            read => read.with_context(|| format!("reading folder {}", folder.display()))?,
        };
        for entry in entries {
            let entry = entry.with_context(|| format!("reading folder {}", folder.display()))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = format!("{prefix}{name}");
            let kind = entry.file_type().with_context(|| format!("looking at {path}"))?;
            if kind.is_dir() {
                if !MADE_BY_TOOLS.contains(&name.as_str()) && !path.ends_with(MADE_BY_EXAMPLES) {
                    self.load_folder(&entry.path(), &format!("{path}/"))?;
                }
            } else if kind.is_file() {
                let bytes = match std::fs::read(entry.path()) {
                    Err(error) if is_gone(&error) => continue,
                    read => read.with_context(|| format!("reading {path}"))?,
                };
                self.files.insert(path, String::from_utf8(bytes).unwrap_or_default());
            }
        }
        Ok(())
    }

    /// All paths with their texts, ordered by path.
    pub fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// The files whose name ends in `.` and one of these.
    pub fn with_extension<'a>(&'a self, endings: &'a [&str]) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.files().filter(|(path, _)| path.rsplit_once('.').is_some_and(|(_, ending)| endings.contains(&ending)))
    }

    /// The text of one file.
    #[must_use]
    pub fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(String::as_str)
    }

    /// Whether this is a file, or a folder with at least one file.
    #[must_use]
    pub fn holds(&self, path: &str) -> bool {
        if path.is_empty() || self.files.contains_key(path) {
            return true;
        }
        let folder = format!("{path}/");
        self.files.range(folder.clone()..).next().is_some_and(|(next, _)| next.starts_with(&folder))
    }
}

/// Gone between listing and reading: a temporary file of an editor or of another test.
fn is_gone(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::NotFound
}
