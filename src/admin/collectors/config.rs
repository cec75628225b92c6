//! The active config and the reloads before it.

use super::values::boolean;
use crate::config::{Config, Mode, ReloadHistory};
use crate::telemetry::metrics::exposition::MetricFamily;
use crate::telemetry::metrics::registry::{
    CANARY_PERCENT, CONFIG, CONFIG_LAST_RELOAD_SUCCESSFUL, FACTS_FOUND_TIMESTAMP, RELOADS, ROUTE_MODE,
};
use crate::translate::route::Route;

pub(super) fn families(config: &Config, reloads: &ReloadHistory) -> [MetricFamily; 6] {
    let refused = reloads.refused.as_ref().is_some_and(|refused| refused.active);
    let modes = Route::ALL.map(|route| {
        vec![("route", route.as_str().into()), ("mode", config.modes.of(route).as_str().into())]
    });
    let result = |result: &'static str, count| (vec![("result", result.into())], count);
    let active = vec![("hash", config.hash.clone().into()), ("stage", config.stage.as_str().into())];
    let canary = (config.modes.create == Mode::Canary).then_some(f64::from(config.canary.percent));
    let found_at = config.gate.facts_found_at;
    [
        CONFIG.infos(vec![active]),
        ROUTE_MODE.infos(modes.to_vec()),
        CANARY_PERCENT.value(canary),
        FACTS_FOUND_TIMESTAMP.value(found_at.map(|at| at.as_second() as f64)),
        RELOADS.counts(vec![result("accepted", reloads.accepted), result("refused", reloads.refusals)]),
        CONFIG_LAST_RELOAD_SUCCESSFUL.value(Some(boolean(!refused))),
    ]
}
