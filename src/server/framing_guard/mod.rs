//! Refuses HTTP/1 requests with ambiguous framing, and turns hyper's refusals into problem documents.
//!
//! It protects against request smuggling (RFC 9112, 11.2) where the proxy is not the first reader: behind a load balancer or CDN that shares one
//! connection among clients. If that front end and hyper end a request at different bytes, one client can prepend bytes to the request
//! of another, and so create a conversion with someone else's token. hyper alone is safe as a server, because it resolves
//! `Content-Length` against `Transfer-Encoding` as the RFC says, but it then hides that there was a conflict, so nothing behind it could
//! refuse the request. With the front end under the operator's control and strict itself, this module refuses nothing.
//!
//! - A head with ambiguous framing is made invalid before hyper reads it. hyper then refuses it like any malformed head, in order behind
//!   the requests before it, and closes the connection. Nothing after such a head is read.
//! - A connection that ends in the middle of a body, because its request was answered early, is read on for a while ([`linger`]).
//! - A client that shuts down its sending half is kept from hyper for a while ([`half_closed`]).
//! - hyper refuses a head with a bare status. On its way out it becomes a problem document like every other refusal.

mod framing;
mod half_closed;
mod linger;
mod malformed_kind;

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use uuid::Uuid;

pub use self::framing::{Framing, FramingCheck};
use self::half_closed::HalfClosed;
use self::linger::Linger;
use super::idle_timeout::Activity;
use crate::failure::Failure;
use crate::http::headers;
use crate::proxy;

/// A byte that no head may contain (RFC 9110, 5.5).
const INVALID_BYTE: &[u8] = b"\0";
/// Completes the head, so that hyper does not wait for the rest of it.
const END_OF_HEAD: &[u8] = b"\r\n\r\n";

#[derive(Debug)]
pub(super) struct FramingGuard<S> {
    stream: S,
    client: SocketAddr,
    activity: Activity,
    framing: Framing,
    /// Set once reading from the stream has stopped: the bytes that hyper still reads before it sees the end.
    tail: Option<&'static [u8]>,
    /// The rest of the refusal that replaces hyper's.
    refusal: Bytes,
    /// Set once the response is out and the client still sends.
    linger: Option<Linger>,
    /// Whether the client sends no more.
    ended: bool,
    half_closed: HalfClosed,
}

impl<S> FramingGuard<S> {
    /// `timeout`: how long a client that sends no more is waited for while it gets nothing.
    pub(super) fn new(stream: S, client: SocketAddr, activity: Activity, timeout: Duration) -> Self {
        Self {
            stream,
            client,
            activity,
            framing: Framing::default(),
            tail: None,
            refusal: Bytes::new(),
            linger: None,
            ended: false,
            half_closed: HalfClosed::new(timeout),
        }
    }

    /// Inspects the bytes of `buffer` after `from`.
    fn inspect(&mut self, buffer: &mut ReadBuf<'_>, from: usize) {
        match self.framing.advance(&buffer.filled()[from..]) {
            FramingCheck::Clear => {}
            FramingCheck::Ambiguous(end) => {
                buffer.set_filled(from + end);
                buffer.put_slice(INVALID_BYTE);
                self.tail = Some(END_OF_HEAD);
            }
            FramingCheck::Invalid(start) => {
                buffer.set_filled(from + start);
                self.tail = Some(b"");
            }
        }
    }

    /// Whether what hyper writes now can be a refusal: a head has arrived that did not become a request, and no response is being
    /// written, whose body might look like one.
    fn may_refuse(&self) -> bool {
        self.framing.heads() > self.activity.started() && !self.activity.is_active()
    }

    /// Sets the refusal that replaces `bytes`, if they are one of hyper's.
    fn replace_refusal(&mut self, bytes: &[u8]) {
        if !self.may_refuse() {
            return;
        }
        let Some(failure) = bare_refusal(bytes) else { return };
        let request_id = Uuid::new_v4().hyphenated().to_string();
        let (client, error, status) = (self.client, failure.name(), failure.status());
        let ambiguous = self.tail.is_some();
        let kind = || malformed_kind::kind(self.framing.start_line(), ambiguous, self.framing.defect());
        let kind = (status == 400).then(kind);
        tracing::info!(target: "server", %client, error, kind, status, request_id, "request head refused");
        self.refusal = encoded(&failure, &request_id);
    }
}

/// The failure that a bare refusal of hyper stands for. No response of the proxy looks like one, because all have a request id.
fn bare_refusal(bytes: &[u8]) -> Option<Failure> {
    const BARE: &[u8] = b"connection: close\r\ncontent-length: 0\r\n\r\n";
    let start = bytes.strip_suffix(BARE)?.strip_prefix(b"HTTP/1.1 ")?;
    // A status line and no further field.
    let line = start.strip_suffix(b"\r\n").filter(|line| memchr::memchr(b'\n', line).is_none())?;
    match line.get(..3)? {
        b"400" => Some(Failure::Malformed),
        b"414" => Some(Failure::TargetTooLong),
        b"431" => Some(Failure::HeadTooLong),
        _ => None,
    }
}

/// The HTTP/1.1 response with the problem document of `failure`.
fn encoded(failure: &Failure, request_id: &str) -> Bytes {
    let (head, body) = proxy::refuse(failure).into_parts();
    let mut bytes = format!("HTTP/1.1 {}\r\n", head.status).into_bytes();
    for (name, value) in &head.headers {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    let rest = format!("connection: close\r\n{}: {request_id}\r\n\r\n", headers::REQUEST_ID);
    bytes.extend_from_slice(rest.as_bytes());
    bytes.extend_from_slice(&body.into_bytes());
    bytes.into()
}

impl<S: AsyncRead + Unpin> AsyncRead for FramingGuard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(tail) = &mut self.tail {
            let fits = tail.len().min(buffer.remaining());
            buffer.put_slice(&tail[..fits]);
            *tail = &tail[fits..];
            return Poll::Ready(Ok(()));
        }
        let from = buffer.filled().len();
        if !self.ended {
            let had_room = buffer.remaining() > 0;
            ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
            self.inspect(buffer, from);
            self.ended = had_room && buffer.filled().len() == from;
        }
        // hyper would take the end for that of a client that has left, and drop its requests.
        if self.ended && self.framing.is_between_bodies() && self.activity.poll_inactive(context).is_pending()
        {
            ready!(self.half_closed.poll(context));
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for FramingGuard<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.refusal.is_empty() {
            this.replace_refusal(bytes);
        }
        if this.refusal.is_empty() {
            this.half_closed.wrote();
            return Pin::new(&mut this.stream).poll_write(context, bytes);
        }
        // hyper retries the same bytes until they count as written.
        while !this.refusal.is_empty() {
            let wrote = ready!(Pin::new(&mut this.stream).poll_write(context, &this.refusal))?;
            if wrote == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            this.refusal.advance(wrote);
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { stream, framing, tail, linger, .. } = &mut *self;
        let linger = match linger {
            Some(linger) => linger,
            None => {
                ready!(Pin::new(&mut *stream).poll_shutdown(context))?;
                if tail.is_none() && !framing.is_in_body() {
                    return Poll::Ready(Ok(()));
                }
                linger.insert(Linger::new())
            }
        };
        let goes_on = |bytes: &[u8]| {
            // Behind an ambiguous head nothing is framed.
            tail.is_some() || framing.advance(bytes) == FramingCheck::Clear && framing.is_in_body()
        };
        linger.poll(stream, context, goes_on).map(Ok)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match slices {
            [only] => self.poll_write(context, only),
            _ => {
                self.half_closed.wrote();
                Pin::new(&mut self.stream).poll_write_vectored(context, slices)
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
