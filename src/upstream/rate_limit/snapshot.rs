//! The state of the rate limit for operators: calls made, refused and waiting, and the rate that applies. `/status` and the
//! `status` command show it whole; `/metrics` and the page read single values.

use std::sync::atomic::Ordering;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Budget, CallClass, Endpoint, limits};
use crate::telemetry::metrics::family::Counters;

/// The vendor's averaging window, in seconds.
const WINDOW: u64 = 300;

/// The rate limit of one process.
#[derive(Debug, Serialize, Deserialize)]
pub struct BudgetSnapshot {
    /// Seconds left of the cool-down after a 429; absent when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cooldown_seconds_left: Option<u64>,
    /// This process's share of the vendor's limit: calls to one endpoint in five minutes. Absent before the first config.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) five_minutes_max: Option<u64>,
    /// Every endpoint with a limit of its own.
    pub endpoints: Vec<EndpointSnapshot>,
}

/// The rate limit of one endpoint.
#[derive(Debug, Serialize, Deserialize)]
pub struct EndpointSnapshot {
    /// `legacy create`, `new list`, `token`.
    pub endpoint: String,
    /// Sustained calls a second that this process may make now. Absent before the first config.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_second: Option<f64>,
    /// Calls made since the start.
    pub calls: u64,
    #[serde(default)]
    pub(crate) calls_by: CallCounts,
    /// Calls that wait for a turn.
    pub waiting: u64,
    /// Calls refused a turn since the start, without shadow's.
    pub refused: u64,
    /// The time of the last 429, RFC 3339; absent when there was none since the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_429: Option<String>,
}

/// Calls of one endpoint by class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallCounts {
    /// Calls for clients' requests, and requests for the proxy's own tokens.
    pub(crate) client: u64,
    /// Lookups by reference for a create.
    pub(crate) lookup: u64,
    pub(crate) shadow: u64,
}

impl CallCounts {
    #[must_use]
    pub(crate) const fn all(self) -> u64 {
        self.client + self.lookup + self.shadow
    }
}

impl Budget {
    /// Of every endpoint, at this moment.
    #[must_use]
    pub fn snapshot(&self) -> BudgetSnapshot {
        let five_minutes_max = self.0.plan.load().as_ref().map(|plan| {
            let (budget, replicas) = limits(&plan.config);
            u64::from(budget.per_second) * WINDOW / u64::from(replicas.max(1))
        });
        BudgetSnapshot {
            // Rounded up: a running cool-down never shows 0 s.
            cooldown_seconds_left: self.cooldown_left().map(|left| left.as_secs() + 1),
            five_minutes_max,
            endpoints: self.endpoints().map(|endpoint| self.endpoint_snapshot(endpoint)).collect(),
        }
    }

    /// The endpoints that are counted under the current config, in display order.
    pub(crate) fn endpoints(&self) -> impl Iterator<Item = Endpoint> {
        let plan = self.0.plan.load_full();
        let is_counted = move |endpoint: &Endpoint| match &plan {
            Some(plan) => plan.quota(*endpoint).is_some(),
            None => !matches!(endpoint, Endpoint::Path(_)),
        };
        Endpoint::ALL.into_iter().filter(is_counted)
    }

    fn endpoint_snapshot(&self, endpoint: Endpoint) -> EndpointSnapshot {
        let (calls_by, refused) = (self.calls_by(endpoint), self.refused());
        EndpointSnapshot {
            endpoint: self.name(endpoint),
            per_second: self.allowed_per_second(endpoint),
            calls: calls_by.all(),
            calls_by,
            waiting: self.waiting(endpoint, CallClass::Client) + self.waiting(endpoint, CallClass::Lookup),
            refused: refused.get((endpoint, CallClass::Client)) + refused.get((endpoint, CallClass::Lookup)),
            last_429: self.last_429(endpoint).map(|at| at.to_string()),
        }
    }

    /// The name of an endpoint; of a row of `budget.endpoints`, its path.
    fn name(&self, endpoint: Endpoint) -> String {
        let plan = self.0.plan.load();
        let path =
            plan.as_ref().and_then(|plan| endpoint.row(&plan.config.budget).map(|row| row.path.clone()));
        path.unwrap_or_else(|| endpoint.name().to_owned())
    }

    /// Calls made since the start, by class.
    #[must_use]
    pub(crate) fn calls_by(&self, endpoint: Endpoint) -> CallCounts {
        let of = |class| self.0.calls.get((endpoint, class));
        CallCounts {
            client: of(CallClass::Client),
            lookup: of(CallClass::Lookup),
            shadow: of(CallClass::Shadow),
        }
    }

    /// Calls made since the start.
    #[must_use]
    pub(crate) fn calls(&self) -> &Counters<(Endpoint, CallClass)> {
        &self.0.calls
    }

    /// Calls refused a turn since the start. `shadow` counts its own.
    #[must_use]
    pub(crate) fn refused(&self) -> &Counters<(Endpoint, CallClass)> {
        &self.0.refused
    }

    /// Calls that wait for a turn. Shadow calls never wait.
    #[must_use]
    pub(crate) fn waiting(&self, endpoint: Endpoint, class: CallClass) -> u64 {
        match class {
            CallClass::Client | CallClass::Lookup => self.state(endpoint).queue(class).waiting(),
            CallClass::Shadow => 0,
        }
    }

    /// Sustained calls a second that this process may make now. `None` before the first config.
    #[must_use]
    pub(crate) fn allowed_per_second(&self, endpoint: Endpoint) -> Option<f64> {
        let plan = self.0.plan.load();
        Some(plan.as_ref()?.quota(endpoint)?.per_second(self.is_cooling()))
    }

    /// The time of the endpoint's last 429; `None` when there was none since the start.
    #[must_use]
    pub(crate) fn last_429(&self, endpoint: Endpoint) -> Option<Timestamp> {
        let at = self.state(endpoint).last_429.load(Ordering::Relaxed);
        Timestamp::from_millisecond(at).ok().filter(|_| at > 0)
    }
}
