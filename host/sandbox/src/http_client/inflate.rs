//! The body of an answer, as it was before it was packed, and never more of it than may be held.

use flate2::write::MultiGzDecoder;
use std::io::{self, Write};

/// Why a body is not taken any further.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// There is no room for more.
    Full,
    /// It is not packed as it says.
    Damaged,
}

/// Collects a body.
pub(super) enum Body<R: FnMut(usize) -> bool> {
    Plain(Held<R>),
    Packed(Box<MultiGzDecoder<Held<R>>>),
}

/// What is held; asked for room before each piece is kept.
pub(super) struct Held<R> {
    bytes: Vec<u8>,
    room: R,
    full: bool,
}

impl<R: FnMut(usize) -> bool> Write for Held<R> {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        if !(self.room)(piece.len()) {
            self.full = true;
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        self.bytes.extend_from_slice(piece);
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<R: FnMut(usize) -> bool> Body<R> {
    /// A body without anything yet. `room` is asked before so many more bytes are held.
    pub(super) fn new(packed: bool, room: R) -> Self {
        let held = Held { bytes: Vec::new(), room, full: false };
        if packed { Self::Packed(Box::new(MultiGzDecoder::new(held))) } else { Self::Plain(held) }
    }

    /// Takes a piece as it came over the wire.
    pub(super) fn add(&mut self, piece: &[u8]) -> Result<(), Stop> {
        match self {
            Self::Plain(held) => held.write_all(piece).map_err(|_| Stop::Full),
            Self::Packed(packed) => packed.write_all(piece).map_err(|_| reason(packed.get_ref())),
        }
    }

    /// The whole body.
    pub(super) fn end(self) -> Result<Vec<u8>, Stop> {
        match self {
            Self::Plain(held) => Ok(held.bytes),
            Self::Packed(mut packed) => match packed.try_finish() {
                Ok(()) => packed.finish().map(|held| held.bytes).map_err(|_| Stop::Damaged),
                Err(_) => Err(reason(packed.get_ref())),
            },
        }
    }
}

fn reason<R>(held: &Held<R>) -> Stop {
    if held.full { Stop::Full } else { Stop::Damaged }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut packed = GzEncoder::new(Vec::new(), Compression::best());
        packed.write_all(bytes).unwrap();
        packed.finish().unwrap()
    }

    /// What a body comes to that arrives in pieces, and how many bytes were asked room for, all in all.
    fn check(packed: bool, wire: &[u8], piece_bytes: usize, room: usize, expected: Result<&[u8], Stop>) {
        let mut asked = 0;
        let mut body = Body::new(packed, |bytes| {
            asked += bytes;
            asked <= room
        });
        let added = wire.chunks(piece_bytes).try_for_each(|piece| body.add(piece));
        let found = added.and_then(|()| body.end());
        assert_eq!(found.as_deref(), expected.as_ref().map(|bytes| *bytes), "{} bytes", wire.len());
        // However much a piece unpacks to, little more than what there is room for comes to be.
        assert!(asked <= room + (64 << 10), "{asked} bytes");
    }

    #[test]
    fn a_body_is_unpacked_within_its_room() {
        let zeros = vec![0; 64 << 20];
        let bomb = gzip(&zeros);
        assert!(bomb.len() < 100_000);
        check(false, b"plain", 2, 5, Ok(b"plain"));
        check(false, b"plain", 2, 4, Err(Stop::Full));
        check(true, &gzip(b"packed"), 1, 6, Ok(b"packed"));
        check(true, &gzip(b"packed"), 1, 5, Err(Stop::Full));
        check(true, &bomb, bomb.len(), 4 << 20, Err(Stop::Full));
        check(true, &bomb, 10, 4 << 20, Err(Stop::Full));
        check(true, &[gzip(b"one "), gzip(b"two")].concat(), 7, 100, Ok(b"one two"));
        check(true, b"this was never packed", 100, 100, Err(Stop::Damaged));
        check(true, &gzip(b"cut")[..10], 100, 100, Err(Stop::Damaged));
    }
}
