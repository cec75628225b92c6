//! A claim as the protocol sees it, and back.

use super::events::{ClaimResult, ClaimView, Event};
use crate::ledger::{self, Claim, Expected};
use crate::translate::mapping::Origin;

/// What a claim says about whatever carries its reference on its side.
pub(super) const fn origin(claim: &Claim) -> Origin {
    match claim.record_id {
        Some(_) => Origin::OwnRecord,
        None => Origin::OwnReference,
    }
}

pub(super) fn view(claim: &Claim) -> ClaimView {
    ClaimView {
        side: claim.side,
        state: claim.state,
        generation: u32::try_from(claim.generation).unwrap_or(u32::MAX),
        has_record: claim.record_id.is_some(),
    }
}

pub(super) fn view_claimed(claimed: &ledger::Claimed, inserted: bool) -> Event {
    let ledger::Claimed { claim, created_on_new, native, .. } = claimed;
    Event::Claimed(ClaimResult {
        claim: view(claim),
        inserted,
        created_on_new: *created_on_new,
        native: *native,
    })
}

pub(super) const fn expect(view: ClaimView) -> Expected {
    Expected { generation: view.generation as i64, side: view.side, state: view.state }
}
