//! One claim in memory: what each statement of the create protocol does to it. It follows the SQL of `ledger::commands` and
//! `ledger::adopt`; the exploration in `tests/protocol` uses the same rows.

use crate::routes::create::events::{ClaimState, ClaimView, Effect, Event};
use crate::routes::create::rules::{Rule, Rules};
use crate::translate::side::Side;

/// A claim, as its row holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClaimRow {
    /// The side that the reference belongs to.
    pub side: Side,
    /// How far the claim has come.
    pub state: ClaimState,
    /// Counts how often the side was chosen; from 1.
    pub generation: u8,
    /// Attempts begun in this generation.
    pub begun: u8,
    /// Attempts of this generation that made nothing.
    pub closed: u8,
    /// Whether the id of the record is known.
    pub has_record: bool,
}

/// The side of the record, where what the ledger answered shows that it knows one.
#[must_use]
pub fn shown_record(event: Event) -> Option<Side> {
    let claim = match event {
        Event::Claimed(claimed) => Some(claimed.claim),
        Event::Changed(claim) => claim,
        Event::LedgerFailed | Event::Lookup(_) | Event::Answer(_) | Event::Paused | Event::TimeIsUp => None,
    };
    claim.filter(|claim| claim.has_record).map(|claim| claim.side)
}

impl ClaimRow {
    /// A claim with its first attempt.
    #[must_use]
    pub const fn new(side: Side, generation: u8) -> Self {
        Self { side, state: ClaimState::Claimed, generation, begun: 1, closed: 0, has_record: false }
    }

    /// The claim as the protocol sees it.
    #[must_use]
    pub fn view(self) -> ClaimView {
        let Self { side, state, generation, has_record, .. } = self;
        ClaimView { side, state, generation: generation.into(), has_record }
    }

    /// Whether an attempt may still make a record.
    #[must_use]
    pub const fn has_open_attempt(self) -> bool {
        self.begun > self.closed
    }

    fn is(self, view: ClaimView) -> bool {
        (self.side, u32::from(self.generation)) == (view.side, view.generation)
    }

    /// Runs a statement about an existing claim; `None`: the claim is not as expected and nothing changed. Each arm is one statement of
    /// `ledger::commands`: its condition is the `WHERE`, its assignments are the `SET`. `ledger` checks the hold and the trip.
    pub fn change(&mut self, effect: Effect, rules: Rules) -> Option<ClaimView> {
        match effect {
            // `CHOOSE_ANEW`.
            Effect::ChooseAnew { side, generation, .. } => {
                let fits = self.state == ClaimState::Refused && u32::from(self.generation) == generation;
                fits.then(|| *self = Self::new(side, self.generation + 1))?;
            }
            // `BEGIN`.
            Effect::Begin { expected, checked, .. } => {
                (self.is(expected) && self.state == expected.state).then_some(())?;
                self.begun += 1;
                if checked {
                    self.state = ClaimState::Checked;
                }
            }
            // `MARK_CHECKED`.
            Effect::MarkChecked { expected, .. } => {
                (self.is(expected) && self.state == expected.state)
                    .then(|| self.state = ClaimState::Checked)?;
            }
            // `MOVE`.
            Effect::MoveClaim { expected, to, own_attempt, with_others, .. } => {
                let alone = self.begun - self.closed <= u8::from(own_attempt) || with_others;
                (self.is(expected) && self.state == ClaimState::Claimed && alone).then_some(())?;
                (self.side, self.state, self.has_record) = (to, ClaimState::Checked, true);
            }
            // `REMEMBER`.
            Effect::RememberId { claim, .. } => {
                (self.is(claim) && !self.has_record).then_some(())?;
                (self.state, self.has_record) = (ClaimState::Checked, true);
            }
            // `CLOSE`.
            Effect::Close { claim, .. } => self.close(claim, rules)?,
            Effect::Claim { .. } | Effect::Lookup { .. } | Effect::Send { .. } | Effect::Pause { .. } => {
                return None;
            }
        }
        Some(self.view())
    }

    fn close(&mut self, claim: ClaimView, rules: Rules) -> Option<()> {
        let own = self.is(claim) || !rules.keep(Rule::CloseOwnGeneration);
        (own && self.has_open_attempt()).then_some(())?;
        self.closed += 1;
        let all = !self.has_open_attempt() || !rules.keep(Rule::RefusedWhenAllClosed);
        if all && !self.has_record {
            self.state = ClaimState::Refused;
        }
        Some(())
    }

    /// `ledger accept`: what was written since its check may be lost.
    pub fn distrust_check(&mut self, rules: Rules) {
        if self.state == ClaimState::Checked && !self.has_record && rules.keep(Rule::ChecksAreWithdrawn) {
            self.state = ClaimState::Claimed;
        }
    }

    /// A walk found the record of the reference on a side. `native`: a create past the claims may have made it.
    pub fn adopt(row: &mut Option<Self>, side: Side, native: bool) {
        let adopted = Self { state: ClaimState::Checked, closed: 1, has_record: true, ..Self::new(side, 1) };
        match row {
            None if side == Side::New && native => {}
            None => *row = Some(adopted),
            Some(row) if row.state == ClaimState::Refused => {
                (row.side, row.state, row.has_record) = (side, ClaimState::Checked, true);
            }
            Some(row) if row.side == side => (row.state, row.has_record) = (ClaimState::Checked, true),
            // A finding.
            Some(_) => {}
        }
    }
}
