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
        Bind::Text(self.text())
    }

    const fn text(self) -> &'static str {
        match self {
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
        }
    }
}

/// No route has used the new API.
const NOWHERE: &str = "creates none, reads legacy";

/// How far a tenant that joined a ledger of others went, and its modes, are rows of its own. The first tenant's are [`Setting::Furthest`]
/// and [`Setting::Modes`], as older versions wrote them for every tenant.
#[derive(Clone, Copy)]
pub(super) enum OfTenant {
    Furthest,
    Modes,
}

impl OfTenant {
    fn own_name(self, tenant: &str) -> String {
        match self {
            Self::Furthest => format!("furthest of {tenant}"),
            Self::Modes => format!("modes of {tenant}"),
        }
    }

    /// Where the tenant's value stands.
    pub(super) async fn name<C: Connection>(
        self,
        connection: &mut C,
        tenant: &str,
    ) -> Result<String, LedgerError> {
        let furthest = Self::Furthest.own_name(tenant);
        if named_setting(connection, &furthest).await?.is_some() {
            return Ok(self.own_name(tenant));
        }
        let shared = match self {
            Self::Furthest => Setting::Furthest,
            Self::Modes => Setting::Modes,
        };
        Ok(shared.text().to_owned())
    }
}

fn now() -> Bind<'static> {
    Bind::Number(Timestamp::now().as_microsecond())
}

/// The value of a setting and when it was written.
pub(super) async fn setting<C: Connection>(
    connection: &mut C,
    setting: Setting,
) -> Result<Option<(String, i64)>, LedgerError> {
    named_setting(connection, setting.text()).await
}

/// The value of the setting of a name, and when it was written.
pub(super) async fn named_setting<C: Connection>(
    connection: &mut C,
    name: &str,
) -> Result<Option<(String, i64)>, LedgerError> {
    let sql = "SELECT value, at_us FROM ledger_settings WHERE name = $1";
    let rows: Vec<(String, i64)> = connection.rows(sql, &[Bind::Text(name)]).await?;
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
    set_named(connection, setting.text(), value).await
}

pub(super) async fn set_named<C: Connection>(
    connection: &mut C,
    name: &str,
    value: &str,
) -> Result<(), LedgerError> {
    let binds = [Bind::Text(name), Bind::Text(value), now()];
    let rows: Vec<(String,)> = connection.guarded(&SET_SETTING, &binds).await?;
    if rows.is_empty() { Err(connection.foreign()) } else { Ok(()) }
}

const REPLACE_SETTING: Guarded = guarded!(
    ["INSERT INTO ledger_settings (name, value, at_us) SELECT $2, $3, $4 WHERE "],
    [" ON CONFLICT (name) DO UPDATE SET value = excluded.value, at_us = excluded.at_us \
         WHERE ledger_settings.value <> excluded.value RETURNING value"],
);

/// Writes a setting that has another value or none, and returns whether it did.
pub(super) async fn replace_named<C: Connection>(
    connection: &mut C,
    name: &str,
    value: &str,
) -> Result<bool, LedgerError> {
    let binds = [Bind::Text(name), Bind::Text(value), now()];
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
    if rows.is_empty() {
        return Ok(false);
    }
    // What the others showed is not its evidence.
    if has_other_tenants(connection, tenant).await? {
        set_named(connection, &OfTenant::Furthest.own_name(tenant), NOWHERE).await?;
    }
    Ok(true)
}

async fn has_other_tenants<C: Connection>(connection: &mut C, tenant: &str) -> Result<bool, LedgerError> {
    let sql = "SELECT tenant FROM ledger_tenants WHERE tenant <> $1 LIMIT 1";
    let rows: Vec<(String,)> = connection.rows(sql, &[Bind::Text(tenant)]).await?;
    Ok(!rows.is_empty())
}

/// Whether a tenant is new to a ledger of others.
pub(super) async fn is_stranger<C: Connection>(
    connection: &mut C,
    tenant: &str,
) -> Result<bool, LedgerError> {
    let sql = "SELECT tenant FROM ledger_tenants WHERE tenant = $1";
    let rows: Vec<(String,)> = connection.rows(sql, &[Bind::Text(tenant)]).await?;
    Ok(rows.is_empty() && has_other_tenants(connection, tenant).await?)
}

const FORGET_FURTHEST: Guarded = guarded!(
    [
        "UPDATE ledger_settings SET value = $2, at_us = $3 WHERE (name = 'furthest' OR name LIKE 'furthest of %') AND "
    ],
    [" RETURNING name"],
);

/// Nothing that was in force before counts: it was with another vendor.
pub(super) async fn forget_furthest<C: Connection>(connection: &mut C) -> Result<(), LedgerError> {
    // Of a ledger that a version without this record used, too.
    insert_setting(connection, Setting::Furthest, NOWHERE).await?;
    let binds = [Bind::Text(NOWHERE), now()];
    connection.guarded::<(String,)>(&FORGET_FURTHEST, &binds).await?;
    Ok(())
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
