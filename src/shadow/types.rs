//! The closed sets of values in records, each with its names in JSON.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::translate::route::Route;

/// The routes that can be compared. A cancel changes the record, so no second side can answer it.
pub const COMPARED: [Route; 3] = [Route::Create, Route::Get, Route::List];

/// Reads a route of a record; a route that is never compared is an error.
pub(super) fn compared_route<'de, D: Deserializer<'de>>(from: D) -> Result<Route, D::Error> {
    let route = Route::deserialize(from)?;
    if COMPARED.contains(&route) { Ok(route) } else { Err(D::Error::custom("this route is never compared")) }
}

/// Where the other response comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ComparisonKind {
    /// The new API was read.
    Read,
    /// It was computed from the request; nothing was sent. Schema 1 has `rehearsal` here.
    #[serde(alias = "rehearsal")]
    DryRun,
    /// A record that a create made on the new API was read there again, and is compared with the create's answer.
    #[serde(rename = "self")]
    OwnRecord,
    /// `probe --pairs` made the same conversion on each side. Not a client's request.
    Pair,
}

/// The result of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// No difference.
    Match,
    /// Only differences that an ignore rule accepts.
    MatchAfterRules,
    /// The new API was read later and shows a later status.
    Progress,
    /// Gone when both sides were read again.
    Transient,
    /// The new API does not hold the record: normal before the cutover.
    NoCounterpart,
    /// A response is too big or not JSON, or there is no `ref_id` to look up.
    NotComparable,
    /// One side refused the request, or both did with different statuses.
    ErrorDisagreement,
    /// At least one difference.
    Mismatch,
    /// The call to the new API failed.
    ShadowFailed,
}

impl Verdict {
    /// All of them, in this order.
    pub(crate) const ALL: [Self; 9] = [
        Self::Match,
        Self::MatchAfterRules,
        Self::Progress,
        Self::Transient,
        Self::NoCounterpart,
        Self::NotComparable,
        Self::ErrorDisagreement,
        Self::Mismatch,
        Self::ShadowFailed,
    ];

    #[must_use]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Match => "match",
            Self::MatchAfterRules => "match_after_rules",
            Self::Progress => "progress",
            Self::Transient => "transient",
            Self::NoCounterpart => "no_counterpart",
            Self::NotComparable => "not_comparable",
            Self::ErrorDisagreement => "error_disagreement",
            Self::Mismatch => "mismatch",
            Self::ShadowFailed => "shadow_failed",
        }
    }

    /// Whether the two responses were compared.
    #[must_use]
    pub(crate) const fn is_judged(self) -> bool {
        !matches!(self, Self::NotComparable | Self::ShadowFailed)
    }
}

/// How much a difference matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Clients read the same from both.
    Cosmetic,
    /// Shape, type, status code.
    Contract,
    /// Amount, asset, profile, id, `ref_id`, status.
    Money,
}

impl Severity {
    /// All of them, the highest first.
    pub(crate) const ALL: [Self; 3] = [Self::Money, Self::Contract, Self::Cosmetic];

    #[must_use]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Cosmetic => "cosmetic",
            Self::Contract => "contract",
            Self::Money => "money",
        }
    }
}

/// The kind of a difference, seen from the served response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DiffKind {
    /// Only the served response has it.
    Missing,
    /// Only the other response has it.
    Extra,
    /// Another JSON type.
    Type,
    /// Another value.
    Value,
    /// The same rows in another order.
    Order,
    /// The same number or time, written with other digits.
    Precision,
}

impl DiffKind {
    #[must_use]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Extra => "extra",
            Self::Type => "type",
            Self::Value => "value",
            Self::Order => "order",
            Self::Precision => "precision",
        }
    }
}

/// The result of reading both sides again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recheck {
    /// The difference is gone.
    Gone,
    /// They still differ; `diffs` holds the second comparison.
    Stays,
    /// A second read failed; `diffs` holds the first comparison.
    Failed,
}
