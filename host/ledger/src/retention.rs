//! How long what is not needed any more is kept, and the pruning of the rest: class by class, in small transactions
//! between which live work goes on, until the room is given back to the disk.
//!
//! Invariant 9: nothing of a record that is not settled is removed, whatever its age; nor of one that is under way, or
//! lies after its route's checkpoint.

use crate::codec::to_json;
use crate::error::LedgerError;
use crate::prune::{self, Next, PruneReport};
use crate::store::LedgerStore;
use crate::task::TaskStanding;
use crate::work::{Done, Work};
use crate::writer::Need;
use crate::{schema, trace};
use crossdock_model::{Event, EventKind, Status, Timestamp};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// How long what is not needed any more is kept, by class, in milliseconds; `None`: for ever. The age of something is
/// counted from when it changed last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// Records that were ok or dropped at the first attempt. 30 days if nothing else is said.
    pub chunks_ms: Option<u64>,
    /// Other records that are ok, dropped, skipped, cancelled or rolled back, with their attempts; and handler tasks
    /// that went well. 30 days if nothing else is said.
    pub settled_ms: Option<u64>,
    /// Records that failed, with payloads and attempts; and handler tasks that were given up. For ever if nothing else
    /// is said.
    pub failed_ms: Option<u64>,
    /// Records that were rejected, with payloads and attempts. For ever if nothing else is said.
    pub rejected_ms: Option<u64>,
    /// The beginning of the event log, up to the first event that is younger. 90 days if nothing else is said.
    pub events_ms: Option<u64>,
    /// Runs that have ended, as far as nothing that is kept came from them; the last run of each route stays. 90 days
    /// if nothing else is said.
    pub runs_ms: Option<u64>,
    /// Plans. 30 days if nothing else is said.
    pub plans_ms: Option<u64>,
}

impl Default for Retention {
    fn default() -> Self {
        let month = Some(30 * DAY_MS);
        let quarter = Some(90 * DAY_MS);
        Self {
            chunks_ms: month,
            settled_ms: month,
            failed_ms: None,
            rejected_ms: None,
            events_ms: quarter,
            runs_ms: quarter,
            plans_ms: month,
        }
    }
}

impl LedgerStore {
    /// Removes what is older at `now` than `retention` says, and not needed any more. Takes many small transactions,
    /// between which others write; what was removed when it is stopped in the middle stays removed. One event
    /// `ledger-pruned` tells how much it was.
    ///
    /// # Errors
    /// Damage that was met; `ledger-disk-full` if even removing finds no room.
    pub async fn prune(&self, retention: Retention, now: Timestamp) -> Result<PruneReport, LedgerError> {
        let mut report = PruneReport::default();
        if let Some(before) = cutoff(now, retention.chunks_ms) {
            self.steps(&mut report, move |work, _, report| prune::chunks(work, before, report)).await?;
        }
        let settled = [Status::Ok, Status::Dropped, Status::Skipped, Status::Cancelled, Status::RolledBack]
            .map(|status| (status, retention.settled_ms));
        let named = [(Status::Failed, retention.failed_ms), (Status::Rejected, retention.rejected_ms)];
        for (status, age) in settled.into_iter().chain(named) {
            if let Some(before) = cutoff(now, age) {
                self.steps(&mut report, move |work, from, report| prune::rows(work, status, before, from, report))
                    .await?;
            }
        }
        for (standing, age) in
            [(TaskStanding::Done, retention.settled_ms), (TaskStanding::GivenUp, retention.failed_ms)]
        {
            if let Some(before) = cutoff(now, age) {
                self.steps(&mut report, move |work, from, report| prune::tasks(work, standing, before, from, report))
                    .await?;
            }
        }
        if let Some(before) = cutoff(now, retention.plans_ms) {
            self.steps(&mut report, move |work, _, report| prune::plans(work, before, report)).await?;
        }
        if let Some(before) = cutoff(now, retention.runs_ms) {
            let dir = self.dir().to_owned();
            let attempted = Arc::new(self.aside(move || prune::runs_of_attempts(&schema::open_to_read(&dir)?)).await?);
            self.steps(&mut report, move |work, from, report| prune::runs(work, before, from, &attempted, report))
                .await?;
        }
        if let Some(before) = cutoff(now, retention.events_ms) {
            self.steps(&mut report, move |work, _, report| prune::events(work, before, report)).await?;
        }
        if !report.is_nothing() {
            self.call(Need::Relief, move |work| tell(work, now, &report)).await?;
        }
        self.steps(&mut report, |work, _, report| prune::vacuum(work, report)).await?;
        Ok(report)
    }

    /// Does one step after the other, each in a transaction of its own, until there is nothing left to do.
    async fn steps(
        &self,
        report: &mut PruneReport,
        step: impl Fn(&mut Work<'_>, (i64, i64), &mut PruneReport) -> Done<Next> + Clone + Send + 'static,
    ) -> Result<(), LedgerError> {
        let mut from = (i64::MIN, i64::MIN);
        loop {
            let (before, step) = (*report, step.clone());
            let act = move |work: &mut Work<'_>| {
                let mut report = before;
                Ok(step(work, from, &mut report)?.map(|next| (next, report)))
            };
            let (next, after) = self.call(Need::Relief, act).await?;
            *report = after;
            match next {
                Some(next) => from = next,
                None => return Ok(()),
            }
        }
    }
}

/// Before when something must have changed last to be removed; `None`: it is kept for ever.
fn cutoff(now: Timestamp, age_ms: Option<u64>) -> Option<i64> {
    Some(now.0.saturating_sub(i64::try_from(age_ms?).unwrap_or(i64::MAX)))
}

fn tell(work: &mut Work<'_>, at: Timestamp, report: &PruneReport) -> Done<()> {
    let message = format!(
        "{} records, {} attempts, {} events, {} runs and {} plans were old enough and removed",
        report.records + report.chunk_records,
        report.attempts,
        report.events,
        report.runs,
        report.plans
    );
    let data = serde_json::from_str(&to_json(report)?).unwrap_or_default();
    let event = Event { at, kind: EventKind::LedgerPruned, run: None, step: None, record: None, message, data };
    trace::append_event(work.conn, None, &event)?;
    work.count("event", 1);
    Ok(Ok(()))
}
