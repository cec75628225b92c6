//! Merges the rows of one or two sides into the client's page.
//!
//! `routes::list` asks [`PageBuilder::needs`] which calls to make, adds their rows, and finishes the page. A row moves into the
//! page only when the next row of every unfinished side is known, so the page is a correct prefix of the merged listing at any
//! time.
//!
//! Where a side is known to list the other side's conversions, rows of both that are one record (`same_record`) are shown once, on the
//! side that made it. Rows of one instant are paired before the first of them moves, so that no page ends between the two. Everything
//! else with one reference on both sides is shown twice, and reported as a suspected double.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use jiff::Timestamp;

use super::ListQuery;
use super::cursor::{Cursor, SortOrder};
use super::rows::{DroppedRows, HEAD, Rows};
use super::same_record::is_same_record;
use crate::translate::conversion::Conversion;
use crate::translate::side::Side;

/// A page under construction.
#[derive(Debug)]
pub struct PageBuilder<'q> {
    query: &'q ListQuery,
    order: SortOrder,
    sources: Vec<Source>,
    out: Vec<u8>,
    count: usize,
    returned: ReturnedIds,
    more: bool,
    dropped: DroppedRows,
    /// The rows on the page, by reference; only while two sides are merged.
    seen: HashMap<String, SeenRow>,
    doubles: Vec<SuspectedDouble>,
    /// Whether rows of both sides may be one record.
    pairs: bool,
    /// The instant whose rows are paired.
    paired_at: Option<Timestamp>,
    /// Ids of rows to be shown, each with the id of the row that is left out for it.
    mirror_ids: Vec<(String, String)>,
    /// References whose claims name the new side.
    made_on_new: HashSet<String>,
    /// The instant of which further rows are needed.
    awaited: Option<Timestamp>,
}

#[derive(Debug)]
struct SeenRow {
    side: Side,
    /// Its bytes on the page.
    json: Range<usize>,
}

/// Two records with one reference, one on each side, that are not known to be one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SuspectedDouble {
    /// The id on the legacy side.
    pub(crate) legacy_id: String,
    /// The id on the new side.
    pub(crate) new_id: String,
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

    fn cursor(&self, order: SortOrder) -> Option<Cursor> {
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
    /// References that are on the page twice, once for each side.
    pub doubles: Vec<SuspectedDouble>,
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
            seen: HashMap::new(),
            doubles: Vec::new(),
            pairs: sides.len() > 1 && query.facts.has_mirrors(),
            paired_at: None,
            mirror_ids: Vec::new(),
            made_on_new: HashSet::new(),
            awaited: None,
        }
    }

    /// The calls to make before the page can continue; empty when it is complete.
    #[must_use]
    pub fn needs(&self) -> Vec<Call> {
        if self.more {
            return Vec::new();
        }
        let lacks_rows = |source: &&Source| self.awaited.is_some_and(|at| source.rows.ends_at(at));
        let waiting = self.sources.iter().filter(|source| source.is_waiting() || lacks_rows(source));
        waiting.map(|source| Call { side: source.side, after: source.rows.next.clone() }).collect()
    }

    /// Adds references whose claims name the new side: of two rows that are one record, that side's row is shown.
    pub fn add_made_on_new(&mut self, references: impl IntoIterator<Item = String>) {
        self.made_on_new.extend(references);
    }

    /// Adds the rows of a side's answer to one of the calls.
    pub fn add(&mut self, side: Side, mut rows: Rows) {
        self.dropped.add(std::mem::take(&mut rows.dropped));
        if let Some(source) = self.sources.iter_mut().find(|source| source.side == side) {
            if source.rows.head().is_none() {
                source.rows = rows;
            } else {
                source.rows.append(rows);
            }
            source.was_called = true;
        }
        self.fill();
    }

    /// Moves rows into the page while it is certain which one is next.
    fn fill(&mut self) {
        if self.count == 0 && self.sources.len() == 1 {
            return self.fill_from_only_source();
        }
        self.awaited = None;
        while !self.sources.iter().any(Source::is_waiting) {
            let Some(next) = self.next_source() else { return };
            if self.drop_repeated(next) {
                continue;
            }
            if self.count == self.query.limit() {
                self.more = true;
                return;
            }
            if self.pairs && !self.is_paired(next) {
                if self.awaited.is_some() {
                    return;
                }
                continue;
            }
            self.move_row(next);
        }
    }

    /// Leaves out the next row if it is a row of the page once more. If not, but with the same reference, it is a suspected double.
    fn drop_repeated(&mut self, source: usize) -> bool {
        let Source { side, rows, .. } = &self.sources[source];
        let Some(row) = rows.peek().filter(|row| !row.ref_id.is_empty()) else { return false };
        let Some(seen) = self.seen.get(row.ref_id).filter(|seen| seen.side != *side) else { return false };
        if !self.pairs || !is_same_record(self.query.facts, &self.out[seen.json.clone()], row.json) {
            return false;
        }
        self.returned.push(row.at, row.id);
        self.dropped.mirrored += 1;
        self.sources[source].rows.pop();
        true
    }

    /// Whether the rows of the next row's instant were paired before. If not, they are now; or more rows are awaited.
    fn is_paired(&mut self, source: usize) -> bool {
        let Some((at, _)) = self.sources[source].rows.head() else { return true };
        if self.paired_at == Some(at) {
            return true;
        }
        if self.sources.iter().any(|source| source.rows.ends_at(at)) {
            self.awaited = Some(at);
            return false;
        }
        self.paired_at = Some(at);
        self.pair_rows(at);
        false
    }

    /// Leaves out the rows of that instant that are the other side's record once more.
    fn pair_rows(&mut self, at: Timestamp) {
        let [one, other] = &self.sources[..] else { return };
        let by_ref: HashMap<_, _> =
            one.rows.created_at(at).map(|(position, row)| (row.ref_id, (position, row))).collect();
        let pairs: Vec<_> = other
            .rows
            .created_at(at)
            .filter_map(|(position, row)| {
                let (first_position, first) = by_ref.get(row.ref_id)?;
                let is_same = is_same_record(self.query.facts, first.json, row.json);
                let first_is_shown = one.side == self.side_that_made(row.ref_id);
                let ids = (first.id.to_owned(), row.id.to_owned());
                is_same.then_some((first_is_shown, *first_position, position, ids))
            })
            .collect();
        let mut left_out = [Vec::new(), Vec::new()];
        for (first_is_shown, first, second, (first_id, second_id)) in pairs {
            let (source, position) = if first_is_shown { (1, second) } else { (0, first) };
            left_out[source].push(position);
            self.mirror_ids.push(if first_is_shown { (first_id, second_id) } else { (second_id, first_id) });
        }
        for (source, mut positions) in self.sources.iter_mut().zip(left_out) {
            self.dropped.mirrored += positions.len();
            // From the end, so that the positions before stay.
            positions.sort_unstable_by(|one, other| other.cmp(one));
            positions.into_iter().for_each(|position| source.rows.remove(position));
        }
    }

    /// The side that the claim of a reference names; without one, the side whose records the other one is known to list.
    fn side_that_made(&self, ref_id: &str) -> Side {
        if self.made_on_new.contains(ref_id) { Side::New } else { self.query.facts.mirrored_side() }
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
        let is_merged = self.sources.len() > 1;
        let Source { side, rows, .. } = &mut self.sources[source];
        let Some(row) = rows.pop() else { return };
        if self.count > 0 {
            self.out.push(b',');
        }
        let start = self.out.len();
        self.out.extend_from_slice(row.json);
        self.returned.push(row.at, row.id);
        for (_, mirror_id) in self.mirror_ids.extract_if(.., |(id, _)| id == row.id) {
            self.returned.push(row.at, &mirror_id);
        }
        self.count += 1;
        if is_merged && !row.ref_id.is_empty() {
            let seen = SeenRow { side: *side, json: start..self.out.len() };
            self.doubles.extend(note(&mut self.seen, &self.out, row.ref_id, seen));
        }
    }

    /// Ends the page before the sides are exhausted. `false` when it has no rows: an empty page with a cursor would look like the
    /// end of the listing to many clients.
    #[must_use]
    pub fn cut(&mut self) -> bool {
        if self.awaited.take().is_some() && self.count == 0 {
            // Too many rows of one instant to pair them: shown twice is better than not at all.
            self.pairs = false;
            self.fill();
        }
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
        Page { body, dropped: self.dropped, doubles: self.doubles }
    }
}

/// Remembers a row of the page by its reference; `Some` when the other side has the same reference on the page.
fn note(
    seen: &mut HashMap<String, SeenRow>,
    page: &[u8],
    ref_id: &str,
    row: SeenRow,
) -> Option<SuspectedDouble> {
    let Some(other) = seen.get(ref_id) else {
        seen.insert(ref_id.to_owned(), row);
        return None;
    };
    let (legacy, new) = match (other.side, row.side) {
        (Side::Legacy, Side::New) => (other, &row),
        (Side::New, Side::Legacy) => (&row, other),
        (Side::Legacy, Side::Legacy) | (Side::New, Side::New) => return None,
    };
    let id = |row: &SeenRow| Conversion::parse(&page[row.json.clone()]).and_then(Conversion::into_id);
    Some(SuspectedDouble { legacy_id: id(legacy).unwrap_or_default(), new_id: id(new).unwrap_or_default() })
}
