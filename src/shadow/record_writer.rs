//! What of the comparisons is written: every difference up to a cap per signature, matches by sample, and on the next record of
//! a signature how many were left out. Knows no value: records come redacted.

use std::collections::HashMap;
use std::io::Write;
use std::time::{Duration, Instant};

use super::heartbeat_record::{HeartbeatRecord, Suppressed};
use super::record::{Line, Record};
use super::types::{Severity, Verdict};
use crate::config;

/// The most signatures that are followed; past it the one that was quiet longest is let go.
const SIGNATURES_MAX: usize = 10_000;

/// Writes lines; belongs to the shadow thread.
pub(super) struct Journal {
    out: Box<dyn Write + Send>,
    followed: HashMap<Key, Followed>,
    /// Left out, and of signatures that are no longer followed.
    release: Vec<Suppressed>,
}

/// What the report counts apart. A signature alone would not do: it holds neither how grave the values are nor whether there was
/// anything to compare.
type Key = (String, Option<Severity>, bool);

struct Followed {
    window: Instant,
    written: u32,
    last: Instant,
    left_out: Suppressed,
}

impl Journal {
    pub(super) fn new(out: Box<dyn Write + Send>) -> Self {
        Self { out, followed: HashMap::new(), release: Vec::new() }
    }

    /// Writes a record, or counts it as left out. `sampled` says whether a match is one of those to write.
    pub(super) fn record(&mut self, mut record: Record, sampled: bool, settings: &config::Shadow) {
        let now = Instant::now();
        let key = (record.signature.clone(), record.severity, record.both_held);
        self.make_room(&key);
        let followed = self.followed.entry(key).or_insert_with(|| Followed::new(&record, now));
        followed.last = now;
        if now.duration_since(followed.window) >= settings.cap_window {
            (followed.window, followed.written) = (now, 0);
        }
        let by_sample = matches!(record.verdict, Verdict::Match | Verdict::MatchAfterRules);
        if followed.written >= settings.cap_per_signature || (by_sample && !sampled) {
            followed.left_out.count += 1;
            return;
        }
        followed.written += 1;
        record.suppressed = std::mem::take(&mut followed.left_out.count);
        self.write(&Line::Comparison(Box::new(record)));
    }

    /// What was left out and not told of yet. It counts as told from now on.
    pub(super) fn left_out(&mut self) -> Vec<Suppressed> {
        let mut all = std::mem::take(&mut self.release);
        for followed in self.followed.values_mut().filter(|followed| followed.left_out.count > 0) {
            all.push(followed.left_out.clone());
            followed.left_out.count = 0;
        }
        all.sort_by(|one, other| one.signature.cmp(&other.signature));
        all
    }

    /// Writes a heartbeat.
    pub(super) fn heartbeat(&mut self, heartbeat: HeartbeatRecord) {
        self.write(&Line::Heartbeat(Box::new(heartbeat)));
    }

    fn write(&mut self, line: &Line) {
        // Neither can fail: the types serialise, and the writer is a queue that reports on itself.
        if let Ok(mut json) = serde_json::to_vec(line) {
            json.push(b'\n');
            let _ = self.out.write_all(&json);
        }
    }

    fn make_room(&mut self, key: &Key) {
        if self.followed.len() < SIGNATURES_MAX || self.followed.contains_key(key) {
            return;
        }
        let quiet =
            self.followed.iter().min_by_key(|(_, followed)| followed.last).map(|(key, _)| key.clone());
        let gone = quiet.and_then(|key| self.followed.remove(&key));
        self.release.extend(gone.map(|gone| gone.left_out).filter(|left_out| left_out.count > 0));
    }
}

impl Followed {
    fn new(record: &Record, now: Instant) -> Self {
        let left_out = Suppressed {
            route: record.route,
            verdict: record.verdict,
            severity: record.severity,
            both_held: record.both_held,
            signature: record.signature.clone(),
            count: 0,
        };
        Self { window: now, written: 0, last: now, left_out }
    }
}

/// RFC 3339 in UTC, with microseconds.
pub(super) fn now() -> String {
    format!("{:.6}", jiff::Timestamp::now())
}

/// Seconds, to the millisecond.
pub(super) fn seconds(time: Duration) -> f64 {
    Duration::from_millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)).as_secs_f64()
}

/// Milliseconds, to the microsecond.
pub(super) fn milliseconds(time: Duration) -> f64 {
    // A second's worth of microseconds is a thousand milliseconds' worth of milliseconds.
    Duration::from_millis(u64::try_from(time.as_micros()).unwrap_or(u64::MAX)).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load::{Sources, load};

    #[test]
    fn what_is_left_out_keeps_its_severity() {
        let answer = r#"{"side":"new","status":200}"#;
        let record = |severity: &str| -> Record {
            serde_json::from_str(&format!(
                r#"{{"schema":1,"target":"shadow","time":"t","request_id":"r","config_hash":"c","stage":"s","route":"get","kind":"read","served":{answer},"other":{answer},"verdict":"mismatch","severity":"{severity}","signature":"0"}}"#
            ))
            .unwrap()
        };
        let mut settings = load(&Sources::default()).unwrap().config.shadow.clone();
        settings.cap_per_signature = 1;
        let mut journal = Journal::new(Box::new(std::io::sink()));
        for severity in ["cosmetic", "contract", "cosmetic", "contract", "contract"] {
            journal.record(record(severity), true, &settings);
        }
        let mut left_out: Vec<_> = journal.left_out().iter().map(|it| (it.severity, it.count)).collect();
        left_out.sort();
        assert_eq!(left_out, [(Some(Severity::Cosmetic), 1), (Some(Severity::Contract), 2)]);
        assert!(journal.left_out().is_empty(), "told once");
    }
}
