//! Write a Crossdock plugin in Rust.
//!
//! **Does**: gives authors traits for the three roles, typed settings, records and outcomes, and hides the packed
//! columns that cross the boundary.
//! **May touch**: what the host offers to plugins, through wit-bindgen, which only this crate names.
//! **Never**: the host's crates, the file system, the network or the clock of its own accord.
//!
//! A plugin is a library crate with one type that has one of the roles [`Source`], [`Transformer`] and [`Destination`],
//! and one line that exports it. Built for `wasm32-wasip2` it is a component that the host loads; built for your
//! own machine it is an ordinary library, and its tests run under plain `cargo test` with [`testing`].
//!
//! ```
//! use crossdock_sdk::{CallError, Description, Failure, Output, Record, Transform, Transformer};
//!
//! /// What the route says: JSON Schema and errors that name the place come by themselves.
//! #[derive(serde::Deserialize, schemars::JsonSchema)]
//! #[serde(deny_unknown_fields)]
//! struct Settings {
//!     /// Orders below this are dropped.
//!     smallest: u64,
//! }
//!
//! #[derive(serde::Deserialize, serde::Serialize)]
//! struct Order<'a> {
//!     customer: &'a str,
//!     cents: u64,
//! }
//!
//! struct Large(Settings);
//!
//! impl Transformer for Large {
//!     type Settings = Settings;
//!
//!     fn describe() -> Description {
//!         Description::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), "Lets large orders pass.")
//!     }
//!
//!     fn new(settings: Settings) -> Result<Self, CallError> {
//!         Ok(Self(settings))
//!     }
//!
//!     fn transform(&mut self, record: &Record<'_>, out: &mut Output<'_>) -> Result<Transform, Failure> {
//!         let order: Order = record.json()?; // anything else is a rejection
//!         if order.cents < self.0.smallest {
//!             return Ok(Transform::Dropped);
//!         }
//!         out.json(&order)?;
//!         Ok(Transform::Ok)
//!     }
//! }
//!
//! crossdock_sdk::export_transformer!(Large);
//!
//! // And its test:
//! use crossdock_sdk::testing::{self, Outcome};
//! let mut large = testing::transformer::<Large>(r#"{ "smallest": 100 }"#).unwrap();
//! let answers = testing::transform(&mut large, &[
//!     testing::record("1", r#"{ "customer": "ann", "cents": 250 }"#),
//!     testing::record("2", r#"{ "customer": "bob", "cents": 99 }"#),
//!     testing::record("3", r#"{ "customer": "eve", "cents": "many" }"#),
//! ]);
//! assert_eq!(answers[0].outputs[0].text(), r#"{"customer":"ann","cents":250}"#);
//! assert_eq!(answers[1].outcome, Outcome::Dropped);
//! assert_eq!(answers[2].failure.as_ref().unwrap().pointer_text(), Some("/cents"));
//! ```

#[allow(missing_docs, unsafe_code, unreachable_pub, rust_2018_idioms, clippy::all)]
#[doc(hidden)]
pub mod bindings;
mod column;
mod describe;
#[allow(missing_docs)]
#[doc(hidden)]
pub mod export;
mod failure;
mod imports;
pub mod json;
mod record;
pub mod rest;
mod roles;
mod settings;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
mod text;

pub use describe::{Atomicity, Description, DestinationAbilities, Idempotency};
pub use failure::{CallError, ErrorKind, Failure, IntoFailure};
pub use imports::{control, http, log, metrics, secrets, state};
pub use record::{Batch, Record};
pub use roles::compensate::{Compensate, Undo, UndoAnswers, UndoBatch, UndoRecord};
pub use roles::destination::{Answers, Destination, IntoReceipt, Write};
pub use roles::probe::{Finding, Probe, ProbeAnswers};
pub use roles::source::{Limits, More, Page, RecordRef, Source};
pub use roles::transformer::{Output, Transform, Transformer};
pub use settings::PluginSettings;
