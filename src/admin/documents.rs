//! The JSON documents of the admin listener; the commands `status` and `usage` read the same types. Times are RFC 3339 in UTC.
//! Unknown values are left out, never guessed.

use std::collections::BTreeMap;

use http::StatusCode;
use serde::{Deserialize, Serialize};

pub(crate) use super::cutover_documents::{
    AuditDocument, CompletenessDocument, ConditionDocument, DriftDocument, DriftNameDocument, FactsDocument,
    FactsFileDocument, GateDocument, LedgerDocument, ReconcileDocument, TripDocument,
};
use crate::shadow::heartbeat_record::{DroppedJobs, RuleHits};
use crate::shadow::stats::{SignatureTotal, VerdictTotal};
use crate::upstream::rate_limit::BudgetSnapshot;

/// An RFC 3339 time without fractional seconds.
#[must_use]
pub(crate) fn to_the_second(time: &str) -> String {
    time.split_once('.').map_or_else(|| time.into(), |(whole, _)| format!("{whole}Z"))
}

/// `/livez`
#[derive(Debug, Serialize)]
pub(crate) struct Live {
    /// Always true: the process answers.
    pub(crate) live: bool,
}

/// `/readyz`
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Readiness {
    /// Whether a load balancer should send clients here.
    pub(crate) ready: bool,
    /// Why not, and which lanes of a side fail while others answer.
    pub(crate) reasons: Vec<Reason>,
}

/// Something that does not work.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Reason {
    /// `draining`, `ledger`, or a side with its lane.
    pub(crate) kind: String,
    pub(crate) since: String,
    pub(crate) detail: String,
}

/// `/status`
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StatusDocument {
    pub(crate) version: String,
    /// Seconds since the process started.
    pub(crate) uptime_seconds: u64,
    /// The same as `/readyz`.
    pub(crate) readiness: Readiness,
    /// The stage of the cutover.
    pub(crate) stage: String,
    /// The mode of every route in force; it may override the stage's.
    pub(crate) modes: ModesDocument,
    /// Which profiles create on the new API while create is in mode `canary`.
    pub(crate) canary: CanaryDocument,
    /// What is known about the vendor.
    #[serde(default)]
    pub(crate) facts: FactsDocument,
    #[serde(default)]
    pub(crate) drift: DriftDocument,
    /// How many processes share the ledger.
    pub(crate) replicas: u32,
    /// Writes in flight, including those whose client has disconnected.
    pub(crate) writes_in_flight: usize,
    /// The config in force, and the last reloads.
    pub(crate) config: ConfigDocument,
    pub(crate) budget: BudgetSnapshot,
    /// Clients that still call the old API.
    #[serde(default)]
    pub(crate) usage: UsageDocument,
    #[serde(default)]
    pub(crate) advisories: Vec<AdvisoryDocument>,
    /// Absent when no ledger is configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ledger: Option<LedgerDocument>,
    /// Absent if no route is or was in mode `shadow` since start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) shadow: Option<ShadowDocument>,
    #[serde(default)]
    pub(crate) logs: Vec<LogDocument>,
    /// Absent while nothing walks the vendor's lists, and nothing has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reconcile: Option<ReconcileDocument>,
    /// Absent without a ledger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) trip: Option<TripDocument>,
    /// Absent without a ledger, while it does not answer, and when no stage is left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) gate: Option<GateDocument>,
    /// The newest rows of the ledger's audit, newest first; empty without a ledger, and while it does not answer.
    #[serde(default)]
    pub(crate) audit: Vec<AuditDocument>,
}

/// A log that this process writes.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LogDocument {
    /// `process`, or `shadow` for `shadow.log`.
    pub(crate) log: String,
    /// The path of the file, or `standard output`.
    pub(crate) target: String,
    /// Lines that it lacks since the process started.
    pub(crate) lines_lost: u64,
    /// How long it could not be written since the process started.
    pub(crate) failed_seconds: f64,
    /// Since when it cannot be written; absent while it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) failing_since: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
}

/// A state that the config permits and that an operator should check, while it lasts.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AdvisoryDocument {
    /// `sealed_early`: reads no longer query the old API, although creates went there recently. `young_ledger`: the ledger is barely
    /// older than the first create on the new API.
    pub(crate) kind: String,
    pub(crate) since: String,
    pub(crate) detail: String,
}

/// Clients that called the four routes of the old API since the process started.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct UsageDocument {
    /// By number of requests, highest first.
    pub(crate) clients: Vec<ClientDocument>,
    /// Maximum number of clients that are counted separately.
    pub(crate) clients_max: usize,
    /// Requests of clients beyond that maximum.
    pub(crate) other_requests: u64,
    /// When the maximum was first exceeded; absent if it never was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) full_since: Option<String>,
    /// Clients replaced by new ones: the least recently seen without blocking requests.
    #[serde(default)]
    pub(crate) evicted: u64,
    /// What the ledger keeps over all replicas and restarts; absent without a ledger, and while it cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) on_record: Option<UsageRecordDocument>,
}

/// The clients in the ledger.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct UsageRecordDocument {
    /// Since when it keeps them.
    pub(crate) since: String,
    /// The last seen first.
    pub(crate) clients: Vec<ClientRecordDocument>,
}

/// One client in the ledger. It chooses its own name, so every display must escape it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ClientRecordDocument {
    /// The source of the name, and the name.
    pub(crate) client: String,
    pub(crate) last_seen: String,
    /// When it last used what blocks the end of the old API; absent if it never did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) blocked: Option<String>,
    /// Everything of that kind that it used, by feature, the last first.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) blockers: String,
    /// When it last used each.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) blocking: BTreeMap<String, String>,
}

/// One client. It chooses its own name, so every display must escape it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ClientDocument {
    pub(crate) client: String,
    /// The source of the name: `header`, `caller`, `certificate`, `token` (not verified) or `nothing`.
    pub(crate) identified_by: String,
    /// Time of its last request.
    pub(crate) last_seen: String,
    pub(crate) requests: u64,
    /// Requests by route, without zeros.
    pub(crate) routes: BTreeMap<String, u64>,
    /// Requests that block the end of the old API, by feature: `cancel`, `change_filter` (`updated_at.*` on a list), `no_reference`
    /// (a create without `ref_id`), `legacy_record` (a get of a record that only the old API holds).
    pub(crate) blocking: BTreeMap<String, u64>,
}

/// Shadow comparisons since the process started.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ShadowDocument {
    /// Whether a route is in mode `shadow`.
    pub(crate) configured: bool,
    pub(crate) active: bool,
    /// Why comparisons do not run although configured: `cooldown`, `sample_0`, `budget_0`, `stopped`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) idle_reason: Option<String>,
    pub(crate) waiting: usize,
    /// Memory of their bodies, in bytes.
    pub(crate) bytes_held: usize,
    /// Comparisons that were due, whether made or dropped.
    pub(crate) due: u64,
    pub(crate) done: u64,
    /// Dropped comparisons, by route and reason.
    pub(crate) dropped: Vec<DroppedJobs>,
    /// Completed comparisons by route, verdict and severity.
    pub(crate) verdicts: Vec<VerdictTotal>,
    /// The top difference signatures, the most severe first.
    pub(crate) top: Vec<SignatureTotal>,
    /// The ignore rules in force.
    pub(crate) rules: Vec<RuleHits>,
}

/// The mode of every route.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ModesDocument {
    pub create: String,
    pub get: String,
    pub(crate) list: String,
    pub(crate) cancel: String,
}

/// The canary. Profile ids are left out because there may be thousands; `check` prints them.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CanaryDocument {
    /// Percentage of the profiles that are not listed, 0 to 100.
    pub percent: u8,
    /// How many profiles are listed.
    pub(crate) profiles_listed: usize,
}

/// The config in force, and the last reloads.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ConfigDocument {
    /// Twelve hex digits, equal on replicas with the same config.
    pub hash: String,
    /// When it was loaded, at start or by a reload.
    pub(crate) loaded_at: String,
    /// When a reload was last accepted; absent if none was since start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reload_accepted_at: Option<String>,
    /// The last refusal; absent if there was none since start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reload_refused: Option<Refused>,
    /// Reloads since start, newest first; at most 20.
    #[serde(default)]
    pub(crate) reloads: Vec<ReloadDocument>,
}

/// One reload: a config that differed from the one in force.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ReloadDocument {
    pub(crate) at: String,
    /// `accepted` or `refused`.
    pub(crate) result: String,
    /// The config in force after it.
    pub(crate) hash: String,
    /// The stage in force after it.
    pub(crate) stage: String,
    /// The stage and the modes that changed: `stage: hold → canary`, `create: hold → canary`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) changes: Vec<String>,
    /// The other keys whose value changed, without the values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) other_keys: Vec<String>,
    /// The first few reasons of a refusal.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) problems: Vec<String>,
    /// How many problems there were.
    #[serde(default)]
    pub(crate) problems_total: usize,
    /// When the refusal ended: fixed, reverted, or refused for other reasons. Absent while it is active, and if the reload was accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ended_at: Option<String>,
}

/// A config that was refused while another one stayed in force.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Refused {
    pub(crate) at: String,
    /// Whether the configured values are still not in force.
    pub(crate) active: bool,
    pub(crate) problems: Vec<String>,
    pub(crate) problems_total: usize,
}

/// A problem document (RFC 9457).
#[derive(Debug, Serialize)]
pub(crate) struct ProblemDocument {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    detail: &'static str,
}

impl ProblemDocument {
    /// A problem of type `about:blank`, with the title of its status.
    #[must_use]
    pub(crate) fn about_blank(status: StatusCode, detail: &'static str) -> Self {
        let title = status.canonical_reason().unwrap_or("Error");
        Self { kind: "about:blank", title, status: status.as_u16(), detail }
    }
}
