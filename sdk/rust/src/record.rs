//! Records and batches as a plugin is given them.

use crate::bindings::base::crossdock::plugin::types as wit;
use crate::column::Values;
use crate::failure::Failure;
use crate::text::text_of;
use serde::Deserialize;

/// One record of a batch. Cheap to copy.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    batch: Batch<'a>,
    index: usize,
}

impl<'a> Record<'a> {
    /// The record's stable identity at its origin.
    #[must_use]
    pub fn id(&self) -> &'a str {
        text_of(self.batch.ids.get(self.index))
    }

    /// The record's content: whatever the step before made of it, JSON by custom.
    #[inline]
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        self.batch.payloads.get(self.index)
    }

    /// The content as text.
    ///
    /// # Errors
    /// `not-utf-8`, with the position of the first byte that does not fit.
    pub fn text(&self) -> Result<&'a str, Failure> {
        std::str::from_utf8(self.payload()).map_err(|error| {
            let place = error.valid_up_to();
            Failure::new("not-utf-8", format!("the payload is not text: byte {place} is not UTF-8"))
        })
    }

    /// The content as JSON.
    ///
    /// # Errors
    /// `not-json` if it is no JSON at all, `unexpected-json` with a pointer to the field if it is another
    /// shape than `T` expects.
    pub fn json<T: Deserialize<'a>>(&self) -> Result<T, Failure> {
        crate::json::parse(self.payload())
    }

    /// A further value of the record, for example `steps.reserve.target_id`, if it has that one.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&'a [u8]> {
        let attribute = self.batch.attributes.iter().find(|attribute| attribute.name == name)?;
        Some(Values::new(&attribute.values).get(self.index)).filter(|value| !value.is_empty())
    }

    /// All further values of the record.
    pub fn attributes(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> + use<'a> {
        let index = self.index;
        self.batch
            .attributes
            .iter()
            .map(move |attribute| (attribute.name.as_str(), Values::new(&attribute.values).get(index)))
            .filter(|(_, value)| !value.is_empty())
    }

    /// The idempotency key, 32 hexadecimal digits: the same for every attempt to write this record at this
    /// step, another one after a person has changed its content. Empty in transformers.
    #[must_use]
    pub fn key(&self) -> &'a str {
        text_of(self.batch.keys.get(self.index))
    }

    /// The host's name for the record in this batch, as [`http::Request::handle`](crate::http::Request::handle)
    /// wants it. Without meaning beyond the batch.
    #[must_use]
    pub fn handle(&self) -> u32 {
        self.batch.handles.get(self.index).copied().unwrap_or_default()
    }

    /// The record's position in its batch, counted from 0.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }
}

/// Records handed over together: at least one.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    handles: &'a [u32],
    ids: Values<'a>,
    payloads: Values<'a>,
    attributes: &'a [wit::Attribute],
    keys: Values<'a>,
}

impl<'a> Batch<'a> {
    pub(crate) fn new(batch: &'a wit::Batch, keys: Option<&'a wit::Column>) -> Self {
        Self {
            handles: &batch.handles,
            ids: Values::new(&batch.ids),
            payloads: Values::new(&batch.payloads),
            attributes: &batch.attributes,
            keys: keys.map_or(Values::NONE, Values::new),
        }
    }

    /// How many records there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.handles.len()
    }

    /// Whether there are none; the host never hands over such a batch.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.handles.is_empty()
    }

    /// The record at a position.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<Record<'a>> {
        (index < self.len()).then_some(Record { batch: *self, index })
    }

    /// The records in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Record<'a>> + DoubleEndedIterator + use<'a> {
        let batch = *self;
        (0..batch.len()).map(move |index| Record { batch, index })
    }

    /// How many bytes all payloads have together.
    #[must_use]
    pub fn payload_bytes(&self) -> usize {
        self.payloads.size().0
    }

    pub(crate) fn attribute_columns(&self) -> &'a [wit::Attribute] {
        self.attributes
    }
}
