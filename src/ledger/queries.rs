//! The reads. Each sees what was committed before it began.

use jiff::Timestamp;

use super::claim::{Claim, ClaimState, Count, Fingerprint, Key, Recent, Stats};
use super::connection::{Bind, Connection, Request};
use super::error::LedgerError;
use crate::translate::side::Side;

/// The columns of a `ClaimRow`, in its order; a macro, because `concat!` takes only literals.
macro_rules! COLUMNS_OF_A_CLAIM {
    () => {
        "side, state, fingerprint, record_id, created_at_us, updated_at_us"
    };
}
pub(super) use COLUMNS_OF_A_CLAIM;

/// A claim as the table holds it: its columns in their order.
pub(super) type ClaimRow = (String, String, String, Option<String>, i64, i64);

impl TryFrom<ClaimRow> for Claim {
    type Error = LedgerError;

    fn try_from(row: ClaimRow) -> Result<Self, LedgerError> {
        let (of_side, in_state, fingerprint, record_id, created_at, updated_at) = row;
        let fingerprint: Result<Fingerprint, _> = fingerprint.parse();
        Ok(Self {
            side: side(&of_side)?,
            state: state(&in_state)?,
            fingerprint: fingerprint.map_err(|error| LedgerError::Corrupt(error.to_string()))?,
            record_id,
            created_at: time(created_at)?,
            updated_at: time(updated_at)?,
        })
    }
}

fn side(text: &str) -> Result<Side, LedgerError> {
    [Side::Legacy, Side::New]
        .into_iter()
        .find(|side| side.as_str() == text)
        .ok_or_else(|| LedgerError::Corrupt("a side that is neither legacy nor new".into()))
}

fn state(text: &str) -> Result<ClaimState, LedgerError> {
    [ClaimState::Claimed, ClaimState::Checked]
        .into_iter()
        .find(|state| state.as_str() == text)
        .ok_or_else(|| LedgerError::Corrupt("a state that is neither claimed nor fenced".into()))
}

fn time(microseconds: i64) -> Result<Timestamp, LedgerError> {
    Timestamp::from_microsecond(microseconds)
        .map_err(|_| LedgerError::Corrupt("a time outside the calendar".into()))
}

/// A [`Key`] that can wait in a queue.
pub(super) struct OwnedKey {
    tenant: String,
    ref_id: String,
}

impl From<Key<'_>> for OwnedKey {
    fn from(key: Key<'_>) -> Self {
        Self { tenant: key.tenant().to_owned(), ref_id: key.ref_id().to_owned() }
    }
}

impl OwnedKey {
    pub(super) fn binds(&self) -> [Bind<'_>; 2] {
        [Bind::Text(&self.tenant), Bind::Text(&self.ref_id)]
    }
}

/// The claim of a key.
pub(super) struct ClaimByRef<'a>(pub(super) &'a OwnedKey);

const LOOK: &str =
    concat!("SELECT ", COLUMNS_OF_A_CLAIM!(), " FROM conversion_claims WHERE tenant = $1 AND ref_id = $2");

impl Request for ClaimByRef<'_> {
    type Answer = Option<Claim>;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<Self::Answer, LedgerError> {
        let rows: Vec<ClaimRow> = connection.rows(LOOK, &self.0.binds()).await?;
        rows.into_iter().next().map(Claim::try_from).transpose()
    }
}

/// The high-water mark.
pub(super) struct FirstNewCreateAt;

const NEW_SINCE: &str = "SELECT at_us FROM conversion_marks WHERE name = 'new_since'";

impl Request for FirstNewCreateAt {
    type Answer = Option<Timestamp>;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<Self::Answer, LedgerError> {
        let rows: Vec<(i64,)> = connection.rows(NEW_SINCE, &[]).await?;
        rows.first().map(|(at,)| time(*at)).transpose()
    }
}

/// When the tables were made.
pub(super) struct CreatedAt;

const BEGUN: &str = "SELECT CAST(MIN(installed_on) AS TEXT) FROM conversion_migrations";

impl Request for CreatedAt {
    type Answer = Option<Timestamp>;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<Self::Answer, LedgerError> {
        let rows: Vec<(Option<String>,)> = connection.rows(BEGUN, &[]).await?;
        // PostgreSQL names the offset, SQLite means UTC.
        let read = |text: String| {
            let read = text.parse().or_else(|_| format!("{text}Z").parse());
            read.map_err(|_| LedgerError::Corrupt("a time that cannot be read".into()))
        };
        rows.into_iter().next().and_then(|(at,)| at).map(read).transpose()
    }
}

/// The claims of one side since a time. Reads every row, because no index helps: for a rare question, not for requests.
pub(super) struct Since(pub(super) Side, pub(super) Timestamp);

const SINCE: &str =
    "SELECT COUNT(*), MAX(created_at_us) FROM conversion_claims WHERE side = $1 AND created_at_us >= $2";

impl Request for Since {
    type Answer = Recent;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<Recent, LedgerError> {
        let binds = [Bind::Text(self.0.as_str()), Bind::Number(self.1.as_microsecond())];
        let rows: Vec<(i64, Option<i64>)> = connection.rows(SINCE, &binds).await?;
        let Some((claims, last)) = rows.first() else { return Ok(Recent::default()) };
        Ok(Recent { claims: claims.unsigned_abs(), last: last.map(time).transpose()? })
    }
}

/// The whole table in a few numbers. Reads every row: for operators, not for requests.
pub(super) struct Summary;

const SUMMARY: &str = "SELECT side, state, COUNT(*), MIN(created_at_us), MAX(created_at_us) \
                       FROM conversion_claims GROUP BY side, state ORDER BY side, state";

impl Request for Summary {
    type Answer = Stats;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<Stats, LedgerError> {
        let mut stats =
            Stats { first_new_create_at: FirstNewCreateAt.run(connection).await?, ..Stats::default() };
        let groups: Vec<(String, String, i64, i64, i64)> = connection.rows(SUMMARY, &[]).await?;
        for (of_side, in_state, claims, first, last) in groups {
            let (first, last) = (time(first)?, time(last)?);
            stats.first = Some(stats.first.map_or(first, |known| known.min(first)));
            stats.last = Some(stats.last.map_or(last, |known| known.max(last)));
            stats.counts.push(Count {
                side: side(&of_side)?,
                state: state(&in_state)?,
                claims: claims.unsigned_abs(),
            });
        }
        Ok(stats)
    }
}
