//! What may happen in a world, and how often. What a world rules out is a named switch.

use conversion_shim::routes::create::events::{Context, Reads};
use conversion_shim::routes::create::rules::Rules;
use conversion_shim::translate::side::Side;

/// What may happen, and how often.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// The stages that the replicas begin in. From `Live` on, the operator has opened new.
    pub(crate) stages: [Stage; 2],
    /// Concurrent requests with the reference; the last one asks for another amount.
    pub(crate) requests: usize,
    /// Answers lost, late, foreign or refused; ledger statements that fail; lists that lag.
    pub(crate) faults: u8,
    /// Changes of a replica's stage.
    pub(crate) stage_changes: u8,
    /// Requests that die with their process.
    pub(crate) crashes: u8,
    /// Ledger writes that a fail-over may lose.
    pub(crate) lost_writes: usize,
    /// Which lists show the other side's conversions as well.
    pub(crate) mirror: Mirror,
    /// Whether creates through the new API's own path happen.
    pub(crate) native: bool,
    /// Whether the operator releases pinned claims.
    pub(crate) released: bool,
    /// Whether the claim and the mark are deleted by hand, and the operator accepts that.
    pub(crate) rows_deleted: bool,
    /// Whether HTTP/1.1 connections answer twice.
    pub(crate) strays: bool,
    /// The first request's body can be read in two ways; the one that the vendor does not take: 0 or 1.
    pub(crate) misread: Option<u8>,
    /// The first request has no reference and gets one, as creates on new do; the others repeat it with what they were told.
    pub(crate) generated: bool,
    /// Whether a side may refuse lookups for want of rights or of budget.
    pub(crate) lookups_refused: bool,
    /// Whether a withdrawal on new has used the reference.
    pub(crate) withdrawal: bool,
    /// The sides that walks make complete.
    pub(crate) walks: &'static [Side],
    /// Whether the second replica runs without the ledger at first.
    pub(crate) without_ledger: bool,
    /// Whether the reference was converted on legacy before there was a ledger.
    pub(crate) older: bool,
    /// Whether legacy's index is empty for a while.
    pub(crate) outages: bool,
    /// Worlds that the documentation excludes.
    pub(crate) excluded: Excluded,
    pub(crate) rules: Rules,
}

/// Which list shows conversions that the other side made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mirror {
    Neither,
    NewShowsLegacy,
    LegacyShowsNew,
}

/// Worlds in which a promise does not hold. Each is off unless a test shows just that.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Excluded {
    /// `ledger accept` while a create is under way or not yet listed.
    pub(crate) accept_before_quiet: bool,
    /// `sealed` while or after a ledger that lost claims was accepted.
    pub(crate) seal_after_loss: bool,
    /// The ledger is replaced by an empty one, and nothing notices.
    pub(crate) unnoticed_loss: bool,
    /// A native create and a legacy create with one reference at the same instant, or before lists show the first.
    pub(crate) native_at_once: bool,
    /// A native create uses a reference whose claim was lost.
    pub(crate) native_after_loss: bool,
    /// Another request's refusal arrives while this request's POST is under way or not yet listed.
    pub(crate) stray_before_effect: bool,
    /// Another request's 401 or 403 arrives, and this request's credential may not look either.
    pub(crate) stray_denial: bool,
    /// An index becomes empty after the positive control has passed.
    pub(crate) outage_after_control: bool,
    /// A client creates on legacy past the proxy, whose ledger is said to be the only door.
    pub(crate) other_door: bool,
}

impl Excluded {
    pub(crate) const NOTHING: Self = Self {
        accept_before_quiet: false,
        seal_after_loss: false,
        unnoticed_loss: false,
        native_at_once: false,
        native_after_loss: false,
        stray_before_effect: false,
        stray_denial: false,
        outage_after_control: false,
        other_door: false,
    };
}

/// The stages that differ for a create.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Stage {
    Observe,
    Ready,
    Live,
    Sealed,
}

impl Stage {
    pub(super) const ALL: [Self; 4] = [Self::Observe, Self::Ready, Self::Live, Self::Sealed];

    pub(crate) fn context(self, rules: Rules) -> Context {
        let (target, reads) = match self {
            Self::Observe => (Side::Legacy, Reads::LegacyOnly),
            Self::Ready => (Side::Legacy, Reads::Both),
            Self::Live => (Side::New, Reads::Both),
            Self::Sealed => (Side::New, Reads::NewOnly),
        };
        Context { target, reads, ledger: true, generated: false, readable: true, candidates: 1, rules }
    }
}
