//! A transformer of orders in two ways that give the same bytes, to measure what the sandbox costs.
//!
//! **Does**: renames the fields of an order, writes its total with two digits, drops it if it is cancelled.
//! **May touch**: the record that it is given.
//! **Never**: the host, by any import; it is for `cargo bench -p crossdock-bench --bench guests` only.

mod helpers;
mod typed;

use crossdock_sdk::{CallError, Description, Failure, Output, Record, Transform, Transformer};

/// How orders are read and written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// With the SDK's JSON helpers.
    Helpers,
    /// With types that serde reads and writes.
    Serde,
}

/// The settings.
#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
pub struct Settings {
    way: Way,
}

struct Orders(Way);

impl Transformer for Orders {
    type Settings = Settings;

    fn describe() -> Description {
        Description::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), "Transforms orders, to measure it.")
    }

    fn new(settings: Settings) -> Result<Self, CallError> {
        Ok(Self(settings.way))
    }

    fn transform(&mut self, record: &Record<'_>, out: &mut Output<'_>) -> Result<Transform, Failure> {
        let mut kept = false;
        out.with(|out| {
            kept = match self.0 {
                Way::Helpers => helpers::transform(record.payload(), out)?,
                Way::Serde => typed::transform(record.payload(), out).map_err(|why| Failure::new("no-order", why))?,
            };
            Ok::<(), Failure>(())
        })?;
        Ok(if kept { Transform::Ok } else { Transform::Dropped })
    }
}

crossdock_sdk::export_transformer!(Orders);
