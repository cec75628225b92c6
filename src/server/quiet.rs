//! Ends connections that have gone quiet: no request within the keep-alive time, or a head that takes too long to arrive.
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

/// How many requests of one connection are being answered.
#[derive(Clone, Debug, Default)]
pub(super) struct Activity(Arc<AtomicUsize>);

impl Activity {
    /// One more, until the guard is dropped.
    pub(super) fn begin(&self) -> Busy {
        self.0.fetch_add(1, Ordering::Relaxed);
        Busy(self.clone())
    }

    fn is_busy(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }
}

/// One request being answered.
#[derive(Debug)]
pub(super) struct Busy(Activity);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A request is being answered: no time runs here.
    Busy,
    /// Nothing has been heard since the last answer.
    Silent,
    /// Something has been heard, but not a whole head.
    Head,
}

/// A client's stream with the two times.
#[derive(Debug)]
pub(super) struct Quiet<S> {
    stream: S,
    activity: Activity,
    state: State,
    timer: Pin<Box<Sleep>>,
    keep_alive: Duration,
    head: Duration,
}

impl<S> Quiet<S> {
    pub(super) fn new(stream: S, activity: Activity, limits: &Limits) -> Self {
        let (keep_alive, head) = (limits.keep_alive_timeout, limits.header_read_timeout);
        // A new connection has to say something soon: it counts as a head from the start.
        let timer = Box::pin(tokio::time::sleep(head));
        Self { stream, activity, state: State::Head, timer, keep_alive, head }
    }

    fn enter(&mut self, state: State, time: Duration) {
        self.state = state;
        self.timer.as_mut().reset(Instant::now() + time);
    }

    /// Whether the time of the present state is over.
    fn is_over(&mut self, context: &mut Context<'_>) -> bool {
        match (self.activity.is_busy(), self.state) {
            (true, _) => {
                self.state = State::Busy;
                return false;
            }
            (false, State::Busy) => self.enter(State::Silent, self.keep_alive),
            (false, State::Silent | State::Head) => {}
        }
        self.timer.as_mut().poll(context).is_ready()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Quiet<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(context, buffer) {
            let heard = buffer.filled().len() > before;
            if heard && self.state != State::Head && !self.activity.is_busy() {
                let head = self.head;
                self.enter(State::Head, head);
            }
            return Poll::Ready(read);
        }
        if self.is_over(context) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Pending
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Quiet<S> {
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

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
