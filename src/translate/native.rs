//! Creates in the new API's own shape: which references they use.

use super::json::Text;
use super::orchestration::{FundsLocation, Orchestration};
use super::reference::{References, references as readings};

/// The references that a create in the new API's shape uses, if it could be a conversion: between profiles, or not readable strictly. `None`:
/// a server may read others.
#[must_use]
pub(crate) fn references(body: &[u8]) -> Option<Vec<String>> {
    if let Ok(create) = Orchestration::parse(body)
        && [create.source, create.destination].contains(&FundsLocation::Elsewhere)
        && create.ref_id.and_then(Text::value).is_some()
    {
        // A deposit or a withdrawal.
        return Some(Vec::new());
    }
    match readings(body) {
        References::Candidates(candidates) => Some(candidates),
        References::None => Some(Vec::new()),
        // Nothing is no create.
        References::Unknown => body.is_empty().then(Vec::new),
    }
}
