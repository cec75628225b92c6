//! Upstreams that answered HTTP_1_1_REQUIRED over HTTP/2 (RFC 9113, section 7): for a while new connections offer HTTP/1.1 alone.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use http::uri::Authority;
use tokio::time::Instant;

/// How long HTTP/2 is not offered.
const HTTP1_FOR: Duration = Duration::from_secs(600);

/// Those of one lane. Clones share them. Their number is that of the configured upstreams.
#[derive(Clone, Debug, Default)]
pub(super) struct Http1Hosts(Arc<RwLock<HashMap<Authority, Instant>>>);

impl Http1Hosts {
    /// Adds the upstream from now on.
    pub(super) fn add(&self, authority: Authority) {
        let mut hosts = self.0.write().unwrap_or_else(PoisonError::into_inner);
        hosts.insert(authority, Instant::now() + HTTP1_FOR);
    }

    pub(super) fn contains(&self, authority: &Authority) -> bool {
        let hosts = self.0.read().unwrap_or_else(PoisonError::into_inner);
        hosts.get(authority).is_some_and(|until| Instant::now() < *until)
    }
}
