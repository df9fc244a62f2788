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

/// The values of a row of `table`, with their checksum as the last.
pub(crate) fn sealed(table: &str, mut values: Vec<Value>) -> Vec<Value> {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(table.as_bytes());
    for value in &values {
        feed(&mut hasher, ValueRef::from(value));
    }
    values.push(Value::Integer(i64::from(hasher.finalize())));
    values
}

/// Compares the checksum in column `columns` of a row with that of the columns before it.
pub(crate) fn check(table: &str, row: &Row<'_>, columns: usize) -> Result<(), LedgerError> {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(table.as_bytes());
    for index in 0..columns {
        feed(&mut hasher, row.get_ref(index)?);
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
