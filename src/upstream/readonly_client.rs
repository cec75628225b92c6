//! A client that can only read, for background work with clients' credentials. It has no method that could write, and its own
//! connections and tokens, so that it shares nothing with the data path but the rate limit.

use std::future::ready;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderMap, Request, StatusCode, Uri, header};
use tokio::time::Instant;

use super::closed::is_dead_peer;
use super::health::{UpstreamHealth, UpstreamLane};
use super::rate_limit::{Budget, Endpoint, Permit};
use super::token::{Token, TokenCache, TokenError};
use super::trust::TrustError;
use super::whole_calls::{WholeCall, WholeCallError, WholeCalls};
use super::{SendError, UpstreamClient};
use crate::config::auth::CredentialSet;
use crate::config::{Config, Upstreams};
use crate::failure::error_chain::error_chain;
use crate::http::body::Payload;
use crate::http::decode::{Decoded, decode};
use crate::translate::side::Side;

/// A client that sends only `GET`.
#[derive(Debug)]
pub(crate) struct ReadonlyClient {
    calls: WholeCalls,
    tokens: TokenCache,
    /// Where the sides' state is reported, if at all.
    health: Option<UpstreamHealth>,
    /// Whether no client shares the budget.
    is_alone: bool,
}

#[derive(Debug)]
pub(crate) struct ReadRequest<'a> {
    pub(crate) uri: &'a Uri,
    pub(crate) side: Side,
    /// The endpoint that the call counts against.
    pub(crate) endpoint: Endpoint,
    /// The headers, with the client's credentials unless the proxy has its own.
    pub(crate) headers: HeaderMap,
    /// The proxy's own credentials to use in place of the client's.
    pub(crate) credential_set: Option<CredentialSet>,
    /// The config that holds these credentials.
    pub(crate) config: &'a Config,
    /// Upper bound of the answer's body, in bytes.
    pub(crate) max: usize,
    /// When the answer must be whole.
    pub(crate) until: Instant,
}

#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// How long the upstream asks to wait, within the limits of the budget.
    pub(crate) retry_after: Option<Duration>,
    pub(crate) body: Bytes,
}

/// Why a read has no whole answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// The rate limit has no turn for shadow now: nothing was sent.
    #[error("no budget")]
    OverBudget,
    /// No connection, no answer, or one that broke off.
    #[error("no answer")]
    NoAnswer(#[source] SendError),
    /// The proxy has no token of its own.
    #[error("no token")]
    NoToken(#[source] TokenError),
    /// The answer exceeds [`ReadRequest::max`].
    #[error("the answer is longer than {max} bytes")]
    TooLong { max: usize },
}

impl ReadonlyClient {
    /// A client for these settings that trusts whom `upstream` trusts, spends shadow's share of its rate limit, and reports whether the
    /// sides are reachable.
    ///
    /// # Errors
    /// When a certificate or a key cannot be read.
    pub(crate) fn new(settings: &Upstreams, upstream: &UpstreamClient) -> Result<Self, TrustError> {
        let (tls, budget) = (upstream.trust().tls()?, upstream.budget().clone());
        let calls = WholeCalls::new(settings, &tls, budget.clone());
        let tokens = TokenCache::new(WholeCalls::new(settings, &tls, budget), upstream.drift().clone(), None);
        Ok(Self { calls, tokens, health: Some(upstream.health().clone()), is_alone: false })
    }

    /// A client with a new connection for each call: on a reused HTTP/1.1 connection an answer could be another
    /// request's (RFC 9112, section 9.3.2). It spends the background share of `budget`, and reports nothing.
    ///
    /// # Errors
    /// As [`ReadonlyClient::new`].
    pub(crate) fn on_fresh_connections(
        settings: &Upstreams,
        upstream: &UpstreamClient,
        budget: Budget,
    ) -> Result<Self, TrustError> {
        let tls = upstream.trust().tls()?;
        let calls = WholeCalls::on_fresh_connections(settings, &tls, budget.clone());
        let tokens = TokenCache::new(WholeCalls::new(settings, &tls, budget), upstream.drift().clone(), None);
        Ok(Self { calls, tokens, health: None, is_alone: false })
    }

    /// In a process whose budget no client shares: a cool-down slows it down, and does not stop it.
    pub(crate) fn alone(self) -> Self {
        Self { is_alone: true, ..self }
    }

    pub(crate) const fn is_alone(&self) -> bool {
        self.is_alone
    }

    /// Sends one `GET`; after a 401 to the proxy's own token, a second one with a new token.
    ///
    /// # Errors
    /// When there is no whole answer.
    pub(crate) async fn get(&self, request: ReadRequest<'_>) -> Result<Read, ReadError> {
        let lane = UpstreamLane::Shadow(request.side);
        let read = self.authorized(request).await;
        match (&self.health, &read) {
            (Some(health), Ok(_) | Err(ReadError::TooLong { .. })) => health.answered(lane),
            (Some(health), Err(error)) if error.is_without_connection() => {
                health.failed(lane, error_chain(error));
            }
            (Some(_) | None, _) => {}
        }
        read
    }

    async fn authorized(&self, mut request: ReadRequest<'_>) -> Result<Read, ReadError> {
        let Some(credential_set) = request.credential_set else { return self.once(&request).await };
        let until = request.until.min(Instant::now() + request.config.auth.timeout);
        let token =
            self.tokens.token(credential_set, request.config, until).await.map_err(ReadError::NoToken)?;
        request.authorize(&token)?;
        let read = self.once(&request).await?;
        if read.status != StatusCode::UNAUTHORIZED {
            return Ok(read);
        }
        let token = self.tokens.replace(credential_set, request.config, &token, until).await;
        request.authorize(&token.map_err(ReadError::NoToken)?)?;
        self.once(&request).await
    }

    /// A turn for an attempt. Each takes its own, the second one after a 401 too.
    fn turn(&self, endpoint: Endpoint) -> Option<Permit> {
        let budget = self.calls.budget();
        if self.is_alone { budget.take_alone(endpoint) } else { budget.take_for_shadow(endpoint) }
    }

    async fn once(&self, wanted: &ReadRequest<'_>) -> Result<Read, ReadError> {
        let ReadRequest { endpoint, max, until, .. } = *wanted;
        let permit = self.turn(endpoint).ok_or(ReadError::OverBudget)?;
        let mut request = Request::new(Payload::empty());
        *request.uri_mut() = wanted.uri.clone();
        *request.headers_mut() = wanted.headers.clone();
        let again = || -> BoxFuture<'_, bool> { Box::pin(ready(self.turn(endpoint).is_some())) };
        let answer = self.calls.call(WholeCall { request, permit, max, until }, again).await;
        let (head, body) = answer?.into_parts();
        let body = match decode(&head.headers, &body, max) {
            Decoded::Plain | Decoded::Unreadable | Decoded::Unsupported => body,
            Decoded::Bytes(decoded) => decoded,
        };
        let retry_after = self.calls.budget().requested_wait(&head.headers);
        Ok(Read { status: head.status, headers: head.headers, retry_after, body })
    }
}

impl ReadError {
    /// Whether it shows that the side cannot be reached.
    fn is_without_connection(&self) -> bool {
        match self {
            Self::NoAnswer(SendError::NoAnswer(error)) => is_dead_peer(error.as_ref()),
            Self::NoAnswer(_) => true,
            // The side was not asked; the token endpoint has a state of its own.
            Self::NoToken(_) | Self::OverBudget | Self::TooLong { .. } => false,
        }
    }
}

impl From<WholeCallError> for ReadError {
    fn from(error: WholeCallError) -> Self {
        match error {
            WholeCallError::NoAnswer(error) => Self::NoAnswer(error),
            WholeCallError::TooLong { max } => Self::TooLong { max },
        }
    }
}

impl ReadRequest<'_> {
    fn authorize(&mut self, token: &Token) -> Result<(), ReadError> {
        let value = token.authorization().ok_or(ReadError::NoToken(TokenError::Unreadable))?;
        self.headers.insert(header::AUTHORIZATION, value);
        Ok(())
    }
}
