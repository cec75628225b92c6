//! The failures that have to do with credentials: a caller's, or the proxy's own.

use super::{Fault, Source};
use crate::translate::problem::{self, Problem};
use crate::translate::side::Side;
use crate::translate::token::{LEGACY_READ, LEGACY_WRITE};

/// Every way in which credentials can be the reason of a failure.
#[derive(Debug, thiserror::Error)]
pub enum AuthFailure {
    /// The caller did not prove who it is.
    #[error("the caller is not known")]
    UnknownCaller,
    /// The caller may do something else, not this.
    #[error("the caller may not do this")]
    NotAllowed {
        /// Whether it may read, or write; what it asked for is the other.
        reads: bool,
    },
    /// A method whose answer repeats the request, the proxy's own token included.
    #[error("TRACE is not passed on with the proxy's own token")]
    Reflecting,
    /// Tokens are not handed out here: the proxy holds the credentials.
    #[error("there is no token route in this mode")]
    NoTokenRoute,
    /// A client's token request did not leave the proxy.
    #[error("the token endpoint cannot be reached")]
    TokenUnreachable(#[source] Source),
    /// A client's token request left the proxy and no whole answer came.
    #[error("the token endpoint broke off")]
    TokenBroken(#[source] Source),
    /// A client's token request left the proxy and no answer came in time.
    #[error("the token endpoint did not answer in time")]
    TokenTimedOut,
    /// The proxy has no token of its own, so nothing was sent.
    #[error("no token of the proxy's own for the {side} side")]
    NoToken {
        /// Where it was needed.
        side: Side,
        /// Why there is none.
        source: Source,
    },
    /// A side did not take the proxy's own token, and has done nothing.
    #[error("the {side} side refused the proxy's own token")]
    OwnTokenRefused {
        /// Which upstream.
        side: Side,
    },
}

impl AuthFailure {
    pub(super) const fn fault(&self) -> Fault {
        match self {
            Self::UnknownCaller | Self::NotAllowed { .. } | Self::Reflecting | Self::NoTokenRoute => {
                Fault::Caller
            }
            Self::TokenUnreachable(_) | Self::TokenBroken(_) | Self::TokenTimedOut => Fault::TokenEndpoint,
            Self::NoToken { .. } | Self::OwnTokenRefused { .. } => Fault::Proxy,
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
            Self::TokenTimedOut => "token-timed-out",
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
            Self::TokenUnreachable(_) | Self::NoToken { .. } | Self::OwnTokenRefused { .. } => 503,
            Self::TokenTimedOut => 504,
        }
    }

    pub(super) fn problem(&self) -> Problem {
        let detail = match self {
            Self::UnknownCaller => "access token is missing or invalid",
            Self::NotAllowed { reads } => {
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
            Self::TokenTimedOut => "the token endpoint did not answer in time",
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
