//! A connection that knows its age, how many streams its peer allows, and whether it has carried an answer. On HTTP/1.1 only the order
//! ties an answer to its request (RFC 9112, section 9.3.2), so an answer on a reused connection may belong to another request.

use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};

/// The age and use of a connection; in the extensions of every response.
#[derive(Clone, Debug)]
pub(super) struct Uses(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    answered: AtomicBool,
    full: AtomicBool,
    opened: Instant,
    max_age: Duration,
}

impl Uses {
    /// A connection that is opened now. Its age varies by up to a tenth, so that connections of one moment do not end in one.
    fn new(max_age: Duration) -> Self {
        let tenths = RandomState::new().hash_one(()) % 100;
        let max_age = max_age / 1000 * u32::try_from(900 + tenths).unwrap_or(1000);
        Self(Arc::new(Inner {
            answered: AtomicBool::new(false),
            full: AtomicBool::new(false),
            opened: Instant::now(),
            max_age,
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
    /// Until the peer's settings were read.
    settings: Option<SettingsReader>,
}

/// Maximum number of requests on one HTTP/2 connection, if the peer does not allow fewer: the least that RFC 9113, section 6.5.2,
/// recommends to allow.
const STREAMS_MAX: usize = 100;

/// The fewest streams that a peer of the lane allowed on a connection.
#[derive(Clone, Debug)]
pub(super) struct StreamLimit(Arc<AtomicUsize>);

impl Default for StreamLimit {
    fn default() -> Self {
        Self(Arc::new(AtomicUsize::new(STREAMS_MAX)))
    }
}

impl StreamLimit {
    pub(super) fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Records what a peer allows. One that allows none now will allow some later.
    pub(super) fn lower_to(&self, streams: usize) {
        self.0.fetch_min(streams.max(1), Ordering::Relaxed);
    }
}

/// Reads the first frame of an HTTP/2 server, its SETTINGS (RFC 9113, section 3.4), as it passes by: hyper does not show how many streams it
/// allows.
#[derive(Debug)]
struct SettingsReader {
    head: Vec<u8>,
    streams: StreamLimit,
}

/// More bytes than the settings of any known server.
const SETTINGS_BYTES_MAX: usize = 1024;
const FRAME_HEAD: usize = 9;
const SETTINGS: u8 = 4;
const MAX_CONCURRENT_STREAMS: u16 = 3;

impl SettingsReader {
    /// Takes the next bytes. Returns whether more are needed.
    fn add(&mut self, bytes: &[u8]) -> bool {
        self.head.extend_from_slice(bytes);
        // RFC 9113, section 4.1: 24 bits of length, 8 of type, then flags and the stream, which do not matter here.
        let [length @ .., kind, _, _, _, _, _] = match self.head.first_chunk::<FRAME_HEAD>() {
            Some(head) => *head,
            None => return !bytes.is_empty(),
        };
        let end = length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)) + FRAME_HEAD;
        // Not the SETTINGS of a server, or far longer than any: hyper judges it, and there is nothing to learn here.
        if kind != SETTINGS || end > SETTINGS_BYTES_MAX {
            return false;
        }
        let Some(settings) = self.head.get(FRAME_HEAD..end) else { return !bytes.is_empty() };
        for setting in settings.as_chunks::<6>().0 {
            let [name @ .., a, b, c, d] = *setting;
            if u16::from_be_bytes(name) == MAX_CONCURRENT_STREAMS {
                let streams = u32::from_be_bytes([a, b, c, d]);
                self.streams.lower_to(usize::try_from(streams).unwrap_or(usize::MAX));
            }
        }
        false
    }
}

impl<S> CountedStream<S> {
    /// `streams`: receives the peer's limit, on HTTP/2.
    pub(super) fn new(stream: S, max_age: Duration, streams: Option<StreamLimit>) -> Self {
        let settings = streams.map(|streams| SettingsReader { head: Vec::new(), streams });
        Self { stream, uses: Uses::new(max_age), settings }
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
        let Self { stream, settings, .. } = self.get_mut();
        let Some(reader) = settings else { return Pin::new(stream).poll_read(context, buffer) };
        // Through a buffer of its own: `ReadBufCursor` does not show what was written into it.
        let mut bytes = [0; SETTINGS_BYTES_MAX];
        let room = buffer.remaining().min(bytes.len());
        let mut read = ReadBuf::new(&mut bytes[..room]);
        ready!(Pin::new(stream).poll_read(context, read.unfilled()))?;
        if !reader.add(read.filled()) {
            *settings = None;
        }
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
