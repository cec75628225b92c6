//! The config in force, and what reloads came to.

use crate::config::{Config, Mode, Reloads};
use crate::telemetry::metrics::exposition::Figure;
use crate::translate::route::Route;

pub(super) fn figures(config: &Config, reloads: &Reloads) -> Vec<Figure> {
    let standing = reloads.refused.as_ref().is_some_and(|refused| refused.standing);
    let modes = Route::ALL.map(|route| {
        vec![("route", route.as_str().into()), ("mode", config.modes.of(route).as_str().into())]
    });
    let result = |result: &'static str, count| (vec![("result", result.into())], count);
    let in_force = vec![("hash", config.hash.clone().into()), ("stage", config.stage.as_str().into())];
    vec![
        Figure::infos("config", "The config in force.", vec![in_force]),
        Figure::infos("route_mode", "The mode of each route.", modes.to_vec()),
        Figure::gauge(
            "canary_percent",
            "Share of the profiles not listed that create on the new API.",
            (config.modes.create == Mode::Canary).then_some(f64::from(config.canary.percent)),
        ),
        Figure::counts(
            "reloads",
            "Configs that were read anew.",
            vec![result("accepted", reloads.accepted), result("refused", reloads.refusals)],
        ),
        Figure::gauge(
            "reload_refusal_standing",
            "Whether what is configured is not what is running.",
            Some(f64::from(u8::from(standing))),
        ),
    ]
}
