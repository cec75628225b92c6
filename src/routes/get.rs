//! Get by id: from whichever side holds the record. "Not found" is said only when every side that was asked said so.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use tokio::time::Instant;

use super::upstream_call::Reply;
use super::{RouteContext, RouteResponse};
use crate::config::Mode;
use crate::failure::{Failure, SideEffect};
use crate::translate::get;
use crate::translate::paths;
use crate::translate::route::Id;
use crate::translate::side::Side;
use crate::upstream::rate_limit::Endpoint;

/// Reads one conversion.
///
/// # Errors
/// Every [`Failure`] that a get can end in.
pub async fn run(flow: &RouteContext, id: &Id) -> Result<RouteResponse, Failure> {
    let sides = sides(flow, id);
    let mut not_found = None;
    let mut worst = None;
    for (at, side) in sides.iter().enumerate() {
        // A side that hangs must not use up the time of the one that may hold the record.
        let left = flow.deadline.saturating_duration_since(Instant::now());
        let until = flow.deadline - if at + 1 < sides.len() { left / 2 } else { Duration::ZERO };
        match ask(flow, *side, id, until).await {
            Ok(LookupOutcome::Found(answer)) => {
                if answer.status == StatusCode::OK {
                    flow.shared.record_sides.remember(id.as_str(), *side);
                }
                return Ok(answer);
            }
            Ok(LookupOutcome::NotFound(answer)) => not_found = Some(answer),
            Ok(LookupOutcome::Refused(answer)) => worst = worst.or(Some(Ok(answer))),
            Err(failure) => worst = worst.or(Some(Err(failure))),
        }
    }
    match (worst, not_found) {
        (Some(not_an_answer), _) => not_an_answer,
        (None, Some(answer)) => Ok(answer),
        (None, None) => Err(Failure::NotFound { id: id.as_str().to_owned() }),
    }
}

/// The sides to ask, the likelier one first.
fn sides(flow: &RouteContext, id: &Id) -> Vec<Side> {
    if flow.config.modes.get == Mode::New {
        return vec![Side::New];
    }
    let first = flow.shared.record_sides.of(id.as_str()).unwrap_or(flow.config.modes.create.creates_on());
    vec![first, first.other()]
}

/// What one side says of an id.
enum LookupOutcome {
    Found(RouteResponse),
    /// Proof that the side does not hold it; the side's own words, if they may be shown.
    NotFound(RouteResponse),
    /// Neither: a 401, a 403, a 429, a 5xx.
    Refused(RouteResponse),
}

async fn ask(flow: &RouteContext, side: Side, id: &Id, until: Instant) -> Result<LookupOutcome, Failure> {
    let reply = match side {
        Side::Legacy => {
            let paid = flow.pay(Endpoint::Get(side).primary(), until).await?;
            flow.forward(paid, Bytes::new(), until).await?
        }
        Side::New => read_new(flow, id, until).await?,
    };
    if reply.status == StatusCode::NOT_FOUND {
        return Ok(LookupOutcome::NotFound(reply.refusal()));
    }
    if reply.is_refusal() {
        return Ok(LookupOutcome::Refused(reply.refusal()));
    }
    match side {
        Side::Legacy => Ok(LookupOutcome::Found(reply.verbatim())),
        Side::New => shown(flow, reply, id),
    }
}

/// The new side's record of an id, as it answers it.
pub(super) async fn read_new(flow: &RouteContext, id: &Id, until: Instant) -> Result<Reply, Failure> {
    flow.read(Side::New, Endpoint::Get(Side::New).primary(), &paths::orchestration(id), until).await
}

/// The record as a legacy client may see it.
fn shown(flow: &RouteContext, reply: Reply, id: &Id) -> Result<LookupOutcome, Failure> {
    if reply.status != StatusCode::OK {
        return Err(reply.unexpected(SideEffect::None));
    }
    let unreadable = |source| Failure::Unreadable { side: Side::New, effect: SideEffect::None, source };
    match get::answer(&reply.body).map_err(unreadable)? {
        Ok(mapped) => {
            let json = reply.conversion(&mapped, &flow.shared);
            Ok(LookupOutcome::Found(RouteResponse::json(StatusCode::OK, reply.headers, json)))
        }
        Err(why) => {
            tracing::info!(target: "translate", id = id.as_str(), ?why, "a record that was never a conversion is not shown");
            Ok(LookupOutcome::NotFound(RouteResponse::problem(&get::not_found(id.as_str()))))
        }
    }
}
