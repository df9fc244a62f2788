//! JSON Schema of both files, for editors. Made from the same types that reading fills.

use crate::project::ProjectFile;
use crate::written::RouteFile;
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema};
use serde_json::Value;

/// The JSON Schema (draft 2020-12) of route files; also in `schema/route.schema.json`.
#[must_use]
pub fn route_schema() -> Value {
    schema::<RouteFile>()
}

/// The JSON Schema (draft 2020-12) of project files; also in `schema/project.schema.json`.
#[must_use]
pub fn project_schema() -> Value {
    schema::<ProjectFile>()
}

fn schema<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12()
        .with_transform(RecursiveTransform(without_null))
        .with_transform(RecursiveTransform(without_breaks));
    settings.into_generator().into_root_schema_for::<T>().into()
}

/// Descriptions are broken into lines where the code is; editors break them anew.
fn without_breaks(schema: &mut Schema) {
    if let Some(Value::String(text)) = schema.get_mut("description") {
        *text = text.split("\n\n").map(|part| part.replace('\n', " ")).collect::<Vec<_>>().join("\n\n");
    }
}

/// What may be absent may be null in JSON; TOML has no null.
fn without_null(schema: &mut Schema) {
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|name| name != "null");
        if let [one] = types.as_slice() {
            let one = one.clone();
            schema.insert("type".to_owned(), one);
        }
    }
    if let Some(Value::Array(choices)) = schema.get_mut("anyOf") {
        choices.retain(|choice| choice.get("type").is_none_or(|name| name != "null"));
        if let [Value::Object(one)] = choices.as_slice() {
            let one = one.clone();
            schema.remove("anyOf");
            for (key, value) in one {
                schema.insert(key, value);
            }
        }
    }
}
