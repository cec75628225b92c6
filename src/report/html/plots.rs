//! The plots, as SVG that stretches with the page. Horizontal positions are percentages, so that text keeps its size.

use maud::{Markup, html};

use super::classes::of_class;
use crate::report::document::{Class, Column, Latency, RouteReport, VerdictCount};
use crate::telemetry::format::{count, milliseconds, percent};

/// A share of the width of the plot.
fn across(share: f64) -> String {
    format!("{:.3}%", share.clamp(0.0, 1.0) * 100.0)
}

/// Smallest width of a share above 0: one difference among thousands must be visible.
const LEAST: f64 = 0.005;

/// The verdicts of a route in one bar.
pub(super) fn stacked(route: &RouteReport) -> Markup {
    let there = || route.verdicts.iter().filter(|verdict| verdict.count > 0);
    let whole: f64 = there().map(|verdict| verdict.share.max(LEAST)).sum();
    let parts = there().scan(0.0, |end, verdict| {
        let (start, width) = (*end, verdict.share.max(LEAST) / whole);
        *end += width;
        Some((start, width, verdict))
    });
    html! {
        svg.stacked role="img" aria-label="Comparisons by verdict" width="100%" height="18" {
            @for (start, width, verdict) in parts {
                rect.(of_class(Class::of(verdict.verdict))) x=(across(start)) y="0" height="18" width=(across(width)) {
                    title { (verdict.verdict.as_str()) ": " (count(verdict.count)) ", " (percent(verdict.share)) }
                }
            }
        }
    }
}

/// One verdict's share. A share above 0 is always visible.
pub(super) fn share(verdict: &VerdictCount) -> Markup {
    html! {
        svg.bar role="img" aria-label=(percent(verdict.share)) width="100%" height="14" {
            rect.track x="0" y="0" width="100%" height="14" rx="2" {}
            rect.(of_class(Class::of(verdict.verdict))) x="0" y="0" width="2" height="14" {}
            @if verdict.share > LEAST {
                rect.(of_class(Class::of(verdict.verdict))) x="0" y="0" width=(across(verdict.share)) height="14" rx="2" {}
            }
        }
    }
}

/// Height of a bar of latency, with its gap, in pixels.
const BAR: usize = 20;

/// p50, p95 and p99 of both sides.
pub(super) fn latency(served: Option<Latency>, other: Option<Latency>) -> Markup {
    let quantiles = |it: Latency| [("p50", it.p50_ms), ("p95", it.p95_ms), ("p99", it.p99_ms)];
    let longest = [served, other].iter().flatten().map(|it| it.p99_ms).fold(0.001, f64::max);
    let bars = (0..3).flat_map(|at| {
        let sides = [("served", served), ("other", other)];
        sides.into_iter().filter_map(move |(side, it)| {
            let (name, time) = quantiles(it?)[at];
            Some((name, side, time))
        })
    });
    let bars: Vec<_> = bars.enumerate().collect();
    html! {
        svg.latency role="img" aria-label="Latency of both sides" width="100%" height=(bars.len() * BAR + 4) {
            @for (at, (name, side, time)) in bars {
                text.label x="0" y=(at * BAR + 14) { (name) " " (side) }
                // The labels have the first part of the plot, the times the last.
                rect.(side) x="24%" y=(at * BAR + 3) width=(across((time / longest * 0.58).max(0.004))) height="14" rx="2" {}
                text.value x=(across(0.25 + time / longest * 0.58)) y=(at * BAR + 14) { (milliseconds(time)) }
            }
        }
    }
}

/// Height of the columns, in pixels.
const HEIGHT: f64 = 90.0;

/// Comparisons over time, stacked by class.
pub(super) fn over_time(columns: &[Column]) -> Markup {
    let all = columns.last().map_or(1, |last| last.index + 1) as f64;
    let highest = columns.iter().map(total).fold(1.0, f64::max);
    html! {
        svg.over-time role="img" aria-label="Comparisons over time" width="100%" height=(HEIGHT + 1.0) {
            @for column in columns {
                @for (class, top, height) in stack(column, highest) {
                    rect.(of_class(class)) x=(across(column.index as f64 / all)) y=(format!("{top:.2}"))
                        width=(across((1.0 / all * 0.92).max(0.002))) height=(format!("{height:.2}")) {
                        title { (column.start) ": " (count(class_count(column, class) as u64)) " " (class.as_str()) }
                    }
                }
            }
            line.axis x1="0" x2="100%" y1=(HEIGHT + 0.5) y2=(HEIGHT + 0.5) {}
        }
    }
}

/// The parts of a column that are not empty, from the bottom up: the y coordinate of the top of each, and its height.
fn stack(column: &Column, highest: f64) -> Vec<(Class, f64, f64)> {
    let there = Class::ALL.into_iter().filter(|class| class_count(column, *class) > 0.0);
    let parts = there.scan(HEIGHT, |bottom, class| {
        // A single difference among thousands must be visible.
        let height = (class_count(column, class) / highest * HEIGHT).max(2.0);
        *bottom = (*bottom - height).max(0.0);
        Some((class, *bottom, height))
    });
    parts.collect()
}

/// All comparisons of a column.
pub(super) fn total(column: &Column) -> f64 {
    Class::ALL.map(|class| class_count(column, class)).iter().sum()
}

fn class_count(column: &Column, class: Class) -> f64 {
    let number = match class {
        Class::Agreed => column.agreed,
        Class::Explained => column.explained,
        Class::NotCompared => column.not_compared,
        Class::Differed => column.differed,
    };
    number as f64
}
