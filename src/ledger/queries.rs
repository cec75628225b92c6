//! The reads. Each sees what was committed before it began.

use jiff::Timestamp;

use super::claim::{Claim, ClaimState, Fingerprint, Key, RECORD_ID_MAX, Recent, fits};
use super::connection::{Bind, Connection, Guarded, LedgerRequest, guarded};
use super::error::LedgerError;
use crate::translate::side::Side;

/// The columns of a `ClaimRow`, in its order; a macro, because `concat!` takes only literals.
macro_rules! COLUMNS_OF_A_CLAIM {
    () => {
        "side, state, fingerprint, record_id, generation, begun, closed, created_at_us, updated_at_us"
    };
}
pub(super) use COLUMNS_OF_A_CLAIM;

/// True once a create may have gone to the new side.
macro_rules! CREATED_ON_NEW {
    () => {
        "(EXISTS (SELECT 1 FROM conversion_marks WHERE name IN ('open_new', 'new_since')) \
          OR EXISTS (SELECT 1 FROM ref_claims WHERE side = 'new'))"
    };
}

/// The reason for which no attempt may begin, or NULL.
macro_rules! HOLD {
    () => {
        "(SELECT MIN(value) FROM ledger_settings WHERE name IN ('hold', 'hold_timeline'))"
    };
}

/// A claim as the table holds it: its columns in their order.
pub(super) type ClaimRow = (String, String, String, Option<String>, i64, i64, i64, i64, i64);

impl TryFrom<ClaimRow> for Claim {
    type Error = LedgerError;

    fn try_from(row: ClaimRow) -> Result<Self, LedgerError> {
        let (of_side, in_state, fingerprint, record_id, generation, begun, closed, created_at, updated_at) =
            row;
        let fingerprint: Result<Fingerprint, _> = fingerprint.parse();
        Ok(Self {
            side: side(&of_side)?,
            state: state(&in_state)?,
            fingerprint: fingerprint.map_err(|error| LedgerError::Corrupt(error.to_string()))?,
            record_id,
            generation,
            begun,
            closed,
            created_at: time(created_at)?,
            updated_at: time(updated_at)?,
        })
    }
}

pub(super) fn side(text: &str) -> Result<Side, LedgerError> {
    [Side::Legacy, Side::New]
        .into_iter()
        .find(|side| side.as_str() == text)
        .ok_or_else(|| LedgerError::Corrupt("a side that is neither legacy nor new".into()))
}

pub(super) fn state(text: &str) -> Result<ClaimState, LedgerError> {
    ClaimState::ALL
        .into_iter()
        .find(|state| state.stored() == text)
        .ok_or_else(|| LedgerError::Corrupt("a state that is none of claimed, fenced and refused".into()))
}

pub(super) fn time(microseconds: i64) -> Result<Timestamp, LedgerError> {
    Timestamp::from_microsecond(microseconds)
        .map_err(|_| LedgerError::Corrupt("a time outside the calendar".into()))
}

/// A [`Key`] that can wait in a queue.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct OwnedKey {
    pub(super) tenant: String,
    pub(super) ref_id: String,
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

const CLAIM_BY_REF: &str =
    concat!("SELECT ", COLUMNS_OF_A_CLAIM!(), " FROM ref_claims WHERE tenant = $1 AND ref_id = $2");

impl LedgerRequest for ClaimByRef<'_> {
    type Output = Option<Claim>;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<Self::Output, LedgerError> {
        let rows: Vec<ClaimRow> = connection.rows(CLAIM_BY_REF, &self.0.binds()).await?;
        rows.into_iter().next().map(Claim::try_from).transpose()
    }
}

/// What surrounds a claim, as a write that follows or missed sees it.
pub(super) struct ClaimContext {
    /// A create may have gone to the new side.
    pub(super) created_on_new: bool,
    /// A native create of the reference is recorded.
    pub(super) native: bool,
    /// Why no attempt may begin, and nothing be adopted.
    pub(super) hold: Option<String>,
    /// Why no attempt may begin until `trip reset`.
    trip: Option<String>,
}

impl ClaimContext {
    /// Why no attempt may begin.
    pub(super) fn refusal(self) -> Option<LedgerError> {
        self.hold.map(LedgerError::Held).or_else(|| self.trip.map(LedgerError::Tripped))
    }
}

/// Whether a create with this reference on the new API's own path is recorded.
pub(super) struct IsNative<'a>(pub(super) &'a OwnedKey);

impl LedgerRequest for IsNative<'_> {
    type Output = bool;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<bool, LedgerError> {
        let sql = "SELECT ref_id FROM native_creates WHERE tenant = $1 AND ref_id = $2";
        let rows: Vec<(String,)> = connection.rows(sql, &self.0.binds()).await?;
        Ok(!rows.is_empty())
    }
}

/// The [`ClaimContext`] of a key. Fails on a connection whose guard does not hold: nothing written on it took effect.
pub(super) struct ClaimContextByRef<'a>(pub(super) &'a OwnedKey);

const CLAIM_CONTEXT: Guarded = guarded!(
    ["SELECT CAST(CASE WHEN "],
    [
        " THEN 1 ELSE 0 END AS BIGINT), CAST(CASE WHEN ",
        CREATED_ON_NEW!(),
        " THEN 1 ELSE 0 END AS BIGINT), \
         CAST(CASE WHEN EXISTS (SELECT 1 FROM native_creates WHERE tenant = $2 AND ref_id = $3) THEN 1 ELSE 0 END AS BIGINT), ",
        HOLD!(),
        ", (SELECT value FROM ledger_settings WHERE name = 'trip')"
    ],
);

/// Guard, created on new, native; hold and trip.
type ContextRow = (i64, i64, i64, Option<String>, Option<String>);

impl LedgerRequest for ClaimContextByRef<'_> {
    type Output = ClaimContext;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<ClaimContext, LedgerError> {
        let rows: Vec<ContextRow> = connection.guarded(&CLAIM_CONTEXT, &self.0.binds()).await?;
        match rows.into_iter().next() {
            Some((1, created_on_new, native, hold, trip)) => {
                Ok(ClaimContext { created_on_new: created_on_new == 1, native: native == 1, hold, trip })
            }
            Some(_) | None => Err(connection.foreign()),
        }
    }
}

/// Whether a create may have gone to the new side.
pub(super) struct CreatedOnNew;

const ANY_ON_NEW: &str =
    concat!("SELECT CAST(CASE WHEN ", CREATED_ON_NEW!(), " THEN 1 ELSE 0 END AS BIGINT)");

impl LedgerRequest for CreatedOnNew {
    type Output = bool;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<bool, LedgerError> {
        let rows: Vec<(i64,)> = connection.rows(ANY_ON_NEW, &[]).await?;
        Ok(rows.first().is_some_and(|(yes,)| *yes == 1))
    }
}

/// Why no attempt may begin.
pub(super) struct CurrentHold;

const STANDING_HOLD: &str = concat!("SELECT ", HOLD!());

impl LedgerRequest for CurrentHold {
    type Output = Option<String>;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<Option<String>, LedgerError> {
        let rows: Vec<(Option<String>,)> = connection.rows(STANDING_HOLD, &[]).await?;
        Ok(rows.into_iter().next().and_then(|(why,)| why))
    }
}

/// When a create first went, or may have gone, to the new side: the time that a 0.1 ledger stored, or the oldest claim there.
pub(super) struct FirstNewCreateAt;

const FIRST_NEW_CREATE_AT: &str = "SELECT MIN(at_us) FROM (\
     SELECT at_us FROM conversion_marks WHERE name = 'new_since' \
     UNION ALL SELECT MIN(created_at_us) FROM ref_claims WHERE side = 'new') AS times";

impl LedgerRequest for FirstNewCreateAt {
    type Output = Option<Timestamp>;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<Self::Output, LedgerError> {
        let rows: Vec<(Option<i64>,)> = connection.rows(FIRST_NEW_CREATE_AT, &[]).await?;
        rows.first().and_then(|(at,)| *at).map(time).transpose()
    }
}

/// When the tables were made.
pub(super) struct CreatedAt;

const CREATED_AT: &str = "SELECT CAST(MIN(installed_on) AS TEXT) FROM conversion_migrations";

impl LedgerRequest for CreatedAt {
    type Output = Option<Timestamp>;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<Self::Output, LedgerError> {
        installed_at(connection, CREATED_AT).await
    }
}

/// When the tables got their present form.
pub(super) struct MigratedAt;

const MIGRATED_AT: &str = "SELECT CAST(MAX(installed_on) AS TEXT) FROM conversion_migrations";

impl LedgerRequest for MigratedAt {
    type Output = Option<Timestamp>;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<Self::Output, LedgerError> {
        installed_at(connection, MIGRATED_AT).await
    }
}

async fn installed_at<C: Connection>(
    connection: &mut C,
    sql: &'static str,
) -> Result<Option<Timestamp>, LedgerError> {
    let rows: Vec<(Option<String>,)> = connection.rows(sql, &[]).await?;
    // PostgreSQL names the offset, SQLite means UTC.
    let read = |text: String| {
        let read = text.parse().or_else(|_| format!("{text}Z").parse());
        read.map_err(|_| LedgerError::Corrupt("a time that cannot be read".into()))
    };
    rows.into_iter().next().and_then(|(at,)| at).map(read).transpose()
}

/// The side of a record by its id; the newest claim decides.
pub(super) struct SideOfRecord<'a>(pub(super) &'a str, pub(super) &'a str);

const SIDE_OF_RECORD: &str = "SELECT side FROM ref_claims WHERE tenant = $1 AND record_id = $2 \
                              ORDER BY created_at_us DESC LIMIT 1";

impl LedgerRequest for SideOfRecord<'_> {
    type Output = Option<Side>;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<Option<Side>, LedgerError> {
        let rows: Vec<(String,)> =
            connection.rows(SIDE_OF_RECORD, &[Bind::Text(self.0), Bind::Text(self.1)]).await?;
        rows.first().map(|(of_side,)| side(of_side)).transpose()
    }
}

/// The newest known record of a tenant on a side that is older than a time: its reference and id.
pub(super) struct NewestRecord<'a> {
    pub(super) tenant: &'a str,
    pub(super) side: Side,
    pub(super) older_than: Timestamp,
}

/// A released claim keeps its record's id and is refused. `updated_at_us`, because a claim that chose its side again may have got its record
/// a moment ago.
const NEWEST_RECORD: &str = "SELECT ref_id, record_id FROM ref_claims WHERE tenant = $1 AND side = $2 \
                              AND record_id IS NOT NULL AND state <> 'refused' AND created_at_us < $3 AND updated_at_us < $3 \
                              ORDER BY created_at_us DESC LIMIT 1";

impl LedgerRequest for NewestRecord<'_> {
    type Output = Option<(String, String)>;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<Self::Output, LedgerError> {
        let older_than = Bind::Number(self.older_than.as_microsecond());
        let binds = [Bind::Text(self.tenant), Bind::Text(self.side.as_str()), older_than];
        let rows: Vec<(String, String)> = connection.rows(NEWEST_RECORD, &binds).await?;
        Ok(rows.into_iter().next())
    }
}

/// The claims on a side, not refused, that have one of these record ids or references.
pub(super) struct ClaimsOn<'a> {
    tenant: &'a str,
    side: Side,
    record_ids: Vec<&'a str>,
    ref_ids: Vec<&'a str>,
}

/// How many record ids, and how many references, one statement takes: a number that both databases prepare once.
const CLAIMS_ASKED: usize = 16;

const CLAIMS_ON: &str = "SELECT ref_id, record_id FROM ref_claims \
     WHERE tenant = $1 AND side = $2 AND state <> 'refused' AND ( \
     record_id IN ($3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18) OR \
     ref_id IN ($19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34))";

impl<'a> ClaimsOn<'a> {
    /// Leaves out what no claim can hold.
    pub(super) fn new(
        tenant: &'a str,
        side: Side,
        mut record_ids: Vec<&'a str>,
        mut ref_ids: Vec<&'a str>,
    ) -> Self {
        record_ids.retain(|id| fits("record id", id, RECORD_ID_MAX).is_ok());
        ref_ids.retain(|ref_id| Key::new(tenant, ref_id).is_ok());
        Self { tenant, side, record_ids, ref_ids }
    }
}

impl LedgerRequest for ClaimsOn<'_> {
    type Output = Vec<(String, Option<String>)>;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<Self::Output, LedgerError> {
        let mut found = Vec::new();
        let most = self.record_ids.len().max(self.ref_ids.len());
        for start in (0..most).step_by(CLAIMS_ASKED) {
            let mut binds = vec![Bind::Text(self.tenant), Bind::Text(self.side.as_str())];
            for texts in [&self.record_ids, &self.ref_ids] {
                binds.extend((start..start + CLAIMS_ASKED).map(|at| Bind::Optional(texts.get(at).copied())));
            }
            found.extend(connection.rows(CLAIMS_ON, &binds).await?);
        }
        Ok(found)
    }
}

/// The claims of one side since a time.
pub(super) struct ClaimsSince(pub(super) Side, pub(super) Timestamp);

const CLAIMS_SINCE: &str =
    "SELECT COUNT(*), MAX(created_at_us) FROM ref_claims WHERE side = $1 AND created_at_us >= $2";

impl LedgerRequest for ClaimsSince {
    type Output = Recent;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<Recent, LedgerError> {
        let binds = [Bind::Text(self.0.as_str()), Bind::Number(self.1.as_microsecond())];
        let rows: Vec<(i64, Option<i64>)> = connection.rows(CLAIMS_SINCE, &binds).await?;
        let Some((claims, last)) = rows.first() else { return Ok(Recent::default()) };
        Ok(Recent { claims: claims.unsigned_abs(), last: last.map(time).transpose()? })
    }
}
