//! The reads of a ledger, and the timeout of every call.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::claim::{Claim, Key, Recent};
use super::connection::{Connection, LedgerRequest};
use super::error::{LedgerError, OpenError};
use super::health::{CallKind, Monitor};
use super::identified::{Identified, Identify};
use super::queries::{
    ClaimByRef, ClaimsOn, ClaimsSince, CreatedAt, CreatedOnNew, CurrentHold, FirstNewCreateAt, IsNative,
    NewestRecord, OwnedKey, SideOfRecord,
};
use super::schema::UnknownMigration;
use super::settings::{DatabaseUrl, Settings, in_time, place};
use super::stats::{Stats, Summary};
use super::{postgres, schema, sqlite};
use crate::telemetry::metrics::family::{DURATIONS, Histograms};
use crate::telemetry::metrics::label_set::label;
use crate::translate::side::Side;

/// Reads a ledger. Clones share the connections.
#[derive(Clone)]
pub struct Reader {
    store: ReadStore,
    timeout: Duration,
    pub(super) health: Monitor,
    times: Arc<Histograms<(LedgerOperation, LedgerOutcome)>>,
}

/// What a call to the ledger does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LedgerOperation {
    /// It asks.
    Read,
    /// It writes, and waits until the write is durable.
    Write,
}
label!(LedgerOperation, "operation", Read = "read", Write = "write");

/// How a call to the ledger ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LedgerOutcome {
    /// It gave what was asked for.
    Ok,
    /// Without what was asked for.
    Failed,
}
label!(LedgerOutcome, "outcome", Ok = "ok", Failed = "failed");

#[derive(Clone)]
pub(super) enum ReadStore {
    Sqlite(sqlite::SqliteReader),
    Postgres(postgres::PostgresStore),
}

impl Reader {
    /// Opens an existing ledger read-only, also beside the process that serves: takes no lock and changes no table.
    ///
    /// # Errors
    /// [`OpenError`], for example when there is no ledger yet.
    pub async fn open(settings: &Settings) -> Result<Self, OpenError> {
        match settings.url.parse()? {
            DatabaseUrl::Sqlite(path) => {
                let opened = async {
                    let store = ReadStore::Sqlite(sqlite::SqliteReader::open(&path, settings).await?);
                    Self::checked(store, settings).await
                };
                opened.await.map_err(|error: OpenError| error.naming(&path))
            }
            DatabaseUrl::Postgres(options) => {
                let at = place(&options);
                let opened = async {
                    let store = postgres::PostgresStore::open_to_read(*options, settings).await?;
                    Self::checked(ReadStore::Postgres(store), settings).await
                };
                opened.await.map_err(|error: OpenError| error.at(|| at))
            }
        }
    }

    /// The reader of a ledger that is current and the one that is meant.
    async fn checked(store: ReadStore, settings: &Settings) -> Result<Self, OpenError> {
        let reader = Self::new(store, settings);
        let checking = async {
            // First: of a newer ledger not even the tables that the next reads use are known.
            if let Some(found) = reader.run(&UnknownMigration).await? {
                return Err(schema::newer(found));
            }
            reader.run(&RefuseOlder).await?;
            let mismatches = reader.run(&Identify { tenant: None }).await?.mismatches(&settings.identity);
            if mismatches.is_empty() { Ok(()) } else { Err(OpenError::Mismatch(mismatches)) }
        };
        in_time(settings.timeout, checking).await?;
        Ok(reader)
    }

    pub(super) fn new(store: ReadStore, settings: &Settings) -> Self {
        let times = Arc::new(Histograms::new(&DURATIONS));
        Self { store, timeout: settings.timeout, health: Monitor::new(), times }
    }

    /// The claim of a key, if there is one.
    ///
    /// # Errors
    /// [`LedgerError`]; "could not look" is never "there is none".
    pub async fn claim_by_ref(&self, key: Key<'_>) -> Result<Option<Claim>, LedgerError> {
        self.ask(&ClaimByRef(&OwnedKey::from(key))).await
    }

    /// The whole ledger in a few numbers.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn stats(&self) -> Result<Stats, LedgerError> {
        self.ask(&Summary).await
    }

    /// When a create first went, or may have gone, to the new side. `None`: no claim names it.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn first_new_create_at(&self) -> Result<Option<Timestamp>, LedgerError> {
        self.ask(&FirstNewCreateAt).await
    }

    /// Whether a create may have gone to the new side: the mark says so, or any claim names it.
    ///
    /// # Errors
    /// [`LedgerError`].
    #[cfg_attr(not(feature = "testing"), allow(dead_code, reason = "tests read it"))]
    pub async fn created_on_new(&self) -> Result<bool, LedgerError> {
        self.ask(&CreatedOnNew).await
    }

    /// The side of a record by its id, where a claim of the tenant knows it.
    ///
    /// # Errors
    /// [`LedgerError`]; "could not look" is never "not known".
    pub async fn record_side(&self, tenant: &str, record_id: &str) -> Result<Option<Side>, LedgerError> {
        self.ask(&SideOfRecord(tenant, record_id)).await
    }

    /// Reference and id of the newest record of the tenant on a side, of claims that are not refused and were neither made nor changed
    /// since `older_than`.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn newest_record(
        &self,
        tenant: &str,
        side: Side,
        older_than: Timestamp,
    ) -> Result<Option<(String, String)>, LedgerError> {
        self.ask(&NewestRecord { tenant, side, older_than }).await
    }

    /// References and record ids of the claims on a side that are not refused and have one of these record ids or references.
    ///
    /// # Errors
    /// [`LedgerError`]; "could not look" is never "there is none".
    pub async fn claims_on(
        &self,
        tenant: &str,
        side: Side,
        record_ids: Vec<&str>,
        ref_ids: Vec<&str>,
    ) -> Result<Vec<(String, Option<String>)>, LedgerError> {
        self.ask(&ClaimsOn::new(tenant, side, record_ids, ref_ids)).await
    }

    /// Why creates are on hold; `None` while they are not.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn hold(&self) -> Result<Option<String>, LedgerError> {
        self.ask(&CurrentHold).await
    }

    /// Whether a create with this reference on the new API's own path was recorded.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub(crate) async fn is_native(&self, key: Key<'_>) -> Result<bool, LedgerError> {
        self.ask(&IsNative(&OwnedKey::from(key))).await
    }

    /// Which ledger this is, and whether it knows the tenant.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn identified(&self, tenant: Option<&str>) -> Result<Identified, LedgerError> {
        self.ask(&Identify { tenant }).await
    }

    /// When the ledger's tables were made, by the clock of its database or machine.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn begun(&self) -> Result<Option<Timestamp>, LedgerError> {
        self.ask(&CreatedAt).await
    }

    /// The claims on a side since a time. Reads every row, so it may take long with millions; the ledger's health ignores that.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn recent(&self, side: Side, since: Timestamp) -> Result<Recent, LedgerError> {
        let asked = tokio::time::timeout(self.timeout, self.run(&ClaimsSince(side, since))).await;
        asked.unwrap_or(Err(LedgerError::Timeout))
    }

    pub(super) async fn ask<R: LedgerRequest>(&self, request: &R) -> Result<R::Output, LedgerError> {
        // Large, and rarely made: kept out of the futures of requests.
        self.bounded(Box::pin(self.run(request)), CallKind::Read).await
    }

    async fn run<R: LedgerRequest>(&self, request: &R) -> Result<R::Output, LedgerError> {
        match &self.store {
            ReadStore::Sqlite(reader) => reader.ask(request).await,
            ReadStore::Postgres(store) => store.ask(request).await,
        }
    }

    /// Limits the duration of a call, and updates the health with its outcome.
    pub(super) async fn bounded<T>(
        &self,
        call: impl Future<Output = Result<T, LedgerError>>,
        kind: CallKind,
    ) -> Result<T, LedgerError> {
        let start = Instant::now();
        let outcome = tokio::time::timeout(self.timeout, call).await.unwrap_or(Err(LedgerError::Timeout));
        let operation = match kind {
            CallKind::Read => LedgerOperation::Read,
            CallKind::Write | CallKind::Probe => LedgerOperation::Write,
        };
        let ended = if outcome.is_ok() { LedgerOutcome::Ok } else { LedgerOutcome::Failed };
        self.times.observe_duration((operation, ended), start.elapsed());
        self.health.observe(&outcome, kind);
        outcome
    }

    /// Durations of calls, by operation and outcome.
    #[must_use]
    pub fn times(&self) -> &Histograms<(LedgerOperation, LedgerOutcome)> {
        &self.times
    }
}

/// Fails on a ledger whose tables are older than this program: only a program that may write brings them up to date.
struct RefuseOlder;

impl LedgerRequest for RefuseOlder {
    type Output = ();

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<(), LedgerError> {
        let (made, current) = (
            connection.has_table("conversion_migrations").await?,
            connection.has_table("ledger_settings").await?,
        );
        match (made, current) {
            (true, true) => Ok(()),
            (true, false) => Err(LedgerError::Older),
            (false, _) => Err(LedgerError::NoTables),
        }
    }
}
