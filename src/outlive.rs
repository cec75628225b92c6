//! Work that must run to its end though whoever waits for it goes away: a write whose client has left.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

/// A future that becomes a task of its own when it is dropped before its end. As long as somebody waits for it, it costs no
/// more than any other.
pub struct Outlive<F>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    work: Option<Pin<Box<F>>>,
    begun: bool,
    tracker: TaskTracker,
    patience: Duration,
}

impl<F> Outlive<F>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    /// Wraps `work`. Left alone it goes on under `tracker`, for `patience` at the most.
    #[must_use]
    pub fn new(work: F, tracker: &TaskTracker, patience: Duration) -> Self {
        Self { work: Some(Box::pin(work)), begun: false, tracker: tracker.clone(), patience }
    }
}

impl<F> Future for Outlive<F>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        self.begun = true;
        // Nobody polls a future again that has ended.
        let Some(work) = self.work.as_mut() else { return Poll::Pending };
        let polled = work.as_mut().poll(context);
        if polled.is_ready() {
            self.work = None;
        }
        polled
    }
}

impl<F> Drop for Outlive<F>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    fn drop(&mut self) {
        let Some(work) = self.work.take().filter(|_| self.begun && !std::thread::panicking()) else { return };
        if let Ok(runtime) = Handle::try_current() {
            self.tracker.spawn_on(timeout(self.patience, work), &runtime);
        }
    }
}
