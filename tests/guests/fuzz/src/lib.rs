//! A transformer that calls the host as its payloads say, for fuzz targets.
//!
//! **Does**: takes each payload for a list of calls, whose arguments stand in it too, and makes them.
//! **May touch**: whatever its grants let it, and it tries what they do not.
//! **Never**: leaves this repository; it is for tests only.

mod bytes;
mod files;

wit_bindgen::generate!({ path: "../../../wit", world: "transformer-plugin" });

use crate::crossdock::plugin::http::{self, BasicCredentials, Field, Request, SecretText, Value};
use crate::crossdock::plugin::types::{CallError, Column};
use crate::crossdock::plugin::{control, log, metrics, secrets, state};
use bytes::Bytes;
use exports::crossdock::plugin::describe::{Description, Role};
use exports::crossdock::plugin::lifecycle::{Abilities, Atomicity, Idempotency};
use exports::crossdock::plugin::transformer::{Batch, Transformed};
use std::cell::RefCell;

#[used]
#[unsafe(link_section = "crossdock:contract")]
static CONTRACT: [u8; 5] = *b"0.1.0";

/// How many calls a payload may ask for.
const CALLS_MAX: usize = 64;

thread_local! { static BASE: RefCell<String> = const { RefCell::new(String::new()) }; }

struct Guest;

impl exports::crossdock::plugin::describe::Guest for Guest {
    fn describe() -> Description {
        Description {
            name: "guest-fuzz".to_string(),
            version: "0.1.0".to_string(),
            summary: "Calls the host as its payloads say.".to_string(),
            role: Role::Transformer,
            settings_schema: "{}".to_string(),
            wants: vec![],
            max_batch: 10,
        }
    }
}

impl exports::crossdock::plugin::lifecycle::Guest for Guest {
    /// The settings are `{"base": "http://127.0.0.1:PORT"}`.
    fn configure(settings: String) -> Result<Abilities, CallError> {
        BASE.set(settings.split('"').nth(3).unwrap_or("").to_string());
        Ok(Abilities {
            re_reads: false,
            pure: false,
            idempotency: Idempotency::None,
            atomicity: Atomicity::Atomic,
            compensates: false,
        })
    }

    fn check() -> Result<(), CallError> {
        Ok(())
    }

    fn close() {}
}

impl exports::crossdock::plugin::transformer::Guest for Guest {
    fn transform(batch: Batch) -> Result<Transformed, CallError> {
        let Column { data, offsets } = &batch.payloads;
        for (index, handle) in batch.handles.iter().enumerate() {
            let payload = &data[offsets[index] as usize..offsets[index + 1] as usize];
            let mut bytes = Bytes::new(payload);
            for _ in 0..CALLS_MAX {
                let Some(call) = bytes.byte() else { break };
                make(call, &mut bytes, *handle);
            }
        }
        let records = batch.handles.len();
        Ok(Transformed {
            codes: vec![2; records],
            handles: batch.handles,
            outputs: vec![],
            payloads: Column { data: vec![], offsets: vec![0] },
            attributes: vec![],
            failures: vec![],
        })
    }
}

fn make(call: u8, bytes: &mut Bytes<'_>, handle: u32) {
    match call % 16 {
        0 => {
            let levels = [log::Level::Trace, log::Level::Debug, log::Level::Info, log::Level::Warn, log::Level::Error];
            log::write(levels[bytes.below(levels.len())], &bytes.text());
        }
        1 => metrics::count(&bytes.text(), bytes.number()),
        2 => metrics::gauge(&bytes.text(), f64::from_bits(bytes.number())),
        3 => drop(state::get(&bytes.text())),
        4 => drop(state::set(&bytes.text(), &bytes.part())),
        5 => state::delete(&bytes.text()),
        6 => drop(secrets::open("TOKEN")),
        7 => drop(secrets::open(&bytes.text())),
        8 => drop(secrets::reveal(bytes.small())),
        9 => {
            let requests: Vec<Request> = (0..bytes.below(4)).map(|_| request(bytes, handle)).collect();
            drop(http::send(&requests, bytes.small()));
        }
        10 => drop((control::now_ms(), control::remaining_ms(), control::cancelled())),
        11 => eprintln!("{}", bytes.text()),
        12 => println!("{}", bytes.text()),
        _ => files::touch(bytes),
    }
}

fn request(bytes: &mut Bytes<'_>, handle: u32) -> Request {
    let base = BASE.with_borrow(String::clone);
    let url = match bytes.below(4) {
        0 => bytes.text(),
        1 => format!("{base}{}", bytes.text()),
        2 => base.replace("127.0.0.1", &bytes.text()),
        _ => format!("{base}/{}", bytes.text()),
    };
    Request {
        method: if bytes.below(2) == 0 { "POST".to_string() } else { bytes.text() },
        url,
        query: fields(bytes),
        headers: fields(bytes),
        body: bytes.part(),
        timeout_ms: Some(bytes.small() % 200),
        handle: match bytes.below(3) {
            0 => None,
            1 => Some(handle),
            _ => Some(bytes.small()),
        },
    }
}

fn fields(bytes: &mut Bytes<'_>) -> Vec<Field> {
    (0..bytes.below(4)).map(|_| Field { name: bytes.text(), value: value(bytes) }).collect()
}

fn value(bytes: &mut Bytes<'_>) -> Value {
    match bytes.below(3) {
        0 => Value::Text(bytes.text()),
        1 => Value::Secret(SecretText { before: bytes.text(), secret: bytes.small() % 3, after: bytes.text() }),
        _ => Value::Basic(BasicCredentials { user: bytes.text(), secret: bytes.small() % 3 }),
    }
}

export!(Guest);
