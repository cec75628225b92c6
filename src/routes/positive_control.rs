//! The positive control of the duplicate check: before an empty list counts as absence, the same lookup must have found a record that is
//! known to be there. A filter that is ignored, or an index that is empty for a while, would otherwise pass for "never used".

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

/// How long one control counts.
const VALID_FOR: Duration = Duration::from_secs(5 * 60);
/// Records that are younger may not be listed yet.
pub(super) const LAG: Duration = Duration::from_secs(10 * 60);
/// Credentials that are remembered; past it all are forgotten, which costs one lookup each.
const CREDENTIALS_MAX: usize = 10_000;

/// When a side was last seen to find what it holds, per credential. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct PositiveControls(Arc<Controls>);

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
    /// Makes sure that lookups on the side find what it holds. At most one call in five minutes a side and credential; a side on which
    /// the ledger knows no record needs none.
    ///
    /// # Errors
    /// When the newest known record was not found, or nobody could look.
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
        let known = ledger.newest_record(self.tenant(), side, Timestamp::now() - LAG).await;
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

    /// Whether lookups may use credentials of the proxy's own.
    pub(super) fn has_lookup_credentials(&self) -> bool {
        self.config.auth.credentials(CredentialSet::Lookup).is_some()
    }
}
