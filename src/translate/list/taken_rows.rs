//! The rows that a page took from its sides, in order, and the cursor after them.

use std::collections::HashSet;
use std::ops::Range;

use jiff::Timestamp;

use super::cursor::{Cursor, SortOrder};
use super::pairs::Pairs;
use super::position::{Hint, SidePosition, id_hash};
use super::source::SideRows;
use super::{ListQuery, second_of};
use crate::translate::side::Side;

/// A cursor stays below 2 KiB.
const CURSOR_BYTES_MAX: usize = 2047;
/// So many bytes of ids at most are named one by one.
const NAMED_BYTES_MAX: usize = 1100;
/// What an id takes that is no UUID, beside its own bytes.
const TEXT_OVERHEAD_BYTES: usize = 9;
/// What one takes that is.
const UUID_BYTES: usize = 17;
const UUID_CHARS: usize = 36;
/// A cursor of a side's own that is longer is not kept.
const HINT_BYTES_MAX: usize = 500;
/// That many rows are read again rather than kept out by a hint.
const BEHIND_MAX: usize = 64;

/// One buffer for the ids, because an allocation per row costs more than the row itself.
#[derive(Debug, Default)]
pub(super) struct TakenRows {
    ids: String,
    taken: Vec<TakenRow>,
}

#[derive(Debug)]
struct TakenRow {
    source: usize,
    at: Timestamp,
    id: Range<usize>,
    received: usize,
    taken_as: TakenAs,
}

/// What became of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TakenAs {
    /// It is on the page, whose bytes end there with it.
    Shown(usize),
    /// It is the record of a row of the page once more.
    Repeated,
    /// It is the record of another side's row once more, which may be shown before or after.
    Mirror,
    /// It was on an earlier page.
    Past,
}

/// What the cursor depends on beside the rows.
pub(super) struct CursorContext<'a> {
    pub(super) query: &'a ListQuery,
    pub(super) order: SortOrder,
    pub(super) sources: &'a [SideRows],
    pub(super) pairs: &'a Pairs,
}

impl TakenRows {
    /// Makes space for so many more rows.
    pub(super) fn reserve(&mut self, rows: usize) {
        self.taken.reserve(rows);
        self.ids.reserve(rows * UUID_CHARS);
    }

    /// Takes the next row of a source.
    pub(super) fn take(&mut self, sources: &mut [SideRows], source: usize, taken_as: TakenAs) {
        let Some(rows) = sources.get_mut(source).map(|source| &mut source.rows) else { return };
        let Some(received) = rows.next_received() else { return };
        let Some(row) = rows.pop() else { return };
        let start = self.ids.len();
        self.ids.push_str(row.id);
        self.taken.push(TakenRow { source, at: row.at, id: start..self.ids.len(), received, taken_as });
    }

    /// Takes the last row off the page, and returns where the page ends without it.
    pub(super) fn hold_back(&mut self, sources: &mut [SideRows]) -> Option<usize> {
        let is_shown = |row: &TakenRow| matches!(row.taken_as, TakenAs::Shown(_));
        let last = self.taken.iter().rposition(is_shown)?;
        for row in self.taken.drain(last..) {
            if let Some(source) = sources.get_mut(row.source) {
                source.held_back = Some(source.held_back.map_or(row.received, |held| held.min(row.received)));
            }
        }
        self.taken.iter().rev().find_map(|row| match row.taken_as {
            TakenAs::Shown(end) => Some(end),
            TakenAs::Repeated | TakenAs::Mirror | TakenAs::Past => None,
        })
    }

    /// A source begins again: its rows of earlier pages will come again.
    pub(super) fn forget(&mut self, source: usize) {
        self.taken.retain(|row| row.source != source);
    }

    pub(super) fn are_all_past(&self) -> bool {
        self.taken.iter().all(|row| row.taken_as == TakenAs::Past)
    }

    /// The ids of a source's rows of earlier pages, created then, among the first that it received.
    pub(super) fn past_before(
        &self,
        source: usize,
        received: usize,
        at: Timestamp,
    ) -> impl Iterator<Item = &str> {
        let rows = self.taken.iter();
        let rows = rows.filter(move |row| row.source == source && row.received < received && row.at == at);
        rows.map(|row| self.id(row))
    }

    fn id(&self, row: &TakenRow) -> &str {
        &self.ids[row.id.clone()]
    }

    /// The cursor after all rows.
    pub(super) fn cursor(&self, context: &CursorContext<'_>) -> Option<Cursor> {
        let at = self.taken.iter().rfind(|row| row.taken_as != TakenAs::Past)?.at;
        let before = context.query.cursor().filter(|cursor| cursor.at == at);
        let mut cursor = Cursor::new(context.order, at, Vec::new());
        cursor.filters = context.query.filters_hash();
        cursor.is_unpaired = context.pairs.unpaired_at == Some(at);
        for side in [Side::Legacy, Side::New] {
            let source = context.sources.iter().position(|source| source.side == side);
            // The other side was read alone.
            let unplaced = context.sources.iter().find(|source| source.side == side && source.is_unplaced());
            *cursor.side_mut(side) = match (source, before) {
                (Some(_), Some(before)) if unplaced.is_some() => {
                    let hint = unplaced.and_then(|source| source.hint.clone());
                    SidePosition { hint, ..before.side(side).clone() }
                }
                (Some(source), _) => self.position(context, source, at),
                (None, Some(before)) => before.side(side).clone(),
                (None, None) => SidePosition::default(),
            };
        }
        self.name(&mut cursor, before, &context.pairs.left_out);
        shorten(&mut cursor);
        Some(cursor)
    }

    fn position(&self, context: &CursorContext<'_>, source: usize, at: Timestamp) -> SidePosition {
        let rows = self.taken.iter().filter(|row| row.source == source);
        let Some(source) = context.sources.get(source) else { return SidePosition::default() };
        let before = context.query.cursor();
        let hinted = before.filter(|before| before.at == at && source.hint.is_some());
        let skipped = before.filter(|before| before.at == at).map(|_| source.skipped.clone());
        let hinted = hinted.map(|before| before.side(source.side).run.clone());
        let mut run = hinted.or(skipped).unwrap_or_default();
        let mut position = source.position;
        let mut last = None;
        let (mut instant_start, mut second_start) = (None, None);
        let second = second_of(context.order, at);
        for row in rows {
            if !context.order.before(&row.at, &second) {
                second_start.get_or_insert(row.received);
            }
            if row.at == at {
                instant_start.get_or_insert(row.received);
            }
            if row.received >= position {
                if row.at == at {
                    run.push(self.id(row));
                }
                (position, last) = (row.received + 1, Some(row));
            }
        }
        let last = match last {
            Some(row) => id_hash(self.id(row)),
            None => source.hint.as_ref().map_or(source.skipped.last_hash, |hint| hint.last),
        };
        let behind = match before.filter(|before| !context.order.before(&before.at, &second)) {
            None => second_start.map_or(0, |start| position.saturating_sub(start)),
            Some(before) => {
                let behind = before.side(source.side).behind;
                let offset = source.hint.as_ref().map_or(0, |hint| behind.saturating_sub(hint.skip));
                position + offset as usize
            }
        };
        let is_paired = context.pairs.is_possible && context.pairs.unpaired_at != Some(at);
        let paired_start = is_paired.then(|| {
            if before.is_some_and(|before| before.at == at) { 0 } else { instant_start.unwrap_or(position) }
        });
        let hint =
            (behind > BEHIND_MAX).then(|| hint(context, source, (position, last), paired_start)).flatten();
        // A hint that skips as many rows as reading from the second would skip gains nothing.
        let hint = hint.filter(|hint| (hint.skip as usize) < behind);
        SidePosition { run, behind: u32::try_from(behind).unwrap_or(u32::MAX), hint }
    }

    /// Names the rows of the cursor's instant, if they are few; else those that the runs do not hold.
    fn name(&self, cursor: &mut Cursor, before: Option<&Cursor>, left_out: &[(String, String)]) {
        let earlier: &[String] = before.map_or(&[], |before| &before.ids);
        let at_instant = || self.taken.iter().filter(|row| row.at == cursor.at);
        let named: HashSet<&str> = earlier.iter().map(String::as_str).collect();
        let newly = at_instant().filter(|row| matches!(row.taken_as, TakenAs::Shown(_) | TakenAs::Repeated));
        let newly = newly.map(|row| self.id(row));
        let mut newly: Vec<_> = newly.filter(|id| !named.contains(id)).collect();
        // The side of the left-out row may be the only one that the next page reads.
        let shown: HashSet<&str> = newly.iter().copied().collect();
        let mirrors = left_out.iter().filter(|(id, _)| shown.contains(id.as_str()));
        newly.extend(mirrors.map(|(_, mirror)| mirror.as_str()).filter(|id| !named.contains(id)));
        let mut distinct = HashSet::new();
        newly.retain(|id| distinct.insert(*id));
        let ids = || earlier.iter().map(String::as_str).chain(newly.iter().copied());
        let bytes: usize = ids().map(id_bytes).sum();
        let named_all = before.is_none_or(|before| before.names_all);
        // Names are exact, whatever order a side lists in; runs are for instants with more records than a cursor can name.
        if named_all && bytes <= NAMED_BYTES_MAX {
            cursor.ids = ids().map(str::to_owned).collect();
            let has_hint = cursor.legacy.hint.is_some() || cursor.new.hint.is_some();
            if !has_hint && !cursor.is_unpaired {
                *cursor = Cursor::new(cursor.order, cursor.at, std::mem::take(&mut cursor.ids));
                return;
            }
            if cursor.encode().len() <= CURSOR_BYTES_MAX {
                return;
            }
        }
        cursor.names_all = false;
        let in_runs = cursor.legacy.run.count as usize + cursor.new.run.count as usize;
        cursor.ids.clear();
        if !(named_all && in_runs == earlier.len() + newly.len()) {
            let taken: HashSet<&str> = at_instant().map(|row| self.id(row)).collect();
            let left = earlier.iter().filter(|id| !taken.contains(id.as_str()));
            cursor.ids = left.cloned().collect();
        }
    }
}

/// The bytes of an id in a cursor.
fn id_bytes(id: &str) -> usize {
    let is_uuid = uuid::Uuid::try_parse(id).is_ok_and(|uuid| uuid.hyphenated().to_string() == *id);
    if is_uuid { UUID_BYTES } else { TEXT_OVERHEAD_BYTES + id.len() }
}

/// The side's own cursor from which the next row is best read, if there is one; `start` is the first row that must come again.
fn hint(
    context: &CursorContext<'_>,
    source: &SideRows,
    (position, last): (usize, u64),
    start: Option<usize>,
) -> Option<Hint> {
    let next = source.held_back.or(source.rows.next_fresh());
    let start = match (start, next) {
        (Some(start), _) => start,
        (None, Some(next)) => next,
        // Without a row that comes again, an empty answer would look like that to an expired cursor.
        (None, None) if source.is_finished() => position.saturating_sub(1),
        (None, None) => source.received,
    };
    let following = source.rows.next.clone().map(|next| (source.received, Some(next)));
    let mut calls = source.calls.iter().chain(&following);
    let (begin, cursor) = calls.rfind(|(begin, _)| *begin <= start)?;
    let cursor = cursor.clone().filter(|cursor| cursor.len() <= HINT_BYTES_MAX)?;
    let skip = u32::try_from(position.saturating_sub(*begin)).ok()?;
    let Hint { since, first, .. } = source.hint.clone().unwrap_or(Hint {
        cursor: String::new(),
        since: context.query.cursor().map(|cursor| cursor.at),
        skip: 0,
        last: 0,
        first: source.first,
    });
    Some(Hint { cursor, since, skip, last, first })
}

/// Drops hints while the cursor is too long, the longest first.
fn shorten(cursor: &mut Cursor) {
    while cursor.encode().len() > CURSOR_BYTES_MAX {
        let length = |side: &SidePosition| side.hint.as_ref().map_or(0, |hint| hint.cursor.len());
        let longer = if length(&cursor.legacy) > length(&cursor.new) { Side::Legacy } else { Side::New };
        let longer = cursor.side_mut(longer);
        if longer.hint.take().is_none() {
            return;
        }
    }
}
