//! The vendor's rate limit: so many calls a second to each endpoint. Whoever works in the background spends from a share of it.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use crate::config::Budget;
use crate::side::Side;

/// What the vendor counts apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// One record by its id.
    Get(Side),
    /// A page of a list.
    List(Side),
}

impl Endpoint {
    /// Whose it is.
    #[must_use]
    pub const fn side(self) -> Side {
        match self {
            Self::Get(side) | Self::List(side) => side,
        }
    }
}

/// A share of the limit of every endpoint. `None` within = nothing may be spent.
#[derive(Debug)]
pub struct Share(Option<[DefaultDirectRateLimiter; 4]>);

impl Share {
    /// Shadow's share, for one of `replicas` processes.
    #[must_use]
    #[expect(clippy::float_arithmetic, reason = "a rate, not money")]
    pub fn of_shadow(budget: Budget, replicas: u32) -> Self {
        Self::new(f64::from(budget.per_second) * budget.shadow_share / f64::from(replicas.max(1)))
    }

    /// Nothing may be spent.
    #[must_use]
    pub const fn none() -> Self {
        Self(None)
    }

    /// So many calls a second to each endpoint; as many at once.
    #[expect(clippy::float_arithmetic, reason = "a rate, not money")]
    fn new(per_second: f64) -> Self {
        // Slower than one call an hour is never.
        let period =
            Duration::try_from_secs_f64(1.0 / per_second).ok().filter(|period| period.as_secs() < 3600);
        let quota = period.and_then(Quota::with_period).map(|quota| {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "saturates, and that is right"
            )]
            let burst = per_second.ceil() as u32;
            quota.allow_burst(NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN))
        });
        Self(quota.map(|quota| [quota; 4].map(RateLimiter::direct)))
    }

    /// Takes one call to `endpoint` out of the share; `false` = not now.
    #[must_use]
    pub fn spend(&self, endpoint: Endpoint) -> bool {
        let at = match endpoint {
            Endpoint::Get(Side::Legacy) => 0,
            Endpoint::List(Side::Legacy) => 1,
            Endpoint::Get(Side::New) => 2,
            Endpoint::List(Side::New) => 3,
        };
        self.0.as_ref().is_some_and(|limiters| limiters[at].check().is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spent_at_once(per_second: u32, shadow_share: f64, replicas: u32) -> usize {
        let share = Share::of_shadow(Budget { per_second, shadow_share }, replicas);
        (0..1000).take_while(|_| share.spend(Endpoint::List(Side::New))).count()
    }

    #[test]
    fn a_share_is_divided_by_the_replicas() {
        assert_eq!(spent_at_once(1, 0.0, 1), 0);
        assert_eq!(spent_at_once(1, 0.001, 1), 1);
        let (alone, among_five) = (spent_at_once(50, 0.2, 1), spent_at_once(50, 0.2, 5));
        assert!((10..20).contains(&alone), "{alone}");
        assert!((2..10).contains(&among_five), "{among_five}");
    }

    #[test]
    fn endpoints_are_counted_apart() {
        let share = Share::of_shadow(Budget { per_second: 1, shadow_share: 1.0 }, 1);
        for endpoint in
            [Side::Legacy, Side::New].into_iter().flat_map(|side| [Endpoint::Get(side), Endpoint::List(side)])
        {
            assert!(share.spend(endpoint));
        }
        assert!(!share.spend(Endpoint::Get(Side::Legacy)));
    }
}
