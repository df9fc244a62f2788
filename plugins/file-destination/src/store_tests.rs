//! Breaks the medium under the store at every operation.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use std::io::Cursor;

/// A file in memory whose operations fail from the n-th on, for a while. A write that fails has written a part.
struct Breaking {
    content: Cursor<Vec<u8>>,
    operations: usize,
    fails: std::ops::Range<usize>,
}

impl Breaking {
    fn new(content: &[u8], fails: std::ops::Range<usize>) -> Self {
        Self { content: Cursor::new(content.to_vec()), operations: 0, fails }
    }

    fn step(&mut self) -> io::Result<()> {
        self.operations += 1;
        match self.fails.contains(&(self.operations - 1)) {
            true => Err(ErrorKind::StorageFull.into()),
            false => Ok(()),
        }
    }
}

impl Read for Breaking {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        self.content.read(room)
    }
}

impl Write for Breaking {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let part = bytes.len().min(7);
        let wrote = self.content.write(&bytes[..part]);
        self.step()?;
        wrote
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Breaking {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.content.seek(to)
    }
}

impl Medium for Breaking {
    fn length(&self) -> io::Result<u64> {
        Ok(self.content.get_ref().len() as u64)
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.step()?;
        self.content.get_mut().truncate(usize::try_from(length).unwrap());
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.step()
    }
}

fn store(lines: Lines) -> Store {
    Store::new(Plan { path: "/tmp/x.ndjson".into(), lines, max_keys: 10 })
}

fn written(key: u8) -> Vec<u8> {
    let mut line = Vec::new();
    line::push_envelope(&mut line, &format!("{key:032x}"), "1", b"{}").unwrap();
    line
}

#[test]
fn what_failed_is_not_there_or_unknown() {
    let old = written(1);
    let new = written(2);
    let whole = [&old[..], &new].concat();
    let (mut nothing, mut unknown) = (0, 0);
    for first in 0..40 {
        for count in [1, 2, 3, 100] {
            let mut medium = Breaking::new(&old, first..first + count);
            let mut store = store(Lines::Envelope);
            store.known = old.len() as u64;
            let added = store.append(&mut medium, &new);
            let content = medium.content.get_ref();
            match added {
                Ok(()) => assert_eq!((content, store.known), (&whole, whole.len() as u64)),
                Err(NotAdded::Nothing(_)) => {
                    nothing += 1;
                    assert_eq!((content, store.known), (&old, old.len() as u64), "broken at {first}, {count} times");
                }
                Err(NotAdded::Unknown(_)) => {
                    unknown += 1;
                    assert!(whole.starts_with(content) && content.starts_with(&old));
                    assert_eq!(store.known, 0, "it must be read again");
                }
            }
        }
    }
    assert!(nothing > 0 && unknown > 0, "{nothing} {unknown}");
}

#[test]
fn lines_of_another_writer_are_not_cut_off() {
    let mut store = store(Lines::Envelope);
    let theirs = [b'x'; 200];
    let mut medium = Breaking::new(&theirs, 0..0);
    let Err(NotAdded::Unknown(error)) = store.append(&mut medium, &written(1)) else { panic!("it was not noticed") };
    assert!(error.to_string().contains("does something else write to it?"));
    assert_eq!(medium.content.get_ref().len(), theirs.len());
}

/// What is left of a file after it was caught up with, and how many keys are known then.
fn check(lines: Lines, content: &str, expected: &str, keys: usize) {
    let mut store = store(lines);
    let mut medium = Breaking::new(content.as_bytes(), 0..0);
    store.catch_up(&mut medium).unwrap();
    let left = String::from_utf8(medium.content.into_inner()).unwrap();
    assert_eq!((left.as_str(), store.keys.len()), (expected, keys), "{content:?}");
    assert_eq!(store.known, expected.len() as u64);
}

#[test]
fn last_lines_without_a_line_end() {
    let (one, two) = (String::from_utf8(written(1)).unwrap(), String::from_utf8(written(2)).unwrap());
    let both = format!("{one}{two}");
    for cut in one.len()..both.len() {
        check(Lines::Envelope, &both[..cut], &one, 1);
    }
    check(Lines::Envelope, &both, &both, 2);
    check(Lines::Envelope, &format!("{one}\0\0\0\0"), &one, 1);
    check(Lines::Envelope, "{\"theirs\":1}", "{\"theirs\":1}\n", 0);
    check(Lines::Envelope, &format!("theirs\n{one}"), &format!("theirs\n{one}"), 1);
    check(
        Lines::Envelope,
        &format!("{one}{{\"undo\":\"{:032x}\"}}\n", 1),
        &format!("{one}{{\"undo\":\"{:032x}\"}}\n", 1),
        0,
    );
    check(Lines::Payload, "1\n2", "1\n", 0);
    check(Lines::Payload, "1\n2\n", "1\n2\n", 0);
    check(Lines::Payload, "12", "", 0);
    let long = "x".repeat(3 * CHUNK_BYTES);
    check(Lines::Payload, &format!("1\n{long}"), "1\n", 0);
    check(Lines::Payload, &format!("{long}\n"), &format!("{long}\n"), 0);
}

#[test]
fn keys_have_a_limit() {
    let mut store = store(Lines::Envelope);
    let content: Vec<u8> = (0..11).flat_map(written).collect();
    let error = store.catch_up(&mut Breaking::new(&content, 0..0)).unwrap_err();
    assert_eq!(error.failure().code(), "too-many-keys");
    assert_eq!((store.known, store.keys.len()), (0, 0));
}
