//! Credentials that may create and not read. On a reused HTTP/1.1 connection a refusal of a create is believed only after a lookup, which
//! theirs is not allowed, so their creates go on connections of their own: there every answer is certain to be to them.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use http::{HeaderMap, header};
use moka::sync::Cache;

use crate::translate::side::Side;

/// Maximum number of credentials that are remembered.
const CREDENTIALS_MAX: u64 = 10_000;
/// How long a refusal is remembered: the vendor may grant the scope meanwhile.
const REMEMBERED_FOR: Duration = Duration::from_secs(600);

/// A keyed hash of `Authorization`, and the side.
type Key = (u64, u8);

/// The credentials whose lookup on a side was refused last.
pub(crate) struct RefusedLookups {
    credentials: Cache<Key, ()>,
    hasher: RandomState,
}

impl Default for RefusedLookups {
    fn default() -> Self {
        let cache = Cache::builder().max_capacity(CREDENTIALS_MAX).time_to_live(REMEMBERED_FOR);
        Self { credentials: cache.build(), hasher: RandomState::new() }
    }
}

impl RefusedLookups {
    pub(super) fn holds(&self, side: Side, client: &HeaderMap) -> bool {
        self.credentials.contains_key(&self.key(side, client))
    }

    /// Notes whether a lookup was refused.
    pub(super) fn note(&self, side: Side, client: &HeaderMap, is_refused: bool) {
        let key = self.key(side, client);
        if is_refused {
            self.credentials.insert(key, ());
        } else if self.credentials.contains_key(&key) {
            self.credentials.invalidate(&key);
        }
    }

    fn key(&self, side: Side, client: &HeaderMap) -> Key {
        let credential = client.get(header::AUTHORIZATION).map(header::HeaderValue::as_bytes);
        (self.hasher.hash_one(credential), side as u8)
    }
}
