//! The shadow log: one JSON line for each comparison, and one for each heartbeat. The proxy writes it, `report` reads it. It holds no
//! body, no token and no value that identifies a person; see `redact`.

use serde::{Deserialize, Serialize};

use super::heartbeat_record::{HeartbeatRecord, is_zero};
use super::types::{ComparisonKind, DiffKind, Recheck, Severity, Verdict, compared_route};
use crate::translate::route::Route;
use crate::translate::side::Side;

/// The version of these lines. Version 1 (conversion-shim 0.1.0) has `kind` `rehearsal` where later ones have `dry_run`. Up to version 2
/// lines have no number, and a heartbeat counts since the one before.
pub const SCHEMA: u8 = 3;

/// The first version whose heartbeats count since the start of the process.
pub const TOTALS_SINCE: u8 = 3;

/// The `target` of these lines, as in every other line of the log.
pub const TARGET: &str = "shadow";

/// A line of the log; its field `line` says which.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "snake_case")]
pub enum ShadowLine {
    /// The comparison of one request.
    Comparison(Box<ComparisonRecord>),
    /// The state of shadow itself.
    Heartbeat(Box<HeartbeatRecord>),
    /// The end of the comparisons of `probe --pairs`, which has no heartbeats.
    End(EndRecord),
}

/// The last line of a process that compared pairs: without it lines may be missing at its end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EndRecord {
    /// [`SCHEMA`]
    pub schema: u8,
    /// [`TARGET`]
    pub target: String,
    /// RFC 3339 in UTC.
    pub time: String,
    /// As in the comparisons.
    pub process: String,
    /// The number of this line.
    pub sequence: u64,
}

/// One comparison, with what identifies the client's data redacted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ComparisonRecord {
    /// [`SCHEMA`]
    pub schema: u8,
    /// [`TARGET`]
    pub target: String,
    /// The end of the comparison, RFC 3339 in UTC.
    pub time: String,
    /// As in a heartbeat.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub process: String,
    /// The number of this line: the process counts its comparisons and heartbeats from 1, so that a line that was lost leaves a gap. 0 up
    /// to schema 2.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub sequence: u64,
    /// The request id of the client's request.
    pub request_id: String,
    /// The trace id of the client's `traceparent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// Twelve hex digits of the config that the request ran with.
    pub config_hash: String,
    /// Which vendor was compared: `legacy=HOST:PORT new=HOST:PORT`. Absent in lines of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hosts: Option<String>,
    /// The stage of that config.
    pub stage: String,
    /// `create`, `get` or `list`.
    #[serde(deserialize_with = "compared_route")]
    pub route: Route,
    /// Where the other response comes from.
    pub kind: ComparisonKind,
    /// The names of the query parameters that the legacy API documents, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub query: Vec<String>,
    /// Whether there was a `ref_id`: the client's in a create, the record's in a get, the parameter in a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ref_id_present: Option<bool>,
    /// `USD/PYUSD`, if all rows of the served response have the same pair.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asset_pair: Option<String>,
    /// The conversions in the served response, by asset pair and status.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub seen: Vec<ConversionCount>,
    /// The response that the client got.
    pub served: ResponseSummary,
    /// The response that it was compared with.
    pub other: ResponseSummary,
    /// The result of the comparison.
    pub verdict: Verdict,
    /// Whether both sides had a record, or rows, to compare. Two refusals or two empty pages agree on no field.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub both_held: bool,
    /// The highest severity in `diffs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// Sixteen hex digits over route, verdict, paths and kinds; no values.
    pub signature: String,
    /// The differences, the highest severity first; at most 50.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub diffs: Vec<Diff>,
    /// Differences that `diffs` has no room for.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub diffs_left_out: u64,
    /// The differences that an ignore rule accepts; at most 50.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignored: Vec<Diff>,
    /// The rows of a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<RowCounts>,
    /// The result of reading both sides again after a mismatch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recheck: Option<Recheck>,
    /// Records of this signature that were not written since the last one that was.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub suppressed: u64,
}

/// Conversions of one asset pair and status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConversionCount {
    /// `USD/PYUSD`, or `other`.
    pub asset_pair: String,
    /// `CREATED`, `SETTLED`, `CANCELLED`, or `other`.
    pub status: String,
    /// How many conversions the comparison showed.
    pub count: u64,
}

/// One side's response without its contents.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResponseSummary {
    /// `legacy` or `new`.
    pub side: Side,
    /// The HTTP status in the terms of the legacy API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The `type` of a problem document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem_type: Option<String>,
    /// From sending the request to the last byte of the response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<f64>,
    /// The length of the body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Why there is nothing to compare: `timeout`, `too_big`, `not_json`, `no_ref_id`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skip_reason: Option<String>,
}

/// A difference whose path and values are redacted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diff {
    /// `amount`, `items[3].status`, `meta.existing.amount`; `status_code` for the HTTP status.
    pub path: String,
    /// How the two values differ.
    pub kind: DiffKind,
    /// Redacted value in the answer that the client got.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub served: Option<String>,
    /// Redacted value in the other answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other: Option<String>,
    /// The pattern of the ignore rule that accepts it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// What the difference may do to a client.
    pub severity: Severity,
}

/// The rows of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowCounts {
    /// Rows that the client got and that were compared.
    pub served: u64,
    /// Rows of the other response that were compared.
    pub other: u64,
    /// Rows of the new API that the other response leaves out: they are no conversions, or the proxy filtered them.
    pub filtered_out: u64,
    /// Rows on both pages that `probe` made. They are not compared, and the counts above leave them out.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub probe: u64,
}
