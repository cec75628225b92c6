//! Create on the new side.

use bytes::Bytes;
use uuid::Uuid;

use super::{Answer, Flow};
use crate::failure::{Effect, Failure};
use crate::side::Side;
use crate::translate::create::{self, CreateRequest};

/// Makes one conversion.
///
/// # Errors
/// Every [`Failure`] that a create can end in.
pub async fn run(flow: &mut Flow, body: &Bytes) -> Result<Answer, Failure> {
    let request = CreateRequest::parse(body)?;
    // One reference per inbound request, never derived from the body: two equal conversions may both be meant.
    let made_ref_id = Uuid::new_v4().to_string();
    let reply = flow
        .write(Side::New, "/orchestration/orchestrations", request.to_orchestration(&made_ref_id))
        .await?;
    if reply.status.is_client_error() || reply.status.is_server_error() {
        return Ok(reply.refusal());
    }
    if !reply.status.is_success() {
        return Err(reply.unexpected(Effect::Unknown));
    }
    let unreadable = |source| Failure::Unreadable { side: Side::New, effect: Effect::Unknown, source };
    let json = reply.conversion(&create::answer(&reply.body).map_err(unreadable)?);
    Ok(reply.with(http::StatusCode::OK, json))
}
