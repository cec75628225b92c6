//! Message bodies. One type for streamed and complete bodies, so that the data path needs no boxed bodies.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Sleep, sleep, timeout};

use crate::http::capture::Tee;
use crate::http::received::Received;
use crate::http::send_gate::SendGate;

/// Why a body has no further frame.
pub(crate) type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// Counts the bytes of a body as they are forwarded, and records whether it failed. Clones share the state.
#[derive(Clone, Debug)]
pub(crate) struct ByteCount(Option<Arc<Counted>>);

#[derive(Debug, Default)]
struct Counted {
    bytes: AtomicU64,
    broke_off: AtomicBool,
}

impl Default for ByteCount {
    fn default() -> Self {
        Self(Some(Arc::default()))
    }
}

impl ByteCount {
    /// For a body whose bytes are not counted.
    pub(crate) const NONE: Self = Self(None);

    pub(crate) fn get(&self) -> u64 {
        self.0.as_ref().map_or(0, |counted| counted.bytes.load(Ordering::Relaxed))
    }

    pub(crate) fn add(&self, bytes: usize) {
        if let Some(counted) = &self.0 {
            counted.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        }
    }

    /// Whether reading the body failed before its end. Its sender is then at fault for what follows.
    pub(crate) fn broke_off(&self) -> bool {
        self.0.as_ref().is_some_and(|counted| counted.broke_off.load(Ordering::Relaxed))
    }

    fn record_break(&self) {
        if let Some(counted) = &self.0 {
            counted.broke_off.store(true, Ordering::Relaxed);
        }
    }

    fn record(&self, polled: &Poll<Option<Result<Frame<Bytes>, hyper::Error>>>) {
        match polled {
            Poll::Ready(Some(Ok(frame))) => self.add(frame.data_ref().map_or(0, Bytes::len)),
            Poll::Ready(Some(Err(_))) => self.record_break(),
            Poll::Ready(None) | Poll::Pending => {}
        }
    }
}

/// How long a sender may stay silent. tower-http's `TimeoutBody` (0.7) is no help: it drops the size hint, so that every body would be
/// chunked, and fails a body whose data waits behind a slow reader.
#[derive(Debug)]
pub(crate) struct IdleLimit {
    time: Duration,
    /// Runs while a frame is awaited.
    sleep: Option<Pin<Box<Sleep>>>,
}

/// A body's sender was silent for too long.
#[derive(Debug, thiserror::Error)]
#[error("nothing was received for {} ms", .0.as_millis())]
pub(crate) struct Stalled(Duration);

impl IdleLimit {
    fn check<T>(
        &mut self,
        polled: Poll<Option<Result<T, BodyError>>>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<T, BodyError>>> {
        // The time runs only while nothing comes; any frame ends it.
        if polled.is_ready() {
            self.sleep = None;
            return polled;
        }
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep(self.time)));
        sleep.as_mut().poll(context).map(|()| Some(Err(Stalled(self.time).into())))
    }
}

/// A body that the proxy forwards or has written.
#[derive(Debug)]
pub(crate) enum Payload {
    /// Forwarded frame by frame as it arrives, trailers included.
    Streamed(Received, ByteCount),
    /// The frames that [`peek`] read, followed by the rest as it arrives.
    Prefixed(VecDeque<Frame<Bytes>>, Received, ByteCount),
    Whole(Option<Bytes>),
    /// Another payload, captured while it is forwarded.
    Captured(Box<Payload>, Tee),
    /// Another payload, which fails when it stalls: see [`Self::idle_at_most`].
    Limited(Box<Payload>, IdleLimit),
    /// Another payload, which may be withheld: see [`Self::gated`].
    Gated(Box<Payload>, SendGate),
}

impl Payload {
    pub(crate) const fn empty() -> Self {
        Self::Whole(None)
    }

    /// Captures the body while it is forwarded.
    pub(crate) fn captured(self, mut tee: Tee) -> Self {
        // hyper never polls an empty body.
        if self.is_end_stream() {
            tee.end();
        }
        Self::Captured(Box::new(self), tee)
    }

    /// Fails the body when nothing arrives for `time` while the next frame is awaited.
    pub(crate) fn idle_at_most(self, time: Duration) -> Self {
        match self {
            Self::Whole(_) => self,
            _ if self.is_end_stream() => self,
            _ => Self::Limited(Box::new(self), IdleLimit { time, sleep: None }),
        }
    }

    /// A body that can be withheld until its first frame was taken. `None`: it is empty, so hyper never takes a frame.
    pub(crate) fn gated(self) -> (Self, Option<SendGate>) {
        if self.is_end_stream() {
            return (self, None);
        }
        let gate = SendGate::default();
        (Self::Gated(Box::new(self), gate.clone()), Some(gate))
    }

    /// Records that reading the body failed.
    fn record_break(&self) {
        match self {
            Self::Streamed(_, count) | Self::Prefixed(_, _, count) => count.record_break(),
            Self::Captured(payload, _) | Self::Limited(payload, _) | Self::Gated(payload, _) => {
                payload.record_break();
            }
            Self::Whole(_) => {}
        }
    }

    /// The bytes of a body that the proxy has written; empty for a streamed one.
    pub(crate) fn into_bytes(self) -> Bytes {
        match self {
            Self::Streamed(..) | Self::Prefixed(..) | Self::Limited(..) => Bytes::new(),
            Self::Whole(bytes) => bytes.unwrap_or_default(),
            Self::Captured(payload, _) | Self::Gated(payload, _) => payload.into_bytes(),
        }
    }

    /// A copy of a complete body; `None` for a streamed one, which can be read only once.
    pub(crate) fn try_clone(&self) -> Option<Self> {
        match self {
            Self::Streamed(incoming, _) => incoming.is_end_stream().then(Self::empty),
            Self::Prefixed(..) | Self::Limited(..) => None,
            Self::Whole(bytes) => Some(Self::Whole(bytes.clone())),
            Self::Captured(payload, _) | Self::Gated(payload, _) => payload.try_clone(),
        }
    }

    pub(crate) fn whole(bytes: impl Into<Bytes>) -> Self {
        Self::Whole(Some(bytes.into()).filter(|bytes| !bytes.is_empty()))
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Streamed(incoming, count) => {
                let polled = Pin::new(incoming).poll_frame(context);
                count.record(&polled);
                polled.map_err(BodyError::from)
            }
            Self::Prefixed(read, incoming, count) => match read.pop_front() {
                // `peek` has counted it.
                Some(frame) => Poll::Ready(Some(Ok(frame))),
                None => {
                    let polled = Pin::new(incoming).poll_frame(context);
                    count.record(&polled);
                    polled.map_err(BodyError::from)
                }
            },
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Captured(payload, tee) => {
                let polled = Pin::new(&mut **payload).poll_frame(context);
                if let Poll::Ready(Some(Ok(frame))) = &polled {
                    frame.data_ref().into_iter().for_each(|data| tee.add(data));
                }
                // hyper stops polling at Content-Length, so the final `None` may never be polled.
                if matches!(polled, Poll::Ready(None)) || (polled.is_ready() && payload.is_end_stream()) {
                    tee.end();
                }
                polled
            }
            Self::Limited(payload, limit) => {
                let polled = Pin::new(&mut **payload).poll_frame(context);
                let checked = limit.check(polled, context);
                if matches!(checked, Poll::Ready(Some(Err(_)))) {
                    payload.record_break();
                }
                checked
            }
            Self::Gated(payload, gate) => match gate.take() {
                Ok(()) => Pin::new(&mut **payload).poll_frame(context),
                Err(withheld) => Poll::Ready(Some(Err(withheld.into()))),
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Streamed(incoming, _) => incoming.is_end_stream(),
            Self::Prefixed(read, incoming, _) => read.is_empty() && incoming.is_end_stream(),
            Self::Whole(bytes) => bytes.is_none(),
            Self::Captured(payload, _) | Self::Limited(payload, _) | Self::Gated(payload, _) => {
                payload.is_end_stream()
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Streamed(incoming, _) => incoming.size_hint(),
            Self::Captured(payload, _) | Self::Limited(payload, _) | Self::Gated(payload, _) => {
                payload.size_hint()
            }
            Self::Prefixed(read, incoming, _) => {
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

#[derive(Debug, thiserror::Error)]
pub(crate) enum CollectError {
    /// The body is longer than the limit.
    #[error("the body is longer than {max} bytes")]
    TooLong { max: usize },
    /// The sender closed the connection before the end.
    #[error("the body ended early")]
    Broken(#[source] hyper::Error),
}

/// Reads a whole body of at most `max` bytes into contiguous memory. A body of one frame is not copied.
///
/// # Errors
/// If the body is longer or incomplete.
pub(crate) async fn collect(body: impl Into<Received>, max: usize) -> Result<Bytes, CollectError> {
    use http_body_util::BodyExt as _;
    let mut body = body.into();
    // A declared length is refused before anything is read; without one the sum below decides.
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
            // Most bodies are one frame, which is handed on without a copy.
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

/// What [`peek`] read.
#[derive(Debug)]
pub(crate) enum Peeked {
    /// The whole body. It has no trailers.
    Whole(Bytes),
    /// The whole body, and what to forward of it: its frames with the trailers, and the rest, which is empty.
    Trailed(Bytes, VecDeque<Frame<Bytes>>, Received),
    /// The body is longer than the limit: the frames read so far, and the rest.
    Partial(VecDeque<Frame<Bytes>>, Received),
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum PeekError {
    /// The sender closed the connection before the end.
    #[error("the body ended early")]
    Broken(#[source] hyper::Error),
    #[error(transparent)]
    Stalled(Stalled),
}

/// Reads a whole body if it has at most about `max` bytes. Nothing of a longer one is lost. `idle`: how long its sender may stay silent.
///
/// # Errors
/// If the body is incomplete.
pub(crate) async fn peek(
    mut body: Received,
    max: usize,
    idle: Duration,
    count: &ByteCount,
) -> Result<Peeked, PeekError> {
    use http_body_util::BodyExt as _;
    let mut read: VecDeque<Frame<Bytes>> = VecDeque::new();
    let mut length = 0;
    while length <= max {
        let frame = timeout(idle, body.frame()).await.map_err(|_| PeekError::Stalled(Stalled(idle)))?;
        let Some(frame) = frame.transpose().map_err(PeekError::Broken)? else {
            return Ok(Peeked::Whole(joined(&read)));
        };
        match frame.data_ref().map(Bytes::len) {
            // Kept, any number of them would fit below the limit.
            Some(0) => {}
            Some(bytes) => {
                count.add(bytes);
                length += bytes;
                read.push_back(frame);
            }
            // Nothing follows the trailers.
            None => {
                read.push_back(frame);
                return Ok(Peeked::Trailed(joined(&read), read, body));
            }
        }
    }
    Ok(Peeked::Partial(read, body))
}

fn joined(frames: &VecDeque<Frame<Bytes>>) -> Bytes {
    let all: Vec<&[u8]> = frames.iter().filter_map(Frame::data_ref).map(Bytes::as_ref).collect();
    all.concat().into()
}
