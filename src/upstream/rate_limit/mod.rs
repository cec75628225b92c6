//! The vendor's rate limit: so many calls a second to each endpoint, from one IP address. Past it everybody behind that address is
//! locked out, so every call that counts is paid for before it is sent, with a [`Permit`].
//!
//! What may be spent is arithmetic (`allowance`, on `bucket`). Here: who spends on what, waiting for a turn (`line`), the
//! cool-down after a 429, and taking over new numbers. A call that need not wait takes no lock. How it stands is told by `shown`.

mod bucket;
mod endpoint;
mod quota;
mod snapshot;
mod wait_queue;

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use governor::clock::DefaultClock;
use http::{HeaderMap, StatusCode, header};
use jiff::Timestamp;
use tokio::time::{Instant, sleep, timeout_at};

pub use self::endpoint::{CallClass, Cost, Endpoint, Permit};
use self::quota::Allowance;
pub use self::snapshot::{Calls, Shown, ShownEndpoint};
use self::wait_queue::WaitQueue;
use super::cooldown::Cooldown;
use crate::config::{self, Config};
use crate::failure::Failure;
use crate::telemetry::metrics::family::Counters;

/// Whoever is first in line looks again at least so often: a reload or the end of a cool-down may have come in between.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// The longest Retry-After that is given, in seconds.
const RETRY_AFTER_MAX: u64 = 60;

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
    desks: [EndpointState; 8],
    /// Calls that were paid for.
    calls: Counters<(Endpoint, CallClass)>,
    /// Calls that had no turn; shadow's are not counted here.
    refused: Counters<(Endpoint, CallClass)>,
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
struct EndpointState {
    primary: WaitQueue,
    fence: WaitQueue,
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
        self.0.calls.add((cost.endpoint, cost.payer));
        Ok(Permit::new(cost))
    }

    async fn wait(&self, cost: Cost, until: Instant) -> Result<(), OverBudget> {
        let (pace, wait_max) = self.0.plan.load().as_ref().map_or((Duration::ZERO, Duration::ZERO), |plan| {
            let allowance = &plan.allowances[cost.endpoint.at()];
            (allowance.pace(cost.is_of_fence(), self.is_cooling()), plan.of.budget.wait_max)
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
        self.0.refused.add((cost.endpoint, cost.payer));
        // Whoever comes back then finds those before it gone.
        let seconds = expected.as_secs().saturating_add(1).min(RETRY_AFTER_MAX);
        Err(OverBudget { retry_after: Duration::from_secs(seconds) })
    }

    /// Takes a turn if there is one now; else says when to ask again.
    fn spend(&self, cost: Cost) -> Result<(), Duration> {
        let plan = self.0.plan.load();
        let Some(plan) = &*plan else { return Ok(()) };
        let allowance = &plan.allowances[cost.endpoint.at()];
        if cost.is_of_fence() {
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
            self.0.calls.add((endpoint, CallClass::Shadow));
            Permit::new(endpoint.shadow())
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

    fn line(&self, cost: Cost) -> &WaitQueue {
        let desk = &self.0.desks[cost.endpoint.at()];
        desk.line(cost.payer)
    }
}

impl EndpointState {
    const fn line(&self, payer: CallClass) -> &WaitQueue {
        match payer {
            CallClass::Client | CallClass::Shadow => &self.primary,
            CallClass::Fence => &self.fence,
        }
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
