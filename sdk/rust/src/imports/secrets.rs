//! Secrets by name. A plugin works with handles; the host puts the value on the wire.

#[cfg(not(target_arch = "wasm32"))]
use super::fake as host;
#[cfg(target_arch = "wasm32")]
use crate::bindings::base::crossdock::plugin::secrets as host;

pub use super::kinds::{Secret, SecretError};

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
