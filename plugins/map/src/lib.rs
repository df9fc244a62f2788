//! Crossdock plugin `map`: renames, converts, drops and rejects records by rules in its settings.
//!
//! **Does**: writes one JSON object for each JSON record; what does not convert is rejected with a pointer to the value.
//! **May touch**: the record it is given.
//! **Never**: anything else; it is pure and wants no grants.

mod condition;
mod convert;
mod date;
mod fixed_date;
mod input;
mod mapper;
mod number;
mod plan;
mod settings;

pub use mapper::Map;
pub use settings::Settings;

crossdock_sdk::export_transformer!(Map);
