//! Room that is kept free: a file of ballast on the disk, and a part of the ledger's own limit. Both are given up when
//! nothing more fits, so that the outcomes of what is under way can still be written.

use crate::error::LedgerError;
use rusqlite::Connection;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The file that only takes up room.
const FILE: &str = "ledger.ballast";
/// The size of that file, if nothing else is said.
pub const BALLAST_BYTES: u64 = 4 * 1024 * 1024;
/// The least that it can be told to have.
const BALLAST_MIN_BYTES: u64 = 64 * 1024;
/// At most this part of the ledger's limit is kept free.
const OF_LIMIT: u64 = 8;
const BLOCK_BYTES: usize = 64 * 1024;

/// What is kept free, and whether it is at the moment.
#[derive(Debug)]
pub(crate) struct Room {
    file: PathBuf,
    ballast_bytes: u64,
    /// The most bytes that the database may have, as it was last applied.
    limit: Option<u64>,
}

impl Room {
    /// For the ledger in a folder. Nothing is kept free yet.
    pub(crate) fn new(dir: &Path, ballast_bytes: u64) -> Self {
        Self { file: dir.join(FILE), ballast_bytes: ballast_bytes.max(BALLAST_MIN_BYTES), limit: None }
    }

    /// Keeps room free, under this limit of the database; says whether there is that much.
    pub(crate) fn keep(&mut self, conn: &Connection, limit: Option<u64>) -> Result<bool, LedgerError> {
        self.limit = limit;
        if let Some(limit) = limit {
            let page = pragma(conn, "page_size")?.max(1);
            let reserve = signed(self.ballast_bytes.min(limit / OF_LIMIT)) / page;
            let pages = (signed(limit) / page).max(1);
            if pragma(conn, "page_count")? + reserve > pages {
                set_pages_max(conn, pages)?;
                return Ok(false);
            }
            set_pages_max(conn, pages - reserve)?;
        } else {
            set_pages_max(conn, i64::from(u32::MAX) - 1)?;
        }
        self.make_ballast()
    }

    /// Gives up what was kept free.
    pub(crate) fn release(&mut self, conn: &Connection) -> Result<(), LedgerError> {
        self.give_up_ballast()?;
        if let Some(limit) = self.limit {
            let page = pragma(conn, "page_size")?.max(1);
            set_pages_max(conn, (signed(limit) / page).max(1))?;
        }
        Ok(())
    }

    /// Removes the file that only takes up room; says whether there was one.
    pub(crate) fn give_up_ballast(&self) -> Result<bool, LedgerError> {
        match std::fs::remove_file(&self.file) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// There must be room for it twice, so that something is left beside it.
    fn make_ballast(&self) -> Result<bool, LedgerError> {
        if std::fs::metadata(&self.file).is_ok_and(|found| found.len() == self.ballast_bytes) {
            return Ok(true);
        }
        let written = self.write_ballast();
        if written.is_err() {
            // Half of it would be in the way.
            let _ = std::fs::remove_file(&self.file);
        }
        match written {
            Ok(()) => Ok(true),
            Err(error) => match error.into() {
                LedgerError::DiskFull => Ok(false),
                error => Err(error),
            },
        }
    }

    fn write_ballast(&self) -> std::io::Result<()> {
        // Not zeros: some file systems keep no room for those.
        let mut block = vec![0u8; BLOCK_BYTES];
        let mut noise = 0x9e37_79b9_7f4a_7c15u64;
        for bytes in block.chunks_exact_mut(8) {
            noise ^= noise << 13;
            noise ^= noise >> 7;
            noise ^= noise << 17;
            bytes.copy_from_slice(&noise.to_le_bytes());
        }
        let mut file = std::fs::File::create(&self.file)?;
        let mut left = self.ballast_bytes.saturating_mul(2);
        while left > 0 {
            let now = usize::try_from(left).unwrap_or(BLOCK_BYTES).min(BLOCK_BYTES);
            file.write_all(&block[..now])?;
            left -= now as u64;
        }
        file.set_len(self.ballast_bytes)
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

fn pragma(conn: &Connection, name: &str) -> Result<i64, LedgerError> {
    Ok(conn.pragma_query_value(None, name, |row| row.get(0))?)
}

fn set_pages_max(conn: &Connection, pages: i64) -> Result<(), LedgerError> {
    conn.pragma_update_and_check(None, "max_page_count", pages, |row| row.get::<_, i64>(0))?;
    Ok(())
}
