//! A destination with one bug, which its settings name; without it, it is right.
//!
//! **Does**: posts each record with its key, undoes what it posted by the id in the receipt.
//! **May touch**: `http://books.test`, with the secret TOKEN.
//! **Never**: leaves this repository; the test kit must find each of its bugs.

wit_bindgen::generate!({ path: "../../../wit", world: "full-destination-plugin" });

use crate::crossdock::plugin::control;
use crate::crossdock::plugin::http::{self, Field, HttpError, Request, Response, SecretText, Value};
use crate::crossdock::plugin::secrets;
use crate::crossdock::plugin::types::{CallError, Column, ErrorKind, Failure, RecordFailure};
use exports::crossdock::plugin::compensate::{UndoBatch, Undone};
use exports::crossdock::plugin::describe::{Description, Role};
use exports::crossdock::plugin::destination::{Batch, WriteOptions, Written};
use exports::crossdock::plugin::lifecycle::{Abilities, Atomicity, Idempotency};
use exports::crossdock::plugin::probe::Probed;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};

#[used]
#[unsafe(link_section = "crossdock:contract")]
static CONTRACT: [u8; 5] = *b"0.1.0";

/// Below this the plugin begins nothing more.
const TIME_KEPT_MS: u64 = 300;

thread_local! {
    static BUG: RefCell<String> = const { RefCell::new(String::new()) };
    static IDS: RefCell<HashMap<Vec<u8>, String>> = RefCell::new(HashMap::new());
    static WRITES: Cell<u32> = const { Cell::new(0) };
}

struct Guest;

fn failure(code: &str, message: &str) -> Failure {
    Failure { code: code.to_string(), message: message.to_string(), detail: None, pointer: None, retry_after_ms: None }
}

fn is(bug: &str) -> bool {
    BUG.with_borrow(|known| known == bug)
}

impl exports::crossdock::plugin::describe::Guest for Guest {
    fn describe() -> Description {
        Description {
            name: "planted-destination".to_string(),
            version: "0.1.0".to_string(),
            summary: "Posts records.".to_string(),
            role: Role::Destination,
            settings_schema: r#"{"type":"object","properties":{"bug":{"type":"string"}},"required":["bug"]}"#
                .to_string(),
            wants: vec![],
            max_batch: 100,
        }
    }
}

impl exports::crossdock::plugin::lifecycle::Guest for Guest {
    fn configure(settings: String) -> Result<Abilities, CallError> {
        let bug = settings.strip_prefix("{\"bug\":\"").and_then(|rest| rest.strip_suffix("\"}"));
        let wrong =
            || CallError { kind: ErrorKind::InvalidSettings, failure: failure("invalid-settings", "no bug is named") };
        BUG.set(bug.ok_or_else(wrong)?.to_string());
        Ok(Abilities {
            re_reads: false,
            pure: false,
            idempotency: if is("probe-changes") { Idempotency::Probe } else { Idempotency::NativeKey },
            atomicity: Atomicity::PerRecord,
            compensates: true,
        })
    }

    fn check() -> Result<(), CallError> {
        Ok(())
    }

    fn close() {}
}

fn column(values: impl IntoIterator<Item = String>) -> Column {
    let mut column = Column { data: vec![], offsets: vec![0] };
    for value in values {
        column.data.extend_from_slice(value.as_bytes());
        column.offsets.push(column.data.len() as u32);
    }
    column
}

fn value(column: &Column, index: usize) -> &[u8] {
    &column.data[column.offsets[index] as usize..column.offsets[index + 1] as usize]
}

fn text(column: &Column, index: usize) -> String {
    String::from_utf8_lossy(value(column, index)).into_owned()
}

fn send(method: &str, url: &str, key: Option<String>, body: &[u8], handle: u32) -> Result<Response, HttpError> {
    let mut headers = Vec::new();
    if let Ok(secret) = secrets::open("TOKEN") {
        let text = SecretText { before: "Bearer ".to_string(), secret, after: String::new() };
        headers.push(Field { name: "authorization".to_string(), value: Value::Secret(text) });
    }
    if let Some(key) = key {
        headers.push(Field { name: "idempotency-key".to_string(), value: Value::Text(key) });
    }
    let request = Request {
        method: method.to_string(),
        url: url.to_string(),
        query: vec![],
        headers,
        body: body.to_vec(),
        timeout_ms: None,
        handle: Some(handle),
    };
    http::send(&[request], 1).pop().unwrap_or(Err(HttpError::NoAnswer("no answer".to_string())))
}

/// The code of an outcome, and why.
fn outcome(answer: &Result<Response, HttpError>) -> (u8, Option<Failure>) {
    let response = match answer {
        Ok(response) => response,
        Err(HttpError::NotConnected(_)) if is("ok-without-answer") => return (0, None),
        Err(HttpError::NotConnected(why) | HttpError::NotGranted(why) | HttpError::Invalid(why)) => {
            return (4, Some(failure("not-sent", why)));
        }
        Err(HttpError::NoAnswer(_) | HttpError::TooLarge(_)) if is("ok-without-answer") => return (0, None),
        Err(HttpError::NoAnswer(_) | HttpError::TooLarge(_)) if is("certain-without-answer") => {
            return (4, Some(failure("no-answer", "try again")));
        }
        Err(_) => return (6, Some(failure("no-answer", "nobody knows"))),
    };
    let code = format!("http-{}", response.status);
    let mut why = failure(&code, "the books refused the record");
    if is("leaks-secret") {
        let token = secrets::open("TOKEN").and_then(secrets::reveal).unwrap_or_default();
        why.message = format!("the books refused the record; sent with {}", String::from_utf8_lossy(&token));
    }
    let after = response
        .headers
        .iter()
        .find(|(name, _)| name == "retry-after")
        .and_then(|(_, value)| value.parse::<u64>().ok());
    if !is("ignores-retry-after") {
        why.retry_after_ms = after.map(|seconds| seconds * 1_000);
    }
    match response.status {
        200..=299 => (0, None),
        422 if is("ok-on-422") => (0, None),
        401 if is("blames-the-record") => (3, Some(why)),
        401 => (5, Some(Failure { retry_after_ms: None, ..why })),
        429 | 503 if is("busy-rejected") => (3, Some(why)),
        429 | 503 => (4, Some(why)),
        500..=599 => (6, Some(Failure { retry_after_ms: None, ..why })),
        _ => (3, Some(Failure { retry_after_ms: None, ..why })),
    }
}

fn key(keys: &Column, index: usize) -> Option<String> {
    match () {
        () if is("no-key") => None,
        () if is("double-apply") => Some(format!("{:x}", RandomState::new().hash_one(index))),
        () => Some(text(keys, index)),
    }
}

fn target_id(response: &Response) -> String {
    let body = String::from_utf8_lossy(&response.body).into_owned();
    body.split("\"id\":\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default().to_string()
}

impl exports::crossdock::plugin::destination::Guest for Guest {
    fn write(batch: Batch, keys: Column, options: WriteOptions) -> Result<Written, CallError> {
        WRITES.set(WRITES.get() + 1);
        let records = batch.handles.len();
        let (mut codes, mut targets, mut failures) = (vec![], vec![], vec![]);
        let mut stopped = false;
        for index in 0..records {
            let late = control::remaining_ms() < TIME_KEPT_MS && !is("deadline-missed");
            targets.push(String::new());
            if late || (stopped && !is("goes-on")) {
                codes.push(7);
                continue;
            }
            let post = || {
                send(
                    "POST",
                    "http://books.test/entries",
                    key(&keys, index),
                    value(&batch.payloads, index),
                    batch.handles[index],
                )
            };
            let mut answer = post();
            // Until there is an answer, however long that takes.
            while is("deadline-missed") && matches!(answer, Err(HttpError::NoAnswer(_) | HttpError::NotConnected(_))) {
                answer = post();
            }
            let (mut code, why) = outcome(&answer);
            if let (0, Ok(response)) = (code, &answer) {
                targets[index] = target_id(response);
                IDS.with_borrow_mut(|ids| ids.insert(value(&batch.ids, index).to_vec(), targets[index].clone()));
            }
            if is("seen-in-globals") && WRITES.get() > 1 {
                code = 3;
            }
            codes.push(code);
            stopped |= options.stop_at_first_failure && code > 1;
            if let Some(failure) = why.or_else(|| (code == 3).then(|| failure("seen", "it was here before"))) {
                failures.push(RecordFailure { handle: batch.handles[index], failure });
            }
        }
        let receipts = if is("receipt-in-globals") { vec![String::new(); records] } else { targets.clone() };
        let target_ids = if is("receipt-in-globals") { column([]) } else { column(targets) };
        Ok(Written { handles: batch.handles, codes, target_ids, receipts: column(receipts), failures })
    }
}

impl exports::crossdock::plugin::compensate::Guest for Guest {
    fn compensate(batch: UndoBatch) -> Result<Undone, CallError> {
        let (mut codes, mut failures) = (vec![], vec![]);
        for (index, handle) in batch.handles.iter().enumerate() {
            let id = match is("receipt-in-globals") {
                true => IDS.with_borrow(|ids| ids.get(value(&batch.ids, index)).cloned()).unwrap_or_default(),
                false => text(&batch.receipts, index),
            };
            if id.is_empty() {
                codes.push(3);
                failures.push(RecordFailure { handle: *handle, failure: failure("no-receipt", "the id is not known") });
                continue;
            }
            let answer = send("DELETE", &format!("http://books.test/entries/{id}"), None, &[], *handle);
            let (code, why) = match &answer {
                Ok(response) if response.status == 404 && !is("undo-twice") => (1, None),
                answer => outcome(answer),
            };
            codes.push(code);
            failures.extend(why.map(|failure| RecordFailure { handle: *handle, failure }));
        }
        Ok(Undone { handles: batch.handles, codes, failures })
    }
}

impl exports::crossdock::plugin::probe::Guest for Guest {
    fn probe(batch: exports::crossdock::plugin::probe::Batch, _: Column) -> Result<Probed, CallError> {
        let records = batch.handles.len();
        if is("probe-changes") {
            let _ = send("PUT", "http://books.test/entries/asked", None, &[], batch.handles[0]);
        }
        let failures = batch.handles.iter();
        let failures =
            failures.map(|handle| RecordFailure { handle: *handle, failure: failure("no", "cannot be asked") });
        Ok(Probed {
            failures: failures.collect(),
            handles: batch.handles,
            codes: vec![6; records],
            target_ids: column([]),
            receipts: column([]),
        })
    }
}

export!(Guest);
