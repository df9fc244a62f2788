//! The words that the host's offers share: below the functions, and below the host that tests talk to.

use crate::failure::{CallError, Failure};
use std::fmt;

/// How much a message matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Every small step.
    Trace,
    /// For those who look for a mistake.
    Debug,
    /// Worth knowing.
    Info,
    /// Somebody should look at it some day.
    Warn,
    /// Somebody should look at it now.
    Error,
}

/// Why a value was not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StateError {
    /// A key is 1 to 256 bytes, a value at most 64 KiB.
    TooLarge,
    /// All values of a step together have at most 1 MiB.
    QuotaReached,
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLarge => "a key of the state is 1 to 256 bytes, a value at most 64 KiB",
            Self::QuotaReached => "all values of the state together have at most 1 MiB",
        })
    }
}

impl std::error::Error for StateError {}

impl From<StateError> for Failure {
    fn from(error: StateError) -> Self {
        let code = match error {
            StateError::TooLarge => "state-too-large",
            StateError::QuotaReached => "state-quota-reached",
        };
        Self::new(code, error.to_string())
    }
}

/// Why a secret cannot be used, or not be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SecretError {
    /// The route does not grant this secret to this plugin.
    NotGranted,
    /// Granted, but the project has no value for it at the moment.
    NotAvailable,
    /// The value may be used, not seen: that is a grant of its own.
    NotRevealed,
}

impl fmt::Display for SecretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotGranted => "the route does not grant this secret to this plugin",
            Self::NotAvailable => "the project has no value for this secret",
            Self::NotRevealed => "the route lets this plugin use the secret, not see it",
        })
    }
}

impl std::error::Error for SecretError {}

impl SecretError {
    /// The error of a call that cannot go on without the secret `name`.
    #[must_use]
    pub fn for_secret(self, name: &str) -> CallError {
        let message = format!("the secret {name} cannot be used: {self}");
        match self {
            Self::NotGranted => CallError::not_granted(Failure::new("secret-not-granted", message)),
            Self::NotRevealed => CallError::not_granted(Failure::new("secret-not-revealed", message)),
            Self::NotAvailable => CallError::unavailable(Failure::new("secret-not-available", message)),
        }
    }
}

/// A handle for a secret. It holds no value and is valid for the life of the instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Secret {
    pub(crate) handle: u32,
}
