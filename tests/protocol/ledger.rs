//! The ledger of the model: one row, atomic per statement, with the semantics of `src/ledger`.

use conversion_shim::routes::create::events::{ClaimResult, ClaimState, ClaimView, Effect, Event};
use conversion_shim::routes::create::rules::{Rule, Rules};
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
}

/// The claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Row {
    pub(crate) side: Side,
    pub(crate) state: ClaimState,
    pub(crate) generation: u8,
    pub(crate) begun: u8,
    pub(crate) closed: u8,
    pub(crate) has_record: bool,
}

impl Row {
    fn new(side: Side, generation: u8) -> Self {
        Self { side, state: ClaimState::Claimed, generation, begun: 1, closed: 0, has_record: false }
    }

    fn view(self) -> ClaimView {
        let Self { side, state, generation, has_record, .. } = self;
        ClaimView { side, state, generation: generation.into(), has_record }
    }

    pub(crate) fn has_open_attempt(self) -> bool {
        self.begun > self.closed
    }
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
                Some(claim) => Event::Claimed(self.claimed(claim, true, rules)),
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
        ClaimResult { claim, inserted, created_on_new: self.created_on_new(rules), native: self.native }
    }

    fn change(&mut self, effect: Effect, rules: Rules) -> Option<ClaimView> {
        let row = self.row.as_mut()?;
        let is = |row: &Row, view: ClaimView| {
            (row.side, row.generation) == (view.side, u8::try_from(view.generation).unwrap())
        };
        match effect {
            Effect::ChooseAnew { side, generation, .. } => {
                let fits = row.state == ClaimState::Refused && u32::from(row.generation) == generation;
                fits.then(|| *row = Row::new(side, row.generation + 1))?;
            }
            Effect::Begin { expected, checked, .. } => {
                (is(row, expected) && row.state == expected.state).then_some(())?;
                row.begun += 1;
                if checked {
                    row.state = ClaimState::Checked;
                }
            }
            Effect::MarkChecked { expected, .. } => {
                (is(row, expected) && row.state == expected.state)
                    .then(|| row.state = ClaimState::Checked)?;
            }
            Effect::MoveClaim { expected, to, own_attempt, with_others, .. } => {
                let alone = row.begun - row.closed <= u8::from(own_attempt) || with_others;
                (is(row, expected) && row.state == ClaimState::Claimed && alone).then_some(())?;
                (row.side, row.state, row.has_record) = (to, ClaimState::Checked, true);
            }
            Effect::RememberId { claim, .. } => {
                (is(row, claim) && !row.has_record).then_some(())?;
                (row.state, row.has_record) = (ClaimState::Checked, true);
            }
            Effect::Close { claim, .. } => {
                let own = is(row, claim) || !rules.keep(Rule::CloseOwnGeneration);
                (own && row.has_open_attempt()).then_some(())?;
                row.closed += 1;
                let all = !row.has_open_attempt() || !rules.keep(Rule::RefusedWhenAllClosed);
                if all && !row.has_record {
                    row.state = ClaimState::Refused;
                }
            }
            Effect::Claim { .. } | Effect::Lookup { .. } | Effect::Send { .. } | Effect::Pause { .. } => {
                return None;
            }
        }
        Some(row.view())
    }
}
