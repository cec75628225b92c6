//! Runs work to its end even if its caller goes away: a write whose client has disconnected must not stop halfway.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tracing::Instrument as _;
use tracing::instrument::Instrumented;

/// A future that is spawned as a task when it is dropped before completion. While it is awaited it costs no more than its inner future.
/// Its token counts it in a tracker from creation to completion, so that a drain waiting for the tracker cannot miss the moment at which
/// the work moves to a task.
pub(crate) struct DetachOnDrop<F>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    /// Instrumented with the span in which it was created, which stays the parent after the move.
    work: Option<Pin<Box<Instrumented<F>>>>,
    polled: bool,
    token: TaskTrackerToken,
    timeout: Duration,
}

impl<F> DetachOnDrop<F>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    /// Wraps `work`. Once detached it runs under `tracker` for at most `timeout`.
    pub(crate) fn new(work: F, tracker: &TaskTracker, timeout: Duration) -> Self {
        Self { work: Some(Box::pin(work.in_current_span())), polled: false, token: tracker.token(), timeout }
    }
}

impl<F> Future for DetachOnDrop<F>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        self.polled = true;
        // `None` after completion; a completed future is not polled again.
        let Some(work) = self.work.as_mut() else { return Poll::Pending };
        let polled = work.as_mut().poll(context);
        if polled.is_ready() {
            self.work = None;
        }
        polled
    }
}

impl<F> Drop for DetachOnDrop<F>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    fn drop(&mut self) {
        // Work that was never polled has sent nothing, and may end with its request.
        let Some(work) = self.work.take().filter(|_| self.polled && !std::thread::panicking()) else {
            return;
        };
        if let Ok(runtime) = Handle::try_current() {
            self.token.task_tracker().spawn_on(timeout(self.timeout, work), &runtime);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;
    use tokio_test::{assert_pending, assert_ready, task};

    use super::*;

    #[tokio::test]
    async fn the_tracker_counts_the_work_before_during_and_after_detaching() {
        let tracker = TaskTracker::new();
        let (end, ended) = oneshot::channel::<()>();
        let mut work = task::spawn(DetachOnDrop::new(ended, &tracker, Duration::from_secs(60)));
        assert_pending!(work.poll());
        tracker.close();
        let mut drain = task::spawn(tracker.wait());
        assert_pending!(drain.poll());
        drop(work);
        assert_pending!(drain.poll());
        end.send(()).unwrap();
        drain.await;
    }

    #[tokio::test]
    async fn work_that_was_never_polled_is_dropped() {
        let tracker = TaskTracker::new();
        drop(DetachOnDrop::new(std::future::pending::<()>(), &tracker, Duration::from_secs(60)));
        tracker.close();
        assert_ready!(task::spawn(tracker.wait()).poll());
    }
}
