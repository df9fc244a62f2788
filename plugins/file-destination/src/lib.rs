//! Crossdock plugin `file-destination`: records into an NDJSON file.
//!
//! **Does**: adds records as lines to one file, once each, and puts them on disk before it says that it did.
//! **May touch**: one file, and the directory it is in, which the route grants for writing.
//! **Never**: changes a line that was acknowledged, uses the network, looks at the clock, or starts anything.
//!
//! Each module uses only those above it: `settings` (what is wanted), `line` (how a line is written and recognised),
//! `store` (the file as a whole), `destination` (batches).

mod destination;
mod line;
mod settings;
mod store;

pub use destination::FileDestination;
pub use settings::{Lines, Settings};

crossdock_sdk::export_destination!(FileDestination, compensate, probe);
