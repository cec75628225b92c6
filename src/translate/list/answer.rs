//! Reads a side's answer to a list.

use jiff::Timestamp;

use super::ListQuery;
use super::layout::RecordReader;
use super::rows::{HEAD, ParsedRow, RowState, Rows};
use crate::translate::conversion::Conversion;
use crate::translate::evidence::BesideRows;
use crate::translate::identifier;
use crate::translate::json::{JsonReader, Raw, Text};
use crate::translate::mapping::{self, Mapped};
use crate::translate::orchestration::{Orchestration, Unreadable, text};
use crate::translate::own_records::{HiddenRecord, OwnRecords};
use crate::translate::side::Side;
use crate::translate::timestamp;
use crate::translate::unknown::NameLocation;

/// What decides whether a row is shown.
struct RowFilter<'q> {
    query: &'q ListQuery,
    own: &'q OwnRecords,
}

/// Parses the rows of an answer.
type ReadRows<'a> = fn(&mut Rows, &mut JsonReader<'a>, &RowFilter<'_>) -> Result<(), Unreadable>;

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
        let read_rows = match side {
            Side::Legacy => Self::conversions,
            Side::New => Self::orchestrations,
        };
        Self::read(body, &RowFilter { query, own }, read_rows)
    }

    /// Reads `items`, or without any the deprecated `orchestrations`.
    fn read<'a>(body: &'a [u8], filter: &RowFilter<'_>, read_rows: ReadRows<'a>) -> Result<Self, Unreadable> {
        let mut rows = Self::for_answer(body.len());
        // The rows stand where a page has them: a page of one side alone becomes the body without a copy.
        rows.json.extend_from_slice(HEAD);
        let mut deprecated = None;
        let mut has_list = false;
        let mut has_other_members = false;
        let mut beside = BesideRows::default();
        let mut reader = JsonReader::new(body)?;
        reader.object(|key, value| {
            match key {
                "items" if value.peek_kind() == Some(b'[') => {
                    has_list = true;
                    read_rows(&mut rows, value, filter)?;
                }
                // Kept and read only if `items` had no rows: a server may send both with the same ones.
                "orchestrations" if value.peek_kind() == Some(b'[') => deprecated = Some(value.value()?),
                "items" | "orchestrations" => has_list |= null_list(value)?,
                "next_page_cursor" => rows.next = cursor_text(value)?,
                _ => {
                    has_other_members = true;
                    rows.unknown_beside.add(NameLocation::List, key);
                    beside.member(key, value.value()?);
                }
            }
            Ok::<(), Unreadable>(())
        })?;
        reader.end()?;
        // An empty list beside a count, another cursor, an error or rows under another name is not the end of the listing.
        if has_list
            && beside.doubt().is_some()
            && rows.is_unused()
            && rows.next.is_none()
            && deprecated.is_none()
        {
            return Err(Unreadable::WrongType { field: "items", expected: "the whole list" });
        }
        if let Some(array) = deprecated.filter(|_| rows.is_unused()) {
            read_rows(&mut rows, &mut JsonReader::of(array.as_written()), filter)?;
        } else if !has_list && deprecated.is_none() && has_other_members {
            return Err(Unreadable::Missing { field: "items" });
        }
        Ok(rows)
    }

    fn orchestrations<'a>(
        &mut self,
        reader: &mut JsonReader<'a>,
        filter: &RowFilter<'_>,
    ) -> Result<(), Unreadable> {
        let mut records = RecordReader::default();
        reader.array(|element| self.orchestration(records.read(element)?, filter))
    }

    fn orchestration(
        &mut self,
        orchestration: &Orchestration<'_>,
        filter: &RowFilter<'_>,
    ) -> Result<(), Unreadable> {
        self.unknown_rows.add(orchestration.unknown);
        // Every row counts as received, shown or not: positions and hints count rows as the side lists them.
        self.receive(orchestration.id.map_or("", Text::as_written));
        if mapping::hidden(orchestration, filter.own.origin(orchestration))?.is_some() {
            self.hide(orchestration, filter.query);
            return Ok(());
        }
        let mapped = mapping::conversion(orchestration)?;
        let Some(at) = self.select(&mapped.conversion, filter.query)? else { return Ok(()) };
        if let Some(status) = mapped.unknown_status {
            self.dropped.unknown_statuses.push(status.as_written().to_owned());
        }
        self.push(at, &mapped.conversion, |json| mapped.conversion.write(json));
        Ok(())
    }

    /// A record that is no conversion may have any form, so what cannot be read here is no error.
    fn hide(&mut self, orchestration: &Orchestration<'_>, query: &ListQuery) {
        self.dropped.never_conversions += 1;
        let matches =
            |Mapped { conversion, .. }| matches!(selected(&conversion, query), Ok(Selected::Row(_)));
        if mapping::conversion(orchestration).is_ok_and(matches) {
            self.hidden.extend(HiddenRecord::of(orchestration));
        }
    }

    /// A conversion from the legacy API reaches the client byte for byte.
    fn conversions<'a>(
        &mut self,
        reader: &mut JsonReader<'a>,
        filter: &RowFilter<'_>,
    ) -> Result<(), Unreadable> {
        reader.array(|element| {
            // Skips spaces, so that the row is copied from its brace on.
            element.peek_kind();
            let start = element.position();
            let conversion = Conversion::read(element)?;
            self.conversion(&conversion, element.since(start), filter)
        })
    }

    fn conversion(
        &mut self,
        conversion: &Conversion<'_>,
        written: &str,
        filter: &RowFilter<'_>,
    ) -> Result<(), Unreadable> {
        self.unknown_rows.add(conversion.unknown);
        self.receive(conversion.id.map_or("", Text::as_written));
        if let Some(at) = self.select(conversion, filter.query)? {
            self.push(at, conversion, |json| json.extend_from_slice(written.as_bytes()));
        }
        Ok(())
    }

    /// `created_at` of a row that may be shown, from the cursor's instant on; counts any other.
    fn select(&mut self, row: &Conversion<'_>, query: &ListQuery) -> Result<Option<Timestamp>, Unreadable> {
        let selected = selected(row, query)?;
        match selected {
            Selected::Row(at) => return Ok(Some(at)),
            Selected::Earlier => self.earlier = Some(self.received.len() - 1),
            Selected::No => {}
        }
        self.dropped.filtered += 1;
        Ok(None)
    }

    /// Appends a row; `write` appends its JSON.
    fn push(&mut self, at: Timestamp, row: &Conversion<'_>, write: impl FnOnce(&mut Vec<u8>)) {
        if !self.rows.is_empty() {
            self.json.push(b',');
        }
        let start = self.json.len();
        write(&mut self.json);
        let ref_id_start = self.ids.len();
        self.ids.push_str(&row.ref_id.and_then(Text::value).unwrap_or_default());
        self.rows.push_back(ParsedRow {
            at,
            received: self.received.len() - 1,
            state: RowState::Fresh,
            json: start..self.json.len(),
            id: self.received.last().cloned().unwrap_or_default(),
            ref_id: ref_id_start..self.ids.len(),
        });
    }
}

/// Whether a row is a row of the listing.
enum Selected {
    /// It is, and was created then.
    Row(Timestamp),
    /// It would be, but was created before the cursor's instant.
    Earlier,
    No,
}

/// Every filter is checked again, because a side that ignores a filter must not leak other rows.
fn selected(row: &Conversion<'_>, query: &ListQuery) -> Result<Selected, Unreadable> {
    let at = read_instant(row.created_at, "created_at")?;
    // The side decided which profile was meant; it may write that profile's id in another letter case than the client.
    let is_profile = |filter: &String| {
        let profile_id = row.profile_id.and_then(Text::value);
        profile_id.is_some_and(|profile_id| identifier::same(&profile_id, filter))
    };
    let is_ref_id = |filter: &String| {
        let ref_id = row.ref_id.and_then(Text::value);
        // Filtered here as well: a side that ignored the filter must not show a client records that it did not ask for.
        ref_id.is_some_and(|ref_id| query.facts.ref_match.same(filter, &ref_id) == Some(true))
    };
    let updated = || read_instant(row.updated_at, "updated_at").map(|at| query.updated.contains(at));
    let is_selected = query.profile_id.as_ref().is_none_or(is_profile)
        && query.ref_id.as_ref().is_none_or(is_ref_id)
        && query.created.contains(at)
        // Read only when it is asked for: not every row needs a readable `updated_at`.
        && (query.updated.is_open() || updated()?);
    Ok(match query.cursor() {
        // Rows before the position are told apart from filtered ones: the source counts them to find its place again.
        _ if !is_selected => Selected::No,
        Some(cursor) if cursor.order.before(&at, &cursor.at) => Selected::Earlier,
        _ => Selected::Row(at),
    })
}

fn read_instant(text: Option<Text<'_>>, field: &'static str) -> Result<Timestamp, Unreadable> {
    let text = text.ok_or(Unreadable::Missing { field })?;
    text.read(timestamp::parse_any_form)
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
