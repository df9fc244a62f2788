//! A source with one bug, which its settings name; without it, it is right.
//!
//! **Does**: gives ten records; its checkpoint is how many were given, as text.
//! **May touch**: nothing; with a bug, memory of its own.
//! **Never**: leaves this repository; the test kit must find each of its bugs.

wit_bindgen::generate!({ path: "../../../wit", world: "source-plugin" });

use crate::crossdock::plugin::types::{CallError, Column, ErrorKind, Failure};
use exports::crossdock::plugin::describe::{Description, Role};
use exports::crossdock::plugin::lifecycle::{Abilities, Atomicity, Idempotency};
use exports::crossdock::plugin::source::{Limits, More, Page};
use std::cell::{Cell, RefCell};
use std::hash::{BuildHasher as _, RandomState};

#[used]
#[unsafe(link_section = "crossdock:contract")]
static CONTRACT: [u8; 5] = *b"0.1.0";

/// How many records there are.
const RECORDS: usize = 10;

thread_local! {
    static BUG: RefCell<String> = const { RefCell::new(String::new()) };
    static POSITION: Cell<usize> = const { Cell::new(0) };
}

struct Guest;

fn refused(kind: ErrorKind, code: &str, message: &str) -> CallError {
    let failure = Failure {
        code: code.to_string(),
        message: message.to_string(),
        detail: None,
        pointer: None,
        retry_after_ms: None,
    };
    CallError { kind, failure }
}

fn is(bug: &str) -> bool {
    BUG.with_borrow(|known| known == bug)
}

impl exports::crossdock::plugin::describe::Guest for Guest {
    fn describe() -> Description {
        Description {
            name: "planted-source".to_string(),
            version: "0.1.0".to_string(),
            summary: "Gives ten records.".to_string(),
            role: Role::Source,
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
        let wrong = || refused(ErrorKind::InvalidSettings, "invalid-settings", "no bug is named");
        BUG.set(bug.ok_or_else(wrong)?.to_string());
        Ok(Abilities {
            re_reads: true,
            pure: false,
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

fn column(values: impl IntoIterator<Item = String>) -> Column {
    let mut column = Column { data: vec![], offsets: vec![0] };
    for value in values {
        column.data.extend_from_slice(value.as_bytes());
        column.offsets.push(column.data.len() as u32);
    }
    column
}

fn id(number: usize) -> String {
    if is("ids-by-chance") { format!("{:x}", RandomState::new().hash_one(number)) } else { format!("record-{number}") }
}

/// How many records were given before a checkpoint.
fn position(checkpoint: Option<Vec<u8>>) -> Result<usize, CallError> {
    if is("position-in-globals") {
        return Ok(POSITION.get());
    }
    let Some(checkpoint) = checkpoint else { return Ok(0) };
    let text = String::from_utf8_lossy(&checkpoint).into_owned();
    match text.parse() {
        Ok(position) if position <= RECORDS => Ok(position),
        _ if is("trap-on-checkpoint") => panic!("a checkpoint is always a number"),
        _ if is("takes-any-checkpoint") => Ok(0),
        _ => Err(refused(ErrorKind::CheckpointRefused, "checkpoint-unknown", "it is not a number of records")),
    }
}

impl exports::crossdock::plugin::source::Guest for Guest {
    fn read(checkpoint: Option<Vec<u8>>, limits: Limits) -> Result<Page, CallError> {
        let before = position(checkpoint)?;
        let after = RECORDS.min(before + limits.max_records as usize);
        POSITION.set(after);
        let given = before..after;
        let next = match () {
            () if is("never-moves") => 0,
            // One more than was given, unless all were.
            () if is("skips") => RECORDS.min(after + 1),
            () if is("repeats") && after < RECORDS && after > before + 1 => after - 1,
            () => after,
        };
        Ok(Page {
            ids: column(given.clone().map(id)),
            payloads: column(given.map(|number| format!("{{\"number\":{number}}}"))),
            attributes: vec![],
            order_keys: column([]),
            unreadable: vec![],
            checkpoint: next.to_string().into_bytes(),
            more: if next < RECORDS || is("never-moves") { More::More } else { More::End },
        })
    }

    fn ack(_: Vec<u8>) -> Result<(), CallError> {
        Ok(())
    }
}

export!(Guest);
