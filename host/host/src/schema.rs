//! The settings of a plugin one by one, read out of their JSON Schema.
//!
//! A schema is a plugin's word: it may refer to itself, or be larger than anybody reads. What is said of it here is bounded.

use serde::Serialize;
use serde_json::{Map, Value};
use std::cell::Cell;

/// The most settings that are told one by one.
const SETTINGS_MAX: usize = 400;
/// How deep settings within settings are followed.
const DEPTH_MAX: usize = 12;
/// How many parts of a schema are looked at altogether: they may lead to each other.
const STEPS_MAX: usize = 20_000;
/// How many references are followed from one to the next.
const REFERENCES_MAX: usize = 16;
/// How many values of an enumeration are told.
const VALUES_MAX: usize = 32;
/// How many alternatives of one part are looked at.
const ALTERNATIVES_MAX: usize = 64;

/// One setting of a plugin.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SettingReport {
    /// Where it stands: names with dots between them, `[]` for each entry of a list, `*` for each name of a table.
    pub path: String,
    /// What it may be, in words.
    pub kind: String,
    /// Whether it must be there, if what it stands in is.
    pub required: bool,
    /// When it may be there at all, if not always: for example `if type is "csv"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// What holds if it is not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// What it is for.
    pub meaning: String,
}

/// All settings that a schema says by name.
pub(crate) fn settings(schema: &Value) -> Vec<SettingReport> {
    let mut walk = Walk { root: schema, found: Vec::new(), open: Vec::new(), steps: Cell::new(0) };
    let _ = walk.within(schema, "", None, 0);
    walk.found
}

struct Walk<'a> {
    root: &'a Value,
    found: Vec<SettingReport>,
    /// The parts that we are within, each with where it was met.
    open: Vec<(&'a Value, String)>,
    steps: Cell<usize>,
}

impl<'a> Walk<'a> {
    /// Whether nothing more is looked at.
    fn is_over(&self) -> bool {
        self.steps.get() > STEPS_MAX || self.found.len() >= SETTINGS_MAX
    }

    /// One more part. Answers whether it may still be looked at.
    fn step(&self, depth: usize) -> bool {
        self.steps.set(self.steps.get() + 1);
        depth <= DEPTH_MAX && !self.is_over()
    }

    /// What a part says, where it refers to another one: that one.
    fn resolved(&self, mut part: &'a Value) -> &'a Value {
        for _ in 0..REFERENCES_MAX {
            let reference = part.get("$ref").and_then(Value::as_str).and_then(|to| to.strip_prefix('#'));
            let Some(next) = reference.and_then(|pointer| self.root.pointer(pointer)) else { break };
            part = next;
        }
        part
    }

    /// The alternatives of a part, without that there is nothing.
    fn alternatives(&self, part: &'a Value) -> Vec<&'a Value> {
        let list = ["oneOf", "anyOf"].into_iter().find_map(|word| part.get(word)?.as_array());
        let each = list.into_iter().flatten().map(|part| self.resolved(part));
        let is_null = |part: &&Value| part.get("type").and_then(Value::as_str) == Some("null");
        each.take(ALTERNATIVES_MAX).filter(|part| !is_null(part)).collect()
    }

    /// Tells the settings within a part; `path` is where it stands. Answers with where they were told already, if the
    /// part is one that we are within.
    fn within(&mut self, part: &'a Value, path: &str, when: Option<&str>, depth: usize) -> Option<String> {
        if !self.step(depth) {
            return None;
        }
        let part = self.resolved(part);
        if let Some((_, told)) = self.open.iter().find(|(open, _)| std::ptr::eq(*open, part)) {
            return Some(told.clone());
        }
        self.open.push((part, path.to_owned()));
        let told = self.within_new(part, path, when, depth);
        self.open.pop();
        told
    }

    fn within_new(&mut self, part: &'a Value, path: &str, when: Option<&str>, depth: usize) -> Option<String> {
        let mut told = None;
        if let Some(properties) = part.get("properties").and_then(Value::as_object) {
            let required = names(part.get("required"));
            for (name, property) in properties {
                if self.is_over() {
                    return None;
                }
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                self.tell(property, path, required.contains(&name.as_str()), when, depth);
            }
        }
        if let Some(each) = part.get("additionalProperties").filter(|each| each.is_object()) {
            let path = if path.is_empty() { "*".to_owned() } else { format!("{path}.*") };
            told = self.within(each, &path, when, depth + 1);
        }
        if let Some(each) = part.get("items") {
            told = self.within(each, &format!("{path}[]"), when, depth + 1).or(told);
        }
        for part in part.get("allOf").and_then(Value::as_array).into_iter().flatten().take(ALTERNATIVES_MAX) {
            told = self.within(part, path, when, depth + 1).or(told);
        }
        let alternatives = self.alternatives(part);
        match alternatives.as_slice() {
            [] => told,
            [only] => self.within(only, path, when, depth + 1).or(told),
            several => {
                self.within_several(several, path, depth);
                told
            }
        }
    }

    /// Tells the settings of alternatives, each with when it may be there.
    fn within_several(&mut self, several: &[&'a Value], path: &str, depth: usize) {
        let is_table = |part: &&&Value| part.get("properties").is_some();
        let tables: Vec<&&Value> = several.iter().filter(is_table).collect();
        let told_apart_by = told_apart_by(&tables);
        if let Some(word) = told_apart_by {
            let values = tables.iter().filter_map(|part| constant(property(part, word)?));
            let kind = one_of(values);
            let path = if path.is_empty() { word.to_owned() } else { format!("{path}.{word}") };
            self.put(SettingReport { path, kind, required: true, when: None, default: None, meaning: String::new() });
        }
        let form = if tables.len() == 1 { "if it is an object" } else { "in one of its forms" };
        for part in several {
            let value = told_apart_by.and_then(|word| constant(property(part, word)?).map(|value| (word, value)));
            match (value, only_name(part)) {
                (Some((word, value)), _) => {
                    let before = self.found.len();
                    let _ = self.within(part, path, Some(&format!("if {word} is {value}")), depth + 1);
                    // It was told once for all of them.
                    let own = if path.is_empty() { word.to_owned() } else { format!("{path}.{word}") };
                    let mut at = 0;
                    self.found.retain(|setting| {
                        at += 1;
                        at <= before || setting.path != own
                    });
                }
                (None, Some(name)) => {
                    let Some(property) = property(part, name) else { continue };
                    let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
                    let meaning = words(part.get("description"));
                    let before = self.found.len();
                    self.tell(property, path, false, Some("one of these"), depth);
                    if let Some(setting) = self.found.get_mut(before).filter(|setting| setting.meaning.is_empty()) {
                        setting.meaning = meaning;
                    }
                }
                (None, None) => {
                    let _ = self.within(part, path, Some(form), depth + 1);
                }
            }
        }
    }

    /// Tells one setting, and those within it.
    fn tell(&mut self, part: &'a Value, path: String, required: bool, when: Option<&str>, depth: usize) {
        let meaning = self.meaning(part);
        let default = [part, self.resolved(part)].into_iter().find_map(|part| part.get("default"));
        let default = default.filter(|value| !value.is_null()).cloned();
        let (kind, when) = (self.kind(part, 0), when.map(str::to_owned));
        let row = self.found.len();
        self.put(SettingReport { path: path.clone(), kind, required, when, default, meaning });
        if let Some(told) = self.within(part, &path, None, depth + 1)
            && let Some(setting) = self.found.get_mut(row)
        {
            let place = if told.is_empty() { "all the settings" } else { &told };
            setting.kind.push_str(&format!(", like {place}"));
        }
    }

    fn put(&mut self, setting: SettingReport) {
        if self.found.len() < SETTINGS_MAX {
            self.found.push(setting);
        }
    }

    /// What a part is for: its own words, or those of what it refers to; and of each value, if they have some.
    fn meaning(&self, part: &'a Value) -> String {
        let resolved = self.resolved(part);
        let only = match self.alternatives(part).as_slice() {
            [only] => words(only.get("description")),
            _ => String::new(),
        };
        let own = [words(part.get("description")), words(resolved.get("description")), only];
        let mut text = own.into_iter().find(|text| !text.is_empty()).unwrap_or_default();
        for value in self.alternatives(resolved).into_iter().take(VALUES_MAX) {
            let about = words(value.get("description"));
            if let (Some(value), false) = (constant(value), about.is_empty()) {
                let space = if text.is_empty() { "" } else { " " };
                text.push_str(&format!("{space}{value}: {about}"));
            }
        }
        text
    }

    /// What a part may be.
    fn kind(&self, part: &'a Value, depth: usize) -> String {
        let part = self.resolved(part);
        if !self.step(depth) {
            return "anything".to_owned();
        }
        if let Some(value) = part.get("const") {
            return value.to_string();
        }
        if let Some(values) = part.get("enum").and_then(Value::as_array) {
            return one_of(values.iter().filter(|value| !value.is_null()).map(Value::to_string));
        }
        let alternatives = self.alternatives(part);
        if !alternatives.is_empty() {
            return self.kind_of_several(&alternatives, depth);
        }
        let all = part.get("allOf").and_then(Value::as_array).filter(|all| !all.is_empty());
        let types: Vec<&str> = match part.get("type") {
            Some(Value::String(one)) => vec![one],
            Some(several @ Value::Array(_)) => names(Some(several)),
            _ if part.get("properties").is_some() => vec!["object"],
            _ => Vec::new(),
        };
        let types: Vec<&str> = types.into_iter().filter(|one| *one != "null").collect();
        if let (true, Some(all)) = (types.is_empty(), all) {
            return all.first().map_or_else(String::new, |first| self.kind(first, depth + 1));
        }
        let each: Vec<String> = types.into_iter().map(|one| self.simple(part, one, depth)).collect();
        if each.is_empty() { "anything".to_owned() } else { each.join(" or ") }
    }

    fn kind_of_several(&self, alternatives: &[&'a Value], depth: usize) -> String {
        let constants: Vec<String> = alternatives.iter().filter_map(|part| constant(part)).collect();
        if constants.len() == alternatives.len() {
            return one_of(constants.into_iter());
        }
        let mut kinds: Vec<String> = Vec::new();
        for part in alternatives {
            let kind = self.kind(part, depth + 1);
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        kinds.truncate(VALUES_MAX);
        kinds.join(" or ")
    }

    fn simple(&self, part: &'a Value, kind: &str, depth: usize) -> String {
        let each = |word: &str| part.get(word).filter(|each| each.is_object()).map(|each| self.kind(each, depth + 1));
        match kind {
            "array" => {
                let kind = each("items").map_or_else(|| "list".to_owned(), |kind| format!("list of {kind}"));
                kind + &range(part, "minItems", "maxItems", "entries")
            }
            "object" => each("additionalProperties").map_or_else(|| kind.to_owned(), |of| format!("{kind} of {of}")),
            "string" => {
                let shape = part.get("pattern").or_else(|| part.get("format")).and_then(Value::as_str);
                let shape = shape.map(|shape| format!(" like {shape}")).unwrap_or_default();
                format!("{kind}{shape}{}", range(part, "minLength", "maxLength", "characters"))
            }
            "integer" | "number" => kind.to_owned() + &range(part, "minimum", "maximum", ""),
            other => other.to_owned(),
        }
    }
}

fn property<'a>(part: &'a Value, name: &str) -> Option<&'a Value> {
    part.get("properties")?.get(name)
}

/// The one value that a part allows.
fn constant(part: &Value) -> Option<String> {
    let only = match (part.get("const"), part.get("enum").and_then(Value::as_array).map(Vec::as_slice)) {
        (Some(value), _) => value,
        (None, Some([only])) => only,
        _ => return None,
    };
    Some(only.to_string())
}

/// The name whose value says which of several tables one is.
fn told_apart_by<'a>(tables: &[&&'a Value]) -> Option<&'a str> {
    let (first, rest) = tables.split_first()?;
    if rest.is_empty() {
        return None;
    }
    let properties: &Map<String, Value> = first.get("properties")?.as_object()?;
    let is_constant = |part: &Value, name: &str| property(part, name).and_then(constant).is_some();
    let found = properties.keys().find(|name| tables.iter().all(|part| is_constant(part, name)));
    found.map(String::as_str)
}

/// The one name that a table must and may have.
fn only_name(part: &Value) -> Option<&str> {
    let properties = part.get("properties")?.as_object()?;
    match (names(part.get("required")).as_slice(), properties.len()) {
        ([only], 1) => properties.keys().next().map(String::as_str).filter(|name| name == only),
        _ => None,
    }
}

fn names(list: Option<&Value>) -> Vec<&str> {
    list.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}

fn one_of(values: impl Iterator<Item = String>) -> String {
    let mut values: Vec<String> = values.take(VALUES_MAX + 1).collect();
    match values.as_slice() {
        [only] => only.clone(),
        _ if values.len() > VALUES_MAX => {
            values.truncate(VALUES_MAX);
            format!("one of {} and others", values.join(", "))
        }
        _ => format!("one of {}", values.join(", ")),
    }
}

/// `, 1 to 64`, `, at least 1`, `, at most 64`; of what, if that is not the thing itself.
fn range(part: &Value, least: &str, most: &str, of: &str) -> String {
    let number = |word: &str| part.get(word).filter(|value| value.is_number()).map(ToString::to_string);
    let space = if of.is_empty() { "" } else { " " };
    match (number(least), number(most)) {
        (Some(least), Some(most)) => format!(", {least} to {most}{space}{of}"),
        (Some(least), None) if least == "0" => String::new(),
        (Some(least), None) => format!(", at least {least}{space}{of}"),
        (None, Some(most)) => format!(", at most {most}{space}{of}"),
        (None, None) => String::new(),
    }
}

/// A text in one line.
fn words(text: Option<&Value>) -> String {
    text.and_then(Value::as_str).unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Each setting in a line: path, kind, `!` if it is required, when, default, meaning.
    #[track_caller]
    fn check(schema: &Value, expected: &[&str]) {
        let line = |setting: SettingReport| {
            let SettingReport { path, kind, required, when, default, meaning } = setting;
            let more = [
                required.then(|| "!".to_owned()),
                when.map(|when| format!("({when})")),
                default.map(|default| format!("= {default}")),
                (!meaning.is_empty()).then(|| format!("# {meaning}")),
            ];
            format!("{path}: {kind}{}", more.into_iter().flatten().map(|part| format!(" {part}")).collect::<String>())
        };
        let found: Vec<String> = settings(schema).into_iter().map(line).collect();
        assert_eq!(found, expected, "{schema:#}");
    }

    #[test]
    fn plain_settings() {
        let schema = json!({ "type": "object", "required": ["url"], "properties": {
            "url": { "type": "string", "format": "uri", "description": "Where\n  to." },
            "limit": { "type": "integer", "minimum": 1, "maximum": 64, "default": 4 },
            "name": { "type": ["string", "null"], "default": null, "maxLength": 10 },
            "level": { "enum": ["low", "high"] },
            "ratio": { "type": "number", "minimum": 0 },
            "any": { "description": "Whatever." },
            "tags": { "type": "array", "items": { "type": "string" }, "minItems": 1 },
            "headers": { "type": "object", "additionalProperties": { "type": "string" } },
            "all": true,
        } });
        let expected = [
            "url: string like uri ! # Where to.",
            "limit: integer, 1 to 64 = 4",
            "name: string, at most 10 characters",
            "level: one of \"low\", \"high\"",
            "ratio: number",
            "any: anything # Whatever.",
            "tags: list of string, at least 1 entries",
            "headers: object of string",
            "all: anything",
        ];
        check(&schema, &expected);
        for none in [json!({}), json!(true), json!({ "properties": [] }), json!({ "type": "object" })] {
            check(&none, &[]);
        }
    }

    #[test]
    fn settings_within_settings() {
        let schema = json!({
            "properties": {
                "retry": { "$ref": "#/$defs/Retry" },
                "fields": { "type": "array", "items": { "$ref": "#/$defs/Field" } },
                "pages": { "anyOf": [{ "$ref": "#/$defs/Retry" }, { "type": "null" }], "description": "How often." },
                "by_name": { "type": "object", "additionalProperties": { "$ref": "#/$defs/Field" } },
            },
            "$defs": {
                "Retry": { "type": "object", "description": "Again.", "required": ["times"],
                    "properties": { "times": { "type": "integer" } } },
                "Field": { "type": "object", "properties": { "to": { "type": "string" } }, "required": ["to"] },
            },
        });
        let expected = [
            "retry: object # Again.",
            "retry.times: integer !",
            "fields: list of object",
            "fields[].to: string !",
            "pages: object # How often.",
            "pages.times: integer !",
            "by_name: object of object",
            "by_name.*.to: string !",
        ];
        check(&schema, &expected);
    }

    #[test]
    fn one_of_several() {
        let schema = json!({ "properties": {
            "way": { "description": "How.", "oneOf": [
                { "const": "fast", "description": "At once." }, { "const": "slow", "description": "Later." },
            ] },
            "when": { "anyOf": [{ "type": "string" }, { "type": "integer" }, { "type": "null" }] },
            "auth": { "oneOf": [
                { "type": "object", "properties": { "bearer": { "type": "string" } }, "required": ["bearer"],
                    "description": "A name." },
                { "type": "object", "required": ["basic"], "properties": { "basic": {
                    "type": "object", "properties": { "user": { "type": "string" } }, "required": ["user"] } } },
            ] },
            "format": { "oneOf": [
                { "type": "object", "required": ["type", "comma"],
                    "properties": { "type": { "const": "csv" }, "comma": { "type": "string" } } },
                { "type": "object", "properties": { "type": { "enum": ["columns"] }, "names": { "type": "array" } } },
            ] },
            "shape": { "anyOf": [{ "type": "string" }, { "type": "object", "properties": {
                "a": { "type": "string" }, "b": { "type": "string" } } }] },
        } });
        let expected = [
            "way: one of \"fast\", \"slow\" # How. \"fast\": At once. \"slow\": Later.",
            "when: string or integer",
            "auth: object",
            "auth.bearer: string (one of these) # A name.",
            "auth.basic: object (one of these)",
            "auth.basic.user: string !",
            "format: object",
            "format.type: one of \"csv\", \"columns\" !",
            "format.comma: string ! (if type is \"csv\")",
            "format.names: list (if type is \"columns\")",
            "shape: string or object",
            "shape.a: string (if it is an object)",
            "shape.b: string (if it is an object)",
        ];
        check(&schema, &expected);
    }

    #[test]
    fn settings_as_a_whole_that_are_one_of_several() {
        let schema = json!({ "oneOf": [
            { "type": "object", "properties": { "file": { "type": "string" } }, "required": ["file"] },
            { "type": "object", "properties": { "url": { "type": "string" } }, "required": ["url"] },
        ] });
        check(&schema, &["file: string (one of these)", "url: string (one of these)"]);
    }

    #[test]
    fn schemas_without_an_end() {
        let tree = json!({ "properties": { "node": { "$ref": "#" } } });
        check(&tree, &["node: object, like all the settings"]);
        let list = json!({ "properties": { "if": { "$ref": "#/$defs/Test" } }, "$defs": { "Test": { "type": "object",
            "properties": { "all": { "type": "array", "items": { "$ref": "#/$defs/Test" } }, "not": { "type": "boolean" } } } } });
        check(&list, &["if: object", "if.all: list of object, like if", "if.not: boolean"]);
        let ring = json!({ "properties": { "a": { "$ref": "#/$defs/A" } },
            "$defs": { "A": { "$ref": "#/$defs/B" }, "B": { "$ref": "#/$defs/A" } } });
        check(&ring, &["a: anything"]);
        // Each part leads to three others, none of which is the same, with and without names.
        let level = |n: usize| {
            let next = json!({ "$ref": format!("#/$defs/{}", n + 1) });
            json!({ "properties": { "a": next, "b": next, "c": next } })
        };
        let levels: Map<String, Value> = (0..30).map(|n| (n.to_string(), level(n))).collect();
        assert_eq!(settings(&json!({ "$ref": "#/$defs/0", "$defs": levels })).len(), SETTINGS_MAX);
        let nameless = json!({ "allOf": [{ "$ref": "#" }, { "$ref": "#" }, { "$ref": "#" }] });
        check(&nameless, &[]);
        let both = json!({ "properties": { "a": { "anyOf": [{ "$ref": "#" }, { "$ref": "#/properties/a" }] } } });
        assert!(settings(&both).len() <= SETTINGS_MAX);
        // Without names, ten times as many with each step.
        let part = json!({ "$ref": "#/$defs/A" });
        let anyway = json!({ "properties": { "a": part }, "$defs": { "A": { "anyOf": vec![part.clone(); 10] } } });
        check(&anyway, &["a: anything"]);
        let values: Vec<usize> = (0..1_000).collect();
        let many = settings(&json!({ "properties": { "n": { "enum": values } } }));
        assert!(many.iter().all(|setting| setting.kind.len() < 300 && setting.kind.ends_with("and others")));
    }
}
