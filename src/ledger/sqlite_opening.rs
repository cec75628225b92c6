//! Opening the SQLite file to write: at start, or later where the disk takes no writes at start.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteLockingMode};
use sqlx::{ConnectOptions as _, Connection as _};
use tokio::runtime::Handle;
use tokio::sync::{Mutex, MutexGuard};
use tokio::task::spawn_blocking;

use super::completeness::Starts;
use super::connection::{LedgerRequest, Session};
use super::error::{LedgerError, NotOpened, OpenError};
use super::file_identity::{SameFile, lost_marker};
use super::history::{PlaceHold, Verifier};
use super::identified::{Found, examine};
use super::identity::{self, Make, Setting};
use super::schema;
use super::settings::{MIGRATION_TIMEOUT, Settings, in_time};
use super::sqlite_file::{WritableFile, reading, writing};

/// Tries to migrate beside another process, and the pause between them.
const MIGRATION_TRIES: usize = 3;
const MIGRATION_PAUSE: Duration = Duration::from_millis(100);

/// Fewer free bytes than opening the file takes: the index of the write-ahead log, and some of its pages.
const FULL: u64 = 256 << 10;

/// An open file, and the connection that writes to it.
type Opened = (WritableFile, Session<SqliteConnection>);

/// A file that is to be opened.
pub(super) struct SqliteOpening {
    path: PathBuf,
    settings: Settings,
    verifier: Verifier,
    /// To serve. `None` for a command.
    lock: Option<File>,
    /// The file as it was found at start, where it could not be opened then.
    same: Option<SameFile>,
    alone: Arc<ReadAlone>,
}

impl SqliteOpening {
    pub(super) fn new(path: PathBuf, settings: &Settings, verifier: Verifier, lock: Option<File>) -> Self {
        let alone = Arc::new(ReadAlone::new(&path, settings.timeout));
        Self { path, settings: settings.clone(), verifier, lock, same: None, alone }
    }

    /// Opens the file and brings its tables up to date.
    pub(super) async fn attempt(&self) -> Result<Opened, OpenError> {
        let options = writing(&self.path, self.settings.timeout);
        let (found, connection) = connected_beside_others(&options, &self.settings).await?;
        in_time(self.settings.timeout, self.prepare(found, options, connection)).await
    }

    async fn prepare(
        &self,
        found: Found,
        options: SqliteConnectOptions,
        connection: SqliteConnection,
    ) -> Result<Opened, OpenError> {
        let (settings, verifier) = (&self.settings, &self.verifier);
        let failed = |error: io::Error| OpenError::Connect(error.into());
        // Both refer to one lock, which ends with the last of them.
        let lock = self.lock.as_ref().map(File::try_clone).transpose().map_err(failed)?;
        let serves = lock.is_some();
        let same = self.same.clone().map_or_else(|| SameFile::of(&self.path), Ok).map_err(failed)?;
        let (file, mut session) = WritableFile::of(same, options, connection, lock, verifier.clone()).await?;
        // `ledger init` names the ledger that it makes, and audits it.
        if found == Found::Nothing && serves {
            Make(&settings.identity).run(&mut session).await?;
        }
        identity::admit(&mut session, &settings.identity).await?;
        if serves {
            hold_if_it_was_replaced(&self.path, &mut session).await?;
            // Before the first claim, so that a later `ledger accept` is seen as one.
            verifier.verify_newest(&mut session).await?;
            Starts(&settings.identity).run(&mut session).await?;
        }
        Ok((file, session))
    }

    /// After an attempt that failed so: the file if it is the ledger that is meant and can be read, though the disk takes no writes. A process
    /// then serves what needs no ledger, and its first writes open the file once that works.
    ///
    /// # Errors
    /// When it is another ledger.
    pub(super) async fn later(&mut self, failed: &OpenError) -> Result<Option<SameFile>, OpenError> {
        if self.lock.is_none() || !failed.is_about_the_disk() {
            return Ok(None);
        }
        let Ok(same) = SameFile::of(&self.path) else { return Ok(None) };
        match in_time(self.settings.timeout, self.is_meant()).await {
            Ok(true) => self.same = Some(same),
            Ok(false) => {}
            Err(other @ (OpenError::Mismatch(_) | OpenError::Missing { .. } | OpenError::Newer { .. })) => {
                return Err(other);
            }
            // It cannot be read either.
            Err(_) => {}
        }
        Ok(self.same.clone())
    }

    /// Whether it is the ledger that the config means, with tables that are up to date.
    async fn is_meant(&self) -> Result<bool, OpenError> {
        let mut connection = self.alone.alone.connect().await?;
        let meant = async {
            schema::is_newer(&mut connection, &self.settings).await?;
            let found = examine(&mut connection, &self.settings.identity).await?;
            Ok(found == Found::Ledger && schema::is_current(&mut connection).await?)
        };
        let is_meant = meant.await;
        connection.close().await?;
        is_meant
    }

    /// Tries to open the file that was there at start.
    pub(super) async fn try_again(self: &Arc<Self>) -> Result<Opened, LedgerError> {
        let opening = Arc::clone(self);
        // On a thread of its own, because a migration is no future that a task can have (sqlx 0.9).
        let trying = spawn_blocking(move || Handle::current().block_on(opening.again()));
        trying.await.unwrap_or(Err(LedgerError::Closed))
    }

    async fn again(&self) -> Result<Opened, LedgerError> {
        let _turn = self.alone.turn().await;
        self.same.as_ref().map_or(Ok(()), SameFile::check)?;
        let opened = self.attempt().await.map_err(|error| self.not_opened(&error))?;
        self.alone.is_over.store(true, Ordering::Relaxed);
        Ok(opened)
    }

    fn not_opened(&self, error: &OpenError) -> LedgerError {
        let free = rustix::fs::statvfs(&self.path).map(|found| found.f_bavail.saturating_mul(found.f_frsize));
        let why = match free {
            Ok(free) if free < FULL => {
                format!("the disk of the ledger's file is full, {free} bytes are free: {error}")
            }
            Ok(_) | Err(_) => error.to_string(),
        };
        LedgerError::from(sqlx::Error::Io(io::Error::other(NotOpened(why))))
    }

    pub(super) const fn alone(&self) -> &Arc<ReadAlone> {
        &self.alone
    }
}

/// Reads a file that is not open to write, with the index of its write-ahead log on the disk if it is there, else in memory. Calls take
/// turns, because the latter keeps out every other connection.
pub(super) struct ReadAlone {
    beside_others: SqliteConnectOptions,
    alone: SqliteConnectOptions,
    turn: Mutex<()>,
    /// The file is open to write.
    is_over: AtomicBool,
}

impl ReadAlone {
    fn new(path: &Path, timeout: Duration) -> Self {
        let beside_others = reading(path, timeout);
        let alone = beside_others.clone().locking_mode(SqliteLockingMode::Exclusive);
        Self { beside_others, alone, turn: Mutex::default(), is_over: AtomicBool::default() }
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    async fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    pub(super) async fn ask<R: LedgerRequest>(&self, request: &R) -> Result<R::Output, LedgerError> {
        let _turn = self.turn().await;
        if let Ok(answer) = once(&self.beside_others, request).await {
            return Ok(answer);
        }
        once(&self.alone, request).await
    }
}

async fn once<R: LedgerRequest>(
    options: &SqliteConnectOptions,
    request: &R,
) -> Result<R::Output, LedgerError> {
    let mut connection = options.connect().await?;
    let answer = request.run(&mut connection).await;
    // Awaited: its lock would keep out the next one.
    connection.close().await?;
    answer
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
