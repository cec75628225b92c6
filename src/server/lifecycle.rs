//! When a connection ends during a drain: at once where nothing is in flight, at the deadline otherwise.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::idle_timeout::Activity;

/// How long a connection without a request stays open once the drain has begun. Long enough for a request that is on its way, and for an
/// HTTP/2 client to acknowledge the end; a client that never does is not waited for.
const IDLE_GRACE: Duration = Duration::from_millis(500);

/// The two moments of a drain. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Lifecycle {
    draining: CancellationToken,
    deadline: CancellationToken,
}

impl Lifecycle {
    pub(super) fn begin_drain(&self) {
        self.draining.cancel();
    }

    pub(super) fn reach_deadline(&self) {
        self.deadline.cancel();
    }

    /// Runs a connection to its end or until it has to end. Returns whether a request of it was cut off.
    pub(super) async fn run(&self, connection: impl Future<Output = ()>, activity: &Activity) -> bool {
        // Still there when it is asked whether it was busy: dropping it ends its requests.
        let mut connection = pin!(connection);
        tokio::select! {
            biased;
            () = &mut connection => false,
            () = self.idle(activity) => false,
            () = self.deadline.cancelled() => activity.is_busy(),
        }
    }

    /// Resolves when the drain has begun and the connection has been idle for [`IDLE_GRACE`].
    async fn idle(&self, activity: &Activity) {
        self.draining.cancelled().await;
        loop {
            activity.idle().await;
            let started = activity.started();
            sleep(IDLE_GRACE).await;
            if !activity.is_busy() && activity.started() == started {
                return;
            }
        }
    }
}
