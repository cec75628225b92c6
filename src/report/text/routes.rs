//! The decisions, and the figures of each route.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use comfy_table::Cell;

use super::style::{color, heading, of_class, of_decision, of_severity, painted};
use super::table::{Table, bar, left, right, styled};
use crate::report::document::{Check, Class, Decision, Latency, Report, RouteReport};
use crate::report::matrix::Matrix;
use crate::telemetry::format::{count, milliseconds, percent};

/// Terminal columns of the longest bar.
const BAR: usize = 32;

/// The decision for each route, with the thresholds that are not met.
pub(super) fn verdicts(report: &Report, out: &mut String) {
    heading("Verdict", out);
    for route in &report.routes {
        let name = format!("{:6}", route.route.as_str());
        let _ = writeln!(out, "  {name}  {}", painted(route.verdict.as_str(), of_decision(route.verdict)));
        for check in route.checks.iter().filter(|check| !check.passed) {
            let _ = writeln!(out, "          {} {}", painted("✗", color(AnsiColor::Red)), reason(check));
        }
        if route.verdict == Decision::Go {
            let met = route.checks.len();
            let _ = writeln!(
                out,
                "          {} all {met} thresholds are met",
                painted("✓", color(AnsiColor::Green))
            );
        }
    }
}

fn reason(check: &Check) -> String {
    format!("{}: {}", check.name, check.text)
}

/// Totals, latency and statuses of one route.
pub(super) fn detail(route: &RouteReport, out: &mut String) {
    if route.records == 0 {
        return;
    }
    let name = route.route.as_str();
    let (all, judged) = (count(route.records), count(route.judged));
    let of = |number: u64, what: &str| {
        if number > 0 { format!(", {} {what}", count(number)) } else { String::new() }
    };
    let own = of(route.own, "of records made on new") + &of(route.pairs, "of pairs");
    heading(
        &format!("{name}: {all} comparisons{own}, {judged} judged, {} written", count(route.written)),
        out,
    );
    if route.probe_rows > 0 {
        let _ =
            writeln!(out, "  {} rows of probe's own conversions were not compared", count(route.probe_rows));
    }
    totals(route, out);
    severities(route, out);
    latency(route, out);
    statuses(route, out);
}

fn totals(route: &RouteReport, out: &mut String) {
    let mut table = Table::with_head(2, [left("verdict"), right("count"), right("share")]);
    for verdict in route.verdicts.iter().filter(|verdict| verdict.count > 0) {
        table.row([
            left(verdict.verdict.as_str()),
            right(count(verdict.count)),
            right(percent(verdict.share)),
            styled(left(bar(verdict.share, BAR)), of_class(Class::of(verdict.verdict))),
        ]);
    }
    table.write(out);
}

fn severities(route: &RouteReport, out: &mut String) {
    let found = route.severities.iter().filter(|it| it.mismatch > 0 || it.error_disagreement > 0);
    let mut found = found.peekable();
    if found.peek().is_none() {
        return;
    }
    let mut table = Table::with_head(2, [left("severity"), right("mismatch"), right("error_disagreement")]);
    for severity in found {
        table.row([
            styled(left(severity.severity.as_str()), of_severity(severity.severity)),
            right(count(severity.mismatch)),
            right(count(severity.error_disagreement)),
        ]);
    }
    out.push('\n');
    table.write(out);
}

fn latency(route: &RouteReport, out: &mut String) {
    let heads = ["latency", "p50", "p95", "p99", "max", "responses"];
    let head = heads.iter().enumerate().map(|(at, head)| match at {
        0 => left(*head),
        _ => right(*head),
    });
    let mut table = Table::with_head(2, head);
    let sides = [("served", route.latency.served), ("other", route.latency.other)];
    for (side, latency) in sides {
        let mut row = vec![left(side)];
        match latency {
            Some(Latency { count: answers, p50_ms, p95_ms, p99_ms, max_ms }) => {
                row.extend([p50_ms, p95_ms, p99_ms, max_ms].map(|time| right(milliseconds(time))));
                row.push(right(count(answers)));
            }
            None => row.push(right("–")),
        }
        table.row(row);
    }
    out.push('\n');
    table.write(out);
}

fn statuses(route: &RouteReport, out: &mut String) {
    let matrix = Matrix::of(route);
    let mut head = vec![left("served \\ other")];
    head.extend(matrix.columns.iter().map(right));
    let mut table = Table::with_head(2, head);
    for (name, counts) in matrix.rows.iter().zip(&matrix.counts) {
        let mut row = vec![left(name)];
        row.extend(matrix.columns.iter().zip(counts).map(|(column, number)| cell(name, column, *number)));
        table.row(row);
    }
    out.push('\n');
    table.write(out);
    if matrix.outside > 0 {
        let _ = writeln!(out, "  and {} with other pairs of statuses", count(matrix.outside));
    }
}

fn cell(served: &str, other: &str, number: u64) -> Cell {
    let style = match number {
        0 => Style::new().dimmed(),
        _ if served == other => color(AnsiColor::Green),
        _ => color(AnsiColor::Yellow),
    };
    styled(right(if number == 0 { "·".into() } else { count(number) }), style)
}
