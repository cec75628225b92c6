//! Cancel by id: on the side that holds the record. The new API has no such call: a record there can be read, and the answer
//! is no. Never a fake success, never a reverse conversion.

use bytes::Bytes;
use http::StatusCode;

use super::{RouteContext, RouteResponse, get};
use crate::config::Mode;
use crate::failure::{Failure, SideEffect};
use crate::translate::get as wire;
use crate::translate::paths;
use crate::translate::route::Id;
use crate::translate::side::Side;
use crate::upstream::rate_limit::Endpoint;

/// Stops one conversion, or says why that cannot be.
///
/// # Errors
/// Every [`Failure`] that a cancel can end in.
pub async fn run(flow: &RouteContext, id: &Id) -> Result<RouteResponse, Failure> {
    let both = flow.config.modes.cancel != Mode::New;
    let mut gone = None;
    if both && flow.shared.record_sides.of(id.as_str()) != Some(Side::New) {
        // A DELETE for a record of the other side is a 404 there, so nothing needs to be read first. It is sent once.
        let paid = flow.pay(Endpoint::Cancel.primary(), flow.deadline).await?;
        let reply = flow.forward(paid, Bytes::new(), flow.deadline).await?;
        if reply.status != StatusCode::NOT_FOUND {
            if reply.status.is_success() {
                flow.shared.record_sides.remember(id.as_str(), Side::Legacy);
            }
            return Ok(reply.verbatim());
        }
        gone = Some(reply.verbatim());
    }
    on_new(flow, id, gone).await
}

/// What the new side makes of it; `gone` is the legacy side's 404, if it was asked.
async fn on_new(flow: &RouteContext, id: &Id, gone: Option<RouteResponse>) -> Result<RouteResponse, Failure> {
    let reply = get::read_new(flow, id, flow.deadline).await?;
    let cost = Endpoint::Get(Side::New).primary();
    let reply = flow.look_instead(reply, cost, &paths::orchestration(id), flow.deadline).await?;
    if reply.status == StatusCode::NOT_FOUND {
        return Ok(gone.unwrap_or_else(|| reply.refusal()));
    }
    if reply.is_refusal() {
        return Ok(reply.refusal());
    }
    if reply.status != StatusCode::OK {
        return Err(reply.unexpected(SideEffect::None));
    }
    let unreadable = |source| Failure::Unreadable { side: Side::New, effect: SideEffect::None, source };
    match wire::answer(&reply.body).map_err(unreadable)? {
        Ok(_) => {
            flow.shared.record_sides.remember(id.as_str(), Side::New);
            Err(Failure::CannotBeCancelled { id: id.as_str().to_owned() })
        }
        Err(_) => gone.map_or_else(|| Err(Failure::NotFound { id: id.as_str().to_owned() }), Ok),
    }
}
