//! Identity of a ledger: its id, the hosts and tenants that it serves, and the mark that creates may go to the new side.

use jiff::Timestamp;
use uuid::Uuid;

use super::connection::{Bind, Connection, Guarded, LedgerRequest, guarded};
use super::error::LedgerError;
use super::settings::Identity;

/// A row of `ledger_settings`.
#[derive(Clone, Copy)]
pub(super) enum Setting {
    Id,
    Hosts,
    System,
    Timeline,
    /// Another value at every `ledger accept`.
    Accepted,
    /// Lifted by `ledger accept` alone.
    Hold,
    /// Lifted when every process has found its newest claims on the new timeline, or by `ledger accept`.
    HoldTimeline,
    /// Why creates are held until `trip reset`.
    Trip,
    /// Since when the usage of clients is kept.
    UsageSince,
    /// The furthest modes that any process put in force.
    Furthest,
    /// The modes that a process put in force last.
    Modes,
}

impl Setting {
    const fn name(self) -> Bind<'static> {
        Bind::Text(match self {
            Self::Id => "id",
            Self::Hosts => "hosts",
            Self::System => "system",
            Self::Timeline => "timeline",
            Self::Accepted => "accepted",
            Self::Hold => "hold",
            Self::HoldTimeline => "hold_timeline",
            Self::Trip => "trip",
            Self::UsageSince => "usage_since",
            Self::Furthest => "furthest",
            Self::Modes => "modes",
        })
    }
}

/// No route has used the new API.
const NOWHERE: &str = "creates none, reads legacy";

fn now() -> Bind<'static> {
    Bind::Number(Timestamp::now().as_microsecond())
}

/// The value of a setting and when it was written.
pub(super) async fn setting<C: Connection>(
    connection: &mut C,
    setting: Setting,
) -> Result<Option<(String, i64)>, LedgerError> {
    let sql = "SELECT value, at_us FROM ledger_settings WHERE name = $1";
    let rows: Vec<(String, i64)> = connection.rows(sql, &[setting.name()]).await?;
    Ok(rows.into_iter().next())
}

const INSERT_SETTING: Guarded = guarded!(
    ["INSERT INTO ledger_settings (name, value, at_us) SELECT $2, $3, $4 WHERE "],
    [" ON CONFLICT (name) DO NOTHING RETURNING value"],
);

/// Writes a setting that has no value, and returns whether it did.
pub(super) async fn insert_setting<C: Connection>(
    connection: &mut C,
    setting: Setting,
    value: &str,
) -> Result<bool, LedgerError> {
    let binds = [setting.name(), Bind::Text(value), now()];
    let rows: Vec<(String,)> = connection.guarded(&INSERT_SETTING, &binds).await?;
    Ok(!rows.is_empty())
}

const SET_SETTING: Guarded = guarded!(
    ["INSERT INTO ledger_settings (name, value, at_us) SELECT $2, $3, $4 WHERE "],
    [" ON CONFLICT (name) DO UPDATE SET value = excluded.value, at_us = excluded.at_us RETURNING value"],
);

/// Writes a setting, whatever its value was.
pub(super) async fn set_setting<C: Connection>(
    connection: &mut C,
    setting: Setting,
    value: &str,
) -> Result<(), LedgerError> {
    let binds = [setting.name(), Bind::Text(value), now()];
    let rows: Vec<(String,)> = connection.guarded(&SET_SETTING, &binds).await?;
    if rows.is_empty() { Err(connection.foreign()) } else { Ok(()) }
}

const REPLACE_SETTING: Guarded = guarded!(
    ["INSERT INTO ledger_settings (name, value, at_us) SELECT $2, $3, $4 WHERE "],
    [" ON CONFLICT (name) DO UPDATE SET value = excluded.value, at_us = excluded.at_us \
         WHERE ledger_settings.value <> excluded.value RETURNING value"],
);

/// Writes a setting that has another value or none, and returns whether it did.
pub(super) async fn replace_setting<C: Connection>(
    connection: &mut C,
    setting: Setting,
    value: &str,
) -> Result<bool, LedgerError> {
    let binds = [setting.name(), Bind::Text(value), now()];
    let rows: Vec<(String,)> = connection.guarded(&REPLACE_SETTING, &binds).await?;
    Ok(!rows.is_empty())
}

const LOCK: Guarded =
    guarded!(["UPDATE ledger_settings SET value = value WHERE name = 'id' AND "], [" RETURNING value"]);

/// Held until the transaction ends by a process that doubts the database and by `ledger accept`, so that one sees what the other did.
pub(super) async fn lock<C: Connection>(connection: &mut C) -> Result<(), LedgerError> {
    connection.guarded::<(String,)>(&LOCK, &[]).await?;
    Ok(())
}

const CLEAR_SETTING: Guarded =
    guarded!(["DELETE FROM ledger_settings WHERE name = $2 AND "], [" RETURNING value"]);

/// Removes a setting and returns its value.
pub(super) async fn clear_setting<C: Connection>(
    connection: &mut C,
    setting: Setting,
) -> Result<Option<String>, LedgerError> {
    let rows: Vec<(String,)> = connection.guarded(&CLEAR_SETTING, &[setting.name()]).await?;
    Ok(rows.into_iter().next().map(|(value,)| value))
}

/// The mark that creates may go to the new side.
const SET_MARK: Guarded = guarded!(
    ["INSERT INTO conversion_marks (name, at_us) SELECT 'open_new', $2 WHERE "],
    [" ON CONFLICT (name) DO NOTHING RETURNING name"],
);

/// Sets the mark, and returns whether it was not set.
pub(super) async fn set_mark<C: Connection>(connection: &mut C) -> Result<bool, LedgerError> {
    let rows: Vec<(String,)> = connection.guarded(&SET_MARK, &[now()]).await?;
    Ok(!rows.is_empty())
}

const ADD_TENANT: Guarded = guarded!(
    ["INSERT INTO ledger_tenants (tenant, at_us) SELECT $2, $3 WHERE "],
    [" ON CONFLICT (tenant) DO NOTHING RETURNING tenant"],
);

/// Adds a tenant to those that the ledger serves, and returns whether it is new.
pub(super) async fn add_tenant<C: Connection>(connection: &mut C, tenant: &str) -> Result<bool, LedgerError> {
    let rows: Vec<(String,)> = connection.guarded(&ADD_TENANT, &[Bind::Text(tenant), now()]).await?;
    Ok(!rows.is_empty())
}

async fn has_claims<C: Connection>(connection: &mut C) -> Result<bool, LedgerError> {
    let sql = "SELECT CAST(COUNT(*) AS BIGINT) FROM (SELECT 1 FROM ref_claims LIMIT 1) AS claims";
    let rows: Vec<(i64,)> = connection.rows(sql, &[]).await?;
    Ok(rows.first().is_some_and(|(count,)| *count > 0))
}

/// Gives a ledger without an id one, and returns the id that it has now.
pub(super) struct Make<'a>(pub(super) &'a Identity);

impl LedgerRequest for Make<'_> {
    type Output = String;

    const COMPOUND: bool = true;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<String, LedgerError> {
        let new = self.0.id.clone().unwrap_or_else(|| Uuid::new_v4().to_string());
        insert_setting(connection, Setting::Id, &new).await?;
        // Of a ledger that a version without this record used, what comes into force first is the record.
        if !has_claims(connection).await? {
            insert_setting(connection, Setting::Furthest, NOWHERE).await?;
        }
        if self.0.new_in_use {
            set_mark(connection).await?;
        }
        let id = setting(connection, Setting::Id).await?;
        id.map(|(id, _)| id).ok_or_else(|| connection.foreign())
    }
}

/// Records the hosts and the tenant where the ledger has not seen them. `identified::examine` has compared them.
pub(super) async fn admit<C: Connection>(connection: &mut C, expected: &Identity) -> Result<(), LedgerError> {
    if let Some(hosts) = &expected.hosts {
        insert_setting(connection, Setting::Hosts, hosts).await?;
    }
    if let Some(tenant) = &expected.tenant {
        add_tenant(connection, tenant).await?;
    }
    Ok(())
}
