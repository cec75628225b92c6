//! The words that records are made of: closed sets, each with its names in JSON.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::translate::route::Route;
use crate::translate::side::Side;

/// The routes that can be compared: a cancel changes the record, so no second side can answer it.
pub const COMPARED: [Route; 3] = [Route::Create, Route::Get, Route::List];

/// Reads a route of a record.
pub(super) fn compared_route<'de, D: Deserializer<'de>>(from: D) -> Result<Route, D::Error> {
    let route = Route::deserialize(from)?;
    if COMPARED.contains(&route) { Ok(route) } else { Err(D::Error::custom("this route is never compared")) }
}

/// How the other answer came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The new API was read.
    Read,
    /// Nothing was sent; the answer was made up from the request.
    Rehearsal,
}

/// A side's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SideName {
    /// The Stablecoin Conversion API.
    Legacy,
    /// The Orchestrations API.
    New,
}

impl From<Side> for SideName {
    fn from(side: Side) -> Self {
        match side {
            Side::Legacy => Self::Legacy,
            Side::New => Self::New,
        }
    }
}

/// What a comparison came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The same.
    Match,
    /// Only ignored differences.
    MatchAfterRules,
    /// The later reader saw a later status.
    Progress,
    /// Gone when both sides were read again.
    Transient,
    /// The new API does not hold the record: normal before the cutover.
    NoCounterpart,
    /// Too big, not JSON, nothing to look it up by.
    NotComparable,
    /// One side refused, or they refused differently.
    ErrorDisagreement,
    /// They differ.
    Mismatch,
    /// The other side could not be asked.
    ShadowFailed,
}

impl Verdict {
    /// All of them, in this order.
    pub const ALL: [Self; 9] = [
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

    /// The name in records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
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

    /// Whether a comparison took place at all.
    #[must_use]
    pub const fn is_judged(self) -> bool {
        !matches!(self, Self::NotComparable | Self::ShadowFailed)
    }
}

/// How grave a difference is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Nobody's program would notice.
    Cosmetic,
    /// Shape, type, status code.
    Contract,
    /// Amount, asset, profile, id, `ref_id`, status.
    Money,
}

impl Severity {
    /// All of them, the gravest first.
    pub const ALL: [Self; 3] = [Self::Money, Self::Contract, Self::Cosmetic];

    /// The name in records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cosmetic => "cosmetic",
            Self::Contract => "contract",
            Self::Money => "money",
        }
    }
}

/// What kind of difference it is, seen from the answer that was served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DiffKind {
    /// Only served has it.
    Missing,
    /// Only the other has it.
    Extra,
    /// Text here, an object there.
    Type,
    /// Another value.
    Value,
    /// The same rows in another order.
    Order,
    /// The same value, written with other digits.
    Precision,
}

impl DiffKind {
    /// The name in records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
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

/// What reading both sides again showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recheck {
    /// No difference any more.
    Gone,
    /// They still differ; `diffs` is what was seen then.
    Stays,
    /// One of them could not be read again; `diffs` is what was seen first.
    Failed,
}
