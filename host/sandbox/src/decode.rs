//! Takes one layer of escapes off a text, and remembers where each byte stood.

/// A text without one layer of escapes.
pub(crate) struct Decoded {
    pub(crate) bytes: Vec<u8>,
    /// Where each of the bytes began in the text before, and at the end that text's length.
    starts: Vec<usize>,
}

impl Decoded {
    /// Where in the text before a part of this one stood.
    pub(crate) fn before(&self, start: usize, end: usize) -> (usize, usize) {
        let last = self.starts[end - 1];
        // The bytes of one character that was escaped began at the same place.
        let behind = self.starts[end..].iter().copied().find(|&at| at > last);
        (self.starts[start], behind.unwrap_or(last + 1))
    }
}

/// Decodes the escapes of JSON, JavaScript, Rust and C (`\"`, `\/`, `\n`, `\u00e4`, `\u{e4}`, `\xe4`), of URLs (`%E4`)
/// and of HTML (`&quot;`, `&#34;`, `&#x22;`), each once. `None`: there are none.
pub(crate) fn decode(text: &[u8]) -> Option<Decoded> {
    let mut at = memchr::memchr3(b'\\', b'%', b'&', text)?;
    let mut decoded = Decoded { bytes: text[..at].to_vec(), starts: (0..at).collect() };
    let mut found = false;
    while at < text.len() {
        let rest = &text[at..];
        let taken = match rest[0] {
            b'\\' => backslash(rest, &mut decoded.bytes),
            b'%' => hex(rest, 1, 2).map(|n| push(&mut decoded.bytes, Piece::Byte(n), 3)),
            b'&' => entity(rest, &mut decoded.bytes),
            _ => None,
        };
        found |= taken.is_some();
        let taken = taken.unwrap_or_else(|| {
            decoded.bytes.push(rest[0]);
            1
        });
        decoded.starts.resize(decoded.bytes.len(), at);
        at += taken;
    }
    decoded.starts.push(text.len());
    found.then_some(decoded)
}

/// What an escape stands for.
enum Piece {
    Byte(u32),
    Char(u32),
}

/// Adds what an escape of so many bytes stands for; a number that is no character is taken as U+FFFD.
fn push(out: &mut Vec<u8>, piece: Piece, taken: usize) -> usize {
    match piece {
        Piece::Byte(byte) => out.push(u8::try_from(byte & 0xff).unwrap_or(0)),
        Piece::Char(number) => {
            let c = char::from_u32(number).unwrap_or(char::REPLACEMENT_CHARACTER);
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
    taken
}

/// The number that exactly so many hexadecimal digits write.
fn hex(text: &[u8], from: usize, digits: usize) -> Option<u32> {
    number(text.get(from..from + digits)?, 16)
}

fn number(digits: &[u8], radix: u32) -> Option<u32> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u32, |sum, &digit| sum.checked_mul(radix)?.checked_add(char::from(digit).to_digit(radix)?))
}

fn backslash(rest: &[u8], out: &mut Vec<u8>) -> Option<usize> {
    let plain = match rest.get(1)? {
        c @ (b'"' | b'\'' | b'\\' | b'/') => *c,
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'0' => 0,
        b'x' => return Some(push(out, Piece::Byte(hex(rest, 2, 2)?), 4)),
        b'U' => return Some(push(out, Piece::Char(hex(rest, 2, 8)?), 10)),
        b'u' if rest.get(2) == Some(&b'{') => {
            let digits = rest[3..].iter().take(9).position(|&b| b == b'}')?;
            return Some(push(out, Piece::Char(number(&rest[3..3 + digits], 16)?), digits + 4));
        }
        b'u' => return surrogates(rest, out),
        _ => return None,
    };
    Some(push(out, Piece::Byte(u32::from(plain)), 2))
}

/// `\uXXXX`, or two of them that make one character.
fn surrogates(rest: &[u8], out: &mut Vec<u8>) -> Option<usize> {
    let first = hex(rest, 2, 4)?;
    if let (0xd800..=0xdbff, Some(b"\\u")) = (first, rest.get(6..8))
        && let Some(second @ 0xdc00..=0xdfff) = hex(rest, 8, 4)
    {
        return Some(push(out, Piece::Char(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00)), 12));
    }
    Some(push(out, Piece::Char(first), 6))
}

fn entity(rest: &[u8], out: &mut Vec<u8>) -> Option<usize> {
    const NAMED: [(&[u8], u8); 5] =
        [(b"&quot;", b'"'), (b"&apos;", b'\''), (b"&amp;", b'&'), (b"&lt;", b'<'), (b"&gt;", b'>')];
    if rest.get(1) != Some(&b'#') {
        let (name, byte) = NAMED.iter().find(|(name, _)| rest.starts_with(name))?;
        return Some(push(out, Piece::Byte(u32::from(*byte)), name.len()));
    }
    let (from, radix) = if matches!(rest.get(2), Some(b'x' | b'X')) { (3, 16) } else { (2, 10) };
    let digits = rest.get(from..)?.iter().take(9).position(|&b| b == b';')?;
    Some(push(out, Piece::Char(number(&rest[from..from + digits], radix)?), from + digits + 1))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<&str>) {
        let found = decode(text.as_bytes());
        let found = found.as_ref().map(|decoded| String::from_utf8_lossy(&decoded.bytes).into_owned());
        assert_eq!(found.as_deref(), expected, "{text:?}");
    }

    #[test]
    fn one_layer_comes_off() {
        for text in ["", "plain", "50 % off & more \\", "%", "%zz", "%4", "\\q", "\\u12", "\\u{}", "\\u{1234567890}"] {
            check(text, None);
        }
        check("&#;&#x;&nbsp;&#34", None);
        check("%41%2f%2F", Some("A//"));
        check("%2541", Some("%41"));
        check(r#"\"\/\\\n\u00e4\u00E4\x41\u{f6}\U0001F600\ud83d\uDE00"#, Some("\"/\\\nääAö😀😀"));
        check(r"\ud83d alone \udc00", Some("\u{fffd} alone \u{fffd}"));
        check("&quot;&#34;&#x22;&#X22;&amp;quot;", Some("\"\"\"\"&quot;"));
        check("a%C3%B6b", Some("aöb"));
    }

    #[test]
    fn places_are_remembered() {
        let text = r"ab\u00f6%C3%B6cd";
        let decoded = decode(text.as_bytes()).unwrap();
        let clear = String::from_utf8(decoded.bytes.clone()).unwrap();
        assert_eq!(clear, "aböö".to_owned() + "cd");
        let place = |part: &str| {
            let start = clear.find(part).unwrap();
            let (from, to) = decoded.before(start, start + part.len());
            &text[from..to]
        };
        for (part, expected) in [("ab", "ab"), ("bö", r"b\u00f6"), ("öö", r"\u00f6%C3%B6"), ("cd", "cd"), ("d", "d")]
        {
            assert_eq!(place(part), expected, "{part}");
        }
    }
}
