//! Reads all files that match, each from where it was left.

use crate::checkpoint::{self, Files, Progress};
use crate::files::{self, Found, unreadable};
use crate::reader::{Filled, Reader, truncated, vanished, verify};
use crate::settings::{Plan, Settings};
use crossdock_sdk::{CallError, Description, More, Page, Source};
use std::collections::BTreeSet;
use std::fs::File;
use std::rc::Rc;

/// The source. What it keeps between two calls only saves work: everything that must survive is in the checkpoint.
#[derive(Debug)]
pub struct TextSource {
    plan: Rc<Plan>,
    /// The checkpoint that the rest belongs to; `None` is the beginning.
    checkpoint: Option<Vec<u8>>,
    /// How far each file was read; for the one at work as it was when it was opened.
    known: Files,
    /// The file at work.
    reader: Option<Reader>,
    /// The file whose end was reached last: should it grow, its ids need not be counted again.
    finished: Option<Reader>,
    /// The files that were there when last looked.
    there: BTreeSet<String>,
}

impl Source for TextSource {
    type Settings = Settings;

    fn describe() -> Description {
        Description::new(
            "text-source",
            env!("CARGO_PKG_VERSION"),
            "Reads records from text files: NDJSON, CSV, columns.",
        )
        .wants_read_dir("the files to read")
        .max_batch(10_000)
    }

    fn new(settings: Settings) -> Result<Self, CallError> {
        Ok(Self {
            plan: Rc::new(settings.plan()?),
            checkpoint: None,
            known: Files::new(),
            reader: None,
            finished: None,
            there: BTreeSet::new(),
        })
    }

    fn re_reads(&self) -> bool {
        true
    }

    fn read(&mut self, checkpoint: Option<&[u8]>, page: &mut Page) -> Result<More, CallError> {
        if self.checkpoint.as_deref() != checkpoint {
            self.forget();
            self.known = checkpoint.map(checkpoint::decode).transpose()?.unwrap_or_default();
        }
        let read = self.fill(page);
        match &read {
            Ok((_, position)) => {
                page.checkpoint(position.clone());
                self.checkpoint = Some(position.clone());
            }
            Err(_) => self.forget(),
        }
        read.map(|(more, _)| more)
    }

    fn check(&mut self) -> Result<(), CallError> {
        let found = files::list(&self.plan)?;
        if found.is_empty() {
            return Err(files::nothing_matches(&self.plan));
        }
        for file in found {
            File::open(&file.path).map_err(|error| unreadable(&file.path, &error))?;
        }
        Ok(())
    }
}

impl TextSource {
    /// Back to the beginning.
    fn forget(&mut self) {
        self.checkpoint = None;
        self.known.clear();
        self.reader = None;
        self.finished = None;
        self.there.clear();
    }

    /// Fills a page, and says what comes after it and where that is.
    fn fill(&mut self, page: &mut Page) -> Result<(More, Vec<u8>), CallError> {
        let mut done = BTreeSet::new();
        let more = loop {
            let mut reader = match self.reader.take() {
                Some(reader) => reader,
                None => match self.next_file(&done)? {
                    Some(reader) => reader,
                    None => break More::Idle,
                },
            };
            match reader.fill(page)? {
                Filled::Full => {
                    let known = reader.known(Progress::Open, None);
                    self.known.insert(reader.name.clone(), known);
                    self.reader = Some(reader);
                    break More::More;
                }
                Filled::AtEnd => {
                    done.insert(reader.name.clone());
                    self.finish(reader)?;
                }
            }
        };
        let there = &self.there;
        let position = checkpoint::encode(&self.known, |name| there.contains(name))?;
        Ok((more, position))
    }

    /// Notes that the end of a file was reached.
    fn finish(&mut self, mut reader: Reader) -> Result<(), CallError> {
        let modified = files::list_one(&self.plan, &reader.name)?.and_then(|found| found.modified);
        self.known.insert(reader.name.clone(), reader.known(Progress::End, modified));
        self.finished = Some(reader);
        Ok(())
    }

    /// Opens the first file that has something to read, apart from those whose end was reached in this call.
    fn next_file(&mut self, done: &BTreeSet<String>) -> Result<Option<Reader>, CallError> {
        let found = files::list(&self.plan)?;
        // Files that were read to their end may go; then there may be none at the moment.
        if found.is_empty() && (!self.plan.many || self.known.is_empty()) {
            return Err(files::nothing_matches(&self.plan));
        }
        self.there = found.iter().map(|file| file.name.clone()).collect();
        let gone = |(name, known): &(&String, &checkpoint::Known)| {
            known.progress == Progress::Open && !self.there.contains(*name)
        };
        if let Some((name, known)) = self.known.iter().find(gone) {
            return Err(vanished(name, known));
        }
        for file in found.iter().filter(|file| !done.contains(&file.name)) {
            if let Some(reader) = self.open(file)? {
                return Ok(Some(reader));
            }
        }
        Ok(None)
    }

    /// Opens a file if it has something to read.
    fn open(&mut self, file: &Found) -> Result<Option<Reader>, CallError> {
        let Some(known) = self.known.get_mut(&file.name).filter(|known| known.position > 0) else {
            return Reader::open(&self.plan, file).map(Some);
        };
        if file.size < known.position {
            return Err(truncated(&file.name, known, file.size));
        }
        if known.progress != Progress::Open && file.size == known.seen {
            if file.modified.is_none() || file.modified != known.modified {
                let mut opened = File::open(&file.path).map_err(|error| unreadable(&file.path, &error))?;
                verify(&mut opened, file, known)?;
                known.modified = file.modified;
            }
            return Ok(None);
        }
        match self.finished.take_if(|last| last.name == file.name && last.position() == known.position) {
            Some(mut reader) if file.size > known.seen => reader.go_on_at_end(file, known).map(|()| Some(reader)),
            _ => Reader::resume(&self.plan, file, known).map(Some),
        }
    }
}
