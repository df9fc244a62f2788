//! Destinations.

use super::answers::{Codes, code};
use crate::bindings::base::crossdock::plugin::types as wit_types;
use crate::bindings::destination::exports::crossdock::plugin::destination as wit;
use crate::column::SparseColumn;
use crate::control;
use crate::describe::{Description, DestinationAbilities};
use crate::failure::{CallError, Failure};
use crate::record::{Batch, Record};
use crate::settings::PluginSettings;
use serde::Serialize;
use std::borrow::Cow;

/// Writes records to another system.
///
/// | called | when |
/// |---|---|
/// | [`describe`](Self::describe) | whenever a host looks at the plugin, without settings and without grants |
/// | [`new`](Self::new), then [`abilities`](Self::abilities) | once an instance, in front of all below |
/// | [`check`](Self::check) | while the other system is thought to be down or has refused credentials, before a resync, by `crossdock connectors check` |
/// | [`write`](Self::write) | batch after batch, and again for the same records, with the same keys, where an answer allows it |
/// | [`Compensate`](crate::Compensate), [`Probe`](crate::Probe) | in another instance than the write, perhaps days later |
/// | [`close`](Self::close) | perhaps, at the end |
///
/// Before a write the host notes durably that it is begun, so that a process that dies leaves a record in doubt and never
/// a guess. An instance that panics or takes too long leaves all records of its batch in doubt.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no destination",
    label = "`crossdock_sdk::Destination` is not implemented for it",
    note = "write `impl crossdock_sdk::Destination for {Self} {{ … }}`, or export it by the macro of the role that it has"
)]
pub trait Destination: Sized {
    /// The settings in the route. A JSON Schema for them is derived.
    type Settings: PluginSettings;

    /// What the plugin is. Must not depend on settings, grants or time.
    fn describe() -> Description;

    /// A destination with these settings. Must not change anything outside.
    ///
    /// # Errors
    /// A mistake in the route, shown as one.
    fn new(settings: Self::Settings) -> Result<Self, CallError>;

    /// What it can do with these settings. The host relies on it when it decides whether a record may be sent again: a
    /// destination that promises more than it holds books twice.
    fn abilities(&self) -> DestinationAbilities;

    /// Writes a batch and says what became of each record.
    ///
    /// | answer | what becomes of the record |
    /// |---|---|
    /// | [`Write::applied`], [`Write::unchanged`] | it is through this step; only what was applied is ever undone |
    /// | [`Write::rejected`] | it is `failed` and kept; its chain is undone if the route says so |
    /// | [`Write::retryable`] | it comes again, as the step's `retry` says, not before `retry_after` |
    /// | [`Write::unauthorized`] | the connector is checked: if it is refused too, records wait without spending attempts |
    /// | [`Write::unknown`] | it is in doubt: sent again under its key, asked about, or left for a person, by what `abilities` say |
    /// | [`Write::untouched`] | it comes again, and no attempt is counted |
    ///
    /// For a request over HTTP [`rest::written`](crate::rest::written) knows which of them an answer means. The record's
    /// [`key`](Record::key) is the same at each attempt: give it to the other system if that can know a request again.
    ///
    /// A destination that writes one record after the other leaves the loop, its order and its limits to
    /// [`Answers::one_by_one`]. One that writes many at once answers with [`Answers::set`], and must honour
    /// [`Answers::stop_at_first_failure`] and [`control::remaining_ms`] itself.
    ///
    /// # Errors
    /// A promise that no record of the batch took effect.
    fn write(&mut self, batch: &Batch<'_>, answers: &mut Answers<'_>) -> Result<(), CallError>;

    /// Whether the other system can be used now: reachable, credentials accepted. Must not change anything there.
    ///
    /// # Errors
    /// It cannot.
    fn check(&mut self) -> Result<(), CallError> {
        Ok(())
    }

    /// Called before the instance is thrown away in good order. It may never be called.
    fn close(&mut self) {}
}

/// What became of one record that was to be written.
///
/// ```
/// use crossdock_sdk::{Failure, Write};
/// let fine = Write::applied().target_id("DOC-17").receipt("17");
/// let refused = Write::rejected(Failure::new("http-422", "the customer is not known").pointer("/customer"));
/// # let _ = (fine, refused);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Write<'a> {
    code: u8,
    target_id: Cow<'a, str>,
    receipt: Cow<'a, [u8]>,
    failure: Option<Failure>,
}

impl<'a> Write<'a> {
    fn new(code: u8, failure: Option<Failure>) -> Self {
        Self { code, target_id: Cow::Borrowed(""), receipt: Cow::Borrowed(&[]), failure }
    }

    /// It was applied.
    pub fn applied() -> Self {
        Self::new(code::OK, None)
    }

    /// It was already there as it should be.
    pub fn unchanged() -> Self {
        Self::new(code::UNCHANGED, None)
    }

    /// It will never be accepted as it is.
    pub fn rejected(failure: Failure) -> Self {
        Self::new(code::REJECTED, Some(failure))
    }

    /// It was certainly not applied, and may be later.
    pub fn retryable(failure: Failure) -> Self {
        Self::new(code::RETRYABLE, Some(failure))
    }

    /// It was certainly not applied; credentials were refused.
    pub fn unauthorized(failure: Failure) -> Self {
        Self::new(code::UNAUTHORIZED, Some(failure))
    }

    /// It was sent and no answer came: it may have been applied.
    pub fn unknown(failure: Failure) -> Self {
        Self::new(code::UNKNOWN, Some(failure))
    }

    /// Nothing was sent for it. It is given again later, without an attempt being counted.
    pub fn untouched() -> Self {
        Self::new(code::UNTOUCHED, None)
    }

    /// The id that the other system gave the record; at most 512 bytes.
    pub fn target_id(mut self, id: impl Into<Cow<'a, str>>) -> Self {
        self.target_id = id.into();
        self
    }

    /// What is needed to undo the record, even in a fresh instance, days later; at most 16 KiB.
    pub fn receipt(mut self, receipt: impl IntoReceipt<'a>) -> Self {
        self.receipt = receipt.into_receipt();
        self
    }

    /// The same as JSON of a type of yours, which [`UndoRecord::receipt_json`](crate::UndoRecord::receipt_json) reads
    /// again. If it cannot be written as JSON, what was applied could never be undone: then the outcome is `unknown`.
    pub fn receipt_json<T: Serialize + ?Sized>(self, receipt: &T) -> Self {
        match serde_json::to_vec(receipt) {
            Ok(text) => self.receipt(text),
            Err(error) => Write::unknown(Failure::new(
                "receipt-not-json",
                format!("the record was applied, and its receipt cannot be written as JSON: {error}"),
            )),
        }
    }

    /// Whether the record is now there: applied, or unchanged.
    #[must_use]
    pub fn is_success(&self) -> bool {
        matches!(self.code, code::OK | code::UNCHANGED)
    }
}

/// Bytes or text, borrowed or owned, that can be a receipt.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a receipt as it is",
    label = "neither bytes nor text",
    note = "a type of yours that derives `serde::Serialize` is given to `receipt_json` instead"
)]
pub trait IntoReceipt<'a> {
    /// The bytes.
    fn into_receipt(self) -> Cow<'a, [u8]>;
}

impl<'a> IntoReceipt<'a> for &'a [u8] {
    fn into_receipt(self) -> Cow<'a, [u8]> {
        Cow::Borrowed(self)
    }
}

impl<'a> IntoReceipt<'a> for &'a str {
    fn into_receipt(self) -> Cow<'a, [u8]> {
        Cow::Borrowed(self.as_bytes())
    }
}

impl<'a> IntoReceipt<'a> for Vec<u8> {
    fn into_receipt(self) -> Cow<'a, [u8]> {
        Cow::Owned(self)
    }
}

impl<'a> IntoReceipt<'a> for String {
    fn into_receipt(self) -> Cow<'a, [u8]> {
        Cow::Owned(self.into_bytes())
    }
}

/// What became of the records of a batch, to be filled by the destination.
///
/// A record of which nothing was said is answered as `unknown`, because nobody can tell whether something
/// was done for it: say [`untouched`](Write::untouched) where nothing was.
#[derive(Debug)]
pub struct Answers<'a> {
    batch: Batch<'a>,
    stop_at_first_failure: bool,
    codes: Codes,
    target_ids: SparseColumn,
    receipts: SparseColumn,
}

impl<'a> Answers<'a> {
    pub(crate) fn new(batch: Batch<'a>, stop_at_first_failure: bool) -> Self {
        Self {
            batch,
            stop_at_first_failure,
            codes: Codes::new(batch.len()),
            target_ids: SparseColumn::default(),
            receipts: SparseColumn::default(),
        }
    }

    /// Whether later records must not be touched once one is not applied: write strictly in the order of the batch,
    /// stop at the first that is neither applied nor unchanged, and leave the rest untouched.
    #[must_use]
    pub fn stop_at_first_failure(&self) -> bool {
        self.stop_at_first_failure
    }

    /// Says what became of a record. A later word replaces an earlier one.
    pub fn set(&mut self, record: &Record<'_>, write: Write<'_>) {
        let (index, len) = (record.index(), self.codes.len());
        self.codes.set(index, write.code, write.failure);
        self.target_ids.set(index, len, write.target_id.as_bytes());
        self.receipts.set(index, len, &write.receipt);
    }

    /// Whether nothing was said of a record yet.
    #[must_use]
    pub fn is_open(&self, record: &Record<'_>) -> bool {
        self.codes.is_open(record.index())
    }

    /// Says `untouched` of every record of which nothing was said yet.
    pub fn leave_rest_untouched(&mut self) {
        self.codes.leave_open_untouched();
    }

    /// Writes one record after the other. A failure returned as an error is a rejection, so that `?` does the usual
    /// thing.
    ///
    /// Stops, with `untouched` for the rest, at the first failure if that is asked for, when the run was asked to
    /// stop, and when less than `reserve_ms` is left of the call's time: give what writing one record may
    /// take at worst.
    pub fn one_by_one(
        &mut self,
        reserve_ms: u64,
        mut write_one: impl FnMut(&Record<'_>) -> Result<Write<'static>, Failure>,
    ) {
        for record in self.batch.iter() {
            if control::remaining_ms() < reserve_ms || control::cancelled() {
                break;
            }
            let write = write_one(&record).unwrap_or_else(Write::rejected);
            let go_on = write.is_success() || !self.stop_at_first_failure;
            self.set(&record, write);
            if !go_on {
                break;
            }
        }
        self.leave_rest_untouched();
    }
}

/// Writes one batch.
pub(crate) fn write<D: Destination>(
    destination: &mut D,
    batch: wit_types::Batch,
    keys: &wit_types::Column,
    stop_at_first_failure: bool,
) -> Result<wit::Written, CallError> {
    let records = Batch::new(&batch, Some(keys));
    let mut answers = Answers::new(records, stop_at_first_failure);
    destination.write(&records, &mut answers)?;
    let Answers { codes, target_ids, receipts, .. } = answers;
    let (codes, failures) = codes.finish(&batch.handles);
    let (target_ids, receipts) = (target_ids.finish(), receipts.finish());
    Ok(wit::Written { handles: batch.handles, codes, target_ids, receipts, failures })
}
