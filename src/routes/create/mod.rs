//! Create, step by step: claim the reference, look at the other side, send once, find out what became of it.
//!
//! The order is what keeps money safe: nothing is sent before the claim is durable, nothing is sent while the other side might
//! hold a conversion with the same reference, and nothing is ever sent twice.

pub mod canary;
#[allow(missing_docs, reason = "the docs of a variant say what its fields are")]
pub mod events;
pub mod protocol;
mod resolve;
pub mod rules;

use std::borrow::Cow;
use std::sync::PoisonError;
use std::time::Duration;

use bytes::Bytes;
use http::{StatusCode, header};
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;
use tracing::Instrument as _;
use uuid::Uuid;

use super::lookup::LookupResult;
use super::upstream_call::Reply;
use super::{RouteContext, RouteResponse};
use crate::config::Mode;
use crate::failure::{Failure, SideEffect};
use crate::ledger::{Claim, ClaimState, Fingerprint, Key, Ledger, LedgerError};
use crate::telemetry::spans;
use crate::translate::conversion::Conversion;
use crate::translate::create::{self, CreateRequest};
use crate::translate::invalid::Invalid;
use crate::translate::json::Text;
use crate::translate::paths::ORCHESTRATIONS;
use crate::translate::problem;
use crate::translate::side::Side;
use crate::upstream::rate_limit::Endpoint;

/// What is known of the create before anything is sent.
struct Plan<'a> {
    /// The request, if it is one; in mode `legacy` the old API judges it.
    request: Result<CreateRequest<'a>, Failure>,
    /// The reference: the client's, or one made for this request.
    ref_id: Cow<'a, str>,
    /// Whether the client gave it. Nobody else can have used one that was made.
    given: bool,
    /// The side that the modes choose.
    side: Side,
}

/// Makes one conversion, on one side.
///
/// # Errors
/// Every [`Failure`] that a create can end in.
pub async fn run(flow: &RouteContext, body: Bytes) -> Result<RouteResponse, Failure> {
    let request = read(flow, &body);
    let side = match chosen(flow, request.as_ref()) {
        Some(side) => side,
        // No side can be chosen for a request that cannot be read.
        None => return Err(request.err().unwrap_or(Failure::Internal { effect: SideEffect::None })),
    };
    let given = match &request {
        Ok(request) => Ok(request.ref_id.and_then(Text::value)),
        Err(Failure::BodyEncoded) => Err(create::NoReference),
        Err(_) => create::reference(&body).map(|given| given.map(Cow::Owned)),
    };
    let plan = match (given, side) {
        // No reference, on the old API: forwarded untouched, no claim, as risky as it always was.
        (Ok(None), Side::Legacy) => {
            flow.note_no_reference(side);
            return untouched(flow, body.clone()).await;
        }
        // Nor can it be told whether there is one. That matters once a conversion may be on the new side.
        (Err(_), _) if !may_be_on_new(flow).await? => return untouched(flow, body.clone()).await,
        (Err(_), _) => return Err(request.err().unwrap_or(Failure::Internal { effect: SideEffect::None })),
        (Ok(Some(ref_id)), _) => Plan { request, ref_id, given: true, side },
        // One reference per inbound request, never derived from the body: two equal conversions may both be meant.
        (Ok(None), Side::New) => {
            flow.note_no_reference(side);
            Plan { request, ref_id: Uuid::new_v4().to_string().into(), given: false, side }
        }
    };
    let side = match &flow.shared.ledger {
        Some(ledger) => match settle(flow, ledger, &plan, &body).await? {
            CreateDecision::SendTo(side) => side,
            CreateDecision::RouteResponse(answer) => return Ok(answer),
        },
        None => plan.side,
    };
    send(flow, side, plan, body.clone()).await
}

fn read<'a>(flow: &RouteContext, body: &'a [u8]) -> Result<CreateRequest<'a>, Failure> {
    let coding = flow.head.headers.get(header::CONTENT_ENCODING);
    if coding.is_some_and(|coding| coding != "identity") {
        return Err(Failure::BodyEncoded);
    }
    CreateRequest::parse(body).map_err(Failure::Invalid)
}

/// The side that the modes choose; none when they need a request that can be read, and this one cannot.
fn chosen(flow: &RouteContext, request: Result<&CreateRequest<'_>, &Failure>) -> Option<Side> {
    match flow.config.modes.create {
        Mode::Canary => {
            let profile_id = request.ok()?.profile_id.value()?;
            Some(canary::side(&flow.config.canary, &profile_id))
        }
        Mode::New => request.ok().map(|_| Side::New),
        mode => Some(mode.creates_on()),
    }
}

async fn untouched(flow: &RouteContext, body: Bytes) -> Result<RouteResponse, Failure> {
    let paid = flow.pay(Endpoint::Create(Side::Legacy).primary(), flow.deadline).await?;
    let sent = flow.forward(paid, body, flow.deadline).await;
    flow.shared.created(Side::Legacy, sent.as_ref().map(|reply| reply.status));
    Ok(sent?.verbatim())
}

async fn may_be_on_new(flow: &RouteContext) -> Result<bool, Failure> {
    match &flow.shared.ledger {
        Some(ledger) => created_on_new(ledger).await,
        None => Ok(false),
    }
}

/// What the ledger and the fence allow.
enum CreateDecision {
    /// This side, and only this one, may be sent to.
    SendTo(Side),
    /// Nothing may be sent; this is what to say.
    RouteResponse(RouteResponse),
}

/// Claims the reference and makes sure that the other side does not hold it.
async fn settle(
    flow: &RouteContext,
    ledger: &Ledger,
    plan: &Plan<'_>,
    body: &[u8],
) -> Result<CreateDecision, Failure> {
    let tenant = flow.config.ledger.as_ref().map_or("default", |ledger| ledger.tenant.as_str()).to_owned();
    let key = Key::new(&tenant, &plan.ref_id).map_err(|error| Invalid::new("ref_id", error.to_string()))?;
    let fingerprint = Fingerprint(Sha256::digest(body).into());
    let claim = claim(ledger, key, plan.side, &fingerprint).await?;
    // Already claimed for the other side: that side it is, whatever the mode says.
    let side = claim.side;
    if flow.config.modes.is_sealed() {
        return Ok(match side {
            Side::New => CreateDecision::SendTo(side),
            Side::Legacy => CreateDecision::RouteResponse(remembered(&plan.ref_id, &claim)),
        });
    }
    if claim.state == ClaimState::Checked
        || !plan.given
        || (side == Side::Legacy && !created_on_new(ledger).await?)
    {
        return Ok(CreateDecision::SendTo(side));
    }
    fence(flow, ledger, key, &claim).await
}

/// Writes down, before anything else, which side the reference goes to; or answers what was written down before.
async fn claim(
    ledger: &Ledger,
    key: Key<'_>,
    side: Side,
    fingerprint: &Fingerprint,
) -> Result<Claim, Failure> {
    let span = spans::step("claim", side);
    let claimed = ledger.claim(key, side, fingerprint).instrument(span.clone()).await;
    let result = match &claimed {
        Ok(claimed) if claimed.inserted => "fresh",
        Ok(_) => "repeated",
        Err(_) => "failed",
    };
    spans::stepped(&span, result, claimed.is_err());
    let claim = claimed.map_err(down)?.claim;
    if claim.state != ClaimState::Refused {
        return Ok(claim);
    }
    let chosen = ledger.choose_anew(key, side, fingerprint, claim.generation).await.map_err(down)?;
    // Another request was first.
    chosen.ok_or_else(|| down(LedgerError::Overloaded))
}

/// Looks at the other side and settles the claim by what is there.
async fn fence(
    flow: &RouteContext,
    ledger: &Ledger,
    key: Key<'_>,
    claim: &Claim,
) -> Result<CreateDecision, Failure> {
    let other = claim.side.other();
    let until = Instant::now() + flow.left() / 3;
    let looked = flow.duplicate_check(other, key.ref_id(), until).await;
    match looked.map_err(|source| Failure::DuplicateCheckFailed { side: other, source: Box::new(source) })? {
        LookupResult::Absent => mark_checked(ledger, key, claim).await.map(CreateDecision::SendTo),
        LookupResult::Found(record) => {
            // Whatever becomes of the claim, a conversion exists and nothing is sent.
            let expected = claim.expected();
            match ledger.move_claim(key, expected, other, Some(&record.id), claim.begun).await {
                Err(LedgerError::Unfit(_)) => {
                    ledger.move_claim(key, expected, other, None, claim.begun).await
                }
                moved => moved,
            }
            .map_err(down)?;
            flow.shared.record_sides.remember(&record.id, other);
            let problem = problem::already_exists(key.ref_id(), Some(&record.json));
            Ok(CreateDecision::RouteResponse(RouteResponse::problem(&problem)))
        }
        LookupResult::Forbidden(reply) if reply.status == StatusCode::UNAUTHORIZED => {
            Ok(CreateDecision::RouteResponse(reply.refusal()))
        }
        LookupResult::Forbidden(_) => {
            Ok(CreateDecision::RouteResponse(RouteResponse::problem(&problem::may_not_look(other))))
        }
        LookupResult::Throttled(reply) => Err(Failure::DuplicateCheckFailed {
            side: other,
            source: Box::new(reply.unexpected(SideEffect::None)),
        }),
    }
}

/// Writes down that the other side was seen empty, and returns the side that may be sent to.
async fn mark_checked(ledger: &Ledger, key: Key<'_>, claim: &Claim) -> Result<Side, Failure> {
    let span = spans::step("mark_checked", claim.side);
    let marked = async {
        match ledger.mark_checked(key, claim.expected()).await? {
            Some(claim) => Ok(("done", claim.side)),
            None => match ledger.look(key).await? {
                Some(claim) if claim.state == ClaimState::Checked => Ok(("refused", claim.side)),
                _ => Err(LedgerError::Corrupt("a claim went back".into())),
            },
        }
    };
    let marked = marked.instrument(span.clone()).await;
    spans::stepped(&span, marked.as_ref().map_or("failed", |(result, _)| *result), marked.is_err());
    marked.map(|(_, side)| side).map_err(down)
}

/// Whether any create ever went to the new side: until then no reference can be there.
async fn created_on_new(ledger: &Ledger) -> Result<bool, Failure> {
    ledger.created_on_new().await.map_err(down)
}

fn down(error: LedgerError) -> Failure {
    Failure::Ledger(error.into())
}

/// The 409 for a reference whose side cannot be asked any more: what the claim remembers.
fn remembered(ref_id: &str, claim: &Claim) -> RouteResponse {
    let record =
        claim.record_id.as_ref().map(|id| serde_json::json!({ "id": id, "ref_id": ref_id }).to_string());
    RouteResponse::problem(&match record {
        Some(record) => problem::already_exists(ref_id, Some(record.as_bytes())),
        None => problem::used_before(ref_id),
    })
}

/// Sends the create, once, and makes the answer.
async fn send(
    flow: &RouteContext,
    side: Side,
    plan: Plan<'_>,
    body: Bytes,
) -> Result<RouteResponse, Failure> {
    // The wait for it comes first: what is left after it must be enough. The claim stays for the retry.
    let paid = flow.pay(Endpoint::Create(side).primary(), flow.deadline).await?;
    let left = flow.left();
    if left < flow.config.timeouts.create / 10 {
        return Err(Failure::TooLate);
    }
    // A third of the time is kept for finding out what became of the call.
    let until = flow.deadline - left / 3;
    let (sent, request) = match (side, plan.request) {
        (Side::Legacy, request) => (flow.forward(paid, body, until).await, request),
        (Side::New, Ok(request)) => {
            let json = request.to_orchestration(&plan.ref_id);
            (flow.write(paid, side, ORCHESTRATIONS, json, until).await, Ok(request))
        }
        // Its reference was claimed for new by a request that could be read.
        (Side::New, Err(unreadable)) => return Err(unreadable),
    };
    flow.shared.created(side, sent.as_ref().map(|reply| reply.status));
    let judged = judge(flow, sent, side);
    let (answer, id) = match judged {
        Ok(judged) => judged,
        Err(cause) => match cause.outcome() {
            SideEffect::None => return Err(cause),
            SideEffect::Unknown => {
                flow.shared.metrics.unknown_outcomes.add((side,));
                // A body that only the legacy API can read names no fields that a found record could be compared with.
                let Ok(request) = &request else { return Err(cause) };
                resolve::resolve(flow, side, request, &plan.ref_id, cause).await?
            }
        },
    };
    if let Some(id) = id {
        flow.remember(side, plan.ref_id.into_owned(), id);
    }
    Ok(answer)
}

/// The answer for the client and the record's id, or a failure when the outcome is not known.
fn judge(
    flow: &RouteContext,
    sent: Result<Reply, Failure>,
    side: Side,
) -> Result<(RouteResponse, Option<String>), Failure> {
    let reply = sent?;
    let status = reply.status;
    if status.is_client_error() && status != StatusCode::REQUEST_TIMEOUT {
        return Ok((reply.refusal(), None));
    }
    if !status.is_success() {
        return Err(reply.unexpected(SideEffect::Unknown));
    }
    let unreadable = |source| Failure::Unreadable { side, effect: SideEffect::Unknown, source };
    match side {
        Side::Legacy => {
            if reply.headers.contains_key(header::CONTENT_ENCODING) {
                return Ok((reply.verbatim(), None));
            }
            let id = Conversion::parse(&reply.body).and_then(Conversion::into_id).map_err(unreadable)?;
            Ok((reply.verbatim(), Some(id)))
        }
        Side::New => {
            let mapped = create::answer(&reply.body).map_err(unreadable)?;
            let id = mapped.conversion.into_id().map_err(unreadable)?;
            let json = reply.conversion(&mapped, &flow.shared);
            Ok((RouteResponse::json(StatusCode::OK, reply.headers, json), Some(id)))
        }
    }
}

impl RouteContext {
    /// A create came without a reference.
    fn note_no_reference(&self, side: Side) {
        self.shared.metrics.creates_without_ref_id.add((side,));
        self.trail.lock().unwrap_or_else(PoisonError::into_inner).without_reference = true;
    }

    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Keeps the id: in memory at once, in the ledger as soon as it gets to it. The client does not wait for it: the claim
    /// alone keeps the money safe.
    fn remember(&self, side: Side, ref_id: String, id: String) {
        self.shared.record_sides.remember(&id, side);
        let Some((ledger, settings)) = self.shared.ledger.clone().zip(self.config.ledger.as_ref()) else {
            return;
        };
        let tenant = settings.tenant.clone();
        self.shared.detached.spawn(async move {
            let Ok(key) = Key::new(&tenant, &ref_id) else { return };
            let kept = async {
                let Some(claim) = ledger.look(key).await? else { return Ok(None) };
                ledger.remember_id(key, claim.generation, side, &id).await
            };
            if let Err(error) = kept.await {
                tracing::warn!(target: "cutover", %error, id, "the id of a conversion was not kept in the ledger");
            }
        });
    }
}
