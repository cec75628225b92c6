//! The walk over one side's list, oldest first. It asks by time, not by cursor: each page begins again at the whole second in which the
//! page before ended, so that a cursor that expired, or a process that was killed, costs one page. Rows that come twice are shown once, and
//! a row that does not come again ends the walk: then the list is not the same from page to page.

use std::collections::HashSet;

use jiff::{RoundMode, Timestamp, TimestampRound, Unit};

use super::source::{PageCall, RecordSource, WalkError};
use crate::translate::evidence::WalkedRecord;
use crate::translate::side::Side;

/// Pages without a new row after which a side is taken for one that leads in a circle.
const EMPTY_PAGES_MAX: usize = 1000;
/// Records of one second that are kept in memory.
pub(super) const SECOND_MAX: usize = 200_000;

pub(super) struct SideWalk {
    pub(super) side: Side,
    end: Timestamp,
    limit: u16,
    /// The whole second that the next call begins at.
    floor: Timestamp,
    /// The side's own cursor, while a page ends in the second in which it begins.
    after: Option<String>,
    /// The ids of the second `floor` that were shown.
    shown: HashSet<String>,
    /// Those of them that the call which began at `floor` again has not repeated yet.
    expected: HashSet<String>,
    barren: usize,
    pub(super) is_done: bool,
    pub(super) pages: u64,
}

impl SideWalk {
    pub(super) fn new(side: Side, begin: Timestamp, end: Timestamp, limit: u16) -> Self {
        Self {
            side,
            end,
            limit,
            floor: whole_second(begin),
            after: None,
            shown: HashSet::new(),
            expected: HashSet::new(),
            barren: 0,
            is_done: false,
            pages: 0,
        }
    }

    /// Every record that was made before this was shown.
    pub(super) fn watermark(&self) -> Timestamp {
        if self.is_done { self.end } else { self.floor }
    }

    /// Asks for a page and returns its new rows.
    pub(super) async fn next<S: RecordSource>(&mut self, source: &S) -> Result<Vec<WalkedRecord>, WalkError> {
        let (side, begin, end, limit) = (self.side, self.floor, self.end, self.limit);
        let call = PageCall { side, begin, end, limit, after: self.after.as_deref() };
        let page = source.page(&call).await?;
        self.pages += 1;
        self.check_order(&page.records)?;
        let last = page.records.last().map_or(self.floor, |row| whole_second(row.created_at)).max(self.floor);
        let mut rows = Vec::with_capacity(page.records.len());
        for row in page.records {
            self.expected.remove(&row.id);
            let at = whole_second(row.created_at);
            let is_new =
                // Rows of other seconds come once: the next page begins at the second in which this one ended.
                if at == last || at == self.floor { self.shown.insert(row.id.clone()) } else { true };
            if is_new && row.created_at < self.end {
                rows.push(row);
            }
        }
        self.barren = if rows.is_empty() { self.barren + 1 } else { 0 };
        self.advance(last, page.next, &rows)?;
        Ok(rows)
    }

    /// A side that ignores the order or the lower bound would make a walk skip what it has not seen. Whole seconds, because a side may
    /// sort by fewer digits than it shows.
    fn check_order(&self, rows: &[WalkedRecord]) -> Result<(), WalkError> {
        let seconds = std::iter::once(self.floor).chain(rows.iter().map(|row| whole_second(row.created_at)));
        if seconds.is_sorted() { Ok(()) } else { self.inconsistent("a list in ascending order is not") }
    }

    fn advance(
        &mut self,
        last: Timestamp,
        next: Option<String>,
        rows: &[WalkedRecord],
    ) -> Result<(), WalkError> {
        let repeats = next.is_some() && next == self.after;
        if repeats || self.barren > EMPTY_PAGES_MAX {
            return self.inconsistent("its cursor leads in a circle");
        }
        if self.shown.len() > SECOND_MAX {
            return Err(WalkError::TooDense { side: self.side, max: SECOND_MAX });
        }
        let passed = next.is_none() || last > self.floor;
        // Rows of that second that the page before showed must have come again by now.
        if passed && !self.expected.is_empty() {
            return self.inconsistent("a record that was listed a moment ago is not listed any more");
        }
        match next {
            None => self.is_done = true,
            Some(_) if last > self.floor => {
                // The ids of the second that ended the page; those of the seconds before are not needed any more.
                let of_last = rows.iter().filter(|row| whole_second(row.created_at) == last);
                self.shown = of_last.map(|row| row.id.clone()).collect();
                self.expected.clone_from(&self.shown);
                (self.floor, self.after) = (last, None);
            }
            Some(cursor) => self.after = Some(cursor),
        }
        Ok(())
    }

    fn inconsistent(&self, reason: &'static str) -> Result<(), WalkError> {
        Err(WalkError::Inconsistent { side: self.side, reason })
    }
}

/// The beginning of the second.
pub(super) fn whole_second(at: Timestamp) -> Timestamp {
    at.round(TimestampRound::new().smallest(Unit::Second).mode(RoundMode::Floor)).unwrap_or(at)
}
