//! After the send: what the answer proves, and what a lookup proves where the answer does not.

use super::super::events::{
    ClaimState, CreateAnswer, CreateDecision, Effect, Evidence, Lookup, Purpose, Refusal,
};
use super::super::rules::Rule;
use super::{Phase, RESOLVE_LOOKUPS_MAX, State, Step};

impl State {
    pub(super) fn answered(self, answer: CreateAnswer) -> Step {
        let (side, rules) = (self.side(), self.context.rules);
        let evidence = Evidence::Answer;
        match answer {
            CreateAnswer::Accepted { candidate: Some(candidate), .. } => {
                self.remember(candidate, CreateDecision::Accepted { side, evidence })
            }
            // It may be the answer to another request, as a stray refusal may.
            CreateAnswer::Accepted { candidate: None, reused: true }
                if rules.keep(Rule::ConfirmUnnamedSuccessOnReusedConnection) =>
            {
                self.resolve()
            }
            // Legacy's answer names no reference: true, and nothing to remember.
            CreateAnswer::Accepted { candidate: None, .. } => {
                Step::Done(CreateDecision::Accepted { side, evidence })
            }
            CreateAnswer::Foreign if !rules.keep(Rule::ForeignAnswerIsUnknown) => {
                Step::Done(CreateDecision::Accepted { side, evidence })
            }
            // HTTP/1.1 ties an answer to its request by order alone (RFC 9112, section 9.3.2), and a stray one shifts the order.
            CreateAnswer::Refused { reused: true, refusal }
                if rules.keep(Rule::ConfirmRefusalOnReusedConnection) =>
            {
                Self { at: 0, ..self }.confirm_refusal(refusal)
            }
            CreateAnswer::Refused { .. } => self.close_all_from_start(CreateDecision::Refused { side }),
            CreateAnswer::Exists { .. } if !rules.keep(Rule::ConflictKeepsAttempt) => {
                self.close_all_from_start(CreateDecision::AlreadyExists { side, evidence })
            }
            // The answer names this request's reference, so even a stray one is true.
            CreateAnswer::Exists { candidate: Some(candidate), .. } => {
                self.remember(candidate, CreateDecision::AlreadyExists { side, evidence })
            }
            CreateAnswer::Exists { candidate: None, reused: false } => self.find_existing(),
            // Another request's 409 proves nothing about this one.
            CreateAnswer::Exists { candidate: None, reused: true } => self.resolve(),
            // A 409 never closes an attempt.
            CreateAnswer::OtherKind => Step::Done(CreateDecision::UsedByAnotherKind { side }),
            // Nothing left the proxy, so the attempt made nothing.
            CreateAnswer::NotSent => self.close_all_from_start(CreateDecision::NotSent { side }),
            CreateAnswer::Foreign | CreateAnswer::Unknown if !rules.keep(Rule::UnknownKeepsAttempt) => {
                self.close_all_from_start(CreateDecision::OutcomeUnknown { side })
            }
            // Money may have moved: the attempt stays open, whatever the lookups show.
            CreateAnswer::Foreign | CreateAnswer::Unknown => self.resolve(),
        }
    }

    /// Looks up every candidate from `at` on.
    fn confirm_refusal(self, refusal: Refusal) -> Step {
        let (candidate, side, purpose) = (self.at, self.side(), Purpose::ConfirmRefusal);
        self.act(Phase::ConfirmingRefusal(refusal), Effect::Lookup { candidate, side, purpose })
    }

    /// The reference exists on that side; the lookup finds the record to show. With several candidates nobody can say which of them it is, so
    /// none is settled.
    fn find_existing(self) -> Step {
        let (candidate, side, purpose) = (self.at, self.side(), Purpose::Existing);
        if self.can_be_looked_up() {
            return self.act(Phase::FindingExisting, Effect::Lookup { candidate, side, purpose });
        }
        Step::Done(CreateDecision::AlreadyExists { side, evidence: Evidence::Answer })
    }

    /// With several candidates, only the answer itself can say which of them the vendor read.
    pub(super) fn can_be_looked_up(&self) -> bool {
        self.context.candidates == 1
    }

    pub(super) fn resolve(self) -> Step {
        if self.can_be_looked_up() {
            return self.act(Phase::Pausing { lookups: 0 }, Effect::Pause { number: 0 });
        }
        self.unknown_for_good()
    }

    pub(super) fn look_again(self, lookups: u8) -> Step {
        let effect = Effect::Lookup { candidate: self.at, side: self.side(), purpose: Purpose::Resolve };
        self.act(Phase::Resolving { lookups: lookups + 1 }, effect)
    }

    pub(super) fn resolved(self, lookups: u8, found: Lookup) -> Step {
        match found {
            Lookup::Found { matches, .. } => self.found_on_own_side(matches),
            // Who may not look now may not look later.
            Lookup::Unauthorized | Lookup::Forbidden | Lookup::Throttled => self.unknown_for_good(),
            // A list may lag behind a create, so absence proves nothing here.
            Lookup::Absent | Lookup::CouldNot | Lookup::OtherKind if lookups < RESOLVE_LOOKUPS_MAX => {
                self.act(Phase::Pausing { lookups }, Effect::Pause { number: lookups })
            }
            Lookup::Absent | Lookup::CouldNot | Lookup::OtherKind => self.unknown_for_good(),
        }
    }

    pub(super) fn found_on_own_side(self, matches: bool) -> Step {
        let (side, evidence) = (self.side(), Evidence::Lookup);
        let own = matches || !self.context.rules.keep(Rule::FoundMustMatch);
        let decision = if own {
            CreateDecision::Accepted { side, evidence }
        } else {
            CreateDecision::AlreadyExists { side, evidence }
        };
        self.remember(self.at, decision)
    }

    /// A refusal that may have been another request's. The attempt stays open.
    pub(super) fn refusal_confirmed(mut self, refusal: Refusal, found: Lookup) -> Step {
        match found {
            Lookup::Absent if self.at + 1 < self.context.candidates => {
                self.at += 1;
                self.confirm_refusal(refusal)
            }
            Lookup::Absent => Step::Done(CreateDecision::Refused { side: self.side() }),
            Lookup::Found { matches, .. } => self.found_on_own_side(matches),
            Lookup::Unauthorized => self.lookup_refused(refusal == Refusal::Unauthorized),
            Lookup::Forbidden => self.lookup_refused(refusal == Refusal::Forbidden),
            Lookup::Throttled => self.unknown_for_good(),
            Lookup::OtherKind | Lookup::CouldNot => self.resolve(),
        }
    }

    /// The lookup is refused as well, which confirms a refusal of the credential itself (`same`) and no other one.
    fn lookup_refused(self, same: bool) -> Step {
        if same || !self.context.rules.keep(Rule::RefusedLookupConfirmsOnlyItsLike) {
            return Step::Done(CreateDecision::Refused { side: self.side() });
        }
        self.unknown_for_good()
    }

    /// A 409 on a connection of its own: the reference exists, whether or not the lookup shows it yet.
    pub(super) fn existing_found(self, found: Lookup) -> Step {
        let side = self.side();
        match found {
            Lookup::Found { .. } => {
                self.remember(self.at, CreateDecision::AlreadyExists { side, evidence: Evidence::Lookup })
            }
            Lookup::OtherKind => Step::Done(CreateDecision::UsedByAnotherKind { side }),
            Lookup::Absent
            | Lookup::CouldNot
            | Lookup::Throttled
            | Lookup::Unauthorized
            | Lookup::Forbidden => {
                self.settle(CreateDecision::AlreadyExists { side, evidence: Evidence::Answer })
            }
        }
    }

    /// Writes down that the reference belongs to its side, and keeps the attempt open.
    fn settle(self, decision: CreateDecision) -> Step {
        match self.slot().claim {
            Some(expected) if expected.state == ClaimState::Claimed => {
                let effect = Effect::MarkChecked { candidate: self.at, expected };
                self.act(Phase::Remembering(decision), effect)
            }
            Some(_) | None => Step::Done(decision),
        }
    }

    pub(super) fn unknown_for_good(self) -> Step {
        Step::Done(CreateDecision::OutcomeUnknown { side: self.side() })
    }
}
