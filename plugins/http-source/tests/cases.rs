//! Runs the cases of `cases/*.toml` against the plugin, natively: a case is settings and steps; a step is a read or a
//! check, what the API is asked then and answers, and what comes of it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{cell::RefCell, collections::BTreeMap, collections::VecDeque, path::Path, rc::Rc};

use crossdock_sdk::{
    CallError, Limits, More, Source,
    http::{HttpError, Request, Response},
    testing,
};
use http_source::HttpSource;
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
    now_ms: u64,
    re_reads: Option<bool>,
    /// The settings are refused.
    error: Option<Expected>,
    #[serde(default)]
    step: Vec<Step>,
    #[serde(default)]
    messages: Vec<String>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    /// Ask whether the API can be used, instead of reading.
    #[serde(default)]
    check: bool,
    /// The host makes a new instance first.
    #[serde(default)]
    fresh: bool,
    /// Read from the checkpoint that this step, counted from 1, began with, instead of the last one.
    from: Option<usize>,
    /// Read from this checkpoint.
    checkpoint: Option<String>,
    #[serde(default = "many")]
    max_records: u32,
    #[serde(default = "many")]
    max_bytes: u32,
    /// What is asked, in order, and answered.
    #[serde(default)]
    exchanges: Vec<Exchange>,
    /// Each record: its id, for unreadable ones `!CODE`, its payload. A payload that is not given is not looked at.
    #[serde(default)]
    records: Vec<Vec<String>>,
    order_keys: Option<Vec<String>>,
    /// `more` or `idle`; for a read that does not fail.
    #[serde(default = "idle")]
    more: String,
    /// The checkpoint after it.
    position: Option<String>,
    error: Option<Expected>,
}

fn many() -> u32 {
    1_000_000
}

fn idle() -> String {
    "idle".to_owned()
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Exchange {
    /// Method, address and query; secrets as on the wire.
    request: String,
    /// Headers that must be there with this value, or, if empty, must not be there.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    timeout_ms: Option<u32>,
    #[serde(default = "success")]
    status: u16,
    #[serde(default)]
    answer_headers: BTreeMap<String, String>,
    #[serde(default)]
    answer: String,
    /// Instead of an answer.
    error: Option<String>,
}

fn success() -> u16 {
    200
}

#[derive(Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Expected {
    kind: String,
    code: Option<String>,
    /// Something the message holds.
    message: Option<String>,
    detail: Option<String>,
    pointer: Option<String>,
    retry_after_ms: Option<u64>,
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
            let problem = check(&read.settings, case).err();
            failed.extend(problem.map(|problem| format!("{file}: {}:\n  {problem}", case.name)));
        }
    }
    assert!(failed.is_empty(), "{} of {ran} cases failed\n{}", failed.len(), failed.join("\n"));
    assert!(ran > 40, "only {ran} cases were found");
}

fn check(common: &toml::Table, case: &Case) -> Result<(), String> {
    testing::reset();
    testing::now_ms(case.now_ms);
    case.secrets.iter().for_each(|(name, value)| testing::secret(name, value));
    let mut settings = common.clone();
    case.without.iter().for_each(|name| drop(settings.remove(name)));
    settings.extend(case.settings.clone());
    let settings = serde_json::to_string(&settings).unwrap();
    let make = || testing::source::<HttpSource>(&settings);
    let mut source = match (make(), &case.error) {
        (Ok(source), None) => source,
        (Err(error), Some(expected)) => return compare_error(expected, &error).map_or(Ok(()), Err),
        (Ok(_), Some(_)) => return Err("the settings should have been refused".to_owned()),
        (Err(error), None) => return Err(format!("the settings were refused: {error}")),
    };
    if case.re_reads.is_some_and(|wanted| wanted != source.re_reads()) {
        return Err(format!("re-reads: {}", source.re_reads()));
    }
    let mut checkpoint: Option<Vec<u8>> = None;
    let mut begun_with = Vec::new();
    for (step, number) in case.step.iter().zip(1..) {
        let place = |problem: String| format!("step {number}: {problem}");
        let log = serve(step.exchanges.clone());
        if step.fresh {
            source = make().map_err(|error| place(error.to_string()))?;
        }
        if let Some(from) = step.from {
            checkpoint = Option::clone(&begun_with[from - 1]);
        }
        if let Some(text) = &step.checkpoint {
            checkpoint = Some(text.as_bytes().to_vec());
        }
        begun_with.push(checkpoint.clone());
        let read = take(&mut source, checkpoint.as_deref(), step).map_err(place)?;
        checkpoint = read.or(checkpoint);
        let log = log.borrow();
        if let Some(problem) = log.problems.first() {
            return Err(place(problem.clone()));
        }
        if let Some(left) = log.left.front() {
            return Err(place(format!("was not asked: {}", left.request)));
        }
    }
    let messages: Vec<String> = testing::messages().into_iter().map(|(_, text)| text).collect();
    let fit = messages.len() == case.messages.len()
        && messages.iter().zip(&case.messages).all(|(found, wanted)| found.contains(wanted));
    if fit { Ok(()) } else { Err(format!("messages: {messages:?}")) }
}

/// One call; the checkpoint after it, if there is one.
fn take(source: &mut HttpSource, checkpoint: Option<&[u8]>, step: &Step) -> Result<Option<Vec<u8>>, String> {
    let limits = Limits { max_records: step.max_records, max_bytes: step.max_bytes };
    let called = match step.check {
        true => source.check().map(|()| None),
        false => testing::read(source, checkpoint, limits).map(Some),
    };
    let page = match (called, &step.error) {
        (Ok(page), None) => page,
        (Err(error), Some(expected)) => return compare_error(expected, &error).map_or(Ok(None), Err),
        (Ok(page), Some(_)) => return Err(format!("it should have failed: {page:?}")),
        (Err(error), None) => return Err(format!("it failed: {error}")),
    };
    let Some(page) = page else { return Ok(None) };
    let fits = page.records.len() == step.records.len()
        && page.records.iter().zip(&step.records).all(|(found, wanted)| {
            let code = found.failure.as_ref().map(|failure| format!("!{}", failure.code()));
            let mut told = vec![found.id.clone()];
            told.extend(code);
            told.push(found.text());
            told[..] == wanted[..] || told[..told.len() - 1] == wanted[..]
        });
    if !fits {
        return Err(format!("was read: {:?}", page.records));
    }
    if let Some(wanted) = &step.order_keys {
        let found: Vec<String> =
            page.records.iter().map(|one| String::from_utf8(one.order_key.clone()).unwrap()).collect();
        if found != *wanted {
            return Err(format!("order keys: {found:?}"));
        }
    }
    let more = match page.more {
        More::More => "more",
        More::Idle => "idle",
        More::End => "end",
    };
    if more != step.more {
        return Err(format!("then comes: {more}"));
    }
    let position = String::from_utf8(page.checkpoint.clone()).unwrap();
    match &step.position {
        Some(wanted) if *wanted != position => Err(format!("the checkpoint is {position}")),
        _ => Ok(Some(page.checkpoint)),
    }
}

fn compare_error(wanted: &Expected, error: &CallError) -> Option<String> {
    let failure = error.failure();
    let fits = format!("{:?}", error.kind()) == wanted.kind
        && wanted.code.as_deref().is_none_or(|code| failure.code() == code)
        && wanted.message.as_ref().is_none_or(|message| failure.message().contains(message))
        && wanted.detail.as_ref().is_none_or(|detail| failure.detail_text() == Some(detail))
        && wanted.pointer.as_deref().is_none_or(|pointer| failure.pointer_text() == Some(pointer))
        && wanted.retry_after_ms == failure.retry_after_ms();
    (!fits).then(|| format!("{error:?}"))
}

struct Log {
    left: VecDeque<Exchange>,
    problems: Vec<String>,
}

/// Answers the exchanges in their order, and notes what is asked otherwise.
fn serve(exchanges: Vec<Exchange>) -> Rc<RefCell<Log>> {
    let log = Rc::new(RefCell::new(Log { left: exchanges.into(), problems: Vec::new() }));
    let ours = Rc::clone(&log);
    testing::http(move |request| {
        let mut log = ours.borrow_mut();
        let asked = asked(request);
        let Some(exchange) = log.left.pop_front() else {
            log.problems.push(format!("was asked too much: {asked}"));
            return Err(HttpError::NotConnected("no exchange is left".to_owned()));
        };
        if exchange.request != asked {
            log.problems.push(format!("asked {asked} instead of {}", exchange.request));
        }
        for (name, wanted) in &exchange.headers {
            let found: Vec<String> = request
                .headers
                .iter()
                .filter(|(known, _)| known.eq_ignore_ascii_case(name))
                .map(|(_, value)| testing::rendered(value))
                .collect();
            if found.join(" and ") != *wanted {
                log.problems.push(format!("header {name} is {found:?}"));
            }
        }
        if exchange.timeout_ms.is_some() && exchange.timeout_ms != request.timeout_ms {
            log.problems.push(format!("the timeout is {:?}", request.timeout_ms));
        }
        answer(exchange)
    });
    log
}

/// Method, address, and the query that the host adds, as `name=value`.
fn asked(request: &Request) -> String {
    let mut text = format!("{} {}", request.method, request.url);
    for (name, value) in &request.query {
        let sign = if text.contains('?') { '&' } else { '?' };
        text.push_str(&format!("{sign}{name}={}", testing::rendered(value)));
    }
    text
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
