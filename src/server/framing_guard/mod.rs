//! A client's stream on which hyper is stricter than it is by itself, and speaks the legacy shape when it refuses.
//!
//! - A head that leaves open where its request ends is spoilt on its way in: hyper then refuses it like any malformed one, in
//!   its turn behind the requests before it, and closes. Nothing behind such a head is ever read.
//! - hyper answers what it cannot read with a bare status. On its way out that becomes a problem document.

mod framing;

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use uuid::Uuid;

use self::framing::{Framing, Verdict};
use super::idle_timeout::Activity;
use crate::failure::Failure;
use crate::http::headers;
use crate::proxy;

/// No header may hold it, and no line may end with it.
const SPOILER: &[u8] = b"\0";
/// An end of a head, so that hyper does not wait for one.
const END_OF_HEAD: &[u8] = b"\r\n\r\n";

/// The stream; see the module.
#[derive(Debug)]
pub(super) struct FramingGuard<S> {
    stream: S,
    client: SocketAddr,
    activity: Activity,
    framing: Framing,
    /// What is still to be read once nothing more is taken from the stream.
    last: Option<&'static [u8]>,
    /// The refusal that is being written in place of hyper's.
    refusal: Bytes,
}

impl<S> FramingGuard<S> {
    pub(super) fn new(stream: S, client: SocketAddr, activity: Activity) -> Self {
        Self { stream, client, activity, framing: Framing::default(), last: None, refusal: Bytes::new() }
    }

    /// Looks at what was read from `from` on.
    fn judge(&mut self, buffer: &mut ReadBuf<'_>, from: usize) {
        match self.framing.hear(&buffer.filled()[from..]) {
            Verdict::Plain => {}
            Verdict::Ambiguous(end) => {
                buffer.set_filled(from + end);
                buffer.put_slice(SPOILER);
                self.last = Some(END_OF_HEAD);
            }
            Verdict::Lost(start) => {
                buffer.set_filled(from + start);
                self.last = Some(b"");
            }
        }
    }

    /// Whether hyper may be refusing now: a head came that did not become a request, and no answer is on its way. An upstream
    /// may write into a body whatever it likes.
    fn may_refuse(&self) -> bool {
        self.framing.heads() > self.activity.begun() && !self.activity.is_busy()
    }

    /// The refusal to be written in place of these bytes, if they are one of hyper's.
    fn refuse(&mut self, bytes: &[u8]) {
        if !self.may_refuse() {
            return;
        }
        let Some(failure) = bare_refusal(bytes) else { return };
        let request_id = Uuid::new_v4().hyphenated().to_string();
        let (client, error, status) = (self.client, failure.name(), failure.status());
        tracing::info!(target: "server", %client, error, status, request_id, "a head was refused");
        self.refusal = written(&failure, &request_id);
    }
}

/// What hyper means by a bare refusal. No answer of the proxy's looks like one: they all bear a request id.
fn bare_refusal(bytes: &[u8]) -> Option<Failure> {
    const BARE: &[u8] = b"connection: close\r\ncontent-length: 0\r\n\r\n";
    let start = bytes.strip_suffix(BARE)?.strip_prefix(b"HTTP/1.1 ")?;
    // One line and nothing else.
    let line = start.strip_suffix(b"\r\n").filter(|line| memchr::memchr(b'\n', line).is_none())?;
    match line.get(..3)? {
        b"400" => Some(Failure::Malformed),
        b"414" => Some(Failure::TargetTooLong),
        b"431" => Some(Failure::HeadTooLong),
        _ => None,
    }
}

/// The same refusal with a problem document.
fn written(failure: &Failure, request_id: &str) -> Bytes {
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
    bytes.extend_from_slice(&body.into_whole());
    bytes.into()
}

impl<S: AsyncRead + Unpin> AsyncRead for FramingGuard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(last) = &mut self.last {
            let fits = last.len().min(buffer.remaining());
            buffer.put_slice(&last[..fits]);
            *last = &last[fits..];
            return Poll::Ready(Ok(()));
        }
        let from = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        self.judge(buffer, from);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for FramingGuard<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.refusal.is_empty() {
            this.refuse(bytes);
        }
        if this.refusal.is_empty() {
            return Pin::new(&mut this.stream).poll_write(context, bytes);
        }
        // hyper offers the same bytes again until they are taken.
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
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match slices {
            [only] => self.poll_write(context, only),
            _ => Pin::new(&mut self.stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
