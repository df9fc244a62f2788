//! What a resync would do with each record, and the hash that names it.

use crate::host::ConnectorReport;
use crate::load::Loaded;
use crossdock_engine::ports::Idempotency;
use crossdock_ledger::{PlanEntry, RecordSummary};
use crossdock_model::{RecordId, RouteName, Status, StepName};
use serde::Serialize;
use std::collections::BTreeMap;

/// What a resync would do: frozen, and named by a hash.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct ResyncPlan {
    /// Names the plan. Applying it is refused once the route, one of its plugins or one of the records has changed.
    pub hash: String,
    /// The route.
    pub route: RouteName,
    /// The version of its definition that the records would be put through.
    pub route_hash: String,
    /// That is the one with which they were recorded, whatever the route's file says by now.
    pub recorded: bool,
    /// The records, in the order in which they would be put through.
    pub records: Vec<PlannedRecord>,
    /// How many records there are of each verdict.
    pub verdicts: BTreeMap<Verdict, u64>,
    /// Whether the source and the destinations of the route can be used.
    pub connectors: Vec<ConnectorReport>,
}

/// One record of a plan.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct PlannedRecord {
    /// The record.
    pub id: RecordId,
    /// Where it stands.
    pub status: Status,
    /// The step from which it would be put through.
    pub step: StepName,
    /// What would happen.
    pub verdict: Verdict,
    #[serde(skip)]
    pub(crate) generation: u32,
    #[serde(skip)]
    pub(crate) attempts: u32,
    #[serde(skip)]
    pub(crate) version: u64,
}

/// What a resync would do with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Verdict {
    /// It is put through again from the step where it stands.
    WillRun,
    /// It may have been applied: it is written again with the same idempotency key, or probed first.
    WillSettle,
    /// It is given its new content, and put through with a new idempotency key.
    Edited,
    /// It is ok, or was filtered out.
    AlreadyOk,
    /// An operator left it out.
    Skipped,
    /// An operator stopped it.
    Cancelled,
    /// It may have been applied and nothing can tell: a person has to settle it first.
    Indeterminate,
    /// What earlier steps had applied is being undone.
    RollingBack,
    /// What earlier steps had applied was undone: it begins anew only with new content.
    RolledBack,
    /// What earlier steps had applied could not be undone: a person has to see to that first.
    RollbackFailed,
    /// It lies after the checkpoint: the next run of the route takes it up.
    NextRun,
    /// It could not be read: it has to be mended at its origin, or given new content.
    AtOrigin,
    /// The route has no such step any more.
    StepGone,
    /// Its content is not kept.
    PayloadGone,
}

impl Verdict {
    const ALL: [(Self, &'static str, &'static str); 14] = [
        (Self::WillRun, "will-run", "will be put through again"),
        (Self::WillSettle, "will-settle", "may have been applied; will be settled by key or probe"),
        (Self::Edited, "edited", "gets its new content and is put through with a new key"),
        (Self::AlreadyOk, "already-ok", "is ok already"),
        (Self::Skipped, "skipped", "was skipped by an operator"),
        (Self::Cancelled, "cancelled", "was cancelled by an operator"),
        (Self::Indeterminate, "indeterminate", "may have been applied and nothing can tell: resolve it first"),
        (Self::RollingBack, "rolling-back", "is being undone"),
        (Self::RolledBack, "rolled-back", "was undone; begins anew only with new content: --edit"),
        (Self::RollbackFailed, "rollback-failed", "could not be undone: resume its rollback or mark it done first"),
        (Self::NextRun, "next-run", "will be taken up by the next run of the route"),
        (Self::AtOrigin, "at-origin", "could not be read: mend it at its origin, or give it new content: --edit"),
        (Self::StepGone, "step-gone", "stands at a step that the route no longer has"),
        (Self::PayloadGone, "payload-gone", "its content is no longer kept"),
    ];

    fn entry(self) -> (&'static str, &'static str) {
        let found = Self::ALL.iter().find(|(verdict, ..)| *verdict == self);
        found.map_or(("", ""), |(_, word, meaning)| (word, meaning))
    }

    /// The word for it, the same in plans and in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.entry().0
    }

    /// What it means, in a few words.
    #[must_use]
    pub fn words(self) -> &'static str {
        self.entry().1
    }

    /// Whether a record of this verdict is put through.
    #[must_use]
    pub fn runs(self) -> bool {
        matches!(self, Self::WillRun | Self::WillSettle | Self::Edited)
    }

    pub(crate) fn word_runs(word: &str) -> bool {
        Self::ALL.iter().any(|(verdict, known, _)| *known == word && verdict.runs())
    }

    /// What would happen to a record; `edited` if it is to be given new content.
    pub(crate) fn of(loaded: &Loaded, record: &RecordSummary, edited: bool) -> Self {
        match record.status {
            Status::Ok | Status::Dropped => return Self::AlreadyOk,
            Status::Skipped => return Self::Skipped,
            Status::Cancelled => return Self::Cancelled,
            Status::RollingBack => return Self::RollingBack,
            Status::RollbackFailed => return Self::RollbackFailed,
            Status::RolledBack if edited => return Self::Edited,
            Status::RolledBack => return Self::RolledBack,
            // It may have been applied under the key of the old content.
            Status::Indeterminate if edited => return Self::Indeterminate,
            _ => {}
        }
        let Some(at) = &record.step else { return Self::PayloadGone };
        if *at == StepName::source() {
            return if edited { Self::Edited } else { Self::AtOrigin };
        }
        let Some(step) = loaded.steps.iter().find(|step| step.name == *at) else { return Self::StepGone };
        match (edited, record.kept) {
            (true, _) if matches!(record.status, Status::Failed | Status::Rejected | Status::Pending) => {
                return Self::Edited;
            }
            (_, false) if record.open => return Self::NextRun,
            (_, false) => return Self::PayloadGone,
            _ => {}
        }
        if record.status != Status::Indeterminate {
            return Self::WillRun;
        }
        let recognises = matches!(step.abilities.idempotency, Idempotency::NativeKey | Idempotency::Upsert);
        if recognises || step.abilities.probes { Self::WillSettle } else { Self::Indeterminate }
    }
}

impl ResyncPlan {
    /// How many records would be put through.
    #[must_use]
    pub fn will_run(&self) -> u64 {
        self.verdicts.iter().filter(|(verdict, _)| verdict.runs()).map(|(_, n)| n).sum()
    }

    /// Whether all connectors can be used.
    #[must_use]
    pub fn operational(&self) -> bool {
        self.connectors.iter().all(|connector| connector.operational)
    }
}

impl PlannedRecord {
    pub(crate) fn of(loaded: &Loaded, record: RecordSummary, edited: bool) -> Self {
        let verdict = Verdict::of(loaded, &record, edited);
        Self {
            id: record.id,
            status: record.status,
            step: record.step.unwrap_or_else(StepName::source),
            verdict,
            generation: record.generation,
            attempts: record.attempts,
            version: record.version,
        }
    }

    pub(crate) fn entry(&self) -> PlanEntry {
        PlanEntry {
            id: self.id.clone(),
            step: self.step.clone(),
            generation: self.generation,
            attempts: self.attempts,
            version: self.version,
            verdict: self.verdict.as_str().to_owned(),
        }
    }
}

/// Names a plan: the definition and the plugins that records would be put through, each record as it stands, and what
/// it would be changed to. Records are added in the plan's order.
pub(crate) struct PlanHasher(blake3::Hasher);

impl PlanHasher {
    pub(crate) fn new(loaded: &Loaded, recorded: bool, edit: Option<&[u8]>) -> Self {
        let mut hasher = Self(blake3::Hasher::new());
        hasher.part(loaded.route.hash().as_bytes());
        hasher.part(if recorded { b"recorded" } else { b"current" });
        for (place, plugin, digest) in &loaded.plugins {
            hasher.part(place.as_str().as_bytes());
            hasher.part(plugin.as_str().as_bytes());
            hasher.part(digest.as_bytes());
        }
        match edit {
            Some(content) => hasher.part(content),
            None => hasher.part(b""),
        }
        hasher
    }

    fn part(&mut self, bytes: &[u8]) {
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    pub(crate) fn add(&mut self, entry: &PlanEntry) {
        self.part(entry.id.0.as_bytes());
        self.part(entry.step.as_str().as_bytes());
        self.part(entry.verdict.as_bytes());
        self.0.update(&entry.generation.to_le_bytes());
        self.0.update(&entry.attempts.to_le_bytes());
        self.0.update(&entry.version.to_le_bytes());
    }

    pub(crate) fn finish(self) -> String {
        self.0.finalize().to_hex()[..16].to_owned()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn words_are_what_json_says() {
        for (verdict, word, _) in Verdict::ALL {
            assert_eq!(serde_json::to_value(verdict).unwrap(), word);
            assert_eq!(verdict.as_str(), word);
            assert_eq!(Verdict::word_runs(word), verdict.runs());
        }
    }
}
