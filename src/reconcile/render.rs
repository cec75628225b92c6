//! A finished walk as text for people and as JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::finding::{FindingKind, FindingSeverity};
use super::run::WalkResult;
use crate::telemetry::format::count;
use crate::telemetry::sanitize::one_line;
use crate::translate::side::Side;

/// What goes with a result into its output.
#[derive(Clone, Copy, Debug)]
pub struct Heading<'a> {
    /// `reconcile` or `backfill`.
    pub name: &'a str,
    /// The namespace of the references.
    pub tenant: &'a str,
    pub calls: u64,
    pub dry_run: bool,
}

impl WalkResult {
    /// Findings that are not as they should be.
    #[must_use]
    pub fn findings_total(&self) -> u64 {
        let bad = self.progress.found.iter().filter(|(kind, _)| kind.severity() != FindingSeverity::None);
        bad.map(|(_, count)| count).sum()
    }

    /// The result in one line.
    #[must_use]
    pub fn verdict(&self) -> String {
        match self.findings_total() {
            0 => "clean".into(),
            1 => "1 finding".into(),
            many => format!("{} findings", count(many)),
        }
    }

    #[must_use]
    pub fn text(&self, heading: &Heading<'_>) -> String {
        let progress = &self.progress;
        let dry = if heading.dry_run { ", dry run: nothing was changed" } else { "" };
        let mut out =
            format!("{} of tenant {}: {}{dry}\n", heading.name, one_line(heading.tenant), self.verdict());
        let mut row = |label: &str, text: String| {
            // Writing to a String cannot fail.
            let _ = writeln!(out, "{label:16}{text}");
        };
        row("window", format!("{} to {}", self.begin, self.end));
        if self.resumed {
            row("resumed", format!("yes, a walk that was begun at {} and stopped", self.started_at));
        }
        let sides = |numbers: [u64; 2]| {
            let [legacy, new] = numbers.map(count);
            format!("{legacy} on legacy, {new} on new")
        };
        row("records", sides(progress.rows));
        row("list pages", sides(progress.pages));
        row("calls", count(heading.calls));
        row("claims", format!("{} looked for", count(progress.claims)));
        row(
            "written",
            format!("{} claims, {} record ids", count(progress.adopted), count(progress.resolved)),
        );
        if progress.left_unclaimed != [0, 0] {
            row("left unclaimed", sides(progress.left_unclaimed));
        }
        if let Some(report) = &progress.report {
            row("report", report.to_string());
            row("report file", format!("SHA-256 {}", report.sha256));
        }
        row("without ref_id", count(progress.without_reference));
        row("no conversions", count(progress.not_conversions));
        for kind in FindingKind::ALL.into_iter().filter(|kind| progress.found(*kind) > 0) {
            row(kind.as_str(), format!("{} ({})", count(progress.found(kind)), kind.severity().as_str()));
        }
        let listed = self.findings.iter().filter(|finding| finding.kind.severity() != FindingSeverity::None);
        for finding in listed {
            let id = |id: &Option<String>| one_line(id.as_deref().unwrap_or("-"));
            let (ref_id, legacy, new) = (id(&finding.ref_id), id(&finding.legacy_id), id(&finding.new_id));
            let repaired = if finding.repaired { " [repaired]" } else { "" };
            let (kind, at, detail) = (finding.kind.as_str(), &finding.at, one_line(&finding.detail));
            let _ = writeln!(
                out,
                "{kind}: ref_id {ref_id}, legacy {legacy}, new {new}, {at}: {detail}{repaired}"
            );
        }
        out
    }

    /// The result as one JSON document.
    #[must_use]
    pub fn json(&self, heading: &Heading<'_>) -> Value {
        let progress = &self.progress;
        let sides = |numbers: [u64; 2]| json!({ "legacy": numbers[0], "new": numbers[1] });
        let found: serde_json::Map<_, _> = FindingKind::ALL
            .into_iter()
            .map(|kind| (kind.as_str().to_owned(), progress.found(kind).into()))
            .collect();
        let findings = self.findings.iter().map(|finding| {
            json!({
                "kind": finding.kind.as_str(), "severity": finding.kind.severity().as_str(),
                "ref_id": finding.ref_id, "legacy_id": finding.legacy_id, "new_id": finding.new_id,
                "at": finding.at, "repaired": finding.repaired, "detail": finding.detail,
            })
        });
        json!({
            "command": heading.name, "tenant": heading.tenant, "version": env!("CARGO_PKG_VERSION"),
            "walk": self.walk, "clean": progress.is_clean(), "dry_run": heading.dry_run, "resumed": self.resumed,
            "window": { "begin": self.begin.to_string(), "end": self.end.to_string() },
            "records": sides(progress.rows), "pages": sides(progress.pages), "calls": heading.calls,
            "claims": progress.claims, "adopted": progress.adopted, "left_unclaimed": sides(progress.left_unclaimed), "resolved": progress.resolved,
            "without_ref_id": progress.without_reference, "not_conversions": progress.not_conversions,
            "hashes": { "legacy": progress.hashes[Side::Legacy as usize], "new": progress.hashes[Side::New as usize] },
            "report": progress.report, "found": found, "findings": findings.collect::<Vec<_>>(),
        })
    }
}
