//! The signatures other than plain matches: their counts, and two examples of each.

use std::cmp::Reverse;

use jiff::Timestamp;

use super::bounded::Bounded;
use super::document::{Class, DiffShown, Example, Signature};
use super::route::status_text;
use crate::shadow::heartbeat_record::Suppressed;
use crate::shadow::record::{ComparisonRecord, Diff};
use crate::shadow::types::{Severity, Verdict};
use crate::telemetry::format::moment;
use crate::telemetry::sanitize::clip;
use crate::translate::route::Route;

/// Most signatures that are counted apart.
const SIGNATURES_MAX: usize = 10_000;
const EXAMPLES_MAX: usize = 2;
/// Most differences of an example.
const DIFFS_MAX: usize = 8;
/// Longest path or value, in characters.
const TEXT_MAX: usize = 120;

/// All signatures but those of plain matches.
pub(super) struct SignatureTotals(Bounded<SignatureEntry>);

struct SignatureEntry {
    route: Route,
    verdict: Verdict,
    severity: Option<Severity>,
    count: u64,
    first: Timestamp,
    last: Timestamp,
    examples: Vec<Example>,
}

impl SignatureEntry {
    fn add(&mut self, time: Timestamp, count: u64) {
        self.count = self.count.saturating_add(count);
        self.first = self.first.min(time);
        self.last = self.last.max(time);
    }

    /// Differences first, then by severity and count, the highest first.
    fn order(&self) -> impl Ord + use<> {
        let rank = match Class::of(self.verdict) {
            Class::Differed => 0,
            Class::NotCompared => 1,
            Class::Explained => 2,
            Class::Agreed => 3,
        };
        (rank, Reverse(self.severity), Reverse(self.count))
    }
}

impl SignatureTotals {
    pub(super) fn new() -> Self {
        Self(Bounded::new(SIGNATURES_MAX))
    }

    /// Adds a written record, which stands for `weight` comparisons.
    pub(super) fn add(&mut self, record: &ComparisonRecord, time: Timestamp, weight: u64) {
        let of = (record.route, record.verdict, record.severity);
        let Some(entry) = self.entry(&record.signature, of, time, weight) else { return };
        entry.add(time, weight);
        if entry.examples.len() < EXAMPLES_MAX {
            entry.examples.push(example(record, time));
        }
    }

    /// Adds records that a heartbeat counts as suppressed.
    pub(super) fn add_suppressed(&mut self, suppressed: &Suppressed, time: Timestamp) {
        let of = (suppressed.route, suppressed.verdict, suppressed.severity);
        if let Some(entry) = self.entry(&suppressed.signature, of, time, suppressed.count) {
            entry.add(time, suppressed.count);
        }
    }

    fn entry(
        &mut self,
        signature: &str,
        (route, verdict, severity): (Route, Verdict, Option<Severity>),
        time: Timestamp,
        weight: u64,
    ) -> Option<&mut SignatureEntry> {
        if verdict == Verdict::Match {
            return None;
        }
        let new = || SignatureEntry {
            route,
            verdict,
            severity,
            count: 0,
            first: time,
            last: time,
            examples: Vec::new(),
        };
        self.0.entry(signature, weight, new)
    }

    pub(super) fn total(&self) -> u64 {
        self.0.len() as u64
    }

    pub(super) const fn left_out(&self) -> u64 {
        self.0.left_out()
    }

    /// The first `most`; `share` gives the share of a count in its route.
    pub(super) fn top(&self, most: usize, share: impl Fn(Route, u64) -> f64) -> Vec<Signature> {
        let mut all: Vec<_> = self.0.iter().collect();
        all.sort_by_key(|(signature, entry)| (entry.order(), *signature));
        let signature = |(signature, entry): (&str, &SignatureEntry)| Signature {
            signature: signature.to_owned(),
            route: entry.route,
            verdict: entry.verdict,
            severity: entry.severity,
            count: entry.count,
            share: share(entry.route, entry.count),
            first_seen: moment(entry.first),
            last_seen: moment(entry.last),
            examples: entry.examples.clone(),
        };
        all.into_iter().take(most).map(signature).collect()
    }
}

fn example(record: &ComparisonRecord, time: Timestamp) -> Example {
    let all = record.diffs.iter().chain(&record.ignored);
    let total = (record.diffs.len() + record.ignored.len()) as u64;
    let diffs: Vec<_> = all.take(DIFFS_MAX).map(diff).collect();
    Example {
        time: moment(time),
        request_id: text(&record.request_id),
        trace_id: record.trace_id.as_deref().map(text),
        served: status_text(&record.served),
        other: status_text(&record.other),
        diffs_left_out: (total - diffs.len() as u64).saturating_add(record.diffs_left_out),
        diffs,
    }
}

fn diff(diff: &Diff) -> DiffShown {
    DiffShown {
        path: text(&diff.path),
        kind: diff.kind.as_str(),
        severity: diff.severity,
        served: diff.served.as_deref().map(text),
        other: diff.other.as_deref().map(text),
        rule: diff.rule.as_deref().map(text),
    }
}

fn text(text: &str) -> String {
    clip(text, TEXT_MAX).into_owned()
}
