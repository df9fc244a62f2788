//! Ids of records: the same whenever a record is read again, and never the same for two.
//!
//! An id takes one of these forms, which cannot be mistaken for each other:
//!
//! | form | when |
//! |---|---|
//! | `FILE:LINE` | no fields are named, or the line cannot be read |
//! | `VALUE/VALUE` | fields are named, and `files` is one file |
//! | `FILE/VALUE/VALUE` | fields are named, and `files` is a pattern |
//! | `…#2`, `…#3` | the same fields for the second, the third time in one file |
//!
//! `%`, `/`, `#` and control characters within a value, and `%`, `:`, `#` and control characters within a file's
//! name, are written as `%` and two hexadecimal digits.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};
use std::io::Write;
use twox_hash::XxHash64;

/// The most bytes an id may have.
pub(crate) const MAX_BYTES: usize = 512;

/// Room kept free for the number of an occurrence: `#` and ten digits.
pub(crate) const NUMBER_BYTES: usize = 11;

/// The id of a line.
pub(crate) fn of_line(id: &mut Vec<u8>, file: &str, line: u64) {
    id.clear();
    id.extend_from_slice(file.as_bytes());
    // Writing to a vector cannot fail.
    let _ = write!(id, ":{line}");
}

/// The name of a file as it stands in ids.
pub(crate) fn of_file(name: &str) -> String {
    let mut escaped = Vec::with_capacity(name.len());
    push_escaped(&mut escaped, name.as_bytes(), b':');
    String::from_utf8_lossy(&escaped).into_owned()
}

/// Adds the value of a field to an id.
pub(crate) fn push_value(id: &mut Vec<u8>, value: &[u8]) {
    push_escaped(id, value, b'/');
}

/// Keeps an id of values apart from the id of a line of the same file.
pub(crate) fn set_apart(id: &mut Vec<u8>, file: &str) {
    let at = file.len();
    if id.get(at) == Some(&b':') && id.starts_with(file.as_bytes()) {
        id.splice(at..=at, *b"%3A");
    }
}

fn push_escaped(id: &mut Vec<u8>, text: &[u8], separator: u8) {
    let plain = |byte: &u8| {
        *byte >= 0x20 && *byte != 0x7f && *byte != 0xc2 && !matches!(*byte, b'%' | b'#') && *byte != separator
    };
    if text.iter().all(plain) {
        id.extend_from_slice(text);
        return;
    }
    for (at, byte) in text.iter().enumerate() {
        // U+0080 to U+009F are control characters too: 0xc2 and one byte below 0xa0.
        let control = *byte < 0x20
            || *byte == 0x7f
            || (*byte == 0xc2 && text.get(at + 1).is_some_and(|next| *next < 0xa0))
            || (*byte < 0xa0 && at > 0 && text.get(at - 1) == Some(&0xc2));
        if control || matches!(*byte, b'%' | b'#') || *byte == separator {
            let _ = write!(id, "%{byte:02X}");
        } else {
            id.push(*byte);
        }
    }
}

/// How often each id occurred in a file. It keeps a fingerprint of each id; should two ids ever share one, the
/// second is numbered as if it were a repetition, which is still unique and still the same at each reading.
#[derive(Debug, Default)]
pub(crate) struct Occurrences {
    once: HashSet<u64, BuildHasherDefault<Fingerprint>>,
    /// How often, for those that occurred more than once.
    more: HashMap<u64, u32, BuildHasherDefault<Fingerprint>>,
}

impl Occurrences {
    /// How many different ids there are.
    pub(crate) fn len(&self) -> usize {
        self.once.len()
    }

    /// Counts an id, and gives it a number if it is not the first of its kind.
    pub(crate) fn number(&mut self, id: &mut Vec<u8>) {
        let fingerprint = XxHash64::oneshot(0, id);
        if self.once.insert(fingerprint) {
            return;
        }
        let count = self.more.entry(fingerprint).or_insert(1);
        *count += 1;
        let _ = write!(id, "#{count}");
    }
}

/// A hash that is one already.
#[derive(Debug, Default)]
struct Fingerprint(u64);

impl Hasher for Fingerprint {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = XxHash64::oneshot(self.0, bytes);
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn check(values: &[&str], expected: &str) {
        let mut id = Vec::new();
        for (index, value) in values.iter().enumerate() {
            if index > 0 {
                id.push(b'/');
            }
            push_value(&mut id, value.as_bytes());
        }
        set_apart(&mut id, "a.txt");
        assert_eq!(String::from_utf8(id).unwrap(), expected, "{values:?}");
    }

    #[test]
    fn values_cannot_be_mistaken() {
        check(&["00004", "19970101"], "00004/19970101");
        check(&["a/b", "c"], "a%2Fb/c");
        check(&["a", "b/c"], "a/b%2Fc");
        check(&["a%2Fb", "c"], "a%252Fb/c");
        check(&["a#2"], "a%232");
        check(&["a\nb\u{7f}\u{85}\u{a0}é"], "a%0Ab%7F%C2%85\u{a0}é");
        check(&["2026-11-22T10:00"], "2026-11-22T10:00");
        check(&["a.txt:37"], "a.txt%3A37");
        check(&["a.txt"], "a.txt");
        assert_eq!(of_file("a:b/c#d.txt"), "a%3Ab/c%23d.txt");
    }

    #[test]
    fn occurrences_are_numbered() {
        let mut occurrences = Occurrences::default();
        let found: Vec<String> = ["a", "b", "a", "a", "b"]
            .into_iter()
            .map(|id| {
                let mut id = id.as_bytes().to_vec();
                occurrences.number(&mut id);
                String::from_utf8(id).unwrap()
            })
            .collect();
        assert_eq!(found, ["a", "b", "a#2", "a#3", "b#2"]);
        assert_eq!(occurrences.len(), 2);
    }
}
