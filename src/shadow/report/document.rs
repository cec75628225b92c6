//! The report as data: what `report --format json` prints, and what the text and the page are made from. Field names are
//! stable: one is only ever added, and [`SCHEMA`] counts up when a meaning changes.
//!
//! Times are RFC 3339 in UTC, shares are 0 to 1. Texts that come from the logs are cut to a bounded length, with control
//! characters spelled out (`\u{1b}`).

use serde::Serialize;

use crate::shadow::terms::{Route, Severity, Verdict};

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
}

impl Decision {
    /// For people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Go => "GO",
            Self::NoGo => "NO-GO",
            Self::NotInShadow => "not in shadow",
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

/// Whether shadow really ran, from its heartbeats.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Running {
    /// How many there are; with none, nothing here is known.
    pub heartbeats: u64,
    /// Processes that sent them.
    pub processes: u64,
    /// How much time they cover, added over processes.
    pub seconds: f64,
    /// How much of it shadow was configured and did not run.
    pub idle_seconds: f64,
    /// The share of that.
    pub idle_share: Option<f64>,
    /// Why, the longest first.
    pub idle: Vec<Idle>,
    /// Comparisons that were due.
    pub due: u64,
    /// Comparisons that were made, as the processes counted them.
    pub done: u64,
    /// Comparisons that were dropped.
    pub dropped: u64,
    /// The share of those, of all due.
    pub dropped_share: Option<f64>,
    /// By route and reason, the most frequent first.
    pub dropped_by: Vec<DroppedBy>,
    /// Which share of each route was to be compared.
    pub sampled: Vec<SampledRoute>,
}

/// Time without comparisons.
#[derive(Clone, Debug, Serialize)]
pub struct Idle {
    /// Why.
    pub reason: String,
    /// How long.
    pub seconds: f64,
}

/// Comparisons that were not made.
#[derive(Clone, Debug, Serialize)]
pub struct DroppedBy {
    /// Of this route.
    pub route: Route,
    /// Why.
    pub reason: String,
    /// How many.
    pub count: u64,
}

/// A route's sampling over the window.
#[derive(Clone, Debug, Serialize)]
pub struct SampledRoute {
    /// Which.
    pub route: Route,
    /// The lowest share that was in force.
    pub lowest: f64,
    /// The highest.
    pub highest: f64,
}

/// One route.
#[derive(Clone, Debug, Serialize)]
pub struct RouteReport {
    /// Which.
    pub route: Route,
    /// May it move on?
    pub verdict: Decision,
    /// Every threshold, met or not.
    pub checks: Vec<Check>,
    /// Comparisons: written, and summed up in those.
    pub records: u64,
    /// Those with a line of their own.
    pub written: u64,
    /// Those that could be made.
    pub judged: u64,
    /// The last one.
    pub last: Option<String>,
    /// By verdict, all nine.
    pub verdicts: Vec<VerdictCount>,
    /// Those that differed, by severity of the gravest difference, all three.
    pub severities: Vec<SeverityCount>,
    /// How long both sides took. A written record stands for those that are summed up in it.
    pub latency: BothLatencies,
    /// Which status was served where the other side said which; as above.
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
    /// The key under `[shadow.go]`; or `records`, `heartbeats`, `newer_lines`, which are always asked for.
    pub name: &'static str,
    /// Whether it is met.
    pub passed: bool,
    /// What was found; `None` = not known.
    pub found: Option<f64>,
    /// What is asked for.
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
    /// Half of them took no longer.
    pub p50_ms: f64,
    /// 95 of 100 took no longer.
    pub p95_ms: f64,
    /// 99 of 100 took no longer.
    pub p99_ms: f64,
    /// None took longer.
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

/// Kinds of outcomes other than a plain match.
#[derive(Clone, Debug, Serialize)]
pub struct Signatures {
    /// How many there are.
    pub total: u64,
    /// The first of them.
    pub top: Vec<Signature>,
    /// Comparisons with a signature that there was no room for.
    pub left_out: u64,
}

/// One kind of outcome.
#[derive(Clone, Debug, Serialize)]
pub struct Signature {
    /// Its hash.
    pub signature: String,
    /// The route.
    pub route: Route,
    /// The verdict.
    pub verdict: Verdict,
    /// The gravest difference.
    pub severity: Option<Severity>,
    /// How many.
    pub count: u64,
    /// Of all of the route.
    pub share: f64,
    /// The first.
    pub first_seen: String,
    /// The last.
    pub last_seen: String,
    /// Two at most.
    pub examples: Vec<Example>,
}

/// One comparison, redacted where it was written.
#[derive(Clone, Debug, Serialize)]
pub struct Example {
    /// When.
    pub time: String,
    /// The request id of the client's request.
    pub request_id: String,
    /// Its trace id.
    pub trace_id: Option<String>,
    /// HTTP status of the answer that was served, or why there is none.
    pub served: String,
    /// HTTP status of the other, or why there is none.
    pub other: String,
    /// What differs, or was ignored.
    pub diffs: Vec<DiffShown>,
    /// How many more.
    pub diffs_left_out: u64,
}

/// One difference.
#[derive(Clone, Debug, Serialize)]
pub struct DiffShown {
    /// Where.
    pub path: String,
    /// What kind.
    pub kind: &'static str,
    /// How grave.
    pub severity: Severity,
    /// What was served, redacted.
    pub served: Option<String>,
    /// What the other has there, redacted.
    pub other: Option<String>,
    /// The rule that accepts it.
    pub rule: Option<String>,
}

/// What written records covered; those summed up in others cannot be told apart.
#[derive(Clone, Debug, Serialize)]
pub struct Coverage {
    /// The query parameters, in the order of `CoverageRow::parameters`.
    pub parameters: Vec<&'static str>,
    /// First all records, whatever they showed; then each asset pair by status.
    pub rows: Vec<CoverageRow>,
    /// Cells that are 0, of those whose route was compared at all.
    pub never_seen: u64,
    /// All cells of those.
    pub cells: u64,
    /// Asset pairs that there was no room for.
    pub pairs_left_out: u64,
    /// Records with and without a `ref_id`.
    pub ref_ids: Vec<RefIds>,
}

/// How often a kind of conversions was seen.
#[derive(Clone, Debug, Serialize)]
pub struct CoverageRow {
    /// `USD/PYUSD`; `None` = any, or none at all.
    pub asset_pair: Option<String>,
    /// `CREATED`, …; `None` = any, or none at all.
    pub status: Option<String>,
    /// Records of each route, in the order create, get, list.
    pub routes: [u64; 3],
    /// Records of list with that query parameter.
    pub parameters: Vec<u64>,
}

/// Records with and without a `ref_id`.
#[derive(Clone, Debug, Serialize)]
pub struct RefIds {
    /// Of this route.
    pub route: Route,
    /// With one.
    pub with: u64,
    /// Without.
    pub without: u64,
}

/// A rule, from the heartbeats.
#[derive(Clone, Debug, Serialize)]
pub struct Rule {
    /// Its pattern.
    pub path: String,
    /// Why.
    pub reason: String,
    /// Who answers for it.
    pub owner: String,
    /// Its last day.
    pub expires: String,
    /// Differences that it met.
    pub hits: u64,
    /// `used`, `unused` or `expired`.
    pub state: RuleState,
    /// The last heartbeat that named it.
    pub last_seen: String,
}

/// What a rule is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleState {
    /// It accepts differences.
    Used,
    /// Nothing ever met it: it may go.
    Unused,
    /// It accepts nothing any more.
    Expired,
}

impl RuleState {
    /// The name in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Used => "used",
            Self::Unused => "unused",
            Self::Expired => "expired",
        }
    }
}
