//! Two versions of a contract: whether plugins that were built for the one go on with a host that speaks the other.

mod compare;
mod read;
mod rules;
mod say;

use crossdock_model::{ErrorClass, Explained};
use serde::Serialize;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Why a contract cannot be compared.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WitError {
    /// It is not there, cannot be read, or is not WIT.
    #[error("reading the contract {}: {reason}", path.display())]
    Unreadable {
        /// The folder or file.
        path: PathBuf,
        /// What is wrong with it, and where.
        reason: String,
    },
}

impl Explained for WitError {
    fn code(&self) -> &'static str {
        "wit-unreadable"
    }

    fn class(&self) -> ErrorClass {
        ErrorClass::InvalidInput
    }

    fn fix(&self) -> Option<String> {
        Some("name a folder that holds one package as .wit files, like `wit`, or one such file".to_owned())
    }
}

/// One of the two versions that are compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Version {
    /// The package, for example `crossdock:plugin`.
    pub package: String,
    /// Its version; `None` if it has none.
    pub version: Option<String>,
}

/// What a difference does to plugins that were built for the old version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It breaks some of them.
    Refused,
    /// They go on as they are.
    Allowed,
}

/// One thing that is not the same in both versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What it does to plugins.
    pub verdict: Verdict,
    /// The interface or world, for example `interface http`; else `package`.
    pub place: String,
    /// What in it, for example `record response`; `None` for the whole place.
    pub item: Option<String>,
    /// What is different, in one sentence without a full stop.
    pub what: String,
    /// How it was written in the old version, if it was there.
    pub was: Option<String>,
    /// How it is written in the new version, if it is there.
    pub is: Option<String>,
    /// Why that breaks plugins and which, or why it does not.
    pub why: String,
    /// What to do instead, if it is refused.
    pub instead: Option<String>,
}

/// What is different between two versions of a contract, what is refused first. Shown as text for people.
///
/// Only what is written in the types is compared. Whether a function still does what its documentation promised before
/// cannot be seen: where documentation has changed is told, so that somebody reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// What plugins were built for.
    pub old: Version,
    /// What the host speaks.
    pub new: Version,
    /// Whether all plugins that were built for the old version go on.
    pub goes_on: bool,
    /// All differences.
    pub differences: Vec<Difference>,
}

/// Compares two versions of a contract, each a folder with the `.wit` files of one package (and a folder `deps` for
/// others that it uses), or one file. The rules are those of the contract's own documentation, under *Evolution*.
///
/// # Errors
/// When one of them cannot be read.
pub fn check(old: &Path, new: &Path) -> Result<Comparison, WitError> {
    Ok(compare::compare(&read::read(old)?, &read::read(new)?))
}
