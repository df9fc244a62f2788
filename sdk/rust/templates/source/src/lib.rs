//! The Crossdock plugin `{{name}}`: reads a text file line by line.

use crossdock_sdk::{CallError, Description, More, Page, Source};
use schemars::JsonSchema;
use serde::Deserialize;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};

/// What a route may set. From this comes the JSON Schema by which routes are checked and that editors show.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The file, within a directory that the route grants: `/in/orders.ndjson`.
    file: String,
}

/// The plugin, as the settings have made it.
#[derive(Debug)]
pub struct Plugin(Settings);

impl Source for Plugin {
    type Settings = Settings;

    fn describe() -> Description {
        Description::new(
            env!("CARGO_PKG_NAME"),
            env!("CARGO_PKG_VERSION"),
            env!("CARGO_PKG_DESCRIPTION"),
        )
        .wants_read_dir("the file")
    }

    fn new(settings: Settings) -> Result<Self, CallError> {
        Ok(Self(settings))
    }

    /// Whether reading again from an older checkpoint gives the same records with the same ids.
    fn re_reads(&self) -> bool {
        true
    }

    /// Fills a page with what comes after the checkpoint, and moves the checkpoint behind it.
    fn read(&mut self, checkpoint: Option<&[u8]>, page: &mut Page) -> Result<More, CallError> {
        let mut position = Position::at(checkpoint)?;
        let mut lines = self.lines_from(&position)?;
        let mut line = Vec::new();
        loop {
            line.clear();
            let bytes = lines
                .read_until(b'\n', &mut line)
                .map_err(|error| self.unreadable(&error))?;
            // A line that is still being written is left for the next time.
            let Some(text) = line.strip_suffix(b"\n") else {
                page.checkpoint(position.text());
                return Ok(More::Idle);
            };
            let id = format!("line-{}", position.line + 1); // The same line has the same id whenever it is read.
            if !page.fits(id.len() + text.len()) {
                page.checkpoint(position.text());
                return Ok(More::More);
            }
            page.push(&id, text);
            position = Position {
                line: position.line + 1,
                byte: position.byte + bytes as u64,
            };
        }
    }
}

crossdock_sdk::export_source!(Plugin);

impl Plugin {
    fn lines_from(&self, position: &Position) -> Result<BufReader<File>, CallError> {
        let mut file = File::open(&self.0.file).map_err(|error| self.unreadable(&error))?;
        let size = file
            .metadata()
            .map_err(|error| self.unreadable(&error))?
            .len();
        if size < position.byte {
            // It is another file than the one that was read so far: a person has to decide, not the plugin.
            return Err(CallError::checkpoint_refused(format!(
                "{} is shorter than what was read of it",
                self.0.file
            )));
        }
        file.seek(SeekFrom::Start(position.byte))
            .map_err(|error| self.unreadable(&error))?;
        Ok(BufReader::new(file))
    }

    fn unreadable(&self, error: &io::Error) -> CallError {
        CallError::unavailable(format!("{} cannot be read: {error}", self.0.file))
    }
}

/// How far the file was read: what a checkpoint holds. The host keeps it and gives it back as it is.
struct Position {
    line: u64,
    byte: u64,
}

impl Position {
    fn at(checkpoint: Option<&[u8]>) -> Result<Self, CallError> {
        let Some(bytes) = checkpoint else {
            return Ok(Self { line: 0, byte: 0 });
        };
        let text = str::from_utf8(bytes).ok();
        let numbers = text
            .and_then(|text| text.split_once(' '))
            .map(|(line, byte)| (line.parse(), byte.parse()));
        match numbers {
            Some((Ok(line), Ok(byte))) => Ok(Self { line, byte }),
            _ => Err(CallError::checkpoint_refused(
                "the checkpoint is not one of this plugin",
            )),
        }
    }

    fn text(&self) -> String {
        format!("{} {}", self.line, self.byte)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossdock_sdk::testing;
    use crossdock_sdk::{ErrorKind, Limits};

    /// A file of this test, and the plugin that reads it.
    fn reading(name: &str, text: &str) -> Plugin {
        let path = std::env::temp_dir().join(format!("{{name}}-{}-{name}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        testing::source(format!(r#"{{ "file": "{}" }}"#, path.display())).unwrap()
    }

    #[test]
    fn each_whole_line_is_a_record() {
        let mut plugin = reading("lines", "one\ntwo\nthr");
        let pages = testing::read_all(
            &mut plugin,
            Limits {
                max_records: 1,
                max_bytes: 1_000,
            },
        )
        .unwrap();
        let records = pages.iter().flat_map(|page| &page.records);
        let records: Vec<_> = records
            .map(|record| (record.id.clone(), record.text()))
            .collect();
        assert_eq!(
            records,
            [
                ("line-1".into(), "one".into()),
                ("line-2".into(), "two".into())
            ]
        );
    }

    #[test]
    fn a_checkpoint_of_another_file_is_refused() {
        let mut plugin = reading("short", "one\n");
        let error = testing::read(
            &mut plugin,
            Some(b"7 700"),
            Limits {
                max_records: 1,
                max_bytes: 1_000,
            },
        )
        .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::CheckpointRefused);
    }
}
