//! One limit over everything that a store has: `wasmtime`'s own limits are per memory and per table.

use crate::budget::Share;
use crate::limits::Limits;
use wasmtime::ResourceLimiter;

/// What a table element costs on the host.
const ELEMENT_BYTES: u64 = 16;

/// What a call asked for in vain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// More than the instance may have: the sum it would have come to, in bytes.
    Own(u64),
    /// More than all instances may have together.
    Together,
}

/// Sums the memories and tables of a store, and takes them from what all stores have together.
#[derive(Debug)]
pub(crate) struct Limiter {
    max_bytes: u64,
    used_bytes: u64,
    /// What of it are tables.
    table_bytes: u64,
    /// What was granted last: given back if it could not be had from the system.
    granted_bytes: u64,
    refused: Option<Refused>,
    share: Share,
}

impl Limiter {
    pub(crate) fn new(max_bytes: u64, share: Share) -> Self {
        Self { max_bytes, used_bytes: 0, table_bytes: 0, granted_bytes: 0, refused: None, share }
    }

    /// Forgets what was refused to an earlier call.
    pub(crate) fn begin(&mut self) {
        self.refused = None;
    }

    /// What this call asked for in vain, the last of it.
    pub(crate) fn refused(&self) -> Option<Refused> {
        self.refused
    }

    /// The memories and the tables that the store has, in bytes.
    pub(crate) fn used(&self) -> (u64, u64) {
        (self.used_bytes.saturating_sub(self.table_bytes), self.table_bytes)
    }

    /// Who holds the memory of the sandbox.
    pub(crate) fn share(&self) -> &Share {
        &self.share
    }

    fn grow(&mut self, current: usize, desired: usize, unit: u64) -> bool {
        let more = (desired as u64).saturating_sub(current as u64).saturating_mul(unit);
        let sum = self.used_bytes.saturating_add(more);
        if sum > self.max_bytes {
            self.refused = Some(Refused::Own(sum));
            return false;
        }
        if !self.share.take(more) {
            self.refused = Some(Refused::Together);
            return false;
        }
        self.used_bytes = sum;
        self.granted_bytes = more;
        true
    }

    fn failed(&mut self) {
        let bytes = std::mem::take(&mut self.granted_bytes);
        self.used_bytes = self.used_bytes.saturating_sub(bytes);
        self.share.give_back(bytes);
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        // What was granted before was taken: only what is granted now can fail.
        self.granted_bytes = 0;
        // A guest that declares a maximum and asks for more is refused by its own word, and uses nothing.
        Ok(maximum.is_none_or(|maximum| desired <= maximum) && self.grow(current, desired, 1))
    }

    fn memory_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        self.failed();
        Ok(())
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        self.granted_bytes = 0;
        let grows = maximum.is_none_or(|maximum| desired <= maximum) && self.grow(current, desired, ELEMENT_BYTES);
        self.table_bytes = self.table_bytes.saturating_add(self.granted_bytes);
        Ok(grows)
    }

    fn table_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        self.table_bytes = self.table_bytes.saturating_sub(self.granted_bytes);
        self.failed();
        Ok(())
    }

    fn instances(&self) -> usize {
        Limits::PARTS_MAX
    }

    fn tables(&self) -> usize {
        Limits::PARTS_MAX
    }

    fn memories(&self) -> usize {
        Limits::PARTS_MAX
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::budget::Budget;

    #[test]
    fn memories_and_tables_share_one_limit() {
        let budget = Budget::new(2_000);
        let mut limiter = Limiter::new(1_000, budget.share("it".to_owned()));
        assert!(limiter.memory_growing(0, 400, None).unwrap());
        assert!(limiter.memory_growing(0, 400, None).unwrap());
        assert!(limiter.table_growing(0, 12, None).unwrap());
        assert_eq!(limiter.refused(), None);
        assert_eq!(limiter.used(), (800, 192));
        assert!(!limiter.table_growing(12, 13, None).unwrap());
        assert_eq!(limiter.used(), (800, 192));
        assert_eq!(limiter.refused(), Some(Refused::Own(1_008)));
        limiter.begin();
        assert_eq!(limiter.refused(), None);
        assert!(limiter.memory_growing(400, 408, None).unwrap());
        assert!(!limiter.memory_growing(408, 409, Some(408)).unwrap());
        // What was refused gives nothing back, what failed does.
        limiter.memory_grow_failed(wasmtime::format_err!("by its own word")).unwrap();
        assert!(!limiter.memory_growing(408, 409, None).unwrap());
        limiter.begin();
        let mut other = Limiter::new(5_000, budget.share("another".to_owned()));
        assert!(!other.memory_growing(0, 1_001, None).unwrap());
        assert_eq!(other.refused(), Some(Refused::Together));
        assert!(other.memory_growing(0, 1_000, None).unwrap());
        other.memory_grow_failed(wasmtime::format_err!("no memory")).unwrap();
        assert!(other.memory_growing(0, 999, None).unwrap());
        assert!(!other.table_growing(0, 1, None).unwrap());
        drop(limiter);
        assert!(other.table_growing(0, 1, None).unwrap());
    }
}
