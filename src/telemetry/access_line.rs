//! The access line as JSON, written straight into the log's queue.
//!
//! Own code beside `tracing_subscriber`'s JSON layer, which writes every other line: an event through the layer visits each field by name
//! and serializes it on its own. `docs/performance.md` has the measurement, and that of serde's derive. The fields and their order are those
//! of the layer.

use std::cell::RefCell;
use std::sync::OnceLock;

use jiff::Timestamp;

use super::queue::Queue;
use super::spans::TraceId;

/// The queue of the process's log, once it is written as JSON.
static LINES: OnceLock<Queue> = OnceLock::new();

thread_local! {
    static WRITER: RefCell<LineWriter> = RefCell::new(LineWriter::default());
}

/// The fields of a line. Those that are `None` are left out.
pub(super) struct AccessLine<'a> {
    pub(super) message: &'static str,
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) route: &'static str,
    pub(super) caller: Option<&'a str>,
    pub(super) mode: Option<&'static str>,
    pub(super) side: Option<&'static str>,
    pub(super) status: Option<u16>,
    pub(super) upstream_status: Option<u16>,
    pub(super) upstream_calls: u32,
    pub(super) upstream_us: u64,
    pub(super) duration_us: u64,
    pub(super) request_bytes: u64,
    pub(super) response_bytes: u64,
    pub(super) complete: bool,
    pub(super) error: Option<&'static str>,
    pub(super) fault: Option<&'static str>,
    pub(super) request_id: &'a str,
    pub(super) client_certificate: Option<&'a str>,
    pub(super) trace_id: Option<TraceId>,
    pub(super) target: &'static str,
}

/// Writes every access line to this queue from now on.
pub(super) fn write_to(lines: Queue) {
    // A process starts its log once.
    let _ = LINES.set(lines);
}

/// Whether the process's log is written as JSON.
pub(super) fn is_on() -> bool {
    LINES.get().is_some()
}

impl AccessLine<'_> {
    pub(super) fn write(&self) {
        let Some(lines) = LINES.get() else { return };
        WRITER.with_borrow_mut(|writer| {
            writer.clear();
            self.encode(writer, Timestamp::now());
            lines.push(&writer.line);
        });
    }

    fn encode(&self, writer: &mut LineWriter, now: Timestamp) {
        writer.time(now);
        writer.word("level", "INFO");
        writer.word("message", self.message);
        writer.text("method", self.method);
        writer.text("path", self.path);
        writer.word("route", self.route);
        writer.text("caller", self.caller);
        writer.word("mode", self.mode);
        writer.word("side", self.side);
        writer.number("status", self.status.map(u64::from));
        writer.number("upstream_status", self.upstream_status.map(u64::from));
        writer.number("upstream_calls", u64::from(self.upstream_calls));
        writer.number("upstream_us", self.upstream_us);
        writer.number("duration_us", self.duration_us);
        writer.number("request_bytes", self.request_bytes);
        writer.number("response_bytes", self.response_bytes);
        writer.literal("complete", if self.complete { "true" } else { "false" });
        writer.word("error", self.error);
        writer.word("fault", self.fault);
        writer.text("request_id", self.request_id);
        writer.text("client_certificate", self.client_certificate);
        if let Some(id) = self.trace_id {
            writer.text("trace_id", id.to_string().as_str());
        }
        writer.word("target", self.target);
        writer.line.extend_from_slice(b"}\n");
    }
}

/// A line in the making, one at a time for each thread.
#[derive(Debug, Default)]
struct LineWriter {
    line: Vec<u8>,
    /// The second of the last line, and the line's beginning with it.
    second: i64,
    beginning: String,
}

impl LineWriter {
    fn clear(&mut self) {
        self.line.clear();
    }

    /// The beginning of a line, with the time to the microsecond. The date is formatted once a second.
    fn time(&mut self, now: Timestamp) {
        let second = now.as_second();
        // Formatting a time is most of the cost of a line; all but the microseconds changes once a second.
        if self.second != second || self.beginning.is_empty() {
            let whole = Timestamp::from_second(second).unwrap_or_default();
            self.second = second;
            self.beginning = format!("{{\"timestamp\":\"{whole:.0}");
            self.beginning.pop();
        }
        self.line.extend_from_slice(self.beginning.as_bytes());
        let micros = u32::try_from(now.subsec_nanosecond() / 1000).unwrap_or_default();
        // Seven digits, of which the first is replaced.
        let digits = 1_000_000 + micros;
        self.line.push(b'.');
        self.line.extend_from_slice(&itoa::Buffer::new().format(digits).as_bytes()[1..]);
        self.line.extend_from_slice(b"Z\"");
    }

    fn key(&mut self, key: &str) {
        self.line.extend_from_slice(b",\"");
        self.line.extend_from_slice(key.as_bytes());
        self.line.extend_from_slice(b"\":");
    }

    fn text<'t>(&mut self, key: &str, text: impl Into<Option<&'t str>>) {
        let Some(text) = text.into() else { return };
        self.key(key);
        // Only these need escapes in JSON (RFC 8259, section 7); most texts have none and are copied.
        if text.bytes().any(|byte| byte == b'"' || byte == b'\\' || byte < 0x20) {
            // Writing to memory does not fail.
            let _ = serde_json::to_writer(&mut self.line, text);
        } else {
            self.quoted(text);
        }
    }

    /// Text of the program itself, which needs no escapes.
    fn word(&mut self, key: &str, word: impl Into<Option<&'static str>>) {
        if let Some(word) = word.into() {
            self.key(key);
            self.quoted(word);
        }
    }

    fn quoted(&mut self, text: &str) {
        self.line.push(b'"');
        self.line.extend_from_slice(text.as_bytes());
        self.line.push(b'"');
    }

    fn number(&mut self, key: &str, number: impl Into<Option<u64>>) {
        if let Some(number) = number.into() {
            self.literal(key, itoa::Buffer::new().format(number));
        }
    }

    fn literal(&mut self, key: &str, literal: &str) {
        self.key(key);
        self.line.extend_from_slice(literal.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_json_whatever_clients_write_and_its_time_is_exact() {
        let odd = "a\"b\\c\u{1}d\u{fffd}";
        let line = AccessLine {
            message: "request",
            method: "GET",
            path: odd,
            route: "get",
            caller: Some(odd),
            mode: None,
            side: Some("new"),
            status: Some(200),
            upstream_status: None,
            upstream_calls: 1,
            upstream_us: u64::MAX,
            duration_us: 0,
            request_bytes: 0,
            response_bytes: 7,
            complete: false,
            error: None,
            fault: None,
            request_id: odd,
            client_certificate: None,
            trace_id: None,
            target: "access",
        };
        let mut writer = LineWriter::default();
        for nanoseconds in [0, 1_999, 999_999_999, 1_000_000_000, 1_764_581_000_000_001_000_i128] {
            let now = Timestamp::from_nanosecond(nanoseconds).unwrap();
            writer.clear();
            line.encode(&mut writer, now);
            let read: serde_json::Value = serde_json::from_slice(&writer.line).unwrap();
            assert_eq!(read["timestamp"], format!("{now:.6}"));
            assert_eq!([&read["path"], &read["caller"], &read["request_id"]], [odd; 3]);
            assert_eq!((&read["upstream_us"], &read["complete"]), (&u64::MAX.into(), &false.into()));
            assert!(read.get("mode").is_none() && writer.line.ends_with(b"}\n"));
        }
    }
}
