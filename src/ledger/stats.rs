//! The whole ledger in a few numbers, in less than a second for ten million claims: those on the old API are not counted.
//!
//! A small ledger is counted row by row. In a large one nearly every claim is checked and knows its record; those are what is left of the
//! database's own estimate of all rows once the others are taken off, which are few and have indexes of their own.

use jiff::Timestamp;

use super::claim::ClaimState;
use super::connection::{Connection, LedgerRequest};
use super::error::LedgerError;
use super::queries::{FirstNewCreateAt, side, state, time};
use crate::translate::side::Side;

/// Most claims that are counted row by row.
const COUNTED_MAX: i64 = 100_000;

/// How many claims there are of one side and state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// The side that the claims are for.
    pub side: Side,
    /// The claims' state.
    pub state: ClaimState,
    /// How many there are.
    pub claims: u64,
}

/// The whole ledger in a few numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// One entry for each side and state that occurs, in the order of their names.
    pub counts: Vec<Count>,
    /// Whether the claims with a record were counted; else their number is derived from the database's estimate of all.
    pub exact: bool,
    /// When the oldest claim was made.
    pub first: Option<Timestamp>,
    /// When the newest claim was made.
    pub last: Option<Timestamp>,
    /// When a create first went, or may have gone, to the new side.
    pub first_new_create_at: Option<Timestamp>,
}

pub(super) struct Summary;

const ALL: &str = "SELECT side, state, COUNT(*) FROM ref_claims GROUP BY side, state ORDER BY side, state";

const WITHOUT_A_RECORD: &str = "SELECT side, state, COUNT(*) FROM ref_claims WHERE record_id IS NULL AND state <> 'refused' \
     GROUP BY side, state UNION ALL SELECT side, 'refused', COUNT(*) FROM ref_claims WHERE state = 'refused' GROUP BY side \
     ORDER BY 1, 2";

const ON_NEW: &str = "SELECT COUNT(*) FROM ref_claims WHERE side = 'new'";

const FIRST_AND_LAST: &str = "SELECT MIN(first), MAX(last) FROM ( \
     SELECT (SELECT MIN(created_at_us) FROM ref_claims WHERE side = 'legacy') AS first, \
     (SELECT MAX(created_at_us) FROM ref_claims WHERE side = 'legacy') AS last UNION ALL \
     SELECT (SELECT MIN(created_at_us) FROM ref_claims WHERE side = 'new'), \
     (SELECT MAX(created_at_us) FROM ref_claims WHERE side = 'new')) AS times";

impl LedgerRequest for Summary {
    type Output = Stats;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<Stats, LedgerError> {
        let about = connection.claims_about().await?;
        let exact = about <= COUNTED_MAX;
        let mut counts = counted(connection, if exact { ALL } else { WITHOUT_A_RECORD }).await?;
        if !exact {
            let on_new: Vec<(i64,)> = connection.rows(ON_NEW, &[]).await?;
            let on_new = on_new.first().map_or(0, |(claims,)| claims.unsigned_abs());
            let on_legacy = about.unsigned_abs().saturating_sub(on_new);
            for (of_side, claims) in [(Side::Legacy, on_legacy), (Side::New, on_new)] {
                add_checked(&mut counts, of_side, claims);
            }
        }
        let times: Vec<(Option<i64>, Option<i64>)> = connection.rows(FIRST_AND_LAST, &[]).await?;
        let (first, last) = times.first().copied().unwrap_or_default();
        let first_new_create_at = FirstNewCreateAt.run(connection).await?;
        let [first, last] = [first, last].map(|at| at.map(time).transpose());
        Ok(Stats { counts, exact, first: first?, last: last?, first_new_create_at })
    }
}

async fn counted<C: Connection>(connection: &mut C, sql: &'static str) -> Result<Vec<Count>, LedgerError> {
    let rows: Vec<(String, String, i64)> = connection.rows(sql, &[]).await?;
    let count = |(of_side, in_state, claims): (String, String, i64)| {
        Ok(Count { side: side(&of_side)?, state: state(&in_state)?, claims: claims.unsigned_abs() })
    };
    rows.into_iter().map(count).collect()
}

/// Adds what is left of a side's claims to the checked ones.
fn add_checked(counts: &mut Vec<Count>, side: Side, claims: u64) {
    let known: u64 = counts.iter().filter(|count| count.side == side).map(|count| count.claims).sum();
    let left = claims.saturating_sub(known);
    let checked = |count: &&mut Count| (count.side, count.state) == (side, ClaimState::Checked);
    match counts.iter_mut().find(checked) {
        Some(count) => count.claims += left,
        None if left > 0 => counts.push(Count { side, state: ClaimState::Checked, claims: left }),
        None => {}
    }
    counts.sort_by_key(|count| (count.side.as_str(), count.state.stored()));
}
