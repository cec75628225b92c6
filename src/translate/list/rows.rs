//! A side's answer to a list, parsed into the rows that a legacy client may see.

use std::collections::HashSet;
use std::ops::Range;

use jiff::Timestamp;

use super::ListQuery;
use crate::translate::conversion::Conversion;
use crate::translate::evidence::has_content;
use crate::translate::json::{JsonReader, Raw, Text};
use crate::translate::mapping::{self, Mapped};
use crate::translate::orchestration::{Orchestration, Unreadable, text};
use crate::translate::own_records::{HiddenRecord, OwnRecords};
use crate::translate::side::Side;
use crate::translate::timestamp;

/// The beginning of every page.
pub(super) const HEAD: &[u8] = br#"{"items":["#;

/// The rows of one answer in the legacy format, ready to be merged into a page.
#[derive(Debug, Default)]
pub struct Rows {
    rows: std::collections::VecDeque<ParsedRow>,
    /// [`HEAD`] and the comma-separated rows: a page already, if no other side adds rows.
    json: Vec<u8>,
    ids: String,
    /// The side's own cursor, if it has more rows.
    pub next: Option<String>,
    /// The rows left out.
    pub dropped: DroppedRows,
    /// Those of them that match the query and would be shown if the ledger knew them as created here.
    pub hidden: Vec<HiddenRecord>,
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
#[derive(Debug)]
struct ParsedRow {
    at: Timestamp,
    json: Range<usize>,
    id: Range<usize>,
    ref_id: Range<usize>,
}

/// What decides whether a row is shown.
struct RowFilter<'q> {
    query: &'q ListQuery,
    own: &'q OwnRecords,
}

/// Parses one row of an answer.
type ReadRow<'a> = fn(&mut Rows, &mut JsonReader<'a>, &RowFilter<'_>) -> Result<(), Unreadable>;

/// One row, borrowed from [`Rows`].
#[derive(Clone, Copy, Debug)]
pub struct RowRef<'a> {
    /// `created_at`.
    pub at: Timestamp,
    /// The conversion's id.
    pub id: &'a str,
    /// The client's reference, decoded; empty without one.
    pub ref_id: &'a str,
    /// The conversion in the legacy format.
    pub json: &'a [u8],
}

impl Rows {
    /// Parses a side's answer.
    ///
    /// # Errors
    /// When the answer or one of its rows does not parse: a partial list must not look complete.
    pub fn of(side: Side, body: &[u8], query: &ListQuery) -> Result<Self, Unreadable> {
        Self::with_own(side, body, query, &OwnRecords::default())
    }

    /// As [`Rows::of`]; the records that the ledger knows as created here are shown whatever they look like.
    ///
    /// # Errors
    /// As [`Rows::of`].
    pub fn with_own(
        side: Side,
        body: &[u8],
        query: &ListQuery,
        own: &OwnRecords,
    ) -> Result<Self, Unreadable> {
        let row = match side {
            Side::Legacy => Self::conversion,
            Side::New => Self::orchestration,
        };
        Self::read(body, &RowFilter { query, own }, row)
    }

    /// Reads `items`, or without any the deprecated `orchestrations`.
    fn read<'a>(body: &'a [u8], filter: &RowFilter<'_>, row: ReadRow<'a>) -> Result<Self, Unreadable> {
        let mut rows = Self { json: Vec::with_capacity(body.len()), ..Self::default() };
        rows.json.extend_from_slice(HEAD);
        let mut deprecated = None;
        let mut has_list = false;
        let mut has_other_members = false;
        let mut is_doubtful = false;
        let mut reader = JsonReader::new(body)?;
        reader.object(|key, value| {
            match key {
                "items" if value.peek_kind() == Some(b'[') => {
                    has_list = true;
                    value.array(|element| row(&mut rows, element, filter))?;
                }
                "orchestrations" if value.peek_kind() == Some(b'[') => deprecated = Some(value.value()?),
                "items" | "orchestrations" => has_list |= null_list(value)?,
                "next_page_cursor" => rows.next = cursor_text(value)?,
                _ => {
                    has_other_members = true;
                    is_doubtful |= has_content(key, value.value()?);
                }
            }
            Ok::<(), Unreadable>(())
        })?;
        reader.end()?;
        // An empty list beside a count, another cursor, an error or rows under another name is not the end of the listing.
        if is_doubtful && rows.is_unused() && rows.next.is_none() && deprecated.is_none() {
            return Err(Unreadable::WrongType { field: "items", expected: "the whole list" });
        }
        if let Some(array) = deprecated.filter(|_| rows.is_unused()) {
            JsonReader::new(array.as_written().as_bytes())?
                .array(|element| row(&mut rows, element, filter))?;
        } else if !has_list && deprecated.is_none() && has_other_members {
            return Err(Unreadable::Missing { field: "items" });
        }
        Ok(rows)
    }

    fn orchestration<'a>(
        &mut self,
        reader: &mut JsonReader<'a>,
        filter: &RowFilter<'_>,
    ) -> Result<(), Unreadable> {
        let orchestration = Orchestration::read(reader)?;
        if mapping::hidden(&orchestration, filter.own.origin(&orchestration))?.is_some() {
            self.hide(&orchestration, filter.query);
            return Ok(());
        }
        let mapped = mapping::conversion(&orchestration)?;
        let Some(at) = selected(&mapped.conversion, filter.query)? else {
            self.dropped.filtered += 1;
            return Ok(());
        };
        if let Some(status) = mapped.unknown_status {
            self.dropped.unknown_statuses.push(status.as_written().to_owned());
        }
        self.push(at, &mapped.conversion, |json| mapped.conversion.write(json));
        Ok(())
    }

    /// A record that is no conversion may have any form, so what cannot be read here is no error.
    fn hide(&mut self, orchestration: &Orchestration<'_>, query: &ListQuery) {
        self.dropped.never_conversions += 1;
        let matches = |Mapped { conversion, .. }| matches!(selected(&conversion, query), Ok(Some(_)));
        if mapping::conversion(orchestration).is_ok_and(matches) {
            self.hidden.extend(HiddenRecord::of(orchestration));
        }
    }

    /// A conversion from the legacy API reaches the client byte for byte.
    fn conversion<'a>(
        &mut self,
        reader: &mut JsonReader<'a>,
        filter: &RowFilter<'_>,
    ) -> Result<(), Unreadable> {
        let written = reader.value()?.as_written().as_bytes();
        let conversion = Conversion::parse(written)?;
        match selected(&conversion, filter.query)? {
            Some(at) => self.push(at, &conversion, |json| json.extend_from_slice(written)),
            None => self.dropped.filtered += 1,
        }
        Ok(())
    }

    /// Appends a row; `write` appends its JSON.
    fn push(&mut self, at: Timestamp, row: &Conversion<'_>, write: impl FnOnce(&mut Vec<u8>)) {
        if !self.rows.is_empty() {
            self.json.push(b',');
        }
        let start = self.json.len();
        write(&mut self.json);
        let id_start = self.ids.len();
        self.ids.push_str(row.id.map_or("", Text::as_written));
        let ref_id_start = self.ids.len();
        self.ids.push_str(&row.ref_id.and_then(Text::value).unwrap_or_default());
        self.rows.push_back(ParsedRow {
            at,
            json: start..self.json.len(),
            id: id_start..ref_id_start,
            ref_id: ref_id_start..self.ids.len(),
        });
    }

    /// Appends the rows of the side's next answer.
    pub(super) fn append(&mut self, more: Self) {
        let (json, ids) = (self.json.len(), self.ids.len());
        self.json.extend_from_slice(&more.json);
        self.ids.push_str(&more.ids);
        let shifted = |range: Range<usize>, by: usize| range.start + by..range.end + by;
        self.rows.extend(more.rows.into_iter().map(|row| ParsedRow {
            at: row.at,
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

    fn borrow(&self, row: &ParsedRow) -> RowRef<'_> {
        RowRef {
            at: row.at,
            id: &self.ids[row.id.clone()],
            ref_id: &self.ids[row.ref_id.clone()],
            json: self.json.get(row.json.clone()).unwrap_or_default(),
        }
    }

    fn is_unused(&self) -> bool {
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

    /// Removes the row at a position.
    pub(super) fn remove(&mut self, position: usize) {
        self.rows.remove(position);
    }

    /// Returns the first `limit` rows as the beginning of a page. The JSON of all rows is gone afterwards.
    pub(super) fn take_page(&mut self, limit: usize) -> Vec<u8> {
        let end = self.rows.iter().take(limit).next_back().map_or(HEAD.len(), |row| row.json.end);
        let mut page = std::mem::take(&mut self.json);
        page.truncate(end);
        page
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

/// The row's `created_at`, if the row matches the query and was on no earlier page. Every filter is checked again, because a
/// side that ignores a filter must not leak other rows.
fn selected(row: &Conversion<'_>, query: &ListQuery) -> Result<Option<Timestamp>, Unreadable> {
    let at = read_instant(row.created_at, "created_at")?;
    let is_profile = |filter: &String| row.profile_id.is_some_and(|profile| profile.says(filter));
    let is_ref_id = |filter: &String| {
        let ref_id = row.ref_id.and_then(Text::value);
        ref_id.is_some_and(|ref_id| query.facts.ref_match.same(filter, &ref_id) == Some(true))
    };
    let updated = || read_instant(row.updated_at, "updated_at").map(|at| query.updated.contains(at));
    let is_selected = query.profile_id.as_ref().is_none_or(is_profile)
        && query.ref_id.as_ref().is_none_or(is_ref_id)
        && query.created.contains(at)
        && !query.cursor().is_some_and(|cursor| cursor.is_past(at, row.id.map_or("", Text::as_written)))
        && (query.updated.is_open() || updated()?);
    Ok(is_selected.then_some(at))
}

fn read_instant(text: Option<Text<'_>>, field: &'static str) -> Result<Timestamp, Unreadable> {
    let text = text.ok_or(Unreadable::Missing { field })?;
    text.value()
        .and_then(|text| timestamp::parse(&text))
        .ok_or(Unreadable::WrongType { field, expected: "an RFC 3339 timestamp" })
}

/// A cursor that cannot be sent back is an error: taken for the end of the list, it would hide the remaining rows.
fn cursor_text(value: &mut JsonReader<'_>) -> Result<Option<String>, Unreadable> {
    const FIELD: &str = "next_page_cursor";
    let Some(text) = text(value, FIELD)? else { return Ok(None) };
    let cursor = text.value().ok_or(Unreadable::WrongType { field: FIELD, expected: "a string" })?;
    Ok(Some(cursor.into_owned()).filter(|cursor| !cursor.is_empty()))
}

fn null_list(value: &mut JsonReader<'_>) -> Result<bool, Unreadable> {
    if value.value().map(Raw::is_null)? {
        Ok(true)
    } else {
        Err(Unreadable::WrongType { field: "items", expected: "an array" })
    }
}
