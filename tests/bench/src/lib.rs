//! What the benchmarks share: orders to move, and a look at what moving them took.
//!
//! **Does**: makes the same orders from the same seed; reads the clocks and the peak memory of its own process.
//! **May touch**: the process's own clocks and, on Linux, `/proc/self/status`.
//! **Never**: the host's crates (the benchmarks themselves do), the network, randomness that no seed decides.

mod orders;
mod usage;

pub use orders::{Orders, Written};
pub use usage::{Usage, peak_memory_kib};
