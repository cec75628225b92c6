//! How the ledger fails. No message holds the URL, a password or a value of a row.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::claim::KeyError;

/// A call that failed. Except for [`LedgerError::Overloaded`] and [`LedgerError::Unfit`], a write may or may not have happened:
/// the caller sends nothing and may ask again.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LedgerError {
    /// The database cannot be reached, refused the statement, or broke off before it answered.
    #[error("the ledger is not available: {0}")]
    Unavailable(#[source] Arc<sqlx::Error>),
    /// No answer in time, waiting for a connection or a place in the queue included.
    #[error("the ledger did not answer in time")]
    Timeout,
    /// The queue of writes is full; nothing was written.
    #[error("the ledger has more writes waiting than it accepts")]
    Overloaded,
    /// A row that this program did not write, or that is gone although claims are kept.
    #[error("the ledger holds a row that makes no sense: {0}")]
    Corrupt(String),
    /// The record id cannot be stored; nothing was written.
    #[error("the record id cannot be remembered: {0}")]
    Unfit(#[from] KeyError),
    /// The path of the SQLite file does not lead to the file that is open: claims in it would be gone at the next start. Lasts until then.
    #[error(
        "the ledger file was removed or replaced while the process runs, so that claims would be lost; bring the right file back \
         and restart"
    )]
    Replaced,
    /// The ledger was closed; nothing was written.
    #[error("the ledger is closed")]
    Closed,
}

impl LedgerError {
    /// Whether the fault lies in one row or argument, and says nothing about the database.
    pub(super) const fn is_about_one_row(&self) -> bool {
        matches!(self, Self::Corrupt(_) | Self::Unfit(_))
    }
}

/// SQLSTATE `query_canceled`: what PostgreSQL answers when `statement_timeout` strikes.
const QUERY_CANCELED: &str = "57014";

impl From<sqlx::Error> for LedgerError {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error;
        match error {
            Error::PoolTimedOut => Self::Timeout,
            Error::Database(ref refusal) if refusal.code().as_deref() == Some(QUERY_CANCELED) => {
                Self::Timeout
            }
            Error::ColumnDecode { .. } | Error::Decode(_) => Self::Corrupt(error.to_string()),
            other => Self::Unavailable(Arc::new(other)),
        }
    }
}

/// Why a ledger could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL is none that the ledger understands.
    #[error("the ledger's url {0}")]
    Url(String),
    /// The file's directory does not exist or cannot be entered.
    #[error("the ledger's directory {} cannot be used: {source}", directory.display())]
    Directory {
        /// The directory that was looked for.
        directory: PathBuf,
        /// What the operating system said.
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
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The server is set up so that a committed claim can be lost.
    #[error("the ledger's database would not keep its promise: {0}")]
    NotDurable(&'static str),
    /// The tables could not be brought up to date, or are newer than this program.
    #[error("the ledger's tables cannot be used: {0}")]
    Schema(#[from] sqlx::migrate::MigrateError),
    /// The database could not be opened.
    #[error("the ledger's database cannot be opened: {0}")]
    Connect(#[source] sqlx::Error),
    /// The database did not open in time.
    #[error("the ledger's database did not open within {} ms", .0.as_millis())]
    Timeout(Duration),
}

impl From<sqlx::Error> for OpenError {
    fn from(error: sqlx::Error) -> Self {
        Self::Connect(error)
    }
}
