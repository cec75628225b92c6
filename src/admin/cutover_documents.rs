//! The documents about the cutover's evidence: the ledger and its audit, walks, facts, what the next stage needs, the trip.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::ledger::Completeness;
use crate::reconcile::missing;
use crate::telemetry::drift::DriftLog;
use crate::translate::drift::Drift;

/// What the next stage needs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct GateDocument {
    /// The next stage beyond the furthest modes on record.
    pub(crate) to: String,
    /// Whether a start or reload is refused while a condition is missing.
    pub(crate) enforced: bool,
    pub(crate) conditions: Vec<ConditionDocument>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ConditionDocument {
    pub(crate) step: String,
    pub(crate) condition: String,
    pub(crate) met: bool,
    /// What is needed and what there is, with both numbers.
    pub(crate) text: String,
}

/// The trip, which holds creates on every replica.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct TripDocument {
    /// `set`, `clear`, or `unknown` while the ledger does not answer.
    pub(crate) state: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) since: Option<String>,
    /// Why it was set first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) why: Option<String>,
    /// How often it was set since it was last reset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) total: Option<u64>,
    /// Why, each time, oldest first; at most 1001.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) trips: Vec<String>,
    /// Confirmed doubles that the last reconcile over both sides found, whoever ran it, or any walk since; absent while no such reconcile and
    /// no double is on record, or while the ledger does not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) doubles: Option<u64>,
}

/// A row of the ledger's audit.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AuditDocument {
    pub(crate) at: String,
    /// What was decided or changed, such as `modes` or `accept`.
    pub(crate) kind: String,
    /// The user who ran a command, or `config HASH`; empty for what a process found by itself.
    pub(crate) operator: String,
    /// The `ref_id` or walk that it is about; empty if it is about none.
    pub(crate) subject: String,
    pub(crate) reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) before: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) after: Option<String>,
}

/// What this process read in the vendor's answers and does not know.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct DriftDocument {
    /// Sorted by path.
    pub(crate) names: Vec<DriftNameDocument>,
    /// Whether further names are not listed.
    pub(crate) full: bool,
}

/// An unknown name; never a value.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct DriftNameDocument {
    /// Side, place and name: `new.record.label`.
    pub(crate) path: String,
    /// The JSON type of the value.
    pub(crate) r#type: String,
    /// Whether it may say something about money.
    pub(crate) money: bool,
    /// Whether it is under `[[drift.known]]`.
    pub(crate) known: bool,
    pub(crate) first_seen: String,
}

impl DriftDocument {
    pub(crate) fn of(log: &DriftLog, config: &Config) -> Self {
        let name = |(drift, at): (Drift, Timestamp)| DriftNameDocument {
            known: config.gate.known_drift.iter().any(|known| known.path == drift.path),
            path: drift.path,
            r#type: drift.value_type.to_owned(),
            money: drift.is_money,
            first_seen: at.to_string(),
        };
        Self { names: log.seen().into_iter().map(name).collect(), full: log.is_full() }
    }
}

/// `[facts]` in force.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct FactsDocument {
    /// By key; those that are not known are left out.
    pub(crate) known: BTreeMap<String, String>,
    /// Absent without `facts.file`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) file: Option<FactsFileDocument>,
}

/// The file that facts came from.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct FactsFileDocument {
    pub(crate) path: String,
    pub(crate) found_at: String,
    /// The hosts that it is about.
    pub(crate) hosts: Vec<String>,
    /// Whether these are the hosts of the config; if not, its facts are not used.
    pub(crate) in_use: bool,
    /// Whether it is older than 30 days.
    pub(crate) old: bool,
}

/// The ledger, as of its last calls.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LedgerDocument {
    /// `sqlite` or `postgres`.
    pub(crate) kind: String,
    /// The tenant of new claims.
    pub(crate) tenant: String,
    /// `ready` or `down`.
    pub(crate) health: String,
    /// When it went down; absent while it is ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) down_since: Option<String>,
    /// The error; absent while it is ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
    /// Whether a create went, or may have gone, to the new API; absent if the ledger does not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) created_on_new: Option<bool>,
    /// When a create first went to the new API; absent if none did or the ledger does not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) first_new_create_at: Option<String>,
    /// How `legacy` and `new` stand; empty before a process served with this ledger, or if it does not answer.
    #[serde(default)]
    pub(crate) completeness: BTreeMap<String, CompletenessDocument>,
}

/// Whether the ledger knows every reference of a side.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CompletenessDocument {
    pub(crate) complete: bool,
    /// What is missing; absent while it is complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) missing: Option<String>,
    /// Every record made before this has a claim; absent until a walk began at the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) walked_to: Option<String>,
    /// When it ends, unless a clean reconcile comes before; absent while it is not complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) until: Option<String>,
}

impl CompletenessDocument {
    /// By the name of the side.
    pub(crate) fn of(sides: &[Completeness], config: &Config) -> BTreeMap<String, Self> {
        let now = Timestamp::now();
        let document = |side: &Completeness| {
            let missing = missing(side, config, now);
            let complete = missing.is_none();
            let document = Self {
                complete,
                missing,
                walked_to: side.walked_to.map(|at| at.to_string()),
                until: side.until.filter(|_| complete).map(|at| at.to_string()),
            };
            (side.side.to_string(), document)
        };
        sides.iter().map(document).collect()
    }
}

/// What walks over the vendor's lists found last.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ReconcileDocument {
    /// Seconds between two walks; absent while there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) every_seconds: Option<u64>,
    /// When a walk of any replica last finished; absent before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) last_walk_at: Option<String>,
    /// When one last finished without findings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) last_clean_at: Option<String>,
    /// The window of the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) window_begin: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) window_end: Option<String>,
    /// Records of both sides in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) records: Option<u64>,
    /// Whether it found nothing that is not as it should be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) clean: Option<bool>,
    /// What it found, by kind.
    #[serde(default)]
    pub(crate) findings: BTreeMap<String, u64>,
    /// Why the last walk of this process could not finish; absent if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) failed: Option<String>,
}
