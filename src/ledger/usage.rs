//! Clients that still call the old API, over all replicas and restarts: when each was last seen, and what of it blocks the end. Bounded.

#![allow(missing_docs, reason = "the docs of a type say what its fields are")]

use jiff::{SignedDuration, Timestamp};

use super::connection::{Bind, Connection, Guarded, LedgerRequest, guarded};
use super::error::LedgerError;
use super::identity::{Setting, insert_setting, setting};
use super::queries::time;
use super::{Ledger, Reader};

/// Clients of a tenant that are kept apart; further ones share [`OTHERS`].
const CLIENTS_MAX: i64 = 2000;
/// How long a client that does not call any more is kept.
const KEPT: SignedDuration = SignedDuration::from_hours(400 * 24);
/// The name under which clients beyond the maximum are counted.
pub(crate) const OTHERS: &str = "other clients";

/// A client since the last time that its usage was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientUse {
    /// How it is known, and its name.
    pub client: String,
    pub last_seen: Timestamp,
    /// What blocks the end of the old API and was used since then; empty if nothing was.
    pub blockers: String,
}

/// What is on record about clients.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsageOnRecord {
    /// Since when it is kept; `None`: it is not.
    pub since: Option<Timestamp>,
    /// Clients that used what blocks the end since the time that was asked for, with what it was.
    pub blocking: Vec<(String, String)>,
}

/// A client on record, over all replicas and restarts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientOnRecord {
    /// How it is known, and its name.
    pub client: String,
    pub last_seen: Timestamp,
    /// When it last used what blocks the end of the old API; `None`: never.
    pub blocked: Option<Timestamp>,
    /// What that was.
    pub blockers: String,
}

struct KeepUsage {
    tenant: String,
    clients: Vec<ClientUse>,
}

const FORGET: Guarded = guarded!(
    ["DELETE FROM ledger_usage WHERE tenant = $2 AND last_seen_us < $3 AND "],
    [" RETURNING client"]
);

// The row is added if there is room, or was there before.
const KEEP: Guarded = guarded!(
    [
        "INSERT INTO ledger_usage (tenant, client, last_seen_us, blocked_us, blockers) SELECT $2, $3, $4, $5, $6 \
         WHERE ($3 = $7 OR (SELECT COUNT(*) FROM ledger_usage WHERE tenant = $2) < $8 \
         OR EXISTS (SELECT 1 FROM ledger_usage WHERE tenant = $2 AND client = $3)) AND "
    ],
    [" ON CONFLICT (tenant, client) DO UPDATE SET \
         last_seen_us = CASE WHEN excluded.last_seen_us > ledger_usage.last_seen_us THEN excluded.last_seen_us \
         ELSE ledger_usage.last_seen_us END, \
         blockers = CASE WHEN excluded.blocked_us > 0 THEN excluded.blockers ELSE ledger_usage.blockers END, \
         blocked_us = CASE WHEN excluded.blocked_us > ledger_usage.blocked_us THEN excluded.blocked_us \
         ELSE ledger_usage.blocked_us END RETURNING client"],
);

impl KeepUsage {
    async fn keep<C: Connection>(
        &self,
        connection: &mut C,
        client: &str,
        usage: &ClientUse,
    ) -> Result<bool, LedgerError> {
        use Bind::{Number, Text};
        let seen = usage.last_seen.as_microsecond();
        let blocked = if usage.blockers.is_empty() { 0 } else { seen };
        let binds = [
            Text(&self.tenant),
            Text(client),
            Number(seen),
            Number(blocked),
            Text(&usage.blockers),
            Text(OTHERS),
            Number(CLIENTS_MAX),
        ];
        let rows: Vec<(String,)> = connection.guarded(&KEEP, &binds).await?;
        Ok(!rows.is_empty())
    }
}

impl LedgerRequest for KeepUsage {
    type Output = ();

    const COMPOUND: bool = true;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<(), LedgerError> {
        insert_setting(connection, Setting::UsageSince, "kept").await?;
        let old = Bind::Number((Timestamp::now() - KEPT).as_microsecond());
        let _: Vec<(String,)> = connection.guarded(&FORGET, &[Bind::Text(&self.tenant), old]).await?;
        for usage in &self.clients {
            if !self.keep(connection, &usage.client, usage).await?
                && !self.keep(connection, OTHERS, usage).await?
            {
                return Err(connection.foreign());
            }
        }
        Ok(())
    }
}

struct BlockingSince<'a> {
    tenant: &'a str,
    since: Timestamp,
}

const BLOCKING: &str =
    "SELECT client, blockers FROM ledger_usage WHERE tenant = $1 AND blocked_us >= $2 ORDER BY client";

impl LedgerRequest for BlockingSince<'_> {
    type Output = UsageOnRecord;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<UsageOnRecord, LedgerError> {
        let since = setting(connection, Setting::UsageSince).await?.map(|(_, at)| time(at)).transpose()?;
        let binds = [Bind::Text(self.tenant), Bind::Number(self.since.as_microsecond())];
        Ok(UsageOnRecord { since, blocking: connection.rows(BLOCKING, &binds).await? })
    }
}

struct UsageOf<'a>(&'a str);

const USAGE: &str = "SELECT client, last_seen_us, blocked_us, blockers FROM ledger_usage WHERE tenant = $1 \
                     ORDER BY last_seen_us DESC, client";

impl LedgerRequest for UsageOf<'_> {
    /// Since when it is kept, and the clients, the last seen first.
    type Output = Option<(Timestamp, Vec<ClientOnRecord>)>;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<Self::Output, LedgerError> {
        let Some((_, since)) = setting(connection, Setting::UsageSince).await? else { return Ok(None) };
        let rows: Vec<(String, i64, i64, String)> = connection.rows(USAGE, &[Bind::Text(self.0)]).await?;
        let client = |(client, last_seen, blocked, blockers): (String, i64, i64, String)| {
            let blocked = (blocked > 0).then(|| time(blocked)).transpose()?;
            Ok(ClientOnRecord { client, last_seen: time(last_seen)?, blocked, blockers })
        };
        let clients: Result<_, LedgerError> = rows.into_iter().map(client).collect();
        Ok(Some((time(since)?, clients?)))
    }
}

impl Reader {
    /// The clients on record and since when they are kept, the last seen first; `None`: nothing is kept yet.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn usage(&self, tenant: &str) -> Result<Option<(Timestamp, Vec<ClientOnRecord>)>, LedgerError> {
        self.ask(&UsageOf(tenant)).await
    }

    /// The clients that used what blocks the end of the old API since a time, on any replica.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn blocking_since(&self, tenant: &str, since: Timestamp) -> Result<UsageOnRecord, LedgerError> {
        self.ask(&BlockingSince { tenant, since }).await
    }
}

impl Ledger {
    /// Keeps what clients used since the last call.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn keep_usage(&self, tenant: &str, clients: Vec<ClientUse>) -> Result<(), LedgerError> {
        self.check_suspended()?;
        self.write(KeepUsage { tenant: tenant.to_owned(), clients }).await
    }
}
