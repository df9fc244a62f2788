//! A destination that misbehaves as its settings say.
//!
//! **Does**: says that it applied records, sends requests for them, or breaks the rule that `misbehave` names.
//! **May touch**: whatever its grants let it, and it tries what they do not.
//! **Never**: leaves this repository; it is for tests only.

wit_bindgen::generate!({ path: "../../../wit", world: "full-destination-plugin" });

use crate::crossdock::plugin::http::{self, Field, HttpError, Request, Value};
use crate::crossdock::plugin::secrets;
use crate::crossdock::plugin::types::{CallError, Column, Failure, RecordFailure};
use exports::crossdock::plugin::compensate::{UndoBatch, Undone};
use exports::crossdock::plugin::describe::{Description, Role};
use exports::crossdock::plugin::destination::{Batch, WriteOptions, Written};
use exports::crossdock::plugin::lifecycle::{Abilities, Atomicity, Idempotency};
use exports::crossdock::plugin::probe::Probed;
use std::cell::RefCell;

#[used]
#[unsafe(link_section = "crossdock:contract")]
static CONTRACT: [u8; 5] = *b"0.1.0";

thread_local! { static MODE: RefCell<String> = const { RefCell::new(String::new()) }; }

struct Guest;

fn failure(code: &str, message: &str) -> Failure {
    Failure { code: code.to_string(), message: message.to_string(), detail: None, pointer: None, retry_after_ms: None }
}

/// Does not come back from the call that is meant.
fn loop_in(call: &str) {
    if MODE.with_borrow(|mode| mode.strip_prefix("loop-in-") == Some(call)) {
        loop {
            std::hint::black_box(());
        }
    }
}

impl exports::crossdock::plugin::describe::Guest for Guest {
    fn describe() -> Description {
        Description {
            name: "guest-destination".to_string(),
            version: "0.1.0".to_string(),
            summary: "Misbehaves on purpose.".to_string(),
            role: Role::Destination,
            settings_schema: "{}".to_string(),
            wants: vec![],
            max_batch: 1_000,
        }
    }
}

impl exports::crossdock::plugin::lifecycle::Guest for Guest {
    fn configure(settings: String) -> Result<Abilities, CallError> {
        MODE.set(settings.split('"').nth(3).unwrap_or("").to_string());
        Ok(Abilities {
            re_reads: false,
            pure: false,
            idempotency: Idempotency::Probe,
            atomicity: Atomicity::PerRecord,
            compensates: true,
        })
    }

    fn check() -> Result<(), CallError> {
        loop_in("check");
        Ok(())
    }

    fn close() {}
}

fn texts(values: impl IntoIterator<Item = String>) -> Column {
    let mut column = Column { data: vec![], offsets: vec![0] };
    for value in values {
        column.data.extend_from_slice(value.as_bytes());
        column.offsets.push(column.data.len() as u32);
    }
    column
}

fn text(column: &Column, index: usize) -> String {
    String::from_utf8_lossy(&column.data[column.offsets[index] as usize..column.offsets[index + 1] as usize])
        .into_owned()
}

/// What a payload asks for: method, URL, and headers as `name=value`, separated by blanks. In a value `$` stands for
/// the secret TOKEN, and `$user` as a value for Basic credentials with it.
fn request(handle: u32, payload: &str) -> Request {
    let mut words = payload.split(' ');
    let method = words.next().unwrap_or("").to_string();
    let url = words.next().unwrap_or("").to_string();
    let secret = secrets::open("TOKEN").unwrap_or(0);
    let mut request =
        Request { method, url, query: vec![], headers: vec![], body: vec![], timeout_ms: None, handle: Some(handle) };
    for word in words {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        let value = match value.split_once('$') {
            Some(("", "user")) => Value::Basic(http::BasicCredentials { user: "user".to_string(), secret }),
            Some((before, after)) => {
                Value::Secret(http::SecretText { before: before.to_string(), secret, after: after.to_string() })
            }
            None => Value::Text(value.replace("\\n", "\n")),
        };
        match name.split_once('?') {
            Some((_, name)) => request.query.push(Field { name: name.to_string(), value }),
            None if name == "timeout" => request.timeout_ms = payload.rsplit('=').next().and_then(|ms| ms.parse().ok()),
            None if name == "handle" => request.handle = Some(u32::MAX),
            None if name == "body" => request.body = payload.rsplit('=').next().unwrap_or("").into(),
            None => request.headers.push(Field { name: name.to_string(), value }),
        }
    }
    request
}

/// For records like `{"send":"GET http://…"}`: sends the request, and answers for the record with what it was told:
/// applied with the answer as its receipt, or rejected. Other records are simply applied.
fn send_some(batch: &Batch) -> Written {
    let records = batch.handles.len();
    let texts_of: Vec<_> = (0..records).map(|i| text(&batch.payloads, i)).collect();
    let order = |text: &String| text.strip_prefix("{\"send\":\"")?.strip_suffix("\"}").map(str::to_owned);
    let (mut requests, mut asked) = (vec![], vec![]);
    for (i, order) in texts_of.iter().enumerate().filter_map(|(i, text)| Some((i, order(text)?))) {
        for order in order.split(" && ") {
            requests.push(request(batch.handles[i], order));
            asked.push(i);
        }
    }
    let mut receipts = vec![String::new(); records];
    let mut codes = vec![0; records];
    let mut failures = vec![];
    for (i, answer) in asked.into_iter().zip(http::send(&requests, 8)) {
        let (code, why) = match answer {
            Ok(response) => {
                let body = String::from_utf8_lossy(&response.body[..response.body.len().min(500)]).into_owned();
                receipts[i].push_str(&format!("{} {body}", response.status));
                continue;
            }
            Err(HttpError::Invalid(why)) => ("invalid", why),
            Err(HttpError::NotGranted(why)) => ("not-granted", why),
            Err(HttpError::NotConnected(why)) => ("not-connected", why),
            Err(HttpError::NoAnswer(why)) => ("no-answer", why),
            Err(HttpError::TooLarge(status)) => ("too-large", status.to_string()),
        };
        if codes[i] == 0 {
            codes[i] = 3;
            receipts[i].clear();
            failures.push(RecordFailure { handle: batch.handles[i], failure: failure(code, &why) });
        }
    }
    Written { handles: batch.handles.clone(), codes, target_ids: texts([]), receipts: texts(receipts), failures }
}

/// With `poison-` in front, only batches misbehave in which a payload has the word poison in it.
fn only_if_poisoned(mode: String, batch: &Batch) -> String {
    let Some(mode) = mode.strip_prefix("poison-") else { return mode };
    let poisoned = |index| text(&batch.payloads, index).contains("poison");
    if (0..batch.handles.len()).any(poisoned) { mode.to_string() } else { String::new() }
}

/// Begins them all, and answers when each has come to its end.
fn begin(requests: &[Request]) -> Vec<Result<http::Response, HttpError>> {
    let numbers: Vec<u32> = requests.iter().map(http::begin).collect();
    let mut answers: Vec<_> = std::iter::from_fn(http::next).collect();
    assert!(http::next().is_none());
    answers.sort_by_key(|(number, _)| numbers.iter().position(|known| known == number));
    assert_eq!(answers.iter().map(|(number, _)| *number).collect::<Vec<_>>(), numbers);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

fn send(batch: &Batch, how: impl Fn(&[Request]) -> Vec<Result<http::Response, HttpError>>) -> Written {
    let records = batch.handles.len();
    let requests: Vec<_> = (0..records).map(|i| request(batch.handles[i], &text(&batch.payloads, i))).collect();
    let answers = how(&requests);
    let mut codes = vec![0; records];
    let mut failures = vec![];
    let mut receipts = vec![];
    for (i, answer) in answers.iter().enumerate() {
        let (code, failed) = match answer {
            Ok(response) => {
                let body = String::from_utf8_lossy(&response.body[..response.body.len().min(200)]).into_owned();
                receipts.push(format!("{} {body}", response.status));
                continue;
            }
            Err(HttpError::Invalid(why)) => (3, failure("invalid", why)),
            Err(HttpError::NotGranted(why)) => (5, failure("not-granted", why)),
            Err(HttpError::NotConnected(why)) => (4, failure("not-connected", why)),
            Err(HttpError::NoAnswer(why)) => (6, failure("no-answer", why)),
            Err(HttpError::TooLarge(status)) => (6, failure("too-large", &status.to_string())),
        };
        receipts.push(String::new());
        codes[i] = code;
        failures.push(RecordFailure { handle: batch.handles[i], failure: failed });
    }
    Written { handles: batch.handles.clone(), codes, target_ids: texts([]), receipts: texts(receipts), failures }
}

impl exports::crossdock::plugin::destination::Guest for Guest {
    fn write(batch: Batch, keys: Column, _: WriteOptions) -> Result<Written, CallError> {
        loop_in("write");
        let mode = only_if_poisoned(MODE.with_borrow(String::clone), &batch);
        let records = batch.handles.len();
        match mode.as_str() {
            "panic" => panic!("on purpose"),
            "send" => return Ok(send_some(&batch)),
            "http" => return Ok(send(&batch, |requests| http::send(requests, 4))),
            "http-begin" => return Ok(send(&batch, begin)),
            "http-begin-only" => {
                let told = |_: &Request| Err(HttpError::NoAnswer("not waited for".to_string()));
                return Ok(send(&batch, |requests| {
                    for request in requests {
                        let _ = http::begin(request);
                    }
                    requests.iter().map(told).collect()
                }));
            }
            "http-then-panic" => {
                send(&batch, |requests| http::send(requests, 4));
                panic!("after sending");
            }
            _ => {}
        }
        let mut written = Written {
            handles: batch.handles.clone(),
            codes: vec![0; records],
            target_ids: texts((0..records).map(|i| text(&keys, i))),
            receipts: texts((0..records).map(|i| text(&batch.ids, i))),
            failures: vec![],
        };
        let failed = |index: usize| RecordFailure { handle: batch.handles[index], failure: failure("no", "no") };
        match mode.as_str() {
            "too-few" => {
                written.handles.pop();
                written.codes.pop();
            }
            "dropped" => written.codes[0] = 2,
            "stops" => {
                written.codes = (0..records).map(|i| [0, 3, 7][i.min(2)]).collect();
                written.failures = vec![failed(1)];
            }
            "goes-on" => {
                written.codes[1] = 3;
                written.failures = vec![failed(1)];
            }
            "long-target-id" => written.target_ids = texts((0..records).map(|_| "x".repeat(513))),
            "bad-target-id" => written.target_ids = texts((0..records).map(|_| "\u{1b}[2J".to_string())),
            "long-receipt" => written.receipts = texts((0..records).map(|_| "x".repeat((16 << 10) + 1))),
            "receipts-short" => written.receipts = texts(["x".to_string()]),
            "no-columns" => (written.target_ids, written.receipts) = (texts([]), texts([])),
            "reversed" => {
                written.handles.reverse();
                written.target_ids = texts((0..records).rev().map(|i| text(&keys, i)));
                written.receipts = texts([]);
            }
            _ => {}
        }
        Ok(written)
    }
}

impl exports::crossdock::plugin::compensate::Guest for Guest {
    fn compensate(batch: UndoBatch) -> Result<Undone, CallError> {
        loop_in("compensate");
        let mode = MODE.with_borrow(String::clone);
        let mut codes: Vec<u8> = batch.handles.iter().map(|_| if mode == "undo-lies" { 2 } else { 0 }).collect();
        match mode.as_str() {
            "undo-panic" => panic!("undoing"),
            "undo-loop" => loop {
                std::hint::black_box(());
            },
            "undo-too-few" => drop(codes.pop()),
            _ => {}
        }
        Ok(Undone { handles: batch.handles, codes, failures: vec![] })
    }
}

impl exports::crossdock::plugin::probe::Guest for Guest {
    fn probe(batch: Batch, keys: Column) -> Result<Probed, CallError> {
        loop_in("probe");
        let records = batch.handles.len();
        let codes = (0..records).map(|i| if i % 2 == 0 { 0 } else { 2 }).collect();
        let target_ids = texts((0..records).map(|i| if i % 2 == 0 { text(&keys, i) } else { String::new() }));
        Ok(Probed { handles: batch.handles, codes, target_ids, receipts: texts([]), failures: vec![] })
    }
}

export!(Guest);
