//! The shared ledger: several replicas, one PostgreSQL.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sqlx::postgres::PgConnectOptions;

use super::connection::{Connection as _, LedgerRequest};
use super::error::{LedgerError, OpenError};
use super::history::Verifier;
use super::identified::{Found, examine};
use super::identity::{self, Make};
use super::schema;
use super::server_session::{ServerSession, connect};
use super::session_pool::{Lease, SessionPool};
use super::settings::{MIGRATION_TIMEOUT, OpenMode, Settings, in_time};

#[derive(Clone)]
pub(super) struct PostgresStore {
    pool: SessionPool,
    commits: Arc<AtomicU64>,
}

impl PostgresStore {
    /// For reading only, also where the tables are older than this program.
    pub(super) async fn open_to_read(
        options: PgConnectOptions,
        settings: &Settings,
    ) -> Result<Self, OpenError> {
        let options = options.extra_float_digits(None);
        let first = in_time(settings.timeout, connect(&options, settings.timeout)).await?;
        Ok(Self::new(SessionPool::new(options, settings, None).with(first)))
    }

    /// Connects, checks that the server keeps what it commits and that this is the ledger that is meant, and brings the tables up to
    /// date.
    pub(super) async fn open(
        options: PgConnectOptions,
        settings: &Settings,
        verifier: Verifier,
        mode: OpenMode,
    ) -> Result<Self, OpenError> {
        // No column is a float, and a pooler refuses the parameter.
        let options = options.extra_float_digits(None);
        let mut session = in_time(settings.timeout, connect_apart(&options, settings)).await?;
        let found = in_time(settings.timeout, examine(&mut session, &settings.identity)).await?;
        let mut session = in_time(MIGRATION_TIMEOUT, migrate(session, &options, settings)).await?;
        let opening = async {
            // `ledger init` names the ledger that it makes, and audits it.
            if found == Found::Nothing && mode == OpenMode::Serve {
                in_transaction(&mut session, &Make(&settings.identity)).await?;
            }
            identity::admit(&mut session, &settings.identity).await?;
            verifier.verify(&mut session).await?;
            Ok(session)
        };
        let session = in_time(settings.timeout, opening).await?;
        Ok(Self::new(SessionPool::new(options, settings, Some(verifier)).with(session)))
    }

    fn new(pool: SessionPool) -> Self {
        Self { pool, commits: Arc::default() }
    }

    /// Whether the server says on which timeline it is; `None` before the first connection.
    pub(super) fn says_its_timeline(&self) -> Option<bool> {
        self.pool.says_its_timeline()
    }

    pub(super) async fn ask<R: LedgerRequest>(&self, request: &R) -> Result<R::Output, LedgerError> {
        let mut lease = self.pool.take().await?;
        let outcome = request.run(lease.session()?).await;
        lease.give_back(outcome)
    }

    pub(super) async fn write<R: LedgerRequest>(&self, request: &R) -> Result<R::Output, LedgerError> {
        let answer = if R::COMPOUND {
            let mut lease: Lease = self.pool.take().await?;
            let outcome = in_transaction(lease.session()?, request).await;
            // A refusal may have left a transaction open.
            lease.give_back_if_ok(outcome)?
        } else {
            self.ask(request).await?
        };
        self.commits.fetch_add(1, Ordering::Relaxed);
        Ok(answer)
    }

    pub(super) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    pub(super) async fn close(self) {
        self.pool.close().await;
    }
}

async fn in_transaction<R: LedgerRequest>(
    session: &mut ServerSession,
    request: &R,
) -> Result<R::Output, LedgerError> {
    session.rows::<(i64,)>("BEGIN", &[]).await?;
    let answer = request.run(session).await?;
    session.rows::<(i64,)>("COMMIT", &[]).await?;
    Ok(answer)
}

/// Connects twice: behind a pooler that hands one server session to both, the second connection changes the settings of the first.
async fn connect_apart(options: &PgConnectOptions, settings: &Settings) -> Result<ServerSession, OpenError> {
    let mut first = connect(options, settings.timeout).await?;
    let mut second = connect(options, settings.timeout).await?;
    for session in [&mut first, &mut second] {
        session.check_own().await?;
    }
    first.check_own().await?;
    second.close().await;
    Ok(first)
}

/// Brings the tables up to date, with as much time as that needs.
async fn migrate(
    mut session: ServerSession,
    options: &PgConnectOptions,
    settings: &Settings,
) -> Result<ServerSession, OpenError> {
    session.without_statement_timeout().await?;
    schema::migrator().run(session.raw()).await?;
    session.close().await;
    connect(options, settings.timeout).await
}
