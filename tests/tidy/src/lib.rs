//! Checks the shape of the source tree: which room may see which, what things are called, how big they are.
//!
//! **Does**: reads the tree once, and answers with findings, each with its place and what to do.
//! **May touch**: the files of this repository, for reading.
//! **Never**: changes a file, starts a program, goes to the network, names another crate of ours.
//!
//! Every check is a function from a [`Tree`] to findings. `tests/tree.rs` runs them over this
//! repository; `tests/samples.rs` gives each a small bad tree and expects it to be refused, so that no check
//! can silently stop seeing.

pub mod checks;
mod finding;
mod source;
mod tree;

pub use finding::Finding;
pub use tree::Tree;
