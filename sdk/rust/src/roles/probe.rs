//! Destinations that can be asked afterwards.

use super::answers::{Codes, code};
use super::destination::{Destination, IntoReceipt};
use crate::bindings::base::crossdock::plugin::types as wit_types;
use crate::bindings::probe::exports::crossdock::plugin::probe as wit;
use crate::column::SparseColumn;
use crate::control;
use crate::failure::{CallError, Failure};
use crate::record::{Batch, Record};
use serde::Serialize;
use std::borrow::Cow;

/// Settles records of which it is unknown whether they were applied. Exported with
/// `export_destination!(T, probe)`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be asked afterwards",
    label = "`crossdock_sdk::Probe` is not implemented for it",
    note = "write `impl crossdock_sdk::Probe for {Self} {{ … }}`, or export it without `probe`"
)]
pub trait Probe: Destination {
    /// Finds out for each record of a batch whether it was applied. Must not change anything. The records are as `write` was
    /// given them, with the same keys, perhaps in other batches and in another instance.
    ///
    /// | answer | what becomes of the record |
    /// |---|---|
    /// | [`Finding::applied`] | it is through this step, with this target id and receipt |
    /// | [`Finding::not_applied`] | a run writes it again; if a person asked, it is `failed` and can be put through again |
    /// | [`Finding::retryable`] | it stays in doubt and is asked about again |
    /// | [`Finding::unauthorized`], [`Finding::unknown`] | it stays in doubt: a person decides |
    ///
    /// Say `not_applied` only if it can be no more: a request that is still on its way may arrive after the question.
    ///
    /// # Errors
    /// Nothing could be found out.
    fn probe(&mut self, batch: &Batch<'_>, answers: &mut ProbeAnswers<'_>) -> Result<(), CallError>;
}

/// What was found out about one record.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Finding<'a> {
    code: u8,
    target_id: Cow<'a, str>,
    receipt: Cow<'a, [u8]>,
    failure: Option<Failure>,
}

impl<'a> Finding<'a> {
    fn new(code: u8, failure: Option<Failure>) -> Self {
        Self { code, target_id: Cow::Borrowed(""), receipt: Cow::Borrowed(&[]), failure }
    }

    /// It was applied.
    pub fn applied() -> Self {
        Self::new(code::OK, None)
    }

    /// It was not applied.
    pub fn not_applied() -> Self {
        Self::new(code::DROPPED, None)
    }

    /// It cannot be said at the moment.
    pub fn retryable(failure: Failure) -> Self {
        Self::new(code::RETRYABLE, Some(failure))
    }

    /// Credentials were refused.
    pub fn unauthorized(failure: Failure) -> Self {
        Self::new(code::UNAUTHORIZED, Some(failure))
    }

    /// It cannot be said at all.
    pub fn unknown(failure: Failure) -> Self {
        Self::new(code::UNKNOWN, Some(failure))
    }

    /// The id that the other system gave the record, if it was applied.
    pub fn target_id(mut self, id: impl Into<Cow<'a, str>>) -> Self {
        self.target_id = id.into();
        self
    }

    /// What is needed to undo the record, if it was applied.
    pub fn receipt(mut self, receipt: impl IntoReceipt<'a>) -> Self {
        self.receipt = receipt.into_receipt();
        self
    }

    /// The same as JSON of a type of yours. If it cannot be written as JSON, nothing can be said of the record that would
    /// help to undo it: then the finding is `unknown`.
    pub fn receipt_json<T: Serialize + ?Sized>(self, receipt: &T) -> Self {
        match serde_json::to_vec(receipt) {
            Ok(text) => self.receipt(text),
            Err(error) => Finding::unknown(Failure::new(
                "receipt-not-json",
                format!("the record was applied, and its receipt cannot be written as JSON: {error}"),
            )),
        }
    }
}

/// What was found out about the records of a batch, to be filled by the destination. A record of which nothing was
/// said is answered as `unknown`.
#[derive(Debug)]
pub struct ProbeAnswers<'a> {
    batch: Batch<'a>,
    codes: Codes,
    target_ids: SparseColumn,
    receipts: SparseColumn,
}

impl ProbeAnswers<'_> {
    /// Says what was found out about a record. A later word replaces an earlier one.
    pub fn set(&mut self, record: &Record<'_>, finding: Finding<'_>) {
        let (index, len) = (record.index(), self.codes.len());
        self.codes.set(index, finding.code, finding.failure);
        self.target_ids.set(index, len, finding.target_id.as_bytes());
        self.receipts.set(index, len, &finding.receipt);
    }

    /// Asks about one record after the other. A failure returned as an error means that it cannot be said at all.
    ///
    /// Stops when the run was asked to stop, and when less than `reserve_ms` is left of the call's time; about the
    /// rest it cannot be said at the moment.
    pub fn one_by_one(
        &mut self,
        reserve_ms: u64,
        mut probe_one: impl FnMut(&Record<'_>) -> Result<Finding<'static>, Failure>,
    ) {
        let mut in_time = true;
        for record in self.batch.iter() {
            in_time = in_time && control::remaining_ms() >= reserve_ms && !control::cancelled();
            let finding = if in_time {
                probe_one(&record).unwrap_or_else(Finding::unknown)
            } else {
                Finding::retryable(Failure::new("no-time-left", "there was no time left to ask about the record"))
            };
            self.set(&record, finding);
        }
    }
}

/// Probes one batch.
pub(crate) fn probe<D: Probe>(
    destination: &mut D,
    batch: wit_types::Batch,
    keys: &wit_types::Column,
) -> Result<wit::Probed, CallError> {
    let records = Batch::new(&batch, Some(keys));
    let mut answers = ProbeAnswers {
        batch: records,
        codes: Codes::new(records.len()),
        target_ids: SparseColumn::default(),
        receipts: SparseColumn::default(),
    };
    destination.probe(&records, &mut answers)?;
    let ProbeAnswers { codes, target_ids, receipts, .. } = answers;
    let (codes, failures) = codes.finish(&batch.handles);
    let (target_ids, receipts) = (target_ids.finish(), receipts.finish());
    Ok(wit::Probed { handles: batch.handles, codes, target_ids, receipts, failures })
}
