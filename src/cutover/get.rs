//! Get by id.

use http::StatusCode;

use super::{Answer, Flow};
use crate::failure::{Effect, Failure};
use crate::side::Side;
use crate::translate::get;
use crate::translate::route::Id;

/// Reads one conversion.
///
/// # Errors
/// Every [`Failure`] that a get can end in.
pub async fn run(flow: &mut Flow, id: &Id) -> Result<Answer, Failure> {
    let reply = flow.read(Side::New, &format!("/orchestration/orchestrations/{}", id.to_segment())).await?;
    if reply.status.is_client_error() || reply.status.is_server_error() {
        return Ok(reply.refusal());
    }
    if reply.status != StatusCode::OK {
        return Err(reply.unexpected(Effect::None));
    }
    let unreadable = |source| Failure::Unreadable { side: Side::New, effect: Effect::None, source };
    match get::answer(&reply.body).map_err(unreadable)? {
        Ok(mapped) => {
            let json = reply.conversion(&mapped);
            Ok(reply.with(StatusCode::OK, json))
        }
        Err(why) => {
            tracing::info!(target: "translate", id = id.as_str(), ?why, "a record that was never a conversion is not shown");
            Err(Failure::NotFound { id: id.as_str().to_owned() })
        }
    }
}
