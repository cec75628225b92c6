//! A client that has shut down its sending half still gets its answer, but is not waited for without end: most of those that look like it
//! have closed the whole connection, which TCP tells apart only once something is sent.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

#[derive(Debug)]
pub(super) struct HalfClosed {
    patience: Duration,
    /// Runs from the end of what the client sent, and again from each write.
    timer: Option<Pin<Box<Sleep>>>,
}

impl HalfClosed {
    pub(super) const fn new(patience: Duration) -> Self {
        Self { patience, timer: None }
    }

    /// Resolves when nothing was written to the client for the time that it is waited for.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.timer.get_or_insert_with(|| Box::pin(sleep(self.patience))).as_mut().poll(context)
    }

    /// The client gets something.
    pub(super) fn wrote(&mut self) {
        if let Some(timer) = &mut self.timer {
            timer.as_mut().reset(Instant::now() + self.patience);
        }
    }
}
