//! What authors of plugins need around their code.
//!
//! **Does**: lays out a new plugin, builds one with its language's own tools, and compares two versions of a contract.
//! **May touch**: the plugin's folder, and the tools of its language as processes.
//! **Never**: runs a plugin, or decides what is let in.

pub mod build;
mod codes;
mod language;
pub mod new;
pub mod wit;

pub use build::{BuildError, Built, build, keep_schema};
pub use codes::CODES;
pub use crossdock_model::{Code, ErrorClass, Explained};
pub use language::Language;
pub use new::{Created, NewError, Role, create};
