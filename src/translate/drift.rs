//! What the vendor's answers hold that this build does not know: members, statuses, problem types and content types.
//!
//! A reader that skips an unknown name adds it to a digest ([`Unknown`](super::unknown::Unknown)). Only a digest that was not seen
//! before is worth a [`scan`], which names what it stands for. A name is shown in bounded form, and no value is: what a client chose
//! (`metadata`) is never looked into.

use std::borrow::Cow;
use std::collections::BTreeSet;

use sha2::{Digest as _, Sha256};

use super::conversion;
use super::json::{JsonError, JsonReader, Raw};
use super::orchestration;
use super::side::Side;
use super::unknown::{NameLocation, unknown_content, unknown_problem};

/// Longest name that is shown.
const NAME_MAX: usize = 48;
/// More digits than a name has.
const DIGITS_MAX: usize = 4;
/// Hex digits of the digest of a name that is not shown: two such names differ by it, and too many names share it to find the one that is
/// meant.
const DIGEST_DIGITS: usize = 6;
/// Names that one scan returns.
const SCAN_MAX: usize = 256;

impl NameLocation {
    const fn kind(self) -> DriftKind {
        match self {
            Self::Status => DriftKind::Status,
            Self::ProblemType => DriftKind::ProblemType,
            Self::ContentType => DriftKind::ContentType,
            Self::Record
            | Self::Source
            | Self::SourceProfile
            | Self::Destination
            | Self::DestinationProfile
            | Self::List
            | Self::Problem => DriftKind::Member,
        }
    }

    /// Whether what is here may say something about money: a record, its status, or whether a list is whole.
    const fn is_money(self) -> bool {
        match self {
            Self::Record
            | Self::Source
            | Self::SourceProfile
            | Self::Destination
            | Self::DestinationProfile
            | Self::List
            | Self::Status => true,
            Self::Problem | Self::ProblemType | Self::ContentType => false,
        }
    }

    /// Whether the vendor documents a member here, or this build reads it.
    fn knows(self, side: Side, name: &str) -> bool {
        let known: &[&str] = match (self, side) {
            (Self::Record, Side::Legacy) => &conversion::MEMBERS,
            (Self::Record, Side::New) => &orchestration::MEMBERS,
            (Self::Source | Self::Destination, _) => &["profile", "crypto", "fiat"],
            (Self::SourceProfile | Self::DestinationProfile, _) => &["profile_id"],
            (Self::List, _) => &["items", "orchestrations", "next_page_cursor"],
            (Self::Problem, _) => &["type", "title", "status", "detail", "meta"],
            (Self::Status | Self::ProblemType | Self::ContentType, _) => &[],
        };
        known.contains(&name)
    }
}

/// What kind of name is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum DriftKind {
    Member,
    Status,
    ProblemType,
    ContentType,
}

/// An unknown name, where it is, and what stands there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Drift {
    /// `new.record.source.label`, `legacy.status.ON_HOLD`. At most 96 characters of ASCII.
    pub(crate) path: String,
    pub(crate) kind: DriftKind,
    /// The JSON type of the value: `string`, `number`, `boolean`, `object`, `array` or `null`.
    pub(crate) value_type: &'static str,
    pub(crate) is_money: bool,
}

/// Names what is unknown in an answer. What cannot be read has no names.
pub(crate) fn scan(side: Side, status: u16, content_type: Option<&str>, body: &[u8]) -> BTreeSet<Drift> {
    let mut scan = Scan { side, found: BTreeSet::new() };
    if let Some(essence) = content_type.and_then(unknown_content) {
        scan.add(NameLocation::ContentType, essence, "string");
    }
    // Whatever was read before an error counts.
    let _ = if status >= 400 { scan.problem(body) } else { scan.success(body) };
    scan.found
}

/// Members of a token answer (RFC 6749, section 5.1). The token endpoint is of neither side.
const TOKEN_MEMBERS: [&str; 4] = ["access_token", "token_type", "expires_in", "scope"];

/// Names what is unknown in a token answer. Nothing of it says anything about money.
pub(crate) fn scan_token(body: &[u8]) -> BTreeSet<Drift> {
    let mut found = BTreeSet::new();
    // Whatever was read before an error counts.
    let _ = JsonReader::new(body).and_then(|mut reader| {
        reader.object(|key, value| {
            let value_type = value_type(value.value()?);
            if !TOKEN_MEMBERS.contains(&key) && found.len() < SCAN_MAX {
                let path = format!("oauth.token.{}", shown(NameLocation::Problem, key));
                found.insert(Drift { path, kind: DriftKind::Member, value_type, is_money: false });
            }
            Ok::<(), JsonError>(())
        })
    });
    found
}

struct Scan {
    side: Side,
    found: BTreeSet<Drift>,
}

impl Scan {
    fn add(&mut self, place: NameLocation, name: &str, value_type: &'static str) {
        if self.found.len() < SCAN_MAX {
            let path = format!("{}.{}.{}", self.side, place.path(), shown(place, name));
            self.found.insert(Drift { path, kind: place.kind(), value_type, is_money: place.is_money() });
        }
    }

    fn success(&mut self, body: &[u8]) -> Result<(), JsonError> {
        let (mut rows, mut others) = (Vec::new(), Vec::new());
        JsonReader::new(body)?.object(|key, value| {
            let value = value.value()?;
            match key {
                "items" | "orchestrations" => rows.push(value),
                _ => others.push((key.to_owned(), value)),
            }
            Ok::<(), JsonError>(())
        })?;
        // Without a list the document is one record.
        if rows.is_empty() {
            return self.record(body);
        }
        for (name, value) in others {
            self.member(NameLocation::List, &name, value);
        }
        for array in rows.into_iter().filter(|rows| rows.as_written().starts_with('[')) {
            JsonReader::new(array.as_written().as_bytes())?.array(|row| {
                let row = row.value()?;
                self.record(row.as_written().as_bytes())
            })?;
        }
        Ok(())
    }

    fn record(&mut self, record: &[u8]) -> Result<(), JsonError> {
        JsonReader::new(record)?.object(|key, value| {
            let value = value.value()?;
            match (key, self.side) {
                ("status", side) => {
                    if let Some(status) =
                        value.as_text().and_then(|text| unknown_status(side, text.as_written()))
                    {
                        self.add(NameLocation::Status, status, "string");
                    }
                }
                ("source", Side::New) => {
                    self.end(NameLocation::Source, NameLocation::SourceProfile, value)?
                }
                ("destination", Side::New) => {
                    self.end(NameLocation::Destination, NameLocation::DestinationProfile, value)?
                }
                _ => self.member(NameLocation::Record, key, value),
            }
            Ok::<(), JsonError>(())
        })
    }

    /// A source or a destination. What is in `crypto` or `fiat` is no conversion's.
    fn end(&mut self, place: NameLocation, profile: NameLocation, value: Raw<'_>) -> Result<(), JsonError> {
        if !value.is_object() {
            return Ok(());
        }
        JsonReader::new(value.as_written().as_bytes())?.object(|key, value| {
            let value = value.value()?;
            self.member(place, key, value);
            if key == "profile" && value.is_object() {
                JsonReader::new(value.as_written().as_bytes())?.object(|key, value| {
                    let value = value.value()?;
                    self.member(profile, key, value);
                    Ok::<(), JsonError>(())
                })?;
            }
            Ok::<(), JsonError>(())
        })
    }

    fn problem(&mut self, body: &[u8]) -> Result<(), JsonError> {
        JsonReader::new(body)?.object(|key, value| {
            let value = value.value()?;
            self.member(NameLocation::Problem, key, value);
            let kind = value.as_text().filter(|_| key == "type");
            if let Some(kind) = kind.and_then(|kind| unknown_problem(kind.as_written())) {
                self.add(NameLocation::ProblemType, kind, "string");
            }
            if key == "meta" && value.is_object() { self.meta(value) } else { Ok(()) }
        })
    }

    /// What an "already exists" shows beside its words: the record.
    fn meta(&mut self, meta: Raw<'_>) -> Result<(), JsonError> {
        JsonReader::new(meta.as_written().as_bytes())?.object(|key, value| {
            let value = value.value()?;
            match key {
                "existing" if value.is_object() => self.record(value.as_written().as_bytes()),
                _ => Ok(()),
            }
        })
    }

    fn member(&mut self, place: NameLocation, name: &str, value: Raw<'_>) {
        if !place.knows(self.side, name) {
            self.add(place, name, value_type(value));
        }
    }
}

/// A status that the side does not document.
pub(crate) fn unknown_status(side: Side, status: &str) -> Option<&str> {
    let is_known = match side {
        Side::Legacy => conversion::Status::parse(status).is_some(),
        Side::New => orchestration::Status::parse(status).is_some(),
    };
    (!is_known).then_some(status)
}

/// A name of few and plain characters, since it comes from outside and goes to logs, pages and configs. Ids and texts as names are not
/// shown.
fn shown(place: NameLocation, name: &str) -> Cow<'_, str> {
    let is_plain = |byte: u8| match place {
        NameLocation::ContentType => {
            byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'+' | b'.' | b'-')
        }
        NameLocation::ProblemType => byte.is_ascii_alphanumeric() || byte == b'-',
        // A status is a value: only what looks like one of an enumeration.
        NameLocation::Status => byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_',
        NameLocation::Record
        | NameLocation::Source
        | NameLocation::SourceProfile
        | NameLocation::Destination
        | NameLocation::DestinationProfile
        | NameLocation::List
        | NameLocation::Problem => byte.is_ascii_alphanumeric() || byte == b'_',
    };
    let digits = name.bytes().filter(u8::is_ascii_digit).count();
    // Long names and names with many digits may be ids or references that a client chose.
    let is_shown =
        !name.is_empty() && name.len() <= NAME_MAX && digits <= DIGITS_MAX && name.bytes().all(is_plain);
    if is_shown {
        return name.into();
    }
    let digest = const_hex::encode(Sha256::digest(name));
    format!("(not shown {})", &digest[..DIGEST_DIGITS]).into()
}

fn value_type(value: Raw<'_>) -> &'static str {
    match value.as_written().as_bytes().first() {
        Some(b'"') => "string",
        Some(b'{') => "object",
        Some(b'[') => "array",
        Some(b't' | b'f') => "boolean",
        Some(b'n') => "null",
        _ => "number",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::translate::conversion::Conversion;
    use crate::translate::orchestration::Orchestration;

    fn paths(side: Side, status: u16, body: &str) -> Vec<String> {
        scan(side, status, Some("application/json"), body.as_bytes()).into_iter().map(|it| it.path).collect()
    }

    #[test]
    fn a_record_of_all_documented_members_has_none_that_is_unknown() {
        let with = |members: &[&str]| {
            let member = |name: &&str| match *name {
                "source" | "destination" => {
                    format!(r#""{name}":{{"profile":{{"profile_id":"p"}},"crypto":{{"x":1}}}}"#)
                }
                "metadata" => r#""metadata":{"a client's":"own"}"#.to_owned(),
                "status" => r#""status":"STATUS""#.to_owned(),
                _ => format!(r#""{name}":null"#),
            };
            format!("{{{}}}", members.iter().map(member).collect::<Vec<_>>().join(","))
        };
        let new = with(&orchestration::MEMBERS).replace("STATUS", "PENDING_APPROVAL");
        assert!(Orchestration::parse(new.as_bytes()).unwrap().unknown.is_none());
        assert!(paths(Side::New, 200, &new).is_empty());
        let old = with(&conversion::MEMBERS).replace("STATUS", "CANCELLED");
        assert!(Conversion::parse(old.as_bytes()).unwrap().unknown.is_none());
        assert!(paths(Side::Legacy, 200, &old).is_empty());
    }

    #[test]
    fn what_a_reader_notices_is_what_a_scan_names() {
        for (record, expected) in [
            (r#"{"fee":1}"#, "new.record.fee"),
            (r#"{"fe\u0065":1}"#, "new.record.fee"),
            (r#"{"status":"ON_HOLD"}"#, "new.status.ON_HOLD"),
            (r#"{"source":{"label":1}}"#, "new.record.source.label"),
            (r#"{"destination":{"profile":{"tier":null}}}"#, "new.record.destination.profile.tier"),
            (r#"{"Status":"COMPLETED"}"#, "new.record.Status"),
            (r#"{"a b":1}"#, "new.record.(not shown c8687a)"),
            (r#"{"3d7a1e5b9c2f":1}"#, "new.record.(not shown d30bcd)"),
            (r#"{"status":"call Jane"}"#, "new.status.(not shown 569591)"),
        ] {
            assert!(!Orchestration::parse(record.as_bytes()).unwrap().unknown.is_none(), "{record}");
            assert_eq!(paths(Side::New, 200, record), [expected], "{record}");
            let list = format!(r#"{{"items":[{record},{record}],"total":2}}"#);
            assert_eq!(paths(Side::New, 200, &list), ["new.list.total", expected], "{list}");
        }
        let problem = r#"{"type":"https://x/y?z=1","title":"t","status":403,"meta":{"a":1},"code":7}"#;
        assert_eq!(
            paths(Side::New, 403, problem),
            ["new.problem.code", "new.problem_type.(not shown bf2a54)"]
        );
        assert!(paths(Side::New, 200, "<html>").is_empty());
        let html = scan(Side::New, 200, Some("Text/HTML; charset=utf-8"), b"");
        assert_eq!(html.first().map(|it| it.path.as_str()), Some("new.content_type.Text/HTML"));
    }
}
