//! A source position.

use serde::{Deserialize, Serialize};

/// A source position made durable: bytes that only the source understands.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Checkpoint(pub Vec<u8>);

impl Checkpoint {
    /// The most bytes a checkpoint may have.
    pub const MAX_BYTES: usize = 64 * 1024;
}
