//! What follows from a failure. Every match is exhaustive, so that the compiler asks whoever adds a failure whether money may
//! have moved.

use std::time::Duration;

use super::{Failure, Fault, SideEffect};

/// When a record that a side did not show is worth another look: about the time that lists and reads lag.
const RETRY_RECORD_AFTER: Duration = Duration::from_secs(1);

impl Failure {
    /// Who has to act for the request to succeed.
    #[must_use]
    pub(crate) const fn fault(&self) -> Fault {
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
            | Self::TooManyDropped { .. } => Fault::Caller,
            Self::Overloaded { fault, .. } => *fault,
            Self::Unreachable { side, .. }
            | Self::Broken { side, .. }
            | Self::TimedOut { side, .. }
            | Self::Unreadable { side, .. }
            | Self::AnswerTooLong { side, .. }
            | Self::DuplicateCheckFailed { side, .. }
            | Self::RecordUnavailable { side }
            | Self::OutcomeUnknown { side, .. } => Fault::Upstream(*side),
            Self::AuthFailure(auth) => auth.fault(),
            Self::OverBudget { .. }
            | Self::Held { .. }
            | Self::Ledger(_)
            | Self::TooLate
            | Self::Internal { .. } => Fault::Proxy,
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
            Self::DuplicateCheckFailed { source, .. } => source.retry_after(),
            Self::RecordUnavailable { .. } => Some(RETRY_RECORD_AFTER),
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
            Self::BodyBroken(_) | Self::OutcomeUnknown { .. } => SideEffect::Unknown,
        }
    }
}
