//! Logs of `probe --pairs`: whether each of them is there to its end. A gap before it shows by the numbers of its lines.

use super::bounded::Bounded;
use super::document::Check;
use crate::telemetry::format::count;

/// Most logs that are followed.
const LOGS_MAX: usize = 1000;

pub(super) struct PairLogs(Bounded<PairLog>);

#[derive(Default)]
struct PairLog {
    has_comparisons: bool,
    has_ended: bool,
}

impl PairLogs {
    pub(super) fn new() -> Self {
        Self(Bounded::new(LOGS_MAX))
    }

    pub(super) fn compared(&mut self, process: &str) {
        if let Some(log) = self.0.entry(process, 1, PairLog::default) {
            log.has_comparisons = true;
        }
    }

    pub(super) fn ended(&mut self, process: &str) {
        if let Some(log) = self.0.entry(process, 1, PairLog::default) {
            log.has_ended = true;
        }
    }

    /// The last lines of a log may be the ones with the difference.
    pub(super) fn check(&self) -> Check {
        let cut = self.0.iter().filter(|(_, log)| log.has_comparisons && !log.has_ended).count() as u64;
        let found = cut.saturating_add(self.0.left_out());
        let text = format!("{} logs of pairs without their last line, at most 0", count(found));
        Check { name: "pairs_end", passed: found == 0, found: Some(found as f64), threshold: 0.0, text }
    }
}
