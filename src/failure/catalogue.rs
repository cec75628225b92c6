//! One failure of every kind with what a client gets, for `docs/reference.md`. A test holds the names to those of `classify`.

use std::time::Duration;

use super::{AuthFailure, BoxError, Failure, ResponsibleParty, SideEffect};
use crate::translate::invalid::Invalid;
use crate::translate::problem::{self, Problem};
use crate::translate::side::Side;

/// What a client gets for one kind of failure.
#[derive(Clone, Debug)]
pub struct CatalogueRow {
    /// The name in the access log and in metrics; empty for an answer that is no failure.
    pub name: &'static str,
    /// Who has to act: `caller`, `legacy`, `new`, `token-endpoint` or `proxy`.
    pub fault: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// The problem's `type`.
    pub kind: String,
    /// The problem's `detail`.
    pub detail: String,
    /// Whether the answer has a `Retry-After`.
    pub retry_after: bool,
    /// Whether the vendor may have acted on the request.
    pub may_have_acted: bool,
}

/// Every kind; one whose outcome depends on the call has a row for a call that cannot have changed anything, and one for another.
#[must_use]
pub fn catalogue() -> Vec<CatalogueRow> {
    let mut failures = of_the_request();
    failures.extend(of_the_proxy());
    failures.extend([SideEffect::None, SideEffect::Unknown].into_iter().flat_map(of_an_upstream));
    failures.extend(of_credentials().into_iter().map(Failure::AuthFailure));
    let mut rows: Vec<_> = failures.iter().map(row).collect();
    rows.extend(of_answers().into_iter().map(|problem| CatalogueRow {
        name: "",
        fault: ResponsibleParty::Caller.as_str(),
        retry_after: false,
        may_have_acted: false,
        ..described(problem)
    }));
    rows
}

fn row(failure: &Failure) -> CatalogueRow {
    CatalogueRow {
        name: failure.name(),
        fault: failure.fault().as_str(),
        retry_after: failure.retry_after().is_some(),
        may_have_acted: failure.outcome() == SideEffect::Unknown,
        ..described(failure.problem())
    }
}

fn described(problem: Problem) -> CatalogueRow {
    CatalogueRow {
        name: "",
        fault: "",
        status: problem.status,
        kind: problem.kind.into_owned(),
        detail: problem.detail,
        retry_after: false,
        may_have_acted: false,
    }
}

fn source() -> BoxError {
    "an example".into()
}

const MAX: usize = 65_536;
const RETRY: Duration = Duration::from_secs(5);
const SIDE: Side = Side::New;

fn of_the_request() -> Vec<Failure> {
    vec![
        Failure::Invalid(Invalid::new("amount", "is required")),
        Failure::BodyTooLong { max: MAX },
        Failure::BodyBroken(source()),
        Failure::BodyEncoded,
        Failure::BodySlow,
        Failure::NotFound { id: "ID".into() },
        Failure::CannotBeCancelled { id: "ID".into() },
        Failure::UnroutedWrite,
        Failure::TargetForm,
        Failure::Malformed,
        Failure::HeadTooLong,
        Failure::TargetTooLong,
        Failure::UnreadableReference,
        Failure::ClaimedForLegacy { ref_id: "REF".into() },
        Failure::TooManyUnauthorized { retry_after: RETRY },
        Failure::TooManyDropped { calls: 5 },
    ]
}

fn of_the_proxy() -> Vec<Failure> {
    vec![
        Failure::Overloaded { fault: ResponsibleParty::Proxy, retry_after: RETRY },
        Failure::OverBudget { retry_after: RETRY },
        Failure::Held { retry_after: RETRY },
        Failure::CursorOutOfReach { calls: 5, goes_on: false },
        Failure::CursorOutOfReach { calls: 5, goes_on: true },
        Failure::CursorRefused { side: SIDE },
        Failure::Ledger(source()),
        Failure::TooLate,
        Failure::Unreachable { side: SIDE, source: source() },
        Failure::DuplicateCheckFailed { side: SIDE, source: Box::new(Failure::TooLate) },
        Failure::RecordUnavailable { side: SIDE },
        Failure::OutcomeUnknown { side: SIDE, ref_id: "REF".into(), source: Box::new(Failure::TooLate) },
    ]
}

fn of_an_upstream(effect: SideEffect) -> Vec<Failure> {
    vec![
        Failure::Broken { side: SIDE, effect, source: source() },
        Failure::TimedOut { side: SIDE, effect, source: source() },
        Failure::Unreadable { side: SIDE, effect, source: source() },
        Failure::AnswerTooLong { side: SIDE, max: MAX, effect, source: source() },
        Failure::Internal { effect },
    ]
}

fn of_credentials() -> Vec<AuthFailure> {
    vec![
        AuthFailure::UnknownCaller,
        AuthFailure::NotAllowed { reads: true },
        AuthFailure::Reflecting,
        AuthFailure::NoTokenRoute,
        AuthFailure::TokenUnreachable(source()),
        AuthFailure::TokenBroken(source()),
        AuthFailure::TokenTimedOut(source()),
        AuthFailure::NoToken { side: SIDE, fault: ResponsibleParty::TokenEndpoint, source: source() },
        AuthFailure::NoToken { side: SIDE, fault: ResponsibleParty::Proxy, source: source() },
        AuthFailure::OwnTokenRefused { side: SIDE },
    ]
}

/// Refusals that are the right answer to the request, and so no failures.
fn of_answers() -> Vec<Problem> {
    vec![
        problem::already_exists("REF", None),
        problem::used_before("REF"),
        problem::used_by_another_record("REF"),
        problem::gone("ID"),
        problem::may_not_look(SIDE),
    ]
}
