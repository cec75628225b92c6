//! The header, the differences, the coverage and the ignore rules.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use comfy_table::Cell;

use super::style::{color, heading, of_class, of_decision, of_severity, painted};
use super::table::{Table, WIDTH, cut, left, right, styled};
use crate::report::document::{
    Class, Coverage, CoverageRow, DiffShown, Example, Report, RuleState, Signature,
};
use crate::report::summary;
use crate::shadow::types::COMPARED;
use crate::telemetry::format::{count, percent, roughly};
use crate::translate::route::Route;

/// Names that were never compared; `--format json` has all.
const UNCOVERED_SHOWN: usize = 30;

/// The decision, the window and the warnings.
pub(super) fn header(report: &Report, out: &mut String) {
    let verdict = painted(report.verdict.as_str(), of_decision(report.verdict));
    let _ = writeln!(out, "Shadow report of {}: {verdict}\n", report.made_at);
    let mut table = Table::new(2);
    for (name, text) in summary::lines(report) {
        table.row([styled(left(name), Style::new().dimmed()), left(text)]);
    }
    table.write(out);
    if !report.notes.is_empty() {
        out.push('\n');
    }
    for note in &report.notes {
        let _ = writeln!(out, "  {} {note}", painted("!", color(AnsiColor::Yellow).bold()));
    }
}

/// The signatures, each with examples.
pub(super) fn signatures(report: &Report, out: &mut String) {
    let signatures = &report.signatures;
    if signatures.total == 0 {
        return;
    }
    let shown = signatures.top.len() as u64;
    heading(&format!("Differences: {} of {} signatures", count(shown), count(signatures.total)), out);
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
    let _ = writeln!(out, "      {}", cut(&line, usize::from(WIDTH) - 6));
    let mut table = Table::new(10);
    example.diffs.iter().for_each(|diff| table.row(diff_row(diff)));
    table.write(out);
    if example.diffs_left_out > 0 {
        let _ = writeln!(out, "          and {} more", count(example.diffs_left_out));
    }
}

fn diff_row(diff: &DiffShown) -> [Cell; 4] {
    let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "–".into());
    let rule = diff.rule.as_ref().map(|rule| format!("  (rule {rule})")).unwrap_or_default();
    [
        styled(left(diff.severity.as_str()), of_severity(diff.severity)),
        left(diff.kind),
        left(cut(&diff.path, 40)),
        left(format!("{} → {}{rule}", value(&diff.served), value(&diff.other))),
    ]
}

/// Comparisons by asset pair, status and query parameter.
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
    uncovered(coverage, out);
}

/// What clients used and what was never compared on both sides.
fn uncovered(coverage: &Coverage, out: &mut String) {
    if coverage.uncovered.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n  used by clients, and never compared with a record on both sides");
    let mut table = Table::new(4);
    for name in coverage.uncovered.iter().take(UNCOVERED_SHOWN) {
        table.row([left(name.route.as_str()), left(name.kind), left(&name.name)]);
    }
    table.write(out);
    let more = coverage.uncovered.len().saturating_sub(UNCOVERED_SHOWN) as u64;
    if more > 0 {
        let _ = writeln!(out, "    and {} more", count(more));
    }
}

/// The counts of each pair and status. They are rounded, so that the table fits whatever they are.
fn cells<'a>(
    coverage: &Coverage,
    names: impl Iterator<Item = &'a str>,
    counts: impl Fn(&CoverageRow) -> Vec<u64>,
    out: &mut String,
) {
    let names: Vec<_> = names.map(|name| name.split_at(name.find('.').unwrap_or(0))).collect();
    // Names with a dot are broken before it; then the others go to the second line too.
    let is_split = names.iter().any(|(first, _)| !first.is_empty());
    let line_break = if is_split { "\n" } else { "" };
    let mut head = vec![left(format!("{line_break}pair")), left(format!("{line_break}status"))];
    head.extend(names.iter().map(|(first, rest)| right(format!("{first}{line_break}{rest}"))));
    let mut table = Table::with_head(2, head);
    for row in &coverage.rows {
        let name = |name: &Option<String>, width| left(cut(name.as_deref().unwrap_or("any"), width));
        let mut line = vec![name(&row.asset_pair, 12), name(&row.status, 9)];
        line.extend(counts(row).into_iter().map(|number| {
            let style = if number == 0 { color(AnsiColor::Yellow) } else { Style::new() };
            styled(right(roughly_or_never(number)), style)
        }));
        table.row(line);
    }
    table.write(out);
}

fn roughly_or_never(number: u64) -> String {
    if number == 0 { "never".into() } else { roughly(number) }
}

/// The ignore rules with owner and last day.
pub(super) fn rules(report: &Report, out: &mut String) {
    if report.rules.is_empty() {
        return;
    }
    heading("Ignore rules", out);
    let heads = ["state", "hits", "path", "owner", "last day", "reason"];
    let mut table = Table::with_head(2, heads.map(left));
    for rule in &report.rules {
        let style = match rule.state {
            RuleState::Expired => color(AnsiColor::Red),
            RuleState::Unused => color(AnsiColor::Yellow),
            RuleState::Used => Style::new(),
        };
        table.row([
            styled(left(rule.state.as_str()), style),
            right(count(rule.hits)),
            left(cut(&rule.path, 36)),
            left(cut(&rule.owner, 24)),
            left(cut(&rule.expires, 10)),
            left(&rule.reason),
        ]);
    }
    table.write(out);
}

/// What the vendor's answers held that a process did not know.
pub(super) fn drift(report: &Report, out: &mut String) {
    if report.drift.is_empty() {
        return;
    }
    heading("Unknown names in the vendor's answers", out);
    let mut table = Table::with_head(2, ["", "path", "type", "first seen"].map(left));
    for seen in &report.drift {
        let style = if seen.money { color(AnsiColor::Yellow) } else { Style::new() };
        let mark = if seen.money { "money" } else { "" };
        table.row([
            styled(left(mark), style),
            left(&seen.path),
            left(&seen.r#type),
            left(cut(&seen.first_seen, 20)),
        ]);
    }
    table.write(out);
}
