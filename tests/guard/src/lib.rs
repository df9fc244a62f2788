//! Speed does not erode unseen: the instructions that hot paths take are counted and compared with `counts.toml`.
//!
//! **Does**: prepares each hot path and walks it so many times; has that counted by valgrind; compares and says what grew.
//! **May touch**: the host's crates below the façade, valgrind, Cargo, a folder of its own below the target folder.
//! **Never**: a clock, or chance: a count that is not the same twice cannot guard anything.
//!
//! Instructions instead of time, because a machine that does other things beside counts the same. Walking a path many times
//! and few times, and taking the difference, leaves out whatever is done once: starting, opening, what the first call is
//! slower by.

mod count;
mod counts;
mod paths;

pub use count::{Counter, VALGRIND, without_auxv};
pub use counts::{Counts, GREW_MAX_PER_CENT, Verdict};
pub use paths::HotPath;

/// The crates of ours that are optimised for counting; the others do nothing on a hot path.
///
/// Everything else is as the tests have it, so that only these are built once more: less than three CPU minutes, where a
/// release build takes six. Without optimising them a copy of every payload or an allocation a record
/// is lost among what unoptimised code does beside, and no change that matters would be seen.
pub const OPTIMISED: [&str; 6] = [
    "crossdock-model",
    "crossdock-engine",
    "crossdock-ledger",
    "crossdock-sandbox",
    "crossdock-bench",
    "crossdock-guard",
];
