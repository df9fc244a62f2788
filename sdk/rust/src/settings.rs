//! Settings: from the route's text to the author's type, and from the type to its schema.

use crate::failure::{CallError, Failure};
use crate::json::{pointer, without_place};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

/// Reads the settings that the route gives.
pub(crate) fn parse<T: DeserializeOwned>(text: &str) -> Result<T, CallError> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let settings = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let place = pointer(error.path());
        let what = without_place(error.inner());
        let message = if place.is_empty() {
            format!("the settings do not make sense: {what}")
        } else {
            format!("the setting {place} does not make sense: {what}")
        };
        CallError::invalid_settings(Failure::new("invalid-settings", message).pointer(place))
    })?;
    reader
        .end()
        .map_err(|error| CallError::invalid_settings(format!("the settings go on after their end: {error}")))?;
    Ok(settings)
}

/// JSON Schema (draft 2020-12) of the settings.
pub(crate) fn schema<T: JsonSchema>() -> String {
    schemars::schema_for!(T).as_value().to_string()
}
