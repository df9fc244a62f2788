//! One value, as the text that it is.

use super::members::{Member, Members};
use super::scan::{self, Invalid, Scanned};
use std::borrow::Cow;

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `null`.
    Null,
    /// `true` or `false`.
    Boolean,
    /// A number.
    Number,
    /// A string.
    Text,
    /// A list.
    List,
    /// An object.
    Object,
}

/// A JSON value as its text, without white space around it. The text is known to be JSON. Cheap to copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value<'a>(&'a str);

impl<'a> Value<'a> {
    /// Checks that a payload is one JSON value and nothing else, in one pass that makes nothing. Objects and lists may
    /// stand within each other 128 deep.
    ///
    /// # Errors
    /// Where it is not JSON, or not UTF-8.
    pub fn parse(payload: &'a [u8]) -> Result<Self, Invalid> {
        let text = utf8(payload)?;
        let begin = scan::blank(payload);
        let scanned = || -> Scanned<'a> {
            let rest = scan::value(begin, 0)?;
            scan::end(rest).map(|()| rest)
        };
        match scanned() {
            Ok(rest) => Ok(Self::between(text, begin, rest)),
            Err(wrong) => Err(wrong.within(payload)),
        }
    }

    /// The value between what was left in front of it and what is left behind it, in a text that was scanned.
    #[inline]
    pub(super) fn between(text: &'a str, before: &[u8], behind: &[u8]) -> Self {
        Self(text.get(text.len() - before.len()..text.len() - behind.len()).unwrap_or("null"))
    }

    /// The value as it is written.
    #[inline]
    #[must_use]
    pub fn raw(self) -> &'a str {
        self.0
    }

    /// What it is.
    #[inline]
    #[must_use]
    pub fn kind(self) -> Kind {
        match self.0.as_bytes().first() {
            Some(b'"') => Kind::Text,
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::List,
            Some(b't' | b'f') => Kind::Boolean,
            Some(b'n') | None => Kind::Null,
            Some(_) => Kind::Number,
        }
    }

    /// The content of a string; copied only if it has escapes. `None` for all other kinds, and for a string whose
    /// escapes make no sense, such as half a surrogate pair.
    #[must_use]
    pub fn text(self) -> Option<Cow<'a, str>> {
        let inner = self.0.strip_prefix('"')?.strip_suffix('"')?;
        // Within a string that was scanned nothing but an escape can be special.
        if scan::special(inner.as_bytes()).is_empty() {
            return Some(Cow::Borrowed(inner));
        }
        serde_json::from_str(self.0).ok().map(Cow::Owned)
    }

    /// The content of a string, number or truth value as text. `None` for the others.
    #[must_use]
    pub fn plain(self) -> Option<Cow<'a, str>> {
        match self.kind() {
            Kind::Text => self.text(),
            Kind::Number | Kind::Boolean => Some(Cow::Borrowed(self.0)),
            Kind::Null | Kind::List | Kind::Object => None,
        }
    }

    /// The member of an object with this name; of several the last. `None` if there is none, or it is no object.
    #[must_use]
    pub fn get(self, name: &str) -> Option<Value<'a>> {
        self.members().filter(|member| member.is(name)).last().map(|member| member.value)
    }

    /// The members of an object in the order in which they are written; none if it is no object.
    pub fn members(self) -> impl Iterator<Item = Member<'a>> + use<'a> {
        Members::of(self)
    }

    /// The elements of a list; none if it is no list.
    #[must_use]
    pub fn elements(self) -> Elements<'a> {
        let rest = match self.0.as_bytes() {
            [b'[', tail @ ..] => scan::blank(tail),
            _ => &[],
        };
        Elements { text: self.0, rest }
    }
}

/// A payload as text.
pub(super) fn utf8(payload: &[u8]) -> Result<&str, Invalid> {
    std::str::from_utf8(payload).map_err(|error| Invalid::new("a byte that is not UTF-8", error.valid_up_to()))
}

/// The elements of a list.
#[derive(Debug, Clone)]
pub struct Elements<'a> {
    text: &'a str,
    rest: &'a [u8],
}

impl<'a> Iterator for Elements<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        if matches!(self.rest, [] | [b']', ..]) {
            return None;
        }
        // It was scanned before: there is nothing wrong with it.
        let behind = scan::value(self.rest, 1).ok()?;
        let element = Value::between(self.text, self.rest, behind);
        self.rest = match scan::blank(behind) {
            [b',', tail @ ..] => scan::blank(tail),
            rest => rest,
        };
        Some(element)
    }
}
