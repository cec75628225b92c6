//! A page for the client, from the rows of one side or of two.
//!
//! The flow in `cutover::list` asks [`Page::needs`] which sides to call, hands over what they answer, and finishes. Rows go
//! out only while every side that has more has shown its next row, so what has gone out is always a true prefix.

use jiff::Timestamp;

use super::ListQuery;
use super::cursor::{Cursor, Order};
use super::rows::{Noticed, Rows};
use crate::side::Side;

/// A page under construction.
#[derive(Debug)]
pub struct Page<'q> {
    query: &'q ListQuery,
    order: Order,
    sources: Vec<Source>,
    out: Vec<u8>,
    count: usize,
    last: Option<Timestamp>,
    /// Ids that went out at `last`, those of earlier pages included.
    ids_at_last: Vec<String>,
    more: bool,
    noticed: Noticed,
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
pub struct Finished {
    /// The legacy answer.
    pub body: Vec<u8>,
    /// How many conversions it holds.
    pub count: usize,
    /// What to tell the operator.
    pub noticed: Noticed,
}

const HEAD: &[u8] = br#"{"items":["#;

impl<'q> Page<'q> {
    /// An empty page that takes its rows from `sides`.
    #[must_use]
    pub fn new(query: &'q ListQuery, sides: &[Side]) -> Self {
        let source = |side: &Side| Source { side: *side, rows: Rows::default(), asked: false };
        Self {
            query,
            order: query.order(),
            sources: sides.iter().map(source).collect(),
            out: HEAD.to_vec(),
            count: 0,
            last: query.cursor().map(|cursor| cursor.at),
            ids_at_last: query.cursor().map_or_else(Vec::new, |cursor| cursor.handed_out().to_vec()),
            more: false,
            noticed: Noticed::default(),
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
        if self.out.capacity() < 4096
            && let [source] = self.sources.as_slice()
        {
            self.out.reserve(source.rows.bytes() + 256);
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

    /// The source whose head comes first, by instant and then by id.
    fn next_source(&self) -> Option<usize> {
        let heads = self.sources.iter().enumerate();
        let heads = heads.filter_map(|(at, source)| Some((at, source.rows.head()?)));
        let first = heads.reduce(|first, other| {
            let swap = self.order.before(&(other.1.at, other.1.id), &(first.1.at, first.1.id));
            if swap { other } else { first }
        });
        first.map(|(at, _)| at)
    }

    fn move_row(&mut self, source: usize) {
        let rows = &mut self.sources[source].rows;
        let Some(row) = rows.head() else { return };
        if self.count > 0 {
            self.out.push(b',');
        }
        self.out.extend_from_slice(row.json);
        if self.last != Some(row.at) {
            self.last = Some(row.at);
            self.ids_at_last.clear();
        }
        self.ids_at_last.push(row.id.to_owned());
        self.count += 1;
        rows.pop();
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
    pub fn finish(self) -> Finished {
        let mut body = self.out;
        body.push(b']');
        if let Some(at) = self.last.filter(|_| self.more) {
            let cursor = Cursor::new(self.order, at, self.ids_at_last).encode();
            body.extend_from_slice(br#","next_page_cursor":""#);
            body.extend_from_slice(cursor.as_bytes());
            body.push(b'"');
        }
        body.push(b'}');
        Finished { body, count: self.count, noticed: self.noticed }
    }
}
