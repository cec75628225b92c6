//! Failures of credentials: the caller's, or the proxy's own.

use super::{BoxError, ResponsibleParty, SideEffect};
use crate::translate::problem::{self, Problem};
use crate::translate::side::Side;
use crate::translate::token::{LEGACY_READ, LEGACY_WRITE};

#[derive(Debug, thiserror::Error)]
pub(crate) enum AuthFailure {
    /// No configured caller matches the request's credentials.
    #[error("the caller is not known")]
    UnknownCaller,
    /// The caller lacks the permission for this request.
    #[error("the caller may not do this")]
    NotAllowed {
        /// `true`: it may read and tried to write; `false`: the reverse.
        reads: bool,
    },
    /// `TRACE`: its answer repeats the request (RFC 9110, section 9.3.8), and with it the proxy's own token.
    #[error("TRACE is not passed on with the proxy's own token")]
    Reflecting,
    /// A token request in a mode in which the proxy holds the credentials.
    #[error("there is no token route in this mode")]
    NoTokenRoute,
    /// No connection to the token endpoint, so the client's token request was not sent.
    #[error("the token endpoint cannot be reached")]
    TokenUnreachable(#[source] BoxError),
    /// The client's token request was sent and no whole answer came.
    #[error("the token endpoint broke off")]
    TokenBroken(#[source] BoxError),
    /// The client's token request was sent and no answer came within `auth.timeout`.
    #[error("the token endpoint did not answer in time")]
    TokenTimedOut(#[source] BoxError),
    /// The proxy has no token of its own, so the call was not sent.
    #[error("no token of the proxy's own for the {side} side")]
    NoToken {
        /// The side of the call.
        side: Side,
        /// Whose fault it is: the token endpoint's, or the proxy's own.
        fault: ResponsibleParty,
        /// The error of the token request.
        source: BoxError,
    },
    /// The side answered 401 to the proxy's own token and did not act on the call.
    #[error("the {side} side refused the proxy's own token")]
    OwnTokenRefused {
        /// The side of the call.
        side: Side,
    },
}

impl AuthFailure {
    pub(super) const fn fault(&self) -> ResponsibleParty {
        match self {
            Self::UnknownCaller | Self::NotAllowed { .. } | Self::Reflecting | Self::NoTokenRoute => {
                ResponsibleParty::Caller
            }
            Self::TokenUnreachable(_) | Self::TokenBroken(_) | Self::TokenTimedOut(_) => {
                ResponsibleParty::TokenEndpoint
            }
            Self::NoToken { fault, .. } => *fault,
            // The proxy's own credentials: no caller can mend them.
            Self::OwnTokenRefused { .. } => ResponsibleParty::Proxy,
        }
    }

    /// A token request moves no money, and a side that refuses a token does not act on the request.
    pub(super) const fn outcome(&self) -> SideEffect {
        match self {
            Self::UnknownCaller
            | Self::NotAllowed { .. }
            | Self::Reflecting
            | Self::NoTokenRoute
            | Self::TokenUnreachable(_)
            | Self::TokenBroken(_)
            | Self::TokenTimedOut(_)
            | Self::NoToken { .. }
            | Self::OwnTokenRefused { .. } => SideEffect::None,
        }
    }

    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::UnknownCaller => "unknown-caller",
            Self::NotAllowed { .. } => "not-allowed",
            Self::Reflecting => "reflecting",
            Self::NoTokenRoute => "no-token-route",
            Self::TokenUnreachable(_) => "token-unreachable",
            Self::TokenBroken(_) => "token-broken",
            Self::TokenTimedOut(_) => "token-timed-out",
            Self::NoToken { .. } => "no-token",
            Self::OwnTokenRefused { .. } => "own-token-refused",
        }
    }

    pub(super) const fn status(&self) -> u16 {
        match self {
            Self::UnknownCaller => 401,
            Self::NotAllowed { .. } => 403,
            Self::NoTokenRoute => 404,
            Self::Reflecting => 405,
            Self::TokenBroken(_) => 502,
            // 503 and not 401: the caller's own token is good, and it should retry.
            Self::TokenUnreachable(_) | Self::NoToken { .. } | Self::OwnTokenRefused { .. } => 503,
            Self::TokenTimedOut(_) => 504,
        }
    }

    pub(super) fn problem(&self) -> Problem {
        let detail = match self {
            Self::UnknownCaller => "access token is missing or invalid",
            Self::NotAllowed { reads } => {
                // In the words of the legacy API, so that a client handles it as it handles the vendor's.
                let (found, required) =
                    if *reads { (LEGACY_READ, LEGACY_WRITE) } else { (LEGACY_WRITE, LEGACY_READ) };
                return problem::insufficient_scopes(found, required);
            }
            Self::Reflecting => "TRACE is not passed on",
            Self::NoTokenRoute => {
                "tokens are not handed out here; use the credentials that the operator gave you"
            }
            Self::TokenUnreachable(_) => "the token endpoint could not be reached",
            Self::TokenBroken(_) => "the token endpoint broke off before its answer was complete",
            Self::TokenTimedOut(_) => "the token endpoint did not answer in time",
            Self::NoToken { .. } => {
                "the proxy has no token for the upstream at the moment; nothing was sent; retry, a create with the same ref_id"
            }
            Self::OwnTokenRefused { .. } => {
                "the upstream did not take the proxy's token; nothing was changed; retry, a create with the same ref_id"
            }
        };
        Problem::about_blank(self.status(), detail)
    }
}
