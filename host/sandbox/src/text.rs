//! Text from strangers: redacted, escaped, capped, in that order.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use std::fmt;
use std::fmt::Write as _;
use zeroize::Zeroize as _;

/// Text that came from a plugin or through it, fit to be stored and shown: no secret of the
/// instance, no control or direction-changing characters, not longer than it may be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PluginText(String);

impl PluginText {
    /// One line of at most `max_bytes`: line breaks are escaped too.
    #[must_use]
    pub fn line(text: &str, max_bytes: usize, redactor: &Redactor) -> Self {
        Self::new(text, max_bytes, redactor, |_| false)
    }

    /// Evidence of at most `max_bytes`: line breaks and tabs stay.
    #[must_use]
    pub fn lines(text: &str, max_bytes: usize, redactor: &Redactor) -> Self {
        Self::new(text, max_bytes, redactor, |c| matches!(c, '\n' | '\t'))
    }

    fn new(text: &str, max_bytes: usize, redactor: &Redactor, stays: fn(char) -> bool) -> Self {
        // Looking further than this would be paid for by the host alone; a secret that crosses the edge
        // is cut off with everything behind it, since the escaped text is never shorter than the raw one.
        let window = floor_char(text, max_bytes.saturating_add(redactor.longest));
        let clean = redactor.redact(&text[..window]);
        let mut out = String::with_capacity(clean.len().min(max_bytes));
        for c in clean.chars() {
            let before = out.len();
            if stays(c) || !is_unfit(c) {
                out.push(c);
            } else {
                // Writing to a String cannot fail.
                let _ = write!(out, "{}", c.escape_default());
            }
            if out.len() > max_bytes {
                out.truncate(before);
                break;
            }
        }
        Self(out)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }
}

impl fmt::Display for PluginText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn floor_char(text: &str, mut index: usize) -> usize {
    if index >= text.len() {
        return text.len();
    }
    while !text.is_char_boundary(index) {
        index -= 1;
    }
    index
}

/// Control characters, and those that change the direction or the lines of text around them.
fn is_unfit(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}' | '\u{feff}')
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Knows the secrets of an instance and replaces them in text, whichever way they are written:
/// plain, JSON-escaped, percent-encoded, base64 (at any alignment), hexadecimal.
#[derive(Default)]
pub struct Redactor {
    needles: Vec<(String, String)>,
    longest: usize,
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redactor({} forms)", self.needles.len())
    }
}

impl Drop for Redactor {
    fn drop(&mut self) {
        self.needles.iter_mut().for_each(|(form, _)| form.zeroize());
    }
}

impl Redactor {
    /// A redactor for these secrets: name and value.
    #[must_use]
    pub fn new<'a>(secrets: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        let mut needles = Vec::new();
        for (name, value) in secrets {
            let mark = format!("[secret {name}]");
            needles.extend(forms(value).into_iter().map(|form| (form, mark.clone())));
        }
        needles.retain(|(form, _)| !form.is_empty());
        // The longest first, so that one form within another leaves no rest behind.
        needles.sort_by(|a, b| b.0.len().cmp(&a.0.len()).then_with(|| a.cmp(b)));
        needles.dedup();
        let longest = needles.first().map_or(0, |(form, _)| form.len());
        Self { needles, longest }
    }

    /// The text with every known secret replaced by `[secret NAME]`.
    #[must_use]
    pub fn redact<'a>(&self, text: &'a str) -> std::borrow::Cow<'a, str> {
        let mut clean = std::borrow::Cow::Borrowed(text);
        for (form, mark) in &self.needles {
            if clean.contains(form.as_str()) {
                clean = std::borrow::Cow::Owned(clean.replace(form.as_str(), mark));
            }
        }
        clean
    }
}

fn forms(value: &[u8]) -> Vec<String> {
    let mut forms = Vec::new();
    if let Ok(plain) = std::str::from_utf8(value) {
        forms.push(plain.to_owned());
        forms.push(plain.escape_default().to_string());
        forms.push(plain.escape_debug().to_string());
        let json = serde_json::Value::from(plain).to_string();
        forms.push(json[1..json.len() - 1].to_owned());
        forms.push(url::form_urlencoded::byte_serialize(value).collect());
    }
    forms.push(value.iter().map(|b| percent(*b)).collect());
    // Short values would be found everywhere in these forms.
    if value.len() >= 4 {
        forms.push(value.iter().map(|b| format!("{b:02x}")).collect());
        forms.push(value.iter().map(|b| format!("{b:02X}")).collect());
        for shift in 0..3 {
            let mut padded = vec![0; shift];
            padded.extend_from_slice(value);
            // The first characters belong to what stands in front, the last one perhaps to what follows.
            let (from, whole) = ((shift * 8).div_ceil(6), padded.len() * 8 / 6);
            for encoded in [STANDARD_NO_PAD.encode(&padded), URL_SAFE_NO_PAD.encode(&padded)] {
                forms.push(encoded[from..whole].to_owned());
            }
        }
    }
    forms
}

fn percent(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
        char::from(byte).to_string()
    } else {
        format!("%{byte:02X}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "p\"w/ö 77+x";

    fn check(text: &str, max_bytes: usize, expected: &str) {
        let redactor = Redactor::new([("TOKEN", SECRET.as_bytes())]);
        assert_eq!(PluginText::line(text, max_bytes, &redactor).as_str(), expected, "{text:?}");
    }

    #[test]
    fn text_is_redacted_escaped_and_capped() {
        check("all is well", 100, "all is well");
        check("red \u{1b}[31m, bell \u{7}", 100, "red \\u{1b}[31m, bell \\u{7}");
        check("two\nlines", 100, "two\\nlines");
        check("left \u{202e}right", 100, "left \\u{202e}right");
        check("größer", 3, "gr");
        check("größer", 4, "grö");
        check("a\nb", 2, "a");
        check(&format!("Bearer {SECRET}!"), 100, "Bearer [secret TOKEN]!");
        check(&format!("{SECRET}{SECRET}"), 14, "[secret TOKEN]");
        check("q=p%22w%2F%C3%B6%2077%2Bx", 100, "q=[secret TOKEN]");
        check("q=p%22w%2F%C3%B6+77%2Bx", 100, "q=[secret TOKEN]");
        check(&serde_json::Value::from(SECRET).to_string(), 100, "\"[secret TOKEN]\"");
        check("7022772fc3b62037372b78", 100, "[secret TOKEN]");
    }

    #[test]
    fn base64_is_found_at_any_alignment() {
        let redactor = Redactor::new([("TOKEN", &b"a long enough secret"[..])]);
        for user in ["", "u", "us", "user"] {
            let text = base64::engine::general_purpose::STANDARD.encode(format!("{user}:a long enough secret"));
            let clean = redactor.redact(&text);
            assert!(clean.contains("[secret TOKEN]"), "{text} became {clean}");
        }
    }

    #[test]
    fn evidence_keeps_its_lines() {
        assert_eq!(PluginText::lines("a\n\tb\r", 100, &Redactor::default()).as_str(), "a\n\tb\\r");
    }
}
