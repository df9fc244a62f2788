//! A destination that posts to the path that a payload names, and can undo and ask.
//!
//! **Does**: sends the first record of a batch by `send` and the others by `begin` and `next`; what is answered is the
//! target id and the receipt. Undoes by DELETE, asks by GET.
//! **May touch**: the address of its settings, the secret TOKEN, which it also tries to see.
//! **Never**: changes; it stands for the plugins that were built for this version.

wit_bindgen::generate!({ path: "../../../../wit/released/0.1.0", world: "full-destination-plugin" });

use crate::crossdock::plugin::http::{self, BasicCredentials, Field, HttpError, Request, Response, SecretText, Value};
use crate::crossdock::plugin::types::{Batch, CallError, Column, ErrorKind, Failure, RecordFailure};
use crate::crossdock::plugin::{control, secrets};
use exports::crossdock::plugin::compensate::{UndoBatch, Undone};
use exports::crossdock::plugin::describe::{Description, Role, Want};
use exports::crossdock::plugin::destination::{WriteOptions, Written};
use exports::crossdock::plugin::lifecycle::{Abilities, Atomicity, Idempotency};
use exports::crossdock::plugin::probe::Probed;
use std::cell::RefCell;

#[used]
#[unsafe(link_section = "crossdock:contract")]
static CONTRACT: [u8; 5] = *b"0.1.0";

const APPLIED: u8 = 0;
const NOT_APPLIED: u8 = 2;
const REJECTED: u8 = 3;
const RETRYABLE: u8 = 4;
const UNAUTHORIZED: u8 = 5;
const UNKNOWN: u8 = 6;
const UNTOUCHED: u8 = 7;

thread_local! { static URL: RefCell<String> = const { RefCell::new(String::new()) }; }

struct Plugin;

fn failure(code: &str, message: String) -> Failure {
    Failure { code: code.to_string(), message, detail: None, pointer: None, retry_after_ms: None }
}

fn text(column: &Column, index: usize) -> String {
    match column.offsets.get(index..index + 2) {
        Some(ends) => String::from_utf8_lossy(&column.data[ends[0] as usize..ends[1] as usize]).into_owned(),
        None => String::new(),
    }
}

fn column(values: &[String]) -> Column {
    let mut column = Column { data: vec![], offsets: vec![0] };
    for value in values {
        column.data.extend_from_slice(value.as_bytes());
        column.offsets.push(column.data.len() as u32);
    }
    column
}

/// A request for a record, with the secret in two ways.
fn request(method: &str, path: &str, key: &str, body: Vec<u8>, handle: u32) -> Result<Request, Failure> {
    let secret = secrets::open("TOKEN").map_err(|error| failure("no-secret", format!("{error:?}")))?;
    if secrets::reveal(secret).is_ok() {
        return Err(failure("secret-seen", "the secret is there to be seen".to_string()));
    }
    let field = |name: &str, value| Field { name: name.to_string(), value };
    let bearer = SecretText { before: "Bearer ".to_string(), secret, after: String::new() };
    Ok(Request {
        method: method.to_string(),
        url: URL.with_borrow(|url| format!("{url}{path}")),
        query: vec![field("by", Value::Text("frozen".to_string()))],
        headers: vec![
            field("authorization", Value::Secret(bearer)),
            field("x-basic", Value::Basic(BasicCredentials { user: "me".to_string(), secret })),
            field("idempotency-key", Value::Text(key.to_string())),
        ],
        body,
        timeout_ms: Some(10_000),
        handle: Some(handle),
    })
}

/// What an answer means: the code, and the body or why there is none.
fn judge(answer: Result<Response, HttpError>) -> (u8, Result<String, Failure>) {
    match answer {
        Ok(Response { status, body, .. }) => {
            let body = String::from_utf8_lossy(&body).into_owned();
            let failed = |code| (code, Err(failure(&format!("http-{status}"), format!("answered {status}"))));
            match status {
                200..300 => (APPLIED, Ok(body)),
                401 | 403 => failed(UNAUTHORIZED),
                400..500 => failed(REJECTED),
                _ => failed(RETRYABLE),
            }
        }
        Err(HttpError::Invalid(why)) => (REJECTED, Err(failure("http-invalid", why))),
        Err(HttpError::NotGranted(why)) => (REJECTED, Err(failure("http-not-granted", why))),
        Err(HttpError::NotConnected(why)) => (RETRYABLE, Err(failure("http-not-connected", why))),
        Err(HttpError::NoAnswer(why)) => (UNKNOWN, Err(failure("http-no-answer", why))),
        Err(HttpError::TooLarge(status)) => (UNKNOWN, Err(failure("http-too-large", format!("answered {status}")))),
    }
}

impl exports::crossdock::plugin::describe::Guest for Plugin {
    fn describe() -> Description {
        let schema = r#"{"type":"object","properties":{"url":{"type":"string","description":"Where to."}},
            "required":["url"],"additionalProperties":false}"#;
        Description {
            name: "frozen-destination".to_string(),
            version: "0.1.0".to_string(),
            summary: "Posts to the path that a payload names.".to_string(),
            role: Role::Destination,
            settings_schema: schema.to_string(),
            wants: vec![Want::Http("the system".to_string()), Want::Secret("its credentials".to_string())],
            max_batch: 100,
        }
    }
}

impl exports::crossdock::plugin::lifecycle::Guest for Plugin {
    fn configure(settings: String) -> Result<Abilities, CallError> {
        let Some(url) = settings.split('"').nth(3) else {
            let failure = failure("no-url", "url is missing".to_string());
            return Err(CallError { kind: ErrorKind::InvalidSettings, failure });
        };
        URL.set(url.to_string());
        Ok(Abilities {
            re_reads: false,
            pure: false,
            idempotency: Idempotency::Probe,
            atomicity: Atomicity::PerRecord,
            compensates: true,
        })
    }

    fn check() -> Result<(), CallError> {
        Ok(())
    }

    fn close() {}
}

/// What became of each record of a batch; untouched until told otherwise.
struct Answers {
    codes: Vec<u8>,
    bodies: Vec<String>,
    failures: Vec<RecordFailure>,
}

impl Answers {
    fn of(handles: &[u32]) -> Self {
        Self { codes: vec![UNTOUCHED; handles.len()], bodies: vec![String::new(); handles.len()], failures: vec![] }
    }

    fn put(&mut self, index: usize, handle: u32, (code, said): (u8, Result<String, Failure>)) {
        self.codes[index] = code;
        match said {
            Ok(body) => self.bodies[index] = body,
            Err(failure) => self.failures.push(RecordFailure { handle, failure }),
        }
    }
}

impl exports::crossdock::plugin::destination::Guest for Plugin {
    fn write(batch: Batch, keys: Column, options: WriteOptions) -> Result<Written, CallError> {
        let mut answers = Answers::of(&batch.handles);
        let mut begun = vec![];
        for (index, &handle) in batch.handles.iter().enumerate() {
            let stop = options.stop_at_first_failure && answers.codes[..index].iter().any(|code| *code != APPLIED);
            if stop || control::cancelled() || control::remaining_ms() < 1_000 {
                break;
            }
            let path = text(&batch.payloads, index);
            match request("POST", &path, &text(&keys, index), path.clone().into_bytes(), handle) {
                Err(failure) => answers.put(index, handle, (REJECTED, Err(failure))),
                Ok(request) if index == 0 || options.stop_at_first_failure => {
                    let answer = http::send(&[request], 1).pop();
                    let lost = || Err(HttpError::NoAnswer("not one answer for one request".to_string()));
                    answers.put(index, handle, judge(answer.unwrap_or_else(lost)));
                }
                Ok(request) => begun.push((http::begin(&request), index, handle)),
            }
        }
        while let Some((number, answer)) = http::next() {
            if let Some((_, index, handle)) = begun.iter().find(|(begun, _, _)| *begun == number) {
                answers.put(*index, *handle, judge(answer));
            }
        }
        let ids = column(&answers.bodies);
        let (codes, failures) = (answers.codes, answers.failures);
        Ok(Written { handles: batch.handles, codes, target_ids: ids.clone(), receipts: ids, failures })
    }
}

impl exports::crossdock::plugin::compensate::Guest for Plugin {
    fn compensate(batch: UndoBatch) -> Result<Undone, CallError> {
        let mut answers = Answers::of(&batch.handles);
        for (index, &handle) in batch.handles.iter().enumerate() {
            let path = format!("/ok?undo={}&id={}", text(&batch.receipts, index), text(&batch.ids, index));
            match request("DELETE", &path, &text(&batch.keys, index), vec![], handle) {
                Err(failure) => answers.put(index, handle, (REJECTED, Err(failure))),
                Ok(request) => answers.put(index, handle, http::send(&[request], 1).pop().map_or_else(
                    || (UNKNOWN, Err(failure("http-no-answer", "not one answer".to_string()))),
                    judge,
                )),
            }
        }
        Ok(Undone { handles: batch.handles, codes: answers.codes, failures: answers.failures })
    }
}

impl exports::crossdock::plugin::probe::Guest for Plugin {
    fn probe(batch: Batch, keys: Column) -> Result<Probed, CallError> {
        let mut answers = Answers::of(&batch.handles);
        for (index, &handle) in batch.handles.iter().enumerate() {
            let path = format!("/ok?body=found-{}", text(&batch.ids, index));
            let judged = match request("GET", &path, &text(&keys, index), vec![], handle) {
                Err(failure) => (UNKNOWN, Err(failure)),
                Ok(request) => match http::send(&[request], 1).pop() {
                    Some(Ok(response)) if response.status == 404 => (NOT_APPLIED, Ok(String::new())),
                    Some(Ok(response)) if response.status == 200 => judge(Ok(response)),
                    _ => (UNKNOWN, Err(failure("http-no-answer", "it cannot be asked".to_string()))),
                },
            };
            answers.put(index, handle, judged);
        }
        let ids = column(&answers.bodies);
        let (codes, failures) = (answers.codes, answers.failures);
        Ok(Probed { handles: batch.handles, codes, target_ids: ids.clone(), receipts: ids, failures })
    }
}

export!(Plugin);
