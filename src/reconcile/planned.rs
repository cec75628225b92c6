//! A repair of a claim that is to be made once its finding is saved.

use super::finding::WalkFinding;
use crate::ledger::Repair;
use crate::translate::side::Side;

/// How a claim is repaired. Each is a compare-and-set on the claim that was read, and none begins or closes an attempt.
pub(super) enum Action {
    /// The claim gets the id of its record.
    Remember {
        generation: i64,
        side: Side,
    },
    Repair(Repair),
}

pub(super) struct PlannedRepair {
    pub(super) finding: WalkFinding,
    pub(super) ref_id: String,
    pub(super) record_id: String,
    /// The side that the claim names afterwards.
    pub(super) side: Side,
    pub(super) action: Action,
}
