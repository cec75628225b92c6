//! Writes the shadow log: every difference up to a cap per signature, and a sample of the matches. What is not written is counted
//! on the next record of the same signature, or in a heartbeat. Records arrive redacted. Lines are numbered, so that one that is lost on its
//! way leaves a gap.

use std::collections::HashMap;
use std::io::Write;
use std::time::Instant;

use uuid::Uuid;

use super::heartbeat_record::{HeartbeatRecord, Suppressed};
use super::record::{ComparisonRecord, ShadowLine};
use super::types::{Severity, Verdict};
use crate::config;

/// Most signatures that are tracked. Past it, the one that was seen least recently is evicted.
const SIGNATURES_MAX: usize = 10_000;

/// Belongs to the shadow thread.
pub(super) struct RecordWriter {
    out: Box<dyn Write + Send>,
    /// Twelve random hex digits, which tell the lines of this process from those of others and of its next start.
    process: String,
    /// The number of the last line.
    sequence: u64,
    signatures: HashMap<SignatureKey, SignatureState>,
    /// Counts of evicted signatures, for the next heartbeat.
    evicted: Vec<Suppressed>,
}

/// What the report counts apart. The signature alone is not enough: it covers neither the severity of the values nor whether both
/// sides held a record.
type SignatureKey = (String, Option<Severity>, bool);

struct SignatureState {
    window_start: Instant,
    written: u32,
    last: Instant,
    suppressed: Suppressed,
}

impl RecordWriter {
    pub(super) fn new(out: Box<dyn Write + Send>) -> Self {
        let process = Uuid::new_v4().simple().to_string()[..12].to_owned();
        Self { out, process, sequence: 0, signatures: HashMap::new(), evicted: Vec::new() }
    }

    /// Writes a record, or counts it as suppressed. `sampled` is whether a match is to be written.
    pub(super) fn record(&mut self, mut record: ComparisonRecord, sampled: bool, settings: &config::Shadow) {
        let now = Instant::now();
        let key = (record.signature.clone(), record.severity, record.both_held);
        self.evict_for(&key);
        let state = self.signatures.entry(key).or_insert_with(|| SignatureState::new(&record, now));
        state.last = now;
        if now.duration_since(state.window_start) >= settings.cap_window {
            (state.window_start, state.written) = (now, 0);
        }
        // The cap counts differences as well as matches: one fault in every request would otherwise fill the disk.
        let is_match = matches!(record.verdict, Verdict::Match | Verdict::MatchAfterRules);
        if state.written >= settings.cap_per_signature || (is_match && !sampled) {
            state.suppressed.count += 1;
            return;
        }
        state.written += 1;
        // Handed over, not copied: the same count in the next heartbeat would be added twice by the report.
        record.suppressed = std::mem::take(&mut state.suppressed.count);
        (record.process, record.sequence) = self.next_line();
        self.write(&ShadowLine::Comparison(Box::new(record)));
    }

    /// The counts of suppressed records since they were last taken, or written on a record.
    pub(super) fn take_suppressed(&mut self) -> Vec<Suppressed> {
        let mut all = std::mem::take(&mut self.evicted);
        for state in self.signatures.values_mut().filter(|state| state.suppressed.count > 0) {
            all.push(state.suppressed.clone());
            state.suppressed.count = 0;
        }
        all.sort_by(|one, other| one.signature.cmp(&other.signature));
        all
    }

    pub(super) fn heartbeat(&mut self, mut heartbeat: HeartbeatRecord) {
        (heartbeat.process, heartbeat.sequence) = self.next_line();
        self.write(&ShadowLine::Heartbeat(Box::new(heartbeat)));
    }

    fn next_line(&mut self) -> (String, u64) {
        self.sequence += 1;
        (self.process.clone(), self.sequence)
    }

    fn write(&mut self, line: &ShadowLine) {
        // Neither fails: the types always serialise, and the writer is a queue that counts and logs its own errors.
        if let Ok(mut json) = serde_json::to_vec(line) {
            json.push(b'\n');
            let _ = self.out.write_all(&json);
        }
    }

    fn evict_for(&mut self, key: &SignatureKey) {
        if self.signatures.len() < SIGNATURES_MAX || self.signatures.contains_key(key) {
            return;
        }
        let oldest = self.signatures.iter().min_by_key(|(_, state)| state.last).map(|(key, _)| key.clone());
        let evicted = oldest.and_then(|key| self.signatures.remove(&key)).map(|state| state.suppressed);
        self.evicted.extend(evicted.filter(|suppressed| suppressed.count > 0));
    }
}

impl SignatureState {
    fn new(record: &ComparisonRecord, now: Instant) -> Self {
        let suppressed = Suppressed {
            route: record.route,
            verdict: record.verdict,
            severity: record.severity,
            both_held: record.both_held,
            signature: record.signature.clone(),
            count: 0,
        };
        Self { window_start: now, written: 0, last: now, suppressed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load::{Sources, load};

    #[test]
    fn suppressed_records_keep_their_severity() {
        let answer = r#"{"side":"new","status":200}"#;
        let record = |severity: &str| -> ComparisonRecord {
            serde_json::from_str(&format!(
                r#"{{"schema":3,"target":"shadow","time":"t","request_id":"r","config_hash":"c","stage":"s","route":"get","kind":"read","served":{answer},"other":{answer},"verdict":"mismatch","severity":"{severity}","signature":"0"}}"#
            ))
            .unwrap()
        };
        let mut settings = load(&Sources::default()).unwrap().config.shadow.clone();
        settings.cap_per_signature = 1;
        let mut writer = RecordWriter::new(Box::new(std::io::sink()));
        for severity in ["cosmetic", "contract", "cosmetic", "contract", "contract"] {
            writer.record(record(severity), true, &settings);
        }
        let mut suppressed: Vec<_> =
            writer.take_suppressed().iter().map(|it| (it.severity, it.count)).collect();
        suppressed.sort();
        assert_eq!(suppressed, [(Some(Severity::Cosmetic), 1), (Some(Severity::Contract), 2)]);
        assert!(writer.take_suppressed().is_empty(), "counted once");
    }
}
