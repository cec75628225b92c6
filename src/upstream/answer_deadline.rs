//! A request that had no whole answer in time says that its connection may be dead: no other request should use it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hyper_util::client::legacy::connect::CaptureConnection;
use tokio::time::Instant;

/// Takes the connection out of use when it is dropped past the deadline and the answer is not whole. In the extensions of an answer whose
/// body is still to come.
#[derive(Clone)]
pub(crate) struct AnswerDeadline(Arc<Guard>);

struct Guard {
    connection: CaptureConnection,
    until: Instant,
    met: AtomicBool,
}

impl AnswerDeadline {
    pub(super) fn new(connection: CaptureConnection, until: Instant) -> Self {
        Self(Arc::new(Guard { connection, until, met: AtomicBool::new(false) }))
    }

    /// The answer is whole.
    pub(crate) fn met(&self) {
        self.0.met.store(true, Ordering::Relaxed);
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if !self.met.load(Ordering::Relaxed)
            && Instant::now() >= self.until
            && let Some(connected) = &*self.connection.connection_metadata()
        {
            connected.poison();
        }
    }
}
