//! Inputs to begin with: what is right, and what was once wrong.

use crate::Target;
use std::path::{Path, PathBuf};

/// The folders in which the seeds of a target lie.
pub fn folders(target: &Target) -> impl Iterator<Item = PathBuf> + use<> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let more = target.more_seeds.iter().map(move |folder| here.join("../..").join(folder));
    std::iter::once(here.join("seeds").join(target.name)).chain(more)
}

/// The seeds of a target, by path, so that their order is the same everywhere.
///
/// # Panics
/// A folder cannot be read, or there is no seed at all.
#[must_use]
pub fn seeds(target: &Target) -> Vec<(PathBuf, Vec<u8>)> {
    let files = |folder: PathBuf| {
        let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        entries.map(|entry| entry.expect("an entry of a folder can be read").path())
    };
    let mut paths: Vec<PathBuf> = folders(target).flat_map(files).filter(|path| path.is_file()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} has no seeds", target.name);
    let read = |path: PathBuf| {
        let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        (path, bytes)
    };
    paths.into_iter().map(read).collect()
}
