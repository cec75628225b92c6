//! What shadow keeps count of.

use super::float;
use crate::config::{Config, Mode};
use crate::shadow::Shadow;
use crate::telemetry::metrics::exposition::{Figure, Labels};
use crate::translate::route::Route;

pub(super) fn figures(shadow: &Shadow, config: &Config) -> Vec<Figure> {
    let tally = shadow.tally();
    let configured = Route::ALL.into_iter().any(|route| config.modes.of(route) == Mode::Shadow);
    let active = configured.then(|| f64::from(u8::from(shadow.idle_reason(config).is_none())));
    let verdicts = tally.verdicts().into_iter().map(|counted| {
        let severity = counted.severity.map_or("none", |severity| severity.as_str());
        let labels: Labels = vec![
            ("route", counted.route.as_str().into()),
            ("verdict", counted.verdict.as_str().into()),
            ("severity", severity.into()),
        ];
        (labels, counted.count)
    });
    let dropped = tally.all_dropped().into_iter().map(|dropped| {
        let labels: Labels =
            vec![("route", dropped.route.as_str().into()), ("reason", dropped.reason.into())];
        (labels, dropped.count)
    });
    let mut figures = vec![
        Figure::gauge("shadow_active", "Whether comparisons are made.", active),
        Figure::counts("shadow_comparisons", "Comparisons made.", verdicts.collect()),
        Figure::counts("shadow_dropped", "Comparisons dropped.", dropped.collect()),
    ];
    if configured || tally.all_due() > 0 {
        let (waiting, held) = (float(shadow.jobs_waiting() as u64), float(shadow.bytes_held() as u64));
        figures.extend([
            Figure::counts(
                "shadow_due",
                "Comparisons that were to be made.",
                vec![(Vec::new(), tally.all_due())],
            ),
            Figure::gauge("shadow_waiting", "Comparisons that wait.", Some(waiting)),
            Figure::gauge("shadow_held", "Memory that their bodies take.", Some(held)).bytes(),
        ]);
    }
    figures
}
