//! Completeness: whether the ledger knows every reference that a side holds. While it does, a claim that is new to the ledger is new to
//! that side, and the duplicate check there needs no call. This is the one place that says when:
//!
//! - A walk went over the side's list from the first record, without a gap, and every record that was made before its end has a claim
//!   (`walked_to`). It saw every record that a claim names: a list that filters or lags would not show them all.
//! - It ends no sooner than the longest create after the last moment at which a create without a claim may have been sent
//!   (`unclaimed_until`). Every process says so when it starts, because it may have run without this ledger.
//! - A reconcile was clean lately (`until`).
//!
//! [`Withdraw`] ends it for all replicas at once, because the statement that inserts a claim reads it. A walk that began before does not
//! restore it: its end is too early.

#![allow(missing_docs, reason = "the docs of a type say what its fields are")]

use std::time::Duration;

use jiff::Timestamp;

use super::connection::{Bind, Connection, Guarded, LedgerRequest, guarded};
use super::error::LedgerError;
use super::queries::{self, OwnedKey, time};
use super::settings::Identity;
use crate::translate::facts::Facts;
use crate::translate::side::Side;

/// Whether the side that the claim does not name is complete: `$2` is the tenant, `$4` the claim's side, `$now` the time.
macro_rules! OTHER_SIDE_IS_COMPLETE {
    ($now:expr) => {
        concat!(
            "CAST(CASE WHEN EXISTS (SELECT 1 FROM ledger_completeness AS complete \
             WHERE complete.tenant = $2 AND complete.side <> $4 AND complete.until_us > ",
            $now,
            ") THEN 1 ELSE 0 END AS BIGINT)"
        )
    };
}
pub(super) use OTHER_SIDE_IS_COMPLETE;

/// Until when new claims may rely on the ledger for one side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completeness {
    pub side: Side,
    /// Every record made before this has a claim; `None`: no walk went over the list from its first record.
    pub walked_to: Option<Timestamp>,
    /// Until this a create without a claim may have been sent.
    pub unclaimed_until: Timestamp,
    /// New claims rely on the ledger until this, unless it is withdrawn before; `None`: withdrawn, and not restored yet.
    pub until: Option<Timestamp>,
    pub why: String,
}

impl Completeness {
    /// Whether the ledger knows every reference of the side.
    #[must_use]
    pub fn holds_at(&self, now: Timestamp) -> bool {
        self.until.is_some_and(|until| now < until)
    }
}

/// The completeness of a tenant's sides; none before its first process started.
pub(super) struct CompletenessOf<'a>(pub(super) &'a str);

const COMPLETENESS_OF: &str = "SELECT side, walked_us, unclaimed_us, until_us, why FROM ledger_completeness \
                               WHERE tenant = $1 ORDER BY side";

impl LedgerRequest for CompletenessOf<'_> {
    type Output = Vec<Completeness>;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<Self::Output, LedgerError> {
        // A command that only reads may meet the tables of an older program.
        if !connection.has_table("ledger_completeness").await? {
            return Ok(Vec::new());
        }
        let rows: Vec<(String, Option<i64>, i64, i64, String)> =
            connection.rows(COMPLETENESS_OF, &[Bind::Text(self.0)]).await?;
        let read = |(side, walked, unclaimed, until, why): (String, Option<i64>, i64, i64, String)| {
            Ok(Completeness {
                side: queries::side(&side)?,
                walked_to: walked.map(time).transpose()?,
                unclaimed_until: time(unclaimed)?,
                until: Some(until).filter(|until| *until > 0).map(time).transpose()?,
                why,
            })
        };
        rows.into_iter().map(read).collect()
    }
}

/// Whether the ledger knows a reference that differs from this one in case or in spaces around it. One that is not ASCII may have others
/// that the database cannot compare.
pub(super) struct IsAlikeKnown<'a>(pub(super) &'a OwnedKey);

// Where `lower` does not mean the same as elsewhere (Turkish), nothing is known.
const ALIKE: &str = "SELECT CAST(CASE WHEN lower('I') <> 'i' \
     OR EXISTS (SELECT 1 FROM ref_claims WHERE tenant = $1 AND lower(trim(ref_id)) = lower(trim($2)) AND ref_id <> $2) \
     OR EXISTS (SELECT 1 FROM native_creates WHERE tenant = $1 AND lower(trim(ref_id)) = lower(trim($2)) AND ref_id <> $2) \
     THEN 1 ELSE 0 END AS BIGINT)";

impl LedgerRequest for IsAlikeKnown<'_> {
    type Output = bool;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<bool, LedgerError> {
        let ref_id = &self.0.ref_id;
        // `lower` and `trim` differ between SQLite, PostgreSQL and the vendor beyond ASCII and plain spaces.
        if !ref_id.is_ascii() || ref_id.trim() != ref_id.trim_matches(' ') {
            return Ok(true);
        }
        let rows: Vec<(i64,)> = connection.rows(ALIKE, &self.0.binds()).await?;
        Ok(rows.first().is_none_or(|(alike,)| *alike == 1))
    }
}

/// The time by the clock that all processes of the ledger share.
pub(super) struct SharedClock;

impl LedgerRequest for SharedClock {
    type Output = Timestamp;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<Timestamp, LedgerError> {
        time(connection.clock().await?)
    }
}

/// Why completeness ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Withdrawal {
    /// A process started, and may have run without this ledger before.
    Started,
    /// A standby was taken for the same database.
    AnotherTimeline,
    /// A create was forwarded whose reference cannot be read.
    UnreadableCreate,
    /// A create on the new API's own path could not be recorded.
    UnrecordedNativeCreate,
    /// Creates on the new API's own path are forwarded and not recorded.
    PassedNativeCreates,
}

impl Withdrawal {
    const fn why(self) -> &'static str {
        match self {
            Self::Started => "a process started",
            Self::AnotherTimeline => "another timeline of the database was accepted",
            Self::UnreadableCreate => "a create whose ref_id cannot be read was forwarded",
            Self::UnrecordedNativeCreate => "a create on the new API's own path could not be recorded",
            Self::PassedNativeCreates => "creates on the new API's own path were not recorded",
        }
    }
}

/// Ends completeness until a walk that ends later than now. What was walked before need not be walked again.
pub(super) struct Withdraw {
    /// `None`: of every tenant.
    pub(super) tenant: Option<String>,
    pub(super) sides: Vec<Side>,
    pub(super) why: Withdrawal,
}

/// Before a process serves: it may have run without the ledger, and it may judge by other facts than those by which the lists were walked.
pub(super) struct Starts<'a>(pub(super) &'a Identity);

impl LedgerRequest for Starts<'_> {
    type Output = ();

    const COMPOUND: bool = true;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<(), LedgerError> {
        let Identity { tenant, facts, .. } = self.0;
        let sides = vec![Side::Legacy, Side::New];
        Withdraw { tenant: tenant.clone(), sides, why: Withdrawal::Started }.run(connection).await?;
        match tenant.as_ref().zip(*facts) {
            Some((tenant, facts)) => JudgeBy::new(tenant, facts).run(connection).await,
            None => Ok(()),
        }
    }
}

const WITHDRAW: Guarded = guarded!(
    [
        "INSERT INTO ledger_completeness (tenant, side, unclaimed_us, until_us, why) SELECT $2, $3, $4, 0, $5 WHERE "
    ],
    [" ON CONFLICT (tenant, side) DO UPDATE SET until_us = 0, why = excluded.why, unclaimed_us = \
          CASE WHEN ledger_completeness.unclaimed_us > excluded.unclaimed_us THEN ledger_completeness.unclaimed_us \
          ELSE excluded.unclaimed_us END RETURNING side"],
);

const WITHDRAW_ALL: Guarded = guarded!(
    ["UPDATE ledger_completeness SET until_us = 0, why = $3, \
      unclaimed_us = CASE WHEN unclaimed_us > $2 THEN unclaimed_us ELSE $2 END WHERE "],
    [" RETURNING side"],
);

impl LedgerRequest for Withdraw {
    type Output = ();

    const COMPOUND: bool = true;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<(), LedgerError> {
        let why = Bind::Text(self.why.why());
        let now = now(connection).await?;
        let Some(tenant) = &self.tenant else {
            let _: Vec<(String,)> = connection.guarded(&WITHDRAW_ALL, &[now, why]).await?;
            return Ok(());
        };
        for side in &self.sides {
            let binds = [Bind::Text(tenant), Bind::Text(side.as_str()), now, why];
            let rows: Vec<(String,)> = connection.guarded(&WITHDRAW, &binds).await?;
            if rows.is_empty() {
                return Err(connection.foreign());
            }
        }
        Ok(())
    }
}

const FORGET: Guarded = guarded!(
    ["UPDATE ledger_completeness SET walked_us = NULL, until_us = 0, unclaimed_us = $2, \
      why = 'the ledger was accepted, and claims may be missing' WHERE "],
    [" RETURNING side"],
);

// What they wrote may be missing as well.
const ABANDON_WALKS: Guarded = guarded!(
    ["UPDATE ledger_walks SET state = 'abandoned' WHERE state = 'running' AND "],
    [" RETURNING walk"]
);

/// Ends completeness until a walk from the first record on: any claim may be missing.
pub(super) async fn forget<C: Connection>(connection: &mut C) -> Result<(), LedgerError> {
    let now = now(connection).await?;
    let _: Vec<(String,)> = connection.guarded(&FORGET, &[now]).await?;
    let _: Vec<(String,)> = connection.guarded(&ABANDON_WALKS, &[]).await?;
    Ok(())
}

/// The facts about mirrors by which this process judges from now on. What was walked under others may lack claims that these demand, so it
/// ends completeness until a walk from the first record on.
pub(super) struct JudgeBy {
    tenant: String,
    /// As [`super::Walked::judged`].
    judged: String,
    /// Whether a walk of a program that did not record them may have left out rows.
    doubts_unknown: bool,
}

const JUDGE_BY: Guarded = guarded!(
    ["UPDATE ledger_completeness SET walked_us = NULL, until_us = 0, judged = NULL, \
      why = 'the facts about mirrors are not those by which the lists were walked' \
      WHERE tenant = $2 AND walked_us IS NOT NULL AND (judged <> $3 OR (judged IS NULL AND $4 = 1)) AND "],
    [" RETURNING side"],
);

impl JudgeBy {
    pub(super) fn new(tenant: &str, facts: Facts) -> Self {
        // Before these facts were recorded, rows that both sides show were passed without a claim.
        let doubts_unknown = facts.mirror_back.shows();
        Self { tenant: tenant.to_owned(), judged: facts.about_mirrors(), doubts_unknown }
    }
}

impl LedgerRequest for JudgeBy {
    type Output = ();

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<(), LedgerError> {
        let doubts = Bind::Number(i64::from(self.doubts_unknown));
        let binds = [Bind::Text(&self.tenant), Bind::Text(&self.judged), doubts];
        let rows: Vec<(String,)> = connection.guarded(&JUDGE_BY, &binds).await?;
        if !rows.is_empty() {
            tracing::warn!(
                target: "ledger",
                "the facts about mirrors are not those by which the lists were walked: no side is complete before `ledger backfill` of each"
            );
        }
        Ok(())
    }
}

/// A walk found records that no claim knew. One that was made since the last walk, and while a create without a claim may have been
/// under way, is what walks are for. A later one shows that a client creates past this ledger, and an earlier one that a walk missed it:
/// either ends completeness until a walk from the first record on.
pub(super) struct FoundUnclaimed {
    pub(super) tenant: String,
    pub(super) side: Side,
    /// When the oldest and the newest of them were made.
    pub(super) made: [Timestamp; 2],
    pub(super) longest_create: Duration,
}

const FOUND_UNCLAIMED: Guarded = guarded!(
    ["UPDATE ledger_completeness SET walked_us = NULL, until_us = 0, unclaimed_us = $4, \
      why = 'a walk found a record that no claim knew' \
      WHERE tenant = $2 AND side = $3 AND ($5 < walked_us OR $6 > unclaimed_us + $7) AND "],
    [" RETURNING side"],
);

impl LedgerRequest for FoundUnclaimed {
    type Output = ();

    const COMPOUND: bool = true;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<(), LedgerError> {
        let (tenant, side) = (Bind::Text(&self.tenant), Bind::Text(self.side.as_str()));
        let [oldest, newest] = self.made.map(|made| Bind::Number(made.as_microsecond()));
        let now = now(connection).await?;
        let binds = [tenant, side, now, oldest, newest, microseconds(self.longest_create)];
        let _: Vec<(String,)> = connection.guarded(&FOUND_UNCLAIMED, &binds).await?;
        Ok(())
    }
}

async fn now<C: Connection>(connection: &mut C) -> Result<Bind<'static>, LedgerError> {
    Ok(Bind::Number(connection.clock().await?))
}

pub(super) fn microseconds(duration: Duration) -> Bind<'static> {
    Bind::Number(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX / 2))
}
