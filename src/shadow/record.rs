//! The record: what is written of one comparison, one JSON line each, and of shadow itself once a heartbeat. Written by the
//! proxy, read by `report`. Holds no body, no token, and no value that might identify somebody: see `redact`.

use serde::{Deserialize, Serialize};

use super::heartbeat_record::HeartbeatRecord;
use super::types::{DiffKind, Kind, Recheck, Severity, SideName, Verdict, compared_route};
use crate::translate::route::Route;

/// The version of these lines.
pub const SCHEMA: u8 = 1;

/// The target of these lines, as in every other line of the log.
pub const TARGET: &str = "shadow";

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "snake_case")]
pub enum Line {
    /// One comparison.
    Comparison(Box<Record>),
    /// How shadow itself is doing.
    Heartbeat(Box<HeartbeatRecord>),
}

/// One comparison.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// [`SCHEMA`]
    pub schema: u8,
    /// [`TARGET`]
    pub target: String,
    /// When the comparison ended; RFC 3339 in UTC.
    pub time: String,
    /// The request id of the client's request.
    pub request_id: String,
    /// The trace id of its `traceparent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// The config that the request met.
    pub config_hash: String,
    /// Its stage.
    pub stage: String,
    /// create, get or list.
    #[serde(deserialize_with = "compared_route")]
    pub route: Route,
    /// Whether the new API was read, or its answer made up.
    pub kind: Kind,
    /// The names of the query parameters that the old API knows, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub query: Vec<String>,
    /// Whether there was a `ref_id`: the client's in a create, the record's in a get, the parameter in a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ref_id_present: Option<bool>,
    /// `USD/PYUSD`, where all that was answered is of one pair.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asset_pair: Option<String>,
    /// Which kinds of conversions the client was answered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub seen: Vec<Seen>,
    /// The answer that the client got.
    pub served: Answered,
    /// The answer that it was compared with.
    pub other: Answered,
    /// What came out.
    pub verdict: Verdict,
    /// Whether both sides had a record, or rows, to compare: two refusals and two empty pages agree on nothing that is held.
    #[serde(default, skip_serializing_if = "is_false")]
    pub both_held: bool,
    /// The gravest of `diffs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// Sixteen hex digits over route, verdict, paths and kinds; no values.
    pub signature: String,
    /// What differs, the gravest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub diffs: Vec<Diff>,
    /// How many more differed than `diffs` has room for.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub diffs_left_out: u64,
    /// What differs and is accepted by a rule.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignored: Vec<Diff>,
    /// Rows, in a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<Counts>,
    /// What reading both sides again showed; only after a mismatch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recheck: Option<Recheck>,
    /// Records of this signature that were not written since the last one.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub suppressed: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
pub(super) const fn is_false(it: &bool) -> bool {
    !*it
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A kind of conversions that the client was answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// `USD/PYUSD`
    pub asset_pair: String,
    /// `CREATED`, `SETTLED`, `CANCELLED`, or `other`.
    pub status: String,
    /// How many.
    pub count: u64,
}

/// One side's answer, without its contents.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answered {
    /// `legacy` or `new`.
    pub side: SideName,
    /// Its HTTP status, in the terms of the old API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The `type` of its problem document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem_type: Option<String>,
    /// From sending to the last byte.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<f64>,
    /// The length of the body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Why there is nothing to compare: `timeout`, `too_big`, `not_json`, `no_ref_id`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skip_reason: Option<String>,
}

/// One difference, redacted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diff {
    /// `amount`, `items[3].status`, `meta.existing.amount`; `status_code` for the HTTP status.
    pub path: String,
    /// What kind.
    pub kind: DiffKind,
    /// What was served, redacted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub served: Option<String>,
    /// What the other answer has there, redacted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other: Option<String>,
    /// The pattern of the rule that accepts it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// How grave.
    pub severity: Severity,
}

/// Rows of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Rows that the client got.
    pub served: u64,
    /// Rows of the other answer.
    pub other: u64,
    /// Rows of the new API that were left out of it: never conversions, or filtered by the proxy.
    pub filtered_out: u64,
}
