//! The create protocol: one pure state machine that decides everything about money.
//!
//! It claims the reference, proves that the other side does not hold it, sends once, and decides what the client may be answered.
//! [`start`] and [`next`] return what to do; the shell in `perform` does it and feeds back what happened. No clock, no IO, no payload:
//! an event says only what was proved. `tests/protocol` explores this very code to the end of its bounds, and finds a violation
//! when any [`Rule`](super::rules::Rule) is switched off.
//!
//! A request may have several candidates for its reference (a body that the vendor may read in more than one way). They are
//! prepared one after the other, in sorted order, and sent in one POST.

mod after;
mod before;

use std::time::Duration;

use super::events::{ClaimView, Context, CreateDecision, Effect, Event, Refusal};

/// Most readings of one body's reference that are claimed.
pub(crate) const CANDIDATES_MAX: usize = 4;
/// Statements that met a changed claim before the request gives up. Each one means that another request made progress.
const RESTARTS_MAX: u8 = 16;
/// Lookups after an unknown outcome. With their [pauses](pause) they take about six seconds.
const RESOLVE_LOOKUPS_MAX: u8 = 8;
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// How long an [`Effect::Pause`] with that number lasts; each is twice as long as the one before.
pub(crate) fn pause(number: u8) -> Duration {
    FIRST_PAUSE * 2_u32.saturating_pow(number.into())
}

/// All that the protocol knows of a request between two effects. Small and `Copy`, so that every state can be explored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct State {
    context: Context,
    phase: Phase,
    at: u8,
    slots: [Slot; CANDIDATES_MAX],
    restarts: u8,
    /// Whether a create may have gone to new, by what the claim at work was read with.
    new_in_use: bool,
    /// Whether a create of this reference went to new past the claims.
    native: bool,
}

/// What this request knows about one candidate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Slot {
    claim: Option<ClaimView>,
    /// Whether this request has an attempt open in the claim's generation.
    attempt: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Phase {
    Claiming,
    Choosing,
    ReadingRecord,
    Checking,
    Confirming,
    Moving,
    Marking,
    Beginning,
    Sending,
    ConfirmingRefusal(Refusal),
    FindingExisting,
    Pausing {
        lookups: u8,
    },
    Resolving {
        lookups: u8,
    },
    /// Storing what was learned; then the decision.
    Remembering(CreateDecision),
    /// Closing attempts that sent nothing or were refused, from candidate `at` on; then the decision.
    Closing(CreateDecision),
}

/// What the shell does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// Perform the effect and feed back its event with this state.
    Do(State, Effect),
    /// No effect is left: the request is answered with this.
    Done(CreateDecision),
}

/// The first step: claim the reference, or send at once where there is no ledger.
#[must_use]
pub fn start(context: Context) -> Step {
    let slots = [Slot::default(); CANDIDATES_MAX];
    let (new_in_use, native) = (false, false);
    let state = State { context, phase: Phase::Claiming, at: 0, slots, restarts: 0, new_in_use, native };
    if context.ledger {
        state.claim()
    } else {
        state.act(Phase::Sending, Effect::Send { side: context.target })
    }
}

/// Goes on with what happened.
#[must_use]
pub fn next(state: State, event: Event) -> Step {
    match (state.phase, event) {
        (Phase::Claiming | Phase::Choosing, Event::Claimed(claimed)) => state.claimed(claimed),
        (Phase::Marking | Phase::Beginning, Event::Changed(Some(claim))) => state.begun(claim),
        // Whether or not the claim moved, the record exists on the other side.
        (Phase::Moving, Event::Changed(_) | Event::LedgerFailed) => state.found_on_other(),
        (Phase::Choosing | Phase::Marking | Phase::Beginning, Event::Changed(None)) => state.restart(),
        // The statement may have happened. It is neither repeated nor undone: at worst an attempt stays open, which keeps the side.
        (Phase::Claiming | Phase::Choosing | Phase::Marking | Phase::Beginning, Event::LedgerFailed) => {
            Step::Done(CreateDecision::LedgerUnavailable)
        }
        (Phase::ReadingRecord, Event::Lookup(found)) => state.read_known(found),
        (Phase::Checking, Event::Lookup(found)) => state.checked(found),
        (Phase::Confirming, Event::Lookup(found)) => state.confirmed(found),
        (Phase::Sending, Event::Answer(answer)) => state.answered(answer),
        (Phase::ConfirmingRefusal(refusal), Event::Lookup(found)) => state.refusal_confirmed(refusal, found),
        (Phase::FindingExisting, Event::Lookup(found)) => state.existing_found(found),
        (Phase::Pausing { lookups }, Event::Paused) => state.look_again(lookups),
        (Phase::Resolving { lookups }, Event::Lookup(found)) => state.resolved(lookups, found),
        (Phase::Pausing { .. } | Phase::Resolving { .. }, Event::TimeIsUp) => state.unknown_for_good(),
        // The record exists and an attempt is closed, whether or not the ledger confirms it now.
        (Phase::Remembering(decision), Event::Changed(_) | Event::LedgerFailed) => {
            state.disprove_others(decision)
        }
        (Phase::Closing(decision), Event::Changed(_) | Event::LedgerFailed) => {
            state.closed().close_all(decision)
        }
        // An event that the effect cannot have: the shell is wrong. Nothing more is sent.
        (Phase::Sending | Phase::Pausing { .. } | Phase::Resolving { .. }, _) => state.unknown_for_good(),
        (phase, _) => state.misled(phase),
    }
}

/// How a request comes to its end.
impl State {
    /// Stores the record's id before the client learns of it.
    fn remember(mut self, candidate: u8, decision: CreateDecision) -> Step {
        self.at = candidate.min(self.context.candidates.saturating_sub(1));
        match self.slot().claim {
            Some(claim) => {
                let effect = Effect::RememberId { candidate: self.at, claim };
                self.act(Phase::Remembering(decision), effect)
            }
            None => Step::Done(decision),
        }
    }

    /// The candidate at work is the reference that the answer names: the other readings were wrong, and nothing came of them.
    fn disprove_others(mut self, decision: CreateDecision) -> Step {
        self.slots[usize::from(self.at)].attempt = false;
        self.close_all_from_start(decision)
    }

    fn close_all_from_start(mut self, decision: CreateDecision) -> Step {
        self.at = 0;
        self.close_all(decision)
    }

    /// Closes what this request has open, one statement a candidate, then ends.
    fn close_all(mut self, decision: CreateDecision) -> Step {
        while self.at < self.context.candidates {
            if let Slot { claim: Some(claim), attempt: true } = self.slot() {
                let effect = Effect::Close { candidate: self.at, claim };
                return self.act(Phase::Closing(decision), effect);
            }
            self.at += 1;
        }
        Step::Done(decision)
    }

    /// Closed once, whatever the ledger says of it.
    fn closed(mut self) -> Self {
        self.slots[usize::from(self.at)].attempt = false;
        self
    }

    /// The shell fed back an event that its effect cannot have.
    fn misled(self, phase: Phase) -> Step {
        match phase {
            Phase::Remembering(decision) | Phase::Closing(decision) => Step::Done(decision),
            Phase::ConfirmingRefusal(_) | Phase::FindingExisting => self.unknown_for_good(),
            Phase::Claiming
            | Phase::Choosing
            | Phase::ReadingRecord
            | Phase::Checking
            | Phase::Confirming
            | Phase::Moving
            | Phase::Marking
            | Phase::Beginning
            | Phase::Sending
            | Phase::Pausing { .. }
            | Phase::Resolving { .. } => Step::Done(CreateDecision::LedgerUnavailable),
        }
    }
}
