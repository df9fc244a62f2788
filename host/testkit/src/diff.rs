//! Where two JSON documents differ, and values for people.

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
