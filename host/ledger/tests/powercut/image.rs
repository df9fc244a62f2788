//! The folder as a disk could have it after the power was cut.

use super::shim::Op;
use std::collections::BTreeMap;
use std::path::Path;

const SECTOR_BYTES: usize = 512;

/// Numbers that look random and are the same for the same seed.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from((self.0 >> 16) % u64::try_from(limit.max(1)).unwrap()).unwrap()
    }

    pub(crate) fn one_in(&mut self, of: usize) -> bool {
        self.below(of) == 0
    }
}

#[derive(Debug, Clone)]
enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Cut { len: usize },
}

impl Change {
    fn apply(&self, file: &mut Vec<u8>) {
        match self {
            Self::Write { at, bytes } => put(file, *at, bytes),
            Self::Cut { len } => file.resize(*len, 0),
        }
    }
}

fn put(file: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    if file.len() < at + bytes.len() {
        file.resize(at + bytes.len(), 0);
    }
    file[at..at + bytes.len()].copy_from_slice(bytes);
}

#[derive(Debug, Clone, Default)]
struct File {
    /// What the disk holds for sure.
    synced: Vec<u8>,
    /// What it may hold, since the last sync.
    since: Vec<Change>,
}

#[derive(Debug, Clone)]
enum Entry {
    Made(String, usize),
    Removed(String),
}

/// What a disk holds for sure, and what it may hold.
#[derive(Debug, Clone, Default)]
pub(crate) struct Disk {
    files: BTreeMap<usize, File>,
    /// The folder as it is for sure.
    folder: BTreeMap<String, usize>,
    /// Changes of the folder since.
    entries: Vec<Entry>,
    /// It says that it has synced and has not.
    lies: bool,
}

impl Disk {
    /// An empty disk. One that `lies` says that it has synced and has not.
    pub(crate) fn new(lies: bool) -> Self {
        Self { lies, ..Self::default() }
    }

    /// Takes the next change.
    pub(crate) fn take(&mut self, op: &Op) {
        match op {
            Op::Make { file, name } => self.entries.push(Entry::Made(name.clone(), *file)),
            Op::Write { file, at, bytes } => {
                let change = Change::Write { at: *at, bytes: bytes.clone() };
                self.files.entry(*file).or_default().since.push(change);
            }
            Op::Cut { file, len } => self.files.entry(*file).or_default().since.push(Change::Cut { len: *len }),
            Op::Sync { file, folder } if !self.lies => {
                let file = self.files.entry(*file).or_default();
                for change in std::mem::take(&mut file.since) {
                    change.apply(&mut file.synced);
                }
                if *folder {
                    self.sync_folder();
                }
            }
            Op::Sync { .. } => {}
            Op::Remove { name, folder } => {
                self.entries.push(Entry::Removed(name.clone()));
                if *folder && !self.lies {
                    self.sync_folder();
                }
            }
        }
    }

    fn sync_folder(&mut self) {
        let entries = std::mem::take(&mut self.entries);
        apply(&mut self.folder, &entries);
    }

    /// Puts into `dir` what the disk could hold if the power went now: everything that was synced; of the entries of
    /// the folder since then a first part; of the writes since then any, whole or sector by sector.
    pub(crate) fn image(&self, dir: &Path, dice: &mut Dice) {
        let mut folder = self.folder.clone();
        apply(&mut folder, &self.entries[..dice.below(self.entries.len() + 1)]);
        for (name, number) in folder {
            let file = self.files.get(&number).cloned().unwrap_or_default();
            let mut bytes = file.synced;
            // Nothing, all, or any part of what was not synced.
            let mood = dice.below(4);
            for change in file.since {
                match (mood, dice.below(3), &change) {
                    (0, ..) | (2.., 0, _) => {}
                    (1, ..) | (2.., 1, _) | (2.., _, Change::Cut { .. }) => change.apply(&mut bytes),
                    (_, _, Change::Write { at, bytes: written }) => {
                        for (index, sector) in sectors(*at, written) {
                            if dice.one_in(2) {
                                put(&mut bytes, index, sector);
                            }
                        }
                    }
                }
            }
            std::fs::write(dir.join(name), bytes).unwrap();
        }
        if dice.one_in(3) {
            // Shared memory is a file too; what is left of it means nothing.
            let rubbish: Vec<u8> = (0..32_768).map(|_| u8::try_from(dice.below(256)).unwrap()).collect();
            std::fs::write(dir.join("ledger.db-shm"), rubbish).unwrap();
        }
    }
}

fn apply(folder: &mut BTreeMap<String, usize>, entries: &[Entry]) {
    for entry in entries {
        match entry {
            Entry::Made(name, file) => drop(folder.insert(name.clone(), *file)),
            Entry::Removed(name) => drop(folder.remove(name)),
        }
    }
}

/// The parts of a write that go to the disk one by one, with where they go.
fn sectors(at: usize, bytes: &[u8]) -> Vec<(usize, &[u8])> {
    let mut parts = Vec::new();
    let (mut from, mut rest) = (at, bytes);
    while !rest.is_empty() {
        let (sector, after) = rest.split_at(rest.len().min(SECTOR_BYTES - from % SECTOR_BYTES));
        parts.push((from, sector));
        from += sector.len();
        rest = after;
    }
    parts
}
