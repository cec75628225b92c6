//! What may go wrong at the vendor, chosen at random.

use std::time::Duration;

use conversion_shim::sandbox::{Fault, Hidden, Kind, Operation, Planted, RefusalBody, Sandbox};
use conversion_shim::translate::side::Side;
use http::StatusCode;

use crate::dice::Dice;

/// The oldest records of a world are these many fillers, behind what was made before the ledger: a lag hides fewer.
pub(crate) const LAG_MAX: u64 = 5;

/// What was planted for one round.
#[derive(Default)]
pub(crate) struct Trouble {
    pub(crate) gates: Vec<Planted>,
    /// Lists do not show everything.
    pub(crate) lagging: bool,
}

/// Plants some faults.
pub(crate) fn plant(sandbox: &Sandbox, dice: &mut Dice) -> Trouble {
    let mut trouble = Trouble::default();
    for _ in 0..dice.below(5) {
        let side = *dice.pick(&[Side::Legacy, Side::New]);
        let operations =
            [Operation::Create, Operation::Create, Operation::List, Operation::List, Operation::Get];
        let operation = *dice.pick(&operations);
        let kind = kind(dice, operation);
        let fault = Fault::new(kind.clone()).on(side, operation);
        let fault = match dice.below(4) {
            0 => fault,
            1 => fault.sometimes(50, dice.next()),
            _ => fault.times(1 + dice.below(3)),
        };
        let planted = sandbox.faults().plant(fault);
        match kind {
            Kind::Gate { .. } => trouble.gates.push(planted),
            Kind::Lag(_) => trouble.lagging = true,
            _ => {}
        }
    }
    trouble
}

fn kind(dice: &mut Dice, operation: Operation) -> Kind {
    let applied = dice.percent(50);
    match (dice.below(12), operation) {
        (0, _) => Kind::Reset { applied },
        (1, _) => Kind::Truncate,
        (2, _) => Kind::NotJson,
        (3, _) => Kind::EmptyBody,
        (4, _) => Kind::WrongTypes,
        (5, _) => Kind::Delay { pause: Duration::from_millis(dice.below(150)), applied },
        (6 | 7, _) => Kind::Gate { applied },
        (8, Operation::List) => Kind::IgnoreFilters,
        (9, Operation::List) => Kind::Lag(Hidden::Newest(usize::try_from(1 + dice.below(LAG_MAX)).unwrap())),
        // Even a refusal that took effect all the same: nothing else may become of it.
        _ => Kind::Status {
            code: StatusCode::from_u16(*dice.pick(&[400, 401, 403, 408, 409, 429, 500, 502, 503, 504]))
                .unwrap(),
            retry_after: None,
            body: *dice.pick(&[RefusalBody::Problem, RefusalBody::Html, RefusalBody::Empty]),
            applied,
        },
    }
}
