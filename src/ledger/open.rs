//! Opening a ledger, to serve with it or for one command.

use std::sync::Arc;

use uuid::Uuid;

use super::error::OpenError;
use super::history::Verifier;
use super::newest::Newest;
use super::reader::{ReadStore, Reader};
use super::runs_with::RunsWithCell;
use super::settings::{DatabaseUrl, OpenMode, Settings, place};
use super::trip::TripWatch;
use super::{Ledger, Store, postgres, sqlite};

impl Ledger {
    /// Opens the ledger to serve with it: checks that it is the one that is meant, brings its tables up to date, and takes the lock if
    /// only one process may have it.
    ///
    /// # Errors
    /// [`OpenError`], in particular [`OpenError::Locked`] when another process has the SQLite file.
    pub async fn open(settings: &Settings) -> Result<Self, OpenError> {
        Self::open_for(settings, OpenMode::Serve).await
    }

    /// Opens the ledger for one command of an operator, also beside a process that serves.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open_beside(settings: &Settings) -> Result<Self, OpenError> {
        Self::open_for(settings, OpenMode::Command).await
    }

    /// Uses another user or password of the same database for connections that are opened from now on. Open ones stay.
    ///
    /// # Errors
    /// When the database does not accept them; nothing changes then.
    pub(crate) async fn renew_credentials(&self, url: &str) -> Result<(), OpenError> {
        match (&self.store, url.parse()?) {
            (Store::Postgres(store), DatabaseUrl::Postgres(options)) => store.renew(*options).await,
            (Store::Sqlite(_), _) | (_, DatabaseUrl::Sqlite(_)) => Ok(()),
        }
    }

    async fn open_for(settings: &Settings, mode: OpenMode) -> Result<Self, OpenError> {
        let url: DatabaseUrl = settings.url.parse()?;
        let verifier = Verifier {
            process: Uuid::new_v4().to_string(),
            newest: Newest::default(),
            accepted: Arc::default(),
            failover_keeps_commits: settings.failover_keeps_commits,
            running: RunsWithCell::default(),
        };
        let store = match url {
            DatabaseUrl::Sqlite(path) => {
                let opened = sqlite::SqliteStore::open(&path, settings, verifier.clone(), mode).await;
                Store::Sqlite(opened.map_err(|error| error.naming(&path))?)
            }
            DatabaseUrl::Postgres(options) => {
                let at = place(&options);
                let opened = postgres::PostgresStore::open(*options, settings, verifier.clone(), mode).await;
                Store::Postgres(opened.map_err(|error| error.at(|| at))?)
            }
        };
        let read_store = match &store {
            Store::Sqlite(store) => ReadStore::Sqlite(store.reader.clone()),
            Store::Postgres(store) => ReadStore::Postgres(store.clone()),
        };
        let (suspended, trip) = (Arc::default(), TripWatch::default());
        let (reader, operator) = (Reader::new(read_store, settings), "".into());
        Ok(Self { reader, store, verifier, suspended, trip, operator })
    }
}
