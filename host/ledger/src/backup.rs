//! Copies of a ledger that is in use, and how it is seen whether such a copy is whole.
//!
//! A backup is a folder with the ledger as it was at one moment, and a manifest. It can be read like any data folder.

use crate::codec::to_json;
use crate::error::LedgerError;
use crate::files::{hash, make_dir, parent, remove_dir, sync_dir, sync_file};
use crate::lock::WriterLock;
use crate::schema::{self, FILE, FORMAT};
use crate::store::LedgerStore;
use crate::trace;
use crate::verify::{VerifyReport, Violation, verify};
use crate::writer::Need;
use crossdock_model::{Event, EventKind, Timestamp};
use rusqlite::backup::{Backup as Copying, StepResult};
use rusqlite::{Connection, OpenFlags};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The file beside the ledger in a backup.
const MANIFEST: &str = "manifest.json";
/// A manifest is never longer.
const MANIFEST_MAX_BYTES: u64 = 64 * 1024;
/// The pages that are copied at a time.
const PAGES_A_STEP: i32 = 256;

/// What a backup says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backup {
    /// When it was begun; what was acknowledged before is in it.
    pub at: Timestamp,
    /// The format of the ledger in it.
    pub format: u32,
    /// The size of the ledger's file.
    pub bytes: u64,
    /// The BLAKE3 hash of that file, in hexadecimal.
    pub blake3: String,
    /// How many rows which table has.
    pub rows: BTreeMap<String, i64>,
}

/// The manifest as it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    backup: Backup,
    /// The CRC-32 of `backup` as JSON without spaces.
    crc32: u32,
}

impl LedgerStore {
    /// Makes a backup while work goes on, as [`backup`] does, and notes it in the event log (`ledger-backed-up`).
    ///
    /// # Errors
    /// As [`backup`].
    pub async fn backup(&self, to: impl Into<PathBuf>, at: Timestamp) -> Result<Backup, LedgerError> {
        let (dir, to) = (self.dir().to_owned(), to.into());
        let (made, to) = self.aside(move || Ok((backup(dir, &to, at)?, to))).await?;
        let event = Event {
            at,
            kind: EventKind::LedgerBackedUp,
            run: None,
            step: None,
            record: None,
            message: format!("a backup of {} bytes was made in {}", made.bytes, to.display()),
            data: serde_json::json!({ "to": to.display().to_string(), "bytes": made.bytes, "blake3": made.blake3 }),
        };
        self.call(Need::Relief, move |work| {
            trace::append_event(work.conn, None, &event)?;
            work.count("event", 1);
            Ok(Ok(()))
        })
        .await?;
        Ok(made)
    }
}

/// Makes a backup of the ledger in `dir`: a folder `to`, which must not exist. Only reads, so a process may be writing
/// meanwhile, and goes on doing so; the write-ahead log grows until the backup is made. `to` appears when the backup is
/// whole and on disk: one that is broken off leaves nothing but a hidden folder beside it, which the next one clears.
///
/// # Errors
/// `ledger-backup-exists`; `ledger-missing`; `ledger-in-use` if the same backup is being made; damage that was met,
/// and whatever keeps the folder from being written.
pub fn backup(dir: impl AsRef<Path>, to: impl AsRef<Path>, at: Timestamp) -> Result<Backup, LedgerError> {
    let (dir, to) = (dir.as_ref(), to.as_ref());
    if to.symlink_metadata().is_ok() {
        return Err(LedgerError::BackupExists { to: to.to_owned() });
    }
    let source = schema::open_to_read(dir)?;
    make_dir(parent(to))?;
    let partial = beside(to, "partial")?;
    make_dir(&partial)?;
    let lock = WriterLock::take(&partial, None)?;
    for name in [FILE, MANIFEST, "ledger.db-journal", "ledger.db-wal", "ledger.db-shm"] {
        if partial.join(name).exists() {
            fs::remove_file(partial.join(name))?;
        }
    }
    let rows = copy(&source, &partial.join(FILE))?;
    drop(source);
    sync_file(&partial.join(FILE))?;
    let (blake3, bytes) = hash(&partial.join(FILE))?;
    let made = Backup { at, format: FORMAT, bytes, blake3, rows };
    write_manifest(&partial.join(MANIFEST), &made)?;
    sync_dir(&partial)?;
    // The other system calls fail if something has come to stand there meanwhile.
    fs::rename(&partial, to)?;
    sync_dir(parent(to))?;
    drop(lock);
    // It is of no more use, and does not matter.
    let _ = fs::remove_file(to.join("ledger.lock"));
    Ok(made)
}

/// A hidden folder beside a path, on the same disk.
fn beside(path: &Path, what: &str) -> Result<PathBuf, LedgerError> {
    match path.file_name() {
        Some(name) => Ok(parent(path).join(format!(".{}.{what}", name.to_string_lossy()))),
        None => Err(LedgerError::Storage { why: format!("{} is no name for a folder", path.display()) }),
    }
}

/// Copies the ledger as it is at one moment into one file; says how many rows which table has.
fn copy(source: &Connection, file: &Path) -> Result<BTreeMap<String, i64>, LedgerError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut target = Connection::open_with_flags(file, flags)?;
    // One moment for the whole copy: what is written meanwhile does not have it begin again.
    source.execute_batch("BEGIN")?;
    let rows = source
        .prepare("SELECT name, n FROM tally ORDER BY name")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    {
        let copying = Copying::new(source, &mut target)?;
        loop {
            match copying.step(PAGES_A_STEP)? {
                StepResult::Done => break,
                StepResult::More => {}
                other => {
                    let why = format!("copying the ledger to {} stopped: {other:?}", file.display());
                    return Err(LedgerError::Storage { why });
                }
            }
        }
    }
    source.execute_batch("COMMIT")?;
    // One file, which can be read without writing beside it.
    target.pragma_update_and_check(None, "journal_mode", "DELETE", |row| row.get::<_, String>(0))?;
    target.close().map_err(|(_, error)| error)?;
    Ok(rows)
}

fn write_manifest(file: &Path, backup: &Backup) -> Result<(), LedgerError> {
    let crc32 = crc32fast::hash(to_json(backup)?.as_bytes());
    let mut file = fs::File::create_new(file)?;
    file.write_all(to_json(&Manifest { backup: backup.clone(), crc32 })?.as_bytes())?;
    Ok(file.sync_all()?)
}

/// What the backup in a folder says of itself.
///
/// # Errors
/// `ledger-not-a-backup` if there is no manifest that was written with it.
pub(crate) fn read_manifest(path: &Path) -> Result<Backup, LedgerError> {
    let bad = |why: String| LedgerError::NotABackup { path: path.to_owned(), why };
    let file = path.join(MANIFEST);
    let bytes = fs::metadata(&file).map_err(|error| bad(format!("{MANIFEST} cannot be read: {error}")))?.len();
    if bytes > MANIFEST_MAX_BYTES {
        return Err(bad(format!("{MANIFEST} has {bytes} bytes, at most {MANIFEST_MAX_BYTES} make sense")));
    }
    let text = fs::read_to_string(&file).map_err(|error| bad(format!("{MANIFEST} cannot be read: {error}")))?;
    let manifest: Manifest =
        serde_json::from_str(&text).map_err(|error| bad(format!("{MANIFEST} is not one: {error}")))?;
    if manifest.crc32 != crc32fast::hash(to_json(&manifest.backup)?.as_bytes()) {
        return Err(bad(format!("{MANIFEST} was changed after it was written")));
    }
    if manifest.backup.format > FORMAT {
        let (dir, found) = (path.to_owned(), manifest.backup.format);
        return Err(LedgerError::NewerVersion { dir, found, supported: FORMAT });
    }
    Ok(manifest.backup)
}

/// What is wrong with the file of a ledger that was copied from a backup, or is the one in it.
pub(crate) fn differs(file: &Path, backup: &Backup) -> Result<Option<String>, LedgerError> {
    let (blake3, bytes) = hash(file)?;
    Ok(if bytes != backup.bytes {
        Some(format!("{FILE} has {bytes} bytes, it was made with {}", backup.bytes))
    } else if blake3 != backup.blake3 {
        Some(format!("{FILE} does not have the hash that it was made with"))
    } else {
        None
    })
}

/// Looks whether a backup is whole: first whether its file is as it was made (a violation of the kind `backup`), then
/// everything that [`verify`] looks at. A backup of an earlier format is copied beside itself for that and left as it is.
///
/// # Errors
/// `ledger-not-a-backup`; when it cannot be opened at all.
pub fn verify_backup(path: impl AsRef<Path>) -> Result<VerifyReport, LedgerError> {
    let path = path.as_ref();
    let backup = read_manifest(path)?;
    let wrong = differs(&path.join(FILE), &backup)?;
    let found = if backup.format == FORMAT { verify(path) } else { verify_copy(path) };
    match (wrong, found) {
        (None, found) => found,
        (Some(message), found) => {
            let mut report = found.unwrap_or_default();
            report.violations.insert(0, Violation { kind: "backup", message });
            Ok(report)
        }
    }
}

fn verify_copy(path: &Path) -> Result<VerifyReport, LedgerError> {
    let copy = beside(path, "verify")?;
    remove_dir(&copy)?;
    make_dir(&copy)?;
    fs::copy(path.join(FILE), copy.join(FILE))?;
    let report = verify(&copy);
    remove_dir(&copy)?;
    report
}
