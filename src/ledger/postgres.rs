//! The shared ledger: several replicas, one PostgreSQL. Connect to the server itself or through a pooler that keeps sessions
//! apart; a pooler that hands a session from one transaction to the next loses the settings made here.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions, Postgres};
use sqlx::{ConnectOptions, Connection as _};

use super::commands::{Applied, Write};
use super::connection::{Bind, Connection, Request};
use super::error::{LedgerError, OpenError};
use super::schema;
use super::settings::Settings;

/// A connection idle for longer is tried out before it is used: the server may have gone and come back.
const STALE: Duration = Duration::from_secs(1);

/// What every session is told, whatever its role or database prefers. Notices, as of tables that are there already, help nobody.
const SESSION: &str = "SELECT set_config('synchronous_commit', 'on', false), \
                       set_config('default_transaction_isolation', 'read committed', false), \
                       set_config('statement_timeout', $1, false), \
                       set_config('idle_in_transaction_session_timeout', $1, false), \
                       set_config('client_min_messages', 'warning', false), \
                       current_setting('fsync'), \
                       CASE WHEN pg_is_in_recovery() THEN 'standby' ELSE 'primary' END";

#[derive(Clone)]
pub(super) struct Store {
    pool: PgPool,
    shared: Arc<PoolState>,
}

struct PoolState {
    commits: AtomicU64,
    /// Whether this process knows the high-water mark to be durable. It is never taken back, so it need not be written again.
    marked: AtomicBool,
}

impl Store {
    /// Connects, checks that commits are durable, and brings the tables up to date unless only reading is meant.
    pub(super) async fn open(
        options: PgConnectOptions,
        settings: &Settings,
        migrate: bool,
    ) -> Result<Self, OpenError> {
        let mut connection = options.connect().await?;
        prepare(&mut connection, settings.timeout).await?;
        if migrate {
            schema::migrator().run(&mut connection).await?;
        }
        connection.close().await?;
        let shared = PoolState { commits: AtomicU64::new(0), marked: AtomicBool::new(false) };
        Ok(Self { pool: pool(options, settings), shared: Arc::new(shared) })
    }

    pub(super) async fn ask<R: Request>(&self, request: &R) -> Result<R::Answer, LedgerError> {
        let mut lease = Lease::take(&self.pool).await?;
        let outcome = request.run(lease.connection()?).await;
        lease.give_back(outcome)
    }

    pub(super) async fn write(&self, write: Write) -> Result<Applied, LedgerError> {
        let known = self.shared.marked.load(Ordering::Acquire);
        let write = if known { write.without_mark() } else { write };
        let applied =
            if write.marks() { self.write_marking(&write).await? } else { self.ask(&write).await? };
        self.shared.commits.fetch_add(1, Ordering::Relaxed);
        Ok(applied)
    }

    /// The claim and the high-water mark in one transaction: neither is ever seen without the other.
    async fn write_marking(&self, write: &Write) -> Result<Applied, LedgerError> {
        let mut lease = Lease::take(&self.pool).await?;
        let outcome = in_transaction(lease.connection()?, write).await;
        let applied = lease.give_back(outcome)?;
        if applied.changed() {
            self.shared.marked.store(true, Ordering::Release);
        }
        Ok(applied)
    }

    pub(super) fn commits(&self) -> u64 {
        self.shared.commits.load(Ordering::Relaxed)
    }

    pub(super) async fn close(self) {
        self.pool.close().await;
    }
}

async fn in_transaction(connection: &mut PgConnection, write: &Write) -> Result<Applied, LedgerError> {
    let mut transaction = connection.begin().await?;
    let applied = write.run(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(applied)
}

fn pool(options: PgConnectOptions, settings: &Settings) -> PgPool {
    let timeout = settings.timeout;
    PgPoolOptions::new()
        .max_connections(settings.pool_max.max(1))
        .acquire_timeout(timeout)
        .test_before_acquire(false)
        .before_acquire(|connection, meta| {
            Box::pin(async move {
                if meta.idle_for > STALE {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .after_connect(move |connection, _| {
            Box::pin(async move {
                prepare(connection, timeout).await.map_err(|error| sqlx::Error::Configuration(error.into()))
            })
        })
        .connect_lazy_with(options)
}

/// Makes the session's promises explicit and refuses a server that would not keep them.
async fn prepare(connection: &mut PgConnection, timeout: Duration) -> Result<(), OpenError> {
    let milliseconds = timeout.as_millis().max(1).to_string();
    let rows: Vec<(String, String, String, String, String, String, String)> =
        connection.rows(SESSION, &[Bind::Text(&milliseconds)]).await?;
    match rows.first() {
        Some((.., fsync, _)) if fsync != "on" => {
            Err(OpenError::NotDurable("the server runs with fsync switched off"))
        }
        Some((.., role)) if role != "primary" => {
            Err(OpenError::NotDurable("the server is a standby and accepts no writes"))
        }
        _ => Ok(()),
    }
}

/// A connection that goes back to the pool only after a clean answer. In every other case, a future dropped half-way included, it is
/// cut: what comes next on it could run inside a transaction that nobody commits, and would be answered as if it were durable.
struct Lease(Option<PoolConnection<Postgres>>);

impl Lease {
    async fn take(pool: &PgPool) -> Result<Self, LedgerError> {
        Ok(Self(Some(pool.acquire().await?)))
    }

    fn connection(&mut self) -> Result<&mut PgConnection, LedgerError> {
        self.0.as_deref_mut().ok_or(LedgerError::Closed)
    }

    fn give_back<T>(mut self, outcome: Result<T, LedgerError>) -> Result<T, LedgerError> {
        if outcome.is_ok() {
            drop(self.0.take());
        }
        outcome
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            drop(connection.detach());
        }
    }
}
