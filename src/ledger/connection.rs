//! The little that the ledger needs of a database connection, so that every statement is written once for both drivers.

use std::future::Future;

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{FromRow, query_as};

use super::error::LedgerError;

/// A value bound to `$1`, `$2`, ….
pub(super) enum Bind<'a> {
    Text(&'a str),
    Optional(Option<&'a str>),
    Number(i64),
}

/// A tuple that can be read from a row of either driver.
pub(super) trait Row:
    for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin
{
}
impl<T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin> Row for T {}

/// A connection on which a statement runs to its end: outside a transaction, a returned `Ok` means committed.
pub(super) trait Connection: Send {
    /// Runs one statement and returns all of its rows.
    fn rows<T: Row>(
        &mut self,
        sql: &'static str,
        binds: &[Bind<'_>],
    ) -> impl Future<Output = sqlx::Result<Vec<T>>> + Send;
}

/// Something that can be asked on a connection of either driver.
pub(super) trait Request: Sync {
    type Answer: Send;

    fn run<C: Connection>(
        &self,
        connection: &mut C,
    ) -> impl Future<Output = Result<Self::Answer, LedgerError>> + Send;
}

macro_rules! connection {
    ($driver:ty) => {
        impl Connection for $driver {
            async fn rows<T: Row>(&mut self, sql: &'static str, binds: &[Bind<'_>]) -> sqlx::Result<Vec<T>> {
                let statement = binds.iter().fold(query_as(sql), |statement, bind| match bind {
                    Bind::Text(text) => statement.bind(*text),
                    Bind::Optional(text) => statement.bind(*text),
                    Bind::Number(number) => statement.bind(*number),
                });
                statement.fetch_all(self).await
            }
        }
    };
}

connection!(SqliteConnection);
connection!(PgConnection);
