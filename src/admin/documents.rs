//! What the admin listener answers, field by field; the command `status` reads the same types. Times are RFC 3339 in UTC. What
//! is not known is left out, never guessed.

use std::collections::BTreeMap;

use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::shadow::heartbeat_record::{DroppedJobs, RuleHits};
use crate::shadow::stats::{SignatureTotal, VerdictTotal};
use crate::upstream::rate_limit::Shown as Budget;

/// A time without its fractions, for where there is little room.
#[must_use]
pub fn to_the_second(time: &str) -> String {
    time.split_once('.').map_or_else(|| time.into(), |(whole, _)| format!("{whole}Z"))
}

/// `/livez`
#[derive(Debug, Serialize)]
pub struct Live {
    /// True: the process answers.
    pub live: bool,
}

/// `/readyz`
#[derive(Debug, Serialize, Deserialize)]
pub struct Readiness {
    /// Whether clients should be sent here.
    pub ready: bool,
    /// Why not; empty when ready.
    pub reasons: Vec<Reason>,
}

/// One reason why clients should not be sent here.
#[derive(Debug, Serialize, Deserialize)]
pub struct Reason {
    /// `draining`, `ledger`, `legacy side` or `new side`.
    pub what: String,
    /// Since when.
    pub since: String,
    /// In words.
    pub why: String,
}

/// `/status`
#[derive(Debug, Serialize, Deserialize)]
pub struct Status {
    /// The program's version.
    pub version: String,
    /// How long the process has been running, in seconds.
    pub uptime_seconds: u64,
    /// As `/readyz` says.
    pub readiness: Readiness,
    /// How far the cutover is.
    pub stage: String,
    /// The mode of every route; what counts when it differs from the stage's.
    pub modes: Modes,
    /// Who creates on the new API while create is in mode canary.
    pub canary: Canary,
    /// How many processes share the ledger.
    pub replicas: u32,
    /// Writes under way, whether their client waits or has left.
    pub writes_in_flight: usize,
    /// Which config is in force, and since when.
    pub config: Config,
    /// The rate budget.
    pub budget: Budget,
    /// Who still calls.
    #[serde(default)]
    pub usage: Usage,
    /// What is allowed and somebody should know; empty when there is nothing.
    #[serde(default)]
    pub notes: Vec<Note>,
    /// Absent when none is configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ledger: Option<Ledger>,
    /// Absent while no route is in mode `shadow`, and none was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<Shadow>,
}

/// Something that is allowed and somebody should know, while it lasts.
#[derive(Debug, Serialize, Deserialize)]
pub struct Note {
    /// `sealed_early` (reads do not ask the old API, where creates went not long ago) or `young_ledger` (the ledger is hardly older
    /// than the first create on the new API).
    pub what: String,
    /// Since when.
    pub since: String,
    /// In words.
    pub why: String,
}

/// Who has called the old API's four routes since the start of the process.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Usage {
    /// The busiest first.
    pub clients: Vec<Client>,
    /// Most clients that are told apart.
    pub clients_max: usize,
    /// Requests of clients for whom there was no place left.
    pub others: u64,
    /// Since when clients have come for whom there was no free place; absent: there was always one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full_since: Option<String>,
    /// Clients that were forgotten in favour of new ones: those not seen for longest, of those with nothing in the way.
    #[serde(default)]
    pub given_way: u64,
}

/// One client. Its name is whatever it says: escape it wherever it is shown.
#[derive(Debug, Serialize, Deserialize)]
pub struct Client {
    /// Its name, cut.
    pub client: String,
    /// By what it is known: `header`, `caller`, `certificate`, `token` (not verified) or `nothing`.
    pub by: String,
    /// When it called last.
    pub last_seen: String,
    /// All its requests.
    pub requests: u64,
    /// By route; only where there were some.
    pub routes: BTreeMap<String, u64>,
    /// What stands in the way of switching the old API off, and how often it was met: `cancel`, `change_filter` (`updated_at.*` on a
    /// list), `no_reference` (a create without `ref_id`), `legacy_record` (a get of a record that the old API holds).
    pub blocking: BTreeMap<String, u64>,
}

/// What shadow comparisons have come to since the start of the process.
#[derive(Debug, Serialize, Deserialize)]
pub struct Shadow {
    /// Whether a route is in mode `shadow`.
    pub configured: bool,
    /// Whether comparisons are made now.
    pub active: bool,
    /// Why not, though configured: `cooldown`, `sample_0`, `budget_0`, `stopped`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_reason: Option<String>,
    /// Comparisons that wait.
    pub waiting: usize,
    /// Memory that their bodies take.
    pub bytes_held: usize,
    /// Comparisons that were due.
    pub due: u64,
    /// Comparisons that were made.
    pub done: u64,
    /// Comparisons that were dropped.
    pub dropped: Vec<DroppedJobs>,
    /// By route, verdict and severity.
    pub verdicts: Vec<VerdictTotal>,
    /// What differs, the gravest first.
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

/// The canary, without the profiles' ids: there may be thousands, and `check` prints them.
#[derive(Debug, Serialize, Deserialize)]
pub struct Canary {
    /// Share of the profiles that are not listed, 0 to 100.
    pub percent: u8,
    /// How many profiles are listed.
    pub profiles_listed: usize,
}

/// Which config is in force, and what became of the last reloads.
#[derive(Debug, Serialize, Deserialize)]
pub struct Config {
    /// Twelve hex digits; equal on replicas that run the same config.
    pub hash: String,
    /// When it was read: at the start or by a reload.
    pub loaded_at: String,
    /// When a reload was last accepted; absent: never since the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reload_accepted_at: Option<String>,
    /// The last refusal; absent: none since the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reload_refused: Option<Refused>,
    /// The last reloads, the newest first; at most 20, and none from before the start.
    #[serde(default)]
    pub reloads: Vec<Reload>,
}

/// One reload: a config that was read anew, and was another one than that in force.
#[derive(Debug, Serialize, Deserialize)]
pub struct Reload {
    /// When.
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
    /// The other keys whose value changed; never the values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub other_keys: Vec<String>,
    /// Why it was refused, in short: the first few.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
    /// How many problems there were.
    #[serde(default)]
    pub problems_total: usize,
    /// When the refusal was over: mended, taken back, or refused for other reasons. Absent: it stands, or it was accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<String>,
}

/// A config that was refused while another one stayed in force.
#[derive(Debug, Serialize, Deserialize)]
pub struct Refused {
    /// When.
    pub at: String,
    /// Whether what is configured still is not what is running.
    pub standing: bool,
    /// Why; the first of them when there are very many.
    pub problems: Vec<String>,
    /// How many there are.
    pub problems_total: usize,
}

/// The ledger, as its last calls found it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Ledger {
    /// `sqlite` or `postgres`.
    pub kind: String,
    /// Whose references it keeps.
    pub tenant: String,
    /// `ready` or `down`.
    pub health: String,
    /// Since when it is down; absent while it is ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub down_since: Option<String>,
    /// Why it is down; absent while it is ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Whether a create ever went, or may have gone, to the new API; absent when the ledger could not be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_on_new: Option<bool>,
    /// The high-water mark: when the first one did. Absent when none did, or when the ledger could not be asked.
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
    /// A problem that is no more special than its status.
    #[must_use]
    pub fn about_blank(status: StatusCode, detail: &'static str) -> Self {
        let title = status.canonical_reason().unwrap_or("Error");
        Self { kind: "about:blank", title, status: status.as_u16(), detail }
    }
}
