//! Cancel by id, on the side that holds the record. The new API has no cancel: a record there is answered 403. The proxy neither
//! pretends a success nor makes a reverse conversion.

use bytes::Bytes;
use http::StatusCode;

use super::presence::{KnownSide, Presence, SideAnswer, conclude};
use super::upstream_call::{UpstreamCall, UpstreamResponse};
use super::{RecordSide, RouteContext, RouteResponse};
use crate::config::Mode;
use crate::failure::{Failure, SideEffect};
use crate::translate::evidence::is_not_found;
use crate::translate::get as wire;
use crate::translate::orchestration::Orchestration;
use crate::translate::problem;
use crate::translate::route::Id;
use crate::translate::side::Side;
use crate::upstream::Lane;
use crate::upstream::rate_limit::Endpoint;

/// Cancels one conversion.
///
/// # Errors
/// Any [`Failure`] of a cancel.
pub(crate) async fn run(context: &RouteContext, id: &Id) -> Result<RouteResponse, Failure> {
    let known = context.known_side(id).await;
    let sealed = context.config.modes.cancel == Mode::New;
    if sealed && known == KnownSide::On(Side::Legacy) {
        return Ok(RouteResponse::problem(&problem::gone(id.as_str())));
    }
    let mut answers = Vec::with_capacity(2);
    let mut denied = None;
    if known.is_cancelled_on_legacy(context.facts().mirror, sealed) {
        match on_legacy(context, id).await? {
            Ok(response) => return Ok(response),
            // Whatever new shows under this id, the record that could be cancelled is legacy's.
            Err(not_found) if known == KnownSide::On(Side::Legacy) => {
                return unavailable(context, id, Side::Legacy, Some(not_found)).await;
            }
            Err(not_found) => denied = Some(not_found),
        }
        answers.push((Side::Legacy, SideAnswer::NotFound));
    }
    let reply = context.read_by_id(Side::New, id, Lane::Read, context.deadline).await?;
    if reply.is_refusal() && !is_not_found(&reply.evidence()) {
        return not_the_vendors(reply);
    }
    if !reply.is_refusal() && reply.status != StatusCode::OK {
        return Err(reply.unexpected(SideEffect::None, "not an answer to a get"));
    }
    let is_conversion =
        reply.status == StatusCode::OK && holds_conversion(context, &reply, id, known).await?;
    answers.push((Side::New, if is_conversion { SideAnswer::Found } else { SideAnswer::NotFound }));
    match conclude(known, &answers) {
        Presence::Found(side) => {
            context.services.record_sides.remember(id.as_str(), RecordSide::SeenOn(side));
            Err(Failure::CannotBeCancelled { id: id.as_str().to_owned() })
        }
        Presence::NotFound => match denied {
            Some(not_found) => Ok(not_found),
            None if reply.is_refusal() => Ok(reply.refusal()),
            None => Err(Failure::NotFound { id: id.as_str().to_owned() }),
        },
        Presence::Unavailable(Side::Legacy) if sealed => {
            Ok(RouteResponse::problem(&problem::gone(id.as_str())))
        }
        Presence::Unavailable(side) => unavailable(context, id, side, denied).await,
        Presence::Unclear(_) => not_the_vendors(reply),
        Presence::CouldNotLook => Err(Failure::Ledger("whether the id is known could not be read".into())),
    }
}

/// The answer for a known record that its side denies: legacy's own 404 if that is about the spelling of the path; a record of new is
/// there in any spelling of its id.
async fn unavailable(
    context: &RouteContext,
    id: &Id,
    side: Side,
    denied: Option<RouteResponse>,
) -> Result<RouteResponse, Failure> {
    match (side, denied) {
        (Side::Legacy, Some(not_found)) if context.is_spelling_denied(id).await? => Ok(not_found),
        (Side::New, Some(_) | None) if context.is_on_new_in_other_case(id).await? => {
            Err(Failure::CannotBeCancelled { id: id.as_str().to_owned() })
        }
        (Side::Legacy | Side::New, Some(_) | None) => Err(Failure::RecordUnavailable { side }),
    }
}

/// Sends the client's DELETE, once. Legacy answers 404 for a record of the new side, so no lookup is needed first. The inner `Err` is
/// the vendor's own 404.
async fn on_legacy(context: &RouteContext, id: &Id) -> Result<Result<RouteResponse, RouteResponse>, Failure> {
    let cost = Endpoint::Cancel.client();
    // On a reused HTTP/1.1 connection the answer could be another request's, and a cancel that is not one moves money.
    let call = UpstreamCall::forward(context, Bytes::new(), Lane::Fresh, cost, context.deadline);
    let reply = context.call(call).await?;
    if is_not_found(&reply.evidence()) {
        return Ok(Err(reply.verbatim()));
    }
    if reply.status == StatusCode::NOT_FOUND {
        return Err(reply.unexpected(SideEffect::Unknown, "a 404 that is not the vendor's"));
    }
    if reply.status.is_success() && !reply.is_opaque(&context.head) {
        // Something in between may answer a success of its own, such as a maintenance page; no cancel happened then.
        let unreadable = reply.unreadable(SideEffect::Unknown);
        wire::check_shown(reply.content(), id).map_err(&unreadable)?;
        context.services.record_sides.remember(id.as_str(), RecordSide::MadeOn(Side::Legacy));
        wire::check_cancelled(reply.content(), id).map_err(&unreadable)?;
    }
    Ok(Ok(reply.verbatim()))
}

/// Returns the vendor's own refusal to the client; any other answer is a failure of the side.
fn not_the_vendors(reply: UpstreamResponse) -> Result<RouteResponse, Failure> {
    if reply.status == StatusCode::NOT_FOUND || !reply.is_refusal() {
        return Err(reply.unexpected(SideEffect::None, "not an answer to a get"));
    }
    Ok(reply.refusal())
}

async fn holds_conversion(
    context: &RouteContext,
    reply: &UpstreamResponse,
    id: &Id,
    known: KnownSide,
) -> Result<bool, Failure> {
    let unreadable = reply.unreadable(SideEffect::None);
    let orchestration = Orchestration::parse(reply.content()).map_err(&unreadable)?;
    if !orchestration.is_named(id) {
        return Err(unreadable(wire::OTHER_RECORD));
    }
    reply.add_unknown(orchestration.unknown);
    context.services.notice(reply);
    Ok(context.hidden(reply, &orchestration, known).await?.is_none())
}
