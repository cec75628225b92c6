//! Reads of many claims at once, for walks over the vendor's lists.

#![allow(missing_docs, reason = "the docs of a type say what its fields are")]

use std::sync::LazyLock;

use jiff::Timestamp;

use super::claim::{Claim, Key};
use super::connection::{Bind, Connection, LedgerRequest};
use super::error::LedgerError;
use super::queries::{COLUMNS_OF_A_CLAIM, ClaimRow};
use crate::translate::side::Side;

/// A claim with its reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefClaim {
    pub ref_id: String,
    pub claim: Claim,
}

type RefClaimRow = (String, String, String, String, Option<String>, i64, i64, i64, i64, i64);

impl TryFrom<RefClaimRow> for RefClaim {
    type Error = LedgerError;

    fn try_from(row: RefClaimRow) -> Result<Self, LedgerError> {
        let (ref_id, side, state, fingerprint, record_id, generation, begun, closed, created_at, updated_at) =
            row;
        let row: ClaimRow =
            (side, state, fingerprint, record_id, generation, begun, closed, created_at, updated_at);
        Ok(Self { ref_id, claim: row.try_into()? })
    }
}

/// How many references one statement takes: a number that both databases prepare once.
const REFS_ASKED: usize = 100;

/// The claims of these references.
pub(super) struct ClaimsByRefs<'a> {
    tenant: &'a str,
    ref_ids: Vec<&'a str>,
}

static CLAIMS_BY_REFS: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT ref_id, {} FROM ref_claims WHERE tenant = $1 AND ref_id IN ({})",
        COLUMNS_OF_A_CLAIM!(),
        placeholders(2)
    )
});

static NATIVE_BY_REFS: LazyLock<String> = LazyLock::new(|| {
    format!("SELECT ref_id FROM native_creates WHERE tenant = $1 AND ref_id IN ({})", placeholders(2))
});

pub(super) fn placeholders(first: usize) -> String {
    let all: Vec<_> = (first..first + REFS_ASKED).map(|at| format!("${at}")).collect();
    all.join(", ")
}

impl<'a> ClaimsByRefs<'a> {
    /// Leaves out what no claim can hold.
    pub(super) fn new(tenant: &'a str, mut ref_ids: Vec<&'a str>) -> Self {
        ref_ids.retain(|ref_id| Key::new(tenant, ref_id).is_ok());
        Self { tenant, ref_ids }
    }

    pub(super) fn batches(&self) -> impl Iterator<Item = Vec<Bind<'_>>> {
        self.ref_ids.chunks(REFS_ASKED).map(|batch| {
            // NULL matches no row, so that a short batch uses the same prepared statement.
            let asked = (0..REFS_ASKED).map(|at| Bind::Optional(batch.get(at).copied()));
            std::iter::once(Bind::Text(self.tenant)).chain(asked).collect()
        })
    }
}

impl LedgerRequest for ClaimsByRefs<'_> {
    type Output = Vec<RefClaim>;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<Self::Output, LedgerError> {
        let mut found = Vec::new();
        for binds in self.batches() {
            let rows: Vec<RefClaimRow> = connection.rows(CLAIMS_BY_REFS.as_str(), &binds).await?;
            for row in rows {
                found.push(row.try_into()?);
            }
        }
        Ok(found)
    }
}

/// Those of the references that were created on the new API's own path through this proxy.
pub(super) struct NativeByRefs<'a>(pub(super) ClaimsByRefs<'a>);

impl LedgerRequest for NativeByRefs<'_> {
    type Output = Vec<String>;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<Self::Output, LedgerError> {
        let mut found = Vec::new();
        for binds in self.0.batches() {
            let rows: Vec<(String,)> = connection.rows(NATIVE_BY_REFS.as_str(), &binds).await?;
            found.extend(rows.into_iter().map(|(ref_id,)| ref_id));
        }
        Ok(found)
    }
}

/// Which claims a [`ClaimsBetween`] reads. Refused ones are in neither set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimSet {
    /// Those of a side whose record is known.
    Known(Side),
    /// Those whose record is not known.
    Unresolved,
}

/// Rows of one answer to [`ClaimsBetween`].
pub(super) const CLAIMS_PAGE: usize = 1000;

/// The claims of a set that were made from `from` on and before `to`, oldest first. `after` is the reference of the last claim that was
/// read at `from`; empty to begin.
pub(super) struct ClaimsBetween<'a> {
    pub(super) tenant: &'a str,
    pub(super) set: ClaimSet,
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
    pub(super) after: &'a str,
}

macro_rules! CLAIMS_BETWEEN {
    ($set:literal) => {
        concat!(
            "SELECT ref_id, ",
            COLUMNS_OF_A_CLAIM!(),
            " FROM ref_claims WHERE tenant = $1 AND ",
            $set,
            " AND created_at_us >= $2 AND created_at_us < $3 AND (created_at_us > $2 OR ref_id > $4) \
              ORDER BY created_at_us, ref_id LIMIT 1000"
        )
    };
}

const KNOWN_BETWEEN: &str = CLAIMS_BETWEEN!("side = $5 AND record_id IS NOT NULL AND state <> 'refused'");
const UNRESOLVED_BETWEEN: &str = CLAIMS_BETWEEN!("record_id IS NULL AND state <> 'refused'");

impl LedgerRequest for ClaimsBetween<'_> {
    type Output = Vec<RefClaim>;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<Self::Output, LedgerError> {
        let (from, to) = (self.from.as_microsecond(), self.to.as_microsecond());
        let binds = [Bind::Text(self.tenant), Bind::Number(from), Bind::Number(to), Bind::Text(self.after)];
        let rows: Vec<RefClaimRow> = match self.set {
            ClaimSet::Known(side) => {
                let all: Vec<_> = binds.into_iter().chain([Bind::Text(side.as_str())]).collect();
                connection.rows(KNOWN_BETWEEN, &all).await?
            }
            ClaimSet::Unresolved => connection.rows(UNRESOLVED_BETWEEN, &binds).await?,
        };
        rows.into_iter().map(RefClaim::try_from).collect()
    }
}
