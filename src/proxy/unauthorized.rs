//! Limits creates answered 401, by address. Every create is claimed, with or without credentials, so this keeps a client without a token
//! from growing the ledger fast.

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

/// Maximum number of creates answered 401 for one address in a minute.
const PER_MINUTE_MAX: u32 = 60;
const MINUTE: Duration = Duration::from_secs(60);
/// Maximum number of addresses that are counted.
const ADDRESSES_MAX: u64 = 10_000;

/// Creates answered 401 by address. A count expires a minute after the address's first 401.
pub(super) struct UnauthorizedCreates(Cache<IpAddr, Arc<AtomicU32>>);

impl Default for UnauthorizedCreates {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(ADDRESSES_MAX).time_to_live(MINUTE).build())
    }
}

impl RequestContext {
    /// The client's address, also behind a trusted load balancer: by the balancer's own address, one unauthenticated client would exhaust the
    /// limit of all others.
    fn client_address(&self) -> IpAddr {
        self.client.unwrap_or_else(|| self.peer.address.ip())
    }

    pub(super) fn check_unauthorized(&self) -> Result<(), Failure> {
        // Read before the create and counted after it: some may pass the limit at the same time, which costs a few claims.
        let count = self.app.unauthorized_creates.0.get(&self.client_address());
        match count {
            Some(count) if count.load(Ordering::Relaxed) >= PER_MINUTE_MAX => {
                Err(Failure::TooManyUnauthorized { retry_after: MINUTE })
            }
            Some(_) | None => Ok(()),
        }
    }

    pub(super) fn count_unauthorized(&self, status: StatusCode) {
        if status == StatusCode::UNAUTHORIZED && self.access.route == RouteLabel::Route(Route::Create) {
            let address = self.client_address();
            self.app.unauthorized_creates.0.get_with(address, Arc::default).fetch_add(1, Ordering::Relaxed);
        }
    }
}
