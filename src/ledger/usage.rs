//! Clients that still call the old API, over all replicas and restarts: when each was last seen, and what of it blocks the end. Bounded.

#![allow(missing_docs, reason = "the docs of a type say what its fields are")]

use std::collections::BTreeMap;

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
    /// What blocks the end of the old API and was used since then, separated by `, `; empty if nothing was.
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
    /// What of it blocks the end of the old API, and when it last used each, the last first.
    pub blockers: Vec<(String, Timestamp)>,
}

struct KeepUsage {
    tenant: String,
    clients: Vec<ClientUse>,
}

const FORGET: Guarded = guarded!(
    ["DELETE FROM ledger_usage WHERE tenant = $2 AND last_seen_us < $3 AND "],
    [" RETURNING client"]
);

// The row is added if there is room, or was there before. It is locked from here on, so that no other replica's blockers are lost.
const KEEP: Guarded = guarded!(
    [
        "INSERT INTO ledger_usage (tenant, client, last_seen_us, blocked_us, blockers) SELECT $2, $3, $4, 0, '' \
         WHERE ($3 = $5 OR (SELECT COUNT(*) FROM ledger_usage WHERE tenant = $2) < $6 \
         OR EXISTS (SELECT 1 FROM ledger_usage WHERE tenant = $2 AND client = $3)) AND "
    ],
    [" ON CONFLICT (tenant, client) DO UPDATE SET \
         last_seen_us = CASE WHEN excluded.last_seen_us > ledger_usage.last_seen_us THEN excluded.last_seen_us \
         ELSE ledger_usage.last_seen_us END RETURNING blocked_us, blockers"],
);

const BLOCK: Guarded = guarded!(
    ["UPDATE ledger_usage SET blocked_us = $4, blockers = $5 WHERE tenant = $2 AND client = $3 AND "],
    [" RETURNING client"],
);

impl KeepUsage {
    async fn keep<C: Connection>(
        &self,
        connection: &mut C,
        client: &str,
        usage: &ClientUse,
    ) -> Result<bool, LedgerError> {
        use Bind::{Number, Text};
        let (tenant, client) = (Text(&self.tenant), Text(client));
        let seen = Number(usage.last_seen.as_microsecond());
        let binds = [tenant, client, seen, Text(OTHERS), Number(CLIENTS_MAX)];
        let rows: Vec<(i64, String)> = connection.guarded(&KEEP, &binds).await?;
        let Some((blocked, known)) = rows.into_iter().next() else { return Ok(false) };
        if usage.blockers.is_empty() {
            return Ok(true);
        }
        let mut blockers = Blockers::read(&known, blocked)?;
        usage.blockers.split(SEPARATOR).for_each(|name| blockers.add(name, usage.last_seen));
        let (last, written) = (Number(blockers.last()), blockers.written());
        let rows: Vec<(String,)> =
            connection.guarded(&BLOCK, &[tenant, client, last, Text(&written)]).await?;
        if rows.is_empty() { Err(connection.foreign()) } else { Ok(true) }
    }
}

const SEPARATOR: &str = ", ";

/// What blocks the end of the old API, each with the time of its last use. In the ledger: `cancel 2026-12-01T02:36:18Z, no_reference …`.
/// Earlier versions wrote the names alone, for the time in `blocked_us`.
struct Blockers(BTreeMap<String, Timestamp>);

impl Blockers {
    fn read(written: &str, blocked_us: i64) -> Result<Self, LedgerError> {
        let mut blockers = Self(BTreeMap::new());
        let last = time(blocked_us)?;
        for one in written.split(SEPARATOR).filter(|one| !one.is_empty()) {
            let timed = one.split_once(' ').and_then(|(name, at)| Some((name, at.parse().ok()?)));
            let (name, at) = timed.unwrap_or((one, last));
            blockers.add(name, at);
        }
        Ok(blockers)
    }

    fn add(&mut self, name: &str, at: Timestamp) {
        let known = self.0.entry(name.to_owned()).or_insert(at);
        *known = at.max(*known);
    }

    /// In microseconds; 0 without any.
    fn last(&self) -> i64 {
        self.0.values().max().map_or(0, |at| at.as_microsecond())
    }

    fn written(&self) -> String {
        self.0.iter().map(|(name, at)| format!("{name} {at}")).collect::<Vec<_>>().join(SEPARATOR)
    }

    /// The last used first.
    fn sorted(self) -> Vec<(String, Timestamp)> {
        let mut all: Vec<_> = self.0.into_iter().collect();
        all.sort_by_key(|(_, at)| std::cmp::Reverse(*at));
        all
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

const BLOCKING: &str = "SELECT client, blocked_us, blockers FROM ledger_usage WHERE tenant = $1 AND blocked_us >= $2 ORDER BY client";

impl LedgerRequest for BlockingSince<'_> {
    type Output = UsageOnRecord;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<UsageOnRecord, LedgerError> {
        let since = setting(connection, Setting::UsageSince).await?.map(|(_, at)| time(at)).transpose()?;
        let binds = [Bind::Text(self.tenant), Bind::Number(self.since.as_microsecond())];
        let rows: Vec<(String, i64, String)> = connection.rows(BLOCKING, &binds).await?;
        let named = |(client, blocked, blockers): (String, i64, String)| {
            let used = Blockers::read(&blockers, blocked)?.0.into_iter().filter(|(_, at)| *at >= self.since);
            Ok((client, used.map(|(name, _)| name).collect::<Vec<_>>().join(SEPARATOR)))
        };
        let blocking: Result<_, LedgerError> = rows.into_iter().map(named).collect();
        Ok(UsageOnRecord { since, blocking: blocking? })
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
            let blockers = Blockers::read(&blockers, blocked)?.sorted();
            Ok(ClientOnRecord { client, last_seen: time(last_seen)?, blockers })
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
