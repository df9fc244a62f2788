//! Compiled code, kept on disk for the next start.
//!
//! Machine code is believed, so only what this installation wrote is read back: the folder is ours
//! alone, and each entry carries a keyed hash over its content, its plugin's digest and the engine's
//! settings. Whatever does not match is thrown away and compiled again. What is in the folder and is no file, like a
//! link or a pipe, is never followed or waited for, and an entry is read no further than one may be long.

use crate::limits::Limits;
use crossdock_model::{ErrorClass, Explained};
use rustix::fs::OFlags;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// The first bytes of an entry.
const MAGIC: &[u8; 8] = b"xdockc1\n";
/// What stands before the code: these, and the seal.
const HEAD_BYTES: usize = MAGIC.len() + 32;
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

/// Compiled code that we wrote, as it was read: behind its head, so that megabytes need not be moved.
#[derive(Debug)]
pub(crate) struct Code {
    entry: Vec<u8>,
}

impl Code {
    pub(crate) fn bytes(&self) -> &[u8] {
        self.entry.get(HEAD_BYTES..).unwrap_or_default()
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

/// How often the key is looked for again that another process is about to write or throw away.
const KEY_TRIES_MAX: usize = 8;

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
        let length = (digest.len() as u64).to_le_bytes();
        hasher.update(MAGIC).update(&self.settings).update(&length).update(digest.as_bytes()).update(code);
        *hasher.finalize().as_bytes()
    }

    /// Compiled code of the plugin with this digest, if there is any that we wrote.
    pub(crate) fn get(&self, digest: &str) -> Option<Code> {
        let path = self.path(digest);
        let entry = match read_file(&path, Limits::CACHE_ENTRY_MAX_BYTES) {
            Ok(entry) => entry,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "could not read a compiled plugin");
                return None;
            }
        };
        let code = entry.and_then(|entry| self.unsealed(digest, entry));
        if code.is_none() {
            tracing::warn!(path = %path.display(), "threw away a compiled plugin that this installation did not write");
            let _ = remove(&path);
        }
        code
    }

    /// The code in an entry, if we wrote it for this plugin.
    fn unsealed(&self, digest: &str, entry: Vec<u8>) -> Option<Code> {
        let (magic, rest) = entry.split_at_checked(MAGIC.len())?;
        let (written, code) = rest.split_first_chunk::<32>()?;
        // Comparison of `blake3::Hash` takes the same time wherever the first difference is.
        let is_ours = magic == MAGIC
            && !code.is_empty()
            && blake3::Hash::from_bytes(self.seal(digest, code)) == blake3::Hash::from_bytes(*written);
        is_ours.then_some(Code { entry })
    }

    /// Keeps compiled code. That it could not be kept costs time at the next start, and nothing else.
    pub(crate) fn put(&self, digest: &str, code: &[u8]) {
        if let Err(error) = self.try_put(digest, code) {
            tracing::warn!(dir = %self.dir.display(), %error, "could not keep a compiled plugin");
        }
    }

    fn try_put(&self, digest: &str, code: &[u8]) -> io::Result<()> {
        if (HEAD_BYTES + code.len()) as u64 > Limits::CACHE_ENTRY_MAX_BYTES {
            return Err(io::Error::other("it is larger than an entry may be (CACHE_ENTRY_MAX_BYTES)"));
        }
        let path = self.path(digest);
        // A file cannot take the place of a folder.
        if fs::symlink_metadata(&path).is_ok_and(|found| found.is_dir()) {
            remove(&path)?;
        }
        with_temporary(&self.dir, |file, temporary| {
            file.write_all(MAGIC)?;
            file.write_all(&self.seal(digest, code))?;
            file.write_all(code)?;
            fs::rename(temporary, &path)
        })?;
        self.prune()
    }

    /// Removes the oldest entries over the limits, and what was left by processes that died while they wrote.
    fn prune(&self) -> io::Result<()> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            // Other processes may have removed it since.
            let Ok(entry) = entry else { continue };
            let is_ours = entry.path().extension().is_some_and(|extension| extension == "bin" || extension == "tmp");
            if let (true, Ok(meta)) = (is_ours, entry.metadata()) {
                entries.push((meta.modified()?, meta.len(), entry.path()));
            }
        }
        entries.sort();
        let (mut count, mut bytes) = (entries.len(), entries.iter().map(|(_, len, _)| len).sum::<u64>());
        for (_, len, path) in &entries {
            if count <= Limits::CACHE_MAX_ENTRIES && bytes <= Limits::CACHE_MAX_BYTES {
                break;
            }
            remove(path)?;
            (count, bytes) = (count - 1, bytes - len);
        }
        Ok(())
    }
}

/// The content of what is at a path, if it is a file and not longer, and what is known of it: no link is followed, and a
/// pipe does not make us wait. `None` if it is something else.
fn read_file_with(path: &Path, max_bytes: u64) -> io::Result<Option<(Vec<u8>, fs::Metadata)>> {
    if !fs::symlink_metadata(path)?.is_file() {
        return Ok(None);
    }
    // It may have been exchanged since.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() || meta.len() > max_bytes {
        return Ok(None);
    }
    let mut content = Vec::with_capacity(usize::try_from(meta.len()).unwrap_or(0).saturating_add(1));
    file.take(max_bytes + 1).read_to_end(&mut content)?;
    Ok((content.len() as u64 <= max_bytes).then_some((content, meta)))
}

fn read_file(path: &Path, max_bytes: u64) -> io::Result<Option<Vec<u8>>> {
    Ok(read_file_with(path, max_bytes)?.map(|(content, _)| content))
}

/// Removes what is at a path, whatever it is. That it is not there is as good.
fn remove(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Makes a new file that only we can read, and removes it unless `work` puts it elsewhere.
fn with_temporary<T>(dir: &Path, work: impl FnOnce(&mut File, &Path) -> io::Result<T>) -> io::Result<T> {
    // A name that nobody had before: a process that died may have left files, and have had the same id.
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
    let name: String = random.iter().map(|b| format!("{b:02x}")).collect();
    let temporary = dir.join(format!("{name}.tmp"));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    let done = work(&mut file, &temporary);
    let _ = remove(&temporary);
    done
}

/// The installation's key. Written whole and then linked into place: processes that start together agree on one.
fn read_or_make_key(path: &Path) -> io::Result<[u8; 32]> {
    let dir = path.parent().unwrap_or(Path::new("."));
    for _ in 0..KEY_TRIES_MAX {
        if let Some(key) = read_key(path)? {
            return Ok(key);
        }
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(|error| io::Error::other(error.to_string()))?;
        let linked = with_temporary(dir, |file, temporary| {
            file.write_all(&key)?;
            file.sync_all()?;
            fs::hard_link(temporary, path)
        });
        match linked {
            Ok(()) => return Ok(key),
            // Another process was faster: its key is taken, unless a third one has thrown it away again.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("its key is changed by other processes all the time"))
}

/// The key, if there is one that is ours and that only we can read. Any other is thrown away, and with it all
/// entries that were written under it.
fn read_key(path: &Path) -> io::Result<Option<[u8; 32]>> {
    let found = match read_file_with(path, 32) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        found => found?,
    };
    let us = rustix::process::geteuid().as_raw();
    let ours = found.filter(|(_, meta)| meta.mode() & 0o077 == 0 && meta.uid() == us);
    match ours.and_then(|(key, _)| <[u8; 32]>::try_from(key).ok()) {
        Some(key) => Ok(Some(key)),
        None => remove(path).map(|()| None),
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
        assert!(cache.get(DIGEST).is_none());
        cache.put(DIGEST, b"code");
        damage(&dir, &cache.path(DIGEST));
        assert_eq!(Cache::open(&dir, [7; 32]).unwrap().get(DIGEST).as_ref().map(Code::bytes), found);
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
        assert!(Cache::open(dir.path(), [2; 32]).unwrap().get(DIGEST).is_none());
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
