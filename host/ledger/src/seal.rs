//! A checksum a row. A bit that flips in the file gives an error on reading, never a wrong answer.

use crate::error::LedgerError;
use rusqlite::Row;
use rusqlite::types::{Value, ValueRef};

/// A checksum in the making.
struct Sum {
    hasher: crc32fast::Hasher,
    /// What came and is not in `hasher` yet: many short pieces cost more there than one that is longer.
    short: [u8; Self::SHORT_BYTES],
    length: usize,
}

impl Sum {
    const SHORT_BYTES: usize = 256;

    fn of(table: &str) -> Self {
        let mut sum = Self { hasher: crc32fast::Hasher::new(), short: [0; Self::SHORT_BYTES], length: 0 };
        sum.bytes(table.as_bytes());
        sum
    }

    fn bytes(&mut self, bytes: &[u8]) {
        if self.short.len() - self.length < bytes.len() {
            self.hasher.update(&self.short[..self.length]);
            self.length = 0;
        }
        match self.short.get_mut(self.length..self.length + bytes.len()) {
            Some(room) => {
                room.copy_from_slice(bytes);
                self.length += bytes.len();
            }
            None => self.hasher.update(bytes),
        }
    }

    fn value(&mut self, value: ValueRef<'_>) {
        let (tag, bytes): (u8, &[u8]) = match value {
            ValueRef::Null => (0, &[]),
            ValueRef::Integer(number) => {
                self.bytes(&[1]);
                return self.bytes(&number.to_le_bytes());
            }
            ValueRef::Real(number) => {
                self.bytes(&[2]);
                return self.bytes(&number.to_bits().to_le_bytes());
            }
            ValueRef::Text(bytes) => (3, bytes),
            ValueRef::Blob(bytes) => (4, bytes),
        };
        self.bytes(&[tag]);
        self.bytes(&(bytes.len() as u64).to_le_bytes());
        self.bytes(bytes);
    }

    /// A value of a column that a later format added counts with its position, and not at all while it is NULL: rows of
    /// earlier formats keep the checksum they were given.
    fn later_value(&mut self, position: usize, value: ValueRef<'_>) {
        if value != ValueRef::Null {
            self.bytes(&(position as u64).to_le_bytes());
            self.value(value);
        }
    }

    fn finish(mut self) -> i64 {
        self.hasher.update(&self.short[..self.length]);
        i64::from(self.hasher.finalize())
    }
}

/// The values of a row of `table`, with their checksum as the last.
pub(crate) fn sealed(table: &str, values: Vec<Value>) -> Vec<Value> {
    sealed_later(table, values, 0)
}

/// The same for a table whose last `later` columns were added by a later format.
pub(crate) fn sealed_later(table: &str, mut values: Vec<Value>, later: usize) -> Vec<Value> {
    let first = values.len().saturating_sub(later);
    let mut sum = Sum::of(table);
    for value in &values[..first] {
        sum.value(ValueRef::from(value));
    }
    for (position, value) in values[first..].iter().enumerate() {
        sum.later_value(position, ValueRef::from(value));
    }
    values.push(Value::Integer(sum.finish()));
    values
}

/// Compares the checksum in column `columns` of a row with that of the columns before it.
pub(crate) fn check(table: &str, row: &Row<'_>, columns: usize) -> Result<(), LedgerError> {
    check_later(table, row, columns, 0)
}

/// The same for a table whose last `later` columns before the checksum were added by a later format.
pub(crate) fn check_later(table: &str, row: &Row<'_>, columns: usize, later: usize) -> Result<(), LedgerError> {
    let first = columns.saturating_sub(later);
    let mut sum = Sum::of(table);
    for index in 0..first {
        sum.value(row.get_ref(index)?);
    }
    for position in 0..columns - first {
        sum.later_value(position, row.get_ref(first + position)?);
    }
    if row.get_ref(columns)? == ValueRef::Integer(sum.finish()) {
        return Ok(());
    }
    let key = match row.get_ref(0)? {
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
        _ => "?".to_owned(),
    };
    Err(LedgerError::Damaged {
        what: format!("the row {key} of table {table} does not have the checksum it was given"),
    })
}
