//! First-in, first-out queue of the calls that wait for a turn at one set of token buckets.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Mutex;

#[derive(Debug, Default)]
pub(super) struct WaitQueue {
    waiting: AtomicU64,
    /// Held by the call at the head. tokio's mutex is fair, which makes the queue first-in, first-out.
    pub(super) head: Mutex<()>,
}

/// A call's place in the queue; dropping it leaves the queue.
#[derive(Debug)]
pub(super) struct QueueTicket<'a> {
    queue: &'a WaitQueue,
    /// The position on arrival, from 1.
    pub(super) position: u64,
}

impl WaitQueue {
    pub(super) fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed)
    }

    pub(super) fn join(&self) -> QueueTicket<'_> {
        QueueTicket { queue: self, position: self.waiting.fetch_add(1, Ordering::Relaxed) + 1 }
    }
}

impl Drop for QueueTicket<'_> {
    fn drop(&mut self) {
        self.queue.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}
