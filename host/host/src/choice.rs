//! Which records an operator means.

use crate::error::Error;
use crate::host::Host;
use crossdock_ledger::{LedgerReader, RecordFilter, RecordSummary};
use crossdock_model::{ErrorClass, RecordId, RouteName, Status, Timestamp};
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;

/// The most records that one plan or one decision can be about.
pub const PLAN_RECORDS_MAX: usize = 1_000_000;
/// The most records of a selection that are shown as examples.
const EXAMPLES_MAX: usize = 20;

/// Which records are meant.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// These, each of which must be there. Empty: all that the filter lets through.
    pub ids: Vec<RecordId>,
    /// Of those, the ones for which this holds.
    pub filter: RecordFilter,
}

/// What records are chosen for. Says which are meant if a choice names neither ids nor statuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// To put them through again: failed, rejected, indeterminate, pending.
    Resync,
    /// To ask about them: indeterminate.
    Probe,
    /// To say what became of them: indeterminate.
    Resolve,
    /// To leave them out: failed, rejected, indeterminate, pending.
    Skip,
    /// To stop them: failed, rejected, indeterminate, pending.
    Cancel,
    /// To go on undoing them: those whose rollback failed, and those that are rolling back.
    ResumeRollback,
    /// To note that a person undid them: those whose rollback failed.
    MarkDone,
}

impl Purpose {
    fn statuses(self) -> &'static [Status] {
        use Status::{Failed, Indeterminate, Pending, Rejected, RollbackFailed, RollingBack};
        match self {
            Self::Resync | Self::Skip | Self::Cancel => &[Failed, Rejected, Indeterminate, Pending],
            Self::Probe | Self::Resolve => &[Indeterminate],
            Self::ResumeRollback => &[RollbackFailed, RollingBack],
            Self::MarkDone => &[RollbackFailed],
        }
    }
}

/// Records of one route as they stood when they were chosen.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Selection {
    /// Names exactly these records as they stand. Another hash: the choice fits others by now, or one has changed.
    pub hash: String,
    /// Their route.
    pub route: RouteName,
    /// How many there are.
    #[serde(rename = "count", serialize_with = "length")]
    pub(crate) records: Vec<Chosen>,
    /// Where they stand.
    pub statuses: BTreeMap<Status, u64>,
    /// Some of them, the oldest first.
    pub examples: Vec<Chosen>,
}

/// A record that was chosen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Chosen {
    /// The record.
    pub id: RecordId,
    /// Where it stands.
    pub status: Status,
    /// The code of its failure.
    pub code: Option<String>,
    #[serde(skip)]
    pub(crate) at: Timestamp,
    #[serde(skip)]
    pub(crate) version: u64,
}

fn length<S: Serializer>(records: &[Chosen], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(records.len() as u64)
}

impl Selection {
    /// How many records there are; at least one.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.records.len() as u64
    }

    pub(crate) fn ids(&self) -> Vec<RecordId> {
        self.records.iter().map(|record| record.id.clone()).collect()
    }

    fn of(route: RouteName, mut records: Vec<Chosen>) -> Self {
        records.sort_by(|a, b| (a.at, &a.id).cmp(&(b.at, &b.id)));
        let mut hasher = blake3::Hasher::new();
        let mut statuses = BTreeMap::new();
        hasher.update(route.as_str().as_bytes());
        for record in &records {
            *statuses.entry(record.status).or_default() += 1;
            hasher.update(&(record.id.0.len() as u64).to_le_bytes());
            hasher.update(record.id.0.as_bytes());
            hasher.update(record.status.as_str().as_bytes());
            hasher.update(&record.version.to_le_bytes());
        }
        let hash = hasher.finalize().to_hex()[..16].to_owned();
        let examples = records.iter().take(EXAMPLES_MAX).cloned().collect();
        Self { hash, route, records, statuses, examples }
    }
}

impl Host {
    /// The records that a choice means, as they stand now; `None` if none fits. Changes nothing.
    ///
    /// # Errors
    /// When there is no record with an id that is asked for, when records of several routes fit, or more than
    /// [`PLAN_RECORDS_MAX`].
    pub fn select(&self, choice: &Choice, purpose: Purpose) -> Result<Option<Selection>, Error> {
        let mut records = Vec::new();
        let route = each(&self.reports()?, choice, purpose, |record| {
            records.push(Chosen {
                id: record.id,
                status: record.status,
                code: record.code,
                at: record.at,
                version: record.version,
            });
        })?;
        Ok(route.map(|route| Selection::of(route, records)))
    }
}

/// Gives every record that a choice means, in no particular order, and answers with their one route; `None` if there
/// is none. Holds no more of them than a page.
pub(crate) fn each(
    reader: &LedgerReader,
    choice: &Choice,
    purpose: Purpose,
    mut take: impl FnMut(RecordSummary),
) -> Result<Option<RouteName>, Error> {
    let mut route: Option<RouteName> = None;
    let mut found = 0;
    let mut all = |filter: RecordFilter, found: &mut usize| -> Result<(), Error> {
        for record in reader.all_records(filter) {
            let record = record?;
            *found += 1;
            if *found > PLAN_RECORDS_MAX {
                return Err(too_many());
            }
            if route.as_ref().is_some_and(|route| *route != record.route) {
                return Err(several_routes(route.as_ref(), &record.route));
            }
            route.get_or_insert_with(|| record.route.clone());
            take(record);
        }
        Ok(())
    };
    for id in &choice.ids {
        let before = found;
        all(RecordFilter { id: Some(id.clone()), ..choice.filter.clone() }, &mut found)?;
        if found == before {
            return Err(none_fits(&format!("record {id} is not there, or not as it was asked for")));
        }
    }
    if choice.ids.is_empty() {
        let mut filter = choice.filter.clone();
        if filter.status.is_none() && filter.statuses.is_empty() {
            filter.statuses = purpose.statuses().to_vec();
        }
        all(filter, &mut found)?;
    }
    Ok(route)
}

fn too_many() -> Error {
    Error::new(
        "records-too-many",
        ErrorClass::InvalidInput,
        format!("choosing records: more than {PLAN_RECORDS_MAX} fit"),
        "Narrow the choice down: by run, step, status, code, fingerprint or time.",
    )
}

fn several_routes(one: Option<&RouteName>, other: &RouteName) -> Error {
    let one = one.map(ToString::to_string).unwrap_or_default();
    Error::new(
        "records-several-routes",
        ErrorClass::InvalidInput,
        format!("choosing records: they belong to several routes, among them {one} and {other}"),
        "Name one with --route.",
    )
}

pub(crate) fn none_fits(why: &str) -> Error {
    Error::new(
        "records-none",
        ErrorClass::InvalidInput,
        format!("choosing records: {why}"),
        "Look at what there is with `crossdock records`.",
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn select(records: &[(&str, Status, u64)]) -> String {
        let records = records.iter().map(|(id, status, version)| Chosen {
            id: RecordId((*id).into()),
            status: *status,
            code: None,
            at: Timestamp(0),
            version: *version,
        });
        Selection::of(RouteName::new("r").unwrap(), records.collect()).hash
    }

    #[test]
    fn the_hash_names_the_records_as_they_stand() {
        let known = select(&[("a", Status::Failed, 1), ("b", Status::Failed, 2)]);
        assert_eq!(known, select(&[("b", Status::Failed, 2), ("a", Status::Failed, 1)]), "whatever the order");
        for other in [
            select(&[("a", Status::Failed, 1)]),
            select(&[("a", Status::Failed, 1), ("b", Status::Failed, 3)]),
            select(&[("a", Status::Rejected, 1), ("b", Status::Failed, 2)]),
            select(&[("a", Status::Failed, 1), ("c", Status::Failed, 2)]),
        ] {
            assert_ne!(known, other);
        }
    }
}
