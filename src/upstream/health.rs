//! Whether the sides can be reached, as the last calls found out. Nobody asks them for this alone.
//!
//! One failure says little: a side is called unreachable after [`FAILURES`] calls in a row that found no connection, with no answer
//! between them; any answer ends it, an error too. A call that timed out or broke off says nothing either way. And because who is
//! not ready is sent no clients, and would never find out that the side is back, the verdict lapses [`MEMORY`] after the last
//! failure.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::translate::side::Side;

/// So many calls in a row without a connection, and a side is unreachable.
pub const FAILURES: u32 = 5;
/// How long that is believed after the last of them.
pub const MEMORY: Duration = Duration::from_secs(30);

/// What is known of both sides. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct UpstreamHealth(Arc<[HealthState; 2]>);

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

/// A side that cannot be reached.
#[derive(Clone, Debug)]
pub struct Unreachable {
    /// Since when no call found a connection.
    pub since: Timestamp,
    /// How the last one failed.
    pub why: String,
}

impl UpstreamHealth {
    fn line(&self, side: Side) -> &HealthState {
        match side {
            Side::Legacy => &self.0[0],
            Side::New => &self.0[1],
        }
    }

    /// The side answered something.
    pub fn answered(&self, side: Side) {
        let line = self.line(side);
        // Nearly always true already: a read costs nothing where a write would.
        if !line.answered.load(Ordering::Relaxed) {
            line.answered.store(true, Ordering::Relaxed);
        }
        if line.failures.load(Ordering::Relaxed) > 0 {
            let mut failing = line.failing.lock().unwrap_or_else(PoisonError::into_inner);
            line.failures.store(0, Ordering::Relaxed);
            *failing = None;
        }
    }

    /// No connection to the side could be had.
    pub fn failed(&self, side: Side, why: String) {
        self.failed_at(side, why, Instant::now());
    }

    fn failed_at(&self, side: Side, why: String, now: Instant) {
        let line = self.line(side);
        let mut failing = line.failing.lock().unwrap_or_else(PoisonError::into_inner);
        line.failures.fetch_add(1, Ordering::Relaxed);
        let since = failing.as_ref().map_or_else(Timestamp::now, |failing| failing.since);
        *failing = Some(Failing { since, last: now, why });
    }

    /// Whether a side was seen: `None` = it was never called, or not lately.
    #[must_use]
    pub fn is_reachable(&self, side: Side) -> Option<bool> {
        if self.unreachable(side).is_some() {
            return Some(false);
        }
        self.line(side).answered.load(Ordering::Relaxed).then_some(true)
    }

    /// Since when a side cannot be reached, and why; `None` = it can, or nothing is known.
    #[must_use]
    pub fn unreachable(&self, side: Side) -> Option<Unreachable> {
        self.unreachable_at(side, Instant::now())
    }

    fn unreachable_at(&self, side: Side, now: Instant) -> Option<Unreachable> {
        let line = self.line(side);
        if line.failures.load(Ordering::Relaxed) < FAILURES {
            return None;
        }
        let failing = line.failing.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        (now < failing.last + MEMORY).then_some(Unreachable { since: failing.since, why: failing.why })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_several_failures_in_a_row_and_one_answer() {
        let reach = UpstreamHealth::default();
        let now = Instant::now();
        assert_eq!(reach.is_reachable(Side::New), None, "never called");
        for _ in 1..FAILURES {
            reach.failed_at(Side::New, "refused".into(), now);
        }
        reach.answered(Side::New);
        reach.failed_at(Side::New, "refused".into(), now);
        assert_eq!(reach.is_reachable(Side::New), Some(true), "not in a row");
        for _ in 1..FAILURES {
            reach.failed_at(Side::New, "refused".into(), now);
        }
        assert_eq!(reach.unreachable(Side::New).map(|down| down.why).as_deref(), Some("refused"));
        assert!(reach.unreachable(Side::Legacy).is_none(), "the other side is another matter");
        reach.answered(Side::New);
        assert_eq!(reach.is_reachable(Side::New), Some(true));
    }

    #[test]
    fn it_lapses_because_nobody_may_ever_call_again() {
        let reach = UpstreamHealth::default();
        let now = Instant::now();
        for _ in 0..FAILURES {
            reach.failed_at(Side::New, "refused".into(), now);
        }
        assert!(reach.unreachable_at(Side::New, now + MEMORY - Duration::from_millis(1)).is_some());
        assert!(reach.unreachable_at(Side::New, now + MEMORY).is_none());
    }
}
