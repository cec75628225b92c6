//! The problem document of a failure. Each text says which side failed and whether the call may have taken effect; none holds
//! a value that the client did not send in its path.

use super::{Failure, SideEffect};
use crate::translate::get;
use crate::translate::problem::{self, Problem};
use crate::translate::side::Side;

impl Failure {
    /// The document for the client.
    #[must_use]
    pub(crate) fn problem(&self) -> Problem {
        let detail = match self {
            Self::Invalid(invalid) => invalid.to_string(),
            Self::BodyTooLong { max } => format!("the request body is longer than the {max} bytes that this route takes"),
            Self::BodyBroken(_) => "the request body ended before its end".into(),
            Self::BodyEncoded => "the request body must not have a Content-Encoding".into(),
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
            Self::Unreachable { side, .. } => format!("the {} could not be reached; nothing was sent", api(*side)),
            Self::Broken { side, effect, .. } => upstream(*side, "broke off before its answer was complete", *effect),
            Self::TimedOut { side, effect } => upstream(*side, "did not answer in time", *effect),
            Self::Unreadable { side, effect, .. } => upstream(*side, "answered something that cannot be read", *effect),
            Self::AnswerTooLong { side, max, effect } => {
                upstream(*side, &format!("answered more than {max} bytes"), *effect)
            }
            Self::Ledger(_) => "the record of ref_ids cannot be used at the moment; nothing was sent; retry with the same ref_id".into(),
            Self::DuplicateCheckFailed { side, .. } => format!(
                "the {} could not be asked whether this ref_id was already used; nothing was sent; retry with the same ref_id",
                api(*side)
            ),
            Self::TooLate => "too little time was left; nothing was sent; retry with the same ref_id".into(),
            Self::RecordUnavailable { side } => format!(
                "a conversion with this ref_id is known, and the {} did not show it now; nothing was sent; retry with the same ref_id",
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
const TOO_MANY_UNAUTHORIZED: &str =
    "too many creates from this address were answered 401; nothing was sent; retry after Retry-After";
const UNREADABLE_REFERENCE: &str =
    "the body can be read in more than one way and its ref_id belongs to the new API; nothing was sent now";
const OVER_BUDGET: &str = "too many requests of this kind at the moment; nothing was changed; retry after Retry-After, a create with the same ref_id";

fn upstream(side: Side, failed: &str, effect: SideEffect) -> String {
    format!("the {} {failed}; {}", api(side), consequence(effect))
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
