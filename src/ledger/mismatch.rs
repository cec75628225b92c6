//! Whether the ledger is the one that the config means. Asked before anything in it is changed, and before every reload.

use super::connection::{Bind, Connection, Request};
use super::error::LedgerError;
use super::identity::{Setting, setting};
use super::queries::CreatedOnNew;
use super::settings::Identity;

/// What the ledger says about itself.
#[derive(Clone, Debug)]
pub struct Identified {
    /// `None` for a ledger of 0.1 without an id.
    pub id: Option<String>,
    /// The upstream hosts that it is for; `None` until it was served with.
    pub(crate) hosts: Option<String>,
    /// Whether creates may have gone to the new API.
    pub(crate) created_on_new: bool,
    /// When an operator last accepted the database as it was, in microseconds since 1970.
    pub(crate) accepted_at_us: Option<i64>,
    /// Whether it serves the tenant that was asked for.
    tenant_is_known: bool,
}

/// A contradiction between the config and the ledger.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// The config names another ledger.
    #[error(
        "is {configured}, and the ledger at ledger.url has {}: restore the ledger that the config means; `conversion-shim ledger init` \
         gives an id to a ledger that has none",
        found.as_ref().map_or_else(|| "no id".to_owned(), |id| format!("the id {id}"))
    )]
    OtherLedger {
        /// `ledger.id`.
        configured: String,
        /// The id in the ledger.
        found: Option<String>,
    },
    /// Creates may have gone to the new API, and the config would take any ledger.
    #[error(
        "is not set, and creates may have gone to the new API with this ledger{}: a lost or exchanged one would not be noticed",
        found.as_ref().map_or_else(String::new, |id| format!(", whose id is {id}"))
    )]
    NoId {
        /// The id in the ledger.
        found: Option<String>,
    },
    /// The config says that creates may have gone to the new API, and the ledger does not.
    #[error(
        "is true, and this ledger was never opened for creates on the new API: if creates went there, it is not the ledger that recorded \
         them, so restore that one; before the first of them, run `conversion-shim ledger open-new`"
    )]
    NotOpened,
    /// The ledger says that creates may have gone to the new API, and the config does not.
    #[error("is false, and creates may have gone to the new API with this ledger: set it to true")]
    Opened,
    /// The ledger belongs to other upstream hosts.
    #[error(
        "differs from what the ledger is for: {recorded} on record, {configured} configured; use the ledger of these hosts, or \
         `conversion-shim ledger accept --why` if the hosts were renamed"
    )]
    OtherHosts {
        /// The hosts on record.
        recorded: String,
        /// The hosts of the config.
        configured: String,
    },
    /// Creates may have gone to the new API, and no claim of this tenant is known.
    #[error(
        "is {0}, which the ledger does not know, and creates may have gone to the new API: correct it, or `conversion-shim ledger \
         accept --why` adds the tenant"
    )]
    UnknownTenant(String),
}

impl Mismatch {
    /// The config key that contradicts the ledger.
    #[must_use]
    pub fn config_key(&self) -> &'static str {
        match self {
            Self::OtherLedger { .. } | Self::NoId { .. } => "ledger.id",
            Self::NotOpened | Self::Opened => "ledger.new_in_use",
            Self::OtherHosts { recorded, configured } => {
                let legacy = |hosts: &str| hosts.split(' ').next().map(str::to_owned);
                if legacy(recorded) == legacy(configured) {
                    "upstream.new.url"
                } else {
                    "upstream.legacy.url"
                }
            }
            Self::UnknownTenant(_) => "ledger.tenant",
        }
    }
}

impl Identified {
    /// Every contradiction with the config.
    pub(crate) fn mismatches(&self, meant: &Identity) -> Vec<Mismatch> {
        let mut all = Vec::new();
        match &meant.id {
            Some(configured) if meant.id != self.id && !(meant.adopt && self.id.is_none()) => {
                all.push(Mismatch::OtherLedger { configured: configured.clone(), found: self.id.clone() });
            }
            None if meant.agrees && self.created_on_new => {
                all.push(Mismatch::NoId { found: self.id.clone() });
            }
            Some(_) | None => {}
        }
        match (meant.new_in_use, self.created_on_new) {
            (true, false) if meant.agrees => all.push(Mismatch::NotOpened),
            (false, true) if meant.agrees => all.push(Mismatch::Opened),
            _ => {}
        }
        if let (Some(recorded), Some(configured)) = (&self.hosts, &meant.hosts)
            && recorded != configured
        {
            let (recorded, configured) = (recorded.clone(), configured.clone());
            all.push(Mismatch::OtherHosts { recorded, configured });
        }
        if let Some(tenant) = &meant.tenant
            && self.created_on_new
            && !self.tenant_is_known
        {
            all.push(Mismatch::UnknownTenant(tenant.clone()));
        }
        all
    }
}

/// Reads what the ledger says about itself, also one of 0.1 before its tables are brought up to date.
pub(super) struct Identify<'a> {
    pub(super) tenant: Option<&'a str>,
}

impl Request for Identify<'_> {
    type Answer = Identified;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<Identified, LedgerError> {
        if !connection.has_table("ledger_settings").await? {
            return self.of_0_1(connection).await;
        }
        let known = "SELECT tenant FROM ledger_tenants WHERE tenant = $1";
        Ok(Identified {
            id: setting(connection, Setting::Id).await?.map(|(id, _)| id),
            hosts: setting(connection, Setting::Hosts).await?.map(|(hosts, _)| hosts),
            created_on_new: CreatedOnNew.run(connection).await?,
            accepted_at_us: setting(connection, Setting::Accepted).await?.map(|(_, at)| at),
            tenant_is_known: self.knows_tenant(connection, known).await?,
        })
    }
}

impl Identify<'_> {
    async fn of_0_1<C: Connection>(&self, connection: &mut C) -> Result<Identified, LedgerError> {
        let marked = "SELECT name FROM conversion_marks WHERE name = 'new_since' \
                      UNION ALL SELECT side FROM conversion_claims WHERE side = 'new' LIMIT 1";
        let marked: Vec<(String,)> = connection.rows(marked, &[]).await?;
        let known = "SELECT tenant FROM conversion_claims WHERE tenant = $1 LIMIT 1";
        Ok(Identified {
            id: None,
            hosts: None,
            created_on_new: !marked.is_empty(),
            accepted_at_us: None,
            tenant_is_known: self.knows_tenant(connection, known).await?,
        })
    }

    async fn knows_tenant<C: Connection>(
        &self,
        connection: &mut C,
        sql: &'static str,
    ) -> Result<bool, LedgerError> {
        let Some(tenant) = self.tenant else { return Ok(true) };
        let known: Vec<(String,)> = connection.rows(sql, &[Bind::Text(tenant)]).await?;
        Ok(!known.is_empty())
    }
}
