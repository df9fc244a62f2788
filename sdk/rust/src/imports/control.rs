//! The clock, and how much time is left.

#[cfg(not(target_arch = "wasm32"))]
use super::fake as host;
#[cfg(target_arch = "wasm32")]
use crate::bindings::base::crossdock::plugin::control as host;

/// Milliseconds since 1970-01-01T00:00:00Z on the host's clock.
#[must_use]
pub fn now_ms() -> u64 {
    host::now_ms()
}

/// Milliseconds that are left of the running call before it is interrupted.
///
/// An interrupted write leaves its records indeterminate: a destination should stop in time, with
/// `untouched` for what it did not begin.
#[must_use]
pub fn remaining_ms() -> u64 {
    host::remaining_ms()
}

/// Whether the run was asked to stop. A plugin that sees it should return early.
#[must_use]
pub fn cancelled() -> bool {
    host::cancelled()
}
