//! Limits creates answered 401, by address. Every create is claimed, with or without credentials, so this keeps a client without a token
//! from growing the ledger fast. Many clients may share an address, so credentials that the vendor takes stay exempt.

use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use http::{HeaderMap, StatusCode, header};
use moka::sync::Cache;

use super::dispatch::RequestContext;
use crate::failure::Failure;
use crate::telemetry::metrics::labels::RouteLabel;
use crate::translate::route::Route;

/// Maximum number of creates answered 401 for one address in a minute. As many again are left for credentials of which nothing is known.
const PER_MINUTE_MAX: u32 = 60;
const MINUTE: Duration = Duration::from_secs(60);
/// Maximum number of addresses, and of credentials, that are remembered.
const ENTRIES_MAX: u64 = 10_000;
/// How long the vendor's last answer to a credential is remembered.
const CREDENTIAL_LIFE: Duration = Duration::from_secs(600);

/// A keyed hash of `Authorization`.
type Credential = u64;

/// What the vendor said last to a create with that credential.
#[derive(Clone, Copy)]
enum LastAnswer {
    Success,
    Unauthorized,
}

/// Creates answered 401 by address. A count expires a minute after the address's first 401.
pub(super) struct UnauthorizedCreates {
    by_address: Cache<IpAddr, Arc<AtomicU32>>,
    by_credential: Cache<Credential, LastAnswer>,
    hasher: RandomState,
}

impl Default for UnauthorizedCreates {
    fn default() -> Self {
        Self {
            by_address: Cache::builder().max_capacity(ENTRIES_MAX).time_to_live(MINUTE).build(),
            by_credential: Cache::builder().max_capacity(ENTRIES_MAX).time_to_live(CREDENTIAL_LIFE).build(),
            hasher: RandomState::new(),
        }
    }
}

impl UnauthorizedCreates {
    pub(super) fn credential(&self, headers: &HeaderMap) -> Option<Credential> {
        headers.get(header::AUTHORIZATION).map(|value| self.hasher.hash_one(value.as_bytes()))
    }

    fn is_limited(&self, address: IpAddr, credential: Option<Credential>) -> bool {
        // Read before the create and counted after it: some may pass the limit at the same time, which costs a few claims.
        let count = self.by_address.get(&address).map_or(0, |count| count.load(Ordering::Relaxed));
        if count < PER_MINUTE_MAX {
            return false;
        }
        match credential.map(|credential| self.by_credential.get(&credential)) {
            Some(Some(LastAnswer::Success)) => false,
            // Who is new at this address is let try, within bounds: tokens can be made up.
            Some(None) => count >= 2 * PER_MINUTE_MAX,
            Some(Some(LastAnswer::Unauthorized)) | None => true,
        }
    }

    fn count(&self, address: IpAddr, credential: Option<Credential>, status: StatusCode) {
        if status == StatusCode::UNAUTHORIZED {
            self.by_address.get_with(address, Arc::default).fetch_add(1, Ordering::Relaxed);
            self.remember(credential, LastAnswer::Unauthorized);
        } else if status.is_success() && self.by_address.contains_key(&address) {
            self.remember(credential, LastAnswer::Success);
        }
    }

    fn remember(&self, credential: Option<Credential>, answer: LastAnswer) {
        if let Some(credential) = credential {
            self.by_credential.insert(credential, answer);
        }
    }
}

impl RequestContext {
    /// The client's address, also behind a trusted load balancer: by the balancer's own address, one unauthenticated client would exhaust the
    /// limit of all others.
    fn client_address(&self) -> IpAddr {
        self.client.unwrap_or_else(|| self.peer.address.ip())
    }

    pub(super) fn check_unauthorized(&mut self, headers: &HeaderMap) -> Result<(), Failure> {
        let creates = &self.app.unauthorized_creates;
        self.create_credential = creates.credential(headers);
        if creates.is_limited(self.client_address(), self.create_credential) {
            return Err(Failure::TooManyUnauthorized { retry_after: MINUTE });
        }
        Ok(())
    }

    pub(super) fn count_unauthorized(&self, status: StatusCode) {
        if self.access.route == RouteLabel::Route(Route::Create) {
            self.app.unauthorized_creates.count(self.client_address(), self.create_credential, status);
        }
    }
}
