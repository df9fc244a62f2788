//! Crossdock plugin `text-source`: records from text files.
//!
//! **Does**: turns lines of granted files into records with stable ids, and remembers in its checkpoint what it read.
//! **May touch**: files below directories that the route grants, for reading only.
//! **Never**: writes, uses the network, looks at the clock, or starts anything.
//!
//! From line to record, each module using only those above it: `settings` (what is wanted), `lines` (where a record
//! ends), `fields` and `json` (what is in it), `ids`, `files` (which are there), `checkpoint`, `reader` (one file),
//! `source` (all of them).

mod checkpoint;
mod fields;
mod files;
mod ids;
mod json;
mod lines;
mod reader;
mod settings;
mod source;

pub use settings::{Format, Settings, UnfinishedLine};
pub use source::TextSource;

crossdock_sdk::export_source!(TextSource);
