//! Findings about rows of lists.

use super::finding::{FindingKind, WalkFinding};
use crate::translate::evidence::WalkedRecord;
use crate::translate::side::Side;

pub(super) fn of_row(kind: FindingKind, row: &WalkedRecord, detail: impl Into<String>) -> WalkFinding {
    let finding = WalkFinding::new(kind, row.ref_id.as_deref(), row.created_at, detail);
    match row.side {
        Side::Legacy => WalkFinding { legacy_id: Some(row.id.clone()), ..finding },
        Side::New => WalkFinding { new_id: Some(row.id.clone()), ..finding },
    }
}

pub(super) fn pair(
    kind: FindingKind,
    row: &WalkedRecord,
    other: Option<&WalkedRecord>,
    detail: &str,
) -> WalkFinding {
    let finding = of_row(kind, row, detail);
    let other_id = other.map(|other| other.id.clone());
    match row.side {
        Side::Legacy => WalkFinding { new_id: other_id, ..finding },
        Side::New => WalkFinding { legacy_id: other_id, ..finding },
    }
}

/// Two conversions of one reference. It is as old as the later of them, which is the one too many.
pub(super) fn double(row: &WalkedRecord, other: &WalkedRecord, detail: &str) -> WalkFinding {
    let at = row.created_at.max(other.created_at).to_string();
    if row.side == other.side {
        return WalkFinding { at, ..of_row(FindingKind::Double, row, detail) };
    }
    WalkFinding { at, ..pair(FindingKind::Double, row, Some(other), detail) }
}
