//! Numbers the plugin wants to be seen beside those that the host keeps itself.
//!
//! Names are 1 to 64 of `a-z 0-9 _`; at most 64 names a plugin, further ones are counted and left out.

#[cfg(not(target_arch = "wasm32"))]
use super::fake as host;
#[cfg(target_arch = "wasm32")]
use crate::bindings::base::crossdock::plugin::metrics as host;

/// Adds to a counter.
pub fn count(name: &str, delta: u64) {
    host::count(name, delta);
}

/// Sets a gauge to a value.
pub fn gauge(name: &str, value: f64) {
    host::gauge(name, value);
}
