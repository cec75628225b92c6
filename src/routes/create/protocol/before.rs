//! Before the send: claim the reference, prove that the other side does not hold it, begin an attempt.

use super::super::events::{
    ClaimResult, ClaimState, ClaimView, Context, CreateDecision, Effect, Evidence, Lookup, Purpose, Reads,
};
use super::super::rules::Rule;
use super::{Phase, RESTARTS_MAX, Slot, State, Step};
use crate::translate::side::Side;

impl State {
    pub(super) fn act(self, phase: Phase, effect: Effect) -> Step {
        Step::Do(Self { phase, ..self }, effect)
    }

    pub(super) fn slot(&self) -> Slot {
        self.slots[usize::from(self.at)]
    }

    /// The claim that an attempt of this request is open in, or that it has just read.
    pub(super) fn holding(mut self, claim: ClaimView) -> Self {
        self.slots[usize::from(self.at)] = Slot { claim: Some(claim), attempt: true };
        self
    }

    pub(super) fn claim(self) -> Step {
        self.act(Phase::Claiming, Effect::Claim { candidate: self.at, side: self.context.target })
    }

    /// The claim was not as expected: read it again.
    pub(super) fn restart(mut self) -> Step {
        self.restarts += 1;
        if self.restarts > RESTARTS_MAX {
            self.close_all_from_start(CreateDecision::LedgerUnavailable)
        } else {
            self.claim()
        }
    }

    pub(super) fn claimed(mut self, claimed: ClaimResult) -> Step {
        let ClaimResult { claim, inserted, created_on_new, native, complete } = claimed;
        let Context { target, rules, .. } = self.context;
        // After a restart the claim may be in another generation or on another side: then this request's attempt is gone.
        let kept = self.slot().attempt
            && self
                .slot()
                .claim
                .is_some_and(|own| (own.side, own.generation) == (claim.side, claim.generation));
        self.slots[usize::from(self.at)] = Slot { claim: Some(claim), attempt: inserted || kept };
        self.native = native && rules.keep(Rule::NativeCreateIsLookedUp);
        self.new_in_use = created_on_new || self.native;
        // Every attempt ended without a conversion, so the reference is free and the modes choose its side anew.
        if claim.state == ClaimState::Refused {
            let effect =
                Effect::ChooseAnew { candidate: self.at, side: target, generation: claim.generation };
            return self.act(Phase::Choosing, effect);
        }
        if self.is_gone(claim.side) && rules.keep(Rule::SealedLegacyClaimIsNotSent) {
            return self.close_all_from_start(CreateDecision::UsedOnRetiredApi { known: claim.has_record });
        }
        if self.has_known_record(claim) {
            return self.read_record(claim);
        }
        // A claim that was there before says nothing about the other side: its reference may have been there all the time.
        let own = inserted || !rules.keep(Rule::OnlyOwnClaimIsAnsweredLocally);
        self.check_or_prepare(complete && own && !self.native)
    }

    /// The conversion exists: a second POST could make another one at a vendor that forgets references.
    fn has_known_record(&self, claim: ClaimView) -> bool {
        claim.has_record
            && self.knows_enough(claim.side)
            && self.context.rules.keep(Rule::KnownRecordIsNotSent)
    }

    fn read_record(self, claim: ClaimView) -> Step {
        let effect = Effect::Lookup { candidate: self.at, side: claim.side, purpose: Purpose::KnownRecord };
        self.act(Phase::ReadingRecord, effect)
    }

    /// This request has an attempt open in the claim. Another replica may have stored the record since it was read.
    pub(super) fn begun(self, claim: ClaimView) -> Step {
        let state = self.holding(claim);
        if state.has_known_record(claim) && state.context.rules.keep(Rule::BegunClaimIsReadAgain) {
            return state.read_record(claim);
        }
        state.prepared()
    }

    /// Whether a claim that knows its record is not sent again. While no route reads new, the old API answers a repeat itself, as it
    /// always did. A claim on new is never such a case, nor is a reference of a native create: the old API may list a mirror of its
    /// record, which it does not hold.
    pub(super) fn knows_enough(&self, side: Side) -> bool {
        let as_before =
            self.context.target == Side::Legacy && self.context.reads == Reads::LegacyOnly && !self.native;
        let on_new = side == Side::New && self.context.rules.keep(Rule::KnownRecordOnNewIsNeverSent);
        !as_before || on_new
    }

    /// The side is out of reach by design.
    pub(super) fn is_gone(&self, side: Side) -> bool {
        self.context.reads == Reads::NewOnly && side == Side::Legacy
    }

    /// The side that this request goes to.
    pub(super) fn side(&self) -> Side {
        let claimed = self.slot().claim.map_or(self.context.target, |claim| claim.side);
        if self.context.rules.keep(Rule::FollowClaim) { claimed } else { self.context.target }
    }

    /// Looks at the other side if that is needed. Where the ledger alone proves absence, the claim stays unchecked: a later request with the
    /// reference looks all the same.
    pub(super) fn check_or_prepare(self, is_known_absent: bool) -> Step {
        let Context { reads, generated, readable, rules, .. } = self.context;
        let side = self.side();
        // The new API must be sent a translated request, and this body cannot be translated.
        if side == Side::New && !readable {
            return self.close_all_from_start(CreateDecision::Unreadable);
        }
        let is_checked = self.slot().claim.is_some_and(|claim| claim.state == ClaimState::Checked);
        // Clients see records of new in `both`, and the ledger may not know all of them: it may have been restored from before.
        let in_both = reads == Reads::Both && rules.keep(Rule::CheckWhileReadsAreBoth);
        // The claim was read after its insert, so no create on new can be missed.
        let nothing_there = side == Side::Legacy && !in_both && !self.new_in_use;
        let unneeded =
            is_checked || generated || nothing_there || is_known_absent || self.is_gone(side.other());
        if unneeded || !rules.keep(Rule::DuplicateCheck) {
            return self.prepare(false);
        }
        let effect =
            Effect::Lookup { candidate: self.at, side: side.other(), purpose: Purpose::DuplicateCheck };
        self.act(Phase::Checking, effect)
    }

    /// Begins an attempt if this request has none, and writes down that the other side was seen empty.
    pub(super) fn prepare(self, absent: bool) -> Step {
        let Slot { claim, attempt } = self.slot();
        let Some(expected) = claim else { return Step::Done(CreateDecision::LedgerUnavailable) };
        let candidate = self.at;
        match (attempt, absent) {
            // Marked before the send, so that a retry after a crash needs no lookup on a side that may lag.
            (true, true) => self.act(Phase::Marking, Effect::MarkChecked { candidate, expected }),
            (true, false) => self.prepared(),
            (false, _) if !self.context.rules.keep(Rule::BeginBeforeSend) => self.prepared(),
            // Nothing is sent before its attempt is recorded: another request could close the last attempt and free the reference.
            (false, checked) => self.act(Phase::Beginning, Effect::Begin { candidate, expected, checked }),
        }
    }

    /// This candidate may be sent; on with the next one, or to the send.
    pub(super) fn prepared(mut self) -> Step {
        if self.at + 1 < self.context.candidates {
            self.at += 1;
            return self.claim();
        }
        self.act(Phase::Sending, Effect::Send { side: self.side() })
    }

    pub(super) fn read_known(self, found: Lookup) -> Step {
        let side = self.side();
        let decision = match found {
            Lookup::Found { .. } => CreateDecision::AlreadyExists { side, evidence: Evidence::Lookup },
            Lookup::Unauthorized => CreateDecision::Unauthorized { side },
            Lookup::Forbidden => CreateDecision::Forbidden { side },
            Lookup::Absent | Lookup::OtherKind | Lookup::CouldNot | Lookup::Throttled => {
                CreateDecision::RecordUnavailable { side }
            }
        };
        self.close_all_from_start(decision)
    }

    /// The duplicate check has an answer.
    pub(super) fn checked(self, found: Lookup) -> Step {
        let (other, rules) = (self.side().other(), self.context.rules);
        match found {
            Lookup::Absent => self.prepare(true),
            Lookup::CouldNot if !rules.keep(Rule::CouldNotLookIsNotAbsent) => self.prepare(true),
            Lookup::Found { .. } if !rules.keep(Rule::ConfirmBeforeMove) => self.move_claim(),
            // The other side may only mirror a record of this side; moving the claim would then send retries to a side without it.
            Lookup::Found { .. } => {
                let effect =
                    Effect::Lookup { candidate: self.at, side: self.side(), purpose: Purpose::ConfirmMove };
                self.act(Phase::Confirming, effect)
            }
            Lookup::OtherKind => self.close_all_from_start(CreateDecision::UsedByAnotherKind { side: other }),
            Lookup::Unauthorized => self.close_all_from_start(CreateDecision::Unauthorized { side: other }),
            Lookup::Forbidden => self.close_all_from_start(CreateDecision::Forbidden { side: other }),
            // No proof of absence, so nothing is sent.
            Lookup::CouldNot | Lookup::Throttled => {
                self.close_all_from_start(CreateDecision::CouldNotLook { side: other })
            }
        }
    }

    pub(super) fn move_claim(self) -> Step {
        let Slot { claim, attempt } = self.slot();
        let Some(expected) = claim else { return self.found_on_other() };
        let with_others = !self.context.rules.keep(Rule::MoveOnlyWithoutOpenAttempts);
        let to = self.side().other();
        let effect =
            Effect::MoveClaim { candidate: self.at, expected, to, own_attempt: attempt, with_others };
        self.act(Phase::Moving, effect)
    }

    /// The other side holds the reference; what does the claim's own side say?
    pub(super) fn confirmed(self, found: Lookup) -> Step {
        match found {
            Lookup::Absent => self.move_claim(),
            // One record, which both sides list: the claim is that of the side that made it, with its id there, so that it is never sent.
            Lookup::Found { made_on: Some(side), .. } if side == self.side() => {
                self.remember(self.at, CreateDecision::AlreadyExists { side, evidence: Evidence::Lookup })
            }
            Lookup::Found { made_on: Some(_), .. } => self.move_claim(),
            // On both sides: a double, or a mirror that nothing shows to be one. The claim stays, and its own side's record is shown.
            Lookup::Found { made_on: None, .. } => {
                let side = self.side();
                self.remember(self.at, CreateDecision::AlreadyExists { side, evidence: Evidence::Lookup })
            }
            Lookup::OtherKind
            | Lookup::CouldNot
            | Lookup::Throttled
            | Lookup::Unauthorized
            | Lookup::Forbidden => self.found_on_other(),
        }
    }

    /// Whatever became of the claim, the record exists on the other side and nothing is sent.
    pub(super) fn found_on_other(self) -> Step {
        let side = self.side().other();
        self.close_all_from_start(CreateDecision::AlreadyExists { side, evidence: Evidence::Lookup })
    }
}
