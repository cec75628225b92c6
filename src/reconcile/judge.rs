//! What a row of a list means beside its claim. Pure: nothing is asked and nothing is changed here.

use crate::ledger::{Claim, ClaimState};
use crate::translate::evidence::WalkedRecord;
use crate::translate::mapping::Origin;
use crate::translate::side::Side;

/// What a row means. Everything but the first three is looked at again before it is reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RowMeaning {
    /// The claim knows this very record.
    Known,
    /// The legacy API could not have made it, and no claim names it.
    NotAConversion,
    /// It has no reference, so that no claim can name it.
    WithoutReference,
    /// No claim has its reference.
    Unclaimed,
    /// Its claim is refused: a client got the answer that nothing was made.
    Refused(Claim),
    /// The claim names this side and did not know the record yet.
    FoundNow(Claim),
    /// The claim names this side and another record.
    OtherRecord(Claim),
    /// The claim names the other side.
    OtherSide(Claim),
}

pub(super) fn judge(row: &WalkedRecord, claim: Option<&Claim>) -> RowMeaning {
    if !row.is_conversion(origin(row, claim)) {
        return RowMeaning::NotAConversion;
    }
    if row.ref_id.is_none() {
        return RowMeaning::WithoutReference;
    }
    let Some(claim) = claim else { return RowMeaning::Unclaimed };
    match (claim.state, claim.side == row.side, claim.record_id.as_deref()) {
        (ClaimState::Refused, _, _) => RowMeaning::Refused(claim.clone()),
        (ClaimState::Claimed | ClaimState::Checked, false, _) => RowMeaning::OtherSide(claim.clone()),
        (ClaimState::Claimed | ClaimState::Checked, true, None) => RowMeaning::FoundNow(claim.clone()),
        (ClaimState::Claimed | ClaimState::Checked, true, Some(id)) if id == row.id => RowMeaning::Known,
        (ClaimState::Claimed | ClaimState::Checked, true, Some(_)) => RowMeaning::OtherRecord(claim.clone()),
    }
}

/// What the ledger knows about a record of the new side.
fn origin(row: &WalkedRecord, claim: Option<&Claim>) -> Origin {
    // Only a claim on new says that an orchestration was meant as a conversion.
    let claim = claim.filter(|claim| claim.side == Side::New && claim.state != ClaimState::Refused);
    match claim.map(|claim| claim.record_id.as_deref()) {
        Some(Some(id)) if id == row.id => Origin::OwnRecord,
        Some(None) => Origin::OwnReference,
        Some(Some(_)) | None => Origin::Unknown,
    }
}
