//! What `/metrics` tells: what was recorded on the way, and what other rooms keep anyway, collected now. What cannot be read is
//! left out, never 0.

use super::process;
use super::view::View;
use crate::config::{Config, Mode, ROUTES};
use crate::meters::Name as _;
use crate::proxy::App;
use crate::shadow::Shadow;
use crate::side::Side;
use crate::telemetry::metrics::expose::{Figure, Labels, to_text};

impl View {
    /// Everything, as text for Prometheus.
    #[must_use]
    pub fn metrics(&self) -> String {
        let app = self.app();
        let config = app.config.load_full();
        let mut figures = app.shared.metrics.figures();
        figures.extend(in_flight(app));
        figures.extend(upstream(app));
        figures.extend(budget(&config));
        figures.extend(self.of_config(&config));
        figures.extend(ledger(app));
        figures.extend(self.of_notes());
        figures.extend(app.shadow.iter().flat_map(|shadow| of_shadow(shadow, &config)));
        let sent = |spans| Figure::counters("spans", "Spans that were sent to the collector.", spans);
        figures.extend(self.spans().map(sent));
        figures.extend(self.of_process());
        to_text(figures)
    }

    fn of_config(&self, config: &Config) -> Vec<Figure> {
        let reloads = self.reloads().clone();
        let standing = reloads.refused.is_some_and(|refused| refused.standing);
        let modes = ROUTES.map(|route| {
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

fn upstream(app: &App) -> Vec<Figure> {
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

/// The vendor's rate limit, and what is left of it.
fn budget(config: &Config) -> Vec<Figure> {
    let limit = Some(f64::from(config.budget.per_second));
    vec![Figure::gauge("budget_calls_per_second", "What the vendor allows for one endpoint.", limit)]
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

fn of_shadow(shadow: &Shadow, config: &Config) -> Vec<Figure> {
    let tally = shadow.tally();
    let configured = ROUTES.into_iter().any(|route| config.modes.of(route) == Mode::Shadow);
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

#[expect(clippy::cast_precision_loss, reason = "gauges are floats; none of these comes near 2^53")]
const fn float(number: u64) -> f64 {
    number as f64
}
