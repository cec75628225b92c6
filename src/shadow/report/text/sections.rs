//! What was read, what differed, what was covered, what is accepted.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use super::table::{Cell, Table, WIDTH, cut};
use super::{colour, heading, of_class, of_decision, of_severity, painted};
use crate::shadow::report::document::{Class, CoverageRow, DiffShown, Example, Report, RuleState, Signature};
use crate::shadow::report::figures::{count, percent};
use crate::shadow::report::summary;
use crate::shadow::terms::Route;

/// The verdict, the window, and whether to believe the rest.
pub(super) fn header(report: &Report, out: &mut String) {
    let verdict = painted(report.verdict.as_str(), of_decision(report.verdict));
    let _ = writeln!(out, "Shadow report of {}: {verdict}\n", report.made_at);
    let mut table = Table::new(2);
    for (name, text) in summary::lines(report) {
        table.row(vec![Cell::left(name).styled(Style::new().dimmed()), Cell::left(text)]);
    }
    table.write(out);
    if !report.notes.is_empty() {
        out.push('\n');
    }
    for note in &report.notes {
        let _ = writeln!(out, "  {} {note}", painted("!", colour(AnsiColor::Yellow).bold()));
    }
}

/// What differed, with examples.
pub(super) fn signatures(report: &Report, out: &mut String) {
    let signatures = &report.signatures;
    if signatures.total == 0 {
        return;
    }
    let shown = signatures.top.len() as u64;
    heading(&format!("What differed: {} of {} signatures", count(shown), count(signatures.total)), out);
    for signature in &signatures.top {
        write_signature(signature, out);
    }
}

fn write_signature(signature: &Signature, out: &mut String) {
    let verdict = painted(signature.verdict.as_str(), of_class(Class::of(signature.verdict)));
    let severity = signature.severity.map(|it| format!(" {}", painted(it.as_str(), of_severity(it))));
    let _ = writeln!(
        out,
        "  {} {verdict}{}  {}, {} of the route  {}",
        signature.route.as_str(),
        severity.unwrap_or_default(),
        count(signature.count),
        percent(signature.share),
        painted(&signature.signature, Style::new().dimmed()),
    );
    let _ = writeln!(out, "    first {}, last {}", signature.first_seen, signature.last_seen);
    signature.examples.iter().for_each(|example| write_example(example, out));
}

fn write_example(example: &Example, out: &mut String) {
    let trace = example.trace_id.as_ref().map(|id| format!(", trace {id}")).unwrap_or_default();
    let line = format!(
        "{}  request {}{trace}  served {}, other {}",
        example.time, example.request_id, example.served, example.other
    );
    let _ = writeln!(out, "      {}", cut(&line, WIDTH - 6));
    let mut table = Table::new(10);
    example.diffs.iter().for_each(|diff| table.row(diff_row(diff)));
    table.write(out);
    if example.diffs_left_out > 0 {
        let _ = writeln!(out, "          and {} more", count(example.diffs_left_out));
    }
}

fn diff_row(diff: &DiffShown) -> Vec<Cell> {
    let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "–".into());
    let rule = diff.rule.as_ref().map(|rule| format!("  (rule {rule})")).unwrap_or_default();
    vec![
        Cell::left(diff.severity.as_str()).styled(of_severity(diff.severity)),
        Cell::left(diff.kind),
        Cell::left(cut(&diff.path, 40)),
        Cell::left(format!("{} → {}{rule}", value(&diff.served), value(&diff.other))),
    ]
}

/// What was seen, and what never was.
pub(super) fn coverage(report: &Report, out: &mut String) {
    let coverage = &report.coverage;
    if coverage.cells == 0 {
        return;
    }
    let (never, cells) = (count(coverage.never_seen), count(coverage.cells));
    heading(&format!("Coverage, in written records: {never} of {cells} cells never seen"), out);
    let seen =
        Route::ALL.map(|route| coverage.rows.first().is_some_and(|any| any.routes[route as usize] > 0));
    let (mut top, mut bottom) =
        (vec![Cell::left(""), Cell::left("")], vec![Cell::left("pair"), Cell::left("status")]);
    for route in Route::ALL.into_iter().filter(|route| seen[*route as usize]) {
        top.push(Cell::right(""));
        bottom.push(Cell::right(route.as_str()));
    }
    for name in coverage.parameters.iter().filter(|_| seen[Route::List as usize]) {
        let (name, rest) = name.split_at(name.find('.').unwrap_or(0));
        top.push(Cell::right(name));
        bottom.push(Cell::right(rest));
    }
    let mut table = Table::new(2).head(top).head(bottom);
    coverage.rows.iter().for_each(|row| table.row(coverage_row(row, seen)));
    table.write(out);
    for ids in &coverage.ref_ids {
        let (with, without) = (seen_or_never(ids.with), seen_or_never(ids.without));
        let _ = writeln!(out, "  {}: with ref_id {with}, without {without}", ids.route.as_str());
    }
}

fn coverage_row(row: &CoverageRow, seen: [bool; 3]) -> Vec<Cell> {
    let name = |name: &Option<String>| cut(name.as_deref().unwrap_or("any"), 16);
    let mut cells = vec![Cell::left(name(&row.asset_pair)), Cell::left(name(&row.status))];
    let routes = row.routes.iter().zip(seen).filter(|(_, seen)| *seen).map(|(count, _)| count);
    let parameters = row.parameters.iter().filter(|_| seen[Route::List as usize]);
    cells.extend(routes.chain(parameters).map(|number| {
        let style = if *number == 0 { colour(AnsiColor::Yellow) } else { Style::new() };
        Cell::right(seen_or_never(*number)).styled(style)
    }));
    cells
}

fn seen_or_never(number: u64) -> String {
    if number == 0 { "never".into() } else { count(number) }
}

/// What is accepted, by whom, until when.
pub(super) fn rules(report: &Report, out: &mut String) {
    if report.rules.is_empty() {
        return;
    }
    heading("Ignore rules", out);
    let heads = ["state", "hits", "path", "owner", "last day", "reason"];
    let mut table = Table::new(2).head(heads.map(Cell::left).to_vec());
    for rule in &report.rules {
        let style = match rule.state {
            RuleState::Expired => colour(AnsiColor::Red),
            RuleState::Unused => colour(AnsiColor::Yellow),
            RuleState::Used => Style::new(),
        };
        table.row(vec![
            Cell::left(rule.state.as_str()).styled(style),
            Cell::right(count(rule.hits)),
            Cell::left(cut(&rule.path, 36)),
            Cell::left(cut(&rule.owner, 24)),
            Cell::left(cut(&rule.expires, 10)),
            Cell::left(&rule.reason),
        ]);
    }
    table.write(out);
}
