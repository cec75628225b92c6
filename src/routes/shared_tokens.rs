//! One token for equal token requests of one client, where `auth.share_tokens` says so: a fleet that restarts at one moment costs the vendor
//! one call instead of one a second for each of its processes.
//!
//! Requests are equal when every byte is that decides what the vendor grants, the client's secret included. A token is shared for the first
//! half of its life, with the time that is left as its lifetime: clients renew before the end, and would be handed the same one again. The
//! first 401 to a shared token ends it, because a client that is refused fetches another.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dashmap::DashMap;
use http::{HeaderMap, HeaderName, Response, StatusCode, header};
use moka::sync::Cache;
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};
use sha2::{Digest as _, Sha256};
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::{Instant, timeout_at};

use crate::failure::Failure;
use crate::http::body::Payload;
use crate::http::headers;
use crate::translate::token::GrantedToken;

/// Number of different token requests above which those without a fresh token are forgotten.
const REQUESTS_MAX: usize = 1000;
/// When a request that did not come to its turn is worth repeating.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// The headers of the vendor's answer that every answer with its token gets.
const KEPT: [HeaderName; 3] = [header::CONTENT_TYPE, header::CACHE_CONTROL, header::PRAGMA];
/// `DPoP` binds a token to a key of its client (RFC 9449), in a proof that is used once.
const PROOF: HeaderName = HeaderName::from_static("dpop");

/// What decides which token the vendor grants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct RequestHash([u8; 32]);

/// How long the vendor's refusal of the new API's scopes counts for equal token requests: it may grant them to the client meanwhile.
const REFUSED_FOR: Duration = Duration::from_mins(10);

/// The token requests whose rewritten scopes the vendor refused. Clones share them.
#[derive(Clone)]
pub(crate) struct RefusedScopes(Cache<RequestHash, ()>);

impl Default for RefusedScopes {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(REQUESTS_MAX as u64).time_to_live(REFUSED_FOR).build())
    }
}

impl RefusedScopes {
    pub(super) fn contains(&self, request: &RequestHash) -> bool {
        self.0.contains_key(request)
    }

    pub(super) fn remember(&self, request: RequestHash) {
        self.0.insert(request, ());
    }
}

/// The tokens that are shared. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct SharedTokens(Arc<DashMap<RequestHash, Arc<Mutex<Option<SharedToken>>>>>);

struct SharedToken {
    token: SecretString,
    body: SecretSlice<u8>,
    headers: HeaderMap,
    granted: GrantedToken,
    at: Instant,
}

impl RequestHash {
    /// The hash of a request: `bodies` are the client's and the one that is sent. `None` for one whose token must not be shared.
    pub(super) fn of(url: &str, headers: &HeaderMap, bodies: [&[u8]; 2]) -> Option<Self> {
        if headers.contains_key(PROOF) || headers.contains_key(header::COOKIE) {
            return None;
        }
        let mut hash = Sha256::new();
        let mut add = |part: &[u8]| {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        };
        add(url.as_bytes());
        bodies.into_iter().for_each(&mut add);
        // A gateway before the token endpoint may know its clients by a header of its own.
        let mut deciding: Vec<_> = headers.iter().filter(|(name, _)| !describes_one_call(name)).collect();
        deciding.sort_by_key(|(name, _)| name.as_str());
        for (name, value) in deciding {
            add(name.as_str().as_bytes());
            add(value.as_bytes());
        }
        Some(Self(hash.finalize().into()))
    }
}

/// Whether a header says nothing about the client's rights.
fn describes_one_call(name: &HeaderName) -> bool {
    const ONE_CALL: [HeaderName; 12] = [
        header::HOST,
        header::USER_AGENT,
        header::ACCEPT,
        header::ACCEPT_ENCODING,
        header::ACCEPT_LANGUAGE,
        header::CONTENT_LENGTH,
        header::DATE,
        header::FORWARDED,
        header::VIA,
        headers::REQUEST_ID,
        HeaderName::from_static("traceparent"),
        HeaderName::from_static("tracestate"),
    ];
    ONE_CALL.contains(name) || name.as_str().starts_with("x-forwarded-")
}

/// The turn of one request among equal ones. The others wait until it ends.
pub(super) struct TokenTurn(OwnedMutexGuard<Option<SharedToken>>);

impl SharedTokens {
    /// Waits for the turn among equal requests.
    ///
    /// # Errors
    /// When it does not come in time: too many token requests at the moment.
    pub(super) async fn turn(&self, request: RequestHash, until: Instant) -> Result<TokenTurn, Failure> {
        if self.0.len() >= REQUESTS_MAX {
            self.0.retain(|_, slot| {
                slot.try_lock().map_or(true, |shared| shared.as_ref().is_some_and(SharedToken::is_fresh))
            });
        }
        let slot = self.0.entry(request).or_default().clone();
        let turn = timeout_at(until, slot.lock_owned()).await;
        Ok(TokenTurn(turn.map_err(|_| Failure::OverBudget { retry_after: RETRY_AFTER })?))
    }

    /// Ends the sharing of all tokens: it is switched off.
    pub(crate) fn clear(&self) {
        if !self.0.is_empty() {
            self.0.clear();
        }
    }

    /// Ends the sharing of a token that the vendor refused. `authorization` is the value of the refused request's header.
    pub(crate) fn refused(&self, authorization: &[u8]) {
        let Some(refused) = authorization.split(|byte| *byte == b' ').next_back() else { return };
        for slot in self.0.iter() {
            let Ok(mut shared) = slot.try_lock() else { continue };
            if shared.as_ref().is_some_and(|shared| shared.token.expose_secret().as_bytes() == refused) {
                *shared = None;
            }
        }
    }
}

impl SharedToken {
    fn left(&self) -> Duration {
        Duration::from_secs_f64(self.granted.lifetime).saturating_sub(self.at.elapsed())
    }

    /// Whether it is in the first half of its life, with at least a second to go.
    fn is_fresh(&self) -> bool {
        let left = self.left();
        left >= Duration::from_secs_f64(self.granted.lifetime) / 2 && left.as_secs() > 0
    }
}

impl TokenTurn {
    /// The shared answer, in the first half of its token's life.
    pub(super) fn answer(&self) -> Option<Response<Payload>> {
        let shared = self.0.as_ref()?;
        if !shared.is_fresh() {
            return None;
        }
        let body = shared.granted.with_lifetime(shared.body.expose_secret(), shared.left().as_secs());
        let mut answer = Response::new(Payload::whole(body));
        *answer.headers_mut() = shared.headers.clone();
        Some(answer)
    }

    /// Shares the token of an answer, if it may be.
    pub(super) fn share(mut self, status: StatusCode, headers: &HeaderMap, body: &Bytes) {
        let granted = (status == StatusCode::OK).then(|| GrantedToken::of(body)).flatten();
        *self.0 = granted.map(|mut granted| {
            let kept = KEPT.into_iter().filter_map(|name| Some((name.clone(), headers.get(name)?.clone())));
            SharedToken {
                token: std::mem::take(&mut granted.token).into(),
                body: body.to_vec().into(),
                headers: kept.collect(),
                granted,
                at: Instant::now(),
            }
        });
    }
}
