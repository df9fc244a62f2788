//! Crossdock plugin `http-source`: records from lists of a JSON REST API. See README.md.
//!
//! **Does**: asks for a list, page by page, turns its items into records with stable ids, and remembers in its
//! checkpoint where it was.
//! **May touch**: the addresses and secrets that the route grants, through the host; it only reads.
//! **Never**: files, sockets or clocks of its own; the value of a secret; any request but `GET`.
//!
//! From request to record, each module using only those above it: `settings` (as written), `position` (where in the
//! list), `plan` (as meant, and the requests), `answer` (what came back), `items` (ids, order), `source` (all of it).

mod answer;
mod items;
mod plan;
mod position;
mod settings;
mod source;

pub use settings::{Next, PageSize, Settings};
pub use source::HttpSource;

crossdock_sdk::export_source!(HttpSource);
