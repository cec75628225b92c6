//! Get, and the cancel of a record that only the new API holds.

use super::mapping::{self, Mapped, NotAConversion, Origin};
use super::orchestration::{Orchestration, Unreadable};
use super::problem::Problem;

/// Parses the new API's answer to a get. The inner `Err` is a record that the legacy API could not have made, so a legacy
/// client gets a 404.
///
/// # Errors
/// When the answer is not an orchestration.
pub fn answer(body: &[u8]) -> Result<Result<Mapped<'_>, NotAConversion>, Unreadable> {
    let orchestration = Orchestration::parse(body)?;
    match mapping::hidden(&orchestration, Origin::Unknown)? {
        Some(why) => Ok(Err(why)),
        None => mapping::conversion(&orchestration).map(Ok),
    }
}

/// The legacy API's 404. The vendor's also names the customer, whose id the proxy does not know.
#[must_use]
pub fn not_found(id: &str) -> Problem {
    Problem::about_blank(404, format!("conversion with id {id} not found"))
}

/// The 403 for a cancel of a record on the new side: the new API has no cancel.
#[must_use]
pub fn cannot_be_cancelled(id: &str) -> Problem {
    Problem::about_blank(403, format!("conversion with id {id} cannot be cancelled"))
}
