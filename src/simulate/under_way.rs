//! What is under way in a world: processes, requests, POSTs, and listings that clients read.

use std::collections::BTreeSet;

use super::event::BodyKind;
use crate::config::Stage;
use crate::routes::RecordSideCache;
use crate::routes::create::events::Effect;
use crate::routes::create::protocol::State;
use crate::translate::evidence::FoundConversion;
use crate::translate::side::Side;

/// A broken promise, in words.
pub(super) type Promise = Result<(), String>;

/// What happened, and whether it kept the promises.
pub(super) type Happened = (String, Promise);

pub(super) struct Replica {
    pub(super) stage: Stage,
    pub(super) record_sides: RecordSideCache,
    pub(super) has_ledger: bool,
}

/// A POST that left and may take effect later.
#[derive(Clone, Copy, Debug)]
pub(super) struct Post {
    /// `None`: a create without a claim.
    pub(super) request: Option<u32>,
    pub(super) side: Side,
    pub(super) reference: usize,
    pub(super) body: BodyKind,
    pub(super) sent_at: i64,
}

/// A create on its way through the protocol.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) replica: usize,
    pub(super) reference: usize,
    pub(super) body: BodyKind,
    pub(super) state: State,
    pub(super) effect: Effect,
    pub(super) started: i64,
    /// The stage of its replica when it began.
    pub(super) stage: Stage,
    /// The side of the record that the ledger knew when the request began, or showed it before the send.
    pub(super) known: Option<Side>,
    /// Its POST made the conversion.
    pub(super) effective: bool,
    /// The claim as last read: its side, and the record that it knows.
    pub(super) claim: Option<(Side, Option<String>)>,
    /// The record's id in the answer to the POST.
    pub(super) answered_id: Option<String>,
    /// What the last lookup found on each side.
    pub(super) found: [Option<FoundConversion>; 2],
}

/// A listing that a client reads page by page.
#[derive(Clone, Debug)]
pub(super) struct Listing {
    pub(super) replica: usize,
    pub(super) sides: &'static [Side],
    pub(super) query: String,
    pub(super) cursor: String,
    /// Id and reference of each record that was there when it began; `None` once a list lagged, which shows less.
    pub(super) expected: Option<Vec<(String, String)>>,
    /// The ids and references of the rows.
    pub(super) seen: BTreeSet<String>,
}
