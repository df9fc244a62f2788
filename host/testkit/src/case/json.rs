//! JSON values as TOML writes them.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

/// What stands for null, which TOML does not have.
const NULL: &str = "{{ null }}";

/// A JSON value, written in TOML.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Json(pub Value);

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        toml::Value::deserialize(deserializer).map(|value| Self(to_json(value)))
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        to_toml(&self.0).serialize(serializer)
    }
}

fn to_json(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) if text == NULL => Value::Null,
        toml::Value::String(text) => Value::String(text),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) => number.into(),
        toml::Value::Boolean(truth) => truth.into(),
        toml::Value::Datetime(time) => Value::String(time.to_string()),
        toml::Value::Array(values) => values.into_iter().map(to_json).collect(),
        toml::Value::Table(table) => {
            Value::Object(table.into_iter().map(|(key, value)| (key, to_json(value))).collect::<Map<_, _>>())
        }
    }
}

fn to_toml(value: &Value) -> toml::Value {
    match value {
        Value::Null => NULL.into(),
        Value::Bool(truth) => (*truth).into(),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => whole.into(),
            // Beyond what TOML has, the nearest that it has.
            None => number.as_f64().unwrap_or(f64::MAX).into(),
        },
        Value::String(text) => text.as_str().into(),
        Value::Array(values) => toml::Value::Array(values.iter().map(to_toml).collect()),
        Value::Object(members) => {
            toml::Value::Table(members.iter().map(|(key, value)| (key.clone(), to_toml(value))).collect())
        }
    }
}
