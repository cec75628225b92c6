//! A claim as the protocol sees it, and back; and what a statement that failed means for the client.

use super::events::{ClaimResult, ClaimView, Effect};
use crate::config::Config;
use crate::failure::Failure;
use crate::ledger::{Claim, Claimed, Expected, LedgerError, OtherSide};
use crate::translate::facts::RefMatch;
use crate::translate::mapping::Origin;
use crate::translate::side::Side;

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

/// `inserted`: this request made the claim, or chose its side anew.
pub(super) fn view_claimed(claimed: &Claimed, inserted: bool, config: &Config) -> ClaimResult {
    let Claimed { claim, created_on_new, native, other_side, .. } = claimed;
    let may_be_complete =
        config.ledger.as_ref().is_some_and(|ledger| ledger.may_be_complete(claim.side.other()));
    let complete = match other_side {
        OtherSide::Absent => may_be_complete,
        OtherSide::AbsentUnlessAlike => may_be_complete && config.facts.ref_match == RefMatch::Exact,
        OtherSide::Unknown => false,
    };
    ClaimResult { claim: view(claim), inserted, created_on_new: *created_on_new, native: *native, complete }
}

pub(super) const fn expect(view: ClaimView) -> Expected {
    Expected { generation: view.generation as i64, side: view.side, state: view.state }
}

/// The statement's name in traces, and the side that it is about.
pub(super) const fn describe(effect: Effect) -> (&'static str, Side) {
    match effect {
        Effect::Claim { side, .. } => ("claim", side),
        Effect::ChooseAnew { side, .. } => ("choose_anew", side),
        Effect::Begin { expected, .. } => ("begin_attempt", expected.side),
        Effect::MarkChecked { expected, .. } => ("mark_checked", expected.side),
        Effect::MoveClaim { to, .. } => ("move_claim", to),
        Effect::RememberId { claim, .. } => ("remember_id", claim.side),
        Effect::Close { claim, .. } => ("close_attempt", claim.side),
        Effect::Lookup { side, .. } | Effect::Send { side } => ("call", side),
        Effect::Pause { .. } => ("pause", Side::New),
    }
}

/// Why a create is refused when the ledger did not take a statement of it.
pub(super) fn refusal(error: LedgerError, config: &Config) -> Failure {
    match error {
        // As in mode `hold`: an operator's decision, and no fault of the ledger.
        LedgerError::Tripped(_) => Failure::Held { retry_after: config.hold.retry_after },
        error => Failure::Ledger(error.into()),
    }
}
