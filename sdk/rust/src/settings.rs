//! Settings: from the route's text to the author's type, and from the type to its schema.

use crate::failure::{CallError, Failure};
use crate::json::{pointer, without_place};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

/// What the settings of a plugin must be able to do: be read, and say what they may hold. Every type that derives both has
/// it by itself:
///
/// ```
/// #[derive(serde::Deserialize, schemars::JsonSchema)]
/// #[serde(deny_unknown_fields)] // A slip of the pen in a route is then a mistake that is told.
/// struct Settings {
///     /// What stands here is the description in the schema, which routes' authors read.
///     smallest: u64,
///     /// A setting that may be left out.
///     #[serde(default)]
///     largest: Option<u64>,
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the settings of a plugin",
    label = "it does not derive both `serde::Deserialize` and `schemars::JsonSchema`",
    note = "write `#[derive(serde::Deserialize, schemars::JsonSchema)]` above it, and above each type of yours within it",
    note = "it holds its values itself: `String` rather than `&str`"
)]
pub trait PluginSettings: Sized {
    /// Reads the settings that a route gives.
    #[doc(hidden)]
    fn parse(text: &str) -> Result<Self, CallError>;

    /// JSON Schema (draft 2020-12) of the settings.
    #[doc(hidden)]
    fn schema() -> String;
}

// With the two as traits above, the compiler would speak of them one by one instead.
#[diagnostic::do_not_recommend]
impl<T: DeserializeOwned + JsonSchema> PluginSettings for T {
    fn parse(text: &str) -> Result<Self, CallError> {
        parse(text)
    }

    fn schema() -> String {
        schemars::schema_for!(T).as_value().to_string()
    }
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T, CallError> {
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
