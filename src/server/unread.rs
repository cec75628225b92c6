//! Resets an HTTP/2 stream whose client does not take its response: nothing of it, or less than [`PROGRESS_MIN`], within
//! `limits.write_timeout`. Other streams of the connection live on.
//!
//! Why own code (hyper 1.12 and h2 0.4.20, read from their source): the socket of such a client is silent or busy as the client likes,
//! so a timeout of the socket cannot tell. hyper waits for the stream's window without a limit, and takes a response as done once h2 has
//! its last bytes, whatever the window. Therefore:
//!
//! - [`TrackedBytes`] count what h2 really writes.
//! - [`TrackedBody`] ends only when all of it is written. Until then the stream can be reset, and its request counts as in flight.
//! - [`StreamExecutor`] runs hyper's future of a stream, and drops it when the client has stalled. h2 then sends RST_STREAM (CANCEL) and
//!   discards what it has buffered.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures_util::task::AtomicWaker;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use hyper::rt::Executor;
use tokio::time::{Sleep, sleep};

/// Minimum progress within `limits.write_timeout`, in bytes, unless the response ends before. A client that opens the window byte by byte
/// would otherwise hold its stream for ever.
const PROGRESS_MIN: usize = 1024;

tokio::task_local! {
    static PROGRESS: Arc<WriteProgress>;
}

/// How much of one response has been written to its connection.
#[derive(Debug, Default)]
pub(super) struct WriteProgress {
    written: AtomicUsize,
    /// Bytes that hyper or h2 hold.
    unwritten: AtomicUsize,
    /// How often nothing was left to write.
    caught_up: AtomicUsize,
    stalled: AtomicBool,
    waiting: AtomicWaker,
}

impl WriteProgress {
    /// That of the HTTP/2 stream that is being served; `None` on HTTP/1.1.
    pub(super) fn of_stream() -> Option<Arc<Self>> {
        PROGRESS.try_with(Arc::clone).ok()
    }

    /// Whether all that the body has given is written.
    pub(super) fn is_written(&self) -> bool {
        self.unwritten.load(Ordering::Acquire) == 0
    }

    /// Whether the client has stalled, so that the stream is reset.
    pub(super) fn is_stalled(&self) -> bool {
        self.stalled.load(Ordering::Relaxed)
    }

    fn given(&self, bytes: usize) {
        self.unwritten.fetch_add(bytes, Ordering::AcqRel);
    }

    fn wrote(&self, bytes: usize) {
        self.written.fetch_add(bytes, Ordering::Relaxed);
        if self.unwritten.fetch_sub(bytes, Ordering::AcqRel) == bytes {
            self.caught_up.fetch_add(1, Ordering::Relaxed);
            self.waiting.wake();
        }
    }

    fn poll_written(&self, context: &mut Context<'_>) -> Poll<()> {
        if self.is_written() {
            return Poll::Ready(());
        }
        self.waiting.register(context.waker());
        // The last bytes may have been written meanwhile.
        if self.is_written() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Resolves when the client has stalled for `timeout`. Polled by the task that polls the body, after it.
    async fn stall(&self, timeout: Duration) {
        let mut period: Option<ReadPeriod> = None;
        poll_fn(|context| {
            while !self.is_written() {
                let period = period.get_or_insert_with(|| ReadPeriod::begin(self, timeout));
                ready!(period.timer.as_mut().poll(context));
                if !period.has_progress(self) {
                    self.stalled.store(true, Ordering::Relaxed);
                    return Poll::Ready(());
                }
                *period = ReadPeriod::begin(self, timeout);
            }
            period = None;
            Poll::Pending
        })
        .await;
    }
}

/// A time within which there has to be progress.
struct ReadPeriod {
    timer: Pin<Box<Sleep>>,
    written: usize,
    caught_up: usize,
}

impl ReadPeriod {
    fn begin(progress: &WriteProgress, timeout: Duration) -> Self {
        Self {
            timer: Box::pin(sleep(timeout)),
            written: progress.written.load(Ordering::Relaxed),
            caught_up: progress.caught_up.load(Ordering::Relaxed),
        }
    }

    fn has_progress(&self, progress: &WriteProgress) -> bool {
        let written = progress.written.load(Ordering::Relaxed).wrapping_sub(self.written);
        written >= PROGRESS_MIN || progress.caught_up.load(Ordering::Relaxed) != self.caught_up
    }
}

/// Spawns the streams of HTTP/2 connections.
#[derive(Clone, Debug)]
pub(super) struct StreamExecutor {
    pub(super) write_timeout: Duration,
}

impl<F> Executor<F> for StreamExecutor
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let timeout = self.write_timeout;
        let progress = Arc::<WriteProgress>::default();
        let stream = PROGRESS.scope(Arc::clone(&progress), stream);
        tokio::spawn(async move {
            tokio::select! {
                biased;
                () = stream => {}
                () = progress.stall(timeout) => {}
            }
        });
    }
}

/// Bytes of a response that count when they are written.
#[derive(Debug)]
pub(super) struct TrackedBytes {
    bytes: Bytes,
    progress: Option<Arc<WriteProgress>>,
}

impl Buf for TrackedBytes {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
        if let Some(progress) = &self.progress {
            progress.wrote(count);
        }
    }
}

/// A response body whose end waits, over HTTP/2, until all before it is written.
#[derive(Debug)]
pub(super) struct TrackedBody<B> {
    body: B,
    progress: Option<Arc<WriteProgress>>,
    /// What follows the last data.
    end: Option<Option<HeaderMap>>,
    begun: bool,
}

impl<B> TrackedBody<B> {
    pub(super) fn new(body: B) -> Self {
        Self { body, progress: WriteProgress::of_stream(), end: None, begun: false }
    }

    fn track(&mut self, bytes: Bytes) -> TrackedBytes {
        if let Some(progress) = &self.progress {
            progress.given(bytes.len());
            self.begun |= !bytes.is_empty();
        }
        TrackedBytes { bytes, progress: self.progress.clone() }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for TrackedBody<B> {
    type Data = TrackedBytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<TrackedBytes>, B::Error>>> {
        let this = &mut *self;
        if this.end.is_none() {
            match ready!(Pin::new(&mut this.body).poll_frame(context)).transpose() {
                Ok(None) => this.end = Some(None),
                Err(error) => return Poll::Ready(Some(Err(error))),
                Ok(Some(frame)) => match frame.into_data() {
                    Ok(bytes) => return Poll::Ready(Some(Ok(Frame::data(this.track(bytes))))),
                    Err(frame) => this.end = Some(frame.into_trailers().ok()),
                },
            }
        }
        if let Some(progress) = &this.progress {
            ready!(progress.poll_written(context));
        }
        let trailers = this.end.as_mut().and_then(Option::take);
        Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        !self.begun && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
