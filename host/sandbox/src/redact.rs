//! Finds secrets in texts, whichever way they are written, and puts their names in their places.

use crate::decode::{Decoded, decode};
use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::fmt::Write as _;

/// The shortest secret. A shorter one would be found in every other text, so that nothing could be read any more.
pub const SECRET_MIN_BYTES: usize = 4;
/// The shortest form of a secret that is found in an id by more than chance.
const CERTAIN_BYTES: usize = 8;
/// The shortest line of a secret of several lines, and the shortest value in one that is JSON, that is looked for by
/// itself.
const PART_MIN_BYTES: usize = 12;
/// Up to so many bytes of forms it is worth the time to make finding them quicker.
const COMPACT_MAX_BYTES: usize = 128 << 10;
/// How many layers of escapes are taken off a text, one after the other.
const LAYERS_MAX: usize = 3;
/// How many times longer than the secret a text can be that holds it, escaped twice over.
const ESCAPED_TIMES: usize = 12;

/// Knows secrets and replaces them in texts, whichever way they are written: plain, in the escapes of JSON, URLs and
/// HTML in any mixture and up to three layers deep, in base64 of both alphabets at any alignment (so within `Basic`
/// too), in hexadecimal; upper and lower case of ASCII letters are the same. Of a secret of several lines each line is
/// known as well, and of one that is JSON each longer value.
///
/// What it cannot find: a secret in pieces (over two texts, with something between its characters, or cut short), and
/// one that was encoded in another way. A plugin that is shown a secret can always hide it so.
#[derive(Default)]
pub struct Redactor {
    finder: Option<Finder>,
    longest: usize,
}

struct Finder {
    automaton: AhoCorasick,
    /// What is put in the place of each form, and whether it is found by more than chance.
    forms: Vec<(usize, bool)>,
    names: Vec<String>,
}

/// Where in a text a secret stands, and which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    start: usize,
    end: usize,
    name: usize,
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redactor({} forms)", self.finder.as_ref().map_or(0, |finder| finder.forms.len()))
    }
}

impl Redactor {
    /// A redactor for these secrets: name and value. Values of less than [`SECRET_MIN_BYTES`] are left out.
    #[must_use]
    pub fn new<'a>(secrets: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        let mut names = Vec::new();
        let mut known: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
        for (name, value) in secrets {
            if value.len() < SECRET_MIN_BYTES {
                continue;
            }
            let place = names.iter().position(|known| known == name).unwrap_or_else(|| {
                names.push(name.to_owned());
                names.len() - 1
            });
            for form in forms(value) {
                known.entry(form).or_insert(place);
            }
        }
        let bytes: usize = known.keys().map(Vec::len).sum();
        let longest = known.keys().map(Vec::len).max().unwrap_or(0).saturating_mul(ESCAPED_TIMES);
        let forms = known.iter().map(|(form, place)| (*place, form.len() >= CERTAIN_BYTES)).collect();
        // Building fails only for more than two thousand million bytes of secrets.
        let automaton = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::Standard)
            .kind((bytes > COMPACT_MAX_BYTES).then_some(AhoCorasickKind::NoncontiguousNFA))
            .build(known.keys())
            .ok()
            .filter(|_| !known.is_empty());
        Self { finder: automaton.map(|automaton| Finder { automaton, forms, names }), longest }
    }

    /// How far behind the place where a secret begins it may end, in bytes: a text is looked at so much further than
    /// it is shown.
    pub(crate) fn longest(&self) -> usize {
        self.longest
    }

    /// The text with every known secret replaced by `[secret NAME]`.
    #[must_use]
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match self.redact_bytes(text.as_bytes()) {
            Cow::Borrowed(_) => Cow::Borrowed(text),
            // A secret that is no text itself may be part of a character.
            Cow::Owned(clean) => Cow::Owned(
                String::from_utf8(clean).unwrap_or_else(|bad| String::from_utf8_lossy(bad.as_bytes()).into_owned()),
            ),
        }
    }

    /// The same for bytes, whatever they are.
    #[must_use]
    pub fn redact_bytes<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        let Some(finder) = &self.finder else { return Cow::Borrowed(bytes) };
        let spans = finder.spans(bytes);
        if spans.is_empty() {
            return Cow::Borrowed(bytes);
        }
        let mut clean = Vec::with_capacity(bytes.len());
        let mut at = 0;
        for span in spans {
            clean.extend_from_slice(&bytes[at..span.start]);
            clean.extend_from_slice(b"[secret ");
            clean.extend_from_slice(finder.names[span.name].as_bytes());
            clean.push(b']');
            at = span.end;
        }
        clean.extend_from_slice(&bytes[at..]);
        Cow::Owned(clean)
    }

    /// The name of a secret that these bytes hold by more than chance: in a form of at least eight bytes.
    #[must_use]
    pub fn held_by(&self, bytes: &[u8]) -> Option<&str> {
        let finder = self.finder.as_ref()?;
        let mut name = None;
        finder.each_layer(bytes, |layer, _| {
            let mut found = finder.automaton.find_overlapping_iter(layer).map(|found| finder.forms[found.pattern()]);
            name = name.or_else(|| found.find(|(_, certain)| *certain).map(|(name, _)| name));
        });
        name.and_then(|name| finder.names.get(name)).map(String::as_str)
    }
}

impl Finder {
    /// Gives the bytes as they are, then without one, two and three layers of escapes, with what was decoded.
    fn each_layer(&self, bytes: &[u8], mut look: impl FnMut(&[u8], &[Decoded])) {
        let mut layers: Vec<Decoded> = Vec::new();
        look(bytes, &layers);
        while layers.len() < LAYERS_MAX {
            let Some(decoded) = decode(layers.last().map_or(bytes, |layer| &layer.bytes)) else { return };
            layers.push(decoded);
            if let Some(last) = layers.last() {
                look(&last.bytes, &layers);
            }
        }
    }

    /// Where secrets stand, in order and apart from each other.
    fn spans(&self, bytes: &[u8]) -> Vec<Span> {
        let mut spans: Vec<Span> = Vec::new();
        self.each_layer(bytes, |layer, layers| {
            // All of them: two secrets may overlap, and none may leave a rest behind.
            for found in self.automaton.find_overlapping_iter(layer) {
                let inner = (found.start(), found.end());
                let (start, end) = layers.iter().rev().fold(inner, |(start, end), layer| layer.before(start, end));
                let name = self.forms[found.pattern()].0;
                // Most forms of one place are found one after the other.
                match spans.last_mut() {
                    Some(last) if last.start <= start && end <= last.end => {}
                    Some(last) if start <= last.start && last.end <= end => *last = Span { start, end, name },
                    _ => spans.push(Span { start, end, name }),
                }
            }
        });
        spans.sort_by_key(|span| (span.start, std::cmp::Reverse(span.end)));
        let mut apart: Vec<Span> = Vec::with_capacity(spans.len());
        for span in spans {
            match apart.last_mut() {
                Some(last) if span.start < last.end => last.end = last.end.max(span.end),
                _ => apart.push(span),
            }
        }
        apart
    }
}

/// All that is looked for to find a secret.
fn forms(value: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = encoded(value);
    for part in parts(value) {
        forms.extend(encoded(&part));
    }
    forms
}

/// The lines of a value of several, and the longer texts in one that is JSON.
fn parts(value: &[u8]) -> Vec<Vec<u8>> {
    let Ok(text) = std::str::from_utf8(value) else { return Vec::new() };
    let mut parts: Vec<Vec<u8>> = Vec::new();
    let mut lines = |text: &str| {
        let lines = text.lines().map(str::trim).filter(|line| line.len() >= PART_MIN_BYTES);
        // `-----BEGIN PRIVATE KEY-----` is no secret.
        parts.extend(lines.filter(|line| !line.starts_with("-----")).map(|line| line.as_bytes().to_vec()));
    };
    if text.contains('\n') {
        lines(text);
    }
    if let Ok(json @ (serde_json::Value::Object(_) | serde_json::Value::Array(_))) = serde_json::from_str(text) {
        each_text(&json, &mut |text| lines(text));
    }
    parts
}

fn each_text(json: &serde_json::Value, take: &mut impl FnMut(&str)) {
    match json {
        // An address is no secret, and often all that tells where a request went.
        serde_json::Value::String(text) if !text.contains("://") => take(text),
        serde_json::Value::Array(values) => values.iter().for_each(|value| each_text(value, take)),
        serde_json::Value::Object(values) => values.values().for_each(|value| each_text(value, take)),
        _ => {}
    }
}

/// A value as it is, and as it looks encoded. Escapes need no forms: they are taken off before.
fn encoded(value: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = vec![value.to_vec()];
    // What looks like an escape in the value itself is taken off with the others.
    let mut layer = decode(value);
    for _ in 0..LAYERS_MAX {
        let Some(decoded) = layer else { break };
        layer = decode(&decoded.bytes);
        forms.push(decoded.bytes);
    }
    if value.contains(&b' ') {
        forms.push(value.iter().map(|&b| if b == b' ' { b'+' } else { b }).collect());
    }
    let mut hex = String::with_capacity(value.len() * 2);
    for byte in value {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    forms.push(hex.into_bytes());
    for shift in 0..3 {
        let mut padded = vec![0; shift];
        padded.extend_from_slice(value);
        // The first characters belong to what stands in front, the last one perhaps to what follows.
        let (from, whole) = ((shift * 8).div_ceil(6), padded.len() * 8 / 6);
        for text in [STANDARD_NO_PAD.encode(&padded), URL_SAFE_NO_PAD.encode(&padded)] {
            forms.push(text.as_bytes()[from..whole].to_vec());
        }
    }
    // An escape that came to nothing leaves nothing to look for.
    forms.retain(|form| form.len() >= SECRET_MIN_BYTES);
    forms
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    const SECRET: &str = "p\"w/ö 77+x";
    const PEM: &str = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEF\nAASCBKcwggSjAgEAAoIBAQC7VJTU\nt9Us8c==\n\
                       -----END PRIVATE KEY-----";

    fn redactor() -> Redactor {
        Redactor::new([
            ("TOKEN", SECRET.as_bytes()),
            ("LONG", &b"a long enough secret"[..]),
            ("PEM", PEM.as_bytes()),
            ("BYTES", &[0xff, 0x00, 0xfe, 0x80, 0x81][..]),
            ("TRICK", &b"50%41\\u0042"[..]),
            ("OVER", &b"secret-and-more"[..]),
            ("ACCOUNT", br#"{"type":"x","key":"line one of it\nline two of it","uri":"https://a.example/token"}"#),
            ("PIN", &b"123"[..]),
        ])
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(redactor().redact(text), expected, "{text:?}");
    }

    #[test]
    fn secrets_are_found_however_they_are_written() {
        check("all is well", "all is well");
        check("", "");
        check(&format!("Bearer {SECRET}!"), "Bearer [secret TOKEN]!");
        check(&format!("{SECRET}{SECRET}"), "[secret TOKEN][secret TOKEN]");
        check("P\"W/ö 77+X in capitals", "[secret TOKEN] in capitals");
        // URLs.
        check("q=p%22w%2F%C3%B6%2077%2Bx&r=1", "q=[secret TOKEN]&r=1");
        check("q=p%22w%2f%c3%b6+77%2bx", "q=[secret TOKEN]");
        check("p%2522w%252F%25C3%25B6%252077%252Bx", "[secret TOKEN]");
        let everything: String = SECRET.bytes().map(|b| format!("%{b:02x}")).collect();
        check(&format!("<{everything}>"), "<[secret TOKEN]>");
        // JSON, its cousins, and JSON within JSON.
        let json = serde_json::Value::from(SECRET).to_string();
        check(&json, "\"[secret TOKEN]\"");
        check(&serde_json::Value::from(json).to_string(), "\"\\\"[secret TOKEN]\\\"\"");
        check(r#"p\"w\/\u00f6 77\u002Bx"#, "[secret TOKEN]");
        check(r"\u0070\u0022\u0077\u002f\u00f6\u0020\u0037\u0037\u002b\u0078", "[secret TOKEN]");
        check(&format!("{:?}", SECRET), "\"[secret TOKEN]\"");
        check(&SECRET.escape_default().to_string(), "[secret TOKEN]");
        // HTML.
        check("p&quot;w/ö 77+x", "[secret TOKEN]");
        check("p&#34;w&#x2F;&#246; 77&#43;x", "[secret TOKEN]");
        check("p&amp;quot;w/ö 77+x", "[secret TOKEN]");
        // Hexadecimal.
        check("7022772fc3b62037372b78", "[secret TOKEN]");
        check("0x7022772FC3B62037372B78!", "0x[secret TOKEN]!");
        // What looks like an escape and is none.
        check(r"50%41\u0042", "[secret TRICK]");
        check(r"50%41\\u0042", "[secret TRICK]");
        check("50%2541%5Cu0042", "[secret TRICK]");
        // Too short to be known.
        check("order 123", "order 123");
    }

    #[test]
    fn base64_is_found_at_any_alignment() {
        use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
        let redactor = redactor();
        for (name, secret) in [("TOKEN", SECRET), ("LONG", "a long enough secret")] {
            for before in ["", "u", "us", "user:"] {
                for after in ["", "!", "!!"] {
                    let text = format!("{before}{secret}{after}");
                    for engine in [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD] {
                        let encoded = engine.encode(&text);
                        let clean = redactor.redact(&encoded);
                        assert!(clean.contains(&format!("[secret {name}]")), "{text} became {clean}");
                        let escaped = encoded.replace('=', "%3D").replace('+', "%2B").replace('/', "%2F");
                        let clean = redactor.redact(&escaped);
                        assert!(clean.contains(&format!("[secret {name}]")), "{escaped} became {clean}");
                    }
                }
            }
        }
    }

    #[test]
    fn of_a_secret_of_several_lines_each_is_known() {
        check(PEM, "[secret PEM]");
        check(&serde_json::Value::from(PEM).to_string(), "\"[secret PEM]\"");
        check("the line MIIEvQIBADANBgkqhkiG9w0BAQEF alone", "the line [secret PEM] alone");
        check(
            &PEM.lines().collect::<String>(),
            "-----BEGIN PRIVATE KEY-----[secret PEM][secret PEM]t9Us8c==-----END PRIVATE KEY-----",
        );
        check("line two of it, line one of it", "[secret ACCOUNT], [secret ACCOUNT]");
        check("https://a.example/token", "https://a.example/token");
    }

    #[test]
    fn secrets_that_overlap_leave_no_rest() {
        check("a long enough secret-and-more.", "[secret LONG].");
        check("secret-and-more", "[secret OVER]");
    }

    #[test]
    fn bytes_are_redacted_too() {
        let redactor = redactor();
        assert_eq!(&*redactor.redact_bytes(b"\x01\xff\x00\xfe\x80\x81\x02"), b"\x01[secret BYTES]\x02");
        assert_eq!(&*redactor.redact_bytes(b"\xff\x00"), b"\xff\x00");
        assert_eq!(redactor.redact("ff00fe8081"), "[secret BYTES]");
    }

    #[test]
    fn only_forms_that_are_no_chance_make_an_id_one_that_holds_a_secret() {
        let redactor = Redactor::new([("PIN", &b"1234"[..]), ("TOKEN", &b"tok-4711-abc"[..])]);
        assert_eq!(redactor.held_by(b"order-51234"), None);
        assert_eq!(redactor.held_by(b"31323334"), Some("PIN"));
        assert_eq!(redactor.held_by(b"order-TOK-4711-abc"), Some("TOKEN"));
        assert_eq!(redactor.held_by(b"order-tok%2D4711-abc"), Some("TOKEN"));
        assert_eq!(Redactor::default().held_by(b"tok-4711-abc"), None);
    }

    #[test]
    fn hostile_texts_do_not_take_long() {
        let redactor = Redactor::new([("A", "a".repeat(64).as_bytes()), ("B", &b"tok-4711-abc"[..])]);
        for unit in ["a", "%", "%25", "\\", "\\\\", "&", "&#", "&#x", "\\u", "%61", "YWFh"] {
            let text = unit.repeat((1 << 17) / unit.len());
            let begun = Instant::now();
            let _ = redactor.redact(&text);
            // Many times what it takes, and a thousandth of what a loop within a loop would take.
            assert!(begun.elapsed().as_secs() < 20, "{unit}");
        }
    }
}
