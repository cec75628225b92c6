//! One route: its verdict, its totals, its latency, its statuses.

use serde::Serialize;

use super::decision::Decision;
use crate::shadow::types::{Severity, Verdict};
use crate::translate::route::Route;

/// One route.
#[derive(Clone, Debug, Serialize)]
pub struct RouteReport {
    /// Which.
    pub route: Route,
    /// Whether the route may move on.
    pub verdict: Decision,
    /// Every threshold, met or not.
    pub checks: Vec<Check>,
    /// Comparisons: written records, and those that they count as suppressed.
    pub records: u64,
    /// Written records.
    pub written: u64,
    /// Comparisons whose responses could be compared.
    pub judged: u64,
    /// Those of them in which both sides held a record, or rows.
    pub paired: u64,
    /// The last one.
    pub last: Option<String>,
    /// By verdict, all nine.
    pub verdicts: Vec<VerdictCount>,
    /// Those that differed, by severity of the gravest difference, all three.
    pub severities: Vec<SeverityCount>,
    /// The latency of both sides. A written record stands for those that it counts as suppressed.
    pub latency: BothLatencies,
    /// Served status by the other side's status; weighted as above.
    pub statuses: Vec<StatusPair>,
    /// Comparisons with a pair of statuses that there was no room for.
    pub statuses_left_out: u64,
    /// Width of a column in `over_time`.
    pub column_seconds: i64,
    /// Comparisons over time, empty columns left out.
    pub over_time: Vec<Column>,
}

/// One threshold.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Check {
    /// The key under `[shadow.go]`; or `records`, `heartbeats`, `newer_lines`, which always apply.
    pub name: &'static str,
    /// Whether it is met.
    pub passed: bool,
    /// The measured value; `None` when it is unknown.
    pub found: Option<f64>,
    /// The limit.
    pub threshold: f64,
    /// For people, with both numbers.
    pub text: String,
}

/// Comparisons with one verdict.
#[derive(Clone, Debug, Serialize)]
pub struct VerdictCount {
    /// Which.
    pub verdict: Verdict,
    /// How many.
    pub count: u64,
    /// Of all of the route.
    pub share: f64,
}

/// Comparisons of one severity.
#[derive(Clone, Debug, Serialize)]
pub struct SeverityCount {
    /// Which.
    pub severity: Severity,
    /// `mismatch`.
    pub mismatch: u64,
    /// `error_disagreement`.
    pub error_disagreement: u64,
}

/// Latency on both sides.
#[derive(Clone, Debug, Serialize)]
pub struct BothLatencies {
    /// Of the answers that clients got.
    pub served: Option<Latency>,
    /// Of those that they were compared with.
    pub other: Option<Latency>,
}

/// Latency on one side, in milliseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Latency {
    /// Of how many.
    pub count: u64,
    /// Median.
    pub p50_ms: f64,
    /// 95th percentile.
    pub p95_ms: f64,
    /// 99th percentile.
    pub p99_ms: f64,
    /// Maximum.
    pub max_ms: f64,
}

/// Comparisons with one pair of statuses.
#[derive(Clone, Debug, Serialize)]
pub struct StatusPair {
    /// HTTP status, or why there is none.
    pub served: String,
    /// HTTP status, or why there is none.
    pub other: String,
    /// How many.
    pub count: u64,
}

/// Comparisons in a stretch of time.
#[derive(Clone, Debug, Serialize)]
pub struct Column {
    /// When it begins.
    pub start: String,
    /// Its place among all columns, empty ones included.
    pub index: i64,
    /// `match`, `match_after_rules`
    pub agreed: u64,
    /// `progress`, `transient`, `no_counterpart`
    pub explained: u64,
    /// `not_comparable`, `shadow_failed`
    pub not_compared: u64,
    /// `error_disagreement`, `mismatch`
    pub differed: u64,
}
