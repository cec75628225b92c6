//! governor's token bucket, with what governor does not offer: draining to a level and carrying the level to another bucket.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::StateInformationMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

/// A bucket that fills more slowly than one call in this time counts as empty for good.
const SLOWEST: Duration = Duration::from_secs(3600);

#[derive(Debug)]
pub(super) struct Bucket<C: Clock> {
    limiter: RateLimiter<NotKeyed, InMemoryState, C, StateInformationMiddleware>,
    pace: Duration,
    capacity: NonZeroU32,
}

impl<C: Clock + Clone> Bucket<C> {
    /// A full bucket of `capacity` calls, at least one, that fills at `per_second`. `None` when that is too slow to use.
    pub(super) fn new(per_second: f64, capacity: u32, clock: &C) -> Option<Self> {
        // Rounded up, so that rounding never lets in more than the limit.
        #[expect(clippy::float_arithmetic, reason = "a rate, not money")]
        let pace = Duration::try_from_secs_f64(1.0 / per_second).ok()? + Duration::from_nanos(1);
        let capacity = NonZeroU32::new(capacity).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::with_period(pace).filter(|_| pace < SLOWEST)?.allow_burst(capacity);
        let limiter = RateLimiter::direct_with_clock(quota, clock.clone()).with_middleware();
        Some(Self { limiter, pace, capacity })
    }
}

impl<C: Clock> Bucket<C> {
    /// Takes one call; else returns how long until there is one.
    pub(super) fn take(&self) -> Result<(), Duration> {
        let taken = self.limiter.check();
        taken.map(drop).map_err(|not_until| not_until.wait_time_from(self.limiter.clock().now()))
    }

    /// The time between two calls of an empty bucket.
    pub(super) const fn pace(&self) -> Duration {
        self.pace
    }

    /// Drains a full bucket to `level` calls.
    pub(super) fn drain_to(&self, level: u32) {
        self.spend(self.capacity.get().saturating_sub(level));
    }

    /// Drains a full bucket to the level of `old`, and empties `old`.
    pub(super) fn take_over(&self, old: &Self) {
        // `check` takes one call itself, hence `+ 1`.
        let level = old.limiter.check().map_or(0, |state| {
            let rest = state.remaining_burst_capacity();
            old.spend(rest);
            rest + 1
        });
        self.drain_to(level);
    }

    fn spend(&self, calls: u32) {
        if let Some(calls) = NonZeroU32::new(calls) {
            // Fails only when a concurrent call has taken some already, which leaves no more than intended.
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
    fn a_bucket_holds_its_capacity_and_fills_at_its_pace() {
        let clock = FakeRelativeClock::default();
        let bucket = Bucket::new(10.0, 50, &clock).unwrap();
        assert_eq!(left(&bucket), 50);
        assert_eq!(bucket.take(), Err(bucket.pace()));
        clock.advance(Duration::from_millis(1001));
        assert_eq!(left(&bucket), 10);
        clock.advance(Duration::from_secs(100));
        bucket.drain_to(7);
        assert_eq!(left(&bucket), 7);
        assert!(Bucket::new(0.0, 1, &clock).is_none() && Bucket::new(0.0001, 1, &clock).is_none());
    }

    #[test]
    fn taking_over_keeps_the_level_up_to_the_capacity() {
        let clock = FakeRelativeClock::default();
        for (spent, capacity, level) in [(0, 100, 50), (20, 100, 30), (50, 100, 0), (20, 10, 10), (50, 10, 0)]
        {
            let old = Bucket::new(10.0, 50, &clock).unwrap();
            old.drain_to(50 - spent);
            let new = Bucket::new(20.0, capacity, &clock).unwrap();
            new.take_over(&old);
            assert_eq!((left(&new), left(&old)), (level, 0), "{spent} of 50 spent, capacity {capacity}");
        }
    }
}
