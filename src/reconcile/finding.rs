//! What a reconcile may find.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ledger::StoredFinding;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// A reference has a conversion on both sides, or two on one.
    Double,
    /// An id that a client was given is on neither side.
    Lost,
    /// The record is not on the side that the claim names.
    WrongSide,
    /// Claim, list and report do not agree about the record.
    Mismatch,
    /// The report's movements and the record's status do not agree.
    Status,
    /// A record that no claim knows.
    Unclaimed,
    /// A record that has not become final for too long.
    Stuck,
    /// A claim whose record was not known.
    Unresolved,
    /// One conversion that both sides show, as they are known to do.
    Mirrored,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FindingSeverity {
    /// Money may have moved twice, or otherwise than a client was answered.
    Money,
    /// Something that should be looked into.
    Contract,
    None,
}

impl FindingSeverity {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Money => "money",
            Self::Contract => "contract",
            Self::None => "none",
        }
    }
}

impl FindingKind {
    /// Every kind, the worst first.
    pub const ALL: [Self; 9] = [
        Self::Double,
        Self::Lost,
        Self::WrongSide,
        Self::Mismatch,
        Self::Status,
        Self::Unclaimed,
        Self::Stuck,
        Self::Unresolved,
        Self::Mirrored,
    ];

    /// Those of [`FindingSeverity::Money`].
    pub(crate) const ABOUT_MONEY: [Self; 5] =
        [Self::Double, Self::Lost, Self::WrongSide, Self::Mismatch, Self::Status];

    /// The name in output, logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Double => "double",
            Self::Lost => "lost",
            Self::WrongSide => "wrong_side",
            Self::Mismatch => "mismatch",
            Self::Status => "status",
            Self::Unclaimed => "unclaimed",
            Self::Stuck => "stuck",
            Self::Unresolved => "unresolved",
            Self::Mirrored => "mirrored",
        }
    }

    #[must_use]
    pub const fn severity(self) -> FindingSeverity {
        match self {
            Self::Double | Self::Lost | Self::WrongSide | Self::Mismatch | Self::Status => {
                FindingSeverity::Money
            }
            // Nothing was converted twice or lost, but something may be missed by the next check.
            Self::Unclaimed | Self::Stuck | Self::Unresolved => FindingSeverity::Contract,
            Self::Mirrored => FindingSeverity::None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WalkFinding {
    pub kind: FindingKind,
    /// The client's reference, if the record or claim has one.
    pub ref_id: Option<String>,
    /// The id on the legacy side, if there is a record.
    pub legacy_id: Option<String>,
    /// The id on the new side, if there is a record.
    pub new_id: Option<String>,
    /// When the record, or without one the claim, was made; RFC 3339.
    pub at: String,
    /// Whether the claim was repaired.
    pub repaired: bool,
    pub detail: String,
}

impl WalkFinding {
    pub(super) fn new(
        kind: FindingKind,
        ref_id: Option<&str>,
        at: Timestamp,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            ref_id: ref_id.map(str::to_owned),
            legacy_id: None,
            new_id: None,
            at: at.to_string(),
            repaired: false,
            detail: detail.into(),
        }
    }

    /// The first that it has of its reference, legacy id and new id.
    #[must_use]
    pub fn subject(&self) -> &str {
        [&self.ref_id, &self.legacy_id, &self.new_id].into_iter().find_map(Option::as_deref).unwrap_or("")
    }

    /// The day of [`WalkFinding::at`], such as `2026-11-30`.
    #[must_use]
    pub fn day(&self) -> &str {
        self.at.get(..10).unwrap_or("")
    }

    pub(super) fn stored(&self) -> StoredFinding {
        StoredFinding {
            kind: self.kind.as_str().to_owned(),
            subject: self.subject().to_owned(),
            // A struct of strings always serializes.
            finding: serde_json::to_string(self).unwrap_or_default(),
        }
    }

    pub(super) fn log(&self) {
        let Self { ref_id, legacy_id, new_id, at, repaired, detail, .. } = self;
        let (kind, severity) = (self.kind.as_str(), self.kind.severity().as_str());
        match self.kind.severity() {
            FindingSeverity::Money => {
                tracing::error!(target: "reconcile", kind, severity, ref_id, legacy_id, new_id, at, repaired, detail, "finding");
            }
            FindingSeverity::Contract => {
                tracing::warn!(target: "reconcile", kind, severity, ref_id, legacy_id, new_id, at, repaired, detail, "finding");
            }
            FindingSeverity::None => {
                tracing::debug!(target: "reconcile", kind, severity, ref_id, legacy_id, new_id, at, "finding");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_about_money_is_named_as_such() {
        let is_money = |kind: &FindingKind| kind.severity() == FindingSeverity::Money;
        let all: Vec<_> = FindingKind::ALL.into_iter().filter(is_money).collect();
        assert_eq!(all, FindingKind::ABOUT_MONEY);
    }
}
