//! Durable key-value pairs: read from memory, written into the trace of the call.

use crate::bindings::imports::state::{self, StateError};
use crate::host::Host;
use std::sync::PoisonError;

/// Bytes of one key; at least 1.
const KEY_MAX_BYTES: usize = 256;
/// Bytes of one value.
const VALUE_MAX_BYTES: usize = 64 << 10;
/// Bytes of all values of a step.
const VALUES_MAX_BYTES: usize = 1 << 20;
/// Keys of a step, so that empty values are not a way around the limit of all values.
const KEYS_MAX: usize = 16_384;

impl Host {
    /// The value that a key has for this call: as it wrote it last, or as it was before.
    fn state_value(&self, key: &str) -> Option<Vec<u8>> {
        match self.call.writes.get(key) {
            Some(written) => written.clone(),
            None => self.identity.state.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned(),
        }
    }

    /// How many bytes all values have, and how many there are, as this call sees them. Counted once a
    /// call, then kept up to date.
    fn state_size(&mut self) -> (usize, usize) {
        if let Some(size) = self.call.state_size {
            return size;
        }
        let before = self.identity.state.lock().unwrap_or_else(PoisonError::into_inner);
        let size = (before.values().map(Vec::len).sum(), before.len());
        self.call.state_size = Some(size);
        size
    }

    /// Whether a key had a value before this call.
    fn had_state(&self, key: &str) -> bool {
        self.identity.state.lock().unwrap_or_else(PoisonError::into_inner).contains_key(key)
    }

    fn state_write(&mut self, key: String, value: Option<Vec<u8>>) -> Result<(), StateError> {
        let (bytes, keys) = self.state_size();
        let old = self.state_value(&key);
        let bytes = bytes - old.as_ref().map_or(0, Vec::len) + value.as_ref().map_or(0, Vec::len);
        let keys = keys - usize::from(old.is_some()) + usize::from(value.is_some());
        if value.is_some() && (bytes > VALUES_MAX_BYTES || keys > KEYS_MAX) {
            return Err(StateError::QuotaReached);
        }
        self.call.state_size = Some((bytes, keys));
        // Nothing is kept of a key that came and went within the call: else a plugin could fill the host's memory, and
        // the ledger, by that.
        if value.is_none() && !self.had_state(&key) {
            self.call.writes.remove(&key);
        } else {
            self.call.writes.insert(key, value);
        }
        Ok(())
    }
}

impl state::Host for Host {
    async fn get(&mut self, key: String) -> wasmtime::Result<Option<Vec<u8>>> {
        self.give_way().await;
        Ok(self.state_value(&key))
    }

    async fn set(&mut self, key: String, value: Vec<u8>) -> wasmtime::Result<Result<(), StateError>> {
        self.give_way().await;
        if !(1..=KEY_MAX_BYTES).contains(&key.len()) || value.len() > VALUE_MAX_BYTES {
            return Ok(Err(StateError::TooLarge));
        }
        Ok(self.state_write(key, Some(value)))
    }

    async fn delete(&mut self, key: String) -> wasmtime::Result<()> {
        self.give_way().await;
        // Removing what is not there would only fill the ledger.
        if self.state_value(&key).is_some() {
            // Removing never passes a limit.
            let _ = self.state_write(key, None);
        }
        Ok(())
    }
}
