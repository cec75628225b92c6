//! One session of a PostgreSQL server: its settings, and what they prove about the server and a pooler in front of it.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions as _, Connection as _};
use uuid::Uuid;

use super::connection::{Bind, Connection, LedgerRequest, ServerHistory, Session};
use super::error::{LedgerError, OpenError};

pub(super) type ServerSession = Session<PgConnection>;

/// The settings that the statements rely on, whatever the defaults of role and database are. Notices are suppressed.
const SETTINGS: &str = "SELECT set_config('synchronous_commit', 'on', false), \
                        set_config('default_transaction_isolation', 'read committed', false), \
                        set_config('statement_timeout', $1, false), \
                        set_config('idle_in_transaction_session_timeout', $1, false), \
                        set_config('client_min_messages', 'warning', false), \
                        set_config('conversion_shim.session', $2, false)";

const SERVER_SETTINGS: &str = "SELECT current_setting('fsync'), current_setting('full_page_writes'), \
                      current_setting('server_encoding'), current_setting('synchronous_commit'), \
                      CASE WHEN pg_is_in_recovery() THEN 'standby' ELSE 'primary' END";

/// The first eight digits of the name of a file of the write-ahead log are the timeline.
const HISTORY: &str = "SELECT CAST(system_identifier AS TEXT), substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) \
                       FROM pg_control_system()";

/// Connects and prepares a session.
///
/// # Errors
/// When the server's settings could lose a confirmed claim.
pub(super) async fn connect(
    options: &PgConnectOptions,
    timeout: Duration,
) -> Result<ServerSession, OpenError> {
    let connection = options.connect().await?;
    let mut session = Session { connection, guard: Uuid::new_v4().to_string(), history: None };
    session.prepare(timeout).await.map_err(|error| match error {
        LedgerError::Session => OpenError::Pooler,
        other => OpenError::Ledger(other),
    })?;
    refuse_unsuitable(&mut session).await?;
    session.history = history(&mut session).await?;
    Ok(session)
}

impl ServerSession {
    async fn prepare(&mut self, timeout: Duration) -> Result<(), LedgerError> {
        let milliseconds = timeout.as_millis().max(1).to_string();
        let guard = self.guard.clone();
        let binds = [Bind::Text(&milliseconds), Bind::Text(&guard)];
        self.rows::<(String, String, String, String, String, String)>(SETTINGS, &binds).await?;
        Ok(())
    }

    /// On an error the transaction is left open, so the session must not be used again.
    pub(super) async fn in_transaction<R: LedgerRequest>(
        &mut self,
        request: &R,
    ) -> Result<R::Output, LedgerError> {
        self.rows::<(i64,)>("BEGIN", &[]).await?;
        let answer = request.run(self).await?;
        self.rows::<(i64,)>("COMMIT", &[]).await?;
        Ok(answer)
    }

    /// Fails if another session's settings are in force.
    pub(super) async fn check_own(&mut self) -> Result<(), OpenError> {
        let sql = "SELECT current_setting('conversion_shim.session', true)";
        let found = self.rows::<(Option<String>,)>(sql, &[]).await.map_err(LedgerError::from);
        match found {
            Ok(rows) if rows.first().is_some_and(|(found,)| found.as_ref() == Some(&self.guard)) => Ok(()),
            Ok(_) | Err(LedgerError::Session) => Err(OpenError::Pooler),
            Err(other) => Err(other.into()),
        }
    }

    pub(super) async fn without_statement_timeout(&mut self) -> Result<(), OpenError> {
        let sql = "SELECT set_config('statement_timeout', '0', false)";
        self.rows::<(String,)>(sql, &[]).await.map_err(LedgerError::from)?;
        Ok(())
    }

    pub(super) const fn raw(&mut self) -> &mut PgConnection {
        &mut self.connection
    }

    pub(super) async fn ping(&mut self) -> sqlx::Result<()> {
        self.connection.ping().await
    }

    /// Closes the session cleanly, so that the server does not log a broken connection.
    pub(super) async fn close(self) {
        let _ = self.connection.close().await;
    }
}

async fn refuse_unsuitable(session: &mut ServerSession) -> Result<(), OpenError> {
    type ServerSettings = (String, String, String, String, String);
    let rows: Vec<ServerSettings> =
        session.rows(SERVER_SETTINGS, &[]).await.map_err(|error| match error.into() {
            LedgerError::Session => OpenError::Pooler,
            other => OpenError::Ledger(other),
        })?;
    let Some((fsync, full_page_writes, encoding, synchronous_commit, role)) = rows.into_iter().next() else {
        return Err(OpenError::Unsuitable("PostgreSQL does not answer what it is"));
    };
    let refused = [
        (role != "primary", "this PostgreSQL is a standby and accepts no writes; connect to the primary"),
        (
            fsync != "on",
            "PostgreSQL runs with `fsync=off`, so a confirmed claim can be lost; set `fsync = on`",
        ),
        (
            full_page_writes != "on",
            "PostgreSQL runs with `full_page_writes=off`, so a crash can lose confirmed claims; set `full_page_writes = on`",
        ),
        (
            encoding != "UTF8",
            "the database's encoding is not UTF8, so it refuses some references; create it with `ENCODING 'UTF8'`",
        ),
        (
            synchronous_commit == "off",
            "PostgreSQL keeps `synchronous_commit` off, so a confirmed claim can be lost; allow the role to set it",
        ),
    ];
    refused
        .into_iter()
        .find(|(applies, _)| *applies)
        .map_or(Ok(()), |(_, why)| Err(OpenError::Unsuitable(why)))
}

/// `None` if the server does not report it: some managed servers restrict these functions.
async fn history(session: &mut ServerSession) -> Result<Option<ServerHistory>, OpenError> {
    match session.rows::<(String, String)>(HISTORY, &[]).await {
        Ok(rows) => Ok(rows.into_iter().next().map(|(system, timeline)| ServerHistory { system, timeline })),
        Err(error) => match (error.as_database_error().is_some(), LedgerError::from(error)) {
            (_, LedgerError::Session) => Err(OpenError::Pooler),
            (true, _) => Ok(None),
            (false, other) => Err(other.into()),
        },
    }
}
