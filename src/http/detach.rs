//! Work that must run to its end though whoever waits for it goes away: a write whose client has left.

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

/// A future that becomes a task of its own when it is dropped before its end. As long as somebody waits for it, it costs no
/// more than any other. From its beginning to its end its tracker counts it, so that whoever waits for the tracker cannot
/// miss the moment in which it changes hands.
pub struct DetachOnDrop<F>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    /// Within the span in which it began, whoever goes on with it.
    work: Option<Pin<Box<Instrumented<F>>>>,
    begun: bool,
    token: TaskTrackerToken,
    timeout: Duration,
}

impl<F> DetachOnDrop<F>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    /// Wraps `work`. Left alone it goes on under `tracker`, for `patience` at the most.
    #[must_use]
    pub fn new(work: F, tracker: &TaskTracker, timeout: Duration) -> Self {
        Self { work: Some(Box::pin(work.in_current_span())), begun: false, token: tracker.token(), timeout }
    }
}

impl<F> Future for DetachOnDrop<F>
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

impl<F> Drop for DetachOnDrop<F>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    fn drop(&mut self) {
        let Some(work) = self.work.take().filter(|_| self.begun && !std::thread::panicking()) else { return };
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
    async fn the_tracker_counts_it_before_during_and_after_the_change_of_hands() {
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
    async fn what_never_began_is_forgotten() {
        let tracker = TaskTracker::new();
        drop(DetachOnDrop::new(std::future::pending::<()>(), &tracker, Duration::from_secs(60)));
        tracker.close();
        assert_ready!(task::spawn(tracker.wait()).poll());
    }
}
