//! Merges the rows of one or two sides into the client's page.
//!
//! `routes::list` asks [`PageBuilder::needs`] which calls to make, adds their rows, and finishes the page. A row moves into the
//! page only when the next row of every unfinished side is known, so the page is a correct prefix of the merged listing at any
//! time.

use jiff::Timestamp;

use super::ListQuery;
use super::cursor::{Cursor, Order};
use super::rows::{DroppedRows, HEAD, Rows};
use crate::translate::side::Side;

/// A page under construction.
#[derive(Debug)]
pub struct PageBuilder<'q> {
    query: &'q ListQuery,
    order: Order,
    sources: Vec<Source>,
    out: Vec<u8>,
    count: usize,
    returned: ReturnedIds,
    more: bool,
    dropped: DroppedRows,
}

/// The `created_at` of the page's last row, and the ids of that instant, those of earlier pages included. One buffer, because
/// an allocation per row costs more than the row itself.
#[derive(Debug, Default)]
struct ReturnedIds {
    at: Option<Timestamp>,
    ids: String,
    ends: Vec<usize>,
}

impl ReturnedIds {
    fn push(&mut self, at: Timestamp, id: &str) {
        if self.at != Some(at) {
            self.at = Some(at);
            self.ids.clear();
            self.ends.clear();
        }
        self.ids.push_str(id);
        self.ends.push(self.ids.len());
    }

    fn cursor(&self, order: Order) -> Option<Cursor> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let ids = starts.zip(&self.ends).map(|(start, end)| self.ids[start..*end].to_owned());
        Some(Cursor::new(order, self.at?, ids.collect()))
    }
}

#[derive(Debug)]
struct Source {
    side: Side,
    rows: Rows,
    was_called: bool,
}

impl Source {
    /// Whether the side's next row is not known yet.
    fn is_waiting(&self) -> bool {
        self.rows.head().is_none() && (!self.was_called || self.rows.next.is_some())
    }
}

/// A call that the page needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The side to call.
    pub side: Side,
    /// That side's own cursor from the call before.
    pub after: Option<String>,
}

/// A finished page.
#[derive(Debug)]
pub struct Page {
    /// The body of the legacy answer.
    pub body: Vec<u8>,
    /// The rows left out.
    pub dropped: DroppedRows,
}

impl<'q> PageBuilder<'q> {
    /// An empty page that takes its rows from `sides`.
    #[must_use]
    pub fn new(query: &'q ListQuery, sides: &[Side]) -> Self {
        let mut returned = ReturnedIds::default();
        if let Some(cursor) = query.cursor() {
            returned.at = Some(cursor.at);
            cursor.returned_ids().iter().for_each(|id| returned.push(cursor.at, id));
        }
        let source = |side: &Side| Source { side: *side, rows: Rows::default(), was_called: false };
        Self {
            query,
            order: query.order(),
            sources: sides.iter().map(source).collect(),
            out: HEAD.to_vec(),
            count: 0,
            returned,
            more: false,
            dropped: DroppedRows::default(),
        }
    }

    /// The calls to make before the page can continue; empty when it is complete.
    #[must_use]
    pub fn needs(&self) -> Vec<Call> {
        if self.more {
            return Vec::new();
        }
        let waiting = self.sources.iter().filter(|source| source.is_waiting());
        waiting.map(|source| Call { side: source.side, after: source.rows.next.clone() }).collect()
    }

    /// Adds the rows of a side's answer to one of the calls.
    pub fn add(&mut self, side: Side, mut rows: Rows) {
        self.dropped.add(std::mem::take(&mut rows.dropped));
        if let Some(source) = self.sources.iter_mut().find(|source| source.side == side) {
            source.rows = rows;
            source.was_called = true;
        }
        self.fill();
    }

    /// Moves rows into the page while it is certain which one is next.
    fn fill(&mut self) {
        if self.count == 0 && self.sources.len() == 1 {
            return self.fill_from_only_source();
        }
        while !self.sources.iter().any(Source::is_waiting) {
            let Some(next) = self.next_source() else { return };
            if self.count == self.query.limit() {
                self.more = true;
                return;
            }
            self.move_row(next);
        }
    }

    /// The first rows of a single source are the page already, so no bytes are copied.
    fn fill_from_only_source(&mut self) {
        let rows = &mut self.sources[0].rows;
        let limit = self.query.limit();
        self.out = rows.take_page(limit);
        self.count = rows.remaining().min(limit);
        self.more = rows.remaining() > limit;
        for _ in 0..self.count {
            if let Some(row) = self.sources[0].rows.pop() {
                self.returned.push(row.at, row.id);
            }
        }
    }

    /// The source of the next row, by instant and then by id.
    fn next_source(&self) -> Option<usize> {
        let heads = self.sources.iter().enumerate();
        let heads = heads.filter_map(|(at, source)| Some((at, source.rows.head()?)));
        let first = heads.reduce(|first, other| {
            let swap = self.order.before(&other.1, &first.1);
            if swap { other } else { first }
        });
        first.map(|(at, _)| at)
    }

    fn move_row(&mut self, source: usize) {
        let rows = &mut self.sources[source].rows;
        let Some(row) = rows.pop() else { return };
        if self.count > 0 {
            self.out.push(b',');
        }
        self.out.extend_from_slice(row.json);
        self.returned.push(row.at, row.id);
        self.count += 1;
    }

    /// Ends the page before the sides are exhausted. `false` when it has no rows: an empty page with a cursor would look like the
    /// end of the listing to many clients.
    #[must_use]
    pub fn cut(&mut self) -> bool {
        self.more = true;
        self.count > 0
    }

    /// The finished page, with a cursor exactly when there are more conversions.
    #[must_use]
    pub fn finish(self) -> Page {
        let mut body = self.out;
        body.push(b']');
        if let Some(cursor) = self.returned.cursor(self.order).filter(|_| self.more) {
            body.extend_from_slice(br#","next_page_cursor":""#);
            body.extend_from_slice(cursor.encode().as_bytes());
            body.push(b'"');
        }
        body.push(b'}');
        Page { body, dropped: self.dropped }
    }
}
