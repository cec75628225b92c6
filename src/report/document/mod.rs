//! The report as data: what `report --format json` prints, and what the text and the page are made from. Field names are
//! stable: one is only ever added, and [`SCHEMA`] counts up when a meaning changes.
//!
//! Times are RFC 3339 in UTC, shares are 0 to 1. Texts that come from the logs are cut to a bounded length, with control
//! characters spelled out (`\u{1b}`).

mod found;
mod route;
mod running;

use serde::Serialize;

pub use self::found::{
    Coverage, CoverageRow, DiffShown, Example, RefIds, Rule, RuleState, Signature, Signatures,
};
pub use self::route::{
    BothLatencies, Check, Column, Latency, RouteReport, SeverityCount, StatusPair, VerdictCount,
};
pub use self::running::{DroppedBy, Idle, Running, SampledRoute};
use crate::shadow::types::Verdict;

/// The version of this document.
pub const SCHEMA: u8 = 1;

/// All of it.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// [`SCHEMA`]
    pub schema: u8,
    /// When the report was made; freshness and expiry are seen from here.
    pub made_at: String,
    /// GO when at least one route is GO and none is NO-GO.
    pub verdict: Decision,
    /// What a reader must know before believing the rest.
    pub notes: Vec<String>,
    /// What was read.
    pub input: Input,
    /// From the first comparison to the last.
    pub window: Window,
    /// The configs under which the comparisons were made.
    pub configs: Vec<ConfigSeen>,
    /// Whether shadow really ran.
    pub running: Running,
    /// One entry a route that was asked for.
    pub routes: Vec<RouteReport>,
    /// What differed, the gravest and most frequent first.
    pub signatures: Signatures,
    /// What the comparisons covered.
    pub coverage: Coverage,
    /// Accepted differences.
    pub rules: Vec<Rule>,
}

/// May it move on?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Every threshold is met.
    Go,
    /// At least one is not.
    NoGo,
    /// Nothing was compared, and nothing was to be.
    NotInShadow,
    /// Nothing was compared, and no heartbeat says yet whether anything was to be.
    NotKnown,
}

impl Decision {
    /// For people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Go => "GO",
            Self::NoGo => "NO-GO",
            Self::NotInShadow => "not in shadow",
            Self::NotKnown => "not known",
        }
    }
}

/// Verdicts in four heaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The same, or the same after rules.
    Agreed,
    /// Different, for a known and harmless reason.
    Explained,
    /// Nothing came out.
    NotCompared,
    /// Different.
    Differed,
}

impl Class {
    /// All of them, in this order.
    pub const ALL: [Self; 4] = [Self::Agreed, Self::Explained, Self::NotCompared, Self::Differed];

    /// Where a verdict belongs.
    #[must_use]
    pub const fn of(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Match | Verdict::MatchAfterRules => Self::Agreed,
            Verdict::Progress | Verdict::Transient | Verdict::NoCounterpart => Self::Explained,
            Verdict::NotComparable | Verdict::ShadowFailed => Self::NotCompared,
            Verdict::ErrorDisagreement | Verdict::Mismatch => Self::Differed,
        }
    }

    /// For people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Agreed => "agreed",
            Self::Explained => "explained",
            Self::NotCompared => "not compared",
            Self::Differed => "differed",
        }
    }
}

/// Lines, by what they were.
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
    /// Somebody else's.
    pub other: u64,
    /// Shadow's, unreadable: torn or cut.
    pub broken: u64,
    /// Shadow's, of a newer version than this program reads.
    pub newer: u64,
    /// The newest version among them.
    pub newest_schema: Option<u64>,
    /// Records and heartbeats before `--since`.
    pub before_since: u64,
    /// Records of routes that were not asked for.
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
