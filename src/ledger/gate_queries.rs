//! What a step is judged by beside recorded evidence: since when the ledger is what it is, and what walks left open.

use jiff::Timestamp;

use super::Reader;
use super::connection::{Bind, Connection, LedgerRequest};
use super::error::LedgerError;
use super::identity::{Setting, setting};
use super::queries::time;

/// When the ledger became what it is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Acceptance {
    /// When `ledger accept` ran, or a timeline of the database was taken on record.
    pub(crate) last: Option<Timestamp>,
    /// When `ledger accept` ran.
    pub(crate) by_operator: Option<Timestamp>,
    /// When the vendor's hosts were taken on record.
    pub(crate) hosts: Option<Timestamp>,
}

struct ReadAcceptance;

impl LedgerRequest for ReadAcceptance {
    type Output = Acceptance;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<Acceptance, LedgerError> {
        let mut at = [None; 3];
        for (at, name) in at.iter_mut().zip([Setting::Accepted, Setting::Timeline, Setting::Hosts]) {
            *at = setting(connection, name).await?.map(|(_, at)| time(at)).transpose()?;
        }
        let [by_operator, timeline, hosts] = at;
        Ok(Acceptance { last: by_operator.max(timeline), by_operator, hosts })
    }
}

/// When the newest claim of a tenant was made, the refused ones left out: no walk looks for them.
struct NewestClaimAt<'a>(&'a str);

const NEWEST_CLAIM_AT: &str = "SELECT created_at_us FROM ref_claims WHERE side = $1 AND tenant = $2 AND state <> 'refused' \
     ORDER BY created_at_us DESC LIMIT 1";

impl LedgerRequest for NewestClaimAt<'_> {
    type Output = Option<Timestamp>;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<Self::Output, LedgerError> {
        let mut newest = None;
        // Side by side, because the index begins with it.
        for side in ["legacy", "new"] {
            let binds = [Bind::Text(side), Bind::Text(self.0)];
            let rows: Vec<(i64,)> = connection.rows(NEWEST_CLAIM_AT, &binds).await?;
            newest = newest.max(rows.first().map(|(at,)| *at));
        }
        newest.map(time).transpose()
    }
}

/// The newest finished reconcile of both sides from the vendor's first record on, and at least until a time.
struct NewestFullWalk<'a> {
    tenant: &'a str,
    until: Timestamp,
}

const NEWEST_FULL_WALK: &str = "SELECT progress, started_at_us FROM ledger_walks WHERE tenant = $1 AND kind = 'reconcile' \
     AND state IN ('clean', 'findings') AND sides = 'both' AND begin_us <= 0 AND end_us >= $2 ORDER BY started_at_us DESC LIMIT 1";

impl LedgerRequest for NewestFullWalk<'_> {
    /// Its progress, and when it was begun.
    type Output = Option<(String, Timestamp)>;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<Self::Output, LedgerError> {
        let binds = [Bind::Text(self.tenant), Bind::Number(self.until.as_microsecond())];
        let rows: Vec<(String, i64)> = connection.rows(NEWEST_FULL_WALK, &binds).await?;
        rows.into_iter().next().map(|(progress, at)| Ok((progress, time(at)?))).transpose()
    }
}

/// What reconciles that were begun from a time on found not final.
struct StuckSince<'a> {
    tenant: &'a str,
    since: Timestamp,
}

// Finished or not: the record was not final, and only a later walk of everything can say otherwise.
const STUCK_SINCE: &str = "SELECT finding FROM ledger_findings WHERE kind = 'stuck' AND walk IN \
     (SELECT walk FROM ledger_walks WHERE tenant = $1 AND kind = 'reconcile' AND started_at_us >= $2) LIMIT 10000";
const STUCK_MAX: usize = 10_000;

impl LedgerRequest for StuckSince<'_> {
    /// And whether there may be more.
    type Output = (Vec<String>, bool);

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<Self::Output, LedgerError> {
        let binds = [Bind::Text(self.tenant), Bind::Number(self.since.as_microsecond())];
        let rows: Vec<(String,)> = connection.rows(STUCK_SINCE, &binds).await?;
        let may_be_cut = rows.len() >= STUCK_MAX;
        Ok((rows.into_iter().map(|(finding,)| finding).collect(), may_be_cut))
    }
}

impl Reader {
    /// When the ledger became what it is.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub(crate) async fn acceptance(&self) -> Result<Acceptance, LedgerError> {
        self.ask(&ReadAcceptance).await
    }

    /// When the tenant's newest claim was made that is not refused.
    ///
    /// # Errors
    /// [`LedgerError`]; "could not look" is never "there is none".
    pub(crate) async fn newest_claim_at(&self, tenant: &str) -> Result<Option<Timestamp>, LedgerError> {
        self.ask(&NewestClaimAt(tenant)).await
    }

    /// The newest finished reconcile of both sides from the vendor's first record on and at least until a time: its progress, and when it
    /// was begun.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub(crate) async fn newest_full_walk(
        &self,
        tenant: &str,
        until: Timestamp,
    ) -> Result<Option<(String, Timestamp)>, LedgerError> {
        self.ask(&NewestFullWalk { tenant, until }).await
    }

    /// The findings of records that are not final, of reconciles that were begun from a time on.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub(crate) async fn stuck_since(
        &self,
        tenant: &str,
        since: Timestamp,
    ) -> Result<(Vec<String>, bool), LedgerError> {
        self.ask(&StuckSince { tenant, since }).await
    }
}
