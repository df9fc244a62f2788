//! A transformer with one bug, which its settings name; without it, it is right.
//!
//! **Does**: puts each record that is an object into another one, and rejects all others.
//! **May touch**: the records it is given; with a bug, memory of its own.
//! **Never**: leaves this repository; the test kit must find each of its bugs.

wit_bindgen::generate!({ path: "../../../wit", world: "transformer-plugin" });

use crate::crossdock::plugin::types::{CallError, Column, ErrorKind, Failure, RecordFailure};
use exports::crossdock::plugin::describe::{Description, Role};
use exports::crossdock::plugin::lifecycle::{Abilities, Atomicity, Idempotency};
use exports::crossdock::plugin::transformer::{Batch, Transformed};
use std::cell::{Cell, RefCell};
use std::hash::{BuildHasher as _, RandomState};

#[used]
#[unsafe(link_section = "crossdock:contract")]
static CONTRACT: [u8; 5] = *b"0.1.0";

thread_local! {
    static BUG: RefCell<String> = const { RefCell::new(String::new()) };
    static CALLS: Cell<u32> = const { Cell::new(0) };
    static KEPT: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
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
            name: "planted-transformer".to_string(),
            version: "0.1.0".to_string(),
            summary: "Puts records into other ones.".to_string(),
            role: Role::Transformer,
            settings_schema: r#"{"type":"object","properties":{"bug":{"type":"string"}},"required":["bug"]}"#
                .to_string(),
            wants: vec![],
            max_batch: 1_000,
        }
    }
}

impl exports::crossdock::plugin::lifecycle::Guest for Guest {
    fn configure(settings: String) -> Result<Abilities, CallError> {
        let bug = settings.strip_prefix("{\"bug\":\"").and_then(|rest| rest.strip_suffix("\"}"));
        let Some(bug) = bug else {
            assert!(!settings.contains("trap-on-settings"), "settings are always right");
            return Err(CallError {
                kind: ErrorKind::InvalidSettings,
                failure: failure("invalid-settings", "no bug is named"),
            });
        };
        BUG.set(bug.to_string());
        Ok(Abilities {
            re_reads: false,
            pure: true,
            idempotency: Idempotency::None,
            atomicity: Atomicity::PerRecord,
            compensates: false,
        })
    }

    fn check() -> Result<(), CallError> {
        Ok(())
    }

    fn close() {}
}

fn value(column: &Column, index: usize) -> &[u8] {
    &column.data[column.offsets[index] as usize..column.offsets[index + 1] as usize]
}

impl exports::crossdock::plugin::transformer::Guest for Guest {
    fn transform(batch: Batch) -> Result<Transformed, CallError> {
        CALLS.set(CALLS.get() + 1);
        let records = batch.handles.len();
        let mut codes = Vec::with_capacity(records);
        let mut payloads = Column { data: vec![], offsets: vec![0] };
        let mut failures = vec![];
        for index in 0..records {
            let payload = String::from_utf8_lossy(value(&batch.payloads, index));
            if is("memory-grows") {
                KEPT.with_borrow_mut(|kept| kept.push(payload.repeat(4).into_bytes()));
            }
            if !payload.starts_with('{') {
                assert!(!is("trap-on-record"), "records are always objects");
                codes.push(3);
                let pointer = is("wrong-pointer").then(|| "order.cents".to_string());
                let failure = Failure { pointer, ..failure("not-an-object", "the record is no object") };
                failures.push(RecordFailure { handle: batch.handles[index], failure });
                continue;
            }
            codes.push(0);
            let more = match () {
                () if is("state-in-globals") => format!(",\"call\":{}", CALLS.get()),
                () if is("order-matters") && index > 0 => {
                    format!(",\"before\":{:?}", String::from_utf8_lossy(value(&batch.ids, index - 1)))
                }
                () if is("batch-matters") => format!(",\"of\":{records}"),
                () if is("chance") => format!(",\"number\":{}", RandomState::new().hash_one(index)),
                () => String::new(),
            };
            payloads.data.extend_from_slice(format!("{{\"got\":{payload}{more}}}").as_bytes());
            payloads.offsets.push(payloads.data.len() as u32);
        }
        if is("broken-contract") {
            codes[0] = 9;
        }
        let mut handles = batch.handles;
        if is("forged-handle") {
            handles[records - 1] = handles[records - 1].wrapping_add(10_000);
        }
        if is("lost-record") && records > 1 {
            // The last one is forgotten, as by a loop that ends too early.
            handles.pop();
            if codes.pop() == Some(0) {
                payloads.offsets.pop();
                payloads.data.truncate(payloads.offsets[payloads.offsets.len() - 1] as usize);
            } else {
                failures.pop();
            }
        }
        Ok(Transformed { handles, codes, outputs: vec![], payloads, attributes: vec![], failures })
    }
}

export!(Guest);
