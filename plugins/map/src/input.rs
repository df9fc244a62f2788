//! Records as they come: JSON text of which only what is asked for is looked at, and numbers keep their digits.

use crossdock_sdk::Failure;
use crossdock_sdk::json::{Invalid, Member, Object};
pub(crate) use crossdock_sdk::json::{Kind, Value};

/// Whether it is text that is empty or only blanks.
pub(crate) fn is_blank(value: Value<'_>) -> bool {
    value.text().is_some_and(|text| text.trim().is_empty())
}

/// A JSON value into which pointers lead.
#[derive(Debug)]
pub(crate) struct Document<'a>(Object<'a>);

impl<'a> Document<'a> {
    /// Reads a record.
    pub(crate) fn read(payload: &'a [u8]) -> Result<Self, Failure> {
        match Object::parse(payload).map_err(Invalid::failure)? {
            Some(object) => Ok(Self(object)),
            // Not an object: it only has to be JSON.
            None => Value::parse(payload).map(Self::of).map_err(Invalid::failure),
        }
    }

    /// A part of a record that was read.
    pub(crate) fn of(value: Value<'a>) -> Self {
        Self(Object::of(value))
    }

    /// What a pointer leads to. Null counts as nothing.
    pub(crate) fn find(&self, pointer: &Pointer) -> Option<Value<'a>> {
        let mut names = pointer.names.iter();
        let whole = self.0.value();
        let mut value = match names.next() {
            None => whole,
            Some(first) if whole.kind() == Kind::Object => self.0.get(first)?,
            Some(first) => child(whole, first)?,
        };
        for name in names {
            value = child(value, name)?;
        }
        (value.kind() != Kind::Null).then_some(value)
    }

    /// The members of an object in order; of two with the same name the later one counts.
    pub(crate) fn members(&self) -> impl Iterator<Item = &Member<'a>> {
        let all = self.0.members();
        let later = |index: usize, name: &str| all.iter().skip(index + 1).any(|other| other.is(name));
        all.iter().enumerate().filter(move |(index, member)| !later(*index, &member.name())).map(|(_, member)| member)
    }
}

fn child<'a>(value: Value<'a>, name: &str) -> Option<Value<'a>> {
    match value.kind() {
        Kind::Object => value.get(name),
        Kind::List if name == "0" || !name.starts_with(['0', '+']) => value.elements().nth(name.parse().ok()?),
        _ => None,
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
