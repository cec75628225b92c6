//! Leases of what one process does at a time. One that its holder does not renew ends by itself.

#![allow(missing_docs, reason = "the docs of a type say what its fields are")]

use std::time::Duration;

use jiff::Timestamp;

use super::connection::{Bind, Connection, Guarded, LedgerRequest, guarded};
use super::error::LedgerError;
use super::queries::time;

/// Takes or renews a lease. Returns whether this holder has it now.
pub(super) struct TakeLease {
    pub(super) name: String,
    pub(super) holder: String,
    pub(super) duration: Duration,
}

const TAKE_LEASE: Guarded = guarded!(
    ["INSERT INTO ledger_leases (name, holder, until_us) SELECT $2, $3, $5 WHERE "],
    [" ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until_us = excluded.until_us \
         WHERE ledger_leases.holder = excluded.holder OR ledger_leases.until_us < $4 RETURNING holder"],
);

impl LedgerRequest for TakeLease {
    type Output = bool;

    const COMPOUND: bool = true;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<bool, LedgerError> {
        // Not by the clock of this process: one that is ahead would take what others have.
        let now = connection.clock().await?;
        let until = now.saturating_add(i64::try_from(self.duration.as_micros()).unwrap_or(i64::MAX));
        let times = [now, until].map(Bind::Number);
        let binds = [Bind::Text(&self.name), Bind::Text(&self.holder), times[0], times[1]];
        let rows: Vec<(String,)> = connection.guarded(&TAKE_LEASE, &binds).await?;
        Ok(rows.first().is_some_and(|(holder,)| *holder == self.holder))
    }
}

/// Who has a lease, and until when; `None` if nobody.
pub(super) struct LeaseOf<'a>(pub(super) &'a str);

impl LedgerRequest for LeaseOf<'_> {
    type Output = Option<(String, Timestamp)>;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<Self::Output, LedgerError> {
        let sql = "SELECT holder, until_us FROM ledger_leases WHERE name = $1";
        let rows: Vec<(String, i64)> = connection.rows(sql, &[Bind::Text(self.0)]).await?;
        rows.into_iter().next().map(|(holder, until)| Ok((holder, time(until)?))).transpose()
    }
}

pub(super) struct ReleaseLease {
    pub(super) name: String,
    pub(super) holder: String,
}

const RELEASE_LEASE: Guarded =
    guarded!(["DELETE FROM ledger_leases WHERE name = $2 AND holder = $3 AND "], [" RETURNING name"]);

impl LedgerRequest for ReleaseLease {
    type Output = ();

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<(), LedgerError> {
        let binds = [Bind::Text(&self.name), Bind::Text(&self.holder)];
        let _: Vec<(String,)> = connection.guarded(&RELEASE_LEASE, &binds).await?;
        Ok(())
    }
}
