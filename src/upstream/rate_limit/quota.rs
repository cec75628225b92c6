//! This process's share of the vendor's limit on one endpoint, as token buckets. Never waits.
//!
//! The vendor allows `per_second` calls averaged over five minutes, so 300 seconds' worth in any such window. A bucket lets
//! through its capacity and what flows in: at most `CAPACITY + 300 × FILL_RATE` = 24 + 270 seconds' worth in a window. The
//! remaining 6 are the initial level of a process, so that one restart within a window stays below the limit as well.

use std::time::Duration;

use governor::clock::Clock;

use super::bucket::Bucket;
use super::{CallClass, Endpoint};
use crate::config::Budget;

/// Part of the limit that flows into the buckets.
const FILL_RATE: f64 = 0.9;
/// Capacity of an endpoint's buckets together, in seconds' worth of the limit.
const CAPACITY: f64 = 24.0;
/// Initial level of an endpoint's buckets together, in seconds' worth of the limit.
const INITIAL_LEVEL: f64 = 6.0;

/// The buckets of one endpoint.
#[derive(Debug)]
pub(super) struct EndpointQuota<C: Clock> {
    shared: TokenBuckets<C>,
    /// Reserved for lookups; `None`: lookups take from the shared buckets.
    lookup: Option<TokenBuckets<C>>,
    /// Upper bound on what shadow takes from the shared buckets; `None`: shadow takes nothing.
    shadow: Option<Bucket<C>>,
}

/// A share of the limit.
#[derive(Debug)]
struct TokenBuckets<C: Clock> {
    /// 0 to 1.
    share: f64,
    steady: Option<Bucket<C>>,
    /// Applies on top of `steady` during a cool-down.
    slow: Option<Bucket<C>>,
}

#[expect(
    clippy::float_arithmetic,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rates, not money; whole calls, rounded down"
)]
impl<C: Clock + Clone> EndpointQuota<C> {
    /// The quota of a process that may make `limit` calls a second. Starts at the levels of `old`, so that a reload does not allow another burst.
    pub(super) fn new(
        budget: &Budget,
        limit: f64,
        endpoint: Endpoint,
        clock: &C,
        old: Option<&Self>,
    ) -> Self {
        let new = Self::full(budget, limit, endpoint, clock);
        match old {
            Some(old) => new.take_over(old),
            // At least one, or many replicas of a slow endpoint would all begin with a wait.
            None => new.drain_to((limit * INITIAL_LEVEL).max(1.0)),
        }
        new
    }

    fn full(budget: &Budget, limit: f64, endpoint: Endpoint, clock: &C) -> Self {
        let lookup_share = match endpoint {
            // A lookup by reference is a list.
            Endpoint::List(_) => budget.lookup_share,
            Endpoint::Create(_)
            | Endpoint::Get(_)
            | Endpoint::Cancel
            | Endpoint::Token
            | Endpoint::Path(_) => 0.0,
        };
        let buckets = |share: f64, capacity: u32| {
            let rate = limit * FILL_RATE * share;
            let slow_rate = rate * budget.cooldown_share;
            TokenBuckets {
                share,
                steady: Bucket::new(rate, capacity, clock),
                slow: Bucket::new(slow_rate, slow_rate as u32, clock),
            }
        };
        let capacity = (limit * CAPACITY) as u32;
        let reserved = if lookup_share > 0.0 { ((limit * CAPACITY * lookup_share) as u32).max(1) } else { 0 };
        let shadow_limit = limit * budget.shadow_share;
        Self {
            shared: buckets(1.0 - lookup_share, capacity.saturating_sub(reserved)),
            lookup: (lookup_share > 0.0).then(|| buckets(lookup_share, reserved)),
            shadow: Bucket::new(shadow_limit * FILL_RATE, (shadow_limit * INITIAL_LEVEL) as u32, clock),
        }
    }
}

impl<C: Clock> EndpointQuota<C> {
    /// Drains full buckets to `calls` in all.
    #[expect(
        clippy::float_arithmetic,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "rates, not money; whole calls, rounded down"
    )]
    fn drain_to(&self, calls: f64) {
        for buckets in std::iter::once(&self.shared).chain(&self.lookup) {
            buckets.steady.iter().for_each(|steady| steady.drain_to((calls * buckets.share) as u32));
        }
    }

    fn take_over(&self, old: &Self) {
        self.shared.take_over(Some(&old.shared));
        self.lookup.iter().for_each(|lookup| lookup.take_over(old.lookup.as_ref()));
        take_over(self.shadow.as_ref(), old.shadow.as_ref());
    }

    /// Takes a client's call; else returns how long until there may be one.
    pub(super) fn take_for_client(&self, cooling: bool) -> Result<(), Duration> {
        self.shared.take(cooling)
    }

    /// Takes a lookup from the reserve; else, if it `may_borrow`, from the shared buckets.
    pub(super) fn take_for_lookup(&self, cooling: bool, may_borrow: bool) -> Result<(), Duration> {
        let Some(lookup) = &self.lookup else { return self.shared.take(cooling) };
        lookup
            .take(cooling)
            .or_else(|wait| if may_borrow { self.shared.take(cooling).map_err(|_| wait) } else { Err(wait) })
    }

    /// Takes a shadow call from the shared buckets, within shadow's share.
    pub(super) fn take_for_shadow(&self) -> bool {
        // In this order: a refusal by the shared buckets wastes a call of shadow's share, never one of the clients'.
        self.shadow.as_ref().is_some_and(|share| share.take().is_ok()) && self.shared.take(false).is_ok()
    }

    /// The time between two calls of a class when its buckets are empty.
    pub(super) fn pace(&self, class: CallClass, cooling: bool) -> Duration {
        let buckets = match class {
            CallClass::Client | CallClass::Shadow => &self.shared,
            CallClass::Lookup => self.lookup.as_ref().unwrap_or(&self.shared),
        };
        buckets.pace(cooling)
    }

    /// Calls a second that flow into all buckets together.
    #[expect(clippy::float_arithmetic, reason = "a rate, not money")]
    pub(super) fn per_second(&self, cooling: bool) -> f64 {
        let all = std::iter::once(&self.shared).chain(&self.lookup);
        all.map(|buckets| 1.0 / buckets.pace(cooling).as_secs_f64()).sum()
    }
}

impl<C: Clock> TokenBuckets<C> {
    fn take(&self, cooling: bool) -> Result<(), Duration> {
        if cooling {
            // On top of `steady`, not instead of it: a cool-down only ever lowers the rate.
            take(self.slow.as_ref())?;
        }
        take(self.steady.as_ref())
    }

    fn pace(&self, cooling: bool) -> Duration {
        let bucket = if cooling { &self.slow } else { &self.steady };
        bucket.as_ref().map_or(Duration::MAX, Bucket::pace)
    }

    fn take_over(&self, old: Option<&Self>) {
        take_over(self.steady.as_ref(), old.and_then(|old| old.steady.as_ref()));
        take_over(self.slow.as_ref(), old.and_then(|old| old.slow.as_ref()));
    }
}

fn take<C: Clock>(bucket: Option<&Bucket<C>>) -> Result<(), Duration> {
    bucket.map_or(Err(Duration::MAX), Bucket::take)
}

fn take_over<C: Clock>(new: Option<&Bucket<C>>, old: Option<&Bucket<C>>) {
    match (new, old) {
        (Some(new), Some(old)) => new.take_over(old),
        // A bucket that did not exist begins empty: a reload must not create calls.
        (Some(new), None) => new.drain_to(0),
        (None, _) => {}
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use governor::clock::FakeRelativeClock;

    use super::*;
    use crate::translate::side::Side;

    fn budget() -> Budget {
        Budget {
            per_second: 50,
            endpoints: Vec::new(),
            shadow_share: 0.2,
            lookup_share: 0.2,
            wait_max: Duration::from_secs(2),
            wait_max_token: Duration::from_secs(2),
            cooldown: Duration::from_secs(300),
            cooldown_max: Duration::from_secs(600),
            cooldown_share: 0.5,
        }
    }
    const LISTS: Endpoint = Endpoint::List(Side::New);
    const WINDOW: Duration = Duration::from_secs(300);
    const TICK: Duration = Duration::from_millis(10);

    type FakeQuota = EndpointQuota<FakeRelativeClock>;

    fn at_once(take: impl Fn() -> bool) -> usize {
        (0..1_000_000).take_while(|_| take()).count()
    }

    /// Calls that all classes together can make at once.
    fn storm(quota: &FakeQuota, cooling: bool) -> usize {
        at_once(|| quota.take_for_lookup(cooling, true).is_ok())
            + at_once(|| quota.take_for_client(cooling).is_ok())
            + at_once(|| quota.take_for_shadow())
    }

    /// The most calls in any window under full load, and the calls in all. `each_tick` may replace the quota.
    fn most_in_a_window(
        fresh: impl Fn() -> FakeQuota,
        clock: &FakeRelativeClock,
        each_tick: impl Fn(usize, &mut FakeQuota),
    ) -> (usize, usize) {
        let (mut quota, mut seen, mut in_window, mut most, mut all) = (fresh(), VecDeque::new(), 0, 0, 0);
        for tick in 0..90_000 {
            each_tick(tick, &mut quota);
            let calls = storm(&quota, false);
            (all, in_window) = (all + calls, in_window + calls);
            seen.push_back(calls);
            if seen.len() as u128 > WINDOW.as_millis() / TICK.as_millis() {
                in_window -= seen.pop_front().unwrap();
            }
            most = most.max(in_window);
            clock.advance(TICK);
        }
        (most, all)
    }

    #[test]
    fn every_window_stays_within_the_limit_and_nearly_uses_it() {
        for endpoint in [Endpoint::Cancel, LISTS] {
            let clock = FakeRelativeClock::default();
            let fresh = || FakeQuota::new(&budget(), 50.0, endpoint, &clock, None);
            let (most, all) = most_in_a_window(fresh, &clock, |_, _| {});
            assert!((13_500..=15_000).contains(&most), "{most}");
            assert!((900 * 45 - 50..=900 * 50).contains(&all), "{all}");
        }
    }

    #[test]
    fn full_buckets_a_restart_and_reloads_stay_within_the_limit() {
        let clock = FakeRelativeClock::default();
        let fresh = || FakeQuota::new(&budget(), 50.0, LISTS, &clock, None);
        let idle = fresh();
        clock.advance(WINDOW);
        assert_eq!(storm(&idle, false), 1200, "so many at once after a long rest");
        let (most, _) = most_in_a_window(fresh, &clock, |tick, quota| {
            // A new process once a window; new numbers all the time.
            if tick % 30_001 == 15_000 {
                *quota = fresh();
            } else if tick % 7 == 0 {
                let other = Budget { lookup_share: if tick % 2 == 0 { 0.1 } else { 0.6 }, ..budget() };
                *quota = FakeQuota::new(&other, 50.0, LISTS, &clock, Some(quota));
            }
        });
        assert!((9_000..=15_000).contains(&most), "{most}");
    }

    #[test]
    fn replicas_share_one_limit() {
        let clock = FakeRelativeClock::default();
        for replicas in [1, 3, 50] {
            let each = FakeQuota::new(&budget(), 50.0 / f64::from(replicas), LISTS, &clock, None);
            let rate = each.per_second(false) * f64::from(replicas);
            assert!((44.9..=45.0).contains(&rate), "{rate}");
            clock.advance(WINDOW);
            let together = storm(&each, false) * replicas as usize;
            assert!((1100..=1200).contains(&together), "{together}");
        }
    }

    #[test]
    fn lookups_have_a_reserve_and_leave_the_shared_buckets_to_clients() {
        let clock = FakeRelativeClock::default();
        let quota = FakeQuota::new(&budget(), 50.0, LISTS, &clock, None);
        assert_eq!(at_once(|| quota.take_for_client(false).is_ok()), 240);
        assert_eq!(at_once(|| quota.take_for_lookup(false, true).is_ok()), 60);
        clock.advance(WINDOW);
        assert_eq!(at_once(|| quota.take_for_lookup(false, false).is_ok()), 240);
        assert_eq!(at_once(|| quota.take_for_client(false).is_ok()), 960);
        let unreserved = FakeQuota::new(&budget(), 50.0, Endpoint::Cancel, &clock, None);
        assert_eq!(
            at_once(|| unreserved.take_for_lookup(false, false).is_ok()),
            300,
            "out of what all share"
        );
    }

    #[test]
    fn shadow_takes_from_the_shared_buckets_up_to_its_share() {
        let clock = FakeRelativeClock::default();
        let quota = FakeQuota::new(&budget(), 50.0, Endpoint::Cancel, &clock, None);
        assert_eq!(at_once(|| quota.take_for_shadow()), 60);
        assert_eq!(at_once(|| quota.take_for_client(false).is_ok()), 240);
        clock.advance(Duration::from_secs(1));
        assert_eq!(at_once(|| quota.take_for_client(false).is_ok()), 44);
        assert!(!quota.take_for_shadow(), "its share is not a reserve");
        let none =
            FakeQuota::new(&Budget { shadow_share: 0.0, ..budget() }, 50.0, Endpoint::Cancel, &clock, None);
        assert!(!none.take_for_shadow());
    }

    #[test]
    fn a_cool_down_slows_clients_and_lookups_to_its_share() {
        let clock = FakeRelativeClock::default();
        let quota = FakeQuota::new(&budget(), 50.0, LISTS, &clock, None);
        clock.advance(WINDOW);
        let rate = quota.per_second(true);
        assert!((22.4..=22.5).contains(&rate), "{rate}");
        let calls: usize = (0..100)
            .map(|_| {
                clock.advance(Duration::from_secs(1));
                at_once(|| quota.take_for_client(true).is_ok())
                    + at_once(|| quota.take_for_lookup(true, false).is_ok())
            })
            .sum();
        assert!((2100..=2250 + 45).contains(&calls), "{calls}");
    }

    #[test]
    fn a_reload_allows_no_new_burst() {
        let clock = FakeRelativeClock::default();
        let old = FakeQuota::new(&budget(), 50.0, LISTS, &clock, None);
        storm(&old, false);
        for more in [Budget { per_second: 100, ..budget() }, Budget { lookup_share: 0.0, ..budget() }] {
            let new = FakeQuota::new(&more, f64::from(more.per_second), LISTS, &clock, Some(&old));
            assert_eq!(storm(&new, false), 0);
        }
    }
}
