//! Whatever bytes come in from outside, what reads them answers: one function for each kind of input.
//!
//! **Does**: gives bytes to what reads files, replies, checkpoints and texts of strangers, and looks whether what
//! comes of it holds: no panic, no place outside of the text, no secret, nothing larger or slower than it may be.
//! **May touch**: temporary folders of its own, the guests of `tests/guests`, the seeds beside this crate.
//! **Never**: the network beyond loopback, or randomness that no seed decides.
//!
//! The same functions serve twice: `tests/short.rs` gives each its seeds and a fixed number of mutations of them, in
//! every test run; `coverage/` gives them to libFuzzer, for as long as one likes. See CONTRIBUTING.md.
#![allow(clippy::panic, clippy::expect_used, reason = "a target says by a panic what does not hold")]

mod mutate;
mod seeds;
pub mod targets;

pub use mutate::Mutator;
pub use seeds::{folders, seeds};

/// Something that is given any bytes.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name, which is also that of the folder of its seeds in `seeds/`.
    pub name: &'static str,
    /// Folders with further seeds, from the root of the repository.
    pub more_seeds: &'static [&'static str],
    /// What means something to it: mutations put these in.
    pub words: &'static [&'static str],
    /// How many mutated inputs the short run gives it: as many as take it a second or two.
    pub short_run: u32,
    /// Reads bytes. Panics if something does not hold that must.
    pub run: fn(&[u8]),
}

/// All targets.
#[must_use]
pub fn all() -> Vec<Target> {
    #[allow(unused_mut, reason = "without the sandbox there are fewer")]
    let mut all = targets::LIGHT.to_vec();
    #[cfg(feature = "sandbox")]
    all.extend(targets::SANDBOX);
    all
}
