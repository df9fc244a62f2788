//! Plays about settings: made wrong in each way that the schema knows.

use super::trial::{Played, Trial, not_tried};
use crate::case::{Case, Json};
use crate::compare;
use crate::finding::{BAD_SETTINGS, Finding};
use crate::live::Live;
use crate::run::schema_refuses;
use crossdock_engine::ports::{CallError, RefusalKind};
use serde_json::{Value, json};

/// How many settings are made wrong.
const WRONG_MAX: usize = 24;

/// A value of another type.
fn another(value: &Value) -> Value {
    match value {
        Value::String(_) => json!(7),
        Value::Object(_) | Value::Array(_) => json!("text"),
        _ => json!({ "another": "type" }),
    }
}

/// Settings that are wrong, with what is wrong.
fn wrong_settings(right: &Value, schema: &Value) -> Vec<(String, Value)> {
    let mut wrong = vec![("no object".to_owned(), json!([])), ("nothing".to_owned(), json!({}))];
    let Value::Object(members) = right else { return wrong };
    let mut with = members.clone();
    with.insert("a-key-that-nobody-knows".to_owned(), json!(true));
    wrong.push(("a key that is not known".to_owned(), Value::Object(with)));
    for (name, value) in members {
        let (mut without, mut other) = (members.clone(), members.clone());
        without.remove(name);
        other.insert(name.clone(), another(value));
        wrong.push((format!("without {name}"), Value::Object(without)));
        wrong.push((format!("{name} of another type"), Value::Object(other)));
    }
    let properties = schema.get("properties").and_then(Value::as_object);
    for name in properties.into_iter().flat_map(|p| p.keys()).filter(|name| !members.contains_key(*name)) {
        let mut with = members.clone();
        with.insert(name.clone(), json!({ "another": ["type"] }));
        wrong.push((format!("{name} of another type"), Value::Object(with)));
    }
    wrong.truncate(WRONG_MAX);
    wrong
}

/// Settings that are wrong are refused, by the schema or by the plugin, and never end in a fault.
pub(super) async fn wrong(trial: &Trial<'_>, case: &Case) -> Played {
    let right = case.settings.as_ref().map_or_else(|| json!({}), |settings| settings.0.clone());
    let schema = &trial.plugin.description().settings_schema;
    let mut tried = false;
    for (what, settings) in wrong_settings(&right, schema) {
        let by_schema = schema_refuses(trial.plugin, &settings);
        let mut ground = trial.ground(case)?;
        ground.settings = settings.to_string();
        let done = format!("configured it with settings that are wrong: {what}");
        let seen = match Live::start(trial.plugin, &ground).await {
            // Not known to be wrong, or refused by the host in front of it.
            Ok(_) => {
                tried |= by_schema.is_some();
                continue;
            }
            Err(CallError::Refused { kind, .. }) if by_schema.is_none() || kind == RefusalKind::InvalidSettings => {
                tried = true;
                continue;
            }
            Err(CallError::Host(_)) => continue,
            Err(error) => compare::error(&error),
        };
        let smallest = Case { settings: Some(Json(settings)), name: case.name.clone(), ..Case::default() };
        return Ok(vec![Finding::new(BAD_SETTINGS, &smallest, done, "a refusal with `invalid-settings`", seen)]);
    }
    if tried { Ok(Vec::new()) } else { not_tried("its schema has no settings that could be wrong") }
}
