//! The vendor's rate limit: so many calls a second to each endpoint, from one IP address. Past it everybody behind that address is
//! locked out, so every call that counts is paid for before it is sent, with a [`Permit`].
//!
//! What may be spent is arithmetic (`allowance`, on `bucket`). Here: who spends on what, waiting for a turn (`line`), the
//! cool-down after a 429, and taking over new numbers. A call that need not wait takes no lock.

mod allowance;
mod bucket;
mod line;
mod shown;

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use governor::clock::DefaultClock;
use http::{HeaderMap, StatusCode, header};
use jiff::Timestamp;
use tokio::time::{Instant, sleep, timeout_at};

use self::allowance::Allowance;
use self::line::Line;
pub use self::shown::{Shown, ShownEndpoint};
use super::cooldown::Cooldown;
use crate::config::{self, Config, RouteName};
use crate::failure::Failure;
use crate::side::Side;

/// Whoever is first in line looks again at least so often: a reload or the end of a cool-down may have come in between.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// The longest Retry-After that is given, in seconds.
const RETRY_AFTER_MAX: u64 = 60;

/// What the vendor counts apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// Making a record.
    Create(Side),
    /// One record by its id.
    Get(Side),
    /// A page of a list.
    List(Side),
    /// Stopping a conversion; the new API has no such call.
    Cancel,
    /// The token endpoint.
    Token,
}

impl Endpoint {
    const ALL: [Self; 8] = [
        Self::Create(Side::Legacy),
        Self::Get(Side::Legacy),
        Self::List(Side::Legacy),
        Self::Cancel,
        Self::Create(Side::New),
        Self::Get(Side::New),
        Self::List(Side::New),
        Self::Token,
    ];

    /// The endpoint of a route, on the old API.
    #[must_use]
    pub const fn of_legacy(route: RouteName) -> Self {
        match route {
            RouteName::Create => Self::Create(Side::Legacy),
            RouteName::Get => Self::Get(Side::Legacy),
            RouteName::List => Self::List(Side::Legacy),
            RouteName::Cancel => Self::Cancel,
        }
    }

    /// A call on behalf of a client.
    #[must_use]
    pub const fn primary(self) -> Cost {
        Cost { endpoint: self, of_fence: false }
    }

    /// A look of the fence or the resolver: part of a create.
    #[must_use]
    pub const fn fence(self) -> Cost {
        Cost { endpoint: self, of_fence: true }
    }

    const fn at(self) -> usize {
        match self {
            Self::Create(Side::Legacy) => 0,
            Self::Get(Side::Legacy) => 1,
            Self::List(Side::Legacy) => 2,
            Self::Cancel => 3,
            Self::Create(Side::New) => 4,
            Self::Get(Side::New) => 5,
            Self::List(Side::New) => 6,
            Self::Token => 7,
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Create(Side::Legacy) => "legacy create",
            Self::Get(Side::Legacy) => "legacy get",
            Self::List(Side::Legacy) => "legacy list",
            Self::Cancel => "legacy cancel",
            Self::Create(Side::New) => "new create",
            Self::Get(Side::New) => "new get",
            Self::List(Side::New) => "new list",
            Self::Token => "token",
        }
    }
}

/// One call, and out of which part of the budget it is paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    endpoint: Endpoint,
    of_fence: bool,
}

/// One call that is paid for. It is used up by sending, and there is no second one like it.
#[must_use = "the call is paid for"]
#[derive(Debug)]
pub struct Permit(Cost);

impl Permit {
    /// What it is for.
    #[must_use]
    pub const fn endpoint(&self) -> Endpoint {
        self.0.endpoint
    }

    pub(super) const fn cost(&self) -> Cost {
        self.0
    }
}

/// There was no turn for a call, so it was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the rate budget of this endpoint is spent")]
pub struct OverBudget {
    /// When to come back; whole seconds, at least one.
    pub retry_after: Duration,
}

impl From<OverBudget> for Failure {
    fn from(OverBudget { retry_after }: OverBudget) -> Self {
        Self::OverBudget { retry_after }
    }
}

/// The budget of one process. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Budget(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// `None` until a config is there.
    plan: ArcSwapOption<Plan>,
    /// Held by whoever makes the next plan.
    planning: Mutex<()>,
    desks: [Desk; 8],
    cooldown: Cooldown,
}

/// What may be spent under one config.
#[derive(Debug)]
struct Plan {
    of: Arc<Config>,
    allowances: Arc<[Allowance<DefaultClock>; 8]>,
}

/// What is known of one endpoint, whatever the config.
#[derive(Debug, Default)]
struct Desk {
    primary: Line,
    fence: Line,
    calls: AtomicU64,
    refused: AtomicU64,
    /// In milliseconds since 1970; 0 = never.
    last_429: AtomicI64,
}

impl Budget {
    /// Takes over the numbers of a config, with what is left of the old ones'. Costs next to nothing when it is in force already.
    /// Before the first one nothing is limited.
    pub fn adopt(&self, config: &Arc<Config>) {
        let is_of =
            |plan: &Option<Arc<Plan>>| plan.as_ref().is_some_and(|plan| Arc::ptr_eq(&plan.of, config));
        if is_of(&self.0.plan.load()) {
            return;
        }
        let _planning = self.0.planning.lock().unwrap_or_else(PoisonError::into_inner);
        let old = self.0.plan.load_full();
        if is_of(&old) {
            return;
        }
        let allowances = match &old {
            Some(old) if numbers(&old.of) == numbers(config) => Arc::clone(&old.allowances),
            old => Arc::new(allowances(config, old.as_deref())),
        };
        self.0.plan.store(Some(Arc::new(Plan { of: Arc::clone(config), allowances })));
    }

    /// Pays for one call; waits for its turn as long as the config says, and until `until` at the latest.
    ///
    /// # Errors
    /// When there is no turn within that time; that is said at once when it is clear from the beginning.
    pub async fn take(&self, cost: Cost, until: Instant) -> Result<Permit, OverBudget> {
        if self.line(cost).waiting() > 0 || self.spend(cost).is_err() {
            self.wait(cost, until).await?;
        }
        self.0.desks[cost.endpoint.at()].calls.fetch_add(1, Ordering::Relaxed);
        Ok(Permit(cost))
    }

    async fn wait(&self, cost: Cost, until: Instant) -> Result<(), OverBudget> {
        let (pace, wait_max) = self.0.plan.load().as_ref().map_or((Duration::ZERO, Duration::ZERO), |plan| {
            let allowance = &plan.allowances[cost.endpoint.at()];
            (allowance.pace(cost.of_fence, self.is_cooling()), plan.of.budget.wait_max)
        });
        let line = self.line(cost);
        let place = line.join();
        let expected = pace.saturating_mul(u32::try_from(place.number).unwrap_or(u32::MAX));
        let patience = until.saturating_duration_since(Instant::now()).min(wait_max);
        let turn = async {
            let _first = line.first.lock().await;
            while let Err(wait) = self.spend(cost) {
                sleep(wait.min(LOOK_AGAIN)).await;
            }
        };
        if expected <= patience && timeout_at(Instant::now() + patience, turn).await.is_ok() {
            return Ok(());
        }
        self.0.desks[cost.endpoint.at()].refused.fetch_add(1, Ordering::Relaxed);
        // Whoever comes back then finds those before it gone.
        let seconds = expected.as_secs().saturating_add(1).min(RETRY_AFTER_MAX);
        Err(OverBudget { retry_after: Duration::from_secs(seconds) })
    }

    /// Takes a turn if there is one now; else says when to ask again.
    fn spend(&self, cost: Cost) -> Result<(), Duration> {
        let plan = self.0.plan.load();
        let Some(plan) = &*plan else { return Ok(()) };
        let allowance = &plan.allowances[cost.endpoint.at()];
        if cost.of_fence {
            let nobody_waits = self.0.desks[cost.endpoint.at()].primary.waiting() == 0;
            allowance.fence(self.is_cooling(), nobody_waits)
        } else {
            allowance.primary(self.is_cooling())
        }
    }

    /// Pays for a call of shadow's, within its share, when nobody waits and no cool-down lasts.
    #[must_use]
    pub fn take_for_shadow(&self, endpoint: Endpoint) -> Option<Permit> {
        let desk = &self.0.desks[endpoint.at()];
        let plan = self.0.plan.load();
        let is_free = !self.is_cooling() && desk.primary.waiting() == 0;
        let paid = is_free && plan.as_ref().is_none_or(|plan| plan.allowances[endpoint.at()].shadow());
        paid.then(|| {
            desk.calls.fetch_add(1, Ordering::Relaxed);
            Permit(endpoint.primary())
        })
    }

    /// Notes what an upstream said to a call, whether or not that is counted. A 429 begins the cool-down.
    pub fn answered(&self, endpoint: Option<Endpoint>, status: StatusCode, headers: &HeaderMap) {
        if status != StatusCode::TOO_MANY_REQUESTS {
            return;
        }
        if let Some(endpoint) = endpoint {
            let now = Timestamp::now().as_millisecond();
            self.0.desks[endpoint.at()].last_429.store(now, Ordering::Relaxed);
        }
        let Some(budget) = self.0.plan.load().as_ref().map(|plan| plan.of.budget) else { return };
        let asked = retry_after(headers).unwrap_or_default().min(budget.cooldown_max);
        if !budget.cooldown.is_zero() && self.0.cooldown.begin(asked.max(budget.cooldown)) {
            let endpoint = endpoint.map_or("other", Endpoint::name);
            tracing::warn!(target: "budget", endpoint, "an upstream said 429; calls go slower for a while");
        }
    }

    /// How long the cool-down after a 429 lasts still.
    #[must_use]
    pub fn cooldown_left(&self) -> Option<Duration> {
        self.0.cooldown.left()
    }

    fn is_cooling(&self) -> bool {
        self.cooldown_left().is_some()
    }

    fn line(&self, cost: Cost) -> &Line {
        let desk = &self.0.desks[cost.endpoint.at()];
        if cost.of_fence { &desk.fence } else { &desk.primary }
    }

    /// How it stands.
    #[must_use]
    pub fn shown(&self) -> Shown {
        let (plan, left) = (self.0.plan.load(), self.cooldown_left());
        let endpoint = |endpoint: Endpoint| {
            let desk = &self.0.desks[endpoint.at()];
            let allowance = plan.as_ref().map(|plan| &plan.allowances[endpoint.at()]);
            let last_429 = desk.last_429.load(Ordering::Relaxed);
            let last_429 = Timestamp::from_millisecond(last_429).ok().filter(|_| last_429 > 0);
            ShownEndpoint {
                endpoint: endpoint.name().into(),
                per_second: allowance.map_or(0.0, |allowance| allowance.per_second(left.is_some())),
                calls: desk.calls.load(Ordering::Relaxed),
                waiting: desk.primary.waiting() + desk.fence.waiting(),
                refused: desk.refused.load(Ordering::Relaxed),
                last_429: last_429.map(|at| at.to_string()),
            }
        };
        let endpoints = Endpoint::ALL.map(endpoint).into();
        // Rounded up: what lasts still does not last 0 s.
        Shown { cooldown_seconds_left: left.map(|left| left.as_secs() + 1), endpoints }
    }
}

/// What a plan is made of.
fn numbers(config: &Config) -> (config::Budget, u32) {
    (config.budget, config.replicas)
}

fn allowances(config: &Config, old: Option<&Plan>) -> [Allowance<DefaultClock>; 8] {
    let (budget, replicas) = numbers(config);
    Endpoint::ALL.map(|endpoint| {
        let is_looked_at = matches!(endpoint, Endpoint::List(_));
        let old = old.map(|old| &old.allowances[endpoint.at()]);
        Allowance::new(&budget, replicas, is_looked_at, &DefaultClock::default(), old)
    })
}

/// A `Retry-After`: seconds, or a date.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    match value.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => httpdate::parse_http_date(value).ok()?.duration_since(SystemTime::now()).ok(),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn every_endpoint_has_a_desk_of_its_own() {
        for (at, endpoint) in Endpoint::ALL.into_iter().enumerate() {
            assert_eq!(endpoint.at(), at, "{endpoint:?}");
        }
    }

    #[test]
    fn a_retry_after_is_seconds_or_a_date() {
        let read = |text: &str| {
            retry_after(&HeaderMap::from_iter([(header::RETRY_AFTER, HeaderValue::from_str(text).unwrap())]))
        };
        assert_eq!(read("120"), Some(Duration::from_secs(120)));
        let soon = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(100));
        assert!(read(&soon).is_some_and(|after| after > Duration::from_secs(50)));
        for nothing in ["", "-1", "soon", "Thu, 01 Jan 1970 00:00:00 GMT"] {
            assert_eq!(read(nothing), None, "{nothing}");
        }
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }
}
