//! What the host offers, as ordinary functions.
//!
//! Outside WebAssembly there is no host: there the functions answer from what a test has set up with
//! [`testing`](crate::testing).

pub mod control;
mod exchange;
pub mod http;
mod kinds;
pub mod log;
pub mod metrics;
pub mod secrets;
pub mod state;

#[cfg(not(target_arch = "wasm32"))]
pub(crate) mod fake;
