//! Calls to the vendor: the pooled client of both sides, the read-only client of the background work, the proxy's own
//! credentials (`token`, `authenticated`) and the rate limit ([`rate_limit`]). `translate` and `routes` decide what to send and
//! what an answer means.
//!
//! Every call is hyper-util's client's, over the project's connector; `docs/performance.md` has the measurement. It sends each write at most
//! once: hyper-util's resending of requests that a closed connection left unsent is off, it follows no redirects, and `exchange` repeats
//! nothing but reads and requests for tokens.

mod answer_in_progress;
mod answer_wait;
mod authenticated;
mod call_in_progress;
pub(crate) mod closed;
mod connector;
pub(crate) mod cooldown;
mod counted_stream;
mod exchange;
pub(crate) mod health;
mod http1_hosts;
mod lane_pool;
mod peer_streams;
pub mod rate_limit;
pub(crate) mod readonly_client;
mod stream_denials;
mod token;
mod trust;
mod whole_calls;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::uri::PathAndQuery;
use http::{Extensions, Request, Response, Uri};
use hyper::body::Incoming;
use tokio::time::Instant;
use tracing::Instrument as _;

use self::exchange::Repeat;
use self::health::UpstreamHealth;
use self::lane_pool::{LanePool, Reuse};
use self::rate_limit::{Budget, Permit};
use self::token::{TokenCache, TokenError};
use self::whole_calls::WholeCalls;
use crate::config::auth::CredentialSet;
use crate::config::{Config, Upstream, Upstreams};
use crate::failure::call_error::{CallError, CallPhase};
use crate::failure::{AuthFailure, BoxError, Failure, SideEffect};
use crate::http::body::Payload;
use crate::telemetry::drift::DriftLog;
use crate::telemetry::metrics::family::Counters;
use crate::telemetry::spans;
use crate::translate::side::Side;

pub(crate) use self::answer_in_progress::AnswerInProgress;
pub(crate) use self::answer_wait::AnswerWait;
use self::call_in_progress::peer;
pub(crate) use self::token::TokenFetchResult;
pub(crate) use self::trust::Trust;
pub use self::trust::TrustError;

/// The client of the data path, with the proxy's own tokens and the rate limit. Clones share all of them.
#[derive(Clone, Debug)]
pub struct UpstreamClient(Arc<Inner>);

/// Connection pools that share no connection: a slow or broken upstream call holds up only its own pool, and a stray answer on an
/// HTTP/1.1 connection stays in its own pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Creates and the lookups around them.
    Create,
    Read,
    PassThrough,
    /// A connection that is used once.
    Fresh,
}

/// Maximum number of header lines of an answer on HTTP/1.1; a vendor's edge may add many.
const HEADERS_MAX: usize = 256;

impl Lane {
    /// The name in metrics, logs and `/readyz`.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Read => "read",
            Self::PassThrough => "pass_through",
            Self::Fresh => "fresh",
        }
    }
}

/// A request and how to send it.
pub(crate) struct Outgoing {
    pub(crate) request: Request<Payload>,
    pub(crate) lane: Lane,
    /// The proxy's own credentials to send it with; `None`: the request as it is.
    pub(crate) credentials: Option<CredentialSet>,
    /// Its turn under the rate limit; `None` for a path that the vendor does not count.
    pub(crate) permit: Option<Permit>,
    /// The deadline of the wait for a token.
    pub(crate) until: Instant,
    pub(crate) answer: AnswerWait,
}

#[derive(Debug)]
struct Inner {
    /// By [`Lane`].
    lanes: [LanePool; 4],
    tokens: TokenCache,
    budget: Budget,
    trust: Trust,
    drift: Arc<DriftLog>,
    health: UpstreamHealth,
}

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    /// DNS, TCP or TLS failed, or the connection closed before the first byte: nothing was sent.
    #[error("not sent")]
    NotSent(#[source] BoxError),
    /// The request was sent at least in part, and no answer came.
    #[error("no answer")]
    NoAnswer(#[source] BoxError),
    /// The request was sent at least in part, and no answer came in time.
    #[error("no answer in time")]
    TimedOut(#[source] BoxError),
    /// The proxy has no token of its own: nothing was sent.
    #[error("no token to send with")]
    NoToken(#[source] TokenError),
    /// The side answered 401 to the proxy's own token, so it did not act on the request.
    #[error("the proxy's own token was refused")]
    TokenRefused,
}

impl SendError {
    const fn name(&self) -> &'static str {
        match self {
            Self::NotSent(_) => "not_sent",
            Self::NoAnswer(_) => "no_answer",
            Self::TimedOut(_) => "timed_out",
            Self::NoToken(_) => "no_token",
            Self::TokenRefused => "token_refused",
        }
    }

    /// The failure of a request to `side`, which may have had `effect` if it was sent.
    #[must_use]
    pub(crate) fn into_failure(self, side: Side, effect: SideEffect) -> Failure {
        match self {
            Self::NotSent(source) => Failure::Unreachable { side, source },
            Self::NoAnswer(source) => Failure::Broken { side, effect, source },
            Self::TimedOut(source) => Failure::TimedOut { side, effect, source },
            Self::NoToken(error) => {
                AuthFailure::NoToken { side, fault: error.fault(), source: error.into() }.into()
            }
            Self::TokenRefused => AuthFailure::OwnTokenRefused { side }.into(),
        }
    }
}

impl UpstreamClient {
    /// A client for these settings.
    ///
    /// # Errors
    /// When a certificate or a key cannot be read.
    pub fn new(settings: &Upstreams) -> Result<Self, TrustError> {
        let budget = Budget::default();
        let trust = Trust::load(settings)?;
        let tls = trust.tls()?;
        let drift: Arc<DriftLog> = Arc::default();
        let health = UpstreamHealth::default();
        let calls = WholeCalls::new(settings, &tls, budget.clone());
        let tokens = TokenCache::new(calls, Arc::clone(&drift), Some(health.clone()));
        let fresh = LanePool::new(Reuse::Never, settings, tls.clone());
        let [create, read, pass_through] = [Reuse::Usual, Reuse::Usual, Reuse::AnswersLate]
            .map(|reuse| LanePool::new(reuse, settings, tls.clone()).repeating_on(&fresh));
        let lanes = [create, read, pass_through, fresh];
        Ok(Self(Arc::new(Inner { lanes, tokens, budget, trust, drift, health })))
    }

    /// The authorities and the identity of all connections to upstreams.
    pub(crate) fn trust(&self) -> &Trust {
        &self.0.trust
    }

    fn tokens(&self) -> &TokenCache {
        &self.0.tokens
    }

    /// What readers of the sides' answers do not know.
    pub(crate) fn drift(&self) -> &Arc<DriftLog> {
        &self.0.drift
    }

    /// Whether the upstreams are reachable.
    pub(crate) fn health(&self) -> &UpstreamHealth {
        &self.0.health
    }

    /// The rate limit of this process.
    #[must_use]
    pub fn budget(&self) -> &Budget {
        &self.0.budget
    }

    /// The scopes granted with the proxy's own token: `None` without a token, and then where its answer named none.
    pub(crate) fn granted_scopes(&self, credential_set: CredentialSet) -> Option<Option<String>> {
        self.tokens().granted_scopes(credential_set)
    }

    /// Whether a valid token of the proxy's own is at hand.
    pub(crate) fn has_token(&self, credential_set: CredentialSet, config: &Config) -> bool {
        self.tokens().is_valid(credential_set, config)
    }

    /// Requests for the proxy's own tokens, by credential set and result.
    #[must_use]
    pub(crate) fn token_fetches(&self) -> &Counters<(CredentialSet, TokenFetchResult)> {
        self.tokens().fetches()
    }

    /// Sends a request. `permit` is its turn under the rate limit; `None` for a path that the vendor does not count. A read whose connection
    /// ended before the first byte of an answer is sent once more, on a new connection and with another turn; a write never is. Once
    /// `wait` is over the connection takes no further request.
    ///
    /// # Errors
    /// When no answer came; the error says whether the request may have been sent.
    pub(crate) async fn send(
        &self,
        mut request: Request<Payload>,
        lane: Lane,
        permit: Option<Permit>,
        wait: &AnswerWait,
    ) -> Result<Response<Incoming>, SendError> {
        let name = permit.as_ref().map_or("legacy pass_through", |permit| permit.endpoint().name());
        let span = spans::call(name, &mut request);
        let cost = permit.as_ref().map(Permit::cost);
        let turn = || -> BoxFuture<'_, bool> {
            Box::pin(async move {
                match cost {
                    Some(cost) => self.budget().take(cost, wait.turn_until()).await.is_ok(),
                    None => true,
                }
            })
        };
        let fresh = &self.0.lanes[Lane::Fresh as usize];
        let repeat = exchange::repeatable(&request).map(|request| Repeat { request, fresh, turn });
        let sending = self.0.lanes[lane as usize].send(request, repeat, wait);
        let answer = sending.instrument(span.clone()).await;
        spans::end_call(&span, answer.as_ref(), SendError::name);
        let answer = answer?;
        self.budget().answered(permit.map(|permit| permit.endpoint()), answer.status(), answer.headers());
        Ok(answer)
    }
}

/// A client's target at an upstream: `base_path` is replaced by the upstream's own prefix, and a path outside `base_path` stays
/// as it is. When prefix and `base_path` are equal, the target keeps every byte.
#[must_use]
pub(crate) fn target(upstream: &Upstream, base_path: &str, requested: &Uri) -> Uri {
    let whole = requested.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
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

/// A path that the proxy made, under the upstream's prefix. `path` starts with a slash. `None` when it is not a valid path.
#[must_use]
pub(crate) fn call(upstream: &Upstream, path: &str) -> Option<Uri> {
    let path = PathAndQuery::try_from(format!("{}{path}", upstream.path_prefix)).ok()?;
    Some(at(upstream, path))
}

/// The URL of an upstream that is a single endpoint, with a client's query.
#[must_use]
pub(crate) fn endpoint(upstream: &Upstream, query: Option<&str>) -> Uri {
    let path = if upstream.path_prefix.is_empty() { "/" } else { &upstream.path_prefix };
    let whole = query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
    // Cannot fail: both parts come from parsed URLs.
    at(upstream, PathAndQuery::try_from(whole).unwrap_or_else(|_| PathAndQuery::from_static("/")))
}

/// The failure of a call whose answer has these extensions.
pub(crate) fn call_error(
    phase: CallPhase,
    extensions: &Extensions,
    elapsed: Duration,
    source: BoxError,
) -> BoxError {
    let peer = peer(extensions).unwrap_or_default();
    CallError { phase, peer, elapsed, source }.into()
}

fn at(upstream: &Upstream, path: PathAndQuery) -> Uri {
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(upstream.scheme.clone());
    parts.authority = Some(upstream.authority.clone());
    parts.path_and_query = Some(path);
    // Cannot fail: scheme, authority and path make a complete URI.
    Uri::from_parts(parts).unwrap_or_default()
}
