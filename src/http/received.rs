//! A body as it arrives; what is left of it after an early answer is read and discarded.
//!
//! Over HTTP/2 an answer that comes before the end of its request is followed by RST_STREAM (NO_ERROR) as soon as the request's body is
//! dropped (RFC 9113, section 8.1). A client that still uploads then may report the reset instead of the answer (curl 7.88 does). So the
//! rest is read and discarded for a while, as `server` does over HTTP/1.1 with the end of a connection.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Version};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::runtime::Handle;
use tokio::time::timeout;

/// Maximum time for which the rest of a request is discarded.
pub(crate) const TIME_MAX: Duration = Duration::from_secs(30);
/// Maximum time without a byte from the client, which may be busy: that of nginx's `lingering_timeout`.
pub(crate) const PAUSE_MAX: Duration = Duration::from_secs(5);
/// Maximum number of bytes that are discarded.
pub(crate) const BYTES_MAX: usize = 64 << 20;

/// Length of the rest of an HTTP/1.1 request that hyper still reads by itself, because it came with the head; a longer one costs the
/// connection.
const READ_WITH_HEAD: u64 = 8 << 10;

/// The body of a message from a client or an upstream.
#[derive(Debug)]
pub(crate) struct Received {
    /// `None` once the rest is discarded.
    incoming: Option<Incoming>,
    discards_rest: bool,
    is_at_end: bool,
    unread: Unread,
}

/// Whether the body of an HTTP/1.1 request was dropped before its end, after which its connection takes no other request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unread(Option<Arc<AtomicBool>>);

impl Unread {
    fn of(request: &Request<Incoming>) -> Self {
        let is_long = request.body().size_hint().exact().is_none_or(|length| length > READ_WITH_HEAD);
        Self((request.version() < Version::HTTP_2 && is_long).then(Arc::default))
    }

    /// Whether it was, so far.
    pub(crate) fn is_set(&self) -> bool {
        self.0.as_ref().is_some_and(|unread| unread.load(Ordering::Relaxed))
    }
}

impl Received {
    /// The body of a client's request.
    pub(crate) fn of_client(request: Request<Incoming>) -> Request<Self> {
        let discards_rest = request.version() == Version::HTTP_2;
        let unread = Unread::of(&request);
        request.map(|incoming| Self { incoming: Some(incoming), discards_rest, is_at_end: false, unread })
    }

    /// Whether this body was read to its end, to be asked after it is dropped.
    pub(crate) fn unread(&self) -> Unread {
        self.unread.clone()
    }
}

impl From<Incoming> for Received {
    /// The body of an upstream's answer.
    fn from(incoming: Incoming) -> Self {
        Self { incoming: Some(incoming), discards_rest: false, is_at_end: false, unread: Unread::default() }
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        if let Some(unread) = &self.unread.0 {
            // An answer that leaves a body unread over HTTP/1.1 must close the connection: the rest would be read as the next request.
            unread.store(!self.is_at_end && !self.is_end_stream(), Ordering::Relaxed);
        }
        let rest = self.incoming.take().filter(|rest| self.discards_rest && !rest.is_end_stream());
        if let (Some(rest), Ok(runtime)) = (rest, Handle::try_current()) {
            runtime.spawn(timeout(TIME_MAX, discard(rest)));
        }
    }
}

async fn discard(mut rest: Incoming) {
    let mut bytes = 0;
    while bytes < BYTES_MAX
        && let Ok(Some(Ok(frame))) = timeout(PAUSE_MAX, rest.frame()).await
    {
        bytes += frame.data_ref().map_or(0, Bytes::len);
    }
}

impl Body for Received {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = match &mut self.incoming {
            Some(incoming) => Pin::new(incoming).poll_frame(context),
            None => Poll::Ready(None),
        };
        self.is_at_end = match &polled {
            Poll::Ready(None) => true,
            // Nothing follows them, and hyper asks for nothing more.
            Poll::Ready(Some(Ok(frame))) => frame.is_trailers(),
            Poll::Ready(Some(Err(_))) | Poll::Pending => false,
        };
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}
