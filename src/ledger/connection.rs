//! What the ledger needs of a database connection, so that every statement is written once for both drivers.

use std::future::Future;

use jiff::Timestamp;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{FromRow, query_as};

use super::error::LedgerError;

/// A value bound to `$1`, `$2`, ….
#[derive(Clone, Copy)]
pub(super) enum Bind<'a> {
    Text(&'a str),
    Optional(Option<&'a str>),
    Number(i64),
}

/// A tuple that can be read from a row of either driver.
pub(super) trait DatabaseRow:
    for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin
{
}
impl<T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin> DatabaseRow for T {}

/// A write that takes effect only on the session that was prepared for it. The two texts differ only in the guard, whose value is `$1`.
pub(super) struct Guarded {
    pub(super) sqlite: &'static str,
    pub(super) postgres: &'static str,
}

macro_rules! SQLITE_GUARD {
    () => {
        "EXISTS (SELECT 1 FROM ledger_settings WHERE name = 'cookie' AND value = $1)"
    };
}
pub(super) use SQLITE_GUARD;

macro_rules! POSTGRES_GUARD {
    () => {
        "current_setting('conversion_shim.session', true) = $1"
    };
}
pub(super) use POSTGRES_GUARD;

/// Builds a [`Guarded`] from what stands before and after the guard.
macro_rules! guarded {
    ([$($before:expr),+ $(,)?], [$($after:expr),* $(,)?] $(,)?) => {
        $crate::ledger::connection::Guarded {
            sqlite: concat!($($before,)+ $crate::ledger::connection::SQLITE_GUARD!(), $($after),*),
            postgres: concat!($($before,)+ $crate::ledger::connection::POSTGRES_GUARD!(), $($after),*),
        }
    };
}
pub(super) use guarded;

impl Guarded {
    /// As `guarded!`, for a text that is too long to write out. It is kept for the life of the process: build it once.
    pub(super) fn built(before: &str, after: &str) -> Self {
        let text = |guard: &str| String::leak(format!("{before}{guard}{after}"));
        Self { sqlite: text(SQLITE_GUARD!()), postgres: text(POSTGRES_GUARD!()) }
    }
}

/// A connection on which a statement runs to its end: outside a transaction, a returned `Ok` means committed.
pub(super) trait Connection: Send {
    /// Runs one statement and returns all of its rows.
    fn rows<T: DatabaseRow>(
        &mut self,
        sql: &'static str,
        binds: &[Bind<'_>],
    ) -> impl Future<Output = sqlx::Result<Vec<T>>> + Send;

    /// As [`Self::rows`], for a statement with a guard; `binds` begin at `$2`.
    fn guarded<T: DatabaseRow>(
        &mut self,
        statement: &Guarded,
        binds: &[Bind<'_>],
    ) -> impl Future<Output = sqlx::Result<Vec<T>>> + Send;

    /// The error when the guard does not hold: nothing was written, and the connection must not be used again.
    fn foreign(&self) -> LedgerError;

    fn has_table(&mut self, name: &str) -> impl Future<Output = sqlx::Result<bool>> + Send;

    /// An estimate of the number of claims, without counting them. SQLite: the last row number, which is exact because no statement of the
    /// program deletes a row.
    fn claims_about(&mut self) -> impl Future<Output = sqlx::Result<i64>> + Send;

    /// The time in microseconds since 1970, by the clock that all processes share: of the database, or of the machine of a SQLite file.
    fn shared_now(&mut self) -> impl Future<Output = sqlx::Result<i64>> + Send;

    /// The server's system identifier and timeline; `None` for SQLite, or if the server does not report them.
    fn history(&self) -> Option<&ServerHistory>;
}

/// Identifies the history of a PostgreSQL server: it differs from that of a copy that was promoted or restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ServerHistory {
    /// `system_identifier`, made by `initdb`.
    pub(super) system: String,
    /// Eight hexadecimal digits; another one after every promotion and every recovery to a point in time.
    pub(super) timeline: String,
}

/// A request to the ledger, for a connection of either driver.
pub(super) trait LedgerRequest: Sync {
    type Output: Send;

    /// Whether it makes several writes in one transaction.
    const COMPOUND: bool = false;

    fn run<C: Connection>(
        &self,
        connection: &mut C,
    ) -> impl Future<Output = Result<Self::Output, LedgerError>> + Send;
}

macro_rules! rows {
    ($connection:expr, $sql:expr, $binds:expr) => {{
        let statement = $binds.iter().fold(query_as($sql), |statement, bind| match bind {
            Bind::Text(text) => statement.bind(*text),
            Bind::Optional(text) => statement.bind(*text),
            Bind::Number(number) => statement.bind(*number),
        });
        statement.fetch_all($connection).await
    }};
}

/// A connection and the value that guards what is written on it.
pub(super) struct Session<C> {
    pub(super) connection: C,
    pub(super) guard: String,
    pub(super) history: Option<ServerHistory>,
}

macro_rules! connection {
    ($connection:ty, $text:ident, $foreign:expr, [$has_table:expr, $claims:expr, $now:expr], $raw:expr, $guard:expr, $history:expr) => {
        impl Connection for $connection {
            async fn rows<T: DatabaseRow>(
                &mut self,
                sql: &'static str,
                binds: &[Bind<'_>],
            ) -> sqlx::Result<Vec<T>> {
                rows!($raw(self), sql, binds)
            }

            async fn guarded<T: DatabaseRow>(
                &mut self,
                statement: &Guarded,
                binds: &[Bind<'_>],
            ) -> sqlx::Result<Vec<T>> {
                let guard: String = $guard(self);
                let all: Vec<_> = std::iter::once(Bind::Text(&guard)).chain(binds.iter().copied()).collect();
                rows!($raw(self), statement.$text, all)
            }

            fn foreign(&self) -> LedgerError {
                $foreign
            }

            async fn has_table(&mut self, name: &str) -> sqlx::Result<bool> {
                let rows: Vec<(i64,)> = self.rows($has_table, &[Bind::Text(name)]).await?;
                Ok(rows.first().is_some_and(|(count,)| *count > 0))
            }

            async fn claims_about(&mut self) -> sqlx::Result<i64> {
                let rows: Vec<(i64,)> = self.rows($claims, &[]).await?;
                Ok(rows.first().map_or(0, |(claims,)| *claims))
            }

            async fn shared_now(&mut self) -> sqlx::Result<i64> {
                let sql: Option<&'static str> = $now;
                let Some(sql) = sql else { return Ok(Timestamp::now().as_microsecond()) };
                let rows: Vec<(i64,)> = self.rows(sql, &[]).await?;
                rows.first().map(|(now,)| *now).ok_or(sqlx::Error::RowNotFound)
            }

            fn history(&self) -> Option<&ServerHistory> {
                $history(self)
            }
        }
    };
}

const TABLE_IN_SQLITE: &str = "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = $1";
const CLAIMS_IN_SQLITE: &str = "SELECT COALESCE(MAX(rowid), 0) FROM ref_claims";
// Of the last (auto)vacuum or analyze; below 0 before the first.
const CLAIMS_IN_POSTGRES: &str =
    "SELECT CAST(reltuples AS BIGINT) FROM pg_class WHERE oid = to_regclass('ref_claims')";
const NOW_IN_POSTGRES: &str = "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)";
const TABLE_IN_POSTGRES: &str = "SELECT CAST(CASE WHEN to_regclass($1) IS NULL THEN 0 ELSE 1 END AS BIGINT)";

connection!(
    Session<SqliteConnection>,
    sqlite,
    LedgerError::Replaced,
    [TABLE_IN_SQLITE, CLAIMS_IN_SQLITE, None],
    raw_of,
    guard_of,
    history_of
);
connection!(
    Session<PgConnection>,
    postgres,
    LedgerError::Session,
    [TABLE_IN_POSTGRES, CLAIMS_IN_POSTGRES, Some(NOW_IN_POSTGRES)],
    raw_of,
    guard_of,
    history_of
);
// For reading: no cookie is empty, so a guarded write on it changes nothing.
connection!(
    SqliteConnection,
    sqlite,
    LedgerError::Replaced,
    [TABLE_IN_SQLITE, CLAIMS_IN_SQLITE, None],
    |connection| connection,
    |_: &SqliteConnection| String::new(),
    |_| None
);

const fn raw_of<C>(session: &mut Session<C>) -> &mut C {
    &mut session.connection
}

fn guard_of<C>(session: &Session<C>) -> String {
    session.guard.clone()
}

const fn history_of<C>(session: &Session<C>) -> Option<&ServerHistory> {
    session.history.as_ref()
}
