//! A mistake in a file, with its place and the fix.

use crate::codes;
use crossdock_model::{Code, ErrorClass, Explained};
use serde::Serialize;
use serde::ser::{SerializeStruct, Serializer};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// The most mistakes that are collected from one file; what goes beyond is counted.
pub const MISTAKES_MAX: usize = 50;

/// A place in a text: bytes from `start` up to, not including, `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Span {
    /// The first byte.
    pub start: usize,
    /// The byte after the last one.
    pub end: usize,
}

impl From<Range<usize>> for Span {
    fn from(range: Range<usize>) -> Self {
        Self { start: range.start, end: range.end }
    }
}

/// A place in a text for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Position {
    /// Counted from 1.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
}

/// Another place that belongs to a mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Related {
    /// Where.
    pub span: Span,
    /// What is there, in a few words.
    pub label: String,
}

/// One mistake in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mistake {
    /// The name of its [`Code`].
    pub code: &'static str,
    /// What is wrong, in one sentence without a full stop.
    pub message: String,
    /// Where. `None`: the file as a whole.
    pub span: Option<Span>,
    /// What is at that place, in a few words; may be empty.
    pub label: String,
    /// Other places that belong to it.
    pub related: Vec<Related>,
    /// What to do, in one sentence without a full stop.
    pub fix: Option<String>,
}

impl Mistake {
    /// A mistake of the file as a whole.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code: code.name,
            message: message.into(),
            span: None,
            label: String::new(),
            related: Vec::new(),
            fix: None,
        }
    }

    /// The same at a place. `None` leaves the place as it was.
    #[must_use]
    pub fn at(mut self, span: impl Into<Option<Span>>, label: impl Into<String>) -> Self {
        if let Some(span) = span.into() {
            self.span = Some(span);
            self.label = label.into();
        }
        self
    }

    /// The same with another place that belongs to it.
    #[must_use]
    pub fn with_related(mut self, span: Span, label: impl Into<String>) -> Self {
        self.related.push(Related { span, label: label.into() });
        self
    }

    /// The same with what to do.
    #[must_use]
    pub fn with_fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }
}

/// A file's name and what it says; kept for showing places in it.
#[derive(Debug)]
pub(crate) struct SourceText {
    pub(crate) file: String,
    pub(crate) text: String,
}

impl SourceText {
    pub(crate) fn new(file: &str, text: &str) -> Arc<Self> {
        Arc::new(Self { file: file.to_owned(), text: text.to_owned() })
    }

    /// The same with asterisks at these places, so that all other places stay where they are.
    pub(crate) fn without(self: &Arc<Self>, hidden: &[Span]) -> Arc<Self> {
        if hidden.is_empty() {
            return Arc::clone(self);
        }
        let mut mask = vec![false; self.text.len()];
        for span in hidden {
            mask.get_mut(span.start..span.end).into_iter().for_each(|part| part.fill(true));
        }
        let mut text = String::with_capacity(self.text.len());
        for (at, c) in self.text.char_indices() {
            if c == '\n' || !mask[at] { text.push(c) } else { text.extend(std::iter::repeat_n('*', c.len_utf8())) }
        }
        Arc::new(Self { file: self.file.clone(), text })
    }

    /// The same place, moved inside the text and to the borders of characters.
    pub(crate) fn clamp(&self, span: Span) -> Span {
        let start = self.text.floor_char_boundary(span.start);
        let end = self.text.ceil_char_boundary(span.end.min(self.text.len())).max(start);
        Span { start, end }
    }

    pub(crate) fn position(&self, byte: usize) -> Position {
        let before = &self.text[..self.text.floor_char_boundary(byte)];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Position {
            line: before.bytes().filter(|&b| b == b'\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

/// All mistakes of one file, in the order of their places; at least one. Serialises to
/// `{ file, mistakes: [{ code, message, place, related, fix }], left_out }`, where a place is
/// `{ bytes: { start, end }, start: { line, column }, end: { line, column }, label }`; what is not there is left out.
#[derive(Debug, Clone)]
pub struct Mistakes {
    source: Arc<SourceText>,
    list: Vec<Mistake>,
    left_out: usize,
}

impl Mistakes {
    /// `Ok` if there are no mistakes.
    pub(crate) fn check(source: &Arc<SourceText>, list: Vec<Mistake>) -> Result<(), Self> {
        if list.is_empty() { Ok(()) } else { Err(Self::new(source, list)) }
    }

    pub(crate) fn new(source: &Arc<SourceText>, mut list: Vec<Mistake>) -> Self {
        list.sort_by_key(|mistake| mistake.span);
        let left_out = list.len().saturating_sub(MISTAKES_MAX);
        list.truncate(MISTAKES_MAX);
        Self { source: Arc::clone(source), list, left_out }
    }

    /// The name of the file, as it was given.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.source.file
    }

    /// The mistakes, at most [`MISTAKES_MAX`].
    #[must_use]
    pub fn list(&self) -> &[Mistake] {
        &self.list
    }

    /// The mistakes, to be reported together with others of the same file.
    #[must_use]
    pub fn into_list(self) -> Vec<Mistake> {
        self.list
    }

    /// How many mistakes were found beyond those of the list.
    #[must_use]
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// Where a mistake begins.
    #[must_use]
    pub fn position(&self, mistake: &Mistake) -> Option<Position> {
        mistake.span.map(|span| self.source.position(span.start))
    }

    pub(crate) fn source(&self) -> &SourceText {
        &self.source
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.list.len() + self.left_out;
        let Some(first) = self.list.first() else {
            return write!(f, "checking {}: no mistakes", self.source.file);
        };
        write!(f, "checking {}: ", self.source.file)?;
        if count > 1 {
            write!(f, "{count} mistakes; the first: ")?;
        }
        if let Some(Position { line, column }) = self.position(first) {
            write!(f, "line {line}, column {column}: ")?;
        }
        f.write_str(&first.message)
    }
}

impl std::error::Error for Mistakes {}

impl Explained for Mistakes {
    /// The code that all mistakes share, or else `config-mistakes`.
    fn code(&self) -> &'static str {
        match self.list.first() {
            Some(first) if self.list.iter().all(|mistake| mistake.code == first.code) => first.code,
            _ => codes::MISTAKES.name,
        }
    }

    fn class(&self) -> ErrorClass {
        ErrorClass::InvalidInput
    }

    fn fix(&self) -> Option<String> {
        match self.list.as_slice() {
            [one] => one.fix.clone(),
            _ => Some(format!("correct {} at the places shown, then check again", self.source.file)),
        }
    }
}

impl Serialize for Mistakes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Place<'a> {
            bytes: Span,
            start: Position,
            end: Position,
            #[serde(skip_serializing_if = "str::is_empty")]
            label: &'a str,
        }
        #[derive(Serialize)]
        struct Entry<'a> {
            code: &'a str,
            message: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            place: Option<Place<'a>>,
            #[serde(skip_serializing_if = "Vec::is_empty")]
            related: Vec<Place<'a>>,
            #[serde(skip_serializing_if = "Option::is_none")]
            fix: Option<&'a str>,
        }
        let place = |span: Span, label| Place {
            bytes: span,
            start: self.source.position(span.start),
            end: self.source.position(span.end),
            label,
        };
        let entries: Vec<Entry<'_>> = self
            .list
            .iter()
            .map(|mistake| Entry {
                code: mistake.code,
                message: &mistake.message,
                place: mistake.span.map(|span| place(span, &mistake.label)),
                related: mistake.related.iter().map(|related| place(related.span, &related.label)).collect(),
                fix: mistake.fix.as_deref(),
            })
            .collect();
        let mut out = serializer.serialize_struct("Mistakes", 3)?;
        out.serialize_field("file", &self.source.file)?;
        out.serialize_field("mistakes", &entries)?;
        out.serialize_field("left_out", &self.left_out)?;
        out.end()
    }
}
