//! Counts of shadow comparisons.

use super::values::{boolean, float};
use crate::config::{Config, Mode};
use crate::shadow::Shadow;
use crate::telemetry::metrics::exposition::{Labels, MetricFamily};
use crate::telemetry::metrics::registry::{
    SHADOW_ACTIVE, SHADOW_COMPARISONS, SHADOW_DROPPED, SHADOW_DUE, SHADOW_HELD, SHADOW_WAITING,
};
use crate::translate::route::Route;

pub(super) fn families(shadow: &Shadow, config: &Config) -> Vec<MetricFamily> {
    let due = shadow.stats().all_due();
    let configured = Route::ALL.into_iter().any(|route| config.modes.of(route) == Mode::Shadow);
    let active = configured.then(|| boolean(shadow.idle_reason(config).is_none()));
    let mut families = vec![
        SHADOW_ACTIVE.value(active),
        SHADOW_COMPARISONS.counts(comparisons(shadow)),
        SHADOW_DROPPED.counts(dropped(shadow)),
    ];
    if configured || due > 0 {
        families.extend([
            SHADOW_DUE.count(due),
            SHADOW_WAITING.value(Some(float(shadow.jobs_waiting() as u64))),
            SHADOW_HELD.value(Some(float(shadow.bytes_held() as u64))),
        ]);
    }
    families
}

fn comparisons(shadow: &Shadow) -> Vec<(Labels, u64)> {
    let comparisons = shadow.stats().verdicts().into_iter().map(|counted| {
        let severity = counted.severity.map_or("none", |severity| severity.as_str());
        let labels = vec![
            ("route", counted.route.as_str().into()),
            ("verdict", counted.verdict.as_str().into()),
            ("severity", severity.into()),
        ];
        (labels, counted.count)
    });
    comparisons.collect()
}

fn dropped(shadow: &Shadow) -> Vec<(Labels, u64)> {
    let dropped = shadow.stats().all_dropped().into_iter();
    let dropped = dropped.map(|dropped| {
        let labels = vec![("route", dropped.route.as_str().into()), ("reason", dropped.reason.into())];
        (labels, dropped.count)
    });
    dropped.collect()
}
