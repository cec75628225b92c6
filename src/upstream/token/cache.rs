//! The cache of one credential set: at most one token and at most one fetch at a time.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::token_endpoint::{FetchedToken, TokenEndpoint, TokenRequest};
use super::{Fetch, Token, TokenError};
use crate::config::auth::CredentialSet;
use crate::failure::call_error::CallError;
use crate::failure::error_chain::error_chain;

/// Shortest time between two replacements of a refused token.
const FORCED_REPLACE_INTERVAL: Duration = Duration::from_secs(5);
/// Shortest time between two refreshes ahead of expiry. The cached token still works, so a failed one can wait.
const REFRESH_INTERVAL: Duration = Duration::from_secs(1);
/// Failures in a row after which requests share a failure for [`FAILURE_LIFETIME`]. The vendor limits token requests as well.
const FAILURES_BEFORE_PAUSE: u32 = 3;
/// How long requests share a failure after that.
const FAILURE_LIFETIME: Duration = Duration::from_secs(1);

fn log(credential_set: CredentialSet, error: &TokenError) {
    let call = CallError::find(error);
    tracing::error!(
        target: "auth",
        credential_set = credential_set.as_str(),
        phase = call.map(|call| call.phase.as_str()),
        address = call.map(|call| call.peer.as_str()),
        elapsed_ms = call.map(|call| u64::try_from(call.elapsed.as_millis()).unwrap_or(u64::MAX)),
        error = error_chain(error),
        "the proxy has no new token"
    );
}

#[derive(Debug, Default)]
pub(super) struct CacheSlot {
    cached: Mutex<Option<CachedToken>>,
    /// Held during a fetch; holds the last failure until a fetch succeeds.
    fetching: tokio::sync::Mutex<Option<FailedFetch>>,
    last: Mutex<LastReplacements>,
}

#[derive(Debug)]
struct CachedToken {
    request: TokenRequest,
    token: Token,
    scope: Option<String>,
    refresh_at: Instant,
    expires_at: Instant,
}

#[derive(Debug)]
struct FailedFetch {
    request: TokenRequest,
    error: TokenError,
    at: Instant,
    /// Failures in a row, this one included.
    count: u32,
}

impl FailedFetch {
    /// Whether a request that arrived then takes this failure as its answer. It does when it waited for the failed fetch, or
    /// during the pause after several failures.
    fn answers(&self, request: &TokenRequest, arrived_at: Instant, now: Instant) -> bool {
        let pauses = self.count >= FAILURES_BEFORE_PAUSE && now < self.at + FAILURE_LIFETIME;
        self.request == *request && (self.at >= arrived_at || pauses)
    }
}

#[derive(Debug, Default)]
struct LastReplacements {
    forced: Option<Instant>,
    refresh: Option<Instant>,
}

impl CacheSlot {
    fn cached(&self) -> MutexGuard<'_, Option<CachedToken>> {
        self.cached.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn last(&self) -> MutexGuard<'_, LastReplacements> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The cached token, if it was fetched with this request and has not expired, and whether it is due for a refresh.
    pub(super) fn valid(&self, request: &TokenRequest, now: Instant) -> Option<(Token, bool)> {
        let cached = self.cached();
        let cached =
            cached.as_ref().filter(|cached| cached.request == *request && now < cached.expires_at)?;
        Some((cached.token.clone(), now >= cached.refresh_at))
    }

    /// The scopes that came with the cached token, if there is one and its answer named them.
    pub(super) fn scope(&self) -> Option<Option<String>> {
        self.cached().as_ref().map(|cached| cached.scope.clone())
    }

    /// Fetches a token, or takes the result of a fetch that was under way at `arrived_at`, a failure included.
    pub(super) async fn fetch(
        &self,
        endpoint: &TokenEndpoint,
        fetch: Fetch,
        arrived_at: Instant,
    ) -> Result<Token, TokenError> {
        // Everything after this line runs in one fetch at a time; who waited here finds the result of the one before.
        let mut last_failure = self.fetching.lock().await;
        if let Some((token, _)) = self.valid(&fetch.request, Instant::now())
            && fetch.replaces.as_ref().is_none_or(|replaced| !replaced.is(&token))
        {
            return Ok(token);
        }
        let failures_before = match last_failure.take() {
            Some(failure) if failure.answers(&fetch.request, arrived_at, Instant::now()) => {
                return Err(last_failure.insert(failure).error.clone());
            }
            // Failures with other credentials say nothing about these: a reload that mends them is not made to wait.
            Some(failure) if failure.request == fetch.request => failure.count,
            Some(_) | None => 0,
        };
        match endpoint.fetch(&fetch).await {
            Ok(fetched) => Ok(self.store(fetch, fetched)),
            Err(error) => {
                log(fetch.credential_set, &error);
                let (at, count) = (Instant::now(), failures_before + 1);
                *last_failure = Some(FailedFetch { request: fetch.request, error: error.clone(), at, count });
                Err(error)
            }
        }
    }

    fn store(&self, fetch: Fetch, fetched: FetchedToken) -> Token {
        let FetchedToken { token, lifetime, scope } = fetched;
        let now = Instant::now();
        // A token that lives shorter than twice the margin is used for at least half its life.
        let refresh_at = now + lifetime.saturating_sub(fetch.refresh_margin).max(lifetime / 2);
        let (request, expires_at) = (fetch.request, now + lifetime);
        *self.cached() = Some(CachedToken { request, token: token.clone(), scope, refresh_at, expires_at });
        token
    }

    /// Removes a token that a side refused. False when it is not cached any more, or when a refused one was removed less than
    /// [`FORCED_REPLACE_INTERVAL`] ago.
    pub(super) fn discard(&self, request: &TokenRequest, refused: &Token, now: Instant) -> bool {
        let mut cached = self.cached();
        let mut last = self.last();
        let is_cached =
            cached.as_ref().is_some_and(|cached| cached.request == *request && cached.token.is(refused));
        // Not again at once: a side that refuses every token would otherwise cause a fetch for each request.
        if !is_cached || last.forced.is_some_and(|forced| now < forced + FORCED_REPLACE_INTERVAL) {
            return false;
        }
        last.forced = Some(now);
        *cached = None;
        true
    }

    /// Whether a refresh ahead of expiry may begin; counts as its beginning.
    pub(super) fn may_refresh(&self, now: Instant) -> bool {
        let mut last = self.last();
        let may = last.refresh.is_none_or(|refresh| now >= refresh + REFRESH_INTERVAL);
        if may {
            last.refresh = Some(now);
        }
        may
    }
}
