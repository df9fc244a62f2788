//! How many files plugins hold open: the process has only so many, and its ledger and connections need some.

use crate::limits::Limits;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What an instance may always hold, as long as there is anything left.
const FLOOR: usize = 8;

/// What the instances of a sandbox hold open together.
#[derive(Debug)]
pub(crate) struct OpenFiles {
    max: usize,
    open: Arc<AtomicUsize>,
}

impl Default for OpenFiles {
    /// No more than half of what the system lets this process have.
    fn default() -> Self {
        let system = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let half = system.map_or(usize::MAX, |max| usize::try_from(max / 2).unwrap_or(usize::MAX));
        Self::new(Limits::FILES_OPEN_TOTAL_MAX.min(half))
    }
}

impl OpenFiles {
    fn new(max: usize) -> Self {
        Self { max, open: Arc::default() }
    }

    /// What one instance holds of them, none at first.
    pub(crate) fn held(&self) -> Held {
        Held { max: self.max, open: self.open.clone(), mine: Arc::default() }
    }
}

/// What one instance holds.
#[derive(Debug)]
pub(crate) struct Held {
    max: usize,
    open: Arc<AtomicUsize>,
    mine: Arc<AtomicUsize>,
}

impl Held {
    /// Room for so many more open files, if there is: an instance never holds more than are left for the others, so
    /// that a few greedy ones do not shut everybody else out.
    pub(crate) fn take(&self, files: usize) -> Option<Room> {
        let mine = self.mine.load(Ordering::Relaxed) + files;
        let fits = |open: usize| {
            let sum = open.checked_add(files).filter(|sum| *sum <= self.max)?;
            (mine <= Limits::FILES_OPEN_MAX && (mine <= FLOOR || mine <= self.max - open)).then_some(sum)
        };
        self.open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).ok()?;
        self.mine.fetch_add(files, Ordering::Relaxed);
        Some(Room { files, open: self.open.clone(), mine: self.mine.clone() })
    }

    /// Room for one that the host itself opens, in any case.
    pub(crate) fn take_anyway(&self) -> Room {
        self.open.fetch_add(1, Ordering::Relaxed);
        self.mine.fetch_add(1, Ordering::Relaxed);
        Room { files: 1, open: self.open.clone(), mine: self.mine.clone() }
    }
}

/// Room that was taken; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Room {
    files: usize,
    open: Arc<AtomicUsize>,
    mine: Arc<AtomicUsize>,
}

impl Drop for Room {
    fn drop(&mut self) {
        self.open.fetch_sub(self.files, Ordering::Relaxed);
        self.mine.fetch_sub(self.files, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take_all(held: &Held) -> Vec<Room> {
        std::iter::from_fn(|| held.take(1)).collect()
    }

    #[test]
    fn greedy_ones_leave_room_for_others() {
        let files = OpenFiles::new(200);
        let instances: Vec<_> = (0..6).map(|_| files.held()).collect();
        let rooms: Vec<_> = instances.iter().map(take_all).collect();
        let counts: Vec<_> = rooms.iter().map(Vec::len).collect();
        assert_eq!(counts, [100, 50, 25, 13, 8, 4], "200 in all");
        assert!(instances[0].take(1).is_none() && instances[5].take(1).is_none());
        drop(rooms);
        assert_eq!(take_all(&instances[5]).len(), 100);
    }

    #[test]
    fn an_instance_has_a_limit_of_its_own() {
        let files = OpenFiles::new(10_000);
        let held = files.held();
        let room = held.take_anyway();
        let rooms = take_all(&held);
        assert_eq!(rooms.len(), Limits::FILES_OPEN_MAX - 1);
        assert!(held.take(2).is_none());
        drop((rooms, room));
        assert!(held.take(2).is_some());
        assert_eq!(files.open.load(Ordering::Relaxed), 0);
    }
}
