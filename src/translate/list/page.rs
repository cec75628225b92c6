//! A page for the client, from the rows of one side or of two.
//!
//! The flow in `cutover::list` asks [`PageBuilder::needs`] which sides to call, hands over what they answer, and finishes. Rows go
//! out only while every side that has more has shown its next row, so what has gone out is always a true prefix.

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
    ids: HandedOut,
    more: bool,
    noticed: DroppedRows,
}

/// The last instant that went out, and the ids that did at that instant, those of earlier pages included.
#[derive(Debug, Default)]
struct HandedOut {
    at: Option<Timestamp>,
    ids: String,
    ends: Vec<usize>,
}

impl HandedOut {
    fn note(&mut self, at: Timestamp, id: &str) {
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
    asked: bool,
}

impl Source {
    /// Whether the side may still hold rows that it has not shown.
    fn is_waiting(&self) -> bool {
        self.rows.head().is_none() && (!self.asked || self.rows.next.is_some())
    }
}

/// A call that the page needs: to which side, and that side's own cursor from the call before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Whom to ask.
    pub side: Side,
    /// Where that side said to go on.
    pub after: Option<String>,
}

/// A finished page.
#[derive(Debug)]
pub struct Page {
    /// The legacy answer.
    pub body: Vec<u8>,
    /// How many conversions it holds.
    pub count: usize,
    /// What to tell the operator.
    pub noticed: DroppedRows,
}

impl<'q> PageBuilder<'q> {
    /// An empty page that takes its rows from `sides`.
    #[must_use]
    pub fn new(query: &'q ListQuery, sides: &[Side]) -> Self {
        let mut ids = HandedOut::default();
        if let Some(cursor) = query.cursor() {
            ids.at = Some(cursor.at);
            cursor.handed_out().iter().for_each(|id| ids.note(cursor.at, id));
        }
        let source = |side: &Side| Source { side: *side, rows: Rows::default(), asked: false };
        Self {
            query,
            order: query.order(),
            sources: sides.iter().map(source).collect(),
            out: HEAD.to_vec(),
            count: 0,
            ids,
            more: false,
            noticed: DroppedRows::default(),
        }
    }

    /// The calls to make before the page can go on; none when it is complete.
    #[must_use]
    pub fn needs(&self) -> Vec<Call> {
        if self.more {
            return Vec::new();
        }
        let waiting = self.sources.iter().filter(|source| source.is_waiting());
        waiting.map(|source| Call { side: source.side, after: source.rows.next.clone() }).collect()
    }

    /// Takes what a side answered to one of the calls.
    pub fn take(&mut self, side: Side, mut rows: Rows) {
        let noticed = std::mem::take(&mut rows.noticed);
        self.noticed.never_conversions += noticed.never_conversions;
        self.noticed.filtered += noticed.filtered;
        self.noticed.unknown_statuses.extend(noticed.unknown_statuses);
        if let Some(source) = self.sources.iter_mut().find(|source| source.side == side) {
            source.rows = rows;
            source.asked = true;
        }
        self.fill();
    }

    /// Moves rows into the page for as long as it is certain which comes next.
    fn fill(&mut self) {
        if self.count == 0 && self.sources.len() == 1 {
            return self.take_over();
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

    /// The first rows of an only source are the page as they stand: nothing is moved.
    fn take_over(&mut self) {
        let rows = &mut self.sources[0].rows;
        let limit = self.query.limit();
        self.out = rows.take_page(limit);
        self.count = rows.len().min(limit);
        self.more = rows.len() > limit;
        for _ in 0..self.count {
            if let Some(row) = self.sources[0].rows.pop() {
                self.ids.note(row.at, row.id);
            }
        }
    }

    /// The source whose head comes first, by instant and then by id.
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
        self.ids.note(row.at, row.id);
        self.count += 1;
    }

    /// Ends the page here, though the sides have not shown all they have. `false` when it has no rows: then there is
    /// nothing truthful to return.
    #[must_use]
    pub fn cut(&mut self) -> bool {
        self.more = true;
        self.count > 0
    }

    /// The answer: a cursor exactly when there are more conversions.
    #[must_use]
    pub fn finish(self) -> Page {
        let mut body = self.out;
        body.push(b']');
        if let Some(cursor) = self.ids.cursor(self.order).filter(|_| self.more) {
            body.extend_from_slice(br#","next_page_cursor":""#);
            body.extend_from_slice(cursor.encode().as_bytes());
            body.push(b'"');
        }
        body.push(b'}');
        Page { body, count: self.count, noticed: self.noticed }
    }
}
