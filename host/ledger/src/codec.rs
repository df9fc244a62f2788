//! Numbers, byte strings and columns as bytes: the stored form of what has no column of its own.

use crate::error::LedgerError;
use crossdock_model::{Column, StepName};

/// Appends values to bytes.
#[derive(Debug, Default)]
pub(crate) struct Writer(pub(crate) Vec<u8>);

impl Writer {
    pub(crate) fn number(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.0.push(value.to_le_bytes()[0]);
    }

    pub(crate) fn bytes(&mut self, value: &[u8]) {
        self.number(value.len() as u64);
        self.0.extend_from_slice(value);
    }

    /// A column whose values begin alike, as ids do: each says how much it shares with the one before.
    pub(crate) fn column(&mut self, column: &Column) {
        self.number(column.len() as u64);
        let lengths = || Self(Vec::with_capacity(column.len()));
        let (mut shared, mut rest, mut data) = (lengths(), lengths(), Vec::with_capacity(column.data().len()));
        let mut before: &[u8] = &[];
        for value in column.iter() {
            let same = before.iter().zip(value).take_while(|(a, b)| a == b).count();
            shared.number(same as u64);
            rest.number((value.len() - same) as u64);
            data.extend_from_slice(&value[same..]);
            before = value;
        }
        self.bytes(&shared.0);
        self.bytes(&rest.0);
        self.bytes(&data);
    }

    pub(crate) fn maybe_column(&mut self, column: Option<&Column>) {
        self.number(u64::from(column.is_some()));
        if let Some(column) = column {
            self.column(column);
        }
    }
}

/// The most bytes that columns may come to, together, when one stored value is read. What is written by batches is far
/// below that; without a limit, a few kilobytes could stand for any number of values that begin alike.
const READ_MAX_BYTES: usize = 512 << 20;

/// Takes values from bytes that may have been damaged.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    /// What was not taken yet.
    pub(crate) rest: &'a [u8],
    /// How many bytes more what is read may come to.
    room: usize,
}

fn short() -> LedgerError {
    LedgerError::Damaged { what: "a stored value is not in the form it was written in".to_owned() }
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, room: READ_MAX_BYTES }
    }

    /// Notes that what is read comes to so many bytes more than are taken.
    ///
    /// # Errors
    /// More than may be.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), LedgerError> {
        self.room = self.room.checked_sub(bytes).ok_or_else(short)?;
        Ok(())
    }

    pub(crate) fn number(&mut self) -> Result<u64, LedgerError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.rest.split_first().ok_or_else(short)?;
            self.rest = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(short())
    }

    pub(crate) fn length(&mut self) -> Result<usize, LedgerError> {
        usize::try_from(self.number()?).map_err(|_| short())
    }

    pub(crate) fn small(&mut self) -> Result<u32, LedgerError> {
        u32::try_from(self.number()?).map_err(|_| short())
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], LedgerError> {
        let length = self.length()?;
        let (value, rest) = self.rest.split_at_checked(length).ok_or_else(short)?;
        self.rest = rest;
        Ok(value)
    }

    pub(crate) fn text(&mut self) -> Result<String, LedgerError> {
        String::from_utf8(self.bytes()?.to_vec()).map_err(|_| short())
    }

    pub(crate) fn step(&mut self) -> Result<StepName, LedgerError> {
        StepName::new(self.text()?).map_err(|_| short())
    }

    pub(crate) fn column(&mut self) -> Result<Column, LedgerError> {
        let count = self.length()?;
        let (mut shared, mut rest) = (Reader::new(self.bytes()?), Reader::new(self.bytes()?));
        let mut data = self.bytes()?;
        let mut column = Column::new();
        let mut value = Vec::new();
        for _ in 0..count {
            let same = shared.length()?;
            if same > value.len() {
                return Err(short());
            }
            value.truncate(same);
            let (new, left) = data.split_at_checked(rest.length()?).ok_or_else(short)?;
            data = left;
            value.extend_from_slice(new);
            self.grow(value.len() + size_of::<u32>())?;
            column.try_push(&value).map_err(|_| short())?;
        }
        Ok(column)
    }

    pub(crate) fn maybe_column(&mut self) -> Result<Option<Column>, LedgerError> {
        Ok(if self.number()? == 0 { None } else { Some(self.column()?) })
    }

    pub(crate) fn end(&self) -> Result<(), LedgerError> {
        if self.rest.is_empty() { Ok(()) } else { Err(short()) }
    }
}

/// JSON that was written by us.
pub(crate) fn from_json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, LedgerError> {
    serde_json::from_str(text).map_err(|error| LedgerError::Damaged {
        what: format!("a stored value is not in the form it was written in: {error}"),
    })
}

/// JSON of our own types.
pub(crate) fn to_json<T: serde::Serialize>(value: &T) -> Result<String, LedgerError> {
    serde_json::to_string(value)
        .map_err(|error| LedgerError::BadCommit { why: format!("a value cannot be stored: {error}") })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn check(values: &[&str]) {
        let column: Column = values.iter().collect();
        let mut writer = Writer::default();
        writer.column(&column);
        let mut reader = Reader::new(&writer.0);
        assert_eq!(reader.column().unwrap(), column);
        reader.end().unwrap();
        for length in 0..writer.0.len() {
            let mut cut = Reader::new(&writer.0[..length]);
            assert!(cut.column().is_err(), "{values:?} cut to {length}");
        }
    }

    #[test]
    fn columns_come_back() {
        check(&[]);
        check(&[""]);
        check(&["order-1", "order-10", "order-2", "", "x"]);
        check(&["same", "same", "same"]);
    }

    #[test]
    fn numbers_come_back() {
        for value in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
            let mut writer = Writer::default();
            writer.number(value);
            assert_eq!(Reader::new(&writer.0).number().unwrap(), value);
        }
        assert!(Reader::new(&[0xff; 11]).number().is_err());
    }
}
