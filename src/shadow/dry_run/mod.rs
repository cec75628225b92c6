//! A create, rehearsed: what the new API would answer, without asking it. Everything here is a function of the request's bytes;
//! the request to the new API is written, checked against that API's rules and forgotten, so there is nothing to send.

mod intake;

use super::answer::Answer;
use super::compare::{self, Difference};
use super::json::Json;
use super::types::{DiffKind, Verdict};
use crate::translate::create::{self, CreateRequest};
use crate::translate::problem::Problem;

/// A create as the new API would have answered it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DryRun {
    /// The answer in the legacy shape: 200 with a conversion, or 400 with a problem.
    pub answer: Answer,
    /// Whether the client gave no `ref_id`, so that one had to be made up.
    pub ref_id_made: bool,
}

/// What the proxy would have to make up, and no comparison looks at.
const MADE_REF_ID: &str = "00000000-0000-4000-8000-000000000000";

/// Rehearses a create from the body of the client's request.
#[must_use]
pub fn rehearse(request: &[u8]) -> DryRun {
    let read = CreateRequest::parse(request);
    let ref_id_made = read.as_ref().is_ok_and(|request| request.ref_id.is_none());
    let answered = read.map_err(|invalid| invalid.to_string()).and_then(|request| {
        let orchestration = intake::take(request.to_orchestration(MADE_REF_ID).as_bytes())?;
        let mapped = create::answer(orchestration.as_bytes()).map_err(|unreadable| unreadable.to_string())?;
        let mut conversion = Vec::new();
        mapped.conversion.write(&mut conversion);
        Ok(conversion)
    });
    let answer = match answered {
        Ok(conversion) => Answer::read(200, &conversion),
        Err(refusal) => Answer::read(400, &Problem::about_blank(400, refusal).to_json()),
    };
    DryRun { answer, ref_id_made }
}

/// What differs between the real answer to a create and the rehearsed one. Ids and times cannot be rehearsed: they are there, and
/// of the right type, or not. A reference that the proxy has to make up is not held against it: the old API has none to show.
pub(super) fn compare(served: &Json, rehearsed: &Json, ref_id_made: bool) -> Vec<Difference> {
    const ALWAYS: &[&str] = &["id", "created_at", "updated_at"];
    const WITH_REF_ID: &[&str] = &["id", "created_at", "updated_at", "ref_id"];
    let except = if ref_id_made { WITH_REF_ID } else { ALWAYS };
    let mut found = compare::record(served, rehearsed, except);
    if ref_id_made {
        found.retain(|difference| difference.path != "ref_id" || difference.kind != DiffKind::Extra);
    }
    found
}

/// The verdict that needs no look at the documents, if there is one. Two 400s agree, whatever they say; any other refusal hangs on what
/// only an API's own books know.
pub(super) fn by_status(served: &Answer, rehearsed: &Answer) -> Option<(Verdict, Option<&'static str>)> {
    match (served.status()?, rehearsed.status()?) {
        (400, 400) => Some((Verdict::Match, None)),
        (401.., _) => Some((Verdict::NotComparable, Some("depends_on_state"))),
        _ => None,
    }
}
