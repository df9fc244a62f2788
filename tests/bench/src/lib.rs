//! What the benchmarks share: orders to move, a look at what moving them took, and what is made of many such looks.
//!
//! **Does**: makes the same orders from the same seed; reads the clocks and the peak memory of its own process; runs
//! programs and says what they took; makes tables.
//! **May touch**: the process's own clocks and, on Linux, `/proc/self/status`; processes that it starts itself.
//! **Never**: the host's crates (the benchmarks themselves do), the network, randomness that no seed decides.

mod figures;
mod orders;
mod process;
mod usage;

pub use figures::{Measured, Spread, order, table};
pub use orders::{Orders, Written};
pub use process::{Ended, Spent, run_measured};
pub use usage::{Usage, peak_memory_kib};
