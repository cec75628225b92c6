//! The positive control of the duplicate check: an empty list counts as absence only after the same kind of lookup has found a record
//! that is known to exist. Otherwise a side that ignores the filter, or whose index is empty for a while, would seem to hold nothing.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use http::header;
use jiff::Timestamp;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};

use super::RouteContext;
use crate::config::auth::CredentialSet;
use crate::failure::{Failure, SideEffect};
use crate::translate::evidence::{self, Finding};
use crate::translate::identifier;
use crate::translate::mapping::Origin;
use crate::translate::side::Side;
use crate::upstream::Lane;

const NOT_FOUND: &str = "a record that is known to be there was not found by its ref_id";
/// How long a passed control stays valid.
const VALID_FOR: Duration = Duration::from_secs(5 * 60);
/// How long a side without a known record that is old enough needs no control.
const NOTHING_KNOWN_FOR: Duration = Duration::from_secs(10);
/// Minimum age of the record that is looked up: a list may lag behind younger ones.
pub(super) const LAG: Duration = Duration::from_secs(10 * 60);
/// Maximum number of credentials with a control. Above it all are dropped, which costs each one lookup.
const CREDENTIALS_MAX: usize = 10_000;

/// How lookups on a side last fared, by credential. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct PositiveControls(Arc<Controls>);

#[derive(Debug, Default)]
struct Controls {
    last: DashMap<(Side, u64), Arc<Mutex<LastControl>>>,
    hasher: RandomState,
}

#[derive(Debug, Default)]
struct LastControl {
    /// When a known record was found last.
    passed: Option<Instant>,
    valid_until: Option<Instant>,
    failed_at: Option<Instant>,
}

fn still_running(side: Side) -> Failure {
    let source = "the positive control of another request has no answer".into();
    Failure::TimedOut { side, effect: SideEffect::None, source }
}

impl PositiveControls {
    fn last(&self, side: Side, credential: &[u8]) -> Arc<Mutex<LastControl>> {
        if self.0.last.len() >= CREDENTIALS_MAX {
            self.0.last.clear();
        }
        self.0.last.entry((side, self.0.hasher.hash_one(credential))).or_default().clone()
    }
}

impl RouteContext {
    /// Verifies that lookups on a side find what it holds. Makes at most one call in five minutes for a side and credential, and none
    /// while the ledger knows no record there. Requests that need it at the same time share it.
    ///
    /// Returns when it passed; `None` if none was needed. A list that was asked for before that proves nothing yet.
    ///
    /// # Errors
    /// When the newest known record was not found, or the lookup failed.
    pub(super) async fn positive_control(
        &self,
        side: Side,
        until: Instant,
    ) -> Result<Option<Instant>, Failure> {
        let Some(ledger) = &self.services.ledger else { return Ok(None) };
        let credential =
            self.head.headers.get(header::AUTHORIZATION).map_or(&b""[..], |value| value.as_bytes());
        let credential = if self.config.auth.credential_set(side).is_some() { b"own" } else { credential };
        let start = Instant::now();
        let last = self.services.positive_controls.last(side, credential);
        let turn = timeout_at(until, last.lock()).await;
        let mut last = turn.map_err(|_| still_running(side))?;
        if last.valid_until.is_some_and(|until| start < until) {
            return Ok(last.passed);
        }
        if last.failed_at.is_some_and(|at| at > start) {
            // Found while this request waited.
            return Err(Failure::Broken { side, effect: SideEffect::None, source: NOT_FOUND.into() });
        }
        let known = ledger.reader().newest_record(self.tenant(), side, Timestamp::now() - LAG).await;
        let known = known.map_err(|error| Failure::Ledger(error.into()))?;
        let valid_for = match &known {
            None => {
                last.passed = None;
                NOTHING_KNOWN_FOR
            }
            Some((ref_id, record_id)) => {
                if let Err(failure) = self.find_known(side, ref_id, record_id, until).await {
                    last.failed_at = Some(Instant::now());
                    return Err(failure);
                }
                last.passed = Some(Instant::now());
                VALID_FOR
            }
        };
        last.valid_until = Some(Instant::now() + valid_for);
        Ok(last.passed)
    }

    async fn find_known(
        &self,
        side: Side,
        ref_id: &str,
        record_id: &str,
        until: Instant,
    ) -> Result<(), Failure> {
        let reply = self.list_by_ref(side, ref_id, Lane::Create, until).await?;
        let finding = evidence::read(side, &reply.evidence(), ref_id, Origin::OwnRecord, self.facts());
        self.services.notice(&reply);
        if let Finding::Found(record) = &finding
            && identifier::same(&record.id, record_id)
        {
            return Ok(());
        }
        tracing::warn!(target: "routes", %side, "the positive control failed: {NOT_FOUND}");
        Err(reply.unexpected(SideEffect::None, NOT_FOUND))
    }

    pub(super) fn has_lookup_credentials(&self) -> bool {
        self.config.auth.credentials(CredentialSet::Lookup).is_some()
    }
}
