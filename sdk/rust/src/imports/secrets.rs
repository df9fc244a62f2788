//! Secrets by name. A plugin works with handles; the host puts the value on the wire.

#[cfg(not(target_arch = "wasm32"))]
use super::fake as host;
#[cfg(target_arch = "wasm32")]
use crate::bindings::base::crossdock::plugin::secrets as host;
use crate::failure::{CallError, Failure};
use std::fmt;

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
    pub(super) handle: u32,
}

/// A handle for the secret of this name. Cheap; may be called often.
///
/// # Errors
/// It is not granted, or has no value.
pub fn open(name: &str) -> Result<Secret, SecretError> {
    host::open(name).map(|handle| Secret { handle }).map_err(from_host)
}

impl Secret {
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn handle(self) -> u32 {
        self.handle
    }

    /// The value itself. Needs the grant `reveal`; most plugins should not ask for it.
    ///
    /// # Errors
    /// It is not granted, or not to be seen, or has no value.
    pub fn reveal(&self) -> Result<Vec<u8>, SecretError> {
        host::reveal(self.handle).map_err(from_host)
    }
}

#[cfg(target_arch = "wasm32")]
fn from_host(error: host::SecretError) -> SecretError {
    match error {
        host::SecretError::NotGranted => SecretError::NotGranted,
        host::SecretError::NotAvailable => SecretError::NotAvailable,
        host::SecretError::NotRevealed => SecretError::NotRevealed,
    }
}

#[cfg(not(target_arch = "wasm32"))]
fn from_host(error: SecretError) -> SecretError {
    error
}
