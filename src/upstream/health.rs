//! Whether the two sides are reachable, derived from the calls made for clients. There are no probe calls.
//!
//! A side is unreachable after [`FAILURES`] calls in a row without a connection. Any answer, an error status included, makes it
//! reachable. A call that timed out, or whose connection was found dead, counts as one without a connection; one that broke off counts
//! for neither. A load balancer sends no clients to a process that is not
//! ready, so that no call would ever find the side back: the verdict lapses [`MEMORY`] after the last failure.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::translate::side::Side;

/// Calls in a row without a connection after which a side is unreachable.
pub(crate) const FAILURES: u32 = 5;
/// How long the verdict lasts after the last of these calls.
pub(crate) const MEMORY: Duration = Duration::from_secs(30);

/// Health of both sides. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct UpstreamHealth(Arc<[HealthState; 2]>);

#[derive(Debug, Default)]
struct HealthState {
    answered: AtomicBool,
    failures: AtomicU32,
    failing: Mutex<Option<Failing>>,
}

#[derive(Clone, Debug)]
struct Failing {
    since: Timestamp,
    last: Instant,
    why: String,
}

/// Since when and why a side is unreachable.
#[derive(Clone, Debug)]
pub(crate) struct Unreachable {
    /// The first of the failures in a row.
    pub(crate) since: Timestamp,
    pub(crate) why: String,
}

impl UpstreamHealth {
    fn state(&self, side: Side) -> &HealthState {
        match side {
            Side::Legacy => &self.0[0],
            Side::New => &self.0[1],
        }
    }

    /// Records an answer of any status.
    pub(crate) fn answered(&self, side: Side) {
        let state = self.state(side);
        // Nearly always true already. A load keeps the cache line shared between cores; a store would not.
        if !state.answered.load(Ordering::Relaxed) {
            state.answered.store(true, Ordering::Relaxed);
        }
        if state.failures.load(Ordering::Relaxed) > 0 {
            let mut failing = state.failing.lock().unwrap_or_else(PoisonError::into_inner);
            state.failures.store(0, Ordering::Relaxed);
            *failing = None;
        }
    }

    /// Records a call without a connection.
    pub(crate) fn failed(&self, side: Side, why: String) {
        self.failed_at(side, why, Instant::now());
    }

    fn failed_at(&self, side: Side, why: String, now: Instant) {
        let state = self.state(side);
        let mut failing = state.failing.lock().unwrap_or_else(PoisonError::into_inner);
        state.failures.fetch_add(1, Ordering::Relaxed);
        let since = failing.as_ref().map_or_else(Timestamp::now, |failing| failing.since);
        *failing = Some(Failing { since, last: now, why });
    }

    /// Whether a side is reachable; `None` before its first answer.
    #[must_use]
    pub(crate) fn is_reachable(&self, side: Side) -> Option<bool> {
        if self.unreachable(side).is_some() {
            return Some(false);
        }
        self.state(side).answered.load(Ordering::Relaxed).then_some(true)
    }

    /// The details while a side is unreachable; `None` when it is reachable or unknown.
    #[must_use]
    pub(crate) fn unreachable(&self, side: Side) -> Option<Unreachable> {
        self.unreachable_at(side, Instant::now())
    }

    fn unreachable_at(&self, side: Side, now: Instant) -> Option<Unreachable> {
        let state = self.state(side);
        if state.failures.load(Ordering::Relaxed) < FAILURES {
            return None;
        }
        let failing = state.failing.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        (now < failing.last + MEMORY).then_some(Unreachable { since: failing.since, why: failing.why })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_failures_in_a_row_make_a_side_unreachable_and_one_answer_ends_it() {
        let health = UpstreamHealth::default();
        let now = Instant::now();
        assert_eq!(health.is_reachable(Side::New), None, "never called");
        for _ in 1..FAILURES {
            health.failed_at(Side::New, "refused".into(), now);
        }
        health.answered(Side::New);
        health.failed_at(Side::New, "refused".into(), now);
        assert_eq!(health.is_reachable(Side::New), Some(true), "not in a row");
        for _ in 1..FAILURES {
            health.failed_at(Side::New, "refused".into(), now);
        }
        assert_eq!(health.unreachable(Side::New).map(|down| down.why).as_deref(), Some("refused"));
        assert!(health.unreachable(Side::Legacy).is_none(), "the other side is unaffected");
        health.answered(Side::New);
        assert_eq!(health.is_reachable(Side::New), Some(true));
    }

    #[test]
    fn an_unreachable_verdict_lapses_because_no_call_may_ever_come() {
        let health = UpstreamHealth::default();
        let now = Instant::now();
        for _ in 0..FAILURES {
            health.failed_at(Side::New, "refused".into(), now);
        }
        assert!(health.unreachable_at(Side::New, now + MEMORY - Duration::from_millis(1)).is_some());
        assert!(health.unreachable_at(Side::New, now + MEMORY).is_none());
    }
}
