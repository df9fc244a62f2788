//! Runs the cases of `cases/*.toml` against the plugin, natively: a case is settings, records, what the other system
//! is asked and answers, and what becomes of the records.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{cell::RefCell, collections::BTreeMap, path::Path, rc::Rc};

use crossdock_sdk::{
    CallError, Destination, Failure,
    http::{HttpError, Request, Response},
    testing::{self, Given, Outcome, Written},
};
use http_destination::HttpDestination;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// Settings of all cases; those of a case replace them, name by name.
    settings: toml::Table,
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    #[serde(default)]
    settings: toml::Table,
    /// Names of file-wide settings that this case does without.
    #[serde(default)]
    without: Vec<String>,
    #[serde(default)]
    secrets: BTreeMap<String, String>,
    #[serde(default)]
    call: Call,
    /// Stop at the first failure.
    #[serde(default)]
    in_order: bool,
    #[serde(default)]
    cancelled: bool,
    remaining_ms: Option<u64>,
    now_ms: Option<u64>,
    #[serde(default)]
    records: Vec<Input>,
    /// What is asked, in order, and answered.
    #[serde(default)]
    exchanges: Vec<Exchange>,
    #[serde(default)]
    outcomes: Vec<Expected>,
    /// The call as a whole fails; in `configure` that is the settings being refused.
    error: Option<Expected>,
    abilities: Option<Abilities>,
    /// What the messages hold, in order.
    #[serde(default)]
    messages: Vec<String>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Call {
    Configure,
    #[default]
    Write,
    /// Undo what was given as `records`.
    Compensate,
    /// Write the records, then undo those that were applied in a fresh instance.
    WriteAndCompensate,
    Probe,
    Check,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    id: String,
    #[serde(default)]
    payload: String,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
    #[serde(default)]
    key: Option<String>,
    #[serde(default)]
    target_id: String,
    #[serde(default)]
    receipt: String,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Exchange {
    /// Method and address.
    request: String,
    /// Headers that must be there with this value, or, if empty, must not be there; secrets as on the wire.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    query: BTreeMap<String, String>,
    /// The exact body; not looked at if it is not given.
    body: Option<String>,
    timeout_ms: Option<u32>,
    #[serde(default = "success")]
    status: u16,
    #[serde(default)]
    answer_headers: BTreeMap<String, String>,
    #[serde(default)]
    answer: String,
    /// Instead of an answer.
    error: Option<String>,
    #[serde(default)]
    takes_ms: u64,
}

fn success() -> u16 {
    200
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Expected {
    outcome: String,
    target_id: String,
    receipt: String,
    code: Option<String>,
    /// Something the message holds.
    message: Option<String>,
    detail: Option<String>,
    pointer: Option<String>,
    retry_after_ms: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Abilities {
    idempotency: String,
    compensates: bool,
}

#[test]
fn cases() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    let mut ran = 0;
    let mut failed = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        let read: File =
            toml::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap_or_else(|error| panic!("{file}: {error}"));
        for case in &read.case {
            ran += 1;
            failed.extend(
                check(&read.settings, case).err().map(|problem| format!("{file}: {}:\n  {problem}", case.name)),
            );
        }
    }
    assert!(failed.is_empty(), "{} of {ran} cases failed\n{}", failed.len(), failed.join("\n"));
    assert!(ran > 50, "only {ran} cases were found");
}

fn check(common: &toml::Table, case: &Case) -> Result<(), String> {
    testing::reset();
    case.secrets.iter().for_each(|(name, value)| testing::secret(name, value));
    testing::cancelled(case.cancelled);
    let clock = Rc::new(RefCell::new((case.now_ms.unwrap_or(0), case.remaining_ms.unwrap_or(30_000))));
    testing::now_ms(clock.borrow().0);
    testing::remaining_ms(clock.borrow().1);
    let log = serve(case.exchanges.clone(), clock);

    let mut settings = common.clone();
    case.without.iter().for_each(|name| drop(settings.remove(name)));
    settings.extend(case.settings.clone());
    let settings = serde_json::to_string(&settings).unwrap();
    let called = testing::destination::<HttpDestination>(&settings).and_then(|plugin| run(plugin, &settings, case));

    let mut problems = std::mem::take(&mut log.borrow_mut().problems);
    match (&case.error, called) {
        (Some(expected), Err(error)) => problems.extend(compare_error(expected, &error)),
        (None, Ok(found)) => problems.extend(found),
        (Some(_), Ok(_)) => problems.push("the call should have failed".to_owned()),
        (None, Err(error)) => problems.push(format!("the call failed: {error}")),
    }
    problems.extend(log.borrow().left.iter().map(|left| format!("was not asked: {}", left.request)));
    let messages: Vec<String> = testing::messages().into_iter().map(|(_, text)| text).collect();
    let fit = messages.len() == case.messages.len()
        && messages.iter().zip(&case.messages).all(|(found, wanted)| found.contains(wanted));
    if !fit {
        problems.push(format!("messages: {messages:?}"));
    }
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n  ")) }
}

fn run(mut plugin: HttpDestination, settings: &str, case: &Case) -> Result<Vec<String>, CallError> {
    if let Some(wanted) = &case.abilities {
        let found = plugin.abilities();
        if (format!("{:?}", found.idempotency), found.compensates) != (wanted.idempotency.clone(), wanted.compensates) {
            return Ok(vec![format!("abilities: {found:?}")]);
        }
    }
    let records: Vec<Given> = case.records.iter().map(given).collect();
    let write = |plugin: &mut HttpDestination| match case.in_order {
        true => testing::write_until_failure(plugin, &records),
        false => testing::write(plugin, &records),
    };
    let undone = |undone: Vec<testing::Undone>| {
        let as_written =
            |undone: testing::Undone| Found { outcome: undone.outcome, failure: undone.failure, ..Found::default() };
        undone.into_iter().map(as_written).collect()
    };
    let found: Vec<Found> = match case.call {
        Call::Configure => Vec::new(),
        Call::Check => plugin.check().map(|()| Vec::new())?,
        Call::Write => write(&mut plugin)?.into_iter().map(Found::from).collect(),
        Call::Probe => testing::probe(&mut plugin, &records)?.into_iter().map(Found::from).collect(),
        Call::Compensate => {
            let applied = |input: &Input| {
                let key = input.key.clone().unwrap_or_else(|| "k".repeat(32));
                testing::applied(&input.id, &key).target_id(&input.target_id).receipt(&input.receipt)
            };
            undone(testing::compensate(&mut plugin, &case.records.iter().map(applied).collect::<Vec<_>>())?)
        }
        Call::WriteAndCompensate => {
            let written = write(&mut plugin)?;
            let applied: Vec<_> =
                written.iter().rev().filter(|one| one.outcome == Outcome::Ok).map(Written::applied).collect();
            let mut fresh = testing::destination::<HttpDestination>(settings)?;
            undone(testing::compensate(&mut fresh, &applied)?)
        }
    };
    if found.len() != case.outcomes.len() {
        return Ok(vec![format!("{} outcomes instead of {}: {found:?}", found.len(), case.outcomes.len())]);
    }
    let compared = found.iter().zip(&case.outcomes).zip(1..);
    Ok(compared
        .filter_map(|((found, wanted), number)| Some(format!("record {number}: {}", compare(wanted, found)?)))
        .collect())
}

fn given(input: &Input) -> Given {
    let mut given = testing::record(&input.id, &input.payload);
    for (name, value) in &input.attributes {
        given = given.attribute(name, value);
    }
    match &input.key {
        Some(key) => given.key(key),
        None => given,
    }
}

#[derive(Debug)]
struct Found {
    outcome: Outcome,
    target_id: String,
    receipt: String,
    failure: Option<Failure>,
}

impl Default for Found {
    fn default() -> Self {
        Self { outcome: Outcome::Untouched, target_id: String::new(), receipt: String::new(), failure: None }
    }
}

impl From<Written> for Found {
    fn from(written: Written) -> Self {
        let receipt = String::from_utf8(written.receipt).unwrap();
        Self { outcome: written.outcome, target_id: written.target_id, receipt, failure: written.failure }
    }
}

fn compare(wanted: &Expected, found: &Found) -> Option<String> {
    let as_wanted = format!("{:?}", found.outcome).to_lowercase() == wanted.outcome
        && found.target_id == wanted.target_id
        && found.receipt == wanted.receipt;
    (!as_wanted || !fits(wanted, found.failure.as_ref())).then(|| format!("{found:?}"))
}

fn compare_error(wanted: &Expected, error: &CallError) -> Option<String> {
    let kind = format!("{:?}", error.kind());
    (kind != wanted.outcome || !fits(wanted, Some(error.failure()))).then(|| format!("{error:?}"))
}

fn fits(wanted: &Expected, failure: Option<&Failure>) -> bool {
    let Some(failure) = failure else { return wanted.code.is_none() && wanted.message.is_none() };
    wanted.code.as_deref().is_none_or(|code| failure.code() == code)
        && wanted.message.as_ref().is_none_or(|message| failure.message().contains(message))
        && wanted.detail.as_ref().is_none_or(|detail| failure.detail_text() == Some(detail))
        && wanted.pointer.as_deref().is_none_or(|pointer| failure.pointer_text().unwrap_or("none") == pointer)
        && wanted.retry_after_ms == failure.retry_after_ms()
}

struct Log {
    left: std::collections::VecDeque<Exchange>,
    problems: Vec<String>,
}

/// Answers the exchanges in their order, and notes what is asked otherwise.
fn serve(exchanges: Vec<Exchange>, clock: Rc<RefCell<(u64, u64)>>) -> Rc<RefCell<Log>> {
    let log = Rc::new(RefCell::new(Log { left: exchanges.into(), problems: Vec::new() }));
    let ours = Rc::clone(&log);
    testing::http(move |request| {
        let mut log = ours.borrow_mut();
        let asked = format!("{} {}", request.method, request.url);
        let Some(exchange) = log.left.pop_front() else {
            log.problems.push(format!("was asked too much: {asked}"));
            return Err(HttpError::NotConnected("no exchange is left".to_owned()));
        };
        log.problems.extend(differences(&exchange, request, &asked));
        let mut clock = clock.borrow_mut();
        *clock = (clock.0 + exchange.takes_ms, clock.1.saturating_sub(exchange.takes_ms));
        testing::now_ms(clock.0);
        testing::remaining_ms(clock.1);
        answer(exchange)
    });
    log
}

fn differences(wanted: &Exchange, request: &Request, asked: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if wanted.request != asked {
        problems.push(format!("asked {asked} instead of {}", wanted.request));
    }
    let find = |fields: &[(String, crossdock_sdk::http::Value)], name: &str| {
        let found: Vec<String> = fields
            .iter()
            .filter(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| testing::rendered(value))
            .collect();
        found.join(" and ")
    };
    for (name, value) in &wanted.headers {
        let found = find(&request.headers, name);
        if found != *value {
            problems.push(format!("{asked}: header {name} is `{found}`"));
        }
    }
    for (name, value) in &wanted.query {
        let found = find(&request.query, name);
        if found != *value {
            problems.push(format!("{asked}: query {name} is `{found}`"));
        }
    }
    let body = String::from_utf8_lossy(&request.body);
    if wanted.body.as_deref().is_some_and(|wanted| wanted != body) {
        problems.push(format!("{asked}: body is {body}"));
    }
    if wanted.timeout_ms.is_some() && wanted.timeout_ms != request.timeout_ms {
        problems.push(format!("{asked}: timeout is {:?}", request.timeout_ms));
    }
    problems
}

fn answer(exchange: Exchange) -> Result<Response, HttpError> {
    let why = || "as the case says".to_owned();
    match exchange.error.as_deref() {
        None => {
            let response = Response::new(exchange.status, exchange.answer);
            let headers = exchange.answer_headers.iter();
            Ok(headers.fold(response, |response, (name, value)| response.with_header(name, value)))
        }
        Some("invalid") => Err(HttpError::Invalid(why())),
        Some("not-granted") => Err(HttpError::NotGranted(why())),
        Some("not-connected") => Err(HttpError::NotConnected(why())),
        Some("no-answer") => Err(HttpError::NoAnswer(why())),
        Some("too-large") => Err(HttpError::TooLarge(200)),
        Some(other) => panic!("there is no error `{other}`"),
    }
}
