//! What may go wrong at the vendor, chosen at random.

use std::time::Duration;

use conversion_shim::sandbox::{
    ArmedFault, Dice, Fault, FaultKind, ForeignRecord, HiddenRecords, Operation, RefusalBody, Sandbox,
};
use conversion_shim::translate::side::Side;
use http::StatusCode;

/// The oldest records of a world are these many fillers, behind what was made before the ledger: a lag hides fewer.
pub(crate) const LAG_MAX: u64 = 5;

/// What was armed for one round.
#[derive(Default)]
pub(crate) struct Trouble {
    pub(crate) gates: Vec<ArmedFault>,
    /// Lists do not show everything.
    pub(crate) lagging: bool,
}

/// Plants some faults.
pub(crate) fn arm(sandbox: &Sandbox, dice: &mut Dice) -> Trouble {
    let mut trouble = Trouble::default();
    for _ in 0..dice.below(5) {
        let side = dice.pick([Side::Legacy, Side::New]);
        let operations =
            [Operation::Create, Operation::Create, Operation::List, Operation::List, Operation::Get];
        let operation = dice.pick(operations);
        let kind = kind(dice, side, operation);
        let fault = Fault::new(kind.clone()).on(side, operation);
        let fault = match dice.below(4) {
            0 => fault,
            1 => fault.sometimes(50, dice.next()),
            _ => fault.times(1 + dice.below(3)),
        };
        let armed = sandbox.faults().arm(fault);
        match kind {
            FaultKind::Gate { .. } => trouble.gates.push(armed),
            FaultKind::Lag(_) => trouble.lagging = true,
            _ => {}
        }
    }
    trouble
}

fn kind(dice: &mut Dice, side: Side, operation: Operation) -> FaultKind {
    let applied = dice.percent(50);
    if (side, operation) == (Side::New, Operation::Create) && dice.percent(15) {
        let all = [ForeignRecord::AnotherRef, ForeignRecord::AnotherAmount, ForeignRecord::OnlyId];
        return if dice.percent(30) {
            FaultKind::Twice
        } else {
            FaultKind::Foreign { shows: dice.pick(all) }
        };
    }
    match (dice.below(12), operation) {
        (0, _) => FaultKind::Reset { applied },
        (1, _) => FaultKind::Truncate,
        (2, _) => FaultKind::NotJson,
        (3, _) => FaultKind::EmptyBody,
        (4, _) => FaultKind::WrongTypes,
        (5, _) => FaultKind::Delay { pause: Duration::from_millis(dice.below(150)), applied },
        (6 | 7, _) => FaultKind::Gate { applied },
        (8, Operation::List) => FaultKind::IgnoreFilters,
        (9, Operation::List) => {
            FaultKind::Lag(HiddenRecords::Newest(usize::try_from(1 + dice.below(LAG_MAX)).unwrap()))
        }
        // Even a refusal that took effect all the same: nothing else may become of it.
        _ => FaultKind::Status {
            code: StatusCode::from_u16(dice.pick([400, 401, 403, 408, 409, 429, 500, 502, 503, 504]))
                .unwrap(),
            retry_after: None,
            body: dice.pick([RefusalBody::Problem, RefusalBody::Html, RefusalBody::Empty]),
            applied,
        },
    }
}
