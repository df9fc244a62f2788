//! The items of a list as records: ids, order keys, and what is wrong with them.

use std::fmt::Write as _;

use crossdock_sdk::{
    CallError, Failure,
    rest::{Pointer, invalid_setting, scalar_text},
};
use serde_json::value::RawValue;
use twox_hash::XxHash64;

use crate::plan::{NextPlan, Plan};

/// Bytes of an id, and of an order key.
const NAME_MAX_BYTES: usize = 512;

/// One record of the list.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) id: String,
    pub(crate) payload: String,
    pub(crate) order_key: Option<String>,
    /// The value by which the list goes on from run to run.
    pub(crate) value: Option<String>,
    /// Why it cannot be read.
    pub(crate) failure: Option<Failure>,
}

impl Item {
    pub(crate) fn new(plan: &Plan, raw: &RawValue) -> Self {
        let payload = raw.get().to_owned();
        let value = match &plan.next {
            NextPlan::Since { at, .. } => single(at, &payload),
            _ => None,
        };
        let (id, failure) = match id(&plan.id, &payload) {
            Ok(id) => (id, None),
            Err(failure) => (stand_in(&payload), Some(failure)),
        };
        // What has no order key of its own is kept in order with nothing else.
        let order_key = (!plan.order_key.is_empty())
            .then(|| joined(&plan.order_key, &payload).ok().filter(|key| key.len() <= NAME_MAX_BYTES));
        let order_key = order_key.map(|key| key.unwrap_or_else(|| id.clone()));
        Self { id, payload, order_key, value, failure }
    }

    /// The same record under an id of its own: its id was that of another record of the same list.
    pub(crate) fn repeated(self) -> Self {
        let message = format!("another record of the list has the id `{}` too, with other content", self.id);
        Self { id: stand_in(&self.payload), failure: Some(Failure::new("id-repeated", message)), ..self }
    }

    /// A number for the record's id.
    pub(crate) fn fingerprint(&self) -> u64 {
        XxHash64::oneshot(0, self.id.as_bytes())
    }
}

/// The id of a record that has none: the same for the same content.
fn stand_in(payload: &str) -> String {
    format!("unreadable:{:016x}", XxHash64::oneshot(0, payload.as_bytes()))
}

fn id(pointers: &[Pointer], payload: &str) -> Result<String, Failure> {
    let missing = |pointer: &Pointer| {
        let message = format!("the record has no single value at `{pointer}`, which its id needs");
        Failure::new("id-missing", message).pointer(pointer.to_string())
    };
    let id = joined(pointers, payload).map_err(missing)?;
    if id.chars().any(char::is_control) {
        return Err(Failure::new("id-control-character", "the record's id holds a control character"));
    }
    if id.len() > NAME_MAX_BYTES {
        return Err(Failure::new("id-too-long", format!("the record's id has more than {NAME_MAX_BYTES} bytes")));
    }
    Ok(id)
}

/// The values at these pointers: one as it is, several with `/` between them, so that different values never make
/// the same text. The error is the pointer at which there is none.
fn joined<'p>(pointers: &'p [Pointer], payload: &str) -> Result<String, &'p Pointer> {
    if let [pointer] = pointers {
        return single(pointer, payload).ok_or(pointer);
    }
    let mut text = String::new();
    for pointer in pointers {
        if !text.is_empty() {
            text.push('/');
        }
        for c in single(pointer, payload).ok_or(pointer)?.chars() {
            if matches!(c, '/' | '%' | '#') {
                // Writing to a String cannot fail.
                let _ = write!(text, "%{:02X}", u32::from(c));
            } else {
                text.push(c);
            }
        }
    }
    Ok(text)
}

/// A single value that is not empty.
fn single(pointer: &Pointer, payload: &str) -> Option<String> {
    let raw = pointer.find(payload.as_bytes()).ok().flatten()?;
    scalar_text(raw).filter(|text| !text.is_empty())
}

/// Checks that the values of a list that goes on from run to run ascend, as far as they can be compared: what goes
/// down would be left out, or read again and again.
///
/// # Errors
/// They do not, or no record has one.
pub(crate) fn check_ascending(before: Option<&str>, items: &[Item]) -> Result<(), CallError> {
    let mut last = before;
    for value in items.iter().filter_map(|item| item.value.as_deref()) {
        if last.is_some_and(|last| descends(last, value)) {
            let message = format!(
                "the list is not sorted by the value that `next.since` names, ascending: `{value}` comes behind `{}`; ask \
                 the API to sort it so in `path`, and look whether it knows the field `parameter`",
                last.unwrap_or_default()
            );
            return Err(CallError::invalid_settings(Failure::new("list-not-sorted", message).pointer("/next/since")));
        }
        last = Some(value);
    }
    if !items.is_empty() && items.iter().all(|item| item.value.is_none()) {
        return Err(invalid_setting("/next/since/at", "no record of the list has a single value there"));
    }
    Ok(())
}

/// Whether one value certainly comes before the other: both are whole numbers, or texts of one length.
fn descends(first: &str, second: &str) -> bool {
    match (first.parse::<i128>(), second.parse::<i128>()) {
        (Ok(first), Ok(second)) => second < first,
        _ => first.len() == second.len() && second < first,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{Pointer, descends, id};

    #[test]
    fn ids_are_made_of_values() {
        let check = |pointers: &[&str], payload: &str, wanted: Result<&str, &str>| {
            let pointers: Vec<Pointer> = pointers.iter().map(|text| Pointer::parse(text).unwrap()).collect();
            let found = id(&pointers, payload);
            let found = found.as_deref().map_err(|failure| failure.code());
            assert_eq!(found, wanted, "{payload}");
        };
        check(&["/id"], r#"{"id":"A/1 #2"}"#, Ok("A/1 #2"));
        check(&["/id"], r#"{"id":7.10}"#, Ok("7.10"));
        check(&[""], r#""bare""#, Ok("bare"));
        check(&["/a", "/b"], r#"{"a":"x/y","b":true}"#, Ok("x%2Fy/true"));
        check(&["/a", "/b"], r#"{"a":"x","b":"y%2F"}"#, Ok("x/y%252F"));
        for payload in ["{}", r#"{"id":null}"#, r#"{"id":""}"#, r#"{"id":{}}"#, r#"{"id":[1]}"#, "7"] {
            check(&["/id"], payload, Err("id-missing"));
        }
        check(&["/id"], r#"{"id":"a\nb"}"#, Err("id-control-character"));
        check(&["/id"], &format!("{{\"id\":\"{}\"}}", "x".repeat(513)), Err("id-too-long"));
    }

    #[test]
    fn only_what_can_be_compared_descends() {
        for (first, second, wanted) in [
            ("9", "10", false),
            ("10", "9", true),
            ("2026-01-02", "2026-01-01", true),
            ("2026-01-01", "2026-01-01", false),
            ("b", "aa", false),
        ] {
            assert_eq!(descends(first, second), wanted, "{first} {second}");
        }
    }
}
