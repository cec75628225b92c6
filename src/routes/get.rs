//! Get by id: from whichever side holds the record.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use tokio::time::Instant;

use super::presence::{KnownSide, Presence, SideAnswer, conclude};
use super::upstream_call::{UpstreamCall, UpstreamResponse};
use super::{RecordSide, RouteContext, RouteResponse};
use crate::config::Mode;
use crate::failure::{Failure, SideEffect};
use crate::ledger::{Ledger, LedgerError};
use crate::translate::evidence::is_not_found;
use crate::translate::get as wire;
use crate::translate::mapping;
use crate::translate::orchestration::Orchestration;
use crate::translate::problem;
use crate::translate::route::Id;
use crate::translate::side::Side;
use crate::upstream::Lane;
use crate::upstream::rate_limit::Endpoint;

/// Gets one conversion.
///
/// # Errors
/// Any [`Failure`] of a get.
pub(crate) async fn run(context: &RouteContext, id: &Id) -> Result<RouteResponse, Failure> {
    let known = context.known_side(id).await;
    let sealed = context.config.modes.get == Mode::New;
    if sealed && known == KnownSide::On(Side::Legacy) {
        return Ok(RouteResponse::problem(&problem::gone(id.as_str())));
    }
    let sides = known.asked_by_get(context.config.modes.create.creates_on(), sealed);
    let mut answers = Vec::with_capacity(sides.len());
    let mut kept: [Option<Result<RouteResponse, Failure>>; 2] = [None, None];
    for (at, side) in sides.iter().copied().enumerate() {
        // A side that hangs leaves half of the time for the other one, which may hold the record.
        let left = context.deadline.saturating_duration_since(Instant::now());
        let until = context.deadline - if at + 1 < sides.len() { left / 2 } else { Duration::ZERO };
        let (answer, outcome) = match ask(context, side, id, known, until).await {
            Ok((answer, response)) => (answer, Ok(response)),
            Err(failure) => (SideAnswer::Unclear, Err(failure)),
        };
        answers.push((side, answer));
        kept[side as usize] = Some(outcome);
        if answer == SideAnswer::Found {
            break;
        }
    }
    // A 404 of one side alone is not returned: the other side may hold the record, or the ledger may know the id.
    let presence = conclude(known, &answers);
    if let Presence::Found(side) = presence {
        context.services.record_sides.remember(id.as_str(), RecordSide::SeenOn(side));
    }
    if sealed && presence == Presence::Unavailable(Side::Legacy) {
        return Ok(RouteResponse::problem(&problem::gone(id.as_str())));
    }
    if presence == Presence::Unavailable(Side::New)
        && let Some(response) = shown_in_other_case(context, id, known).await
    {
        return Ok(response);
    }
    if presence == Presence::Unavailable(Side::Legacy) && context.is_spelling_denied(id).await? {
        return respond(Presence::Unclear(Side::Legacy), id, kept, &sides);
    }
    respond(presence, id, kept, &sides)
}

/// A record of new under the canonical spelling of its id, where new denied the client's: a client of the old API may write a UUID in
/// upper case and be understood.
async fn shown_in_other_case(context: &RouteContext, id: &Id, known: KnownSide) -> Option<RouteResponse> {
    let canonical = id.canonical();
    if canonical == *id {
        return None;
    }
    match ask(context, Side::New, &canonical, known, context.deadline).await {
        Ok((SideAnswer::Found, response)) => Some(response),
        Ok((SideAnswer::NotFound | SideAnswer::Unclear, _)) => None,
        // It proves nothing, and that the known record is unavailable stays true.
        Err(failure) => {
            tracing::info!(target: "routes", id = id.as_str(), cause = failure.name(), "the canonical spelling of an id could not be read");
            None
        }
    }
}

/// Turns what was concluded into the answer: the side's own response where there is one.
fn respond(
    presence: Presence,
    id: &Id,
    mut kept: [Option<Result<RouteResponse, Failure>>; 2],
    sides: &[Side],
) -> Result<RouteResponse, Failure> {
    let mut response_of = |side: Side| kept[side as usize].take();
    let not_found = || Err(Failure::NotFound { id: id.as_str().to_owned() });
    match presence {
        Presence::Found(side) | Presence::Unclear(side) => response_of(side).unwrap_or_else(not_found),
        // Both answered 404; either response will do.
        Presence::NotFound => sides.last().and_then(|side| response_of(*side)).unwrap_or_else(not_found),
        Presence::Unavailable(side) => Err(Failure::RecordUnavailable { side }),
        Presence::CouldNotLook => Err(Failure::Ledger("whether the id is known could not be read".into())),
    }
}

async fn ask(
    context: &RouteContext,
    side: Side,
    id: &Id,
    known: KnownSide,
    until: Instant,
) -> Result<(SideAnswer, RouteResponse), Failure> {
    let cost = Endpoint::Get(side).client();
    let call = |lane| match side {
        Side::Legacy => Ok(UpstreamCall::forward(context, Bytes::new(), lane, cost, until)),
        Side::New => {
            UpstreamCall::get(context, side, &id.path_on(Side::New), cost, until).map(|call| call.on(lane))
        }
    };
    let reply = context.call(call(Lane::Read)?).await?;
    let doubted = reply.reused;
    match read(context, reply, id, known, doubted).await? {
        Some(answer) => Ok(answer),
        None => {
            let reply = context.call(call(Lane::Fresh)?).await?;
            let answer = read(context, reply, id, known, false).await?;
            answer.ok_or(Failure::Internal { effect: SideEffect::None })
        }
    }
}

/// Reads an answer. `None` if it is `doubted`, as one on a reused HTTP/1.1 connection is, and may be that to another request: it says that
/// there is no record, or shows something else.
async fn read(
    context: &RouteContext,
    reply: UpstreamResponse,
    id: &Id,
    known: KnownSide,
    doubted: bool,
) -> Result<Option<(SideAnswer, RouteResponse)>, Failure> {
    let is_not_found = is_not_found(&reply.evidence());
    if is_not_found && doubted {
        return Ok(None);
    }
    if reply.is_refusal() {
        context.services.notice_refusal(&reply);
    }
    if is_not_found {
        return Ok(Some((SideAnswer::NotFound, reply.refusal())));
    }
    if reply.status == StatusCode::NOT_FOUND {
        return Err(reply.unexpected(SideEffect::None, "a 404 that is not the vendor's"));
    }
    if reply.is_refusal() {
        return Ok(Some((SideAnswer::Unclear, reply.refusal())));
    }
    match reply.side {
        Side::Legacy => shown_by_legacy(context, reply, id, doubted),
        Side::New => visible_record(context, reply, id, known, doubted).await,
    }
}

/// Legacy's answer, which goes to the client as it came where it may be the record. A success that does not show the record proves nothing:
/// a gateway's maintenance page is one, too.
fn shown_by_legacy(
    context: &RouteContext,
    reply: UpstreamResponse,
    id: &Id,
    doubted: bool,
) -> Result<Option<(SideAnswer, RouteResponse)>, Failure> {
    let shown = wire::check_shown(reply.content(), id);
    // A redirect proves neither presence nor absence, and neither does what only the client can read.
    if !reply.status.is_success() || reply.is_opaque(&context.head) && !doubted {
        return Ok(Some((SideAnswer::Unclear, reply.verbatim())));
    }
    if shown.is_err() && doubted {
        return Ok(None);
    }
    shown.map_err(reply.unreadable(SideEffect::None))?;
    // Others, such as 203 and 206, are not the whole answer of the vendor.
    let answer = if reply.status == StatusCode::OK { SideAnswer::Found } else { SideAnswer::Unclear };
    Ok(Some((answer, reply.verbatim())))
}

/// The record of new in the legacy shape, if a legacy client may see it.
async fn visible_record(
    context: &RouteContext,
    reply: UpstreamResponse,
    id: &Id,
    known: KnownSide,
    doubted: bool,
) -> Result<Option<(SideAnswer, RouteResponse)>, Failure> {
    if reply.status != StatusCode::OK {
        return Err(reply.unexpected(SideEffect::None, "not an answer to a get"));
    }
    let unreadable = reply.unreadable(SideEffect::None);
    let parsed = Orchestration::parse(reply.content());
    let is_named = parsed.as_ref().is_ok_and(|record| record.is_named(id));
    if doubted && !is_named {
        return Ok(None);
    }
    let orchestration = parsed.map_err(&unreadable)?;
    if !is_named {
        return Err(unreadable(wire::OTHER_RECORD));
    }
    reply.add_unknown(orchestration.unknown);
    context.services.notice(&reply);
    if let Some(why) = context.hidden(&reply, &orchestration, known).await? {
        tracing::info!(target: "translate", id = id.as_str(), ?why, "a record that was never a conversion is not shown");
        return Ok(Some((SideAnswer::NotFound, RouteResponse::problem(&wire::not_found(id.as_str())))));
    }
    let mapped = mapping::conversion(&orchestration).map_err(unreadable)?;
    let json = reply.conversion(&mapped, &context.services);
    Ok(Some((SideAnswer::Found, RouteResponse::json(StatusCode::OK, reply.headers, json))))
}

impl RouteContext {
    /// The side that is known to hold an id, from the cache, else from the ledger. The ledger outweighs where an id was seen.
    pub(super) async fn known_side(&self, id: &Id) -> KnownSide {
        let record_sides = &self.services.record_sides;
        let cached = record_sides.of(id.as_str());
        if let Some(RecordSide::MadeOn(side)) = cached {
            return KnownSide::On(side);
        }
        let Some(ledger) = &self.services.ledger else { return KnownSide::of(cached, None) };
        match self.side_on_record(ledger, id).await {
            Ok(on_record) => {
                if let Some(side) = on_record {
                    record_sides.remember(id.as_str(), RecordSide::MadeOn(side));
                }
                KnownSide::of(cached, on_record)
            }
            Err(error) => {
                tracing::warn!(target: "ledger", %error, "whether an id is known could not be read");
                cached.map_or(KnownSide::CouldNotLook, |_| KnownSide::of(cached, None))
            }
        }
    }
    /// The side of an id in the ledger, as the client wrote it or else, for a UUID, in its canonical spelling.
    async fn side_on_record(&self, ledger: &Ledger, id: &Id) -> Result<Option<Side>, LedgerError> {
        let as_written = ledger.reader().record_side(self.tenant(), id.as_str()).await?;
        let canonical = id.canonical();
        if as_written.is_some() || canonical == *id {
            return Ok(as_written);
        }
        ledger.reader().record_side(self.tenant(), canonical.as_str()).await
    }
}
