//! The destination: batches become lines.

use crate::line::{self, Key};
use crate::settings::{Lines, Settings};
use crate::store::{NotAdded, Store, cannot, directory_of};
use crossdock_sdk::{
    Answers, Atomicity, Batch, CallError, Compensate, Description, Destination, DestinationAbilities, Failure, Finding,
    Idempotency, Probe, ProbeAnswers, Record, Undo, UndoAnswers, UndoBatch, Write, control,
};
use std::fs::{self, File, OpenOptions};
use std::io;

/// A call that has less time left than this does not begin.
const RESERVE_MS: u64 = 500;

/// Writes records into one file.
#[derive(Debug)]
pub struct FileDestination {
    store: Store,
    /// Lines to be written. Used again and again.
    buffer: Vec<u8>,
}

impl Destination for FileDestination {
    type Settings = Settings;

    fn describe() -> Description {
        Description::new("file-destination", env!("CARGO_PKG_VERSION"), "Writes records into an NDJSON file.")
            .wants_write_dir("the file to write")
            .max_batch(10_000)
    }

    fn new(settings: Settings) -> Result<Self, CallError> {
        Ok(Self { store: Store::new(settings.plan()?), buffer: Vec::new() })
    }

    fn abilities(&self) -> DestinationAbilities {
        let envelope = self.store.plan().lines == Lines::Envelope;
        DestinationAbilities {
            idempotency: if envelope { Idempotency::NativeKey } else { Idempotency::None },
            atomicity: Atomicity::PerRecord,
            compensates: envelope,
        }
    }

    fn write(&mut self, batch: &Batch<'_>, answers: &mut Answers<'_>) -> Result<(), CallError> {
        if out_of_time() {
            answers.leave_rest_untouched();
            return Ok(());
        }
        let mut file = self.store.open()?;
        self.buffer.clear();
        let planned = match self.store.plan().lines {
            Lines::Envelope => self.plan_envelopes(batch, answers)?,
            Lines::Payload => self.plan_payloads(batch, answers),
        };
        let added = self.append(&mut file, planned.iter().filter_map(|planned| planned.new_key))?;
        for planned in planned {
            let write = match (&added, planned.repeated) {
                (Err(failure), _) => Write::unknown(failure.clone()),
                (Ok(()), true) => named(Write::unchanged(), &planned.record),
                (Ok(()), false) if planned.new_key.is_some() => named(Write::applied(), &planned.record),
                (Ok(()), false) => Write::applied(),
            };
            answers.set(&planned.record, write);
        }
        answers.leave_rest_untouched();
        Ok(())
    }

    fn check(&mut self) -> Result<(), CallError> {
        let path = &self.store.plan().path;
        let usable = match OpenOptions::new().read(true).write(true).open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::metadata(directory_of(path)).and_then(|directory| match directory.is_dir() {
                    true => Ok(()),
                    false => Err(io::ErrorKind::NotADirectory.into()),
                })
            }
            opened => opened.map(|_| ()),
        };
        usable.map_err(|error| cannot("be opened for writing", path, &error))
    }
}

impl Compensate for FileDestination {
    fn compensate(&mut self, batch: &UndoBatch<'_>, answers: &mut UndoAnswers<'_>) -> Result<(), CallError> {
        if out_of_time() {
            answers.leave_rest_untouched();
            return Ok(());
        }
        if self.store.plan().lines == Lines::Payload {
            answers.one_by_one(0, |_| {
                Err(Failure::new("no-keys", "lines without keys cannot be undone: use lines = \"envelope\""))
            });
            return Ok(());
        }
        let mut file = self.store.open()?;
        self.buffer.clear();
        let (mut undone, mut keys) = (Vec::new(), Vec::new());
        for record in batch.iter() {
            // The receipt is the key; a host that lost it still has the key.
            let digits = if record.receipt().is_empty() { record.key().as_bytes() } else { record.receipt() };
            match (Key::parse(digits), std::str::from_utf8(digits)) {
                (Some(key), Ok(digits)) if self.store.has(key) => {
                    line::push_undo(&mut self.buffer, digits, record.id());
                    self.store.remove(key);
                    keys.push(key);
                    undone.push((record, true));
                }
                (Some(_), _) => undone.push((record, false)),
                (None, _) => answers.set(
                    &record,
                    Undo::rejected(Failure::new("bad-receipt", "the receipt is not one of this destination")),
                ),
            }
        }
        let added = match self.store.append(&mut file, &self.buffer) {
            Ok(()) => Ok(()),
            Err(NotAdded::Nothing(error)) => {
                self.store.forget();
                return Err(cannot("be written", &self.store.plan().path, &error));
            }
            Err(NotAdded::Unknown(error)) => Err(self.unknown(&error)),
        };
        for (record, here) in undone {
            let undo = match &added {
                Err(failure) => Undo::unknown(failure.clone()),
                Ok(()) if here => Undo::undone(),
                Ok(()) => Undo::unchanged(),
            };
            answers.set(&record, undo);
        }
        Ok(())
    }
}

impl Probe for FileDestination {
    fn probe(&mut self, batch: &Batch<'_>, answers: &mut ProbeAnswers<'_>) -> Result<(), CallError> {
        if self.store.plan().lines == Lines::Payload {
            let why = "lines without keys cannot be told apart: look into the file";
            answers.one_by_one(0, |_| Err(Failure::new("no-keys", why)));
            return Ok(());
        }
        self.store.look()?;
        for record in batch.iter() {
            let finding = match Key::parse(record.key().as_bytes()) {
                Some(key) if self.store.has(key) => Finding::applied().target_id(record.key()).receipt(record.key()),
                Some(_) => Finding::not_applied(),
                None => Finding::unknown(bad_key()),
            };
            answers.set(&record, finding);
        }
        Ok(())
    }
}

/// A record that is applied once its line, if it needs one, is on disk.
struct Planned<'a> {
    record: Record<'a>,
    /// Its key, if the file did not have it.
    new_key: Option<Key>,
    /// A record of the same batch has its key.
    repeated: bool,
}

impl FileDestination {
    /// Writes the lines of all records that are not in the file yet. Those that are, and those that cannot be
    /// written, are answered at once.
    fn plan_envelopes<'a>(
        &mut self,
        batch: &Batch<'a>,
        answers: &mut Answers<'_>,
    ) -> Result<Vec<Planned<'a>>, CallError> {
        let mut planned: Vec<Planned<'a>> = Vec::with_capacity(batch.len());
        for record in batch.iter() {
            let digits = record.key();
            let written = match Key::parse(digits.as_bytes()) {
                None => Err(bad_key()),
                Some(key) if self.store.has(key) => {
                    if planned.iter().any(|earlier| earlier.new_key == Some(key)) {
                        planned.push(Planned { record, new_key: None, repeated: true });
                    } else {
                        answers.set(&record, named(Write::unchanged(), &record));
                    }
                    continue;
                }
                Some(key) => line::push_envelope(&mut self.buffer, digits, record.id(), record.payload()).map(|()| key),
            };
            match written {
                Ok(key) => {
                    if let Err(error) = self.store.insert(key) {
                        planned.iter().filter_map(|planned| planned.new_key).for_each(|key| self.store.remove(key));
                        return Err(error);
                    }
                    planned.push(Planned { record, new_key: Some(key), repeated: false });
                }
                Err(failure) => {
                    answers.set(&record, Write::rejected(failure));
                    if answers.stop_at_first_failure() {
                        break;
                    }
                }
            }
        }
        Ok(planned)
    }

    fn plan_payloads<'a>(&mut self, batch: &Batch<'a>, answers: &mut Answers<'_>) -> Vec<Planned<'a>> {
        let mut planned = Vec::with_capacity(batch.len());
        for record in batch.iter() {
            match line::push_payload(&mut self.buffer, record.payload()) {
                Ok(()) => planned.push(Planned { record, new_key: None, repeated: false }),
                Err(failure) => {
                    answers.set(&record, Write::rejected(failure));
                    if answers.stop_at_first_failure() {
                        break;
                    }
                }
            }
        }
        planned
    }

    /// Puts the lines on disk. A failure within is that of records of which it is unknown whether they are there.
    fn append(&mut self, file: &mut File, keys: impl Iterator<Item = Key>) -> Result<Result<(), Failure>, CallError> {
        let Err(why) = self.store.append(file, &self.buffer) else { return Ok(Ok(())) };
        keys.for_each(|key| self.store.remove(key));
        match why {
            NotAdded::Nothing(error) => Err(cannot("be written", &self.store.plan().path, &error)),
            NotAdded::Unknown(error) => Ok(Err(self.unknown(&error))),
        }
    }

    #[cold]
    fn unknown(&self, error: &io::Error) -> Failure {
        let file = self.store.plan().path.display();
        let message = format!("writing to `{file}` failed, and the file could not be put back as it was: {error}");
        Failure::new("half-written", message)
    }
}

/// The key is both what names the record in the file and what is needed to undo it.
fn named<'a>(write: Write<'a>, record: &Record<'a>) -> Write<'a> {
    let key = record.key();
    write.target_id(key).receipt(key)
}

#[cold]
fn bad_key() -> Failure {
    Failure::new("bad-key", "the idempotency key is not 32 hexadecimal digits in lower case")
}

fn out_of_time() -> bool {
    control::remaining_ms() < RESERVE_MS || control::cancelled()
}
