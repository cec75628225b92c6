//! A client that can only read, for background work with clients' credentials. It has no method that could write, and its own
//! connections and tokens, so that it shares nothing with the data path but the rate limit.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode, Uri, header};
use tokio::time::Instant;

use super::rate_limit::{Budget, Endpoint};
use super::token::{Token, TokenCache, TokenError};
use super::trust::{Trust, TrustError};
use crate::config::auth::CredentialSet;
use crate::config::{Config, Upstreams};
use crate::http::decode::{Decoded, decode};
use crate::telemetry::drift::DriftLog;

/// A client that sends only `GET`.
#[derive(Debug)]
pub(crate) struct ReadonlyClient {
    http: reqwest::Client,
    tokens: TokenCache,
    budget: Budget,
    /// Whether no client shares the budget.
    is_alone: bool,
}

#[derive(Debug)]
pub(crate) struct ReadRequest<'a> {
    pub(crate) uri: &'a Uri,
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
    NoAnswer(#[source] reqwest::Error),
    /// The proxy has no token of its own.
    #[error("no token")]
    NoToken(#[source] TokenError),
    /// The answer exceeds [`ReadRequest::max`].
    #[error("the answer is longer than {max} bytes")]
    TooLong { max: usize },
}

/// Without the URL, which holds references, ids and cursors.
fn no_answer(error: reqwest::Error) -> ReadError {
    ReadError::NoAnswer(error.without_url())
}

/// Why the client cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum ReadonlyClientError {
    /// A certificate or a key cannot be read.
    #[error(transparent)]
    Trust(#[from] TrustError),
    #[error("the reading client: {0}")]
    Client(#[from] reqwest::Error),
}

impl ReadonlyClient {
    /// A client for these settings that spends shadow's share of the rate limit.
    ///
    /// # Errors
    /// When a certificate or a key cannot be read.
    pub(crate) fn new(
        settings: &Upstreams,
        trust: &Trust,
        budget: Budget,
        drift: &Arc<DriftLog>,
    ) -> Result<Self, ReadonlyClientError> {
        Self::with_idle(settings, trust, (budget, drift), settings.pool_idle_max)
    }

    /// As [`ReadonlyClient::new`], with a new connection for each call: on a reused HTTP/1.1 connection an answer could be another
    /// request's (RFC 9112, section 9.3.2).
    ///
    /// # Errors
    /// As [`ReadonlyClient::new`].
    pub(crate) fn on_fresh_connections(
        settings: &Upstreams,
        trust: &Trust,
        budget: Budget,
        drift: &Arc<DriftLog>,
    ) -> Result<Self, ReadonlyClientError> {
        Self::with_idle(settings, trust, (budget, drift), 0)
    }

    fn with_idle(
        settings: &Upstreams,
        trust: &Trust,
        (budget, drift): (Budget, &Arc<DriftLog>),
        pool_idle_max: usize,
    ) -> Result<Self, ReadonlyClientError> {
        let tls = trust.tls()?;
        let tokens = TokenCache::new(settings, tls.clone(), budget.clone(), Arc::clone(drift))?;
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .connect_timeout(settings.connect_timeout)
            .http2_keep_alive_interval(settings.keep_alive_interval)
            .http2_keep_alive_timeout(settings.keep_alive_timeout)
            .tcp_user_timeout(settings.keep_alive_interval + settings.keep_alive_timeout)
            .pool_idle_timeout(settings.pool_idle_timeout)
            .pool_max_idle_per_host(pool_idle_max)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            // A proxy from the environment would see credentials, and would not be the path that clients' calls take.
            .no_proxy()
            .build()?;
        Ok(Self { http, tokens, budget, is_alone: false })
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
    pub(crate) async fn get(&self, mut request: ReadRequest<'_>) -> Result<Read, ReadError> {
        let Some(credential_set) = request.credential_set else { return self.once(&request).await };
        let until = Instant::now() + request.config.auth.timeout;
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

    async fn once(&self, wanted: &ReadRequest<'_>) -> Result<Read, ReadError> {
        // Each attempt takes a turn of its own, the second one after a 401 too.
        let permit = if self.is_alone {
            self.budget.take_alone(wanted.endpoint)
        } else {
            self.budget.take_for_shadow(wanted.endpoint)
        };
        let permit = permit.ok_or(ReadError::OverBudget)?;
        let request = self.http.get(wanted.uri.to_string()).headers(wanted.headers.clone());
        let mut answer = request.send().await.map_err(no_answer)?;
        self.budget.answered(Some(permit.endpoint()), answer.status(), answer.headers());
        let mut body = BytesMut::new();
        while let Some(chunk) = answer.chunk().await.map_err(no_answer)? {
            // Per chunk, because `Content-Length` may be absent or wrong.
            if body.len() + chunk.len() > wanted.max {
                return Err(ReadError::TooLong { max: wanted.max });
            }
            body.extend_from_slice(&chunk);
        }
        let body = match decode(answer.headers(), &body, wanted.max) {
            Decoded::Plain | Decoded::Unreadable | Decoded::Unsupported => body.freeze(),
            Decoded::Bytes(decoded) => decoded,
        };
        let retry_after = self.budget.requested_wait(answer.headers());
        let headers = std::mem::take(answer.headers_mut());
        Ok(Read { status: answer.status(), headers, retry_after, body })
    }
}

impl ReadRequest<'_> {
    fn authorize(&mut self, token: &Token) -> Result<(), ReadError> {
        let value = token.authorization().ok_or(ReadError::NoToken(TokenError::Unreadable))?;
        self.headers.insert(header::AUTHORIZATION, value);
        Ok(())
    }
}
