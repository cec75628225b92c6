//! The two upstreams: whether they are reachable, and the use of their rate limits.

use super::values::{boolean, float};
use crate::config::Config;
use crate::proxy::App;
use crate::telemetry::metrics::exposition::{Labels, MetricFamily, labels};
use crate::telemetry::metrics::registry::{
    BUDGET_ALLOWED_CALLS_PER_SECOND, BUDGET_CALLS, BUDGET_CALLS_PER_SECOND, BUDGET_COOLDOWN_LEFT,
    BUDGET_LAST_429_TIMESTAMP, BUDGET_REFUSED, BUDGET_WAITING, DRIFT, TOKEN_FETCHES, UPSTREAM_REACHABLE,
};
use crate::upstream::health::UpstreamLane;
use crate::upstream::rate_limit::{Budget, CallClass, Endpoint};

pub(super) fn sides(app: &App) -> [MetricFamily; 3] {
    let reachable = UpstreamLane::ALL.into_iter().filter_map(|lane| {
        let reachable = app.services.health.is_reachable(lane)?;
        let (side, lane) = lane.labels();
        Some((vec![("side", side.into()), ("lane", lane.into())], boolean(reachable)))
    });
    [
        UPSTREAM_REACHABLE.gauges(reachable.collect()),
        TOKEN_FETCHES.counters(app.services.upstream.token_fetches()),
        DRIFT.counters(app.services.upstream.drift().counts()),
    ]
}

/// `budget` must have adopted `config`.
pub(super) fn budget(budget: &Budget, config: &Config) -> [MetricFamily; 7] {
    let counted: Vec<_> = budget.endpoints().collect();
    let calls = budget.calls().all().filter(|((endpoint, _), _)| counted.contains(endpoint));
    let calls = calls.map(|(key, count)| (labels(key), count));
    // Shadow comparisons without budget are counted in `shadow_dropped`, and never wait.
    let refused = budget
        .refused()
        .all()
        .filter(|((endpoint, class), _)| *class != CallClass::Shadow && counted.contains(endpoint));
    let refused = refused.map(|(key, count)| (labels(key), count));
    let waiting = [CallClass::Client, CallClass::Lookup].into_iter().flat_map(|class| {
        counted
            .iter()
            .map(move |&endpoint| (labels((endpoint, class)), float(budget.waiting(endpoint, class))))
    });
    let last_429 = |endpoint| Some(float(budget.last_429(endpoint)?.as_second().unsigned_abs()));
    let cooldown = budget.cooldown_left().unwrap_or_default();
    [
        BUDGET_CALLS_PER_SECOND.value(Some(f64::from(config.budget.per_second))),
        BUDGET_ALLOWED_CALLS_PER_SECOND.gauges(by_endpoint(|endpoint| budget.allowed_per_second(endpoint))),
        BUDGET_CALLS.counts(calls.collect()),
        BUDGET_REFUSED.counts(refused.collect()),
        BUDGET_WAITING.gauges(waiting.collect()),
        BUDGET_LAST_429_TIMESTAMP.gauges(by_endpoint(last_429)),
        BUDGET_COOLDOWN_LEFT.value(Some(cooldown.as_secs_f64())),
    ]
}

/// One value for each endpoint that has one.
fn by_endpoint(value: impl Fn(Endpoint) -> Option<f64>) -> Vec<(Labels, f64)> {
    let endpoints = Endpoint::ALL.into_iter();
    endpoints.filter_map(|endpoint| Some((labels((endpoint,)), value(endpoint)?))).collect()
}
