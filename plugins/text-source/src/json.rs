//! JSON: written for lines with fields, looked into for lines that are JSON already.

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// The names of columns, ready to be written in front of their values.
#[derive(Debug)]
pub(crate) struct Keys(Vec<Vec<u8>>);

impl Keys {
    pub(crate) fn new(names: &[String]) -> Self {
        let key = |(index, name): (usize, &String)| {
            let mut key = if index == 0 { b"{\"".to_vec() } else { b"\",\"".to_vec() };
            push_escaped(&mut key, name.as_bytes());
            key.extend_from_slice(b"\":\"");
            key
        };
        Self(names.iter().enumerate().map(key).collect())
    }

    /// Writes an object of strings: one value a key.
    pub(crate) fn write<'a>(&self, out: &mut Vec<u8>, values: impl Iterator<Item = &'a [u8]>) {
        for (key, value) in self.0.iter().zip(values) {
            out.extend_from_slice(key);
            push_escaped(out, value);
        }
        out.extend_from_slice(if self.0.is_empty() { b"{}" } else { b"\"}" });
    }
}

/// Writes text as the inside of a JSON string. `text` must be UTF-8.
pub(crate) fn push_escaped(out: &mut Vec<u8>, text: &[u8]) {
    let mut from = 0;
    for (at, byte) in text.iter().enumerate() {
        if *byte >= 0x20 && *byte != b'"' && *byte != b'\\' {
            continue;
        }
        out.extend_from_slice(text.get(from..at).unwrap_or_default());
        from = at + 1;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => {
                let hex = |nibble: u8| b"0123456789abcdef".get(usize::from(nibble & 15)).copied().unwrap_or(b'0');
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', hex(byte >> 4), hex(*byte)]);
            }
        }
    }
    out.extend_from_slice(text.get(from..).unwrap_or_default());
}

/// A field of a JSON object, by its name or by an RFC 6901 pointer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FieldPath(Vec<String>);

impl FieldPath {
    pub(crate) fn new(written: &str) -> Self {
        match written.strip_prefix('/') {
            Some(path) => Self(path.split('/').map(|name| name.replace("~1", "/").replace("~0", "~")).collect()),
            None => Self(vec![written.to_owned()]),
        }
    }

    fn first(&self) -> &str {
        self.0.first().map_or("", String::as_str)
    }
}

/// Checks that a line is one JSON object, and finds the JSON text of some of its fields. If a name occurs twice
/// the last one counts.
///
/// # Errors
/// What is wrong with the line, in a few words.
pub(crate) fn look_into<'a>(
    line: &'a str,
    paths: &[FieldPath],
    found: &mut Vec<Option<&'a str>>,
) -> Result<(), String> {
    found.clear();
    found.resize(paths.len(), None);
    object(line, &mut |name| paths.iter().any(|path| path.first() == name), &mut |name, value| {
        for (path, place) in paths.iter().zip(found.iter_mut()).filter(|(path, _)| path.first() == name) {
            *place = descend(value, path.0.get(1..).unwrap_or_default());
        }
    })
}

/// The value within a value.
fn descend<'a>(value: &'a str, path: &[String]) -> Option<&'a str> {
    let Some((first, rest)) = path.split_first() else { return Some(value) };
    let mut found = None;
    object(value, &mut |name| name == first, &mut |_, value| found = Some(value)).ok()?;
    descend(found?, rest)
}

/// The text of a JSON string, number or boolean; nothing else can be part of an id.
pub(crate) fn scalar(value: &str) -> Option<std::borrow::Cow<'_, str>> {
    match value.as_bytes().first()? {
        b'"' if !value.contains('\\') => value.get(1..value.len() - 1).map(Into::into),
        b'"' => serde_json::from_str::<String>(value).ok().map(Into::into),
        b'{' | b'[' | b'n' => None,
        _ => Some(value.into()),
    }
}

/// Goes through an object: `wants` says which values are given to `take`.
fn object<'a>(
    text: &'a str,
    wants: &mut dyn FnMut(&str) -> bool,
    take: &mut dyn FnMut(&str, &'a str),
) -> Result<(), String> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let walked = reader.deserialize_map(Walk { wants, take }).and_then(|()| reader.end());
    walked.map_err(|error| {
        let (text, column) = (error.to_string(), error.column());
        let what = text.strip_suffix(&format!(" at line {} column {column}", error.line())).unwrap_or(&text);
        format!("{what} at column {column}")
    })
}

struct Walk<'w, 'a> {
    wants: &'w mut dyn FnMut(&str) -> bool,
    take: &'w mut dyn FnMut(&str, &'a str),
}

impl<'a> Visitor<'a> for Walk<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key_seed(Name(self.wants))? {
            match name {
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
                Some(name) => (self.take)(&name, map.next_value::<&'a RawValue>()?.get()),
            }
        }
        Ok(())
    }
}

/// A name, kept only if its value is wanted.
struct Name<'w>(&'w mut dyn FnMut(&str) -> bool);

impl<'a> DeserializeSeed<'a> for Name<'_> {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'a>>(self, reader: D) -> Result<Option<String>, D::Error> {
        reader.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Option<String>, E> {
        Ok((self.0)(name).then(|| name.to_owned()))
    }
}
