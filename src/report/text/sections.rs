//! What was read, what differed, what was covered, what is accepted.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use super::table::{Cell, Table, WIDTH, cut};
use super::{colour, heading, of_class, of_decision, of_severity, painted};
use crate::report::document::{
    Class, Coverage, CoverageRow, DiffShown, Example, Report, RuleState, Signature,
};
use crate::report::figures::{count, percent, roughly};
use crate::report::summary;
use crate::shadow::types::COMPARED;
use crate::translate::route::Route;

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
        painted(&cut(&signature.signature, 40), Style::new().dimmed()),
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
    let (never, all) = (count(coverage.never_seen), count(coverage.cells));
    heading(&format!("Coverage, in written records: {never} of {all} cells never seen"), out);
    let any = coverage.rows.first().map(|row| row.routes).unwrap_or_default();
    let routes: Vec<_> = COMPARED.into_iter().filter(|route| any[*route as usize] > 0).collect();
    let names = routes.iter().map(|route| route.as_str());
    cells(coverage, names, |row| routes.iter().map(|route| row.routes[*route as usize]).collect(), out);
    if any[Route::List as usize] > 0 {
        let _ = writeln!(out, "\n  list, by query parameter");
        cells(coverage, coverage.parameters.iter().copied(), |row| row.parameters.clone(), out);
    }
    out.push('\n');
    for ids in &coverage.ref_ids {
        let (with, without) = (roughly_or_never(ids.with), roughly_or_never(ids.without));
        let _ = writeln!(out, "  {}: with ref_id {with}, without {without}", ids.route.as_str());
    }
}

/// A table of what was seen of each pair and status. Its numbers are rough, so that it fits whatever they are.
fn cells<'a>(
    coverage: &Coverage,
    names: impl Iterator<Item = &'a str>,
    counts: impl Fn(&CoverageRow) -> Vec<u64>,
    out: &mut String,
) {
    let (mut top, mut bottom) = (vec![Cell::left(""); 2], vec![Cell::left("pair"), Cell::left("status")]);
    let mut split = false;
    for name in names {
        let (first, rest) = name.split_at(name.find('.').unwrap_or(0));
        split |= !first.is_empty();
        top.push(Cell::right(first));
        bottom.push(Cell::right(rest));
    }
    let table = Table::new(2);
    let mut table = if split { table.head(top) } else { table }.head(bottom);
    for row in &coverage.rows {
        let name = |name: &Option<String>, most| Cell::left(cut(name.as_deref().unwrap_or("any"), most));
        let mut line = vec![name(&row.asset_pair, 12), name(&row.status, 9)];
        line.extend(counts(row).into_iter().map(|number| {
            let style = if number == 0 { colour(AnsiColor::Yellow) } else { Style::new() };
            Cell::right(roughly_or_never(number)).styled(style)
        }));
        table.row(line);
    }
    table.write(out);
}

fn roughly_or_never(number: u64) -> String {
    if number == 0 { "never".into() } else { roughly(number) }
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
