//! Runs one case and tells what is different from what it expects.

use crate::bench::Bench;
use crate::case::{Case, More, Page as WantedPage, PageRecord, Refused, Refusing};
use crate::compare::{self, Call, error};
use crate::diff;
use crate::diff::shown;
use crate::live::{Answer, Given, Ground, Heard, Live, time_of};
use crate::request::{Keys, text_fits};
use crate::script::Script;
use crossdock_engine::ports::{CallError, CallResult, More as Follows, Page, PageLimits};
use crossdock_model::{Checkpoint, Outcome};
use crossdock_sandbox::Plugin;
use std::io;
use std::sync::Arc;

/// How many records a page may have unless the case says so.
const PAGE_RECORDS: u32 = 1_000;
/// How many bytes.
const PAGE_BYTES: u32 = 8 << 20;

/// What a case came to.
#[derive(Debug, Clone)]
pub struct CaseOutcome {
    /// Its name.
    pub name: String,
    /// What is different from what it expects, a line each; none if it holds.
    pub differences: Vec<String>,
    /// What became of each record, in their order; empty if the call as a whole has no answer.
    pub answers: Vec<Answer>,
    /// A fault of the plugin on the way.
    pub(crate) fault: Option<crossdock_model::Fault>,
}

impl CaseOutcome {
    /// Whether everything was as it is expected.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.differences.is_empty()
    }

    fn differs(&mut self, what: impl Into<String>) {
        self.differences.push(what.into());
    }

    /// Notes a call that has no answer.
    fn failed(&mut self, call: &str, failed: &CallError) {
        if let CallError::Fault(fault) = failed {
            self.fault.get_or_insert_with(|| fault.clone());
        }
        let detail = compare::detail(failed).map(|detail| format!("\n{detail}")).unwrap_or_default();
        self.differs(format!("{call}: {}{detail}", error(failed)));
    }
}

/// The records of a case as the plugin is given them.
pub(crate) fn given(case: &Case) -> Vec<Given> {
    let given = |record: &crate::case::Record| Given {
        id: record.id.clone(),
        payload: record.bytes(),
        attributes: record.attributes.clone(),
        generation: 0,
    };
    case.records.iter().map(given).collect()
}

/// The keys of all records.
pub(crate) fn keys(records: &[Given]) -> Keys {
    records.iter().map(|record| (record.id.clone(), record.key())).collect()
}

/// How much a page of a case may hold.
pub(crate) fn page_limits(case: &Case, plugin: &Plugin) -> PageLimits {
    let most = plugin.description().max_batch;
    PageLimits {
        max_records: case.call.max_records.unwrap_or(PAGE_RECORDS).clamp(1, most),
        max_bytes: case.call.max_bytes.unwrap_or(PAGE_BYTES),
    }
}

/// What the schema says against settings, if it does.
pub(crate) fn schema_refuses(plugin: &Plugin, settings: &serde_json::Value) -> Option<String> {
    let validator = jsonschema::validator_for(&plugin.description().settings_schema).ok()?;
    let errors: Vec<String> =
        validator.iter_errors(settings).map(|error| format!("{}: {error}", error.instance_path())).collect();
    (!errors.is_empty()).then(|| errors.join("; "))
}

/// Runs a case in fresh instances.
pub(crate) async fn run(bench: &Bench, plugin: &Plugin, case: &Case) -> io::Result<CaseOutcome> {
    let mut outcome =
        CaseOutcome { name: case.name.clone(), differences: Vec::new(), answers: Vec::new(), fault: None };
    let mut ground = Ground::new(case)?;
    let records = given(case);
    let script = Arc::new(Script::new(case.exchanges.clone(), keys(&records)));
    bench.answered_by(script.clone());
    bench.clock.set(time_of(case));
    let refused = case.refused.as_ref();
    let at_configure = refused.filter(|refused| refused.call == Refusing::Configure);
    let settings = case.settings.as_ref().map_or_else(|| serde_json::json!({}), |settings| settings.0.clone());
    if let Some(why) = schema_refuses(plugin, &settings) {
        match at_configure {
            Some(expected) => {
                if let Some(part) = expected.message.as_ref().filter(|part| !why.contains(*part)) {
                    outcome.differs(format!(
                        "settings: expected to be refused with {part:?}, refused by the schema: {why}"
                    ));
                }
            }
            None => outcome.differs(format!("settings: the schema refuses them: {why}")),
        }
        return Ok(outcome);
    }
    let live = match (Live::start(plugin, &ground).await, at_configure) {
        (Ok(live), None) => live,
        (Ok(_), Some(_)) => {
            outcome.differs("settings: expected to be refused, and they were accepted");
            return Ok(outcome);
        }
        (Err(found), Some(expected)) => {
            let kind = expected.kind.or(Some(crossdock_engine::ports::RefusalKind::InvalidSettings));
            let expected = Refused { kind, ..expected.clone() };
            for line in compare::refusal(&expected, &found) {
                outcome.differs(format!("settings: {line}"));
            }
            if let CallError::Fault(fault) = found {
                outcome.fault = Some(fault);
            }
            return Ok(outcome);
        }
        (Err(found), None) => {
            outcome.failed("configure", &found);
            return Ok(outcome);
        }
    };
    let called = refused.map(|refused| refused.call);
    if case.check.is_some() || called == Some(Refusing::Check) {
        let CallResult { answer, trace } = live.check().await;
        ground.keep(&trace);
        whole("check", answer, refused.filter(|refused| refused.call == Refusing::Check), &mut outcome);
    }
    match &live {
        Live::Source(_) => read(&live, plugin, case, &mut ground, &mut outcome).await,
        _ => pass(&live, plugin, case, records, &mut ground, &mut outcome).await,
    }
    for line in script.differences() {
        outcome.differs(line);
    }
    drop(live);
    afterwards(case, &ground, &mut outcome)?;
    Ok(outcome)
}

/// Compares a call that only answers ok or no.
fn whole(call: &str, answer: Result<(), CallError>, refused: Option<&Refused>, outcome: &mut CaseOutcome) {
    match (answer, refused) {
        (Ok(()), None) => {}
        (Ok(()), Some(_)) => outcome.differs(format!("{call}: expected to be refused, and it was not")),
        (Err(found), Some(expected)) => {
            if let CallError::Fault(fault) = &found {
                outcome.fault.get_or_insert_with(|| fault.clone());
            }
            let lines = compare::refusal(expected, &found);
            lines.into_iter().for_each(|line| outcome.differs(format!("{call}: {line}")));
        }
        (Err(found), None) => outcome.failed(call, &found),
    }
}

/// Transforms or writes the records, asks about them and undoes them.
async fn pass(
    live: &Live,
    plugin: &Plugin,
    case: &Case,
    records: Vec<Given>,
    ground: &mut Ground,
    outcome: &mut CaseOutcome,
) {
    let refused = case.refused.as_ref().filter(|r| matches!(r.call, Refusing::Write | Refusing::Transform));
    for batch in records.chunks(plugin.description().max_batch as usize) {
        let Heard { answers, trace } = live.pass(batch, ground.stop_at_first_failure).await;
        ground.keep(&trace);
        match answers {
            Ok(answers) => {
                if refused.is_some() {
                    outcome.differs("expected the whole call to be refused, and it was answered");
                }
                outcome.answers.extend(answers);
            }
            Err(found) => {
                whole("the call", Err(found), refused, outcome);
                return;
            }
        }
    }
    let expected = case.records.iter().zip(outcome.answers.clone());
    for (record, answer) in expected {
        for line in record.expect.iter().flat_map(|expect| compare::answer(Call::Pass, expect, &answer)) {
            outcome.differs(format!("record {}: {line}", record.id));
        }
    }
    let all: Vec<_> = case.records.iter().zip(records.into_iter().zip(outcome.answers.clone())).collect();
    let probed: Vec<_> = all.iter().filter(|(record, _)| record.probe.is_some()).collect();
    if !probed.is_empty() {
        let batch: Vec<Given> = probed.iter().map(|(_, (given, _))| given.clone()).collect();
        let Heard { answers, trace } = live.probe(&batch).await;
        ground.keep(&trace);
        let expected = probed.iter().filter_map(|(record, _)| Some((&record.id, record.probe.as_ref()?)));
        further("probe", Call::Probe, expected, answers, outcome);
    }
    let undone: Vec<_> = all.iter().filter(|(record, _)| record.undo.is_some()).collect();
    if undone.is_empty() {
        return;
    }
    // What undoes is another instance, as after a restart of the host.
    let fresh = match Live::start(plugin, ground).await {
        Ok(fresh) => fresh,
        Err(found) => return outcome.failed("configure", &found),
    };
    let applied: Vec<_> = undone.iter().map(|(_, applied)| applied.clone()).collect();
    let Heard { answers, trace } = fresh.undo(&applied).await;
    ground.keep(&trace);
    let expected = undone.iter().filter_map(|(record, _)| Some((&record.id, record.undo.as_ref()?)));
    further("undo", Call::Undo, expected, answers, outcome);
}

fn further<'c>(
    what: &str,
    call: Call,
    expected: impl Iterator<Item = (&'c String, &'c crate::case::Expect)>,
    answers: Result<Vec<Answer>, CallError>,
    outcome: &mut CaseOutcome,
) {
    match answers {
        Ok(answers) => {
            for ((id, expect), answer) in expected.zip(&answers) {
                for line in compare::answer(call, expect, answer) {
                    outcome.differs(format!("record {id}: {what}: {line}"));
                }
            }
        }
        Err(found) => outcome.failed(what, &found),
    }
}

/// Reads the pages that are expected, each from where the one before ended.
async fn read(live: &Live, plugin: &Plugin, case: &Case, ground: &mut Ground, outcome: &mut CaseOutcome) {
    let limits = page_limits(case, plugin);
    let mut checkpoint = case.call.checkpoint.clone().map(|text| Checkpoint(text.into_bytes()));
    if let Some(expected) = case.refused.as_ref().filter(|refused| refused.call == Refusing::Read) {
        let CallResult { answer, .. } = live.read(checkpoint, limits).await;
        return whole("read", answer.map(|_| ()), Some(expected), outcome);
    }
    for (number, wanted) in case.pages.iter().enumerate() {
        let number = number + 1;
        let CallResult { answer, trace } = live.read(checkpoint.clone(), limits).await;
        ground.keep(&trace);
        match (answer, &wanted.refused) {
            (Ok(page), None) => {
                page_differs(wanted, &page, |line| outcome.differs(format!("page {number}: {line}")));
                checkpoint = Some(page.checkpoint);
            }
            (answer, refused) => {
                whole(&format!("page {number}"), answer.map(|_| ()), refused.as_ref(), outcome);
                return;
            }
        }
    }
    if let Some(checkpoint) = checkpoint.filter(|_| case.ack.is_some()) {
        let CallResult { answer, trace } = live.ack(checkpoint).await;
        ground.keep(&trace);
        whole("ack", answer, None, outcome);
    }
}

fn page_differs(wanted: &WantedPage, page: &Page, mut differs: impl FnMut(String)) {
    let more = match page.more {
        Follows::More => More::More,
        Follows::Idle => More::Idle,
        Follows::End => More::End,
    };
    if let Some(expected) = wanted.more.filter(|expected| *expected != more) {
        differs(format!("more: expected {expected:?}, found {more:?}"));
    }
    let batch = &page.batch;
    if wanted.records.len() != batch.len() {
        let ids: Vec<_> = (0..batch.len()).take(20).map(|at| batch.ids.text(at).into_owned()).collect();
        differs(format!("expected {} records, found {}: {}", wanted.records.len(), batch.len(), ids.join(", ")));
    }
    for (at, record) in wanted.records.iter().enumerate().take(batch.len()) {
        let id = batch.ids.text(at);
        if !text_fits(&record.id, &id) {
            differs(format!("record {}: expected here, found {id}", record.id));
        }
        record_differs(record, page, at, |line| differs(format!("record {}: {line}", record.id)));
    }
}

fn record_differs(record: &PageRecord, page: &Page, at: usize, mut differs: impl FnMut(String)) {
    let text = page.batch.payloads.text(at);
    if let Some(payload) = &record.payload {
        match serde_json::from_str(&text) {
            Ok(value) => diff::json(&payload.0, &value).into_iter().for_each(|line| differs(format!("payload {line}"))),
            Err(_) => differs(format!("payload: expected JSON, found {:?}", shown(&text))),
        }
    }
    if let Some(expected) = record.text.as_ref().filter(|expected| **expected != text) {
        differs(format!("text: expected {expected:?}, found {:?}", shown(&text)));
    }
    let attributes = page.batch.attributes_of(at);
    for (name, value) in &record.attributes {
        let found = attributes.iter().find(|(known, _)| known == name);
        let found = found.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).unwrap_or_default();
        if found != *value {
            differs(format!("attribute {name}: expected {value:?}, found {found:?}"));
        }
    }
    if let Some(expected) = &record.order_key {
        let found = page.order_keys.as_ref().map(|column| column.text(at).into_owned()).unwrap_or_default();
        if found != *expected {
            differs(format!("order_key: expected {expected:?}, found {found:?}"));
        }
    }
    let unreadable = page.unreadable.iter().find(|(index, _)| *index as usize == at).map(|(_, failure)| failure);
    match (&record.failure, unreadable) {
        (Some(_), None) => differs("expected to be unreadable, and it was read".to_owned()),
        (Some(expected), Some(found)) => {
            if let Some(code) = expected.code.as_ref().filter(|code| **code != found.code) {
                differs(format!("code: expected {code:?}, found {:?}", found.code));
            }
            if let Some(part) = expected.message.as_ref().filter(|part| !found.message.contains(*part)) {
                differs(format!("message: expected one with {part:?}, found {:?}", found.message));
            }
        }
        (None, Some(found)) => differs(format!("found to be unreadable ({}: {})", found.code, found.message)),
        (None, None) => {}
    }
}

/// Compares files and durable pairs as they are at the end.
fn afterwards(case: &Case, ground: &Ground, outcome: &mut CaseOutcome) -> io::Result<()> {
    for (dir, files) in ground.files()? {
        let Some(after) = &dir.after else { continue };
        for (name, content) in after {
            match files.get(name) {
                Some(found) if found == content => {}
                Some(found) => {
                    outcome.differs(format!(
                        "file {}/{name}: expected {content:?}, found {:?}",
                        dir.guest,
                        shown(found)
                    ));
                }
                None => outcome.differs(format!("file {}/{name}: expected, and is not there", dir.guest)),
            }
        }
        for name in files.keys().filter(|name| !after.contains_key(*name)) {
            outcome.differs(format!("file {}/{name}: not expected", dir.guest));
        }
    }
    let Some(after) = &case.state_after else { return Ok(()) };
    let found = ground.state.iter().map(|(key, value)| (key.clone(), String::from_utf8_lossy(value).into_owned()));
    let found: std::collections::BTreeMap<_, _> = found.collect();
    if found != *after {
        outcome.differs(format!("state: expected {after:?}, found {found:?}"));
    }
    Ok(())
}

/// Whether a record went through.
pub(crate) fn is_good(answer: &Answer) -> bool {
    matches!(answer.outcome, Outcome::Ok | Outcome::Unchanged)
}
