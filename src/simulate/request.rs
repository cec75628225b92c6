//! A create on its way through the shipped protocol: each effect is performed here, with the fault that the event asks for.

use super::claim_row::shown_record;
use super::event::{BodyKind, How, StatementFault};
use super::ledger::Statement;
use super::under_way::{Happened, Promise, Request};
use super::world::{World, profile_of, reference_name};
use crate::config::{Mode, Stage};
use crate::routes::create::events::{Context, CreateDecision, Effect, Event, Reads};
use crate::routes::create::protocol::{self, Step};
use crate::routes::create::{canary, reads};
use crate::routes::record_side::RecordSide;
use crate::translate::side::Side;

/// How long a create may take before its time is up, in microseconds.
pub(super) const TIMEOUT: i64 = 30 * 1_000_000;

impl World {
    pub(super) fn start(&mut self, number: u32, at: (usize, usize), body: BodyKind) -> Option<Happened> {
        let (replica, reference) = at;
        let stage = self.replicas[replica].stage;
        let is_known = self.requests.contains_key(&number) || reference >= self.setting.references;
        // Without a ledger nothing is claimed: such a create is `Event::Unclaimed`.
        if is_known || !self.replicas[replica].has_ledger {
            return None;
        }
        self.counts.creates += 1;
        // Also while creates are held: the client repeats it, and `settle` must bring it to a final answer.
        self.asked[reference] = true;
        let words = format!(
            "request {number} for {} ({}) starts on replica {replica} in {stage}",
            reference_name(reference),
            body.amount()
        );
        if stage.modes().create == Mode::Hold {
            return Some((words + ", which holds creates", Ok(())));
        }
        let context = self.context(stage, reference);
        let known = self.ledger.claims.get(&reference).filter(|claim| claim.row.has_record);
        let known = known.map(|claim| claim.row.side);
        match protocol::start(context) {
            Step::Do(state, effect) => {
                let request = Request {
                    replica,
                    reference,
                    body,
                    state,
                    effect,
                    started: self.now,
                    stage,
                    known,
                    effective: false,
                    claim: None,
                    answered_id: None,
                    found: [None, None],
                };
                self.requests.insert(number, request);
                Some((words, Ok(())))
            }
            Step::Done(decision) => Some((format!("{words}: {decision:?}"), Ok(()))),
        }
    }

    fn context(&self, stage: Stage, reference: usize) -> Context {
        let modes = stage.modes();
        let target = match modes.create {
            Mode::Canary => canary::side(&self.canary, profile_of(reference)),
            mode => mode.creates_on(),
        };
        let (reads, rules) = (reads(&modes), self.rules);
        // Bodies without a reference, or that can be read in two ways, are the exploration's and the tests' of the real shell.
        Context { target, reads, ledger: true, generated: false, readable: true, candidates: 1, rules }
    }

    /// Performs a request's next effect.
    pub(super) fn go(&mut self, number: u32, how: How) -> Option<Happened> {
        let request = self.requests.remove(&number)?;
        let mut words = format!("request {number}: ");
        let (mut request, event, broken) = self.perform(request, (number, how), &mut words);
        match protocol::next(request.state, event) {
            Step::Do(state, effect) => {
                (request.state, request.effect) = (state, effect);
                self.requests.insert(number, request);
                Some((words, broken))
            }
            Step::Done(decision) => {
                self.decided = Some(decision);
                let kept = broken.and_then(|()| self.answer_is_true(number, &request, decision));
                Some((format!("{words}; the answer: {decision:?}"), kept))
            }
        }
    }

    fn perform(
        &mut self,
        mut request: Request,
        on: (u32, How),
        words: &mut String,
    ) -> (Request, Event, Promise) {
        let (number, how) = on;
        let (event, promise) = match request.effect {
            Effect::Pause { number } => (self.pause(&request, number, how), Ok(())),
            Effect::Lookup { side, purpose, .. } => {
                words.push_str(&format!("looks on {side} ({purpose:?})"));
                (Event::Lookup(self.lookup(&mut request, side, purpose, how)), Ok(()))
            }
            Effect::Send { side } => {
                let allowed = must_send(&request, side);
                words.push_str(&format!("is sent to {side}"));
                (Event::Answer(self.send(&mut request, (number, side), how)), allowed)
            }
            effect => {
                words.push_str(&format!("{effect:?}"));
                (self.statement(&mut request, how, words), Ok(()))
            }
        };
        let claimed = matches!(event, Event::Claimed(_) | Event::Changed(Some(_)));
        if !claimed && !matches!(event, Event::Changed(None)) {
            words.push_str(&format!(": {event:?}"));
        }
        (request, event, promise)
    }

    fn pause(&mut self, request: &Request, number: u8, how: How) -> Event {
        let pause = i64::try_from(protocol::pause(number).as_millis()).unwrap_or(i64::MAX / 1_000);
        if how == How::TimeIsUp || self.now + pause * 1_000 >= request.started + TIMEOUT {
            return Event::TimeIsUp;
        }
        self.pass_a_moment(pause);
        Event::Paused
    }

    fn statement(&mut self, request: &mut Request, how: How, words: &mut String) -> Event {
        let fault = match how {
            How::Statement(fault) => Some(fault),
            _ => None,
        };
        let mut record_id = match request.effect {
            Effect::MoveClaim { to, .. } => {
                request.found[to as usize].as_ref().map(|record| record.id.clone())
            }
            // The answer to the POST names the record; after a lost one, the lookup that found it does.
            Effect::RememberId { claim, .. } => {
                let found = || request.found[claim.side as usize].as_ref().map(|record| record.id.clone());
                request.answered_id.clone().or_else(found)
            }
            _ => None,
        };
        if fault == Some(StatementFault::WithoutId) && matches!(request.effect, Effect::MoveClaim { .. }) {
            words.push_str(", and the id cannot be stored");
            record_id = None;
        }
        if let (Effect::RememberId { claim, .. }, Some(id)) = (request.effect, &record_id) {
            self.replicas[request.replica].record_sides.remember(id, RecordSide::MadeOn(claim.side));
        }
        let statement = Statement { reference: request.reference, effect: request.effect, record_id };
        let (now, rules) = (self.now, self.rules);
        match fault {
            // The protocol sees one event for all three, because a ledger that fails does not say what it has written.
            Some(StatementFault::NotWritten) => {
                words.push_str(", and nothing is written");
                Event::LedgerFailed
            }
            Some(StatementFault::Unconfirmed) => {
                words.push_str(" is not confirmed, and is written");
                self.write(|ledger| ledger.execute(&statement, now, rules));
                Event::LedgerFailed
            }
            // One at a time; a second one falls through and is written now.
            Some(StatementFault::Late) if self.late.is_none() => {
                words.push_str(" is not confirmed, and may be written later");
                self.late = Some(statement);
                Event::LedgerFailed
            }
            Some(StatementFault::WithoutId | StatementFault::Late) | None => {
                let event = self.write(|ledger| ledger.execute(&statement, now, rules));
                // What the replica knows of the claim is what was confirmed to it.
                if !matches!(event, Event::LedgerFailed) {
                    let claim = self.ledger.claims.get(&request.reference);
                    request.claim = claim.map(|claim| (claim.row.side, claim.record_id.clone()));
                    request.known = request.known.or(shown_record(event));
                }
                event
            }
        }
    }

    fn answer_is_true(&self, number: u32, request: &Request, decision: CreateDecision) -> Promise {
        let name = reference_name(request.reference);
        let shown = |side| self.vendor.record(side, &name);
        match decision {
            CreateDecision::Accepted { side, .. } => {
                let amount = |record: &serde_json::Map<String, serde_json::Value>| {
                    let amount = record.get("amount").or_else(|| record.get("source_amount"))?;
                    Some(amount.as_str()?.to_owned())
                };
                let held = shown(side).and_then(amount);
                if held.as_deref() == Some(request.body.amount()) {
                    return Ok(());
                }
                let held = held.unwrap_or_else(|| "nothing".into());
                Err(format!(
                    "request {number} for {} was accepted, and {side} holds {held}",
                    request.body.amount()
                ))
            }
            CreateDecision::AlreadyExists { side, .. } if shown(side).is_none() => {
                Err(format!("a client was answered that {side} holds {name}, and it does not"))
            }
            // Neither says that nothing came of the request.
            CreateDecision::AlreadyExists { .. } | CreateDecision::OutcomeUnknown { .. } => Ok(()),
            // Each of these says that nothing came of this request, and clients act on it: its POST must neither have converted nor still be
            // able to.
            CreateDecision::Refused { .. }
            | CreateDecision::UsedByAnotherKind { .. }
            | CreateDecision::UsedOnRetiredApi { .. }
            | CreateDecision::Unauthorized { .. }
            | CreateDecision::Forbidden { .. }
            | CreateDecision::CouldNotLook { .. }
            | CreateDecision::RecordUnavailable { .. }
            | CreateDecision::LedgerUnavailable
            | CreateDecision::Unreadable
            | CreateDecision::NotSent { .. } => {
                let is_under_way = self.posts.values().any(|post| post.request == Some(number));
                if request.effective || is_under_way {
                    return Err(format!(
                        "a client was answered that nothing came of request {number} ({decision:?}), and its POST did"
                    ));
                }
                Ok(())
            }
        }
    }
}

/// Why this POST should never leave, whatever the vendor makes of it.
fn must_send(request: &Request, side: Side) -> Promise {
    let Request { known, stage, .. } = request;
    let reads = reads(&stage.modes());
    // While nobody reads new, the old API answers a repeat by itself.
    let answers_itself = reads == Reads::LegacyOnly && *known == Some(Side::Legacy);
    if known.is_some() && !answers_itself {
        return Err("a POST was sent for a reference whose record the ledger knew".into());
    }
    if reads == Reads::NewOnly && side == Side::Legacy {
        return Err("a POST was sent to the API that is gone".into());
    }
    Ok(())
}
