//! The folder of fetched plugins, by digest.

use crate::digest_of;
use crate::signature::SIGNATURE_MAX_BYTES;
use crossdock_model::{ErrorClass, Explained};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;
use thiserror::Error;

/// How old a file is that a process began and never finished, before it is removed.
const UNFINISHED_AGE_MAX: Duration = Duration::from_secs(3600);

/// The folder of fetched plugins cannot be used.
#[derive(Debug, Error)]
#[error("keeping fetched plugins in {}: {source}", path.display())]
pub struct StoreError {
    path: PathBuf,
    source: io::Error,
}

impl Explained for StoreError {
    fn code(&self) -> &'static str {
        "registry-store"
    }

    fn class(&self) -> ErrorClass {
        ErrorClass::Environment
    }

    fn fix(&self) -> Option<String> {
        Some("let the user that runs Crossdock write there, and see to it that the disk is not full".to_owned())
    }
}

/// Plugins that were fetched, each whole or not at all, under the name of its digest; with their signatures.
#[derive(Debug, Clone)]
pub struct Store {
    folder: PathBuf,
    plugin_max_bytes: u64,
}

impl Store {
    /// The store in a folder, which is made when something is put into it.
    #[must_use]
    pub fn new(folder: PathBuf, plugin_max_bytes: u64) -> Self {
        Self { folder, plugin_max_bytes }
    }

    /// The file of the plugin with this digest (`sha256:` and 64 hexadecimal digits), if it was fetched and is still
    /// what it was: it is read and hashed. What is not is as good as not there.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn find(&self, digest: &str) -> Result<Option<PathBuf>, StoreError> {
        let path = self.file(digest, "wasm");
        Ok(self.read(&path, self.plugin_max_bytes)?.filter(|bytes| digest_of(bytes) == digest).map(|_| path))
    }

    /// The signature that was fetched with the plugin with this digest.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn signature(&self, digest: &str) -> Result<Option<String>, StoreError> {
        let found = self.read(&self.file(digest, "sig"), SIGNATURE_MAX_BYTES)?;
        Ok(found.and_then(|bytes| String::from_utf8(bytes).ok()))
    }

    /// Keeps a plugin. Gives its file.
    ///
    /// # Errors
    /// When it cannot be written. Nothing can be found there then.
    pub fn put(&self, digest: &str, bytes: &[u8]) -> Result<PathBuf, StoreError> {
        self.write(&self.file(digest, "wasm"), bytes)
    }

    /// Keeps the signature of a plugin.
    ///
    /// # Errors
    /// As [`Store::put`].
    pub fn put_signature(&self, digest: &str, text: &str) -> Result<PathBuf, StoreError> {
        self.write(&self.file(digest, "sig"), text.as_bytes())
    }

    fn file(&self, digest: &str, extension: &str) -> PathBuf {
        self.folder.join(format!("{}.{extension}", digest.replace(':', "-")))
    }

    fn read(&self, path: &Path, max_bytes: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let read = || -> io::Result<Vec<u8>> {
            let mut bytes = Vec::new();
            File::open(path)?.take(max_bytes + 1).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        match read() {
            Ok(bytes) => Ok(Some(bytes).filter(|bytes| bytes.len() as u64 <= max_bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StoreError { path: path.to_owned(), source }),
        }
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> Result<PathBuf, StoreError> {
        let write = || -> io::Result<()> {
            fs::create_dir_all(&self.folder)?;
            self.clear()?;
            let mut chance = [0; 8];
            getrandom::fill(&mut chance).map_err(|error| io::Error::other(error.to_string()))?;
            let temporary = self.folder.join(format!("{:016x}.part", u64::from_le_bytes(chance)));
            let written = (|| {
                let mut file = OpenOptions::new().write(true).create_new(true).open(&temporary)?;
                file.write_all(bytes)?;
                file.sync_all()?;
                fs::rename(&temporary, path)?;
                File::open(&self.folder)?.sync_all()
            })();
            if written.is_err() {
                let _ = fs::remove_file(&temporary);
            }
            written
        };
        write().map_err(|source| StoreError { path: self.folder.clone(), source })?;
        Ok(path.to_owned())
    }

    /// Removes what processes that died have left.
    fn clear(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.folder)?.filter_map(Result::ok) {
            let is_part = entry.path().extension().is_some_and(|extension| extension == "part");
            let age = entry.metadata().and_then(|about| about.modified()).ok().and_then(|at| at.elapsed().ok());
            if is_part && age.is_some_and(|age| age > UNFINISHED_AGE_MAX) {
                let _ = fs::remove_file(entry.path());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::time::SystemTime;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_was_put_is_found_and_what_was_changed_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path().join("plugins"), 64);
        let digest = digest_of(b"component");
        assert_eq!(store.find(&digest).unwrap(), None);
        assert_eq!(store.signature(&digest).unwrap(), None);
        assert!(!folder.path().join("plugins").exists(), "looking makes a folder");
        let path = store.put(&digest, b"component").unwrap();
        store.put_signature(&digest, "signed").unwrap();
        assert_eq!(store.find(&digest).unwrap(), Some(path.clone()));
        assert_eq!(store.signature(&digest).unwrap().as_deref(), Some("signed"));
        let hex = digest.replace(':', "-");
        assert_eq!(names(&folder.path().join("plugins")), [format!("{hex}.sig"), format!("{hex}.wasm")]);
        // A byte changed, cut off, too long: it is fetched again and written over.
        for wrong in [&b"componenT"[..], b"compon", b"", &[0; 65]] {
            fs::write(&path, wrong).unwrap();
            assert_eq!(store.find(&digest).unwrap(), None, "{wrong:?}");
        }
        store.put(&digest, b"component").unwrap();
        assert!(store.find(&digest).unwrap().is_some());
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert_eq!(store.find(&digest).unwrap_err().code(), "registry-store");
    }

    #[test]
    fn what_was_never_finished_goes_away() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path().to_owned(), 64);
        for (name, age) in [("0000.part", 2), ("1111.part", 0), ("other", 2)] {
            let file = File::create(folder.path().join(name)).unwrap();
            file.set_modified(SystemTime::now() - age * UNFINISHED_AGE_MAX).unwrap();
        }
        store.put_signature(&digest_of(b""), "signed").unwrap();
        let left = names(folder.path());
        assert!(!left.contains(&"0000.part".to_owned()) && left.contains(&"1111.part".to_owned()), "{left:?}");
        assert!(left.contains(&"other".to_owned()), "{left:?}");
        let full = Store::new(folder.path().join("other"), 64);
        assert_eq!(full.put_signature(&digest_of(b""), "signed").unwrap_err().code(), "registry-store");
    }
}
