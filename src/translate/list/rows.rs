//! A side's answer to a list, parsed into the rows that a legacy client may see.

use std::ops::Range;

use jiff::Timestamp;

use super::ListQuery;
use crate::translate::conversion::Conversion;
use crate::translate::json::{Raw, Reader, Text};
use crate::translate::mapping;
use crate::translate::orchestration::{Orchestration, Unreadable, text};
use crate::translate::side::Side;
use crate::translate::timestamp;

/// The beginning of every page.
pub(super) const HEAD: &[u8] = br#"{"items":["#;

/// The rows of one answer in the legacy format, ready to be merged into a page.
#[derive(Debug, Default)]
pub struct Rows {
    rows: std::collections::VecDeque<Row>,
    /// [`HEAD`] and the comma-separated rows: a page already, if no other side adds rows.
    json: Vec<u8>,
    ids: String,
    /// The side's own cursor, if it has more rows.
    pub next: Option<String>,
    /// The rows left out.
    pub dropped: DroppedRows,
}

/// Rows left out of a page, and unknown statuses, for logs and metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DroppedRows {
    /// Rows that the legacy API could not have made.
    pub never_conversions: usize,
    /// Rows that do not match the query, or were on an earlier page.
    pub filtered: usize,
    /// Statuses that this build does not know.
    pub unknown_statuses: Vec<String>,
}

impl DroppedRows {
    pub(super) fn add(&mut self, other: Self) {
        self.never_conversions += other.never_conversions;
        self.filtered += other.filtered;
        self.unknown_statuses.extend(other.unknown_statuses);
    }
}

#[derive(Debug)]
struct Row {
    at: Timestamp,
    json: Range<usize>,
    id: Range<usize>,
}

/// Parses one row of an answer.
type ReadRow<'a> = fn(&mut Rows, &mut Reader<'a>, &ListQuery) -> Result<(), Unreadable>;

/// One row, borrowed from [`Rows`].
#[derive(Clone, Copy, Debug)]
pub struct RowRef<'a> {
    /// `created_at`.
    pub at: Timestamp,
    /// The conversion's id.
    pub id: &'a str,
    /// The conversion in the legacy format.
    pub json: &'a [u8],
}

impl Rows {
    /// Parses a side's answer.
    ///
    /// # Errors
    /// When the answer or one of its rows does not parse: a partial list must not look complete.
    pub fn of(side: Side, body: &[u8], query: &ListQuery) -> Result<Self, Unreadable> {
        match side {
            Side::Legacy => Self::read(body, query, Self::conversion),
            Side::New => Self::of_orchestrations(body, query),
        }
    }

    /// Parses the new API's answer: `items`, or without any the deprecated `orchestrations`.
    ///
    /// # Errors
    /// As [`Rows::of`].
    pub fn of_orchestrations(body: &[u8], query: &ListQuery) -> Result<Self, Unreadable> {
        Self::read(body, query, Self::orchestration)
    }

    fn read<'a>(body: &'a [u8], query: &ListQuery, row: ReadRow<'a>) -> Result<Self, Unreadable> {
        let mut rows = Self { json: Vec::with_capacity(body.len()), ..Self::default() };
        rows.json.extend_from_slice(HEAD);
        let mut deprecated = None;
        let mut has_list = false;
        let mut has_other_members = false;
        let mut reader = Reader::new(body)?;
        reader.object(|key, value| {
            match key {
                "items" if value.peek_kind() == Some(b'[') => {
                    has_list = true;
                    value.array(|element| row(&mut rows, element, query))?;
                }
                "orchestrations" if value.peek_kind() == Some(b'[') => deprecated = Some(value.value()?),
                "items" | "orchestrations" => has_list |= null_list(value)?,
                "next_page_cursor" => rows.next = cursor_text(value)?,
                _ => {
                    has_other_members = true;
                    value.value()?;
                }
            }
            Ok::<(), Unreadable>(())
        })?;
        reader.end()?;
        if let Some(array) = deprecated.filter(|_| rows.is_unused()) {
            Reader::new(array.as_written().as_bytes())?.array(|element| row(&mut rows, element, query))?;
        } else if !has_list && deprecated.is_none() && has_other_members {
            return Err(Unreadable::Missing { field: "items" });
        }
        Ok(rows)
    }

    fn orchestration<'a>(&mut self, reader: &mut Reader<'a>, query: &ListQuery) -> Result<(), Unreadable> {
        let orchestration = Orchestration::read(reader)?;
        if mapping::hidden(&orchestration)?.is_some() {
            self.dropped.never_conversions += 1;
            return Ok(());
        }
        let mapped = mapping::conversion(&orchestration)?;
        let Some(at) = selected(&mapped.conversion, query)? else {
            self.dropped.filtered += 1;
            return Ok(());
        };
        if let Some(status) = mapped.unknown_status {
            self.dropped.unknown_statuses.push(status.as_written().to_owned());
        }
        self.push(at, mapped.conversion.id, |json| mapped.conversion.write(json));
        Ok(())
    }

    /// A conversion from the legacy API reaches the client byte for byte.
    fn conversion<'a>(&mut self, reader: &mut Reader<'a>, query: &ListQuery) -> Result<(), Unreadable> {
        let written = reader.value()?.as_written().as_bytes();
        let conversion = Conversion::parse(written)?;
        match selected(&conversion, query)? {
            Some(at) => self.push(at, conversion.id, |json| json.extend_from_slice(written)),
            None => self.dropped.filtered += 1,
        }
        Ok(())
    }

    /// Appends a row; `write` appends its JSON.
    fn push(&mut self, at: Timestamp, id: Option<Text<'_>>, write: impl FnOnce(&mut Vec<u8>)) {
        if !self.rows.is_empty() {
            self.json.push(b',');
        }
        let start = self.json.len();
        write(&mut self.json);
        let id_start = self.ids.len();
        self.ids.push_str(id.map_or("", Text::as_written));
        self.rows.push_back(Row { at, json: start..self.json.len(), id: id_start..self.ids.len() });
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
        Some(RowRef { at: row.at, id: &self.ids[row.id], json: self.json.get(row.json).unwrap_or_default() })
    }
}

/// The row's `created_at`, if the row matches the query and was on no earlier page. Every filter is checked again, because a
/// side that ignores a filter must not leak other rows.
fn selected(row: &Conversion<'_>, query: &ListQuery) -> Result<Option<Timestamp>, Unreadable> {
    let at = read_instant(row.created_at, "created_at")?;
    let matches = |text: Option<Text<'_>>, filter: &Option<String>| {
        filter.as_ref().is_none_or(|filter| text.is_some_and(|text| text.says(filter)))
    };
    let updated = || read_instant(row.updated_at, "updated_at").map(|at| query.updated.contains(at));
    let is_selected = matches(row.profile_id, &query.profile_id)
        && matches(row.ref_id, &query.ref_id)
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
fn cursor_text(value: &mut Reader<'_>) -> Result<Option<String>, Unreadable> {
    const FIELD: &str = "next_page_cursor";
    let Some(text) = text(value, FIELD)? else { return Ok(None) };
    let cursor = text.value().ok_or(Unreadable::WrongType { field: FIELD, expected: "a string" })?;
    Ok(Some(cursor.into_owned()).filter(|cursor| !cursor.is_empty()))
}

fn null_list(value: &mut Reader<'_>) -> Result<bool, Unreadable> {
    if value.value().map(Raw::is_null)? {
        Ok(true)
    } else {
        Err(Unreadable::WrongType { field: "items", expected: "an array" })
    }
}
