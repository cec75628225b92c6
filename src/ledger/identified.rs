//! Whether the ledger is the one that the config means. Asked before anything in it is changed, and before every reload.

use std::time::Duration;

use super::connection::{Bind, Connection, LedgerRequest};
use super::error::{LedgerError, OpenError};
use super::identity::{Setting, setting};
use super::mismatch::{Mismatch, are_same_hosts};
use super::settings::Identity;

/// Tries to read a ledger whose tables another process is migrating, and the pause between them.
const TRIES: usize = 3;
const PAUSE: Duration = Duration::from_millis(100);

/// What the ledger says about itself.
#[derive(Clone, Debug)]
pub struct Identified {
    /// `None` for a ledger of 0.1 without an id.
    pub id: Option<String>,
    /// The upstream hosts that it is for; `None` until it was served with.
    pub(crate) hosts: Option<String>,
    /// The mark: whether it was opened for creates on the new API. A claim that was found on the new API, made past this proxy, sets
    /// none.
    pub(crate) is_open: bool,
    /// When an operator last accepted the database as it was, in microseconds since 1970.
    pub(crate) accepted_at_us: Option<i64>,
    /// Whether it serves the tenant that was asked for.
    tenant_is_known: bool,
}

impl Identified {
    /// Every contradiction with the config.
    pub(crate) fn mismatches(&self, expected: &Identity) -> Vec<Mismatch> {
        let mut all = Vec::new();
        match &expected.id {
            Some(configured) if expected.id != self.id && !(expected.adopt && self.id.is_none()) => {
                all.push(Mismatch::OtherLedger { configured: configured.clone(), found: self.id.clone() });
            }
            None if expected.agrees && self.is_open => {
                all.push(Mismatch::NoId { found: self.id.clone() });
            }
            Some(_) | None => {}
        }
        match (expected.new_in_use, self.is_open) {
            (true, false) if expected.agrees => all.push(Mismatch::NotOpened),
            (false, true) if expected.agrees => all.push(Mismatch::Opened),
            _ => {}
        }
        if let (Some(recorded), Some(configured)) = (&self.hosts, &expected.hosts)
            && !are_same_hosts(recorded, configured)
        {
            let (recorded, configured) = (recorded.clone(), configured.clone());
            all.push(Mismatch::OtherHosts { recorded, configured });
        }
        if let Some(tenant) = &expected.tenant
            && self.is_open
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

impl LedgerRequest for Identify<'_> {
    type Output = Identified;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<Identified, LedgerError> {
        if !connection.has_table("ledger_settings").await? {
            return self.of_0_1(connection).await;
        }
        let known = "SELECT tenant FROM ledger_tenants WHERE tenant = $1";
        Ok(Identified {
            id: setting(connection, Setting::Id).await?.map(|(id, _)| id),
            hosts: setting(connection, Setting::Hosts).await?.map(|(hosts, _)| hosts),
            is_open: is_marked(connection).await?,
            accepted_at_us: setting(connection, Setting::Accepted).await?.map(|(_, at)| at),
            tenant_is_known: self.knows_tenant(connection, known).await?,
        })
    }
}

async fn is_marked<C: Connection>(connection: &mut C) -> Result<bool, LedgerError> {
    let sql = "SELECT name FROM conversion_marks WHERE name IN ('open_new', 'new_since')";
    let marks: Vec<(String,)> = connection.rows(sql, &[]).await?;
    Ok(!marks.is_empty())
}

impl Identify<'_> {
    async fn of_0_1<C: Connection>(&self, connection: &mut C) -> Result<Identified, LedgerError> {
        let known = "SELECT tenant FROM conversion_claims WHERE tenant = $1 LIMIT 1";
        Ok(Identified {
            id: None,
            hosts: None,
            is_open: is_marked(connection).await?,
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

/// Whether there is a ledger, before anything is changed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    Nothing,
    Ledger,
}

/// Compares the ledger with the configured one. Changes nothing. Another process that brings the tables up to date may replace one
/// between two statements, so a failure is tried again.
pub(super) async fn examine<C: Connection>(
    connection: &mut C,
    expected: &Identity,
) -> Result<Found, OpenError> {
    for _ in 0..TRIES {
        match compare(connection, expected).await {
            // A table may be locked by a migration of another process for a moment.
            Err(OpenError::Ledger(_)) => tokio::time::sleep(PAUSE).await,
            decided => return decided,
        }
    }
    compare(connection, expected).await
}

async fn compare<C: Connection>(connection: &mut C, expected: &Identity) -> Result<Found, OpenError> {
    // The tables of claims, of this version and of 0.1: the migrator makes its own before them.
    let mut has_claims = false;
    for table in ["ref_claims", "conversion_claims"] {
        has_claims |= connection.has_table(table).await.map_err(LedgerError::from)?;
    }
    if !has_claims {
        return if expected.create { Ok(Found::Nothing) } else { Err(expected.missing(None)) };
    }
    let found = Identify { tenant: expected.tenant.as_deref() }.run(connection).await?;
    let mismatches = found.mismatches(expected);
    if mismatches.is_empty() { Ok(Found::Ledger) } else { Err(OpenError::Mismatch(mismatches)) }
}
