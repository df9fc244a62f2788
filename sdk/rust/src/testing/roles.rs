//! Making plugins and feeding them.

use super::contract::{attributes, failure, optional_values, outcomes, rule, text, values};
use super::records::{Applied, Found, Given, Outcome, Part, ReadPage, ReadRecord, Transformed, Undone, Written};
use crate::bindings::base::crossdock::plugin::types as wit;
use crate::bindings::compensate::exports::crossdock::plugin::compensate::UndoBatch;
use crate::bindings::source::exports::crossdock::plugin::source as wit_source;
use crate::column::ColumnBuilder;
use crate::failure::CallError;
use crate::roles::{compensate as undoing, destination as writing, probe as probing, source as reading, transformer};
use crate::settings::PluginSettings;
use crate::{Compensate, Destination, Limits, More, Probe, Source, Transformer};
use schemars::JsonSchema;
use std::collections::HashSet;
use std::fmt::Display;

/// Handles do not begin at 0, so that a plugin that makes them up is found out.
const FIRST_HANDLE: u32 = 7_001;

/// A source with settings, given as JSON: text, or a `serde_json::Value`.
///
/// # Errors
/// The settings do not fit its type, or it does not want them.
pub fn source<S: Source>(settings: impl Display) -> Result<S, CallError> {
    S::Settings::parse(&settings.to_string()).and_then(S::new)
}

/// A transformer with settings, given as JSON: text, or a `serde_json::Value`.
///
/// # Errors
/// The settings do not fit its type, or it does not want them.
pub fn transformer<T: Transformer>(settings: impl Display) -> Result<T, CallError> {
    T::Settings::parse(&settings.to_string()).and_then(T::new)
}

/// A destination with settings, given as JSON: text, or a `serde_json::Value`.
///
/// # Errors
/// The settings do not fit its type, or it does not want them.
pub fn destination<D: Destination>(settings: impl Display) -> Result<D, CallError> {
    D::Settings::parse(&settings.to_string()).and_then(D::new)
}

/// The JSON Schema that is derived for a type of settings.
#[must_use]
pub fn schema<T: JsonSchema>() -> serde_json::Value {
    schemars::schema_for!(T).to_value()
}

/// Lets a transformer work on records.
///
/// # Panics
/// The answer breaks the contract.
pub fn transform<T: Transformer>(transformer: &mut T, records: &[Given]) -> Vec<Transformed> {
    let batch = batch(records);
    let given = batch.handles.clone();
    let answer = transformer::transform(transformer, batch);
    let allowed = [Outcome::Ok, Outcome::Dropped, Outcome::Rejected, Outcome::Retryable];
    let outcomes = outcomes(&given, &answer.handles, &answer.codes, answer.failures, &allowed);
    let counts: Vec<usize> = if answer.outputs.is_empty() {
        outcomes.iter().map(|(outcome, _)| usize::from(*outcome == Outcome::Ok)).collect()
    } else {
        answer.outputs.iter().map(|count| *count as usize).collect()
    };
    rule(counts.len() == records.len(), || format!("{} output counts for {} records", counts.len(), records.len()));
    let total = counts.iter().sum();
    let mut payloads = values("outputs", &answer.payloads, total).into_iter();
    let mut replaced = (!answer.attributes.is_empty()).then(|| attributes(&answer.attributes, total).into_iter());
    let mut transformed = Vec::with_capacity(records.len());
    for ((record, (outcome, failure)), count) in records.iter().zip(outcomes).zip(counts) {
        rule((count > 0) == (outcome == Outcome::Ok), || format!("{outcome:?} with {count} outputs"));
        let part = |payload| {
            let attributes = replaced.as_mut().and_then(Iterator::next).unwrap_or_else(|| record.attributes.clone());
            Part { payload, attributes }
        };
        let outputs = payloads.by_ref().take(count).map(part).collect();
        transformed.push(Transformed { id: record.id.clone(), outcome, outputs, failure });
    }
    transformed
}

/// Lets a destination write records, going on after failures.
///
/// # Errors
/// It could not write any of them.
///
/// # Panics
/// The answer breaks the contract.
pub fn write<D: Destination>(destination: &mut D, records: &[Given]) -> Result<Vec<Written>, CallError> {
    write_with(destination, records, false)
}

/// Lets a destination write records, stopping at the first failure.
///
/// # Errors
/// It could not write any of them.
///
/// # Panics
/// The answer breaks the contract; also if anything behind the first failure was touched.
pub fn write_until_failure<D: Destination>(destination: &mut D, records: &[Given]) -> Result<Vec<Written>, CallError> {
    let written = write_with(destination, records, true)?;
    let first = written.iter().position(|w| !matches!(w.outcome, Outcome::Ok | Outcome::Unchanged));
    for late in written.iter().skip(first.map_or(written.len(), |first| first + 1)) {
        rule(late.outcome == Outcome::Untouched, || format!("{} behind the first failure was touched", late.id));
    }
    Ok(written)
}

fn write_with<D: Destination>(destination: &mut D, records: &[Given], stop: bool) -> Result<Vec<Written>, CallError> {
    let (batch, keys) = (batch(records), keys(records));
    let given = batch.handles.clone();
    let answer = writing::write(destination, batch, &keys, stop)?;
    let allowed = [
        Outcome::Ok,
        Outcome::Unchanged,
        Outcome::Rejected,
        Outcome::Retryable,
        Outcome::Unauthorized,
        Outcome::Unknown,
        Outcome::Untouched,
    ];
    let outcomes = outcomes(&given, &answer.handles, &answer.codes, answer.failures, &allowed);
    Ok(joined(records, outcomes, &answer.target_ids, &answer.receipts))
}

/// Lets a destination say whether records were applied.
///
/// # Errors
/// It could not find out anything.
///
/// # Panics
/// The answer breaks the contract.
pub fn probe<D: Probe>(destination: &mut D, records: &[Given]) -> Result<Vec<Found>, CallError> {
    let (batch, keys) = (batch(records), keys(records));
    let given = batch.handles.clone();
    let answer = probing::probe(destination, batch, &keys)?;
    let allowed = [Outcome::Ok, Outcome::Dropped, Outcome::Retryable, Outcome::Unauthorized, Outcome::Unknown];
    let outcomes = outcomes(&given, &answer.handles, &answer.codes, answer.failures, &allowed);
    Ok(joined(records, outcomes, &answer.target_ids, &answer.receipts))
}

fn joined(
    records: &[Given],
    outcomes: Vec<(Outcome, Option<crate::Failure>)>,
    target_ids: &wit::Column,
    receipts: &wit::Column,
) -> Vec<Written> {
    let target_ids = optional_values("target ids", target_ids, records.len(), 512);
    let receipts = optional_values("receipts", receipts, records.len(), 16 * 1024);
    let join = |(((record, (outcome, failure)), target_id), receipt): (((&Given, _), Vec<u8>), Vec<u8>)| Written {
        id: record.id.clone(),
        key: record.key_text(),
        outcome,
        target_id: text("target ids", target_id),
        receipt,
        failure,
    };
    records.iter().zip(outcomes).zip(target_ids).zip(receipts).map(join).collect()
}

/// Lets a destination undo applied records, given newest first.
///
/// # Errors
/// It could not undo any of them.
///
/// # Panics
/// The answer breaks the contract.
pub fn compensate<D: Compensate>(destination: &mut D, records: &[Applied]) -> Result<Vec<Undone>, CallError> {
    let given = handles(records.len());
    let batch = UndoBatch {
        handles: given.clone(),
        ids: column(records.iter().map(|record| record.id.as_bytes())),
        keys: column(records.iter().map(|record| record.key.as_bytes())),
        target_ids: column(records.iter().map(|record| record.target_id.as_bytes())),
        receipts: column(records.iter().map(|record| &record.receipt[..])),
    };
    let answer = undoing::compensate(destination, batch)?;
    let allowed = [
        Outcome::Ok,
        Outcome::Unchanged,
        Outcome::Rejected,
        Outcome::Retryable,
        Outcome::Unauthorized,
        Outcome::Unknown,
        Outcome::Untouched,
    ];
    let outcomes = outcomes(&given, &answer.handles, &answer.codes, answer.failures, &allowed);
    let join = |(record, (outcome, failure)): (&Applied, _)| Undone { id: record.id.clone(), outcome, failure };
    Ok(records.iter().zip(outcomes).map(join).collect())
}

/// Lets a source read one page.
///
/// # Errors
/// It could not read.
///
/// # Panics
/// The page breaks the contract.
pub fn read<S: Source>(source: &mut S, checkpoint: Option<&[u8]>, limits: Limits) -> Result<ReadPage, CallError> {
    let page = reading::read(source, checkpoint.map(<[u8]>::to_vec), limits)?;
    let len = page.ids.offsets.len().saturating_sub(1);
    let ids: Vec<String> = values("ids", &page.ids, len).into_iter().map(|id| text("ids", id)).collect();
    let mut known = HashSet::new();
    for id in &ids {
        let fine = (1..=512).contains(&id.len()) && !id.chars().any(char::is_control);
        rule(fine, || format!("{id:?} is no id: 1 to 512 bytes without control characters"));
        rule(known.insert(id), || format!("two records of the page have the id {id}"));
    }
    let payloads = values("payloads", &page.payloads, len);
    let bytes = page.ids.data.len() + page.payloads.data.len();
    let fits = len <= limits.max_records as usize && (bytes <= limits.max_bytes as usize || len == 1);
    rule(fits, || format!("{len} records with {bytes} bytes do not fit {limits:?}"));
    rule(page.checkpoint.len() <= 64 * 1024, || "a checkpoint has at most 64 KiB".to_owned());
    let moved = len == 0 || checkpoint != Some(&page.checkpoint[..]) && !page.checkpoint.is_empty();
    rule(moved, || "a page with records must move the checkpoint".to_owned());
    let order_keys = optional_values("order keys", &page.order_keys, len, usize::MAX);
    let attributes = attributes(&page.attributes, len);
    let records = ids.into_iter().zip(payloads).zip(order_keys).zip(attributes);
    let mut records: Vec<ReadRecord> = records
        .map(|(((id, payload), order_key), attributes)| ReadRecord {
            id,
            payload,
            order_key,
            attributes,
            failure: None,
        })
        .collect();
    rule(page.unreadable.is_sorted_by_key(|bad| bad.index), || "unreadable records are not ascending".to_owned());
    for bad in page.unreadable {
        match records.get_mut(bad.index as usize) {
            Some(record) => record.failure = Some(failure(bad.failure)),
            None => rule(false, || format!("there is no record {} to be unreadable", bad.index)),
        }
    }
    let more = match page.more {
        wit_source::More::More => More::More,
        wit_source::More::Idle => More::Idle,
        wit_source::More::End => More::End,
    };
    Ok(ReadPage { records, checkpoint: page.checkpoint, more })
}

/// Lets a source read page after page from its beginning, until it has nothing more at the moment.
///
/// # Errors
/// It could not read one of them.
///
/// # Panics
/// A page breaks the contract; also if two pages have the same id, or after 10,000 pages without an end.
pub fn read_all<S: Source>(source: &mut S, limits: Limits) -> Result<Vec<ReadPage>, CallError> {
    let mut pages: Vec<ReadPage> = Vec::new();
    let mut known = HashSet::new();
    loop {
        let page = read(source, pages.last().map(|page| &page.checkpoint[..]), limits)?;
        for record in &page.records {
            rule(known.insert(record.id.clone()), || format!("two records of the source have the id {}", record.id));
        }
        let more = page.more;
        pages.push(page);
        if more != More::More {
            return Ok(pages);
        }
        rule(pages.len() < 10_000, || "10,000 pages and no end".to_owned());
    }
}

fn handles(count: usize) -> Vec<u32> {
    (FIRST_HANDLE..).take(count).collect()
}

fn column<'a>(values: impl Iterator<Item = &'a [u8]>) -> wit::Column {
    let mut column = ColumnBuilder::with_capacity(0, 0);
    values.for_each(|value| column.push(value));
    column.finish()
}

fn batch(records: &[Given]) -> wit::Batch {
    let mut names: Vec<&String> = Vec::new();
    for (name, _) in records.iter().flat_map(|record| &record.attributes) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let value_of = |record: &'_ Given, name: &String| -> Vec<u8> {
        record.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone()).unwrap_or_default()
    };
    let attribute = |name: &String| {
        let values: Vec<Vec<u8>> = records.iter().map(|record| value_of(record, name)).collect();
        wit::Attribute { name: name.clone(), values: column(values.iter().map(|value| &value[..])) }
    };
    wit::Batch {
        handles: handles(records.len()),
        ids: column(records.iter().map(|record| record.id.as_bytes())),
        payloads: column(records.iter().map(|record| &record.payload[..])),
        attributes: names.into_iter().map(attribute).collect(),
    }
}

fn keys(records: &[Given]) -> wit::Column {
    let keys: Vec<String> = records.iter().map(Given::key_text).collect();
    column(keys.iter().map(|key| key.as_bytes()))
}
