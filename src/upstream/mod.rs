//! The two sides behind one pooled client, the credentials that the proxy may have of its own (`token`, `held`), and what may be
//! spent of the vendor's rate limit ([`budget`]). What is sent and what an answer means is decided elsewhere.
//!
//! The client is hyper-util's: `docs/performance.md` has the measurement. It sends every request at most once: its own
//! resending of requests that a closed connection left unsent is switched off, it follows no redirects, and nothing here
//! loops.

mod authenticated;
mod connector;
pub(crate) mod cooldown;
mod counted_stream;
pub mod health;
pub mod rate_limit;
pub mod readonly_client;
mod token;

use std::error::Error as StdError;
use std::sync::Arc;

use http::uri::PathAndQuery;
use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::capture_connection;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::Instant;
use tracing::Instrument as _;

use self::connector::Connector;
use self::rate_limit::{Budget, Permit};
use self::token::Tokens;
use crate::config::auth::CredentialSet;
use crate::config::{Upstream, Upstreams};
use crate::failure::{AuthFailure, Failure, SideEffect};
use crate::http::body::Payload;
use crate::http::headers;
use crate::telemetry::metrics::family::Counters;
use crate::telemetry::spans;
use crate::translate::side::Side;

pub use self::connector::{TrustError, Uses};
pub use self::token::{TokenError, TokenFetchResult};

/// The client of the data path, the proxy's own tokens, and the rate budget. Clones share all of them.
#[derive(Clone, Debug)]
pub struct Client(Arc<Inner>);

/// Connections that are kept apart: what is slow or broken in one lane does not hold up another, and a stray answer stays in its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Creates and the lookups around them.
    Create,
    /// Gets, lists and cancels.
    Read,
    /// Everything that is passed through.
    PassThrough,
    /// A connection that is used once.
    Fresh,
}

impl Lane {
    const ALL: [Self; 4] = [Self::Create, Self::Read, Self::PassThrough, Self::Fresh];
}

/// A request and how it is to be sent.
pub struct Outgoing {
    /// The request.
    pub request: Request<Payload>,
    /// The connections that it may use.
    pub lane: Lane,
    /// The proxy's own credentials to send it with; `None`: as it is.
    pub credentials: Option<CredentialSet>,
    /// What it was paid for; `None`: it goes where nothing is counted.
    pub permit: Option<Permit>,
    /// Longest wait for a token.
    pub until: Instant,
}

#[derive(Debug)]
struct Inner {
    lanes: [legacy::Client<Connector, Payload>; Lane::ALL.len()],
    tokens: Tokens,
    budget: Budget,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// Name lookup, TCP or TLS failed, or the connection was gone before the first byte: nothing was sent.
    #[error("not sent")]
    NotSent(#[source] Box<dyn StdError + Send + Sync>),
    /// The request left, or may have; no answer came.
    #[error("no answer")]
    NoAnswer(#[source] Box<dyn StdError + Send + Sync>),
    /// The proxy has no token of its own to send it with: nothing was sent.
    #[error("no token to send with")]
    NoToken(#[source] Box<dyn StdError + Send + Sync>),
    /// The side did not take the proxy's own token: it has done nothing.
    #[error("the proxy's own token was refused")]
    TokenRefused,
}

impl SendError {
    /// What happened, in one word.
    const fn name(&self) -> &'static str {
        match self {
            Self::NotSent(_) => "not_sent",
            Self::NoAnswer(_) => "no_answer",
            Self::NoToken(_) => "no_token",
            Self::TokenRefused => "token_refused",
        }
    }

    /// What it means for a request to that side, whose call may have had that effect once it left.
    #[must_use]
    pub fn into_failure(self, side: Side, effect: SideEffect) -> Failure {
        match self {
            Self::NotSent(source) => Failure::Unreachable { side, source },
            Self::NoAnswer(source) => Failure::Broken { side, effect, source },
            Self::NoToken(source) => AuthFailure::NoToken { side, source }.into(),
            Self::TokenRefused => AuthFailure::OwnTokenRefused { side }.into(),
        }
    }
}

impl Client {
    /// A client for these settings.
    ///
    /// # Errors
    /// When the authorities to trust cannot be read.
    pub fn new(settings: &Upstreams) -> Result<Self, TrustError> {
        let connector = connector::build(settings)?;
        let budget = Budget::default();
        let tokens = Tokens::new(settings, connector::tls(settings)?, budget.clone())?;
        let lanes = Lane::ALL.map(|lane| {
            let idle_max = if lane == Lane::Fresh { 0 } else { settings.pool_idle_max };
            legacy::Client::builder(TokioExecutor::new())
                .pool_timer(TokioTimer::new())
                .timer(TokioTimer::new())
                .pool_idle_timeout(settings.pool_idle_timeout)
                .pool_max_idle_per_host(idle_max)
                .http1_preserve_header_case(true)
                .http2_adaptive_window(true)
                .retry_canceled_requests(false)
                .build(connector.clone())
        });
        Ok(Self(Arc::new(Inner { lanes, tokens, budget })))
    }

    fn tokens(&self) -> &Tokens {
        &self.0.tokens
    }

    /// What may be spent of the vendor's rate limit.
    #[must_use]
    pub fn budget(&self) -> &Budget {
        &self.0.budget
    }

    /// The proxy's own tokens: how often each was asked for, and with what result.
    #[must_use]
    pub fn tokens_asked(&self) -> &Counters<(CredentialSet, TokenFetchResult)> {
        self.tokens().asked()
    }

    /// Sends a request, once. `paid` is what it was paid for; `None` = it goes where nothing is counted.
    ///
    /// # Errors
    /// When no answer came; the error tells whether the request may have left.
    pub async fn send(
        &self,
        mut request: Request<Payload>,
        lane: Lane,
        paid: Option<Permit>,
    ) -> Result<Response<Incoming>, SendError> {
        let name = paid.as_ref().map_or("legacy pass_through", |paid| paid.endpoint().name());
        let span = spans::call(name, &mut request);
        let answer = self.send_within(request, lane, paid).instrument(span.clone()).await;
        spans::end_call(&span, answer.as_ref(), SendError::name);
        answer
    }

    async fn send_within(
        &self,
        mut request: Request<Payload>,
        lane: Lane,
        paid: Option<Permit>,
    ) -> Result<Response<Incoming>, SendError> {
        let connection = capture_connection(&mut request);
        let answer = self.0.lanes[lane as usize].request(request).await.map_err(|error| {
            // hyper says "canceled" only of a request that it hands back unsent.
            let unsent = error.is_connect()
                || error
                    .source()
                    .and_then(|source| source.downcast_ref::<hyper::Error>())
                    .is_some_and(hyper::Error::is_canceled);
            if unsent { SendError::NotSent(error.into()) } else { SendError::NoAnswer(error.into()) }
        })?;
        // hyper reads it in one way; whoever is behind the proxy might read it in the other, and where the next answer on this
        // connection begins is not known either.
        if !headers::has_one_length(answer.headers()) {
            if let Some(connected) = &*connection.connection_metadata() {
                connected.poison();
            }
            return Err(SendError::NoAnswer("the answer says in two ways how long it is".into()));
        }
        self.budget().answered(paid.map(|paid| paid.endpoint()), answer.status(), answer.headers());
        Ok(answer)
    }
}

/// Where a client's path lies at an upstream: under the upstream's own prefix instead of `base_path`; a path outside
/// `base_path` stays as it is. Byte for byte the same when prefix and `base_path` are equal.
#[must_use]
pub fn target(upstream: &Upstream, base_path: &str, asked: &Uri) -> Uri {
    let whole = asked.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    let rest =
        whole.as_str().strip_prefix(base_path).filter(|rest| rest.is_empty() || rest.starts_with(['/', '?']));
    let moved = match rest {
        Some(rest) if upstream.path_prefix != base_path => {
            let slash = if upstream.path_prefix.is_empty() && !rest.starts_with('/') { "/" } else { "" };
            PathAndQuery::try_from(format!("{}{slash}{rest}", upstream.path_prefix)).unwrap_or(whole)
        }
        _ => whole,
    };
    at(upstream, moved)
}

/// A path of the proxy's own making, under the upstream's prefix. `path` starts with a slash and is well-formed.
#[must_use]
pub fn call(upstream: &Upstream, path: &str) -> Option<Uri> {
    let path = PathAndQuery::try_from(format!("{}{path}", upstream.path_prefix)).ok()?;
    Some(at(upstream, path))
}

/// The upstream's one path, with a client's query.
#[must_use]
pub fn endpoint(upstream: &Upstream, query: Option<&str>) -> Uri {
    let path = if upstream.path_prefix.is_empty() { "/" } else { &upstream.path_prefix };
    let whole = query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
    // Both come from urls that were read.
    at(upstream, PathAndQuery::try_from(whole).unwrap_or_else(|_| PathAndQuery::from_static("/")))
}

fn at(upstream: &Upstream, path: PathAndQuery) -> Uri {
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(upstream.scheme.clone());
    parts.authority = Some(upstream.authority.clone());
    parts.path_and_query = Some(path);
    // Scheme, authority and path together are always a whole URI.
    Uri::from_parts(parts).unwrap_or_default()
}
