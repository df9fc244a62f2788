//! Compiled code, kept on disk for the next start.
//!
//! Machine code is believed, so only what this installation wrote is read back: the folder is ours
//! alone, and each entry carries a keyed hash over its content, its plugin's digest and the engine's
//! settings. Whatever does not match is thrown away and compiled again.

use crate::limits::Limits;
use crossdock_model::{ErrorClass, Explained};
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use thiserror::Error;

/// The first bytes of an entry.
const MAGIC: &[u8; 8] = b"xdockc1\n";
/// The name of the file that holds the installation's key.
const KEY_FILE: &str = "key";

/// The cache cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CacheError {
    /// The folder cannot be made or read.
    #[error("the folder for compiled plugins, {}, cannot be used: {source}", path.display())]
    Folder {
        /// Which folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others can write to the folder, or it belongs to someone else.
    #[error("the folder for compiled plugins, {}, is not ours alone: {reason}", path.display())]
    NotOurs {
        /// Which folder.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

impl Explained for CacheError {
    fn code(&self) -> &'static str {
        "sandbox-cache"
    }

    fn class(&self) -> ErrorClass {
        ErrorClass::Environment
    }

    fn fix(&self) -> Option<String> {
        Some("name a folder that the user who runs the host owns and can write to, or remove this one".to_owned())
    }
}

/// The folder of compiled plugins.
#[derive(Debug)]
pub(crate) struct Cache {
    dir: PathBuf,
    key: [u8; 32],
    /// What the engine's settings and its version come to.
    settings: [u8; 32],
}

/// Names a temporary file apart from those of other threads.
static NEXT: AtomicU64 = AtomicU64::new(0);

impl Cache {
    pub(crate) fn open(dir: &Path, settings: [u8; 32]) -> Result<Self, CacheError> {
        let failed = |source| CacheError::Folder { path: dir.to_owned(), source };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
        let meta = fs::symlink_metadata(dir).map_err(failed)?;
        let not_ours = |reason: &str| CacheError::NotOurs { path: dir.to_owned(), reason: reason.to_owned() };
        if !meta.is_dir() {
            return Err(not_ours("it is a symbolic link"));
        }
        let us = rustix::process::geteuid().as_raw();
        if meta.uid() != us {
            // Whoever it belongs to could put code there, whatever its permissions say.
            return Err(not_ours(&format!("it belongs to user {} and this is user {us}", meta.uid())));
        }
        if meta.mode() & 0o077 != 0 {
            fs::set_permissions(dir, fs::Permissions::from_mode(0o700))
                .map_err(|error| not_ours(&format!("others have access to it, and that cannot be changed: {error}")))?;
        }
        let key = read_or_make_key(&dir.join(KEY_FILE)).map_err(failed)?;
        Ok(Self { dir: dir.to_owned(), key, settings })
    }

    fn path(&self, digest: &str) -> PathBuf {
        let settings: String = self.settings[..8].iter().map(|b| format!("{b:02x}")).collect();
        self.dir.join(format!("{digest}-{settings}.bin"))
    }

    fn seal(&self, digest: &str, code: &[u8]) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(MAGIC).update(&self.settings).update(digest.as_bytes()).update(code);
        *hasher.finalize().as_bytes()
    }

    /// Compiled code of the plugin with this digest, if there is any that we wrote.
    pub(crate) fn get(&self, digest: &str) -> Option<Vec<u8>> {
        let path = self.path(digest);
        let mut entry = fs::read(&path).ok()?;
        let head = MAGIC.len() + 32;
        let is_ours = entry.len() > head && entry.starts_with(MAGIC) && {
            // Comparison of `blake3::Hash` takes the same time wherever the first difference is.
            let written = <[u8; 32]>::try_from(&entry[MAGIC.len()..head]).unwrap_or_default();
            blake3::Hash::from_bytes(self.seal(digest, &entry[head..])) == blake3::Hash::from_bytes(written)
        };
        if !is_ours {
            tracing::warn!(path = %path.display(), "threw away a compiled plugin that this installation did not write");
            let _ = fs::remove_file(&path);
            return None;
        }
        entry.drain(..head);
        Some(entry)
    }

    /// Keeps compiled code. That it could not be kept costs time at the next start, and nothing else.
    pub(crate) fn put(&self, digest: &str, code: &[u8]) {
        if let Err(error) = self.try_put(digest, code) {
            tracing::warn!(dir = %self.dir.display(), %error, "could not keep a compiled plugin");
        }
    }

    fn try_put(&self, digest: &str, code: &[u8]) -> io::Result<()> {
        let unique = NEXT.fetch_add(1, Ordering::Relaxed);
        let temporary = self.dir.join(format!("{}-{unique}.tmp", std::process::id()));
        let written = (|| {
            let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
            file.write_all(MAGIC)?;
            file.write_all(&self.seal(digest, code))?;
            file.write_all(code)?;
            fs::rename(&temporary, self.path(digest))
        })();
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        written.and_then(|()| self.prune())
    }

    /// Removes the oldest entries over the limit.
    fn prune(&self) -> io::Result<()> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            if entry.path().extension().is_some_and(|extension| extension == "bin") {
                entries.push((entry.metadata()?.modified()?, entry.path()));
            }
        }
        entries.sort();
        let over = entries.len().saturating_sub(Limits::CACHE_MAX_ENTRIES);
        entries.iter().take(over).try_for_each(|(_, path)| fs::remove_file(path))
    }
}

fn read_or_make_key(path: &Path) -> io::Result<[u8; 32]> {
    // Written whole and then linked into place: two processes that start together agree on one key.
    if let Some(key) = read_key(path)? {
        return Ok(key);
    }
    let mut key = [0; 32];
    getrandom::fill(&mut key).map_err(|error| io::Error::other(error.to_string()))?;
    let unique = NEXT.fetch_add(1, Ordering::Relaxed);
    let temporary = path.with_file_name(format!("{}-{unique}.key.tmp", std::process::id()));
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    file.write_all(&key)?;
    file.sync_all()?;
    let linked = fs::hard_link(&temporary, path);
    fs::remove_file(&temporary)?;
    match linked {
        Ok(()) => Ok(key),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            read_key(path)?.ok_or_else(|| io::Error::other("the key was removed while it was read"))
        }
        Err(error) => Err(error),
    }
}

/// The key, if there is one that is ours and that only we can read. Any other is thrown away, and with it all
/// entries that were written under it.
fn read_key(path: &Path) -> io::Result<Option<[u8; 32]>> {
    let mut file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut key = Vec::new();
    let meta = file.metadata()?;
    let is_private = meta.mode() & 0o077 == 0 && meta.uid() == rustix::process::geteuid().as_raw();
    (&mut file).take(64).read_to_end(&mut key)?;
    match <[u8; 32]>::try_from(key) {
        Ok(key) if is_private => Ok(Some(key)),
        _ => {
            fs::remove_file(path)?;
            Ok(None)
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const DIGEST: &str = "d1";

    /// Writes an entry, does something to the folder, and says what is found then.
    fn check(damage: impl FnOnce(&Path, &Path), found: Option<&[u8]>) {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("compiled");
        let cache = Cache::open(&dir, [7; 32]).unwrap();
        assert_eq!(cache.get(DIGEST), None);
        cache.put(DIGEST, b"code");
        damage(&dir, &cache.path(DIGEST));
        assert_eq!(Cache::open(&dir, [7; 32]).unwrap().get(DIGEST).as_deref(), found);
        assert_eq!(fs::metadata(&dir).unwrap().mode() & 0o777, 0o700);
        assert_eq!(fs::metadata(dir.join(KEY_FILE)).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn only_what_we_wrote_is_read_back() {
        check(|_, _| {}, Some(b"code"));
        for index in [0, 8, 39, 40, 43] {
            let flip = |_: &Path, entry: &Path| {
                let mut bytes = fs::read(entry).unwrap();
                bytes[index] ^= 1;
                fs::write(entry, bytes).unwrap();
            };
            check(flip, None);
        }
        check(|_, entry| fs::write(entry, b"").unwrap(), None);
        check(|_, entry| fs::write(entry, b"xdockc1\nshort").unwrap(), None);
        // Another plugin's entry under this one's name.
        let swap = |dir: &Path, entry: &Path| {
            let cache = Cache::open(dir, [7; 32]).unwrap();
            cache.put("d2", b"other");
            fs::rename(cache.path("d2"), entry).unwrap();
        };
        check(swap, None);
        // Another installation's key.
        check(|dir, _| fs::remove_file(dir.join(KEY_FILE)).unwrap(), None);
        let open = fs::Permissions::from_mode(0o644);
        check(|dir, _| fs::set_permissions(dir.join(KEY_FILE), open).unwrap(), None);
        check(|dir, _| fs::write(dir.join(KEY_FILE), b"short").unwrap(), None);
        let open = fs::Permissions::from_mode(0o755);
        check(|dir, _| fs::set_permissions(dir, open).unwrap(), Some(b"code"));
    }

    #[test]
    fn a_folder_of_someone_else_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        // Only root can give a folder away; another user cannot have one that is someone else's and is private.
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(dir.path(), Some(12_345), None).unwrap();
            let error = Cache::open(dir.path(), [7; 32]).unwrap_err();
            assert!(error.to_string().contains("it belongs to user 12345 and this is user 0"), "{error}");
        }
        if !rustix::process::geteuid().is_root() {
            assert!(matches!(Cache::open(Path::new("/"), [7; 32]), Err(CacheError::NotOurs { .. })));
        }
    }

    #[test]
    fn other_settings_find_nothing() {
        let dir = tempfile::tempdir().unwrap();
        Cache::open(dir.path(), [1; 32]).unwrap().put(DIGEST, b"code");
        assert_eq!(Cache::open(dir.path(), [2; 32]).unwrap().get(DIGEST), None);
    }

    #[test]
    fn the_cache_does_not_grow_without_limit() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path(), [1; 32]).unwrap();
        for n in 0..Limits::CACHE_MAX_ENTRIES + 3 {
            cache.put(&format!("d{n}"), b"code");
        }
        let entries = fs::read_dir(dir.path()).unwrap().count();
        // The entries and the key.
        assert_eq!(entries, Limits::CACHE_MAX_ENTRIES + 1);
    }
}
