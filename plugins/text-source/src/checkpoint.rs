//! The source's position: for each file how far it was read, and a digest of what was read.

use crossdock_sdk::{CallError, Failure};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The most bytes the contract allows.
const MAX_BYTES: usize = 64 * 1024;

const VERSION: u32 = 1;

/// How far a file was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known {
    /// How many bytes.
    pub(crate) position: u64,
    /// How many lines.
    pub(crate) line: u64,
    /// XXH64 of these bytes.
    pub(crate) digest: u64,
    pub(crate) progress: Progress,
    /// When the file was last changed, in nanoseconds since 1970, at the time its end was reached.
    pub(crate) modified: Option<u64>,
    /// How many bytes were seen, counting a last line that is left until it has its line end. Not stored.
    pub(crate) seen: u64,
}

/// Where in the file that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Progress {
    /// There was more to read.
    Open,
    /// The end of the file as it was then.
    End,
    /// The same, and the last line had no line end.
    MidLine,
}

/// All files of which something was read, by their names.
pub(crate) type Files = BTreeMap<String, Known>;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    v: u32,
    files: Vec<(String, u64, u64, String, Progress, Option<u64>)>,
}

/// Only to see the version of one that we cannot read.
#[derive(Deserialize)]
struct Versioned {
    v: u32,
}

/// Writes a checkpoint. Files that are not there any more are forgotten, but only if there is no room for them.
///
/// # Errors
/// Even so there are too many files.
pub(crate) fn encode(files: &Files, is_there: impl Fn(&str) -> bool) -> Result<Vec<u8>, CallError> {
    let text = encode_those(files, |_| true)?;
    if text.len() <= MAX_BYTES {
        return Ok(text);
    }
    let text = encode_those(files, is_there)?;
    if text.len() <= MAX_BYTES {
        return Ok(text);
    }
    let message = format!(
        "there are too many files ({}): the position in each must fit into one checkpoint of 64 KiB; move files that \
         were read out of the directory, or make several routes with narrower patterns",
        files.len()
    );
    Err(CallError::invalid_settings(Failure::new("too-many-files", message).pointer("/files")))
}

fn encode_those(files: &Files, which: impl Fn(&str) -> bool) -> Result<Vec<u8>, CallError> {
    let stored = |(name, known): (&String, &Known)| {
        (name.clone(), known.position, known.line, format!("{:016x}", known.digest), known.progress, known.modified)
    };
    let files = files.iter().filter(|(name, _)| which(name)).map(stored).collect();
    serde_json::to_vec(&Stored { v: VERSION, files })
        .map_err(|error| CallError::internal(format!("the checkpoint could not be written: {error}")))
}

/// Reads a checkpoint.
///
/// # Errors
/// It is not one of ours, or one of a later version.
pub(crate) fn decode(text: &[u8]) -> Result<Files, CallError> {
    let stored: Stored = serde_json::from_slice(text).map_err(|error| refuse(text, &error.to_string()))?;
    if stored.v != VERSION {
        return Err(refuse(text, ""));
    }
    let mut files = Files::new();
    for (name, position, line, digest, progress, modified) in stored.files {
        let digest = u64::from_str_radix(&digest, 16).map_err(|error| refuse(text, &error.to_string()))?;
        files.insert(name, Known { position, line, digest, progress, modified, seen: position });
    }
    Ok(files)
}

#[cold]
fn refuse(text: &[u8], error: &str) -> CallError {
    let why = match serde_json::from_slice::<Versioned>(text) {
        Ok(Versioned { v }) if v != VERSION => {
            format!(
                "has version {v}, this text-source reads version {VERSION}: use the version of the plugin that wrote it"
            )
        }
        _ => format!("was not written by text-source ({error}): was the route's source another plugin before?"),
    };
    CallError::checkpoint_refused(Failure::new("checkpoint-refused", format!("the checkpoint {why}")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn files(names: impl Iterator<Item = String>) -> Files {
        let known = Known { position: 7, line: 1, digest: 0xabc, progress: Progress::End, modified: Some(5), seen: 7 };
        names.map(|name| (name, known.clone())).collect()
    }

    #[test]
    fn what_is_written_is_read() {
        let files = files(["a.txt", "b/ü.txt"].into_iter().map(str::to_owned));
        let text = encode(&files, |_| true).unwrap();
        let expected =
            r#"{"v":1,"files":[["a.txt",7,1,"0000000000000abc","end",5],["b/ü.txt",7,1,"0000000000000abc","end",5]]}"#;
        assert_eq!(String::from_utf8_lossy(&text), expected);
        assert_eq!(decode(&text).unwrap(), files);
    }

    #[test]
    fn files_that_are_gone_make_room() {
        let many = files((0..2000).map(|n| format!("orders-{n:04}.csv")));
        let text = encode(&many, |name| name >= "orders-1500.csv").unwrap();
        assert_eq!(decode(&text).unwrap().len(), 500);
        let error = encode(&many, |_| true).unwrap_err();
        assert_eq!(error.failure().code(), "too-many-files");
    }

    #[test]
    fn strangers_are_refused() {
        for (text, expected) in [
            (r#"{"v":2,"more":[]}"#, "has version 2"),
            (r#"{"v":2,"files":[]}"#, "has version 2"),
            ("{}", "not written by text-source"),
            ("\0", "not written by text-source"),
            (r#"{"v":1,"files":[["a",1,1,"xyz","end",null]]}"#, "not written by text-source"),
        ] {
            let error = decode(text.as_bytes()).unwrap_err();
            assert_eq!(error.failure().code(), "checkpoint-refused");
            assert!(error.failure().message().contains(expected), "{text}: {error}");
        }
    }
}
