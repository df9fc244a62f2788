//! Text from strangers: redacted, escaped, capped, in that order.

use crate::redact::Redactor;
use std::fmt;

/// Text that came from a plugin or through it, fit to be stored and shown: no known secret, no [unfit](is_unfit)
/// characters, not longer than it may be.
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
        let window = floor_char(text, max_bytes.saturating_add(redactor.longest()));
        let clean = redactor.redact(&text[..window]);
        // What stands at the edge may be the beginning of a secret, and what was redacted in front of it moved it up.
        let unknown = if window < text.len() { redactor.longest() } else { 0 };
        let known = floor_char(&clean, clean.len().saturating_sub(unknown));
        let mut out = String::with_capacity(known.min(max_bytes));
        let mut rest = &clean[..known];
        while let Some(at) = rest.find(|c| is_unfit(c) && !stays(c)) {
            let c = rest[at..].chars().next().unwrap_or_default();
            let escaped = c.escape_default();
            if out.len() + at + escaped.len() > max_bytes {
                rest = &rest[..at];
                break;
            }
            out.push_str(&rest[..at]);
            out.extend(escaped);
            rest = &rest[at + c.len_utf8()..];
        }
        out.push_str(&rest[..floor_char(rest, max_bytes.saturating_sub(out.len()))]);
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

/// Characters that foreign text must not have as they are: control characters, line and paragraph separators, and what
/// changes the direction of the text around it, hides, or hides something.
#[must_use]
pub fn is_unfit(c: char) -> bool {
    // Most characters are decided here.
    if matches!(c, ' '..='~') {
        return false;
    }
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{3164}')
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        || matches!(c, '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
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
        check("größer", 3, "gr");
        check("größer", 4, "grö");
        check("a\nb", 2, "a");
        check(&format!("Bearer {SECRET}!"), 100, "Bearer [secret TOKEN]!");
        check(&format!("{SECRET}{SECRET}"), 14, "[secret TOKEN]");
        // One that crosses the edge leaves nothing of itself, however it is written.
        let everything: String = SECRET.bytes().map(|b| format!("\\u{{{b:04x}}}")).collect();
        for secret in [SECRET, &SECRET.escape_unicode().to_string(), &SECRET.replace('w', "%77")] {
            check(&format!("12345678{secret} and more"), 10, "12345678[s");
        }
        check(&format!("1234{everything}"), 4, "1234");
    }

    #[test]
    fn what_was_redacted_brings_nothing_in_from_behind_the_edge() {
        let secret = "0123456789abcdefghijklmnopqrstuvwxyz-and-more";
        let redactor = Redactor::new([("TOKEN", secret.as_bytes())]);
        for gap in 0..secret.len() {
            let text = format!("{}{secret}", ".".repeat(gap)).repeat(1_000);
            let line = PluginText::line(&text, 8 << 10, &redactor);
            let rest = line.as_str().replace("[secret TOKEN]", "").replace('.', "");
            assert!("[secret TOKEN]".starts_with(&rest), "{gap}: {rest}");
        }
    }

    #[test]
    fn nothing_steers_a_terminal_or_breaks_a_line() {
        for (text, expected) in [
            ("red \u{1b}[31m, bell \u{7}", r"red \u{1b}[31m, bell \u{7}"),
            ("title \u{1b}]0;x\u{7}", r"title \u{1b}]0;x\u{7}"),
            ("C1 \u{9b}31m \u{90}", r"C1 \u{9b}31m \u{90}"),
            ("two\nlines", r"two\nlines"),
            ("all well\r\nERROR forged", r"all well\r\nERROR forged"),
            ("100 %\rgone", r"100 %\rgone"),
            ("back\u{8}\u{8}space \u{7f}", r"back\u{8}\u{8}space \u{7f}"),
            ("nul \0", r"nul \u{0}"),
            ("next\u{85}line \u{2028} \u{2029}", r"next\u{85}line \u{2028} \u{2029}"),
            ("left \u{202e}right \u{2066}x\u{2069} \u{200f}", r"left \u{202e}right \u{2066}x\u{2069} \u{200f}"),
            ("zero\u{200b}width\u{200d}\u{feff}\u{2060}\u{ad}", r"zero\u{200b}width\u{200d}\u{feff}\u{2060}\u{ad}"),
            ("tag \u{e0041}", r"tag \u{e0041}"),
            ("blank \u{3164}\u{115f}", r"blank \u{3164}\u{115f}"),
            // What a lone surrogate or other bytes that are no text became when they were read.
            ("\u{fffd}", "\u{fffd}"),
            ("<b>größer</b> 😀 日本語 \\n", "<b>größer</b> 😀 日本語 \\n"),
        ] {
            check(text, 200, expected);
        }
    }

    #[test]
    fn long_texts_cost_no_more_than_what_is_shown() {
        let (text, redactor) = ("x".repeat(8 << 20), Redactor::new([("TOKEN", SECRET.as_bytes())]));
        let begun = std::time::Instant::now();
        for _ in 0..1_000 {
            assert_eq!(PluginText::line(&text, 100, &redactor).as_str(), &text[..100]);
        }
        // Eight thousand million bytes, if they were all looked at.
        assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
    }

    #[test]
    fn evidence_keeps_its_lines() {
        assert_eq!(PluginText::lines("a\n\tb\r", 100, &Redactor::default()).as_str(), "a\n\tb\\r");
    }
}
