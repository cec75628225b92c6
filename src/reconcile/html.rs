//! A finished walk as one HTML file: no script, no external resource. Text from the vendor and from clients is escaped.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::finding::{FindingKind, FindingSeverity, WalkFinding};
use super::render::Heading;
use super::run::WalkResult;
use crate::http::html::{content_security_policy, page};
use crate::telemetry::format::count;

const STYLE: &str = include_str!("style.css");

/// Findings in the table; the rest is in the JSON output.
const ROWS_MAX: usize = 2000;
/// Height of the plot's bars, in pixels.
const PLOT_HEIGHT: u64 = 160;
/// Width of the plot, in units of its own.
const PLOT_WIDTH: usize = 1000;
/// Bars of the plot: the newest days.
const DAYS_MAX: usize = 120;

impl WalkResult {
    /// The result as an HTML page.
    #[must_use]
    pub fn html(&self, heading: &Heading<'_>) -> String {
        let (name, progress) = (heading.name, &self.progress);
        let class = if progress.is_clean() { "clean" } else { "money" };
        let body = html! {
            h1 { (name) ": " span class=(class) { (self.verdict()) } }
            @if heading.dry_run { p { "A dry run: nothing was changed and nothing was recorded." } }
            dl {
                dt { "tenant" } dd { code { (heading.tenant) } }
                dt { "window" } dd { (self.begin) " to " (self.end) }
                @if self.resumed { dt { "resumed" } dd { "a walk that was begun at " (self.started_at) } }
                dt { "records" } dd { (count(progress.rows[0])) " on legacy, " (count(progress.rows[1])) " on new" }
                dt { "digest of legacy" } dd { code { (progress.hashes[0]) } }
                dt { "digest of new" } dd { code { (progress.hashes[1]) } }
                dt { "claims looked for" } dd { (count(progress.claims)) }
                dt { "claims written" } dd { (count(progress.adopted)) }
                dt { "record ids added" } dd { (count(progress.resolved)) }
                dt { "list pages" } dd { (count(progress.pages[0])) " of legacy, " (count(progress.pages[1])) " of new" }
                dt { "calls" } dd { (count(heading.calls)) }
                @if let Some(report) = &progress.report {
                    dt { "report" } dd { (report.to_string()) }
                    dt { "report file" } dd { "SHA-256 " (report.sha256) }
                }
            }
            h2 { "By kind" }
            (self.kinds())
            h2 { "By day" }
            (by_day(&self.findings))
            h2 { "Findings" }
            (table(&self.findings))
            footer { "conversion-shim " (env!("CARGO_PKG_VERSION")) ", walk " (self.walk) }
        };
        let policy =
            html! { meta http-equiv="Content-Security-Policy" content=(content_security_policy(STYLE)); };
        page(&format!("{name}: {}", self.verdict()), STYLE, &policy, &body).into_string()
    }

    fn kinds(&self) -> Markup {
        html! {
            div.scroll { table {
                tr { th { "kind" } th { "severity" } th { "found" } }
                @for kind in FindingKind::ALL {
                    tr {
                        td { code { (kind.as_str()) } }
                        td class=(kind.severity().as_str()) { (kind.severity().as_str()) }
                        td { (count(self.progress.found(kind))) }
                    }
                }
            } }
        }
    }
}

fn listed(findings: &[WalkFinding]) -> impl Iterator<Item = &WalkFinding> {
    findings.iter().filter(|finding| finding.kind.severity() != FindingSeverity::None)
}

/// Findings by the day on which their records were made: those about money below, the others on top.
fn by_day(findings: &[WalkFinding]) -> Markup {
    let mut days: BTreeMap<&str, [u64; 2]> = BTreeMap::new();
    for finding in listed(findings) {
        days.entry(finding.day()).or_default()
            [usize::from(finding.kind.severity() != FindingSeverity::Money)] += 1;
    }
    let days: Vec<_> = days.into_iter().rev().take(DAYS_MAX).collect();
    let most = days.iter().map(|(_, [money, contract])| money + contract).max().unwrap_or_default();
    if most == 0 {
        return html! { p { "None." } };
    }
    let step = PLOT_WIDTH / days.len();
    let height = |number: u64| if number == 0 { 0 } else { (number * PLOT_HEIGHT / most).max(1) };
    let (first, last) = (days.last().map_or("", |day| day.0), days.first().map_or("", |day| day.0));
    html! {
        svg role="img" aria-label="Findings by day" width="100%" viewBox=(format!("0 0 {PLOT_WIDTH} {}", PLOT_HEIGHT + 40)) {
            text x="0" y="12" { "most on one day: " (count(most)) }
            @for (at, (day, [money, contract])) in days.iter().rev().enumerate() {
                @let (low, high) = (height(*money), height(*contract));
                rect.money x=(at * step) y=(PLOT_HEIGHT + 20 - low) width=(step.max(2) - 1) height=(low) {
                    title { (day) ": " (count(*money)) " about money" }
                }
                rect.contract x=(at * step) y=((PLOT_HEIGHT + 20).saturating_sub(low + high)) width=(step.max(2) - 1) height=(high) {
                    title { (day) ": " (count(*contract)) " others" }
                }
            }
            line x1="0" x2=(PLOT_WIDTH) y1=(PLOT_HEIGHT + 20) y2=(PLOT_HEIGHT + 20) {}
            text x="0" y=(PLOT_HEIGHT + 36) { (first) }
            @if first != last { text x=(PLOT_WIDTH) y=(PLOT_HEIGHT + 36) text-anchor="end" { (last) } }
        }
    }
}

fn table(findings: &[WalkFinding]) -> Markup {
    let total = listed(findings).count();
    if total == 0 {
        return html! { p { "None." } };
    }
    let cell = |id: &Option<String>| html! { td { code { (id.as_deref().unwrap_or("-")) } } };
    html! {
        @if total > ROWS_MAX { p { "The first " (ROWS_MAX) " of " (count(total as u64)) "; `--format json` prints more." } }
        div.scroll { table {
            tr { th { "kind" } th { "ref_id" } th { "legacy id" } th { "new id" } th { "made" } th { "repaired" } th { "detail" } }
            @for finding in listed(findings).take(ROWS_MAX) {
                tr {
                    td class=(finding.kind.severity().as_str()) { (finding.kind.as_str()) }
                    (cell(&finding.ref_id)) (cell(&finding.legacy_id)) (cell(&finding.new_id))
                    td { (finding.at) }
                    td { (if finding.repaired { "yes" } else { "no" }) }
                    td { (finding.detail) }
                }
            }
        } }
    }
}
