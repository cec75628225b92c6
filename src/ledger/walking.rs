//! What walks over the vendor's lists, and what follows from them, ask of a ledger.

use std::time::Duration;

use jiff::Timestamp;

use super::adopt::{AdoptRecords, Repair, RepairClaim, VendorRecord};
use super::claim::{Claim, Key};
use super::claim_batches::{CLAIMS_PAGE, ClaimSet, ClaimsBetween, ClaimsByRefs, NativeByRefs, RefClaim};
use super::completeness::{
    Completeness, CompletenessOf, FoundUnclaimed, JudgeBy, SharedClock, Withdraw, Withdrawal,
};
use super::error::LedgerError;
use super::leases::{LeaseOf, ReleaseLease, TakeLease};
use super::walk_audit::CountResolved;
use super::walks::{
    BeginWalk, DoublesSince, FindingsAfter, MoveEnd, NewestWhole, SaveWalk, StoredFinding, UnfinishedWalk,
    WITH_FINDINGS_MAX, WalkKind, WalkRow, WalkState, WalkStep, WithFindings,
};
use super::{Ledger, Reader};
use crate::translate::facts::Facts;
use crate::translate::side::Side;

impl Reader {
    /// The claims of these references.
    ///
    /// # Errors
    /// [`LedgerError`]; "could not look" is never "there is none".
    pub async fn claims_by_refs(
        &self,
        tenant: &str,
        ref_ids: Vec<&str>,
    ) -> Result<Vec<RefClaim>, LedgerError> {
        self.ask(&ClaimsByRefs::new(tenant, ref_ids)).await
    }

    /// Those of the references that were created on the new API's own path through this proxy.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn native_by_refs(&self, tenant: &str, ref_ids: Vec<&str>) -> Result<Vec<String>, LedgerError> {
        self.ask(&NativeByRefs(ClaimsByRefs::new(tenant, ref_ids))).await
    }

    /// Some of the claims of a set that were made from `from.0` on and before `to`, oldest first, and where to go on; `None` at the end.
    /// `from.1` is the reference of the last claim read at that time; empty to begin.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn claims_between(
        &self,
        tenant: &str,
        set: ClaimSet,
        from: &(Timestamp, String),
        to: Timestamp,
    ) -> Result<(Vec<RefClaim>, Option<(Timestamp, String)>), LedgerError> {
        let request = ClaimsBetween { tenant, set, from: from.0, to, after: &from.1 };
        let claims = self.ask(&request).await?;
        let last = claims.last().filter(|_| claims.len() == CLAIMS_PAGE);
        let next = last.map(|last| (last.claim.created_at, last.ref_id.clone()));
        Ok((claims, next))
    }

    /// The newest reconcile in a state that went over both sides, and over at least `window` up to at most `age` before it began.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn newest_whole_walk(
        &self,
        tenant: &str,
        state: WalkState,
        window: Duration,
        age: Duration,
    ) -> Result<Option<WalkRow>, LedgerError> {
        self.ask(&NewestWhole { tenant, state, window, age }).await
    }

    /// How many references the walks that ended at that time or later, of any kind and over any side, confirmed a double of.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub(crate) async fn doubles_since(&self, tenant: &str, since: Timestamp) -> Result<u64, LedgerError> {
        self.ask(&DoublesSince { tenant, since }).await
    }

    /// Who has a lease, and until when; `None` if nobody.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub(crate) async fn lease_of(&self, name: &str) -> Result<Option<(String, Timestamp)>, LedgerError> {
        self.ask(&LeaseOf(name)).await
    }

    /// The progress of each of the newest walks with findings, of any kind, and when it ended, newest first; and whether there are older
    /// ones. One that stopped after it had confirmed a finding of a kind in `money` is among them, without progress.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub(crate) async fn walks_with_findings(
        &self,
        tenant: &str,
        money: [&'static str; 5],
    ) -> Result<(Vec<(String, Timestamp)>, bool), LedgerError> {
        let found = self.ask(&WithFindings { tenant, money }).await?;
        let is_full = found.len() >= WITH_FINDINGS_MAX;
        Ok((found, is_full))
    }

    /// The newest walk of a kind over these sides, from that begin on, that did not finish.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn unfinished_walk(
        &self,
        tenant: &str,
        kind: WalkKind,
        sides: &str,
        begin: Timestamp,
    ) -> Result<Option<WalkRow>, LedgerError> {
        self.ask(&UnfinishedWalk { tenant, kind, sides, begin }).await
    }

    /// How the tenant's sides stand; nothing for one that no process has served yet.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn completeness(&self, tenant: &str) -> Result<Vec<Completeness>, LedgerError> {
        self.ask(&CompletenessOf(tenant)).await
    }

    /// The findings of a walk, all at once.
    ///
    /// # Errors
    /// [`LedgerError`].
    #[cfg(feature = "testing")]
    pub async fn findings_of(&self, walk: &str) -> Result<Vec<StoredFinding>, LedgerError> {
        let mut all: Vec<StoredFinding> = Vec::new();
        loop {
            let found = self.findings_after(walk, all.last()).await?;
            if found.is_empty() {
                return Ok(all);
            }
            all.extend(found);
        }
    }

    /// The next findings of a walk after one of them, at most some; none at the end.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub(crate) async fn findings_after(
        &self,
        walk: &str,
        after: Option<&StoredFinding>,
    ) -> Result<Vec<StoredFinding>, LedgerError> {
        self.ask(&FindingsAfter { walk, after }).await
    }

    /// The time by the clock that all processes of the ledger share: PostgreSQL's, and the machine's with SQLite.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn clock(&self) -> Result<Timestamp, LedgerError> {
        self.ask(&SharedClock).await
    }
}

impl Ledger {
    /// As a walk writes claims, without one.
    ///
    /// # Errors
    /// [`LedgerError`]; some may have been written.
    #[cfg(feature = "testing")]
    pub async fn adopt(
        &self,
        tenant: &str,
        side: Side,
        records: Vec<VendorRecord>,
    ) -> Result<Vec<String>, LedgerError> {
        // What is adopted is not missing any more, so the comparison comes first.
        self.check_suspended()?;
        self.write(AdoptRecords { walk: None, tenant: tenant.to_owned(), side, records }).await
    }

    /// Writes a claim for each of these records of a side whose reference has none: checked, with its id, and without an open attempt; counted
    /// for the audit of a walk. Returns the references that got one.
    ///
    /// # Errors
    /// [`LedgerError`]; some may have been written.
    pub(crate) async fn adopt_in_walk(
        &self,
        walk: &str,
        tenant: &str,
        side: Side,
        records: Vec<VendorRecord>,
    ) -> Result<Vec<String>, LedgerError> {
        self.check_suspended()?;
        let (walk, tenant) = (Some(walk.to_owned()), tenant.to_owned());
        self.write(AdoptRecords { walk, tenant, side, records }).await
    }

    /// Counts a claim to which a walk gave the id of its record, for the audit.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub(crate) async fn count_resolved(&self, walk: &str) -> Result<(), LedgerError> {
        self.write(CountResolved(walk.to_owned())).await
    }

    /// Ends completeness until a walk from the first record on, if a side was walked under other facts about mirrors than these.
    ///
    /// # Errors
    /// [`LedgerError`]; it may still be complete.
    pub(crate) async fn judge_by(&self, tenant: &str, facts: Facts) -> Result<(), LedgerError> {
        self.write(JudgeBy::new(tenant, facts)).await
    }

    /// Makes one repair that a walk found, audited. `None`: the claim is not as it was read, or an attempt is open.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn repair(
        &self,
        key: Key<'_>,
        repair: Repair,
        (walk, record_id): (&str, &str),
    ) -> Result<Option<Claim>, LedgerError> {
        self.check_suspended()?;
        super::claim::fits("record id", record_id, super::RECORD_ID_MAX)?;
        let (walk, record_id) = (walk.to_owned(), record_id.to_owned());
        let (process, operator) = (self.process(), self.operator());
        self.write(RepairClaim { process, operator, walk, key: key.into(), repair, record_id }).await
    }

    /// Begins a walk, and gives up those with the same begin that did not finish.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn begin_walk(&self, tenant: &str, kind: WalkKind, row: WalkRow) -> Result<(), LedgerError> {
        self.write(BeginWalk { tenant: tenant.to_owned(), kind, row }).await
    }

    /// Gives a walk that did not finish another end. `false`: another walk took its place.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub(crate) async fn move_end(&self, walk: &str, end: Timestamp) -> Result<bool, LedgerError> {
        self.write(MoveEnd { walk: walk.to_owned(), end }).await
    }

    /// Records how far a walk has come and what it found until there. `false`: another walk took its place.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn save_walk(&self, walk: &str, step: WalkStep) -> Result<bool, LedgerError> {
        self.write(SaveWalk { walk: walk.to_owned(), step }).await
    }

    /// Takes or renews a lease for this process. Returns whether it has it.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn take_lease(&self, name: &str, duration: Duration) -> Result<bool, LedgerError> {
        self.write(TakeLease { name: name.to_owned(), holder: self.process(), duration }).await
    }

    /// Gives a lease back.
    ///
    /// # Errors
    /// [`LedgerError`]; it ends by itself.
    pub async fn release_lease(&self, name: &str) -> Result<(), LedgerError> {
        self.write(ReleaseLease { name: name.to_owned(), holder: self.process() }).await
    }

    /// Ends the completeness of a side for all replicas, before something that may send a reference without a claim.
    ///
    /// # Errors
    /// [`LedgerError`]; it may still be complete.
    pub(crate) async fn withdraw(
        &self,
        tenant: &str,
        side: Side,
        why: Withdrawal,
    ) -> Result<(), LedgerError> {
        self.write(Withdraw { tenant: Some(tenant.to_owned()), sides: vec![side], why }).await
    }

    /// A reconcile found records on a side that no claim knew; the oldest and the newest were made then.
    ///
    /// # Errors
    /// [`LedgerError`]; the side may still be complete.
    pub async fn found_unclaimed(
        &self,
        tenant: &str,
        side: Side,
        made: [Timestamp; 2],
        longest_create: Duration,
    ) -> Result<(), LedgerError> {
        self.write(FoundUnclaimed { tenant: tenant.to_owned(), side, made, longest_create }).await
    }
}
