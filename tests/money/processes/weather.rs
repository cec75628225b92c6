//! What goes wrong at the vendor, at random: before and after a write takes effect, in lists, in gets, with the whole port.

use std::time::Duration;

use conversion_shim::sandbox::{
    Dice, Fault, FaultKind, ForeignRecord, HiddenRecords, Operation, RefusalBody, Sandbox,
};
use conversion_shim::translate::side::Side;
use http::StatusCode;
use tokio::time::sleep;

use crate::support::variants;

/// A list may not show a record younger than this.
pub(crate) const LAG: Duration = Duration::from_millis(300);

/// Bad weather, between spells of fine weather of up to `calm`, until it is over.
pub(crate) async fn storm(vendor: &Sandbox, mut dice: Dice, calm: Duration, is_over: impl Fn() -> bool) {
    let (faults, usual) = (vendor.faults(), vendor.inspector().variants());
    while !is_over() {
        faults.clear();
        // For a while nothing that the vendor says can be read.
        let is_blind = dice.one_in(8);
        let variants = if is_blind { variants::blind(&usual, dice.below(4)) } else { usual.clone() };
        vendor.inspector().set_variants(variants);
        for _ in 0..=dice.below(4) {
            faults.arm(fault(&mut dice));
        }
        sleep(Duration::from_millis(100) + dice.milliseconds(0, 900)).await;
        if dice.one_in(8) {
            faults.go_down().await;
            sleep(dice.milliseconds(0, 300)).await;
            faults.come_up().await.unwrap();
        }
        if calm > Duration::ZERO {
            faults.clear();
            vendor.inspector().set_variants(usual.clone());
            sleep(calm / 100 * u32::try_from(dice.below(100)).unwrap()).await;
        }
    }
    faults.clear();
    vendor.inspector().set_variants(usual);
}

fn fault(dice: &mut Dice) -> Fault {
    // Mostly where the money moves.
    let operation =
        dice.pick([Operation::Create, Operation::Create, Operation::List, Operation::List, Operation::Get]);
    let kind = match operation {
        Operation::Create => on_create(dice),
        Operation::List => on_list(dice),
        _ => on_any(dice),
    };
    let percent = u8::try_from(5 + dice.below(50)).unwrap();
    let side = match kind {
        // The old API judges its own requests.
        FaultKind::Foreign { .. } | FaultKind::Twice => Some(Side::New),
        _ => dice.pick([Some(Side::Legacy), Some(Side::New), None]),
    };
    Fault::new(kind).on(side, operation).sometimes(percent, dice.below(u64::MAX))
}

fn on_create(dice: &mut Dice) -> FaultKind {
    let foreign = [ForeignRecord::AnotherRef, ForeignRecord::AnotherAmount, ForeignRecord::OnlyId];
    match dice.below(8) {
        6 => FaultKind::Foreign { shows: dice.pick(foreign) },
        7 => FaultKind::Twice,
        0 => FaultKind::NotJson,
        1 => FaultKind::EmptyBody,
        2 => FaultKind::WrongTypes,
        3 => refusal(dice, &[StatusCode::TOO_MANY_REQUESTS, StatusCode::UNAUTHORIZED], false),
        _ => on_any(dice),
    }
}

fn on_list(dice: &mut Dice) -> FaultKind {
    match dice.below(7) {
        0 => FaultKind::NotJson,
        1 => FaultKind::WrongTypes,
        2 => refusal(dice, &[StatusCode::FORBIDDEN, StatusCode::UNAUTHORIZED, StatusCode::NOT_FOUND], false),
        3 => FaultKind::IgnoreFilters,
        4 => FaultKind::Lag(HiddenRecords::YoungerThan(LAG)),
        _ => on_any(dice),
    }
}

fn on_any(dice: &mut Dice) -> FaultKind {
    let applied = dice.one_in(2);
    match dice.below(4) {
        0 => FaultKind::Reset { applied },
        1 => FaultKind::Truncate,
        2 => {
            // Longer than a create may take at times.
            let longest = dice.pick([100, 500, 2500]);
            FaultKind::Delay { pause: dice.milliseconds(0, longest), applied }
        }
        _ => refusal(
            dice,
            &[StatusCode::INTERNAL_SERVER_ERROR, StatusCode::BAD_GATEWAY, StatusCode::GATEWAY_TIMEOUT],
            applied,
        ),
    }
}

fn refusal(dice: &mut Dice, codes: &[StatusCode], applied: bool) -> FaultKind {
    let body = dice.pick([RefusalBody::Problem, RefusalBody::Html, RefusalBody::Empty]);
    FaultKind::Status { code: codes[dice.index(codes.len())], retry_after: None, body, applied }
}
