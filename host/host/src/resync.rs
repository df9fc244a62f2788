//! Putting records through again, finding out about those in doubt, and an operator's decisions.

use crate::error::Error;
use crate::host::{ConnectorReport, Host, check_connectors};
use crate::load::Loaded;
use crate::run::{Running, start};
use crate::world::SystemClock;
use crossdock_engine::plan::Entry;
use crossdock_engine::ports::{Cause, Clock, Idempotency, Ledger, Payload, RecordRow};
use crossdock_ledger::{Decided, Decision, LedgerReader, Plan, PlanEntry, RecordFilter, RecordSummary};
use crossdock_model::{ErrorClass, Event, EventKind, RecordId, RouteName, Status, StepName};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The most records of one plan.
pub const PLAN_RECORDS_MAX: usize = 1_000_000;
/// Records are looked up in pages of this size.
const PAGE: u32 = 1_000;

/// Which records are meant.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// These, each of which must be there. Empty: all that the filter lets through.
    pub ids: Vec<RecordId>,
    /// Of those, the ones for which this holds.
    pub filter: RecordFilter,
}

/// What a resync would do: frozen, and named by a hash.
#[derive(Debug, Clone, Serialize)]
pub struct ResyncPlan {
    /// Names the plan. Applying it is refused once the route or one of its records has changed.
    pub hash: String,
    /// The route.
    pub route: RouteName,
    /// The records, in the order in which they would be put through.
    pub records: Vec<PlannedRecord>,
    /// How many records there are of each verdict.
    pub verdicts: BTreeMap<Verdict, u64>,
    /// Whether the connectors of the route can be used.
    pub connectors: Vec<ConnectorReport>,
}

/// One record of a plan.
#[derive(Debug, Clone, Serialize)]
pub struct PlannedRecord {
    /// The record.
    pub id: RecordId,
    /// Where it stands.
    pub status: Status,
    /// The step from which it would be put through.
    pub step: StepName,
    /// What would happen.
    pub verdict: Verdict,
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
    /// It is ok, or was filtered out.
    AlreadyOk,
    /// An operator left it out.
    Skipped,
    /// It may have been applied and nothing can tell: a person has to settle it first.
    Indeterminate,
    /// It lies after the checkpoint: the next run of the route takes it up.
    NextRun,
    /// It could not be read: it has to be mended at its origin.
    AtOrigin,
    /// The route has no such step any more.
    StepGone,
    /// Its content is not kept.
    PayloadGone,
}

impl Verdict {
    /// What it means, in a few words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::WillRun => "will be put through again",
            Self::WillSettle => "may have been applied; will be settled by key or probe",
            Self::AlreadyOk => "is ok already",
            Self::Skipped => "was skipped by an operator",
            Self::Indeterminate => "may have been applied and nothing can tell: resolve it first",
            Self::NextRun => "will be taken up by the next run of the route",
            Self::AtOrigin => "could not be read: mend it at its origin",
            Self::StepGone => "stands at a step that the route no longer has",
            Self::PayloadGone => "its content is no longer kept",
        }
    }

    fn runs(self) -> bool {
        matches!(self, Self::WillRun | Self::WillSettle)
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

/// What an operator says of a record of which it is unknown whether it was applied.
#[derive(Debug, Clone)]
pub enum Resolution {
    /// It was applied.
    Applied {
        /// The id that the other system gave it, if it is known.
        target_id: Option<String>,
    },
    /// It was not; it is failed from then on and can be put through again.
    NotApplied,
}

impl Host {
    /// Plans to put records through again: counts, a verdict for each record, and the state of the connectors.
    /// The plan is kept; nothing else changes.
    ///
    /// Without a status in the filter, records are chosen that are failed, rejected, indeterminate or pending.
    /// `None`: no record fits.
    ///
    /// # Errors
    /// When there is no record with an id that is asked for, when records of several routes fit, or the route has
    /// mistakes.
    pub async fn plan_resync(&self, choice: &Choice) -> Result<Option<ResyncPlan>, Error> {
        if self.found(choice)?.is_none() {
            return Ok(None);
        }
        let (loaded, found) = self.chosen(choice).await?;
        let ledger = self.ledger()?;
        let route = loaded.route.name().clone();
        let ids = found.iter().map(|record| record.id.clone()).collect();
        let rows: BTreeMap<RecordId, RecordRow> =
            ledger.load(route.clone(), ids).await?.into_iter().map(|row| (row.id.clone(), row)).collect();
        let mut entries = Vec::new();
        let mut records = Vec::new();
        let mut verdicts = BTreeMap::new();
        for record in found {
            let row = rows.get(&record.id);
            let verdict = verdict(&loaded, record.status, row);
            *verdicts.entry(verdict).or_default() += 1;
            let step = row.map(|row| row.step.clone()).or(record.step).unwrap_or_else(StepName::source);
            entries.push(PlanEntry {
                id: record.id.clone(),
                step: step.clone(),
                generation: row.map_or(0, |row| row.generation),
                attempts: row.map_or(0, |row| row.attempts),
                version: record.version,
                verdict: word(verdict),
            });
            records.push(PlannedRecord { id: record.id, status: record.status, step, verdict });
        }
        let connectors = check_connectors(&loaded).await?;
        let hash = plan_hash(loaded.route.hash(), &entries);
        let will_run: u64 = verdicts.iter().filter(|(verdict, _): &(&Verdict, _)| verdict.runs()).map(|(_, n)| n).sum();
        let at = SystemClock.now();
        let known = ledger.reader()?.plan(&hash)?.is_some();
        if will_run > 0 && !known {
            let plan = Plan {
                hash: hash.clone(),
                route: route.clone(),
                route_hash: loaded.route.hash().to_owned(),
                recorded: false,
                at,
                entries,
                filter: format!("{choice:?}"),
                edit: None,
            };
            ledger.save_plan(plan).await?;
            let message = format!("resync planned: {will_run} of {} record(s) would run", records.len());
            let event = event(at, EventKind::ResyncPlanned, message, &hash);
            ledger.append_events(route.clone(), vec![event]).await?;
        }
        Ok(Some(ResyncPlan { hash, route, records, verdicts, connectors }))
    }

    /// Puts the records of a plan through again.
    ///
    /// # Errors
    /// When there is no such plan, when the route or one of its records has changed since, or when a connector
    /// of the route cannot be used. Nothing was sent then.
    pub async fn apply_resync(&self, hash: &str) -> Result<Running, Error> {
        let ledger = self.ledger()?;
        let plan = ledger.reader()?.plan(hash)?.ok_or_else(|| {
            Error::new(
                "resync-no-plan",
                ErrorClass::InvalidInput,
                format!("applying resync {hash}: there is no plan with this hash"),
                "Make one with `crossdock resync … --plan`, and apply the hash that it shows.",
            )
        })?;
        let path = self.project()?.route_file(&plan.route)?;
        let loaded = self.load(&path, Some(&ledger)).await?;
        let stale = |why: String| {
            Error::new(
                "resync-stale-plan",
                ErrorClass::InvalidInput,
                format!("applying resync {hash}: {why} since it was planned"),
                "Plan again, look at what has changed, and apply the new hash.",
            )
        };
        if plan_hash(loaded.route.hash(), &plan.entries) != plan.hash {
            return Err(stale(format!("route {} has changed", plan.route)));
        }
        let changes = ledger.reader()?.plan_changes(&plan.route, &plan.entries)?;
        if let Some(first) = changes.first() {
            return Err(stale(format!("{} record(s) have changed, first {},", changes.len(), first.id)));
        }
        let down: Vec<ConnectorReport> =
            check_connectors(&loaded).await?.into_iter().filter(|connector| !connector.operational).collect();
        if let Some(first) = down.first() {
            let why = first.failure.as_ref().map(|failure| failure.message.clone()).unwrap_or_default();
            return Err(Error::new(
                "resync-connector-down",
                ErrorClass::Environment,
                format!("applying resync {hash}: the connector of step {} cannot be used: {why}", first.step),
                "Look at it with `crossdock connectors check ROUTE`, and apply the plan when it answers.",
            ));
        }
        let runs = [word(Verdict::WillRun), word(Verdict::WillSettle)];
        let ids = plan.entries.iter().filter(|entry| runs.contains(&entry.verdict)).map(|entry| entry.id.clone());
        let rows = ledger.load(plan.route.clone(), ids.collect()).await?;
        let message = format!("resync applied: {} record(s) put through again", rows.len());
        let event = event(SystemClock.now(), EventKind::ResyncApplied, message, hash);
        ledger.append_events(plan.route.clone(), vec![event]).await?;
        Ok(start(loaded, Entry::Resync(rows.into_iter().map(|row| row.id).collect()), Cause::Resync { plan: plan.hash }, Arc::new(ledger)))
    }

    /// Asks the destination about records of which it is unknown whether they were applied. What was applied goes
    /// on, what was not is failed and can be put through again.
    ///
    /// # Errors
    /// When no indeterminate record fits, or its destination cannot be asked.
    pub async fn probe(&self, choice: &Choice) -> Result<Running, Error> {
        let mut choice = choice.clone();
        choice.filter.status = Some(Status::Indeterminate);
        let (loaded, found) = self.chosen(&choice).await?;
        let ledger = self.ledger()?;
        let ids = found.into_iter().map(|record| record.id).collect();
        let rows = ledger.load(loaded.route.name().clone(), ids).await?;
        let can = |row: &RecordRow| {
            let step = loaded.steps.iter().find(|step| step.name == row.step);
            step.is_some_and(|step| step.abilities.probes)
        };
        if let Some(row) = rows.iter().find(|row| !can(row)) {
            return Err(Error::new(
                "probe-not-possible",
                ErrorClass::NeedsOperator,
                format!(
                    "probing record {}: the destination at step {} cannot be asked what was applied",
                    row.id, row.step
                ),
                "Look into the other system, then say what you found with `crossdock resolve`.",
            ));
        }
        if let Some(row) = rows.iter().find(|row| matches!(row.payload, Payload::AtSource)) {
            return Err(Error::new(
                "probe-at-source",
                ErrorClass::InvalidInput,
                format!("probing record {}: its content is still with the source", row.id),
                "Run the route: it reads the record again and probes it then.",
            ));
        }
        Ok(start(loaded, Entry::Probe(rows.into_iter().map(|row| row.id).collect()), Cause::Probe, Arc::new(ledger)))
    }

    /// Says what an operator found out about a record of which it was unknown whether it was applied.
    ///
    /// # Errors
    /// When the record is not indeterminate, or several routes have one with this id.
    pub async fn resolve(&self, choice: &Choice, resolution: Resolution, reason: &str) -> Result<Vec<Decided>, Error> {
        let (status, target_id) = match resolution {
            Resolution::Applied { target_id } => (Status::Ok, target_id),
            Resolution::NotApplied => (Status::Failed, None),
        };
        self.decide(choice, status, target_id, reason).await
    }

    /// Leaves records out for good, with a reason.
    ///
    /// # Errors
    /// When one of them is neither failed, rejected, pending nor indeterminate.
    pub async fn skip(&self, choice: &Choice, reason: &str) -> Result<Vec<Decided>, Error> {
        self.decide(choice, Status::Skipped, None, reason).await
    }

    async fn decide(
        &self,
        choice: &Choice,
        status: Status,
        target_id: Option<String>,
        reason: &str,
    ) -> Result<Vec<Decided>, Error> {
        let (route, found) = self.found(choice)?.ok_or_else(|| none_fits("none fits"))?;
        let ids = found.into_iter().map(|record| record.id).collect();
        let at = SystemClock.now();
        let decision = Decision { status, reason: reason.to_owned(), target_id, destinations: Vec::new(), at };
        Ok(self.ledger()?.decide(route, ids, decision).await?)
    }

    /// The records that a filter chooses, and their one route, loaded.
    async fn chosen(&self, choice: &Choice) -> Result<(Loaded, Vec<RecordSummary>), Error> {
        let (route, found) = self.found(choice)?.ok_or_else(|| none_fits("none fits"))?;
        let path = self.project()?.route_file(&route)?;
        let ledger = self.ledger()?;
        Ok((self.load(&path, Some(&ledger)).await?, found))
    }

    /// The records that a filter chooses, oldest first, and their one route.
    fn found(&self, choice: &Choice) -> Result<Option<(RouteName, Vec<RecordSummary>)>, Error> {
        let reader = self.reports()?;
        let mut found = Vec::new();
        for id in &choice.ids {
            let filter = RecordFilter { id: Some(id.clone()), ..choice.filter.clone() };
            let before = found.len();
            look_up(&reader, &filter, &mut found)?;
            if found.len() == before {
                return Err(none_fits(&format!("record {id} is not there, or not as it was asked for")));
            }
        }
        if choice.ids.is_empty() {
            let not_well = [Status::Failed, Status::Rejected, Status::Indeterminate, Status::Pending];
            let statuses = choice.filter.status.map_or(not_well.to_vec(), |status| vec![status]);
            for status in statuses {
                let filter = RecordFilter { status: Some(status), ..choice.filter.clone() };
                look_up(&reader, &filter, &mut found)?;
            }
        }
        let Some(first) = found.first() else { return Ok(None) };
        let route = first.route.clone();
        if let Some(other) = found.iter().find(|record| record.route != route) {
            return Err(Error::new(
                "records-several-routes",
                ErrorClass::InvalidInput,
                format!("choosing records: they belong to several routes, among them {route} and {}", other.route),
                "Name one with --route.",
            ));
        }
        // The order in which they came.
        found.sort_by(|a, b| (a.at, &a.id).cmp(&(b.at, &b.id)));
        Ok(Some((route, found)))
    }
}

/// All records for which a filter holds, page by page.
fn look_up(reader: &LedgerReader, filter: &RecordFilter, found: &mut Vec<RecordSummary>) -> Result<(), Error> {
    let mut after = None;
    loop {
        let page = reader.records(filter, PAGE, after.as_ref())?;
        found.extend(page.items);
        after = page.next;
        if found.len() > PLAN_RECORDS_MAX {
            return Err(Error::new(
                "records-too-many",
                ErrorClass::InvalidInput,
                format!("choosing records: more than {PLAN_RECORDS_MAX} fit"),
                "Narrow the choice down: by run, step, status, code or time.",
            ));
        }
        if after.is_none() {
            return Ok(());
        }
    }
}

fn none_fits(why: &str) -> Error {
    Error::new(
        "records-none",
        ErrorClass::InvalidInput,
        format!("choosing records: {why}"),
        "Look at what there is with `crossdock records`.",
    )
}

fn verdict(loaded: &Loaded, status: Status, row: Option<&RecordRow>) -> Verdict {
    match status {
        Status::Ok | Status::Dropped | Status::RolledBack | Status::Cancelled => return Verdict::AlreadyOk,
        Status::Skipped => return Verdict::Skipped,
        _ => {}
    }
    let Some(row) = row else { return Verdict::PayloadGone };
    if row.step == StepName::source() {
        return Verdict::AtOrigin;
    }
    let Some(step) = loaded.steps.iter().find(|step| step.name == row.step) else { return Verdict::StepGone };
    match row.payload {
        Payload::Kept(_) => {}
        _ if row.open => return Verdict::NextRun,
        _ => return Verdict::PayloadGone,
    }
    if status != Status::Indeterminate {
        return Verdict::WillRun;
    }
    let recognises = matches!(step.abilities.idempotency, Idempotency::NativeKey | Idempotency::Upsert);
    if recognises || step.abilities.probes { Verdict::WillSettle } else { Verdict::Indeterminate }
}

fn word(verdict: Verdict) -> String {
    serde_json::to_value(verdict).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}

/// Names a plan: the route as it is, and each record as it stands.
fn plan_hash(route_hash: &str, entries: &[PlanEntry]) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(route_hash.as_bytes());
    for entry in entries {
        for part in [entry.id.0.as_str(), entry.step.as_str(), entry.verdict.as_str()] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        hasher.update(&entry.generation.to_le_bytes());
        hasher.update(&entry.attempts.to_le_bytes());
        hasher.update(&entry.version.to_le_bytes());
    }
    hasher.finalize().to_hex()[..16].to_owned()
}

fn event(at: crossdock_model::Timestamp, kind: EventKind, message: String, hash: &str) -> Event {
    Event { at, kind, run: None, step: None, record: None, message, data: serde_json::json!({ "plan": hash }) }
}
