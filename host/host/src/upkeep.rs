//! Looking after the ledger: pruning what is old, backups, and restoring one.

use crate::error::Error;
use crate::host::{Host, clean_verified};
use crate::world::SystemClock;
use crossdock_engine::ports::Clock;
use crossdock_ledger::{
    Backup, LedgerReader, PruneReport, RecordFilter, RestoreOptions, RestoreReport, Retention, VerifyReport,
};
use crossdock_model::{ErrorClass, Status, Timestamp};
use serde::Serialize;
use std::path::Path;

/// What pruning would remove, class by class.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct PrunePlan {
    /// The classes, in the order in which they are pruned.
    pub classes: Vec<PruneClass>,
}

/// Things that are kept equally long.
#[derive(Debug, Clone, Serialize)]
pub struct PruneClass {
    /// Its name in the project's `[retention]`.
    pub class: &'static str,
    /// What belongs to it, in a few words.
    pub what: &'static str,
    /// What changed last before this time would be removed; `None`: nothing.
    pub before: Option<Timestamp>,
    /// How many records that are at most; `None` for classes that hold no records. Those that lie after their route's
    /// checkpoint stay.
    pub records_at_most: Option<u64>,
}

impl Host {
    /// What [`Host::prune`] would remove now. Changes nothing.
    ///
    /// # Errors
    /// When there is no ledger or it cannot be read.
    pub fn plan_prune(&self) -> Result<PrunePlan, Error> {
        use Status::{Cancelled, Dropped, Failed, Ok as Fine, Rejected, RolledBack, Skipped};
        let reader = self.reports()?;
        let (now, keep) = (SystemClock.now(), self.retention());
        let class = |class, what, age: Option<u64>, statuses: &[Status]| -> Result<PruneClass, Error> {
            let before = age.map(|ms| Timestamp(now.0.saturating_sub_unsigned(ms)));
            let records_at_most = match before {
                _ if statuses.is_empty() => None,
                Some(before) => Some(count(&reader, statuses, before)?),
                None => Some(0),
            };
            Ok(PruneClass { class, what, before, records_at_most })
        };
        let classes = vec![
            class("ok", "records that were ok or dropped at the first attempt", keep.chunks_ms, &[Fine, Dropped])?,
            class(
                "settled",
                "records that were skipped, cancelled or rolled back, or became ok later, with their attempts",
                keep.settled_ms,
                &[Skipped, Cancelled, RolledBack],
            )?,
            class("failed", "failed and rejected records with their payloads", keep.failed_ms, &[Failed, Rejected])?,
            class("runs", "runs that ended, and plans", keep.runs_ms, &[])?,
            class("events", "the beginning of the event log", keep.events_ms, &[])?,
        ];
        Ok(PrunePlan { classes })
    }

    /// Removes from the ledger what is older than the project's `[retention]` keeps it, in small steps between which
    /// runs go on. Never what is not settled, nor a payload that could be needed.
    ///
    /// # Errors
    /// When the ledger cannot be opened for writing, or is damaged.
    pub async fn prune(&self) -> Result<PruneReport, Error> {
        Ok(self.ledger()?.prune(self.retention(), SystemClock.now()).await?)
    }

    /// Makes a backup of the ledger: a new folder, which appears when it is whole. Another process may be running
    /// routes meanwhile; if this host has the ledger, the backup is noted in the event log.
    ///
    /// # Errors
    /// When the folder exists or cannot be written, or there is no ledger.
    pub async fn backup(&self, to: &Path) -> Result<Backup, Error> {
        let at = SystemClock.now();
        match self.ledger() {
            Ok(ledger) => Ok(ledger.backup(to, at).await?),
            Err(error) if error.code() == "ledger-in-use" => {
                let (data, to) = (self.data().to_path_buf(), to.to_path_buf());
                let made = tokio::task::spawn_blocking(move || crossdock_ledger::backup(data, to, at)).await;
                Ok(made.map_err(|error| lost(&error))??)
            }
            Err(error) => Err(error),
        }
    }

    /// Looks whether a backup is whole.
    ///
    /// # Errors
    /// When it is no backup, or cannot be opened at all. What is wrong in it is in the report.
    pub fn verify_backup(&self, backup: &Path) -> Result<VerifyReport, Error> {
        Ok(clean_verified(crossdock_ledger::verify_backup(backup)?))
    }

    /// Makes the ledger from a backup, after verifying it; the backup stays as it is. What was under way in it becomes
    /// `indeterminate`. What was done since the backup is not known any more: sources give what came after the
    /// restored checkpoints again, and it is sent again with the same idempotency keys.
    ///
    /// With `replace` a ledger that is there is put aside, in a folder of the data folder.
    ///
    /// # Errors
    /// When there is a ledger and `replace` is not given, the ledger is in use, or the backup is damaged. The ledger is
    /// as before then.
    pub async fn restore(&self, from: &Path, replace: bool) -> Result<RestoreReport, Error> {
        self.close();
        let options = RestoreOptions { now: SystemClock.now(), replace, process: Some(std::process::id()) };
        let (from, data) = (from.to_path_buf(), self.data().to_path_buf());
        let done = tokio::task::spawn_blocking(move || crossdock_ledger::restore(from, data, options)).await;
        Ok(done.map_err(|error| lost(&error))??)
    }

    /// How long what is kept, in the ledger's classes.
    fn retention(&self) -> Retention {
        let keep = self.project().map(|project| *project.file.retention()).unwrap_or_default();
        Retention {
            chunks_ms: keep.ok_age_max_ms,
            settled_ms: keep.settled_age_max_ms,
            failed_ms: keep.failed_age_max_ms,
            rejected_ms: keep.failed_age_max_ms,
            events_ms: keep.events_age_max_ms,
            runs_ms: keep.runs_age_max_ms,
            plans_ms: keep.runs_age_max_ms,
        }
    }
}

fn count(reader: &LedgerReader, statuses: &[Status], before: Timestamp) -> Result<u64, Error> {
    let filter = RecordFilter { statuses: statuses.to_vec(), until: Some(before), ..RecordFilter::default() };
    Ok(reader.count(&filter)?)
}

fn lost(error: &tokio::task::JoinError) -> Error {
    Error::new(
        "host-internal",
        ErrorClass::Internal,
        format!("looking after the ledger: a part of the host ended without an answer: {error}"),
        "Try again; please report this.",
    )
}
