//! What is expected and what was found, value by value.

use crate::case::{Expect, Receipt, Refused, Word};
use crate::diff::{json, shown};
use crate::live::Answer;
use crossdock_engine::ports::CallError;
use crossdock_model::{Failure, Outcome};
use serde_json::Value;

/// Which of a destination's calls an outcome comes from: they have other words for the same codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    Pass,
    Probe,
    Undo,
}

/// The word of an outcome in a call.
pub(crate) fn word(call: Call, outcome: Outcome) -> Word {
    match (call, outcome) {
        (Call::Probe, Outcome::Ok) => Word::Applied,
        (Call::Probe, Outcome::Dropped) => Word::NotApplied,
        (Call::Undo, Outcome::Ok) => Word::Undone,
        (_, Outcome::Ok) => Word::Ok,
        (_, Outcome::Unchanged) => Word::Unchanged,
        (_, Outcome::Dropped) => Word::Dropped,
        (_, Outcome::Rejected) => Word::Rejected,
        (_, Outcome::Retryable) => Word::Retryable,
        (_, Outcome::Unauthorized) => Word::Unauthorized,
        (_, Outcome::Unknown) => Word::Unknown,
        (_, Outcome::Untouched) => Word::Untouched,
    }
}

/// A word as it is written.
pub(crate) fn written(word: Word) -> &'static str {
    match word {
        Word::Ok => "ok",
        Word::Unchanged => "unchanged",
        Word::Dropped => "dropped",
        Word::Rejected => "rejected",
        Word::Retryable => "retryable",
        Word::Unauthorized => "unauthorized",
        Word::Unknown => "unknown",
        Word::Untouched => "untouched",
        Word::Applied => "applied",
        Word::NotApplied => "not-applied",
        Word::Undone => "undone",
    }
}

/// An answer for people: the outcome, and the failure if there is one.
pub(crate) fn told(call: Call, answer: &Answer) -> String {
    let word = written(word(call, answer.outcome));
    match &answer.failure {
        Some(Failure { code, message, .. }) => format!("{word} ({code}: {})", shown(message)),
        None => word.to_owned(),
    }
}

/// What is different between what is expected of a record and what it came to.
pub(crate) fn answer(call: Call, expect: &Expect, found: &Answer) -> Vec<String> {
    let mut differences = Vec::new();
    if let Some(expected) = expect.outcome.filter(|expected| *expected != word(call, found.outcome)) {
        differences.push(format!("outcome: expected {}, found {}", written(expected), told(call, found)));
    }
    if let Some(expected) = &expect.target_id
        && *expected != found.target_id
    {
        differences.push(format!("target_id: expected {expected:?}, found {:?}", found.target_id));
    }
    let receipt = String::from_utf8_lossy(&found.receipt);
    match &expect.receipt {
        Some(Receipt::Present(true)) if receipt.is_empty() => {
            differences.push("receipt: expected one, found none".to_owned());
        }
        Some(Receipt::Present(false)) if !receipt.is_empty() => {
            differences.push(format!("receipt: expected none, found {}", shown(&receipt)));
        }
        Some(Receipt::Holds(part)) if !receipt.contains(part) => {
            differences.push(format!("receipt: expected one with {part:?}, found {}", shown(&receipt)));
        }
        _ => {}
    }
    outputs(expect, found, &mut differences);
    let Failure { code, message, detail, pointer, retry_after_ms } = found.failure.clone().unwrap_or_default();
    same("code", expect.code.as_deref(), Some(&code), &mut differences);
    same("pointer", expect.pointer.as_deref(), pointer.as_deref(), &mut differences);
    part("message", expect.message.as_deref(), &message, &mut differences);
    part("detail", expect.detail.as_deref(), detail.as_deref().unwrap_or_default(), &mut differences);
    if expect.retry_after_ms.is_some() && expect.retry_after_ms != retry_after_ms {
        let found = retry_after_ms.map_or("none".to_owned(), |ms| ms.to_string());
        differences.push(format!("retry_after_ms: expected {}, found {found}", expect.retry_after_ms.unwrap_or(0)));
    }
    differences
}

fn same(what: &str, expected: Option<&str>, found: Option<&str>, differences: &mut Vec<String>) {
    if let Some(expected) = expected
        && found != Some(expected)
    {
        differences.push(format!("{what}: expected {expected:?}, found {:?}", found.unwrap_or_default()));
    }
}

fn part(what: &str, expected: Option<&str>, found: &str, differences: &mut Vec<String>) {
    if let Some(expected) = expected.filter(|expected| !found.contains(expected)) {
        differences.push(format!("{what}: expected one with {expected:?}, found {:?}", shown(found)));
    }
}

fn outputs(expect: &Expect, found: &Answer, differences: &mut Vec<String>) {
    let texts: Vec<_> = found.outputs.iter().map(|output| String::from_utf8_lossy(&output.payload)).collect();
    let number = |expected: usize, differences: &mut Vec<String>| {
        if expected != texts.len() {
            differences.push(format!(
                "outputs: expected {expected}, found {}: {}",
                texts.len(),
                shown(&texts.join(" | "))
            ));
        }
    };
    if let Some(expected) = &expect.outputs {
        number(expected.len(), differences);
        for (index, (expected, text)) in expected.iter().zip(&texts).enumerate() {
            match serde_json::from_str::<Value>(text) {
                Ok(value) => {
                    differences
                        .extend(json(&expected.0, &value).into_iter().map(|line| format!("output {index} {line}")));
                }
                Err(_) => differences.push(format!("output {index}: expected JSON, found {:?}", shown(text))),
            }
        }
    }
    if let Some(expected) = &expect.texts {
        number(expected.len(), differences);
        for (index, (expected, text)) in expected.iter().zip(&texts).enumerate() {
            same(&format!("output {index}"), Some(expected), Some(text), differences);
        }
    }
    if let Some(expected) = &expect.attributes {
        let attributes = found.outputs.first().map(|output| output.attributes.as_slice()).unwrap_or_default();
        for (name, value) in expected {
            let there = attributes.iter().find(|(known, _)| known == name);
            let there = there.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).unwrap_or_default();
            same(&format!("attribute {name}"), Some(value), Some(&there), differences);
        }
    }
}

/// What is different between a refusal that is expected and what a call came to.
pub(crate) fn refusal(expected: &Refused, found: &CallError) -> Vec<String> {
    let mut differences = Vec::new();
    match found {
        CallError::Refused { kind, failure } => {
            if let Some(expected) = expected.kind.filter(|expected| expected != kind) {
                differences.push(format!("refusal: expected {expected:?}, found {kind:?}"));
            }
            same("code", expected.code.as_deref(), Some(&failure.code), &mut differences);
            part("message", expected.message.as_deref(), &failure.message, &mut differences);
        }
        other => differences.push(format!("expected a refusal, found {}", error(other))),
    }
    differences
}

/// Why a call has no answer, for people.
pub(crate) fn error(error: &CallError) -> String {
    match error {
        CallError::Refused { kind, failure } => {
            format!("the whole call was refused ({kind:?}, {}: {})", failure.code, shown(&failure.message))
        }
        CallError::Fault(fault) => format!("a fault: {}", shown(&fault.message)),
        CallError::Host(error) => format!("an error of the host: {error}"),
    }
}

/// The lines of a fault's detail that are shown, with the author's files and lines in them.
const DETAIL_LINES_MAX: usize = 16;

/// What is told of a fault beside its message: what the plugin wrote last, where it was.
pub(crate) fn detail(error: &CallError) -> Option<String> {
    let CallError::Fault(fault) = error else { return None };
    let lines: Vec<&str> = fault.detail.as_deref()?.lines().collect();
    Some(lines[lines.len().saturating_sub(DETAIL_LINES_MAX)..].join("\n"))
}
