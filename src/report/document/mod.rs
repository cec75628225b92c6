//! The report as data: `report --format json` prints it, and the text and the page are rendered from it. Fields are only added;
//! [`SCHEMA`] increases when a meaning changes.
//!
//! Times are RFC 3339 in UTC, shares are 0 to 1. Texts from the logs are cut to a bounded length, with control
//! characters escaped (`\u{1b}`).

mod decision;
mod found;
mod route;
mod running;

use serde::Serialize;

pub use self::decision::{Class, Decision};
pub use self::found::{
    Coverage, CoverageRow, DiffShown, Example, RefIds, Rule, RuleState, Signature, Signatures,
};
pub use self::route::{
    BothLatencies, Check, Column, Latency, RouteReport, SeverityCount, StatusPair, VerdictCount,
};
pub use self::running::{DroppedBy, Idle, Running, SampledRoute};

/// The version of this document.
pub const SCHEMA: u8 = 1;

/// The whole report.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// [`SCHEMA`]
    pub schema: u8,
    /// The time of the report, from which freshness and expiry are computed.
    pub made_at: String,
    /// GO when at least one route is GO and none is NO-GO.
    pub verdict: Decision,
    /// Warnings about the input and the rules, to read before the figures.
    pub notes: Vec<String>,
    /// The lines that were read.
    pub input: Input,
    /// From the first comparison to the last.
    pub window: Window,
    /// The configs under which the comparisons were made.
    pub configs: Vec<ConfigSeen>,
    /// Whether shadow ran, from the heartbeats.
    pub running: Running,
    /// One entry for each route of the report.
    pub routes: Vec<RouteReport>,
    /// Signatures by severity and count, the highest first.
    pub signatures: Signatures,
    /// What the comparisons covered.
    pub coverage: Coverage,
    /// Accepted differences.
    pub rules: Vec<Rule>,
}

/// Lines by kind.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Input {
    /// Files, standard input included.
    pub files: u64,
    /// All lines.
    pub lines: u64,
    /// Records of comparisons.
    pub comparisons: u64,
    /// Heartbeats.
    pub heartbeats: u64,
    /// Lines that are not shadow's.
    pub other: u64,
    /// Shadow lines that are truncated or malformed.
    pub broken: u64,
    /// Shadow lines of a newer schema than this program reads.
    pub newer: u64,
    /// The newest version among them.
    pub newest_schema: Option<u64>,
    /// Records and heartbeats before `--since`.
    pub before_since: u64,
    /// Records of routes that the report does not cover.
    pub of_other_routes: u64,
    /// Records whose time is after `made_at`.
    pub from_the_future: u64,
}

/// From the first comparison to the last.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Window {
    /// `--since`.
    pub since: Option<String>,
    /// The first record.
    pub first: Option<String>,
    /// The last record.
    pub last: Option<String>,
    /// Between them.
    pub seconds: i64,
    /// From the last record to `made_at`.
    pub age_seconds: Option<i64>,
}

/// A config that was in force.
#[derive(Clone, Debug, Serialize)]
pub struct ConfigSeen {
    /// Its hash.
    pub hash: String,
    /// Its stage.
    pub stage: String,
    /// Comparisons under it.
    pub records: u64,
    /// The first line under it.
    pub first: String,
    /// The last line under it.
    pub last: String,
}
