//! Claims for records that exist at the vendor and that no claim knows, and repairs of claims that contradict them. None of these
//! statements begins an attempt, and none makes it possible to send a reference to a side where it was not: a claim that is written here
//! always knows its record.

#![allow(missing_docs, reason = "the docs of a type say what its fields are")]

use std::sync::LazyLock;

use jiff::Timestamp;

use super::audit::{AuditEntry, AuditKind, record};
use super::claim::{Claim, Expected, Fingerprint, Key, RECORD_ID_MAX, fits};
use super::commands::{NOT_HELD, held};
use super::connection::{Bind, Connection, Guarded, LedgerRequest, guarded};
use super::error::LedgerError;
use super::queries::{COLUMNS_OF_A_CLAIM, ClaimContextByRef, ClaimRow, OwnedKey};
use super::walk_audit::count_written;
use crate::translate::side::Side;

/// A record at the vendor that is to get a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VendorRecord {
    pub ref_id: String,
    pub record_id: String,
    /// When the vendor made it.
    pub created_at: Timestamp,
}

impl VendorRecord {
    /// Whether a claim can hold it.
    #[must_use]
    pub fn fits(&self, tenant: &str) -> bool {
        Key::new(tenant, &self.ref_id).is_ok() && fits("record id", &self.record_id, RECORD_ID_MAX).is_ok()
    }
}

/// Rows of one statement: a number that both databases prepare once.
const ROWS: usize = 50;

/// Writes a claim for each of these records of a side whose reference has none: checked, with its id, and without an open attempt.
/// Returns the references that got one.
pub(super) struct AdoptRecords {
    /// The walk that found them, which counts them for the audit.
    pub(super) walk: Option<String>,
    pub(super) tenant: String,
    pub(super) side: Side,
    pub(super) records: Vec<VendorRecord>,
}

static ADOPT: LazyLock<Guarded> = LazyLock::new(|| {
    let rows: Vec<_> = (0..ROWS)
        .map(|row| {
            let first = 6 + row * 3;
            format!("(${first}, ${}, ${})", first + 1, first + 2)
        })
        .collect();
    let before = format!(
        "INSERT INTO ref_claims (tenant, ref_id, side, state, fingerprint, record_id, generation, begun, closed, created_at_us, \
         updated_at_us) SELECT $2, v.column1, $3, 'fenced', $4, v.column2, 1, 1, 1, v.column3, $5 \
         FROM (VALUES {}) AS v WHERE v.column1 IS NOT NULL AND ",
        rows.join(", ")
    );
    let after = concat!(NOT_HELD!(), " ON CONFLICT (tenant, ref_id) DO NOTHING RETURNING ref_id");
    Guarded::built(&before, after)
});

impl AdoptRecords {
    async fn insert<C: Connection>(
        &self,
        connection: &mut C,
        batch: &[VendorRecord],
    ) -> Result<Vec<String>, LedgerError> {
        let fingerprint = Fingerprint::NO_BODY.to_string();
        let now = Timestamp::now().as_microsecond();
        let mut binds = vec![Bind::Text(&self.tenant), Bind::Text(self.side.as_str())];
        binds.extend([Bind::Text(&fingerprint), Bind::Number(now)]);
        for row in 0..ROWS {
            let record = batch.get(row);
            binds.extend([
                Bind::Optional(record.map(|record| record.ref_id.as_str())),
                Bind::Optional(record.map(|record| record.record_id.as_str())),
                Bind::Number(record.map_or(0, |record| record.created_at.as_microsecond())),
            ]);
        }
        let rows: Vec<(String,)> = connection.guarded(&ADOPT, &binds).await?;
        Ok(rows.into_iter().map(|(ref_id,)| ref_id).collect())
    }
}

impl LedgerRequest for AdoptRecords {
    type Output = Vec<String>;

    const COMPOUND: bool = true;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<Vec<String>, LedgerError> {
        let mut adopted = Vec::new();
        for batch in self.records.chunks(ROWS) {
            let inserted = self.insert(connection, batch).await?;
            if let (true, Some(first)) = (inserted.len() < batch.len(), batch.first()) {
                // Claimed before, unless a hold or another session kept the statement from writing.
                let key = OwnedKey { tenant: self.tenant.clone(), ref_id: first.ref_id.clone() };
                let context = ClaimContextByRef(&key).run(connection).await?;
                if context.hold.is_some() {
                    return Err(held(context.hold));
                }
            }
            adopted.extend(inserted);
        }
        if let Some(walk) = &self.walk {
            count_written(connection, walk, adopted.len()).await?;
        }
        Ok(adopted)
    }
}

/// A change of a claim that contradicts what the vendor holds.
#[derive(Clone, Debug)]
pub enum Repair {
    /// A refused claim becomes that side, checked, with the id: the record exists.
    AdoptRefused {
        /// The side that holds the record.
        side: Side,
        /// The generation that was read.
        generation: i64,
    },
    /// A claim without an open attempt moves to the other side, where its record is.
    MoveClosed {
        /// The claim that was read.
        expected: Expected,
    },
}

/// Makes one [`Repair`], audited. `None`: the claim is not as it was read, or an attempt is open.
pub(super) struct RepairClaim {
    pub(super) process: String,
    pub(super) operator: String,
    /// The walk that found it, which counts it for the audit.
    pub(super) walk: String,
    pub(super) key: OwnedKey,
    pub(super) repair: Repair,
    pub(super) record_id: String,
}

// All attempts of a refused claim are closed, or an operator released it after lookups found nothing.
const ADOPT_REFUSED: Guarded = guarded!(
    ["UPDATE ref_claims SET side = $5, state = 'fenced', record_id = $6, updated_at_us = $7 \
         WHERE tenant = $2 AND ref_id = $3 AND generation = $4 AND state = 'refused' AND "],
    [" RETURNING ", COLUMNS_OF_A_CLAIM!()],
);

// An open attempt may still be sent to, or arrive at, the side that the claim would leave.
const MOVE_CLOSED: Guarded = guarded!(
    ["UPDATE ref_claims SET side = $6, state = 'fenced', record_id = $7, updated_at_us = $8 \
         WHERE tenant = $2 AND ref_id = $3 AND generation = $4 AND side = $5 AND state <> 'refused' AND begun = closed AND "],
    [" RETURNING ", COLUMNS_OF_A_CLAIM!()],
);

impl RepairClaim {
    async fn change<C: Connection>(&self, connection: &mut C) -> Result<Option<Claim>, LedgerError> {
        use Bind::{Number, Text};
        let [tenant, ref_id] = self.key.binds();
        let (id, now) = (Text(&self.record_id), Number(Timestamp::now().as_microsecond()));
        let rows: Vec<ClaimRow> = match &self.repair {
            Repair::AdoptRefused { side, generation } => {
                let binds = [tenant, ref_id, Number(*generation), Text(side.as_str()), id, now];
                connection.guarded(&ADOPT_REFUSED, &binds).await?
            }
            Repair::MoveClosed { expected: Expected { generation, side, .. } } => {
                let (from, to) = (Text(side.as_str()), Text(side.other().as_str()));
                let binds = [tenant, ref_id, Number(*generation), from, to, id, now];
                connection.guarded(&MOVE_CLOSED, &binds).await?
            }
        };
        rows.into_iter().next().map(Claim::try_from).transpose()
    }
}

impl LedgerRequest for RepairClaim {
    type Output = Option<Claim>;

    const COMPOUND: bool = true;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<Option<Claim>, LedgerError> {
        let Some(claim) = self.change(connection).await? else {
            ClaimContextByRef(&self.key).run(connection).await?;
            return Ok(None);
        };
        let before = match &self.repair {
            Repair::AdoptRefused { .. } => "refused".to_owned(),
            Repair::MoveClosed { expected } => format!("{} {}", expected.side, expected.state.as_str()),
        };
        let after = format!("{} {} {}", claim.side, claim.state.as_str(), self.record_id);
        let entry = AuditEntry {
            process: &self.process,
            operator: &self.operator,
            kind: AuditKind::Reconcile,
            subject: &self.key.ref_id,
            reason: "the vendor holds the record",
            before: Some(&before),
            after: Some(&after),
        };
        record(connection, &entry).await?;
        count_written(connection, &self.walk, 1).await?;
        Ok(Some(claim))
    }
}
