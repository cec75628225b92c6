//! The JSON documents of the admin listener; the commands `status` and `usage` read the same types. Times are RFC 3339 in UTC.
//! Unknown values are left out, never guessed.

use std::collections::BTreeMap;

use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::shadow::heartbeat_record::{DroppedJobs, RuleHits};
use crate::shadow::stats::{SignatureTotal, VerdictTotal};
use crate::upstream::rate_limit::BudgetSnapshot as Budget;

/// An RFC 3339 time without fractional seconds.
#[must_use]
pub fn to_the_second(time: &str) -> String {
    time.split_once('.').map_or_else(|| time.into(), |(whole, _)| format!("{whole}Z"))
}

/// `/livez`
#[derive(Debug, Serialize)]
pub struct Live {
    /// Always true: the process answers.
    pub live: bool,
}

/// `/readyz`
#[derive(Debug, Serialize, Deserialize)]
pub struct Readiness {
    /// Whether a load balancer should send clients here.
    pub ready: bool,
    /// Why not; empty when ready.
    pub reasons: Vec<Reason>,
}

/// One reason why the process is not ready.
#[derive(Debug, Serialize, Deserialize)]
pub struct Reason {
    /// `draining`, `ledger`, `legacy side` or `new side`.
    pub kind: String,
    /// When it began.
    pub since: String,
    /// Message for operators.
    pub detail: String,
}

/// `/status`
#[derive(Debug, Serialize, Deserialize)]
pub struct Status {
    /// The program's version.
    pub version: String,
    /// Seconds since the process started.
    pub uptime_seconds: u64,
    /// The same as `/readyz`.
    pub readiness: Readiness,
    /// The stage of the cutover.
    pub stage: String,
    /// The mode of every route in force; it may override the stage's.
    pub modes: Modes,
    /// Which profiles create on the new API while create is in mode `canary`.
    pub canary: Canary,
    /// How many processes share the ledger.
    pub replicas: u32,
    /// Writes in flight, including those whose client has disconnected.
    pub writes_in_flight: usize,
    /// The config in force, and the last reloads.
    pub config: Config,
    /// The rate budget.
    pub budget: Budget,
    /// Clients that still call the old API.
    #[serde(default)]
    pub usage: Usage,
    /// The active advisories.
    #[serde(default)]
    pub advisories: Vec<Advisory>,
    /// Absent when no ledger is configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ledger: Option<Ledger>,
    /// Absent if no route is or was in mode `shadow` since start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<Shadow>,
}

/// A state that the config permits and that an operator should check, while it lasts.
#[derive(Debug, Serialize, Deserialize)]
pub struct Advisory {
    /// `sealed_early`: reads no longer query the old API, although creates went there recently. `young_ledger`: the ledger is barely
    /// older than the first create on the new API.
    pub kind: String,
    /// When it began.
    pub since: String,
    /// Message for operators.
    pub detail: String,
}

/// Clients that called the four routes of the old API since the process started.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Usage {
    /// By number of requests, highest first.
    pub clients: Vec<Client>,
    /// Maximum number of clients that are counted separately.
    pub clients_max: usize,
    /// Requests of clients beyond that maximum.
    pub other_requests: u64,
    /// When the maximum was first exceeded; absent if it never was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full_since: Option<String>,
    /// Clients replaced by new ones: the least recently seen without blocking requests.
    #[serde(default)]
    pub evicted: u64,
}

/// One client. It chooses its own name, so every display must escape it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Client {
    /// Its name, truncated.
    pub client: String,
    /// The source of the name: `header`, `caller`, `certificate`, `token` (not verified) or `nothing`.
    pub identified_by: String,
    /// Time of its last request.
    pub last_seen: String,
    /// Number of requests.
    pub requests: u64,
    /// Requests by route, without zeros.
    pub routes: BTreeMap<String, u64>,
    /// Requests that block the end of the old API, by feature: `cancel`, `change_filter` (`updated_at.*` on a list), `no_reference`
    /// (a create without `ref_id`), `legacy_record` (a get of a record that only the old API holds).
    pub blocking: BTreeMap<String, u64>,
}

/// Shadow comparisons since the process started.
#[derive(Debug, Serialize, Deserialize)]
pub struct Shadow {
    /// Whether a route is in mode `shadow`.
    pub configured: bool,
    /// Whether comparisons run now.
    pub active: bool,
    /// Why comparisons do not run although configured: `cooldown`, `sample_0`, `budget_0`, `stopped`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_reason: Option<String>,
    /// Queued comparisons.
    pub waiting: usize,
    /// Memory of their bodies, in bytes.
    pub bytes_held: usize,
    /// Comparisons that were due, whether made or dropped.
    pub due: u64,
    /// Completed comparisons.
    pub done: u64,
    /// Dropped comparisons, by route and reason.
    pub dropped: Vec<DroppedJobs>,
    /// Completed comparisons by route, verdict and severity.
    pub verdicts: Vec<VerdictTotal>,
    /// The top difference signatures, the most severe first.
    pub top: Vec<SignatureTotal>,
    /// The ignore rules in force.
    pub rules: Vec<RuleHits>,
}

/// The mode of every route.
#[derive(Debug, Serialize, Deserialize)]
pub struct Modes {
    /// Of create.
    pub create: String,
    /// Of get.
    pub get: String,
    /// Of list.
    pub list: String,
    /// Of cancel.
    pub cancel: String,
}

/// The canary. Profile ids are left out because there may be thousands; `check` prints them.
#[derive(Debug, Serialize, Deserialize)]
pub struct Canary {
    /// Percentage of the profiles that are not listed, 0 to 100.
    pub percent: u8,
    /// How many profiles are listed.
    pub profiles_listed: usize,
}

/// The config in force, and the last reloads.
#[derive(Debug, Serialize, Deserialize)]
pub struct Config {
    /// Twelve hex digits, equal on replicas with the same config.
    pub hash: String,
    /// When it was loaded, at start or by a reload.
    pub loaded_at: String,
    /// When a reload was last accepted; absent if none was since start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reload_accepted_at: Option<String>,
    /// The last refusal; absent if there was none since start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reload_refused: Option<Refused>,
    /// Reloads since start, newest first; at most 20.
    #[serde(default)]
    pub reloads: Vec<Reload>,
}

/// One reload: a config that differed from the one in force.
#[derive(Debug, Serialize, Deserialize)]
pub struct Reload {
    /// When it was read.
    pub at: String,
    /// `accepted` or `refused`.
    pub result: String,
    /// The config in force after it.
    pub hash: String,
    /// The stage in force after it.
    pub stage: String,
    /// The stage and the modes that changed: `stage: hold → canary`, `create: hold → canary`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<String>,
    /// The other keys whose value changed, without the values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub other_keys: Vec<String>,
    /// The first few reasons of a refusal.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
    /// How many problems there were.
    #[serde(default)]
    pub problems_total: usize,
    /// When the refusal ended: fixed, reverted, or refused for other reasons. Absent while it is active, and if the reload was accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<String>,
}

/// A config that was refused while another one stayed in force.
#[derive(Debug, Serialize, Deserialize)]
pub struct Refused {
    /// When it was read.
    pub at: String,
    /// Whether the configured values are still not in force.
    pub active: bool,
    /// The first reasons.
    pub problems: Vec<String>,
    /// Number of reasons.
    pub problems_total: usize,
}

/// The ledger, as of its last calls.
#[derive(Debug, Serialize, Deserialize)]
pub struct Ledger {
    /// `sqlite` or `postgres`.
    pub kind: String,
    /// The tenant of new claims.
    pub tenant: String,
    /// `ready` or `down`.
    pub health: String,
    /// When it went down; absent while it is ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub down_since: Option<String>,
    /// The error; absent while it is ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Whether a create went, or may have gone, to the new API; absent if the ledger does not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_on_new: Option<bool>,
    /// When a create first went to the new API; absent if none did or the ledger does not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_new_create_at: Option<String>,
}

/// A problem document (RFC 9457).
#[derive(Debug, Serialize)]
pub struct Problem {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    detail: &'static str,
}

impl Problem {
    /// A problem of type `about:blank`, with the title of its status.
    #[must_use]
    pub fn about_blank(status: StatusCode, detail: &'static str) -> Self {
        let title = status.canonical_reason().unwrap_or("Error");
        Self { kind: "about:blank", title, status: status.as_u16(), detail }
    }
}
