//! One limit over everything that a store has: `wasmtime`'s own limits are per memory and per table.

use crate::limits::Limits;
use wasmtime::ResourceLimiter;

/// What a table element costs on the host.
const ELEMENT_BYTES: u64 = 16;

/// Sums the memories and tables of a store.
#[derive(Debug)]
pub(crate) struct Limiter {
    max_bytes: u64,
    used_bytes: u64,
    refused_bytes: Option<u64>,
}

impl Limiter {
    pub(crate) fn new(max_bytes: u64) -> Self {
        Self { max_bytes, used_bytes: 0, refused_bytes: None }
    }

    /// Forgets what was refused to an earlier call.
    pub(crate) fn begin(&mut self) {
        self.refused_bytes = None;
    }

    /// What this call asked for in vain: the sum it would have come to.
    pub(crate) fn refused_bytes(&self) -> Option<u64> {
        self.refused_bytes
    }

    fn grow(&mut self, current: usize, desired: usize, unit: u64) -> bool {
        let more = (desired as u64).saturating_sub(current as u64).saturating_mul(unit);
        let sum = self.used_bytes.saturating_add(more);
        if sum > self.max_bytes {
            self.refused_bytes = Some(sum);
            return false;
        }
        self.used_bytes = sum;
        true
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        // A guest that declares a maximum and asks for more is refused by its own word, and uses nothing.
        Ok(maximum.is_none_or(|maximum| desired <= maximum) && self.grow(current, desired, 1))
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(maximum.is_none_or(|maximum| desired <= maximum) && self.grow(current, desired, ELEMENT_BYTES))
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

    #[test]
    fn memories_and_tables_share_one_limit() {
        let mut limiter = Limiter::new(1_000);
        assert!(limiter.memory_growing(0, 400, None).unwrap());
        assert!(limiter.memory_growing(0, 400, None).unwrap());
        assert!(limiter.table_growing(0, 12, None).unwrap());
        assert_eq!(limiter.refused_bytes(), None);
        assert!(!limiter.table_growing(12, 13, None).unwrap());
        assert_eq!(limiter.refused_bytes(), Some(1_008));
        limiter.begin();
        assert_eq!(limiter.refused_bytes(), None);
        assert!(limiter.memory_growing(400, 408, None).unwrap());
        assert!(!limiter.memory_growing(408, 409, Some(408)).unwrap());
    }
}
