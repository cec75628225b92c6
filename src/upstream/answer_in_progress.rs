//! An answer whose body is still to come: its place on the connection, its deadline, and whether it may belong to another request.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::Extensions;
use hyper_util::client::legacy::connect::CaptureConnection;
use tokio::time::Instant;

use super::lane_pool::StreamSlot;

/// In the extensions of every answer. Dropped with the answer's body.
#[derive(Clone, Debug)]
pub(crate) struct AnswerInProgress(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    reused: bool,
    _slot: StreamSlot,
    deadline: Option<AnswerDeadline>,
}

impl AnswerInProgress {
    pub(super) fn new(reused: bool, slot: StreamSlot, deadline: Option<AnswerDeadline>) -> Self {
        Self(Arc::new(Inner { reused, _slot: slot, deadline }))
    }

    /// Whether the answer with these extensions came on an HTTP/1.1 connection that had carried another one: only the order ties an answer
    /// to its request there (RFC 9112, section 9.3.2), so it may belong to another request. Without the extension nothing is known about
    /// the connection, so it counts as reused.
    pub(crate) fn is_reused(extensions: &Extensions) -> bool {
        extensions.get::<Self>().is_none_or(|answer| answer.0.reused)
    }

    /// The answer with these extensions is whole: its stream is free, however slowly the client reads, and its deadline is met.
    pub(crate) fn finish(extensions: &mut Extensions) {
        if let Some(deadline) =
            extensions.remove::<Self>().as_ref().and_then(|answer| answer.0.deadline.as_ref())
        {
            deadline.met.store(true, Ordering::Relaxed);
        }
    }
}

/// A request that had no whole answer in time says that its connection may be dead. This takes the connection out of use when it is dropped
/// past the deadline and the answer is not whole.
#[derive(Debug)]
pub(super) struct AnswerDeadline {
    connection: CaptureConnection,
    until: Instant,
    met: AtomicBool,
}

impl AnswerDeadline {
    pub(super) fn new(connection: CaptureConnection, until: Instant) -> Self {
        Self { connection, until, met: AtomicBool::new(false) }
    }
}

impl Drop for AnswerDeadline {
    fn drop(&mut self) {
        if !self.met.load(Ordering::Relaxed)
            && Instant::now() >= self.until
            && let Some(connected) = &*self.connection.connection_metadata()
        {
            connected.poison();
        }
    }
}
