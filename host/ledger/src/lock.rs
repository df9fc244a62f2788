//! One writer a data folder: a lock on a file that the operating system lets go when its process ends.

use crate::error::LedgerError;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;

const FILE: &str = "ledger.lock";
/// A reader that looks whether a writer lives holds the lock for a moment; a writer tries again this often.
const TRIES_MAX: u32 = 20;
const BETWEEN_TRIES_MS: u64 = 5;

/// Held as long as a process may write.
#[derive(Debug)]
pub(crate) struct WriterLock {
    _file: File,
}

impl WriterLock {
    /// Takes the lock and notes the number of this process in the file, for who is refused.
    pub(crate) fn take(dir: &Path, process: Option<u32>) -> Result<Self, LedgerError> {
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(dir.join(FILE))?;
        for attempt in 1..=TRIES_MAX {
            match file.try_lock() {
                Ok(()) => {
                    file.set_len(0)?;
                    file.seek(SeekFrom::Start(0))?;
                    if let Some(process) = process {
                        write!(file, "{process}")?;
                    }
                    return Ok(Self { _file: file });
                }
                Err(TryLockError::WouldBlock) if attempt < TRIES_MAX => {
                    std::thread::sleep(Duration::from_millis(BETWEEN_TRIES_MS));
                }
                Err(TryLockError::WouldBlock) => break,
                Err(TryLockError::Error(error)) => return Err(error.into()),
            }
        }
        let mut text = String::new();
        // The number only helps the reader of the message.
        let _ = file.read_to_string(&mut text);
        Err(LedgerError::InUse { dir: dir.to_owned(), pid: text.trim().parse().ok() })
    }

    /// Whether a process holds the lock.
    pub(crate) fn is_held(dir: &Path) -> bool {
        File::open(dir.join(FILE)).is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }
}
