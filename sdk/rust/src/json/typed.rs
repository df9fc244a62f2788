//! JSON in, with failures that name the place.

use crate::failure::Failure;
use serde::Deserialize;
use serde_path_to_error::{Path, Segment};

/// Reads JSON.
///
/// The common case costs nothing extra: only when it fails the text is read a second time, keeping
/// track of where it stands.
pub(crate) fn parse<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<T, Failure> {
    serde_json::from_slice(text).map_err(|error| explain::<T>(text, &error))
}

#[cold]
fn explain<'a, T: Deserialize<'a>>(text: &'a [u8], error: &serde_json::Error) -> Failure {
    if !error.is_data() {
        return Failure::new("not-json", format!("the payload is not JSON: {error}"));
    }
    let mut reader = serde_json::Deserializer::from_slice(text);
    let (pointer, message) = match serde_path_to_error::deserialize::<_, T>(&mut reader) {
        Err(error) => (pointer(error.path()), without_place(error.inner())),
        Ok(_) => (String::new(), without_place(error)),
    };
    Failure::new("unexpected-json", format!("the payload has another shape than expected: {message}")).pointer(pointer)
}

/// The message of an error without "at line 1 column 5", which says nothing where a pointer stands.
pub(crate) fn without_place(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    message.strip_suffix(&place).map_or(message.clone(), str::to_owned)
}

/// An RFC 6901 pointer to a place in a JSON text.
pub(crate) fn pointer(path: &Path) -> String {
    let mut pointer = String::new();
    for segment in path.iter() {
        match segment {
            Segment::Seq { index } => pointer.push_str(&format!("/{index}")),
            Segment::Map { key } | Segment::Enum { variant: key } => {
                pointer.push('/');
                pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
            }
            Segment::Unknown => {}
        }
    }
    pointer
}
