//! Where a plugin and its cases are, when only one of them is named.

use crate::case::CaseError;
use std::io;
use std::path::{Path, PathBuf};

/// The plugin that is meant: the file itself, or the one that was built into a plugin's folder (`DIR/dist/NAME.wasm`).
///
/// # Errors
/// When the folder has no plugin in `dist`, or several.
pub fn find_plugin(path: &Path) -> Result<PathBuf, CaseError> {
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    let dist = path.join("dist");
    let none = |reason| CaseError::NoPlugin { folder: dist.clone(), reason };
    let entries = std::fs::read_dir(&dist).map_err(|_| none("there is none yet"))?;
    let files = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut files: Vec<_> = files.filter(|file| file.extension().is_some_and(|ending| ending == "wasm")).collect();
    match (files.pop(), files.is_empty()) {
        (Some(file), true) => Ok(file),
        (Some(_), false) => Err(none("there are several")),
        (None, _) => Err(none("there is none yet")),
    }
}

/// The folder with a plugin's cases: `cases` beside its file, or beside the `dist` folder that it is in.
///
/// # Errors
/// When there is none.
pub fn find_cases(plugin: &Path) -> Result<PathBuf, CaseError> {
    let folder = std::path::absolute(plugin).unwrap_or_else(|_| plugin.to_owned());
    let folder = folder.parent().unwrap_or(Path::new("/"));
    let beside = folder.join("cases");
    let above = folder.parent().unwrap_or(folder).join("cases");
    [&beside, &above].into_iter().find(|cases| cases.is_dir()).cloned().ok_or_else(|| CaseError::Unreadable {
        path: beside.clone(),
        source: io::Error::new(io::ErrorKind::NotFound, "there is no such folder, nor one beside `dist`"),
    })
}
