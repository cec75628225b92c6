//! Whether the two sides are reachable, by lane, derived from the calls made for clients. There are no probe calls.
//!
//! A lane is unreachable after [`FAILURES`] calls in a row without a connection, or after two or more that are [`FAILING_FOR`] apart. Any
//! answer, an error status included, makes it reachable. A call that timed out, or whose connection was found dead, counts as one without
//! a connection; one that broke off counts for neither. Lanes share no connection, so one may be dead while the others are well. A load
//! balancer sends no clients to a process that is not ready, so that no call would ever find the side back: the verdict lapses
//! [`MEMORY`] after the last failure.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::Lane;
use crate::translate::side::Side;

/// Calls in a row without a connection after which a lane is unreachable.
pub(crate) const FAILURES: u32 = 5;
/// How long a lane with few calls may fail before it counts as unreachable.
const FAILING_FOR: Duration = Duration::from_secs(5);
/// How long the verdict lasts after the last of these calls.
pub(crate) const MEMORY: Duration = Duration::from_secs(30);
/// The lanes with a state of their own. [`Lane::Fresh`] counts as [`Lane::Read`]: most of its calls are reads that are made again.
pub(crate) const LANES: [Lane; 3] = [Lane::Create, Lane::Read, Lane::PassThrough];

/// Health of both sides. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct UpstreamHealth(Arc<[SideState; 2]>);

#[derive(Debug, Default)]
struct SideState {
    lanes: [LaneState; LANES.len()],
    /// The last answer of a lane while another one was failing.
    answered_beside_failures: Mutex<Option<Instant>>,
}

#[derive(Debug, Default)]
struct LaneState {
    answered: AtomicBool,
    failures: AtomicU32,
    failing: Mutex<Option<Failing>>,
}

#[derive(Clone, Debug)]
struct Failing {
    since: Timestamp,
    first: Instant,
    last: Instant,
    why: String,
}

/// Since when and why a lane is unreachable.
#[derive(Clone, Debug)]
pub(crate) struct Unreachable {
    pub(crate) lane: Lane,
    /// The first of the failures in a row.
    pub(crate) since: Timestamp,
    pub(crate) why: String,
}

impl UpstreamHealth {
    fn side(&self, side: Side) -> &SideState {
        match side {
            Side::Legacy => &self.0[0],
            Side::New => &self.0[1],
        }
    }

    fn state(&self, side: Side, lane: Lane) -> &LaneState {
        let lanes = &self.side(side).lanes;
        match lane {
            Lane::Create => &lanes[0],
            Lane::Read | Lane::Fresh => &lanes[1],
            Lane::PassThrough => &lanes[2],
        }
    }

    /// Records an answer of any status.
    pub(crate) fn answered(&self, side: Side, lane: Lane) {
        let state = self.state(side, lane);
        // Nearly always true already. A load keeps the cache line shared between cores; a store would not.
        if !state.answered.load(Ordering::Relaxed) {
            state.answered.store(true, Ordering::Relaxed);
        }
        // The lock is taken only after failures, so that answers of a healthy side share no lock.
        if state.failures.load(Ordering::Relaxed) > 0 {
            let mut failing = state.failing.lock().unwrap_or_else(PoisonError::into_inner);
            state.failures.store(0, Ordering::Relaxed);
            *failing = None;
        }
        let side = self.side(side);
        if side.lanes.iter().any(|lane| lane.failures.load(Ordering::Relaxed) > 0) {
            *side.answered_beside_failures.lock().unwrap_or_else(PoisonError::into_inner) =
                Some(Instant::now());
        }
    }

    /// Records a call without a connection.
    pub(crate) fn failed(&self, side: Side, lane: Lane, why: String) {
        self.failed_at(side, lane, why, Instant::now());
    }

    fn failed_at(&self, side: Side, lane: Lane, why: String, now: Instant) {
        let state = self.state(side, lane);
        let mut failing = state.failing.lock().unwrap_or_else(PoisonError::into_inner);
        // A failure long ago says nothing about this one.
        if failing.as_ref().is_some_and(|failing| now >= failing.last + MEMORY) {
            *failing = None;
            state.failures.store(0, Ordering::Relaxed);
        }
        state.failures.fetch_add(1, Ordering::Relaxed);
        let begun = failing.as_ref().map(|failing| (failing.since, failing.first));
        let (since, first) = begun.unwrap_or_else(|| (Timestamp::now(), now));
        *failing = Some(Failing { since, first, last: now, why });
    }

    /// Whether a lane of a side is reachable; `None` before its first answer.
    #[must_use]
    pub(crate) fn is_reachable(&self, side: Side, lane: Lane) -> Option<bool> {
        if self.unreachable_at(side, lane, Instant::now()).is_some() {
            return Some(false);
        }
        self.state(side, lane).answered.load(Ordering::Relaxed).then_some(true)
    }

    /// The lanes of a side that are unreachable.
    pub(crate) fn unreachable(&self, side: Side) -> impl Iterator<Item = Unreachable> {
        let now = Instant::now();
        LANES.into_iter().filter_map(move |lane| self.unreachable_at(side, lane, now))
    }

    /// Whether no lane of a side works: one is unreachable, and none has answered since it began to fail. While another lane answers, this
    /// process serves what it can; a vendor whose creates are slow is slow for every process.
    #[must_use]
    pub(crate) fn is_down(&self, side: Side) -> bool {
        let now = Instant::now();
        let state = self.side(side);
        let answered = *state.answered_beside_failures.lock().unwrap_or_else(PoisonError::into_inner);
        let answers = |first: Instant| answered.is_some_and(|at| at >= first && now < at + MEMORY);
        let failing = LANES.into_iter().filter(|lane| self.unreachable_at(side, *lane, now).is_some());
        let first = failing.filter_map(|lane| {
            let failing = self.state(side, lane).failing.lock().unwrap_or_else(PoisonError::into_inner);
            failing.as_ref().map(|failing| failing.first)
        });
        first.min().is_some_and(|first| !answers(first))
    }

    fn unreachable_at(&self, side: Side, lane: Lane, now: Instant) -> Option<Unreachable> {
        let state = self.state(side, lane);
        let failures = state.failures.load(Ordering::Relaxed);
        // One failure proves nothing, and this keeps the healthy case free of the lock.
        if failures < 2 {
            return None;
        }
        let Failing { since, first, last, why } =
            state.failing.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        let is_down = failures >= FAILURES || last - first >= FAILING_FOR;
        (is_down && now < last + MEMORY).then_some(Unreachable { lane, since, why })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LANE: Lane = Lane::Create;

    fn fail(health: &UpstreamHealth, at: Instant) {
        health.failed_at(Side::New, LANE, "refused".into(), at);
    }

    #[test]
    fn several_failures_in_a_row_make_a_lane_unreachable_and_one_answer_ends_it() {
        let (health, now) = (UpstreamHealth::default(), Instant::now());
        assert_eq!(health.is_reachable(Side::New, LANE), None, "before the first call");
        (1..FAILURES).for_each(|_| fail(&health, now));
        health.answered(Side::New, LANE);
        fail(&health, now);
        assert_eq!(health.is_reachable(Side::New, LANE), Some(true), "not in a row");
        (1..FAILURES).for_each(|_| fail(&health, now));
        assert!(health.is_down(Side::New) && !health.is_down(Side::Legacy));
        health.answered(Side::New, Lane::Read);
        let down: Vec<_> = health.unreachable(Side::New).map(|down| (down.lane, down.why)).collect();
        assert_eq!(down, [(LANE, "refused".into())], "an answer of another lane proves nothing");
        assert!(!health.is_down(Side::New), "another lane answers");
        assert_eq!(health.unreachable(Side::Legacy).count(), 0, "the other side is unaffected");
        health.answered(Side::New, LANE);
        assert_eq!(health.is_reachable(Side::New, LANE), Some(true));
    }

    #[test]
    fn a_lane_with_few_calls_is_unreachable_after_a_few_seconds() {
        let (health, now) = (UpstreamHealth::default(), Instant::now());
        fail(&health, now);
        assert!(health.unreachable_at(Side::New, LANE, now + FAILING_FOR).is_none(), "one failure");
        fail(&health, now + FAILING_FOR - Duration::from_millis(1));
        assert!(health.unreachable_at(Side::New, LANE, now + FAILING_FOR).is_none(), "too soon");
        fail(&health, now + FAILING_FOR);
        assert!(health.unreachable_at(Side::New, LANE, now + FAILING_FOR).is_some());
    }

    #[test]
    fn a_failure_long_ago_begins_no_row_of_failures() {
        let (health, now) = (UpstreamHealth::default(), Instant::now());
        fail(&health, now);
        fail(&health, now + MEMORY);
        assert!(health.unreachable_at(Side::New, LANE, now + MEMORY).is_none());
    }

    #[test]
    fn an_unreachable_verdict_lapses_because_no_call_may_ever_come() {
        let (health, now) = (UpstreamHealth::default(), Instant::now());
        (0..FAILURES).for_each(|_| fail(&health, now));
        let just_before = now + MEMORY - Duration::from_millis(1);
        assert!(health.unreachable_at(Side::New, LANE, just_before).is_some());
        assert!(health.unreachable_at(Side::New, LANE, now + MEMORY).is_none());
    }
}
