//! The writes: each a compare-and-set that either finds the claim as expected and changes it, or leaves it alone and reads it.
//!
//! Every statement here is safe under READ COMMITTED. An insert that meets the same key waits for the other transaction and then
//! does nothing; an update re-checks its `WHERE` on the row as committed. The read that follows a miss is a statement of its own,
//! so it sees what the other one committed, and the row is there because claims are never deleted.

use jiff::Timestamp;

use super::claim::{Claim, Claimed, Fingerprint, Key, TransitionResult};
use super::connection::{Bind, Connection, Request};
use super::error::LedgerError;
use super::queries::{COLUMNS_OF_A_CLAIM, ClaimByRef, ClaimRow, OwnedKey};
use crate::translate::side::Side;

/// One write, owned, so that it can wait in a queue.
pub(super) struct Change {
    key: OwnedKey,
    step: Transition,
    /// Whether this write, if it changes anything, must also leave the high-water mark.
    marks: bool,
}

enum Transition {
    Claim { side: Side, fingerprint: String },
    Fence { side: Side },
    Move { to: Side, record_id: Option<String> },
    Remember { side: Side, record_id: String },
}

/// What a write found, or left behind.
pub(super) struct Applied {
    /// The claim as it now stands.
    claim: Option<Claim>,
    /// Whether this write changed it.
    changed: bool,
    /// Whether the claim stands as was asked, by whomever.
    as_asked: bool,
}

const INSERT: &str = concat!(
    "INSERT INTO conversion_claims ",
    "(tenant, ref_id, side, state, fingerprint, created_at_us, updated_at_us) ",
    "VALUES ($1, $2, $3, 'claimed', $4, $5, $5) ",
    "ON CONFLICT (tenant, ref_id) DO NOTHING RETURNING ",
    COLUMNS_OF_A_CLAIM!()
);

const FENCE: &str = concat!(
    "UPDATE conversion_claims SET state = 'fenced', updated_at_us = $4 ",
    "WHERE tenant = $1 AND ref_id = $2 AND side = $3 AND state = 'claimed' RETURNING ",
    COLUMNS_OF_A_CLAIM!()
);

const MOVE: &str = concat!(
    "UPDATE conversion_claims SET side = $3, state = 'fenced', record_id = $4, updated_at_us = $5 ",
    "WHERE tenant = $1 AND ref_id = $2 AND side <> $3 AND state = 'claimed' RETURNING ",
    COLUMNS_OF_A_CLAIM!()
);

const REMEMBER: &str = concat!(
    "UPDATE conversion_claims SET state = 'fenced', record_id = $4, updated_at_us = $5 ",
    "WHERE tenant = $1 AND ref_id = $2 AND side = $3 AND record_id IS NULL RETURNING ",
    COLUMNS_OF_A_CLAIM!()
);

const MARK_NEW_SINCE: &str =
    "INSERT INTO conversion_marks (name, at_us) VALUES ('new_since', $1) ON CONFLICT (name) DO NOTHING";

impl Change {
    pub(super) fn claim(key: Key<'_>, side: Side, fingerprint: &Fingerprint) -> Self {
        Self::of(key, Transition::Claim { side, fingerprint: fingerprint.to_string() })
    }

    pub(super) fn fence(key: Key<'_>, side: Side) -> Self {
        Self::of(key, Transition::Fence { side })
    }

    pub(super) fn move_to(key: Key<'_>, to: Side, record_id: Option<&str>) -> Self {
        Self::of(key, Transition::Move { to, record_id: record_id.map(str::to_owned) })
    }

    pub(super) fn remember(key: Key<'_>, side: Side, record_id: &str) -> Self {
        Self::of(key, Transition::Remember { side, record_id: record_id.to_owned() })
    }

    fn of(key: Key<'_>, step: Transition) -> Self {
        // These open the new side to a create.
        let marks = matches!(
            step,
            Transition::Claim { side: Side::New, .. } | Transition::Move { to: Side::New, .. }
        );
        Self { key: OwnedKey::from(key), step, marks }
    }

    async fn compare_and_set<C: Connection>(
        &self,
        connection: &mut C,
        now: i64,
    ) -> sqlx::Result<Option<ClaimRow>> {
        use Bind::{Number, Optional, Text};
        let [tenant, ref_id] = self.key.binds();
        let rows = match &self.step {
            Transition::Claim { side, fingerprint } => {
                let binds = [tenant, ref_id, Text(side.as_str()), Text(fingerprint), Number(now)];
                connection.rows(INSERT, &binds).await?
            }
            Transition::Fence { side } => {
                connection.rows(FENCE, &[tenant, ref_id, Text(side.as_str()), Number(now)]).await?
            }
            Transition::Move { to, record_id } => {
                let binds = [tenant, ref_id, Text(to.as_str()), Optional(record_id.as_deref()), Number(now)];
                connection.rows(MOVE, &binds).await?
            }
            Transition::Remember { side, record_id } => {
                let binds = [tenant, ref_id, Text(side.as_str()), Text(record_id), Number(now)];
                connection.rows(REMEMBER, &binds).await?
            }
        };
        Ok(rows.into_iter().next())
    }

    /// Whether a claim that this write did not change stands as it asked all the same.
    fn is_met_by(&self, claim: &Claim) -> bool {
        match &self.step {
            Transition::Claim { .. } => true,
            // On the right side and not changed by the fence: it was fenced before.
            Transition::Fence { side } => claim.side == *side,
            Transition::Move { to, .. } => claim.side == *to,
            Transition::Remember { side, record_id } => {
                claim.side == *side && claim.record_id.as_deref() == Some(record_id)
            }
        }
    }
}

impl Request for Change {
    type Answer = Applied;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<Applied, LedgerError> {
        let now = Timestamp::now().as_microsecond();
        if let Some(row) = self.compare_and_set(connection, now).await? {
            if self.marks {
                connection.rows::<(i64,)>(MARK_NEW_SINCE, &[Bind::Number(now)]).await?;
            }
            return Ok(Applied { claim: Some(row.try_into()?), changed: true, as_asked: true });
        }
        let claim = ClaimByRef(&self.key).run(connection).await?;
        let as_asked = claim.as_ref().is_some_and(|claim| self.is_met_by(claim));
        Ok(Applied { claim, changed: false, as_asked })
    }
}

impl Applied {
    pub(super) const fn changed(&self) -> bool {
        self.changed
    }
}

impl TryFrom<Applied> for Claimed {
    type Error = LedgerError;

    fn try_from(applied: Applied) -> Result<Self, LedgerError> {
        let gone = || LedgerError::Corrupt("a claim was there and is gone, but claims are kept".into());
        Ok(Self { claim: applied.claim.ok_or_else(gone)?, fresh: applied.changed })
    }
}

impl From<Applied> for TransitionResult {
    fn from(applied: Applied) -> Self {
        match applied.claim {
            Some(claim) if applied.as_asked => Self::Done(claim),
            Some(claim) => Self::Refused(claim),
            None => Self::Absent,
        }
    }
}

/// Whatever goes through the one door for writes.
pub(super) enum Write {
    Change(Change),
    /// Changes no claim: proves that writes become durable.
    Probe,
}

const PROBE: &str = "INSERT INTO conversion_marks (name, at_us) VALUES ('probe', $1) \
                     ON CONFLICT (name) DO UPDATE SET at_us = excluded.at_us";

impl Write {
    /// Whether this write must leave the high-water mark together with what it changes.
    pub(super) const fn marks(&self) -> bool {
        matches!(self, Self::Change(Change { marks: true, .. }))
    }

    /// For a caller who knows that the mark is durable already.
    pub(super) const fn without_mark(mut self) -> Self {
        if let Self::Change(change) = &mut self {
            change.marks = false;
        }
        self
    }
}

impl Request for Write {
    type Answer = Applied;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<Applied, LedgerError> {
        let Self::Change(change) = self else {
            let now = Bind::Number(Timestamp::now().as_microsecond());
            connection.rows::<(i64,)>(PROBE, &[now]).await?;
            return Ok(Applied { claim: None, changed: false, as_asked: true });
        };
        change.run(connection).await
    }
}
