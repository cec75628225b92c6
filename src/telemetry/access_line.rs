//! The access line as JSON, written straight into the log's queue.
//!
//! Own code beside `tracing_subscriber`'s JSON layer, which writes every other line: an event through the layer visits each field by name
//! and serializes it on its own. `docs/performance.md` has the measurement. The fields and their order are those of the layer.

use std::cell::RefCell;
use std::io::Write as _;
use std::sync::OnceLock;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::queue::Queue;
use super::spans::TraceId;

/// The queue of the process's log, once it is written as JSON.
static LINES: OnceLock<Queue> = OnceLock::new();

thread_local! {
    /// One line at a time.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The fields of a line. Those that are `None` are left out.
#[derive(Serialize)]
pub(super) struct AccessLine<'a> {
    pub(super) timestamp: Now,
    pub(super) level: &'a str,
    pub(super) message: &'a str,
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) route: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) caller: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mode: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) side: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) upstream_status: Option<u16>,
    pub(super) upstream_calls: u32,
    pub(super) upstream_us: u64,
    pub(super) duration_us: u64,
    pub(super) request_bytes: u64,
    pub(super) response_bytes: u64,
    pub(super) complete: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fault: Option<&'a str>,
    pub(super) request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) client_certificate: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_text")]
    pub(super) trace_id: Option<TraceId>,
    pub(super) target: &'a str,
}

#[expect(clippy::ref_option, reason = "serde passes the field")]
fn as_text<S: Serializer>(id: &Option<TraceId>, serializer: S) -> Result<S::Ok, S::Error> {
    match id {
        Some(id) => serializer.collect_str(id),
        None => serializer.serialize_none(),
    }
}

/// The time at which the line is written, to the microsecond.
pub(super) struct Now;

impl Serialize for Now {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:.6}", Timestamp::now()))
    }
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
        BUFFER.with_borrow_mut(|buffer| {
            buffer.clear();
            // Writing to memory does not fail.
            if serde_json::to_writer(&mut *buffer, self).is_ok() {
                buffer.push(b'\n');
                let _ = lines.clone().write_all(buffer);
            }
        });
    }
}
