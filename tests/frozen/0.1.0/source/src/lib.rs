//! A source of the records that stand in its settings.
//!
//! **Does**: gives `ID PAYLOAD` for each entry of `lines`, which are separated by `|`, two a page.
//! **May touch**: the log, metrics, its state, and the clock, each a little, so that each is known to work.
//! **Never**: changes; it stands for the plugins that were built for this version.

wit_bindgen::generate!({ path: "../../../../wit/released/0.1.0", world: "source-plugin" });

use crate::crossdock::plugin::types::{Attribute, CallError, Column, ErrorKind, Failure};
use crate::crossdock::plugin::{control, log, metrics, state};
use exports::crossdock::plugin::describe::{Description, Role};
use exports::crossdock::plugin::lifecycle::{Abilities, Atomicity, Idempotency};
use exports::crossdock::plugin::source::{Limits, More, Page, Unreadable};
use std::cell::RefCell;

#[used]
#[unsafe(link_section = "crossdock:contract")]
static CONTRACT: [u8; 5] = *b"0.1.0";

thread_local! { static LINES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) }; }

/// The most records of a page, so that there are several.
const PAGE: usize = 2;

struct Plugin;

fn failure(code: &str, message: &str) -> Failure {
    Failure { code: code.to_string(), message: message.to_string(), detail: None, pointer: None, retry_after_ms: None }
}

fn column<'a>(values: impl IntoIterator<Item = &'a str>) -> Column {
    let mut column = Column { data: vec![], offsets: vec![0] };
    for value in values {
        column.data.extend_from_slice(value.as_bytes());
        column.offsets.push(column.data.len() as u32);
    }
    column
}

impl exports::crossdock::plugin::describe::Guest for Plugin {
    fn describe() -> Description {
        let schema = r#"{"type":"object","properties":{"lines":{"type":"string","description":"The records."}},
            "required":["lines"],"additionalProperties":false}"#;
        Description {
            name: "frozen-source".to_string(),
            version: "0.1.0".to_string(),
            summary: "Gives the records that stand in its settings.".to_string(),
            role: Role::Source,
            settings_schema: schema.to_string(),
            wants: vec![],
            max_batch: 100,
        }
    }
}

impl exports::crossdock::plugin::lifecycle::Guest for Plugin {
    fn configure(settings: String) -> Result<Abilities, CallError> {
        // One setting, and a text without quotes in it.
        let Some(lines) = settings.split('"').nth(3) else {
            return Err(CallError { kind: ErrorKind::InvalidSettings, failure: failure("no-lines", "lines is missing") });
        };
        LINES.set(lines.split('|').map(str::to_string).collect());
        Ok(Abilities {
            re_reads: true,
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

impl exports::crossdock::plugin::source::Guest for Plugin {
    fn read(checkpoint: Option<Vec<u8>>, limits: Limits) -> Result<Page, CallError> {
        let refused = |message: &str| CallError {
            kind: ErrorKind::CheckpointRefused,
            failure: failure("not-a-position", message),
        };
        let first = match checkpoint {
            None => 0,
            Some(text) => {
                let text = String::from_utf8(text).map_err(|_| refused("it is not UTF-8"))?;
                text.parse::<usize>().map_err(|_| refused("it is not a number"))?
            }
        };
        let pages = state::get("pages").and_then(|pages| pages.first().copied()).unwrap_or(0);
        let kept = state::set("pages", &[pages.wrapping_add(1)]).and_then(|()| state::set("gone", b"x"));
        state::delete("gone");
        metrics::count("pages", 1);
        metrics::gauge("first", first as f64);
        let time = if control::now_ms() > 0 && control::remaining_ms() > 0 { "on time" } else { "late" };
        log::write(log::Level::Info, &format!("reads from {first}, {time}, page {pages}: {kept:?}"));
        LINES.with_borrow(|lines| {
            let most = if control::cancelled() { 0 } else { PAGE.min(limits.max_records as usize) };
            let lines = lines.get(first..).unwrap_or_default();
            let page: Vec<(&str, &str)> =
                lines.iter().take(most).map(|line| line.split_once(' ').unwrap_or((line, ""))).collect();
            let empty = page.iter().enumerate().filter(|(_, (_, payload))| payload.is_empty());
            let unreadable = empty.map(|(index, _)| Unreadable {
                index: index as u32,
                failure: failure("no-payload", "the line has an id and nothing else"),
            });
            Ok(Page {
                ids: column(page.iter().map(|(id, _)| *id)),
                payloads: column(page.iter().map(|(_, payload)| *payload)),
                attributes: vec![Attribute {
                    name: "first-letter".to_string(),
                    values: column(page.iter().map(|(_, payload)| payload.get(..1).unwrap_or(""))),
                }],
                order_keys: column(page.iter().map(|(id, _)| *id)),
                unreadable: unreadable.collect(),
                checkpoint: (first + page.len()).to_string().into_bytes(),
                more: if lines.len() > page.len() { More::More } else { More::Idle },
            })
        })
    }

    fn ack(_: Vec<u8>) -> Result<(), CallError> {
        metrics::count("acks", 1);
        Ok(())
    }
}

export!(Plugin);
