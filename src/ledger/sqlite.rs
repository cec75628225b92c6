//! The embedded ledger: one file, one process that serves, every commit synced to the disk.

use std::path::Path;
use std::sync::Arc;

use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};
use sqlx::{ConnectOptions as _, Connection as _};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use super::connection::LedgerRequest;
use super::error::{LedgerError, OpenError};
use super::file_identity::SameFile;
use super::group_commit::{GroupCommit, WriterFile};
use super::history::Verifier;
use super::identified::examine;
use super::schema;
use super::settings::{OpenMode, Settings, in_time};
use super::sqlite_file::{lock, reading, resolve};
use super::sqlite_opening::{ReadAlone, SqliteOpening};

/// Reads the file, in this process or beside the one that writes.
#[derive(Clone)]
pub(super) struct SqliteReader {
    pool: SqlitePool,
    /// `None` for a reader beside the process that serves, which knows of no other file.
    same: Option<SameFile>,
    /// Where the process could not open the file at start.
    alone: Option<Arc<ReadAlone>>,
}

impl SqliteReader {
    /// For reading a ledger that another process may be writing: takes no lock, makes and changes nothing.
    pub(super) async fn open(path: &Path, settings: &Settings) -> Result<Self, OpenError> {
        let path = resolve(path)?;
        if !path.exists() {
            return Err(settings.identity.missing(Some(&path)));
        }
        let options = reading(&path, settings.timeout);
        let connection = in_time(settings.timeout, async { Ok(options.connect().await?) }).await?;
        connection.close().await?;
        Ok(Self::pool(options, settings, None))
    }

    fn pool(options: SqliteConnectOptions, settings: &Settings, same: Option<SameFile>) -> Self {
        let pool = SqlitePoolOptions::new()
            .max_connections(settings.pool_max.max(1))
            .acquire_timeout(settings.timeout)
            // The file is local: a connection cannot go stale.
            .test_before_acquire(false);
        Self { pool: pool.connect_lazy_with(options), same, alone: None }
    }

    pub(super) async fn ask<R: LedgerRequest>(&self, request: &R) -> Result<R::Output, LedgerError> {
        // A new connection of the pool would open whatever file is there now.
        self.same.as_ref().map_or(Ok(()), SameFile::check)?;
        if let Some(alone) = self.alone.as_ref().filter(|alone| !alone.is_over()) {
            return alone.ask(request).await;
        }
        let mut connection = self.pool.acquire().await?;
        request.run(&mut *connection).await
    }
}

/// Refuses a file that is not the ledger that is meant before anything of it is changed: opening it to write would change its journal.
/// What cannot be said without that is said later.
async fn look_first(path: &Path, settings: &Settings) -> Result<(), OpenError> {
    if !path.exists() {
        return Ok(());
    }
    let looking = async {
        let mut connection = reading(path, settings.timeout).connect().await?;
        let found = async {
            schema::is_newer(&mut connection, settings).await?;
            examine(&mut connection, &settings.identity).await
        };
        let found = found.await;
        connection.close().await?;
        found
    };
    match in_time(settings.timeout, looking).await {
        Err(refusal @ (OpenError::Mismatch(_) | OpenError::Missing { .. } | OpenError::Newer { .. })) => {
            Err(refusal)
        }
        Ok(_) | Err(_) => Ok(()),
    }
}

/// The reader and the one writer.
#[derive(Clone)]
pub(super) struct SqliteStore {
    pub(super) reader: SqliteReader,
    writer: GroupCommit,
    task: Arc<Mutex<JoinHandle<()>>>,
}

impl SqliteStore {
    /// Opens the file, with its lock to serve.
    pub(super) async fn open(
        path: &Path,
        settings: &Settings,
        verifier: Verifier,
        mode: OpenMode,
    ) -> Result<Self, OpenError> {
        let path = resolve(path)?;
        if !settings.identity.create && !path.exists() {
            return Err(settings.identity.missing(Some(&path)));
        }
        look_first(&path, settings).await?;
        let lock = if mode == OpenMode::Serve { Some(lock(&path)?) } else { None };
        let reading = reading(&path, settings.timeout);
        let mut opening = SqliteOpening::new(path, settings, verifier, lock);
        let alone = Arc::clone(opening.alone());
        let (file, same, alone) = match opening.attempt().await {
            Ok((file, session)) => {
                let same = file.same.clone();
                (WriterFile::open(file, session), same, None)
            }
            Err(error) => {
                let same = opening.later(&error).await?.ok_or(error)?;
                (WriterFile::Later(opening.into()), same, Some(alone))
            }
        };
        let mut reader = SqliteReader::pool(reading, settings, Some(same));
        reader.alone = alone;
        let (writer, task) = GroupCommit::start(file, settings.queue_max, settings.batch_max);
        Ok(Self { reader, writer, task: Arc::new(Mutex::new(task)) })
    }

    pub(super) async fn write<R: LedgerRequest + Send + 'static>(
        &self,
        request: R,
    ) -> Result<R::Output, LedgerError> {
        self.writer.write(request).await
    }

    pub(super) fn commits(&self) -> u64 {
        self.writer.commits()
    }

    /// Writes what was accepted, then releases the file. Waits until the other clones are dropped.
    pub(super) async fn close(self) {
        let Self { reader, writer, task } = self;
        drop(writer);
        // The task has ended, by a panic or not.
        let _ = (&mut *task.lock().await).await;
        reader.pool.close().await;
    }
}
