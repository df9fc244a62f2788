//! What a plugin writes to stdout and stderr: kept to a limit, and shown when it traps.

use bytes::Bytes;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use tokio::io::AsyncWrite;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

/// Keeps the last bytes that were written since the call began, and forgets those before: a plugin must neither
/// fail nor wait because nobody reads what it writes, and what it wrote last tells most.
#[derive(Debug, Clone)]
pub(crate) struct Capture {
    kept: Arc<Mutex<Vec<u8>>>,
    max_bytes: usize,
}

impl Capture {
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self { kept: Arc::default(), max_bytes }
    }

    pub(crate) fn clear(&self) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    pub(crate) fn text(&self) -> String {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&kept[kept.len().saturating_sub(self.max_bytes)..]).into_owned()
    }

    fn keep(&self, bytes: &[u8]) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend_from_slice(&bytes[bytes.len().saturating_sub(self.max_bytes)..]);
        // Forgetting is done in large pieces, so that it costs nothing per write.
        if kept.len() > self.max_bytes.saturating_mul(2) {
            let over = kept.len() - self.max_bytes;
            kept.drain(..over);
        }
    }
}

impl IsTerminal for Capture {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Capture {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for Capture {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.keep(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(64 << 10)
    }
}

#[async_trait]
impl Pollable for Capture {
    async fn ready(&mut self) {}
}

impl AsyncWrite for Capture {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.keep(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_bytes_are_kept() {
        let capture = Capture::new(8);
        capture.keep(b"0123456789");
        assert_eq!(capture.text(), "23456789");
        for n in 0..100 {
            capture.keep(format!("{n:02}").as_bytes());
        }
        assert_eq!(capture.text(), "96979899");
        capture.clear();
        assert_eq!(capture.text(), "");
        capture.keep(b"abc");
        assert_eq!(capture.text(), "abc");
    }
}
