//! Durable key-value pairs, private to this plugin at this step of this route.
//!
//! Writes become durable in the same transaction as the outcome of the call that made them, and are forgotten
//! if the call fails. Reads see the plugin's own writes.

#[cfg(not(target_arch = "wasm32"))]
use super::fake as host;
#[cfg(target_arch = "wasm32")]
use crate::bindings::base::crossdock::plugin::state as host;

pub use super::kinds::StateError;

/// The value of a key, if it has one.
#[must_use]
pub fn get(key: &str) -> Option<Vec<u8>> {
    host::get(key)
}

/// Sets a key.
///
/// # Errors
/// When a limit would be passed.
pub fn set(key: &str, value: &[u8]) -> Result<(), StateError> {
    #[cfg(target_arch = "wasm32")]
    return host::set(key, value).map_err(|error| match error {
        host::StateError::TooLarge => StateError::TooLarge,
        host::StateError::QuotaReached => StateError::QuotaReached,
    });
    #[cfg(not(target_arch = "wasm32"))]
    host::set(key, value)
}

/// Removes a key; removing one that is not there is fine.
pub fn delete(key: &str) {
    host::delete(key);
}
