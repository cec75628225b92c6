//! The verdicts, and what each route's records came to.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use super::table::{Cell, Table, bar};
use super::{colour, heading, of_class, of_decision, of_severity, painted};
use crate::report::document::{Check, Class, Decision, Latency, Report, RouteReport};
use crate::report::figures::{count, milliseconds, percent};
use crate::report::matrix::Matrix;

/// How long the longest bar is.
const BAR: usize = 32;

/// May the routes move on, and why.
pub(super) fn verdicts(report: &Report, out: &mut String) {
    heading("Verdict", out);
    for route in &report.routes {
        let name = format!("{:6}", route.route.as_str());
        let _ = writeln!(out, "  {name}  {}", painted(route.verdict.as_str(), of_decision(route.verdict)));
        for check in route.checks.iter().filter(|check| !check.passed) {
            let _ = writeln!(out, "          {} {}", painted("✗", colour(AnsiColor::Red)), reason(check));
        }
        if route.verdict == Decision::Go {
            let met = route.checks.len();
            let _ = writeln!(
                out,
                "          {} all {met} thresholds are met",
                painted("✓", colour(AnsiColor::Green))
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
    heading(&format!("{name}: {all} comparisons, {judged} judged, {} written", count(route.written)), out);
    totals(route, out);
    latency(route, out);
    statuses(route, out);
}

fn totals(route: &RouteReport, out: &mut String) {
    let mut table =
        Table::new(2).head(vec![Cell::left("verdict"), Cell::right("count"), Cell::right("share")]);
    for verdict in route.verdicts.iter().filter(|verdict| verdict.count > 0) {
        table.row(vec![
            Cell::left(verdict.verdict.as_str()),
            Cell::right(count(verdict.count)),
            Cell::right(percent(verdict.share)),
            Cell::left(bar(verdict.share, BAR)).styled(of_class(Class::of(verdict.verdict))),
        ]);
    }
    table.write(out);
    let graded = route.severities.iter().filter(|it| it.mismatch > 0 || it.error_disagreement > 0);
    let mut table = Table::new(2).head(vec![
        Cell::left("severity"),
        Cell::right("mismatch"),
        Cell::right("error_disagreement"),
    ]);
    let mut any = false;
    for severity in graded {
        any = true;
        table.row(vec![
            Cell::left(severity.severity.as_str()).styled(of_severity(severity.severity)),
            Cell::right(count(severity.mismatch)),
            Cell::right(count(severity.error_disagreement)),
        ]);
    }
    if any {
        out.push('\n');
        table.write(out);
    }
}

fn latency(route: &RouteReport, out: &mut String) {
    let heads = ["latency", "p50", "p95", "p99", "max", "answers"];
    let head = heads.iter().enumerate().map(|(at, head)| match at {
        0 => Cell::left(*head),
        _ => Cell::right(*head),
    });
    let mut table = Table::new(2).head(head.collect());
    let sides = [("served", route.latency.served), ("other", route.latency.other)];
    for (side, latency) in sides {
        let mut row = vec![Cell::left(side)];
        match latency {
            Some(Latency { count: answers, p50_ms, p95_ms, p99_ms, max_ms }) => {
                row.extend([p50_ms, p95_ms, p99_ms, max_ms].map(|time| Cell::right(milliseconds(time))));
                row.push(Cell::right(count(answers)));
            }
            None => row.push(Cell::right("–")),
        }
        table.row(row);
    }
    out.push('\n');
    table.write(out);
}

fn statuses(route: &RouteReport, out: &mut String) {
    let matrix = Matrix::of(route);
    let mut head = vec![Cell::left("served \\ other")];
    head.extend(matrix.columns.iter().map(Cell::right));
    let mut table = Table::new(2).head(head);
    for (name, counts) in matrix.rows.iter().zip(&matrix.counts) {
        let mut row = vec![Cell::left(name)];
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
        _ if served == other => colour(AnsiColor::Green),
        _ => colour(AnsiColor::Yellow),
    };
    Cell::right(if number == 0 { "·".into() } else { count(number) }).styled(style)
}
