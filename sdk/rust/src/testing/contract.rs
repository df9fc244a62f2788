//! The rules of the contract that a test host insists on.

use super::records::Outcome;
use crate::bindings::base::crossdock::plugin::types as wit;
use crate::failure::Failure;

/// Panics if a rule is broken.
pub(super) fn rule(kept: bool, broken: impl FnOnce() -> String) {
    if !kept {
        panic!("broken contract: {}", broken());
    }
}

/// The values of a column that has to have `len` of them.
pub(super) fn values(what: &str, column: &wit::Column, len: usize) -> Vec<Vec<u8>> {
    let offsets: Vec<usize> = column.offsets.iter().map(|offset| *offset as usize).collect();
    rule(offsets.first() == Some(&0), || format!("the first offset of {what} is not 0"));
    rule(offsets.last() == Some(&column.data.len()), || format!("the last offset of {what} is not its length"));
    rule(offsets.is_sorted(), || format!("the offsets of {what} are not ascending"));
    rule(offsets.len() == len + 1, || format!("{} {what} for {len} records", offsets.len() - 1));
    offsets.windows(2).map(|pair| column.data.get(pair[0]..pair[1]).unwrap_or_default().to_vec()).collect()
}

/// The same for a column that may be of no values instead.
pub(super) fn optional_values(what: &str, column: &wit::Column, len: usize, max: usize) -> Vec<Vec<u8>> {
    if column.offsets == [0] && column.data.is_empty() {
        return vec![Vec::new(); len];
    }
    let values = values(what, column, len);
    for value in &values {
        rule(value.len() <= max, || format!("{what} may have {max} bytes each, one has {}", value.len()));
    }
    values
}

pub(super) fn text(what: &str, bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|_| panic!("broken contract: one of {what} is not UTF-8"))
}

/// Attributes by record, empty ones left out.
pub(super) fn attributes(attributes: &[wit::Attribute], len: usize) -> Vec<Vec<(String, Vec<u8>)>> {
    rule(attributes.len() <= 64, || "more than 64 attributes".to_owned());
    let mut by_record = vec![Vec::new(); len];
    for attribute in attributes {
        rule(attribute.name.len() <= 128, || format!("the attribute name {} is too long", attribute.name));
        let values = values(&format!("values of {}", attribute.name), &attribute.values, len);
        for (record, value) in by_record.iter_mut().zip(values).filter(|(_, value)| !value.is_empty()) {
            record.push((attribute.name.clone(), value));
        }
    }
    by_record
}

/// A failure as the plugin gave it, if it keeps to the rules.
pub(super) fn failure(failure: wit::Failure) -> Failure {
    let wit::Failure { code, .. } = &failure;
    let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    rule((1..=64).contains(&code.len()) && code.chars().all(fine), || format!("{code:?} is no failure code"));
    if let Some(pointer) = &failure.pointer {
        rule(pointer.is_empty() || pointer.starts_with('/'), || format!("{pointer:?} is no JSON pointer"));
    }
    Failure::from_wit(failure)
}

/// Outcomes and failures in the order of the handles that were given.
pub(super) fn outcomes(
    given: &[u32],
    handles: &[u32],
    codes: &[u8],
    failures: Vec<wit::RecordFailure>,
    allowed: &[Outcome],
) -> Vec<(Outcome, Option<Failure>)> {
    rule(handles == given, || format!("the handles {given:?} were given and {handles:?} came back"));
    rule(codes.len() == given.len(), || format!("{} codes for {} records", codes.len(), given.len()));
    let mut failures: Vec<(u32, Failure)> = failures.into_iter().map(|f| (f.handle, failure(f.failure))).collect();
    let mut answers = Vec::with_capacity(codes.len());
    for (handle, code) in given.iter().zip(codes) {
        let outcome = Outcome::from_code(*code).filter(|outcome| allowed.contains(outcome));
        let outcome = outcome.unwrap_or_else(|| panic!("broken contract: the code {code} is not allowed here"));
        let failure = failures.iter().position(|(of, _)| of == handle).map(|place| failures.remove(place).1);
        rule(failure.is_some() == outcome.needs_failure(), || format!("{outcome:?} with the failure {failure:?}"));
        answers.push((outcome, failure));
    }
    rule(failures.is_empty(), || format!("failures without a record: {failures:?}"));
    answers
}
