//! What the report decides for a route, and how it groups verdicts.

use serde::Serialize;

use crate::shadow::types::Verdict;

/// Whether the route may move on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Every threshold is met.
    Go,
    /// At least one is not.
    NoGo,
    /// Too little was compared with a record on both sides to say; nothing else is against it.
    NotProven,
    /// No comparison, and the route was not in mode `shadow`.
    NotInShadow,
    /// No comparison, and no heartbeat that says whether the route was in mode `shadow`.
    NotKnown,
}

impl Decision {
    #[must_use]
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Go => "go",
            Self::NoGo => "no_go",
            Self::NotProven => "not_proven",
            Self::NotInShadow => "not_in_shadow",
            Self::NotKnown => "not_known",
        }
    }

    /// As the report shows it.
    #[must_use]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Go => "GO",
            Self::NoGo => "NO-GO",
            Self::NotProven => "NOT PROVEN",
            Self::NotInShadow => "not in shadow",
            Self::NotKnown => "unknown",
        }
    }
}

/// The four classes of verdicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// `match`, `match_after_rules`
    Agreed,
    /// `progress`, `transient`, `no_counterpart`
    Explained,
    /// `not_comparable`, `shadow_failed`
    NotCompared,
    /// `error_disagreement`, `mismatch`
    Differed,
}

impl Class {
    /// All of them, in this order.
    pub(crate) const ALL: [Self; 4] = [Self::Agreed, Self::Explained, Self::NotCompared, Self::Differed];

    /// The class of a verdict.
    #[must_use]
    pub(crate) const fn of(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Match | Verdict::MatchAfterRules => Self::Agreed,
            Verdict::Progress | Verdict::Transient | Verdict::NoCounterpart => Self::Explained,
            Verdict::NotComparable | Verdict::ShadowFailed => Self::NotCompared,
            Verdict::ErrorDisagreement | Verdict::Mismatch => Self::Differed,
        }
    }

    /// As the report shows it.
    #[must_use]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Agreed => "agreed",
            Self::Explained => "explained",
            Self::NotCompared => "not compared",
            Self::Differed => "differed",
        }
    }
}
