//! Tests of plugins without WebAssembly, under plain `cargo test`.
//!
//! Make a plugin from settings as a route would give them, feed it records, look at the answers. The functions
//! play a strict host: an answer that breaks the contract panics with the rule it breaks. What the plugin
//! asks of its host ([`http`](crate::http), [`secrets`](crate::secrets), the clock and so on) is
//! answered from what the test has set up, one setup a thread.
//!
//! ```
//! # use crossdock_sdk::{CallError, Description, Failure, Output, Record, Transform, Transformer, testing};
//! # #[derive(serde::Deserialize, schemars::JsonSchema)]
//! # struct Settings { shout: bool }
//! # struct Greet(Settings);
//! # impl Transformer for Greet {
//! #     type Settings = Settings;
//! #     fn describe() -> Description { Description::new("greet", "1.0.0", "Greets.") }
//! #     fn new(settings: Settings) -> Result<Self, CallError> { Ok(Self(settings)) }
//! #     fn transform(&mut self, record: &Record<'_>, out: &mut Output<'_>) -> Result<Transform, Failure> {
//! #         let name = record.text()?;
//! #         out.write(if self.0.shout { format!("HELLO {name}") } else { format!("hello {name}") });
//! #         Ok(Transform::Ok)
//! #     }
//! # }
//! let mut greet = testing::transformer::<Greet>(r#"{ "shout": true }"#).unwrap();
//! let answers = testing::transform(&mut greet, &[testing::record("1", "ann")]);
//! assert_eq!(answers[0].outcome, testing::Outcome::Ok);
//! assert_eq!(answers[0].outputs[0].text(), "HELLO ann");
//! ```
#![allow(clippy::panic)] // A broken contract has to fail the test that finds it.

mod contract;
mod host;
mod records;
mod roles;

pub use host::{
    cancelled, counter, gauge, http, in_flight, messages, now_ms, remaining_ms, rendered, reset, revealed_secret,
    secret, set_state, state,
};
pub use records::{Applied, Found, Given, Outcome, Part, ReadPage, ReadRecord, Transformed, Undone, Written};
pub use records::{applied, record};
pub use roles::{
    compensate, destination, probe, read, read_all, schema, source, transform, transformer, write, write_until_failure,
};
