//! What a plugin writes to stdout and stderr: kept to a limit, and shown when it traps.

use bytes::Bytes;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use tokio::io::AsyncWrite;
use wasmtime::format_err;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};

/// How much a plugin may print at once.
const WRITE_MAX_BYTES: usize = 4 << 10;

/// Keeps the last bytes that were written since the call began, and forgets those before: a plugin must neither
/// fail nor wait because nobody reads what it writes, and what it wrote last tells most.
#[derive(Debug, Clone)]
pub(crate) struct Capture {
    kept: Arc<Mutex<Kept>>,
    max_bytes: usize,
}

#[derive(Debug, Default)]
struct Kept {
    bytes: Vec<u8>,
    /// Something was forgotten.
    cut: bool,
}

impl Capture {
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self { kept: Arc::default(), max_bytes }
    }

    pub(crate) fn clear(&self) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.bytes.clear();
        kept.cut = false;
    }

    /// The last of what was written, and whether something stood before it.
    pub(crate) fn text(&self) -> (String, bool) {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let from = kept.bytes.len().saturating_sub(self.max_bytes);
        (String::from_utf8_lossy(&kept.bytes[from..]).into_owned(), from > 0 || kept.cut)
    }

    fn keep(&self, bytes: &[u8]) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let from = bytes.len().saturating_sub(self.max_bytes);
        kept.cut |= from > 0;
        kept.bytes.extend_from_slice(&bytes[from..]);
        // Forgetting is done in large pieces, so that it costs nothing per write.
        if kept.bytes.len() > self.max_bytes.saturating_mul(2) {
            let over = kept.bytes.len() - self.max_bytes;
            kept.bytes.drain(..over);
            kept.cut = true;
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
        // Whoever asked how much may be written does not come here: it would only cost the host time.
        if bytes.len() > WRITE_MAX_BYTES {
            let trap = format_err!("it printed more than {WRITE_MAX_BYTES} bytes at once");
            return Err(StreamError::Trap(trap));
        }
        self.keep(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_MAX_BYTES)
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
        assert_eq!(capture.text(), ("23456789".to_owned(), true));
        for n in 0..100 {
            capture.keep(format!("{n:02}").as_bytes());
        }
        assert_eq!(capture.text(), ("96979899".to_owned(), true));
        capture.clear();
        assert_eq!(capture.text(), (String::new(), false));
        capture.keep(b"abc");
        assert_eq!(capture.text(), ("abc".to_owned(), false));
        capture.keep(b"defghi");
        assert_eq!(capture.text(), ("bcdefghi".to_owned(), true));
    }
}
