//! What `/metrics` tells: what was recorded on the way, and what other rooms keep anyway, collected now. What cannot be read is
//! left out, never 0.

mod config;
mod notes;
mod shadow;
mod vendor;

use super::process;
use super::view::View;
use crate::proxy::App;
use crate::telemetry::metrics::exposition::{Figure, Labels, to_text};
use crate::telemetry::metrics::registry::Name as _;
use crate::telemetry::traces::SpanCounts;

impl View {
    /// Everything, as text for Prometheus.
    #[must_use]
    pub fn metrics(&self) -> String {
        let app = self.app();
        // In this order: a reload that is told of is in force.
        let reloads = self.reloads().clone();
        let config = app.config.load_full();
        let mut figures = app.shared.metrics.figures();
        figures.extend(in_flight(app));
        figures.extend(vendor::sides(app));
        figures.extend(vendor::budget(self.budget(), &config));
        figures.extend(config::figures(&config, &reloads));
        figures.extend(ledger(app));
        figures.extend(notes::figures(self.notes()));
        figures.extend(app.shadow.iter().flat_map(|shadow| shadow::figures(shadow, &config)));
        figures.extend(self.spans().into_iter().flat_map(spans));
        figures.extend(self.of_process());
        to_text(figures)
    }

    fn of_process(&self) -> Vec<Figure> {
        let version: Labels = vec![("version", env!("CARGO_PKG_VERSION").into())];
        let started = float(self.started_at().as_second().unsigned_abs());
        vec![
            Figure::infos("build", "The program.", vec![version]),
            Figure::gauge(
                "process_start_time",
                "When the process started, in seconds since 1970.",
                Some(started),
            )
            .seconds()
            .of_any_process(),
            Figure::gauge("process_resident_memory", "Memory in use.", process::resident_bytes().map(float))
                .bytes()
                .of_any_process(),
            Figure::gauge("process_open_fds", "Open file descriptors.", process::open_fds().map(float))
                .of_any_process(),
            Figure::gauge(
                "process_max_fds",
                "Most of them that there may be.",
                process::max_fds().map(float),
            )
            .of_any_process(),
        ]
    }
}

fn spans(counts: &SpanCounts) -> [Figure; 2] {
    [
        Figure::counters("spans_made", "Spans that were to be sent to the collector.", &counts.made),
        Figure::counters("spans", "Spans that were sent to the collector.", &counts.sent),
    ]
}

fn in_flight(app: &App) -> Vec<Figure> {
    let by_route = app.admission.by_route().into_iter();
    let by_route = by_route.map(|(route, count)| (vec![("route", route.text().into())], float(count as u64)));
    vec![
        Figure::gauges("requests_in_flight", "Requests that are being answered.", by_route.collect()),
        Figure::gauge(
            "clients_in_flight",
            "Clients with requests in flight.",
            Some(float(app.admission.clients() as u64)),
        ),
        Figure::gauge(
            "writes_in_flight",
            "Writes under way, their client there or not.",
            Some(float(app.shared.detached.len() as u64)),
        ),
        Figure::counters_seen(
            "requests_shed",
            "Requests refused because too much was in flight.",
            app.admission.shed(),
        ),
    ]
}

fn ledger(app: &App) -> Vec<Figure> {
    let Some(ledger) = &app.shared.ledger else { return Vec::new() };
    let up = Some(f64::from(u8::from(ledger.health().is_ready())));
    vec![
        Figure::gauge("ledger_up", "Whether the ledger's last calls went well.", up),
        Figure::counts(
            "ledger_commits",
            "Transactions of this process.",
            vec![(Vec::new(), ledger.commits())],
        ),
        Figure::histograms("ledger_operation", "Time of calls to the ledger.", ledger.reader().times()),
    ]
}

#[expect(clippy::cast_precision_loss, reason = "gauges are floats; none of these comes near 2^53")]
const fn float(number: u64) -> f64 {
    number as f64
}
