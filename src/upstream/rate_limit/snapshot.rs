//! The budget as operators see it: what has been paid for and refused, who waits, how fast it may go on. In `/status` and the command
//! that reads it as documents; for `/metrics` and the page one by one.

use std::sync::atomic::Ordering;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Budget, CallClass, Endpoint, numbers};
use crate::telemetry::metrics::family::Counters;

/// What the vendor's limit is averaged over, in seconds.
const WINDOW: u64 = 300;

/// What is spent, and what holds it back.
#[derive(Debug, Serialize, Deserialize)]
pub struct Shown {
    /// How long the cool-down after a 429 lasts still; absent when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cooldown_seconds_left: Option<u64>,
    /// This process's part of the vendor's limit: calls to one endpoint in five minutes. Absent before there is a config.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub five_minutes_max: Option<u64>,
    /// What the vendor counts apart.
    pub endpoints: Vec<ShownEndpoint>,
}

/// One endpoint, as this process knows it.
#[derive(Debug, Serialize, Deserialize)]
pub struct ShownEndpoint {
    /// `legacy create`, `new list`, `token`.
    pub endpoint: String,
    /// How many calls a second this process may make now, once what it saved is spent. Absent before there is a config.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_second: Option<f64>,
    /// Calls made since the start.
    pub calls: u64,
    /// The same by who paid.
    #[serde(default)]
    pub calls_by: Calls,
    /// Calls that wait for their turn.
    pub waiting: u64,
    /// Calls that were refused a turn since the start, comparisons not counted.
    pub refused: u64,
    /// When it last answered 429; absent: never since the start. RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_429: Option<String>,
}

/// Calls by who paid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calls {
    /// What clients asked for, and tokens of the proxy's own.
    pub client: u64,
    /// Looks before a create, and after one without a certain outcome.
    pub fence: u64,
    /// Comparisons.
    pub shadow: u64,
}

impl Calls {
    /// All of them.
    #[must_use]
    pub const fn all(self) -> u64 {
        self.client + self.fence + self.shadow
    }
}

impl Budget {
    /// How it stands.
    #[must_use]
    pub fn shown(&self) -> Shown {
        let of_process = self.0.plan.load().as_ref().map(|plan| {
            let (budget, replicas) = numbers(&plan.of);
            u64::from(budget.per_second) * WINDOW / u64::from(replicas.max(1))
        });
        Shown {
            // Rounded up: what lasts still does not last 0 s.
            cooldown_seconds_left: self.cooldown_left().map(|left| left.as_secs() + 1),
            five_minutes_max: of_process,
            endpoints: Endpoint::ALL.map(|endpoint| self.shown_endpoint(endpoint)).into(),
        }
    }

    fn shown_endpoint(&self, endpoint: Endpoint) -> ShownEndpoint {
        let (calls_by, refused) = (self.calls_by(endpoint), self.refused());
        ShownEndpoint {
            endpoint: endpoint.name().into(),
            per_second: self.allowed_per_second(endpoint),
            calls: calls_by.all(),
            calls_by,
            waiting: self.waiting(endpoint, CallClass::Client) + self.waiting(endpoint, CallClass::Fence),
            refused: refused.get((endpoint, CallClass::Client)) + refused.get((endpoint, CallClass::Fence)),
            last_429: self.last_429(endpoint).map(|at| at.to_string()),
        }
    }

    /// Calls made since the start, by who paid.
    #[must_use]
    pub fn calls_by(&self, endpoint: Endpoint) -> Calls {
        let of = |payer| self.0.calls.get((endpoint, payer));
        Calls { client: of(CallClass::Client), fence: of(CallClass::Fence), shadow: of(CallClass::Shadow) }
    }

    /// Calls made since the start.
    #[must_use]
    pub fn calls(&self) -> &Counters<(Endpoint, CallClass)> {
        &self.0.calls
    }

    /// Calls that were refused a turn since the start. A comparison that had none is shadow's to count.
    #[must_use]
    pub fn refused(&self) -> &Counters<(Endpoint, CallClass)> {
        &self.0.refused
    }

    /// Calls that wait for their turn; comparisons never do.
    #[must_use]
    pub fn waiting(&self, endpoint: Endpoint, payer: CallClass) -> u64 {
        let desk = &self.0.desks[endpoint.at()];
        match payer {
            CallClass::Client | CallClass::Fence => desk.line(payer).waiting(),
            CallClass::Shadow => 0,
        }
    }

    /// How many calls a second this process may make now, once what it saved is spent. `None` = no config says so yet.
    #[must_use]
    pub fn allowed_per_second(&self, endpoint: Endpoint) -> Option<f64> {
        let plan = self.0.plan.load();
        plan.as_ref().map(|plan| plan.allowances[endpoint.at()].per_second(self.is_cooling()))
    }

    /// When the endpoint last answered 429; `None` = never since the start.
    #[must_use]
    pub fn last_429(&self, endpoint: Endpoint) -> Option<Timestamp> {
        let at = self.0.desks[endpoint.at()].last_429.load(Ordering::Relaxed);
        Timestamp::from_millisecond(at).ok().filter(|_| at > 0)
    }
}
