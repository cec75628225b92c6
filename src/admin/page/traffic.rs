//! The last hour: requests by route and side, and upstream latency.

use maud::{Markup, html};

use super::super::history::{Hour, MINUTES};
use super::elements::scrolling;
use crate::telemetry::format::count;
use crate::telemetry::metrics::family::{DURATIONS, HistogramSnapshot};
use crate::telemetry::metrics::label_set::LabelValue as _;
use crate::telemetry::metrics::labels::StatusClass;
use crate::translate::side::Side;

/// Height of the plot, and the width of one minute's bar with its gap.
const HEIGHT: u64 = 120;
const STEP: usize = 10;

const SIDES: [(&str, &str); 3] = [("legacy", "legacy side"), ("new", "new side"), ("nowhere", "no upstream")];

/// Status classes of failed requests, the worst first.
const FAILURES: [(StatusClass, &str); 3] = [
    (StatusClass::ServerError, "5xx"),
    (StatusClass::ClientError, "4xx"),
    (StatusClass::ClientClosed, "client left"),
];

pub(super) fn requests(hour: &Hour) -> Markup {
    let all: u64 = hour.requests.iter().map(|(_, answers)| answers.all()).sum();
    html! {
        section id="traffic" {
            h2 { "Requests in the last hour" }
            @if all == 0 {
                p.quiet { "None." }
            } @else {
                (plot(hour))
                p.legend {
                    @for (class, name) in SIDES { span { span.swatch.(class) {} (name) } }
                }
                (scrolling("Requests by route and side", &html! {
                    table {
                        thead { tr {
                            th { "route" } th { "side" } th.number { "requests" }
                            @for (_, name) in FAILURES { th.number { (name) } }
                        } }
                        tbody {
                            @for ((route, side), answers) in &hour.requests {
                                tr {
                                    td { (route.as_str()) }
                                    td { (side.map_or("none", Side::as_str)) }
                                    td.number { (count(answers.all())) }
                                    @for (class, _) in FAILURES {
                                        td.number.is-bad[class == StatusClass::ServerError && answers.of(class) > 0] {
                                            (count(answers.of(class)))
                                        }
                                    }
                                }
                            }
                        }
                    }
                }))
            }
        }
    }
}

/// One stacked bar per minute, the newest at the right.
fn plot(hour: &Hour) -> Markup {
    let most = hour.minutes.iter().map(|sides| sides.iter().sum()).max().unwrap_or(1).max(1);
    let first = MINUTES.saturating_sub(hour.minutes.len());
    html! {
        figure {
            svg.minutes role="img" aria-label=(format!("Requests per minute, maximum {most}"))
                viewBox=(format!("0 0 {} {HEIGHT}", MINUTES * STEP)) preserveAspectRatio="none" {
                rect.track x="0" y="0" width=(MINUTES * STEP) height=(HEIGHT) {}
                @for (at, sides) in hour.minutes.iter().enumerate() {
                    @for (class, top, height) in stacked(*sides, most) {
                        rect.(class) x=((first + at) * STEP + 1) y=(top) width=(STEP - 2) height=(height) {}
                    }
                }
            }
            figcaption.ends { span { "an hour ago" } span { "maximum " (count(most)) " per minute" } span { "now" } }
        }
    }
}

/// Class, top and height of the parts of a bar; every part is at least two units high.
fn stacked(sides: [u64; 3], most: u64) -> Vec<(&'static str, u64, u64)> {
    let mut top = HEIGHT;
    let parts = sides.into_iter().zip(SIDES).filter(|(requests, _)| *requests > 0);
    let parts = parts.map(|(requests, (class, _))| {
        let height = (requests.saturating_mul(HEIGHT) / most).max(2).min(top);
        top -= height;
        (class, top, height)
    });
    parts.collect()
}

pub(super) fn latency(hour: &Hour) -> Markup {
    let called = hour.latency.iter().filter(|(_, shape)| shape.count() > 0);
    let rows: Vec<_> = called.map(|(side, shape)| (*side, shape)).collect();
    html! {
        section id="latency" {
            h2 { "Upstream latency" }
            @if rows.is_empty() {
                p.quiet { "No upstream call in the last hour." }
            } @else {
                p.quiet { "p50, p95 and p99 of the calls of the last hour, including calls without an answer." }
                (scrolling("Upstream latency", &html! {
                    table {
                        thead { tr {
                            th { "side" } th.number { "calls" } th.number { "p50" } th.number { "p95" } th.number { "p99" }
                            th.wide { span.unseen { "distribution" } }
                        } }
                        tbody { @for (side, shape) in rows { (latency_row(side, shape)) } }
                    }
                }))
            }
        }
    }
}

fn latency_row(side: Side, shape: &HistogramSnapshot) -> Markup {
    let class = side.as_str();
    let most = shape.counts.iter().max().copied().unwrap_or(1).max(1);
    html! {
        tr {
            td.time { span.swatch.(class) {} (class) }
            td.number { (count(shape.count())) }
            @for percent in [50, 95, 99] { td.number { (quantile(shape, percent)) } }
            td.wide {
                svg.spread role="img" aria-label="Calls by latency, from fast to slow"
                    viewBox=(format!("0 0 {} 24", shape.counts.len() * STEP)) preserveAspectRatio="none" {
                    rect.track x="0" y="0" width=(shape.counts.len() * STEP) height="24" {}
                    @for (at, calls) in shape.counts.iter().enumerate().filter(|(_, calls)| **calls > 0) {
                        @let height = (calls * 24 / most).max(2);
                        rect.(class) x=(at * STEP + 1) y=(24 - height) width=(STEP - 2) height=(height) {}
                    }
                }
            }
        }
    }
}

/// The upper bound of the bucket that holds this percentile.
fn quantile(shape: &HistogramSnapshot, percent: u64) -> String {
    let rank = shape.count().saturating_mul(percent).div_ceil(100);
    let mut ended = 0;
    let bucket = shape.counts.iter().position(|count| {
        ended += count;
        ended >= rank
    });
    match bucket.and_then(|bucket| DURATIONS.bounds.get(bucket)) {
        Some(end) if *end < 1_000 => format!("≤ {end} µs"),
        Some(end) if *end < 1_000_000 && end % 1_000 != 0 => {
            format!("≤ {}.{} ms", end / 1_000, end % 1_000 / 100)
        }
        Some(end) if *end < 1_000_000 => format!("≤ {} ms", end / 1_000),
        Some(end) if end % 1_000_000 != 0 => format!("≤ {}.{} s", end / 1_000_000, end % 1_000_000 / 100_000),
        Some(end) => format!("≤ {} s", end / 1_000_000),
        None => "longer than 30 s".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_the_upper_bound_of_its_bucket() {
        let mut counts = vec![0; DURATIONS.bounds.len() + 1];
        (counts[2], counts[10], counts[15]) = (94, 5, 1);
        let shape = HistogramSnapshot { counts, sum: 0 };
        let shown = [50, 94, 95, 99, 100].map(|percent| quantile(&shape, percent));
        assert_eq!(shown, ["≤ 2.5 ms", "≤ 2.5 ms", "≤ 1 s", "≤ 1 s", "longer than 30 s"]);
    }

    #[test]
    fn a_bar_never_overflows_and_its_smallest_part_is_visible() {
        assert_eq!(stacked([1, 999_999, 0], 1_000_000), [("legacy", 118, 2), ("new", 0, 118)]);
    }
}
