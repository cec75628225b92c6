//! What was found: differences, what the records covered, and the rules that accept differences.

use serde::Serialize;

use crate::shadow::types::{COMPARED, Severity, Verdict};
use crate::translate::route::Route;

/// Kinds of outcomes other than a plain match.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Signatures {
    pub(crate) total: u64,
    pub(crate) top: Vec<Signature>,
    /// Comparisons with a signature that there was no room for.
    pub(crate) left_out: u64,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Signature {
    pub(crate) signature: String,
    pub(crate) route: Route,
    pub(crate) verdict: Verdict,
    pub(crate) severity: Option<Severity>,
    pub(crate) count: u64,
    /// Of all of the route.
    pub(crate) share: f64,
    pub(crate) first_seen: String,
    pub(crate) last_seen: String,
    pub(crate) examples: Vec<Example>,
}

/// One comparison, redacted where it was written.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Example {
    pub(crate) time: String,
    /// The request id of the client's request.
    pub(crate) request_id: String,
    pub(crate) trace_id: Option<String>,
    /// HTTP status of the answer that was served, or why there is none.
    pub(crate) served: String,
    /// HTTP status of the other, or why there is none.
    pub(crate) other: String,
    /// What differs, or was ignored.
    pub(crate) diffs: Vec<DiffShown>,
    pub(crate) diffs_left_out: u64,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct DiffShown {
    pub(crate) path: String,
    pub(crate) kind: &'static str,
    pub(crate) severity: Severity,
    pub(crate) served: Option<String>,
    /// What the other has there, redacted.
    pub(crate) other: Option<String>,
    /// The rule that accepts it.
    pub(crate) rule: Option<String>,
}

/// What written records covered; those summed up in others cannot be distinguished.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Coverage {
    /// The query parameters, in the order of `CoverageRow::parameters`.
    pub(crate) parameters: Vec<&'static str>,
    /// First all records, whatever they showed; then each asset pair by status.
    pub(crate) rows: Vec<CoverageRow>,
    /// Cells that are 0, of those whose route was compared at all.
    pub(crate) never_seen: u64,
    pub(crate) cells: u64,
    /// Asset pairs that there was no room for.
    pub(crate) pairs_left_out: u64,
    /// Records with and without a `ref_id`.
    pub(crate) ref_ids: Vec<RefIds>,
    /// What clients used and what was never compared with a record on both sides.
    pub(crate) uncovered: Vec<Uncovered>,
}

/// An asset pair, status or query parameter of a route that no comparison with a record on both sides had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Uncovered {
    pub(crate) route: Route,
    /// `asset pair`, `status` or `parameter`.
    pub(crate) kind: &'static str,
    pub(crate) name: String,
}

/// How often a kind of conversions was seen.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct CoverageRow {
    /// `USD/PYUSD`; `None` = any, or none at all.
    pub(crate) asset_pair: Option<String>,
    /// `CREATED`, …; `None` = any, or none at all.
    pub(crate) status: Option<String>,
    /// Records of each route, in the order create, get, list.
    pub(crate) routes: [u64; COMPARED.len()],
    /// Records of list with that query parameter.
    pub(crate) parameters: Vec<u64>,
}

/// Records with and without a `ref_id`.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct RefIds {
    pub(crate) route: Route,
    pub(crate) with: u64,
    pub(crate) without: u64,
}

/// A rule, from the heartbeats.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct RuleReport {
    pub(crate) path: String,
    pub(crate) reason: String,
    pub(crate) owner: String,
    pub(crate) expires: String,
    pub(crate) hits: u64,
    /// Whether it reaches a place that money hangs on: such a difference counts for nothing any more.
    pub(crate) hides_money: bool,
    /// `used`, `unused` or `expired`.
    pub(crate) state: RuleState,
    /// The last heartbeat that named it.
    pub(crate) last_seen: String,
}

/// What a rule is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RuleState {
    Used,
    /// Nothing ever met it: it may go.
    Unused,
    /// It accepts nothing any more.
    Expired,
}

impl RuleState {
    #[must_use]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Used => "used",
            Self::Unused => "unused",
            Self::Expired => "expired",
        }
    }
}

/// A name in the vendor's answers that a process did not know.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct DriftReport {
    /// Side, place and name: `new.record.label`.
    pub(crate) path: String,
    /// The JSON type of the value.
    pub(crate) r#type: String,
    /// Whether it may say something about money.
    pub(crate) money: bool,
    pub(crate) first_seen: String,
}
