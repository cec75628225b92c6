//! Tokens of the proxy's own: asked for with client credentials, kept until shortly before they end, asked for by one request at
//! a time. Who uses which is `held`'s.
//!
//! A client of its own (reqwest) asks for them: it follows no redirects and repeats nothing either.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{HeaderValue, header};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};
use tracing::{Instrument as _, Span};

use super::rate_limit::{Budget, Endpoint};
use crate::config::auth::{ClientCredentials, CredentialSet};
use crate::config::{Config, Upstreams};
use crate::telemetry::metrics::family::Counters;
use crate::telemetry::metrics::label_set::{LabelValue as _, label};
use crate::telemetry::spans;

/// A token whose life is not told is trusted so long.
const LIFE_UNTOLD: Duration = Duration::from_secs(300);
/// No token is kept longer, in seconds.
const LIFE_MAX: u64 = 24 * 60 * 60;
/// A token that the vendor does not take is replaced at most so often, so that a side that takes none is not a reason to ask
/// for one with every request.
const FORCED_PAUSE: Duration = Duration::from_secs(5);
/// After a failure, an early replacement is tried again at most so often; the old token still works.
const EARLY_PAUSE: Duration = Duration::from_secs(1);
/// So many failures in a row are each followed by another attempt at once; after that, failures are shared for [`FAILED_PAUSE`].
/// The vendor counts requests for tokens as well.
const FAILURES_AT_ONCE: u32 = 3;
/// How long a failure is shared after that.
const FAILED_PAUSE: Duration = Duration::from_secs(1);
/// Longest answer of a token endpoint that is read, in bytes.
const ANSWER_MAX: usize = 64 << 10;

/// Why there is no token.
#[derive(Clone, Debug, thiserror::Error)]
pub enum TokenError {
    /// None is configured.
    #[error("no credentials are configured")]
    Unconfigured,
    /// The rate budget of the token endpoint is spent; it was not asked.
    #[error("the rate budget of the token endpoint is spent")]
    OverBudget,
    /// No answer, or none in time.
    #[error("the token endpoint gave no answer: {0}")]
    NoAnswer(String),
    /// It said no.
    #[error("the token endpoint refused the proxy's credentials with {0}")]
    Refused(u16),
    /// It said something that is no token.
    #[error("the token endpoint answered something unreadable")]
    Unreadable,
}

/// A bearer token. Its text is never shown, and is overwritten when the last holder lets go of it.
#[derive(Clone, Debug)]
pub(super) struct Token(Arc<SecretString>);

impl Token {
    /// The value of an `Authorization` header; its `Debug` does not show it.
    pub(super) fn authorization(&self) -> Option<HeaderValue> {
        let text = Zeroizing::new(format!("Bearer {}", self.0.expose_secret()));
        let mut value = HeaderValue::from_str(&text).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// What is asked for, and where. A token for anything else is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
struct TokenRequest {
    url: String,
    credentials: ClientCredentials,
}

#[derive(Debug)]
struct CachedToken {
    ask: TokenRequest,
    token: Token,
    replace_at: Instant,
    ends_at: Instant,
}

/// The one token of one purpose.
#[derive(Debug, Default)]
struct CacheSlot {
    kept: Mutex<Option<CachedToken>>,
    /// Held while one request asks; keeps how that failed last, until it does not.
    asking: tokio::sync::Mutex<Option<Failed>>,
    pauses: Mutex<Pauses>,
}

#[derive(Debug)]
struct Failed {
    ask: TokenRequest,
    error: TokenError,
    at: Instant,
    /// How often in a row.
    times: u32,
}

impl Failed {
    /// Whether whoever came then takes this for an answer instead of asking again.
    fn holds(&self, ask: &TokenRequest, came: Instant, now: Instant) -> bool {
        let pauses = self.times >= FAILURES_AT_ONCE && now < self.at + FAILED_PAUSE;
        self.ask == *ask && (self.at >= came || pauses)
    }
}

#[derive(Debug, Default)]
struct Pauses {
    forced: Option<Instant>,
    early: Option<Instant>,
}

/// All tokens of the proxy's own, and the client that asks for them.
#[derive(Debug)]
pub(super) struct Tokens {
    http: reqwest::Client,
    budget: Budget,
    slots: [Arc<CacheSlot>; 3],
    asked: Arc<Counters<(CredentialSet, TokenFetchResult)>>,
}

/// What came of asking for a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenFetchResult {
    /// A token.
    Fetched,
    /// None.
    Failed,
}
label!(TokenFetchResult, "result", Fetched = "fetched", Failed = "failed");
label!(CredentialSet, "credential_set", Legacy = "legacy", New = "new", Lookup = "lookup");

impl Tokens {
    pub(super) fn new(
        settings: &Upstreams,
        tls: rustls::ClientConfig,
        budget: Budget,
    ) -> reqwest::Result<Self> {
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .connect_timeout(settings.connect_timeout)
            .pool_idle_timeout(settings.pool_idle_timeout)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .referer(false)
            .build()?;
        Ok(Self { http, budget, slots: Default::default(), asked: Arc::default() })
    }

    pub(super) fn asked(&self) -> &Counters<(CredentialSet, TokenFetchResult)> {
        &self.asked
    }

    const fn slot(&self, holder: CredentialSet) -> &Arc<CacheSlot> {
        match holder {
            CredentialSet::Legacy => &self.slots[0],
            CredentialSet::New => &self.slots[1],
            CredentialSet::Lookup => &self.slots[2],
        }
    }

    /// The token for a purpose. Waits, until `until` at the latest, only when there is none that works.
    pub(super) async fn token(
        &self,
        holder: CredentialSet,
        config: &Config,
        until: Instant,
    ) -> Result<Token, TokenError> {
        let ask = ask(holder, config).ok_or(TokenError::Unconfigured)?;
        let slot = self.slot(holder);
        let now = Instant::now();
        if let Some((token, replace)) = slot.usable(&ask, now) {
            if replace && slot.may_replace(now) {
                drop(self.replace(holder, ask, config, token.clone()));
            }
            return Ok(token);
        }
        within(until, self.fetch(holder, ask, config, None, Span::current())).await
    }

    /// Another token than the one that was refused; the same one when it was replaced a moment ago.
    pub(super) async fn renewed(
        &self,
        holder: CredentialSet,
        config: &Config,
        refused: &Token,
        until: Instant,
    ) -> Result<Token, TokenError> {
        let ask = ask(holder, config).ok_or(TokenError::Unconfigured)?;
        if !self.slot(holder).discards(&ask, refused, Instant::now()) {
            return self.token(holder, config, until).await;
        }
        tracing::warn!(target: "auth", holder = holder.as_str(), "the proxy's own token was refused; asking for another");
        within(until, self.fetch(holder, ask, config, None, Span::current())).await
    }

    fn replace(
        &self,
        holder: CredentialSet,
        ask: TokenRequest,
        config: &Config,
        old: Token,
    ) -> tokio::task::JoinHandle<()> {
        // Of no request: the next ones get what comes of it.
        let fetching = self.fetch(holder, ask, config, Some(old), Span::none());
        tokio::spawn(async move { drop(fetching.await) })
    }

    /// Asks for a token, in a task of its own, so that a client that leaves does not make the next one begin again. Whoever had
    /// to wait for another's asking takes what came of it, a failure included.
    fn fetch(
        &self,
        holder: CredentialSet,
        ask: TokenRequest,
        config: &Config,
        old: Option<Token>,
        span: Span,
    ) -> impl Future<Output = Result<Token, TokenError>> + Send + use<> {
        let (slot, http, budget) = (self.slot(holder).clone(), self.http.clone(), self.budget.clone());
        let asked = self.asked.clone();
        let (margin, patience) = (config.auth.refresh_margin, config.auth.timeout);
        let came = Instant::now();
        let asking = async move {
            let mut failed = slot.asking.lock().await;
            if let Some((token, _)) = slot.usable(&ask, Instant::now())
                && old.is_none_or(|old| !old.is(&token))
            {
                return Ok(token);
            }
            if let Some(failed) = failed.as_ref().filter(|failed| failed.holds(&ask, came, Instant::now())) {
                return Err(failed.error.clone());
            }
            let before = failed.take().filter(|failed| failed.ask == ask);
            let span = spans::step("token", None);
            let answered = exchange(&http, &budget, &ask, patience).instrument(span.clone()).await;
            let result = if answered.is_ok() { TokenFetchResult::Fetched } else { TokenFetchResult::Failed };
            spans::end_step(&span, result.as_str(), answered.is_err());
            asked.add((holder, result));
            match answered {
                Ok((token, life)) => Ok(slot.keep(ask, token, life, margin)),
                Err(error) => {
                    tracing::error!(target: "auth", holder = holder.as_str(), %error, "the proxy has no new token");
                    let times = before.map_or(0, |failed| failed.times) + 1;
                    *failed = Some(Failed { ask, error: error.clone(), at: Instant::now(), times });
                    Err(error)
                }
            }
        };
        let task = tokio::spawn(asking.instrument(span));
        async move { task.await.unwrap_or(Err(TokenError::Unreadable)) }
    }
}

impl CacheSlot {
    fn kept(&self) -> MutexGuard<'_, Option<CachedToken>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pauses(&self) -> MutexGuard<'_, Pauses> {
        self.pauses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The token, if it was asked for like this and still lives, and whether it is time to replace it.
    fn usable(&self, ask: &TokenRequest, now: Instant) -> Option<(Token, bool)> {
        let kept = self.kept();
        let kept = kept.as_ref().filter(|kept| kept.ask == *ask && now < kept.ends_at)?;
        Some((kept.token.clone(), now >= kept.replace_at))
    }

    fn keep(&self, ask: TokenRequest, token: Token, life: Duration, margin: Duration) -> Token {
        let now = Instant::now();
        let replace_at = now + life.saturating_sub(margin).max(life / 2);
        *self.kept() = Some(CachedToken { ask, token: token.clone(), replace_at, ends_at: now + life });
        token
    }

    /// Lets go of a token that was refused; false when it is gone already, or was replaced by force a moment ago.
    fn discards(&self, ask: &TokenRequest, refused: &Token, now: Instant) -> bool {
        let mut kept = self.kept();
        let mut pauses = self.pauses();
        let same = kept.as_ref().is_some_and(|kept| kept.ask == *ask && kept.token.is(refused));
        if !same || pauses.forced.is_some_and(|last| now < last + FORCED_PAUSE) {
            return false;
        }
        pauses.forced = Some(now);
        *kept = None;
        true
    }

    fn may_replace(&self, now: Instant) -> bool {
        let mut pauses = self.pauses();
        let may = pauses.early.is_none_or(|last| now >= last + EARLY_PAUSE);
        if may {
            pauses.early = Some(now);
        }
        may
    }
}

fn ask(holder: CredentialSet, config: &Config) -> Option<TokenRequest> {
    let credentials = config.auth.credentials(holder)?.clone();
    Some(TokenRequest { url: config.upstream.oauth.to_string(), credentials })
}

async fn within(
    until: Instant,
    asking: impl Future<Output = Result<Token, TokenError>>,
) -> Result<Token, TokenError> {
    let late = || Err(TokenError::NoAnswer("not within the time of the request".into()));
    timeout_at(until, asking).await.unwrap_or_else(|_| late())
}

/// The vendor's answer, as far as it matters.
#[derive(Deserialize)]
struct Granted {
    access_token: String,
    expires_in: Option<u64>,
}

fn form(credentials: &ClientCredentials) -> String {
    let ClientCredentials { client_id, client_secret, scopes } = credentials;
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("grant_type", "client_credentials").append_pair("client_id", client_id);
    form.append_pair("client_secret", client_secret.reveal());
    if !scopes.is_empty() {
        form.append_pair("scope", &scopes.join(" "));
    }
    form.finish()
}

async fn exchange(
    http: &reqwest::Client,
    budget: &Budget,
    ask: &TokenRequest,
    patience: Duration,
) -> Result<(Token, Duration), TokenError> {
    let paid = budget.take(Endpoint::Token.primary(), Instant::now() + patience).await;
    let paid = paid.map_err(|_| TokenError::OverBudget)?;
    let request = http
        .post(&ask.url)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(header::ACCEPT, "application/json")
        .timeout(patience)
        .body(form(&ask.credentials));
    let no_answer = |error: reqwest::Error| TokenError::NoAnswer(chain(&error));
    let mut response = request.send().await.map_err(no_answer)?;
    budget.answered(Some(paid.endpoint()), response.status(), response.headers());
    if response.status() != http::StatusCode::OK {
        return Err(TokenError::Refused(response.status().as_u16()));
    }
    let mut body = Zeroizing::new(Vec::new());
    while let Some(chunk) = response.chunk().await.map_err(no_answer)? {
        if body.len() + chunk.len() > ANSWER_MAX {
            return Err(TokenError::Unreadable);
        }
        body.extend_from_slice(&chunk);
    }
    let granted: Granted = serde_json::from_slice(&body).map_err(|_| TokenError::Unreadable)?;
    let life = granted.expires_in.map_or(LIFE_UNTOLD, |life| Duration::from_secs(life.min(LIFE_MAX)));
    let empty = granted.access_token.is_empty();
    let token = Token(Arc::new(SecretString::from(granted.access_token)));
    if empty || token.authorization().is_none() { Err(TokenError::Unreadable) } else { Ok((token, life)) }
}

/// What went wrong, without the url.
fn chain(error: &reqwest::Error) -> String {
    let mut told = if error.is_timeout() { "timed out".to_owned() } else { "failed".to_owned() };
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        told = format!("{told}: {error}");
        source = error.source();
    }
    told
}
