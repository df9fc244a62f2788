//! Arguments out of bytes. What is not there any more is 0 or empty.

pub(crate) struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::from(self.byte().unwrap_or(0)) % end
    }

    pub(crate) fn number(&mut self) -> u64 {
        (0..8).fold(0, |number, _| number << 8 | u64::from(self.byte().unwrap_or(0)))
    }

    /// A number of 32 bits: mostly a small one.
    pub(crate) fn small(&mut self) -> u32 {
        match self.byte() {
            Some(255) => self.number() as u32,
            byte => u32::from(byte.unwrap_or(0)),
        }
    }

    /// A length, then so many bytes; a length of 255 repeats them until they are many.
    pub(crate) fn part(&mut self) -> Vec<u8> {
        let length = self.byte().unwrap_or(0);
        let (part, rest) = self.0.split_at(self.0.len().min(usize::from(length)));
        self.0 = rest;
        if length == 255 && !part.is_empty() { part.repeat(300_000 / part.len()) } else { part.to_vec() }
    }

    pub(crate) fn text(&mut self) -> String {
        String::from_utf8_lossy(&self.part()).into_owned()
    }
}
