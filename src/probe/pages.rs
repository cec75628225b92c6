//! Pages of a list, for what is read of them beside a reference. A page that cannot be believed is a reason, and no end of the probe.

use std::fmt;

use jiff::{SignedDuration, Timestamp};

use super::calls::{Calls, DecodedAnswer};
use crate::translate::evidence::{WalkPage, WalkedRecord, read_walk_page};
use crate::translate::facts::{EmptyList, Facts};
use crate::translate::side::Side;

/// Rows of a page: the documented maximum.
pub(super) const ROWS: u32 = 1000;

/// Why something was not observed.
pub(super) type Unseen = String;

impl Calls {
    /// A page of a side's list.
    pub(super) async fn page(&mut self, side: Side, query: &str) -> Result<WalkPage, Unseen> {
        let answer = self.attempt(side, query).await?;
        self.read_page(side, &answer)
    }

    /// The answer to a list, whatever it is.
    pub(super) async fn attempt(&mut self, side: Side, query: &str) -> Result<DecodedAnswer, Unseen> {
        self.list(side, query).await.map_err(|error| error.to_string())
    }

    pub(super) fn read_page(&self, side: Side, answer: &DecodedAnswer) -> Result<WalkPage, Unseen> {
        // What an empty list looks like is another fact; here each form of it only shows no rows.
        let empty_list = EmptyList { array: true, absent: true, null: true };
        let facts = Facts { empty_list, ..Facts::default() };
        read_walk_page(side, &answer.reply(), facts)
            .map_err(|doubtful| format!("a list on {side}: {doubtful}"))
    }
}

/// How rows follow one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    NewestFirst,
    OldestFirst,
    Neither,
}

impl Direction {
    /// `None` while the rows do not show it, because their times are equal.
    pub(super) fn of(rows: &[WalkedRecord]) -> Option<Self> {
        let times = || rows.iter().map(|row| row.created_at);
        let differ = times().next() != times().max() || times().next() != times().min();
        let direction = match (times().is_sorted(), times().is_sorted_by(|one, next| one >= next)) {
            (true, _) => Self::OldestFirst,
            (false, true) => Self::NewestFirst,
            (false, false) => Self::Neither,
        };
        Some(direction).filter(|_| differ)
    }

    /// What both show; a contradiction is [`Direction::Neither`].
    pub(super) fn and(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        match (one, other) {
            (Some(one), Some(other)) => Some(if one == other { one } else { Self::Neither }),
            (seen, None) | (None, seen) => seen,
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::NewestFirst => "newest first",
            Self::OldestFirst => "oldest first",
            Self::Neither => "not by created_at",
        })
    }
}

/// A record whose place in lists is observed.
#[derive(Clone, Debug)]
pub(super) struct Subject {
    pub(super) id: String,
    pub(super) at: Timestamp,
}

impl Subject {
    pub(super) fn of(record: &WalkedRecord) -> Self {
        Self { id: record.id.clone(), at: record.created_at }
    }

    pub(super) fn moved(&self, by: SignedDuration) -> Result<Timestamp, Unseen> {
        self.at.checked_add(by).map_err(|error| error.to_string())
    }

    /// The last digit of its time as the vendor writes times: microseconds, or nanoseconds.
    pub(super) fn step(&self) -> (SignedDuration, &'static str) {
        if self.at.subsec_nanosecond() % 1000 == 0 {
            (SignedDuration::from_micros(1), "1µs")
        } else {
            (SignedDuration::from_nanos(1), "1ns")
        }
    }
}

/// The parameters that bound `created_at` from below and above, each with its instant.
pub(super) fn lower(side: Side) -> &'static str {
    match side {
        Side::Legacy => "created_at.begin",
        Side::New => "created_at.gte",
    }
}

pub(super) fn upper(side: Side) -> &'static str {
    match side {
        Side::Legacy => "created_at.end",
        Side::New => "created_at.lte",
    }
}
