//! Every way a request can fail. [`Failure`] is the enum; `classify` answers what follows from each: fault, status, retry, whether the
//! vendor may have acted, and the document for the client.
//!
//! An upstream's own refusal is an answer, not a failure: `translate` maps it.

mod auth;
pub(crate) mod call_error;
#[cfg(feature = "testing")]
pub mod catalogue;
mod classify;
pub(crate) mod error_chain;

use std::error::Error as StdError;
use std::time::Duration;

pub(crate) use self::auth::AuthFailure;
use crate::translate::invalid::Invalid;
use crate::translate::side::Side;

pub(crate) type BoxError = Box<dyn StdError + Send + Sync>;

/// Who has to act for the request to succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResponsibleParty {
    /// The client: its request cannot be served.
    Caller,
    /// One of the vendor's two APIs.
    Upstream(Side),
    TokenEndpoint,
    /// The proxy or its configuration.
    Proxy,
}

impl ResponsibleParty {
    #[must_use]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Upstream(side) => side.as_str(),
            Self::TokenEndpoint => "token-endpoint",
            Self::Proxy => "proxy",
        }
    }
}

/// Whether a failed request may have changed something at the vendor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SideEffect {
    /// Nothing left the proxy, or what left can only read, or the vendor refused it.
    None,
    /// A write left the proxy and may have taken effect. Money may have moved.
    Unknown,
}

/// Every way a request can fail.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The request breaks a rule of the legacy API.
    #[error("the request is invalid: {0}")]
    Invalid(Invalid),
    /// The request body exceeds `limits.request_body_max`.
    #[error("the request body is longer than {max} bytes")]
    BodyTooLong { max: usize },
    /// The request body broke off. A body that was being streamed has reached the upstream in part.
    #[error("the request body ended early")]
    BodyBroken(#[source] BoxError),
    /// The request body of a translated route is compressed.
    #[error("the request body has a Content-Encoding")]
    BodyEncoded,
    /// The request body did not arrive within the route's timeout.
    #[error("the request body did not arrive in time")]
    BodySlow,
    /// Every side that was asked answered that there is no such conversion.
    #[error("no such conversion")]
    NotFound { id: String },
    /// The new API has no cancel, and the record is there.
    #[error("a conversion on the new side cannot be cancelled")]
    CannotBeCancelled { id: String },
    /// A write under the conversions path that no route takes: passed through, it would be a create without a duplicate check.
    #[error("an unrouted write is not passed through")]
    UnroutedWrite,
    /// The request target has a form that only a forward proxy serves (RFC 9112, section 3.2).
    #[error("the request target is not a path")]
    TargetForm,
    /// The request head cannot be parsed, or does not say unambiguously where the request ends.
    #[error("the request's head is malformed or ambiguous")]
    Malformed,
    /// The request head has too many bytes or too many headers.
    #[error("the request's head is too long")]
    HeadTooLong,
    /// The request target has too many bytes.
    #[error("the request target is too long")]
    TargetTooLong,
    /// An in-flight limit is reached.
    #[error("too many requests are in flight")]
    Overloaded {
        /// [`ResponsibleParty::Caller`] for the limit of one client, else [`ResponsibleParty::Proxy`].
        fault: ResponsibleParty,
        retry_after: Duration,
    },
    /// The rate limit of an endpoint left no turn for the call in time.
    #[error("the rate budget is spent")]
    OverBudget { retry_after: Duration },
    /// An address had too many creates answered 401.
    #[error("too many unauthorized creates from one address")]
    TooManyUnauthorized { retry_after: Duration },
    /// A create on the new API's own path uses a reference that is claimed for the legacy side. Nothing was sent.
    #[error("the reference is claimed for the legacy side")]
    ClaimedForLegacy { ref_id: String },
    /// Creates are in mode `hold`.
    #[error("creates are held")]
    Held { retry_after: Duration },
    /// `list.upstream_calls_max` calls brought no row that may be shown.
    #[error("no conversion among the records of {calls} upstream calls")]
    TooManyDropped {
        /// How many calls were made.
        calls: usize,
    },
    /// `list.upstream_calls_max` calls brought only records of earlier pages, because the side's own cursor was of no use.
    #[error("{calls} upstream calls did not reach the position of the cursor")]
    CursorOutOfReach {
        /// How many calls were made.
        calls: usize,
        /// Whether a retry goes on from where they came.
        goes_on: bool,
    },
    /// A side refused a cursor of its own that it gave while this page was read, before a row of the page was known.
    #[error("the {side} side refused its own cursor")]
    CursorRefused {
        /// The side of the call.
        side: Side,
    },
    /// No connection to the side, so the call was not sent.
    #[error("the {side} side cannot be reached")]
    Unreachable {
        /// The side of the call.
        side: Side,
        source: BoxError,
    },
    /// The call was sent and no whole, usable answer came.
    #[error("the {side} side broke off")]
    Broken {
        /// The side of the call.
        side: Side,
        /// What the call may have changed.
        effect: SideEffect,
        /// The connection error, or why the answer is not usable.
        source: BoxError,
    },
    /// The call was sent and no answer came within the timeout.
    #[error("the {side} side did not answer in time")]
    TimedOut {
        /// The side of the call.
        side: Side,
        /// What the call may have changed.
        effect: SideEffect,
        source: BoxError,
    },
    /// The side answered a success that does not parse.
    #[error("the {side} side answered something unreadable")]
    Unreadable {
        /// The side of the call.
        side: Side,
        /// What the call may have changed.
        effect: SideEffect,
        source: BoxError,
    },
    /// The answer exceeds `limits.response_body_max`.
    #[error("the {side} side answered more than {max} bytes")]
    AnswerTooLong {
        /// The side of the call.
        side: Side,
        max: usize,
        /// What the call may have changed.
        effect: SideEffect,
        source: BoxError,
    },
    /// The ledger failed before the create was sent.
    #[error("the ledger cannot be used")]
    Ledger(#[source] BoxError),
    /// The duplicate check gave no proof, so the create was not sent.
    #[error("the duplicate check on the {side} side failed")]
    DuplicateCheckFailed {
        /// The side that was asked.
        side: Side,
        /// The failure of the lookup.
        source: Box<Self>,
    },
    /// The record is known, from the ledger or from an answer before, and the side that holds it did not show it now. Nothing was changed.
    #[error("a known record on the {side} side could not be read")]
    RecordUnavailable {
        /// The side of the record.
        side: Side,
    },
    /// The reference belongs to the new side, and the body can be read in more than one way. Nothing was sent.
    #[error("the reference cannot be read in one way only")]
    UnreadableReference,
    /// The create was not sent, because the time left would not suffice to learn its outcome.
    #[error("too little time was left to send")]
    TooLate,
    /// A create was sent, and lookups did not show what became of it.
    #[error("the outcome of a create on the {side} side is not known")]
    OutcomeUnknown {
        /// The side of the create.
        side: Side,
        /// The reference to retry with, also when the proxy made it.
        ref_id: String,
        /// The failure of the create call.
        source: Box<Self>,
    },
    /// Credentials are missing, wrong, or lack a permission.
    #[error(transparent)]
    AuthFailure(#[from] AuthFailure),
    /// A bug of the proxy.
    #[error("an internal error")]
    Internal {
        /// What the request may have changed before it met the bug.
        effect: SideEffect,
    },
}

impl From<Invalid> for Failure {
    fn from(invalid: Invalid) -> Self {
        Self::Invalid(invalid)
    }
}
