//! The file: what is in it, and how lines are added so that each is there whole or not at all.

use crate::line::{self, HEAD_BYTES, Key, Says};
use crate::settings::{Lines, Plan};
use crossdock_sdk::{CallError, Failure, log};
use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasherDefault, Hasher};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::Path;

const CHUNK_BYTES: usize = 64 * 1024;

/// How many bytes are compared to see that a file is the same still. Enough to hold the key of a usual line.
const FENCE_BYTES: usize = 512;

/// What the store needs of a file, so that tests can break it.
pub(crate) trait Medium: Read + Write + Seek {
    fn length(&self) -> io::Result<u64>;
    fn cut(&mut self, length: u64) -> io::Result<()>;
    fn sync(&mut self) -> io::Result<()>;
}

impl Medium for File {
    fn length(&self) -> io::Result<u64> {
        self.metadata().map(|metadata| metadata.len())
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

/// Why lines could not be added.
#[derive(Debug)]
pub(crate) enum NotAdded {
    /// The file is as it was: none of them is there.
    Nothing(io::Error),
    /// It could not be put back: some of them may be there.
    Unknown(io::Error),
}

/// What is known of the file.
#[derive(Debug)]
pub(crate) struct Store {
    plan: Plan,
    /// The keys of the records that are in the file and not undone.
    keys: HashSet<Key, BuildHasherDefault<KeyHasher>>,
    /// How much of the file is known: whole lines, all on disk.
    known: u64,
    /// The last bytes of what is known, to see that it is the same file still.
    fence: Vec<u8>,
}

/// A last line without a line end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tail {
    None,
    /// What a crash left of one of our lines.
    Torn,
    /// Somebody else's line.
    Foreign,
}

impl Store {
    pub(crate) fn new(plan: Plan) -> Self {
        Self { plan, keys: HashSet::default(), known: 0, fence: Vec::new() }
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    pub(crate) fn has(&self, key: Key) -> bool {
        self.keys.contains(&key)
    }

    /// Notes that a record is in the file, or is about to be. False if it was there already.
    ///
    /// # Errors
    /// There are as many as there may be.
    pub(crate) fn insert(&mut self, key: Key) -> Result<bool, CallError> {
        if self.keys.len() >= self.plan.max_keys && !self.keys.contains(&key) {
            return Err(too_many_keys(&self.plan));
        }
        Ok(self.keys.insert(key))
    }

    /// Notes that a record is not in the file.
    pub(crate) fn remove(&mut self, key: Key) {
        self.keys.remove(&key);
    }

    /// Forgets everything, so that the file is read again the next time.
    pub(crate) fn forget(&mut self) {
        self.keys.clear();
        self.known = 0;
        self.fence.clear();
    }

    /// Opens the file for writing, making it if need be, learns what is new in it, and cuts off what a crash has
    /// left of a line. It is opened for each batch, so that a file that was moved away is not written to.
    pub(crate) fn open(&mut self) -> Result<File, CallError> {
        let path = self.plan.path.clone();
        let mut options = OpenOptions::new();
        let opened = options.read(true).write(true).create(true).truncate(false).open(&path).and_then(|file| {
            if file.length()? == 0 {
                // So that the name of a new file is on disk as well.
                File::open(directory_of(&path))?.sync_all()?;
            }
            Ok(file)
        });
        let mut file = opened.map_err(|error| cannot("be opened for writing", &path, &error))?;
        self.catch_up(&mut file)?;
        Ok(file)
    }

    /// Learns what is in the file without changing it. A file that is not there has nothing in it.
    pub(crate) fn look(&mut self) -> Result<(), CallError> {
        let path = self.plan.path.clone();
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound && directory_of(&path).is_dir() => {
                self.forget();
                return Ok(());
            }
            Err(error) => return Err(cannot("be read", &path, &error)),
        };
        let before = self.known;
        self.learn(&mut file)?;
        if self.known != before {
            // Only what is on disk is there.
            self.sync(&mut file)?;
        }
        Ok(())
    }

    /// Adds whole lines. When it returns `Ok` they are on disk.
    pub(crate) fn append<M: Medium>(&mut self, file: &mut M, lines: &[u8]) -> Result<(), NotAdded> {
        if lines.is_empty() {
            return Ok(());
        }
        let (known, end) = (self.known, self.known + lines.len() as u64);
        let Err(error) = add(file, known, lines) else {
            self.known = end;
            self.move_fence(lines);
            return Ok(());
        };
        let mut put_back = || {
            if file.length()? > end {
                return Err(io::Error::other("lines of another writer must not be cut off"));
            }
            file.cut(known)?;
            file.sync()?;
            file.length()
        };
        if put_back().is_ok_and(|length| length == known) {
            return Err(NotAdded::Nothing(error));
        }
        self.forget();
        Err(NotAdded::Unknown(error))
    }

    /// Brings what is known of the file up to date, and the file to whole lines that are on disk.
    fn catch_up<M: Medium>(&mut self, file: &mut M) -> Result<(), CallError> {
        let before = self.known;
        let tail = self.learn(file)?;
        let mended = match tail {
            Tail::None if self.known == before => return Ok(()),
            Tail::None => Ok(()),
            Tail::Torn => file.cut(self.known),
            Tail::Foreign => file.seek(SeekFrom::End(0)).and_then(|end| {
                file.write_all(b"\n")?;
                (self.known, self.fence) = (end + 1, Vec::new());
                Ok(())
            }),
        };
        if let Err(error) = mended {
            self.forget();
            return Err(cannot("be mended", &self.plan.path, &error));
        }
        // What an earlier instance wrote may not be on disk yet, and is about to be relied on.
        self.sync(file)
    }

    fn sync<M: Medium>(&mut self, file: &mut M) -> Result<(), CallError> {
        let synced = file.sync();
        if synced.is_err() {
            self.forget();
        }
        synced.map_err(|error| cannot("be synced", &self.plan.path, &error))
    }

    /// Learns what was added to the file since it was looked at last, and how its last line ends.
    fn learn<M: Medium>(&mut self, file: &mut M) -> Result<Tail, CallError> {
        let read = self.learn_new(file);
        let learned = read.unwrap_or_else(|error| Err(cannot("be read", &self.plan.path, &error)));
        if learned.is_err() {
            self.forget();
        }
        learned
    }

    fn learn_new<M: Medium>(&mut self, file: &mut M) -> io::Result<Result<Tail, CallError>> {
        let length = file.length()?;
        if length < self.known || !self.is_same(file)? {
            let path = self.plan.path.display();
            log::warn(format!("{path} was cut or replaced by another file: it is read again from its beginning"));
            self.forget();
        }
        if length == self.known {
            return Ok(Ok(Tail::None));
        }
        let learned = match self.plan.lines {
            Lines::Envelope => self.read_keys(file)?,
            Lines::Payload => Ok(self.find_last_line(file, length)?),
        };
        let fence = self.known.min(FENCE_BYTES as u64);
        self.fence.resize(fence as usize, 0);
        file.seek(SeekFrom::Start(self.known - fence))?;
        file.read_exact(&mut self.fence)?;
        Ok(learned)
    }

    /// Whether what is known ends as it did. The file is at least as long.
    fn is_same<M: Medium>(&self, file: &mut M) -> io::Result<bool> {
        let mut found = vec![0; self.fence.len()];
        file.seek(SeekFrom::Start(self.known - self.fence.len() as u64))?;
        file.read_exact(&mut found)?;
        Ok(found == self.fence)
    }

    fn move_fence(&mut self, added: &[u8]) {
        let new = added.get(added.len().saturating_sub(FENCE_BYTES)..).unwrap_or_default();
        let old = self.fence.len().saturating_sub(FENCE_BYTES - new.len());
        self.fence.drain(..old.min(self.fence.len()));
        self.fence.extend_from_slice(new);
    }

    /// Reads the keys of all lines that are not known yet.
    fn read_keys<M: Medium>(&mut self, file: &mut M) -> io::Result<Result<Tail, CallError>> {
        let mut position = file.seek(SeekFrom::Start(self.known))?;
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut head = Vec::with_capacity(HEAD_BYTES);
        loop {
            let got = file.read(&mut chunk)?;
            if got == 0 {
                break;
            }
            let mut rest = chunk.get(..got).unwrap_or_default();
            while !rest.is_empty() {
                let feed = memchr::memchr(b'\n', rest);
                let (part, after) = rest.split_at(feed.map_or(rest.len(), |at| at + 1));
                let room = HEAD_BYTES - head.len();
                head.extend_from_slice(part.get(..room.min(part.len())).unwrap_or_default());
                position += part.len() as u64;
                rest = after;
                if feed.is_none() {
                    break;
                }
                if let Err(error) = self.note(line::read(&head)) {
                    return Ok(Err(error));
                }
                head.clear();
                self.known = position;
            }
        }
        Ok(Ok(match position == self.known {
            true => Tail::None,
            false if line::may_be_torn(&head) => Tail::Torn,
            false => Tail::Foreign,
        }))
    }

    fn note(&mut self, says: Says) -> Result<(), CallError> {
        match says {
            Says::Written(key) => self.insert(key).map(|_| ()),
            Says::Undone(key) => {
                self.remove(key);
                Ok(())
            }
            Says::Nothing => Ok(()),
        }
    }

    /// Finds the end of the last whole line, from the end of the file. Nothing tells ours from those of others.
    fn find_last_line<M: Medium>(&mut self, file: &mut M, length: u64) -> io::Result<Tail> {
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut end = length;
        while end > self.known {
            let start = self.known.max(end.saturating_sub(CHUNK_BYTES as u64));
            let part = chunk.get_mut(..usize::try_from(end - start).unwrap_or(CHUNK_BYTES)).unwrap_or_default();
            file.seek(SeekFrom::Start(start))?;
            file.read_exact(part)?;
            if let Some(feed) = memchr::memrchr(b'\n', part) {
                self.known = start + feed as u64 + 1;
                break;
            }
            end = start;
        }
        Ok(if self.known == length { Tail::None } else { Tail::Torn })
    }
}

/// Writes lines at the end of what is known, and makes sure that they are there.
fn add<M: Medium>(file: &mut M, known: u64, lines: &[u8]) -> io::Result<()> {
    file.seek(SeekFrom::Start(known))?;
    file.write_all(lines)?;
    file.sync()?;
    let (length, end) = (file.length()?, known + lines.len() as u64);
    if length != end {
        let text = format!("the file has {length} bytes instead of {end}: does something else write to it?");
        return Err(io::Error::other(text));
    }
    Ok(())
}

/// A hash that is one already: the host makes keys by hashing.
#[derive(Debug, Default)]
struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, key: u128) {
        self.0 = key as u64 ^ (key >> 64) as u64;
    }
}

/// The directory that a file is in.
pub(crate) fn directory_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("/"))
}

/// What is said when a file cannot be used; nothing was written then.
#[cold]
pub(crate) fn cannot(what: &str, path: &Path, error: &io::Error) -> CallError {
    let (file, directory) = (path.display(), directory_of(path).display());
    if error.kind() == ErrorKind::StorageFull || error.kind() == ErrorKind::QuotaExceeded {
        let message = format!("the file `{file}` cannot {what}: the disk or its quota is full ({error}); make room");
        return CallError::unavailable(Failure::new("disk-full", message));
    }
    let seen = |path: &Path| path != Path::new("/") && fs::metadata(path).is_ok();
    if !directory_of(path).ancestors().any(seen) {
        let message = format!(
            "the directory `{directory}` is not granted to this plugin: add it to the step in the route, for example \
             grants = {{ dirs = [{{ host = \"out\", guest = \"{directory}\", write = true }}] }}"
        );
        return CallError::not_granted(Failure::new("not-granted", message).pointer("/file"));
    }
    match error.kind() {
        ErrorKind::NotFound => {
            let message = format!("there is no directory `{directory}` for the file `{file}`: make it");
            CallError::unavailable(Failure::new("no-directory", message).pointer("/file"))
        }
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            let message = format!(
                "the file `{file}` cannot {what}: {error}; grant its directory with write = true, and let the host's user \
                 write there"
            );
            CallError::not_granted(Failure::new("not-writable", message).pointer("/file"))
        }
        _ => CallError::unavailable(Failure::new("file-unusable", format!("the file `{file}` cannot {what}: {error}"))),
    }
}

#[cold]
fn too_many_keys(plan: &Plan) -> CallError {
    let message = format!(
        "the file `{}` holds {} records, which is all that `max_keys` allows: give the step another file, or raise \
         `max_keys` and the plugin's memory",
        plan.path.display(),
        plan.max_keys
    );
    CallError::invalid_settings(Failure::new("too-many-keys", message).pointer("/max_keys"))
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
