//! Settings of a ledger, and the parser of its URL.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;

use super::error::OpenError;
use crate::translate::facts::Facts;

/// How to open a ledger. `Debug` never shows the URL, which may hold a password.
#[derive(Clone)]
pub struct Settings {
    /// `sqlite:PATH` (relative or absolute, created if missing) or `postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=…`.
    pub url: String,
    /// Timeout of one call, queueing included.
    pub timeout: Duration,
    /// Maximum number of open connections (for SQLite: readers, beside the one writer).
    pub pool_max: u32,
    /// Maximum number of queued writes (SQLite only); further ones are refused.
    pub queue_max: usize,
    /// Maximum number of writes in one transaction (SQLite only).
    pub batch_max: usize,
    /// The required identity, and what to do without a ledger.
    pub identity: Identity,
    /// Whether a ledger that a newer version brought up to date is opened all the same, as far as the tables that this one needs are
    /// there.
    pub accepts_newer: bool,
    /// Whether commits survive every fail-over (quorum commit, shared storage): then another timeline is accepted once every process
    /// found its own newest claims (PostgreSQL only).
    pub failover_keeps_commits: bool,
}

/// The required identity. The default accepts any ledger and creates one if there is none.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The id that the ledger must have.
    pub id: Option<String>,
    /// Whether opening may create a missing ledger.
    pub create: bool,
    /// Whether a ledger of 0.1, which has no id, is accepted.
    pub adopt: bool,
    /// Whether the ledger's mark must say the same as `new_in_use`, and a marked ledger must be named.
    pub agrees: bool,
    /// Whether a ledger that is made gets the mark that creates may go to the new side.
    pub new_in_use: bool,
    /// The upstream hosts that the ledger is for; `None` leaves them unchecked.
    pub hosts: Option<String>,
    /// The tenant that this process serves; `None` leaves it unchecked.
    pub tenant: Option<String>,
    /// By which this process judges what walks find; `None` leaves open whether it was walked by others.
    pub facts: Option<Facts>,
}

impl Default for Identity {
    fn default() -> Self {
        Self {
            id: None,
            create: true,
            adopt: false,
            agrees: false,
            new_in_use: false,
            hosts: None,
            tenant: None,
            facts: None,
        }
    }
}

impl Identity {
    /// The refusal where there is no ledger; `file` is where a SQLite one would be.
    pub(super) fn missing(&self, file: Option<&Path>) -> OpenError {
        OpenError::Missing { named: self.id.is_some(), file: file.map(Path::to_path_buf) }
    }
}

impl Settings {
    /// The given place with the usual limits: those of `config/default.toml` where it has them, 1024 waiting writes, 128 writes a
    /// transaction.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            timeout: Duration::from_secs(2),
            pool_max: 10,
            queue_max: 1024,
            batch_max: 128,
            identity: Identity::default(),
            accepts_newer: false,
            failover_keeps_commits: false,
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Settings")
            .field("timeout", &self.timeout)
            .field("pool_max", &self.pool_max)
            .field("queue_max", &self.queue_max)
            .field("batch_max", &self.batch_max)
            .field("identity", &self.identity)
            .field("accepts_newer", &self.accepts_newer)
            .field("failover_keeps_commits", &self.failover_keeps_commits)
            .finish_non_exhaustive()
    }
}

/// What a ledger is opened for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum OpenMode {
    Serve,
    /// A command beside the process that serves.
    Command,
}

pub(super) enum DatabaseUrl {
    Sqlite(PathBuf),
    Postgres(Box<PgConnectOptions>),
}

impl FromStr for DatabaseUrl {
    type Err = OpenError;

    fn from_str(url: &str) -> Result<Self, OpenError> {
        // A file with two lines was not meant as a URL, and the parser would take the second into the database's name.
        if url.contains(['\n', '\r']) {
            return Err(OpenError::Url("has more than one line".into()));
        }
        match url.split_once(':') {
            Some(("sqlite", rest)) => Ok(Self::Sqlite(sqlite_path(rest)?)),
            Some(("postgres" | "postgresql", _)) => Ok(Self::Postgres(Box::new(postgres_options(url)?))),
            // Neither the scheme nor the rest is repeated: a mistyped URL may begin with a secret.
            _ => Err(OpenError::Url("must begin with sqlite:, postgres: or postgresql:".into())),
        }
    }
}

/// The file of a SQLite ledger; `None` for a URL of another kind, and for one that is none.
#[must_use]
pub(crate) fn sqlite_file(url: &str) -> Option<PathBuf> {
    match url.parse() {
        Ok(DatabaseUrl::Sqlite(path)) => Some(path),
        Ok(DatabaseUrl::Postgres(_)) | Err(_) => None,
    }
}

/// Where a PostgreSQL ledger is, for messages: never a user or a password.
pub(super) fn place(options: &PgConnectOptions) -> String {
    match options.get_socket() {
        Some(socket) => socket.display().to_string(),
        None => format!("{}:{}", options.get_host(), options.get_port()),
    }
}

/// Checks a URL without opening anything.
///
/// # Errors
/// [`OpenError::Url`], which repeats nothing of it.
pub fn check_url(url: &str) -> Result<(), OpenError> {
    url.parse().map(|_: DatabaseUrl| ())
}

fn sqlite_path(rest: &str) -> Result<PathBuf, OpenError> {
    let path = rest.strip_prefix("//").unwrap_or(rest);
    match path {
        "" => Err(OpenError::Url("names no file after sqlite:".into())),
        ":memory:" => Err(OpenError::Url("names no file: claims in memory do not survive a restart".into())),
        _ if path.contains(['?', '#', '\0']) => {
            Err(OpenError::Url("has parameters after the file's name; a sqlite: url takes none".into()))
        }
        _ => Ok(Path::new(path).to_path_buf()),
    }
}

/// The parameters of a PostgreSQL URL. Others are refused, because the driver would ignore them and log their values.
const POSTGRES_PARAMETERS: [&str; 12] = [
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
];

const SSL_MODES: [&str; 6] = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];

fn postgres_options(url: &str) -> Result<PgConnectOptions, OpenError> {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if name == "sslmode" && !SSL_MODES.contains(&&*value) {
            return Err(OpenError::Url(format!("has an sslmode that is none of {}", SSL_MODES.join(", "))));
        }
        if !POSTGRES_PARAMETERS.contains(&&*name) {
            return Err(OpenError::Url(format!(
                "has an unknown parameter; known are {}",
                POSTGRES_PARAMETERS.join(", ")
            )));
        }
    }
    let options = PgConnectOptions::from_str(url)
        // The driver's reason may quote a part of the URL.
        .map_err(|_| OpenError::Url("is not a PostgreSQL url that can be understood".into()))?;
    Ok(options.disable_statement_logging())
}

/// Copying the claims of a large ledger may take long, and happens once.
pub(super) const MIGRATION_TIMEOUT: Duration = Duration::from_secs(600);

pub(super) async fn in_time<T>(
    timeout: Duration,
    opening: impl Future<Output = Result<T, OpenError>>,
) -> Result<T, OpenError> {
    tokio::time::timeout(timeout, opening).await.unwrap_or(Err(OpenError::Timeout(timeout)))
}
