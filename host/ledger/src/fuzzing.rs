//! A door for fuzz targets: stored values are behind checksums, which no random bytes would pass.

use crate::codec::{Reader, Writer};
use crate::error::LedgerError;
use crate::record::{read_applied, read_attributes, write_applied, write_attributes};
use crate::{chunk, plan};

/// What a stored value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The records of a batch that are ok or dropped.
    Chunk,
    /// A part of a plan.
    Plan,
    /// Values beside a payload.
    Attributes,
    /// What earlier steps applied.
    Applied,
    /// A column of an intent.
    Column,
}

/// Reads a stored value and writes it again.
///
/// # Errors
/// It is not in the form it would have been written in.
pub fn rewrite(form: Form, bytes: &[u8]) -> Result<Vec<u8>, LedgerError> {
    match form {
        Form::Chunk => chunk::decode(bytes).map(|chunk| chunk::encode(&chunk)),
        Form::Plan => plan::encode(&plan::decode(bytes)?),
        Form::Attributes => read_attributes(bytes).map(|attributes| write_attributes(&attributes)),
        Form::Applied => read_applied(bytes).map(|applied| write_applied(&applied)),
        Form::Column => {
            let mut reader = Reader::new(bytes);
            let column = reader.column()?;
            reader.end()?;
            let mut writer = Writer::default();
            writer.column(&column);
            Ok(writer.0)
        }
    }
}
