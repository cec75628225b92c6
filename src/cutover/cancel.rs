//! Cancel by id. The new API has no such call: a record there can be read, and the answer is no.

use super::{Answer, Flow, get};
use crate::failure::Failure;
use crate::translate::route::Id;

/// Says why a conversion of the new side cannot be cancelled, or that it is not there. Never a success, never a reverse
/// conversion.
///
/// # Errors
/// Every [`Failure`] that a cancel can end in.
pub async fn run(flow: &mut Flow, id: &Id) -> Result<Answer, Failure> {
    let found = get::run(flow, id).await?;
    if found.status.is_success() {
        return Err(Failure::CannotBeCancelled { id: id.as_str().to_owned() });
    }
    Ok(found)
}
