//! Where values end: one pass over the bytes, eight at a time within strings and numbers.
//!
//! Each function is given what is left of the payload and answers with what is left behind what it passed: that needs
//! one comparison a byte, where positions in the whole payload would need more. Within the sandbox each turn of a loop
//! costs a check of whether the plugin is to be interrupted; that is why the turns are few.
//!
//! Outside of strings JSON has ASCII only, so it is enough to look within strings for what is not UTF-8.

use crate::failure::Failure;
use std::fmt;

/// How deep objects and lists may stand within each other.
const DEPTH_MAX: u32 = 128;

/// Why a text is not JSON, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Invalid {
    what: &'static str,
    at: usize,
}

impl Invalid {
    /// The position of the first byte that does not fit, counted from 0.
    #[must_use]
    pub fn at(self) -> usize {
        self.at
    }

    /// The failure of a record whose payload is not JSON: a rejection with the code `not-json`.
    #[must_use]
    pub fn failure(self) -> Failure {
        Failure::new("not-json", format!("the record is not JSON: {self}"))
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at column {}", self.what, self.at + 1)
    }
}

impl std::error::Error for Invalid {}

/// What is wrong, and how much of the payload was left there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wrong {
    what: &'static str,
    left: usize,
}

impl Wrong {
    /// As seen from the whole payload.
    #[cold]
    pub(super) fn within(self, payload: &[u8]) -> Invalid {
        Invalid { what: self.what, at: payload.len() - self.left }
    }
}

/// What is left of the payload.
pub(super) type Scanned<'a> = Result<&'a [u8], Wrong>;

#[cold]
pub(super) fn wrong<T>(what: &'static str, left: &[u8]) -> Result<T, Wrong> {
    Err(Wrong { what, left: left.len() })
}

/// What is left behind white space.
#[inline(always)]
pub(super) fn blank(mut rest: &[u8]) -> &[u8] {
    while let [b' ' | b'\n' | b'\t' | b'\r', tail @ ..] = rest {
        rest = tail;
    }
    rest
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// Marks the bytes that are quotes, backslashes or control characters with their highest bit. The lowest mark is
/// always right; those above it need not be.
#[inline(always)]
fn marks(bytes: u64) -> u64 {
    let quote = bytes ^ (ONES * b'"' as u64);
    let backslash = bytes ^ (ONES * b'\\' as u64);
    let zero = |bytes: u64| bytes.wrapping_sub(ONES) & !bytes;
    let control = bytes.wrapping_sub(ONES * 0x20) & !bytes;
    (zero(quote) | zero(backslash) | control) & HIGH
}

/// What is left from the first quote, backslash or control character on, and whether there may be anything but ASCII
/// in front of it.
#[inline(always)]
fn special_and_high(mut rest: &[u8]) -> (&[u8], bool) {
    let mut seen = 0;
    while let Some((bytes, tail)) = rest.split_first_chunk::<8>() {
        let bytes = u64::from_le_bytes(*bytes);
        seen |= bytes;
        let found = marks(bytes);
        if found != 0 {
            let rest = rest.get((found.trailing_zeros() / 8) as usize..).unwrap_or_default();
            return (rest, seen & HIGH != 0);
        }
        rest = tail;
    }
    while let [byte, tail @ ..] = rest {
        if *byte < 0x20 || matches!(byte, b'"' | b'\\') {
            break;
        }
        seen |= u64::from(*byte);
        rest = tail;
    }
    (rest, seen & HIGH != 0)
}

/// What is left from the first quote, backslash or control character on.
#[inline]
pub(super) fn special(rest: &[u8]) -> &[u8] {
    special_and_high(rest).0
}

/// What is left behind the quote that ends a string, and whether there was an escape in it. `rest` begins behind the
/// quote that begins it.
#[inline(always)]
pub(super) fn string(rest: &[u8]) -> Result<(&[u8], bool), Wrong> {
    match special_and_high(rest) {
        ([b'"', tail @ ..], false) => Ok((tail, false)),
        ([b'"', tail @ ..], true) => utf8_string(rest, tail).map(|()| (tail, false)),
        (special, _) => escaped_string(rest, special).map(|tail| (tail, true)),
    }
}

/// Checks a string between its beginning and what is left behind it.
#[inline(never)]
fn utf8_string(begin: &[u8], behind: &[u8]) -> Result<(), Wrong> {
    let inner = begin.get(..begin.len() - behind.len()).unwrap_or_default();
    match std::str::from_utf8(inner) {
        Ok(_) => Ok(()),
        Err(error) => wrong("a byte that is not UTF-8", begin.get(error.valid_up_to()..).unwrap_or_default()),
    }
}

/// From the first escape on.
#[inline(never)]
fn escaped_string<'a>(begin: &[u8], mut rest: &'a [u8]) -> Scanned<'a> {
    loop {
        rest = match rest {
            [b'"', tail @ ..] => return utf8_string(begin, tail).map(|()| tail),
            [b'\\', b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', tail @ ..] => tail,
            [b'\\', b'u', a, b, c, d, tail @ ..] if [a, b, c, d].iter().all(|digit| digit.is_ascii_hexdigit()) => tail,
            left @ [b'\\', b'u', ..] => return wrong("an escape without four hexadecimal digits", left),
            left @ [b'\\', ..] => return wrong("an escape that JSON does not have", left),
            left @ [_, ..] => return wrong("a control character within a string", left),
            left => return wrong("a string that does not end", left),
        };
        rest = special(rest);
    }
}

/// What is left behind digits.
#[inline(always)]
fn digits(mut rest: &[u8]) -> &[u8] {
    while let Some((bytes, tail)) = rest.split_first_chunk::<8>() {
        // A digit has 3 in its upper half, and what is left of it is below ten. Nothing is carried over: each byte is
        // looked at without its highest bit.
        let low = u64::from_le_bytes(*bytes) ^ (ONES * b'0' as u64);
        let other = (((low & !HIGH) + ONES * (0x80 - 10)) | low) & HIGH;
        if other != 0 {
            return rest.get((other.trailing_zeros() / 8) as usize..).unwrap_or_default();
        }
        rest = tail;
    }
    while let [b'0'..=b'9', tail @ ..] = rest {
        rest = tail;
    }
    rest
}

/// Digits, at least one.
#[inline(always)]
fn some_digits(rest: &[u8]) -> Scanned<'_> {
    match rest {
        [b'0'..=b'9', tail @ ..] => Ok(digits(tail)),
        left => wrong("a number that does not end in digits", left),
    }
}

#[inline(always)]
fn number(rest: &[u8]) -> Scanned<'_> {
    let mut rest = match rest {
        [b'-', tail @ ..] => tail,
        rest => rest,
    };
    rest = match rest {
        [b'0', b'0'..=b'9', ..] => return wrong("a number with a zero in front", rest),
        [b'0', tail @ ..] => tail,
        [b'1'..=b'9', tail @ ..] => digits(tail),
        left => return wrong("a number without digits", left),
    };
    if let [b'.', tail @ ..] = rest {
        rest = some_digits(tail)?;
    }
    match rest {
        [b'e' | b'E', tail @ ..] => exponent(tail),
        rest => Ok(rest),
    }
}

#[inline(never)]
fn exponent(rest: &[u8]) -> Scanned<'_> {
    match rest {
        [b'+' | b'-', tail @ ..] => some_digits(tail),
        rest => some_digits(rest),
    }
}

/// What is left behind a name, in front of its value; `rest` begins with the quote that begins the name.
#[inline(always)]
fn name(rest: &[u8]) -> Scanned<'_> {
    let [b'"', tail @ ..] = rest else { return wrong("something else than a name", rest) };
    colon(string(tail)?.0)
}

/// What is left in front of a member's value; `rest` begins behind its name.
#[inline(always)]
pub(super) fn colon(rest: &[u8]) -> Scanned<'_> {
    match blank(rest) {
        [b':', tail @ ..] => Ok(blank(tail)),
        left => wrong("a name without a colon", left),
    }
}

/// The objects and lists that are open: a bit each, the innermost lowest.
struct Open {
    bits: u128,
    depth: u32,
}

impl Open {
    #[inline(always)]
    fn push(&mut self, object: bool, left: &[u8]) -> Result<(), Wrong> {
        if self.depth == DEPTH_MAX {
            return wrong("objects and lists nested too deep", left);
        }
        self.bits = (self.bits << 1) | u128::from(object);
        self.depth += 1;
        Ok(())
    }

    #[inline(always)]
    fn pop(&mut self) {
        self.bits >>= 1;
        self.depth -= 1;
    }

    #[inline(always)]
    fn is_object(&self) -> bool {
        self.bits & 1 == 1
    }
}

/// What is left behind the value that stands at the beginning, within so many objects and lists.
pub(super) fn value(mut rest: &[u8], within: u32) -> Scanned<'_> {
    let mut open = Open { bits: 0, depth: within };
    loop {
        if open.is_object() {
            rest = name(rest)?;
        }
        rest = match rest {
            [b'"', tail @ ..] => string(tail)?.0,
            [b'-' | b'0'..=b'9', ..] => number(rest)?,
            [b'{', tail @ ..] => match blank(tail) {
                [b'}', tail @ ..] => tail,
                first => {
                    open.push(true, rest)?;
                    rest = first;
                    continue;
                }
            },
            [b'[', tail @ ..] => match blank(tail) {
                [b']', tail @ ..] => tail,
                first => {
                    open.push(false, rest)?;
                    rest = first;
                    continue;
                }
            },
            [b't', b'r', b'u', b'e', tail @ ..] => tail,
            [b'f', b'a', b'l', b's', b'e', tail @ ..] => tail,
            [b'n', b'u', b'l', b'l', tail @ ..] => tail,
            [] => return wrong("a value is missing", rest),
            _ => return wrong("no value", rest),
        };
        // Behind a value: what is open ends here, or goes on.
        loop {
            if open.depth == within {
                return Ok(rest);
            }
            rest = match (blank(rest), open.is_object()) {
                ([b',', tail @ ..], _) => {
                    rest = blank(tail);
                    break;
                }
                ([b'}', tail @ ..], true) | ([b']', tail @ ..], false) => {
                    open.pop();
                    tail
                }
                (left @ [_, ..], true) => return wrong("neither a comma nor the end of the object", left),
                (left @ [_, ..], false) => return wrong("neither a comma nor the end of the list", left),
                (left, true) => return wrong("an object that does not end", left),
                (left, false) => return wrong("a list that does not end", left),
            }
        }
    }
}

/// Checks that nothing but white space is left.
#[inline]
pub(super) fn end(rest: &[u8]) -> Result<(), Wrong> {
    match blank(rest) {
        [] => Ok(()),
        left => wrong("something behind the end", left),
    }
}
