//! JSON bodies with placeholders.

use crossdock_sdk::{Failure, rest::Pointer};
use serde_json::Value;

use crate::template::{Found, Into, Place, Spot, Text, Values};

/// A JSON template: a placeholder that is a whole value keeps its JSON type, one within text is inserted as text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Body {
    /// As it was written, numbers, booleans and null.
    Plain(Value),
    Text(Text),
    Array(Vec<Body>),
    Object(Vec<(String, Body)>),
}

/// What is wrong with a template, and where in it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BodyError {
    pub(crate) pointer: String,
    pub(crate) problem: String,
}

impl Body {
    pub(crate) fn parse(value: &Value, spot: Spot) -> Result<Self, BodyError> {
        let within = |token: &str, value: &Value| {
            Self::parse(value, spot).map_err(|error| {
                let pointer = format!("{}{}", Pointer::of([token.to_owned()]), error.pointer);
                BodyError { pointer, ..error }
            })
        };
        Ok(match value {
            Value::String(text) => {
                Self::Text(Text::parse(text, spot).map_err(|problem| BodyError { pointer: String::new(), problem })?)
            }
            Value::Array(items) => Self::Array(
                items
                    .iter()
                    .enumerate()
                    .map(|(index, item)| within(&index.to_string(), item))
                    .collect::<Result<_, _>>()?,
            ),
            Value::Object(fields) => {
                if let Some(name) = fields.keys().find(|name| name.contains("{{")) {
                    let problem = format!("the field name `{name}` cannot be a template");
                    return Err(BodyError { pointer: String::new(), problem });
                }
                let field = |(name, value): (&String, &Value)| Ok((name.clone(), within(name, value)?));
                Self::Object(fields.iter().map(field).collect::<Result<_, _>>()?)
            }
            plain => Self::Plain(plain.clone()),
        })
    }

    /// The record's payload as it is.
    pub(crate) fn payload() -> Self {
        Self::Text(Text::of(Place::Payload(Pointer::root())))
    }

    /// The records of one request as they are.
    pub(crate) fn records() -> Self {
        Self::Text(Text::of(Place::Records))
    }

    pub(crate) fn places(&self) -> Vec<&Place> {
        match self {
            Self::Plain(_) => Vec::new(),
            Self::Text(text) => text.places().collect(),
            Self::Array(items) => items.iter().flat_map(Self::places).collect(),
            Self::Object(fields) => fields.iter().flat_map(|(_, field)| field.places()).collect(),
        }
    }

    /// Where a value is asked for first, as a JSON pointer.
    pub(crate) fn place_of(&self, wanted: &Place) -> Option<String> {
        let within =
            |token: String, part: &Self| part.place_of(wanted).map(|place| format!("{}{place}", Pointer::of([token])));
        match self {
            Self::Plain(_) => None,
            Self::Text(text) => text.places().any(|place| place == wanted).then(String::new),
            Self::Array(items) => items.iter().zip(0_usize..).find_map(|(item, index)| within(index.to_string(), item)),
            Self::Object(fields) => fields.iter().find_map(|(name, field)| within(name.clone(), field)),
        }
    }

    /// The body with the values of one record in it.
    ///
    /// # Errors
    /// The record has no value for a placeholder, or one that cannot stand there.
    pub(crate) fn render(&self, values: &dyn Values, out: &mut Vec<u8>) -> Result<(), Failure> {
        match self {
            Self::Plain(value) => out.extend_from_slice(value.to_string().as_bytes()),
            Self::Text(text) => match text.whole() {
                Some(place) => match place.of(values)? {
                    Found::Json(raw) => out.extend_from_slice(raw.get().as_bytes()),
                    Found::Text(text) => push_text(out, &text),
                },
                None => push_text(out, &text.render(values, Into::Body)?),
            },
            Self::Array(items) => {
                out.push(b'[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    item.render(values, out)?;
                }
                out.push(b']');
            }
            Self::Object(fields) => {
                out.push(b'{');
                for (index, (name, field)) in fields.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    push_text(out, name);
                    out.push(b':');
                    field.render(values, out)?;
                }
                out.push(b'}');
            }
        }
        Ok(())
    }

    /// The field of the payload that a field of the finished body came from.
    pub(crate) fn origin(&self, sent: &[String]) -> Option<Pointer> {
        match (self, sent.split_first()) {
            (Self::Text(text), _) => {
                let from = text.whole()?.payload_pointer()?;
                Some(Pointer::of(from.tokens().iter().chain(sent).cloned()))
            }
            (Self::Object(fields), Some((first, rest))) => {
                fields.iter().find(|(name, _)| name == first)?.1.origin(rest)
            }
            (Self::Array(items), Some((first, rest))) => items.get(first.parse::<usize>().ok()?)?.origin(rest),
            _ => None,
        }
    }
}

fn push_text(out: &mut Vec<u8>, text: &str) {
    // Writing to memory cannot fail.
    let _ = serde_json::to_writer(out, text);
}
