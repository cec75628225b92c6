//! The ledger of the model: one row, atomic per statement, with the semantics of `src/ledger`.

use conversion_shim::routes::create::events::{ClaimResult, ClaimView, Effect, Event};
use conversion_shim::routes::create::rules::{Rule, Rules};
pub(crate) use conversion_shim::simulate::claim_row::ClaimRow as Row;
use conversion_shim::translate::side::Side;

/// Everything that the ledger holds about the reference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Ledger {
    pub(crate) row: Option<Row>,
    /// `ledger open-new` was run.
    pub(crate) opened_new: bool,
    /// A claim of another reference names new.
    pub(crate) other_on_new: bool,
    /// A create through the new API's own path used the reference.
    pub(crate) native: bool,
    /// A hold stands: the ledger went back in time.
    pub(crate) hold: bool,
    /// Walks that count read the lists of legacy and of new.
    pub(crate) walked: [bool; 2],
    /// Legacy and new are complete.
    pub(crate) complete: [bool; 2],
}

impl Ledger {
    /// Whether a create may have gone to new.
    pub(crate) fn created_on_new(&self, rules: Rules) -> bool {
        let claimed = self.other_on_new || self.row.is_some_and(|row| row.side == Side::New);
        self.opened_new || (claimed && rules.keep(Rule::AnyClaimOnNewCounts))
    }

    /// Runs one statement. The answer is what a replica sees when it is confirmed.
    pub(crate) fn execute(&mut self, effect: Effect, rules: Rules) -> Event {
        let held = self.hold && rules.keep(Rule::HoldStopsSends);
        match effect {
            Effect::Claim { side, .. } => self.claim(side, held, rules),
            Effect::ChooseAnew { .. } | Effect::Begin { .. } if held => Event::LedgerFailed,
            Effect::ChooseAnew { .. } => match self.change(effect, rules) {
                Some(claim) => {
                    Event::Claimed(ClaimResult { complete: false, ..self.claimed(claim, true, rules) })
                }
                None => Event::Changed(None),
            },
            _ => Event::Changed(self.change(effect, rules)),
        }
    }

    fn claim(&mut self, side: Side, held: bool, rules: Rules) -> Event {
        let inserted = self.row.is_none();
        if inserted && held {
            return Event::LedgerFailed;
        }
        let claim = self.row.get_or_insert(Row::new(side, 1)).view();
        Event::Claimed(self.claimed(claim, inserted, rules))
    }

    fn claimed(&self, claim: ClaimView, inserted: bool, rules: Rules) -> ClaimResult {
        let complete = self.complete[claim.side.other() as usize];
        ClaimResult {
            claim,
            inserted,
            created_on_new: self.created_on_new(rules),
            native: self.native,
            complete,
        }
    }

    /// A walk finds the reference on a side.
    pub(crate) fn adopt(&mut self, side: Side) {
        Row::adopt(&mut self.row, side, self.native);
    }

    /// Ends completeness, and makes the walks that run too old.
    pub(crate) fn withdraw(&mut self, rules: Rules) {
        if rules.keep(Rule::CompletenessIsWithdrawn) {
            (self.walked, self.complete) = ([false; 2], [false; 2]);
        }
    }

    fn change(&mut self, effect: Effect, rules: Rules) -> Option<ClaimView> {
        self.row.as_mut()?.change(effect, rules)
    }
}
