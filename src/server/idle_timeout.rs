//! Ends connections that have gone quiet: no request within the keep-alive time, a head that takes too long to arrive, or an
//! answer of which the client takes nothing any more.
//!
//! hyper has one timer for both; here a silent client may wait for long while one that has begun to speak must go on.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use crate::config::Limits;

/// The requests of one connection: how many are being answered, and how many have ever begun.
#[derive(Clone, Debug, Default)]
pub(super) struct Activity(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    open: AtomicUsize,
    begun: AtomicUsize,
}

impl Activity {
    /// One more, until the guard is dropped.
    pub(super) fn begin(&self) -> Busy {
        self.0.open.fetch_add(1, Ordering::Relaxed);
        self.0.begun.fetch_add(1, Ordering::Relaxed);
        Busy(self.clone())
    }

    /// Whether an answer is on its way.
    pub(super) fn is_busy(&self) -> bool {
        self.0.open.load(Ordering::Relaxed) > 0
    }

    /// How many requests there were so far.
    pub(super) fn begun(&self) -> usize {
        self.0.begun.load(Ordering::Relaxed)
    }
}

/// One request being answered.
#[derive(Debug)]
pub(super) struct Busy(Activity);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SocketState {
    /// A request is being answered: no time runs here.
    Busy,
    /// No request has come since the last answer.
    Silent,
    /// Something has been heard, but not a whole head.
    Head,
}

/// What every HTTP/2 connection begins with.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n";

/// A client's stream with the two times.
#[derive(Debug)]
pub(super) struct IdleTimeoutStream<S> {
    stream: S,
    activity: Activity,
    /// How many requests had begun at the last look: one may come and go between two looks.
    begun: usize,
    state: SocketState,
    /// How much of [`PREFACE`] has been heard; `None` once something else was.
    preface: Option<usize>,
    timer: Pin<Box<Sleep>>,
    keep_alive: Duration,
    head: Duration,
    /// Runs while the client takes nothing of an answer.
    stalled: Option<Pin<Box<Sleep>>>,
    patience: Duration,
}

impl<S> IdleTimeoutStream<S> {
    pub(super) fn new(stream: S, activity: Activity, limits: &Limits) -> Self {
        let (keep_alive, head) = (limits.keep_alive_timeout, limits.header_read_timeout);
        // A new connection has to say something soon: it counts as a head from the start.
        let timer = Box::pin(tokio::time::sleep(head));
        let (stalled, patience) = (None, limits.write_timeout);
        let (begun, state, preface) = (0, SocketState::Head, Some(0));
        Self { stream, activity, begun, state, preface, timer, keep_alive, head, stalled, patience }
    }

    /// Lets a write through that went on, and gives up on one that has not for too long.
    fn patient<T>(&mut self, wrote: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if wrote.is_ready() {
            self.stalled = None;
            return wrote;
        }
        let patience = self.patience;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        stalled.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }

    fn enter(&mut self, state: SocketState, time: Duration) {
        self.state = state;
        self.timer.as_mut().reset(Instant::now() + time);
    }

    /// Takes note of requests that have begun or ended since the last look.
    fn look(&mut self) {
        let begun = self.activity.begun();
        let was_asked = std::mem::replace(&mut self.begun, begun) != begun;
        if self.activity.is_busy() {
            self.state = SocketState::Busy;
        } else if was_asked || self.state == SocketState::Busy {
            self.enter(SocketState::Silent, self.keep_alive);
        }
    }

    fn hear(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let speaks_frames = self.recognise(bytes);
        match self.state {
            // Frames need not be a request's: acknowledgements come at any time. The longer time covers them all.
            SocketState::Head if speaks_frames => self.enter(SocketState::Silent, self.keep_alive),
            SocketState::Silent if !speaks_frames => self.enter(SocketState::Head, self.head),
            SocketState::Busy | SocketState::Silent | SocketState::Head => {}
        }
    }

    /// Whether this is HTTP/2, as far as can be told yet.
    fn recognise(&mut self, bytes: &[u8]) -> bool {
        if let Some(heard) = self.preface.filter(|heard| *heard < PREFACE.len()) {
            let more = bytes.len().min(PREFACE.len() - heard);
            let same = bytes[..more] == PREFACE[heard..heard + more];
            self.preface = same.then_some(heard + more);
        }
        self.preface == Some(PREFACE.len())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for IdleTimeoutStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.look();
        let before = buffer.filled().len();
        if let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(context, buffer) {
            self.hear(&buffer.filled()[before..]);
            return Poll::Ready(read);
        }
        if self.state != SocketState::Busy && self.timer.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Pending
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for IdleTimeoutStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.patient(wrote, context)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.patient(flushed, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.patient(wrote, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
