//! The idempotency key.

use crate::{RouteName, StepName};

/// The key that accompanies every attempt to write one record at one step: 32 hexadecimal digits,
/// H(route, record id, step, generation). The generation rises only when a person changed the
/// record's content, so that attempts before and after a crash carry the same key.
#[must_use]
pub fn idempotency_key(route: &RouteName, step: &StepName, generation: u32, record_id: &[u8]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    // Names hold no zero byte, so the parts cannot run into each other.
    hasher.update(route.as_str().as_bytes());
    hasher.update(&[0]);
    hasher.update(step.as_str().as_bytes());
    hasher.update(&[0]);
    hasher.update(&generation.to_le_bytes());
    hasher.update(record_id);
    let hash = hasher.finalize();
    let mut key = [0; 32];
    for (pair, byte) in key.chunks_exact_mut(2).zip(hash.as_bytes()) {
        pair[0] = HEX[usize::from(byte >> 4)];
        pair[1] = HEX[usize::from(byte & 15)];
    }
    key
}

const HEX: &[u8; 16] = b"0123456789abcdef";
