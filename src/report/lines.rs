//! Finds shadow's lines in logs of any kind, one at a time, in memory that does not grow with the log.

use std::borrow::Cow;
use std::io::{self, BufRead, Read as _};

use memchr::memmem;
use serde::Deserialize;

use crate::shadow::heartbeat_record::HeartbeatRecord;
use crate::shadow::record::{Record, SCHEMA, TARGET};

/// Longest line that is read, in bytes; a record is a few hundred.
const LINE_MAX: usize = 1 << 20;

/// How a record begins when nobody has rewritten it: most lines need no second look.
const AS_WRITTEN: &[u8] = b"{\"line\":\"comparison\",\"schema\":2,\"target\":\"shadow\",";

/// What a line turned out to be.
#[derive(Debug, PartialEq)]
pub(super) enum Found {
    /// One comparison.
    Comparison(Box<Record>),
    /// How shadow itself is doing.
    Heartbeat(Box<HeartbeatRecord>),
    /// Somebody else's line.
    Other,
    /// Shadow's, in a version that is newer than this program.
    Newer(u64),
    /// Shadow's, and not readable: torn, or cut.
    Broken,
}

/// Hands every line of `input` to `take`.
pub(super) fn each(mut input: impl BufRead, mut take: impl FnMut(Found)) -> io::Result<()> {
    let mut line = Vec::new();
    loop {
        line.clear();
        if input.by_ref().take(LINE_MAX as u64).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        let whole = line.len() < LINE_MAX || line.ends_with(b"\n");
        if whole {
            take(sort(&line));
        } else {
            input.skip_until(b'\n')?;
            take(if looks_ours(&line) { Found::Broken } else { Found::Other });
        }
    }
}

/// What says which kind of line it is; everything else is skipped over.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow, default)]
    target: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    line: Option<Cow<'a, str>>,
    #[serde(default)]
    schema: Option<u64>,
}

fn sort(line: &[u8]) -> Found {
    // Whatever collects logs may have put a time or a container's name before the JSON.
    let Some(start) = memchr::memchr(b'{', line) else { return Found::Other };
    let line = line[start..].trim_ascii_end();
    if line.starts_with(AS_WRITTEN) {
        return serde_json::from_slice(line).map_or(Found::Broken, Found::Comparison);
    }
    if !looks_ours(line) && memmem::find(line, b"\"shadow\"").is_none() {
        return Found::Other;
    }
    let unreadable = || if looks_ours(line) { Found::Broken } else { Found::Other };
    let Ok(head) = serde_json::from_slice::<Head<'_>>(line) else { return unreadable() };
    let (Some(TARGET), Some(kind)) = (head.target.as_deref(), head.line.as_deref()) else {
        return Found::Other;
    };
    match head.schema {
        Some(schema) if schema > u64::from(SCHEMA) => return Found::Newer(schema),
        Some(_) => {}
        None => return Found::Broken,
    }
    match kind {
        "comparison" => serde_json::from_slice(line).map_or(Found::Broken, Found::Comparison),
        "heartbeat" => serde_json::from_slice(line).map_or(Found::Broken, Found::Heartbeat),
        _ => Found::Broken,
    }
}

/// Whether a line that cannot be read was one of shadow's.
fn looks_ours(line: &[u8]) -> bool {
    let beginning =
        line.starts_with(b"{\"line\":\"comparison\"") || line.starts_with(b"{\"line\":\"heartbeat\"");
    beginning || memmem::find(line, b"\"target\":\"shadow\",\"time\"").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shadow::record::ShadowLine;

    const HEARTBEAT: &str = r#"{"line":"heartbeat","schema":2,"target":"shadow","time":"2026-11-21T10:00:00Z","process":"p","config_hash":"c","stage":"shadow","routes":[],"seconds":60.0,"idle_seconds":0.0,"due":0,"done":0,"dropped":[],"waiting":0}"#;

    fn found(text: &[u8]) -> Vec<Found> {
        let mut all = Vec::new();
        each(text, |found| all.push(found)).unwrap();
        all
    }

    fn kind(line: impl AsRef<[u8]>) -> &'static str {
        match found(line.as_ref()).as_slice() {
            [Found::Heartbeat(_)] => "heartbeat",
            [Found::Other] => "other",
            [Found::Newer(3)] => "newer",
            [Found::Broken] => "broken",
            odd => panic!("{odd:?}"),
        }
    }

    #[test]
    fn a_line_is_known_by_what_it_is_not_by_where_it_stands() {
        assert_eq!(kind(HEARTBEAT), "heartbeat");
        assert_eq!(kind(format!("{HEARTBEAT}\r\n")), "heartbeat");
        assert_eq!(kind(format!("2026-11-21T10:00:00Z shim-0 {HEARTBEAT}\n")), "heartbeat");
        assert_eq!(kind(HEARTBEAT.replace("\":", "\": ")), "heartbeat");
        for other in [
            "",
            "plain text about a shadow",
            r#"{"target":"access","mode":"shadow"}"#,
            r#"{"target":"shadow","message":"shadow is configured and does not run"}"#,
            r#"{"target":"other","line":42,"word":"shadow"}"#,
            "{\"shadow\"",
        ] {
            assert_eq!(kind(format!("{other}\n")), "other", "{other}");
        }
    }

    #[test]
    fn the_short_way_to_a_record_is_the_way_that_it_is_written() {
        let answer = r#"{"side":"new","status":200}"#;
        let rest = format!(
            r#""time":"t","request_id":"r","config_hash":"c","stage":"s","route":"get","kind":"read","served":{answer},"other":{answer},"verdict":"match","signature":"0","line":"comparison","schema":{SCHEMA},"target":"{TARGET}""#
        );
        let record: ShadowLine = serde_json::from_str(&format!("{{{rest}}}")).unwrap();
        let written = serde_json::to_vec(&record).unwrap();
        assert!(written.starts_with(AS_WRITTEN), "{}", String::from_utf8_lossy(&written));
        assert_eq!(
            found(&written),
            found(format!("{{{rest}}}").as_bytes()),
            "both ways lead to the same record"
        );
    }

    #[test]
    fn a_torn_line_is_counted_wherever_it_is_torn_and_a_newer_one_is_named() {
        for end in [30, 60, HEARTBEAT.len() - 1] {
            assert_eq!(kind(&HEARTBEAT[..end]), "broken", "{}", &HEARTBEAT[..end]);
        }
        let odd = [
            ("\"schema\":2", "\"schema\":\"2\""),
            ("60.0", "\"soon\""),
            ("\"line\":\"heartbeat\"", "\"line\":\"x\""),
        ];
        for (from, to) in odd {
            assert_eq!(kind(HEARTBEAT.replace(from, to)), "broken", "{to}");
        }
        assert_eq!(
            kind(HEARTBEAT.replace("\"schema\":2", "\"schema\":3").replace("seconds", "span")),
            "newer"
        );
        assert_eq!(kind([HEARTBEAT.as_bytes(), b"\xff"].concat()), "broken");
    }

    #[test]
    fn a_line_without_end_takes_no_more_than_its_share_of_memory() {
        let long = format!("{}{}\n{HEARTBEAT}\n", &HEARTBEAT[..60], "x".repeat(3 * LINE_MAX));
        assert!(matches!(found(long.as_bytes()).as_slice(), [Found::Broken, Found::Heartbeat(_)]));
        let foreign = format!("{}\n", "y".repeat(3 * LINE_MAX));
        assert_eq!(found(foreign.as_bytes()), [Found::Other]);
    }
}
