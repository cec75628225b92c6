//! What a walk reads from. The vendor over HTTP is one source; tests have another.

use std::future::Future;

use jiff::Timestamp;

use crate::ledger::LedgerError;
use crate::translate::evidence::{DoubtfulPage, WalkPage, WalkedRecord};
use crate::translate::side::Side;

/// One call of a walk: records made from `begin` to `end`, both included, oldest first.
#[derive(Clone, Copy, Debug)]
pub struct PageCall<'a> {
    pub side: Side,
    /// Bounds of the window, both at whole seconds.
    pub begin: Timestamp,
    pub end: Timestamp,
    /// The number of rows to ask for.
    pub limit: u16,
    /// The side's own cursor of the page before.
    pub after: Option<&'a str>,
}

/// What a side holds under a reference.
#[derive(Clone, Debug)]
pub enum WalkLookup {
    Absent,
    Found(WalkedRecord),
    /// A record that is no conversion.
    OtherKind,
}

/// Reads the lists of both sides.
pub trait RecordSource: Send + Sync {
    /// One page of a side's list.
    fn page(&self, call: &PageCall<'_>) -> impl Future<Output = Result<WalkPage, WalkError>> + Send;

    /// The record with that reference.
    fn by_ref(&self, side: Side, ref_id: &str) -> impl Future<Output = Result<WalkLookup, WalkError>> + Send;

    /// The record with that id; `None` only if the vendor itself says that there is none.
    fn by_id(
        &self,
        side: Side,
        id: &str,
    ) -> impl Future<Output = Result<Option<WalkedRecord>, WalkError>> + Send;
}

/// Why a walk could not finish. It says nothing about what was not seen.
#[derive(Debug, thiserror::Error)]
pub enum WalkError {
    /// A page that proves nothing.
    #[error("the {side} side's list cannot be believed: {reason}")]
    Doubtful { side: Side, reason: DoubtfulPage },
    /// No answer, or no budget to ask.
    #[error("the {side} side could not be asked: {reason}")]
    NoAnswer {
        side: Side,
        /// The error, without addresses or credentials.
        reason: String,
    },
    #[error("the {side} side contradicts itself: {reason}")]
    Inconsistent { side: Side, reason: &'static str },
    /// A lookup of a record that is known to be there did not find it, so that no absence can be believed.
    #[error(
        "the {side} side does not find by its reference a record that it holds, so nothing can be called absent there"
    )]
    ControlFailed { side: Side },
    /// More than can be held in memory has one second as its time.
    #[error("the {side} side holds more than {max} records of one second")]
    TooDense { side: Side, max: usize },
    /// More references without a claim than can be held in memory.
    #[error("more than {max} references have no claim: run `conversion-shim ledger backfill` first")]
    TooManyUnclaimed { max: usize },
    /// What is walked is no time at all, so that nothing would be seen.
    #[error("the window is empty: it holds no whole second")]
    EmptyWindow,
    /// The report is about other times or other records, or has no debit.
    #[error("no record of the report that it debits is in the window, so nothing was compared with it")]
    NotCompared,
    /// The ledger could not be read or written.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A client of the vendor cannot be made.
    #[error("the vendor cannot be read: {0}")]
    Setup(String),
    #[error("another process took over the walk")]
    TakenOver,
}
