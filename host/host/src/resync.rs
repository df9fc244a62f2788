//! Putting records through again: a frozen plan first, then the plan by its hash.

use crate::choice::{Choice, Purpose, each};
use crate::error::Error;
use crate::host::{ConnectorReport, Host, check_connectors};
use crate::load::{Loaded, LoadedPlugins};
use crate::plan::{PlanHasher, PlannedRecord, ResyncPlan, Verdict};
use crate::run::Running;
use crate::sharing::RouteTurn;
use crate::world::SystemClock;
use crossdock_engine::plan::Entry;
use crossdock_engine::ports::{Cause, Clock};
use crossdock_ledger::{Edit, LedgerReader, LedgerStore, Plan, PlanSummary, RecordSummary};
use crossdock_model::{ErrorClass, Event, EventKind, RecordId, RouteName, RunId, Timestamp};
use crossdock_route::RouteFile;
use std::collections::{BTreeMap, HashSet};
use std::io::Read as _;
use std::path::Path;

/// The most bytes that the new content of a record may have.
const EDIT_MAX_BYTES: u64 = 16 << 20;

/// Which definition of the route records are put through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Definition {
    /// That of its file.
    #[default]
    Current,
    /// That with which they were run last, as the ledger has it. Their plugins must be the same files as then.
    Recorded,
}

/// What is to be put through again.
#[derive(Debug, Clone, Default)]
pub struct Resync {
    /// Which records.
    pub choice: Choice,
    /// With which definition of the route.
    pub definition: Definition,
    /// The new content of the one record that is chosen. It is put through with a new idempotency key.
    pub edit: Option<Vec<u8>>,
}

impl Host {
    /// Plans to put records through again: counts, a verdict for each record, and the state of the connectors.
    /// The plan is kept; nothing else changes, and no payload is looked at. `None`: no record fits.
    ///
    /// # Errors
    /// When there is no record with an id that is asked for, when records of several routes fit or more than
    /// [`PLAN_RECORDS_MAX`](crate::PLAN_RECORDS_MAX), when several are to be given one new content, when the route
    /// has mistakes, or when the recorded definition or its plugins are not to be had.
    pub async fn plan_resync(&self, resync: &Resync) -> Result<Option<ResyncPlan>, Error> {
        let reader = self.reader()?;
        let mut found = Vec::new();
        let Some(route) = each(&reader, &resync.choice, Purpose::Resync, |record| found.push(Slim::of(record)))? else {
            return Ok(None);
        };
        if resync.edit.is_some() && found.len() != 1 {
            return Err(Error::new(
                "resync-edit-one",
                ErrorClass::InvalidInput,
                format!("planning a resync with new content: {} records fit, and it can be that of one", found.len()),
                "Name the record with --record, and its route with --route.",
            ));
        }
        let ledger = self.ledger()?;
        let loaded = match resync.definition {
            Definition::Current => self.load(&self.project()?.route_file(&route)?, Some(&ledger)).await?,
            Definition::Recorded => {
                let runs = found.iter().map(|record| record.run.clone()).collect();
                self.load_recorded(&reader, &ledger, &route, &runs).await?
            }
        };
        found.sort_by(|a, b| (a.summary.at, &a.summary.id).cmp(&(b.summary.at, &b.summary.id)));
        let edited = resync.edit.is_some();
        let records = found.into_iter().map(|record| PlannedRecord::of(&loaded, record.summary, edited)).collect();
        self.keep_plan(resync, &loaded, records, &ledger).await.map(Some)
    }

    async fn keep_plan(
        &self,
        resync: &Resync,
        loaded: &Loaded,
        records: Vec<PlannedRecord>,
        ledger: &LedgerStore,
    ) -> Result<ResyncPlan, Error> {
        let recorded = resync.definition == Definition::Recorded;
        let mut hasher = PlanHasher::new(loaded, recorded, resync.edit.as_deref());
        let mut verdicts = BTreeMap::new();
        let mut entries = Vec::with_capacity(records.len());
        for record in &records {
            *verdicts.entry(record.verdict).or_default() += 1;
            let entry = record.entry();
            hasher.add(&entry);
            entries.push(entry);
        }
        let (hash, route) = (hasher.finish(), loaded.route.name().clone());
        let connectors = check_connectors(loaded, false).await?;
        let route_hash = loaded.route.hash().to_owned();
        let plan = ResyncPlan {
            hash: hash.clone(),
            route: route.clone(),
            route_hash,
            recorded,
            records,
            verdicts,
            connectors,
        };
        if plan.will_run() > 0 && ledger.reader()?.plan_summary(&hash)?.is_none() {
            let at = SystemClock.now();
            let id = plan.records.first().map(|record| record.id.clone());
            let frozen = Plan {
                hash: hash.clone(),
                route: route.clone(),
                route_hash: plan.route_hash.clone(),
                recorded,
                at,
                entries,
                filter: format!("{:?}", resync.choice),
                edit: id.zip(resync.edit.clone()),
            };
            ledger.save_plan(frozen).await?;
            let message = format!("resync planned: {} of {} record(s) would run", plan.will_run(), plan.records.len());
            ledger.append_events(route, vec![event(at, EventKind::ResyncPlanned, message, &hash)]).await?;
        }
        Ok(plan)
    }

    /// Puts the records of a plan through again. Live runs of other routes go first at connectors that they share.
    ///
    /// # Errors
    /// When there is no such plan, when the route, one of its plugins or one of its records has changed since, when
    /// a connector of the route cannot be used, or a run of the route is under way. Nothing was changed or sent then.
    pub async fn apply_resync(&self, hash: &str) -> Result<Running, Error> {
        let ledger = self.ledger()?;
        let reader = ledger.reader()?;
        let plan = reader.plan_summary(hash)?.ok_or_else(|| no_plan(hash))?;
        let (loaded, turn) = self.load_planned(&reader, &ledger, &plan).await?;
        let ids = still_holds(&reader, &plan, &loaded)?;
        let down = check_connectors(&loaded, false).await?.into_iter().find(|connector| !connector.operational);
        if let Some(first) = down {
            return Err(connector_down(hash, &first));
        }
        self.refuse_quarantined(&loaded)?;
        let at = SystemClock.now();
        let message = format!("resync applied: {} record(s) put through again", ids.len());
        ledger
            .append_events(plan.route.clone(), vec![event(at, EventKind::ResyncApplied, message, &plan.hash)])
            .await?;
        if let (Some((id, content)), Some(first)) = (plan.edit, loaded.steps.first()) {
            let reason = format!("new content by resync {}", plan.hash);
            ledger.edit(plan.route, Edit { id, content, first: first.name.clone(), reason, at }).await?;
        }
        self.begin(loaded, Entry::Resync(ids), Cause::Resync { plan: plan.hash }, turn).await
    }

    /// Reads the new content of a record from a file.
    ///
    /// # Errors
    /// When it cannot be read, or has more than 16 MiB.
    pub fn read_content(&self, path: &Path) -> Result<Vec<u8>, Error> {
        let fail = |why: String| {
            let message = format!("reading the new content from {}: {why}", path.display());
            Error::new("host-file-unreadable", ErrorClass::InvalidInput, message, "Check the path and the file.")
        };
        let file = std::fs::File::open(path).map_err(|error| fail(error.to_string()))?;
        let mut content = Vec::new();
        file.take(EDIT_MAX_BYTES + 1).read_to_end(&mut content).map_err(|error| fail(error.to_string()))?;
        if content.len() as u64 > EDIT_MAX_BYTES {
            return Err(fail(format!("it has more than {EDIT_MAX_BYTES} bytes")));
        }
        Ok(content)
    }

    async fn load_planned(
        &self,
        reader: &LedgerReader,
        ledger: &LedgerStore,
        plan: &PlanSummary,
    ) -> Result<(Loaded, RouteTurn), Error> {
        if !plan.recorded {
            return self.for_route(&plan.route).await;
        }
        let turn = self.take(&plan.route)?;
        Ok((self.load_definition(reader, ledger, &plan.route, &plan.route_hash).await?, turn))
    }

    /// The route as it was recorded at these runs, if that is one definition with the same plugins.
    async fn load_recorded(
        &self,
        reader: &LedgerReader,
        ledger: &LedgerStore,
        route: &RouteName,
        runs: &HashSet<RunId>,
    ) -> Result<Loaded, Error> {
        let mut recorded: Option<(String, LoadedPlugins)> = None;
        for run in runs {
            let Some(run) = reader.run(run)? else { continue };
            let this = (run.summary.route_hash, run.plugins);
            if recorded.as_ref().is_some_and(|known| *known != this) {
                return Err(Error::new(
                    "resync-several-definitions",
                    ErrorClass::InvalidInput,
                    format!(
                        "planning a resync with the recorded definition: the records of route {route} were run \
                             with different definitions or plugins"
                    ),
                    "Choose those of one run with --run.",
                ));
            }
            recorded = Some(this);
        }
        let Some((hash, plugins)) = recorded else {
            return Err(no_definition(route, "the run of the records is not in the ledger any more"));
        };
        let loaded = self.load_definition(reader, ledger, route, &hash).await?;
        if let Some((place, plugin, digest)) = plugins.iter().find(|known| !loaded.plugins.contains(known)) {
            return Err(Error::new(
                "resync-plugin-changed",
                ErrorClass::InvalidInput,
                format!(
                    "planning a resync with the recorded definition: plugin {plugin} at {place} is another file \
                         now; then it was sha256:{digest}"
                ),
                "Bring the file back, or leave --recorded out to put the records through the route as it is now.",
            ));
        }
        Ok(loaded)
    }

    async fn load_definition(
        &self,
        reader: &LedgerReader,
        ledger: &LedgerStore,
        route: &RouteName,
        hash: &str,
    ) -> Result<Loaded, Error> {
        let text = reader.definition(hash)?.ok_or_else(|| no_definition(route, "it is not in the ledger any more"))?;
        let short: String = hash.chars().take(12).collect();
        let parsed = RouteFile::parse(&format!("recorded definition {short} of {route}"), &text)?;
        self.load_into(self.project()?, parsed, None, Some(ledger)).await
    }
}

/// What a plan needs of a record that was found.
struct Slim {
    summary: RecordSummary,
    run: RunId,
}

impl Slim {
    /// Without what is only for people: a plan may be of a million records.
    fn of(record: RecordSummary) -> Self {
        let run = record.run.clone();
        let summary = RecordSummary { message: None, code: None, target_ids: Vec::new(), parent: None, ..record };
        Self { summary, run }
    }
}

/// The records that are to be put through, if the plan is still what it was.
fn still_holds(reader: &LedgerReader, plan: &PlanSummary, loaded: &Loaded) -> Result<Vec<RecordId>, Error> {
    let stale = |why: String| {
        Error::new(
            "resync-stale-plan",
            ErrorClass::InvalidInput,
            format!("applying resync {}: {why} since it was planned", plan.hash),
            "Plan again, look at what has changed, and apply the new hash.",
        )
    };
    let mut hasher = PlanHasher::new(loaded, plan.recorded, plan.edit.as_ref().map(|(_, content)| content.as_slice()));
    let mut ids = Vec::new();
    let mut changed = None;
    let mut changes = 0;
    for part in 0..plan.parts {
        let Some(entries) = reader.plan_part(&plan.hash, part)? else { break };
        for change in reader.plan_changes(&plan.route, &entries)? {
            // What went through at the first attempt had no row then, and has none now.
            if change.planned == 0 && change.found.is_none() {
                continue;
            }
            changes += 1;
            changed.get_or_insert(change);
        }
        for entry in entries {
            hasher.add(&entry);
            if Verdict::word_runs(&entry.verdict) {
                ids.push(entry.id);
            }
        }
    }
    if hasher.finish() != plan.hash {
        return Err(stale(format!("route {} or one of its plugins has changed", plan.route)));
    }
    match changed {
        Some(first) => Err(stale(format!("{changes} record(s) have changed, first {},", first.id))),
        None => Ok(ids),
    }
}

fn no_plan(hash: &str) -> Error {
    Error::new(
        "resync-no-plan",
        ErrorClass::InvalidInput,
        format!("applying resync {hash}: there is no plan with this hash"),
        "Make one with `crossdock resync … --plan`, and apply the hash that it shows.",
    )
}

fn no_definition(route: &RouteName, why: &str) -> Error {
    Error::new(
        "resync-no-definition",
        ErrorClass::InvalidInput,
        format!("loading the recorded definition of route {route}: {why}"),
        "Leave --recorded out to put the records through the route as it is now.",
    )
}

fn connector_down(hash: &str, connector: &ConnectorReport) -> Error {
    let why = connector.failure.as_ref().map(|failure| failure.message.clone()).unwrap_or_default();
    Error::new(
        "resync-connector-down",
        ErrorClass::Environment,
        format!("applying resync {hash}: the connector of step {} cannot be used: {why}", connector.step),
        "Look at it with `crossdock connectors check ROUTE`, and apply the plan when it answers.",
    )
}

fn event(at: Timestamp, kind: EventKind, message: String, hash: &str) -> Event {
    Event { at, kind, run: None, step: None, record: None, message, data: serde_json::json!({ "plan": hash }) }
}
