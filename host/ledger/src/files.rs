//! Files and folders that must be on disk, and the last step of a restore, which happens as a whole or not at all.

use crate::error::LedgerError;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// A restored ledger that is whole and only has to be put in its place: whoever opens the ledger next does it, if the
/// process that restored it could not.
const READY: &str = "restore.ready";
/// In it: the ledger that was replaced.
const REPLACED: &str = "replaced";
const LEDGER: &str = "ledger.db";
const BESIDE: [&str; 2] = ["ledger.db-wal", "ledger.db-shm"];

/// Makes a folder if it is not there, so that it is still there when the power fails.
pub(crate) fn make_dir(dir: &Path) -> Result<(), LedgerError> {
    if dir.is_dir() {
        return Ok(());
    }
    if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        make_dir(parent)?;
    }
    match fs::create_dir(dir) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            Err(LedgerError::Storage { why: format!("the folder {} cannot be made: {error}", dir.display()) })
        }
        _ => sync_dir(parent(dir)),
    }
}

/// The folder that a path is in.
pub(crate) fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Has the entries of a folder on disk.
pub(crate) fn sync_dir(dir: &Path) -> Result<(), LedgerError> {
    // Elsewhere a folder cannot be opened, and renaming is on disk without it.
    if !cfg!(unix) {
        return Ok(());
    }
    match File::open(dir) {
        // A folder that may be written to and not read: nothing more can be done.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(()),
        opened => Ok(opened?.sync_all()?),
    }
}

/// Has the content of a file on disk.
pub(crate) fn sync_file(file: &Path) -> Result<(), LedgerError> {
    Ok(File::options().write(true).open(file)?.sync_all()?)
}

/// The BLAKE3 hash of a file in hexadecimal, and its size.
pub(crate) fn hash(file: &Path) -> Result<(String, u64), LedgerError> {
    let file = File::open(file)?;
    let bytes = file.metadata()?.len();
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file)?;
    Ok((hasher.finalize().to_hex().to_string(), bytes))
}

/// Removes a folder with all that is in it, if it is there.
pub(crate) fn remove_dir(dir: &Path) -> Result<(), LedgerError> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// Whether a restored ledger waits to be put in its place.
pub(crate) fn is_ready(dir: &Path) -> bool {
    dir.join(READY).is_dir()
}

/// Declares the ledger in `made`, a folder in `dir`, ready to be put in its place.
pub(crate) fn make_ready(dir: &Path, made: &Path) -> Result<(), LedgerError> {
    sync_dir(made)?;
    fs::rename(made, dir.join(READY))?;
    sync_dir(dir)
}

/// Puts a restored ledger in its place, if there is one that is ready; answers where the one is that it replaces. Can
/// be broken off at any place and done again. Only for who holds the lock of the folder.
pub(crate) fn put_in_place(dir: &Path) -> Result<Option<PathBuf>, LedgerError> {
    let ready = dir.join(READY);
    if !ready.is_dir() {
        return Ok(None);
    }
    let (aside, restored, place) = (ready.join(REPLACED), ready.join(LEDGER), dir.join(LEDGER));
    if restored.is_file() {
        // What stands in the place is the old ledger, as long as the new one is not there. First the log that belongs
        // to it: beside the new one it would damage that.
        for name in BESIDE.iter().chain([&LEDGER]) {
            if dir.join(name).is_file() {
                make_dir(&aside)?;
                fs::rename(dir.join(name), aside.join(name))?;
                sync_dir(&aside)?;
                sync_dir(dir)?;
            }
        }
        fs::rename(&restored, &place)?;
        sync_dir(dir)?;
        sync_dir(&ready)?;
    }
    let mut replaced = None;
    if aside.is_dir() {
        let free = (1_u32..).map(|n| dir.join(format!("{REPLACED}-{n}"))).find(|name| !name.exists());
        if let Some(name) = free {
            fs::rename(&aside, &name)?;
            replaced = Some(name);
        }
    }
    remove_dir(&ready)?;
    sync_dir(dir)?;
    Ok(replaced)
}
