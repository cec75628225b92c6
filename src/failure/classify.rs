//! What follows from a failure: fault, name, status, `Retry-After`, whether money may have moved, and the document for the client. Every
//! match is exhaustive, so that the compiler asks each of them about a new failure.
//!
//! Each text says which side failed and whether the call may have taken effect; none holds a value that the client did not send in its
//! path.

use std::time::Duration;

use super::{AuthFailure, Failure, ResponsibleParty, SideEffect};
use crate::translate::get;
use crate::translate::problem::{self, Problem};
use crate::translate::side::Side;

/// When a record that a side did not show is worth another lookup: about the time that lists and reads lag.
const RETRY_RECORD_AFTER: Duration = Duration::from_secs(1);
const RETRY_PAGE_AFTER: Duration = Duration::from_secs(1);

impl Failure {
    pub(crate) const fn auth_failure(&self) -> Option<&AuthFailure> {
        if let Self::AuthFailure(auth) = self { Some(auth) } else { None }
    }

    /// Who has to act for the request to succeed.
    #[must_use]
    pub(crate) fn fault(&self) -> ResponsibleParty {
        match self {
            Self::Invalid(_)
            | Self::BodyTooLong { .. }
            | Self::BodyBroken(_)
            | Self::BodyEncoded
            | Self::BodySlow
            | Self::NotFound { .. }
            | Self::CannotBeCancelled { .. }
            | Self::UnroutedWrite
            | Self::TargetForm
            | Self::Malformed
            | Self::HeadTooLong
            | Self::TargetTooLong
            | Self::UnreadableReference
            | Self::TooManyUnauthorized { .. }
            | Self::ClaimedForLegacy { .. }
            | Self::TooManyDropped { .. } => ResponsibleParty::Caller,
            // A limit of one client is that client's; one of the process is the proxy's.
            Self::Overloaded { fault, .. } => *fault,
            Self::Unreachable { side, .. }
            | Self::Broken { side, .. }
            | Self::TimedOut { side, .. }
            | Self::Unreadable { side, .. }
            | Self::AnswerTooLong { side, .. }
            | Self::RecordUnavailable { side }
            | Self::CursorRefused { side }
            | Self::OutcomeUnknown { side, .. } => ResponsibleParty::Upstream(*side),
            // For want of a token the side was not asked.
            Self::DuplicateCheckFailed { side, source } => match source.auth_failure() {
                Some(auth) => auth.fault(),
                None => ResponsibleParty::Upstream(*side),
            },
            Self::AuthFailure(auth) => auth.fault(),
            Self::OverBudget { .. }
            | Self::Held { .. }
            | Self::Ledger(_)
            | Self::TooLate
            | Self::CursorOutOfReach { .. }
            | Self::Internal { .. } => ResponsibleParty::Proxy,
        }
    }

    /// The name in logs and metrics.
    #[must_use]
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "invalid",
            Self::BodyTooLong { .. } => "body-too-long",
            Self::BodyBroken(_) => "body-broken",
            Self::BodyEncoded => "body-encoded",
            Self::BodySlow => "body-slow",
            Self::NotFound { .. } => "not-found",
            Self::CannotBeCancelled { .. } => "cannot-be-cancelled",
            Self::UnroutedWrite => "unrouted-write",
            Self::TargetForm => "target-form",
            Self::Malformed => "malformed",
            Self::HeadTooLong => "head-too-long",
            Self::TargetTooLong => "target-too-long",
            Self::Overloaded { .. } => "overloaded",
            Self::OverBudget { .. } => "over-budget",
            Self::Held { .. } => "held",
            Self::TooManyDropped { .. } => "too-many-dropped",
            Self::CursorOutOfReach { .. } => "cursor-out-of-reach",
            Self::CursorRefused { .. } => "cursor-refused",
            Self::Unreachable { .. } => "unreachable",
            Self::Broken { .. } => "broken",
            Self::TimedOut { .. } => "timed-out",
            Self::Unreadable { .. } => "unreadable",
            Self::AnswerTooLong { .. } => "answer-too-long",
            Self::Ledger(_) => "ledger",
            Self::DuplicateCheckFailed { .. } => "duplicate-check-failed",
            Self::RecordUnavailable { .. } => "record-unavailable",
            Self::UnreadableReference => "unreadable-reference",
            Self::TooManyUnauthorized { .. } => "too-many-unauthorized",
            Self::ClaimedForLegacy { .. } => "claimed-for-legacy",
            Self::TooLate => "too-late",
            Self::OutcomeUnknown { .. } => "outcome-unknown",
            Self::AuthFailure(auth) => auth.name(),
            Self::Internal { .. } => "internal",
        }
    }

    #[must_use]
    pub(crate) const fn status(&self) -> u16 {
        match self {
            Self::Invalid(_)
            | Self::BodyBroken(_)
            | Self::TargetForm
            | Self::Malformed
            | Self::UnreadableReference
            | Self::TooManyDropped { .. } => 400,
            Self::CannotBeCancelled { .. } => 403,
            Self::NotFound { .. } | Self::UnroutedWrite => 404,
            Self::AuthFailure(auth) => auth.status(),
            Self::BodySlow => 408,
            Self::BodyTooLong { .. } => 413,
            Self::TargetTooLong => 414,
            Self::BodyEncoded => 415,
            Self::ClaimedForLegacy { .. } => 409,
            Self::OverBudget { .. } | Self::TooManyUnauthorized { .. } => 429,
            Self::HeadTooLong => 431,
            Self::Internal { .. } => 500,
            Self::Broken { .. } | Self::Unreadable { .. } | Self::AnswerTooLong { .. } => 502,
            Self::Held { .. }
            | Self::Overloaded { .. }
            | Self::Unreachable { .. }
            | Self::Ledger(_)
            | Self::DuplicateCheckFailed { .. }
            | Self::RecordUnavailable { .. }
            | Self::CursorOutOfReach { .. }
            | Self::CursorRefused { .. }
            | Self::TooLate => 503,
            Self::TimedOut { .. } | Self::OutcomeUnknown { .. } => 504,
        }
    }

    /// The `Retry-After` to answer, if there is one.
    #[must_use]
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Held { retry_after }
            | Self::OverBudget { retry_after }
            | Self::TooManyUnauthorized { retry_after }
            | Self::Overloaded { retry_after, .. } => Some(*retry_after),
            // The client waits for what kept the check from being made, such as the rate limit.
            Self::DuplicateCheckFailed { source, .. } => source.retry_after(),
            Self::RecordUnavailable { .. } => Some(RETRY_RECORD_AFTER),
            // Only where the retry goes on from what this request learned; otherwise it would end the same way.
            Self::CursorRefused { .. } => Some(RETRY_PAGE_AFTER),
            Self::CursorOutOfReach { goes_on, .. } => goes_on.then_some(RETRY_PAGE_AFTER),
            Self::Invalid(_)
            | Self::BodyTooLong { .. }
            | Self::BodyBroken(_)
            | Self::BodyEncoded
            | Self::BodySlow
            | Self::NotFound { .. }
            | Self::CannotBeCancelled { .. }
            | Self::UnroutedWrite
            | Self::TargetForm
            | Self::Malformed
            | Self::HeadTooLong
            | Self::TargetTooLong
            | Self::TooManyDropped { .. }
            | Self::Unreachable { .. }
            | Self::Broken { .. }
            | Self::TimedOut { .. }
            | Self::Unreadable { .. }
            | Self::AnswerTooLong { .. }
            | Self::Ledger(_)
            | Self::UnreadableReference
            | Self::ClaimedForLegacy { .. }
            | Self::TooLate
            | Self::OutcomeUnknown { .. }
            | Self::AuthFailure(_)
            | Self::Internal { .. } => None,
        }
    }

    /// Whether the vendor may have acted on the request. A create whose outcome is unknown must be looked up before anyone
    /// may say that nothing happened.
    #[must_use]
    pub(crate) const fn outcome(&self) -> SideEffect {
        match self {
            Self::Invalid(_)
            | Self::BodyTooLong { .. }
            | Self::BodyEncoded
            | Self::BodySlow
            | Self::NotFound { .. }
            | Self::CannotBeCancelled { .. }
            | Self::UnroutedWrite
            | Self::TargetForm
            | Self::Malformed
            | Self::HeadTooLong
            | Self::TargetTooLong
            | Self::Overloaded { .. }
            | Self::OverBudget { .. }
            | Self::Held { .. }
            | Self::TooManyDropped { .. }
            | Self::CursorOutOfReach { .. }
            | Self::CursorRefused { .. }
            | Self::Unreachable { .. }
            | Self::Ledger(_)
            | Self::DuplicateCheckFailed { .. }
            | Self::RecordUnavailable { .. }
            | Self::UnreadableReference
            | Self::TooManyUnauthorized { .. }
            | Self::ClaimedForLegacy { .. }
            | Self::TooLate => SideEffect::None,
            Self::AuthFailure(auth) => auth.outcome(),
            Self::Broken { effect, .. }
            | Self::TimedOut { effect, .. }
            | Self::Unreadable { effect, .. }
            | Self::AnswerTooLong { effect, .. }
            | Self::Internal { effect } => *effect,
            // Of a body that was being streamed, a part has reached the vendor.
            Self::BodyBroken(_) | Self::OutcomeUnknown { .. } => SideEffect::Unknown,
        }
    }

    /// The document for the client.
    #[must_use]
    pub(crate) fn problem(&self) -> Problem {
        let detail = match self {
            Self::Invalid(invalid) => invalid.to_string(),
            Self::BodyTooLong { max } => format!("the request body is longer than the {max} bytes that this route takes"),
            Self::BodyBroken(_) => "the request body stalled or broke off before its end".into(),
            Self::BodyEncoded => "the request body must not have a Content-Encoding; nothing was sent now".into(),
            Self::BodySlow => "the request body did not arrive in time; nothing was sent on".into(),
            Self::NotFound { id } => return get::not_found(id),
            Self::CannotBeCancelled { id } => return get::cannot_be_cancelled(id),
            Self::UnroutedWrite => "no such operation; check the path".into(),
            Self::TargetForm => "the request target must be a path".into(),
            Self::Malformed => "the head of the request is malformed or ambiguous; nothing was sent".into(),
            Self::HeadTooLong => "the head of the request is too long or has too many headers".into(),
            Self::TargetTooLong => "the request target is too long".into(),
            Self::Overloaded { .. } => "too much is in flight; nothing was sent; retry after Retry-After".into(),
            Self::OverBudget { .. } => OVER_BUDGET.into(),
            Self::Held { .. } => HELD.into(),
            Self::TooManyDropped { .. } => TOO_MANY_DROPPED.into(),
            Self::CursorOutOfReach { goes_on: false, .. } => CURSOR_OUT_OF_REACH.into(),
            Self::CursorOutOfReach { goes_on: true, .. } => CURSOR_NOT_REACHED_YET.into(),
            Self::CursorRefused { side } => cursor_refused(*side),
            Self::Unreachable { side, .. } => format!("the {} could not be reached; nothing was sent", api(*side)),
            Self::Broken { side, effect, .. } => upstream(*side, "broke off before its answer was complete", *effect),
            Self::TimedOut { side, effect, .. } => upstream(*side, "did not answer in time", *effect),
            Self::Unreadable { side, effect, .. } => upstream(*side, "answered something that cannot be read", *effect),
            Self::AnswerTooLong { side, max, effect, .. } => {
                upstream(*side, &format!("answered more than {max} bytes"), *effect)
            }
            Self::Ledger(_) => "the record of ref_ids cannot be used at the moment; nothing was sent; retry with the same ref_id".into(),
            Self::DuplicateCheckFailed { side, .. } => format!(
                "the {} could not be asked whether this ref_id was already used; nothing was sent; retry with the same ref_id",
                api(*side)
            ),
            Self::TooLate => "too little time was left; nothing was sent; retry with the same ref_id".into(),
            Self::RecordUnavailable { side } => format!(
                "a record that is known was not shown by the {}; this request changed nothing; retry it",
                api(*side)
            ),
            Self::TooManyUnauthorized { .. } => TOO_MANY_UNAUTHORIZED.into(),
            Self::ClaimedForLegacy { ref_id } => format!(
                "ref_id '{ref_id}' is in use on the Stablecoin Conversion API through this proxy; nothing was sent"
            ),
            Self::UnreadableReference => UNREADABLE_REFERENCE.into(),
            Self::OutcomeUnknown { side, ref_id, .. } => return problem::outcome_unknown(unconfirmed(*side), ref_id),
            Self::AuthFailure(auth) => return auth.problem(),
            Self::Internal { effect: SideEffect::None } => "the proxy failed; nothing was sent".into(),
            Self::Internal { effect: SideEffect::Unknown } => {
                "the proxy failed; whether the call took effect is not known".into()
            }
        };
        Problem::about_blank(self.status(), detail)
    }
}

const HELD: &str =
    "conversions are held for a moment; nothing was sent; retry with the same ref_id after Retry-After";
const TOO_MANY_DROPPED: &str =
    "too many other records match; narrow the filter, for example by created_at or profile_id";
const CURSOR_OUT_OF_REACH: &str = "too many records share the second of page_cursor to find its position in one request; \
     start the listing again, or have its limit of upstream calls raised";
const CURSOR_NOT_REACHED_YET: &str = "too many records share the second of page_cursor to find its position in one request; \
     send the request again after Retry-After, and it goes on from there";
const TOO_MANY_UNAUTHORIZED: &str =
    "too many creates from this address were answered 401; nothing was sent; retry after Retry-After";
const UNREADABLE_REFERENCE: &str =
    "the body can be read in more than one way and its ref_id belongs to the new API; nothing was sent now";
const OVER_BUDGET: &str = "too many requests of this kind at the moment; nothing was changed; retry after Retry-After, a create with the same ref_id";

fn upstream(side: Side, failed: &str, effect: SideEffect) -> String {
    format!("the {} {failed}; {}", api(side), consequence(effect))
}

fn cursor_refused(side: Side) -> String {
    format!(
        "the {} refused the cursor that it gave a moment ago; nothing was changed; send the request again after Retry-After",
        api(side)
    )
}

fn unconfirmed(side: Side) -> String {
    format!(
        "the {} did not confirm the conversion, which may have taken effect; retry with the same ref_id",
        api(side)
    )
}

const fn api(side: Side) -> &'static str {
    match side {
        Side::Legacy => "upstream of the legacy side",
        Side::New => "upstream of the new side",
    }
}

const fn consequence(effect: SideEffect) -> &'static str {
    match effect {
        SideEffect::None => "nothing was changed",
        SideEffect::Unknown => "the call may have taken effect",
    }
}
