//! The rows of a side's answer that a legacy client may see.

use std::collections::{HashSet, VecDeque};
use std::ops::Range;

use jiff::Timestamp;

use super::position::id_hash;
use crate::translate::own_records::HiddenRecord;
use crate::translate::unknown::{Unknown, UnknownRows};

/// The beginning of every page.
pub(super) const HEAD: &[u8] = br#"{"items":["#;

/// About as many bytes as a row takes in an answer.
const ROW_BYTES: usize = 512;
/// About as many as its id and its reference take.
const IDS_BYTES: usize = 80;

/// The rows of one answer in the legacy format, ready to be merged into a page.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    pub(super) rows: VecDeque<ParsedRow>,
    /// [`HEAD`] and the comma-separated rows: a page already, if no other side adds rows.
    pub(super) json: Vec<u8>,
    pub(super) ids: String,
    /// Where in `ids` the id of every row received is, whether it is a row here or not.
    pub(super) received: Vec<Range<usize>>,
    /// The last row received that precedes the cursor's instant.
    pub(super) earlier: Option<usize>,
    /// The side's own cursor, if it has more rows.
    pub next: Option<String>,
    /// Rows that are not shown.
    pub dropped: DroppedRows,
    /// Those of them that match the query and would be shown if the ledger knew them as created here.
    pub hidden: Vec<HiddenRecord>,
    /// What the rows held that this build does not know.
    pub(super) unknown_rows: UnknownRows,
    /// The same beside the rows.
    pub(super) unknown_beside: Unknown,
}

/// Rows left out of a page, and unknown statuses, for logs and metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DroppedRows {
    /// Rows that the legacy API could not have made.
    pub never_conversions: usize,
    /// Rows that do not match the query, or were on an earlier page.
    pub filtered: usize,
    /// Rows that are the other side's record once more.
    pub mirrored: usize,
    /// Statuses that this build does not know.
    pub unknown_statuses: Vec<String>,
}

impl DroppedRows {
    pub(super) fn add(&mut self, other: Self) {
        self.never_conversions += other.never_conversions;
        self.filtered += other.filtered;
        self.mirrored += other.mirrored;
        self.unknown_statuses.extend(other.unknown_statuses);
    }
}

/// Where one row is in the buffers of [`Rows`].
#[derive(Clone, Debug)]
pub(super) struct ParsedRow {
    pub(super) at: Timestamp,
    /// Its number among the rows received.
    pub(super) received: usize,
    pub(super) state: RowState,
    pub(super) json: Range<usize>,
    pub(super) id: Range<usize>,
    pub(super) ref_id: Range<usize>,
}

/// Whether a row is shown when its turn comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RowState {
    Fresh,
    /// It was on an earlier page.
    Past,
    /// It is the other side's record once more.
    Mirror,
}

/// One row, borrowed from [`Rows`].
#[derive(Clone, Copy, Debug)]
pub struct RowRef<'a> {
    /// `created_at`.
    pub at: Timestamp,
    pub(crate) id: &'a str,
    /// The client's reference, decoded; empty without one.
    pub ref_id: &'a str,
    /// The conversion in the legacy format.
    pub json: &'a [u8],
}

impl Rows {
    /// No rows, with space for those of an answer of so many bytes.
    pub(super) fn for_answer(bytes: usize) -> Self {
        let rows = bytes / ROW_BYTES;
        Self {
            rows: VecDeque::with_capacity(rows),
            json: Vec::with_capacity(bytes),
            ids: String::with_capacity(rows * IDS_BYTES),
            received: Vec::with_capacity(rows),
            ..Self::default()
        }
    }

    /// What the answer held that this build does not know.
    pub(crate) fn unknown(&self) -> Unknown {
        self.unknown_rows.with(self.unknown_beside)
    }

    /// Receives a row; it is no row here yet.
    pub(super) fn receive(&mut self, id: &str) {
        let start = self.ids.len();
        self.ids.push_str(id);
        self.received.push(start..self.ids.len());
    }

    /// The hash of the id of every row received. Few pages need them, and they take longer than to copy the ids.
    pub(super) fn received_hashes(&self) -> impl Iterator<Item = u64> {
        self.received.iter().map(|id| id_hash(&self.ids[id.clone()]))
    }

    /// Appends the rows of the side's next answer.
    pub(super) fn append(&mut self, more: Self) {
        let (json, ids) = (self.json.len(), self.ids.len());
        self.json.extend_from_slice(&more.json);
        self.ids.push_str(&more.ids);
        let shifted = |range: Range<usize>, by: usize| range.start + by..range.end + by;
        self.rows.extend(more.rows.into_iter().map(|row| ParsedRow {
            at: row.at,
            received: row.received,
            state: row.state,
            json: shifted(row.json, json),
            id: shifted(row.id, ids),
            ref_id: shifted(row.ref_id, ids),
        }));
        self.next = more.next;
    }

    /// The ids of all rows.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.rows.iter().map(|row| &self.ids[row.id.clone()])
    }

    /// The references of all rows that have one.
    pub fn references(&self) -> impl Iterator<Item = &str> {
        let references = self.rows.iter().map(|row| &self.ids[row.ref_id.clone()]);
        references.filter(|ref_id| !ref_id.is_empty())
    }

    /// Leaves out the rows with these ids. The rows are no page by themselves afterwards.
    pub fn drop_mirrored(&mut self, ids: &HashSet<String>) {
        let before = self.rows.len();
        self.rows.retain(|row| !ids.contains(&self.ids[row.id.clone()]));
        self.dropped.mirrored += before - self.rows.len();
    }

    /// The rows at the beginning that were created at `at`, with their positions.
    pub(super) fn created_at(&self, at: Timestamp) -> impl Iterator<Item = (usize, RowRef<'_>)> {
        let rows = self.rows.iter().take_while(move |row| row.at == at);
        rows.map(|row| self.borrow(row)).enumerate()
    }

    /// Whether all rows were created at `at`, so that further ones may follow.
    pub(super) fn ends_at(&self, at: Timestamp) -> bool {
        self.next.is_some() && self.rows.back().is_some_and(|row| row.at == at)
    }

    pub(super) fn set_state(&mut self, position: usize, state: RowState) {
        if let Some(row) = self.rows.get_mut(position) {
            row.state = state;
        }
    }

    pub(super) fn state(&self, position: usize) -> Option<RowState> {
        self.rows.get(position).map(|row| row.state)
    }

    /// Marks the rows of earlier pages; `is_past` also gets a row's number among the rows received.
    pub(super) fn mark_past(&mut self, mut is_past: impl FnMut(RowRef<'_>, usize) -> bool) {
        for position in 0..self.rows.len() {
            let row = &self.rows[position];
            if is_past(self.borrow(row), row.received) {
                self.set_state(position, RowState::Past);
            }
        }
    }

    /// The number, among the rows received, of the next row.
    pub(super) fn next_received(&self) -> Option<usize> {
        self.rows.front().map(|row| row.received)
    }

    /// The number, among the rows received, of the next row that may be shown.
    pub(super) fn next_fresh(&self) -> Option<usize> {
        self.rows.iter().find(|row| row.state == RowState::Fresh).map(|row| row.received)
    }

    fn borrow(&self, row: &ParsedRow) -> RowRef<'_> {
        RowRef {
            at: row.at,
            id: &self.ids[row.id.clone()],
            ref_id: &self.ids[row.ref_id.clone()],
            json: self.json.get(row.json.clone()).unwrap_or_default(),
        }
    }

    pub(super) fn is_unused(&self) -> bool {
        self.rows.is_empty() && self.dropped == DroppedRows::default()
    }

    /// `created_at` and id of the next row, in the side's order.
    #[must_use]
    pub fn head(&self) -> Option<(Timestamp, &str)> {
        let row = self.rows.front()?;
        Some((row.at, &self.ids[row.id.clone()]))
    }

    pub(super) fn peek(&self) -> Option<RowRef<'_>> {
        self.rows.front().map(|row| self.borrow(row))
    }

    pub(super) fn are_all_fresh(&self) -> bool {
        self.rows.iter().all(|row| row.state == RowState::Fresh)
    }

    /// Returns the next `limit` rows as the beginning of a page, and where it ends with each of them. The JSON of all rows is gone
    /// afterwards.
    pub(super) fn take_page(&mut self, limit: usize) -> (Vec<u8>, Vec<usize>) {
        let start = self.rows.front().map_or(HEAD.len(), |row| row.json.start);
        let ends = self.rows.iter().take(limit).map(|row| row.json.end - start + HEAD.len());
        let ends: Vec<_> = ends.collect();
        // The buffer of the answer becomes the body; only what comes before the first row is cut out.
        let mut page = std::mem::take(&mut self.json);
        page.drain(HEAD.len()..start);
        page.truncate(ends.last().copied().unwrap_or(HEAD.len()));
        (page, ends)
    }

    /// The number of rows that were not taken yet.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.rows.len()
    }

    /// Removes the next row. Its JSON is empty after [`Rows::take_page`].
    pub(crate) fn pop(&mut self) -> Option<RowRef<'_>> {
        let row = self.rows.pop_front()?;
        Some(self.borrow(&row))
    }
}
