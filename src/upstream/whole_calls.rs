//! Calls outside the data path: for the proxy's own tokens, and for reads in the background. They have connections of their own, and their
//! answers are read to the end.

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use hyper::body::Incoming;
use rustls::ClientConfig;
use tokio::time::{Instant, timeout_at};

use super::answer_in_progress::AnswerInProgress;
use super::answer_wait::AnswerWait;
use super::exchange::{Repeat, copy};
use super::lane_pool::{LanePool, Reuse};
use super::rate_limit::{Budget, Permit};
use super::{SendError, call_error};
use crate::config::Upstreams;
use crate::failure::call_error::{CallPhase, TimedOut};
use crate::http::body::{self, CollectError, Payload};

#[derive(Debug)]
pub(super) struct WholeCalls {
    pool: LanePool,
    fresh: LanePool,
    budget: Budget,
}

/// A request that may be sent twice, and how.
pub(super) struct WholeCall {
    pub(super) request: Request<Payload>,
    /// Its turn under the rate limit.
    pub(super) permit: Permit,
    /// Upper bound of the answer's body, in bytes.
    pub(super) max: usize,
    /// When the answer must be whole.
    pub(super) until: Instant,
}

/// Why there is no whole answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WholeCallError {
    #[error(transparent)]
    NoAnswer(#[from] SendError),
    #[error("the answer is longer than {max} bytes")]
    TooLong { max: usize },
}

impl WholeCalls {
    /// Calls that reuse connections.
    pub(super) fn new(settings: &Upstreams, tls: &ClientConfig, budget: Budget) -> Self {
        Self::with(Reuse::Usual, settings, tls, budget)
    }

    /// Calls that have a connection each.
    pub(super) fn on_fresh_connections(settings: &Upstreams, tls: &ClientConfig, budget: Budget) -> Self {
        Self::with(Reuse::Never, settings, tls, budget)
    }

    fn with(reuse: Reuse, settings: &Upstreams, tls: &ClientConfig, budget: Budget) -> Self {
        let fresh = LanePool::new(Reuse::Never, settings, tls.clone());
        let pool = LanePool::new(reuse, settings, tls.clone()).repeating_on(&fresh);
        Self { pool, fresh, budget }
    }

    pub(super) const fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Sends a request and reads its answer. It is repeated once if its connection ended before the first byte of an answer and `turn`
    /// resolves to true.
    ///
    /// # Errors
    /// When there is no whole answer in time.
    pub(super) async fn call<'a>(
        &'a self,
        call: WholeCall,
        turn: impl FnOnce() -> BoxFuture<'a, bool> + Send,
    ) -> Result<Response<Bytes>, WholeCallError> {
        let WholeCall { request, permit, max, until } = call;
        let (start, wait) = (Instant::now(), AnswerWait::Until(until));
        let again = copy(&request);
        let repeat = again.map(|request| Repeat { request, fresh: &self.fresh, turn });
        let answer = self.pool.send(request, repeat, &wait).await?;
        self.budget.answered(Some(permit.endpoint()), answer.status(), answer.headers());
        whole(answer, max, (start, until)).await
    }
}

async fn whole(
    answer: Response<Incoming>,
    max: usize,
    (start, until): (Instant, Instant),
) -> Result<Response<Bytes>, WholeCallError> {
    let (mut parts, body) = answer.into_parts();
    let error = |extensions, source| call_error(CallPhase::Read, extensions, start.elapsed(), source);
    let body = match timeout_at(until, body::collect(body, max)).await {
        Ok(Ok(body)) => body,
        Ok(Err(CollectError::TooLong { max })) => return Err(WholeCallError::TooLong { max }),
        Ok(Err(CollectError::Broken(broken))) => {
            return Err(SendError::NoAnswer(error(&parts.extensions, broken.into())).into());
        }
        Err(_elapsed) => return Err(SendError::TimedOut(error(&parts.extensions, TimedOut.into())).into()),
    };
    AnswerInProgress::finish(&mut parts.extensions);
    Ok(Response::from_parts(parts, body))
}
