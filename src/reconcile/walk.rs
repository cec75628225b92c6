//! The walk over one or both sides together, in slices of time: what either side made in a slice is known when the slice is. So memory
//! is bounded by a few pages, whatever the window, and where a walk stands is one time.

use jiff::Timestamp;

use super::side_walk::{SideWalk, whole_second};
use super::source::{RecordSource, WalkError};
use crate::translate::evidence::WalkedRecord;
use crate::translate::side::Side;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sides {
    Both,
    Only(Side),
}

impl Sides {
    /// The name in the ledger and in output.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Both => "both",
            Self::Only(side) => side.as_str(),
        }
    }

    pub(super) fn all(self) -> Vec<Side> {
        match self {
            Self::Both => vec![Side::Legacy, Side::New],
            Self::Only(side) => vec![side],
        }
    }
}

/// The records of both sides that were made before `until` and not before the slice before it ended, in order of time and id.
#[derive(Debug)]
pub(super) struct Slice {
    pub(super) until: Timestamp,
    pub(super) legacy: Vec<WalkedRecord>,
    pub(super) new: Vec<WalkedRecord>,
}

impl Slice {
    pub(super) fn of(&self, side: Side) -> &[WalkedRecord] {
        match side {
            Side::Legacy => &self.legacy,
            Side::New => &self.new,
        }
    }
}

pub(super) struct Walk {
    sides: Vec<(SideWalk, Vec<WalkedRecord>)>,
    position: Timestamp,
    end: Timestamp,
}

impl Walk {
    /// A walk over what was made from `begin` on and before `end`.
    pub(super) fn new(sides: Sides, begin: Timestamp, end: Timestamp, limit: u16) -> Self {
        let sides = sides.all().into_iter();
        let sides = sides.map(|side| (SideWalk::new(side, begin, end, limit), Vec::new())).collect();
        Self { sides, position: whole_second(begin), end }
    }

    /// The next slice; `None` at the end of the window.
    pub(super) async fn next<S: RecordSource>(&mut self, source: &S) -> Result<Option<Slice>, WalkError> {
        if self.position >= self.end {
            return Ok(None);
        }
        loop {
            let Some((walk, rows)) = self.sides.iter_mut().min_by_key(|(walk, _)| walk.watermark()) else {
                return Ok(None);
            };
            let until = walk.watermark();
            if until > self.position || walk.is_done {
                self.position = until;
                return Ok(Some(Slice {
                    until,
                    legacy: self.take(Side::Legacy, until),
                    new: self.take(Side::New, until),
                }));
            }
            rows.extend(walk.next(source).await?);
        }
    }

    /// Takes what a side made before that time.
    fn take(&mut self, side: Side, until: Timestamp) -> Vec<WalkedRecord> {
        let found = self.sides.iter_mut().find(|(walk, _)| walk.side == side);
        let Some((_, rows)) = found else { return Vec::new() };
        let mut taken: Vec<_> = rows.extract_if(.., |row| row.created_at < until).collect();
        // A side may sort records of one second in any way.
        taken.sort_unstable_by(|one, other| (one.created_at, &one.id).cmp(&(other.created_at, &other.id)));
        taken
    }

    /// Pages of a side so far.
    pub(super) fn pages(&self, side: Side) -> u64 {
        self.sides.iter().find(|(walk, _)| walk.side == side).map_or(0, |(walk, _)| walk.pages)
    }
}
