//! The report as data: `report --format json` prints it, and the text and the page are rendered from it. Fields are only added;
//! [`SCHEMA`] increases when a meaning changes.
//!
//! Times are RFC 3339 in UTC, shares are 0 to 1. Texts from the logs are cut to a bounded length, with control
//! characters escaped (`\u{1b}`).

mod decision;
mod found;
mod route;
mod running;

use jiff::Timestamp;
use serde::Serialize;

pub use self::decision::{Class, Decision};
pub(crate) use self::found::{
    Coverage, CoverageRow, DiffShown, DriftReport, Example, RefIds, RuleReport, RuleState, Signature,
    Signatures, Uncovered,
};
pub(crate) use self::route::{
    BothLatencies, Check, Column, Latency, RouteReport, SeverityCount, StatusPair, VerdictCount,
};
pub(crate) use self::running::{DroppedBy, IdleTime, RunningSummary, SampledRoute};

/// The version of this document.
pub(crate) const SCHEMA: u8 = 1;

/// The report before it is rendered; JSON output is this type.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub(crate) schema: u8,
    /// The time of the report, from which freshness and expiry are computed.
    pub(crate) made_at: String,
    /// NO-GO when a route is, else NOT PROVEN when a route is, else GO when one is.
    pub verdict: Decision,
    /// Warnings about the input and the rules, to read before the figures.
    pub(crate) notes: Vec<String>,
    /// The lines that were read.
    pub input: InputCounts,
    /// From the first comparison to the last.
    pub(crate) window: Window,
    /// The configs under which the comparisons were made.
    pub(crate) configs: Vec<ConfigSeen>,
    /// Whether shadow ran, from the heartbeats.
    pub(crate) running: RunningSummary,
    /// One entry for each route of the report.
    pub(crate) routes: Vec<RouteReport>,
    /// Signatures by severity and count, the highest first.
    pub(crate) signatures: Signatures,
    pub(crate) coverage: Coverage,
    pub(crate) rules: Vec<RuleReport>,
    /// What processes read in the vendor's answers and did not know.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) drift: Vec<DriftReport>,
}

/// Lines of the input by kind.
#[derive(Clone, Debug, Default, Serialize)]
pub struct InputCounts {
    pub(crate) files: u64,
    /// Every line, of any kind.
    pub lines: u64,
    /// Records of comparisons, each once.
    pub comparisons: u64,
    /// Heartbeats, each once.
    pub heartbeats: u64,
    /// Lines that are not shadow's.
    pub other: u64,
    /// Shadow lines that are truncated or malformed.
    pub broken: u64,
    /// Shadow lines of a newer schema than this program reads.
    pub newer: u64,
    /// The newest version among them.
    pub(crate) newest_schema: Option<u64>,
    /// Lines that were read before, by the number that their process gave them. They count once.
    pub(crate) repeated: u64,
    /// Lines without a number, of schema 1 or 2: which of them are repeats is not known.
    pub(crate) unnumbered: u64,
    /// Records and heartbeats before `--since`.
    pub(crate) before_since: u64,
    /// Records of routes that the report does not cover.
    pub(crate) of_other_routes: u64,
    /// Records whose time is after `made_at`.
    pub(crate) from_the_future: u64,
}

/// From the first comparison to the last.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Window {
    pub(crate) since: Option<String>,
    pub(crate) first: Option<String>,
    pub(crate) last: Option<String>,
    pub(crate) seconds: i64,
    /// From the last record to `made_at`.
    pub(crate) age_seconds: Option<i64>,
}

/// A config that was in force.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ConfigSeen {
    pub(crate) hash: String,
    pub(crate) stage: String,
    pub(crate) records: u64,
    /// The first line under it.
    pub(crate) first: String,
    /// The last line under it.
    pub(crate) last: String,
}

impl Report {
    /// The times of the first comparison and the last.
    #[must_use]
    pub(crate) fn window_of_records(&self) -> Option<(Timestamp, Timestamp)> {
        let time = |at: &Option<String>| at.as_deref()?.parse().ok();
        time(&self.window.first).zip(time(&self.window.last))
    }
}
