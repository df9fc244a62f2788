//! The secrets that this process has read, taken out of everything that the façade hands out.

use crossdock_ledger::Redact;
use crossdock_model::Failure;
use crossdock_sandbox::{KnownSecrets, SECRET_MIN_BYTES};
use serde::{Serialize, Serializer};
use serde_json::Value;
use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

/// Of all hosts of this process: what one of them reads may come out of another, through a system that both talk to.
static KNOWN: LazyLock<KnownSecrets> = LazyLock::new(KnownSecrets::default);

/// The secrets that were read in this process.
pub(crate) fn known() -> &'static KnownSecrets {
    &KNOWN
}

/// The text without the secrets that the hosts of this process have read: each is replaced by `[secret NAME]`, whichever
/// way it is written, see [`Redactor`](crossdock_sandbox::Redactor). What the façade hands out went through it before;
/// it is meant for texts from elsewhere, for example the program's own log.
#[must_use]
pub fn redact(text: &str) -> Cow<'_, str> {
    KNOWN.redactor().redact(text)
}

/// As [`redact`], for bytes.
#[must_use]
pub fn redact_bytes(bytes: &[u8]) -> Cow<'_, [u8]> {
    KNOWN.redactor().redact_bytes(bytes)
}

/// As [`redact`], for every text in a JSON value and every name in it. Numbers stay as they are.
pub fn redact_json(value: &mut Value) {
    let redactor = KNOWN.redactor();
    crossdock_ledger::redact_json(value, &Shown(&redactor));
}

/// What the reader of the ledger shows its answers through.
#[derive(Debug)]
pub(crate) struct Everything;

impl Redact for Everything {
    fn redact<'b>(&self, bytes: &'b [u8]) -> Cow<'b, [u8]> {
        redact_bytes(bytes)
    }
}

#[derive(Debug)]
struct Shown<'r>(&'r crossdock_sandbox::Redactor);

impl Redact for Shown<'_> {
    fn redact<'b>(&self, bytes: &'b [u8]) -> Cow<'b, [u8]> {
        self.0.redact_bytes(bytes)
    }
}

pub(crate) fn everything() -> Arc<dyn Redact> {
    Arc::new(Everything)
}

/// A text that is no longer needed as it was.
pub(crate) fn clean(text: String) -> String {
    match redact(&text) {
        Cow::Borrowed(_) => text,
        Cow::Owned(clean) => clean,
    }
}

/// A failure fit to be handed out.
pub(crate) fn clean_failure(failure: Failure) -> Failure {
    Failure {
        code: clean(failure.code),
        message: clean(failure.message),
        detail: failure.detail.map(clean),
        pointer: failure.pointer.map(clean),
        retry_after_ms: failure.retry_after_ms,
    }
}

/// Serialises a value with every text in it fit to be handed out.
pub(crate) fn serialize_clean<T: Serialize, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    let mut value = serde_json::to_value(value).map_err(serde::ser::Error::custom)?;
    redact_json(&mut value);
    value.serialize(serializer)
}

/// Whether a value is too short to be kept out of texts.
pub(crate) fn is_too_short(value: &[u8]) -> bool {
    value.len() < SECRET_MIN_BYTES
}
