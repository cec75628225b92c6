//! A client that has shut down its sending half still gets its answer, but is waited for only so long: most such clients have closed the
//! whole connection, which TCP shows only once something is sent.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

#[derive(Debug)]
pub(super) struct HalfClosed {
    timeout: Duration,
    /// Runs from the end of what the client sent, and again from each write.
    timer: Option<Pin<Box<Sleep>>>,
}

impl HalfClosed {
    pub(super) const fn new(timeout: Duration) -> Self {
        Self { timeout, timer: None }
    }

    /// Resolves when nothing was written to the client for the time that it is waited for.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.timer.get_or_insert_with(|| Box::pin(sleep(self.timeout))).as_mut().poll(context)
    }

    /// Starts the time anew: a client that is sent bytes may still read.
    pub(super) fn wrote(&mut self) {
        if let Some(timer) = &mut self.timer {
            timer.as_mut().reset(Instant::now() + self.timeout);
        }
    }
}
