//! Errors of the ledger. No message holds the URL, a password or a value of a row.

use crate::config::keys;
use std::error::Error as StdError;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::claim::KeyError;
use super::mismatch::Mismatch;

/// A failed call. Except for [`LedgerError::Overloaded`] and [`LedgerError::Unfit`], a write may or may not have happened: the caller
/// sends nothing and may call again.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LedgerError {
    /// The database cannot be reached, refused the statement, or broke off before it answered.
    #[error("the ledger is not available: {}", cause(.0))]
    Unavailable(Arc<sqlx::Error>),
    /// No answer in time, waiting for a connection or a place in the queue included.
    #[error("the ledger did not answer in time")]
    Timeout,
    /// The queue of writes is full; nothing was written.
    #[error("the ledger has more writes waiting than it accepts")]
    Overloaded,
    /// A row that this program cannot have written, or a claim that is missing although claims are never deleted.
    #[error("the ledger holds an invalid row: {0}")]
    Corrupt(String),
    /// The record id cannot be stored; nothing was written.
    #[error("the record id cannot be stored: {0}")]
    Unfit(#[from] KeyError),
    /// The SQLite file at the path is not the open one, so claims written now would be lost at the next start. Lasts until a restart.
    #[error(
        "the ledger file was removed or replaced, or another program wrote to it, while the process runs, so that claims may be lost; bring \
         the right file back, stop the other program, and restart; creates then stay on hold until `conversion-shim ledger accept --why`"
    )]
    Replaced,
    /// Creates are on hold until `ledger accept`: the ledger may have lost claims. Nothing was written.
    #[error("creates are on hold: {0}; `conversion-shim ledger accept --why` lifts it")]
    Held(String),
    /// Creates are held until `trip reset`. Nothing was written.
    #[error("creates are on hold: the trip is set ({0}); `conversion-shim trip reset --why` ends it")]
    Tripped(String),
    /// The newest records of the new API have not been compared with the ledger yet. Nothing was written.
    #[error(
        "creates wait until the newest records of the new API have been compared with the ledger ({})",
        keys::LEDGER_ONLY_DOOR
    )]
    Suspended,
    /// The statement ran on another server session than the one that was prepared; nothing was written.
    #[error(
        "the PostgreSQL connection changed its server session, so its settings are not in force: connect to the server itself, or \
         set `pool_mode = session` in pgbouncer"
    )]
    Session,
    /// A reader met the tables of an older version.
    #[error("the ledger's tables are of an older version: `serve` or `ledger init` brings them up to date")]
    Older,
    /// A reader met a database without a ledger.
    #[error("there is no ledger in this database")]
    NoTables,
    /// The ledger was closed; nothing was written.
    #[error("the ledger is closed")]
    Closed,
}

impl LedgerError {
    /// Whether the statement failed and its connection and transaction are sound.
    pub(super) const fn leaves_transaction_sound(&self) -> bool {
        matches!(self, Self::Corrupt(_) | Self::Unfit(_) | Self::Held(_) | Self::Tripped(_))
    }
}

/// Why a SQLite file that could not be opened at start still is not.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct NotOpened(pub(super) String);

/// SQLITE_BUSY.
const BUSY: u32 = 5;

/// The primary code of an error of SQLite: the lowest byte of its extended codes. A SQLSTATE of PostgreSQL has five characters, none of
/// which has a meaning as a number alone.
fn sqlite_code(error: &sqlx::Error) -> Option<u32> {
    let code = error.as_database_error()?.code()?;
    Some(code.parse::<u32>().ok().filter(|_| code.len() < 5)? & 0xFF)
}

/// What the database says. The driver adds the line of the server's own source, which reads like a line of the statement.
pub(super) fn cause(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(refusal) if sqlite_code(error) == Some(BUSY) => {
            format!(
                "another program has locked the file, such as `sqlite3` or a backup tool ({})",
                refusal.message()
            )
        }
        sqlx::Error::Io(error)
            if error.get_ref().is_some_and(<dyn StdError + Send + Sync>::is::<NotOpened>) =>
        {
            error.to_string()
        }
        sqlx::Error::Database(refusal) => format!("error returned from database: {}", refusal.message()),
        other => other.to_string(),
    }
}

/// SQLSTATE `query_canceled`: what PostgreSQL answers when `statement_timeout` strikes.
const QUERY_CANCELED: &str = "57014";
/// SQLSTATE `invalid_sql_statement_name` and `duplicate_prepared_statement`: the statement was prepared on another server session.
const PREPARED_ELSEWHERE: [&str; 2] = ["26000", "42P05"];

impl From<sqlx::Error> for LedgerError {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error;
        match error {
            Error::PoolTimedOut => Self::Timeout,
            Error::Database(ref refusal) if refusal.code().as_deref() == Some(QUERY_CANCELED) => {
                Self::Timeout
            }
            Error::Database(ref refusal)
                if refusal.code().is_some_and(|code| PREPARED_ELSEWHERE.contains(&&*code)) =>
            {
                Self::Session
            }
            // About one row: other claims are read as well as before.
            Error::ColumnDecode { .. } | Error::Decode(_) => Self::Corrupt(error.to_string()),
            other => Self::Unavailable(Arc::new(other)),
        }
    }
}

/// SQLITE_CORRUPT, SQLITE_CANTOPEN, SQLITE_NOTADB.
const ABOUT_THE_FILE: [u32; 3] = [11, 14, 26];

/// SQLITE_IOERR, SQLITE_FULL.
const ABOUT_THE_DISK: [u32; 2] = [10, 13];

/// Why a ledger could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL is not valid.
    #[error("the ledger's url {0}")]
    Url(String),
    /// The file's directory does not exist or cannot be entered.
    #[error("the ledger's directory {} cannot be used: {source}", directory.display())]
    Directory {
        /// The directory that was looked for.
        directory: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// Another process has the file open.
    #[error(
        "the ledger is in use by another process (lock {}): a SQLite ledger serves one process; stop the other one, or use \
         PostgreSQL for several replicas",
        .0.display()
    )]
    Locked(PathBuf),
    /// The lock file cannot be made or locked.
    #[error("the ledger's lock {} cannot be taken: {source}", path.display())]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The server's settings would lose or refuse claims.
    #[error("the ledger's database cannot be used: {0}")]
    Unsuitable(&'static str),
    /// There is no ledger, and this start may not create one.
    #[error(
        "there is no ledger at {}{}: if one was there, restore it; to make a new one, run `conversion-shim ledger init`{}",
        keys::LEDGER_URL,
        file.as_ref().map(|file| format!(" ({})", file.display())).unwrap_or_default(),
        if *named { format!(" with a config without {}, which names the one that was there", keys::LEDGER_ID) } else { String::new() }
    )]
    Missing {
        /// Whether the config names one.
        named: bool,
        /// Where it was looked for; `None` for PostgreSQL.
        file: Option<PathBuf>,
    },
    /// The file is no SQLite database, is damaged, or cannot be opened.
    #[error("the ledger's file {} ({}) cannot be read: {source}", path.display(), keys::LEDGER_URL)]
    File {
        /// The database file.
        path: PathBuf,
        /// What SQLite says.
        source: Box<Self>,
    },
    /// The database at that place does not answer as a ledger does.
    #[error("{} ({place}): {source}", keys::LEDGER_URL)]
    At {
        /// The file, or host and port; never a user or a password.
        place: String,
        /// What failed there.
        source: Box<Self>,
    },
    /// Another ledger is there than the config means.
    #[error("{}", .0.iter().map(|mismatch| format!("{} {mismatch}", mismatch.config_key())).collect::<Vec<_>>().join("; "))]
    Mismatch(Vec<Mismatch>),
    /// The tables were brought up to date by a newer program, and what they mean to it is not known here.
    #[error(
        "the ledger was made by a newer version of conversion-shim (migration {found}), and this one knows migrations up to {known}: run \
         the newer version again; of this one only `conversion-shim trip` works with it"
    )]
    Newer {
        /// The newest migration in the ledger.
        found: i64,
        /// The newest of this program.
        known: i64,
    },
    /// A pooler shares server sessions between clients.
    #[error(
        "a pooler in transaction or statement mode is in front of the ledger's database, and settings of a session do not hold there: \
         set `pool_mode = session` in pgbouncer, or connect to PostgreSQL itself"
    )]
    Pooler,
    /// A statement of the start failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The tables could not be brought up to date, or are newer than this program.
    #[error("the ledger's tables cannot be used: {0}")]
    Schema(#[from] sqlx::migrate::MigrateError),
    /// The database could not be opened.
    #[error("the ledger's database cannot be opened: {}", cause(.0))]
    Connect(sqlx::Error),
    /// The database did not open in time.
    #[error("the ledger's database did not open within {} ms", .0.as_millis())]
    Timeout(Duration),
}

impl OpenError {
    fn sqlite_code(&self) -> Option<u32> {
        use sqlx::migrate::MigrateError;
        match self {
            Self::Connect(error)
            | Self::Schema(MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) => {
                sqlite_code(error)
            }
            Self::Ledger(LedgerError::Unavailable(error)) => sqlite_code(error),
            Self::At { source, .. } => source.sqlite_code(),
            _ => None,
        }
    }

    /// Whether the disk took no writes, though the file may be sound.
    pub(super) fn is_about_the_disk(&self) -> bool {
        self.sqlite_code().is_some_and(|code| ABOUT_THE_DISK.contains(&code))
    }

    /// Names the SQLite file in an error that is about its content.
    pub(super) fn naming(self, path: &Path) -> Self {
        if let Self::Missing { named, file: None } = self {
            return Self::Missing { named, file: Some(path.to_owned()) };
        }
        match self.sqlite_code() {
            Some(code) if ABOUT_THE_FILE.contains(&code) => {
                Self::File { path: path.to_owned(), source: Box::new(self) }
            }
            _ => self.at(|| path.display().to_string()),
        }
    }

    /// Names the place in an error that does not say where it was.
    pub(super) fn at(self, place: impl FnOnce() -> String) -> Self {
        match self {
            Self::Connect(_) | Self::Timeout(_) | Self::Ledger(_) | Self::Schema(_) => {
                Self::At { place: place(), source: Box::new(self) }
            }
            named => named,
        }
    }

    /// Each config key that is wrong for this ledger, and why; empty for a ledger that cannot be opened now.
    #[must_use]
    pub(crate) fn problems(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Missing { .. } | Self::Url(_) | Self::Directory { .. } | Self::Newer { .. } => {
                vec![(keys::LEDGER_URL, self.to_string())]
            }
            Self::Mismatch(all) => {
                all.iter().map(|mismatch| (mismatch.config_key(), mismatch.to_string())).collect()
            }
            Self::Locked(_)
            | Self::At { .. }
            | Self::File { .. }
            | Self::Lock { .. }
            | Self::Unsuitable(_)
            | Self::Pooler
            | Self::Ledger(_)
            | Self::Schema(_)
            | Self::Connect(_)
            | Self::Timeout(_) => Vec::new(),
        }
    }
}

impl From<sqlx::Error> for OpenError {
    fn from(error: sqlx::Error) -> Self {
        Self::Connect(error)
    }
}
