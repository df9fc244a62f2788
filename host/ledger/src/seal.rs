//! A checksum a row. A bit that flips in the file gives an error on reading, never a wrong answer.

use crate::error::LedgerError;
use rusqlite::Row;
use rusqlite::types::{Value, ValueRef};

fn feed(hasher: &mut crc32fast::Hasher, value: ValueRef<'_>) {
    let (tag, bytes): (u8, &[u8]) = match value {
        ValueRef::Null => (0, &[]),
        ValueRef::Integer(number) => {
            hasher.update(&[1]);
            hasher.update(&number.to_le_bytes());
            return;
        }
        ValueRef::Real(number) => {
            hasher.update(&[2]);
            hasher.update(&number.to_bits().to_le_bytes());
            return;
        }
        ValueRef::Text(bytes) => (3, bytes),
        ValueRef::Blob(bytes) => (4, bytes),
    };
    hasher.update(&[tag]);
    hasher.update(&(bytes.len() as u64).to_le_bytes());
    hasher.update(bytes);
}

/// A value of a column that a later format added counts with its position, and not at all while it is NULL: rows of
/// earlier formats keep the checksum they were given.
fn feed_later(hasher: &mut crc32fast::Hasher, position: usize, value: ValueRef<'_>) {
    if value != ValueRef::Null {
        hasher.update(&(position as u64).to_le_bytes());
        feed(hasher, value);
    }
}

/// The values of a row of `table`, with their checksum as the last.
pub(crate) fn sealed(table: &str, values: Vec<Value>) -> Vec<Value> {
    sealed_later(table, values, 0)
}

/// The same for a table whose last `later` columns were added by a later format.
pub(crate) fn sealed_later(table: &str, mut values: Vec<Value>, later: usize) -> Vec<Value> {
    let first = values.len().saturating_sub(later);
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(table.as_bytes());
    for value in &values[..first] {
        feed(&mut hasher, ValueRef::from(value));
    }
    for (position, value) in values[first..].iter().enumerate() {
        feed_later(&mut hasher, position, ValueRef::from(value));
    }
    values.push(Value::Integer(i64::from(hasher.finalize())));
    values
}

/// Compares the checksum in column `columns` of a row with that of the columns before it.
pub(crate) fn check(table: &str, row: &Row<'_>, columns: usize) -> Result<(), LedgerError> {
    check_later(table, row, columns, 0)
}

/// The same for a table whose last `later` columns before the checksum were added by a later format.
pub(crate) fn check_later(table: &str, row: &Row<'_>, columns: usize, later: usize) -> Result<(), LedgerError> {
    let first = columns.saturating_sub(later);
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(table.as_bytes());
    for index in 0..first {
        feed(&mut hasher, row.get_ref(index)?);
    }
    for position in 0..columns - first {
        feed_later(&mut hasher, position, row.get_ref(first + position)?);
    }
    if row.get_ref(columns)? == ValueRef::Integer(i64::from(hasher.finalize())) {
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
