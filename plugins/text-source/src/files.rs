//! The files that a pattern matches.

use crate::settings::Plan;
use crossdock_sdk::{CallError, Failure};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// How deep `**` goes.
const MAX_DEPTH: usize = 32;

/// The most files that a pattern may match.
const MAX_FILES: usize = 10_000;

const MATCH: glob::MatchOptions =
    glob::MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

/// A file that is there.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    /// Its path without the fixed directory of the pattern.
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) size: u64,
    /// When it was last changed, in nanoseconds since 1970, if that can be said.
    pub(crate) modified: Option<u64>,
}

/// The files that match, in the order of their names.
///
/// # Errors
/// The directory is not granted or not there, or cannot be read.
pub(crate) fn list(plan: &Plan) -> Result<Vec<Found>, CallError> {
    let base = Path::new(&plan.base);
    if let Err(error) = fs::metadata(base) {
        return Err(no_directory(plan, &error));
    }
    let mut found = Vec::new();
    if plan.many {
        let rest = plan.files.get(plan.base.len()..).unwrap_or_default().trim_start_matches('/');
        let depth = if rest.contains("**") { MAX_DEPTH } else { rest.matches('/').count() };
        walk(plan, base, depth, &mut found)?;
        found.sort_by(|a, b| a.name.cmp(&b.name));
    } else {
        found.extend(stat(plan, Path::new(&plan.files))?);
    }
    Ok(found)
}

/// A file by its name, if it is there still.
pub(crate) fn list_one(plan: &Plan, name: &str) -> Result<Option<Found>, CallError> {
    stat(plan, &Path::new(&plan.base).join(name))
}

/// What is said where nothing matches.
#[cold]
pub(crate) fn nothing_matches(plan: &Plan) -> CallError {
    let message = if plan.many {
        format!("no file matches `{}`: put files there, or mend `files`", plan.files)
    } else {
        format!("there is no file `{}`: put it there, or mend `files`", plan.files)
    };
    CallError::unavailable(Failure::new("no-file", message).pointer("/files"))
}

/// What is said of a file that cannot be read.
#[cold]
pub(crate) fn unreadable(path: &Path, error: &io::Error) -> CallError {
    let message = format!("the file `{}` cannot be read: {error}", path.display());
    CallError::unavailable(Failure::new("file-unreadable", message))
}

fn walk(plan: &Plan, directory: &Path, depth: usize, found: &mut Vec<Found>) -> Result<(), CallError> {
    let cannot = |error: io::Error| {
        let message = format!("the directory `{}` cannot be read: {error}", directory.display());
        CallError::unavailable(Failure::new("directory-unreadable", message))
    };
    for entry in fs::read_dir(directory).map_err(cannot)? {
        let entry = entry.map_err(cannot)?;
        let path = entry.path();
        // Links to directories are not followed: they could lead in a circle.
        if entry.file_type().map_err(cannot)?.is_dir() {
            if depth > 0 {
                walk(plan, &path, depth - 1, found)?;
            }
        } else if plan.pattern.matches_path_with(&path, MATCH) {
            found.extend(stat(plan, &path)?);
            if found.len() > MAX_FILES {
                let message = format!("`{}` matches more than {MAX_FILES} files: use a narrower pattern", plan.files);
                return Err(CallError::invalid_settings(Failure::new("too-many-files", message).pointer("/files")));
            }
        }
    }
    Ok(())
}

/// A file, if it is one that can be read to its end and is there still.
fn stat(plan: &Plan, path: &Path) -> Result<Option<Found>, CallError> {
    let metadata = match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => metadata,
        Ok(_) => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(path, &error)),
    };
    let Some(name) = path.strip_prefix(&plan.base).ok().and_then(Path::to_str) else {
        let message = format!("the name of the file `{}` is not UTF-8: rename it", path.display());
        return Err(CallError::unavailable(Failure::new("file-name", message)));
    };
    let since = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let modified = since.and_then(|since| u64::try_from(since.as_nanos()).ok());
    Ok(Some(Found { name: name.to_owned(), path: path.to_owned(), size: metadata.len(), modified }))
}

#[cold]
fn no_directory(plan: &Plan, error: &io::Error) -> CallError {
    let base = &plan.base;
    let granted =
        Path::new(base).ancestors().skip(1).any(|above| above != Path::new("/") && fs::metadata(above).is_ok());
    if granted {
        let message = format!("there is no directory `{base}` for the files `{}`: {error}", plan.files);
        return CallError::unavailable(Failure::new("no-directory", message).pointer("/files"));
    }
    let message = format!(
        "the directory `{base}` is not granted to this plugin: add it to the source in the route, for example \
         grants = {{ dirs = [{{ host = \"data\", guest = \"{base}\" }}] }}"
    );
    CallError::not_granted(Failure::new("not-granted", message).pointer("/files"))
}
