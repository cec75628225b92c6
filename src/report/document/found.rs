//! What was found: differences, what the records covered, and the rules that accept differences.

use serde::Serialize;

use crate::shadow::types::{COMPARED, Severity, Verdict};
use crate::translate::route::Route;

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
    pub routes: [u64; COMPARED.len()],
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
    /// Whether it reaches a place that money hangs on: such a difference counts for nothing any more.
    pub hides_money: bool,
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
