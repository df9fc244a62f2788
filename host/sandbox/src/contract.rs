//! Invariant 4: what an answer must be before anything in it is believed.

use crate::bindings::roles::{compensate, destination, probe, source, transformer};
use crate::bindings::types;
use crate::fault::{Verdict, failure};
use crate::redact::Redactor;
use crate::text::is_unfit;
use crossdock_engine::ports::{More, Page, PageLimits, Probed, Transformed, Undone, Written};
use crossdock_model::{Attribute, Batch, Checkpoint, Column, Failure, Outcome, RecordId};
use std::collections::HashSet;

/// The longest id that another system gives a record.
const TARGET_ID_MAX_BYTES: usize = 512;
/// The longest receipt.
const RECEIPT_MAX_BYTES: usize = 16 << 10;
/// The longest order key.
const ORDER_KEY_MAX_BYTES: usize = 512;
/// The most attributes of a batch.
const ATTRIBUTES_MAX: usize = 64;
/// How names of attributes begin that only the host gives.
const THE_HOSTS: [&str; 2] = ["steps.", "event."];
/// The longest name of an attribute.
const ATTRIBUTE_NAME_MAX_BYTES: usize = 128;
/// The most records that one record may be split into.
const OUTPUTS_MAX: u32 = 10_000;

/// The rule that an answer breaks, for the person who mends the plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Broken(pub(crate) String);

impl From<Broken> for Verdict {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken.0)
    }
}

type Checked<T> = Result<T, Broken>;

fn broken<T>(rule: impl Into<String>) -> Checked<T> {
    Err(Broken(rule.into()))
}

/// The handles a call was given: `first`, `first + 1` and so on, one a record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Handles {
    pub(crate) first: u32,
    pub(crate) records: usize,
}

impl Handles {
    fn position(self, handle: u32) -> Checked<usize> {
        match handle.checked_sub(self.first).map(|position| position as usize) {
            Some(position) if position < self.records => Ok(position),
            _ => broken(format!("it answered for handle {handle}, which is not one of this batch")),
        }
    }
}

/// In which order an answer lists the records.
enum Order {
    /// That of the batch.
    Same,
    /// The record at each position of the batch stands there in the answer.
    Moved(Vec<usize>),
}

impl Order {
    /// Reads the handles of an answer.
    fn read(given: Handles, answered: &[u32]) -> Checked<Self> {
        if answered.len() != given.records {
            return broken(format!("it answered {} outcomes for {} records", answered.len(), given.records));
        }
        if answered.iter().zip(given.first..).all(|(answered, given)| *answered == given) {
            return Ok(Self::Same);
        }
        let mut places = vec![usize::MAX; given.records];
        for (place, handle) in answered.iter().enumerate() {
            let position = given.position(*handle)?;
            if places[position] != usize::MAX {
                return broken(format!("it answered twice for handle {handle}"));
            }
            places[position] = place;
        }
        Ok(Self::Moved(places))
    }

    fn list<T: Clone>(&self, list: Vec<T>) -> Vec<T> {
        match self {
            Self::Same => list,
            Self::Moved(places) => places.iter().filter_map(|place| list.get(*place).cloned()).collect(),
        }
    }

    fn column(&self, column: Column) -> Column {
        match self {
            Self::Same => column,
            Self::Moved(places) => column.select(places),
        }
    }
}

fn outcomes(order: &Order, records: usize, codes: Vec<u8>, allowed: &[Outcome]) -> Checked<Vec<Outcome>> {
    if codes.len() != records {
        return broken(format!("it answered {} codes for {records} records", codes.len()));
    }
    let mut table = [None; 8];
    for outcome in allowed {
        table[*outcome as usize] = Some(*outcome);
    }
    let mut outcomes = Vec::with_capacity(records);
    for code in codes {
        match table.get(usize::from(code)).copied().flatten() {
            Some(outcome) => outcomes.push(outcome),
            None => return broken(format!("it answered code {code}, which this call does not have")),
        }
    }
    Ok(order.list(outcomes))
}

fn failures(
    given: Handles,
    outcomes: &[Outcome],
    answered: Vec<types::RecordFailure>,
    redactor: &Redactor,
) -> Checked<Vec<(u32, Failure)>> {
    let wanted = outcomes.iter().filter(|outcome| outcome.needs_failure()).count();
    if answered.len() != wanted {
        return broken(format!("it gave {} failures for {wanted} records that need one", answered.len()));
    }
    let mut failures = Vec::with_capacity(wanted);
    for one in answered {
        let position = given.position(one.handle)?;
        if !outcomes.get(position).is_some_and(|outcome| outcome.needs_failure()) {
            return broken(format!("it gave a failure for handle {}, whose code has none", one.handle));
        }
        // Fits: a batch has at most 10,000 records.
        failures.push((u32::try_from(position).unwrap_or(u32::MAX), failure(one.failure, redactor)));
    }
    failures.sort_by_key(|(position, _)| *position);
    if failures.windows(2).any(|pair| pair[0].0 == pair[1].0) {
        return broken("it gave two failures for one record");
    }
    Ok(failures)
}

fn column(what: &str, column: types::ColumnResult) -> Checked<Column> {
    Column::from_parts(column.data, column.offsets).map_err(|error| Broken(format!("the column {what}: {error}")))
}

fn column_of(what: &str, answered: types::ColumnResult, records: usize) -> Checked<Column> {
    let column = column(what, answered)?;
    if column.len() != records {
        return broken(format!("the column {what} has {} values for {records} records", column.len()));
    }
    Ok(column)
}

/// A column with one value a record, or none at all.
fn optional(what: &str, answered: types::ColumnResult, records: usize, max_bytes: usize) -> Checked<Option<Column>> {
    if answered.data.is_empty() && answered.offsets == [0] {
        return Ok(None);
    }
    let column = column_of(what, answered, records)?;
    if let Some(longest) = column.offsets().windows(2).map(|pair| (pair[1] - pair[0]) as usize).max()
        && longest > max_bytes
    {
        return broken(format!("the column {what} has a value of {longest} bytes; {max_bytes} are allowed"));
    }
    Ok(Some(column))
}

fn attributes(answered: Vec<types::AttributeResult>, records: usize, redactor: &Redactor) -> Checked<Vec<Attribute>> {
    if answered.len() > ATTRIBUTES_MAX {
        return broken(format!("it gave {} attributes; {ATTRIBUTES_MAX} are allowed", answered.len()));
    }
    let mut attributes: Vec<Attribute> = Vec::with_capacity(answered.len());
    for types::AttributeResult { name, values } in answered {
        if !(1..=ATTRIBUTE_NAME_MAX_BYTES).contains(&name.len()) || name.contains(is_unfit) {
            return broken(format!("{name:?} is not the name of an attribute"));
        }
        if let Some(secret) = redactor.held_by(name.as_bytes()) {
            return broken(format!("the name of an attribute holds the secret {secret}"));
        }
        // A plugin may hand on what it was given, and cannot say anything else of it: what is true is added by the host.
        if THE_HOSTS.iter().any(|beginning| name.starts_with(beginning)) {
            continue;
        }
        if attributes.iter().any(|attribute| attribute.name == name) {
            return broken(format!("it gave the attribute {name} twice"));
        }
        let values = column_of(&name, values, records)?;
        attributes.push(Attribute { name, values });
    }
    Ok(attributes)
}

/// Checks what a transformer answered.
pub(crate) fn transformed(
    given: Handles,
    answer: transformer::Transformed,
    redactor: &Redactor,
) -> Checked<Transformed> {
    const ALLOWED: &[Outcome] = &[Outcome::Ok, Outcome::Dropped, Outcome::Rejected, Outcome::Retryable];
    let records = given.records;
    let order = Order::read(given, &answer.handles)?;
    // In the order of the answer first: the payloads follow it.
    let answered = outcomes(&Order::Same, records, answer.codes, ALLOWED)?;
    let outputs = outputs(&answered, answer.outputs)?;
    let total = match &outputs {
        Some(outputs) => outputs.iter().map(|n| u64::from(*n)).sum::<u64>(),
        None => answered.iter().filter(|outcome| **outcome == Outcome::Ok).count() as u64,
    };
    let mut payloads = column("payloads", answer.payloads)?;
    if payloads.len() as u64 != total {
        return broken(format!("it gave {} payloads for {total} output records", payloads.len()));
    }
    let mut attributes = attributes(answer.attributes, payloads.len(), redactor)?;
    if let Order::Moved(places) = &order {
        let picked = moved_outputs(places, &answered, outputs.as_deref());
        payloads = payloads.select(&picked);
        for attribute in &mut attributes {
            attribute.values = attribute.values.select(&picked);
        }
    }
    let outcomes = order.list(answered);
    let failures = failures(given, &outcomes, answer.failures, redactor)?;
    Ok(Transformed {
        outcomes,
        failures,
        outputs: outputs.map(|outputs| order.list(outputs)),
        payloads,
        attributes: (!attributes.is_empty()).then_some(attributes),
    })
}

fn outputs(answered: &[Outcome], outputs: Vec<u32>) -> Checked<Option<Vec<u32>>> {
    if outputs.is_empty() {
        return Ok(None);
    }
    if outputs.len() != answered.len() {
        return broken(format!("it gave {} numbers of outputs for {} records", outputs.len(), answered.len()));
    }
    for (outcome, n) in answered.iter().zip(&outputs) {
        let fits = if *outcome == Outcome::Ok { (1..=OUTPUTS_MAX).contains(n) } else { *n == 0 };
        if !fits {
            return broken(format!("it gave {n} outputs for a record that is {}", outcome.as_str()));
        }
    }
    Ok(Some(outputs))
}

/// Which output records belong to each record, in the order of the batch.
fn moved_outputs(places: &[usize], answered: &[Outcome], outputs: Option<&[u32]>) -> Vec<usize> {
    let count = |place: usize| match outputs {
        Some(outputs) => outputs.get(place).map_or(0, |n| *n as usize),
        None => usize::from(answered.get(place) == Some(&Outcome::Ok)),
    };
    let mut starts = Vec::with_capacity(answered.len());
    let mut next = 0;
    for place in 0..answered.len() {
        starts.push(next);
        next += count(place);
    }
    places.iter().flat_map(|place| starts[*place]..starts[*place] + count(*place)).collect()
}

/// Checks what a destination answered.
pub(crate) fn written(
    given: Handles,
    stop_at_first_failure: bool,
    answer: destination::Written,
    redactor: &Redactor,
) -> Checked<Written> {
    const ALLOWED: &[Outcome] = &[
        Outcome::Ok,
        Outcome::Unchanged,
        Outcome::Rejected,
        Outcome::Retryable,
        Outcome::Unauthorized,
        Outcome::Unknown,
        Outcome::Untouched,
    ];
    let order = Order::read(given, &answer.handles)?;
    let outcomes = outcomes(&order, given.records, answer.codes, ALLOWED)?;
    let failures = failures(given, &outcomes, answer.failures, redactor)?;
    if stop_at_first_failure {
        let mut rest = outcomes.iter().skip_while(|outcome| outcome.is_success()).skip(1);
        if rest.any(|outcome| *outcome != Outcome::Untouched) {
            return broken("it went on after the first failure, although it was asked to stop there");
        }
    }
    let target_ids = target_ids(&order, given, answer.target_ids)?;
    let receipts = receipts(&order, given, answer.receipts)?;
    Ok(Written { outcomes, failures, target_ids, receipts })
}

fn target_ids(order: &Order, given: Handles, answered: types::ColumnResult) -> Checked<Option<Column>> {
    let column = optional("target-ids", answered, given.records, TARGET_ID_MAX_BYTES)?;
    if column.as_ref().is_some_and(|column| column.iter().any(|id| !is_id(id) && !id.is_empty())) {
        return broken("a target id is not UTF-8 without control characters");
    }
    Ok(column.map(|column| order.column(column)))
}

fn receipts(order: &Order, given: Handles, answered: types::ColumnResult) -> Checked<Option<Column>> {
    let column = optional("receipts", answered, given.records, RECEIPT_MAX_BYTES)?;
    Ok(column.map(|column| order.column(column)))
}

/// Checks what a compensation answered.
pub(crate) fn undone(given: Handles, answer: compensate::Undone, redactor: &Redactor) -> Checked<Undone> {
    const ALLOWED: &[Outcome] = &[
        Outcome::Ok,
        Outcome::Unchanged,
        Outcome::Rejected,
        Outcome::Retryable,
        Outcome::Unauthorized,
        Outcome::Unknown,
        Outcome::Untouched,
    ];
    let order = Order::read(given, &answer.handles)?;
    let outcomes = outcomes(&order, given.records, answer.codes, ALLOWED)?;
    let failures = failures(given, &outcomes, answer.failures, redactor)?;
    Ok(Undone { outcomes, failures })
}

/// Checks what a probe answered.
pub(crate) fn probed(given: Handles, answer: probe::Probed, redactor: &Redactor) -> Checked<Probed> {
    const ALLOWED: &[Outcome] =
        &[Outcome::Ok, Outcome::Dropped, Outcome::Retryable, Outcome::Unauthorized, Outcome::Unknown];
    let order = Order::read(given, &answer.handles)?;
    let outcomes = outcomes(&order, given.records, answer.codes, ALLOWED)?;
    let failures = failures(given, &outcomes, answer.failures, redactor)?;
    let target_ids = target_ids(&order, given, answer.target_ids)?;
    let receipts = receipts(&order, given, answer.receipts)?;
    Ok(Probed { outcomes, failures, target_ids, receipts })
}

/// 1 to 512 bytes of UTF-8 without control characters.
fn is_id(id: &[u8]) -> bool {
    (1..=RecordId::MAX_BYTES).contains(&id.len())
        && if id.is_ascii() {
            !id.iter().any(u8::is_ascii_control)
        } else {
            std::str::from_utf8(id).is_ok_and(|id| !id.contains(char::is_control))
        }
}

/// Checks a page of a source that was asked to go on from `before`.
pub(crate) fn page(
    before: Option<&Checkpoint>,
    limits: PageLimits,
    answer: source::Page,
    redactor: &Redactor,
) -> Checked<Page> {
    let ids = column("ids", answer.ids)?;
    let records = ids.len();
    let payloads = column_of("payloads", answer.payloads, records)?;
    let attributes = attributes(answer.attributes, records, redactor)?;
    let order_keys = optional("order-keys", answer.order_keys, records, ORDER_KEY_MAX_BYTES)?;
    check_size(limits, &ids, &payloads)?;
    let mut seen = HashSet::with_capacity(records);
    for (index, id) in ids.iter().enumerate() {
        if !is_id(id) {
            return broken(format!(
                "the id of record {index} is not 1 to 512 bytes of UTF-8 without control characters"
            ));
        }
        if !seen.insert(id) {
            return broken(format!("the id {} stands twice in one page", String::from_utf8_lossy(id)));
        }
    }
    without_secrets(&ids, redactor)?;
    let mut unreadable: Vec<(u32, Failure)> = Vec::with_capacity(answer.unreadable.len());
    for one in answer.unreadable {
        let ascends = unreadable.last().is_none_or(|(last, _)| *last < one.index);
        if !ascends || one.index as usize >= records {
            return broken("its unreadable records are not in ascending order within the page");
        }
        unreadable.push((one.index, failure(one.failure, redactor)));
    }
    let more = match answer.more {
        source::More::More => More::More,
        source::More::Idle => More::Idle,
        source::More::End => More::End,
    };
    check_checkpoint(before, &answer.checkpoint, records, more)?;
    Ok(Page {
        batch: Batch { ids, payloads, attributes },
        order_keys,
        unreadable,
        checkpoint: Checkpoint(answer.checkpoint),
        more,
    })
}

/// Ids stay as they are wherever they are stored and shown, because they are asked for again. So none may hold a secret.
fn without_secrets(ids: &Column, redactor: &Redactor) -> Checked<()> {
    // All at once first: nearly always there is nothing to be found.
    if redactor.held_by(ids.data()).is_none() {
        return Ok(());
    }
    match ids.iter().enumerate().find_map(|(index, id)| Some((index, redactor.held_by(id)?))) {
        Some((index, secret)) => broken(format!("the id of record {index} holds the secret {secret}")),
        None => Ok(()),
    }
}

/// A page ends at the latest with the record that passes the limit of bytes.
fn check_size(limits: PageLimits, ids: &Column, payloads: &Column) -> Checked<()> {
    let records = ids.len();
    if records > limits.max_records as usize {
        return broken(format!("a page of {records} records, {} were asked for", limits.max_records));
    }
    let before_last = |column: &Column| records.checked_sub(1).and_then(|last| column.offsets().get(last)).copied();
    let bytes = u64::from(before_last(ids).unwrap_or(0)) + u64::from(before_last(payloads).unwrap_or(0));
    if bytes > u64::from(limits.max_bytes) {
        return broken(format!(
            "the page passes the {} bytes that were asked for by more than its last record",
            limits.max_bytes
        ));
    }
    Ok(())
}

fn check_checkpoint(before: Option<&Checkpoint>, after: &[u8], records: usize, more: More) -> Checked<()> {
    if after.len() > Checkpoint::MAX_BYTES {
        return broken(format!("a checkpoint of {} bytes; {} are allowed", after.len(), Checkpoint::MAX_BYTES));
    }
    let moved = before.is_none_or(|before| before.0 != after);
    if !moved && records > 0 {
        return broken("a page with records that does not move the checkpoint");
    }
    if !moved && more == More::More {
        return broken("a page without records asks for the next one without moving the checkpoint");
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn no_id_and_no_name_holds_a_secret() {
        let redactor = Redactor::new([("TOKEN", &b"tok-4711-abc"[..])]);
        let check = |ids: &[&str], expected: Result<(), &str>| {
            let column: Column = ids.iter().collect();
            let expected = expected.map_err(|rule| Broken(rule.to_owned()));
            assert_eq!(without_secrets(&column, &redactor), expected, "{ids:?}");
            let attribute = |name: &&str| {
                let empty = types::ColumnResult { data: Vec::new(), offsets: vec![0] };
                types::AttributeResult { name: (*name).to_owned(), values: empty }
            };
            let named = attributes(ids.iter().map(attribute).collect(), 0, &redactor);
            assert_eq!(named.is_ok(), expected.is_ok(), "{ids:?}");
        };
        check(&["a", "b", "order 4711", "50%41"], Ok(()));
        check(&["a", "tok-4711-abc"], Err("the id of record 1 holds the secret TOKEN"));
        check(&["x/TOK%2D4711-abc", "b"], Err("the id of record 0 holds the secret TOKEN"));
        // Two that make it up together hold none by themselves.
        check(&["tok-47", "11-abc"], Ok(()));
    }

    #[test]
    fn names_of_attributes_cannot_steer_a_terminal() {
        for (name, fits) in [("größe", true), ("a\u{1b}[2J", false), ("a\u{202e}b", false), ("a\u{200b}b", false)] {
            let values = types::ColumnResult { data: Vec::new(), offsets: vec![0] };
            let named = vec![types::AttributeResult { name: name.to_owned(), values }];
            assert_eq!(attributes(named, 0, &Redactor::default()).is_ok(), fits, "{name:?}");
        }
    }
}
