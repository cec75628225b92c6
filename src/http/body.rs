//! Bodies: streamed through, or whole. One type each way, so that the data path needs no boxes.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::http::capture::Tee;

/// Counts the bytes of a body as they pass, and notes when it breaks off. Clones share what is known.
#[derive(Clone, Debug, Default)]
pub struct ByteCount(Arc<Counted>);

#[derive(Debug, Default)]
struct Counted {
    bytes: AtomicU64,
    broke_off: AtomicBool,
}

impl ByteCount {
    /// Bytes so far.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.bytes.load(Ordering::Relaxed)
    }

    /// Counts `bytes` more.
    pub fn add(&self, bytes: usize) {
        self.0.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Whether the body ended before its end: whoever was sending it is to blame for what follows.
    #[must_use]
    pub fn broke_off(&self) -> bool {
        self.0.broke_off.load(Ordering::Relaxed)
    }

    fn passed(&self, polled: &Poll<Option<Result<Frame<Bytes>, hyper::Error>>>) {
        match polled {
            Poll::Ready(Some(Ok(frame))) => self.add(frame.data_ref().map_or(0, Bytes::len)),
            Poll::Ready(Some(Err(_))) => self.0.broke_off.store(true, Ordering::Relaxed),
            Poll::Ready(None) | Poll::Pending => {}
        }
    }
}

/// A body on its way through the proxy.
#[derive(Debug)]
pub enum Payload {
    /// Passed on frame by frame as it arrives, trailers included.
    Streamed(Incoming, ByteCount),
    /// As far as it was read, and then frame by frame as it arrives.
    Begun(VecDeque<Frame<Bytes>>, Incoming, ByteCount),
    /// Written by the proxy.
    Whole(Option<Bytes>),
    /// Either of them, and copied as it passes.
    Copied(Box<Payload>, Tee),
}

impl Payload {
    /// No bytes at all.
    #[must_use]
    pub const fn empty() -> Self {
        Self::Whole(None)
    }

    /// The same body, copied as it passes.
    #[must_use]
    pub fn copied(self, mut tee: Tee) -> Self {
        // Nobody asks an empty body for anything.
        if self.is_end_stream() {
            tee.end();
        }
        Self::Copied(Box::new(self), tee)
    }

    /// The bytes of one that the proxy wrote; none of one that streams.
    #[must_use]
    pub fn into_whole(self) -> Bytes {
        match self {
            Self::Streamed(..) | Self::Begun(..) => Bytes::new(),
            Self::Whole(bytes) => bytes.unwrap_or_default(),
            Self::Copied(payload, _) => payload.into_whole(),
        }
    }

    /// The same once more, unless it is on its way from somewhere.
    #[must_use]
    pub fn copy(&self) -> Option<Self> {
        match self {
            Self::Streamed(incoming, _) => incoming.is_end_stream().then(Self::empty),
            Self::Begun(..) => None,
            Self::Whole(bytes) => Some(Self::Whole(bytes.clone())),
            Self::Copied(payload, _) => payload.copy(),
        }
    }

    /// All of it at once.
    #[must_use]
    pub fn whole(bytes: impl Into<Bytes>) -> Self {
        Self::Whole(Some(bytes.into()).filter(|bytes| !bytes.is_empty()))
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self.get_mut() {
            Self::Streamed(incoming, count) => {
                let polled = Pin::new(incoming).poll_frame(context);
                count.passed(&polled);
                polled
            }
            Self::Begun(read, incoming, count) => match read.pop_front() {
                // Counted when it was read.
                Some(frame) => Poll::Ready(Some(Ok(frame))),
                None => {
                    let polled = Pin::new(incoming).poll_frame(context);
                    count.passed(&polled);
                    polled
                }
            },
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Copied(payload, tee) => {
                let polled = Pin::new(&mut **payload).poll_frame(context);
                if let Poll::Ready(Some(Ok(frame))) = &polled {
                    frame.data_ref().into_iter().for_each(|data| tee.add(data));
                }
                // Nobody asks for more than the length that was promised.
                if matches!(polled, Poll::Ready(None)) || (polled.is_ready() && payload.is_end_stream()) {
                    tee.end();
                }
                polled
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Streamed(incoming, _) => incoming.is_end_stream(),
            Self::Begun(read, incoming, _) => read.is_empty() && incoming.is_end_stream(),
            Self::Whole(bytes) => bytes.is_none(),
            Self::Copied(payload, _) => payload.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Streamed(incoming, _) => incoming.size_hint(),
            Self::Copied(payload, _) => payload.size_hint(),
            Self::Begun(read, incoming, _) => {
                let read = read.iter().filter_map(Frame::data_ref).map(|data| data.len() as u64).sum::<u64>();
                let left = incoming.size_hint();
                let mut hint = SizeHint::new();
                hint.set_lower(read + left.lower());
                left.upper().into_iter().for_each(|upper| hint.set_upper(read + upper));
                hint
            }
            Self::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
        }
    }
}

/// Why a body could not be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// It is longer than it may be.
    #[error("the body is longer than {max} bytes")]
    TooLong {
        /// The most that is read, in bytes.
        max: usize,
    },
    /// Its sender stopped before the end.
    #[error("the body ended early")]
    Broken(#[source] hyper::Error),
}

/// Reads a whole body into one piece of memory, at most `max` bytes of it.
///
/// # Errors
/// When it is longer, or ends before its end.
pub async fn collect(mut body: Incoming, max: usize) -> Result<Bytes, CollectError> {
    use http_body_util::BodyExt as _;
    let expected = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if expected > max {
        return Err(CollectError::TooLong { max });
    }
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(CollectError::Broken)?.into_data() else { continue };
        if first.len() + all.len() + data.len() > max {
            return Err(CollectError::TooLong { max });
        }
        if first.is_empty() && all.is_empty() {
            first = data;
            continue;
        }
        if all.is_empty() {
            all.reserve(expected.max(first.len() + data.len()));
            all.extend_from_slice(&std::mem::take(&mut first));
        }
        all.extend_from_slice(&data);
    }
    Ok(if all.is_empty() { first } else { all.freeze() })
}

/// What became of reading a body that may be too long to read.
#[derive(Debug)]
pub enum Peeked {
    /// All of it, without trailers.
    Whole(Bytes),
    /// It is longer than was read, or has trailers: what was read, and the rest, to be sent on as it came.
    Begun(VecDeque<Frame<Bytes>>, Incoming),
}

/// Reads a whole body if it has at most `max` bytes, and loses none of it if it has more.
///
/// # Errors
/// When its sender stops before the end.
pub async fn peek(mut body: Incoming, max: usize, count: &ByteCount) -> Result<Peeked, hyper::Error> {
    use http_body_util::BodyExt as _;
    let mut read = VecDeque::new();
    let mut length = 0;
    while length <= max {
        let Some(frame) = body.frame().await.transpose()? else {
            let all: Vec<&[u8]> = read.iter().filter_map(Frame::data_ref).map(Bytes::as_ref).collect();
            return Ok(Peeked::Whole(all.concat().into()));
        };
        let data = frame.data_ref().map(Bytes::len);
        read.push_back(frame);
        let Some(data) = data else { break };
        count.add(data);
        length += data;
    }
    Ok(Peeked::Begun(read, body))
}
