//! The shared ledger: several replicas, one PostgreSQL.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use sqlx::postgres::PgConnectOptions;

use super::completeness::Starts;
use super::connection::{Connection as _, LedgerRequest};
use super::error::{LedgerError, OpenError};
use super::history::Verifier;
use super::identified::{Found, examine};
use super::identity::{self, Make};
use super::schema;
use super::server_session::{ServerSession, connect};
use super::session_pool::{SessionLease, SessionPool};
use super::settings::{MIGRATION_TIMEOUT, OpenMode, Settings, in_time};

#[derive(Clone)]
pub(super) struct PostgresStore {
    pool: SessionPool,
    commits: Arc<AtomicU64>,
    /// The claims' table, as the database names it.
    claims_table: Arc<OnceLock<i64>>,
}

struct ClaimsTable {
    oid: i64,
    is_writable: bool,
}

async fn claims_table(session: &mut ServerSession) -> Result<ClaimsTable, LedgerError> {
    let sql = "SELECT CAST(c.oid AS BIGINT), CAST(has_table_privilege(c.oid, 'INSERT') AND has_table_privilege(c.oid, 'UPDATE') \
               AS INT)::BIGINT FROM pg_class c WHERE c.oid = to_regclass('ref_claims')";
    let rows: Vec<(i64, i64)> = session.rows(sql, &[]).await?;
    let (oid, writable) = rows.first().copied().unwrap_or_default();
    Ok(ClaimsTable { oid, is_writable: writable == 1 })
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
        let is_newer = in_time(settings.timeout, schema::is_newer(&mut session, settings)).await?;
        let found = in_time(settings.timeout, examine(&mut session, &settings.identity)).await?;
        let mut session = if is_newer {
            session
        } else {
            in_time(MIGRATION_TIMEOUT, migrate(session, &options, settings)).await?
        };
        let opening = async {
            // `ledger init` names the ledger that it makes, and audits it.
            if found == Found::Nothing && mode == OpenMode::Serve {
                session.in_transaction(&Make(&settings.identity)).await?;
            }
            identity::admit(&mut session, &settings.identity).await?;
            session.in_transaction(&verifier).await?;
            if mode == OpenMode::Serve {
                session.in_transaction(&Starts(&settings.identity)).await?;
            }
            Ok(session)
        };
        let mut session = in_time(settings.timeout, opening).await?;
        let table = claims_table(&mut session).await?.oid;
        let store = Self::new(SessionPool::new(options, settings, Some(verifier)).with(session));
        Ok(Self { claims_table: Arc::new(OnceLock::from(table)), ..store })
    }

    fn new(pool: SessionPool) -> Self {
        Self { pool, commits: Arc::default(), claims_table: Arc::default() }
    }

    /// Uses another user or password from now on, once a session with it sees the same claims and may write them. A role's search path
    /// may lead to other tables of the same database.
    pub(super) async fn renew(&self, options: PgConnectOptions) -> Result<(), OpenError> {
        let options = options.extra_float_digits(None);
        let mut session = self.pool.open_with(&options).await?;
        let seen = claims_table(&mut session).await?;
        session.close().await;
        if !seen.is_writable {
            return Err(OpenError::Unsuitable("the user may not write the claims"));
        }
        // Another user may resolve `ref_claims` to another schema, and would write claims that nobody reads.
        let known = self.claims_table.get_or_init(|| seen.oid);
        if *known != seen.oid {
            return Err(OpenError::Unsuitable("the user sees other tables: check its search_path"));
        }
        self.pool.use_from_now_on(options);
        Ok(())
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
            let mut lease: SessionLease = self.pool.take().await?;
            let outcome = lease.session()?.in_transaction(request).await;
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

/// Connects twice: behind a pooler that hands one server session to both, the second connection changes the settings of the first.
async fn connect_apart(options: &PgConnectOptions, settings: &Settings) -> Result<ServerSession, OpenError> {
    let mut first = connect(options, settings.timeout).await?;
    let mut second = connect(options, settings.timeout).await?;
    // Two at once: a pooler in transaction mode hands one server session to both, and its settings are then the other's.
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
