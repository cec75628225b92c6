//! The totals of one route.

use std::collections::HashMap;

use jiff::Timestamp;

use super::document::{Class, StatusPair};
use super::latency::Latencies;
use super::timeline::Timeline;
use crate::shadow::record::{ComparisonRecord, ResponseSummary};
use crate::shadow::types::{ComparisonKind, Severity, Verdict};
use crate::telemetry::sanitize::clip;

/// Most pairs of statuses that are counted apart.
const STATUSES_MAX: usize = 256;

pub(super) struct RouteTotals {
    pub(super) written: u64,
    /// By verdict, and by severity: none, then as in [`Severity`].
    counts: [[u64; 4]; Verdict::ALL.len()],
    /// Comparisons in which both sides held something.
    pub(super) paired: u64,
    /// Comparisons of records of the new API with what was said of them before, among those written and those that they count.
    pub(super) own: u64,
    pub(super) pairs: u64,
    /// Rows of lists that were made by `probe` and not compared.
    pub(super) probe_rows: u64,
    pub(super) last: Option<Timestamp>,
    pub(super) served: Latencies,
    pub(super) other: Latencies,
    statuses: HashMap<(StatusOrReason, StatusOrReason), u64>,
    pub(super) statuses_left_out: u64,
    pub(super) timeline: Timeline,
}

/// One side's status, or why there is none, or why it was not compared.
type StatusOrReason = (Option<u16>, Option<String>);

impl RouteTotals {
    pub(super) fn new() -> Self {
        Self {
            written: 0,
            counts: Default::default(),
            paired: 0,
            own: 0,
            pairs: 0,
            probe_rows: 0,
            last: None,
            served: Latencies::new(),
            other: Latencies::new(),
            statuses: HashMap::new(),
            statuses_left_out: 0,
            timeline: Timeline::new(),
        }
    }

    /// Adds a written record, which stands for `weight` comparisons.
    pub(super) fn add(&mut self, record: &ComparisonRecord, time: Timestamp, weight: u64) {
        self.written += 1;
        self.last = self.last.max(Some(time));
        match record.kind {
            ComparisonKind::OwnRecord => self.own = self.own.saturating_add(weight),
            ComparisonKind::Pair => self.pairs = self.pairs.saturating_add(weight),
            ComparisonKind::Read | ComparisonKind::DryRun => {}
        }
        let probe = record.counts.map_or(0, |counts| counts.probe);
        self.probe_rows = self.probe_rows.saturating_add(probe);
        self.count(record.verdict, record.severity, record.both_held, weight);
        self.timeline.add(time, Class::of(record.verdict), weight);
        self.add_statuses((status(&record.served), status(&record.other)), weight);
        for (latencies, answer) in [(&mut self.served, &record.served), (&mut self.other, &record.other)] {
            if let Some(latency) = answer.latency_ms {
                latencies.add(latency, weight);
            }
        }
    }

    /// Adds comparisons without a written record.
    pub(super) fn count(
        &mut self,
        verdict: Verdict,
        severity: Option<Severity>,
        both_held: bool,
        count: u64,
    ) {
        if both_held && verdict.is_judged() && verdict != Verdict::NoCounterpart {
            self.paired = self.paired.saturating_add(count);
        }
        let cell = &mut self.counts[verdict as usize][severity.map_or(0, |severity| severity as usize + 1)];
        *cell = cell.saturating_add(count);
    }

    fn add_statuses(&mut self, pair: (StatusOrReason, StatusOrReason), weight: u64) {
        if self.statuses.len() >= STATUSES_MAX && !self.statuses.contains_key(&pair) {
            self.statuses_left_out = self.statuses_left_out.saturating_add(weight);
        } else {
            let count = self.statuses.entry(pair).or_default();
            *count = count.saturating_add(weight);
        }
    }

    pub(super) fn of(&self, verdict: Verdict) -> u64 {
        sum(self.counts[verdict as usize])
    }

    /// Comparisons with that verdict and severity. A mismatch without a severity counts as `money`.
    pub(super) fn of_severity(&self, verdict: Verdict, severity: Severity) -> u64 {
        let graded = self.counts[verdict as usize][severity as usize + 1];
        let ungraded = if verdict == Verdict::Mismatch { self.counts[verdict as usize][0] } else { 0 };
        if severity == Severity::Money { graded.saturating_add(ungraded) } else { graded }
    }

    pub(super) fn records(&self) -> u64 {
        sum(Verdict::ALL.map(|verdict| self.of(verdict)))
    }

    /// Comparisons that could be made.
    pub(super) fn judged(&self) -> u64 {
        sum(Verdict::ALL.into_iter().filter(|verdict| verdict.is_judged()).map(|verdict| self.of(verdict)))
    }

    pub(super) fn statuses(&self) -> Vec<StatusPair> {
        let pair = |((served, other), count): (&(StatusOrReason, StatusOrReason), &u64)| StatusPair {
            served: shown(served),
            other: shown(other),
            count: *count,
        };
        let mut pairs: Vec<_> = self.statuses.iter().map(pair).collect();
        pairs.sort_by(|a, b| (b.count, &a.served, &a.other).cmp(&(a.count, &b.served, &b.other)));
        pairs
    }
}

fn sum(counts: impl IntoIterator<Item = u64>) -> u64 {
    counts.into_iter().fold(0, u64::saturating_add)
}

fn status(answer: &ResponseSummary) -> StatusOrReason {
    (answer.status, answer.skip_reason.as_deref().map(|reason| clip(reason, 24).into_owned()))
}

fn shown((status, reason): &StatusOrReason) -> String {
    match (status, reason) {
        (Some(status), Some(reason)) => format!("{status} {reason}"),
        (Some(status), None) => status.to_string(),
        (None, Some(reason)) => reason.clone(),
        (None, None) => "none".into(),
    }
}

/// One side's status for people.
pub(super) fn status_text(answer: &ResponseSummary) -> String {
    shown(&status(answer))
}
