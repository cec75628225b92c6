//! The header, the differences, the coverage and the ignore rules.

use maud::{Markup, html};

use super::classes::{of_class, of_decision};
use crate::report::document::{Class, Coverage, DiffShown, Example, Report, Signature};
use crate::report::summary;
use crate::shadow::types::COMPARED;
use crate::telemetry::format::{count, percent};
use crate::translate::route::Route;

/// The decision, the window and the warnings.
pub(super) fn header(report: &Report) -> Markup {
    html! {
        header {
            h1 { "Shadow report " span.badge.(of_decision(report.verdict)) { (report.verdict.as_str()) } }
            @if !report.notes.is_empty() {
                ul.notes { @for note in &report.notes { li { (note) } } }
            }
            dl { @for (name, text) in summary::lines(report) { dt { (name) } dd { (text) } } }
        }
    }
}

/// The signatures, each with examples.
pub(super) fn signatures(report: &Report) -> Markup {
    let signatures = &report.signatures;
    html! {
        @if signatures.total > 0 {
            section id="signatures" {
                h2 { "Differences" }
                p { (count(signatures.top.len() as u64)) " of " (count(signatures.total)) " signatures, the most severe first" }
                @for signature in &signatures.top { (one_signature(signature)) }
            }
        }
    }
}

fn one_signature(signature: &Signature) -> Markup {
    html! {
        details.signature {
            summary {
                span.swatch.(of_class(Class::of(signature.verdict))) {}
                strong { (signature.route.as_str()) } " " (signature.verdict.as_str())
                @if let Some(severity) = signature.severity { " " span.severity.(severity.as_str()) { (severity.as_str()) } }
                " " span.tally { (count(signature.count)) ", " (percent(signature.share)) " of the route" }
            }
            p { "Signature " code { (signature.signature) } ", first " (signature.first_seen) ", last " (signature.last_seen) }
            @for example in &signature.examples { (one_example(example)) }
        }
    }
}

fn one_example(example: &Example) -> Markup {
    html! {
        div.example {
            p {
                (example.time) ", request " code { (example.request_id) }
                @if let Some(trace) = &example.trace_id { ", trace " code { (trace) } }
                ", served " (example.served) ", other " (example.other)
            }
            @if !example.diffs.is_empty() { div.scroll { table {
                thead { tr { th { "Severity" } th { "Kind" } th { "Path" } th { "Served" } th { "Other" } } }
                tbody { @for diff in &example.diffs { (one_diff(diff)) } }
            } } }
            @if example.diffs_left_out > 0 { p { "And " (count(example.diffs_left_out)) " more differences." } }
        }
    }
}

fn one_diff(diff: &DiffShown) -> Markup {
    let severity = diff.severity.as_str();
    html! {
        tr {
            td { span.severity.(severity) { (severity) } }
            td { (diff.kind) }
            td { code { (diff.path) } @if let Some(rule) = &diff.rule { br; small { "accepted by " code { (rule) } } } }
            @for value in [&diff.served, &diff.other] {
                td { @if let Some(value) = value { code { (value) } } @else { "–" } }
            }
        }
    }
}

/// Comparisons by asset pair, status and query parameter.
pub(super) fn coverage(report: &Report) -> Markup {
    let coverage = &report.coverage;
    html! {
        @if coverage.cells > 0 {
            section id="coverage" {
                h2 { "Coverage" }
                p { (count(coverage.never_seen)) " of " (count(coverage.cells)) " cells never seen in a written record" }
                (cells(coverage))
                @for ids in &coverage.ref_ids {
                    p { (ids.route.as_str()) ": with ref_id " (seen_or_never(ids.with)) ", without " (seen_or_never(ids.without)) }
                }
                @if !coverage.uncovered.is_empty() {
                    h3 { "Used by clients, and never compared with a record on both sides" }
                    ul { @for name in &coverage.uncovered { li { (name.route.as_str()) " " (name.kind) " " code { (name.name) } } } }
                }
            }
        }
    }
}

fn cells(coverage: &Coverage) -> Markup {
    let any = coverage.rows.first().map(|row| row.routes).unwrap_or_default();
    let routes: Vec<_> = COMPARED.into_iter().filter(|route| any[*route as usize] > 0).collect();
    let parameters = if any[Route::List as usize] > 0 { coverage.parameters.as_slice() } else { &[] };
    html! {
        div.scroll { table.coverage {
            thead { tr {
                th { "Pair" } th { "Status" }
                @for route in &routes { th.number { (route.as_str()) } }
                @for name in parameters { th.number { (parameter(name)) } }
            } }
            tbody {
                @for row in &coverage.rows {
                    @let counts = routes.iter().map(|route| row.routes[*route as usize]);
                    @let counts = counts.chain(row.parameters.iter().copied().take(parameters.len()));
                    tr {
                        th { (row.asset_pair.as_deref().unwrap_or("any")) }
                        td { (row.status.as_deref().unwrap_or("any")) }
                        @for number in counts { td.number.never[number == 0] { (seen_or_never(number)) } }
                    }
                }
            }
        } }
    }
}

/// A name that may be broken at its dot.
fn parameter(name: &str) -> Markup {
    html! {
        @if let Some((before, after)) = name.split_once('.') { (before) wbr; "." (after) } @else { (name) }
    }
}

fn seen_or_never(number: u64) -> String {
    if number == 0 { "never".into() } else { count(number) }
}

/// The ignore rules with owner and last day.
pub(super) fn rules(report: &Report) -> Markup {
    html! {
        @if !report.rules.is_empty() {
            section id="rules" {
                h2 { "Ignore rules" }
                div.scroll { table {
                    thead { tr { th { "State" } th.number { "Hits" } th { "Path" } th { "Owner" } th { "Last day" } th { "Reason" } } }
                    tbody {
                        @for rule in &report.rules {
                            tr {
                                td { span.state.(rule.state.as_str()) { (rule.state.as_str()) } }
                                td.number { (count(rule.hits)) }
                                td { code { (rule.path) } }
                                td { (rule.owner) }
                                td.day { (rule.expires) }
                                td.prose { (rule.reason) }
                            }
                        }
                    }
                } }
            }
        }
    }
}

/// What the vendor's answers held that a process did not know.
pub(super) fn drift(report: &Report) -> Markup {
    html! {
        @if !report.drift.is_empty() {
            section id="drift" {
                h2 { "Unknown names in the vendor's answers" }
                div.scroll { table {
                    thead { tr { th { "Path" } th { "Type" } th { "Money" } th { "First seen" } } }
                    tbody {
                        @for seen in &report.drift {
                            tr {
                                td { code { (seen.path) } }
                                td { (seen.r#type) }
                                td { @if seen.money { "may be" } }
                                td.day { (seen.first_seen) }
                            }
                        }
                    }
                } }
            }
        }
    }
}
