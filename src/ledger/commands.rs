//! The writes of claims. Each is a compare-and-set: it changes the claim if it is as the caller expects, else nothing.
//!
//! Every statement here is safe under READ COMMITTED. An insert that meets the same key waits for the other transaction and then
//! does nothing; an update re-checks its `WHERE` on the row as committed. Every one of them names the guard of its session, so that
//! none takes effect on another connection than the one that was prepared. Those that come before a send read the hold in the same
//! statement: no attempt begins while it is set.

use jiff::Timestamp;

use super::claim::{Claim, Claimed, Expected, Fingerprint, Key, OtherSide};
use super::completeness::{IsAlikeKnown, OTHER_SIDE_IS_COMPLETE};
use super::connection::{
    Bind, Connection, Guarded, LedgerRequest, POSTGRES_CLOCK, POSTGRES_GUARD, SQLITE_GUARD, guarded,
};
use super::error::LedgerError;
use super::queries::{COLUMNS_OF_A_CLAIM, ClaimByRef, ClaimContextByRef, ClaimRow, OwnedKey};
use crate::translate::side::Side;

/// Of a statement that writes a claim for a record that exists: a trip does not stop it.
macro_rules! NOT_HELD {
    () => {
        " AND NOT EXISTS (SELECT 1 FROM ledger_settings WHERE name IN ('hold', 'hold_timeline'))"
    };
}
pub(super) use NOT_HELD;

/// Of a statement that precedes a send.
macro_rules! MAY_SEND {
    () => {
        " AND NOT EXISTS (SELECT 1 FROM ledger_settings WHERE name IN ('hold', 'hold_timeline', 'trip'))"
    };
}

fn now() -> Bind<'static> {
    Bind::Number(Timestamp::now().as_microsecond())
}

/// Claims a key, or reads the claim that is there.
pub(super) struct MakeClaim {
    key: OwnedKey,
    side: Side,
    fingerprint: String,
}

macro_rules! INSERT {
    ($guard:ident, $now:expr) => {
        concat!(
            "INSERT INTO ref_claims (tenant, ref_id, side, state, fingerprint, generation, begun, closed, created_at_us, updated_at_us) \
             SELECT $2, $3, $4, 'claimed', $5, 1, 1, 0, $6, $6 WHERE ",
            $guard!(),
            MAY_SEND!(),
            " ON CONFLICT (tenant, ref_id) DO NOTHING RETURNING ",
            COLUMNS_OF_A_CLAIM!(),
            ", ",
            OTHER_SIDE_IS_COMPLETE!($now)
        )
    };
}

const INSERT: Guarded =
    Guarded { sqlite: INSERT!(SQLITE_GUARD, "$6"), postgres: INSERT!(POSTGRES_GUARD, POSTGRES_CLOCK!()) };

/// A [`ClaimRow`], and whether the other side is complete.
type InsertedRow = (String, String, String, Option<String>, i64, i64, i64, i64, i64, i64);

impl MakeClaim {
    pub(super) fn new(key: Key<'_>, side: Side, fingerprint: &Fingerprint) -> Self {
        Self { key: OwnedKey::from(key), side, fingerprint: fingerprint.to_string() }
    }

    /// The claim and what is known about the other side; `None` if the key is claimed.
    async fn insert<C: Connection>(
        &self,
        connection: &mut C,
    ) -> Result<Option<(Claim, OtherSide)>, LedgerError> {
        let [tenant, ref_id] = self.key.binds();
        let (side, fingerprint) = (Bind::Text(self.side.as_str()), Bind::Text(&self.fingerprint));
        let rows: Vec<InsertedRow> =
            connection.guarded(&INSERT, &[tenant, ref_id, side, fingerprint, now()]).await?;
        let Some((
            side,
            state,
            fingerprint,
            record_id,
            generation,
            begun,
            closed,
            created,
            updated,
            complete,
        )) = rows.into_iter().next()
        else {
            return Ok(None);
        };
        let row: ClaimRow =
            (side, state, fingerprint, record_id, generation, begun, closed, created, updated);
        let other_side = match complete {
            // The vendor may take references that differ in case or spaces for one; that this one is new says nothing then.
            1 if IsAlikeKnown(&self.key).run(connection).await? => OtherSide::AbsentUnlessAlike,
            1 => OtherSide::Absent,
            _ => OtherSide::Unknown,
        };
        Ok(Some((row.try_into()?, other_side)))
    }
}

impl LedgerRequest for MakeClaim {
    type Output = Claimed;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<Claimed, LedgerError> {
        let made = self.insert(connection).await?;
        let inserted = made.is_some();
        let other_side = made.as_ref().map_or(OtherSide::Unknown, |(_, other_side)| *other_side);
        if let Some((claim, _)) = made.as_ref().filter(|(claim, _)| claim.side == Side::New) {
            // The claim itself names new, and a native create does not matter to a claim on new.
            let claim = claim.clone();
            return Ok(Claimed { claim, inserted, created_on_new: true, native: false, other_side });
        }
        let context = ClaimContextByRef(&self.key).run(connection).await?;
        let existing = match made {
            Some((claim, _)) => Some(claim),
            // A separate statement, so that it sees what the other transaction committed.
            None => ClaimByRef(&self.key).run(connection).await?,
        };
        match existing {
            Some(claim) => Ok(Claimed {
                claim,
                inserted,
                created_on_new: context.created_on_new,
                native: context.native,
                other_side,
            }),
            // Claims are never deleted: only a hold or trip keeps an insert from finding or making one.
            None => Err(context.refusal().unwrap_or_else(|| held(None))),
        }
    }
}

pub(super) fn held(why: Option<String>) -> LedgerError {
    LedgerError::Held(why.unwrap_or_else(|| "the hold was lifted a moment ago; retry".into()))
}

/// A change of the claim that the caller read.
pub(super) struct ClaimChange {
    key: OwnedKey,
    transition: Transition,
}

pub(super) enum Transition {
    ChooseAnew { side: Side, fingerprint: String, generation: i64 },
    Begin { expected: Expected, checked: bool },
    MarkChecked { expected: Expected },
    Move { expected: Expected, record_id: Option<String>, own_attempts: i64 },
    Remember { generation: i64, side: Side, record_id: String },
    Close { generation: i64, side: Side },
}

// The next generation starts with one open attempt and without a record, so that nothing of the old one counts.
const CHOOSE_ANEW: Guarded = guarded!(
    [
        "UPDATE ref_claims SET side = $4, state = 'claimed', fingerprint = $5, record_id = NULL, generation = generation + 1, \
         begun = 1, closed = 0, updated_at_us = $7 \
         WHERE tenant = $2 AND ref_id = $3 AND state = 'refused' AND generation = $6 AND "
    ],
    [MAY_SEND!(), " RETURNING ", COLUMNS_OF_A_CLAIM!()],
);

// Reads the hold in the same statement, because it precedes a send. 'fenced' is the stored word for a checked claim.
const BEGIN: Guarded = guarded!(
    [
        "UPDATE ref_claims SET begun = begun + 1, state = CASE WHEN $7 = 1 THEN 'fenced' ELSE state END, updated_at_us = $8 \
         WHERE tenant = $2 AND ref_id = $3 AND generation = $4 AND side = $5 AND state = $6 AND state <> 'refused' AND "
    ],
    [MAY_SEND!(), " RETURNING ", COLUMNS_OF_A_CLAIM!()],
);

const MARK_CHECKED: Guarded = guarded!(
    ["UPDATE ref_claims SET state = 'fenced', updated_at_us = $7 \
         WHERE tenant = $2 AND ref_id = $3 AND generation = $4 AND side = $5 AND state = $6 AND state <> 'refused' AND "],
    [" RETURNING ", COLUMNS_OF_A_CLAIM!()],
);

// Another open attempt may still be sent to the side that the claim would leave. While a hold stands, the ledger may have lost one.
const MOVE: Guarded = guarded!(
    ["UPDATE ref_claims SET side = $6, state = 'fenced', record_id = $7, updated_at_us = $9 \
         WHERE tenant = $2 AND ref_id = $3 AND generation = $4 AND side = $5 AND state = 'claimed' \
         AND begun - closed <= $8 AND "],
    [NOT_HELD!(), " RETURNING ", COLUMNS_OF_A_CLAIM!()],
);

// A refused claim becomes checked as well: the record exists, whatever the attempts that were closed made of it.
const REMEMBER: Guarded = guarded!(
    ["UPDATE ref_claims SET state = 'fenced', record_id = $6, \
         updated_at_us = CASE WHEN record_id IS NULL THEN $7 ELSE updated_at_us END \
         WHERE tenant = $2 AND ref_id = $3 AND generation = $4 AND side = $5 AND (record_id IS NULL OR record_id = $6) AND "],
    [" RETURNING ", COLUMNS_OF_A_CLAIM!()],
);

// Refused only when no attempt is open and no record is known. `closed < begun`: there are never more closes than attempts.
const CLOSE: Guarded = guarded!(
    ["UPDATE ref_claims SET closed = closed + 1, \
         state = CASE WHEN closed + 1 = begun AND record_id IS NULL THEN 'refused' ELSE state END, updated_at_us = $6 \
         WHERE tenant = $2 AND ref_id = $3 AND generation = $4 AND side = $5 AND closed < begun AND "],
    [" RETURNING ", COLUMNS_OF_A_CLAIM!()],
);

impl ClaimChange {
    pub(super) fn new(key: Key<'_>, transition: Transition) -> Self {
        Self { key: OwnedKey::from(key), transition }
    }

    async fn compare_and_set<C: Connection>(&self, connection: &mut C) -> sqlx::Result<Vec<ClaimRow>> {
        use Bind::{Number, Optional, Text};
        let [tenant, ref_id] = self.key.binds();
        let (statement, binds) = match &self.transition {
            Transition::ChooseAnew { side, fingerprint, generation } => {
                (&CHOOSE_ANEW, vec![Text(side.as_str()), Text(fingerprint), Number(*generation)])
            }
            Transition::Begin { expected, checked } => {
                let [generation, side, state] = binds_of(expected);
                (&BEGIN, vec![generation, side, state, Number(i64::from(*checked))])
            }
            Transition::MarkChecked { expected } => (&MARK_CHECKED, binds_of(expected).to_vec()),
            Transition::Move { expected, record_id, own_attempts } => {
                let [generation, side, _] = binds_of(expected);
                let (to, id) = (Text(expected.side.other().as_str()), Optional(record_id.as_deref()));
                (&MOVE, vec![generation, side, to, id, Number(*own_attempts)])
            }
            Transition::Remember { generation, side, record_id } => {
                (&REMEMBER, vec![Number(*generation), Text(side.as_str()), Text(record_id)])
            }
            Transition::Close { generation, side } => {
                (&CLOSE, vec![Number(*generation), Text(side.as_str())])
            }
        };
        // The order of the placeholders: the key is $2 and $3 behind the guard, the time comes last.
        let all: Vec<_> = [tenant, ref_id].into_iter().chain(binds).chain([now()]).collect();
        connection.guarded(statement, &all).await
    }

    const fn precedes_a_send(&self) -> bool {
        match self.transition {
            Transition::ChooseAnew { .. } | Transition::Begin { .. } => true,
            Transition::MarkChecked { .. }
            | Transition::Move { .. }
            | Transition::Remember { .. }
            | Transition::Close { .. } => false,
        }
    }
}

fn binds_of(expected: &Expected) -> [Bind<'static>; 3] {
    let Expected { generation, side, state } = *expected;
    [Bind::Number(generation), Bind::Text(side.as_str()), Bind::Text(state.stored())]
}

impl LedgerRequest for ClaimChange {
    /// `None`: the claim is not as expected.
    type Output = Option<Claim>;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<Option<Claim>, LedgerError> {
        if let Some(row) = self.compare_and_set(connection).await?.into_iter().next() {
            return Ok(Some(row.try_into()?));
        }
        let context = ClaimContextByRef(&self.key).run(connection).await?;
        match context.refusal() {
            // Nothing was changed because of a hold or trip, not because the claim is another one. What follows a send is not refused by
            // them.
            Some(refusal) if self.precedes_a_send() => Err(refusal),
            Some(_) | None => Ok(None),
        }
    }
}

/// Records a create on the new API's own path.
pub(super) struct RecordNative(pub(super) OwnedKey);

const RECORD_NATIVE: Guarded = guarded!(
    ["INSERT INTO native_creates (tenant, ref_id, created_at_us) SELECT $2, $3, $4 WHERE "],
    [" ON CONFLICT (tenant, ref_id) DO NOTHING RETURNING ref_id"],
);

impl LedgerRequest for RecordNative {
    type Output = ();

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<(), LedgerError> {
        let [tenant, ref_id] = self.0.binds();
        let rows: Vec<(String,)> = connection.guarded(&RECORD_NATIVE, &[tenant, ref_id, now()]).await?;
        if rows.is_empty() {
            // No row: recorded before, or the guard did not hold, which `ClaimContextByRef` reports.
            ClaimContextByRef(&self.0).run(connection).await?;
        }
        Ok(())
    }
}
