//! An instance of a plugin under test: its calls, whatever its role, and what came of each record.

use crate::case::{Case, Dir};
use crate::clock::BEGINNING;
use crossdock_engine::ports::{
    Abilities, CallError, CallResult, CallTrace, DestinationPort, Page, PageLimits, SourcePort, StateWrite,
    TransformerPort, UndoBatch, WriteOptions,
};
use crossdock_model::{
    Attribute, Batch, Checkpoint, Column, ErrorClass, Failure, Outcome, RouteName, StepName, Timestamp, idempotency_key,
};
use crossdock_sandbox::{DirGrant, Grants, HttpGrant, Instance, Limits, Plugin, Role, SecretGrant, WriteBudget};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tempfile::TempDir;

/// The route and the step at which plugins stand: part of the keys.
const ROUTE: &str = "cases";
const STEP: &str = "plugin";

/// A record as a plugin is given it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Given {
    pub(crate) id: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) generation: u32,
}

impl Given {
    /// The record's idempotency key.
    pub(crate) fn key(&self) -> String {
        let (Ok(route), Ok(step)) = (RouteName::new(ROUTE), StepName::new(STEP)) else { return String::new() };
        let key = idempotency_key(&route, &step, self.generation, self.id.as_bytes());
        String::from_utf8_lossy(&key).into_owned()
    }
}

/// An output record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Its content.
    pub payload: Vec<u8>,
    /// Values beside it, if the plugin replaced those that the record came with.
    pub attributes: Vec<(String, Vec<u8>)>,
}

/// What became of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The outcome.
    pub outcome: Outcome,
    /// Of a transformer: what it made of the record.
    pub outputs: Vec<Output>,
    /// Of a destination: the id that the other system gave the record; empty if none.
    pub target_id: String,
    /// Of a destination: what is needed to undo it; empty if none.
    pub receipt: Vec<u8>,
    /// Why it is not a success.
    pub failure: Option<Failure>,
}

impl Answer {
    /// The text of the first output; empty if there is none.
    #[must_use]
    pub fn text(&self) -> String {
        self.outputs.first().map(|output| String::from_utf8_lossy(&output.payload).into_owned()).unwrap_or_default()
    }
}

/// What instances of a case are granted and given: the folders live as long as this does.
pub(crate) struct Ground {
    dirs: Vec<(Dir, TempDir)>,
    pub(crate) settings: String,
    pub(crate) limits: Limits,
    pub(crate) cancelled: Arc<AtomicBool>,
    pub(crate) state: BTreeMap<String, Vec<u8>>,
    grants: Grants,
    pub(crate) stop_at_first_failure: bool,
}

impl Ground {
    /// Makes the folders of a case and what it grants.
    pub(crate) fn new(case: &Case) -> io::Result<Self> {
        let mut dirs = Vec::new();
        for dir in &case.dirs {
            let folder = tempfile::tempdir()?;
            for (name, content) in &dir.files {
                let path = folder.path().join(name);
                std::fs::create_dir_all(path.parent().unwrap_or(folder.path()))?;
                std::fs::write(path, content)?;
            }
            dirs.push((dir.clone(), folder));
        }
        let mut origins: Vec<String> = case.grants.http.clone();
        for exchange in &case.exchanges {
            if let Some(origin) = crate::case::origin(&exchange.request.url)
                && !origins.iter().any(|known| known == origin)
            {
                origins.push(origin.to_owned());
            }
        }
        let secret = |(name, secret): (&String, &crate::case::Secret)| SecretGrant {
            name: name.clone(),
            value: Some(secret.value.clone().into_bytes()).into(),
            reveal: secret.reveal,
            to: origins.clone(),
        };
        let grants = Grants {
            dirs: dirs.iter().map(|(dir, folder)| grant(dir, folder.path())).collect(),
            http: origins.iter().map(|origin| HttpGrant::from(origin.as_str())).collect(),
            secrets: case.secrets.iter().map(secret).collect(),
        };
        let limits = Limits::default();
        let call_time_max_ms = case.call.time_max_ms.unwrap_or(limits.call_time_max_ms);
        Ok(Self {
            dirs,
            settings: case.settings_json(),
            limits: Limits { call_time_max_ms, ..limits },
            cancelled: Arc::new(AtomicBool::new(case.call.cancelled)),
            state: case.state.iter().map(|(key, value)| (key.clone(), value.clone().into_bytes())).collect(),
            grants,
            stop_at_first_failure: case.call.stop_at_first_failure,
        })
    }

    /// The files of each granted directory as they are now.
    pub(crate) fn files(&self) -> io::Result<Vec<(&Dir, BTreeMap<String, String>)>> {
        self.dirs.iter().map(|(dir, folder)| Ok((dir, files(folder.path(), folder.path())?))).collect()
    }

    /// Keeps what a call wrote, as the ledger would.
    pub(crate) fn keep(&mut self, trace: &CallTrace) {
        for StateWrite { key, value } in &trace.state {
            match value {
                Some(value) => drop(self.state.insert(key.clone(), value.clone())),
                None => drop(self.state.remove(key)),
            }
        }
    }

    fn instance(&self) -> Result<Instance, CallError> {
        let name = |error: &dyn std::fmt::Display| CallError::Host(own_mistake(error));
        let route = RouteName::new(ROUTE).map_err(|error| name(&error))?;
        let step = StepName::new(STEP).map_err(|error| name(&error))?;
        Ok(Instance {
            grants: self.grants.clone(),
            limits: self.limits,
            cancelled: self.cancelled.clone(),
            state: self.state.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
            ..Instance::new(route, step, self.settings.clone())
        })
    }
}

fn own_mistake(error: &dyn std::fmt::Display) -> crossdock_engine::ports::PortError {
    crossdock_engine::ports::PortError {
        code: "sandbox-internal",
        class: ErrorClass::Internal,
        message: error.to_string(),
        fix: None,
    }
}

fn grant(dir: &Dir, host: &Path) -> DirGrant {
    DirGrant { host: host.to_owned(), guest: dir.guest.clone(), write: dir.write.then(WriteBudget::default) }
}

fn files(root: &Path, folder: &Path) -> io::Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(root, &path)?);
        } else {
            let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
            found.insert(name, String::from_utf8_lossy(&std::fs::read(&path)?).into_owned());
        }
    }
    Ok(found)
}

/// When a case takes place.
pub(crate) fn time_of(case: &Case) -> Timestamp {
    let Some(now) = case.call.now else { return BEGINNING };
    let (date, time) = (now.date, now.time);
    let days = date.map_or(0, |date| days(i64::from(date.year), i64::from(date.month), i64::from(date.day)));
    let seconds = time.map_or(0, |time| {
        i64::from(time.hour) * 3_600 + i64::from(time.minute) * 60 + i64::from(time.second.unwrap_or(0))
    });
    let minutes_ahead = match now.offset {
        Some(toml::value::Offset::Custom { minutes }) => i64::from(minutes),
        _ => 0,
    };
    let ms = time.map_or(0, |time| i64::from(time.nanosecond.unwrap_or(0)) / 1_000_000);
    Timestamp((days * 86_400 + seconds - minutes_ahead * 60) * 1_000 + ms)
}

/// Days from 1970-01-01 to a date of the Gregorian calendar, counted in years that begin with March.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// An instance in one of the roles.
pub(crate) enum Live {
    Source(Arc<dyn SourcePort>),
    Transformer(Arc<dyn TransformerPort>),
    Destination(Arc<dyn DestinationPort>),
}

/// What a call that is given records came to: one answer a record, or why there is none.
pub(crate) struct Heard {
    pub(crate) answers: Result<Vec<Answer>, CallError>,
    pub(crate) trace: CallTrace,
}

impl Live {
    /// A fresh instance.
    pub(crate) async fn start(plugin: &Plugin, ground: &Ground) -> Result<Self, CallError> {
        let instance = ground.instance()?;
        Ok(match plugin.description().role {
            Role::Source => Self::Source(plugin.source(instance).await?),
            Role::Transformer => Self::Transformer(plugin.transformer(instance).await?),
            Role::Destination => Self::Destination(plugin.destination(instance).await?),
        })
    }

    pub(crate) fn abilities(&self) -> Abilities {
        match self {
            Self::Source(port) => port.abilities(),
            Self::Transformer(port) => port.abilities(),
            Self::Destination(port) => port.abilities(),
        }
    }

    pub(crate) async fn check(&self) -> CallResult<()> {
        match self {
            Self::Source(port) => port.check().await,
            Self::Transformer(_) => CallResult::plain(()),
            Self::Destination(port) => port.check().await,
        }
    }

    /// Transforms or writes a batch.
    pub(crate) async fn pass(&self, records: &[Given], stop_at_first_failure: bool) -> Heard {
        let (batch, keys) = packed(records);
        match self {
            Self::Transformer(port) => {
                let CallResult { answer, trace } = port.transform(Arc::new(batch)).await;
                Heard { answers: answer.map(transformed), trace }
            }
            Self::Destination(port) => {
                let options = WriteOptions { stop_at_first_failure };
                let CallResult { answer, trace } = port.write(Arc::new(batch), keys, options).await;
                let answers = answer
                    .map(|written| unpacked(&written.outcomes, written.failures, written.target_ids, written.receipts));
                Heard { answers, trace }
            }
            Self::Source(_) => not_this_role(),
        }
    }

    /// Asks whether records were applied.
    pub(crate) async fn probe(&self, records: &[Given]) -> Heard {
        let Self::Destination(port) = self else { return not_this_role() };
        let (batch, keys) = packed(records);
        let CallResult { answer, trace } = port.probe(Arc::new(batch), keys).await;
        let answers =
            answer.map(|probed| unpacked(&probed.outcomes, probed.failures, probed.target_ids, probed.receipts));
        Heard { answers, trace }
    }

    /// Undoes records, the newest first; the answers are in the order in which they are given.
    pub(crate) async fn undo(&self, applied: &[(Given, Answer)]) -> Heard {
        let Self::Destination(port) = self else { return not_this_role() };
        let newest_first = || applied.iter().rev();
        let batch = UndoBatch {
            ids: newest_first().map(|(given, _)| &given.id).collect(),
            keys: newest_first().map(|(given, _)| given.key()).collect(),
            target_ids: newest_first().map(|(_, answer)| &answer.target_id).collect(),
            receipts: newest_first().map(|(_, answer)| &answer.receipt).collect(),
        };
        let CallResult { answer, trace } = port.compensate(batch).await;
        let answers = answer.map(|undone| {
            let mut answers = unpacked(&undone.outcomes, undone.failures, None, None);
            answers.reverse();
            answers
        });
        Heard { answers, trace }
    }

    pub(crate) async fn read(&self, checkpoint: Option<Checkpoint>, limits: PageLimits) -> CallResult<Page> {
        match self {
            Self::Source(port) => port.read(checkpoint, limits).await,
            _ => CallError::Host(own_mistake(&"only sources are read")).into(),
        }
    }

    pub(crate) async fn ack(&self, checkpoint: Checkpoint) -> CallResult<()> {
        match self {
            Self::Source(port) => port.ack(checkpoint).await,
            _ => CallResult::plain(()),
        }
    }
}

fn not_this_role() -> Heard {
    let answers = Err(CallError::Host(own_mistake(&"the plugin has no such call")));
    Heard { answers, trace: CallTrace::default() }
}

fn packed(records: &[Given]) -> (Batch, Column) {
    let mut names: Vec<&String> = records.iter().flat_map(|record| record.attributes.keys()).collect();
    names.sort();
    names.dedup();
    let value = |record: &Given, name: &String| record.attributes.get(name).cloned().unwrap_or_default();
    let batch = Batch {
        ids: records.iter().map(|record| &record.id).collect(),
        payloads: records.iter().map(|record| &record.payload).collect(),
        attributes: names
            .iter()
            .map(|name| Attribute {
                name: (*name).clone(),
                values: records.iter().map(|record| value(record, name)).collect(),
            })
            .collect(),
    };
    (batch, records.iter().map(Given::key).collect())
}

fn unpacked(
    outcomes: &[Outcome],
    failures: Vec<(u32, Failure)>,
    target_ids: Option<Column>,
    receipts: Option<Column>,
) -> Vec<Answer> {
    let mut failures: BTreeMap<usize, Failure> = failures.into_iter().map(|(at, f)| (at as usize, f)).collect();
    let answer = |(at, outcome): (usize, &Outcome)| Answer {
        outcome: *outcome,
        outputs: Vec::new(),
        target_id: target_ids.as_ref().map(|column| column.text(at).into_owned()).unwrap_or_default(),
        receipt: receipts.as_ref().and_then(|column| column.get(at)).unwrap_or_default().to_vec(),
        failure: failures.remove(&at),
    };
    outcomes.iter().enumerate().map(answer).collect()
}

fn transformed(transformed: crossdock_engine::ports::Transformed) -> Vec<Answer> {
    let mut answers = unpacked(&transformed.outcomes, transformed.failures, None, None);
    let mut next = 0;
    for (at, answer) in answers.iter_mut().enumerate() {
        let number = match &transformed.outputs {
            Some(outputs) => outputs.get(at).map_or(0, |n| *n as usize),
            None => usize::from(answer.outcome == Outcome::Ok),
        };
        for index in next..next + number {
            let attributes = transformed.attributes.iter().flatten();
            let attributes = attributes.filter_map(|a| Some((a.name.clone(), a.values.get(index)?.to_vec())));
            answer.outputs.push(Output {
                payload: transformed.payloads.get(index).unwrap_or_default().to_vec(),
                attributes: attributes.filter(|(_, value)| !value.is_empty()).collect(),
            });
        }
        next += number;
    }
    answers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_counted() {
        for (year, month, day, expected) in
            [(1970, 1, 1, 0), (2000, 3, 1, 11_017), (2026, 1, 1, 20_454), (1969, 12, 31, -1)]
        {
            assert_eq!(days(year, month, day), expected, "{year}-{month}-{day}");
        }
        assert_eq!(days(2026, 1, 1) * 86_400_000, BEGINNING.0);
    }
}
