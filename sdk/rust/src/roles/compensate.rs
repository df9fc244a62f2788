//! Destinations that can undo.

use super::answers::{Codes, code};
use super::destination::Destination;
use crate::bindings::compensate::exports::crossdock::plugin::compensate as wit;
use crate::column::Values;
use crate::control;
use crate::failure::{CallError, Failure};
use crate::text::text_of;
use serde::Deserialize;

/// Undoes applied records. Exported with `export_destination!(T, compensate)`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot undo",
    label = "`crossdock_sdk::Compensate` is not implemented for it",
    note = "write `impl crossdock_sdk::Compensate for {Self} {{ … }}`, or export it without `compensate`"
)]
pub trait Compensate: Destination {
    /// Undoes a batch, newest first, and says what became of each record.
    ///
    /// Called when a rollback has begun, possibly more than once for the same record, possibly in another instance
    /// and long after the write, perhaps by a later version of the plugin. Undoing twice must be harmless. All that is
    /// known of the record is its id, its key, its target id and its receipt: what undoing takes belongs into the receipt.
    ///
    /// | answer | what becomes of the record |
    /// |---|---|
    /// | [`Undo::undone`], [`Undo::unchanged`] | it is undone here; the step before it is next |
    /// | [`Undo::retryable`], [`Undo::unauthorized`], [`Undo::unknown`] | it is tried again, as the step's `retry` says |
    /// | [`Undo::rejected`] | it is `rollback-failed`: a person is told, and the exit code says so |
    /// | [`Undo::untouched`] | it comes again, and no attempt is counted |
    ///
    /// ```
    /// # use crossdock_sdk::{CallError, Undo, UndoAnswers, UndoBatch, http::{self, Request}, rest};
    /// #[derive(serde::Serialize, serde::Deserialize)]
    /// struct Receipt {
    ///     order: u64, // As `Write::applied().receipt_json(&Receipt { order })` left it.
    /// }
    ///
    /// # struct Orders;
    /// # impl Orders {
    /// fn compensate(&mut self, _: &UndoBatch<'_>, answers: &mut UndoAnswers<'_>) -> Result<(), CallError> {
    ///     answers.one_by_one(5_000, |record| {
    ///         let Receipt { order } = record.receipt_json()?;
    ///         let address = format!("https://erp.example.com/orders/{order}");
    ///         Ok(rest::undone(http::send(Request::delete(address).handle(record.handle()))))
    ///     });
    ///     Ok(())
    /// }
    /// # }
    /// ```
    ///
    /// # Errors
    /// A promise that nothing was undone.
    fn compensate(&mut self, batch: &UndoBatch<'_>, answers: &mut UndoAnswers<'_>) -> Result<(), CallError>;
}

/// One applied record to undo.
#[derive(Debug, Clone, Copy)]
pub struct UndoRecord<'a> {
    batch: UndoBatch<'a>,
    index: usize,
}

impl<'a> UndoRecord<'a> {
    /// The record's stable identity at its origin.
    #[must_use]
    pub fn id(&self) -> &'a str {
        text_of(self.batch.ids.get(self.index))
    }

    /// The idempotency key under which it was written.
    #[must_use]
    pub fn key(&self) -> &'a str {
        text_of(self.batch.keys.get(self.index))
    }

    /// The id that the other system gave it; empty if none.
    #[must_use]
    pub fn target_id(&self) -> &'a str {
        text_of(self.batch.target_ids.get(self.index))
    }

    /// What the destination left behind to undo it; empty if nothing.
    #[must_use]
    pub fn receipt(&self) -> &'a [u8] {
        self.batch.receipts.get(self.index)
    }

    /// The receipt as a type of yours, as [`Write::receipt_json`](crate::Write::receipt_json) left it. A receipt may be from
    /// an older version of the plugin: give new fields `#[serde(default)]`.
    ///
    /// # Errors
    /// `receipt-unreadable` if it is none of that type. Returned with `?` it says that the record can never be undone.
    pub fn receipt_json<T: Deserialize<'a>>(&self) -> Result<T, Failure> {
        serde_json::from_slice(self.receipt()).map_err(|error| {
            Failure::new("receipt-unreadable", format!("the receipt is not what this plugin leaves: {error}"))
        })
    }

    /// The host's name for the record in this batch.
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

/// Records to undo, newest first.
#[derive(Debug, Clone, Copy)]
pub struct UndoBatch<'a> {
    handles: &'a [u32],
    ids: Values<'a>,
    keys: Values<'a>,
    target_ids: Values<'a>,
    receipts: Values<'a>,
}

impl<'a> UndoBatch<'a> {
    fn new(batch: &'a wit::UndoBatch) -> Self {
        Self {
            handles: &batch.handles,
            ids: Values::new(&batch.ids),
            keys: Values::new(&batch.keys),
            target_ids: Values::new(&batch.target_ids),
            receipts: Values::new(&batch.receipts),
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

    /// The records in order, newest first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = UndoRecord<'a>> + DoubleEndedIterator + use<'a> {
        let batch = *self;
        (0..batch.len()).map(move |index| UndoRecord { batch, index })
    }
}

/// What became of one record that was to be undone.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Undo {
    code: u8,
    failure: Option<Failure>,
}

impl Undo {
    /// It is undone.
    pub fn undone() -> Self {
        Self { code: code::OK, failure: None }
    }

    /// There was nothing left to undo.
    pub fn unchanged() -> Self {
        Self { code: code::UNCHANGED, failure: None }
    }

    /// It can never be undone.
    pub fn rejected(failure: Failure) -> Self {
        Self { code: code::REJECTED, failure: Some(failure) }
    }

    /// It was certainly not undone, and may be later.
    pub fn retryable(failure: Failure) -> Self {
        Self { code: code::RETRYABLE, failure: Some(failure) }
    }

    /// It was certainly not undone; credentials were refused.
    pub fn unauthorized(failure: Failure) -> Self {
        Self { code: code::UNAUTHORIZED, failure: Some(failure) }
    }

    /// It was sent and no answer came: it may have been undone.
    pub fn unknown(failure: Failure) -> Self {
        Self { code: code::UNKNOWN, failure: Some(failure) }
    }

    /// Nothing was sent for it.
    pub fn untouched() -> Self {
        Self { code: code::UNTOUCHED, failure: None }
    }
}

/// What became of the records of a batch, to be filled by the destination. A record of which nothing was said is
/// answered as `unknown`.
#[derive(Debug)]
pub struct UndoAnswers<'a> {
    batch: UndoBatch<'a>,
    codes: Codes,
}

impl UndoAnswers<'_> {
    /// Says what became of a record. A later word replaces an earlier one.
    pub fn set(&mut self, record: &UndoRecord<'_>, undo: Undo) {
        self.codes.set(record.index(), undo.code, undo.failure);
    }

    /// Whether nothing was said of a record yet.
    #[must_use]
    pub fn is_open(&self, record: &UndoRecord<'_>) -> bool {
        self.codes.is_open(record.index())
    }

    /// Says `untouched` of every record of which nothing was said yet.
    pub fn leave_rest_untouched(&mut self) {
        self.codes.leave_open_untouched();
    }

    /// Undoes one record after the other. A failure returned as an error is a rejection.
    ///
    /// Stops, with `untouched` for the rest, when the run was asked to stop, and when less than `reserve_ms` is left
    /// of the call's time.
    pub fn one_by_one(&mut self, reserve_ms: u64, mut undo_one: impl FnMut(&UndoRecord<'_>) -> Result<Undo, Failure>) {
        for record in self.batch.iter() {
            if control::remaining_ms() < reserve_ms || control::cancelled() {
                break;
            }
            let undo = undo_one(&record).unwrap_or_else(Undo::rejected);
            self.set(&record, undo);
        }
        self.leave_rest_untouched();
    }
}

/// Undoes one batch.
pub(crate) fn compensate<D: Compensate>(destination: &mut D, batch: wit::UndoBatch) -> Result<wit::Undone, CallError> {
    let records = UndoBatch::new(&batch);
    let mut answers = UndoAnswers { batch: records, codes: Codes::new(records.len()) };
    destination.compensate(&records, &mut answers)?;
    let (codes, failures) = answers.codes.finish(&batch.handles);
    Ok(wit::Undone { handles: batch.handles, codes, failures })
}
