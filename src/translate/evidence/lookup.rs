//! The lookup by reference: what to ask of a side, and what its answer proves.

use std::fmt::Write as _;

use super::{BesideRows, Reply, is_problem_document};
use crate::translate::conversion::Conversion;
use crate::translate::facts::Facts;
use crate::translate::json::{JsonReader, Raw, Text};
use crate::translate::mapping::{self, Origin};
use crate::translate::orchestration::{Orchestration, Unreadable};
use crate::translate::paths;
use crate::translate::side::Side;
use crate::translate::unknown::{NameLocation, Unknown, UnknownRows};

/// What the answer to a lookup proves.
#[derive(Debug)]
pub enum Finding {
    /// The side holds no record with this reference.
    Absent,
    /// The side holds this conversion.
    Found(FoundConversion),
    /// The side holds a record with this reference that is no conversion.
    OtherKind,
    /// The side does not know the caller.
    Unauthorized,
    /// The side knows the caller, who may not read.
    Forbidden,
    /// The side answered 429: it must not be asked again now.
    Throttled,
    /// Nothing; the reason is for the log.
    Nothing(&'static str),
}

/// A conversion that was found.
#[derive(Clone, Debug)]
pub struct FoundConversion {
    /// As the side gave it: the record can be read by it there.
    pub id: String,
    /// The conversion in the legacy shape.
    pub json: Vec<u8>,
}

/// The path and query of a lookup, under the side's base URL. A space is `%20`: a server that reads `+` literally would look for another
/// reference and find nothing.
#[must_use]
pub fn lookup_path(side: Side, ref_id: &str) -> String {
    let mut path = format!("{}?ref_id=", paths::collection(side));
    for byte in ref_id.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            path.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(path, "%{byte:02X}");
        }
    }
    path
}

/// Reads the answer to a lookup of `ref_id`. `origin`: what the ledger knows about whatever carries that reference on this side.
#[must_use]
pub fn read(side: Side, reply: &Reply<'_>, ref_id: &str, origin: Origin, facts: Facts) -> Finding {
    match reply.status {
        // A page of something in between may hold no rows, and must not prove absence.
        200 if reply.is_plain_json() => {}
        200 => return Finding::Nothing("the answer is not JSON"),
        // What something in between refuses says nothing about the caller's rights.
        401 if is_problem_document(reply) => return Finding::Unauthorized,
        403 if is_problem_document(reply) => return Finding::Forbidden,
        401 | 403 => return Finding::Nothing("the refusal is not the vendor's"),
        429 => return Finding::Throttled,
        _ => return Finding::Nothing("the status is not an answer to a lookup"),
    }
    let beside = BesideRows::of(reply.headers);
    let mut list = LookupList { origin, beside, ..LookupList::new(side, ref_id, facts) };
    match list.read(reply.body) {
        Ok(()) => {
            reply.notice(list.unknown_rows.with(list.unknown_beside));
            list.finding()
        }
        Err(_) => Finding::Nothing("the list cannot be read"),
    }
}

/// The conversion that the answer to a get by id holds, in the legacy shape.
#[must_use]
pub fn found_conversion(side: Side, body: &[u8]) -> Option<FoundConversion> {
    match side {
        Side::Legacy => {
            let id = Conversion::parse(body).and_then(Conversion::into_id).ok()?;
            Some(FoundConversion { id, json: body.to_vec() })
        }
        Side::New => {
            let orchestration = Orchestration::parse(body).ok()?;
            let conversion = mapping::conversion(&orchestration).ok()?.conversion;
            let mut json = Vec::with_capacity(body.len());
            conversion.write(&mut json);
            Some(FoundConversion { id: conversion.into_id().ok()?, json })
        }
    }
}

/// A list while it is read.
struct LookupList<'q> {
    side: Side,
    ref_id: &'q str,
    origin: Origin,
    facts: Facts,
    /// A list member that this API documents was there, with an array.
    is_list: bool,
    /// Such a member was there, with null.
    is_null: bool,
    /// Any other member was there: the answer is no mere empty list.
    has_others: bool,
    found: Option<FoundConversion>,
    other_kind: bool,
    beside: BesideRows,
    /// Why an empty list would prove nothing.
    doubt: Option<&'static str>,
    unknown_rows: UnknownRows,
    unknown_beside: Unknown,
}

impl<'q> LookupList<'q> {
    fn new(side: Side, ref_id: &'q str, facts: Facts) -> Self {
        let (origin, is_list, is_null, has_others) = (Origin::Unknown, false, false, false);
        Self {
            side,
            ref_id,
            origin,
            facts,
            is_list,
            is_null,
            has_others,
            found: None,
            other_kind: false,
            beside: BesideRows::default(),
            doubt: None,
            unknown_rows: UnknownRows::default(),
            unknown_beside: Unknown::default(),
        }
    }

    fn read(&mut self, body: &[u8]) -> Result<(), Unreadable> {
        let mut reader = JsonReader::new(body)?;
        reader.object(|key, value| {
            self.beside.name(key);
            match (key, value.peek_kind()) {
                // Rows from either name count as found; only absence needs the whole answer to be understood.
                ("items", Some(b'[')) => self.rows(value),
                ("orchestrations", Some(b'[')) if self.side == Side::New => self.rows(value),
                _ => {
                    let value = value.value()?;
                    self.member(key, value);
                    Ok(())
                }
            }
        })?;
        Ok(reader.end()?)
    }

    /// Anything beside the rows. A member with content may mean that the list is not whole.
    fn member(&mut self, key: &str, value: Raw<'_>) {
        if value.is_null() && matches!(key, "items" | "orchestrations") {
            self.is_null = true;
            return;
        }
        if key == "next_page_cursor" {
            self.beside.cursor(value);
            return;
        }
        self.has_others = true;
        match (key, self.side) {
            ("items", _) | ("orchestrations", Side::New) => self.doubt = Some("the list is no array"),
            ("orchestrations", Side::Legacy) => {}
            _ => self.unknown_beside.add(NameLocation::List, key),
        }
        self.beside.member(key, value);
    }

    fn rows(&mut self, reader: &mut JsonReader<'_>) -> Result<(), Unreadable> {
        self.is_list = true;
        reader.array(|element| {
            let row = element.value()?;
            self.row(row.as_written().as_bytes())
        })
    }

    fn row(&mut self, row: &[u8]) -> Result<(), Unreadable> {
        match self.side {
            Side::Legacy => {
                let conversion = Conversion::parse(row)?;
                self.unknown_rows.add(conversion.unknown);
                if self.is_asked_for(conversion.ref_id) {
                    self.keep(conversion.into_id()?, row.to_vec());
                }
            }
            Side::New => {
                let orchestration = Orchestration::parse(row)?;
                self.unknown_rows.add(orchestration.unknown);
                if self.is_asked_for(orchestration.ref_id) {
                    if mapping::hidden(&orchestration, self.origin)?.is_some() {
                        self.other_kind = true;
                        return Ok(());
                    }
                    let mapped = mapping::conversion(&orchestration)?;
                    let mut json = Vec::with_capacity(row.len());
                    mapped.conversion.write(&mut json);
                    self.keep(mapped.conversion.into_id()?, json);
                }
            }
        }
        Ok(())
    }

    fn keep(&mut self, id: String, json: Vec<u8>) {
        // The first of several with the same reference: which one is answered does not change that the reference is used.
        self.found.get_or_insert(FoundConversion { id, json });
    }

    /// Whether a row carries the reference. Every other row means that the filter was ignored.
    fn is_asked_for(&mut self, ref_id: Option<Text<'_>>) -> bool {
        let value = ref_id.and_then(Text::value);
        let same =
            value.as_deref().map_or(Some(false), |value| self.facts.ref_match.same(self.ref_id, value));
        match same {
            Some(true) => return true,
            Some(false) => self.doubt = Some("a row carries another reference: the filter was ignored"),
            None => self.doubt = Some("a row's reference differs only in case or spaces"),
        }
        false
    }

    fn finding(self) -> Finding {
        match self {
            // First: a record with the reference is there, whatever else the answer says.
            Self { found: Some(record), .. } => Finding::Found(record),
            Self { other_kind: true, .. } => Finding::OtherKind,
            // Before any absence: absence lets a create be sent, so one doubt is enough to prove nothing.
            Self { doubt: Some(doubt), .. } => Finding::Nothing(doubt),
            Self { beside, .. } if beside.doubt().is_some() => {
                Finding::Nothing(beside.doubt().unwrap_or_default())
            }
            Self { is_list: true, .. } => Finding::Absent,
            Self { is_null: true, has_others: false, facts, .. } if facts.empty_list.null => Finding::Absent,
            Self { is_null: false, has_others: false, facts, .. } if facts.empty_list.absent => {
                Finding::Absent
            }
            Self { .. } => Finding::Nothing("the answer holds no list"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::translate::evidence::json;

    fn finding(side: Side, body: &str) -> Finding {
        let reply = Reply { status: 200, headers: json(), body: body.as_bytes(), unknown_digests: None };
        read(side, &reply, "r 1", Origin::Unknown, Facts::default())
    }

    #[test]
    fn an_empty_list_with_nothing_beside_it_proves_absence() {
        for body in [
            r#"{"items":[]}"#,
            r#"{"items":[],"next_page_cursor":""}"#,
            r#"{"items":[],"next_page_cursor":null}"#,
            r#"{"items":[],"has_more":false,"total":0,"errors":[],"meta":{},"nextPageCursor":null}"#,
            r#"{"items":[],"request_id":"req_1"}"#,
        ] {
            for side in [Side::Legacy, Side::New] {
                assert!(matches!(finding(side, body), Finding::Absent), "{side} {body}");
            }
        }
        assert!(matches!(finding(Side::New, r#"{"orchestrations":[]}"#), Finding::Absent));
    }

    #[test]
    fn a_list_that_may_not_be_whole_proves_nothing() {
        for body in [
            r#"{}"#,
            r#"{"items":null}"#,
            r#"{"items":[],"next_page_cursor":"c"}"#,
            r#"{"items":[],"nextPageCursor":"c"}"#,
            r#"{"items":[],"has_more":true}"#,
            r#"{"items":[],"error":{"code":1}}"#,
            r#"{"items":[],"error":"timeout"}"#,
            r#"{"items":[],"partial":true}"#,
            r#"{"items":[],"total":1}"#,
            r#"{"items":[],"total":0.5}"#,
            r#"{"items":[],"conversions":[{}]}"#,
            r#"{"conversions":[]}"#,
            r#"{"items":[{"id":"1","ref_id":"another","source_asset":"USD","destination_asset":"PYUSD"}]}"#,
            r#"{"items":[{"id":"1","source_asset":"USD","destination_asset":"PYUSD"}]}"#,
            r#"{"items":[{"id":"1","ref_id":"R 1","source_asset":"USD","destination_asset":"PYUSD"}]}"#,
            r#"{"items":[]"#,
            r#"{"items":[]} trailing"#,
            "[]",
            "",
        ] {
            for side in [Side::Legacy, Side::New] {
                assert!(matches!(finding(side, body), Finding::Nothing(_)), "{side} {body}");
            }
        }
        assert!(matches!(finding(Side::Legacy, r#"{"orchestrations":[]}"#), Finding::Nothing(_)));
    }

    #[test]
    fn each_finding_has_its_own_answer() {
        let row = r#"{"items":[{"id":"1","ref_id":"r 1","source_asset":"USD","destination_asset":"PYUSD","status":"PENDING"MORE}]}"#;
        let of = |more: &str| finding(Side::New, &row.replace("MORE", more));
        assert!(matches!(of(""), Finding::Found(record) if record.id == "1"));
        assert!(matches!(
            of(r#","destination":{"profile":{"profile_id":"p"},"network":null,"label":"x"}"#),
            Finding::Found(_)
        ));
        assert!(matches!(of(r#","destination":{"crypto":{}}"#), Finding::Found(_)));
        assert!(matches!(of(r#","destination":{"crypto":{"address":"0x1"}}"#), Finding::OtherKind));
    }

    #[test]
    fn a_reference_is_escaped_byte_by_byte() {
        assert_eq!(lookup_path(Side::Legacy, "a b+c/ü"), "/conversion/stablecoins?ref_id=a%20b%2Bc%2F%C3%BC");
    }
}
