//! What the host holds of answers that the plugin has not seen yet.

use crate::budget::Share;
use std::sync::{Mutex, PoisonError};

/// The answers to requests that were sent together, until they are handed over. Their sum has a limit of its own, and
/// counts toward what all instances hold together.
#[derive(Debug)]
pub(crate) struct Gathered {
    max_bytes: usize,
    held: Mutex<(usize, Share)>,
}

impl Gathered {
    pub(crate) fn new(max_bytes: usize, share: Share) -> Self {
        Self { max_bytes, held: Mutex::new((0, share)) }
    }

    /// Whether there is no room for another answer at all.
    pub(crate) fn is_full(&self) -> bool {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).0 >= self.max_bytes
    }

    /// An answer for which so much was kept is handed over.
    pub(crate) fn hand_over(&self, bytes: usize) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.0 = held.0.saturating_sub(bytes);
        held.1.give_back(bytes as u64);
    }

    /// Room for one answer, none of it taken yet.
    pub(super) fn room(&self) -> Room<'_> {
        Room { gathered: self, bytes: 0 }
    }
}

/// Room for one answer: given back if it is not handed over, for whatever reason.
pub(super) struct Room<'g> {
    gathered: &'g Gathered,
    bytes: usize,
}

impl Room<'_> {
    /// Takes so many more bytes, if there are some left.
    pub(super) fn take(&mut self, bytes: usize) -> bool {
        let mut held = self.gathered.held.lock().unwrap_or_else(PoisonError::into_inner);
        let sum = held.0.saturating_add(bytes);
        let fits = sum <= self.gathered.max_bytes && held.1.take(bytes as u64);
        if fits {
            held.0 = sum;
            self.bytes += bytes;
        }
        fits
    }

    /// How much was taken.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The answer is whole: its room, of so many bytes, stays taken until it is handed over.
    pub(super) fn keep(mut self) -> usize {
        std::mem::take(&mut self.bytes)
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.gathered.hand_over(self.bytes);
        }
    }
}
