//! The vendor's rate limit: a number of calls a second to each endpoint from one IP address. Past it the vendor locks out every
//! client behind that address, so each call to a counted endpoint needs a [`Permit`] before it is sent.
//!
//! `quota` computes what may be spent, on token buckets (`bucket`). This file decides which class of call spends from which
//! buckets, queues calls that have to wait (`wait_queue`), keeps the cool-down after a 429 and swaps quotas on a reload.
//! A call that need not wait takes no lock. `snapshot` reports the state to operators.

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

pub(crate) use self::endpoint::{CallClass, Cost, Endpoint, Permit};
use self::quota::EndpointQuota;
pub use self::snapshot::{BudgetSnapshot, CallCounts, EndpointSnapshot};
use self::wait_queue::WaitQueue;
use super::cooldown::Cooldown;
use crate::config::{self, Config};
use crate::failure::Failure;
use crate::telemetry::metrics::family::Counters;
use crate::translate::paths;
use crate::translate::side::Side;

/// Longest sleep of the call at the head of a queue. A reload or the end of a cool-down can free a turn earlier than computed.
const RECHECK_INTERVAL: Duration = Duration::from_millis(100);

/// Upper bound of the `Retry-After` that clients get, in seconds.
const RETRY_AFTER_MAX: u64 = 60;

/// The call got no turn in time and was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the rate budget of this endpoint is spent")]
pub(crate) struct OverBudget {
    /// The `Retry-After` to answer; whole seconds, at least one.
    pub(crate) retry_after: Duration,
}

impl From<OverBudget> for Failure {
    fn from(OverBudget { retry_after }: OverBudget) -> Self {
        Self::OverBudget { retry_after }
    }
}

/// The rate limit's share of this process. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Budget(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// `None` until the first config; until then nothing is limited.
    plan: ArcSwapOption<QuotaPlan>,
    /// Serialises the reloads, so that no bucket's content is carried over twice.
    planning: Mutex<()>,
    endpoints: [EndpointState; Endpoint::ALL.len()],
    /// Calls that got a turn.
    calls: Counters<(Endpoint, CallClass)>,
    /// Calls that got no turn. `shadow` counts its own.
    refused: Counters<(Endpoint, CallClass)>,
    cooldown: Cooldown,
}

/// The quotas under one config.
#[derive(Debug)]
struct QuotaPlan {
    config: Arc<Config>,
    /// `None` for a row of `budget.endpoints` that the config does not have.
    quotas: Arc<[Option<EndpointQuota<DefaultClock>>; Endpoint::ALL.len()]>,
}

/// One endpoint's state, which outlives a reload.
#[derive(Debug, Default)]
struct EndpointState {
    clients: WaitQueue,
    lookups: WaitQueue,
    /// Milliseconds since the Unix epoch; 0 = never.
    last_429: AtomicI64,
}

impl Budget {
    /// Makes a config's limits apply, and carries over what the buckets hold. A pointer comparison when they apply already.
    pub(crate) fn adopt(&self, config: &Arc<Config>) {
        // By pointer: a reload makes a new `Arc`, and comparing whole configs would cost every request.
        let is_current = |plan: &Option<Arc<QuotaPlan>>| {
            plan.as_ref().is_some_and(|plan| Arc::ptr_eq(&plan.config, config))
        };
        if is_current(&self.0.plan.load()) {
            return;
        }
        let _planning = self.0.planning.lock().unwrap_or_else(PoisonError::into_inner);
        let old = self.0.plan.load_full();
        // Another request may have adopted it while this one waited for the lock.
        if is_current(&old) {
            return;
        }
        let quotas = match &old {
            // A reload that does not touch the limits keeps the buckets, so it cannot round their levels.
            Some(old) if limits(&old.config) == limits(config) => Arc::clone(&old.quotas),
            old => Arc::new(quotas(config, old.as_deref())),
        };
        self.0.plan.store(Some(Arc::new(QuotaPlan { config: Arc::clone(config), quotas })));
    }

    /// Takes a turn for one call; waits for it up to `budget.wait_max`, for a token `budget.wait_max_token`, and until `until` at the latest.
    ///
    /// # Errors
    /// When there is no turn within that time. Returned at once when the queue is already too long.
    pub(crate) async fn take(&self, cost: Cost, until: Instant) -> Result<Permit, OverBudget> {
        // Those who wait come first; without this a newcomer could take the turn that the head of the queue waits for.
        if self.queue(cost).waiting() > 0 || self.spend(cost).is_err() {
            self.wait(cost, until).await?;
        }
        self.0.calls.add((cost.endpoint, cost.class));
        Ok(Permit::new(cost))
    }

    async fn wait(&self, cost: Cost, until: Instant) -> Result<(), OverBudget> {
        let (pace, wait_max) = self.0.plan.load().as_ref().map_or((Duration::ZERO, Duration::ZERO), |plan| {
            let budget = &plan.config.budget;
            let wait_max =
                if cost.endpoint == Endpoint::Token { budget.wait_max_token } else { budget.wait_max };
            let pace = plan
                .quota(cost.endpoint)
                .map_or(Duration::ZERO, |quota| quota.pace(cost.class, self.is_cooling()));
            (pace, wait_max)
        });
        let queue = self.queue(cost);
        // Leaves the queue when it is dropped, so a call that is given up holds no place.
        let ticket = queue.join();
        let expected = pace.saturating_mul(u32::try_from(ticket.position).unwrap_or(u32::MAX));
        let timeout = until.saturating_duration_since(Instant::now()).min(wait_max);
        let turn = async {
            let _head = queue.head.lock().await;
            while let Err(wait) = self.spend(cost) {
                sleep(wait.min(RECHECK_INTERVAL)).await;
            }
        };
        // A call that cannot get its turn in time is refused at once, instead of after the whole wait.
        if expected <= timeout && timeout_at(Instant::now() + timeout, turn).await.is_ok() {
            return Ok(());
        }
        self.0.refused.add((cost.endpoint, cost.class));
        // By then the calls ahead of this one have had their turns.
        let seconds = expected.as_secs().saturating_add(1).min(RETRY_AFTER_MAX);
        Err(OverBudget { retry_after: Duration::from_secs(seconds) })
    }

    /// Takes a turn if there is one now; else returns how long to wait before the next try.
    fn spend(&self, cost: Cost) -> Result<(), Duration> {
        let plan = self.0.plan.load();
        let quota = plan.as_ref().and_then(|plan| plan.quota(cost.endpoint));
        let Some(quota) = quota else { return Ok(()) };
        match cost.class {
            CallClass::Client | CallClass::Shadow => quota.take_for_client(self.is_cooling()),
            CallClass::Lookup => {
                // A waiting client's call has the first claim on the shared buckets.
                let may_borrow = self.state(cost.endpoint).clients.waiting() == 0;
                quota.take_for_lookup(self.is_cooling(), may_borrow)
            }
        }
    }

    /// Takes a turn for a shadow call: within shadow's share, while no client's call waits and no cool-down applies. Never
    /// waits.
    #[must_use]
    pub(crate) fn take_for_shadow(&self, endpoint: Endpoint) -> Option<Permit> {
        let plan = self.0.plan.load();
        let is_free = !self.is_cooling() && self.state(endpoint).clients.waiting() == 0;
        let quota = plan.as_ref().and_then(|plan| plan.quota(endpoint));
        let taken = is_free && quota.is_none_or(EndpointQuota::take_for_shadow);
        taken.then(|| {
            self.0.calls.add((endpoint, CallClass::Shadow));
            Permit::new(endpoint.shadow())
        })
    }

    /// As [`Budget::take_for_shadow`], of a process whose budget no client shares: a cool-down slows it down, and does not stop it.
    #[must_use]
    pub(crate) fn take_alone(&self, endpoint: Endpoint) -> Option<Permit> {
        if !self.is_cooling() {
            return self.take_for_shadow(endpoint);
        }
        let plan = self.0.plan.load();
        let quota = plan.as_ref().and_then(|plan| plan.quota(endpoint));
        quota.is_none_or(|quota| quota.take_for_client(true).is_ok()).then(|| {
            self.0.calls.add((endpoint, CallClass::Shadow));
            Permit::new(endpoint.shadow())
        })
    }

    /// How long the upstream asks to wait, up to `budget.cooldown_max`; `None` if it does not say.
    #[must_use]
    pub(crate) fn requested_wait(&self, headers: &HeaderMap) -> Option<Duration> {
        let plan = self.0.plan.load();
        let longest = plan.as_ref().map_or(Duration::MAX, |plan| plan.config.budget.cooldown_max);
        retry_after(headers).map(|requested| requested.min(longest))
    }

    /// Records an upstream's answer; a 429 starts the cool-down. `endpoint` is `None` for calls that are not counted.
    pub(crate) fn answered(&self, endpoint: Option<Endpoint>, status: StatusCode, headers: &HeaderMap) {
        if status != StatusCode::TOO_MANY_REQUESTS {
            return;
        }
        if let Some(endpoint) = endpoint {
            let now = Timestamp::now().as_millisecond();
            self.state(endpoint).last_429.store(now, Ordering::Relaxed);
        }
        let plan = self.0.plan.load();
        let Some(budget) = plan.as_ref().map(|plan| &plan.config.budget) else { return };
        // The vendor may ask for longer than `budget.cooldown`, but a wrong header must not slow the proxy down for days.
        let requested = retry_after(headers).unwrap_or_default().min(budget.cooldown_max);
        if !budget.cooldown.is_zero() && self.0.cooldown.begin(requested.max(budget.cooldown)) {
            let endpoint = endpoint.map_or("other", Endpoint::name);
            tracing::warn!(target: "budget", endpoint, "an upstream answered 429; calls are slowed down during the cool-down");
        }
    }

    /// What is left of the cool-down after a 429.
    #[must_use]
    pub(crate) fn cooldown_left(&self) -> Option<Duration> {
        self.0.cooldown.left()
    }

    fn is_cooling(&self) -> bool {
        self.cooldown_left().is_some()
    }

    fn state(&self, endpoint: Endpoint) -> &EndpointState {
        &self.0.endpoints[endpoint.index()]
    }

    fn queue(&self, cost: Cost) -> &WaitQueue {
        self.state(cost.endpoint).queue(cost.class)
    }
}

impl EndpointState {
    const fn queue(&self, class: CallClass) -> &WaitQueue {
        match class {
            CallClass::Client | CallClass::Shadow => &self.clients,
            CallClass::Lookup => &self.lookups,
        }
    }
}

impl QuotaPlan {
    fn quota(&self, endpoint: Endpoint) -> Option<&EndpointQuota<DefaultClock>> {
        self.quotas[endpoint.index()].as_ref()
    }
}

/// The part of a config that the quotas depend on.
fn limits(config: &Config) -> (&config::Budget, u32) {
    (&config.budget, config.replicas)
}

fn quotas(
    config: &Config,
    old: Option<&QuotaPlan>,
) -> [Option<EndpointQuota<DefaultClock>>; Endpoint::ALL.len()] {
    Endpoint::ALL.map(|endpoint| {
        let limit = limit(config, endpoint)?;
        // A row that moved or changed its path is another endpoint.
        let path = |config: &Config| endpoint.row(&config.budget).map(|row| row.path.clone());
        let old = old.filter(|old| path(&old.config) == path(config));
        let old = old.and_then(|old| old.quota(endpoint));
        Some(EndpointQuota::new(&config.budget, limit, endpoint, &DefaultClock::default(), old))
    })
}

/// Calls per second that this process may make to an endpoint; `None` for a row that the config does not have.
#[expect(clippy::float_arithmetic, reason = "a rate, not money")]
fn limit(config: &Config, endpoint: Endpoint) -> Option<f64> {
    let (budget, upstreams) = (&config.budget, &config.upstream);
    let at = |side: Side| format!("{}{}", upstreams.side(side).path_prefix, paths::collection(side));
    let per_second = match endpoint {
        Endpoint::Create(side) | Endpoint::List(side) => budget.per_second_of(&at(side)),
        Endpoint::Get(side) => budget.per_second_of(&format!("{}/id", at(side))),
        Endpoint::Cancel => budget.per_second_of(&format!("{}/id", at(Side::Legacy))),
        Endpoint::Token => budget.per_second_of(&upstreams.oauth.path_prefix),
        Endpoint::Path(_) => endpoint.row(budget)?.per_second,
    };
    Some(f64::from(per_second) / f64::from(config.replicas.max(1)))
}

/// `Retry-After` as delta-seconds or an HTTP date (RFC 9110, section 10.2.3).
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
