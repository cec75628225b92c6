//! Those who wait for their turn at one lane, in the order in which they came.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Mutex;

/// Who waits at one lane of one endpoint.
#[derive(Debug, Default)]
pub(super) struct WaitQueue {
    waiting: AtomicU64,
    /// Held by the first of them; tokio's lock is fair.
    pub(super) first: Mutex<()>,
}

/// One place in it; leaves it when dropped.
#[derive(Debug)]
pub(super) struct QueueTicket<'a> {
    line: &'a WaitQueue,
    /// Which one it was on coming, from 1.
    pub(super) number: u64,
}

impl WaitQueue {
    pub(super) fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed)
    }

    pub(super) fn join(&self) -> QueueTicket<'_> {
        QueueTicket { line: self, number: self.waiting.fetch_add(1, Ordering::Relaxed) + 1 }
    }
}

impl Drop for QueueTicket<'_> {
    fn drop(&mut self) {
        self.line.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}
