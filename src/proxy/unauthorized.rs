//! Creates answered 401 are limited per address, so that nobody without a token grows the ledger fast: every create is claimed, with or
//! without credentials.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use http::StatusCode;
use moka::sync::Cache;

use super::dispatch::RequestContext;
use crate::failure::Failure;
use crate::telemetry::metrics::labels::RouteLabel;
use crate::translate::route::Route;

/// Creates answered 401 that one address may have in a minute.
const PER_MINUTE_MAX: u32 = 60;
const MINUTE: Duration = Duration::from_secs(60);
/// Addresses that are counted at a time.
const ADDRESSES_MAX: u64 = 10_000;

/// The counts of the current minutes, each from an address's first 401.
pub(super) struct UnauthorizedCreates(Cache<IpAddr, Arc<AtomicU32>>);

impl Default for UnauthorizedCreates {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(ADDRESSES_MAX).time_to_live(MINUTE).build())
    }
}

impl RequestContext {
    /// Refuses a create from an address that had too many of them answered 401.
    pub(super) fn check_unauthorized(&self) -> Result<(), Failure> {
        let count = self.app.unauthorized_creates.0.get(&self.peer.address.ip());
        match count {
            Some(count) if count.load(Ordering::Relaxed) >= PER_MINUTE_MAX => {
                Err(Failure::TooManyUnauthorized { retry_after: MINUTE })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Counts the answer to a create, if it is a 401.
    pub(super) fn note_unauthorized(&self, status: StatusCode) {
        if status == StatusCode::UNAUTHORIZED && self.access.route == RouteLabel::Route(Route::Create) {
            let address = self.peer.address.ip();
            self.app.unauthorized_creates.0.get_with(address, Arc::default).fetch_add(1, Ordering::Relaxed);
        }
    }
}
