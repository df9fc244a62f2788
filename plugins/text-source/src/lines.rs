//! Cuts a stream of bytes into records, without looking into them further than it must.

use std::hash::Hasher;
use std::io::{self, Read};
use twox_hash::XxHash64;

/// How much is asked for at once.
const CHUNK_BYTES: usize = 256 * 1024;

/// How much of a line that is too long is kept to show.
const EXCERPT_BYTES: usize = 4 * 1024;

/// Where a record ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// At the line end.
    Line,
    /// At the first line end that is not within quotes.
    Quoted {
        /// What stands between fields; a quote counts only at the beginning of one.
        delimiter: u8,
    },
}

/// One record as it was found, not yet taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Its bytes without the line end, as a place in the buffer.
    start: usize,
    end: usize,
    /// Where the next record begins.
    next: usize,
    /// How many lines it stands on.
    lines: u64,
    /// Whether it has its line end.
    ended: bool,
    pub(crate) kind: Kind,
}

/// What kind of record was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Whole,
    /// Longer than allowed; the frame holds its beginning.
    TooLong,
    /// A quote that is not closed within the allowed length, or at all; the frame holds the line it begins in.
    QuoteNotClosed,
}

/// The lines of one file from its beginning, with a digest of everything that was taken.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    reader: R,
    framing: Framing,
    max_bytes: usize,
    /// An unfinished last line is left alone.
    wait_for_line_end: bool,
    buffer: Vec<u8>,
    /// What was read and not taken: `buffer[start..filled]`.
    start: usize,
    filled: usize,
    /// What is in the digest already: everything in front of `buffer[digested]`.
    digested: usize,
    at_end: bool,
    hasher: XxHash64,
    /// The position of `buffer[0]` in the file.
    base: u64,
    line: u64,
    /// What was taken last had no line end.
    mid_line: bool,
}

impl<R: Read> Lines<R> {
    pub(crate) fn new(reader: R, framing: Framing, max_bytes: usize, wait_for_line_end: bool) -> Self {
        Self {
            reader,
            framing,
            max_bytes,
            wait_for_line_end,
            buffer: vec![0; 2 * CHUNK_BYTES],
            start: 0,
            filled: 0,
            digested: 0,
            at_end: false,
            hasher: XxHash64::with_seed(0),
            base: 0,
            line: 0,
            mid_line: false,
        }
    }

    /// Goes on reading from another reader that stands where this one ended.
    pub(crate) fn go_on_with(&mut self, reader: R) {
        self.reader = reader;
        self.at_end = false;
    }

    /// Goes to a position whose lines need not be looked at: `hasher` is what it is there.
    pub(crate) fn jump(&mut self, hasher: XxHash64, position: u64, line: u64) {
        (self.hasher, self.base, self.line) = (hasher, position, line);
        (self.start, self.filled, self.digested, self.mid_line) = (0, 0, 0, false);
    }

    /// Says that what was taken last had no line end.
    pub(crate) fn set_mid_line(&mut self, mid_line: bool) {
        self.mid_line = mid_line;
    }

    /// Whether an unfinished last line is left alone.
    pub(crate) fn set_wait_for_line_end(&mut self, wait: bool) {
        self.wait_for_line_end = wait;
    }

    /// How many bytes were taken.
    pub(crate) fn position(&self) -> u64 {
        self.base + self.start as u64
    }

    /// How many bytes were read, taken or not.
    pub(crate) fn read_position(&self) -> u64 {
        self.base + self.filled as u64
    }

    /// How many lines were taken.
    pub(crate) fn line(&self) -> u64 {
        self.line
    }

    /// Whether what was taken last had no line end.
    pub(crate) fn mid_line(&self) -> bool {
        self.mid_line
    }

    /// The digest of all bytes taken.
    pub(crate) fn digest(&mut self) -> u64 {
        self.digest_taken();
        self.hasher.finish()
    }

    /// The bytes of a frame. It must come from the latest [`peek`](Self::peek).
    pub(crate) fn bytes(&self, frame: &Frame) -> &[u8] {
        self.buffer.get(frame.start..frame.end).unwrap_or_default()
    }

    /// The next record, which is not taken by it. `None` at the end.
    pub(crate) fn peek(&mut self) -> io::Result<Option<Frame>> {
        loop {
            if let Some(frame) = self.find() {
                return Ok(Some(frame));
            }
            if self.at_end {
                return Ok(None);
            }
            self.fill()?;
        }
    }

    /// Takes a record, which must come from the latest [`peek`](Self::peek).
    pub(crate) fn take(&mut self, frame: &Frame) -> io::Result<()> {
        self.start = frame.next;
        self.line += frame.lines;
        self.mid_line = !frame.ended;
        if frame.kind == Kind::TooLong {
            self.skip_line()?;
        }
        Ok(())
    }

    /// Skips a byte order mark. To be called at the very beginning.
    pub(crate) fn skip_byte_order_mark(&mut self) -> io::Result<()> {
        while self.filled - self.start < 3 && !self.at_end {
            self.fill()?;
        }
        if self.window().starts_with(b"\xef\xbb\xbf") {
            self.start += 3;
        }
        Ok(())
    }

    /// Takes the line end that was missing when the last line was taken. False if something else stands there.
    pub(crate) fn take_line_end(&mut self) -> io::Result<bool> {
        while self.filled - self.start < 2 && !self.at_end {
            self.fill()?;
        }
        let ends = match self.window() {
            [b'\n', ..] => 1,
            [b'\r', b'\n', ..] => 2,
            // Half of a line end; the other half may come.
            [] | [b'\r'] => return Ok(true),
            _ => return Ok(false),
        };
        self.start += ends;
        self.mid_line = false;
        Ok(true)
    }

    fn window(&self) -> &[u8] {
        self.buffer.get(self.start..self.filled).unwrap_or_default()
    }

    /// The next record within what was read, if it can be said already what it is. What it says does not depend
    /// on how much was read at a time.
    fn find(&self) -> Option<Frame> {
        let window = self.window();
        if window.is_empty() {
            return None;
        }
        let end = match self.framing {
            Framing::Line => memchr::memchr(b'\n', window).map_or(End::NotYet, End::At),
            Framing::Quoted { delimiter } => quoted_end(window, delimiter),
        };
        if let End::At(at) = end
            && content(window, at) <= self.max_bytes
        {
            return Some(self.frame(content(window, at), at + 1, self.line_ends(window, at) + 1, true, Kind::Whole));
        }
        // A record of the allowed length would have its line end within these bytes.
        if matches!(end, End::At(_)) || window.len() > self.max_bytes + 2 {
            return Some(self.over_limit(window));
        }
        if !self.at_end || self.wait_for_line_end {
            return None;
        }
        let all = window.len();
        if content(window, all) > self.max_bytes {
            return Some(self.over_limit(window));
        }
        if end == End::InQuotes {
            let rest = || self.frame(content(window, all), all, 1, false, Kind::QuoteNotClosed);
            return Some(self.first_line(window).unwrap_or_else(rest));
        }
        Some(self.frame(content(window, all), all, self.line_ends(window, all) + 1, false, Kind::Whole))
    }

    /// What is said of a record over the limit: if it has several lines, that its first one does not close its
    /// quote; then the others are looked at again, so that one quote too many costs one line only.
    fn over_limit(&self, window: &[u8]) -> Frame {
        if let Framing::Quoted { .. } = self.framing
            && let Some(frame) = self.first_line(window)
            && frame.end - frame.start <= self.max_bytes
        {
            return frame;
        }
        let excerpt = EXCERPT_BYTES.min(self.max_bytes);
        self.frame(excerpt, excerpt, 1, false, Kind::TooLong)
    }

    /// The first line of a record whose quotes are not closed.
    fn first_line(&self, window: &[u8]) -> Option<Frame> {
        let at = memchr::memchr(b'\n', window)?;
        Some(self.frame(content(window, at), at + 1, 1, true, Kind::QuoteNotClosed))
    }

    fn frame(&self, content: usize, next: usize, lines: u64, ended: bool, kind: Kind) -> Frame {
        Frame { start: self.start, end: self.start + content, next: self.start + next, lines, ended, kind }
    }

    /// How many line ends a record has within it.
    fn line_ends(&self, window: &[u8], end: usize) -> u64 {
        match self.framing {
            Framing::Line => 0,
            Framing::Quoted { .. } => memchr::memchr_iter(b'\n', window.get(..end).unwrap_or_default()).count() as u64,
        }
    }

    /// Drops the rest of a line, however long it is.
    fn skip_line(&mut self) -> io::Result<()> {
        loop {
            if let Some(at) = memchr::memchr(b'\n', self.window()) {
                self.start += at + 1;
                self.mid_line = false;
                return Ok(());
            }
            self.start = self.filled;
            if self.at_end {
                return Ok(());
            }
            self.fill()?;
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        self.digest_taken();
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.filled, 0);
            self.base += self.start as u64;
            self.filled -= self.start;
            self.start = 0;
            self.digested = 0;
        }
        if self.buffer.len() - self.filled < CHUNK_BYTES {
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        let room = self.buffer.get_mut(self.filled..).unwrap_or_default();
        let got = loop {
            match self.reader.read(room) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                got => break got?,
            }
        };
        self.filled += got;
        self.at_end = got == 0;
        Ok(())
    }

    fn digest_taken(&mut self) {
        self.hasher.write(self.buffer.get(self.digested..self.start).unwrap_or_default());
        self.digested = self.start;
    }
}

/// Where a record ends, as far as it can be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// At this line feed.
    At(usize),
    /// Not within these bytes; if nothing follows, at their end.
    NotYet,
    /// Not within these bytes, and a quote is open at their end.
    InQuotes,
}

/// How long the content is of a record that ends at a line feed, or at the end of the file.
fn content(window: &[u8], end: usize) -> usize {
    end - usize::from(end > 0 && window.get(end - 1) == Some(&b'\r'))
}

/// The line feed that ends the record at the beginning of these bytes. Quotes count as the `csv` crate counts
/// them: at the beginning of a field only, and doubled ones are content.
fn quoted_end(window: &[u8], delimiter: u8) -> End {
    let feed = memchr::memchr(b'\n', window);
    let line = window.get(..feed.unwrap_or(window.len())).unwrap_or_default();
    if memchr::memchr(b'"', line).is_none() {
        return feed.map_or(End::NotYet, End::At);
    }
    let rest = |from: usize| window.get(from..).unwrap_or_default();
    let mut at = 0;
    loop {
        if rest(at).first() == Some(&b'"') {
            at += 1;
            loop {
                let Some(quote) = memchr::memchr(b'"', rest(at)) else { return End::InQuotes };
                at += quote + 1;
                if rest(at).first() != Some(&b'"') {
                    break;
                }
                at += 1;
            }
        }
        let Some(end) = memchr::memchr2(delimiter, b'\n', rest(at)) else { return End::NotYet };
        at += end;
        if rest(at).first() == Some(&b'\n') {
            return End::At(at);
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    /// Gives a few bytes at a time.
    struct Drip<'a>(&'a [u8], usize);

    impl Read for Drip<'_> {
        fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
            let n = self.1.min(self.0.len()).min(room.len());
            room[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            Ok(n)
        }
    }

    /// Frames as `LINE kind:content`, joined by `|`, with `~` after one without a line end.
    fn cut(text: &[u8], framing: Framing, max_bytes: usize, wait: bool, drip: usize) -> (String, u64, u64) {
        let mut lines = Lines::new(Drip(text, drip), framing, max_bytes, wait);
        lines.skip_byte_order_mark().unwrap();
        let mut found = Vec::new();
        while let Some(frame) = lines.peek().unwrap() {
            let kind = match frame.kind {
                Kind::Whole => "",
                Kind::TooLong => "long:",
                Kind::QuoteNotClosed => "open:",
            };
            let content = String::from_utf8_lossy(lines.bytes(&frame)).into_owned();
            let line = lines.line() + 1;
            lines.take(&frame).unwrap();
            let end = if lines.mid_line() { "~" } else { "" };
            found.push(format!("{line} {kind}{content}{end}"));
        }
        (found.join("|"), lines.position(), lines.digest())
    }

    fn check(framing: Framing, max_bytes: usize, wait: bool, text: &str, expected: &str) {
        for drip in [1, 2, 3, 7, 1 << 20] {
            let (found, position, digest) = cut(text.as_bytes(), framing, max_bytes, wait, drip);
            assert_eq!(found, expected, "{text:?} read {drip} bytes at a time");
            let taken = &text.as_bytes()[..usize::try_from(position).unwrap()];
            assert_eq!(digest, XxHash64::oneshot(0, taken), "digest of {text:?}");
            assert!(wait || taken.len() == text.len(), "not all of {text:?} was taken");
        }
    }

    #[test]
    fn lines_by_line_end() {
        let check = |wait, text, expected| check(Framing::Line, 10, wait, text, expected);
        check(false, "", "");
        check(false, "a\nb\r\n\nc\n", "1 a|2 b|3 |4 c");
        check(false, "a\nb", "1 a|2 b~");
        check(false, "a\nb\r", "1 a|2 b~");
        check(true, "a\nb", "1 a");
        check(false, "\u{feff}a\n\u{feff}b\n", "1 a|2 \u{feff}b");
        check(false, "\u{feff}", "");
        check(false, "0123456789\r\nx\n", "1 0123456789|2 x");
        check(false, "0123456789a\nx\n", "1 long:0123456789|2 x");
        check(false, "x\n0123456789abcdefghijklmnop", "1 x|2 long:0123456789~");
        check(false, "0123456789a", "1 long:0123456789~");
    }

    #[test]
    fn records_with_quotes() {
        let check = |wait, text, expected| check(Framing::Quoted { delimiter: b',' }, 20, wait, text, expected);
        check(false, "a,b\n\"c\nd\",e\r\nf\n", "1 a,b|2 \"c\nd\",e|4 f");
        check(false, "\"a\"\"\n\",b\nc\n", "1 \"a\"\"\n\",b|3 c");
        check(false, "5\" pipe,a\nb\n", "1 5\" pipe,a|2 b");
        check(false, "\"a\"", "1 \"a\"~");
        check(false, "\"a\nb\"", "1 \"a\nb\"~");
        check(true, "a\n\"b\n", "1 a");
        check(false, "\"a\nb,c\nd\n", "1 open:\"a|2 b,c|3 d");
        check(false, "\"a\nb,c\nd\n0123456789\n0123456789\n", "1 open:\"a|2 b,c|3 d|4 0123456789|5 0123456789");
        check(false, "\"a0123456789012345678901234\nb\n", "1 long:\"a012345678901234567|2 b");
        check(false, "\"a", "1 open:\"a~");
    }
}
