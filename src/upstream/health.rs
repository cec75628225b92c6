//! Whether the upstreams are reachable, by lane, derived from the calls that are made anyway. There are no probe calls.
//!
//! A lane is unreachable after [`FAILURES`] calls in a row without a connection, or after two or more that are [`FAILING_FOR`] apart. Any
//! answer, an error status included, makes it reachable; only for the proxy's own tokens an answer without a token counts as a failure,
//! because nothing can be sent without one. A call that timed out, or whose connection was found dead, counts as one without
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
const FAILURES: u32 = 5;
/// How long a lane with few calls may fail before it counts as unreachable.
const FAILING_FOR: Duration = Duration::from_secs(5);
/// How long the verdict lasts after the last of these calls.
const MEMORY: Duration = Duration::from_secs(30);

/// What has a state of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UpstreamLane {
    /// Calls for clients. [`Lane::Fresh`] counts as [`Lane::Read`]: most of its calls are reads that are made again.
    Side(Side, Lane),
    /// Shadow's reads.
    Shadow(Side),
    /// Requests for the proxy's own tokens.
    OwnTokens,
    /// Clients' token requests.
    ClientTokens,
}

/// The lanes of one side for clients.
const LANES: [Lane; 3] = [Lane::Create, Lane::Read, Lane::PassThrough];

impl UpstreamLane {
    /// Every lane with a state, at its [`Self::index`].
    pub(crate) const ALL: [Self; 10] = [
        Self::Side(Side::Legacy, LANES[0]),
        Self::Side(Side::Legacy, LANES[1]),
        Self::Side(Side::Legacy, LANES[2]),
        Self::Side(Side::New, LANES[0]),
        Self::Side(Side::New, LANES[1]),
        Self::Side(Side::New, LANES[2]),
        Self::Shadow(Side::Legacy),
        Self::Shadow(Side::New),
        Self::OwnTokens,
        Self::ClientTokens,
    ];

    const fn index(self) -> usize {
        match self {
            Self::Side(Side::Legacy, Lane::Create) => 0,
            Self::Side(Side::Legacy, Lane::Read | Lane::Fresh) => 1,
            Self::Side(Side::Legacy, Lane::PassThrough) => 2,
            Self::Side(Side::New, Lane::Create) => 3,
            Self::Side(Side::New, Lane::Read | Lane::Fresh) => 4,
            Self::Side(Side::New, Lane::PassThrough) => 5,
            Self::Shadow(Side::Legacy) => 6,
            Self::Shadow(Side::New) => 7,
            Self::OwnTokens => 8,
            Self::ClientTokens => 9,
        }
    }

    /// The values of the labels `side` and `lane`.
    pub(crate) const fn labels(self) -> (&'static str, &'static str) {
        match self {
            Self::Side(side, lane) => (side.as_str(), lane.as_str()),
            Self::Shadow(side) => (side.as_str(), "shadow"),
            Self::OwnTokens => ("oauth", "token"),
            Self::ClientTokens => ("oauth", Lane::PassThrough.as_str()),
        }
    }

    const fn is_for_clients_of(self, wanted: Side) -> bool {
        match self {
            Self::Side(side, _) => side as u8 == wanted as u8,
            Self::Shadow(_) | Self::OwnTokens | Self::ClientTokens => false,
        }
    }
}

/// `new side, create lane` or `oauth, token lane`.
impl std::fmt::Display for UpstreamLane {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (side, lane) = self.labels();
        match self {
            Self::Side(..) | Self::Shadow(_) => write!(out, "{side} side, {lane} lane"),
            Self::OwnTokens | Self::ClientTokens => write!(out, "{side}, {lane} lane"),
        }
    }
}

/// Health of all upstreams. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct UpstreamHealth(Arc<States>);

#[derive(Debug, Default)]
struct States {
    /// By [`UpstreamLane::index`].
    lanes: [LaneState; UpstreamLane::ALL.len()],
    /// By side, the last answer of a client's lane while another one was failing.
    answered_beside_failures: [Mutex<Option<Instant>>; 2],
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
    pub(crate) lane: UpstreamLane,
    /// The first of the failures in a row.
    pub(crate) since: Timestamp,
    pub(crate) why: String,
}

impl UpstreamHealth {
    fn state(&self, lane: UpstreamLane) -> &LaneState {
        &self.0.lanes[lane.index()]
    }

    fn states_for_clients_of(&self, side: Side) -> impl Iterator<Item = (UpstreamLane, &LaneState)> {
        let lanes = UpstreamLane::ALL.into_iter().filter(move |lane| lane.is_for_clients_of(side));
        lanes.map(|lane| (lane, self.state(lane)))
    }

    fn answered_beside_failures(&self, side: Side) -> &Mutex<Option<Instant>> {
        match side {
            Side::Legacy => &self.0.answered_beside_failures[0],
            Side::New => &self.0.answered_beside_failures[1],
        }
    }

    /// Records an answer of any status.
    pub(crate) fn answered(&self, lane: UpstreamLane) {
        let state = self.state(lane);
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
        let UpstreamLane::Side(side, _) = lane else { return };
        if self.states_for_clients_of(side).any(|(_, lane)| lane.failures.load(Ordering::Relaxed) > 0) {
            *self.answered_beside_failures(side).lock().unwrap_or_else(PoisonError::into_inner) =
                Some(Instant::now());
        }
    }

    /// Records a call without a connection.
    pub(crate) fn failed(&self, lane: UpstreamLane, why: String) {
        self.failed_at(lane, why, Instant::now());
    }

    fn failed_at(&self, lane: UpstreamLane, why: String, now: Instant) {
        let state = self.state(lane);
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

    /// Whether a lane is reachable; `None` before its first answer.
    #[must_use]
    pub(crate) fn is_reachable(&self, lane: UpstreamLane) -> Option<bool> {
        if self.unreachable_at(lane, Instant::now()).is_some() {
            return Some(false);
        }
        self.state(lane).answered.load(Ordering::Relaxed).then_some(true)
    }

    /// The lanes that are unreachable.
    pub(crate) fn unreachable(&self) -> impl Iterator<Item = Unreachable> {
        let now = Instant::now();
        UpstreamLane::ALL.into_iter().filter_map(move |lane| self.unreachable_at(lane, now))
    }

    /// Whether no lane of a side works: one is unreachable, and none has answered since it began to fail. While another lane answers, this
    /// process serves what it can; a vendor whose creates are slow is slow for every process.
    #[must_use]
    pub(crate) fn is_down(&self, side: Side) -> bool {
        let now = Instant::now();
        let answered = *self.answered_beside_failures(side).lock().unwrap_or_else(PoisonError::into_inner);
        let answers = |first: Instant| answered.is_some_and(|at| at >= first && now < at + MEMORY);
        let failing =
            self.states_for_clients_of(side).filter(|(lane, _)| self.unreachable_at(*lane, now).is_some());
        let first = failing.filter_map(|(_, state)| {
            let failing = state.failing.lock().unwrap_or_else(PoisonError::into_inner);
            failing.as_ref().map(|failing| failing.first)
        });
        first.min().is_some_and(|first| !answers(first))
    }

    fn unreachable_at(&self, lane: UpstreamLane, now: Instant) -> Option<Unreachable> {
        let state = self.state(lane);
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

    const LANE: UpstreamLane = UpstreamLane::Side(Side::New, Lane::Create);

    fn fail(health: &UpstreamHealth, at: Instant) {
        health.failed_at(LANE, "refused".into(), at);
    }

    #[test]
    fn several_failures_in_a_row_make_a_lane_unreachable_and_one_answer_ends_it() {
        let (health, now) = (UpstreamHealth::default(), Instant::now());
        assert_eq!(health.is_reachable(LANE), None, "before the first call");
        (1..FAILURES).for_each(|_| fail(&health, now));
        health.answered(LANE);
        fail(&health, now);
        assert_eq!(health.is_reachable(LANE), Some(true), "not in a row");
        (1..FAILURES).for_each(|_| fail(&health, now));
        assert!(health.is_down(Side::New) && !health.is_down(Side::Legacy));
        health.answered(UpstreamLane::Side(Side::New, Lane::Read));
        let down: Vec<_> = health.unreachable().map(|down| (down.lane, down.why)).collect();
        assert_eq!(down, [(LANE, "refused".into())], "an answer of another lane proves nothing");
        assert!(!health.is_down(Side::New), "another lane answers");
        health.answered(LANE);
        assert_eq!(health.is_reachable(LANE), Some(true));
    }

    #[test]
    fn every_lane_has_a_state_of_its_own() {
        for (at, lane) in UpstreamLane::ALL.into_iter().enumerate() {
            assert_eq!(lane.index(), at, "{lane}");
        }
    }

    #[test]
    fn what_is_no_lane_of_clients_says_nothing_about_the_side() {
        let (health, now) = (UpstreamHealth::default(), Instant::now());
        let shadow = UpstreamLane::Shadow(Side::New);
        (0..FAILURES).for_each(|_| health.failed_at(shadow, "refused".into(), now));
        assert_eq!((health.is_reachable(shadow), health.is_down(Side::New)), (Some(false), false));
        (0..FAILURES).for_each(|_| fail(&health, now));
        health.answered(shadow);
        assert!(health.is_down(Side::New), "an answer to shadow serves no client");
    }

    #[test]
    fn a_lane_with_few_calls_is_unreachable_after_a_few_seconds() {
        let (health, now) = (UpstreamHealth::default(), Instant::now());
        fail(&health, now);
        assert!(health.unreachable_at(LANE, now + FAILING_FOR).is_none(), "one failure");
        fail(&health, now + FAILING_FOR - Duration::from_millis(1));
        assert!(health.unreachable_at(LANE, now + FAILING_FOR).is_none(), "too soon");
        fail(&health, now + FAILING_FOR);
        assert!(health.unreachable_at(LANE, now + FAILING_FOR).is_some());
    }

    #[test]
    fn a_failure_long_ago_begins_no_row_of_failures() {
        let (health, now) = (UpstreamHealth::default(), Instant::now());
        fail(&health, now);
        fail(&health, now + MEMORY);
        assert!(health.unreachable_at(LANE, now + MEMORY).is_none());
    }

    #[test]
    fn an_unreachable_verdict_lapses_because_no_call_may_ever_come() {
        let (health, now) = (UpstreamHealth::default(), Instant::now());
        (0..FAILURES).for_each(|_| fail(&health, now));
        let just_before = now + MEMORY - Duration::from_millis(1);
        assert!(health.unreachable_at(LANE, just_before).is_some());
        assert!(health.unreachable_at(LANE, now + MEMORY).is_none());
    }
}
