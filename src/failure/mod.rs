//! Every way a request can fail: whose fault it is, which status follows, and the problem document that says so.
//!
//! An upstream's own refusal is not a failure: it is an answer, and is translated like one.

mod credentials;

use std::error::Error as StdError;
use std::time::Duration;

pub use self::credentials::AuthFailure;
use crate::translate::get;
use crate::translate::invalid::Invalid;
use crate::translate::orchestration::Unreadable;
use crate::translate::problem::{self, Problem};
use crate::translate::side::Side;

type Source = Box<dyn StdError + Send + Sync>;

/// Whose fault a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The client asked for something that cannot be.
    Caller,
    /// An upstream did not do its part.
    Upstream(Side),
    /// The vendor's token endpoint did not do its part.
    TokenEndpoint,
    /// The proxy itself, or how it is configured.
    Proxy,
}

impl Fault {
    /// The name used in logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Upstream(side) => side.as_str(),
            Self::TokenEndpoint => "token-endpoint",
            Self::Proxy => "proxy",
        }
    }
}

/// Whether a call that failed may have changed something upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SideEffect {
    /// Nothing was sent, or what was sent only reads.
    None,
    /// It may have taken effect; nobody knows.
    Unknown,
}

/// Every way a request can fail.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The request breaks a rule of the old API.
    #[error("the request is invalid: {0}")]
    Invalid(Invalid),
    /// The request's body is longer than a translated route takes.
    #[error("the request body is longer than {max} bytes")]
    BodyTooLong {
        /// The most that is taken, in bytes.
        max: usize,
    },
    /// The request's body ended before its end.
    #[error("the request body ended early")]
    BodyBroken(#[source] Source),
    /// The request's body is compressed.
    #[error("the request body has a Content-Encoding")]
    BodyEncoded,
    /// The request's body did not arrive within the route's time.
    #[error("the request body did not arrive in time")]
    BodySlow,
    /// No such conversion, said by every side that was asked.
    #[error("no such conversion")]
    NotFound {
        /// The id that was asked for.
        id: String,
    },
    /// A record of the new side cannot be cancelled.
    #[error("a conversion on the new side cannot be cancelled")]
    CannotBeCancelled {
        /// The id that was asked for.
        id: String,
    },
    /// A write under the family's paths that is none of the four routes.
    #[error("a write beside the routes is not passed through")]
    UnroutedWrite,
    /// The target is in a form that a reverse proxy does not serve.
    #[error("the request target is not a path")]
    TargetForm,
    /// The head cannot be read, or leaves open where its request ends.
    #[error("the request's head is malformed or ambiguous")]
    Malformed,
    /// The head is longer, or has more headers, than is taken.
    #[error("the request's head is too long")]
    HeadTooLong,
    /// The target is longer than any server takes.
    #[error("the request target is too long")]
    TargetTooLong,
    /// So many requests are in flight that this one was not begun.
    #[error("too many requests are in flight")]
    Overloaded {
        /// The caller's when the cap is its own, else ours.
        whose: Fault,
        /// When to come back.
        retry_after: Duration,
    },
    /// The rate budget of the endpoint is spent, so the call was not sent.
    #[error("the rate budget is spent")]
    OverBudget {
        /// When to come back.
        retry_after: Duration,
    },
    /// Creates are held.
    #[error("creates are held")]
    Held {
        /// When to come back.
        retry_after: Duration,
    },
    /// The page holds nothing though much was read for it.
    #[error("no conversion among the records of {calls} upstream calls")]
    TooManyDropped {
        /// How many calls were made.
        calls: usize,
    },
    /// The call did not leave the proxy.
    #[error("the {side} side cannot be reached")]
    Unreachable {
        /// Which upstream.
        side: Side,
        /// What the network said.
        source: Source,
    },
    /// The call left the proxy and no whole answer came.
    #[error("the {side} side broke off")]
    Broken {
        /// Which upstream.
        side: Side,
        /// Whether it may have changed something.
        effect: SideEffect,
        /// What the network said.
        source: Source,
    },
    /// The call left the proxy and no answer came in time.
    #[error("the {side} side did not answer in time")]
    TimedOut {
        /// Which upstream.
        side: Side,
        /// Whether it may have changed something.
        effect: SideEffect,
    },
    /// A successful answer that cannot be what it should be.
    #[error("the {side} side answered something unreadable")]
    Unreadable {
        /// Which upstream.
        side: Side,
        /// Whether it may have changed something.
        effect: SideEffect,
        /// What is wrong with it.
        source: Unreadable,
    },
    /// An answer that is longer than is read for translation.
    #[error("the {side} side answered more than {max} bytes")]
    AnswerTooLong {
        /// Which upstream.
        side: Side,
        /// The most that is read, in bytes.
        max: usize,
        /// Whether it may have changed something.
        effect: SideEffect,
    },
    /// The ledger did not do its part, so nothing may be sent.
    #[error("the ledger cannot be used")]
    Ledger(#[source] Source),
    /// Whether the reference was used on the other side cannot be told, so nothing may be sent.
    #[error("could not look for the reference on the {side} side")]
    CouldNotLook {
        /// The side that was asked.
        side: Side,
        /// How that failed.
        source: Box<Self>,
    },
    /// So much time had gone before the create could be sent that its outcome could not have been waited for.
    #[error("too little time was left to send")]
    TooLate,
    /// A create left the proxy, and what became of it could not be found out.
    #[error("the outcome of a create on the {side} side is not known")]
    OutcomeUnknown {
        /// Which upstream.
        side: Side,
        /// What happened to the call.
        source: Box<Self>,
    },
    /// Credentials are missing, unknown, or do not suffice.
    #[error(transparent)]
    AuthFailure(#[from] AuthFailure),
    /// A bug of the proxy, contained.
    #[error("an internal error")]
    Internal,
}

impl From<Invalid> for Failure {
    fn from(invalid: Invalid) -> Self {
        Self::Invalid(invalid)
    }
}

impl Failure {
    /// Whose fault it is.
    #[must_use]
    pub const fn fault(&self) -> Fault {
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
            | Self::TooManyDropped { .. } => Fault::Caller,
            Self::Overloaded { whose, .. } => *whose,
            Self::Unreachable { side, .. }
            | Self::Broken { side, .. }
            | Self::TimedOut { side, .. }
            | Self::Unreadable { side, .. }
            | Self::AnswerTooLong { side, .. }
            | Self::CouldNotLook { side, .. }
            | Self::OutcomeUnknown { side, .. } => Fault::Upstream(*side),
            Self::AuthFailure(denied) => denied.fault(),
            Self::OverBudget { .. }
            | Self::Held { .. }
            | Self::Ledger(_)
            | Self::TooLate
            | Self::Internal => Fault::Proxy,
        }
    }

    /// The name used in logs.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "invalid",
            Self::BodyTooLong { .. } => "body-too-long",
            Self::BodyBroken(_) => "body-broken",
            Self::BodyEncoded => "body-encoded",
            Self::BodySlow => "body-slow",
            Self::NotFound { .. } => "not-found",
            Self::CannotBeCancelled { .. } => "cannot-be-cancelled",
            Self::UnroutedWrite => "lookalike",
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
            Self::CouldNotLook { .. } => "could-not-look",
            Self::TooLate => "too-late",
            Self::OutcomeUnknown { .. } => "outcome-unknown",
            Self::AuthFailure(denied) => denied.name(),
            Self::Internal => "internal",
        }
    }

    /// The HTTP status.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::Invalid(_)
            | Self::BodyBroken(_)
            | Self::TargetForm
            | Self::Malformed
            | Self::TooManyDropped { .. } => 400,
            Self::CannotBeCancelled { .. } => 403,
            Self::NotFound { .. } | Self::UnroutedWrite => 404,
            Self::AuthFailure(denied) => denied.status(),
            Self::BodySlow => 408,
            Self::BodyTooLong { .. } => 413,
            Self::TargetTooLong => 414,
            Self::BodyEncoded => 415,
            Self::OverBudget { .. } => 429,
            Self::HeadTooLong => 431,
            Self::Internal => 500,
            Self::Broken { .. } | Self::Unreadable { .. } | Self::AnswerTooLong { .. } => 502,
            Self::Held { .. }
            | Self::Overloaded { .. }
            | Self::Unreachable { .. }
            | Self::Ledger(_)
            | Self::CouldNotLook { .. }
            | Self::TooLate => 503,
            Self::TimedOut { .. } | Self::OutcomeUnknown { .. } => 504,
        }
    }

    /// When to come back, where that is known.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Held { retry_after }
            | Self::OverBudget { retry_after }
            | Self::Overloaded { retry_after, .. } => Some(*retry_after),
            Self::CouldNotLook { source, .. } => source.retry_after(),
            _ => None,
        }
    }

    /// The document for the client. It says which side failed and whether the call may have taken effect; it holds no
    /// value that the client did not send in the path.
    #[must_use]
    pub fn problem(&self) -> Problem {
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
            Self::Held { .. } => {
                "conversions are held for a moment; nothing was sent; retry with the same ref_id after Retry-After".into()
            }
            Self::TooManyDropped { .. } => {
                "too many other records match; narrow the filter, for example by created_at or profile_id".into()
            }
            Self::Unreachable { side, .. } => format!("the {} could not be reached; nothing was sent", api(*side)),
            Self::Broken { side, effect, .. } => {
                format!("the {} broke off before its answer was complete; {}", api(*side), consequence(*effect))
            }
            Self::TimedOut { side, effect } => {
                format!("the {} did not answer in time; {}", api(*side), consequence(*effect))
            }
            Self::Unreadable { side, effect, .. } => {
                format!("the {} answered something that cannot be read; {}", api(*side), consequence(*effect))
            }
            Self::AnswerTooLong { side, max, effect } => {
                format!("the {} answered more than {max} bytes; {}", api(*side), consequence(*effect))
            }
            Self::Ledger(_) => "the record of ref_ids cannot be used at the moment; nothing was sent; retry with the same ref_id".into(),
            Self::CouldNotLook { side, .. } => format!(
                "the {} could not be asked whether this ref_id was already used; nothing was sent; retry with the same ref_id",
                api(*side)
            ),
            Self::TooLate => "too little time was left; nothing was sent; retry with the same ref_id".into(),
            Self::OutcomeUnknown { side, .. } => {
                return problem::outcome_unknown(format!(
                    "the {} did not confirm the conversion, which may have taken effect; retry with the same ref_id",
                    api(*side)
                ));
            }
            Self::AuthFailure(denied) => return denied.problem(),
            Self::Internal => "the proxy failed; whether the call took effect is not known".into(),
        };
        Problem::about_blank(self.status(), detail)
    }
}

const OVER_BUDGET: &str = "too many requests of this kind at the moment; nothing was changed; retry after Retry-After, a create with the same ref_id";

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
