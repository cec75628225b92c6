//! The heartbeat line: whether shadow runs, what it dropped, which records it did not write.

use serde::{Deserialize, Serialize};

use super::types::{Severity, Verdict, compared_route};
use crate::translate::route::Route;

/// The state of shadow in one process. Counts and times are totals since its start, so that a heartbeat that is lost loses none of them;
/// up to schema 2 they were increases since the heartbeat before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeartbeatRecord {
    /// As in a comparison's record.
    pub schema: u8,
    /// Always `shadow`.
    pub target: String,
    /// RFC 3339 in UTC.
    pub time: String,
    /// Twelve random hex digits, made at the start of the process.
    pub process: String,
    /// The number of this line, as in a comparison's record.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub sequence: u64,
    /// The next heartbeat follows within so many seconds. Absent in the last one of a process, and where no route is in mode `shadow`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_seconds: Option<f64>,
    /// Twelve hex digits of the config in force.
    pub config_hash: String,
    /// As in a comparison's record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hosts: Option<String>,
    /// The stage of that config.
    pub stage: String,
    /// The routes in mode `shadow`, each with the share that is compared. A share of 0 is listed too: that route has no
    /// evidence.
    pub routes: Vec<RouteShare>,
    /// The time that the heartbeats cover.
    pub seconds: f64,
    /// The part of it in which shadow was configured and did not run.
    pub idle_seconds: f64,
    /// `idle_seconds` by reason, as far as there is any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub idle: Vec<IdleSeconds>,
    /// Why shadow does not run now: `stopped`, `cooldown`, `sample_0`, `budget_0`; `cooldown` also if it ended since the last heartbeat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_reason: Option<String>,
    /// Requests that were sampled.
    pub due: u64,
    /// Comparisons that were made.
    pub done: u64,
    /// Jobs that were dropped, by route and reason.
    pub dropped: Vec<DroppedJobs>,
    /// Jobs in the queue now.
    pub waiting: u64,
    /// Records that were not written since the last heartbeat, and that no later record counts. Not totals.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suppressed: Vec<Suppressed>,
    /// The ignore rules in force.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RuleHits>,
    /// What this process read in the vendor's answers and does not know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drift: Vec<DriftSeen>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
pub(super) const fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Time in which shadow was configured and did not run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IdleSeconds {
    /// As in `idle_reason`.
    pub reason: String,
    /// As in `idle_seconds`, to the millisecond.
    pub seconds: f64,
}

/// A route in mode `shadow`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RouteShare {
    /// Never `cancel`, which is not compared.
    #[serde(deserialize_with = "compared_route")]
    pub route: Route,
    /// The share of its requests that is compared, 0 to 1.
    pub share: f64,
}

/// Jobs of one route that were dropped for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DroppedJobs {
    /// Never `cancel`, which is not compared.
    #[serde(deserialize_with = "compared_route")]
    pub route: Route,
    /// `jobs`, `bytes`, `budget`, `cooldown`, `panic` or `shutdown`.
    pub reason: String,
    /// Jobs since the process started.
    pub count: u64,
}

/// Records of one signature that were not written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suppressed {
    /// Never `cancel`, which is not compared.
    #[serde(deserialize_with = "compared_route")]
    pub route: Route,
    /// As in a record.
    pub verdict: Verdict,
    /// As in a record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// As in a record.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub both_held: bool,
    /// As in a record.
    pub signature: String,
    /// Records that were not written.
    pub count: u64,
}

/// A name in the vendor's answers that the process does not know. Never a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriftSeen {
    /// Side, place and name: `new.record.label`.
    pub path: String,
    /// The JSON type of the value.
    pub r#type: String,
    /// Whether it may say something about money.
    pub money: bool,
    /// RFC 3339 in UTC.
    pub first_seen: String,
}

/// An ignore rule and its hits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleHits {
    /// The pattern of paths, as in the config.
    pub path: String,
    /// Why the difference is accepted.
    pub reason: String,
    /// Who is responsible for the rule.
    pub owner: String,
    /// The last day on which the rule applies, `2027-01-31`.
    pub expires: String,
    /// Whether that day is past.
    pub expired: bool,
    /// Differences that the rule accepted, or would have accepted had it not expired.
    pub hits: u64,
}
