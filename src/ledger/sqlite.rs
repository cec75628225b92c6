//! The embedded ledger: one file, one process, every commit synced to the disk.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection as _};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use super::commands::{Applied, Write};
use super::connection::Request;
use super::error::{LedgerError, OpenError};
use super::file_identity::SameFile;
use super::group_commit::{GroupCommit, Opened};
use super::schema;
use super::settings::Settings;

/// Reads, in this process or beside the one that writes.
#[derive(Clone)]
pub(super) struct Reads {
    pool: SqlitePool,
    /// `None` for a look from outside, which knows of no other file.
    same: Option<SameFile>,
}

impl Reads {
    /// For looking into a ledger that another process may be writing: takes no lock, makes and changes nothing.
    pub(super) async fn open(path: &Path, settings: &Settings) -> Result<Self, OpenError> {
        let options = reading(&resolve(path)?, settings.timeout);
        options.connect().await?.close().await?;
        Ok(Self::pool(options, settings, None))
    }

    fn pool(options: SqliteConnectOptions, settings: &Settings, same: Option<SameFile>) -> Self {
        let pool = SqlitePoolOptions::new()
            .max_connections(settings.pool_max.max(1))
            .acquire_timeout(settings.timeout)
            // The file is local: a connection cannot go stale.
            .test_before_acquire(false);
        Self { pool: pool.connect_lazy_with(options), same }
    }

    pub(super) async fn ask<R: Request>(&self, request: &R) -> Result<R::Answer, LedgerError> {
        // A new connection of the pool would open whatever file is there now.
        self.same.as_ref().map_or(Ok(()), SameFile::check)?;
        let mut connection = self.pool.acquire().await?;
        request.run(&mut *connection).await
    }
}

/// Reads and the one writer.
#[derive(Clone)]
pub(super) struct Store {
    pub(super) reads: Reads,
    writer: GroupCommit,
    task: Arc<Mutex<JoinHandle<()>>>,
}

impl Store {
    pub(super) async fn open(path: &Path, settings: &Settings) -> Result<Self, OpenError> {
        let path = resolve(path)?;
        let lock = lock(&path)?;
        let options = writing(&path, settings.timeout);
        let mut connection = options.connect().await?;
        schema::migrator().run(&mut connection).await?;
        let same = SameFile::of(&path).map_err(|error| OpenError::Connect(error.into()))?;
        let reads = Reads::pool(reading(&path, settings.timeout), settings, Some(same.clone()));
        let opened = Opened { options, connection, same, lock };
        let (writer, task) = GroupCommit::start(opened, settings.queue_max, settings.batch_max);
        Ok(Self { reads, writer, task: Arc::new(Mutex::new(task)) })
    }

    pub(super) async fn write(&self, write: Write) -> Result<Applied, LedgerError> {
        self.writer.write(write).await
    }

    pub(super) fn commits(&self) -> u64 {
        self.writer.commits()
    }

    /// Writes what was accepted, then gives the file back. Waits for other clones to go first.
    pub(super) async fn close(self) {
        let Self { reads, writer, task } = self;
        drop(writer);
        // Ended by a panic or not: there is nothing left to wait for.
        let _ = (&mut *task.lock().await).await;
        reads.pool.close().await;
    }
}

/// The file's one true name, so that two ways to write it cannot lead to two locks.
fn resolve(path: &Path) -> Result<PathBuf, OpenError> {
    if let Ok(existing) = fs::canonicalize(path) {
        return Ok(existing);
    }
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let Some(name) = path.file_name() else {
        return Err(OpenError::Url("names a directory, not a file".into()));
    };
    match fs::canonicalize(directory) {
        Ok(directory) => Ok(directory.join(name)),
        Err(source) => Err(OpenError::Directory { directory: directory.to_path_buf(), source }),
    }
}

/// Held as long as the file is open; the operating system gives it back when the process dies.
fn lock(path: &Path) -> Result<File, OpenError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let path = PathBuf::from(name);
    let failed = |source| OpenError::Lock { path: path.clone(), source };
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked(path)),
        Err(TryLockError::Error(source)) => Err(OpenError::Lock { path, source }),
    }
}

fn reading(path: &Path, timeout: Duration) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(timeout / 2)
        // Not SQLITE_OPEN_READONLY: a reader of a write-ahead log must be able to make its index file.
        .pragma("query_only", "ON")
        .disable_statement_logging()
}

fn writing(path: &Path, timeout: Duration) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        // macOS answers a plain fsync before the disk has the data.
        .pragma("fullfsync", "ON")
        .pragma("checkpoint_fullfsync", "ON")
        .busy_timeout(timeout / 2)
        .disable_statement_logging()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nothing less than a power cut shows from outside what these settings do.
    #[tokio::test]
    async fn the_writer_syncs_every_commit() {
        let directory = tempfile::tempdir().unwrap();
        let options = writing(&directory.path().join("ledger.sqlite"), Duration::from_secs(10));
        let mut connection = options.connect().await.unwrap();
        let (synchronous,): (i64,) =
            sqlx::query_as("PRAGMA synchronous").fetch_one(&mut connection).await.unwrap();
        let (journal,): (String,) =
            sqlx::query_as("PRAGMA journal_mode").fetch_one(&mut connection).await.unwrap();
        assert_eq!((synchronous, journal.as_str()), (2, "wal"));
    }
}
