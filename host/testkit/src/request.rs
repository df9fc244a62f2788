//! Requests as they were seen, and whether they fit those that are expected.

use crate::case;
use crate::diff;
use serde_json::Value;
use std::collections::BTreeMap;

/// What stands for any text.
const ANY: &str = "{{ any }}";

/// A request as it would have gone out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) url: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Seen {
    /// Whether it may change something at the other side.
    pub(crate) fn is_change(&self) -> bool {
        matches!(self.method.as_str(), "POST" | "PUT" | "PATCH" | "DELETE")
    }

    /// For people: method, URL and the beginning of the body.
    pub(crate) fn shown(&self) -> String {
        let body = String::from_utf8_lossy(&self.body);
        let short: String = body.chars().take(300).collect();
        if short.is_empty() {
            format!("{} {}", self.method, self.url)
        } else {
            format!("{} {} {short}", self.method, self.url)
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// Everything that is sent, in pieces by place: method, URL, each header, each value of a JSON body.
    pub(crate) fn places(&self) -> BTreeMap<String, String> {
        let mut places = BTreeMap::new();
        places.insert("method".to_owned(), self.method.clone());
        places.insert("url".to_owned(), self.url.clone());
        for (name, value) in &self.headers {
            places.insert(format!("header {name}"), value.clone());
        }
        match serde_json::from_slice::<Value>(&self.body) {
            Ok(value) => diff::leaves("body ", &value, &mut places),
            Err(_) => drop(places.insert("body".to_owned(), String::from_utf8_lossy(&self.body).into_owned())),
        }
        places
    }
}

/// What a request comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    Answer {
        status: u16,
        headers: Vec<(String, String)>,
        body: Vec<u8>,
    },
    NotConnected,
    NoAnswer,
    TooLarge(u16),
    /// Nothing comes, ever.
    Silence,
}

impl Reply {
    /// An answer with a status and no more.
    pub(crate) fn status(status: u16) -> Self {
        Self::Answer { status, headers: Vec::new(), body: Vec::new() }
    }

    /// What an exchange of a case says.
    pub(crate) fn of(exchange: &case::Exchange) -> Self {
        match (&exchange.answer, exchange.failure) {
            (Some(answer), _) => {
                let mut headers: Vec<_> = answer.headers.iter().map(|(n, v)| (n.clone(), v.clone())).collect();
                let body = match (&answer.body, &answer.text) {
                    (Some(body), _) => {
                        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
                            headers.push(("content-type".to_owned(), "application/json".to_owned()));
                        }
                        body.0.to_string().into_bytes()
                    }
                    (None, text) => text.clone().unwrap_or_default().into_bytes(),
                };
                Self::Answer { status: answer.status, headers, body }
            }
            (None, Some(case::NoAnswer::NotConnected)) => Self::NotConnected,
            (None, Some(case::NoAnswer::TooLarge)) => Self::TooLarge(200),
            (None, _) => Self::NoAnswer,
        }
    }
}

/// The keys of a case's records, by id.
pub(crate) type Keys = BTreeMap<String, String>;

/// A text of a case with keys in the place of `{{ key ID }}`.
fn with_keys(text: &str, keys: &Keys) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{ key ") {
        out.push_str(before);
        match after.split_once(" }}").and_then(|(id, after)| Some((keys.get(id)?, after))) {
            Some((key, after)) => {
                out.push_str(key);
                rest = after;
            }
            None => {
                out.push_str("{{ key ");
                rest = after;
            }
        }
    }
    out + rest
}

fn value_with_keys(value: &Value, keys: &Keys) -> Value {
    match value {
        Value::String(text) => Value::String(with_keys(text, keys)),
        Value::Array(values) => values.iter().map(|value| value_with_keys(value, keys)).collect(),
        Value::Object(members) => {
            Value::Object(members.iter().map(|(name, value)| (name.clone(), value_with_keys(value, keys))).collect())
        }
        other => other.clone(),
    }
}

/// Whether a text is the one that is expected, in which `{{ any }}` stands for any text.
pub(crate) fn text_fits(expected: &str, found: &str) -> bool {
    let mut parts = expected.split(ANY);
    let Some(mut rest) = parts.next().and_then(|first| found.strip_prefix(first)) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    true
}

/// What is different between a request and the one that is expected; nothing if it fits.
pub(crate) fn differences(expected: &case::Request, found: &Seen, keys: &Keys) -> Vec<String> {
    let mut differences = Vec::new();
    if expected.method != found.method {
        differences.push(format!("method: expected {}, found {}", expected.method, found.method));
    }
    let url = with_keys(&expected.url, keys);
    if !text_fits(&url, &found.url) {
        differences.push(format!("url: expected {url}, found {}", found.url));
    }
    for (name, value) in &expected.headers {
        let value = with_keys(value, keys);
        match found.header(name) {
            Some(other) if text_fits(&value, other) => {}
            Some(other) => differences.push(format!("header {name}: expected {value:?}, found {other:?}")),
            None => differences.push(format!("header {name}: expected {value:?}, found none")),
        }
    }
    if let Some(text) = &expected.text {
        let (text, body) = (with_keys(text, keys), String::from_utf8_lossy(&found.body));
        if !text_fits(&text, &body) {
            differences.push(format!("body: expected {text:?}, found {body:?}"));
        }
    }
    if let Some(body) = &expected.body {
        match serde_json::from_slice::<Value>(&found.body) {
            Ok(value) => {
                let body = value_with_keys(&body.0, keys);
                differences.extend(diff::json(&body, &value).into_iter().map(|line| format!("body {line}")));
            }
            Err(_) => {
                differences.push(format!("body: expected JSON, found {:?}", String::from_utf8_lossy(&found.body)));
            }
        }
    }
    differences
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_with_any_fit() {
        for (expected, found, fits) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("a{{ any }}", "ab", true),
            ("{{ any }}b", "ab", true),
            ("a{{ any }}c{{ any }}e", "abcde", true),
            ("a{{ any }}x{{ any }}e", "abcde", false),
        ] {
            assert_eq!(text_fits(expected, found), fits, "{expected} {found}");
        }
    }

    #[test]
    fn keys_are_put_in() {
        let keys = Keys::from([("A-1".to_owned(), "k1".to_owned())]);
        assert_eq!(with_keys("x {{ key A-1 }} {{ key B }}", &keys), "x k1 {{ key B }}");
    }
}
