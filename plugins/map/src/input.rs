//! Records as they come: JSON text of which only what is asked for is looked at, and numbers keep their digits.

use crossdock_sdk::Failure;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// A JSON value as its text. The text is known to be JSON.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Value<'a>(&'a str);

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Null,
    Boolean,
    Number,
    Text,
    List,
    Object,
}

impl<'a> Value<'a> {
    /// The value as it is written.
    pub(crate) fn raw(self) -> &'a str {
        self.0
    }

    pub(crate) fn shape(self) -> Shape {
        match self.0.as_bytes().first() {
            Some(b'"') => Shape::Text,
            Some(b'{') => Shape::Object,
            Some(b'[') => Shape::List,
            Some(b't' | b'f') => Shape::Boolean,
            Some(b'n') | None => Shape::Null,
            Some(_) => Shape::Number,
        }
    }

    /// The content of text, number and truth value; nothing for the others. Text whose escapes make no sense, such as
    /// half a surrogate pair, has no content either.
    pub(crate) fn plain(self) -> Option<Cow<'a, str>> {
        match self.shape() {
            Shape::Text => match self.0.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
                Some(inner) if !inner.contains('\\') => Some(Cow::Borrowed(inner)),
                _ => serde_json::from_str(self.0).ok().map(Cow::Owned),
            },
            Shape::Number | Shape::Boolean => Some(Cow::Borrowed(self.0)),
            Shape::Null | Shape::List | Shape::Object => None,
        }
    }

    /// Whether it is text that is empty or only blanks.
    pub(crate) fn is_blank(self) -> bool {
        self.shape() == Shape::Text && self.plain().is_some_and(|text| text.trim().is_empty())
    }

    /// The elements of a list.
    pub(crate) fn elements(self) -> Option<Vec<Value<'a>>> {
        (self.shape() == Shape::List).then(|| serde_json::from_str(self.0).ok().map(|Elements(list)| list)).flatten()
    }
}

/// A JSON value into which pointers lead.
#[derive(Debug)]
pub(crate) struct Document<'a> {
    value: Value<'a>,
    /// Opened when it is made, if it is an object, because nearly every pointer begins there.
    members: Vec<(Cow<'a, str>, Value<'a>)>,
}

impl<'a> Document<'a> {
    /// Reads a record.
    pub(crate) fn read(payload: &'a [u8]) -> Result<Self, Failure> {
        let not_json = |what: String| Failure::new("not-json", format!("the record is not JSON: {what}"));
        let text = std::str::from_utf8(payload).map_err(|error| not_json(error.to_string()))?;
        let value = Value(text.trim_matches([' ', '\t', '\r', '\n']));
        if value.shape() == Shape::Object {
            let Members(members) = serde_json::from_str(text).map_err(|error| not_json(error.to_string()))?;
            return Ok(Self { value, members });
        }
        // Not an object: it only has to be JSON.
        serde_json::from_str::<&RawValue>(text).map_err(|error| not_json(error.to_string()))?;
        Ok(Self { value, members: Vec::new() })
    }

    /// A part of a record that was read.
    pub(crate) fn of(value: Value<'a>) -> Self {
        let members = if value.shape() == Shape::Object { members(value) } else { Vec::new() };
        Self { value, members }
    }

    /// What a pointer leads to. Null counts as nothing.
    pub(crate) fn find(&self, pointer: &Pointer) -> Option<Value<'a>> {
        let mut names = pointer.names.iter();
        let mut value = match names.next() {
            None => self.value,
            Some(first) if self.value.shape() == Shape::Object => member(&self.members, first)?,
            Some(first) => child(self.value, first)?,
        };
        for name in names {
            value = child(value, name)?;
        }
        (value.shape() != Shape::Null).then_some(value)
    }

    /// The members of an object in order; of two with the same name the later one counts.
    pub(crate) fn members(&self) -> impl Iterator<Item = (&str, Value<'a>)> {
        let later = |index: usize, name: &str| self.members.iter().skip(index + 1).any(|(other, _)| other == name);
        let unique = move |(index, (name, value)): (usize, &'_ (Cow<'a, str>, Value<'a>))| {
            (!later(index, name)).then_some((index, *value))
        };
        let found: Vec<(usize, Value<'a>)> = self.members.iter().enumerate().filter_map(unique).collect();
        found.into_iter().filter_map(|(index, value)| self.members.get(index).map(|(name, _)| (&**name, value)))
    }
}

fn members(value: Value<'_>) -> Vec<(Cow<'_, str>, Value<'_>)> {
    serde_json::from_str(value.0).map(|Members(members)| members).unwrap_or_default()
}

fn member<'a>(members: &[(Cow<'a, str>, Value<'a>)], name: &str) -> Option<Value<'a>> {
    members.iter().rev().find(|(known, _)| known == name).map(|(_, value)| *value)
}

fn child<'a>(value: Value<'a>, name: &str) -> Option<Value<'a>> {
    match value.shape() {
        Shape::Object => member(&members(value), name),
        Shape::List if name == "0" || !name.starts_with(['0', '+']) => {
            value.elements()?.get(name.parse::<usize>().ok()?).copied()
        }
        _ => None,
    }
}

/// The members of an object, values unread.
struct Members<'a>(Vec<(Cow<'a, str>, Value<'a>)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;

        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::with_capacity(16);
                while let Some((Name(name), value)) = map.next_entry::<Name<'de>, &'de RawValue>()? {
                    members.push((name, Value(value.get())));
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Collect)
    }
}

/// The elements of a list, unread.
struct Elements<'a>(Vec<Value<'a>>);

impl<'de> Deserialize<'de> for Elements<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;

        impl<'de> Visitor<'de> for Collect {
            type Value = Elements<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Elements<'de>, A::Error> {
                let mut elements = Vec::new();
                while let Some(value) = list.next_element::<&'de RawValue>()? {
                    elements.push(Value(value.get()));
                }
                Ok(Elements(elements))
            }
        }

        deserializer.deserialize_seq(Collect)
    }
}

/// A member's name, borrowed unless it has escapes.
struct Name<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl<'de> Visitor<'de> for Text {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(name)))
            }

            fn visit_str<E>(self, name: &str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(name.to_owned())))
            }
        }

        deserializer.deserialize_str(Text)
    }
}

/// An RFC 6901 pointer.
#[derive(Debug, Clone)]
pub(crate) struct Pointer {
    text: String,
    names: Vec<String>,
}

impl Pointer {
    /// Reads a pointer; nothing if it is none.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let unescaped = |name: &str| -> Option<String> {
            let broken =
                name.match_indices('~').any(|(at, _)| !matches!(name.as_bytes().get(at + 1), Some(b'0' | b'1')));
            (!broken).then(|| name.replace("~1", "/").replace("~0", "~"))
        };
        let names = match text.strip_prefix('/') {
            Some(rest) => rest.split('/').map(unescaped).collect::<Option<Vec<String>>>()?,
            None if text.is_empty() => Vec::new(),
            None => return None,
        };
        Some(Self { text: text.to_owned(), names })
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The name at the top of the record where it begins.
    pub(crate) fn first(&self) -> Option<&str> {
        self.names.first().map(String::as_str)
    }
}

/// So much of a value as a person wants to see.
pub(crate) fn excerpt(value: Value<'_>) -> String {
    const CHARS_MAX: usize = 200;
    match value.raw().char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}…", value.raw().get(..end).unwrap_or_default()),
        None => value.raw().to_owned(),
    }
}
