//! What operators decide: to leave records out, to stop them, what became of those in doubt, rollbacks, and plugins.

use crate::choice::{Choice, Purpose, Selection, each, none_fits};
use crate::error::Error;
use crate::host::Host;
use crate::load::Loaded;
use crate::run::Running;
use crate::secrets::redact;
use crate::sharing::RouteTurn;
use crate::world::SystemClock;
use crossdock_engine::plan::Entry;
use crossdock_engine::ports::{Applied, Cause, Clock, Idempotency};
use crossdock_ledger::{Cursor, Decided, Decision, RecordFilter, RecordFound, RecordSummary};
use crossdock_model::{ErrorClass, RouteName, RunId, Status, StepName};
use crossdock_route::RouteFile;

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

/// What became of records that were cancelled, or whose rollback is resumed.
#[derive(Debug)]
#[non_exhaustive]
pub struct Undoing {
    /// The records and where they stand by the decision.
    pub decided: Vec<Decided>,
    /// The run that undoes what they had applied; `None` if there is nothing to undo.
    pub running: Option<Running>,
}

/// A record whose rollback is under way or failed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RollbackStanding {
    /// The record.
    pub record: RecordSummary,
    /// What is still to be undone, in the order in which it is.
    pub to_undo: Vec<Applied>,
}

impl Host {
    /// Says what an operator found out about records of which it was unknown whether they were applied.
    ///
    /// # Errors
    /// When one of them is not indeterminate. Nothing was decided then, if there are no more than 10,000.
    pub async fn resolve(
        &self,
        selection: &Selection,
        resolution: Resolution,
        reason: &str,
    ) -> Result<Vec<Decided>, Error> {
        match resolution {
            Resolution::Applied { target_id } => {
                self.decide(selection, Status::Ok, target_id, Vec::new(), reason).await
            }
            Resolution::NotApplied => self.decide(selection, Status::Failed, None, Vec::new(), reason).await,
        }
    }

    /// Leaves records out for good, with a reason.
    ///
    /// # Errors
    /// When one of them is settled otherwise, or being worked on. Nothing was decided then, if there are no more than
    /// 10,000.
    pub async fn skip(&self, selection: &Selection, reason: &str) -> Result<Vec<Decided>, Error> {
        self.decide(selection, Status::Skipped, None, Vec::new(), reason).await
    }

    /// Stops records for good, with a reason. What earlier steps had applied for them is undone by the run that is
    /// started; a record in doubt is asked about first.
    ///
    /// # Errors
    /// When a run of the route is under way, the route has mistakes, or one of the records is neither pending, failed,
    /// rejected nor indeterminate. Nothing was decided then, if there are no more than 10,000.
    pub async fn cancel(&self, selection: &Selection, reason: &str) -> Result<Undoing, Error> {
        let (loaded, turn) = self.for_route(&selection.route).await?;
        let destinations = loaded.steps.iter().filter(|step| step.destination().is_some());
        let names = destinations.map(|step| step.name.clone()).collect();
        let decided = self.decide(selection, Status::Cancelled, None, names, reason).await?;
        let undo = decided.iter().any(|one| one.to == Status::RollingBack);
        let running = if undo { Some(self.begin(loaded, Entry::Rollback, Cause::Rollback, turn).await?) } else { None };
        Ok(Undoing { decided, running })
    }

    /// Asks the destination about records of which it is unknown whether they were applied. What was applied goes
    /// on, what was not is failed and can be put through again.
    ///
    /// # Errors
    /// When one of them is not indeterminate, its destination cannot be asked, its content is not in the ledger, or a
    /// run of the route is under way.
    pub async fn probe(&self, selection: &Selection) -> Result<Running, Error> {
        let (loaded, turn) = self.for_route(&selection.route).await?;
        let choice = Choice {
            ids: selection.ids(),
            filter: RecordFilter { route: Some(selection.route.clone()), ..RecordFilter::default() },
        };
        let mut refused = None;
        each(&self.reports()?, &choice, Purpose::Probe, |record| {
            refused = refused.take().or_else(|| cannot_probe(&loaded, &record));
        })?;
        if let Some(error) = refused {
            return Err(error);
        }
        self.begin(loaded, Entry::Probe(selection.ids()), Cause::Probe, turn).await
    }

    /// The records that are rolling back or whose rollback failed, with what is still to be undone: those that failed
    /// and others that a filter lets through, a page at a time.
    ///
    /// # Errors
    /// When there is no ledger or it cannot be read.
    pub fn rollbacks(
        &self,
        filter: &RecordFilter,
        limit: u32,
        after: Option<&Cursor>,
    ) -> Result<(Vec<RollbackStanding>, Option<Cursor>), Error> {
        let reader = self.reports()?;
        let mut filter = filter.clone();
        if filter.status.is_none() && filter.statuses.is_empty() {
            filter.statuses = vec![Status::RollbackFailed, Status::RollingBack];
        }
        let page = reader.records(&filter, limit, after)?;
        let mut standing = Vec::with_capacity(page.items.len());
        for record in page.items {
            let to_undo = match reader.record(Some(&record.route), &record.id)? {
                RecordFound::One(detail) => detail.to_undo,
                _ => Vec::new(),
            };
            standing.push(RollbackStanding { record, to_undo });
        }
        Ok((standing, page.next))
    }

    /// Tries again to undo records whose rollback failed, with all their attempts; and goes on with what else is
    /// rolling back in the route.
    ///
    /// # Errors
    /// When a run of the route is under way, the route has mistakes, or one of the records is not rolling back.
    pub async fn resume_rollback(&self, selection: &Selection, reason: &str) -> Result<Undoing, Error> {
        let (loaded, turn) = self.for_route(&selection.route).await?;
        let mut failed = selection.clone();
        failed.records.retain(|record| record.status != Status::RollingBack);
        let decided = match failed.records.is_empty() {
            true => Vec::new(),
            false => self.decide(&failed, Status::RollingBack, None, Vec::new(), reason).await?,
        };
        let running = self.begin(loaded, Entry::Rollback, Cause::Rollback, turn).await?;
        Ok(Undoing { decided, running: Some(running) })
    }

    /// Notes that a person undid by hand what the host could not.
    ///
    /// # Errors
    /// When one of the records is not rolling back, or being worked on.
    pub async fn mark_rolled_back(&self, selection: &Selection, reason: &str) -> Result<Vec<Decided>, Error> {
        self.decide(selection, Status::RolledBack, None, Vec::new(), reason).await
    }

    /// Lets the plugin that was quarantined at a step of a route be used again.
    ///
    /// # Errors
    /// When none is quarantined there.
    pub async fn release_plugin(&self, route: &RouteName, step: &StepName, reason: &str) -> Result<(), Error> {
        let ledger = self.ledger()?;
        if ledger.release(route.clone(), step.clone(), redact(reason).into_owned(), SystemClock.now()).await? {
            return Ok(());
        }
        let known = ledger.reader()?.quarantined(route)?;
        let others: Vec<&str> = known.iter().map(|found| found.step.as_str()).collect();
        let fix = match others.is_empty() {
            true => "There is nothing to do: none of the route's plugins is quarantined.".to_owned(),
            false => format!("Name a step whose plugin is: {}.", others.join(", ")),
        };
        let message = format!("releasing the plugin at step {step} of route {route}: it is not quarantined");
        Err(Error::new("plugin-not-quarantined", ErrorClass::InvalidInput, message, fix))
    }

    /// The steps of a route in their order, as it was at a run. Empty if the ledger does not know the run.
    ///
    /// # Errors
    /// When there is no ledger or it cannot be read.
    pub fn steps_of(&self, run: &RunId) -> Result<Vec<StepName>, Error> {
        let Some(run) = self.reader()?.run(run)? else { return Ok(Vec::new()) };
        // It was checked before it was run; a later version may have other rules, and the order is not worth failing for.
        let route = RouteFile::parse("recorded", &run.definition);
        Ok(route.map(|route| route.steps().iter().map(|step| step.name.clone()).collect()).unwrap_or_default())
    }

    /// A route by its name, loaded and taken for a run.
    pub(crate) async fn for_route(&self, route: &RouteName) -> Result<(Loaded, RouteTurn), Error> {
        let path = self.project()?.route_file(route)?;
        let turn = self.take(route)?;
        let ledger = self.ledger()?;
        Ok((self.load(&path, Some(&ledger)).await?, turn))
    }

    async fn decide(
        &self,
        selection: &Selection,
        status: Status,
        target_id: Option<String>,
        destinations: Vec<StepName>,
        reason: &str,
    ) -> Result<Vec<Decided>, Error> {
        if selection.records.is_empty() {
            return Err(none_fits("none fits"));
        }
        let decision =
            Decision { status, reason: redact(reason).into_owned(), target_id, destinations, at: SystemClock.now() };
        Ok(self.ledger()?.decide(selection.route.clone(), selection.ids(), decision).await?)
    }
}

fn cannot_probe(loaded: &Loaded, record: &RecordSummary) -> Option<Error> {
    let id = &record.id;
    if record.status != Status::Indeterminate {
        return Some(Error::new(
            "probe-not-possible",
            ErrorClass::InvalidInput,
            format!("probing record {id}: it is {}, and only indeterminate records are in doubt", record.status),
            "Leave it out, or choose with --status indeterminate.",
        ));
    }
    let step = record.step.as_ref().and_then(|name| loaded.steps.iter().find(|step| step.name == *name));
    if !step.is_some_and(|step| step.abilities.probes) {
        let at = record.step.as_ref().map(ToString::to_string).unwrap_or_default();
        let recognises =
            step.is_some_and(|step| matches!(step.abilities.idempotency, Idempotency::NativeKey | Idempotency::Upsert));
        let fix = match recognises {
            true => "It recognises what it already has: put the record through again with `crossdock resync`.",
            false => "Look into the other system, then say what you found with `crossdock resolve`.",
        };
        return Some(Error::new(
            "probe-not-possible",
            ErrorClass::NeedsOperator,
            format!("probing record {id}: the destination at step {at} cannot be asked what was applied"),
            fix,
        ));
    }
    (record.open && !record.kept).then(|| {
        Error::new(
            "probe-at-source",
            ErrorClass::InvalidInput,
            format!("probing record {id}: its content is still with the source"),
            "Run the route: it reads the record again and probes it then.",
        )
    })
}
