//! The SQLite file that a writer works on: its lock, its cookie, its checkpoints.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _};
use tracing::warn;
use uuid::Uuid;

use super::connection::{Bind, Connection, Session};
use super::error::{LedgerError, OpenError};
use super::file_identity::SameFile;
use super::history::Verifier;

/// Writes between two checkpoints: the log stays at a few MiB.
const CHECKPOINT_AFTER: usize = 1000;
/// Frames of the log, of 4 KiB each, from which on every commit is followed by a checkpoint until the log begins anew: commands write to
/// it too.
const LONG_LOG: u64 = 4096;

/// The file of the writer.
pub(super) struct WritableFile {
    pub(super) same: SameFile,
    options: SqliteConnectOptions,
    cookie: String,
    since_checkpoint: usize,
    /// Changes when another connection has written (`PRAGMA data_version`).
    data_version: i64,
    verifier: Verifier,
    /// Kept as long as the writer can write. `None` for a command, which writes beside the process that serves.
    lock: Option<File>,
}

impl WritableFile {
    /// Of a file whose tables are up to date: puts a new cookie into it if this process is the one that serves.
    pub(super) async fn of(
        same: SameFile,
        options: SqliteConnectOptions,
        mut connection: SqliteConnection,
        lock: Option<File>,
        verifier: Verifier,
    ) -> Result<(Self, Session<SqliteConnection>), OpenError> {
        // A new one at each start of the process that serves: an older copy of the file has another, and takes no write.
        let cookie = cookie(&mut connection, lock.is_some()).await?;
        let mut session = Session { connection, guard: cookie.clone(), history: None };
        let serves = lock.is_some();
        let data_version = data_version(&mut session).await?;
        let mut file = Self { same, options, cookie, since_checkpoint: 0, data_version, verifier, lock };
        if serves {
            file.checkpoint(&mut session).await;
        }
        Ok((file, session))
    }

    /// Opens the file again after a failure, in place of the connection that failed. This process's newest claims must still be there.
    pub(super) async fn reopen(
        &mut self,
        failed: &mut Option<Session<SqliteConnection>>,
    ) -> Result<Session<SqliteConnection>, LedgerError> {
        // Checked first, because opening would create a new file in place of a missing one.
        self.same.check()?;
        if let Some(failed) = failed.take() {
            self.close(failed).await;
        }
        let connection = self.options.connect().await.inspect_err(|_| {
            // SQLite may have made a checkpoint before it gave up.
            if self.lock.is_some() {
                self.same.checkpoint_ends();
            }
        })?;
        let mut session = Session { connection, guard: self.cookie.clone(), history: None };
        if let Err(error) = self.verify(&mut session).await {
            self.failed(&error);
            self.close(session).await;
            return Err(error);
        }
        Ok(session)
    }

    async fn verify(&mut self, session: &mut Session<SqliteConnection>) -> Result<(), LedgerError> {
        self.data_version = data_version(session).await?;
        self.verifier.verify_newest(session).await
    }

    async fn close(&self, session: Session<SqliteConnection>) {
        self.same.closing();
        // Awaited, because SQLite makes a checkpoint if it is the last connection.
        let _ = session.connection.close().await;
        if self.lock.is_some() {
            self.same.checkpoint_ends();
        }
    }

    /// Called after a failure, while it is known how this process left the file: what another hand put there often looks like a damaged
    /// disk.
    pub(super) fn failed(&self, error: &LedgerError) {
        let _ = self.same.check();
        if matches!(error, LedgerError::Replaced) {
            // Another cookie means another file, even with equal content.
            self.same.lose();
        }
    }

    /// Called with the write lock, before the first write of a transaction: what another process has in the log is then committed and
    /// counted in `data_version`, or never will be. A log without this process's last commit, although no connection committed since,
    /// was overwritten, such as by a backup that was put in its place: what is committed from here on would be lost at the next start.
    /// Where a connection wrote, this process's newest claims must still be there.
    ///
    /// # Errors
    /// [`LedgerError::Replaced`].
    pub(super) async fn before_writes(
        &mut self,
        session: &mut Session<SqliteConnection>,
    ) -> Result<(), LedgerError> {
        if !self.same.log_changed() {
            return Ok(());
        }
        let version = data_version(session).await?;
        if version == self.data_version && !self.same.keeps_last_commit()? {
            return Err(LedgerError::Replaced);
        }
        self.data_version = version;
        self.verifier.verify_newest(session).await
    }

    /// Called after a commit of `writes` writes. Fails if the file at the path is not the open one any more.
    pub(super) async fn committed(
        &mut self,
        session: &mut Session<SqliteConnection>,
        writes: usize,
    ) -> Result<(), LedgerError> {
        let log = LogFrames::of(session).await?;
        self.same.check_written(log.committed)?;
        self.since_checkpoint += writes;
        let due = self.since_checkpoint >= CHECKPOINT_AFTER || log.is_long();
        // Only the process that serves: to it, a checkpoint of another one is a file that was overwritten.
        if due && self.lock.is_some() {
            self.checkpoint(session).await;
        }
        Ok(())
    }

    async fn checkpoint(&mut self, session: &mut Session<SqliteConnection>) {
        self.since_checkpoint = 0;
        self.same.checkpoint_begins();
        // PASSIVE does not wait for readers; what they block is copied by the next checkpoint.
        let done = session.rows::<(i64, i64, i64)>("PRAGMA wal_checkpoint(PASSIVE)", &[]).await;
        if let Err(error) = done {
            warn!(target: "ledger", %error, "the write-ahead log was not copied into the ledger file; it grows until that works");
        }
        self.same.checkpoint_ends();
    }
}

/// The frames of the write-ahead log.
struct LogFrames {
    committed: u64,
    /// Copied into the file.
    copied: u64,
}

impl LogFrames {
    async fn of(session: &mut Session<SqliteConnection>) -> Result<Self, LedgerError> {
        // NOOP copies nothing. It answers -1 while another process is just publishing its commit.
        let rows: Vec<(i64, i64, i64)> = session.rows("PRAGMA wal_checkpoint(NOOP)", &[]).await?;
        let (committed, copied) = rows.first().map_or((0, 0), |(_, committed, copied)| (*committed, *copied));
        Ok(Self { committed: committed.try_into().unwrap_or(0), copied: copied.try_into().unwrap_or(0) })
    }

    const fn is_long(&self) -> bool {
        self.committed > LONG_LOG && self.committed > self.copied
    }
}

async fn data_version(session: &mut Session<SqliteConnection>) -> Result<i64, LedgerError> {
    let rows: Vec<(i64,)> = session.rows("PRAGMA data_version", &[]).await?;
    Ok(rows.first().map_or(0, |(version,)| *version))
}

/// The random text that every write requires in the file. A file without it is not the one that this process opened.
async fn cookie(connection: &mut SqliteConnection, serves: bool) -> Result<String, OpenError> {
    let new = Uuid::new_v4().to_string();
    let put = if serves {
        "INSERT INTO ledger_settings (name, value, at_us) VALUES ('cookie', $1, 0) \
         ON CONFLICT (name) DO UPDATE SET value = excluded.value RETURNING value"
    } else {
        "INSERT INTO ledger_settings (name, value, at_us) VALUES ('cookie', $1, 0) \
         ON CONFLICT (name) DO UPDATE SET value = ledger_settings.value RETURNING value"
    };
    let mut rows: Vec<(String,)> =
        connection.rows(put, &[Bind::Text(&new)]).await.map_err(LedgerError::from)?;
    Ok(rows.pop().map_or(new, |(cookie,)| cookie))
}

/// The file's one canonical name, so that two ways to write it cannot lead to two locks.
pub(super) fn resolve(path: &Path) -> Result<PathBuf, OpenError> {
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

/// Held as long as the file is open; the operating system releases it when the process dies.
pub(super) fn lock(path: &Path) -> Result<File, OpenError> {
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

pub(super) fn writing(path: &Path, timeout: Duration) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        // macOS answers a plain fsync before the disk has the data.
        .pragma("fullfsync", "ON")
        .pragma("checkpoint_fullfsync", "ON")
        // Only `WritableFile` makes checkpoints, so that any other change of the file is found out.
        .pragma("wal_autocheckpoint", "0")
        .busy_timeout(timeout / 2)
        .disable_statement_logging()
}

/// How long a reader waits for a lock. Only another program holds one that keeps readers out: in WAL mode nobody does.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(2);

pub(super) fn reading(path: &Path, timeout: Duration) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(LOCK_WAIT_MAX.min(timeout / 2))
        // Not SQLITE_OPEN_READONLY: a reader of a write-ahead log must be able to make its index file.
        .pragma("query_only", "ON")
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
