//! A client that can only read. What works in the background with clients' credentials is given this one: it has no method that
//! could write, and connections of its own, so that it shares nothing with the data path.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode, Uri, header};
use tokio::time::Instant;

use super::connector::{self, TrustError};
use super::rate_limit::{Budget, Endpoint};
use super::token::{Token, TokenError, Tokens};
use crate::config::auth::CredentialSet;
use crate::config::{Config, Upstreams};

/// Reads, and nothing else.
#[derive(Debug)]
pub struct Reader {
    http: reqwest::Client,
    /// Tokens apart from those of the data path, for the same reason.
    tokens: Tokens,
    budget: Budget,
}

/// What to read, on whose behalf.
#[derive(Debug)]
pub struct Wanted<'a> {
    /// Where.
    pub uri: &'a Uri,
    /// What the vendor counts it as.
    pub endpoint: Endpoint,
    /// What travels with it; the client's credentials, unless the proxy has its own.
    pub headers: HeaderMap,
    /// The proxy's own credentials to use in place of the client's.
    pub holder: Option<CredentialSet>,
    /// The config that knows them.
    pub config: &'a Config,
    /// The most that is read of the answer, in bytes.
    pub max: usize,
}

/// A whole answer.
#[derive(Debug)]
pub struct Read {
    /// Its status.
    pub status: StatusCode,
    /// Its body.
    pub body: Bytes,
}

/// Why there is no whole answer.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Shadow's share of the rate budget is spent, or others need it now: nothing was sent.
    #[error("no budget")]
    OverBudget,
    /// No connection, no answer, or one that broke off.
    #[error("no answer")]
    NoAnswer(#[source] reqwest::Error),
    /// The proxy has no token of its own.
    #[error("no token")]
    NoToken(#[source] TokenError),
    /// The answer is longer than it may be.
    #[error("the answer is longer than {max} bytes")]
    TooLong {
        /// The most that is read, in bytes.
        max: usize,
    },
}

/// Why there is no reader.
#[derive(Debug, thiserror::Error)]
pub enum ReaderError {
    /// The authorities to trust cannot be read.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The client cannot be built.
    #[error("the reading client: {0}")]
    Client(#[from] reqwest::Error),
}

impl Reader {
    /// A reader for these settings, which spends shadow's share of the budget.
    ///
    /// # Errors
    /// When the authorities to trust cannot be read.
    pub fn new(settings: &Upstreams, budget: Budget) -> Result<Self, ReaderError> {
        let tls = connector::tls(settings)?;
        let tokens = Tokens::new(settings, tls.clone(), budget.clone())?;
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .connect_timeout(settings.connect_timeout)
            .pool_idle_timeout(settings.pool_idle_timeout)
            .pool_max_idle_per_host(settings.pool_idle_max)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .build()?;
        Ok(Self { http, tokens, budget })
    }

    /// One GET; a second one only after a 401 to the proxy's own token, with a new one.
    ///
    /// # Errors
    /// When there is no whole answer.
    pub async fn get(&self, mut wanted: Wanted<'_>) -> Result<Read, ReadError> {
        let Some(holder) = wanted.holder else { return self.once(&wanted).await };
        let until = Instant::now() + wanted.config.auth.timeout;
        let token = self.tokens.token(holder, wanted.config, until).await.map_err(ReadError::NoToken)?;
        wanted.authorize(&token)?;
        let read = self.once(&wanted).await?;
        if read.status != StatusCode::UNAUTHORIZED {
            return Ok(read);
        }
        let token = self.tokens.renewed(holder, wanted.config, &token, until).await;
        wanted.authorize(&token.map_err(ReadError::NoToken)?)?;
        self.once(&wanted).await
    }

    async fn once(&self, wanted: &Wanted<'_>) -> Result<Read, ReadError> {
        let paid = self.budget.take_for_shadow(wanted.endpoint).ok_or(ReadError::OverBudget)?;
        let request = self.http.get(wanted.uri.to_string()).headers(wanted.headers.clone());
        let mut answer = request.send().await.map_err(ReadError::NoAnswer)?;
        self.budget.answered(Some(paid.endpoint()), answer.status(), answer.headers());
        let mut body = BytesMut::new();
        while let Some(chunk) = answer.chunk().await.map_err(ReadError::NoAnswer)? {
            if body.len() + chunk.len() > wanted.max {
                return Err(ReadError::TooLong { max: wanted.max });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Read { status: answer.status(), body: body.freeze() })
    }
}

impl Wanted<'_> {
    fn authorize(&mut self, token: &Token) -> Result<(), ReadError> {
        let value = token.authorization().ok_or(ReadError::NoToken(TokenError::Unreadable))?;
        self.headers.insert(header::AUTHORIZATION, value);
        Ok(())
    }
}
