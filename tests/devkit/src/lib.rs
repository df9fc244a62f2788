//! What examples and tests share: builds the plugins, starts the programs, speaks HTTP to them, and
//! serves them badly.
//!
//! **Does**: builds plugins for wasm32-wasip2 and our programs with Cargo, runs programs, sends requests over loopback.
//! **May touch**: the workspace's target folder, processes it started itself, the loopback interface, rustup.
//! **Never**: the sources, the ledger, the host's crates; it knows only what a user of the command line knows.

mod build;
mod hostile;
mod http;
mod process;
#[cfg(feature = "raw")]
pub mod raw;
mod registry;
mod wasm;

pub use build::{binary, binary_optimised, workspace_root};
pub use hostile::{HOSTILE_PATHS, HostileServer, SeenRequest};
pub use http::{http, http_with};
pub use process::Child;
pub use registry::{OciRegistry, REGISTRY_PASSWORD, REGISTRY_USER};
pub use wasm::{Plugins, examples, guests, plugins};
