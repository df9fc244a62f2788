//! Listing a directory: a piece at a time, however many entries it has.

use super::descriptor::{Handle, descriptor_type};
use super::open_files::Room;
use super::operations::{Lane, Lost};
use crate::limits::Limits;
use cap_primitives::fs::{DirEntry, FileType, ReadDir, read_base_dir};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use wasmtime_wasi::p2::bindings::filesystem::types::{DirectoryEntry, ErrorCode};

type Entry = Result<DirectoryEntry, ErrorCode>;

/// The entries of a directory that were not asked for yet.
pub(crate) struct Entries {
    ahead: VecDeque<Entry>,
    /// `None` at the end.
    rest: Option<(ReadDir, Room)>,
}

impl Entries {
    /// How many open files listing a directory takes.
    pub(crate) const OPEN_FILES: usize = 2;

    /// Begins to list a directory; blocks its thread.
    pub(crate) fn begin(dir: &Arc<Handle>, room: Room) -> io::Result<Self> {
        Ok(Self { ahead: VecDeque::new(), rest: Some((read_base_dir(&dir.file)?, room)) })
    }

    /// The next entry, `None` at the end. One that cannot be told is an error, and the others follow.
    pub(crate) async fn next(&mut self, lane: &Lane) -> Result<Option<Entry>, Lost> {
        if self.ahead.is_empty()
            && let Some((mut rest, room)) = self.rest.take()
        {
            let read = lane.run(move || {
                let ahead: VecDeque<Entry> =
                    rest.by_ref().take(Limits::DIR_ENTRIES_AHEAD_MAX).map(|entry| told(entry?)).collect();
                (ahead, rest, room)
            });
            let (ahead, rest, room) = read.await?;
            self.ahead = ahead;
            if !self.ahead.is_empty() {
                self.rest = Some((rest, room));
            }
        }
        Ok(self.ahead.pop_front())
    }
}

fn told(entry: DirEntry) -> Entry {
    let found = entry.file_type()?;
    // Some file systems do not say what it is with its name.
    let found = if found == FileType::unknown() { entry.metadata()?.file_type() } else { found };
    let name = entry.file_name().into_string().map_err(|_| ErrorCode::IllegalByteSequence)?;
    Ok(DirectoryEntry { type_: descriptor_type(found), name })
}
