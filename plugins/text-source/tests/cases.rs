//! Runs the stories in `cases/`: files change, the source reads, and what it reads is compared.
//!
//! Each story is told several times: with one instance and with a fresh one for each page, with pages of all sizes.
//! What is read must be the same each time, and the same again from every checkpoint that was given on the way.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

use crossdock_sdk::{CallError, Limits, More, testing};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use text_source::TextSource;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// `/in` stands for a directory of the test.
    settings: serde_json::Value,
    step: Vec<Step>,
}

/// Changes to files, then a read up to the end.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    #[serde(default)]
    write: BTreeMap<String, Content>,
    #[serde(default)]
    append: BTreeMap<String, Content>,
    #[serde(default)]
    remove: Vec<String>,
    /// Read only one page of so many records; the rest is left to the next step.
    only: Option<u32>,
    /// Each record: its id, for unreadable ones `!CODE`, and its payload.
    #[serde(default)]
    reads: Vec<Vec<String>>,
    /// `CODE: part of the message`.
    error: Option<String>,
    /// What `check` answers: the same, or nothing if it is fine.
    check: Option<String>,
    /// The host makes a new instance first.
    #[serde(default)]
    fresh: bool,
    /// Settings that are in force from here on.
    settings: Option<serde_json::Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Bytes(Vec<u8>),
    Repeat { repeat: String, times: usize },
}

impl Content {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Text(text) => text.as_bytes().to_vec(),
            Self::Bytes(bytes) => bytes.clone(),
            Self::Repeat { repeat, times } => repeat.repeat(*times).into_bytes(),
        }
    }
}

/// How a story is told.
#[derive(Debug, Clone, Copy)]
struct Manner {
    fresh: bool,
    max_records: u32,
    max_bytes: u32,
}

const MANNERS: [Manner; 5] = [
    Manner { fresh: false, max_records: 1000, max_bytes: 1 << 20 },
    Manner { fresh: true, max_records: 1000, max_bytes: 1 << 20 },
    Manner { fresh: false, max_records: 1, max_bytes: 1 << 20 },
    Manner { fresh: true, max_records: 1, max_bytes: 1 << 20 },
    Manner { fresh: true, max_records: 1000, max_bytes: 90 },
];

struct Teller<'a> {
    directory: &'a Path,
    settings: serde_json::Value,
    manner: Manner,
    source: Option<TextSource>,
    checkpoint: Option<Vec<u8>>,
}

impl Teller<'_> {
    fn source(&mut self) -> Result<&mut TextSource, CallError> {
        if self.manner.fresh || self.source.is_none() {
            let settings = self.settings.to_string().replace("\"/in", &format!("\"{}", self.directory.display()));
            self.source = Some(testing::source(settings)?);
        }
        Ok(self.source.as_mut().unwrap())
    }

    /// Reads one page.
    fn page(&mut self, limits: Limits) -> Result<(Vec<Vec<String>>, More), CallError> {
        let checkpoint = self.checkpoint.clone();
        let page = testing::read(self.source()?, checkpoint.as_deref(), limits)?;
        self.checkpoint = Some(page.checkpoint.clone());
        let told = page.records.iter().map(|record| match &record.failure {
            Some(failure) => {
                assert!(failure.message().contains(" line "), "no line is named: {failure}");
                vec![record.id.clone(), format!("!{}", failure.code()), record.text()]
            }
            None => vec![record.id.clone(), record.text()],
        });
        Ok((told.collect(), page.more))
    }

    /// Reads up to the end. With each record comes the checkpoint in front of its page.
    fn read(&mut self) -> Result<Vec<Vec<String>>, CallError> {
        let limits = Limits { max_records: self.manner.max_records, max_bytes: self.manner.max_bytes };
        let mut told = Vec::new();
        loop {
            let (records, more) = self.page(limits)?;
            told.extend(records);
            if more != More::More {
                return Ok(told);
            }
        }
    }
}

fn change(directory: &Path, step: &Step) {
    for (name, content) in &step.write {
        let path = directory.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content.bytes()).unwrap();
    }
    for (name, content) in &step.append {
        let mut file = fs::OpenOptions::new().append(true).open(directory.join(name)).unwrap();
        file.write_all(&content.bytes()).unwrap();
    }
    for name in &step.remove {
        fs::remove_file(directory.join(name)).unwrap();
    }
}

fn same_error(found: &CallError, expected: &str, directory: &Path, place: &str) {
    let (code, part) = expected.split_once(": ").unwrap_or((expected, ""));
    let message = found.failure().message().replace(&directory.display().to_string(), "/in");
    assert_eq!(found.failure().code(), code, "{place}: {message}");
    assert!(message.contains(part), "{place}: {message:?} does not say {part:?}");
}

fn check(name: &str, case: &Case, manner: Manner) {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let mut teller = Teller { directory, settings: case.settings.clone(), manner, source: None, checkpoint: None };
    for (number, step) in case.step.iter().enumerate() {
        let place = format!("{name}, step {}, {manner:?}", number + 1);
        change(directory, step);
        if let Some(settings) = &step.settings {
            teller.settings = settings.clone();
        }
        if step.fresh || step.settings.is_some() {
            teller.source = None;
        }
        if let Some(expected) = &step.check {
            match teller.source().and_then(crossdock_sdk::Source::check) {
                Ok(()) => assert_eq!(expected, "", "{place}: check is fine"),
                Err(error) => same_error(&error, expected, directory, &place),
            }
        }
        let before = teller.checkpoint.clone();
        let read = match step.only {
            Some(records) => teller.page(Limits { max_records: records, max_bytes: 1 << 20 }).map(|(told, _)| told),
            None => teller.read(),
        };
        match (read, &step.error) {
            (Ok(told), None) => assert_eq!(told, step.reads, "{place}"),
            (Err(found), Some(expected)) => {
                same_error(&found, expected, directory, &place);
                // What was refused is refused again, and nothing was taken as read.
                assert!(teller.read().is_err(), "{place}: the second time it is fine");
                continue;
            }
            (found, expected) => panic!("{place}: {found:?}, expected {expected:?}"),
        }
        if step.only.is_none() {
            // From the checkpoint before, everything comes again.
            let again = Manner { fresh: true, max_records: 2, max_bytes: 1 << 20 };
            let settings = teller.settings.clone();
            let mut again = Teller { directory, settings, manner: again, source: None, checkpoint: before };
            assert_eq!(again.read().unwrap(), step.reads, "{place}, read again");
        }
    }
}

#[test]
fn stories() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    let mut told = 0;
    for entry in fs::read_dir(cases).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let case: Case =
            toml::from_str(&fs::read_to_string(&path).unwrap()).unwrap_or_else(|error| panic!("{name}: {error}"));
        for manner in MANNERS {
            check(&name, &case, manner);
        }
        told += 1;
    }
    assert!(told > 10, "only {told} cases");
}
