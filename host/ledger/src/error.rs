//! What can go wrong with a ledger, said to the person who must act.

use crossdock_engine::ports::PortError;
use crossdock_model::{ErrorClass, Explained};
use std::path::PathBuf;
use thiserror::Error;

/// The longest that one question to a reader may take.
pub const QUERY_TIME_MAX_MS: u64 = 10_000;

/// What can go wrong with a ledger.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// Another process writes to the ledger.
    #[error("opening the ledger in {}: it is in use by {}", dir.display(), holder(*pid))]
    InUse {
        /// The data folder.
        dir: PathBuf,
        /// The process that holds it, if the lock file says so.
        pid: Option<u32>,
    },
    /// A newer Crossdock wrote it.
    #[error("opening the ledger in {}: it has format {found}, this program reads formats up to {supported}", dir.display())]
    NewerVersion {
        /// The data folder.
        dir: PathBuf,
        /// Its format.
        found: u32,
        /// The newest format that this program knows.
        supported: u32,
    },
    /// The file is something else.
    #[error("opening the ledger in {}: ledger.db is not a ledger: {why}", dir.display())]
    NotALedger {
        /// The data folder.
        dir: PathBuf,
        /// What was found instead.
        why: String,
    },
    /// The SQLite library has a known bug that loses data.
    #[error("opening the ledger: SQLite {found} can damage it; 3.51.3 or later is needed")]
    SqliteTooOld {
        /// Its version.
        found: String,
    },
    /// There is no ledger.
    #[error("reading the ledger: no data in {} yet", dir.display())]
    Missing {
        /// The data folder.
        dir: PathBuf,
    },
    /// Something stands where a backup is to be made.
    #[error("backing up the ledger to {}: there is something with this name already", to.display())]
    BackupExists {
        /// Where the backup was to be made.
        to: PathBuf,
    },
    /// A folder without the manifest of a backup.
    #[error("reading the backup in {}: it is not a backup: {why}", path.display())]
    NotABackup {
        /// The folder.
        path: PathBuf,
        /// What is missing.
        why: String,
    },
    /// A backup that is not as it was made.
    #[error("restoring the backup in {}: it is damaged: {why}", path.display())]
    BackupDamaged {
        /// The folder.
        path: PathBuf,
        /// What was found.
        why: String,
    },
    /// Something is in the ledger that a backup was to become.
    #[error("restoring a backup to {}: there is a ledger in which something is", dir.display())]
    NotEmpty {
        /// The data folder.
        dir: PathBuf,
    },
    /// What is read is not what was written.
    #[error("reading the ledger: {what}")]
    Damaged {
        /// What and where.
        what: String,
    },
    /// No space left, or the ledger has reached the size it may have.
    #[error("writing the ledger: no space left, on the disk or within the limit `ledger_max_bytes`")]
    DiskFull,
    /// The operating system or the database refused.
    #[error("using the ledger: {why}")]
    Storage {
        /// What it said.
        why: String,
    },
    /// An earlier write failed, so that it is unknown what is on disk.
    #[error("using the ledger: an earlier write failed ({why}); what is on disk is unknown until it is opened again")]
    MustReopen {
        /// The first error.
        why: String,
    },
    /// A commit for a run that was not begun here, or has ended.
    #[error("writing the ledger: run {run} is not running")]
    UnknownRun {
        /// The run.
        run: String,
    },
    /// What was to be written contradicts itself.
    #[error("writing the ledger: {why}")]
    BadCommit {
        /// What does not fit.
        why: String,
    },
    /// Invariant 3 does not hold.
    #[error("ending run {run}: its numbers do not add up: {why}")]
    Accounting {
        /// The run.
        run: String,
        /// Which numbers.
        why: String,
    },
    /// A decision that the record's status does not allow.
    #[error("deciding about record {id:?}: {why}")]
    DecisionRefused {
        /// The record.
        id: String,
        /// Why not.
        why: String,
    },
    /// A question that cannot be answered as it was put.
    #[error("reading the ledger: {why}")]
    BadQuery {
        /// What is wrong with it.
        why: String,
    },
    /// A question took longer than it may.
    #[error("reading the ledger: no answer within {limit_ms} ms (`query_time_max_ms`)")]
    QueryTooLong {
        /// The limit.
        limit_ms: u64,
    },
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}

impl Explained for LedgerError {
    fn code(&self) -> &'static str {
        match self {
            Self::InUse { .. } => "ledger-in-use",
            Self::NewerVersion { .. } => "ledger-newer-version",
            Self::NotALedger { .. } => "ledger-not-a-ledger",
            Self::SqliteTooOld { .. } => "ledger-sqlite-too-old",
            Self::Missing { .. } => "ledger-missing",
            Self::BackupExists { .. } => "ledger-backup-exists",
            Self::NotABackup { .. } => "ledger-not-a-backup",
            Self::BackupDamaged { .. } => "ledger-backup-damaged",
            Self::NotEmpty { .. } => "ledger-not-empty",
            Self::Damaged { .. } => "ledger-damaged",
            Self::DiskFull => "ledger-disk-full",
            Self::Storage { .. } => "ledger-storage",
            Self::MustReopen { .. } => "ledger-must-reopen",
            Self::UnknownRun { .. } => "ledger-unknown-run",
            Self::BadCommit { .. } => "ledger-bad-commit",
            Self::Accounting { .. } => "ledger-accounting",
            Self::DecisionRefused { .. } => "ledger-decision-refused",
            Self::BadQuery { .. } => "ledger-bad-query",
            Self::QueryTooLong { .. } => "ledger-query-too-long",
        }
    }

    fn class(&self) -> ErrorClass {
        match self {
            Self::InUse { .. } | Self::DiskFull | Self::Storage { .. } | Self::QueryTooLong { .. } => {
                ErrorClass::Environment
            }
            Self::NewerVersion { .. }
            | Self::NotALedger { .. }
            | Self::Missing { .. }
            | Self::BackupExists { .. }
            | Self::NotABackup { .. }
            | Self::NotEmpty { .. }
            | Self::BadQuery { .. }
            | Self::DecisionRefused { .. } => ErrorClass::InvalidInput,
            Self::Damaged { .. } | Self::BackupDamaged { .. } | Self::MustReopen { .. } => ErrorClass::NeedsOperator,
            Self::SqliteTooOld { .. } | Self::UnknownRun { .. } | Self::BadCommit { .. } | Self::Accounting { .. } => {
                ErrorClass::Internal
            }
        }
    }

    fn fix(&self) -> Option<String> {
        Some(match self {
            Self::InUse { pid: Some(pid), .. } => {
                format!("Wait for process {pid} to end, end it, or use another data folder with --data.")
            }
            Self::InUse { .. } => "Wait for the other process to end, or use another data folder with --data.".into(),
            Self::NewerVersion { .. } => {
                "Use the version of Crossdock that wrote it, or a later one, or another data folder with --data.".into()
            }
            Self::NotALedger { .. } => "Move the file ledger.db away, or use another data folder with --data.".into(),
            Self::SqliteTooOld { .. } => "Build Crossdock with the SQLite that it bundles.".into(),
            Self::Missing { .. } => "Run a route first, or name the right data folder with --data.".into(),
            Self::BackupExists { .. } => {
                "Name a folder that does not exist, for example one with the date in it.".into()
            }
            Self::NotABackup { .. } => "Name the folder that `crossdock ledger backup` made.".into(),
            Self::BackupDamaged { .. } => {
                "Restore an earlier backup; `crossdock ledger verify-backup` says which of them are whole.".into()
            }
            Self::NotEmpty { .. } => "Restore into another data folder, or say --replace: the ledger that is there is then kept beside it.".into(),
            Self::Damaged { .. } => "Run `crossdock verify` to see all of the damage, and restore a copy.".into(),
            Self::DiskFull => {
                "Free space on the disk, raise the limit or run `crossdock ledger prune`; if the run has ended, start it again.".into()
            }
            Self::Storage { .. } => "Check that the data folder can be written to, then run the route again.".into(),
            Self::MustReopen { .. } => {
                "Mend what the first error names and start again; the ledger says what is on disk.".into()
            }
            Self::UnknownRun { .. } | Self::BadCommit { .. } | Self::Accounting { .. } => {
                "This is a mistake in Crossdock: run `crossdock verify` and report what it says.".into()
            }
            Self::DecisionRefused { .. } => "Look at the record with `crossdock record ID` and decide again.".into(),
            Self::BadQuery { .. } => "Put the question again without what the message names.".into(),
            Self::QueryTooLong { .. } => "Narrow the question down: by route, run, status or time.".into(),
        })
    }
}

impl From<LedgerError> for PortError {
    fn from(error: LedgerError) -> Self {
        Self { code: error.code(), class: error.class(), message: error.to_string(), fix: error.fix() }
    }
}

impl From<rusqlite::Error> for LedgerError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode as E;
        match error.sqlite_error_code() {
            Some(E::DiskFull) => Self::DiskFull,
            Some(E::DatabaseCorrupt | E::NotADatabase) => {
                Self::Damaged { what: format!("the database is damaged: {error}") }
            }
            Some(E::OperationInterrupted) => Self::QueryTooLong { limit_ms: QUERY_TIME_MAX_MS },
            _ => Self::Storage { why: error.to_string() },
        }
    }
}

impl From<std::io::Error> for LedgerError {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::StorageFull {
            return Self::DiskFull;
        }
        Self::Storage { why: error.to_string() }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::codes::CODES;
    use std::collections::BTreeSet;

    fn all() -> Vec<LedgerError> {
        let (dir, text) = (PathBuf::from("d"), String::new);
        vec![
            LedgerError::InUse { dir: dir.clone(), pid: Some(7) },
            LedgerError::NewerVersion { dir: dir.clone(), found: 2, supported: 1 },
            LedgerError::NotALedger { dir: dir.clone(), why: text() },
            LedgerError::SqliteTooOld { found: text() },
            LedgerError::Missing { dir: dir.clone() },
            LedgerError::BackupExists { to: dir.clone() },
            LedgerError::NotABackup { path: dir.clone(), why: text() },
            LedgerError::BackupDamaged { path: dir.clone(), why: text() },
            LedgerError::NotEmpty { dir },
            LedgerError::Damaged { what: text() },
            LedgerError::DiskFull,
            LedgerError::Storage { why: text() },
            LedgerError::MustReopen { why: text() },
            LedgerError::UnknownRun { run: text() },
            LedgerError::BadCommit { why: text() },
            LedgerError::Accounting { run: text(), why: text() },
            LedgerError::DecisionRefused { id: text(), why: text() },
            LedgerError::BadQuery { why: text() },
            LedgerError::QueryTooLong { limit_ms: 1 },
        ]
    }

    #[test]
    fn each_code_has_a_page_and_each_page_a_code() {
        let mut used: BTreeSet<&str> = all().iter().map(Explained::code).collect();
        used.extend([crate::recovery::PROCESS_ENDED, crate::recovery::IN_DOUBT]);
        used.insert(crate::edit::RECORD_EDITED);
        let listed: BTreeSet<&str> = CODES.iter().map(|code| code.name).collect();
        assert_eq!(used, listed);
        for code in CODES {
            let sections = ["# ", "\n## Cause\n", "\n## What to check\n", "\n## What to do\n"];
            assert!(code.page.starts_with("# "), "{}", code.name);
            assert!(sections.iter().all(|section| code.page.contains(section)), "{}", code.name);
        }
    }

    #[test]
    fn each_error_says_what_to_do() {
        for error in all() {
            assert!(error.fix().is_some_and(|fix| fix.ends_with('.')), "{error}");
            let port = PortError::from(error.clone());
            assert_eq!((port.code, port.class), (error.code(), error.class()));
        }
    }
}
