//! Collects the metrics for `/metrics`: those that requests recorded, and those that other parts keep for themselves, read now. A value that
//! cannot be read is left out and never reported as 0. All metrics are declared in `telemetry::metrics::registry`.

mod advisories;
mod config;
mod logs;
mod reconcile;
mod shadow;
mod values;
mod vendor;

use self::values::{boolean, float};
use super::process;
use super::view::View;
use crate::ledger::TripState;
use crate::proxy::App;
use crate::telemetry::metrics::exposition::{MetricFamily, to_text};
use crate::telemetry::metrics::label_set::LabelValue as _;
use crate::telemetry::metrics::registry::{
    BUILD, CLIENTS_IN_FLIGHT, LEDGER_COMMITS, LEDGER_OPERATION, LEDGER_UP, PROCESS_MAX_FDS, PROCESS_OPEN_FDS,
    PROCESS_RESIDENT_MEMORY, PROCESS_START_TIME, REQUESTS_IN_FLIGHT, REQUESTS_SHED, SPANS, SPANS_ENDED,
    TRIPPED, WRITES_IN_FLIGHT,
};
use crate::telemetry::traces::SpanCounts;

impl View {
    /// All metrics in the OpenMetrics text format.
    #[must_use]
    pub(crate) fn metrics(&self) -> String {
        let app = self.app();
        // Reloads before config: a reload that is reported is then active.
        let reloads = self.reloads().clone();
        let config = app.config.load_full();
        let mut families = app.services.metrics.families();
        families.extend(in_flight(app));
        families.extend(vendor::sides(app));
        families.extend(vendor::budget(self.budget(), &config));
        families.extend(config::families(&config, &reloads));
        families.extend(ledger(app));
        families.extend(advisories::families(self.advisories()));
        families.extend(reconcile::families(&self.reconciler().status(), &config));
        families.extend(app.shadow.iter().flat_map(|shadow| shadow::families(shadow, &config)));
        families.extend(self.spans().into_iter().flat_map(spans));
        families.extend(logs::families(&self.logs()));
        families.extend(self.process());
        to_text(families)
    }

    fn process(&self) -> [MetricFamily; 5] {
        let started = float(self.started_at().as_second().unsigned_abs());
        [
            BUILD.infos(vec![vec![("version", env!("CARGO_PKG_VERSION").into())]]),
            PROCESS_START_TIME.value(Some(started)),
            PROCESS_RESIDENT_MEMORY.value(process::resident_bytes().map(float)),
            PROCESS_OPEN_FDS.value(process::open_fds().map(float)),
            PROCESS_MAX_FDS.value(process::max_fds().map(float)),
        ]
    }
}

fn spans(counts: &SpanCounts) -> [MetricFamily; 2] {
    [SPANS_ENDED.counters(&counts.ended), SPANS.counters(&counts.sent)]
}

fn in_flight(app: &App) -> [MetricFamily; 4] {
    let by_route = app.admission.by_route().into_iter();
    let by_route =
        by_route.map(|(route, count)| (vec![("route", route.as_str().into())], float(count as u64)));
    [
        REQUESTS_IN_FLIGHT.gauges(by_route.collect()),
        CLIENTS_IN_FLIGHT.value(Some(float(app.admission.clients() as u64))),
        WRITES_IN_FLIGHT.value(Some(float(app.services.detached.len() as u64))),
        REQUESTS_SHED.counters(app.admission.shed()),
    ]
}

fn ledger(app: &App) -> Vec<MetricFamily> {
    let Some(ledger) = &app.services.ledger else { return Vec::new() };
    let tripped = match ledger.trip_state() {
        TripState::Unknown => None,
        TripState::Clear => Some(boolean(false)),
        TripState::Set(_) => Some(boolean(true)),
    };
    vec![
        TRIPPED.value(tripped),
        LEDGER_UP.value(Some(boolean(ledger.health().is_ready()))),
        LEDGER_COMMITS.count(ledger.commits()),
        LEDGER_OPERATION.histograms(ledger.reader().times()),
    ]
}
