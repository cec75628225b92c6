//! A connection that knows its age, how many streams its peer allows, and whether it has carried an answer. On HTTP/1.1 only the order
//! ties an answer to its request (RFC 9112, section 9.3.2), so an answer on a reused connection may belong to another request.

use std::future::Future as _;
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::peer_streams::{PeerAllowance, PoolStreams, SettingsReader};
use super::stream_denials::{PeerContradicts, StreamDenials};

/// The age and use of a connection; in the extensions of every response.
#[derive(Clone, Debug)]
pub(super) struct Uses(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    answered: AtomicBool,
    full: AtomicBool,
    opened: Instant,
    max_age: Duration,
    /// On HTTP/2.
    allowance: Option<PeerAllowance>,
    contradicts: PeerContradicts,
}

impl Uses {
    /// A connection that is opened now. Its age varies by up to a tenth, so that connections of one moment do not end in one.
    fn new(max_age: Duration, allowance: Option<PeerAllowance>) -> Self {
        let tenths = RandomState::new().hash_one(()) % 100;
        let max_age = max_age / 1000 * u32::try_from(900 + tenths).unwrap_or(1000);
        Self(Arc::new(Inner {
            answered: AtomicBool::new(false),
            full: AtomicBool::new(false),
            opened: Instant::now(),
            max_age,
            allowance,
            contradicts: PeerContradicts::default(),
        }))
    }

    /// Records an answer; returns whether there was one before.
    #[must_use]
    pub(super) fn count(&self) -> bool {
        // Relaxed: on HTTP/1.1 a connection carries one exchange at a time, which orders the two calls.
        self.0.answered.swap(true, Ordering::Relaxed)
    }

    /// Whether the peer takes no more bytes now.
    pub(super) fn is_full(&self) -> bool {
        self.0.full.load(Ordering::Relaxed)
    }

    fn record_write<T>(&self, written: Poll<T>) -> Poll<T> {
        let is_full = written.is_pending();
        // Nearly always false already; a load keeps the cache line shared.
        if self.is_full() != is_full {
            self.0.full.store(is_full, Ordering::Relaxed);
        }
        written
    }

    /// What the peer allows, on HTTP/2.
    pub(super) fn allowance(&self) -> Option<&PeerAllowance> {
        self.0.allowance.as_ref()
    }

    /// Whether the peer denied a stream that it had begun to answer.
    pub(super) fn contradicts(&self) -> bool {
        self.0.contradicts.get()
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
    http2: Option<Http2>,
}

#[derive(Debug)]
struct Http2 {
    settings: SettingsReader,
    /// Bytes on their way to hyper, whose own buffer cannot be read.
    buffer: Box<[u8]>,
    unused: Pin<Box<WaitForCancellationFutureOwned>>,
}

/// Length of the longest TLS record.
const BUFFER: usize = 16 << 10;

impl<S> CountedStream<S> {
    /// `pool`: where the connection belongs, on HTTP/2.
    pub(super) fn new(stream: S, max_age: Duration, pool: Option<PoolStreams>) -> Self {
        let allowance = pool.is_some().then(PeerAllowance::default);
        let uses = Uses::new(max_age, allowance.clone());
        let http2 = pool.zip(allowance).map(|(pool, allowance)| Http2 {
            unused: Box::pin(pool.unused().clone().cancelled_owned()),
            settings: SettingsReader::new(pool, allowance, StreamDenials::new(uses.0.contradicts.clone())),
            buffer: vec![0; BUFFER].into(),
        });
        Self { stream, uses, http2 }
    }

    /// Whether nobody uses the connection, and hyper would keep it for a request that waits for a stream.
    fn is_stuck(&mut self, context: &mut Context<'_>) -> bool {
        let is_refused = self.uses.allowance().is_some_and(PeerAllowance::is_none);
        let unused = self.http2.as_mut().map(|http2| http2.unused.as_mut().poll(context));
        unused.is_some_and(|unused| unused.is_ready()) && is_refused
    }
}

impl<S: Connection> Connection for CountedStream<S> {
    fn connected(&self) -> Connected {
        self.stream.connected().extra(self.uses.clone())
    }
}

impl<S: Read + Unpin> Read for CountedStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.is_stuck(context) {
            // The end of the connection.
            return Poll::Ready(Ok(()));
        }
        let Self { stream, http2, .. } = this;
        let Some(Http2 { settings, buffer: bytes, .. }) = http2 else {
            return Pin::new(stream).poll_read(context, buffer);
        };
        let room = buffer.remaining().min(bytes.len());
        let mut read = ReadBuf::new(&mut bytes[..room]);
        ready!(Pin::new(stream).poll_read(context, read.unfilled()))?;
        settings.add(read.filled());
        buffer.put_slice(read.filled());
        Poll::Ready(Ok(()))
    }
}

impl<S: Write + Unpin> Write for CountedStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.uses.record_write(written)
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
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.uses.record_write(written)
    }
}
