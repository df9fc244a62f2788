//! A plugin's settings against the schema that the plugin describes.

use crossdock_model::StepName;
use crossdock_route::{Mistake, Route, codes};
use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind;
use serde_json::{Map, Value};

/// All that does not fit, each at its place in the route. `step` is `None` for the source.
pub(crate) fn check(
    route: &Route,
    step: Option<&StepName>,
    plugin: &str,
    schema: &Value,
    settings: &Map<String, Value>,
) -> Vec<Mistake> {
    let at_plugin = route.span_of_plugin(step);
    let broken = |why: String| {
        Mistake::new(codes::SETTINGS, format!("the settings schema of `{plugin}` cannot be used: {why}"))
            .at(at_plugin, "this plugin")
            .with_fix("report it to the author of the plugin")
    };
    let validator = match jsonschema::validator_for(schema) {
        Ok(validator) => validator,
        Err(error) => return vec![broken(error.to_string())],
    };
    let settings = Value::Object(settings.clone());
    let mut mistakes = Vec::new();
    for error in validator.iter_errors(&settings) {
        for error in nearest(&error) {
            explain(route, step, plugin, schema, error, &mut mistakes);
        }
    }
    mistakes
}

/// Of something that may be written in several ways: what is wrong with the way that it comes closest to, which is
/// the one whose mistakes lie deepest.
fn nearest<'e>(error: &'e ValidationError<'e>) -> Vec<&'e ValidationError<'e>> {
    let (ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context }) = error.kind() else {
        return vec![error];
    };
    let depth = |error: &ValidationError<'_>| error.instance_path().to_string().matches('/').count();
    let mut best: Option<(usize, Vec<&ValidationError<'_>>)> = None;
    for way in context {
        let errors: Vec<_> = way.iter().flat_map(nearest).collect();
        // A key that is unknown lies below the table in which it stands.
        let below = |error: &&ValidationError<'_>| {
            let unknown = matches!(error.kind(), ValidationErrorKind::AdditionalProperties { .. });
            depth(error) + usize::from(unknown)
        };
        let deepest = errors.iter().map(below).max().unwrap_or(0);
        if best.as_ref().is_none_or(|(depth, _)| deepest > *depth) {
            best = Some((deepest, errors));
        }
    }
    match best {
        Some((deepest, errors)) if deepest > depth(error) => errors,
        _ => vec![error],
    }
}

fn explain(
    route: &Route,
    step: Option<&StepName>,
    plugin: &str,
    schema: &Value,
    error: &ValidationError<'_>,
    mistakes: &mut Vec<Mistake>,
) {
    let pointer = error.instance_path().to_string();
    let fix = format!("`crossdock plugin inspect` shows what settings `{plugin}` takes");
    if let ValidationErrorKind::AdditionalProperties { unexpected } = error.kind() {
        for key in unexpected {
            let place = format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"));
            mistakes.push(
                Mistake::new(codes::SETTINGS, format!("`{plugin}` has no setting `{key}` here"))
                    .at(route.key_span_of(step, &place), "not a setting of this plugin")
                    .with_fix(expected(schema, &pointer).unwrap_or(fix.clone())),
            );
        }
        return;
    }
    let place = if pointer.is_empty() { "the settings".to_owned() } else { format!("setting {pointer}") };
    mistakes.push(
        Mistake::new(codes::SETTINGS, format!("{place} of `{plugin}`: {error}"))
            .at(route.span_of(step, &pointer), "does not fit")
            .with_fix(fix),
    );
}

/// The keys that the schema names at its top.
fn expected(schema: &Value, pointer: &str) -> Option<String> {
    if !pointer.is_empty() {
        return None;
    }
    let keys: Vec<&str> = schema.get("properties")?.as_object()?.keys().map(String::as_str).collect();
    Some(format!("expected one of {}", keys.join(", ")))
}
