//! The decisions, and the figures of each route.

use maud::{Markup, html};

use super::classes::{of_class, of_decision};
use super::plots;
use crate::report::document::{Class, Latency, Report, RouteReport};
use crate::report::matrix::Matrix;
use crate::telemetry::format::{count, milliseconds, percent, span};

/// The decision for each route, with its thresholds.
pub(super) fn verdicts(report: &Report) -> Markup {
    html! {
        section id="verdicts" {
            h2 { "Verdict" }
            div.cards {
                @for route in &report.routes { (card(route)) }
            }
        }
    }
}

fn card(route: &RouteReport) -> Markup {
    let missed = route.checks.iter().filter(|check| !check.passed);
    let met: Vec<_> = route.checks.iter().filter(|check| check.passed).collect();
    html! {
        article.card {
            h3 { (route.route.as_str()) " " span.badge.(of_decision(route.verdict)) { (route.verdict.as_str()) } }
            ul.reasons {
                @for check in missed { li.missed { code { (check.name) } " " (check.text) } }
            }
            @if !met.is_empty() {
                details {
                    summary { (met.len()) " thresholds met" }
                    ul.reasons { @for check in met { li.met { code { (check.name) } " " (check.text) } } }
                }
            }
        }
    }
}

/// Totals, plots, latency and statuses of one route.
pub(super) fn detail(route: &RouteReport) -> Markup {
    html! {
        section id=(route.route.as_str()) {
            h2 { "Route " (route.route.as_str()) }
            p {
                (count(route.records)) " comparisons, "
                @if route.own > 0 { (count(route.own)) " of records made on new, " }
                @if route.pairs > 0 { (count(route.pairs)) " of pairs, " }
                (count(route.judged)) " judged, " (count(route.written)) " written"
                @if route.probe_rows > 0 { "; " (count(route.probe_rows)) " rows of probe's own conversions were not compared" }
            }
            (plots::stacked(route))
            (legend())
            (totals(route))
            (severities(route))
            h3 { "Comparisons over time" }
            (over_time(route))
            h3 { "p50, p95 and p99 latency" }
            (latency(route))
            h3 { "HTTP statuses" }
            (statuses(route))
        }
    }
}

fn legend() -> Markup {
    html! {
        p.legend {
            @for class in Class::ALL { span { span.swatch.(of_class(class)) {} (class.as_str()) } " " }
        }
    }
}

fn totals(route: &RouteReport) -> Markup {
    html! {
        div.scroll { table.totals {
            thead { tr { th { "Verdict" } th.number { "Count" } th.number { "Share" } th.wide {} } }
            tbody {
                @for verdict in route.verdicts.iter().filter(|verdict| verdict.count > 0) {
                    tr {
                        td { code { (verdict.verdict.as_str()) } }
                        td.number { (count(verdict.count)) }
                        td.number { (percent(verdict.share)) }
                        td.wide { (plots::share(verdict)) }
                    }
                }
            }
        } }
    }
}

fn severities(route: &RouteReport) -> Markup {
    let any = route.severities.iter().any(|it| it.mismatch > 0 || it.error_disagreement > 0);
    html! {
        @if any { div.scroll { table.severities {
            thead { tr { th { "Severity" } th.number { "mismatch" } th.number { "error_disagreement" } } }
            tbody {
                @for severity in &route.severities {
                    tr {
                        td { span.severity.(severity.severity.as_str()) { (severity.severity.as_str()) } }
                        td.number { (count(severity.mismatch)) }
                        td.number { (count(severity.error_disagreement)) }
                    }
                }
            }
        } } }
    }
}

fn over_time(route: &RouteReport) -> Markup {
    let ends = route.over_time.first().zip(route.over_time.last());
    let most = route.over_time.iter().map(plots::total).fold(0.0, f64::max);
    html! {
        (plots::over_time(&route.over_time))
        @if let Some((first, last)) = ends {
            p.ends {
                span { (first.start) }
                span { (span(route.column_seconds)) " per column, at most " (count(most as u64)) " comparisons" }
                span { (last.start) }
            }
        }
    }
}

fn latency(route: &RouteReport) -> Markup {
    let sides = [("served", route.latency.served), ("other", route.latency.other)];
    html! {
        (plots::latency(route.latency.served, route.latency.other))
        div.scroll { table {
            thead { tr { th { "Side" } th.number { "p50" } th.number { "p95" } th.number { "p99" } th.number { "max" } th.number { "responses" } } }
            tbody {
                @for (side, latency) in sides { tr { td { (side) } (times(latency)) } }
            }
        } }
    }
}

fn times(latency: Option<Latency>) -> Markup {
    html! {
        @if let Some(Latency { count: answers, p50_ms, p95_ms, p99_ms, max_ms }) = latency {
            @for time in [p50_ms, p95_ms, p99_ms, max_ms] { td.number { (milliseconds(time)) } }
            td.number { (count(answers)) }
        } @else {
            td.never colspan="5" { "not measured" }
        }
    }
}

fn statuses(route: &RouteReport) -> Markup {
    let matrix = Matrix::of(route);
    let largest = matrix.largest();
    html! {
        div.scroll { table.heat {
            thead { tr { th { "served \\ other" } @for column in &matrix.columns { th.number { (column) } } } }
            tbody {
                @for (name, counts) in matrix.rows.iter().zip(&matrix.counts) {
                    tr {
                        th { (name) }
                        @for (column, number) in matrix.columns.iter().zip(counts) {
                            td.number.(heat(name == column, *number, largest)) { @if *number == 0 { "·" } @else { (count(*number)) } }
                        }
                    }
                }
            }
        } }
        @if matrix.outside > 0 { p { "And " (count(matrix.outside)) " with other pairs of statuses." } }
    }
}

/// The strength of the color, one step for each power of ten below the largest count.
fn heat(same: bool, number: u64, largest: u64) -> String {
    if number == 0 {
        return "none".into();
    }
    let steps = largest.ilog10().saturating_sub(number.ilog10()).min(4);
    format!("{}-{}", if same { "same" } else { "apart" }, 5 - steps)
}
