//! The durable table of claims: which side a client's reference belongs to. It is what makes "at most one conversion per `ref_id`
//! over both APIs" hold under retries, several replicas and crashes. This module owns what a claim is, how it may change, and where
//! it is kept (SQLite or PostgreSQL, the same SQL). It makes no decision about a create: `routes::create` does.
//!
//! # A claim's life
//!
//! ```text
//!              claim                 mark_checked
//!   (nothing) ───────▶ claimed on S ─────────────▶ checked on S     record_id: none ──remember_id──▶ known
//!                        │   │   └─── remember_id ──▲  │
//!                        │   └── move_claim ──▶ checked on O (the other side)
//!                        └───────── close ──────┬──────┘
//!                                               ▼ every attempt closed, no record known
//!                                            refused ── choose_anew ──▶ claimed on any side, generation + 1
//! ```
//!
//! - [`claim`](Ledger::claim) is a unique insert: of any number of callers on any number of replicas one wins, and every one of
//!   them gets the winner's side. The insertion begins the first attempt; a repeated request calls [`begin`](Ledger::begin) first.
//! - Every other write is a compare-and-set: it names the generation, side and state that its caller read. `None` says that the claim
//!   is another one now, and that nothing was changed: start again at the claim.
//! - [`move_claim`](Ledger::move_claim) changes the side within a generation, and only while no attempt but the caller's own is open:
//!   nobody else can have sent, or still send, to the side that it leaves.
//! - [`close`](Ledger::close) says that an attempt made nothing. When all are closed, the claim is refused and
//!   [`choose_anew`](Ledger::choose_anew) may choose any side, in a new generation; what an older generation still does hits no row. A
//!   crash leaves an attempt open for ever, which keeps the side: the safe outcome.
//!
//! A call that *fails* may still have happened. A begin or close of unknown result is neither repeated nor undone. Claims are never
//! deleted, generations only grow, a record id never changes within a generation.
//!
//! # The right ledger
//!
//! A ledger has an id, and the config names the one that is meant; an operator sets the mark that creates may go to the new side.
//! Together they refuse a ledger that was lost, exchanged or restored from before. While a hold (`history`) or the trip (`trip`) is
//! set, no attempt begins on any replica.
//!
//! # Durable means synced
//!
//! SQLite: write-ahead log, `synchronous=FULL`, one writer that commits everything that waits together and answers afterwards.
//! PostgreSQL: `synchronous_commit=on` in every session, `fsync=off` and `full_page_writes=off` refused. No call ever reports success
//! earlier.

mod adopt;
pub(crate) mod advisories;
mod audit;
mod audit_log;
mod backup;
mod claim;
mod claim_batches;
mod commands;
mod completeness;
mod connection;
mod drift;
pub(crate) mod effective_modes;
mod error;
mod evidence;
mod file_identity;
mod gate_queries;
mod group_commit;
mod health;
mod history;
mod identified;
mod identity;
mod leases;
mod log_end;
mod mismatch;
mod newest;
mod open;
mod operator;
mod postgres;
mod probe_refs;
mod queries;
mod reader;
pub mod reload_guard;
mod replicas;
mod runs_with;
mod schema;
mod server_session;
mod session_pool;
mod settings;
mod sqlite;
mod sqlite_file;
mod sqlite_opening;
mod stats;
pub(crate) mod trip;
mod usage;
mod walk_audit;
mod walked;
mod walking;
mod walks;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::watch;

pub use adopt::{Repair, VendorRecord};
pub(crate) use audit::AuditKind;
pub use audit_log::AuditRow;
pub use backup::{Backup, BackupError, back_up};
pub use claim::{
    Claim, ClaimState, Claimed, Expected, Fingerprint, Key, KeyError, NotAFingerprint, OtherSide,
    RECORD_ID_MAX, REF_ID_MAX, Recent, Released, TENANT_MAX,
};
pub use claim_batches::{ClaimSet, RefClaim};
pub use completeness::{Completeness, Withdrawal};
pub use drift::DriftRow;
pub(crate) use drift::ROWS_MAX as DRIFT_ROWS_MAX;
pub(crate) use effective_modes::modes_of;
pub use error::{LedgerError, OpenError};
pub use evidence::{EvidenceKind, EvidenceRow, GateEvidence};
pub use health::Health;
pub(crate) use identified::Identified;
pub use mismatch::Mismatch;
pub use operator::{Accepted, OperatorReason};
pub use reader::{LedgerOperation, LedgerOutcome, Reader};
pub(crate) use replicas::ReplicaRow;
pub(crate) use settings::sqlite_file;
pub use settings::{Identity, Settings, check_url};
pub use stats::{Count, Stats};
pub use trip::{ConfirmedDouble, Trip, TripState};
pub(crate) use usage::OTHERS;
pub use usage::{ClientOnRecord, ClientUse, UsageOnRecord};
pub use walked::{WalkVerdict, Walked};
pub use walks::{StoredFinding, WalkKind, WalkRow, WalkState, WalkStep};

use crate::translate::side::Side;
use commands::{ClaimChange, MakeClaim, RecordNative, Transition};
use connection::LedgerRequest;
use health::CallKind;
use history::{Probe, Verifier};
use queries::OwnedKey;

/// The whole ledger. Cheap to clone; all clones share one writer or pool.
#[derive(Clone)]
pub struct Ledger {
    reader: Reader,
    store: Store,
    verifier: Verifier,
    /// Whether no attempt begins: see [`Ledger::suspend`].
    suspended: Arc<AtomicBool>,
    trip: trip::TripWatch,
    /// The user who runs a command with it, for the audit; empty for a process that serves.
    operator: Arc<str>,
}

#[derive(Clone)]
enum Store {
    Sqlite(sqlite::SqliteStore),
    Postgres(postgres::PostgresStore),
}

impl Ledger {
    /// Claims the key for `side` and begins the first attempt, or returns the claim that is there, unchanged.
    ///
    /// # Errors
    /// [`LedgerError`]; the claim may have been made, nothing may be sent. [`LedgerError::Held`] when there is no claim and none may
    /// be made now.
    pub async fn claim(
        &self,
        key: Key<'_>,
        side: Side,
        fingerprint: &Fingerprint,
    ) -> Result<Claimed, LedgerError> {
        self.check_suspended()?;
        let claimed = self.write(MakeClaim::new(key, side, fingerprint)).await?;
        // A claim that another process made is in its memory; here only what this one wrote must be found again.
        if claimed.inserted {
            self.verifier.newest.add(key.into(), &claimed.claim);
        }
        Ok(claimed)
    }

    /// Chooses the side of a refused claim anew and begins the first attempt of the next generation. `None`: the claim is not refused,
    /// or of another generation.
    ///
    /// # Errors
    /// [`LedgerError`]; nothing may be sent.
    pub async fn choose_anew(
        &self,
        key: Key<'_>,
        side: Side,
        fingerprint: &Fingerprint,
        generation: i64,
    ) -> Result<Option<Claim>, LedgerError> {
        self.check_suspended()?;
        let fingerprint = fingerprint.to_string();
        self.change(key, Transition::ChooseAnew { side, fingerprint, generation }).await
    }

    /// Begins an attempt, and marks the claim checked if `checked`. `None`: the claim is not as expected, or refused.
    ///
    /// # Errors
    /// [`LedgerError`]; the attempt may have been begun, nothing may be sent.
    pub async fn begin(
        &self,
        key: Key<'_>,
        expected: Expected,
        checked: bool,
    ) -> Result<Option<Claim>, LedgerError> {
        self.check_suspended()?;
        self.change(key, Transition::Begin { expected, checked }).await
    }

    /// Makes the claim checked: the other side was seen not to hold the reference. `None`: the claim is not as expected, or refused.
    ///
    /// # Errors
    /// [`LedgerError`]; nothing may be sent.
    pub async fn mark_checked(&self, key: Key<'_>, expected: Expected) -> Result<Option<Claim>, LedgerError> {
        self.change(key, Transition::MarkChecked { expected }).await
    }

    /// Moves a claim that is not checked to the other side, where a record with its reference was found, and makes it checked. `None`:
    /// the claim is not as expected, or more than `own_attempts` are open, or a hold stands.
    ///
    /// # Errors
    /// [`LedgerError`]; [`LedgerError::Unfit`] when the id cannot be stored (move without it).
    pub async fn move_claim(
        &self,
        key: Key<'_>,
        expected: Expected,
        record_id: Option<&str>,
        own_attempts: i64,
    ) -> Result<Option<Claim>, LedgerError> {
        record_id.map_or(Ok(()), |id| claim::fits("record id", id, RECORD_ID_MAX))?;
        let record_id = record_id.map(str::to_owned);
        self.change(key, Transition::Move { expected, record_id, own_attempts }).await
    }

    /// Remembers the id of the record on the claim's side, and makes the claim checked. `None`: the claim is of another generation or
    /// side, or has another id.
    ///
    /// # Errors
    /// [`LedgerError`]; the record exists all the same.
    pub async fn remember_id(
        &self,
        key: Key<'_>,
        generation: i64,
        side: Side,
        record_id: &str,
    ) -> Result<Option<Claim>, LedgerError> {
        claim::fits("record id", record_id, RECORD_ID_MAX)?;
        self.change(key, Transition::Remember { generation, side, record_id: record_id.to_owned() }).await
    }

    /// Closes an attempt that is known to have made nothing; the claim becomes refused when all are closed and no record is known.
    /// `None`: the claim is of another generation or side, or has no open attempt.
    ///
    /// # Errors
    /// [`LedgerError`]; the attempt may have been closed. Do not call it again.
    pub async fn close(
        &self,
        key: Key<'_>,
        generation: i64,
        side: Side,
    ) -> Result<Option<Claim>, LedgerError> {
        self.change(key, Transition::Close { generation, side }).await
    }

    /// Records a create on the new API's own path, before it is forwarded.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn record_native(&self, key: Key<'_>) -> Result<(), LedgerError> {
        self.write(RecordNative(key.into())).await
    }

    /// Whether a create with this reference went, or may go, to the legacy side.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn is_claimed_for_legacy(&self, key: Key<'_>) -> Result<bool, LedgerError> {
        let claim = self.reader.claim_by_ref(key).await?;
        Ok(claim.is_some_and(|claim| claim.side == Side::Legacy && claim.state != ClaimState::Refused))
    }

    /// Lets this process begin no attempt until [`resume`](Self::resume): the ledger has not been compared with the new API yet.
    pub(crate) fn suspend(&self) {
        self.suspended.store(true, Ordering::Relaxed);
        // Not ready from the first moment on; the first write after `resume` ends it.
        self.reader.health.observe(&Err::<(), _>(LedgerError::Suspended), CallKind::Probe);
    }

    /// Ends [`suspend`](Self::suspend).
    pub(crate) fn resume(&self) {
        self.suspended.store(false, Ordering::Relaxed);
        self.reader.health.resumed();
    }

    /// Whether no attempt begins in this process, and nothing is adopted.
    pub(crate) fn is_suspended(&self) -> bool {
        self.suspended.load(Ordering::Relaxed)
    }

    fn check_suspended(&self) -> Result<(), LedgerError> {
        if self.is_suspended() { Err(LedgerError::Suspended) } else { Ok(()) }
    }

    /// The part that only asks, for the admin listener and the commands.
    #[must_use]
    pub const fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Makes one durable write that changes no claim, so that [`health`](Self::health) is ready only when creates can work.
    /// Also the heartbeat of this process: call it every few seconds.
    ///
    /// # Errors
    /// [`LedgerError`], in particular [`LedgerError::Held`].
    pub async fn probe(&self) -> Result<(), LedgerError> {
        let probe = Probe(self.verifier.clone());
        let writing = async {
            self.check_suspended()?;
            match self.store_write(probe).await? {
                Some(why) => Err(LedgerError::Held(why)),
                None => Ok(()),
            }
        };
        self.reader.bounded(writing, CallKind::Probe).await
    }

    /// Whether the PostgreSQL server reports its timeline; if not, a fail-over is not detected. `None` for SQLite.
    #[must_use]
    pub fn says_its_timeline(&self) -> Option<bool> {
        match &self.store {
            Store::Sqlite(_) => None,
            Store::Postgres(store) => store.says_its_timeline(),
        }
    }

    /// The state after the last calls.
    #[must_use]
    pub fn health(&self) -> Health {
        self.reader.health.now()
    }

    /// Notifies of every change between ready and down.
    #[must_use]
    pub fn watch_health(&self) -> watch::Receiver<Health> {
        self.reader.health.subscribe()
    }

    /// Transactions committed by this process. With SQLite, many writes share one.
    #[must_use]
    pub fn commits(&self) -> u64 {
        match &self.store {
            Store::Sqlite(store) => store.commits(),
            Store::Postgres(store) => store.commits(),
        }
    }

    /// Writes what was accepted and releases a SQLite file. Waits until the other clones are dropped. Not needed for durability.
    #[cfg_attr(
        not(feature = "testing"),
        allow(dead_code, reason = "tests open a ledger again in one process")
    )]
    pub async fn shutdown(self) {
        match self.store {
            Store::Sqlite(store) => store.close().await,
            Store::Postgres(store) => store.close().await,
        }
    }

    /// The same ledger on behalf of the user who runs a command: the audit names them for what its walks do.
    #[must_use]
    pub(crate) fn on_behalf_of(self, operator: &str) -> Self {
        Self { operator: operator.into(), ..self }
    }

    fn operator(&self) -> String {
        self.operator.as_ref().to_owned()
    }

    fn process(&self) -> String {
        self.verifier.process.clone()
    }

    async fn change(&self, key: Key<'_>, transition: Transition) -> Result<Option<Claim>, LedgerError> {
        let changed = self.write(ClaimChange::new(key, transition)).await?;
        if let Some(claim) = &changed {
            self.verifier.newest.add(OwnedKey::from(key), claim);
        }
        Ok(changed)
    }

    async fn write<R: LedgerRequest + Send + 'static>(&self, request: R) -> Result<R::Output, LedgerError> {
        self.reader.bounded(Box::pin(self.store_write(request)), CallKind::Write).await
    }

    async fn store_write<R: LedgerRequest + Send + 'static>(
        &self,
        request: R,
    ) -> Result<R::Output, LedgerError> {
        match &self.store {
            Store::Sqlite(store) => store.write(request).await,
            Store::Postgres(store) => store.write(&request).await,
        }
    }
}
