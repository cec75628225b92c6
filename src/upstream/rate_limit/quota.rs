//! What one process may spend on one endpoint: the vendor's limit as token buckets. Counts; waits for nothing.
//!
//! The vendor allows `per_second` calls averaged over five minutes: 300 times as many in any such window. A bucket lets through
//! what it holds and what flows in, so in any window at most `HOLDS + 300 × FLOWS` seconds' worth of the limit: 24 + 270. The
//! six that are left are what a process begins with, so that one restart within a window does not pass the limit either.

use std::time::Duration;

use governor::clock::Clock;

use super::bucket::Bucket;
use crate::config::Budget;

/// How much of the limit flows in.
const FLOWS: f64 = 0.9;
/// What full buckets hold together, in seconds' worth of the limit.
const HOLDS: f64 = 24.0;
/// What a process begins with, likewise.
const BEGINS: f64 = 6.0;

/// One process's part of the limit of one endpoint, cut into lanes.
#[derive(Debug)]
pub(super) struct Allowance<C: Clock> {
    primary: TokenBuckets<C>,
    /// What is kept for the fence; `None` = it takes from the primary lane.
    fence: Option<TokenBuckets<C>>,
    /// The most that shadow may take of the primary lane; `None` = nothing.
    shadow: Option<Bucket<C>>,
}

/// A part of the limit, and the smaller one of it that counts during a cool-down.
#[derive(Debug)]
struct TokenBuckets<C: Clock> {
    /// Which part of the limit it is.
    share: f64,
    steady: Option<Bucket<C>>,
    slow: Option<Bucket<C>>,
}

#[expect(
    clippy::float_arithmetic,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rates, not money; whole calls, rounded down"
)]
impl<C: Clock + Clone> Allowance<C> {
    /// For one of `replicas` processes; `fenced` = a part is kept for the fence. With what is left of the `old` one: new numbers
    /// are no reason for another burst.
    pub(super) fn new(budget: &Budget, replicas: u32, fenced: bool, clock: &C, old: Option<&Self>) -> Self {
        let new = Self::full(budget, replicas, fenced, clock);
        match old {
            Some(old) => new.carry(old),
            None => new.begin(f64::from(budget.per_second) / f64::from(replicas.max(1)) * BEGINS),
        }
        new
    }

    fn full(budget: &Budget, replicas: u32, fenced: bool, clock: &C) -> Self {
        let own = f64::from(budget.per_second) / f64::from(replicas.max(1));
        let kept = if fenced { budget.lookup_share } else { 0.0 };
        let lane = |share: f64, holds: u32| {
            let flows = own * FLOWS * share;
            let steady = Bucket::new(flows, holds, clock);
            let slow = flows * budget.cooldown_share;
            TokenBuckets { share, steady, slow: Bucket::new(slow, slow as u32, clock) }
        };
        let all = (own * HOLDS) as u32;
        let of_fence = if kept > 0.0 { ((own * HOLDS * kept) as u32).max(1) } else { 0 };
        let most = own * budget.shadow_share;
        Self {
            primary: lane(1.0 - kept, all.saturating_sub(of_fence)),
            fence: (kept > 0.0).then(|| lane(kept, of_fence)),
            shadow: Bucket::new(most * FLOWS, (most * BEGINS) as u32, clock),
        }
    }
}

impl<C: Clock> Allowance<C> {
    /// Leaves as much as a process begins with.
    #[expect(
        clippy::float_arithmetic,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "rates, not money; whole calls, rounded down"
    )]
    fn begin(&self, calls: f64) {
        for lane in std::iter::once(&self.primary).chain(&self.fence) {
            lane.steady.iter().for_each(|steady| steady.keep((calls * lane.share) as u32));
        }
    }

    fn carry(&self, old: &Self) {
        self.primary.carry(Some(&old.primary));
        self.fence.iter().for_each(|fence| fence.carry(old.fence.as_ref()));
        carry(self.shadow.as_ref(), old.shadow.as_ref());
    }

    /// A call on behalf of a client; else when to ask again.
    pub(super) fn primary(&self, cooling: bool) -> Result<(), Duration> {
        self.primary.take(cooling)
    }

    /// A look of the fence: from what is kept for it; else, if it `may_borrow`, from what clients' calls share.
    pub(super) fn fence(&self, cooling: bool, may_borrow: bool) -> Result<(), Duration> {
        let Some(fence) = &self.fence else { return self.primary.take(cooling) };
        match fence.take(cooling) {
            Err(_) if may_borrow && self.primary.take(cooling).is_ok() => Ok(()),
            taken => taken,
        }
    }

    /// A comparison: within shadow's share, and out of what clients' calls share.
    pub(super) fn shadow(&self) -> bool {
        self.shadow.as_ref().is_some_and(|share| share.take().is_ok()) && self.primary.take(false).is_ok()
    }

    /// The time between two calls of a lane that has nothing left.
    pub(super) fn pace(&self, of_fence: bool, cooling: bool) -> Duration {
        self.fence.as_ref().filter(|_| of_fence).unwrap_or(&self.primary).pace(cooling)
    }

    /// How many calls a second flow in, over all lanes.
    #[expect(clippy::float_arithmetic, reason = "a rate, not money")]
    pub(super) fn per_second(&self, cooling: bool) -> f64 {
        let lanes = std::iter::once(&self.primary).chain(&self.fence);
        lanes.map(|lane| 1.0 / lane.pace(cooling).as_secs_f64()).sum()
    }
}

impl<C: Clock> TokenBuckets<C> {
    fn take(&self, cooling: bool) -> Result<(), Duration> {
        if cooling {
            take(self.slow.as_ref())?;
        }
        take(self.steady.as_ref())
    }

    fn pace(&self, cooling: bool) -> Duration {
        let bucket = if cooling { &self.slow } else { &self.steady };
        bucket.as_ref().map_or(Duration::MAX, Bucket::pace)
    }

    fn carry(&self, old: Option<&Self>) {
        carry(self.steady.as_ref(), old.and_then(|old| old.steady.as_ref()));
        carry(self.slow.as_ref(), old.and_then(|old| old.slow.as_ref()));
    }
}

fn take<C: Clock>(bucket: Option<&Bucket<C>>) -> Result<(), Duration> {
    bucket.map_or(Err(Duration::MAX), Bucket::take)
}

fn carry<C: Clock>(new: Option<&Bucket<C>>, old: Option<&Bucket<C>>) {
    match (new, old) {
        (Some(new), Some(old)) => new.carry(old),
        (Some(new), None) => new.keep(0),
        (None, _) => {}
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use governor::clock::FakeRelativeClock;

    use super::*;

    const BUDGET: Budget = Budget {
        per_second: 50,
        shadow_share: 0.2,
        lookup_share: 0.2,
        wait_max: Duration::from_secs(2),
        cooldown: Duration::from_secs(300),
        cooldown_max: Duration::from_secs(600),
        cooldown_share: 0.5,
    };
    const WINDOW: Duration = Duration::from_secs(300);
    const TICK: Duration = Duration::from_millis(10);

    type Fake = Allowance<FakeRelativeClock>;

    fn at_once(take: impl Fn() -> bool) -> usize {
        (0..1_000_000).take_while(|_| take()).count()
    }

    /// What every lane lets through, as fast as it can.
    fn storm(allowance: &Fake, cooling: bool) -> usize {
        at_once(|| allowance.fence(cooling, true).is_ok())
            + at_once(|| allowance.primary(cooling).is_ok())
            + at_once(|| allowance.shadow())
    }

    /// The most calls that any window saw while everybody stormed, and how many there were in all. `each_tick` may change what is
    /// in force.
    fn most_in_a_window(
        fresh: impl Fn() -> Fake,
        clock: &FakeRelativeClock,
        each_tick: impl Fn(usize, &mut Fake),
    ) -> (usize, usize) {
        let (mut allowance, mut seen, mut in_window, mut most, mut all) = (fresh(), VecDeque::new(), 0, 0, 0);
        for tick in 0..90_000 {
            each_tick(tick, &mut allowance);
            let calls = storm(&allowance, false);
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
    fn no_window_ever_sees_more_than_the_vendor_allows_and_not_much_less() {
        for fenced in [false, true] {
            let clock = FakeRelativeClock::default();
            let fresh = || Fake::new(&BUDGET, 1, fenced, &clock, None);
            let (most, all) = most_in_a_window(fresh, &clock, |_, _| {});
            assert!((13_500..=15_000).contains(&most), "{most}");
            assert!((900 * 45 - 50..=900 * 50).contains(&all), "{all}");
        }
    }

    #[test]
    fn a_full_bucket_a_restart_and_reloads_do_not_pass_the_limit() {
        let clock = FakeRelativeClock::default();
        let fresh = || Fake::new(&BUDGET, 1, true, &clock, None);
        let idle = fresh();
        clock.advance(WINDOW);
        assert_eq!(storm(&idle, false), 1200, "so many at once after a long rest");
        let (most, _) = most_in_a_window(fresh, &clock, |tick, allowance| {
            // A new process once a window; new numbers all the time.
            if tick % 30_001 == 15_000 {
                *allowance = fresh();
            } else if tick % 7 == 0 {
                let other = Budget { lookup_share: if tick % 2 == 0 { 0.1 } else { 0.6 }, ..BUDGET };
                *allowance = Fake::new(&other, 1, true, &clock, Some(allowance));
            }
        });
        assert!((9_000..=15_000).contains(&most), "{most}");
    }

    #[test]
    fn replicas_together_spend_what_one_would() {
        let clock = FakeRelativeClock::default();
        for replicas in [1, 3, 50] {
            let each = Fake::new(&BUDGET, replicas, true, &clock, None);
            let rate = each.per_second(false) * f64::from(replicas);
            assert!((44.9..=45.0).contains(&rate), "{rate}");
            clock.advance(WINDOW);
            let together = storm(&each, false) * replicas as usize;
            assert!((1100..=1200).contains(&together), "{together}");
        }
    }

    #[test]
    fn the_fence_has_its_part_for_itself_and_leaves_the_others_theirs() {
        let clock = FakeRelativeClock::default();
        let allowance = Fake::new(&BUDGET, 1, true, &clock, None);
        assert_eq!(at_once(|| allowance.primary(false).is_ok()), 240);
        assert_eq!(at_once(|| allowance.fence(false, true).is_ok()), 60);
        clock.advance(WINDOW);
        assert_eq!(at_once(|| allowance.fence(false, false).is_ok()), 240);
        assert_eq!(at_once(|| allowance.primary(false).is_ok()), 960);
        let unfenced = Fake::new(&BUDGET, 1, false, &clock, None);
        assert_eq!(at_once(|| unfenced.fence(false, false).is_ok()), 300, "out of what all share");
    }

    #[test]
    fn shadow_has_a_most_and_takes_it_from_what_all_share() {
        let clock = FakeRelativeClock::default();
        let allowance = Fake::new(&BUDGET, 1, false, &clock, None);
        assert_eq!(at_once(|| allowance.shadow()), 60);
        assert_eq!(at_once(|| allowance.primary(false).is_ok()), 240);
        clock.advance(Duration::from_secs(1));
        assert_eq!(at_once(|| allowance.primary(false).is_ok()), 44);
        assert!(!allowance.shadow(), "its share is not a reserve");
        let none = Fake::new(&Budget { shadow_share: 0.0, ..BUDGET }, 1, false, &clock, None);
        assert!(!none.shadow());
    }

    #[test]
    fn a_cool_down_slows_every_lane_to_its_share() {
        let clock = FakeRelativeClock::default();
        let allowance = Fake::new(&BUDGET, 1, true, &clock, None);
        clock.advance(WINDOW);
        let rate = allowance.per_second(true);
        assert!((22.4..=22.5).contains(&rate), "{rate}");
        let calls: usize = (0..100)
            .map(|_| {
                clock.advance(Duration::from_secs(1));
                at_once(|| allowance.primary(true).is_ok()) + at_once(|| allowance.fence(true, false).is_ok())
            })
            .sum();
        assert!((2100..=2250 + 45).contains(&calls), "{calls}");
    }

    #[test]
    fn new_numbers_bring_no_new_burst() {
        let clock = FakeRelativeClock::default();
        let old = Fake::new(&BUDGET, 1, true, &clock, None);
        storm(&old, false);
        for more in [Budget { per_second: 100, ..BUDGET }, Budget { lookup_share: 0.0, ..BUDGET }] {
            let new = Fake::new(&more, 1, true, &clock, Some(&old));
            assert_eq!(storm(&new, false), 0);
        }
    }
}
