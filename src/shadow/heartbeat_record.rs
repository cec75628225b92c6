//! What shadow tells of itself, once a heartbeat: whether it runs, what it dropped, what it left unwritten.

use serde::{Deserialize, Serialize};

use super::record::is_false;
use super::types::{Severity, Verdict, compared_route};
use crate::translate::route::Route;

/// How shadow itself is doing. Counts are since the last heartbeat of this process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeartbeatRecord {
    /// [`SCHEMA`](super::record::SCHEMA)
    pub schema: u8,
    /// [`TARGET`](super::record::TARGET)
    pub target: String,
    /// When; RFC 3339 in UTC.
    pub time: String,
    /// Tells processes apart.
    pub process: String,
    /// The config in force.
    pub config_hash: String,
    /// Its stage.
    pub stage: String,
    /// The routes in mode `shadow` and the share of each that is compared. A share of 0 is told too: nothing speaks for that
    /// route.
    pub routes: Vec<Sampled>,
    /// How much time this covers.
    pub seconds: f64,
    /// How much of it shadow was configured and did not run.
    pub idle_seconds: f64,
    /// Why it does not run now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_reason: Option<String>,
    /// Jobs that were due.
    pub due: u64,
    /// Jobs that were compared.
    pub done: u64,
    /// Jobs that were dropped, by reason: `jobs`, `bytes`, `budget`, `cooldown`, `panic`, `shutdown`.
    pub dropped: Vec<Dropped>,
    /// Jobs that wait or run now.
    pub waiting: u64,
    /// Records that were not written, and that no later record will tell of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suppressed: Vec<Suppressed>,
    /// The rules in force, and how often each was hit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RuleHits>,
}

/// A route's share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sampled {
    /// Which.
    #[serde(deserialize_with = "compared_route")]
    pub route: Route,
    /// 0 to 1.
    pub share: f64,
}

/// Jobs dropped for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// The route.
    #[serde(deserialize_with = "compared_route")]
    pub route: Route,
    /// Why.
    pub reason: String,
    /// How many.
    pub count: u64,
}

/// Records of one signature that were not written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suppressed {
    /// The route.
    #[serde(deserialize_with = "compared_route")]
    pub route: Route,
    /// Their verdict.
    pub verdict: Verdict,
    /// Their severity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// As in a record.
    #[serde(default, skip_serializing_if = "is_false")]
    pub both_held: bool,
    /// Their signature.
    pub signature: String,
    /// How many.
    pub count: u64,
}

/// A rule and its hits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleHits {
    /// Its pattern.
    pub path: String,
    /// Why.
    pub reason: String,
    /// Who answers for it.
    pub owner: String,
    /// Its last day, `2027-01-31`.
    pub expires: String,
    /// Whether that is past.
    pub expired: bool,
    /// Differences that it accepted, or would have if it had not expired.
    pub hits: u64,
}
