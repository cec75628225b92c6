//! Finds shadow's lines in logs of any kind, one at a time, in bounded memory.

use std::borrow::Cow;
use std::io::{self, BufRead, Read as _};

use memchr::memmem;
use serde::Deserialize;

use crate::shadow::heartbeat_record::HeartbeatRecord;
use crate::shadow::record::{ComparisonRecord, EndRecord, SCHEMA, TARGET};

/// Longest line that is read, in bytes; a record is a few hundred.
const LINE_MAX: usize = 1 << 20;

/// How the proxy writes the start of a record. Lines that begin so are parsed once; all others are classified first.
const AS_WRITTEN: &[u8] = b"{\"line\":\"comparison\",\"schema\":3,\"target\":\"shadow\",";

/// One line of the input, classified.
#[derive(Debug, PartialEq)]
pub(super) enum LogLine {
    Comparison(Box<ComparisonRecord>),
    /// The state of shadow itself.
    Heartbeat(Box<HeartbeatRecord>),
    /// Where the comparisons of pairs end.
    End(EndRecord),
    /// A line that is not shadow's.
    Other,
    /// A shadow line of a newer schema than this program reads.
    Newer(u64),
    /// A shadow line that is truncated or malformed.
    Broken,
}

/// Hands every line of `input` to `take`.
pub(super) fn each(mut input: impl BufRead, mut take: impl FnMut(LogLine)) -> io::Result<()> {
    let mut line = Vec::new();
    loop {
        line.clear();
        if input.by_ref().take(LINE_MAX as u64).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        let whole = line.len() < LINE_MAX || line.ends_with(b"\n");
        if whole {
            take(classify(&line));
        } else {
            input.skip_until(b'\n')?;
            take(if is_own_line(&line) { LogLine::Broken } else { LogLine::Other });
        }
    }
}

/// The fields that identify a line; all others are skipped.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow, default)]
    target: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    line: Option<Cow<'a, str>>,
    #[serde(default)]
    schema: Option<u64>,
}

fn classify(line: &[u8]) -> LogLine {
    // A log collector may have put a time or a container name before the JSON.
    let Some(start) = memchr::memchr(b'{', line) else { return LogLine::Other };
    let line = line[start..].trim_ascii_end();
    if line.starts_with(AS_WRITTEN) {
        return serde_json::from_slice(line).map_or(LogLine::Broken, LogLine::Comparison);
    }
    if !is_own_line(line) && memmem::find(line, b"\"shadow\"").is_none() {
        return LogLine::Other;
    }
    let unreadable = || if is_own_line(line) { LogLine::Broken } else { LogLine::Other };
    let Ok(head) = serde_json::from_slice::<Head<'_>>(line) else { return unreadable() };
    let (Some(TARGET), Some(kind)) = (head.target.as_deref(), head.line.as_deref()) else {
        return LogLine::Other;
    };
    match head.schema {
        Some(schema) if schema > u64::from(SCHEMA) => return LogLine::Newer(schema),
        Some(_) => {}
        None => return LogLine::Broken,
    }
    match kind {
        "comparison" => serde_json::from_slice(line).map_or(LogLine::Broken, LogLine::Comparison),
        "heartbeat" => serde_json::from_slice(line).map_or(LogLine::Broken, LogLine::Heartbeat),
        "end" => serde_json::from_slice(line).map_or(LogLine::Broken, LogLine::End),
        _ => LogLine::Broken,
    }
}

/// Whether a line that does not parse was one of shadow's.
fn is_own_line(line: &[u8]) -> bool {
    let beginnings: [&[u8]; 3] =
        [b"{\"line\":\"comparison\"", b"{\"line\":\"heartbeat\"", b"{\"line\":\"end\",\"schema\""];
    beginnings.iter().any(|beginning| line.starts_with(beginning))
        || memmem::find(line, b"\"target\":\"shadow\",\"time\"").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shadow::record::ShadowLine;
    use crate::shadow::types::ComparisonKind;

    const HEARTBEAT: &str = r#"{"line":"heartbeat","schema":3,"target":"shadow","time":"2026-11-21T10:00:00Z","process":"p","config_hash":"c","stage":"shadow","routes":[],"seconds":60.0,"idle_seconds":0.0,"due":0,"done":0,"dropped":[],"waiting":0}"#;

    fn found(text: &[u8]) -> Vec<LogLine> {
        let mut all = Vec::new();
        each(text, |found| all.push(found)).unwrap();
        all
    }

    fn kind(line: impl AsRef<[u8]>) -> &'static str {
        match found(line.as_ref()).as_slice() {
            [LogLine::Heartbeat(_)] => "heartbeat",
            [LogLine::Other] => "other",
            [LogLine::Newer(4)] => "newer",
            [LogLine::Broken] => "broken",
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
    fn a_record_of_schema_1_is_read() {
        let answer = r#"{"side":"new","status":200}"#;
        let old = format!(
            r#"{{"line":"comparison","schema":1,"target":"shadow","time":"t","request_id":"r","config_hash":"c","stage":"s","route":"create","kind":"rehearsal","served":{answer},"other":{answer},"verdict":"match","signature":"0"}}"#
        );
        let found = found(old.as_bytes());
        let [LogLine::Comparison(record)] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!((record.schema, record.kind), (1, ComparisonKind::DryRun));
    }

    #[test]
    fn a_record_as_written_takes_the_fast_path_to_the_same_value() {
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
            ("\"schema\":3", "\"schema\":\"3\""),
            ("60.0", "\"soon\""),
            ("\"line\":\"heartbeat\"", "\"line\":\"x\""),
        ];
        for (from, to) in odd {
            assert_eq!(kind(HEARTBEAT.replace(from, to)), "broken", "{to}");
        }
        assert_eq!(
            kind(HEARTBEAT.replace("\"schema\":3", "\"schema\":4").replace("seconds", "span")),
            "newer"
        );
        assert_eq!(kind([HEARTBEAT.as_bytes(), b"\xff"].concat()), "broken");
    }

    #[test]
    fn a_line_without_end_takes_no_more_than_its_share_of_memory() {
        let long = format!("{}{}\n{HEARTBEAT}\n", &HEARTBEAT[..60], "x".repeat(3 * LINE_MAX));
        assert!(matches!(found(long.as_bytes()).as_slice(), [LogLine::Broken, LogLine::Heartbeat(_)]));
        let foreign = format!("{}\n", "y".repeat(3 * LINE_MAX));
        assert_eq!(found(foreign.as_bytes()), [LogLine::Other]);
    }
}
