//! The vendor as it is seen from here: whether its sides can be reached, and what is spent of its rate limit.

use super::float;
use crate::config::Config;
use crate::proxy::App;
use crate::telemetry::metrics::exposition::{Figure, Labels, labels};
use crate::translate::side::Side;
use crate::upstream::rate_limit::{Budget, CallClass, Endpoint};

pub(super) fn sides(app: &App) -> Vec<Figure> {
    let seen = [Side::Legacy, Side::New].into_iter().filter_map(|side| {
        let reachable = app.shared.reach.is_reachable(side)?;
        Some((vec![("side", side.as_str().into())], f64::from(u8::from(reachable))))
    });
    vec![
        Figure::gauges("upstream_reachable", "Whether a side can be reached, as last seen.", seen.collect()),
        Figure::counters(
            "own_tokens",
            "Tokens of the proxy's own, asked for.",
            app.shared.upstream.tokens_asked(),
        ),
    ]
}

/// The rate budget by endpoint, and where it is told apart by who pays. It has taken over the config before it is asked.
pub(super) fn budget(budget: &Budget, config: &Config) -> Vec<Figure> {
    let refused = budget.refused().all().filter(|((_, payer), _)| *payer != CallClass::Shadow);
    let refused = refused.map(|(key, count)| (labels(key), count));
    let waiting = [CallClass::Client, CallClass::Fence].into_iter().flat_map(|payer| {
        Endpoint::ALL.map(|endpoint| (labels((endpoint, payer)), float(budget.waiting(endpoint, payer))))
    });
    let limit = Some(f64::from(config.budget.per_second));
    let cooldown = Some(budget.cooldown_left().unwrap_or_default().as_secs_f64());
    vec![
        Figure::gauge("budget_calls_per_second", "What the vendor allows for one endpoint.", limit),
        Figure::gauges(
            "budget_allowed_calls_per_second",
            "What this process may spend now.",
            of_each(|endpoint| budget.allowed_per_second(endpoint)),
        ),
        Figure::counters("budget_calls", "Calls that were paid for.", budget.calls()),
        Figure::counts("budget_refused", "Calls that had no turn and were not sent.", refused.collect()),
        Figure::gauges("budget_waiting", "Calls that wait for their turn.", waiting.collect()),
        Figure::gauges(
            "budget_last_429_timestamp",
            "When an endpoint last answered 429, in seconds since 1970.",
            of_each(|endpoint| Some(float(budget.last_429(endpoint)?.as_second().unsigned_abs()))),
        )
        .seconds(),
        Figure::gauge("budget_cooldown_left", "How long the cool-down after a 429 lasts still.", cooldown)
            .seconds(),
    ]
}

/// One value for each endpoint that has one.
fn of_each(value: impl Fn(Endpoint) -> Option<f64>) -> Vec<(Labels, f64)> {
    let each = Endpoint::ALL.into_iter();
    each.filter_map(|endpoint| Some((labels((endpoint,)), value(endpoint)?))).collect()
}
