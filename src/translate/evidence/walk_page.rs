//! One page of a walk over a side's whole list: what it proves. A walk is believed only as a whole, so that one doubtful page makes the
//! walk fail: a list that was cut short must never look complete.

use std::borrow::Cow;

use jiff::Timestamp;

use super::{BesideRows, Reply};
use crate::translate::conversion::{Conversion, Status};
use crate::translate::facts::Facts;
use crate::translate::json::{JsonReader, Raw, Text};
use crate::translate::mapping::{self, NotAConversion, Origin};
use crate::translate::orchestration::{Orchestration, Unreadable};
use crate::translate::side::Side;
use crate::translate::timestamp;
use crate::translate::unknown::{NameLocation, Unknown, UnknownRows};

/// A record of a side's list.
#[derive(Clone, Debug)]
pub struct WalkedRecord {
    /// The side whose list shows it.
    pub side: Side,
    pub id: String,
    /// The client's reference; `None` if it is absent or empty.
    pub ref_id: Option<String>,
    pub created_at: Timestamp,
    /// How far it has come.
    pub progress: RecordProgress,
    /// Why the legacy API could not have made it; decided without the ledger.
    pub other_kind: Option<NotAConversion>,
    /// The conversion in the legacy shape; empty for what cannot be mapped.
    pub json: Vec<u8>,
}

/// How far a record has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordProgress {
    /// `CREATED`, `PROCESSING` or `PENDING`.
    Open,
    /// The funds arrived.
    Settled,
    /// The funds were returned.
    Cancelled,
    /// A status that this build does not know.
    Unknown,
}

/// A page of the list.
#[derive(Debug, Default)]
pub struct WalkPage {
    /// In the side's order.
    pub records: Vec<WalkedRecord>,
    /// The side's own cursor, if there is more.
    pub next: Option<String>,
}

/// Why a page proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DoubtfulPage {
    /// The side does not know the credentials.
    #[error("the side answered 401: it does not know the credentials")]
    Unauthorized,
    /// The credentials may not read.
    #[error("the side answered 403: the credentials lack the scope to read")]
    Forbidden,
    #[error("the side answered 429")]
    Throttled,
    /// Another answer that proves nothing, and why.
    #[error("{0}")]
    Unbelievable(&'static str),
}

impl WalkedRecord {
    /// The record that an answer shows in the legacy shape.
    #[must_use]
    pub fn of_conversion(side: Side, json: &[u8]) -> Option<Self> {
        let conversion = Conversion::parse(json).ok()?;
        Self::new(side, &conversion, json.to_vec())
    }

    fn new(side: Side, conversion: &Conversion<'_>, json: Vec<u8>) -> Option<Self> {
        let progress = match conversion.status.and_then(Status::parse) {
            Some(Status::Created) => RecordProgress::Open,
            Some(Status::Settled) => RecordProgress::Settled,
            Some(Status::Cancelled) => RecordProgress::Cancelled,
            None => RecordProgress::Unknown,
        };
        Some(Self {
            side,
            id: value(conversion.id)?.into_owned(),
            ref_id: value(conversion.ref_id).map(Cow::into_owned),
            created_at: timestamp::parse_any_form(&value(conversion.created_at)?)?,
            progress,
            other_kind: None,
            json,
        })
    }

    fn of_orchestration(orchestration: &Orchestration<'_>) -> Result<Option<Self>, Unreadable> {
        let other_kind = mapping::hidden(orchestration, Origin::Unknown)?;
        let mapped = mapping::conversion(orchestration)?;
        let mut json = Vec::new();
        mapped.conversion.write(&mut json);
        let Some(record) = Self::new(Side::New, &mapped.conversion, json) else { return Ok(None) };
        let progress =
            // The mapping shows an unknown status as `CREATED`; a walk must not take the record for open because of that.
            if mapped.unknown_status.is_some() { RecordProgress::Unknown } else { record.progress };
        Ok(Some(Self { progress, other_kind, ..record }))
    }

    /// Whether this is a conversion, given what the ledger knows about its reference and id.
    #[must_use]
    pub fn is_conversion(&self, origin: Origin) -> bool {
        match (self.other_kind, origin) {
            (None, _) | (Some(_), Origin::OwnRecord) => true,
            // A rule's id on a reference that is claimed here is an addition of the vendor's.
            (Some(NotAConversion::Rule), Origin::OwnReference) => true,
            (Some(_), Origin::OwnReference | Origin::Unknown) => false,
        }
    }
}

fn value(text: Option<Text<'_>>) -> Option<Cow<'_, str>> {
    text.and_then(Text::value).filter(|text| !text.is_empty())
}

/// Reads a page of a walk.
///
/// # Errors
/// When the answer is no list of records, when a row cannot be read, or when the last page may lack rows.
pub fn read_walk_page(side: Side, reply: &Reply<'_>, facts: Facts) -> Result<WalkPage, DoubtfulPage> {
    match reply.status {
        200 if reply.is_plain_json() => {}
        200 => return Err(DoubtfulPage::Unbelievable("the answer is not JSON")),
        401 => return Err(DoubtfulPage::Unauthorized),
        403 => return Err(DoubtfulPage::Forbidden),
        429 => return Err(DoubtfulPage::Throttled),
        _ => return Err(DoubtfulPage::Unbelievable("the status is not an answer to a list")),
    }
    let mut page = PageReader::new(side, BesideRows::of(reply.headers));
    page.read(reply.body).map_err(|_| DoubtfulPage::Unbelievable("the list cannot be read"))?;
    reply.notice(page.unknown_rows.with(page.unknown_beside));
    page.finish(facts).map_err(DoubtfulPage::Unbelievable)
}

struct PageReader<'a> {
    side: Side,
    page: WalkPage,
    is_list: bool,
    is_null: bool,
    /// Any member beside the list and its cursor.
    has_others: bool,
    beside: BesideRows,
    /// The deprecated second list, read only where `items` has no rows.
    deprecated: Option<Raw<'a>>,
    unknown_rows: UnknownRows,
    unknown_beside: Unknown,
}

impl<'a> PageReader<'a> {
    fn new(side: Side, beside: BesideRows) -> Self {
        let (is_list, is_null, has_others) = (false, false, false);
        Self {
            side,
            page: WalkPage::default(),
            is_list,
            is_null,
            has_others,
            beside,
            deprecated: None,
            unknown_rows: UnknownRows::default(),
            unknown_beside: Unknown::default(),
        }
    }

    fn read(&mut self, body: &'a [u8]) -> Result<(), Unreadable> {
        let mut reader = JsonReader::new(body)?;
        reader.object(|key, value| {
            self.beside.name(key);
            match (key, value.peek_kind()) {
                ("items", Some(b'[')) => self.rows(value)?,
                ("orchestrations", Some(b'[')) if self.side == Side::New => {
                    self.deprecated = Some(value.value()?);
                }
                _ => self.member(key, value.value()?)?,
            }
            Ok::<(), Unreadable>(())
        })?;
        reader.end()?;
        if let Some(rows) = self.deprecated.take() {
            self.is_list = true;
            // The deprecated name may repeat the rows of `items`, which would then be counted twice.
            if self.page.records.is_empty() {
                self.rows(&mut JsonReader::new(rows.as_written().as_bytes())?)?;
            }
        }
        Ok(())
    }

    fn member(&mut self, key: &str, value: Raw<'_>) -> Result<(), Unreadable> {
        match key {
            "items" | "orchestrations" if value.is_null() => self.is_null = true,
            "next_page_cursor" if value.is_null() => {}
            "next_page_cursor" => {
                let cursor = value.as_text().ok_or(UNREADABLE_CURSOR)?;
                self.page.next = Some(cursor.value().ok_or(UNREADABLE_CURSOR)?.into_owned())
                    .filter(|next| !next.is_empty());
            }
            _ => {
                self.has_others = true;
                self.unknown_beside.add(NameLocation::List, key);
                self.beside.member(key, value);
            }
        }
        Ok(())
    }

    fn rows(&mut self, reader: &mut JsonReader<'_>) -> Result<(), Unreadable> {
        self.is_list = true;
        reader.array(|element| {
            let row = element.value()?.as_written().as_bytes();
            let record = match self.side {
                Side::Legacy => {
                    let conversion = Conversion::parse(row)?;
                    self.unknown_rows.add(conversion.unknown);
                    WalkedRecord::new(Side::Legacy, &conversion, row.to_vec())
                }
                Side::New => {
                    let orchestration = Orchestration::parse(row)?;
                    self.unknown_rows.add(orchestration.unknown);
                    WalkedRecord::of_orchestration(&orchestration)?
                }
            };
            // One row that cannot be read fails the page: left out, it would look like a record that does not exist.
            self.page.records.push(record.ok_or(Unreadable::Missing { field: "id or created_at" })?);
            Ok::<(), Unreadable>(())
        })
    }

    fn finish(self, facts: Facts) -> Result<WalkPage, &'static str> {
        let is_empty = self.is_list
            || (self.is_null && !self.has_others && facts.empty_list.null)
            || (!self.is_null && !self.has_others && facts.empty_list.absent);
        if !is_empty {
            return Err("the answer holds no list");
        }
        // A page with a cursor is followed by the rest; nothing of the last one may say that there is more.
        let doubt =
            if self.page.records.is_empty() { self.beside.doubt() } else { self.beside.doubt_of_more() };
        match doubt {
            Some(doubt) if self.page.next.is_none() => Err(doubt),
            Some(_) | None => Ok(self.page),
        }
    }
}

const UNREADABLE_CURSOR: Unreadable =
    Unreadable::WrongType { field: "next_page_cursor", expected: "a string" };

#[cfg(test)]
mod tests {
    use super::*;
    use crate::translate::evidence::of_type;

    fn page(side: Side, status: u16, kind: &'static str, body: &str) -> Result<WalkPage, DoubtfulPage> {
        let headers = of_type([kind]);
        let reply = Reply { status, headers: &headers, body: body.as_bytes(), unknown_digests: None };
        read_walk_page(side, &reply, Facts::default())
    }

    const ROW: &str = r#"{"id":"1","ref_id":"r","created_at":"2026-01-01T00:00:00.5Z","status":"CREATED","source_asset":"USD","destination_asset":"PYUSD"}"#;

    #[test]
    fn only_a_whole_list_counts() {
        for side in [Side::Legacy, Side::New] {
            for body in [
                "{}",
                r#"{"items":null}"#,
                r#"{"conversions":[]}"#,
                r#"{"items":[],"has_more":true}"#,
                r#"{"items":[],"error":"x"}"#,
                r#"{"items":[{}]}"#,
                r#"{"items":[{"id":"1"}]}"#,
                r#"{"items":[],"next_page_cursor":1}"#,
                r#"{"items":[]"#,
                "[]",
                "",
            ] {
                assert!(page(side, 200, "application/json", body).is_err(), "{side} {body}");
            }
            let partial = format!(r#"{{"items":[{ROW}],"partial":true}}"#);
            assert!(page(side, 200, "application/json", &partial).is_err());
            assert!(page(side, 200, "text/html", r#"{"items":[]}"#).is_err());
            assert!(page(side, 503, "application/json", r#"{"items":[]}"#).is_err());
            assert_eq!(page(side, 429, "application/json", "").unwrap_err(), DoubtfulPage::Throttled);
            let whole = page(side, 200, "application/json", r#"{"items":[],"request_id":"x"}"#).unwrap();
            assert!(whole.records.is_empty() && whole.next.is_none());
        }
    }

    #[test]
    fn rows_are_read_in_the_terms_of_the_legacy_api() {
        let body = format!(r#"{{"items":[{ROW}],"partial":true,"next_page_cursor":"c"}}"#);
        for side in [Side::Legacy, Side::New] {
            let page = page(side, 200, "application/json", &body).unwrap();
            assert_eq!(page.next.as_deref(), Some("c"));
            let record = &page.records[0];
            assert_eq!((record.id.as_str(), record.ref_id.as_deref()), ("1", Some("r")));
            let expected = if side == Side::Legacy { RecordProgress::Open } else { RecordProgress::Unknown };
            assert_eq!(record.progress, expected, "CREATED is no status of the new API");
        }
        let withdrawal = ROW.replace("PYUSD\"", "PYUSD\",\"destination\":{\"crypto\":{\"address\":\"0x1\"}}");
        let body = format!(r#"{{"orchestrations":[{withdrawal}]}}"#);
        let record = &page(Side::New, 200, "application/json", &body).unwrap().records[0];
        assert!(!record.is_conversion(Origin::OwnReference) && record.is_conversion(Origin::OwnRecord));
        assert!(page(Side::Legacy, 200, "application/json", &body).is_err());
    }
}
