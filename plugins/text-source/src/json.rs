//! JSON: written for lines with fields, looked into for lines that are JSON already.

use crossdock_sdk::json::{Members, Value};

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

/// Checks that a line is one JSON object, and finds the values of some of its fields. If a name occurs twice the last
/// one counts.
///
/// # Errors
/// What is wrong with the line, in a few words.
pub(crate) fn look_into<'a>(line: &'a [u8], paths: &[FieldPath]) -> Result<Vec<Option<Value<'a>>>, String> {
    let mut found = vec![None; paths.len()];
    let Some(members) = Members::scan(line) else {
        return Err(match Value::parse(line) {
            Ok(_) => "it is no object".to_owned(),
            Err(error) => error.to_string(),
        });
    };
    for member in members {
        let member = member.map_err(|error| error.to_string())?;
        for (path, place) in paths.iter().zip(found.iter_mut()).filter(|(path, _)| member.is(path.first())) {
            *place = descend(member.value, path.0.get(1..).unwrap_or_default());
        }
    }
    Ok(found)
}

/// The value within a value.
fn descend<'a>(value: Value<'a>, path: &[String]) -> Option<Value<'a>> {
    path.iter().try_fold(value, |value, name| value.get(name))
}
