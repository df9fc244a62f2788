//! What the host holds of answers that the plugin has not seen yet.

use crate::budget::Share;
use std::sync::{Mutex, PoisonError};

/// The answers to requests that were sent together: they are handed over when the last one is there. Their sum has a
/// limit of its own, and counts toward what all instances hold together.
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

    /// Makes room for so many more bytes, if there is some.
    pub(crate) fn take(&self, bytes: usize) -> bool {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let sum = held.0.saturating_add(bytes);
        let fits = sum <= self.max_bytes && held.1.take(bytes as u64);
        if fits {
            held.0 = sum;
        }
        fits
    }

    /// Gives back the room of an answer that is not handed over.
    pub(crate) fn give_back(&self, bytes: usize) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.0 = held.0.saturating_sub(bytes);
        held.1.give_back(bytes as u64);
    }
}
