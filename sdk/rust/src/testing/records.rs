//! What is given to a plugin, and what it answers, as plain values.

use crate::More;
use crate::failure::Failure;

/// A record to give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    pub(super) id: String,
    pub(super) payload: Vec<u8>,
    pub(super) attributes: Vec<(String, Vec<u8>)>,
    pub(super) key: Option<String>,
}

/// A record with an id and a payload.
pub fn record(id: &str, payload: impl AsRef<[u8]>) -> Given {
    Given { id: id.to_owned(), payload: payload.as_ref().to_vec(), attributes: Vec::new(), key: None }
}

impl Given {
    /// The same with a further value.
    #[must_use]
    pub fn attribute(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.attributes.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    /// The same with an idempotency key. Unless told it is made from the id.
    #[must_use]
    pub fn key(mut self, key: &str) -> Self {
        self.key = Some(key.to_owned());
        self
    }

    /// The idempotency key: 32 hexadecimal digits, the same for equal ids.
    pub(super) fn key_text(&self) -> String {
        self.key.clone().unwrap_or_else(|| {
            // FNV-1a with 128 bits: only has to tell the records of a test apart.
            let step = |hash: u128, byte: &u8| (hash ^ u128::from(*byte)).wrapping_mul(0x0100_0000_0000_0000_0000_013b);
            format!("{:032x}", self.id.as_bytes().iter().fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d, step))
        })
    }
}

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It went on, was applied, was undone.
    Ok,
    /// It was already as it should be.
    Unchanged,
    /// It was filtered out; from a probe: it was not applied.
    Dropped,
    /// It will never be accepted.
    Rejected,
    /// Another attempt may help.
    Retryable,
    /// Credentials were refused.
    Unauthorized,
    /// Nobody knows.
    Unknown,
    /// Nothing was done for it.
    Untouched,
}

impl Outcome {
    pub(super) fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            0 => Self::Ok,
            1 => Self::Unchanged,
            2 => Self::Dropped,
            3 => Self::Rejected,
            4 => Self::Retryable,
            5 => Self::Unauthorized,
            6 => Self::Unknown,
            7 => Self::Untouched,
            _ => return None,
        })
    }

    pub(super) fn needs_failure(self) -> bool {
        matches!(self, Self::Rejected | Self::Retryable | Self::Unauthorized | Self::Unknown)
    }
}

/// One output of a transformer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its content.
    pub payload: Vec<u8>,
    /// Its attributes that are not empty, whether set by the transformer or kept from the record.
    pub attributes: Vec<(String, Vec<u8>)>,
}

impl Part {
    /// The content as text; what is not UTF-8 is replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.payload).into_owned()
    }
}

/// What a transformer made of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transformed {
    /// The record's id.
    pub id: String,
    /// What became of it.
    pub outcome: Outcome,
    /// What it became: one part, or several if it was split.
    pub outputs: Vec<Part>,
    /// Why it did not go on.
    pub failure: Option<Failure>,
}

/// What a destination did with one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The record's id.
    pub id: String,
    /// Its idempotency key.
    pub key: String,
    /// What became of it.
    pub outcome: Outcome,
    /// The id that the other system gave it; empty if none.
    pub target_id: String,
    /// What is needed to undo it; empty if nothing.
    pub receipt: Vec<u8>,
    /// Why it was not applied.
    pub failure: Option<Failure>,
}

impl Written {
    /// The record as it is given to be undone.
    #[must_use]
    pub fn applied(&self) -> Applied {
        Applied {
            id: self.id.clone(),
            key: self.key.clone(),
            target_id: self.target_id.clone(),
            receipt: self.receipt.clone(),
        }
    }
}

/// An applied record to undo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    pub(super) id: String,
    pub(super) key: String,
    pub(super) target_id: String,
    pub(super) receipt: Vec<u8>,
}

/// An applied record to undo, that was written under this idempotency key.
#[must_use]
pub fn applied(id: &str, key: &str) -> Applied {
    Applied { id: id.to_owned(), key: key.to_owned(), target_id: String::new(), receipt: Vec::new() }
}

impl Applied {
    /// The same with the id that the other system gave it.
    #[must_use]
    pub fn target_id(mut self, id: &str) -> Self {
        self.target_id = id.to_owned();
        self
    }

    /// The same with a receipt.
    #[must_use]
    pub fn receipt(mut self, receipt: impl AsRef<[u8]>) -> Self {
        self.receipt = receipt.as_ref().to_vec();
        self
    }
}

/// What became of one record to undo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undone {
    /// The record's id.
    pub id: String,
    /// What became of it.
    pub outcome: Outcome,
    /// Why it was not undone.
    pub failure: Option<Failure>,
}

/// What a probe found out about one record: applied is [`Outcome::Ok`], not applied [`Outcome::Dropped`].
pub type Found = Written;

/// One record of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadRecord {
    /// Its id.
    pub id: String,
    /// Its content.
    pub payload: Vec<u8>,
    /// Its order key; empty if none.
    pub order_key: Vec<u8>,
    /// Its attributes that are not empty.
    pub attributes: Vec<(String, Vec<u8>)>,
    /// Why it cannot be read, if it cannot.
    pub failure: Option<Failure>,
}

impl ReadRecord {
    /// The content as text; what is not UTF-8 is replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.payload).into_owned()
    }
}

/// A page that a source gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadPage {
    /// The records in order.
    pub records: Vec<ReadRecord>,
    /// The position after the page.
    pub checkpoint: Vec<u8>,
    /// What comes next.
    pub more: More,
}
