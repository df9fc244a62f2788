//! Text for people: foreign text made harmless, numbers, times, paths, commands, tables.

use comfy_table::{CellAlignment, Color, ContentArrangement, Table as Layout, presets};
use crossdock::{Status, Timestamp, is_unfit, redact, redact_json};
use std::borrow::Cow;
use std::fmt::Write as _;

/// Foreign text on one line, without secrets: whatever would steer a terminal, break the line, reorder or hide
/// something in it is written as an escape.
/// Everything that comes from records, plugins, files or other systems goes through here or [`clean_lines`].
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    escape(text, false)
}

/// The same, with line breaks and tabs left as they are.
pub(crate) fn clean_lines(text: &str) -> Cow<'_, str> {
    escape(text, true)
}

fn escape(text: &str, lines: bool) -> Cow<'_, str> {
    // First, while it stands as it was written: what is shown of it may be broken into lines or cut short.
    let text = redact(text);
    let is_bad = |c: char| is_unfit(c) && !(lines && matches!(c, '\n' | '\t'));
    if !text.contains(is_bad) {
        return text;
    }
    let mut out = String::with_capacity(text.len() + 16);
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        if lines && c == '\r' && rest.peek() == Some(&'\n') {
            continue;
        }
        if is_bad(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    Cow::Owned(out)
}

/// A JSON document without secrets, in which unfit characters are written as JSON's own escapes: it says the same, and
/// steers no terminal that it is shown on.
pub(crate) fn json_text(mut value: serde_json::Value) -> String {
    redact_json(&mut value);
    let text = format!("{value:#}");
    let is_bad = |c: char| is_unfit(c) && c != '\n';
    if !text.contains(is_bad) {
        return text;
    }
    let mut out = String::with_capacity(text.len() + 64);
    for c in text.chars() {
        if is_bad(c) {
            // Such a character stands only within a string; one beyond U+FFFF is a pair there.
            c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| {
                let _ = write!(out, "\\u{unit:04x}");
            });
        } else {
            out.push(c);
        }
    }
    out
}

/// Every line moved to the right.
pub(crate) fn indent(text: &str, by: usize) -> String {
    let mut out = String::new();
    for line in text.lines() {
        if line.is_empty() {
            out.push('\n');
        } else {
            let _ = writeln!(out, "{:by$}{line}", "");
        }
    }
    out
}

/// A number with commas between thousands.
pub(crate) fn number(n: impl Into<i128>) -> String {
    let n: i128 = n.into();
    let digits = n.unsigned_abs().to_string();
    let mut out = String::from(if n < 0 { "-" } else { "" });
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A number of things: `1 record`, `2 records`.
pub(crate) fn count(n: impl Into<i128>, thing: &str) -> String {
    let n: i128 = n.into();
    format!("{} {thing}{}", number(n), if n == 1 { "" } else { "s" })
}

/// A time in RFC 3339, UTC, to the millisecond.
pub(crate) fn time(at: Timestamp) -> String {
    precise(at, 3)
}

/// A time in RFC 3339, UTC, to the second.
pub(crate) fn time_s(at: Timestamp) -> String {
    precise(at, 0)
}

fn precise(at: Timestamp, digits: usize) -> String {
    match jiff::Timestamp::from_millisecond(at.0) {
        Ok(at) => format!("{at:.digits$}"),
        // Beyond the year 9999: no clock gives that, a damaged ledger may.
        Err(_) => format!("{} ms after 1970", at.0),
    }
}

/// How long something took or lasts.
pub(crate) fn span(ms: u64) -> String {
    let s = ms / 1_000;
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{s}.{} s", ms % 1_000 / 100),
        60_000..3_600_000 => format!("{} min {} s", s / 60, s % 60),
        3_600_000..172_800_000 => format!("{} h {} min", s / 3_600, s % 3_600 / 60),
        _ => format!("{} days {} h", s / 86_400, s % 86_400 / 3_600),
    }
}

/// Bytes in a unit that suits.
pub(crate) fn bytes(n: u64) -> String {
    let tenths = |unit: u64| format!("{}.{}", n / unit, n % unit * 10 / unit);
    match n {
        0..1_024 => count(n, "byte"),
        1_024..1_048_576 => format!("{} KiB", tenths(1_024)),
        1_048_576..1_073_741_824 => format!("{} MiB", tenths(1_048_576)),
        _ => format!("{} GiB", tenths(1_073_741_824)),
    }
}

/// A word of a command as it has to be typed into a shell.
pub(crate) fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:@%+=,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    if word.contains(is_unfit) {
        // Every shell of today knows this form; the plain one would carry the characters into the terminal.
        let mut out = String::from("$'");
        for c in word.chars() {
            match c {
                '\'' | '\\' => out.extend(['\\', c]),
                c if is_unfit(c) => c.to_string().bytes().for_each(|byte| {
                    let _ = write!(out, "\\x{byte:02x}");
                }),
                c => out.push(c),
            }
        }
        out.push('\'');
        return out;
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Colours, if they are wanted.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Paint {
    /// Whether they are.
    pub(crate) color: bool,
}

impl Paint {
    fn wrap(self, code: &str, text: &str) -> String {
        if self.color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    pub(crate) fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    pub(crate) fn dim(self, text: &str) -> String {
        self.wrap("2", text)
    }

    pub(crate) fn error(self, text: &str) -> String {
        self.wrap("1;31", text)
    }

    /// Green for what is well, red for what is not, yellow for what is between.
    pub(crate) fn mood(self, mood: Mood, text: &str) -> String {
        match mood {
            Mood::Good => self.wrap("32", text),
            Mood::Bad => self.wrap("31", text),
            Mood::Between => self.wrap("33", text),
            Mood::Plain => text.to_owned(),
        }
    }
}

/// How a word is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    Good,
    Bad,
    Between,
    Plain,
}

/// How a status is meant.
pub(crate) fn mood(status: Status) -> Mood {
    match status {
        Status::Ok => Mood::Good,
        Status::Failed | Status::Rejected | Status::RollbackFailed => Mood::Bad,
        Status::Indeterminate | Status::Pending | Status::New | Status::Processing | Status::RollingBack => {
            Mood::Between
        }
        _ => Mood::Plain,
    }
}

/// A cell of a table.
pub(crate) struct Cell {
    text: String,
    mood: Mood,
}

impl Cell {
    /// Foreign or own text.
    pub(crate) fn new(text: impl AsRef<str>) -> Self {
        Self { text: clean(text.as_ref()).into_owned(), mood: Mood::Plain }
    }

    /// Text that is meant well or not.
    pub(crate) fn with(mood: Mood, text: impl AsRef<str>) -> Self {
        Self { mood, ..Self::new(text) }
    }
}

/// A table: without lines, a heading over each column.
pub(crate) struct Table {
    layout: Layout,
    paint: Paint,
}

impl Table {
    /// `width` is that of the terminal: longer text is broken. Without it, each line stays one line.
    pub(crate) fn new(headings: &[&str], width: Option<u16>, paint: Paint) -> Self {
        let mut layout = Layout::new();
        layout.load_style(presets::NOTHING).force_no_tty();
        match width {
            Some(width) => layout.set_width(width).set_content_arrangement(ContentArrangement::Dynamic),
            None => layout.set_content_arrangement(ContentArrangement::Disabled),
        };
        if paint.color {
            layout.enforce_styling();
        }
        layout.set_header(headings.iter().map(|heading| {
            let cell = comfy_table::Cell::new(heading.to_uppercase());
            if paint.color { cell.add_attribute(comfy_table::Attribute::Dim) } else { cell }
        }));
        Self { layout, paint }
    }

    /// Numbers in this column stand at the right.
    pub(crate) fn right(mut self, column: usize) -> Self {
        if let Some(column) = self.layout.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        self
    }

    pub(crate) fn add(&mut self, cells: Vec<Cell>) {
        self.layout.add_row(cells.into_iter().map(|cell| {
            let shown = comfy_table::Cell::new(cell.text);
            match cell.mood {
                _ if !self.paint.color => shown,
                Mood::Good => shown.fg(Color::DarkGreen),
                Mood::Bad => shown.fg(Color::DarkRed),
                Mood::Between => shown.fg(Color::DarkYellow),
                Mood::Plain => shown,
            }
        }));
    }

    /// The lines, moved to the right.
    pub(crate) fn render(mut self, by: usize) -> String {
        for column in self.layout.column_iter_mut() {
            column.set_padding((0, 2));
        }
        let mut out = String::new();
        for line in self.layout.lines() {
            let _ = writeln!(out, "{:by$}{}", "", line.trim_end());
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_cannot_steer_the_terminal() {
        let check = |text: &str, expected: &str| assert_eq!(clean(text), expected);
        check("plain, ünïcode 漢字", "plain, ünïcode 漢字");
        check("\x1b[31mred\x07", "\\u{1b}[31mred\\u{7}");
        check("a\r\nb\tc\0", "a\\r\\nb\\tc\\u{0}");
        check("\u{9b}2J", "\\u{9b}2J");
        check("a\u{202e}b\u{2066}c\u{feff}", "a\\u{202e}b\\u{2066}c\\u{feff}");
        check("a\u{2028}b\u{e0041}", "a\\u{2028}b\\u{e0041}");
        assert_eq!(clean_lines("a\r\n\tb\x1b\rc"), "a\n\tb\\u{1b}\\rc");
    }

    #[test]
    fn documents_say_the_same_and_steer_nothing() {
        let value = serde_json::json!({ "a\u{202e}": ["\u{9b}2J\u{7f}\u{1b}", "x\ny", "\u{e0041}😀"], "n": 1.5 });
        let text = json_text(value.clone());
        assert!(!text.contains(|c: char| is_unfit(c) && c != '\n'), "{text:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).ok(), Some(value));
        assert_eq!(json_text(serde_json::json!({ "a": [1] })), "{\n  \"a\": [\n    1\n  ]\n}");
    }

    #[test]
    fn numbers_and_units() {
        let check = |found: String, expected: &str| assert_eq!(found, expected);
        check(number(0), "0");
        check(number(999), "999");
        check(number(6_919), "6,919");
        check(number(-1_234_567), "-1,234,567");
        check(number(u64::MAX), "18,446,744,073,709,551,615");
        check(count(1, "record"), "1 record");
        check(count(2_000, "record"), "2,000 records");
        check(span(7), "7 ms");
        check(span(12_345), "12.3 s");
        check(span(61_000), "1 min 1 s");
        check(span(7_260_000), "2 h 1 min");
        check(span(200_000_000), "2 days 7 h");
        check(bytes(1), "1 byte");
        check(bytes(1_536), "1.5 KiB");
        check(bytes(10 * 1_048_576), "10.0 MiB");
        check(time(Timestamp(1_000_000_000_020)), "2001-09-09T01:46:40.020Z");
        check(time_s(Timestamp(1_000_000_000_999)), "2001-09-09T01:46:40Z");
        check(time(Timestamp(i64::MAX)), "9223372036854775807 ms after 1970");
    }

    #[test]
    fn commands_can_be_typed() {
        let check = |word: &str, expected: &str| assert_eq!(quote(word), expected);
        check("00111/19970102", "00111/19970102");
        check("", "''");
        check("a b", "'a b'");
        check("it's", r"'it'\''s'");
        check("$(rm)", "'$(rm)'");
        check("é", "'é'");
        check("a\nb'", r"$'a\x0ab\''");
        check("\u{9b}", r"$'\xc2\x9b'");
    }

    #[test]
    fn tables_stay_one_line_a_record_without_a_terminal() {
        let mut table = Table::new(&["id", "n"], None, Paint::default()).right(1);
        table.add(vec![Cell::new("a long text ".repeat(20)), Cell::new("1")]);
        table.add(vec![Cell::new("x\ny"), Cell::new("20")]);
        let text = table.render(2);
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(text.lines().all(|line| line.starts_with("  ") && !line.ends_with(' ')), "{text}");
        assert!(text.contains("x\\ny"), "{text}");
    }

    #[test]
    fn tables_keep_to_the_width_of_a_terminal() {
        let mut table = Table::new(&["id", "message"], Some(40), Paint { color: true });
        table.add(vec![Cell::with(Mood::Bad, "a"), Cell::new("a long text ".repeat(20))]);
        let text = table.render(0);
        assert!(text.lines().count() > 3, "{text}");
        assert!(text.contains("\x1b["), "{text}");
    }
}
