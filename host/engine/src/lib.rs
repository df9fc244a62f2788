//! What happens next: a pure state machine, the ports it needs, one async driver.
//!
//! **Does**: decides for every record what happens next, and has it done through ports.
//! **May touch**: its ports; in the driver, tokio.
//! **Never**: the clock, randomness, files, the network, wasmtime or a database by itself.

pub mod codes;
pub mod driver;
pub mod handlers;
pub mod machine;
pub mod plan;
pub mod ports;
mod retry;
