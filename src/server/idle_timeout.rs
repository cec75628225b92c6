//! Closes idle connections: without a request within `limits.keep_alive_timeout`, with a request head that takes longer than
//! `limits.header_read_timeout`, or with a client that reads nothing of a response for `limits.write_timeout`.
//!
//! Why own code, compared with what the libraries do (hyper 1.12, tokio-io-timeout 1.2.1, read from their source):
//!
//! - hyper's `header_read_timeout` is one timer, started as soon as hyper waits for a head (`proto/h1/conn.rs`, `poll_read_head`). It
//!   therefore also limits the idle time between two requests, so one value would have to serve as both (the defaults are 10 s
//!   and 75 s). It has no write timeout.
//! - tokio-io-timeout's read timeout runs whenever a read is pending. hyper keeps a read pending while a response is prepared, so a create
//!   that takes longer than the timeout would lose its connection. A wrapper that switches that timeout by state
//!   would still need the state machine below, and save only the timers.
//!
//! It also resets a connection whose answer broke off where its end alone would look like that of the answer: one of unknown length to an
//! HTTP/1.0 client ends with its connection (RFC 9112, section 6.3).

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep};
use tokio_rustls::server::TlsStream;

use crate::config::Limits;

/// The requests of one connection. Clones share the counts.
#[derive(Clone, Debug, Default)]
pub(super) struct Activity(Arc<RequestCounts>);

#[derive(Debug, Default)]
struct RequestCounts {
    active: AtomicUsize,
    started: AtomicUsize,
    /// Whether the socket takes no more at the moment.
    write_pending: AtomicBool,
    /// A permit for each time at which the connection may have become idle.
    quieter: Notify,
    /// Of the connection's task, while it waits for the end of its requests.
    reader: AtomicWaker,
    /// Whether an answer broke off that its client would take for whole.
    is_cut_short: AtomicBool,
}

impl Activity {
    /// Counts a request as active until the guard is dropped.
    pub(super) fn start(&self) -> ActiveRequest {
        self.0.active.fetch_add(1, Ordering::Relaxed);
        self.0.started.fetch_add(1, Ordering::Relaxed);
        ActiveRequest(self.clone())
    }

    /// Whether a request is being answered.
    pub(super) fn is_active(&self) -> bool {
        self.0.active.load(Ordering::Relaxed) > 0
    }

    /// Whether a request is being answered, or the end of an answer waits for the socket.
    pub(super) fn is_busy(&self) -> bool {
        self.is_active() || self.started() > 0 && self.0.write_pending.load(Ordering::Relaxed)
    }

    /// Resolves when the connection is not busy. For one task.
    pub(super) async fn idle(&self) {
        while self.is_busy() {
            self.0.quieter.notified().await;
        }
    }

    fn set_write_pending(&self, pending: bool) {
        self.0.write_pending.store(pending, Ordering::Relaxed);
        if !pending {
            self.0.quieter.notify_one();
        }
    }

    /// Resolves when no request is being answered. For one task.
    pub(super) fn poll_inactive(&self, context: &Context<'_>) -> Poll<()> {
        self.0.reader.register(context.waker());
        if self.is_active() { Poll::Pending } else { Poll::Ready(()) }
    }

    /// Requests started on this connection so far.
    pub(super) fn started(&self) -> usize {
        self.0.started.load(Ordering::Relaxed)
    }
}

#[derive(Debug)]
pub(super) struct ActiveRequest(Activity);

impl ActiveRequest {
    /// Has the connection end with a reset.
    pub(super) fn cut_short(&self) {
        self.0.0.is_cut_short.store(true, Ordering::Relaxed);
    }
}

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        if self.0.0.active.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.0.0.quieter.notify_one();
            self.0.0.reader.wake();
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SocketState {
    /// A request is being answered: no read timeout.
    Active,
    /// No byte since the last response: the keep-alive timeout runs.
    Idle,
    /// Part of a head has arrived: the head timeout runs.
    ReadingHead,
}

/// The start of every HTTP/2 connection (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n";

/// A stream over a socket that can be closed with a reset.
pub(super) trait Reset {
    /// Has the socket send RST in place of FIN when it is dropped.
    fn reset(&self);
}

impl Reset for TcpStream {
    fn reset(&self) {
        // Without it the connection is closed all the same.
        let _ = self.set_zero_linger();
    }
}

impl Reset for TlsStream<TcpStream> {
    fn reset(&self) {
        self.get_ref().0.reset();
    }
}

/// A client's stream whose reads and writes fail with `TimedOut` when the connection has been idle for too long.
#[derive(Debug)]
pub(super) struct IdleTimeoutStream<S: Reset> {
    stream: S,
    activity: Activity,
    /// [`Activity::started`] at the last read: a request may start and end between two reads.
    started: usize,
    state: SocketState,
    /// How many bytes of [`PREFACE`] have arrived; `None` once anything else has.
    preface: Option<usize>,
    /// When the state times out.
    deadline: Instant,
    /// Fires at the deadline or before it: a timer that is moved twice for each request costs more than one that fires early now and then.
    read_timer: Pin<Box<Sleep>>,
    keep_alive_timeout: Duration,
    head_timeout: Duration,
    /// Runs while a write is pending.
    write_timer: Option<Pin<Box<Sleep>>>,
    write_timeout: Duration,
}

impl<S: Reset> Drop for IdleTimeoutStream<S> {
    fn drop(&mut self) {
        if self.activity.0.is_cut_short.load(Ordering::Relaxed) {
            self.stream.reset();
        }
    }
}

impl<S: Reset> IdleTimeoutStream<S> {
    /// The time for the first head runs from `accepted_at`.
    pub(super) fn new(stream: S, activity: Activity, limits: &Limits, accepted_at: Instant) -> Self {
        let deadline = accepted_at + limits.header_read_timeout;
        Self {
            stream,
            activity,
            started: 0,
            // A client that connects and sends nothing gets the shorter timeout.
            state: SocketState::ReadingHead,
            preface: Some(0),
            deadline,
            read_timer: Box::pin(tokio::time::sleep_until(deadline)),
            keep_alive_timeout: limits.keep_alive_timeout,
            head_timeout: limits.header_read_timeout,
            write_timer: None,
            write_timeout: limits.write_timeout,
        }
    }

    /// Fails a write that has been pending for the write timeout.
    fn limit_write<T>(
        &mut self,
        wrote: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if wrote.is_ready() {
            if self.write_timer.take().is_some() {
                self.activity.set_write_pending(false);
            }
            return wrote;
        }
        if self.write_timer.is_none() {
            self.activity.set_write_pending(true);
        }
        let timeout = self.write_timeout;
        let timer = self.write_timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        timer.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }

    fn enter(&mut self, state: SocketState, timeout: Duration) {
        self.state = state;
        self.deadline = Instant::now() + timeout;
        if self.read_timer.is_elapsed() || self.deadline < self.read_timer.deadline() {
            self.read_timer.as_mut().reset(self.deadline);
        }
    }

    fn poll_deadline(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while self.read_timer.as_mut().poll(context).is_ready() {
            if Instant::now() >= self.deadline {
                return Poll::Ready(());
            }
            self.read_timer.as_mut().reset(self.deadline);
        }
        Poll::Pending
    }

    /// Updates the state from requests that have started or ended since the last read.
    fn update(&mut self) {
        let started = self.activity.started();
        let new_request = std::mem::replace(&mut self.started, started) != started;
        if self.activity.is_active() {
            self.state = SocketState::Active;
        } else if new_request || self.state == SocketState::Active {
            self.enter(SocketState::Idle, self.keep_alive_timeout);
        }
    }

    fn received(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let is_http2 = self.detect_http2(bytes);
        match self.state {
            // A frame need not belong to a request: SETTINGS and PING come at any time. HTTP/2 always gets the longer timeout.
            SocketState::ReadingHead if is_http2 => self.enter(SocketState::Idle, self.keep_alive_timeout),
            SocketState::Idle if !is_http2 => self.enter(SocketState::ReadingHead, self.head_timeout),
            SocketState::Active | SocketState::Idle | SocketState::ReadingHead => {}
        }
    }

    /// Whether the connection has started with the whole HTTP/2 preface.
    fn detect_http2(&mut self, bytes: &[u8]) -> bool {
        if let Some(matched) = self.preface.filter(|matched| *matched < PREFACE.len()) {
            let more = bytes.len().min(PREFACE.len() - matched);
            let same = bytes[..more] == PREFACE[matched..matched + more];
            self.preface = same.then_some(matched + more);
        }
        self.preface == Some(PREFACE.len())
    }
}

impl<S: AsyncRead + Reset + Unpin> AsyncRead for IdleTimeoutStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.update();
        let before = buffer.filled().len();
        if let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(context, buffer) {
            self.received(&buffer.filled()[before..]);
            return Poll::Ready(read);
        }
        if self.state != SocketState::Active && self.poll_deadline(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Pending
    }
}

impl<S: AsyncWrite + Reset + Unpin> AsyncWrite for IdleTimeoutStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.limit_write(wrote, context)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.limit_write(flushed, context)
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
        self.limit_write(wrote, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
