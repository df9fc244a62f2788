//! A ledger made from a backup.
//!
//! Whatever happened between the backup and now is not in it, and may have happened outside all the same. So nothing
//! that was under way is taken for done or undone; and since a checkpoint is in the same transaction as what came before it, the
//! sources give again what came after it: it is sent again, with the same idempotency keys.

use crate::backup::{Backup, differs, read_manifest};
use crate::error::LedgerError;
use crate::files::{make_dir, make_ready, put_in_place, remove_dir, sync_file};
use crate::lock::WriterLock;
use crate::recovery::{self, Ended};
use crate::schema::{self, FILE};
use crate::trace;
use crate::verify::verify;
use crate::work::{Memory, Work};
use crossdock_model::{Event, EventKind, Timestamp};
use rusqlite::{Connection, TransactionBehavior};
use std::fs;
use std::path::{Path, PathBuf};

/// Where the ledger is made, within the data folder.
const PARTIAL: &str = "restore.partial";

/// How a backup is restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestoreOptions {
    /// The time now.
    pub now: Timestamp,
    /// A ledger in which something is may be replaced. It is kept, in a folder `replaced-N` of the data folder.
    pub replace: bool,
    /// The number of this process, for who finds the ledger in use.
    pub process: Option<u32>,
}

/// What [`restore`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoreReport {
    /// The backup.
    pub backup: Backup,
    /// Records that were under way in it and are `indeterminate` now.
    pub in_doubt: u64,
    /// Runs that were running in it and have `failed` now.
    pub runs_failed: u64,
    /// Where the ledger is kept that was there before.
    pub replaced: Option<PathBuf>,
}

/// Makes the ledger in `dir` from the backup in the folder `from`, which stays as it is. Verifies the copy first. What
/// was under way when the backup was made is settled as after the death of a process: records that may have been
/// applied become `indeterminate`, runs that were running have `failed`. The event `ledger-restored` marks the place in
/// the log.
///
/// What was done between the backup and now may have been done outside and is not known any more. Sources that can
/// read again give the records after the restored checkpoints again: those are sent again with the same idempotency
/// keys. Records that failed or waited in the backup may have gone through since; put through again, they are sent with
/// the same keys as well.
///
/// It happens as a whole: broken off at any moment, the ledger is as before, or the restored one.
///
/// # Errors
/// `ledger-not-empty` if something is in the ledger and `replace` is not given; `ledger-not-a-backup`;
/// `ledger-backup-damaged`; `ledger-in-use`; whatever keeps the folder from being written.
pub fn restore(
    from: impl AsRef<Path>,
    dir: impl AsRef<Path>,
    options: RestoreOptions,
) -> Result<RestoreReport, LedgerError> {
    let (from, dir) = (from.as_ref(), dir.as_ref());
    let backup = read_manifest(from)?;
    make_dir(dir)?;
    let _lock = WriterLock::take(dir, options.process)?;
    put_in_place(dir)?;
    if !options.replace && !is_empty(dir) {
        return Err(LedgerError::NotEmpty { dir: dir.to_owned() });
    }
    let partial = dir.join(PARTIAL);
    remove_dir(&partial)?;
    make_dir(&partial)?;
    let (in_doubt, runs_failed) = match make(from, &partial, &backup, options.now) {
        Ok(numbers) => numbers,
        Err(error) => {
            // What went wrong matters more than that this folder stays behind.
            let _ = remove_dir(&partial);
            return Err(error);
        }
    };
    make_ready(dir, &partial)?;
    let replaced = put_in_place(dir)?;
    Ok(RestoreReport { backup, in_doubt, runs_failed, replaced })
}

/// Whether there is no ledger, or one in which nothing ever happened.
fn is_empty(dir: &Path) -> bool {
    if !dir.join(FILE).exists() {
        return true;
    }
    let nothing = |conn: Connection| -> Result<bool, LedgerError> {
        let sql = "SELECT NOT EXISTS (SELECT 1 FROM route) AND NOT EXISTS (SELECT 1 FROM event)";
        Ok(conn.query_row(sql, [], |row| row.get(0))?)
    };
    schema::open_to_read(dir).and_then(nothing).unwrap_or(false)
}

/// Makes the restored ledger in a folder of its own, up to date and on disk; says how many records are in doubt and how
/// many runs have failed.
fn make(from: &Path, partial: &Path, backup: &Backup, now: Timestamp) -> Result<(u64, u64), LedgerError> {
    let damaged = |why: String| LedgerError::BackupDamaged { path: from.to_owned(), why };
    fs::copy(from.join(FILE), partial.join(FILE))?;
    if let Some(why) = differs(&partial.join(FILE), backup)? {
        return Err(damaged(why));
    }
    let report = verify(partial)?;
    if let Some(first) = report.violations.first() {
        return Err(damaged(first.message.clone()));
    }
    let mut conn = schema::open_to_write(partial)?;
    let number = |conn: &Connection, sql: &str| conn.query_row(sql, [], |row| row.get::<_, i64>(0));
    let doubtful = "SELECT count(*) FROM record WHERE status = 'indeterminate'";
    let running = number(&conn, "SELECT count(*) FROM run WHERE status = 'running'")?;
    let before = number(&conn, doubtful)?;
    let mut memory = Memory::load(&conn)?;
    let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut work = Work { conn: &transaction, memory: &mut memory };
    recovery::settle_all(&mut work, now, Ended::Run)?;
    let in_doubt = number(&transaction, doubtful)? - before;
    trace::append_event(&transaction, None, &mark(backup, now, in_doubt, running))?;
    work.count("event", 1);
    work.flush()?;
    transaction.commit()?;
    // Closing works the log into the file and removes it.
    conn.close().map_err(|(_, error)| error)?;
    if partial.join(format!("{FILE}-wal")).exists() {
        let why = "the restored ledger could not be brought into one file; perhaps the disk is full".to_owned();
        return Err(LedgerError::Storage { why });
    }
    sync_file(&partial.join(FILE))?;
    let unsigned = |count: i64| u64::try_from(count).unwrap_or(0);
    Ok((unsigned(in_doubt), unsigned(running)))
}

fn mark(backup: &Backup, now: Timestamp, in_doubt: i64, running: i64) -> Event {
    Event {
        at: now,
        kind: EventKind::LedgerRestored,
        run: None,
        step: None,
        record: None,
        message: "restored from a backup: what was done since it was made may have been done outside and is not known \
                  here; sources give what came after it again, and it is sent again with the same keys"
            .to_owned(),
        data: serde_json::json!({
            "backup_at": backup.at,
            "blake3": backup.blake3,
            "in_doubt": in_doubt,
            "runs_failed": running,
        }),
    }
}
