//! What the vendor's answers held that a process did not know, from its heartbeats.

use super::bounded::Bounded;
use super::document::DriftReport;
use crate::shadow::heartbeat_record::DriftSeen;
use crate::telemetry::sanitize::clip;

/// Most names of all processes; one keeps 200.
const NAMES_MAX: usize = 400;

pub(super) struct DriftTotals(Bounded<DriftReport>);

impl DriftTotals {
    pub(super) fn new() -> Self {
        Self(Bounded::new(NAMES_MAX))
    }

    pub(super) fn add(&mut self, seen: &DriftSeen) {
        let text = |text: &str| clip(text, 100).into_owned();
        let new = || DriftReport {
            path: text(&seen.path),
            r#type: text(&seen.r#type),
            money: seen.money,
            first_seen: text(&seen.first_seen),
        };
        let entry = self.0.entry(&format!("{}\n{}", seen.path, seen.r#type), 1, new);
        if let Some(entry) = entry.filter(|entry| seen.first_seen < entry.first_seen) {
            entry.first_seen = text(&seen.first_seen);
        }
    }

    /// What may say something about money first, then by path.
    pub(super) fn document(&self) -> Vec<DriftReport> {
        let mut all: Vec<_> = self.0.iter().map(|(_, seen)| seen.clone()).collect();
        all.sort_by(|a, b| (!a.money, &a.path, &a.r#type).cmp(&(!b.money, &b.path, &b.r#type)));
        all
    }
}
