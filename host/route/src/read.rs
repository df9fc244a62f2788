//! Reading TOML key by key, noting every mistake and going on.

use crate::codes;
use crate::mistake::{Mistake, Mistakes, SourceText, Span};
use crate::units;
use std::sync::Arc;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The longest part of a file's own words that a message repeats, in characters.
const SHOWN_MAX: usize = 64;

/// A value, with the place where it was written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct At<T> {
    pub(crate) value: T,
    pub(crate) span: Span,
}

/// The mistakes found so far in one text.
pub(crate) struct Notes<'t> {
    text: &'t str,
    list: Vec<Mistake>,
    hidden: Vec<Span>,
}

impl<'t> Notes<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        Self { text, list: Vec::new(), hidden: Vec::new() }
    }

    pub(crate) fn add(&mut self, mistake: Mistake) {
        self.list.push(mistake);
    }

    /// What stands here may be a secret, and is not shown when mistakes are.
    pub(crate) fn hide(&mut self, span: Span) {
        self.hidden.push(span);
    }

    /// What was made of the text, if there are no mistakes in it. Whoever made nothing noted why.
    pub(crate) fn settle<T>(self, source: &Arc<SourceText>, made: Option<T>) -> Result<T, Mistakes> {
        match (made, self.list.as_slice()) {
            (Some(made), []) => Ok(made),
            _ => Err(Mistakes::new(&source.without(&self.hidden), self.list)),
        }
    }

    /// A place without its lines after the first, so that a table is shown by how it begins.
    pub(crate) fn first_line(&self, span: Span) -> Span {
        let line = self.text.get(span.start..span.end).and_then(|text| text.lines().next());
        line.map_or(span, |line| Span { start: span.start, end: span.start + line.len() })
    }
}

/// A value under its key.
#[derive(Clone, Copy)]
pub(crate) struct Node<'a, 'i> {
    pub(crate) key: &'a str,
    pub(crate) value: &'a Spanned<DeValue<'i>>,
    /// It is one of several in a list under the key.
    pub(crate) listed: bool,
}

impl<'a, 'i> Node<'a, 'i> {
    pub(crate) fn span(self) -> Span {
        self.value.span().into()
    }

    /// The value, for messages.
    pub(crate) fn title(self) -> String {
        let key = shown(self.key);
        if self.listed { format!("an entry of `{key}`") } else { format!("`{key}`") }
    }

    pub(crate) fn wrong_type(self, notes: &mut Notes<'_>, wanted: &str, fix: impl Into<String>) {
        let found = match self.value.get_ref() {
            DeValue::String(_) => "text",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a number",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date or time",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        let message = format!("{} must be {wanted}", self.title());
        let span = notes.first_line(self.span());
        notes.add(Mistake::new(codes::WRONG_TYPE, message).at(span, format!("this is {found}")).with_fix(fix));
    }

    pub(crate) fn bad_value(self, notes: &mut Notes<'_>, message: String, label: &str, fix: impl Into<String>) {
        let span = notes.first_line(self.span());
        notes.add(Mistake::new(codes::BAD_VALUE, message).at(span, label).with_fix(fix));
    }

    /// The table at this place.
    pub(crate) fn table(self, notes: &mut Notes<'_>, example: &str) -> Option<&'a DeTable<'i>> {
        let DeValue::Table(table) = self.value.get_ref() else {
            self.wrong_type(notes, "a table", format!("write it as a table, for example {example}"));
            return None;
        };
        Some(table)
    }
}

/// A part of the file's own words for a message: cut if it is long, and with nothing in it that could do
/// something to a terminal or to the order of the text around it.
pub(crate) fn shown(text: &str) -> String {
    let mut out = String::new();
    for (count, c) in text.chars().enumerate() {
        if count == SHOWN_MAX {
            out.push('…');
            break;
        }
        match c {
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                out.extend(c.escape_unicode());
            }
            c if c.is_control() => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
    }
    out
}

/// The known name that comes closest to a written one, if one comes close.
pub(crate) fn closest<'k>(written: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let written = shown(written).to_lowercase();
    let (distance, name) = known
        .into_iter()
        .map(|name| (strsim::osa_distance(&written, &name.to_lowercase()), name))
        .min_by_key(|(distance, _)| *distance)?;
    (distance <= (name.chars().count() / 3).max(1)).then_some(name)
}

/// "did you mean …" in front of the names that are expected.
pub(crate) fn expected(written: &str, what: &str, known: &[&str]) -> String {
    let names = known.join(", ");
    match closest(written, known.iter().copied()) {
        Some(name) => format!("did you mean `{name}`? {what}: {names}"),
        None => format!("{what}: {names}"),
    }
}

/// A table that is being read. Every key that is asked for is known; `finish` refuses all others.
pub(crate) struct Fields<'a, 'i, 'n, 't> {
    /// What the table is, for messages, for example "a step".
    what: &'a str,
    table: &'a DeTable<'i>,
    /// Where a missing key is shown.
    place: Option<Span>,
    known: Vec<&'static str>,
    seen: Vec<&'static str>,
    elsewhere: Option<(&'static [&'static str], &'static str)>,
    pub(crate) notes: &'n mut Notes<'t>,
}

impl<'a, 'i, 'n, 't> Fields<'a, 'i, 'n, 't> {
    pub(crate) fn new(what: &'a str, table: &'a DeTable<'i>, place: Option<Span>, notes: &'n mut Notes<'t>) -> Self {
        let place = place.map(|span| notes.first_line(span));
        Self { what, table, place, known: Vec::new(), seen: Vec::new(), elsewhere: None, notes }
    }

    fn take(&mut self, key: &'static str) -> Option<Node<'a, 'i>> {
        self.known.push(key);
        let (written, value) = self.table.get_key_value(key)?;
        Some(Node { key: written.get_ref(), value, listed: false })
    }

    /// A key that may be there.
    pub(crate) fn optional<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(Node<'a, 'i>, &mut Notes<'t>) -> Option<T>,
    ) -> Option<At<T>> {
        let node = self.take(key)?;
        let value = read(node, self.notes)?;
        Some(At { value, span: node.span() })
    }

    /// A key that must be there; `example` shows how it is written.
    pub(crate) fn required<T>(
        &mut self,
        key: &'static str,
        example: &str,
        read: impl FnOnce(Node<'a, 'i>, &mut Notes<'t>) -> Option<T>,
    ) -> Option<At<T>> {
        if !self.table.contains_key(key) {
            self.known.push(key);
            self.missing(key, format!("add {example}"));
            return None;
        }
        self.optional(key, read)
    }

    /// Notes that a key must be there and is not.
    pub(crate) fn missing(&mut self, key: &str, fix: String) {
        let message = format!("{} has no `{key}`", self.what);
        let label = if self.place.is_some() { format!("`{key}` is missing here") } else { String::new() };
        self.notes.add(Mistake::new(codes::MISSING_KEY, message).at(self.place, label).with_fix(fix));
    }

    /// A key that is known and that this version refuses.
    pub(crate) fn refuse(&mut self, key: &'static str, refusal: impl FnOnce(Span) -> Mistake) {
        if let Some((written, _)) = self.table.get_key_value(key) {
            self.seen.push(key);
            self.notes.add(refusal(written.span().into()));
        }
    }

    /// Keys that belong into another table, and what to do with them.
    pub(crate) fn elsewhere(&mut self, keys: &'static [&'static str], fix: &'static str) {
        self.elsewhere = Some((keys, fix));
    }

    /// All keys in the order in which they are written; for tables whose keys are names.
    pub(crate) fn entries(table: &'a DeTable<'i>) -> Vec<(At<&'a str>, Node<'a, 'i>)> {
        let mut entries: Vec<_> = table
            .iter()
            .map(|(key, value)| {
                let name: &str = key.get_ref();
                (At { value: name, span: key.span().into() }, Node { key: name, value, listed: false })
            })
            .collect();
        entries.sort_by_key(|(key, _)| key.span);
        entries
    }

    /// Refuses the keys that nobody asked for.
    pub(crate) fn finish(self) {
        for (key, _) in Self::entries(self.table) {
            if self.known.contains(&key.value) || self.seen.contains(&key.value) {
                continue;
            }
            let fix = match self.elsewhere {
                Some((keys, fix)) if keys.contains(&key.value) => fix.to_owned(),
                _ => expected(key.value, &format!("{} may have", self.what), &self.known),
            };
            let message = format!("unknown key `{}` in {}", shown(key.value), self.what);
            self.notes.add(Mistake::new(codes::UNKNOWN_KEY, message).at(key.span, "unknown key").with_fix(fix));
        }
    }
}

/// Text that is not empty.
pub(crate) fn text(node: Node<'_, '_>, notes: &mut Notes<'_>) -> Option<String> {
    let DeValue::String(text) = node.value.get_ref() else {
        node.wrong_type(notes, "text", "write it in quotes");
        return None;
    };
    if text.is_empty() || text.chars().any(char::is_control) {
        let message = format!("{} must be text without control characters, and not empty", node.title());
        node.bad_value(notes, message, "", "write at least one printable character");
        return None;
    }
    Some(text.to_string())
}

/// `true` or `false`.
pub(crate) fn flag(node: Node<'_, '_>, notes: &mut Notes<'_>) -> Option<bool> {
    match node.value.get_ref() {
        DeValue::Boolean(flag) => Some(*flag),
        _ => {
            node.wrong_type(notes, "true or false", "write true or false, without quotes");
            None
        }
    }
}

/// A whole number within bounds.
pub(crate) fn number<N>(min: N, max: N) -> impl Fn(Node<'_, '_>, &mut Notes<'_>) -> Option<N>
where
    N: TryFrom<u64> + Into<u64> + Copy,
{
    move |node, notes| {
        let fix = match (min.into(), max.into()) {
            (min, max) if max < u64::from(u32::MAX) => format!("write a whole number from {min} to {max}"),
            (min, _) => format!("write a whole number, at least {min}"),
        };
        let DeValue::Integer(written) = node.value.get_ref() else {
            node.wrong_type(notes, "a whole number", fix);
            return None;
        };
        let number = u64::from_str_radix(written.as_str(), written.radix()).ok();
        match number.filter(|n| (min.into()..=max.into()).contains(n)).and_then(|n| N::try_from(n).ok()) {
            Some(number) => Some(number),
            None => {
                let message = format!("`{}` is out of bounds", node.key);
                node.bad_value(notes, message, "out of bounds", fix);
                None
            }
        }
    }
}

/// A number from 0 to 1.
pub(crate) fn ratio(node: Node<'_, '_>, notes: &mut Notes<'_>) -> Option<f64> {
    let fix = "write a number from 0 to 1, for example 0.05";
    decimal(node, notes, (0.0, 1.0), "is a share of all records, from 0 to 1", fix)
}

/// A number within bounds; `what` says what it is, after its name.
pub(crate) fn decimal(
    node: Node<'_, '_>,
    notes: &mut Notes<'_>,
    (min, max): (f64, f64),
    what: &str,
    fix: &str,
) -> Option<f64> {
    let written = match node.value.get_ref() {
        DeValue::Float(number) => number.as_str().parse::<f64>().ok(),
        DeValue::Integer(number) => u32::from_str_radix(number.as_str(), number.radix()).ok().map(f64::from),
        _ => {
            node.wrong_type(notes, "a number", fix);
            return None;
        }
    };
    let number = written.filter(|number| (min..=max).contains(number));
    if number.is_none() {
        node.bad_value(notes, format!("`{}` {what}", node.key), "out of bounds", fix);
    }
    number
}

/// A duration in milliseconds, within bounds.
pub(crate) fn duration(min_ms: u64, max_ms: u64) -> impl Fn(Node<'_, '_>, &mut Notes<'_>) -> Option<u64> {
    measure("a duration", units::duration_ms, units::show_ms, "30s", min_ms, max_ms)
}

/// How long something is kept, in milliseconds; `None`: for ever.
pub(crate) fn age(node: Node<'_, '_>, notes: &mut Notes<'_>) -> Option<Option<u64>> {
    if matches!(node.value.get_ref(), DeValue::String(written) if written == units::NEVER) {
        return Some(None);
    }
    let what = "\"never\" or a duration";
    let read = measure(what, units::age_ms, units::show_ms, "90d", units::AGE_MIN_MS, units::AGE_MAX_MS);
    read(node, notes).map(Some)
}

/// A size in bytes, within bounds.
pub(crate) fn size(min_bytes: u64, max_bytes: u64) -> impl Fn(Node<'_, '_>, &mut Notes<'_>) -> Option<u64> {
    measure("a size", units::size_bytes, units::show_bytes, "64MiB", min_bytes, max_bytes)
}

fn measure(
    what: &'static str,
    parse: fn(&str) -> Result<u64, String>,
    show: fn(u64) -> String,
    example: &'static str,
    min: u64,
    max: u64,
) -> impl Fn(Node<'_, '_>, &mut Notes<'_>) -> Option<u64> {
    move |node, notes| {
        let fix = format!("write {what} from \"{}\" to \"{}\"", show(min), show(max));
        let written = match node.value.get_ref() {
            DeValue::String(written) => written,
            DeValue::Integer(_) => {
                let fix = format!("write it in quotes and with a unit, for example \"{example}\"");
                node.wrong_type(notes, &format!("{what} as text"), fix);
                return None;
            }
            _ => {
                node.wrong_type(notes, &format!("{what} as text"), fix);
                return None;
            }
        };
        let problem = match parse(written) {
            Ok(number) if (min..=max).contains(&number) => return Some(number),
            Ok(_) => "out of bounds".to_owned(),
            Err(problem) => problem,
        };
        node.bad_value(notes, format!("`{}` must be {what}", node.key), &problem, fix);
        None
    }
}

/// One of a few words.
pub(crate) trait Word: Copy + 'static {
    /// The words and what they mean.
    const WORDS: &'static [(&'static str, Self)];
    /// Words that are known and that this version refuses, with the reason.
    const NOT_YET: &'static [(&'static str, &'static str)] = &[];
}

/// One of the words of `W`.
pub(crate) fn word<W: Word>(node: Node<'_, '_>, notes: &mut Notes<'_>) -> Option<W> {
    let names: Vec<&str> = W::WORDS.iter().map(|(word, _)| *word).collect();
    let quoted = format!("\"{}\"", names.join("\", \""));
    let one_of = if names.len() == 1 { quoted } else { format!("one of {quoted}") };
    let DeValue::String(written) = node.value.get_ref() else {
        node.wrong_type(notes, &one_of, format!("write {one_of}"));
        return None;
    };
    if let Some((_, value)) = W::WORDS.iter().find(|(word, _)| word == written) {
        return Some(*value);
    }
    let not_yet = W::NOT_YET.iter().find(|(word, _)| word == written);
    notes.add(match not_yet {
        Some((word, reason)) => {
            Mistake::new(codes::NOT_AVAILABLE, format!("`{}` = {word:?} is not available in this version", node.key))
                .at(node.span(), *reason)
                .with_fix(format!("write {one_of}"))
        }
        None => Mistake::new(codes::BAD_VALUE, format!("`{}` cannot be {:?}", node.key, shown(written)))
            .at(node.span(), "unknown word")
            .with_fix(expected(written, "the words are", &names)),
    });
    None
}

/// A name of the model: route, step or plugin.
pub(crate) fn name<N: TryFrom<String, Error = crossdock_model::InvalidName>>(
    node: Node<'_, '_>,
    notes: &mut Notes<'_>,
) -> Option<N> {
    let DeValue::String(written) = node.value.get_ref() else {
        node.wrong_type(notes, "a name", "write the name in quotes");
        return None;
    };
    name_text(At { value: written, span: node.span() }, notes)
}

/// The same for a name that is a key.
pub(crate) fn name_text<N: TryFrom<String, Error = crossdock_model::InvalidName>>(
    written: At<&str>,
    notes: &mut Notes<'_>,
) -> Option<N> {
    match N::try_from(written.value.to_owned()) {
        Ok(name) => Some(name),
        Err(invalid) => {
            let message = format!("{:?} cannot be {}", shown(written.value), invalid.what);
            notes.add(
                Mistake::new(codes::BAD_VALUE, message)
                    .at(written.span, "not a name")
                    .with_fix("use 1 to 64 characters of a-z, 0-9 and -, starting with a letter"),
            );
            None
        }
    }
}

/// A list, each entry read by `read`. All entries are looked at; those with mistakes are left out.
pub(crate) fn list<'a, 'i, T>(
    node: Node<'a, 'i>,
    notes: &mut Notes<'_>,
    example: &str,
    mut read: impl FnMut(Node<'a, 'i>, &mut Notes<'_>) -> Option<T>,
) -> Option<Vec<At<T>>> {
    let DeValue::Array(entries) = node.value.get_ref() else {
        node.wrong_type(notes, "a list", format!("write it in brackets, for example {example}"));
        return None;
    };
    let read_one = |value| {
        let entry = Node { key: node.key, value, listed: true };
        read(entry, notes).map(|value| At { value, span: entry.span() })
    };
    Some(entries.iter().filter_map(read_one).collect())
}
