//! One token bucket (governor's), with what else must be known of it.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::StateInformationMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

/// Slower than one call in so long is never.
const SLOWEST: Duration = Duration::from_secs(3600);

/// Holds so many calls, and fills up steadily.
#[derive(Debug)]
pub(super) struct Bucket<C: Clock> {
    limiter: RateLimiter<NotKeyed, InMemoryState, C, StateInformationMiddleware>,
    pace: Duration,
    holds: NonZeroU32,
}

impl<C: Clock + Clone> Bucket<C> {
    /// A full one that holds `holds` calls, at least one. `None` = so slow that it is none.
    pub(super) fn new(per_second: f64, holds: u32, clock: &C) -> Option<Self> {
        // Rounded up, so that never more flows in than may.
        #[expect(clippy::float_arithmetic, reason = "a rate, not money")]
        let pace = Duration::try_from_secs_f64(1.0 / per_second).ok()? + Duration::from_nanos(1);
        let holds = NonZeroU32::new(holds).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::with_period(pace).filter(|_| pace < SLOWEST)?.allow_burst(holds);
        let limiter = RateLimiter::direct_with_clock(quota, clock.clone()).with_middleware();
        Some(Self { limiter, pace, holds })
    }
}

impl<C: Clock> Bucket<C> {
    /// Takes one call; else says when to ask again.
    pub(super) fn take(&self) -> Result<(), Duration> {
        let taken = self.limiter.check();
        taken.map(drop).map_err(|not_until| not_until.wait_time_from(self.limiter.clock().now()))
    }

    /// The time between two calls once it is empty.
    pub(super) const fn pace(&self) -> Duration {
        self.pace
    }

    /// Leaves so many calls in it, of a full one.
    pub(super) fn keep(&self, left: u32) {
        self.spend(self.holds.get().saturating_sub(left));
    }

    /// Leaves in a full one what was left in another, which is empty then.
    pub(super) fn carry(&self, old: &Self) {
        let left = old.limiter.check().map_or(0, |state| {
            let more = state.remaining_burst_capacity();
            old.spend(more);
            more + 1
        });
        self.keep(left);
    }

    fn spend(&self, calls: u32) {
        if let Some(calls) = NonZeroU32::new(calls) {
            // Nobody else has it yet, or takes what is left: either is right.
            let _ = self.limiter.check_n(calls);
        }
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    fn left(bucket: &Bucket<FakeRelativeClock>) -> usize {
        (0..10_000).take_while(|_| bucket.take().is_ok()).count()
    }

    #[test]
    fn a_bucket_holds_what_it_should_and_fills_at_its_pace() {
        let clock = FakeRelativeClock::default();
        let bucket = Bucket::new(10.0, 50, &clock).unwrap();
        assert_eq!(left(&bucket), 50);
        assert_eq!(bucket.take(), Err(bucket.pace()));
        clock.advance(Duration::from_millis(1001));
        assert_eq!(left(&bucket), 10);
        clock.advance(Duration::from_secs(100));
        bucket.keep(7);
        assert_eq!(left(&bucket), 7);
        assert!(Bucket::new(0.0, 1, &clock).is_none() && Bucket::new(0.0001, 1, &clock).is_none());
    }

    #[test]
    fn what_is_carried_is_what_was_left_and_never_more_than_fits() {
        let clock = FakeRelativeClock::default();
        for (spent, holds, carried) in [(0, 100, 50), (20, 100, 30), (50, 100, 0), (20, 10, 10), (50, 10, 0)]
        {
            let old = Bucket::new(10.0, 50, &clock).unwrap();
            old.keep(50 - spent);
            let new = Bucket::new(20.0, holds, &clock).unwrap();
            new.carry(&old);
            assert_eq!((left(&new), left(&old)), (carried, 0), "{spent} of 50 spent, {holds} fit");
        }
    }
}
