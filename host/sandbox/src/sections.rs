//! Finds custom sections in a file of which nothing else needs to be understood.
//!
//! A file says in one which version of the contract it was built for, and that is to be read also in what a later version
//! of WebAssembly, or of its components, made: there sections have other content, but they are cut as ever.

use crate::limits::Limits;

/// What a file, and each module and component within it, begins with; four bytes say of which kind and version it is.
const MAGIC: &[u8] = b"\0asm";
const HEAD_BYTES: usize = 8;
/// What holds a custom section, a module and a component.
const CUSTOM: u8 = 0;
const MODULE: u8 = 1;
const COMPONENT: u8 = 4;

/// Gives the content of each custom section of this name to `each`, wherever it stands. What cannot be read is passed over
/// with what comes after it.
///
/// # Errors
/// The first one of `each`.
pub(crate) fn each_named<'a, E>(
    bytes: &'a [u8],
    name: &str,
    each: &mut impl FnMut(&'a [u8]) -> Result<(), E>,
) -> Result<(), E> {
    within(bytes, name, each, 0)
}

fn within<'a, E>(
    bytes: &'a [u8],
    name: &str,
    each: &mut impl FnMut(&'a [u8]) -> Result<(), E>,
    depth: usize,
) -> Result<(), E> {
    let mut rest = bytes.get(HEAD_BYTES..).unwrap_or_default();
    while let Some((id, content, after)) = section(rest) {
        match id {
            CUSTOM => match sized(content) {
                Some((found, data)) if found == name.as_bytes() => each(data)?,
                _ => {}
            },
            MODULE | COMPONENT if content.starts_with(MAGIC) && depth < Limits::NESTING_MAX => {
                within(content, name, each, depth + 1)?;
            }
            _ => {}
        }
        rest = after;
    }
    Ok(())
}

/// A section, and what comes after it.
fn section(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&id, rest) = bytes.split_first()?;
    let (content, after) = sized(rest)?;
    Some((id, content, after))
}

/// Bytes that begin with how many they are, and what comes after them.
fn sized(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut size = 0;
    for (at, &byte) in bytes.iter().enumerate().take(5) {
        size |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return bytes.get(at + 1..)?.split_at_checked(usize::try_from(size).ok()?);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &[u8] = b"\0asm\x0d\0\x01\0";

    fn section(id: u8, content: &[u8]) -> Vec<u8> {
        let length = content.len();
        assert!(length < 1 << 14, "two bytes are enough for these");
        let size = [length.to_le_bytes()[0] & 0x7f | 0x80, (length >> 7).to_le_bytes()[0]];
        [&[id][..], &size, content].concat()
    }

    fn said(text: &str) -> Vec<u8> {
        section(0, &[b"\x04word", text.as_bytes()].concat())
    }

    fn check(parts: &[&[u8]], expected: &[&str]) {
        let bytes = parts.concat();
        let mut found = Vec::new();
        let done: Result<(), ()> = each_named(&bytes, "word", &mut |data| {
            found.push(String::from_utf8_lossy(data).into_owned());
            Ok(())
        });
        assert_eq!(
            (done, found.as_slice()),
            (Ok(()), expected.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>().as_slice())
        );
    }

    #[test]
    fn sections_are_found_wherever_they_stand() {
        check(&[], &[]);
        check(&[HEAD], &[]);
        check(&[HEAD, &said("a"), &said("b")], &["a", "b"]);
        check(&[HEAD, &section(0, b"\x05other1"), &said("a")], &["a"]);
        let module =
            section(1, &[&b"\0asm\x01\0\0\0"[..], &section(1, b"types"), &said("in"), &section(9, b"")].concat());
        check(&[HEAD, &module, &said("a")], &["in", "a"]);
        let component = section(4, &[HEAD, &module, &said("b")].concat());
        check(&[HEAD, &component], &["in", "b"]);
    }

    #[test]
    fn what_is_not_understood_is_passed_over() {
        // A later kind of file, sections that nobody knows.
        check(&[b"\0asm\x99\0\x07\0", &section(77, b"new"), &said("a")], &["a"]);
        // Cut off, too long, a size without an end, a name longer than its section.
        check(&[HEAD, &said("a"), b"\0"], &["a"]);
        check(&[HEAD, &said("a"), b"\0\x7fshort"], &["a"]);
        check(&[HEAD, b"\0\xff\xff\xff\xff\xff\xff", &said("a")], &[]);
        check(&[HEAD, &section(0, b"\x7fword"), &said("a")], &["a"]);
        check(&[HEAD, &section(0, b"")], &[]);
        let nested = |levels: usize| (0..levels).fold(said("deep"), |within, _| section(4, &[HEAD, &within].concat()));
        check(&[HEAD, &nested(Limits::NESTING_MAX)], &["deep"]);
        check(&[HEAD, &nested(Limits::NESTING_MAX + 1)], &[]);
    }
}
