//! Settings of a plugin: TOML as JSON. Dates and times become text.

use crate::codes;
use crate::mistake::Mistake;
use crate::read::{Node, Notes};
use serde_json::{Map, Value};
use toml::de::{DeTable, DeValue};

/// A table as a JSON object, in the order in which it is written.
pub(crate) fn settings(node: Node<'_, '_>, notes: &mut Notes<'_>) -> Option<Map<String, Value>> {
    match node.value.get_ref() {
        DeValue::Table(table) => object(table, notes),
        _ => {
            node.wrong_type(notes, "a table", "write the plugin's settings as a table: settings = { … }");
            None
        }
    }
}

fn object(table: &DeTable<'_>, notes: &mut Notes<'_>) -> Option<Map<String, Value>> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    // Every entry is looked at, so that all mistakes are found.
    let values: Vec<_> = entries
        .into_iter()
        .map(|(key, value)| {
            Some((key.get_ref().to_string(), json(Node { key: key.get_ref(), value, listed: false }, notes)?))
        })
        .collect();
    values.into_iter().collect()
}

fn json(node: Node<'_, '_>, notes: &mut Notes<'_>) -> Option<Value> {
    Some(match node.value.get_ref() {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Boolean(flag) => Value::Bool(*flag),
        DeValue::Datetime(time) => Value::String(time.to_string()),
        DeValue::Integer(number) => {
            let (text, radix) = (number.as_str(), number.radix());
            let value = i64::from_str_radix(text, radix).map(Value::from);
            let Ok(value) = value.or_else(|_| u64::from_str_radix(text, radix).map(Value::from)) else {
                let message = format!("{} does not fit into 64 bits", node.title());
                notes.add(
                    Mistake::new(codes::BAD_VALUE, message)
                        .at(node.span(), "too large")
                        .with_fix("write it as text, in quotes"),
                );
                return None;
            };
            value
        }
        DeValue::Float(number) => match number.as_str().parse::<f64>().ok().and_then(serde_json::Number::from_f64) {
            Some(number) => Value::Number(number),
            None => {
                notes.add(
                    Mistake::new(codes::BAD_VALUE, format!("{} is not finite", node.title()))
                        .at(node.span(), "JSON has no such number")
                        .with_fix("write a finite number, or text in quotes"),
                );
                return None;
            }
        },
        DeValue::Array(list) => {
            let values: Vec<_> =
                list.iter().map(|value| json(Node { key: node.key, value, listed: true }, notes)).collect();
            Value::Array(values.into_iter().collect::<Option<_>>()?)
        }
        DeValue::Table(table) => Value::Object(object(table, notes)?),
    })
}
