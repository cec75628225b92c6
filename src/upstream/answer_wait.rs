//! How long a call waits for the head of its answer.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, timeout, timeout_at};

use crate::http::body::ByteCount;

/// How long to wait for the head of an answer.
#[derive(Clone, Debug)]
pub(crate) enum AnswerWait {
    Until(Instant),
    /// As long as the client sends its body, and after its last byte at least so long and less than twice.
    Quiet {
        at_most: Duration,
        sent: ByteCount,
    },
}

#[derive(Debug)]
pub(super) struct Overdue;

impl AnswerWait {
    pub(super) const fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Until(until) => Some(*until),
            Self::Quiet { .. } => None,
        }
    }

    /// The deadline of the wait for a turn under the rate limit.
    pub(super) fn turn_until(&self) -> Instant {
        match self {
            Self::Until(until) => *until,
            Self::Quiet { at_most, .. } => Instant::now() + *at_most,
        }
    }

    pub(super) async fn limit<F: Future>(&self, call: F) -> Result<F::Output, Overdue> {
        match self {
            Self::Until(until) => timeout_at(*until, call).await.map_err(|_| Overdue),
            Self::Quiet { at_most, sent } => {
                let mut call = pin!(call);
                loop {
                    // Progress is looked at once per interval, not per byte: a body streams without a timer reset for every frame.
                    let before = sent.get();
                    match timeout(*at_most, &mut call).await {
                        Ok(done) => return Ok(done),
                        Err(_) if sent.get() == before => return Err(Overdue),
                        Err(_) => {}
                    }
                }
            }
        }
    }
}
