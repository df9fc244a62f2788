//! A transformer that does what the first word of a payload says.
//!
//! **Does**: keeps the rest of the payload, drops the record, rejects it, splits it in two, or traps.
//! **May touch**: the log and metrics.
//! **Never**: changes; it stands for the plugins that were built for this version.

wit_bindgen::generate!({ path: "../../../../wit/released/0.1.0", world: "transformer-plugin" });

use crate::crossdock::plugin::types::{Attribute, Batch, CallError, Column, Failure, RecordFailure};
use crate::crossdock::plugin::{log, metrics};
use exports::crossdock::plugin::describe::{Description, Role};
use exports::crossdock::plugin::lifecycle::{Abilities, Atomicity, Idempotency};
use exports::crossdock::plugin::transformer::Transformed;

#[used]
#[unsafe(link_section = "crossdock:contract")]
static CONTRACT: [u8; 5] = *b"0.1.0";

const OK: u8 = 0;
const DROPPED: u8 = 2;
const REJECTED: u8 = 3;

struct Plugin;

fn push(column: &mut Column, value: &[u8]) {
    column.data.extend_from_slice(value);
    column.offsets.push(column.data.len() as u32);
}

impl exports::crossdock::plugin::describe::Guest for Plugin {
    fn describe() -> Description {
        Description {
            name: "frozen-transformer".to_string(),
            version: "0.1.0".to_string(),
            summary: "Does what the first word of a payload says.".to_string(),
            role: Role::Transformer,
            settings_schema: r#"{"type":"object","additionalProperties":false}"#.to_string(),
            wants: vec![],
            max_batch: 100,
        }
    }
}

impl exports::crossdock::plugin::lifecycle::Guest for Plugin {
    fn configure(_: String) -> Result<Abilities, CallError> {
        Ok(Abilities {
            re_reads: false,
            pure: true,
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

impl exports::crossdock::plugin::transformer::Guest for Plugin {
    fn transform(batch: Batch) -> Result<Transformed, CallError> {
        log::write(log::Level::Debug, "transforms");
        metrics::count("records", batch.handles.len() as u64);
        let column = || Column { data: vec![], offsets: vec![0] };
        let (mut payloads, mut ways) = (column(), column());
        let (mut codes, mut outputs, mut failures) = (vec![], vec![], vec![]);
        let ends = batch.payloads.offsets.windows(2).map(|pair| pair[0] as usize..pair[1] as usize);
        for (handle, range) in batch.handles.iter().zip(ends) {
            let text = String::from_utf8_lossy(&batch.payloads.data[range]).into_owned();
            let (word, rest) = text.split_once(' ').unwrap_or((&text, ""));
            let parts: Vec<&str> = match word {
                "keep" => vec![rest],
                "split" => rest.split(' ').collect(),
                _ => vec![],
            };
            codes.push(match word {
                "keep" | "split" => OK,
                "drop" => DROPPED,
                "trap" => panic!("as the record {rest:?} says"),
                _ => REJECTED,
            });
            if codes.last() == Some(&REJECTED) {
                failures.push(RecordFailure {
                    handle: *handle,
                    failure: Failure {
                        code: "unknown-word".to_string(),
                        message: format!("there is no word {word}"),
                        detail: Some(text.clone()),
                        pointer: Some("/0".to_string()),
                        retry_after_ms: None,
                    },
                });
            }
            outputs.push(parts.len() as u32);
            for part in parts {
                push(&mut payloads, part.as_bytes());
                push(&mut ways, word.as_bytes());
            }
        }
        let attributes = vec![Attribute { name: "way".to_string(), values: ways }];
        Ok(Transformed { handles: batch.handles, codes, outputs, payloads, attributes, failures })
    }
}

export!(Plugin);
