//! The values that templates ask for, of records to write and of records to undo.

use std::{borrow::Cow, cell::OnceCell, collections::BTreeMap};

use crossdock_sdk::{Failure, Record, UndoRecord, rest::Pointers};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::template::{Found, Place, Values};

/// The host keeps at most so much of a receipt.
const RECEIPT_MAX_BYTES: usize = 16 * 1024;

impl Values for Record<'_> {
    fn find(&self, place: &Place) -> Result<Option<Found<'_>>, Failure> {
        Ok(match place {
            Place::Id => Some(Found::Text(self.id().into())),
            Place::Key => Some(self.key()).filter(|key| !key.is_empty()).map(|key| Found::Text(key.into())),
            Place::Payload(pointer) => pointer.find(self.payload()).map_err(not_json)?.map(Found::Json),
            Place::Attribute(name) => match self.attribute(name) {
                None => None,
                Some(bytes) => {
                    let not_text = |_| place.failure("not-utf-8", format!("the {place} is not text"));
                    Some(Found::Text(std::str::from_utf8(bytes).map_err(not_text)?.into()))
                }
            },
            Place::TargetId | Place::Answer(_) | Place::Records => None,
        })
    }
}

/// A record to write, whose payload is read once for all that templates ask of it.
pub(crate) struct Writing<'p, 'a> {
    pub(crate) record: Record<'a>,
    wanted: &'p Pointers,
    /// What stands at the wanted places, or that it is no JSON; read when it is asked for first.
    found: OnceCell<Result<Vec<Option<&'a RawValue>>, Failure>>,
}

impl<'p, 'a> Writing<'p, 'a> {
    pub(crate) fn new(record: Record<'a>, wanted: &'p Pointers) -> Self {
        Self { record, wanted, found: OnceCell::new() }
    }
}

impl Values for Writing<'_, '_> {
    fn find(&self, place: &Place) -> Result<Option<Found<'_>>, Failure> {
        let Some(position) = place.payload_pointer().and_then(|pointer| self.wanted.place(pointer)) else {
            return self.record.find(place);
        };
        let found = self.found.get_or_init(|| self.wanted.find(self.record.payload()).map_err(not_json));
        let found = found.as_ref().map_err(Failure::clone)?;
        Ok(found.get(position).copied().flatten().map(Found::Json))
    }
}

fn not_json(error: serde_json::Error) -> Failure {
    Failure::new("not-json", format!("the payload is not JSON: {error}"))
}

/// The records of one request.
pub(crate) struct RecordsValue<'a>(pub(crate) &'a RawValue);

impl Values for RecordsValue<'_> {
    fn find(&self, place: &Place) -> Result<Option<Found<'_>>, Failure> {
        Ok((*place == Place::Records).then_some(Found::Json(self.0)))
    }
}

/// What undoing a record needs, kept by the host for as long as the record may have to be undone.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Receipt {
    /// The id that the other system gave the record, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) target_id: Option<String>,
    /// Further values by the names of their places.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    values: BTreeMap<String, Box<RawValue>>,
}

impl Receipt {
    /// The values that a record itself has for these places, read before it is written.
    ///
    /// # Errors
    /// The record does not have one of them: it could not be undone later, so it must not be written.
    pub(crate) fn of_record(kept: &[Place], record: &dyn Values) -> Result<Self, Failure> {
        let mut receipt = Self::default();
        if kept.is_empty() {
            return Ok(receipt);
        }
        for place in kept.iter().filter(|place| !matches!(place, Place::Answer(_))) {
            let value = record.find(place)?.ok_or_else(|| place.missing())?;
            receipt.keep(place, value)?;
        }
        if receipt.bytes().len() > RECEIPT_MAX_BYTES / 2 {
            let message = "what undoing the record would need is larger than 8 KiB";
            return Err(Failure::new("receipt-too-large", message));
        }
        Ok(receipt)
    }

    /// Adds the values that the answer has for these places. What the answer lacks is found missing only if
    /// the record has to be undone: it is written, and that counts.
    pub(crate) fn add_answer(&mut self, kept: &[Place], answer: &[u8]) {
        for place in kept {
            let Place::Answer(pointer) = place else { continue };
            if let Ok(Some(raw)) = pointer.find(answer) {
                self.values.insert(place.to_string(), raw.to_owned());
            }
        }
    }

    /// The receipt as the host keeps it; `None` if it is larger than the host keeps.
    pub(crate) fn finish(&self) -> Option<Vec<u8>> {
        Some(self.bytes()).filter(|bytes| bytes.len() <= RECEIPT_MAX_BYTES)
    }

    fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    fn keep(&mut self, place: &Place, value: Found<'_>) -> Result<(), Failure> {
        let raw = match value {
            Found::Json(raw) => raw.to_owned(),
            Found::Text(text) => serde_json::value::to_raw_value(&text)
                .map_err(|error| place.failure("not-utf-8", format!("the {place} cannot be kept: {error}")))?,
        };
        self.values.insert(place.to_string(), raw);
        Ok(())
    }
}

/// A record to undo, with its receipt.
pub(crate) struct Undoing<'a> {
    record: UndoRecord<'a>,
    receipt: Receipt,
}

impl<'a> Undoing<'a> {
    pub(crate) fn new(record: UndoRecord<'a>) -> Result<Self, Failure> {
        let receipt = match record.receipt() {
            [] => Receipt::default(),
            bytes => serde_json::from_slice(bytes).map_err(|error| {
                let message = format!("the record's receipt cannot be read: {error}");
                Failure::new("receipt-unreadable", message).detail(String::from_utf8_lossy(bytes))
            })?,
        };
        Ok(Self { record, receipt })
    }
}

impl Values for Undoing<'_> {
    fn find(&self, place: &Place) -> Result<Option<Found<'_>>, Failure> {
        let text = |text: &'_ str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Ok(match place {
            Place::Id => Some(Found::Text(self.record.id().into())),
            Place::Key => text(self.record.key()).map(|key| Found::Text(key.into())),
            Place::TargetId => {
                let id = text(self.record.target_id()).or_else(|| self.receipt.target_id.clone());
                id.map(|id| Found::Text(Cow::Owned(id)))
            }
            place => self.receipt.values.get(&place.to_string()).map(|raw| Found::Json(raw)),
        })
    }
}
