//! The ledger in memory, atomic per statement: claims (`claim_row`), what stands beside them, and completeness as in
//! `ledger::completeness`, statement by statement.

use std::collections::{BTreeMap, BTreeSet};

use super::claim_row::ClaimRow;
use crate::routes::create::events::{ClaimResult, ClaimState, ClaimView, Effect, Event};
use crate::routes::create::rules::{Rule, Rules};
use crate::translate::side::Side;

/// How long a create may take to become a record, in microseconds.
pub(super) const LONGEST_CREATE: i64 = 60 * 1_000_000;
/// How long a clean walk counts.
const CLEAN_FOR: i64 = 60 * 60 * 1_000_000;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SimulatedLedger {
    /// By reference.
    pub(super) claims: BTreeMap<usize, SimulatedClaim>,
    /// References of creates through the new API's own path.
    pub(super) natives: BTreeSet<usize>,
    pub(super) opened_new: bool,
    /// It went back in time.
    pub(super) hold: bool,
    pub(super) trip: bool,
    /// The end of the walk that runs, and whether it found something about money.
    pub(super) walking: Option<(i64, bool)>,
    pub(super) sides: [Standing; 2],
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SimulatedClaim {
    pub(super) row: ClaimRow,
    pub(super) record_id: Option<String>,
}

/// How a side stands; see `ledger::Completeness`. Times in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    walked_to: Option<i64>,
    unclaimed_until: i64,
    until: i64,
}

/// A statement with what it needs beside its effect.
#[derive(Clone, Debug)]
pub(super) struct Statement {
    pub(super) reference: usize,
    pub(super) effect: Effect,
    /// The id that is stored, if there is one.
    pub(super) record_id: Option<String>,
}

impl SimulatedLedger {
    pub(super) fn created_on_new(&self, rules: Rules) -> bool {
        self.opened_new || (self.names_new() && rules.keep(Rule::AnyClaimOnNewCounts))
    }

    /// Whether any claim names new.
    pub(super) fn names_new(&self) -> bool {
        self.claims.values().any(|claim| claim.row.side == Side::New)
    }

    /// The claim that knows a record.
    pub(super) fn side_of(&self, id: &str) -> Option<Side> {
        let claim = self.claims.values().find(|claim| claim.record_id.as_deref() == Some(id))?;
        Some(claim.row.side)
    }

    /// Runs one statement. The answer is what a replica sees when it is confirmed.
    pub(super) fn execute(&mut self, statement: &Statement, now: i64, rules: Rules) -> Event {
        let on_hold = self.hold && rules.keep(Rule::HoldStopsSends);
        let held = on_hold || self.trip;
        match statement.effect {
            Effect::Claim { side, .. } => self.claim(statement.reference, side, held, (now, rules)),
            Effect::ChooseAnew { .. } | Effect::Begin { .. } if held => Event::LedgerFailed,
            Effect::MoveClaim { .. } if on_hold => Event::Changed(None),
            Effect::ChooseAnew { .. } => match self.change(statement, rules) {
                Some(claim) => {
                    let claimed = self.claimed((statement.reference, claim), true, (now, rules));
                    Event::Claimed(ClaimResult { complete: false, ..claimed })
                }
                None => Event::Changed(None),
            },
            _ => Event::Changed(self.change(statement, rules)),
        }
    }

    fn claim(&mut self, reference: usize, side: Side, held: bool, at: (i64, Rules)) -> Event {
        let inserted = !self.claims.contains_key(&reference);
        if inserted && held {
            return Event::LedgerFailed;
        }
        let new = SimulatedClaim { row: ClaimRow::new(side, 1), record_id: None };
        let claim = self.claims.entry(reference).or_insert(new).row.view();
        Event::Claimed(self.claimed((reference, claim), inserted, at))
    }

    fn claimed(
        &self,
        (reference, claim): (usize, ClaimView),
        inserted: bool,
        (now, rules): (i64, Rules),
    ) -> ClaimResult {
        ClaimResult {
            claim,
            inserted,
            created_on_new: self.created_on_new(rules),
            native: self.natives.contains(&reference),
            complete: self.is_complete(claim.side.other(), now),
        }
    }

    fn change(&mut self, statement: &Statement, rules: Rules) -> Option<ClaimView> {
        let claim = self.claims.get_mut(&statement.reference)?;
        if let (Effect::RememberId { .. }, None) = (statement.effect, &statement.record_id) {
            return None;
        }
        let view = claim.row.change(statement.effect, rules)?;
        match statement.effect {
            Effect::ChooseAnew { .. } => claim.record_id = None,
            Effect::MoveClaim { .. } | Effect::RememberId { .. } => {
                claim.row.has_record = statement.record_id.is_some();
                claim.record_id.clone_from(&statement.record_id);
                return Some(claim.row.view());
            }
            _ => {}
        }
        Some(view)
    }

    /// Lets the next create choose the side anew.
    pub(super) fn release(&mut self, reference: usize) {
        if let Some(claim) = self.claims.get_mut(&reference) {
            claim.row.state = ClaimState::Refused;
        }
    }
}

impl SimulatedLedger {
    pub(super) fn is_complete(&self, side: Side, now: i64) -> bool {
        self.sides[side as usize].until > now
    }

    /// Before a process serves: it may have run without this ledger.
    pub(super) fn withdraw(&mut self, now: i64, rules: Rules) {
        if rules.keep(Rule::CompletenessIsWithdrawn) {
            for side in &mut self.sides {
                (side.until, side.unclaimed_until) = (0, side.unclaimed_until.max(now));
            }
        }
    }

    /// `ledger accept`: any claim may be missing, or older than it was.
    pub(super) fn forget(&mut self, now: i64, rules: Rules) {
        self.claims.values_mut().for_each(|claim| claim.row.distrust_check(rules));
        if rules.keep(Rule::CompletenessIsWithdrawn) {
            self.sides = [Standing { walked_to: None, unclaimed_until: now, until: 0 }; 2];
            self.walking = None;
        }
    }

    pub(super) const fn is_walking(&self) -> bool {
        self.walking.is_some()
    }

    /// A walk over the whole list of a side read everything that was made before `end`, and found these references with their records.
    pub(super) fn walk(&mut self, side: Side, end: i64, found: Vec<(usize, String, i64)>) {
        let unclaimed: Vec<_> = found
            .iter()
            .filter(|(reference, ..)| !self.claims.contains_key(reference))
            .map(|(.., made)| *made)
            .collect();
        self.doubt(side, &unclaimed);
        let mut is_about_money = false;
        for (reference, id, _) in found {
            let native = self.natives.contains(&reference);
            let known = self.claims.get(&reference).cloned();
            let mut row = known.as_ref().map(|claim| claim.row);
            is_about_money |= row.is_some_and(|row| row.side != side && row.state != ClaimState::Refused);
            ClaimRow::adopt(&mut row, side, native);
            let Some(row) = row else { continue };
            let own = known.and_then(|claim| claim.record_id);
            let record_id = if row.side == side { own.or(Some(id)) } else { own };
            let row = ClaimRow { has_record: record_id.is_some(), ..row };
            self.claims.insert(reference, SimulatedClaim { row, record_id });
        }
        self.walking = Some((end, is_about_money));
    }

    /// Records that no claim knew, and that no create without a claim explains; `FOUND_UNCLAIMED` in `ledger::completeness`. A record before
    /// the last walk was missed by it, and one after the last create without a claim was made past this ledger.
    fn doubt(&mut self, side: Side, made: &[i64]) {
        let standing = &mut self.sides[side as usize];
        let explained = |made: &i64| {
            standing.walked_to.is_none_or(|walked| *made >= walked)
                && *made <= standing.unclaimed_until + LONGEST_CREATE
        };
        if !made.iter().all(explained) {
            (standing.walked_to, standing.until) = (None, 0);
        }
    }

    /// The walk is recorded: as a clean one, or as one that found something about money.
    pub(super) fn walk_ends(&mut self, side: Side, now: i64, rules: Rules) {
        let Some((end, is_about_money)) = self.walking.take() else { return };
        let standing = &mut self.sides[side as usize];
        standing.walked_to = standing.walked_to.max(Some(end));
        // A create without a claim may become a record this much later, so a walk that ends before may have missed it.
        let is_late = end >= standing.unclaimed_until + LONGEST_CREATE
            || !rules.keep(Rule::WalkEndsAfterLastUnclaimedCreate);
        if is_about_money {
            // Both sides: a reference with a record on each is known from the walk over either.
            self.sides.iter_mut().for_each(|side| side.until = 0);
        } else if is_late {
            standing.until = standing.until.max(now + CLEAN_FOR);
        }
    }
}
