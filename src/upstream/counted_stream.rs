//! A connection that knows its age, and whether it has carried an answer. On HTTP/1.1 only the order ties an answer to its request (RFC 9112,
//! section 9.3.2), so an answer on a reused connection may belong to another request.

use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};

/// The age and use of a connection; in the extensions of every response.
#[derive(Clone, Debug)]
pub(super) struct Uses(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    answered: AtomicBool,
    opened: Instant,
    max_age: Duration,
}

impl Uses {
    /// A connection that is opened now. Its age varies by up to a tenth, so that connections of one moment do not end in one.
    fn new(max_age: Duration) -> Self {
        let tenths = RandomState::new().hash_one(()) % 100;
        let max_age = max_age / 1000 * u32::try_from(900 + tenths).unwrap_or(1000);
        Self(Arc::new(Inner { answered: AtomicBool::new(false), opened: Instant::now(), max_age }))
    }

    /// Records an answer; returns whether there was one before.
    #[must_use]
    pub(super) fn count(&self) -> bool {
        self.0.answered.swap(true, Ordering::Relaxed)
    }

    /// Whether the connection is too old for another request.
    pub(super) fn is_old(&self) -> bool {
        self.0.opened.elapsed() >= self.0.max_age
    }
}

/// Passes every call on to the stream.
#[derive(Debug)]
pub(super) struct CountedStream<S> {
    stream: S,
    uses: Uses,
}

impl<S> CountedStream<S> {
    pub(super) fn new(stream: S, max_age: Duration) -> Self {
        Self { stream, uses: Uses::new(max_age) }
    }
}

impl<S: Connection> Connection for CountedStream<S> {
    fn connected(&self) -> Connected {
        self.stream.connected().extra(self.uses.clone())
    }
}

impl<S: Read + Unpin> Read for CountedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: Write + Unpin> Write for CountedStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }
}
