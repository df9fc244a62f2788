//! Why a record, or a whole call, did not succeed.

use crate::bindings::base::crossdock::plugin::types as wit;
use std::fmt;
use std::time::Duration;

/// Why a record, or a whole call, did not succeed: written for the person who has to act.
///
/// The host keeps 1 KiB of the message and 8 KiB of the detail.
///
/// ```
/// use crossdock_sdk::Failure;
/// let failure = Failure::new("not-a-number", "the amount is not a number").pointer("/amount").detail("12,5O");
/// assert_eq!(failure.to_string(), "not-a-number: the amount is not a number (at /amount)");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure(Box<Parts>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Parts {
    code: String,
    message: String,
    detail: Option<String>,
    pointer: Option<String>,
    retry_after_ms: Option<u64>,
}

impl Failure {
    /// A failure with a code and one line for people.
    ///
    /// The code is stable and machine-readable, 1 to 64 of `a-z 0-9 - .`; people filter and count by
    /// it, so it must not contain values. The message must not contain secrets.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self(Box::new(Parts {
            code: code.into(),
            message: message.into(),
            detail: None,
            pointer: None,
            retry_after_ms: None,
        }))
    }

    /// The same with evidence, for example what the other system answered.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    /// The same with an RFC 6901 pointer to the field to blame, within the payload as it was given.
    #[must_use]
    pub fn pointer(mut self, pointer: impl Into<String>) -> Self {
        self.0.pointer = Some(pointer.into());
        self
    }

    /// The same with the time after which another attempt may be useful. Only meaningful with the outcomes
    /// `retryable` and `unauthorized`; honoured up to the route's `retry.max`.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.0.retry_after_ms = Some(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
        self
    }

    /// The code.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.0.code
    }

    /// The line for people.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The evidence, if there is any.
    #[must_use]
    pub fn detail_text(&self) -> Option<&str> {
        self.0.detail.as_deref()
    }

    /// The pointer to the field to blame, if one is to blame.
    #[must_use]
    pub fn pointer_text(&self) -> Option<&str> {
        self.0.pointer.as_deref()
    }

    /// When another attempt may be useful, in milliseconds from now.
    #[must_use]
    pub fn retry_after_ms(&self) -> Option<u64> {
        self.0.retry_after_ms
    }

    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn from_wit(failure: wit::Failure) -> Self {
        let wit::Failure { code, message, detail, pointer, retry_after_ms } = failure;
        Self(Box::new(Parts { code, message, detail, pointer, retry_after_ms }))
    }

    pub(crate) fn into_wit(self) -> wit::Failure {
        let Parts { code, message, detail, pointer, retry_after_ms } = *self.0;
        wit::Failure { code, message, detail, pointer, retry_after_ms }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.code, self.0.message)?;
        match &self.0.pointer {
            Some(pointer) => write!(f, " (at {pointer})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}

/// What kind of "no" a whole call got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The settings do not make sense; only a person can mend them.
    InvalidSettings,
    /// The other system refused the credentials.
    Unauthorized,
    /// The other system, or something else outside the plugin, cannot be used now.
    Unavailable,
    /// The checkpoint does not fit what the source finds.
    CheckpointRefused,
    /// A grant is missing.
    NotGranted,
    /// Anything else.
    Internal,
}

impl ErrorKind {
    fn code(self) -> &'static str {
        match self {
            Self::InvalidSettings => "invalid-settings",
            Self::Unauthorized => "unauthorized",
            Self::Unavailable => "unavailable",
            Self::CheckpointRefused => "checkpoint-refused",
            Self::NotGranted => "not-granted",
            Self::Internal => "internal",
        }
    }
}

/// Why a whole call could not be answered.
///
/// From a write it is a promise that no record of the batch took effect. A destination that cannot
/// promise it answers with one outcome a record instead.
///
/// Each constructor takes a [`Failure`], or just text: then the code is that of the kind.
///
/// ```
/// use crossdock_sdk::{CallError, Failure};
/// let plain = CallError::unavailable("the server does not answer");
/// assert_eq!(plain.failure().code(), "unavailable");
/// let exact = CallError::invalid_settings(Failure::new("no-such-table", "there is no table `orders`"));
/// assert_eq!(exact.failure().code(), "no-such-table");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallError {
    kind: ErrorKind,
    failure: Failure,
}

/// A failure, or text from which one is made.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say why",
    label = "neither text nor a `Failure`",
    note = "give text, or `Failure::new(\"a-code\", \"a line for people\")`"
)]
pub trait IntoFailure {
    /// The failure; `code` is taken where there is none yet.
    fn into_failure(self, code: &'static str) -> Failure;
}

impl IntoFailure for Failure {
    fn into_failure(self, _: &'static str) -> Failure {
        self
    }
}

impl IntoFailure for &str {
    fn into_failure(self, code: &'static str) -> Failure {
        Failure::new(code, self)
    }
}

impl IntoFailure for String {
    fn into_failure(self, code: &'static str) -> Failure {
        Failure::new(code, self)
    }
}

impl CallError {
    fn new(kind: ErrorKind, why: impl IntoFailure) -> Self {
        Self { kind, failure: why.into_failure(kind.code()) }
    }

    /// The settings do not make sense; only a person can mend them.
    pub fn invalid_settings(why: impl IntoFailure) -> Self {
        Self::new(ErrorKind::InvalidSettings, why)
    }

    /// The other system refused the credentials.
    pub fn unauthorized(why: impl IntoFailure) -> Self {
        Self::new(ErrorKind::Unauthorized, why)
    }

    /// The other system, or something else outside the plugin, cannot be used now.
    pub fn unavailable(why: impl IntoFailure) -> Self {
        Self::new(ErrorKind::Unavailable, why)
    }

    /// The checkpoint does not fit what the source finds, for example because a file that was read in
    /// part has changed since. Only a person can decide what to do.
    pub fn checkpoint_refused(why: impl IntoFailure) -> Self {
        Self::new(ErrorKind::CheckpointRefused, why)
    }

    /// A grant is missing: a directory, an address or a secret that the plugin needs.
    pub fn not_granted(why: impl IntoFailure) -> Self {
        Self::new(ErrorKind::NotGranted, why)
    }

    /// Anything else.
    pub fn internal(why: impl IntoFailure) -> Self {
        Self::new(ErrorKind::Internal, why)
    }

    /// What kind of "no" it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Why.
    #[must_use]
    pub fn failure(&self) -> &Failure {
        &self.failure
    }

    pub(crate) fn into_wit(self) -> wit::CallError {
        let kind = match self.kind {
            ErrorKind::InvalidSettings => wit::ErrorKind::InvalidSettings,
            ErrorKind::Unauthorized => wit::ErrorKind::Unauthorized,
            ErrorKind::Unavailable => wit::ErrorKind::Unavailable,
            ErrorKind::CheckpointRefused => wit::ErrorKind::CheckpointRefused,
            ErrorKind::NotGranted => wit::ErrorKind::NotGranted,
            ErrorKind::Internal => wit::ErrorKind::Internal,
        };
        wit::CallError { kind, failure: self.failure.into_wit() }
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.failure.fmt(f)
    }
}

impl std::error::Error for CallError {}
