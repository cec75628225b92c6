//! Whether a list may lack rows: what its headers say, and the members beside its rows. The one place that decides; lookups, walks and the
//! pages of clients' listings ask it.
//!
//! The vendor documents `items` and `next_page_cursor` and nothing else. It may add members at any time, so text under a name that does not
//! speak of rows or errors is harmless, and is logged as drift.

use http::HeaderMap;

use crate::translate::json::{Raw, Text};

/// What was read beside the rows of one list.
#[derive(Debug, Default)]
pub(crate) struct BesideRows {
    names: Vec<String>,
    doubt: Option<&'static str>,
    /// Whether the headers count rows. Beside rows that is usual.
    counts_rows: bool,
}

/// More members than a list of any known vendor has.
const NAMES_MAX: usize = 64;

impl BesideRows {
    /// With what the headers say.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        Self { names: Vec::new(), doubt: headers_doubt(headers), counts_rows: counts_rows(headers) }
    }

    /// Why rows may be missing from a list without rows.
    pub(crate) fn doubt(&self) -> Option<&'static str> {
        self.doubt.or(self.counts_rows.then_some("a header field counts rows"))
    }

    /// Why rows may be missing from a list that has some.
    pub(crate) const fn doubt_of_more(&self) -> Option<&'static str> {
        self.doubt
    }

    /// Adds the name of any member, rows included. Of two with one name a reader takes either.
    pub(crate) fn name(&mut self, name: &str) {
        if self.names.iter().any(|known| known == name) {
            self.doubt = Some("a member is there twice");
        }
        if self.names.len() >= NAMES_MAX {
            self.doubt = Some("it has more members than any list");
            return;
        }
        self.names.push(name.to_owned());
    }

    /// Adds a member that is neither rows nor cursor.
    pub(crate) fn member(&mut self, name: &str, value: Raw<'_>) {
        if has_content(name, value) {
            self.doubt = Some("an unknown member has content");
        }
    }

    pub(crate) fn cursor(&mut self, value: Raw<'_>) {
        match value.as_text() {
            None if value.is_null() => {}
            None => self.doubt = Some("the cursor is no text"),
            Some(text) if text.is_empty() => {}
            Some(_) => self.doubt = Some("more rows are to come"),
        }
    }
}

/// In the name of a member: any text says that there are more rows, or an error.
const DOUBTFUL_WORDS: [&str; 9] =
    ["cursor", "next", "more", "token", "error", "partial", "truncated", "warning", "page"];
/// Whole words in the name of a member that says how the list came about: content that is neither zero nor good news casts doubt.
const DOUBTFUL_WHOLE_WORDS: [&str; 34] = [
    "code",
    "count",
    "degraded",
    "detail",
    "details",
    "exception",
    "fail",
    "failed",
    "failure",
    "failures",
    "fault",
    "incomplete",
    "length",
    "message",
    "messages",
    "missing",
    "omitted",
    "outage",
    "pending",
    "problem",
    "problems",
    "reason",
    "remaining",
    "skipped",
    "stale",
    "status",
    "state",
    "timeout",
    "title",
    "total",
    "totals",
    "unavailable",
    "expired",
    "shards",
];
/// Words in the name of a member that says what is good, so that a "no" is bad.
const AFFIRMATIVE: [&str; 15] = [
    "available",
    "complete",
    "completed",
    "consistent",
    "done",
    "exact",
    "final",
    "fresh",
    "last",
    "ok",
    "success",
    "successful",
    "synced",
    "valid",
    "whole",
];
/// The last word in the name of a member whose number counts nothing.
const NO_COUNT: [&str; 9] = ["at", "date", "hash", "id", "key", "time", "timestamp", "uuid", "version"];

/// Whether a member may mean that rows are missing.
fn has_content(name: &str, value: Raw<'_>) -> bool {
    let written = value.as_written();
    if let Some(text) = value.as_text() {
        return text_has_content(&words(name), text);
    }
    let inside = written.get(1..written.len().saturating_sub(1)).unwrap_or_default();
    match written.as_bytes().first() {
        Some(b'{' | b'[') => !inside.trim().is_empty(),
        Some(b'0'..=b'9' | b'-') => is_above_zero(written) || says_no(&words(name)),
        Some(b't') => true,
        Some(b'f') => says_no(&words(name)),
        _ => false,
    }
}

fn text_has_content(name: &[String], text: Text<'_>) -> bool {
    // Half of a surrogate pair.
    let Some(text) = text.value() else { return true };
    let text = text.trim().to_ascii_lowercase();
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.e".contains(&byte));
    match text.as_str() {
        "" => false,
        _ if name.iter().any(|word| DOUBTFUL_WORDS.iter().any(|doubtful| word.contains(doubtful))) => true,
        "ok" | "success" => false,
        "true" | "yes" => !counts_nothing(name),
        "false" | "no" => says_no(name),
        _ if is_number => says_no(name) || is_above_zero(&text) && !counts_nothing(name),
        // The type of a problem document is a URI; other documents name themselves in this member.
        _ if name == ["type"] => text.contains([':', '/']),
        _ => name == ["as", "of"] || name.iter().any(|word| DOUBTFUL_WHOLE_WORDS.contains(&word.as_str())),
    }
}

fn says_no(name: &[String]) -> bool {
    name.iter().any(|word| AFFIRMATIVE.contains(&word.as_str()))
}

fn counts_nothing(name: &[String]) -> bool {
    name.last().is_some_and(|last| NO_COUNT.contains(&last.as_str()))
}

/// Whether the text of a number is any but zero.
fn is_above_zero(number: &str) -> bool {
    number.bytes().any(|byte| byte.is_ascii_digit() && byte != b'0')
}

/// The words of a name in any of the usual spellings, in small letters.
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut before = '_';
    for letter in name.chars() {
        let starts = !before.is_alphanumeric() || before.is_lowercase() && letter.is_uppercase();
        if letter.is_alphanumeric() {
            if starts {
                words.push(String::new());
            }
            words.last_mut().into_iter().for_each(|word| word.extend(letter.to_lowercase()));
        }
        before = letter;
    }
    words
}

/// The age in seconds from which on an answer is not fresh any more: a cache may have it from before the record was made.
const AGE_MAX: u64 = 5;
/// The end of the name of a header field that says that there are more rows, or an error.
const MORE: [&str; 15] = [
    "continuation",
    "continuation-token",
    "cursor",
    "error",
    "has-more",
    "has-next",
    "incomplete",
    "more",
    "next",
    "next-page",
    "next-page-token",
    "next-token",
    "partial",
    "partial-results",
    "truncated",
];
/// The end of the name of one that says how many rows there are.
const COUNTS: [&str; 5] = ["count", "total", "total-items", "total-records", "total-results"];
/// In the name of a field that counts something else.
const NO_ROWS: [&str; 6] = ["attempt", "hop", "limit", "quota", "request", "retry"];

/// Why the headers of a list let rows be missing.
fn headers_doubt(headers: &HeaderMap) -> Option<&'static str> {
    headers.iter().find_map(|(name, value)| match value.to_str() {
        Ok(value) => field_doubt(name.as_str(), value.trim()),
        // Text of another encoding, in a field that matters.
        Err(_) => field_doubt(name.as_str(), "?"),
    })
}

fn field_doubt(name: &str, value: &str) -> Option<&'static str> {
    let mut words = value.split(|letter: char| !letter.is_ascii_alphanumeric()).map(str::to_ascii_lowercase);
    match name {
        "age" => {
            value.parse::<u64>().map_or(true, |age| age > AGE_MAX).then_some("Age: the answer is a cache's")
        }
        "x-cache" | "x-cache-status" | "x-cache-lookup" | "x-proxy-cache" | "cf-cache-status"
        | "cache-status" => words
            .any(|word| word.ends_with("hit") || word == "stale" || word == "updating")
            .then_some("the answer is a cache's"),
        "x-cache-hits" => is_above_zero(value).then_some("X-Cache-Hits: the answer is a cache's"),
        "warning" => value
            .split(',')
            .any(|warning| warning.trim_start().starts_with("11"))
            .then_some("Warning: the answer is stale"),
        "link" => words.any(|word| word == "next").then_some("Link: there is a next page"),
        "grpc-status" => (value != "0").then_some("Grpc-Status: the answer is an error"),
        "content-range" => Some("Content-Range: the answer is a part"),
        _ => speaks_of(&MORE, name, value).then_some("a header field speaks of more rows or of an error"),
    }
}

fn counts_rows(headers: &HeaderMap) -> bool {
    // Text of another encoding counts as any.
    let says = |value: &http::HeaderValue| value.to_str().unwrap_or("?").trim().to_owned();
    headers.iter().any(|(name, value)| speaks_of(&COUNTS, name.as_str(), &says(value)))
}

/// Whether a field has one of the ends in its name, and says something.
fn speaks_of(ends_of_names: &[&str], name: &str, value: &str) -> bool {
    let nothing = ["", "0", "false", "no", "none", "null"];
    let ends =
        |end: &&str| name.strip_suffix(*end).is_some_and(|rest| rest.is_empty() || rest.ends_with('-'));
    ends_of_names.iter().any(ends)
        && !NO_ROWS.iter().any(|other| name.contains(other))
        && !nothing.iter().any(|nothing| value.eq_ignore_ascii_case(nothing))
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;
    use crate::translate::json::JsonReader;

    fn casts_doubt(member: &str) -> bool {
        let json = format!("{{{member}}}");
        let mut casts_doubt = false;
        let mut reader = JsonReader::of(&json);
        let read = reader.object(|name, value| {
            casts_doubt |= has_content(name, value.value()?);
            Ok::<(), crate::translate::json::JsonError>(())
        });
        read.unwrap();
        casts_doubt
    }

    #[test]
    fn members_that_speak_of_rows_or_errors_are_recognized() {
        for member in [
            r#""total":"1""#,
            r#""total_count":"1""#,
            r#""totalCount":"1""#,
            r#""count":"1""#,
            r#""remaining":"1""#,
            r#""hits":"3""#,
            r#""total":-1"#,
            r#""total":1e0"#,
            r#""incomplete":"true""#,
            r#""complete":false"#,
            r#""is_last":"false""#,
            r#""success":0"#,
            r#""status":"PARTIAL""#,
            r#""code":"UNAVAILABLE""#,
            r#""code":14"#,
            r#""message":"shard 3 timed out""#,
            r#""detail":"deadline exceeded""#,
            r#""title":"Service Unavailable""#,
            r#""type":"about:blank""#,
            r#""failure":"x""#,
            r#""fail_reason":"x""#,
            r#""as_of":"2020-01-01T00:00:00Z""#,
            r#""cursor":"0""#,
            r#""error":"no""#,
            r#""x":"\ud800""#,
        ] {
            assert!(casts_doubt(member), "{member}");
        }
        for member in [
            r#""request_id":"req_1""#,
            r#""request_id":"12345""#,
            r#""requestId":"1""#,
            r#""api_version":"2""#,
            r#""served_at":"2026""#,
            r#""object":"list""#,
            r#""type":"list""#,
            r#""status":"ok""#,
            r#""code":"0""#,
            r#""message":"""#,
            r#""total":"0""#,
            r#""total":0"#,
            r#""has_more":false"#,
            r#""complete":null"#,
            r#""country":"US""#,
            r#""meta":{}"#,
        ] {
            assert!(!casts_doubt(member), "{member}");
        }
    }

    #[test]
    fn a_count_of_rows_is_no_doubt_beside_rows() {
        let headers = [("x-total-count", "250"), ("x-request-id", "1")];
        let headers =
            headers.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let beside = BesideRows::of(&HeaderMap::from_iter(headers));
        assert!(beside.doubt().is_some() && beside.doubt_of_more().is_none());
    }

    #[test]
    fn header_fields_that_speak_of_caches_more_rows_or_errors_are_recognized() {
        let doubt = |name: &'static str, value: &'static str| {
            let headers = [(HeaderName::from_static(name), HeaderValue::from_static(value))];
            BesideRows::of(&HeaderMap::from_iter(headers)).doubt()
        };
        for (name, value) in [
            ("age", "3600"),
            ("age", "x"),
            ("x-cache", "HIT"),
            ("x-cache", "RefreshHit from cloudfront"),
            ("cf-cache-status", "STALE"),
            ("cache-status", "edge; hit; ttl=30"),
            ("x-cache-hits", "0, 2"),
            ("warning", "110 - \"Response is Stale\""),
            ("warning", "199 a b, 111 - x"),
            ("link", "</v2/x?page=2>; rel=\"next\""),
            ("grpc-status", "14"),
            ("content-range", "items 0-0/1"),
            ("x-total-count", "1"),
            ("x-next-page-cursor", "abc"),
            ("x-has-more", "true"),
        ] {
            assert!(doubt(name, value).is_some(), "{name}: {value}");
        }
        for (name, value) in [
            ("age", "0"),
            ("x-cache", "Miss from cloudfront"),
            ("cf-cache-status", "DYNAMIC"),
            ("cache-status", "white-edge; fwd=miss"),
            ("x-cache-hits", "0, 0"),
            ("warning", "299 - \"Deprecated\""),
            ("link", "</docs>; rel=\"deprecation\""),
            ("grpc-status", "0"),
            ("x-total-count", "0"),
            ("x-has-more", "false"),
            ("x-envoy-attempt-count", "1"),
            ("x-ratelimit-total", "100"),
            ("x-request-id", "1"),
            ("content-type", "application/json"),
        ] {
            assert_eq!(doubt(name, value), None, "{name}: {value}");
        }
    }
}
