//! One value, as the text that it is.

use super::scan::{self, Invalid, Scanned};
use crate::text::text_of;
use std::borrow::Cow;
use std::fmt;

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
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Value<'a>(&'a [u8]);

impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Value").field(&self.raw()).finish()
    }
}

impl<'a> Value<'a> {
    /// Checks that a payload is one JSON value and nothing else, in one pass that makes nothing. Objects and lists may
    /// stand within each other 128 deep.
    ///
    /// # Errors
    /// Where it is not JSON, or not UTF-8.
    pub fn parse(payload: &'a [u8]) -> Result<Self, Invalid> {
        let begin = scan::blank(payload);
        let scanned = || -> Scanned<'a> {
            let rest = scan::value(begin, 0)?;
            scan::end(rest).map(|()| rest)
        };
        match scanned() {
            Ok(rest) => Ok(Self::between(begin, rest)),
            Err(wrong) => Err(wrong.within(payload)),
        }
    }

    /// The value between what was left in front of it and what is left behind it.
    #[inline(always)]
    pub(super) fn between(before: &'a [u8], behind: &[u8]) -> Self {
        Self(before.get(..before.len() - behind.len()).unwrap_or(b"null"))
    }

    /// The value as it is written.
    #[must_use]
    pub fn raw(self) -> &'a str {
        text_of(self.0)
    }

    /// The value as it is written, as bytes: to pass it on this costs nothing, and text has to be looked at again.
    #[inline(always)]
    #[must_use]
    pub fn bytes(self) -> &'a [u8] {
        self.0
    }

    /// What it is.
    #[inline]
    #[must_use]
    pub fn kind(self) -> Kind {
        match self.0.first() {
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
        let [b'"', inner @ .., b'"'] = self.0 else { return None };
        // Within a string that was scanned nothing but an escape can be special.
        if scan::special(inner).is_empty() {
            return Some(Cow::Borrowed(text_of(inner)));
        }
        serde_json::from_slice(self.0).ok().map(Cow::Owned)
    }

    /// The content of a string, number or truth value as text. `None` for the others.
    #[must_use]
    pub fn plain(self) -> Option<Cow<'a, str>> {
        match self.kind() {
            Kind::Text => self.text(),
            Kind::Number | Kind::Boolean => Some(Cow::Borrowed(self.raw())),
            Kind::Null | Kind::List | Kind::Object => None,
        }
    }

    /// The elements of a list; none if it is no list.
    #[must_use]
    pub fn elements(self) -> Elements<'a> {
        match self.0 {
            [b'[', tail @ ..] => Elements(scan::blank(tail)),
            _ => Elements(&[]),
        }
    }
}

/// The elements of a list.
#[derive(Debug, Clone)]
pub struct Elements<'a>(&'a [u8]);

impl<'a> Iterator for Elements<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        if matches!(self.0, [] | [b']', ..]) {
            return None;
        }
        // It was scanned before: there is nothing wrong with it.
        let behind = scan::value(self.0, 1).ok()?;
        let element = Value::between(self.0, behind);
        self.0 = match scan::blank(behind) {
            [b',', tail @ ..] => scan::blank(tail),
            rest => rest,
        };
        Some(element)
    }
}
