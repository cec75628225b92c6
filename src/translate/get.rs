//! Get, and what cancel can say about a record of the new API.

use super::mapping::{self, Mapped, NotAConversion};
use super::orchestration::{Orchestration, Unreadable};
use super::problem::Problem;

/// Reads the answer to a get. The inner `Err` is a record that the old API could not have made: not there, to a legacy
/// client.
///
/// # Errors
/// When it is not an orchestration.
pub fn answer(body: &[u8]) -> Result<Result<Mapped<'_>, NotAConversion>, Unreadable> {
    let orchestration = Orchestration::parse(body)?;
    match mapping::hidden(&orchestration)? {
        Some(why) => Ok(Err(why)),
        None => mapping::conversion(&orchestration).map(Ok),
    }
}

/// The 404 of the old API. Like the vendor's, it names the id; the proxy does not know the customer's.
#[must_use]
pub fn not_found(id: &str) -> Problem {
    Problem::about_blank(404, format!("conversion with id {id} not found"))
}

/// A record on the new side cannot be cancelled: that API has no such call.
#[must_use]
pub fn cannot_be_cancelled(id: &str) -> Problem {
    Problem::about_blank(403, format!("conversion with id {id} cannot be cancelled"))
}
