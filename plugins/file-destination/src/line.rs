//! Lines of the file: how they are written, and how ours are recognised.

use crossdock_sdk::Failure;
use crossdock_sdk::json::{Value, push_text};

/// An idempotency key: 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key(u128);

const KEY_DIGITS: usize = 32;

impl Key {
    /// A key from its digits, which must be lower case: as text two keys are equal only if all digits are.
    pub(crate) fn parse(digits: &[u8]) -> Option<Self> {
        let (eights, []) = digits.as_chunks::<8>() else { return None };
        let [a, b, c, d] = eights else { return None };
        let half = |high, low| Some(u64::from(eight_digits(high)?) << 32 | u64::from(eight_digits(low)?));
        Some(Self(u128::from(half(a, b)?) << 64 | u128::from(half(c, d)?)))
    }
}

/// Eight hexadecimal digits in lower case, all at once: a byte each becomes half a byte each.
fn eight_digits(digits: &[u8; 8]) -> Option<u32> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let text = u64::from_be_bytes(*digits);
    // A letter has 0x40 and counts 9 more than its lower half, a digit has not: from that their text can be made again.
    let letters = text >> 6 & ONES;
    let values = (text & (ONES * 0x0f)) + letters * 9;
    let as_text = values + ONES * u64::from(b'0') + letters * u64::from(b'a' - b'9' - 1);
    let from_ten = (values + ONES * 6) >> 4 & ONES;
    if values & (ONES * 0xf0) != 0 || as_text != text || from_ten != letters {
        return None;
    }
    let pairs = (values | values >> 4) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs | pairs >> 8) & 0x0000_ffff_0000_ffff;
    Some((fours | fours >> 16) as u32)
}

const WRITTEN: &[u8] = b"{\"key\":\"";
const UNDONE: &[u8] = b"{\"undo\":\"";

/// How much of a line is needed to know what it says.
pub(crate) const HEAD_BYTES: usize = UNDONE.len() + KEY_DIGITS + 1;

/// What a line says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Says {
    /// The record with this key is here.
    Written(Key),
    /// It is not any more.
    Undone(Key),
    /// Nothing to us: somebody else wrote it.
    Nothing,
}

/// What a line says, from its first [`HEAD_BYTES`].
pub(crate) fn read(head: &[u8]) -> Says {
    let key = |rest: &[u8]| match rest.get(KEY_DIGITS) {
        Some(b'"') => Key::parse(rest.get(..KEY_DIGITS)?),
        _ => None,
    };
    if let Some(key) = head.strip_prefix(WRITTEN).and_then(key) {
        return Says::Written(key);
    }
    head.strip_prefix(UNDONE).and_then(key).map_or(Says::Nothing, Says::Undone)
}

/// Whether the beginning of a last line without a line end can be what is left of one of ours: the beginning of
/// one, or bytes that were never written although the file has grown.
pub(crate) fn may_be_torn(head: &[u8]) -> bool {
    let begins = |with: &[u8]| head.starts_with(with) || with.starts_with(head);
    begins(WRITTEN) || begins(UNDONE) || head.contains(&0)
}

/// Writes a line for a record.
///
/// # Errors
/// The payload is not text. Nothing was written then.
pub(crate) fn push_envelope(out: &mut Vec<u8>, key: &str, id: &str, payload: &[u8]) -> Result<(), Failure> {
    let begin = |out: &mut Vec<u8>| {
        out.extend_from_slice(WRITTEN);
        out.extend_from_slice(key.as_bytes());
        out.extend_from_slice(b"\",\"id\":");
        push_text(out, id);
        out.extend_from_slice(b",\"record\":");
    };
    match Value::parse(payload) {
        Ok(value) => {
            begin(out);
            push_one_line(out, value.bytes());
        }
        Err(_) => {
            let text = text_of(payload)?;
            begin(out);
            push_text(out, text);
        }
    }
    out.extend_from_slice(b"}\n");
    Ok(())
}

/// Writes a line that undoes one.
pub(crate) fn push_undo(out: &mut Vec<u8>, key: &str, id: &str) {
    out.extend_from_slice(UNDONE);
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"\",\"id\":");
    push_text(out, id);
    out.extend_from_slice(b"}\n");
}

/// Writes a payload as a line.
///
/// # Errors
/// It does not fit on one line. Nothing was written then.
pub(crate) fn push_payload(out: &mut Vec<u8>, payload: &[u8]) -> Result<(), Failure> {
    if memchr::memchr2(b'\n', b'\r', payload).is_some() {
        let Ok(value) = Value::parse(payload) else {
            text_of(payload)?;
            let message = "the payload has several lines and is no JSON: it cannot be one line of the file";
            return Err(Failure::new("several-lines", message));
        };
        push_one_line(out, value.bytes());
    } else {
        out.extend_from_slice(payload);
    }
    out.push(b'\n');
    Ok(())
}

fn text_of(payload: &[u8]) -> Result<&str, Failure> {
    std::str::from_utf8(payload).map_err(|error| {
        let place = error.valid_up_to() + 1;
        Failure::new("not-utf-8", format!("the payload is not text: byte {place} is not UTF-8"))
    })
}

/// JSON on one line: line ends can only stand between its parts, where a blank means the same.
fn push_one_line(out: &mut Vec<u8>, json: &[u8]) {
    let start = out.len();
    out.extend_from_slice(json);
    let written = out.get_mut(start..).unwrap_or_default();
    if memchr::memchr2(b'\n', b'\r', written).is_some() {
        written.iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r')).for_each(|byte| *byte = b' ');
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const KEY: &str = "0123456789abcdef0123456789abcdef";

    fn check_envelope(payload: &[u8], expected: Result<&str, &str>) {
        let mut out = Vec::new();
        let found = push_envelope(&mut out, KEY, "a\"b", payload);
        let found = found.map(|()| String::from_utf8(out).unwrap()).map_err(|failure| failure.code().to_owned());
        let expected = expected.map(|record| format!("{{\"key\":\"{KEY}\",\"id\":\"a\\\"b\",\"record\":{record}}}\n"));
        assert_eq!(found, expected.map_err(str::to_owned));
        if let Ok(line) = found {
            assert_eq!(read(&line.as_bytes()[..HEAD_BYTES]), Says::Written(Key::parse(KEY.as_bytes()).unwrap()));
            serde_json::from_str::<serde_json::Value>(&line).unwrap();
        }
    }

    #[test]
    fn keys() {
        let parse = |digits: &[u8]| Key::parse(digits).map(|Key(key)| format!("{key:032x}").into_bytes());
        for at in 0..KEY_DIGITS {
            for byte in 0..=u8::MAX {
                let mut digits = KEY.as_bytes().to_vec();
                digits[at] = byte;
                let is_key = matches!(byte, b'0'..=b'9' | b'a'..=b'f');
                assert_eq!(parse(&digits), is_key.then(|| digits.clone()), "{byte:#x} at {at}");
            }
        }
        for length in [0, 8, 24, 31, 33, 40] {
            assert_eq!(parse(&b"0123456789".repeat(4)[..length]), None);
        }
    }

    #[test]
    fn envelopes() {
        check_envelope(b"{\"a\": 1.10}", Ok("{\"a\": 1.10}"));
        check_envelope(b" {\r\n\"a\":\n1}\n", Ok("{  \"a\": 1}"));
        check_envelope(b"{\"a\":1", Ok("\"{\\\"a\\\":1\""));
        check_envelope("zwei\nZeilen \u{1f600}".as_bytes(), Ok("\"zwei\\nZeilen \u{1f600}\""));
        check_envelope(b"", Ok("\"\""));
        check_envelope(b"\"\xff\"", Err("not-utf-8"));
    }

    #[test]
    fn payloads() {
        let check = |payload: &[u8], expected: Result<&[u8], &str>| {
            let mut out = Vec::new();
            let found = push_payload(&mut out, payload).map_err(|failure| failure.code().to_owned());
            assert_eq!(found.map(|()| out), expected.map(<[u8]>::to_vec).map_err(str::to_owned));
        };
        check(b"\xff;x", Ok(b"\xff;x\n"));
        check(b"{\n}", Ok(b"{ }\n"));
        check(b"a\nb", Err("several-lines"));
    }

    #[test]
    fn lines_of_others() {
        let undo = format!("{{\"undo\":\"{KEY}\",\"id\":\"1\"}}");
        assert_eq!(read(undo.as_bytes()), Says::Undone(Key::parse(KEY.as_bytes()).unwrap()));
        for other in ["", "{}", "{\"key\":\"0123\"}", &format!("{{\"key\":\"{}\"}}", KEY.to_uppercase())] {
            assert_eq!(read(other.as_bytes()), Says::Nothing, "{other}");
        }
        for (head, torn) in
            [("", true), ("{", true), ("{\"un", true), (&undo[..], true), ("\0\0", true), ("{}", false), ("x", false)]
        {
            assert_eq!(may_be_torn(head.as_bytes()), torn, "{head:?}");
        }
    }
}
