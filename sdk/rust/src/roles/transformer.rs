//! Transformers.

use super::answers::code;
use crate::bindings::base::crossdock::plugin::types as wit_types;
use crate::bindings::transformer::exports::crossdock::plugin::transformer as wit;
use crate::column::{ColumnBuilder, Values};
use crate::describe::Description;
use crate::failure::{CallError, Failure};
use crate::record::{Batch, Record};
use crate::settings::PluginSettings;
use serde::Serialize;

/// Changes, drops or splits records.
///
/// | called | when |
/// |---|---|
/// | [`describe`](Self::describe) | whenever a host looks at the plugin, without settings and without grants |
/// | [`new`](Self::new) | once an instance, in front of all below |
/// | [`transform`](Self::transform) | once a record, batch after batch; a pure one is asked again for the same records after a fault |
/// | [`close`](Self::close) | perhaps, at the end |
///
/// An instance lives for many records, but the host makes a new one whenever it likes: nothing may depend
/// on what an instance has seen before. One that panics, takes too long or too much memory is thrown away; if it is
/// [`pure`](Self::pure), its batch is cut in halves until the record that did it stands alone, and the others pass.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no transformer",
    label = "`crossdock_sdk::Transformer` is not implemented for it",
    note = "write `impl crossdock_sdk::Transformer for {Self} {{ … }}`, or export it by the macro of the role that it has"
)]
pub trait Transformer: Sized {
    /// The settings in the route. A JSON Schema for them is derived.
    type Settings: PluginSettings;

    /// What the plugin is. Must not depend on settings, grants or time.
    fn describe() -> Description;

    /// A transformer with these settings. Must not change anything outside.
    ///
    /// # Errors
    /// A mistake in the route, shown as one.
    fn new(settings: Self::Settings) -> Result<Self, CallError>;

    /// Transforms one record. A failure returned as an error is a rejection, so that `?` does the usual thing.
    ///
    /// | answer | what becomes of the record |
    /// |---|---|
    /// | [`Transform::Ok`] with one output | it goes on as that |
    /// | … with several | it is split: each part goes on by itself, as `id/1`, `id/2` and so on |
    /// | [`Transform::Dropped`] | it ends here, well: its status is `dropped` |
    /// | `Err`, [`Transform::Rejected`] | it ends here as `rejected`, with its content and the failure; the others pass |
    /// | [`Transform::Retryable`] | it comes again later, as the step's `retry` says |
    ///
    /// ```
    /// # use crossdock_sdk::{Failure, Output, Record, Transform};
    /// # struct Split;
    /// # impl Split {
    /// fn transform(&mut self, record: &Record<'_>, out: &mut Output<'_>) -> Result<Transform, Failure> {
    ///     let lines: Vec<String> = record.json()?; // A type of yours, or `record.text()?`, or `record.payload()`.
    ///     if lines.is_empty() {
    ///         return Ok(Transform::Dropped);
    ///     }
    ///     for line in &lines {
    ///         out.json(line)?;
    ///         out.attribute("length", line.len().to_string());
    ///     }
    ///     Ok(Transform::Ok)
    /// }
    /// # }
    /// ```
    ///
    /// # Errors
    /// The record will never be accepted as it is.
    fn transform(&mut self, record: &Record<'_>, out: &mut Output<'_>) -> Result<Transform, Failure>;

    /// Whether the answer depends on records and settings only, so that the host may ask again, and may cut a
    /// batch into smaller ones. Say no if the answer comes from elsewhere, for example over HTTP.
    fn pure(&self) -> bool {
        true
    }

    /// Whether everything that the transformer needs can be used now. Must not change anything there.
    ///
    /// # Errors
    /// It cannot.
    fn check(&mut self) -> Result<(), CallError> {
        Ok(())
    }

    /// Called before the instance is thrown away in good order. It may never be called.
    fn close(&mut self) {}
}

/// What became of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Transform {
    /// It goes on, as what was written to the output. Saying so without any output is a rejection with
    /// the code `no-output`.
    Ok,
    /// It is filtered out. Anything written for it is forgotten.
    Dropped,
    /// It will never be accepted as it is. Anything written for it is forgotten.
    Rejected(Failure),
    /// Something outside the record was in the way. Anything written for it is forgotten.
    Retryable(Failure),
}

/// Where a transformer writes what a record becomes: straight into the column that goes back to the host.
///
/// Each output is one record: `json`, `write` and `copy` give a whole one. More than one splits the
/// record; the host names the parts `id/1`, `id/2` and so on.
#[derive(Debug)]
pub struct Output<'a> {
    outputs: &'a mut Outputs,
}

impl Output<'_> {
    /// One output: JSON text of the value.
    ///
    /// # Errors
    /// `not-json` if the value cannot be written as JSON, for example a map whose keys are not text.
    pub fn json<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Failure> {
        let column = &mut self.outputs.payloads;
        if let Err(error) = serde_json::to_writer(&mut column.data, value) {
            let end = column.end();
            column.data.truncate(end);
            return Err(Failure::new("not-json", format!("the output cannot be written as JSON: {error}")));
        }
        column.end_value();
        Ok(())
    }

    /// One output: these bytes.
    #[inline]
    pub fn write(&mut self, payload: impl AsRef<[u8]>) {
        self.outputs.payloads.push(payload.as_ref());
    }

    /// One output: the record's payload as it came.
    #[inline]
    pub fn copy(&mut self, record: &Record<'_>) {
        self.write(record.payload());
    }

    /// One output, written piece by piece by a function, for example with a serializer of your own.
    ///
    /// # Errors
    /// What the function returns; then there is no output.
    pub fn with<E>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<(), E> {
        let column = &mut self.outputs.payloads;
        let start = column.end();
        let outcome = write(&mut column.data);
        if outcome.is_err() || column.data.len() < start {
            // Shorter than before can only be a function that cut what is not its own; its records
            // would be mixed up, so nothing of it is kept.
            column.data.resize(start, b' ');
        } else {
            column.end_value();
        }
        outcome
    }

    /// A further value of the output given last; in front of any output it counts for the first one. The
    /// record's other attributes stay. An empty value removes the attribute.
    pub fn attribute(&mut self, name: &str, value: impl AsRef<[u8]>) {
        self.outputs.set_attribute(name, value.as_ref());
    }
}

/// The outputs of a whole batch.
#[derive(Debug)]
struct Outputs {
    payloads: ColumnBuilder,
    attributes: Vec<SetAttribute>,
    /// The first output of the record at work.
    first: usize,
}

/// An attribute that a transformer set on one output.
#[derive(Debug)]
struct SetAttribute {
    output: usize,
    name: String,
    value: Vec<u8>,
}

impl Outputs {
    fn set_attribute(&mut self, name: &str, value: &[u8]) {
        let output = self.payloads.len().saturating_sub(1).max(self.first);
        self.attributes.push(SetAttribute { output, name: name.to_owned(), value: value.to_vec() });
    }

    /// Forgets what the record at work has given.
    fn take_back(&mut self) {
        self.payloads.truncate(self.first);
        let first = self.first;
        while self.attributes.last().is_some_and(|set| set.output >= first) {
            self.attributes.pop();
        }
    }
}

/// Transforms a whole batch, record by record.
pub(crate) fn transform<T: Transformer>(transformer: &mut T, batch: wit_types::Batch) -> wit::Transformed {
    let records = Batch::new(&batch, None);
    let count = records.len();
    let mut codes = Vec::with_capacity(count);
    let mut counts = Counts::default();
    let mut failures = Vec::new();
    let mut outputs = Outputs {
        payloads: ColumnBuilder::with_capacity(count, records.payload_bytes()),
        attributes: Vec::new(),
        first: 0,
    };
    for record in records.iter() {
        outputs.first = outputs.payloads.len();
        let answer = transformer.transform(&record, &mut Output { outputs: &mut outputs });
        let given = outputs.payloads.len() - outputs.first;
        let (code, failure) = match answer {
            Ok(Transform::Ok) if given > 0 => {
                codes.push(code::OK);
                counts.push(codes.len() - 1, given);
                continue;
            }
            Ok(Transform::Ok) => (code::REJECTED, Some(no_output())),
            Ok(Transform::Dropped) => (code::DROPPED, None),
            Ok(Transform::Rejected(failure)) | Err(failure) => (code::REJECTED, Some(failure)),
            Ok(Transform::Retryable(failure)) => (code::RETRYABLE, Some(failure)),
        };
        outputs.take_back();
        codes.push(code);
        if let Some(failure) = failure {
            failures.push(wit_types::RecordFailure { handle: record.handle(), failure: failure.into_wit() });
        }
    }
    let outputs_of = counts.finish(&codes);
    let attributes = if outputs.attributes.is_empty() {
        Vec::new()
    } else {
        let parents = parents(&codes, &outputs_of);
        attributes(records.attribute_columns(), outputs.attributes, &parents)
    };
    let payloads = outputs.payloads.finish();
    wit::Transformed { handles: batch.handles, codes, outputs: outputs_of, payloads, attributes, failures }
}

#[cold]
fn no_output() -> Failure {
    Failure::new("no-output", "the transformer said ok and gave nothing")
}

/// How many outputs the records that are ok have: kept only where it is not 1.
#[derive(Debug, Default)]
struct Counts {
    splits: Vec<(usize, u32)>,
}

impl Counts {
    fn push(&mut self, index: usize, given: usize) {
        if given != 1 {
            self.splits.push((index, given as u32));
        }
    }

    /// One number a record, or nothing if each record that is ok has one output.
    fn finish(self, codes: &[u8]) -> Vec<u32> {
        if self.splits.is_empty() {
            return Vec::new();
        }
        let mut counts: Vec<u32> = codes.iter().map(|code| u32::from(*code == code::OK)).collect();
        for (index, given) in self.splits {
            if let Some(count) = counts.get_mut(index) {
                *count = given;
            }
        }
        counts
    }
}

/// The record that each output came from.
fn parents(codes: &[u8], outputs_of: &[u32]) -> Vec<usize> {
    let count = |index: usize, code: u8| match outputs_of.get(index) {
        Some(count) => *count as usize,
        None => usize::from(code == code::OK),
    };
    codes.iter().enumerate().flat_map(|(index, code)| std::iter::repeat_n(index, count(index, *code))).collect()
}

/// The attributes of all outputs: those of the records they came from, and over them those that were set.
fn attributes(had: &[wit_types::Attribute], set: Vec<SetAttribute>, parents: &[usize]) -> Vec<wit_types::Attribute> {
    let mut names: Vec<&str> = had.iter().map(|attribute| attribute.name.as_str()).collect();
    for attribute in &set {
        if !names.contains(&attribute.name.as_str()) {
            names.push(&attribute.name);
        }
    }
    let column = |name: &str| {
        let inherited = had.iter().find(|attribute| attribute.name == name).map(|found| Values::new(&found.values));
        let mut values: Vec<&[u8]> =
            parents.iter().map(|parent| inherited.map_or(&[][..], |values| values.get(*parent))).collect();
        for attribute in set.iter().filter(|attribute| attribute.name == name) {
            if let Some(value) = values.get_mut(attribute.output) {
                *value = &attribute.value;
            }
        }
        let mut column = ColumnBuilder::with_capacity(values.len(), 0);
        values.into_iter().for_each(|value| column.push(value));
        column.finish()
    };
    names.iter().map(|name| wit_types::Attribute { name: (*name).to_owned(), values: column(name) }).collect()
}
