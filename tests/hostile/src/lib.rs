//! The suite that shows that the sandbox holds against its guests and against what they talk to.
//!
//! **Does**: runs routes with hostile plugins, servers and files beside a well-behaved route in one host, and judges each.
//! **May touch**: folders of its own below the target folder, processes it starts, the loopback interface.
//! **Never**: asks more of the host than an embedder can: it sees the façade, and plugins as files.
//!
//! A case is data: what a guest does, which control stops it, how that is named, and four things that must hold beside
//! it. The host lives, its memory stays below a bound, a second route keeps its pace, and the next batch of the same
//! route works. `cargo run -p crossdock-hostile` prints the table; `tests/cases.rs` holds all but the pace.

pub mod case;
pub mod cases;
mod host;
mod memory;
mod neighbour;
mod round;
mod site;
mod suite;
mod table;

pub use host::serve;
pub use suite::{HOST, Plan, Report, Summary, Verdict, run};
pub use table::{json, table};
