//! The values of an instance's secrets: those from files are read anew when their file has changed.

use crate::grants::{SecretGrant, SecretValue};
use crate::known_secrets::KnownSecrets;
use crate::redact::{Redactor, SECRET_MIN_BYTES};
use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use zeroize::Zeroizing;

/// The largest file that is read as a secret.
const SECRET_MAX_BYTES: usize = 64 << 10;
/// For so long after a file has changed it is read at every use: two changes may have the same time.
const UNSETTLED: Duration = Duration::from_secs(2);

/// A value that is overwritten when nobody needs it any more.
pub(crate) type Value = Arc<Zeroizing<Vec<u8>>>;

/// Reads a secret from its file: the content without one line break at its end. Overwritten when it is dropped.
///
/// # Errors
/// When the file cannot be read, or is larger than 64 KiB.
pub fn read_secret(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let file = File::open(path)?;
    // With room enough from the start, no copy of the value is left behind by growing.
    let mut bytes = Zeroizing::new(Vec::with_capacity(SECRET_MAX_BYTES + 1));
    file.take(SECRET_MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > SECRET_MAX_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it is larger than {SECRET_MAX_BYTES} bytes")));
    }
    for end in [b'\n', b'\r'] {
        if bytes.last() == Some(&end) {
            bytes.pop();
        }
    }
    Ok(bytes)
}

/// The secrets of an instance, shared by all that the host runs of it.
pub(crate) struct SecretValues {
    secrets: Mutex<Vec<Secret>>,
    known: KnownSecrets,
}

/// One secret.
struct Secret {
    name: String,
    reveal: bool,
    /// As it was read last.
    value: Option<Value>,
    file: Option<Watched>,
}

/// A file as it was when it was read last.
struct Watched {
    path: PathBuf,
    seen: Option<Stamp>,
    settled_at: Instant,
    /// That it cannot be read was told already.
    told: bool,
}

impl SecretValues {
    pub(crate) fn new(grants: &[SecretGrant], known: KnownSecrets) -> Self {
        let secret = |grant: &SecretGrant| {
            let (value, file) = match &grant.value {
                SecretValue::Fixed(value) => (value.clone().map(|value| Arc::new(Zeroizing::new(value))), None),
                SecretValue::File(path) => (None, Some(Watched::new(path.clone()))),
            };
            // One that could not be told from ordinary text is none.
            let value = value.filter(|value| value.len() >= SECRET_MIN_BYTES);
            let mut secret = Secret { name: grant.name.clone(), reveal: grant.reveal, value, file };
            secret.look();
            secret
        };
        let secrets: Vec<Secret> = grants.iter().map(secret).collect();
        known.learn(secrets.iter().filter_map(Secret::named));
        Self { secrets: Mutex::new(secrets), known }
    }

    /// The place of a secret.
    pub(crate) fn position(&self, name: &str) -> Option<usize> {
        self.secrets().iter().position(|secret| secret.name == name)
    }

    /// Whether the plugin may see the value.
    pub(crate) fn reveals(&self, position: usize) -> bool {
        self.secrets().get(position).is_some_and(|secret| secret.reveal)
    }

    /// The value as it is now. One whose file is gone, empty or unreadable at the moment is the one that was read
    /// last: it may be about to be replaced.
    pub(crate) fn value(&self, position: usize) -> Option<Value> {
        let mut secrets = self.secrets();
        let secret = secrets.get_mut(position)?;
        if secret.look() {
            // Before the value is used anywhere, so that it is known wherever it comes back.
            self.known.learn(secret.named());
        }
        secret.value.clone()
    }

    /// Knows these values and those of all other plugins, as they are and as they were.
    pub(crate) fn redactor(&self) -> Arc<Redactor> {
        self.known.redactor()
    }

    fn secrets(&self) -> MutexGuard<'_, Vec<Secret>> {
        self.secrets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Secret {
    fn named(&self) -> Option<(&str, &[u8])> {
        Some((self.name.as_str(), self.value.as_ref()?.as_slice()))
    }

    /// Reads the file if it changed; whether there is a new value.
    fn look(&mut self) -> bool {
        let Some(file) = &mut self.file else { return false };
        let read = match file.read_if_changed(self.value.is_none()) {
            Ok(Some(read)) if read.len() >= SECRET_MIN_BYTES => read,
            Ok(Some(read)) if !read.is_empty() => {
                let path = file.path.display();
                tracing::warn!(secret = %self.name, %path, "the file of a secret holds less than {SECRET_MIN_BYTES} bytes, which could not be kept out of texts; the value read last goes on");
                return false;
            }
            Ok(_) => return false,
            Err(error) => {
                if !std::mem::replace(&mut file.told, true) {
                    let path = file.path.display();
                    tracing::warn!(secret = %self.name, %path, %error, "the file of a secret cannot be read; the value read last goes on");
                }
                return false;
            }
        };
        if self.value.as_ref().is_some_and(|value| **value == read) {
            return false;
        }
        self.value = Some(Arc::new(read));
        true
    }
}

impl Watched {
    fn new(path: PathBuf) -> Self {
        Self { path, seen: None, settled_at: Instant::now(), told: false }
    }

    /// What the file holds, unless it is certainly what was read before. A file that is not there is no error as
    /// long as none was: the project has no value at the moment.
    fn read_if_changed(&mut self, never_read: bool) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
        let found = match std::fs::metadata(&self.path) {
            Err(error) if never_read && error.kind() == io::ErrorKind::NotFound => return Ok(None),
            found => found?,
        };
        // What is no file, for example a pipe, gives its content once.
        if !never_read && !found.is_file() {
            return Ok(None);
        }
        let (now, stamp) = (Instant::now(), Stamp::of(&found));
        if self.seen.as_ref() != Some(&stamp) {
            self.settled_at = now + UNSETTLED;
        } else if now >= self.settled_at {
            return Ok(None);
        }
        let read = read_secret(&self.path)?;
        // Only now: what could not be read is tried again.
        self.seen = Some(stamp);
        self.told = false;
        Ok(Some(read))
    }
}

/// What changes with a file.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    bytes: u64,
    modified: Option<std::time::SystemTime>,
    #[cfg(unix)]
    inode: [i64; 4],
}

impl Stamp {
    fn of(found: &Metadata) -> Self {
        #[cfg(unix)]
        use std::os::unix::fs::MetadataExt as _;
        Self {
            bytes: found.len(),
            modified: found.modified().ok(),
            #[cfg(unix)]
            inode: [found.dev().cast_signed(), found.ino().cast_signed(), found.ctime(), found.ctime_nsec()],
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::fs;

    fn grant(name: &str, value: SecretValue) -> SecretGrant {
        SecretGrant { name: name.to_owned(), value, reveal: false, to: vec![] }
    }

    /// What a file is made to hold, and the value that is used then.
    fn check(steps: &[(Option<&str>, Option<&str>)]) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let secrets = SecretValues::new(
            &[grant("FIXED", Some(b"fixed-value".to_vec()).into()), grant("TOKEN", SecretValue::File(path.clone()))],
            KnownSecrets::default(),
        );
        for (number, (content, expected)) in steps.iter().enumerate() {
            match content {
                Some(content) => fs::write(&path, content).unwrap(),
                None => drop(fs::remove_file(&path)),
            }
            let value = secrets.value(1).map(|value| String::from_utf8(value.to_vec()).unwrap());
            assert_eq!(value.as_deref(), *expected, "step {number} of {steps:?}");
            assert_eq!(secrets.value(0).unwrap().as_slice(), b"fixed-value");
            for known in steps[..=number].iter().filter_map(|(_, used)| *used) {
                let clean = secrets.redactor().redact(&format!("said {known} and fixed-value")).into_owned();
                assert_eq!(clean, "said [secret TOKEN] and [secret FIXED]", "step {number} of {steps:?}");
            }
        }
    }

    #[test]
    fn a_value_is_that_of_its_file() {
        check(&[(Some("one-1\n"), Some("one-1")), (Some("one-1"), Some("one-1")), (Some("two-2\r\n"), Some("two-2"))]);
        // The same size within the same tick of the file system's clock.
        check(&[(Some("aaaa-1"), Some("aaaa-1")), (Some("bbbb-2"), Some("bbbb-2")), (Some("cccc-3"), Some("cccc-3"))]);
        // Not there at first; later gone or empty for a moment, as when it is about to be replaced.
        check(&[
            (None, None),
            (Some("first-1"), Some("first-1")),
            (None, Some("first-1")),
            (Some(""), Some("first-1")),
        ]);
        // Too short to be one.
        check(&[(Some("one"), None), (Some("first-1"), Some("first-1")), (Some("two"), Some("first-1"))]);
        check(&[(Some("new-1"), Some("new-1")), (None, Some("new-1")), (Some("new-2"), Some("new-2"))]);
        // Back to an old one.
        check(&[(Some("old-1"), Some("old-1")), (Some("new-2"), Some("new-2")), (Some("old-1"), Some("old-1"))]);
    }

    #[test]
    fn a_file_that_replaces_another_is_noticed_long_after() {
        let folder = tempfile::tempdir().unwrap();
        let (path, next) = (folder.path().join("token"), folder.path().join("next"));
        fs::write(&path, "value-1").unwrap();
        let secrets = SecretValues::new(&[grant("TOKEN", SecretValue::File(path.clone()))], KnownSecrets::default());
        {
            // As if its time were over in which it is read at every use.
            secrets.secrets()[0].file.as_mut().unwrap().settled_at = Instant::now();
        }
        fs::write(&next, "value-2").unwrap();
        fs::rename(&next, &path).unwrap();
        assert_eq!(secrets.value(0).unwrap().as_slice(), b"value-2");
    }

    #[test]
    fn what_cannot_be_a_secret_leaves_the_value_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        fs::write(&path, "value-1").unwrap();
        let secrets = SecretValues::new(&[grant("TOKEN", SecretValue::File(path.clone()))], KnownSecrets::default());
        fs::write(&path, vec![b'x'; SECRET_MAX_BYTES + 1]).unwrap();
        assert_eq!(secrets.value(0).unwrap().as_slice(), b"value-1");
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert_eq!(secrets.value(0).unwrap().as_slice(), b"value-1");
    }
}
