//! A destination that tells every secret it knows to everybody, in all ways in which it can be written.
//!
//! **Does**: reveals its secrets, puts them into whatever goes out of it, and asks a server that echoes them as well.
//! **May touch**: whatever its grants let it.
//! **Never**: leaves this repository; it is for tests only.

wit_bindgen::generate!({ path: "../../../wit", world: "full-destination-plugin" });

include!("../../leaks.rs");

use crate::crossdock::plugin::http::{self, Field, Request, SecretText, Value};
use crate::crossdock::plugin::types::{CallError, Column, ErrorKind, Failure, RecordFailure};
use crate::crossdock::plugin::{log, metrics, secrets, state};
use exports::crossdock::plugin::compensate::{UndoBatch, Undone};
use exports::crossdock::plugin::describe::{Description, Role};
use exports::crossdock::plugin::destination::{Batch, WriteOptions, Written};
use exports::crossdock::plugin::lifecycle::{Abilities, Atomicity, Idempotency};
use exports::crossdock::plugin::probe::Probed;
use std::cell::RefCell;

#[used]
#[unsafe(link_section = "crossdock:contract")]
static CONTRACT: [u8; 5] = *b"0.1.0";

thread_local! { static SETTINGS: RefCell<String> = const { RefCell::new(String::new()) }; }

const SECRETS: [&str; 4] = ["TOKEN", "PASSWORD", "KEY", "QUOTED"];

struct Guest;

/// All secrets in all their forms.
fn all() -> Vec<String> {
    let known = SECRETS.iter().filter_map(|name| secrets::reveal(secrets::open(name).ok()?).ok());
    known.flat_map(|value| forms(&String::from_utf8(value).unwrap())).map(|(_, text)| text).collect()
}

fn failure(code: &str, said: &[String]) -> Failure {
    // The message holds the first few only, since it is cut.
    let short = said.iter().take(6).cloned().collect::<Vec<_>>().join(" | ");
    Failure {
        code: code.to_string(),
        message: format!("it said {short}"),
        detail: Some(said.join("\n")),
        pointer: Some(format!("/{}", said.first().cloned().unwrap_or_default())),
        retry_after_ms: None,
    }
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

/// What a server says that tells back what it was told. The secrets are in the path, the query and the headers.
fn echoed(url: &str, handle: u32) -> Vec<String> {
    let open = |name| secrets::open(name).unwrap_or(u32::MAX);
    let field = |name: &str, value| Field { name: name.to_string(), value };
    let bearer = SecretText { before: "Bearer ".to_string(), secret: open("TOKEN"), after: String::new() };
    let basic = http::BasicCredentials { user: "user".to_string(), secret: open("PASSWORD") };
    let token = secrets::reveal(open("TOKEN")).map(|value| String::from_utf8(value).unwrap()).unwrap_or_default();
    let ask = |path: String, value: Value| Request {
        method: "GET".to_string(),
        url: format!("{url}{path}"),
        query: vec![field("token", Value::Text(token.clone()))],
        headers: vec![field("authorization", value)],
        body: vec![],
        timeout_ms: None,
        handle: Some(handle),
    };
    let answers = http::send(
        &[
            ask("/echo".to_string(), Value::Secret(bearer)),
            ask("/echo".to_string(), Value::Basic(basic)),
            ask(format!("/{token}"), Value::Text("none".to_string())),
            ask(format!("/\u{1b}[31m{token}\n"), Value::Text(token.clone() + "\n")),
        ],
        1,
    );
    let said = |answer: &Result<http::Response, http::HttpError>| match answer {
        Ok(response) => String::from_utf8_lossy(&response.body).into_owned(),
        Err(error) => format!("{error:?}"),
    };
    answers.iter().map(said).collect()
}

/// Everything that a call can leave behind beside its answer.
fn leave_behind(all: &[String]) {
    for text in all {
        for level in [log::Level::Trace, log::Level::Debug, log::Level::Info, log::Level::Warn, log::Level::Error] {
            log::write(level, text);
        }
        let name: String =
            text.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        metrics::count(&name, 1);
        metrics::gauge(&name, 1.0);
        let _ = state::set(&text.chars().take(50).collect::<String>(), text.as_bytes());
        eprintln!("{text}");
        println!("{text}");
    }
}

impl exports::crossdock::plugin::describe::Guest for Guest {
    fn describe() -> Description {
        Description {
            name: "guest-leaker".to_string(),
            version: "0.1.0".to_string(),
            summary: "Tells everything to everybody.".to_string(),
            role: Role::Destination,
            settings_schema: "{}".to_string(),
            wants: vec![],
            max_batch: 1_000,
        }
    }
}

impl exports::crossdock::plugin::lifecycle::Guest for Guest {
    fn configure(settings: String) -> Result<Abilities, CallError> {
        if settings.contains("refuse-settings") {
            return Err(CallError { kind: ErrorKind::InvalidSettings, failure: failure("settings", &all()) });
        }
        SETTINGS.set(settings);
        Ok(Abilities {
            re_reads: false,
            pure: false,
            idempotency: Idempotency::Upsert,
            atomicity: Atomicity::PerRecord,
            compensates: true,
        })
    }

    fn check() -> Result<(), CallError> {
        if SETTINGS.with_borrow(|settings| settings.contains("refuse-check")) {
            return Err(CallError { kind: ErrorKind::Unavailable, failure: failure("check", &all()) });
        }
        Ok(())
    }

    fn close() {
        leave_behind(&all());
    }
}

impl exports::crossdock::plugin::destination::Guest for Guest {
    fn write(batch: Batch, _: Column, _: WriteOptions) -> Result<Written, CallError> {
        let settings = SETTINGS.with_borrow(String::clone);
        let url = settings.split('"').nth(3).unwrap_or_default();
        let all = all();
        leave_behind(&all);
        let mut written = Written {
            handles: batch.handles.clone(),
            codes: vec![],
            target_ids: texts([]),
            receipts: texts([]),
            failures: vec![],
        };
        let (mut target_ids, mut receipts) = (vec![], vec![]);
        for (index, &handle) in batch.handles.iter().enumerate() {
            let payload = text(&batch.payloads, index);
            let quiet = settings.contains("always-ok");
            let way = |word: &str| !quiet && payload.contains(&format!("way-{word}"));
            let code = match () {
                () if way("panic") => panic!("{}", all.join(" | ")),
                () if way("exit") => std::process::exit(1),
                () if way("rejected") => Some((3, failure("rejected", &all))),
                () if way("code") => Some((3, failure(&all[0].to_lowercase(), &all))),
                () if way("unknown") => Some((6, failure("unknown", &all))),
                () if way("echoed") => Some((3, failure("echoed", &echoed(url, handle)))),
                () => None,
            };
            written.codes.push(code.as_ref().map_or(0, |(code, _)| *code));
            written.failures.extend(code.map(|(_, failure)| RecordFailure { handle, failure }));
            target_ids.push(all.iter().take(4).cloned().collect::<Vec<_>>().join("/").replace('\n', " "));
            receipts.push(all.join("\n"));
        }
        (written.target_ids, written.receipts) = (texts(target_ids), texts(receipts));
        Ok(written)
    }
}

impl exports::crossdock::plugin::compensate::Guest for Guest {
    fn compensate(batch: UndoBatch) -> Result<Undone, CallError> {
        leave_behind(&all());
        let refuse = |&handle: &u32| RecordFailure { handle, failure: failure("undo", &all()) };
        Ok(Undone {
            codes: vec![3; batch.handles.len()],
            failures: batch.handles.iter().map(refuse).collect(),
            handles: batch.handles,
        })
    }
}

impl exports::crossdock::plugin::probe::Guest for Guest {
    fn probe(batch: Batch, _: Column) -> Result<Probed, CallError> {
        let codes = vec![2; batch.handles.len()];
        Ok(Probed { handles: batch.handles, codes, target_ids: texts([]), receipts: texts([]), failures: vec![] })
    }
}

export!(Guest);
