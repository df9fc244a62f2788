//! A plugin's settings against the schema that the plugin describes.

use crossdock_route::{Mistake, Place, Route, codes};
use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind;
use serde_json::{Map, Value};

/// All that does not fit, each at its place in the route.
pub(crate) fn check(
    route: &Route,
    place: Place<'_>,
    plugin: &str,
    schema: &Value,
    settings: &Map<String, Value>,
) -> Vec<Mistake> {
    let at_plugin = route.span_of_plugin(place);
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
            explain(route, place, plugin, schema, error, &mut mistakes);
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
    place: Place<'_>,
    plugin: &str,
    schema: &Value,
    error: &ValidationError<'_>,
    mistakes: &mut Vec<Mistake>,
) {
    let pointer = error.instance_path().to_string();
    let fix = format!("`crossdock plugin inspect` shows what settings `{plugin}` takes");
    if let ValidationErrorKind::AdditionalProperties { unexpected } = error.kind() {
        for key in unexpected {
            let key_pointer = format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"));
            mistakes.push(
                Mistake::new(codes::SETTINGS, format!("`{plugin}` has no setting `{key}` here"))
                    .at(route.key_span_of(place, &key_pointer), "not a setting of this plugin")
                    .with_fix(expected(schema, &pointer).unwrap_or(fix.clone())),
            );
        }
        return;
    }
    let what = if pointer.is_empty() { "the settings".to_owned() } else { format!("setting {pointer}") };
    let mut choices = Vec::new();
    collect_choices(error, &mut choices);
    let (message, fix) = if choices.is_empty() {
        (format!("{what} of `{plugin}`: {error}"), fix)
    } else {
        (format!("{what} of `{plugin}` cannot be {}", error.instance()), format!("write one of {}", choices.join(", ")))
    };
    mistakes
        .push(Mistake::new(codes::SETTINGS, message).at(route.span_of(place, &pointer), "does not fit").with_fix(fix));
}

/// The values that the schema names for the place of this error.
fn collect_choices(error: &ValidationError<'_>, choices: &mut Vec<String>) {
    match error.kind() {
        ValidationErrorKind::Constant { expected_value } => choices.push(expected_value.to_string()),
        ValidationErrorKind::Enum { options } => {
            choices.extend(options.as_array().into_iter().flatten().map(Value::to_string));
        }
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
            context.iter().flatten().for_each(|error| collect_choices(error, choices));
        }
        _ => {}
    }
}

/// The keys that the schema names at its top.
fn expected(schema: &Value, pointer: &str) -> Option<String> {
    if !pointer.is_empty() {
        return None;
    }
    let keys: Vec<&str> = schema.get("properties")?.as_object()?.keys().map(String::as_str).collect();
    Some(format!("expected one of {}", keys.join(", ")))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crossdock_route::{Place, RouteFile};
    use serde_json::json;

    /// The mistakes that a source with these settings has, each as `line: message`.
    fn check(settings: &str, expected: &[&str]) {
        let text = format!(
            "name = \"r\"\n[source]\nplugin = \"p\"\n[source.settings]\n{settings}\n[[step]]\nname = \"s\"\nplugin = \"q\"\n"
        );
        let schema = json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["files"],
            "properties": {
                "files": { "type": "string" },
                "in_flight": { "type": "integer", "minimum": 1 },
                "format": { "anyOf": [{ "enum": ["csv", "ndjson"] }, { "type": "null" }] },
                "field": { "anyOf": [
                    { "type": "string" },
                    { "type": "object", "additionalProperties": false, "properties": {
                        "kind": { "oneOf": [{ "const": "a" }, { "const": "b" }] },
                    } },
                ] },
            },
        });
        let route = RouteFile::parse("r.toml", &text).unwrap();
        let mistakes = super::check(&route, Place::Source, "p", &schema, &route.source().settings);
        let found: Vec<String> = match route.report(mistakes) {
            Ok(()) => Vec::new(),
            Err(mistakes) => mistakes
                .list()
                .iter()
                .map(|mistake| format!("{}: {}", mistakes.position(mistake).unwrap().line, mistake.message))
                .collect(),
        };
        assert_eq!(found, expected, "{settings}");
    }

    #[test]
    fn settings_against_their_schema() {
        check("files = \"/in/*\"\nformat = \"csv\"\nfield = { kind = \"a\" }", &[]);
        check(
            "file = \"/in/*\"",
            &["4: the settings of `p`: \"files\" is a required property", "5: `p` has no setting `file` here"],
        );
        check("files = 7", &["5: setting /files of `p`: 7 is not of type \"string\""]);
        check("files = \"f\"\nin_flight = 0", &["6: setting /in_flight of `p`: 0 is less than the minimum of 1"]);
        check("files = \"f\"\nformat = \"cvs\"", &["6: setting /format of `p` cannot be \"cvs\""]);
        check("files = \"f\"\nfield = { kind = \"c\" }", &["6: setting /field/kind of `p` cannot be \"c\""]);
        check("files = \"f\"\nfield = { knd = \"a\" }", &["6: `p` has no setting `knd` here"]);
    }
}
