//! The reading half of a ledger, and the one place where calls are limited in time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::claim::{Claim, Key, Recent, Stats};
use super::connection::Request;
use super::error::{LedgerError, OpenError};
use super::health::Monitor;
use super::queries::{ClaimByRef, CreatedAt, FirstNewCreateAt, OwnedKey, Since, Summary};
use super::settings::{DatabaseUrl, Settings};
use super::{postgres, sqlite};
use crate::telemetry::metrics::family::{DURATIONS, Histograms};
use crate::telemetry::metrics::label_set::label;
use crate::translate::side::Side;

/// The reading half: everything that can be asked without changing a claim.
#[derive(Clone)]
pub struct Reader {
    reads: Reads,
    timeout: Duration,
    pub(super) health: Monitor,
    times: Arc<Histograms<(Operation, Ended)>>,
}

/// What a call to the ledger does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// It asks.
    Read,
    /// It writes, durably.
    Write,
}
label!(Operation, "operation", Read = "read", Write = "write");

/// How a call to the ledger ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Well.
    Ok,
    /// Without what was asked for.
    Failed,
}
label!(Ended, "outcome", Ok = "ok", Failed = "failed");

#[derive(Clone)]
pub(super) enum Reads {
    Sqlite(sqlite::Reads),
    Postgres(postgres::Store),
}

impl Reader {
    /// Opens an existing ledger for looking only, also beside the process that serves: takes no lock and changes no table.
    ///
    /// # Errors
    /// [`OpenError`], for example when there is no ledger yet.
    pub async fn open(settings: &Settings) -> Result<Self, OpenError> {
        let place: DatabaseUrl = settings.url.parse()?;
        let opening = async {
            Ok(match place {
                DatabaseUrl::Sqlite(path) => Reads::Sqlite(sqlite::Reads::open(&path, settings).await?),
                DatabaseUrl::Postgres(options) => {
                    Reads::Postgres(postgres::Store::open(*options, settings, false).await?)
                }
            })
        };
        Ok(Self::new(in_time(settings.timeout, opening).await?, settings))
    }

    pub(super) fn new(reads: Reads, settings: &Settings) -> Self {
        let times = Arc::new(Histograms::new(&DURATIONS));
        Self { reads, timeout: settings.timeout, health: Monitor::new(), times }
    }

    /// The claim of a key, if there is one.
    ///
    /// # Errors
    /// [`LedgerError`]; "could not look" is never "there is none".
    pub async fn look(&self, key: Key<'_>) -> Result<Option<Claim>, LedgerError> {
        self.ask(&ClaimByRef(&OwnedKey::from(key))).await
    }

    /// The whole table in a few numbers. Reads every row: for operators, and with a timeout to match.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn stats(&self) -> Result<Stats, LedgerError> {
        self.ask(&Summary).await
    }

    /// The high-water mark: a create went, or may have gone, to the new side since then. `None`: none ever did.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn first_new_create_at(&self) -> Result<Option<Timestamp>, LedgerError> {
        self.ask(&FirstNewCreateAt).await
    }

    /// When the ledger's tables were made, by the clock of its database or machine.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn begun(&self) -> Result<Option<Timestamp>, LedgerError> {
        self.ask(&CreatedAt).await
    }

    /// The claims on a side that were made since then. Reads every row, so it may take long where there are millions: that says
    /// nothing about the ledger's health, and is not noted there.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn recent(&self, side: Side, since: Timestamp) -> Result<Recent, LedgerError> {
        let asked = tokio::time::timeout(self.timeout, self.run(&Since(side, since))).await;
        asked.unwrap_or(Err(LedgerError::Timeout))
    }

    async fn ask<R: Request>(&self, request: &R) -> Result<R::Answer, LedgerError> {
        self.bounded(self.run(request), false).await
    }

    async fn run<R: Request>(&self, request: &R) -> Result<R::Answer, LedgerError> {
        match &self.reads {
            Reads::Sqlite(reads) => reads.ask(request).await,
            Reads::Postgres(store) => store.ask(request).await,
        }
    }

    /// The one place where a call's time is limited and its outcome becomes the state of health.
    pub(super) async fn bounded<T>(
        &self,
        call: impl Future<Output = Result<T, LedgerError>>,
        wrote: bool,
    ) -> Result<T, LedgerError> {
        let start = Instant::now();
        let outcome = tokio::time::timeout(self.timeout, call).await.unwrap_or(Err(LedgerError::Timeout));
        let operation = if wrote { Operation::Write } else { Operation::Read };
        let ended = if outcome.is_ok() { Ended::Ok } else { Ended::Failed };
        self.times.observe_duration((operation, ended), start.elapsed());
        self.health.observe(&outcome, wrote);
        outcome
    }

    /// How long calls took.
    #[must_use]
    pub fn times(&self) -> &Histograms<(Operation, Ended)> {
        &self.times
    }
}

/// Opening, limited in time.
pub(super) async fn in_time<T>(
    timeout: Duration,
    opening: impl Future<Output = Result<T, OpenError>>,
) -> Result<T, OpenError> {
    tokio::time::timeout(timeout, opening).await.unwrap_or(Err(OpenError::Timeout(timeout)))
}
