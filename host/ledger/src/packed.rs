//! A commit made ready by whoever asks for it, so that the one thread that writes has less to do for all.

use crate::chunk;
use crate::error::LedgerError;
use crossdock_engine::ports::{BatchCommit, Chunk};
use crossdock_model::Status;
use std::sync::{Mutex, PoisonError};

/// How hard chunks are compressed: the fastest level.
const CHUNK_LEVEL: i32 = 1;

type Compressor = zstd::bulk::Compressor<'static>;

/// Compressors that are used again: each has tables of its own, which cost more to make than a chunk to compress.
#[derive(Default)]
pub(crate) struct Compressors(Mutex<Vec<Compressor>>);

impl Compressors {
    fn compress(&self, plain: &[u8]) -> Result<Vec<u8>, LedgerError> {
        let spare = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut compressor = spare.map_or_else(|| Compressor::new(CHUNK_LEVEL), Ok)?;
        let body = compressor.compress(plain)?;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(compressor);
        Ok(body)
    }
}

/// The chunk of a commit as it is stored.
#[derive(Debug)]
pub(crate) struct PackedChunk {
    pub(crate) ok: i64,
    pub(crate) dropped: i64,
    /// See [`chunk::bloom`].
    pub(crate) filter: Vec<u8>,
    /// How many bytes `body` had before it was compressed.
    pub(crate) size: i64,
    pub(crate) body: Vec<u8>,
}

impl PackedChunk {
    fn of(chunk: &Chunk, compressors: &Compressors) -> Result<Self, LedgerError> {
        let plain = chunk::encode(chunk);
        let count = |status| chunk.statuses.iter().filter(|&&one| one == status).count();
        Ok(Self {
            ok: number(count(Status::Ok)),
            dropped: number(count(Status::Dropped)),
            filter: chunk::bloom(chunk),
            size: number(plain.len()),
            body: compressors.compress(&plain)?,
        })
    }
}

fn number(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

/// A commit with its chunk as it is stored.
#[derive(Debug)]
pub(crate) struct Packed {
    pub(crate) commit: BatchCommit,
    pub(crate) chunk: Option<PackedChunk>,
}

/// Makes a commit ready.
///
/// # Errors
/// `ledger-bad-commit` for a chunk that contradicts itself; when it cannot be compressed.
pub(crate) fn pack(commit: BatchCommit, compressors: &Compressors) -> Result<Packed, LedgerError> {
    let chunk = commit.chunk.as_ref().filter(|chunk| !chunk.ids.is_empty());
    chunk.map(chunk::validate).transpose()?;
    let chunk = chunk.map(|chunk| PackedChunk::of(chunk, compressors)).transpose()?;
    Ok(Packed { commit, chunk })
}
