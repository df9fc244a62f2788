//! Why a plugin could not be built.

use crate::language::Language;
use crossdock_model::{ErrorClass, Explained};
use std::io;
use std::path::PathBuf;

/// Why a plugin could not be built. The author's mistakes in code are the language's own tool's to tell: it has done so on
/// stderr, or what it said stands in the message.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// There is no manifest of any language.
    #[error("building the plugin in {}: there is none of Cargo.toml, package.json, pyproject.toml", dir.display())]
    NoManifest {
        /// The folder.
        dir: PathBuf,
    },
    /// There are several manifests that could each be the plugin's.
    #[error("building the plugin in {}: {} are there, and each could be the plugin's", dir.display(), manifests.join(" and "))]
    SeveralManifests {
        /// The folder.
        dir: PathBuf,
        /// Their names.
        manifests: Vec<&'static str>,
    },
    /// The manifest does not say what it must.
    #[error("reading {}: {problem}", path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong.
        problem: String,
        /// What to write instead.
        fix: String,
    },
    /// A tool is not on this machine.
    #[error("{doing}: {tool} was not found on this machine")]
    ToolMissing {
        /// What was being done.
        doing: String,
        /// The tool, in words.
        tool: String,
        /// How to get it: a command, or where from.
        get: String,
    },
    /// A tool is there and too old.
    #[error("{doing}: {tool} {found} is on this machine, and {needed} or newer is needed")]
    ToolTooOld {
        /// What was being done.
        doing: String,
        /// The tool, in words.
        tool: String,
        /// The version that was found.
        found: String,
        /// The oldest that will do.
        needed: String,
        /// How to get a newer one.
        get: String,
    },
    /// A tool said no. What it said was passed on, or stands here.
    #[error("{doing}: `{command}` ended with {status}{}", said.as_ref().map(|said| format!("\n{said}")).unwrap_or_default())]
    ToolFailed {
        /// What was being done.
        doing: String,
        /// The command.
        command: String,
        /// How it ended.
        status: String,
        /// What it said, if it was not passed on already.
        said: Option<String>,
    },
    /// What was made is no component.
    #[error("building {name}: {problem}")]
    NoComponent {
        /// The plugin.
        name: String,
        /// What was found in its place.
        problem: String,
        /// What makes it one.
        fix: String,
    },
    /// A file could not be read or written.
    #[error("{doing} {}: {error}", path.display())]
    File {
        /// What was being done.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        error: io::Error,
    },
}

impl BuildError {
    /// Makes one of a failed operation on a file.
    pub(crate) fn file(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |error| Self::File { doing, path, error }
    }
}

impl Explained for BuildError {
    fn code(&self) -> &'static str {
        match self {
            Self::NoManifest { .. } => "build-no-manifest",
            Self::SeveralManifests { .. } => "build-several-manifests",
            Self::Manifest { .. } => "build-manifest",
            Self::ToolMissing { .. } => "build-tool-missing",
            Self::ToolTooOld { .. } => "build-tool-too-old",
            Self::ToolFailed { .. } => "build-tool-failed",
            Self::NoComponent { .. } => "build-no-component",
            Self::File { .. } => "build-file",
        }
    }

    fn class(&self) -> ErrorClass {
        match self {
            Self::ToolMissing { .. } | Self::ToolTooOld { .. } | Self::File { .. } => ErrorClass::Environment,
            _ => ErrorClass::InvalidInput,
        }
    }

    fn fix(&self) -> Option<String> {
        Some(match self {
            Self::NoManifest { .. } => {
                let languages = Language::ALL.map(Language::as_str).join(", ");
                format!("Name the plugin's folder, or begin one with `crossdock new` (languages: {languages}).")
            }
            Self::SeveralManifests { .. } => {
                "Keep a plugin in a folder of its own; in package.json or pyproject.toml that are no plugin's, leave out \
                 `crossdock`."
                    .to_owned()
            }
            Self::Manifest { fix, .. } | Self::NoComponent { fix, .. } => fix.clone(),
            Self::ToolMissing { get, .. } | Self::ToolTooOld { get, .. } => get.clone(),
            Self::ToolFailed { command, .. } => {
                let tool = command.split_whitespace().next().unwrap_or_default();
                format!("Mend what {tool} says, then build again.")
            }
            Self::File { .. } => "Check that the folder can be read and written, and that the disk has room.".to_owned(),
        })
    }
}
