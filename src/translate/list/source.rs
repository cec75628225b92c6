//! The calls of one page to one side: where they begin, which rows they bring that were on earlier pages, and how many to request.
//!
//! Without a hint the side is read from the second of the cursor's instant on, and the rows of that instant are compared with the
//! cursor. With one it is read from its own cursor on, and the last row of the earlier pages must come where it is expected; otherwise
//! the hint is dropped and the side is read again without it.

use super::cursor::Cursor;
use super::position::{Hint, Run};
use super::rows::{RowState, Rows};
use super::{Call, LIMIT_MAX, ListQuery};
use crate::translate::side::Side;

/// A refill requests no fewer rows: each may be dropped.
const REFILL_ROWS_MIN: usize = 10;
/// A retry needs no more of the calls: its hint begins with one of the last.
const CALLS_KEPT: usize = 4;
/// A retry goes on from no longer cursor of a side's own.
const CURSOR_BYTES_MAX: usize = 4096;

#[derive(Clone, Debug)]
pub(super) struct SideRows {
    pub(super) side: Side,
    pub(super) rows: Rows,
    was_called: bool,
    pub(super) hint: Option<Hint>,
    /// Each call's number of rows before it, and the side's cursor that it began with.
    pub(super) calls: Vec<(usize, Option<String>)>,
    /// The number of rows received, whatever they are.
    pub(super) received: usize,
    /// The hash of the first of them.
    pub(super) first: u64,
    /// That many of the first rows received are on earlier pages; where a hint is, known once its row was found.
    pub(super) position: usize,
    is_located: bool,
    /// The rows of the cursor's instant so far, and how many landmarks of the cursor's run are among them.
    seen: Run,
    passed: usize,
    /// The first row that went back from the page to the side.
    pub(super) held_back: Option<usize>,
    /// Whether the newest answer went beyond the earlier pages.
    pub(super) is_beyond: bool,
    /// Grows tenfold with each answer that brought few rows of the page, because the next one would as well.
    growth: usize,
    /// The cursor does not fit what the side lists now.
    pub(super) is_lost: bool,
    /// Whether an answer brought rows of this page.
    has_given: bool,
    /// Whether an answer brought rows that may be shown.
    has_fresh: bool,
    /// Where a retry may go on.
    pub(super) checkpoint: Option<Box<Self>>,
    /// The hash of the row that the next answer must begin with, because a request before this one had it.
    pub(super) resumed: Option<u64>,
    /// The rows of the cursor's instant that requests before this one passed.
    pub(super) skipped: Run,
}

impl SideRows {
    pub(super) fn new(side: Side, query: &ListQuery) -> Self {
        // A hint counts rows under the filters that it was made with.
        let cursor = query.cursor().filter(|cursor| cursor.filters == query.filters_hash());
        Self {
            side,
            rows: Rows::default(),
            was_called: false,
            hint: cursor.and_then(|cursor| cursor.side(side).hint.clone()),
            calls: Vec::new(),
            received: 0,
            first: 0,
            position: 0,
            is_located: false,
            seen: Run::default(),
            passed: 0,
            held_back: None,
            is_beyond: false,
            growth: 1,
            is_lost: false,
            has_given: false,
            has_fresh: false,
            checkpoint: None,
            resumed: None,
            skipped: Run::default(),
        }
    }

    /// Whether the side's next row is not known yet.
    pub(super) fn is_waiting(&self) -> bool {
        self.rows.head().is_none() && (!self.was_called || self.rows.next.is_some())
    }

    /// Whether the side has no more rows than those in hand.
    pub(super) const fn is_finished(&self) -> bool {
        self.was_called && self.rows.next.is_none()
    }

    /// Whether the position was not found among the side's rows yet.
    pub(super) fn is_unplaced(&self) -> bool {
        self.is_waiting() && !self.has_fresh
    }

    /// The number of rows of earlier pages that are still to come.
    fn past(&self, query: &ListQuery) -> usize {
        let past = match (&self.hint, query.cursor()) {
            (Some(hint), _) => hint.skip as usize,
            (None, Some(cursor)) => cursor.ids.len().max(cursor.side(self.side).behind as usize),
            (None, None) => 0,
        };
        past.saturating_sub(self.received)
    }

    /// The number of calls until the first row that is on no earlier page, or more.
    pub(super) fn calls_to_position(&self, query: &ListQuery) -> usize {
        (self.past(query) + 1).div_ceil(LIMIT_MAX.into())
    }

    /// The next call, for `wanted` rows that may be shown.
    pub(super) fn call(&self, query: &ListQuery, wanted: usize) -> Call {
        let (cursor, past) = (query.cursor(), self.past(query));
        let rows = if self.was_called {
            (wanted + past).saturating_mul(self.growth).max(REFILL_ROWS_MIN)
        } else {
            query.limit() + 1 + past
        };
        Call {
            side: self.side,
            limit: u16::try_from(rows).unwrap_or(LIMIT_MAX).min(LIMIT_MAX),
            after: self.next_cursor(),
            since: match &self.hint {
                Some(hint) => hint.since,
                None => cursor.map(|cursor| cursor.at),
            },
            has_hint: self.hint.is_some() && !self.was_called || self.resumed.is_some(),
        }
    }

    fn next_cursor(&self) -> Option<String> {
        if self.was_called {
            return self.rows.next.clone();
        }
        self.hint.as_ref().map(|hint| hint.cursor.clone())
    }

    /// Begins again, without the hint or the progress of an earlier request.
    pub(super) fn drop_hint(&mut self) {
        (self.hint, self.resumed, self.checkpoint) = (None, None, None);
        self.was_called = false;
        self.rows = Rows::default();
        self.calls.clear();
        (self.received, self.position, self.is_located) = (0, 0, false);
        (self.seen, self.skipped, self.passed) = (Run::default(), Run::default(), 0);
    }

    /// Adds an answer's rows. `false` when it drops the hint or the progress that they do not fit.
    pub(super) fn add(&mut self, query: &ListQuery, mut rows: Rows) -> bool {
        let resumed = self.resumed.take();
        // The page does not begin with the row it began with before: the side's cursor no longer leads to the same place.
        if resumed.is_some() && rows.received_hashes().next() != resumed {
            self.drop_hint();
            return false;
        }
        let may_resume = self.was_called && !self.has_fresh && self.hint.is_none();
        if may_resume && self.rows.head().is_none() {
            self.keep_checkpoint(&rows);
        }
        let fits = match (query.cursor(), self.hint.take()) {
            (None, _) => true,
            (Some(cursor), None) => {
                self.is_lost |= !self.compare(cursor, &mut rows);
                true
            }
            (Some(cursor), Some(hint)) => {
                let fits = self.locate(cursor, &hint, &mut rows);
                self.hint = Some(hint);
                fits
            }
        };
        if !fits {
            // Rows of an earlier answer may be on the page, and would come again.
            self.is_lost |= self.has_given;
            self.drop_hint();
            return false;
        }
        self.calls.push((self.received, self.next_cursor()));
        self.count(&mut rows);
        if self.rows.head().is_none() {
            self.rows = rows;
        } else {
            self.rows.append(rows);
        }
        self.was_called = true;
        true
    }

    /// Keeps the state before an answer. The side is not taken at its word that its cursor still works then: the answer is requested
    /// again, and must begin with the same row.
    fn keep_checkpoint(&mut self, answer: &Rows) {
        self.checkpoint = None;
        let Some(first) = answer.received_hashes().next() else { return };
        // Only the buffers of rows that were taken are left.
        self.rows = Rows { next: self.rows.next.take(), ..Rows::default() };
        self.calls.drain(..self.calls.len().saturating_sub(CALLS_KEPT));
        if self.rows.next.as_ref().is_some_and(|next| next.len() <= CURSOR_BYTES_MAX) {
            self.checkpoint = Some(Box::new(Self { resumed: Some(first), ..self.clone() }));
        }
    }

    /// The checkpoint, with the rows of the cursor's instant that came before it.
    pub(super) fn with_skipped<'a>(mut self, ids: impl Iterator<Item = &'a str>) -> Self {
        ids.for_each(|id| self.skipped.push(id));
        self.position = self.received;
        self
    }

    fn count(&mut self, rows: &mut Rows) {
        let received = rows.received.len();
        let is_past = |row: &&super::rows::ParsedRow| row.state == RowState::Past;
        let past = rows.rows.iter().filter(is_past).count();
        let last_past = rows.rows.iter().rfind(is_past).map(|row| row.received);
        let has_fresh = rows.next_fresh().is_some();
        // Rows that are never shown may come between those of earlier pages.
        self.is_beyond = has_fresh || received == 0 || rows.earlier.is_none() && last_past.is_none();
        self.has_fresh |= has_fresh;
        let earlier = rows.earlier.map_or(0, |last| last + 1);
        let others = received.saturating_sub(past + earlier);
        self.has_given |= others > 0;
        if !self.is_beyond || (rows.rows.len() - past) * 2 < others {
            // Most of the answer was of no use; ten times as many rows keep the number of calls small.
            self.growth = self.growth.saturating_mul(10);
        }
        rows.dropped.filtered += past;
        if self.received == 0 {
            self.first = rows.received_hashes().next().unwrap_or_default();
        }
        for row in &mut rows.rows {
            row.received += self.received;
        }
        self.received += received;
    }

    /// Marks the rows of earlier pages after a call with the hint. `false` when they do not fit.
    fn locate(&mut self, cursor: &Cursor, hint: &Hint, rows: &mut Rows) -> bool {
        let count = rows.received.len();
        let found = rows.received_hashes().position(|hash| hash == hint.last).filter(|_| !self.is_located);
        let is_located = self.is_located || found.is_some() || hint.skip == 0 && count > 0;
        let past = match found {
            Some(last) => last + 1,
            None if is_located => 0,
            None => count,
        };
        let is_restart = rows.received_hashes().any(|hash| hash == hint.first);
        let is_disordered = rows.earlier.is_some_and(|row| row >= past)
            || rows.rows.iter().any(|row| row.received < past && row.at != cursor.at);
        // An expired cursor may be answered with the first page, or with rows of elsewhere; neither may be taken for the next page.
        if is_restart || is_disordered || !is_located && rows.next.is_none() {
            return false;
        }
        rows.mark_past(|row, number| match row.at == cursor.at {
            // A row that its side lists late.
            true if cursor.names_all => cursor.names(row.id),
            is_at => number < past || is_at && cursor.names(row.id),
        });
        if !self.is_located {
            self.position = self.received + past;
        }
        self.is_located = is_located;
        true
    }

    /// Marks the rows of earlier pages after a call without a hint. `false` when the cursor does not fit them.
    fn compare(&mut self, cursor: &Cursor, rows: &mut Rows) -> bool {
        let run = &cursor.side(self.side).run;
        let has_run = !cursor.names_all && run.count > 0;
        let (seen, passed, is_located) = (&mut self.seen, &mut self.passed, &mut self.is_located);
        let mut fits = true;
        rows.mark_past(|row, _| {
            if row.at != cursor.at {
                // The run's last row cannot come any more.
                fits &= *is_located || !has_run || run.has_by_order("").is_some();
                return false;
            }
            seen.push(row.id);
            *passed += usize::from(run.landmarks.get(*passed) == Some(&seen.last_hash));
            if cursor.names(row.id) || !has_run {
                return cursor.names(row.id);
            }
            if let Some(is_past) = run.has_by_order(row.id) {
                return is_past;
            }
            let is_past = !*is_located;
            if is_past && seen.last_hash == run.last_hash {
                *is_located = true;
                fits &= run.is_within(seen, *passed);
            }
            is_past
        });
        fits && (rows.next.is_some() || *is_located || !has_run || run.has_by_order("").is_some())
    }
}
