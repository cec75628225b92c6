//! One upstream answer to a list, as rows that a legacy client may see.

use std::ops::Range;

use jiff::Timestamp;

use super::ListQuery;
use crate::translate::conversion::Conversion;
use crate::translate::json::{Raw, Reader, Text};
use crate::translate::mapping;
use crate::translate::orchestration::{Orchestration, Unreadable, text};
use crate::translate::side::Side;
use crate::translate::timestamp;

/// How every page begins.
pub(super) const HEAD: &[u8] = br#"{"items":["#;

/// The rows of one answer, ready to be merged into a page.
#[derive(Debug, Default)]
pub struct Rows {
    rows: std::collections::VecDeque<Row>,
    /// [`HEAD`], then the rows with a comma between each two: already a page, should nothing else go into it.
    json: Vec<u8>,
    ids: String,
    /// The side's own cursor, when it has more rows.
    pub next: Option<String>,
    /// What was left out, and what to tell the operator.
    pub noticed: DroppedRows,
}

/// What happened to an answer's rows on the way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DroppedRows {
    /// Rows that the old API could not have made.
    pub never_conversions: usize,
    /// Rows that the client did not ask for, or has already got.
    pub filtered: usize,
    /// Statuses that this build does not know.
    pub unknown_statuses: Vec<String>,
}

#[derive(Debug)]
struct Row {
    at: Timestamp,
    json: Range<usize>,
    id: Range<usize>,
}

/// Reads one row of an answer.
type ReadRow<'a> = fn(&mut Rows, &mut Reader<'a>, &ListQuery) -> Result<(), Unreadable>;

/// One row, borrowed from its answer.
#[derive(Clone, Copy, Debug)]
pub struct RowRef<'a> {
    /// `created_at`.
    pub at: Timestamp,
    /// The conversion's id.
    pub id: &'a str,
    /// The conversion in the legacy shape.
    pub json: &'a [u8],
}

impl Rows {
    /// Reads a side's answer.
    ///
    /// # Errors
    /// When the answer or any of its rows cannot be read. A partial list is never passed off as a whole one.
    pub fn of(side: Side, body: &[u8], query: &ListQuery) -> Result<Self, Unreadable> {
        match side {
            Side::Legacy => Self::read(body, query, Self::conversion),
            Side::New => Self::of_orchestrations(body, query),
        }
    }

    /// Reads the new API's answer: `items`, or the deprecated `orchestrations` where there are none.
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
        let mut known = false;
        let mut strange = false;
        let mut reader = Reader::new(body)?;
        reader.object(|key, value| {
            match key {
                "items" if value.peek_kind() == Some(b'[') => {
                    known = true;
                    value.array(|element| row(&mut rows, element, query))?;
                }
                "orchestrations" if value.peek_kind() == Some(b'[') => deprecated = Some(value.value()?),
                "items" | "orchestrations" => known |= null_list(value)?,
                "next_page_cursor" => rows.next = cursor_text(value)?,
                _ => {
                    strange = true;
                    value.value()?;
                }
            }
            Ok::<(), Unreadable>(())
        })?;
        reader.end()?;
        if let Some(array) = deprecated.filter(|_| rows.is_untouched()) {
            Reader::new(array.as_written().as_bytes())?.array(|element| row(&mut rows, element, query))?;
        } else if !known && deprecated.is_none() && strange {
            return Err(Unreadable::Missing { field: "items" });
        }
        Ok(rows)
    }

    fn orchestration<'a>(&mut self, reader: &mut Reader<'a>, query: &ListQuery) -> Result<(), Unreadable> {
        let it = Orchestration::read(reader)?;
        if mapping::hidden(&it)?.is_some() {
            self.noticed.never_conversions += 1;
            return Ok(());
        }
        let mapped = mapping::conversion(&it)?;
        let Some(at) = wanted(&mapped.conversion, query)? else {
            self.noticed.filtered += 1;
            return Ok(());
        };
        if let Some(status) = mapped.unknown_status {
            self.noticed.unknown_statuses.push(status.as_written().to_owned());
        }
        self.push(at, mapped.conversion.id, |json| mapped.conversion.write(json));
        Ok(())
    }

    /// A conversion of the old API goes to the client as it was written.
    fn conversion<'a>(&mut self, reader: &mut Reader<'a>, query: &ListQuery) -> Result<(), Unreadable> {
        let written = reader.value()?.as_written().as_bytes();
        let it = Conversion::parse(written)?;
        match wanted(&it, query)? {
            Some(at) => self.push(at, it.id, |json| json.extend_from_slice(written)),
            None => self.noticed.filtered += 1,
        }
        Ok(())
    }

    /// Adds a row, whose JSON `write` appends.
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

    fn is_untouched(&self) -> bool {
        self.rows.is_empty() && self.noticed == DroppedRows::default()
    }

    /// The next row in the side's order: when it was created, and its id.
    #[must_use]
    pub fn head(&self) -> Option<(Timestamp, &str)> {
        let row = self.rows.front()?;
        Some((row.at, &self.ids[row.id.clone()]))
    }

    /// Gives up the first rows, at most `limit`, as a page that has begun. What is left can only be counted.
    pub(super) fn take_page(&mut self, limit: usize) -> Vec<u8> {
        let end = self.rows.iter().take(limit).next_back().map_or(HEAD.len(), |row| row.json.end);
        let mut page = std::mem::take(&mut self.json);
        page.truncate(end);
        page
    }

    /// How many rows are left.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether no row is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Takes the head away. Its JSON is empty once [`Rows::take_page`] has given it away.
    pub(super) fn pop(&mut self) -> Option<RowRef<'_>> {
        let row = self.rows.pop_front()?;
        Some(RowRef { at: row.at, id: &self.ids[row.id], json: self.json.get(row.json).unwrap_or_default() })
    }
}

/// The row's `created_at` if the client asked for it and has not got it yet. The filters are checked again on every row:
/// a side that ignores one must not leak other rows.
fn wanted(row: &Conversion<'_>, query: &ListQuery) -> Result<Option<Timestamp>, Unreadable> {
    let at = read_instant(row.created_at, "created_at")?;
    let says = |text: Option<Text<'_>>, asked: &Option<String>| {
        asked.as_ref().is_none_or(|asked| text.is_some_and(|text| text.says(asked)))
    };
    let updated = || read_instant(row.updated_at, "updated_at").map(|at| query.updated.holds(at));
    let wanted = says(row.profile_id, &query.profile_id)
        && says(row.ref_id, &query.ref_id)
        && query.created.holds(at)
        && !query.cursor().is_some_and(|cursor| cursor.is_past(at, row.id.map_or("", Text::as_written)))
        && (query.updated.is_open() || updated()?);
    Ok(wanted.then_some(at))
}

fn read_instant(text: Option<Text<'_>>, field: &'static str) -> Result<Timestamp, Unreadable> {
    let text = text.ok_or(Unreadable::Missing { field })?;
    text.value()
        .and_then(|text| timestamp::parse(&text))
        .ok_or(Unreadable::WrongType { field, expected: "an RFC 3339 timestamp" })
}

/// A cursor that cannot be sent back is an error, not the end of the list.
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
