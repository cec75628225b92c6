//! The shell of the create protocol: performs one effect and returns the event. It keeps the payloads and decides nothing.

use std::error::Error as _;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tokio::time::{Instant, sleep};
use tracing::Instrument as _;

use super::claim_view::{describe, expect, origin, refusal, view, view_claimed};
use super::events::{CreateAnswer, Effect, Event, Lookup, Purpose};
use super::intake::PlannedCreate;
use super::protocol::pause;
use super::single_flight::Turn;
use crate::failure::error_chain::error_chain;
use crate::failure::{Failure, SideEffect};
use crate::ledger::{Claim, Claimed, Fingerprint, Key, Ledger, LedgerError};
use crate::routes::lookup::{LookupQuery, LookupResult};
use crate::routes::upstream_call::{UpstreamCall, UpstreamResponse};
use crate::routes::{RecordSide, RouteContext, RouteResponse};
use crate::telemetry::metrics::labels::{DuplicateCheckResult, FoundBy};
use crate::telemetry::spans;
use crate::translate::conversion::Conversion;
use crate::translate::evidence::{Finding, FoundConversion};
use crate::translate::facts::Facts;
use crate::translate::identifier;
use crate::translate::invalid::Invalid;
use crate::translate::list::page::SuspectedDouble;
use crate::translate::list::same_record::is_same_record;
use crate::translate::mapping::Origin;
use crate::translate::side::Side;
use crate::upstream::Lane;
use crate::upstream::rate_limit::Endpoint;

/// The IO state of one create.
pub(super) struct Performer<'a> {
    pub(super) context: &'a RouteContext,
    pub(super) request: PlannedCreate<'a>,
    body: Bytes,
    fingerprint: Fingerprint,
    /// The claim of each candidate, as last read.
    claims: Vec<Option<Claim>>,
    /// The answer to the POST.
    pub(super) reply: Option<UpstreamResponse>,
    /// Whether the POST left, or may have.
    pub(super) was_sent: bool,
    /// The record's id in that answer.
    pub(super) answered_id: Option<String>,
    /// What the last lookup found on each side, legacy first.
    pub(super) found: [Option<FoundConversion>; 2],
    /// The refusal that a lookup met.
    pub(super) refusal: Option<RouteResponse>,
    /// Why the last call failed.
    pub(super) failure: Option<Failure>,
    /// Why the answer to the POST does not say what became of it.
    pub(super) unknown_cause: Option<Failure>,
}

impl<'a> Performer<'a> {
    /// # Errors
    /// When the ledger cannot store a candidate.
    pub(super) fn new(
        context: &'a RouteContext,
        request: PlannedCreate<'a>,
        body: Bytes,
    ) -> Result<Self, Failure> {
        let performer = Self {
            fingerprint: Fingerprint(Sha256::digest(&body).into()),
            claims: vec![None; request.candidates.len()],
            context,
            request,
            body,
            reply: None,
            was_sent: false,
            answered_id: None,
            found: [None, None],
            refusal: None,
            failure: None,
            unknown_cause: None,
        };
        for candidate in 0..performer.request.candidates.len() {
            performer.key(candidate)?;
        }
        Ok(performer)
    }

    fn key(&self, candidate: usize) -> Result<Key<'_>, Failure> {
        let key = Key::new(self.context.tenant(), &self.request.candidates[candidate]);
        key.map_err(|error| Failure::Invalid(Invalid::new("ref_id", error.predicate())))
    }

    /// The record's id in the first candidate's claim.
    pub(super) fn claimed_record_id(&self) -> Option<&str> {
        self.claims.first()?.as_ref()?.record_id.as_deref()
    }

    /// Waits for other requests of this process with the same reference.
    ///
    /// # Errors
    /// When the deadline passes first; nothing was sent.
    pub(super) async fn enter(&self) -> Result<Turn, Failure> {
        let keys: Result<Vec<_>, _> = (0..self.claims.len()).map(|candidate| self.key(candidate)).collect();
        let turn = self.context.services.single_flight.enter(&keys?, self.context.deadline).await;
        turn.ok_or(Failure::TooLate)
    }

    pub(super) async fn perform(&mut self, effect: Effect) -> Event {
        match effect {
            Effect::Lookup { candidate, side, purpose } => {
                Event::Lookup(self.lookup(usize::from(candidate), side, purpose).await)
            }
            Effect::Send { side } => Event::Answer(self.send(side).await),
            Effect::Pause { number } => self.pause(number).await,
            Effect::Claim { candidate, .. }
            | Effect::ChooseAnew { candidate, .. }
            | Effect::Begin { candidate, .. }
            | Effect::MarkChecked { candidate, .. }
            | Effect::MoveClaim { candidate, .. }
            | Effect::RememberId { candidate, .. }
            | Effect::Close { candidate, .. } => self.statement(usize::from(candidate), effect).await,
        }
    }

    async fn pause(&self, number: u8) -> Event {
        let pause = pause(number);
        if Instant::now() + pause >= self.context.deadline {
            return Event::TimeIsUp;
        }
        sleep(pause).await;
        Event::Paused
    }
}

impl Performer<'_> {
    async fn statement(&mut self, candidate: usize, effect: Effect) -> Event {
        let Some(ledger) = self.context.services.ledger.clone() else { return Event::LedgerFailed };
        let (name, side) = describe(effect);
        let span = spans::step(name, side);
        let executed = self.execute(&ledger, candidate, effect).instrument(span.clone()).await;
        spans::end_step(&span, if executed.is_ok() { "done" } else { "failed" }, executed.is_err());
        executed.unwrap_or_else(|error| {
            self.failure = Some(refusal(error, &self.context.config));
            Event::LedgerFailed
        })
    }

    async fn execute(
        &mut self,
        ledger: &Ledger,
        candidate: usize,
        effect: Effect,
    ) -> Result<Event, LedgerError> {
        let key = Key::new(self.context.tenant(), &self.request.candidates[candidate])?;
        let changed = match effect {
            Effect::Claim { side, .. } => {
                let claimed = ledger.claim(key, side, &self.fingerprint).await?;
                let event = self.claimed(&claimed, claimed.inserted);
                self.claims[candidate] = Some(claimed.claim);
                return Ok(event);
            }
            Effect::ChooseAnew { side, generation, .. } => {
                let chosen = ledger.choose_anew(key, side, &self.fingerprint, generation.into()).await?;
                let Some(chosen) = chosen else { return Ok(Event::Changed(None)) };
                // Read again, so that what is known about new is as young as the choice.
                let claimed = ledger.claim(key, side, &self.fingerprint).await?;
                let own = claimed.claim.generation == chosen.generation;
                let event = self.claimed(&claimed, own);
                self.claims[candidate] = Some(claimed.claim);
                return Ok(event);
            }
            Effect::Begin { expected, checked, .. } => ledger.begin(key, expect(expected), checked).await?,
            Effect::MarkChecked { expected, .. } => ledger.mark_checked(key, expect(expected)).await?,
            Effect::MoveClaim { expected, to, own_attempt, .. } => {
                let id = self.found[index(to)].as_ref().map(|record| record.id.clone());
                let own = i64::from(own_attempt);
                // An id that cannot be stored must not keep the claim on the wrong side.
                match ledger.move_claim(key, expect(expected), id.as_deref(), own).await {
                    Err(LedgerError::Unfit(_)) => ledger.move_claim(key, expect(expected), None, own).await?,
                    moved => moved?,
                }
            }
            Effect::RememberId { claim, .. } => match self.known_id(claim.side) {
                Some(id) => {
                    // Cached first, because the record exists even if the ledger fails now.
                    self.context.services.record_sides.remember(&id, RecordSide::MadeOn(claim.side));
                    ledger.remember_id(key, claim.generation.into(), claim.side, &id).await?
                }
                None => None,
            },
            Effect::Close { claim, .. } => ledger.close(key, claim.generation.into(), claim.side).await?,
            Effect::Lookup { .. } | Effect::Send { .. } | Effect::Pause { .. } => None,
        };
        let view = changed.as_ref().map(view);
        if let Some(claim) = changed {
            self.claims[candidate] = Some(claim);
        }
        Ok(Event::Changed(view))
    }

    fn claimed(&self, claimed: &Claimed, inserted: bool) -> Event {
        let result = view_claimed(claimed, inserted, &self.context.config);
        if result.complete && !result.native && !self.request.generated {
            let looked_at = (result.claim.side.other(), DuplicateCheckResult::Local);
            self.context.services.metrics.duplicate_checks.add(looked_at);
        }
        Event::Claimed(result)
    }

    /// The id that was learned: in the answer to the POST, or by a lookup on that side.
    fn known_id(&self, side: Side) -> Option<String> {
        let looked_up = || self.found[index(side)].as_ref().map(|record| record.id.clone());
        self.answered_id.clone().or_else(looked_up)
    }
}

impl Performer<'_> {
    async fn lookup(&mut self, candidate: usize, side: Side, purpose: Purpose) -> Lookup {
        let own_claim = self.claims[candidate].as_ref().filter(|claim| claim.side == side);
        let record_id = own_claim.and_then(|claim| claim.record_id.clone());
        let query = LookupQuery {
            side,
            ref_id: &self.request.candidates[candidate],
            record_id: record_id.filter(|_| purpose == Purpose::KnownRecord),
            origin: own_claim.map_or(Origin::Unknown, origin),
            purpose,
            until: match purpose {
                Purpose::DuplicateCheck | Purpose::ConfirmMove => Instant::now() + self.context.left() / 3,
                Purpose::KnownRecord | Purpose::Resolve | Purpose::ConfirmRefusal | Purpose::Existing => {
                    self.context.deadline
                }
            },
        };
        let LookupResult { finding, refusal, failure } = self.context.lookup(query).await;
        // The last refusal and failure are kept: a later lookup may succeed, and the decision may still need them.
        self.refusal = refusal.or(self.refusal.take());
        self.failure = failure.or(self.failure.take());
        self.note_refused_lookup(side, &finding);
        match finding {
            Finding::Absent => Lookup::Absent,
            Finding::Found(record) => {
                self.context.services.record_sides.remember(&record.id, RecordSide::SeenOn(side));
                let matches = self.matches(&record);
                self.found[index(side)] = Some(record);
                let made_on = (purpose == Purpose::ConfirmMove).then(|| {
                    self.report_double();
                    side_that_made(self.context.config.facts, &self.found)
                });
                Lookup::Found { matches, made_on: made_on.flatten() }
            }
            Finding::OtherKind => Lookup::OtherKind,
            Finding::Unauthorized => Lookup::Unauthorized,
            Finding::Forbidden => Lookup::Forbidden,
            Finding::Throttled => Lookup::Throttled,
            Finding::Nothing(_) => Lookup::CouldNot,
        }
    }

    fn note_refused_lookup(&self, side: Side, finding: &Finding) {
        let is_refused = match finding {
            Finding::Unauthorized | Finding::Forbidden => true,
            Finding::Absent | Finding::Found(_) | Finding::OtherKind => false,
            Finding::Throttled | Finding::Nothing(_) => return,
        };
        self.context.services.refused_lookups.note(side, &self.context.head.headers, is_refused);
    }

    /// Both sides hold the reference.
    fn report_double(&self) {
        let [Some(legacy), Some(new)] = &self.found else { return };
        if !is_same_record(self.context.config.facts, &legacy.json, &new.json) {
            let double = SuspectedDouble { legacy_id: legacy.id.clone(), new_id: new.id.clone() };
            self.context.services.report_doubles(FoundBy::DuplicateCheck, &[double]);
        }
    }

    fn matches(&self, record: &FoundConversion) -> bool {
        let conversion = Conversion::parse(&record.json);
        self.request
            .create
            .as_ref()
            .zip(conversion.ok())
            .is_some_and(|(create, found)| create.asks_for(&found))
    }

    /// Sends the POST. The protocol asks for it once, and no layer below repeats it.
    async fn send(&mut self, side: Side) -> CreateAnswer {
        let sent = self.post(side).await;
        let answer = self.read_answer(side, sent);
        if answer.is_unsure() {
            self.context.services.metrics.unknown_outcomes.add((side,));
            // A lookup may fail too, and must not hide why it was needed.
            self.unknown_cause = self.failure.take().or(self.unknown_cause.take());
            let cause = self.unknown_cause.as_ref().map_or("names-no-record", Failure::name);
            let source = self.unknown_cause.as_ref().and_then(|failure| Some(error_chain(failure.source()?)));
            tracing::warn!(target: "routes", %side, cause, source, "the outcome of a create is unknown; looking it up");
        }
        answer
    }

    fn read_answer(&mut self, side: Side, sent: Result<UpstreamResponse, Failure>) -> CreateAnswer {
        self.context.services.created(side, sent.as_ref().map(|reply| reply.status));
        self.was_sent =
            sent.as_ref().map_or_else(|failure| failure.outcome() == SideEffect::Unknown, |_| true);
        match sent {
            Ok(reply) => {
                let answer = self.judge(side, &reply);
                self.reply = Some(reply);
                answer
            }
            Err(failure) => {
                let answer = match failure.outcome() {
                    SideEffect::None => CreateAnswer::NotSent,
                    SideEffect::Unknown => CreateAnswer::Unknown,
                };
                self.failure = Some(failure);
                answer
            }
        }
    }

    async fn post(&self, side: Side) -> Result<UpstreamResponse, Failure> {
        let context = self.context;
        let cost = Endpoint::Create(side).client();
        // The wait for the rate limit comes first, so that enough time is left for the outcome.
        let permit = context.pay(cost, context.deadline).await?;
        let left = context.left();
        // A create that times out at once would be a needless unknown outcome.
        if left < context.config.timeouts.create / 10 {
            return Err(Failure::TooLate);
        }
        // A third of the time is kept for lookups, should the outcome be unknown.
        let until = context.deadline - left / 3;
        let call = match (side, &self.request.create) {
            (Side::Legacy, _) => UpstreamCall::forward(context, self.body.clone(), Lane::Create, cost, until),
            (Side::New, Some(create)) => {
                let json = create.to_orchestration(&self.request.candidates[0]);
                UpstreamCall::post(context, side, json, cost, until)?
            }
            (Side::New, None) => return Err(Failure::BodyEncoded),
        };
        // Only the answer shows which reference the vendor read in such a body, or that it read none. Then the answer names none and no
        // lookup finds the record, so it must be certain to belong to this request.
        let may_not_look = context.services.refused_lookups.holds(side, &context.head.headers);
        let is_apart = self.request.create.is_none() || may_not_look;
        let call = if is_apart { call.on(Lane::Fresh) } else { call.apart_if_anonymous() };
        context.call(call.paid(permit)).await
    }
}

/// The side that made the record, where both sides show one and the same.
pub(crate) fn side_that_made(facts: Facts, found: &[Option<FoundConversion>; 2]) -> Option<Side> {
    let [Some(legacy), Some(new)] = found else { return None };
    let is_one = identifier::same(&legacy.id, &new.id) || is_same_record(facts, &legacy.json, &new.json);
    is_one.then(|| facts.mirrored_side())
}

/// Where a side's findings are kept.
pub(super) const fn index(side: Side) -> usize {
    match side {
        Side::Legacy => 0,
        Side::New => 1,
    }
}
