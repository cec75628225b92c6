//! The dry run of a create: the new API's answer, computed from the client's request. The translated request is checked against the new
//! API's rules and discarded; nothing is sent.

mod simulate;

use super::compare;
use super::compare::difference::Difference;
use super::json::Json;
use super::side_response::SideResponse;
use super::types::{DiffKind, Verdict};
use crate::translate::create::{self, CreateRequest};
use crate::translate::problem::Problem;

/// The result of a dry run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DryRun {
    /// The answer in the legacy shape: 200 with a conversion, or 400 with a problem.
    pub response: SideResponse,
    /// Whether the client gave no `ref_id`, so that one was generated.
    pub ref_id_made: bool,
}

/// Stands in for a generated `ref_id`; no comparison reads it.
const PLACEHOLDER_REF_ID: &str = "00000000-0000-4000-8000-000000000000";

/// Runs a create from the body of the client's request.
#[must_use]
pub fn run(request: &[u8]) -> DryRun {
    let parsed = CreateRequest::parse(request);
    let ref_id_made = parsed.as_ref().is_ok_and(|request| request.ref_id.is_none());
    // Through the same translation as a real create, there and back: what is compared is what a client would get.
    let conversion = parsed.map_err(|invalid| invalid.to_string()).and_then(|request| {
        let orchestration = simulate::simulate(request.to_orchestration(PLACEHOLDER_REF_ID).as_bytes())?;
        let mapped = create::answer(orchestration.as_bytes()).map_err(|unreadable| unreadable.to_string())?;
        let mut conversion = Vec::new();
        mapped.conversion.write(&mut conversion);
        Ok(conversion)
    });
    let response = match conversion {
        Ok(conversion) => SideResponse::read(200, &conversion),
        Err(refusal) => SideResponse::read(400, &Problem::about_blank(400, refusal).to_json()),
    };
    DryRun { response, ref_id_made }
}

/// Compares the real answer with that of the dry run. Of ids and times, which cannot be computed, only presence and type are
/// compared. A generated `ref_id` is no difference: legacy shows none when the client gave none.
pub(super) fn compare(served: &Json, computed: &Json, ref_id_made: bool) -> Vec<Difference> {
    const ALWAYS: &[&str] = &["id", "created_at", "updated_at"];
    const WITH_REF_ID: &[&str] = &["id", "created_at", "updated_at", "ref_id"];
    let except = if ref_id_made { WITH_REF_ID } else { ALWAYS };
    let mut found = compare::record(served, computed, except);
    if ref_id_made {
        found.retain(|difference| difference.path != "ref_id" || difference.kind != DiffKind::Extra);
    }
    found
}

/// The verdict that follows from the statuses alone, if any. Two 400s agree, whatever their details. Any other refusal depends on
/// state that a dry run does not have.
pub(super) fn by_status(
    served: &SideResponse,
    computed: &SideResponse,
) -> Option<(Verdict, Option<&'static str>)> {
    match (served.status()?, computed.status()?) {
        (400, 400) => Some((Verdict::Match, None)),
        // Credentials, balances, limits and known references: a dry run has none of them.
        (401.., _) => Some((Verdict::NotComparable, Some("depends_on_state"))),
        _ => None,
    }
}
