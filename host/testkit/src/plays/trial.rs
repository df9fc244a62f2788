//! What plays have in common: fresh instances on fresh ground, inputs made smaller, texts looked through.

use crate::bench::Bench;
use crate::case::{Any, Case, Record, Refusing, Times};
use crate::compare::{self, Call};
use crate::diff::shown;
use crate::error::KitError;
use crate::finding::{self, Finding, Kind};
use crate::live::{Answer, Given, Ground, Heard, Live, time_of};
use crate::request::Keys;
use crate::run::{CaseOutcome, given, is_good, keys};
use crate::world::{Failing, World};
use crossdock_engine::ports::{CallError, RefusalKind};
use crossdock_model::Failure;
use crossdock_sandbox::Plugin;
use serde_json::Value;
use std::sync::Arc;

/// Why a play has no verdict.
pub(crate) enum Stop {
    /// It takes something that the case does not give.
    NotTried(String),
    /// The kit could not do its own work.
    Kit(KitError),
}

/// What a play found.
pub(crate) type Played = Result<Vec<Finding>, Stop>;

pub(crate) fn not_tried<T>(why: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::NotTried(why.into()))
}

/// A case that holds, and what its records came to.
pub(crate) struct Sample<'c> {
    pub(crate) case: &'c Case,
    pub(crate) records: Vec<Given>,
    pub(crate) answers: &'c [Answer],
}

impl<'c> Sample<'c> {
    pub(crate) fn new(case: &'c Case, outcome: &'c CaseOutcome) -> Self {
        Self { case, records: given(case), answers: &outcome.answers }
    }

    /// The records that went through.
    pub(crate) fn good(&self) -> Vec<Given> {
        let pairs = self.records.iter().zip(self.answers);
        pairs.filter(|(_, answer)| is_good(answer)).map(|(record, _)| record.clone()).collect()
    }

    /// Whether it is about a source that gives something.
    pub(crate) fn has_records(&self) -> bool {
        self.case.pages.iter().any(|page| !page.records.is_empty())
    }

    pub(crate) fn keys(&self) -> Keys {
        keys(&self.records)
    }

    /// The case with these records only: as small as it gets.
    pub(crate) fn only(&self, records: &[Given]) -> Case {
        let known = |id: &str| self.case.records.iter().find(|record| record.id == id).cloned();
        let made = |given: &Given| Record {
            id: given.id.clone(),
            text: Some(String::from_utf8_lossy(&given.payload).into_owned()),
            attributes: given.attributes.clone(),
            ..Record::default()
        };
        let mut case = self.case.clone();
        case.records = records.iter().map(|given| known(&given.id).unwrap_or_else(|| made(given))).collect();
        // Not all of them may be asked for now.
        for exchange in &mut case.exchanges {
            exchange.times = Some(Times::Any(Any::Any));
        }
        for dir in &mut case.dirs {
            dir.after = None;
        }
        case.state_after = None;
        case
    }
}

/// A plugin, and where it is tried.
pub(crate) struct Trial<'a> {
    pub(crate) bench: &'a Bench,
    pub(crate) plugin: &'a Plugin,
}

impl Trial<'_> {
    /// New folders, the time of the case.
    pub(crate) fn ground(&self, case: &Case) -> Result<Ground, Stop> {
        self.bench.clock.set(time_of(case));
        Ground::new(case).map_err(|error| Stop::Kit(KitError::files(&case.name, error)))
    }

    /// From now on the other system is one that fails like this.
    pub(crate) fn world(&self, sample: &Sample<'_>, failing: Failing) -> Arc<World> {
        let world = Arc::new(World::new(sample.case, sample.keys(), failing));
        self.bench.answered_by(world.clone());
        world
    }

    /// A fresh instance. One that does not start says so as a finding.
    pub(crate) async fn fresh(&self, ground: &Ground) -> Result<Live, CallError> {
        Live::start(self.plugin, ground).await
    }

    /// Passes records to a fresh instance.
    pub(crate) async fn pass_fresh(&self, ground: &mut Ground, records: &[Given]) -> Heard {
        match self.fresh(ground).await {
            Ok(live) => {
                let heard = live.pass(records, ground.stop_at_first_failure).await;
                ground.keep(&heard.trace);
                heard
            }
            Err(error) => Heard { answers: Err(error), trace: crossdock_engine::ports::CallTrace::default() },
        }
    }

    /// The same on ground of its own.
    pub(crate) async fn pass_alone(&self, sample: &Sample<'_>, records: &[Given]) -> Result<Heard, Stop> {
        Ok(self.pass_fresh(&mut self.ground(sample.case)?, records).await)
    }
}

/// Halves records as long as what is looked for still shows.
pub(crate) async fn smallest(records: &[Given], shows: impl AsyncFn(&[Given]) -> bool) -> Vec<Given> {
    let mut records = records.to_vec();
    while records.len() > 1 {
        let (first, second) = records.split_at(records.len() / 2);
        if shows(first).await {
            records = first.to_vec();
        } else if shows(second).await {
            records = second.to_vec();
        } else {
            break;
        }
    }
    records
}

/// The finding for a call that ended in a fault; none for other errors.
pub(crate) fn of_error(case: &Case, done: &str, error: &CallError) -> Option<Finding> {
    let CallError::Fault(fault) = error else { return None };
    let found = Finding::new(finding::of_fault(fault), case, done, "an answer", compare::error(error));
    Some(Finding { detail: compare::detail(error), ..found })
}

/// The same finding of a case that ended in a fault, with no more records than it takes.
pub(crate) async fn made_small(trial: &Trial<'_>, case: &Case, outcome: &CaseOutcome, found: Finding) -> Finding {
    let sample = Sample::new(case, outcome);
    if outcome.fault.is_none() || case.refused.is_some() || sample.records.len() < 2 {
        return found;
    }
    let shows = async |records: &[Given]| {
        trial.world(&sample, Failing::Never);
        let heard = trial.pass_alone(&sample, records).await;
        heard.is_ok_and(|heard| matches!(heard.answers, Err(CallError::Fault(_))))
    };
    let records = smallest(&sample.records, shows).await;
    if records.len() < sample.records.len() { found.of(&sample.only(&records)) } else { found }
}

/// What a case shows by itself: faults, secrets in texts, pointers that lead nowhere.
pub(crate) fn found_by_case(case: &Case, outcome: &CaseOutcome) -> Vec<Finding> {
    let mut findings = Vec::new();
    let refused = case.refused.as_ref();
    let is_about_checkpoint = refused
        .is_some_and(|refused| refused.call == Refusing::Read && refused.kind == Some(RefusalKind::CheckpointRefused));
    if let Some(fault) = &outcome.fault {
        let kind = match refused.map(|refused| refused.call) {
            Some(Refusing::Configure) => finding::BAD_SETTINGS,
            _ if is_about_checkpoint => finding::CHECKPOINT_TRAPS,
            _ => finding::of_fault(fault),
        };
        let found = Finding::new(kind, case, "ran the case", "an answer", shown(&fault.message));
        let detail = compare::detail(&CallError::Fault(fault.clone()));
        findings.push(Finding { detail, ..found });
    }
    if let (true, None, Some(seen)) = (is_about_checkpoint, &outcome.fault, outcome.differences.first()) {
        let expected = "a refusal with `checkpoint-refused`";
        findings.push(Finding::new(finding::CHECKPOINT_TAKEN, case, "ran the case", expected, seen.clone()));
    }
    let sample = Sample::new(case, outcome);
    findings.extend(texts(&sample, &sample.records, &outcome.answers, "ran the case"));
    findings
}

/// Looks through what a plugin says of records.
pub(crate) fn texts(sample: &Sample<'_>, records: &[Given], answers: &[Answer], done: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (given, answer) in records.iter().zip(answers) {
        let Some(failure) = &answer.failure else { continue };
        let case = || sample.only(std::slice::from_ref(given));
        if let Some(name) = secret_in(sample.case, failure) {
            let seen = format!("record {}: {} holds the secret {name}", given.id, compare::told(Call::Pass, answer));
            findings.push(Finding::new(finding::SECRET_IN_TEXT, &case(), done, "a failure without it", seen));
        }
        if let Some(pointer) = failure.pointer.as_ref().filter(|pointer| is_astray(pointer, &given.payload)) {
            let seen =
                format!("record {}: {pointer:?} in {}", given.id, shown(&String::from_utf8_lossy(&given.payload)));
            findings.push(Finding::new(finding::POINTER_ASTRAY, &case(), done, "a place in the payload", seen));
        }
    }
    findings
}

/// The secret that a failure holds, unless the other system may have said it. The host has put its name in its place.
fn secret_in(case: &Case, failure: &Failure) -> Option<String> {
    let said = |value: &str| {
        let mut answers = case.exchanges.iter().filter_map(|exchange| exchange.answer.as_ref());
        answers.any(|answer| {
            let body = answer.body.as_ref().map(|body| body.0.to_string()).unwrap_or_default();
            body.contains(value) || answer.text.as_deref().unwrap_or_default().contains(value)
        })
    };
    let texts = [Some(&failure.message), failure.detail.as_ref(), failure.pointer.as_ref()];
    let holds = |name: &str| texts.iter().flatten().any(|text| text.contains(&format!("[secret {name}]")));
    let found = case.secrets.iter().find(|(name, secret)| !said(&secret.value) && holds(name));
    found.map(|(name, _)| name.clone())
}

/// Whether a pointer cannot be one into this payload. What it leads to may be missing, as the field to blame often is.
fn is_astray(pointer: &str, payload: &[u8]) -> bool {
    if pointer.is_empty() {
        return false;
    }
    let is_escaped = |token: &str| token.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    let Some(tokens) = pointer.strip_prefix('/') else { return true };
    if !tokens.split('/').all(is_escaped) {
        return true;
    }
    let Ok(document) = serde_json::from_slice::<Value>(payload) else { return false };
    let mut here = &document;
    for token in tokens.split('/') {
        let token = token.replace("~1", "/").replace("~0", "~");
        here = match here {
            Value::Object(members) => match members.get(&token) {
                Some(value) => value,
                None => return false,
            },
            // One behind the last may be missing; a name is missing where no object is.
            Value::Array(values) => match token.parse::<usize>().map(|index| (index, values.get(index))) {
                Ok((_, Some(value))) => value,
                Ok((index, None)) => return index > values.len(),
                Err(_) => return false,
            },
            _ => return false,
        };
    }
    false
}

/// A finding about one record.
pub(crate) fn about(
    kind: Kind,
    sample: &Sample<'_>,
    given: &Given,
    done: impl Into<String>,
    expected: &str,
    seen: impl Into<String>,
) -> Finding {
    Finding::new(kind, &sample.only(std::slice::from_ref(given)), done, expected, seen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_lead_into_the_payload_or_not() {
        let payload = br#"{"lines":[{"price":1}],"a/b":2,"name":"ann"}"#;
        for (pointer, expected) in [
            ("", false),
            ("/lines/0/price", false),
            ("/lines/0/cents", false),
            ("/missing", false),
            ("/missing/field", false),
            ("/a~1b", false),
            ("lines", true),
            ("lines.0.price", true),
            ("/lines/1/price", false),
            ("/lines/7/price", true),
            ("/lines/first", false),
            ("/a~b", true),
        ] {
            assert_eq!(is_astray(pointer, payload), expected, "{pointer}");
        }
    }
}
