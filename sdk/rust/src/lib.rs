//! Write a Crossdock plugin in Rust.
//!
//! **Does**: gives authors traits for the three roles, typed settings, records and outcomes, and hides the packed
//! columns that cross the boundary.
//! **May touch**: what the host offers to plugins, through wit-bindgen, which only this crate names.
//! **Never**: the host's crates, the file system, the network or the clock of its own accord.

#[allow(missing_docs, unsafe_code, unreachable_pub, rust_2018_idioms, clippy::all)]
#[doc(hidden)]
pub mod bindings;
mod column;
mod describe;
#[allow(missing_docs)]
#[doc(hidden)]
pub mod export;
mod failure;
mod imports;
mod json;
mod record;
mod roles;
mod settings;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;

pub use describe::{Atomicity, Description, DestinationAbilities, Idempotency};
pub use failure::{CallError, ErrorKind, Failure, IntoFailure};
pub use imports::{control, http, log, metrics, secrets, state};
pub use record::{Batch, Record};
pub use roles::compensate::{Compensate, Undo, UndoAnswers, UndoBatch, UndoRecord};
pub use roles::destination::{Answers, Destination, IntoReceipt, Write};
pub use roles::probe::{Finding, Probe, ProbeAnswers};
pub use roles::source::{Limits, More, Page, RecordRef, Source};
pub use roles::transformer::{Output, Transform, Transformer};
