//! The ledger of the model: one row for the reference and one for another reading of it, atomic per statement, with the semantics of `src/ledger`.

use conversion_shim::routes::create::events::{ClaimResult, ClaimView, Effect, Event};
use conversion_shim::routes::create::rules::{Rule, Rules};
pub(crate) use conversion_shim::simulate::claim_row::ClaimRow as Row;
use conversion_shim::translate::side::Side;

/// Everything that the ledger holds about the reference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Ledger {
    pub(crate) row: Option<Row>,
    /// The claim of a reading that the vendor does not take.
    pub(crate) misread: Option<Row>,
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

/// A statement of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Statement {
    pub(crate) effect: Effect,
    /// Whether it is about the reading that the vendor does not take.
    pub(crate) misread: bool,
}

impl Ledger {
    /// Whether a create may have gone to new.
    pub(crate) fn created_on_new(&self, rules: Rules) -> bool {
        let on_new = |row: Option<Row>| row.is_some_and(|row| row.side == Side::New);
        let claimed = self.other_on_new || on_new(self.row) || on_new(self.misread);
        self.opened_new || (claimed && rules.keep(Rule::AnyClaimOnNewCounts))
    }

    /// Runs one statement. The answer is what a replica sees when it is confirmed.
    pub(crate) fn execute(&mut self, statement: Statement, rules: Rules) -> Event {
        let Statement { effect, misread } = statement;
        let held = self.hold && rules.keep(Rule::HoldStopsSends);
        match effect {
            Effect::Claim { side, .. } => self.claim(side, misread, held, rules),
            Effect::ChooseAnew { .. } | Effect::Begin { .. } if held => Event::LedgerFailed,
            Effect::MoveClaim { .. } if held => Event::Changed(None),
            Effect::ChooseAnew { .. } => match self.change(statement, rules) {
                Some(claim) => {
                    let claimed = self.claimed(claim, true, misread, rules);
                    Event::Claimed(ClaimResult { complete: false, ..claimed })
                }
                None => Event::Changed(None),
            },
            _ => Event::Changed(self.change(statement, rules)),
        }
    }

    const fn row_of(&mut self, misread: bool) -> &mut Option<Row> {
        if misread { &mut self.misread } else { &mut self.row }
    }

    fn claim(&mut self, side: Side, misread: bool, held: bool, rules: Rules) -> Event {
        let row = self.row_of(misread);
        let inserted = row.is_none();
        if inserted && held {
            return Event::LedgerFailed;
        }
        let claim = row.get_or_insert(Row::new(side, 1)).view();
        Event::Claimed(self.claimed(claim, inserted, misread, rules))
    }

    fn claimed(&self, claim: ClaimView, inserted: bool, misread: bool, rules: Rules) -> ClaimResult {
        let complete = self.complete[claim.side.other() as usize];
        ClaimResult {
            claim,
            inserted,
            created_on_new: self.created_on_new(rules),
            native: self.native && !misread,
            complete,
        }
    }

    /// A walk finds the reference on a side.
    pub(crate) fn adopt(&mut self, side: Side) {
        Row::adopt(&mut self.row, side, self.native);
    }

    /// The operator accepts the ledger as it is.
    pub(crate) fn accept(&mut self, new_in_use: bool, rules: Rules) {
        (self.hold, self.opened_new) = (false, self.opened_new || new_in_use);
        self.withdraw(rules);
        for row in [&mut self.row, &mut self.misread].into_iter().flatten() {
            row.distrust_check(rules);
        }
    }

    /// Ends completeness, and makes the walks that run too old.
    pub(crate) fn withdraw(&mut self, rules: Rules) {
        if rules.keep(Rule::CompletenessIsWithdrawn) {
            (self.walked, self.complete) = ([false; 2], [false; 2]);
        }
    }

    fn change(&mut self, statement: Statement, rules: Rules) -> Option<ClaimView> {
        self.row_of(statement.misread).as_mut()?.change(statement.effect, rules)
    }
}
