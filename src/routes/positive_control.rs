//! The positive control of the duplicate check: an empty list counts as absence only after the same kind of lookup has found a record
//! that is known to exist. Otherwise a side that ignores the filter, or whose index is empty for a while, would seem to hold nothing.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use http::header;
use jiff::Timestamp;
use tokio::time::Instant;

use super::RouteContext;
use crate::config::auth::CredentialSet;
use crate::failure::{Failure, SideEffect};
use crate::translate::evidence::{self, Finding};
use crate::translate::mapping::Origin;
use crate::translate::side::Side;
use crate::upstream::Lane;

/// How long a passed control stays valid.
const VALID_FOR: Duration = Duration::from_secs(5 * 60);
/// Minimum age of the record that is looked up: a list may lag behind younger ones.
pub(super) const LAG: Duration = Duration::from_secs(10 * 60);
/// Maximum number of credentials with a passed control. Above it all are dropped, which costs each one lookup.
const CREDENTIALS_MAX: usize = 10_000;

/// When lookups on a side last passed the control, by credential. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct PositiveControls(Arc<Controls>);

#[derive(Debug, Default)]
struct Controls {
    passed: DashMap<(Side, u64), Instant>,
    hasher: RandomState,
}

impl PositiveControls {
    fn key(&self, side: Side, credential: &[u8]) -> (Side, u64) {
        (side, self.0.hasher.hash_one(credential))
    }

    fn is_valid(&self, key: (Side, u64)) -> bool {
        self.0.passed.get(&key).is_some_and(|at| at.elapsed() < VALID_FOR)
    }

    fn pass(&self, key: (Side, u64)) {
        if self.0.passed.len() >= CREDENTIALS_MAX {
            self.0.passed.clear();
        }
        self.0.passed.insert(key, Instant::now());
    }
}

impl RouteContext {
    /// Verifies that lookups on a side find what it holds. Makes at most one call in five minutes for a side and credential, and none
    /// while the ledger knows no record there.
    ///
    /// # Errors
    /// When the newest known record was not found, or the lookup failed.
    pub(super) async fn positive_control(&self, side: Side, until: Instant) -> Result<(), Failure> {
        let Some(ledger) = &self.services.ledger else { return Ok(()) };
        let credential =
            self.head.headers.get(header::AUTHORIZATION).map_or(&b""[..], |value| value.as_bytes());
        let credential = if self.config.auth.credential_set(side).is_some() { b"own" } else { credential };
        let controls = &self.services.positive_controls;
        let key = controls.key(side, credential);
        if controls.is_valid(key) {
            return Ok(());
        }
        let known = ledger.reader().newest_record(self.tenant(), side, Timestamp::now() - LAG).await;
        let known = known.map_err(|error| Failure::Ledger(error.into()))?;
        if let Some((ref_id, record_id)) = known {
            let reply = self.list_by_ref(side, &ref_id, Lane::Create, until).await?;
            let finding = evidence::read(side, &reply.evidence(), &ref_id, Origin::OwnRecord, self.facts());
            if !matches!(&finding, Finding::Found(record) if record.id == record_id) {
                let why = "a record that is known to be there was not found by its ref_id";
                tracing::warn!(target: "cutover", %side, "the positive control failed: {why}");
                return Err(reply.unexpected(SideEffect::None, why));
            }
        }
        controls.pass(key);
        Ok(())
    }

    pub(super) fn has_lookup_credentials(&self) -> bool {
        self.config.auth.credentials(CredentialSet::Lookup).is_some()
    }
}
