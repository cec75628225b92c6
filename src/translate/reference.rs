//! The references that a lenient server may read in a body that the proxy cannot read strictly.
//!
//! The vendor may take the first or the last of two keys, forgive letter case and underscores, skip a byte order mark, read UTF-16 or
//! UTF-32, or nest deeper than this proxy reads. Every reading is a candidate: it is claimed before the body goes to the old API untouched.
//! Where readers may differ in more ways than can be listed, the references are unknown.

mod scan;

use std::collections::BTreeSet;

use super::json::{JsonError, JsonReader, Text};

/// What a body may mean by its reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum References {
    /// The body is JSON that can be read in one way only, and holds no reference.
    None,
    /// The readings, sorted and without repetition; at least one.
    Candidates(Vec<String>),
    /// Which references a server would read cannot be determined, or not all of them.
    Unknown,
}

/// Reads the references in `body`, which is decoded.
#[must_use]
pub fn references(body: &[u8]) -> References {
    match strict(body) {
        Ok(None) => References::None,
        Ok(Some(reference)) => References::Candidates(vec![reference]),
        Err(Ambiguous) => lenient(body),
    }
}

/// The profiles that a server may read in `body`, at any depth: at least one. `None` if they cannot be determined.
#[must_use]
pub(crate) fn profiles(body: &[u8]) -> Option<BTreeSet<String>> {
    readings(body, is_profile).filter(|profiles| !profiles.is_empty())
}

/// The body can be read in more than one way.
struct Ambiguous;

fn strict(body: &[u8]) -> Result<Option<String>, Ambiguous> {
    let mut given = Vec::new();
    let mut reader = JsonReader::new(body).map_err(|_| Ambiguous)?;
    let read = reader.object(|key, value| {
        let value = value.value()?;
        if is_reference(key) {
            given.push((key == "ref_id", value));
        }
        Ok::<(), JsonError>(())
    });
    read.and_then(|()| reader.end()).map_err(|_| Ambiguous)?;
    match given.as_slice() {
        [] => Ok(None),
        [(true, value)] if value.is_null() => Ok(None),
        // A number or an object may be read as text by a lenient server.
        [(true, value)] => match value.as_text().and_then(Text::value) {
            Some(text) => Ok(Some(text.into_owned()).filter(|text| !text.is_empty())),
            None => Err(Ambiguous),
        },
        _ => Err(Ambiguous),
    }
}

/// Whether a server that forgives letter case, underscores and dashes takes a key for `ref_id`.
fn is_reference(key: &str) -> bool {
    has_letters(key, "refid")
}

/// The same for `profile_id`.
fn is_profile(key: &str) -> bool {
    has_letters(key, "profileid")
}

fn has_letters(key: &str, expected: &str) -> bool {
    let letters = key.chars().filter(|letter| !matches!(letter, '_' | '-' | ' ' | '\u{FFFD}'));
    letters.flat_map(char::to_lowercase).eq(expected.chars())
}

fn lenient(body: &[u8]) -> References {
    match readings(body, is_reference) {
        Some(found) if !found.is_empty() => References::Candidates(found.into_iter().collect()),
        Some(_) | None => References::Unknown,
    }
}

/// Every reading of every value that follows such a key, at any depth; `None` if not all of them can be listed.
fn readings(body: &[u8], is_key: fn(&str) -> bool) -> Option<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    let mut read = scan::values(body, is_key, &mut found);
    // JSON in UTF-8 has no zero byte, and in any wider encoding it has (RFC 4627, section 3, which some servers still follow).
    if body.contains(&0) {
        let before = found.len();
        for text in wide(body) {
            read = read.and(scan::values(text.as_bytes(), is_key, &mut found));
        }
        // What is not valid in the wider encoding has become this.
        if found.len() > before && found.iter().any(|text| text.contains(char::REPLACEMENT_CHARACTER)) {
            read = Err(scan::Uncertain);
        }
    }
    read.ok().map(|()| found)
}

/// The body as UTF-16 and UTF-32, in both byte orders; what is not valid becomes U+FFFD.
fn wide(body: &[u8]) -> [String; 4] {
    let of_16 = |unit: fn([u8; 2]) -> u16| {
        let units = body.as_chunks().0.iter().map(|bytes| unit(*bytes));
        char::decode_utf16(units).map(|read| read.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
    };
    let of_32 = |unit: fn([u8; 4]) -> u32| {
        let units = body.as_chunks().0.iter().map(|bytes| unit(*bytes));
        units.map(|unit| char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
    };
    [
        of_16(u16::from_le_bytes),
        of_16(u16::from_be_bytes),
        of_32(u32::from_le_bytes),
        of_32(u32::from_be_bytes),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates(body: &str) -> Vec<String> {
        match references(body.as_bytes()) {
            References::Candidates(candidates) => candidates,
            other => panic!("{body}: {other:?}"),
        }
    }

    #[test]
    fn strict_json_has_one_reading() {
        assert_eq!(references(br#"{"amount":"1"}"#), References::None);
        assert_eq!(references(br#"{"ref_id":null}"#), References::None);
        assert_eq!(references(br#"{"ref_id":""}"#), References::None);
        assert_eq!(candidates(r#"{"ref_id":"a","amount":1}"#), ["a"]);
        assert_eq!(candidates(r#"{"ref_id":"\u0061"}"#), ["a"]);
    }

    #[test]
    fn every_reading_of_a_lenient_server_is_a_candidate() {
        assert_eq!(candidates(r#"{"ref_id":"b","ref_id":"a"}"#), ["a", "b"]);
        assert_eq!(candidates(r#"{"refId":"a"}"#), ["a"]);
        assert_eq!(candidates(r#"{"ref_id":"b","Ref-ID":"a"}"#), ["a", "b"]);
        assert_eq!(candidates(r#"{"ref_id":5}"#), ["5"]);
        assert_eq!(candidates("\u{FEFF}{\"ref_id\":\"a\"}"), ["a"]);
        for mark in ["", "\u{FEFF}"] {
            let text = format!("{mark}{{\"ref_id\":\"ä€😀\"}}");
            let of_16: Vec<_> = text.encode_utf16().collect();
            let of_32: Vec<_> = text.chars().map(u32::from).collect();
            for bytes in [
                of_16.iter().flat_map(|unit| unit.to_le_bytes()).collect::<Vec<_>>(),
                of_16.iter().flat_map(|unit| unit.to_be_bytes()).collect(),
                of_32.iter().flat_map(|unit| unit.to_le_bytes()).collect(),
                of_32.iter().flat_map(|unit| unit.to_be_bytes()).collect(),
            ] {
                assert_eq!(references(&bytes), References::Candidates(vec!["ä€😀".into()]), "{bytes:?}");
            }
        }
        assert_eq!(candidates(r#"{"ref_id":"a"} trailing"#), ["a"]);
        assert_eq!(candidates(r#"{"ref_id":"a","metadata":{"#), ["a"]);
        assert_eq!(candidates(r#"{"ref_id":"x\ud800y"}"#), ["x\u{FFFD}y"]);
        let deep = format!(r#"{{"metadata":{}{},"ref_id":"a"}}"#, "[".repeat(200), "]".repeat(200));
        assert_eq!(candidates(&deep), ["a"]);
    }

    #[test]
    fn what_shows_no_reference_is_unknown_unless_it_is_strict_json() {
        for body in ["", "ref_id=a", "{", "\u{1}\u{2}", r#"{"ref_id":"#, r#"{"ref_id":,}"#] {
            assert_eq!(references(body.as_bytes()), References::Unknown, "{body:?}");
        }
    }
}
