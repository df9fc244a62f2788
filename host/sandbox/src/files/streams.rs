//! Reading and writing files as streams, and what is counted of it.

use super::allowance::Allowance;
use super::descriptor::Handle;
use super::operations::{Lane, Lost, Started};
use crate::limits::Limits;
use bytes::{Bytes, BytesMut};
use std::fs::File;
use std::io;
use std::mem;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use thiserror::Error;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::p2::bindings::filesystem::types::ErrorCode;
use wasmtime_wasi::p2::{InputStream, OutputStream, Pollable, StreamError, StreamResult};

/// What a stream reads when it is waited for before anybody said how much.
const READ_AHEAD_BYTES: usize = 4 << 10;

/// Why something was not written.
#[derive(Debug, Error)]
pub(crate) enum WriteError {
    #[error("the plugin has used up what it may write here")]
    Quota,
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<WriteError> for ErrorCode {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Quota => Self::Quota,
            WriteError::Io(error) => error.into(),
        }
    }
}

/// Why the last operation of a stream failed.
pub(crate) fn stream_error_code(error: &wasmtime::Error) -> Option<ErrorCode> {
    match error.downcast_ref::<WriteError>() {
        Some(WriteError::Quota) => Some(ErrorCode::Quota),
        Some(WriteError::Io(error)) => Some(ErrorCode::from(error)),
        None => error.downcast_ref::<io::Error>().map(ErrorCode::from),
    }
}

/// Reads a piece at a place; empty at the end of the file. Blocks its thread.
pub(crate) fn read_at(file: &File, max_bytes: usize, at: u64) -> io::Result<Bytes> {
    let mut bytes = BytesMut::zeroed(max_bytes.min(Limits::FILE_READ_MAX_BYTES));
    loop {
        match file.read_at(&mut bytes, at) {
            Ok(read) => {
                bytes.truncate(read);
                return Ok(bytes.freeze());
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Where something is written.
#[derive(Debug, Clone, Copy)]
pub(crate) enum At {
    Position(u64),
    End,
}

/// Writes a piece, whole, and takes it from the allowance, together with the gap that it leaves behind the file's
/// end. Blocks its thread.
pub(crate) fn write_at(file: &File, allowance: &Allowance, bytes: &[u8], at: At) -> Result<(), WriteError> {
    let gap = match at {
        At::Position(position) => position.saturating_sub(file.metadata()?.len()),
        At::End => 0,
    };
    let length = bytes.len() as u64;
    let counted = length.saturating_add(if bytes.is_empty() { 0 } else { gap });
    if !allowance.take_bytes(counted) {
        return Err(WriteError::Quota);
    }
    let mut written = 0;
    while written < bytes.len() {
        let rest = &bytes[written..];
        let done = match at {
            At::Position(position) => file.write_at(rest, position.saturating_add(written as u64)),
            At::End => append(file, rest),
        };
        match done {
            Ok(0) => return Err(io::Error::from(io::ErrorKind::WriteZero).into()),
            Ok(more) => written += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                // Nothing was written, so that no gap came to be either.
                allowance.give_back_bytes(if written == 0 { counted } else { length - written as u64 });
                return Err(error.into());
            }
        }
    }
    Ok(())
}

#[cfg(target_os = "linux")]
fn append(file: &File, bytes: &[u8]) -> io::Result<usize> {
    use rustix::io::{Errno, ReadWriteFlags, pwritev2};
    match pwritev2(file, &[io::IoSlice::new(bytes)], 0, ReadWriteFlags::APPEND) {
        Err(Errno::NOSYS | Errno::OPNOTSUPP) => append_by_hand(file, bytes),
        done => Ok(done?),
    }
}

#[cfg(not(target_os = "linux"))]
fn append(file: &File, bytes: &[u8]) -> io::Result<usize> {
    append_by_hand(file, bytes)
}

/// For systems that cannot append to a file that was not opened for it: what another process appends at the same
/// moment can be lost.
fn append_by_hand(file: &File, bytes: &[u8]) -> io::Result<usize> {
    file.write_at(bytes, file.metadata()?.len())
}

/// Makes a file longer or shorter; what it grows by is taken from the allowance. Blocks its thread.
pub(crate) fn set_size(file: &File, allowance: &Allowance, size: u64) -> Result<(), WriteError> {
    let more = size.saturating_sub(file.metadata()?.len());
    if !allowance.take_bytes(more) {
        return Err(WriteError::Quota);
    }
    file.set_len(size).inspect_err(|_| allowance.give_back_bytes(more))?;
    Ok(())
}

enum Reading {
    Idle,
    UnderWay(Started<io::Result<Bytes>>),
    Read(Bytes),
    Failed(wasmtime::Error),
    Closed,
}

/// Reads a file from a place on.
pub(crate) struct FileInput {
    handle: Arc<Handle>,
    lane: Lane,
    position: u64,
    reading: Reading,
}

impl FileInput {
    pub(crate) fn new(handle: Arc<Handle>, lane: Lane, position: u64) -> Self {
        Self { handle, lane, position, reading: Reading::Idle }
    }

    fn work(&self, max_bytes: usize) -> impl FnOnce() -> io::Result<Bytes> + Send + 'static {
        let (handle, position) = (self.handle.clone(), self.position);
        move || read_at(&handle.file, max_bytes, position)
    }

    /// Reads ahead: what is read is held until the plugin fetches it.
    fn begin(&mut self, max_bytes: usize) {
        let max_bytes = max_bytes.min(Limits::FILE_CHUNK_MAX_BYTES);
        self.reading = Reading::UnderWay(self.lane.start(self.work(max_bytes)));
    }

    fn keep(&mut self, read: Result<io::Result<Bytes>, Lost>) {
        self.reading = match read {
            Ok(Ok(bytes)) if bytes.is_empty() => Reading::Closed,
            Ok(Ok(bytes)) => Reading::Read(bytes),
            Ok(Err(error)) => Reading::Failed(error.into()),
            Err(lost) => Reading::Failed(lost.into()),
        };
    }

    async fn wait(&mut self) {
        if let Reading::UnderWay(started) = &mut self.reading {
            let read = started.done().await;
            self.keep(read);
        }
    }
}

#[async_trait]
impl InputStream for FileInput {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        match &mut self.reading {
            Reading::Idle => {
                if size > 0 {
                    self.begin(size);
                }
                Ok(Bytes::new())
            }
            Reading::UnderWay(_) => Ok(Bytes::new()),
            Reading::Read(bytes) => {
                let piece = bytes.split_to(bytes.len().min(size));
                self.position = self.position.saturating_add(piece.len() as u64);
                if bytes.is_empty() {
                    self.reading = Reading::Idle;
                }
                Ok(piece)
            }
            Reading::Failed(_) => match mem::replace(&mut self.reading, Reading::Closed) {
                Reading::Failed(error) => Err(failed(error)),
                _ => Err(StreamError::Closed),
            },
            Reading::Closed => Err(StreamError::Closed),
        }
    }

    async fn blocking_read(&mut self, size: usize) -> StreamResult<Bytes> {
        self.wait().await;
        if size > 0 && matches!(self.reading, Reading::Idle) {
            let read = self.lane.run(self.work(size)).await;
            self.keep(read);
        }
        self.read(size)
    }

    async fn cancel(&mut self) {
        self.wait().await;
    }
}

#[async_trait]
impl Pollable for FileInput {
    async fn ready(&mut self) {
        if matches!(self.reading, Reading::Idle) {
            self.begin(READ_AHEAD_BYTES);
        }
        self.wait().await;
    }
}

enum Writing {
    Idle,
    UnderWay(Started<Result<u64, WriteError>>),
    Failed(wasmtime::Error),
    Closed,
}

/// Writes a file from a place on, or at its end.
pub(crate) struct FileOutput {
    handle: Arc<Handle>,
    allowance: Arc<Allowance>,
    lane: Lane,
    at: At,
    writing: Writing,
}

impl FileOutput {
    pub(crate) fn new(handle: Arc<Handle>, allowance: Arc<Allowance>, lane: Lane, at: At) -> Self {
        Self { handle, allowance, lane, at, writing: Writing::Idle }
    }

    /// Answers with how much was written.
    fn work(&self, bytes: Bytes) -> impl FnOnce() -> Result<u64, WriteError> + Send + 'static {
        let (handle, allowance, at) = (self.handle.clone(), self.allowance.clone(), self.at);
        move || write_at(&handle.file, &allowance, &bytes, at).map(|()| bytes.len() as u64)
    }

    fn keep(&mut self, written: Result<Result<u64, WriteError>, Lost>) {
        self.writing = match written {
            Ok(Ok(bytes)) => {
                if let At::Position(position) = &mut self.at {
                    *position = position.saturating_add(bytes);
                }
                Writing::Idle
            }
            Ok(Err(error)) => Writing::Failed(error.into()),
            Err(lost) => Writing::Failed(lost.into()),
        };
    }

    async fn wait(&mut self) {
        if let Writing::UnderWay(started) = &mut self.writing {
            let written = started.done().await;
            self.keep(written);
        }
    }

    /// Whether nothing is under way; what went wrong is told once.
    fn settled(&mut self) -> StreamResult<bool> {
        match &self.writing {
            Writing::Idle => Ok(true),
            Writing::UnderWay(_) => Ok(false),
            Writing::Closed => Err(StreamError::Closed),
            Writing::Failed(_) => match mem::replace(&mut self.writing, Writing::Closed) {
                Writing::Failed(error) => Err(failed(error)),
                _ => Err(StreamError::Closed),
            },
        }
    }
}

#[async_trait]
impl OutputStream for FileOutput {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        if !matches!(self.writing, Writing::Idle) {
            self.settled()?;
            return Err(StreamError::trap("it wrote to a file without asking whether it can"));
        }
        if bytes.len() > Limits::FILE_CHUNK_MAX_BYTES {
            return Err(StreamError::trap("it wrote more to a file at once than it was told it can"));
        }
        self.writing = Writing::UnderWay(self.lane.start(self.work(bytes)));
        Ok(())
    }

    async fn blocking_write_and_flush(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.wait().await;
        self.settled()?;
        let written = self.lane.run(self.work(bytes)).await;
        self.keep(written);
        self.settled().map(drop)
    }

    fn flush(&mut self) -> StreamResult<()> {
        // Nothing is held back.
        self.settled().map(drop)
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(if self.settled()? { Limits::FILE_CHUNK_MAX_BYTES } else { 0 })
    }

    async fn cancel(&mut self) {
        // What comes next must find it written.
        self.wait().await;
    }
}

#[async_trait]
impl Pollable for FileOutput {
    async fn ready(&mut self) {
        self.wait().await;
    }
}

/// A mistake of ours ends the call; anything else the plugin is told.
fn failed(error: wasmtime::Error) -> StreamError {
    if error.is::<Lost>() { StreamError::Trap(error) } else { StreamError::LastOperationFailed(error) }
}
