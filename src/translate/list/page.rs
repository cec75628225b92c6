//! Merges the rows of one or two sides into the client's page.
//!
//! `routes::list` asks [`PageBuilder::needs`] which calls to make, adds their rows, and finishes the page. A row moves into the
//! page only when the next row of every unfinished side is known, so the page is a correct prefix of the merged listing at any
//! time.
//!
//! Where a side is known to list the other side's conversions, rows of both that are one record (`same_record`) are shown once, on the
//! side that made it. Rows of one instant are paired before the first of them moves, so that no page ends between the two. Everything
//! else with one reference on both sides is shown twice, and reported as a suspected double.

use std::collections::HashMap;
use std::ops::Range;

use super::cursor::SortOrder;
use super::pairs::Pairs;
use super::progress::Progress;
use super::rows::{DroppedRows, HEAD, RowState, Rows};
use super::same_record::is_same_record;
use super::source::SideRows;
use super::taken_rows::{CursorContext, TakenAs, TakenRows};
use super::{Call, ListQuery};
use crate::translate::conversion::Conversion;
use crate::translate::invalid::Invalid;
use crate::translate::side::Side;

/// Merges the rows of one side or both into one page of the legacy API.
#[derive(Debug)]
pub struct PageBuilder<'q> {
    query: &'q ListQuery,
    order: SortOrder,
    sources: Vec<SideRows>,
    out: Vec<u8>,
    count: usize,
    taken: TakenRows,
    more: bool,
    dropped: DroppedRows,
    /// The rows on the page, by reference; only while two sides are merged.
    seen: HashMap<String, SeenRow>,
    doubles: Vec<SuspectedDouble>,
    pairs: Pairs,
    /// The only source that is read, while it has rows of the cursor's instant: see [`Self::save_calls`].
    alone: Option<usize>,
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

/// A page, ready to be answered.
#[derive(Debug)]
pub struct Page {
    /// The body of the legacy answer.
    pub body: Vec<u8>,
    /// Rows that are not shown.
    pub dropped: DroppedRows,
    /// References that are on the page twice, once for each side.
    pub doubles: Vec<SuspectedDouble>,
}

impl<'q> PageBuilder<'q> {
    /// An empty page that takes its rows from `sides`.
    #[must_use]
    pub fn new(query: &'q ListQuery, sides: &[Side]) -> Self {
        let unpaired_at = query.cursor().filter(|cursor| cursor.is_unpaired).map(|cursor| cursor.at);
        let is_possible = sides.len() > 1 && query.facts.has_mirrors();
        Self {
            query,
            order: query.order(),
            sources: sides.iter().map(|side| SideRows::new(*side, query)).collect(),
            out: HEAD.to_vec(),
            count: 0,
            taken: TakenRows::default(),
            more: false,
            dropped: DroppedRows::default(),
            seen: HashMap::new(),
            doubles: Vec::new(),
            pairs: Pairs { is_possible, facts: query.facts, unpaired_at, ..Pairs::default() },
            alone: None,
        }
    }

    /// The same page, from where an earlier request for it came.
    #[must_use]
    pub fn resume(query: &'q ListQuery, sides: &[Side], progress: &Progress) -> Self {
        let mut page = Self::new(query, sides);
        for (source, checkpoint) in page.sources.iter_mut().zip(&progress.checkpoints) {
            if let Some(checkpoint) = checkpoint {
                *source = (**checkpoint).clone();
            }
        }
        page.pairs.unpaired_at = progress.unpaired_at.or(page.pairs.unpaired_at);
        page
    }

    /// How far the calls came towards the position; `None` when a retry would not come further.
    #[must_use]
    pub fn progress(mut self) -> Option<Progress> {
        let at = self.query.cursor()?.at;
        if self.count > 0 || !self.taken.are_all_past() {
            return None;
        }
        let is_newly_unpaired = !self.query.cursor()?.is_unpaired && self.pairs.unpaired_at.is_some();
        let mut checkpoints = Vec::new();
        for (number, source) in self.sources.iter_mut().enumerate() {
            let checkpoint = source.checkpoint.take();
            checkpoints.push(checkpoint.map(|checkpoint| {
                let before = checkpoint.received;
                Box::new(checkpoint.with_skipped(self.taken.past_before(number, before, at)))
            }));
        }
        let is_further = is_newly_unpaired || checkpoints.iter().any(Option::is_some);
        is_further.then_some(Progress { checkpoints, unpaired_at: self.pairs.unpaired_at })
    }

    /// With too few calls left to find the position on both sides, reads one alone as long as it has rows of the cursor's instant: they
    /// may come before the other side's.
    pub fn save_calls(&mut self, calls_left: usize) {
        let Some(cursor) = self.query.cursor().filter(|_| self.count == 0 && self.alone.is_none()) else {
            return;
        };
        let calls = || self.sources.iter().map(|source| source.calls_to_position(self.query));
        if self.sources.iter().all(SideRows::is_waiting) && calls().sum::<usize>() > calls_left {
            self.alone = calls().enumerate().min_by_key(|(_, calls)| *calls).map(|(source, _)| source);
            self.pairs.unpaired_at = self.pairs.unpaired_at.or(self.pairs.is_possible.then_some(cursor.at));
        }
    }

    /// The sources that are read.
    fn read(&self) -> impl Iterator<Item = &SideRows> {
        let is_read = |source: &usize| self.alone.is_none_or(|alone| alone == *source);
        self.sources.iter().enumerate().filter(move |(source, _)| is_read(source)).map(|(_, source)| source)
    }

    /// Reads all sources again after the last row of the cursor's instant.
    fn end_alone(&mut self) {
        let Some(source) = self.alone.and_then(|alone| self.sources.get(alone)) else { return };
        let at = self.query.cursor().map(|cursor| cursor.at);
        let has_more = source.rows.head().map_or(source.is_waiting(), |(next, _)| Some(next) == at);
        if !has_more {
            self.alone = None;
        }
    }

    /// The calls to make before the page can continue; empty when it is complete. After a full page a call is small: it only has to
    /// bring one more row.
    #[must_use]
    pub fn needs(&self) -> Vec<Call> {
        if self.more || self.is_lost() {
            return Vec::new();
        }
        // One more than the page holds shows whether another page follows.
        let wanted = self.query.limit() + 1 - self.count;
        let call = |source: &SideRows| {
            let lacks_rows = self.pairs.awaited.is_some_and(|at| source.rows.ends_at(at));
            let wanted = if lacks_rows { wanted.max(10 * source.rows.remaining()) } else { wanted };
            (source.is_waiting() || lacks_rows).then(|| source.call(self.query, wanted))
        };
        self.read().filter_map(call).collect()
    }

    /// A side refused a cursor of its own that an earlier request got. `false` when there was none: the refusal stands.
    pub fn drop_hint(&mut self, side: Side) -> bool {
        let is_kept = |source: &SideRows| source.hint.is_some() || source.resumed.is_some();
        let source = self.sources.iter_mut().find(|source| source.side == side && is_kept(source));
        source.map(SideRows::drop_hint).is_some()
    }

    /// Whether a side was not read beyond the earlier pages yet.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.sources.iter().any(|source| source.is_waiting() && !source.is_beyond)
    }

    fn is_lost(&self) -> bool {
        self.sources.iter().any(|source| source.is_lost)
    }

    /// Adds references whose claims name the new side: of two rows that are one record, that side's row is shown.
    pub fn add_made_on_new(&mut self, references: impl IntoIterator<Item = String>) {
        self.pairs.made_on_new.extend(references);
    }

    /// Adds the rows of a side's answer to one of the calls.
    pub fn add(&mut self, side: Side, rows: Rows) {
        if let Some(number) = self.sources.iter().position(|source| source.side == side) {
            let source = &mut self.sources[number];
            // Its rows are read again from the start, so those taken so far do not count.
            if !source.add(self.query, rows) {
                self.taken.forget(number);
            }
            self.dropped.add(std::mem::take(&mut source.rows.dropped));
        }
        if !self.is_lost() {
            self.fill();
        }
    }

    /// Moves rows into the page while it is certain which one is next.
    fn fill(&mut self) {
        if self.count == 0 && self.sources.len() == 1 && self.fill_from_only_source() {
            return;
        }
        self.pairs.awaited = None;
        loop {
            self.end_alone();
            if self.read().any(SideRows::is_waiting) {
                return;
            }
            let Some((next, state)) = self.next_source() else { return };
            if state == RowState::Fresh {
                if self.drop_repeated(next) {
                    continue;
                }
                if self.count == self.query.limit() {
                    self.more = true;
                    return;
                }
            }
            if !self.are_paired(next) {
                if self.pairs.awaited.is_some() {
                    return;
                }
                continue;
            }
            match state {
                RowState::Fresh => self.move_row(next),
                RowState::Past => self.taken.take(&mut self.sources, next, TakenAs::Past),
                RowState::Mirror => self.taken.take(&mut self.sources, next, TakenAs::Mirror),
            }
        }
    }

    fn are_paired(&mut self, source: usize) -> bool {
        let Some((at, _)) = self.sources[source].rows.head() else { return true };
        let are_paired = self.pairs.are_paired(at, &mut self.sources);
        for source in &mut self.sources {
            self.dropped.add(std::mem::take(&mut source.rows.dropped));
        }
        are_paired
    }

    /// Leaves out the next row if it is a row of the page once more. If not, but with the same reference, it is a suspected double.
    fn drop_repeated(&mut self, source: usize) -> bool {
        let SideRows { side, rows, .. } = &self.sources[source];
        let Some(row) = rows.peek().filter(|row| !row.ref_id.is_empty()) else { return false };
        let Some(seen) = self.seen.get(row.ref_id).filter(|seen| seen.side != *side) else { return false };
        let may_repeat = self.pairs.is_possible && self.pairs.unpaired_at != Some(row.at);
        if !may_repeat || !is_same_record(self.query.facts, &self.out[seen.json.clone()], row.json) {
            return false;
        }
        self.dropped.mirrored += 1;
        self.taken.take(&mut self.sources, source, TakenAs::Repeated);
        true
    }

    /// The first rows of a single source are the page already, so no bytes are copied. `false` when there are rows of earlier pages
    /// among them.
    fn fill_from_only_source(&mut self) -> bool {
        while self.sources[0].rows.state(0) == Some(RowState::Past) {
            self.taken.take(&mut self.sources, 0, TakenAs::Past);
        }
        let rows = &mut self.sources[0].rows;
        if rows.head().is_none() || !rows.are_all_fresh() {
            return false;
        }
        let limit = self.query.limit();
        self.count = rows.remaining().min(limit);
        self.more = rows.remaining() > limit;
        let (page, ends) = rows.take_page(limit);
        self.out = page;
        self.taken.reserve(ends.len());
        for end in ends {
            self.taken.take(&mut self.sources, 0, TakenAs::Shown(end));
        }
        true
    }

    /// The source of the next row, by instant and then by id. Rows of earlier pages come first: the cursor must not fall back before
    /// them.
    fn next_source(&self) -> Option<(usize, RowState)> {
        let is_past = |source: &SideRows| source.rows.state(0) == Some(RowState::Past);
        if let Some(source) = self.sources.iter().position(is_past) {
            return Some((source, RowState::Past));
        }
        let heads = self.sources.iter().enumerate();
        let heads = heads.filter_map(|(at, source)| Some((at, source.rows.head()?)));
        let first = heads.reduce(|first, other| {
            // Only a strict precedence swaps, so equal rows keep the order of the sides from page to page.
            let swap = self.order.before(&other.1, &first.1);
            if swap { other } else { first }
        });
        first.and_then(|(at, _)| Some((at, self.sources[at].rows.state(0)?)))
    }

    fn move_row(&mut self, source: usize) {
        let Some(row) = self.sources[source].rows.peek() else { return };
        if self.count > 0 {
            self.out.push(b',');
        }
        let start = self.out.len();
        self.out.extend_from_slice(row.json);
        self.count += 1;
        if self.sources.len() > 1 && !row.ref_id.is_empty() {
            let seen = SeenRow { side: self.sources[source].side, json: start..self.out.len() };
            self.doubles.extend(note(&mut self.seen, &self.out, row.ref_id, seen));
        }
        self.taken.take(&mut self.sources, source, TakenAs::Shown(self.out.len()));
    }

    /// Ends the page before the sides are exhausted. `false` when it has no rows: an empty page with a cursor would look like the
    /// end of the listing to many clients. While no further row is known, the last one goes back: then the cursor is right.
    #[must_use]
    pub fn cut(&mut self) -> bool {
        let awaited = self.pairs.awaited.take();
        if awaited.is_some() && self.count == 0 {
            self.pairs.unpaired_at = awaited;
            self.fill();
        }
        let is_more_known = self.sources.iter().any(|source| source.rows.next_fresh().is_some());
        // A cursor needs a row that comes again: the last one is given back and opens the next page.
        if !is_more_known && self.count > 1 && !self.more {
            self.count -= 1;
            let end = self.taken.hold_back(&mut self.sources);
            self.out.truncate(end.unwrap_or(HEAD.len()));
        }
        self.more = true;
        self.count > 0
    }

    /// The finished page, with a cursor exactly when there are more conversions.
    ///
    /// # Errors
    /// When the sides do not list any more what the cursor says they listed.
    pub fn finish(mut self) -> Result<Page, Invalid> {
        if self.is_lost() {
            let what = "does not fit what the records of its instant are now; start the listing again";
            return Err(Invalid::new("page_cursor", what));
        }
        let mut body = std::mem::take(&mut self.out);
        body.push(b']');
        // What precedes a position that was not found is no run of its own.
        for (number, _) in self.sources.iter().enumerate().filter(|(_, source)| source.is_unplaced()) {
            self.taken.forget(number);
        }
        let context = CursorContext {
            query: self.query,
            order: self.order,
            sources: &self.sources,
            pairs: &self.pairs,
        };
        if let Some(cursor) = self.more.then(|| self.taken.cursor(&context)).flatten() {
            body.extend_from_slice(br#","next_page_cursor":""#);
            body.extend_from_slice(cursor.encode().as_bytes());
            body.push(b'"');
        }
        body.push(b'}');
        Ok(Page { body, dropped: self.dropped, doubles: self.doubles })
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
