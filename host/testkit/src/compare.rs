//! What is expected and what was found, value by value.

use crate::case::{Expect, Receipt, Refused, Word};
use crate::live::Answer;
use crossdock_engine::ports::CallError;
use crossdock_model::{Failure, Outcome};
use serde_json::Value;
use std::collections::BTreeMap;

/// The most differences of one value that are told.
const TOLD_MAX: usize = 8;
/// The longest value that is shown.
const SHOWN_MAX_CHARS: usize = 200;
/// What stands for any text.
const ANY: &str = "{{ any }}";

/// A value on one line, cut.
pub(crate) fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN_MAX_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Every value of a document by its pointer.
pub(crate) fn leaves(before: &str, value: &Value, into: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(name, value)| leaves(&format!("{before}/{name}"), value, into))
        }
        Value::Array(values) => {
            values.iter().enumerate().for_each(|(at, value)| leaves(&format!("{before}/{at}"), value, into));
        }
        value => drop(into.insert(before.to_owned(), value.to_string())),
    }
}

/// Where two documents differ, by pointer.
pub(crate) fn json(expected: &Value, found: &Value) -> Vec<String> {
    let mut differences = Vec::new();
    walk("", expected, found, &mut differences);
    let more = differences.len().saturating_sub(TOLD_MAX);
    if more > 0 {
        differences.truncate(TOLD_MAX);
        differences.push(format!("and {more} more differences"));
    }
    differences
}

fn walk(at: &str, expected: &Value, found: &Value, differences: &mut Vec<String>) {
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => {
            for (name, value) in expected {
                match found.get(name) {
                    Some(other) => walk(&format!("{at}/{name}"), value, other, differences),
                    None => {
                        differences.push(format!("{at}/{name}: expected {}, found nothing", shown(&value.to_string())))
                    }
                }
            }
            for (name, value) in found.iter().filter(|(name, _)| !expected.contains_key(*name)) {
                differences.push(format!("{at}/{name}: expected nothing, found {}", shown(&value.to_string())));
            }
        }
        (Value::Array(expected), Value::Array(found)) => {
            for (index, pair) in expected.iter().zip(found).enumerate() {
                walk(&format!("{at}/{index}"), pair.0, pair.1, differences);
            }
            if expected.len() != found.len() {
                differences.push(format!("{at}: expected {} values, found {}", expected.len(), found.len()));
            }
        }
        (Value::String(expected), Value::String(_)) if expected == ANY => {}
        // 1 and 1.0 are the same number.
        (Value::Number(a), Value::Number(b)) if a.as_f64() == b.as_f64() && a.is_f64() != b.is_f64() => {}
        (expected, found) if expected == found => {}
        (expected, found) => {
            let at = if at.is_empty() { "value" } else { at };
            differences.push(format!(
                "{at}: expected {}, found {}",
                shown(&expected.to_string()),
                shown(&found.to_string())
            ));
        }
    }
}

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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(expected: &str, found: &str, differences: &[&str]) {
        let (expected, found) = (serde_json::from_str(expected).unwrap(), serde_json::from_str(found).unwrap());
        assert_eq!(json(&expected, &found), differences);
    }

    #[test]
    fn documents_are_compared_by_value() {
        check(r#"{"a":1,"b":[1,2]}"#, r#"{"b":[1,2],"a":1}"#, &[]);
        check(r#"{"a":1}"#, r#"{"a":1.0}"#, &[]);
        check(r#"{"a":1}"#, r#"{"a":2}"#, &["/a: expected 1, found 2"]);
        check(
            r#"{"a":{"b":1}}"#,
            r#"{"a":{"c":1}}"#,
            &["/a/b: expected 1, found nothing", "/a/c: expected nothing, found 1"],
        );
        check("[1]", "[1,2]", &[": expected 1 values, found 2"]);
        check(r#""{{ any }}""#, r#""x""#, &[]);
        check("1", "\"1\"", &["value: expected 1, found \"1\""]);
    }
}
