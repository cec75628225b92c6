//! The embedded ledger: one file, one process that serves, every commit synced to the disk.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};
use sqlx::{ConnectOptions, Connection as _, SqliteConnection};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use super::completeness::Withdraw;
use super::connection::{LedgerRequest, Session};
use super::error::{LedgerError, OpenError};
use super::file_identity::{SameFile, lost_marker};
use super::group_commit::GroupCommit;
use super::history::{PlaceHold, Verifier};
use super::identified::{Found, examine};
use super::identity::{self, Make, Setting};
use super::schema;
use super::settings::{MIGRATION_TIMEOUT, OpenMode, Settings, in_time};
use super::sqlite_file::{WritableFile, lock, resolve, writing};

/// Tries to migrate beside another process, and the pause between them.
const MIGRATION_TRIES: usize = 3;
const MIGRATION_PAUSE: Duration = Duration::from_millis(100);

/// Reads the file, in this process or beside the one that writes.
#[derive(Clone)]
pub(super) struct SqliteReader {
    pool: SqlitePool,
    /// `None` for a reader beside the process that serves, which knows of no other file.
    same: Option<SameFile>,
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
        Self { pool: pool.connect_lazy_with(options), same }
    }

    pub(super) async fn ask<R: LedgerRequest>(&self, request: &R) -> Result<R::Output, LedgerError> {
        // A new connection of the pool would open whatever file is there now.
        self.same.as_ref().map_or(Ok(()), SameFile::check)?;
        let mut connection = self.pool.acquire().await?;
        request.run(&mut *connection).await
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
        let serves = mode == OpenMode::Serve;
        let lock = if serves { Some(lock(&path)?) } else { None };
        let options = writing(&path, settings.timeout);
        let (found, connection) = connected_beside_others(&options, settings).await?;
        let opening = async {
            let (file, mut session) =
                WritableFile::of(&path, options, connection, lock, verifier.clone()).await?;
            // `ledger init` names the ledger that it makes, and audits it.
            if found == Found::Nothing && serves {
                Make(&settings.identity).run(&mut session).await?;
            }
            identity::admit(&mut session, &settings.identity).await?;
            if serves {
                hold_if_it_was_replaced(&path, &mut session).await?;
                // Before the first claim, so that a later `ledger accept` is seen as one.
                verifier.verify_newest(&mut session).await?;
                Withdraw::at_start(&settings.identity).run(&mut session).await?;
            }
            Ok((file, session))
        };
        let (file, session) = in_time(settings.timeout, opening).await?;
        let reader = SqliteReader::pool(reading(&path, settings.timeout), settings, Some(file.same.clone()));
        let (writer, task) = GroupCommit::start(file, session, settings.queue_max, settings.batch_max);
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

/// Creates wait for `ledger accept` after a process found its file replaced: what it held may not be what was confirmed.
async fn hold_if_it_was_replaced(
    path: &Path,
    session: &mut Session<SqliteConnection>,
) -> Result<(), LedgerError> {
    let marker = lost_marker(path);
    if !marker.exists() {
        return Ok(());
    }
    let why = "the ledger file was replaced or overwritten under a running process, and claims may be lost";
    let hold = PlaceHold { process: String::new(), kind: Setting::Hold, why: why.into() };
    hold.run(session).await?;
    // The hold is in the ledger now.
    let _ = std::fs::remove_file(marker);
    Ok(())
}

/// SQLite's migrator takes no lock, so of two processes that start together one may find the file locked, or a table that it was about to
/// create.
async fn connected_beside_others(
    options: &SqliteConnectOptions,
    settings: &Settings,
) -> Result<(Found, SqliteConnection), OpenError> {
    for _ in 0..MIGRATION_TRIES {
        match connected(options, settings).await {
            Err(OpenError::Schema(_) | OpenError::Connect(_)) => {
                tokio::time::sleep(MIGRATION_PAUSE).await;
            }
            decided => return decided,
        }
    }
    connected(options, settings).await
}

async fn connected(
    options: &SqliteConnectOptions,
    settings: &Settings,
) -> Result<(Found, SqliteConnection), OpenError> {
    let mut connection = in_time(settings.timeout, async { Ok(options.connect().await?) }).await?;
    let found = migrated(&mut connection, settings).await?;
    Ok((found, connection))
}

/// Compares the ledger with the configured one, then migrates its tables.
async fn migrated(connection: &mut SqliteConnection, settings: &Settings) -> Result<Found, OpenError> {
    let is_newer = in_time(settings.timeout, schema::is_newer(connection, settings)).await?;
    let found = in_time(settings.timeout, examine(connection, &settings.identity)).await?;
    if !is_newer {
        let migration = async { Ok(schema::migrator().run(connection).await?) };
        in_time(MIGRATION_TIMEOUT, migration).await?;
    }
    Ok(found)
}

fn reading(path: &Path, timeout: Duration) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(timeout / 2)
        // Not SQLITE_OPEN_READONLY: a reader of a write-ahead log must be able to make its index file.
        .pragma("query_only", "ON")
        .disable_statement_logging()
}
