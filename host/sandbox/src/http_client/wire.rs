//! One connection on the wire: plain or behind TLS, counted, and one of the sockets there may be.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio_rustls::client::TlsStream;

/// What may come over a connection at the moment.
#[derive(Debug, Default)]
pub(super) struct Allowance {
    /// An exchange is under way.
    busy: AtomicBool,
    /// The head of an answer has not come yet.
    before_head: AtomicBool,
    left_bytes: AtomicUsize,
}

impl Allowance {
    /// An exchange begins: so many bytes may come until the head of its answer is complete.
    pub(super) fn begin(&self, head_max_bytes: usize) {
        self.left_bytes.store(head_max_bytes, Ordering::Relaxed);
        self.before_head.store(true, Ordering::Relaxed);
        self.busy.store(true, Ordering::Relaxed);
    }

    /// The head of the answer has come.
    pub(super) fn head_is_here(&self) {
        self.before_head.store(false, Ordering::Relaxed);
    }

    /// The exchange is over.
    pub(super) fn end(&self) {
        self.busy.store(false, Ordering::Relaxed);
    }

    pub(super) fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Relaxed)
    }

    fn spend(&self, bytes: usize) -> io::Result<()> {
        if !self.before_head.load(Ordering::Relaxed) {
            return Ok(());
        }
        let enough =
            self.left_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes)).is_ok();
        if enough { Ok(()) } else { Err(io::Error::other("too much came in front of the answer")) }
    }
}

/// Plain or behind TLS.
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A connection; its place among the sockets is free again when it is dropped.
pub(super) struct Wire {
    pub(super) stream: Stream,
    pub(super) allowance: Arc<Allowance>,
    pub(super) _socket: OwnedSemaphorePermit,
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(context, buf),
            Stream::Tls(stream) => Pin::new(stream).poll_read(context, buf),
        })?;
        Poll::Ready(self.allowance.spend(buf.filled().len() - before))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(context),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
