//! One route: its verdict, its totals, its latency, its statuses.

use serde::Serialize;

use super::decision::Decision;
use crate::shadow::types::{Severity, Verdict};
use crate::translate::route::Route;

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
pub(super) const fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct RouteReport {
    pub(crate) route: Route,
    /// Whether the route may move on.
    pub(crate) verdict: Decision,
    /// Every threshold, met or not.
    pub(crate) checks: Vec<Check>,
    /// Comparisons: written records, and those that they count as suppressed.
    pub(crate) records: u64,
    pub(crate) written: u64,
    /// Comparisons whose responses could be compared.
    pub(crate) judged: u64,
    /// Those of them in which both sides held a record, or rows.
    pub(crate) paired: u64,
    /// Comparisons of kind `self`: a record that was made on the new API, read there again.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) own: u64,
    /// Comparisons of kind `pair`: made by `probe --pairs`.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) pairs: u64,
    /// Rows of lists that `probe` made, and that were not compared, in written records.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) probe_rows: u64,
    pub(crate) last: Option<String>,
    pub(crate) verdicts: Vec<VerdictCount>,
    /// Those that differed, by severity of the gravest difference, all three.
    pub(crate) severities: Vec<SeverityCount>,
    /// The latency of both sides. A written record stands for those that it counts as suppressed.
    pub(crate) latency: BothLatencies,
    /// Served status by the other side's status; weighted as above.
    pub(crate) statuses: Vec<StatusPair>,
    /// Comparisons with a pair of statuses that there was no room for.
    pub(crate) statuses_left_out: u64,
    /// Width of a column in `over_time`.
    pub(crate) column_seconds: i64,
    /// Comparisons over time, empty columns left out.
    pub(crate) over_time: Vec<Column>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Check {
    /// The key under `[shadow.go]`; or `records`, `heartbeats`, `newer_lines`, which always apply.
    pub(crate) name: &'static str,
    pub(crate) passed: bool,
    /// The measured value; `None` when it is unknown.
    pub(crate) found: Option<f64>,
    pub(crate) threshold: f64,
    /// For people, with both numbers.
    pub(crate) text: String,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct VerdictCount {
    pub(crate) verdict: Verdict,
    pub(crate) count: u64,
    /// Of all of the route.
    pub(crate) share: f64,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct SeverityCount {
    pub(crate) severity: Severity,
    pub(crate) mismatch: u64,
    pub(crate) error_disagreement: u64,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct BothLatencies {
    /// Of the answers that clients got.
    pub(crate) served: Option<Latency>,
    /// Of those that they were compared with.
    pub(crate) other: Option<Latency>,
}

/// Latency on one side, in milliseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Latency {
    pub(crate) count: u64,
    pub(crate) p50_ms: f64,
    pub(crate) p95_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) max_ms: f64,
}

/// Comparisons with one pair of statuses.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct StatusPair {
    /// HTTP status, or why there is none.
    pub(crate) served: String,
    /// HTTP status, or why there is none.
    pub(crate) other: String,
    pub(crate) count: u64,
}

/// Comparisons in a stretch of time.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Column {
    pub(crate) start: String,
    /// Its place among all columns, empty ones included.
    pub(crate) index: i64,
    /// `match`, `match_after_rules`
    pub(crate) agreed: u64,
    /// `progress`, `transient`, `no_counterpart`
    pub(crate) explained: u64,
    /// `not_comparable`, `shadow_failed`
    pub(crate) not_compared: u64,
    /// `error_disagreement`, `mismatch`
    pub(crate) differed: u64,
}
